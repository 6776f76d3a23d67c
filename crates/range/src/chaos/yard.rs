//! A victim with a riposte that can be hurt: started, killed, started again as systemd would, asked, and compared with the kernel.
//! Never ends a process that it has not started or that does not descend from one.

use super::Context;
use crate::bench::arena::Arena;
use crate::namespace::run;
use report::status::StatusReport;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;
use sys::nft::OwnTable;

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Sensors that a riposte of ours has: packets, and one log.
const SENSORS: usize = 2;
/// All that must be there when it is at work.
const LIVES: [&str; 5] = ["warden", "judge", "host", "packets", "log 1"];
/// More elements than any trial makes.
const ELEMENTS: usize = 100_000;

/// Process numbers by what riposte calls them.
pub type Pids = BTreeMap<String, u32>;

/// The yard.
#[derive(Debug)]
pub struct Yard {
    /// Victim and attacker.
    pub arena: Arena,
    /// riposte's folder.
    pub place: PathBuf,
    riposte: PathBuf,
    warden: Option<Child>,
    /// How often the warden was started again because it had ended by itself.
    pub gave_up: u64,
}

impl Yard {
    /// A network with an empty folder; riposte does not run yet. `settings` follow what it needs to live beside another one and the log.
    pub fn new(context: &Context, tag: &str, settings: &str) -> io::Result<Yard> {
        let arena = Arena::new(&format!("{}{tag}", context.tag))?;
        let place = context.bench.folder(&format!("{}{tag}", context.tag))?;
        let text = format!(
            "applications.enabled = false\nstore.path = \"{0}/store\"\ncontrol.socket = \"{0}/control.sock\"\n{settings}\n[[sense.log]]\nkind = \"file\"\npath = \"{0}/kern.log\"\n",
            place.display()
        );
        fs::create_dir_all(place.join("store"))?;
        fs::write(place.join("riposte.toml"), text)?;
        fs::write(place.join("kern.log"), "")?;
        Ok(Yard { arena, place, riposte: context.bench.riposte().to_owned(), warden: None, gave_up: 0 })
    }

    /// Starts riposte; returns at once.
    pub fn start(&mut self) -> io::Result<()> {
        let said = File::options().append(true).create(true).open(self.place.join("riposte.log"))?;
        let binary = self.riposte.to_str().ok_or_else(|| io::Error::other("the binary's path is no UTF-8"))?;
        let mut command = self.arena.victim.command(binary);
        command.arg("run").arg("--config").arg(self.place.join("riposte.toml")).stdout(Stdio::null()).stderr(said);
        self.warden = Some(command.spawn()?);
        Ok(())
    }

    /// Starts riposte again if it has ended by itself, as systemd would.
    pub fn tend(&mut self) -> io::Result<()> {
        let ended = match &mut self.warden {
            Some(warden) => warden.try_wait()?.is_some(),
            None => false,
        };
        if ended {
            self.gave_up += 1;
            self.await_alone()?;
            self.start()?;
        }
        Ok(())
    }

    /// The warden's process number.
    pub fn warden(&self) -> Option<u32> {
        self.warden.as_ref().map(Child::id)
    }

    /// All processes of riposte that run, by the kernel's word.
    pub fn family(&self) -> Pids {
        let Some(warden) = self.warden() else { return Pids::new() };
        let mut pids = Pids::from([("warden".to_owned(), warden)]);
        pids.extend(children(warden));
        pids
    }

    /// Runs a command against it; returns what it printed as JSON.
    pub fn ask<T: DeserializeOwned>(&self, args: &[&str]) -> io::Result<Vec<T>> {
        let text = self.order(&[args, &["--json"]].concat())?;
        serde_json::Deserializer::from_str(&text).into_iter().map(|value| value.map_err(io::Error::other)).collect()
    }

    /// Starts a command against it; returns at once.
    pub fn ordering(&self, args: &[&str]) -> io::Result<Child> {
        let mut command = Command::new("timeout");
        command.arg("10").arg(&self.riposte).args(args).arg("--config").arg(self.place.join("riposte.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Runs a command against it; returns what it printed.
    pub fn order(&self, args: &[&str]) -> io::Result<String> {
        let mut command = Command::new("timeout");
        command.arg("10").arg(&self.riposte).args(args).arg("--config").arg(self.place.join("riposte.toml")).stdin(Stdio::null());
        crate::namespace::finish(&mut command)
    }

    /// The processes, if every one is at work: in its sandbox, known to the judge, and none the one of that number.
    pub fn at_work(&self) -> Option<Pids> {
        let status: StatusReport = self.ask(&["status"]).ok()?.pop()?;
        let pids: Pids = status.processes.iter().filter(|p| !p.landlock.is_empty()).map(|p| (p.life.clone(), p.pid)).collect();
        let running = status.sensors.iter().filter(|sensor| sensor.state == "running" && !sensor.counters.is_empty()).count();
        let real = self.family();
        // What the judge was told is what there is.
        let all = LIVES.iter().all(|life| pids.contains_key(*life) && pids.get(*life) == real.get(*life));
        (all && running == SENSORS).then_some(pids)
    }

    /// Waits until riposte is at work; starts it again if it gives up. Returns the processes.
    pub fn await_work(&mut self, limit: Duration) -> io::Result<Pids> {
        let until = monotonic() + limit.as_nanos() as u64;
        loop {
            self.tend()?;
            if let Some(pids) = self.at_work() {
                return Ok(pids);
            }
            if monotonic() > until {
                return Err(io::Error::other(format!("riposte is not at work again; it logged last:\n{}", self.last_words())));
            }
            sleep(LOOK_EVERY);
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// All of its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.join("riposte.log")).unwrap_or_default()
    }

    /// Kills the warden, and waits until nobody of its family is left, as systemd does before it starts a service again.
    /// Returns how many had to be waited for in vain.
    pub fn kill_warden(&mut self) -> io::Result<usize> {
        if let Some(mut warden) = self.warden.take() {
            warden.kill()?;
            warden.wait()?;
        }
        self.await_alone()
    }

    /// Ends riposte in order. Returns how many of its processes are left.
    pub fn end(&mut self) -> io::Result<usize> {
        if let Some(mut warden) = self.warden.take() {
            signal("TERM", warden.id())?;
            warden.wait()?;
        }
        self.await_alone()
    }

    /// Waits until nothing runs in the victim's network; returns what still does when patience ends.
    fn await_alone(&self) -> io::Result<usize> {
        let until = monotonic() + 10_000_000_000;
        loop {
            let left = run("ip", ["netns", "pids", self.arena.victim.name()])?.lines().count();
            if left == 0 || monotonic() > until {
                return Ok(left);
            }
            sleep(LOOK_EVERY);
        }
    }

    /// Who is in the kernel's set, and for how many more seconds (`None`: for good).
    pub fn kernel(&self) -> io::Result<BTreeMap<Ipv4Addr, Option<u64>>> {
        let elements = self.arena.inside(|| {
            let mut table = OwnTable::open("riposte").map_err(|e| e.to_string())?;
            table.elements("blocked4", ELEMENTS).map_err(|e| e.to_string())
        })?;
        // Without a table nobody is blocked.
        let elements = elements.unwrap_or_default();
        Ok(elements
            .iter()
            .filter_map(|element| match element.key.address()? {
                IpAddr::V4(v4) => Some((v4, element.timeout_millis.map(|millis| millis / 1_000))),
                IpAddr::V6(_) => None,
            })
            .collect())
    }

    /// Appends to the log that riposte follows.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        File::options().append(true).create(true).open(self.place.join("kern.log"))?.write_all(bytes)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = self.kill_warden();
    }
}

/// Sends a signal to a process of ours; one that is gone is no error.
pub fn signal(name: &str, pid: u32) -> io::Result<()> {
    match run("kill", [&format!("-{name}"), &pid.to_string()]) {
        Err(error) if !error.to_string().contains("No such process") => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The children of a warden, by what they are.
fn children(warden: u32) -> Pids {
    let mut found = Pids::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let parent = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| {
            let mut behind = stat.rsplit(')').next()?.split_whitespace();
            let state = behind.next()?.to_owned();
            (state != "Z").then(|| behind.next()?.parse::<u32>().ok())?
        });
        if parent != Some(warden) {
            continue;
        }
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<String> = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        if let [title, _, life, slot, ..] = words.as_slice()
            && title.starts_with("riposte: ")
        {
            found.insert(if life == "log" { format!("log {slot}") } else { life.clone() }, pid);
        }
    }
    found
}
