//! What is done to riposte: one fault each, injected and taken back. Touches only what belongs to the yard.

use super::yard::{Yard, signal};
use crate::bench::arena::{VICTIM, attacker, syn};
use crate::namespace::run;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;

/// How long something is stopped, full or forbidden.
const HELD: Duration = Duration::from_secs(5);
/// How long a process that should be there may take to appear.
const APPEAR_NANOS: u64 = 5_000_000_000;
/// Packets that come while nobody reads them: the packet sensor's socket holds some 80,000.
const FLOOD: u32 = 200_000;
/// The first of the senders of that flood and how many they are: none of them does more than knock twice at one port.
const FLOOD_FIRST: u32 = 40_000;
const FLOOD_SENDERS: u32 = 60_000;
/// What the sensor needs to read what it has.
const DRAINED: Duration = Duration::from_millis(500);
/// What `statm` counts in.
const PAGE_BYTES: u64 = 4_096;
/// Requests of a client that never reads an answer.
const REQUESTS: usize = 20_000;
/// What a log line is cut into.
const HALVES: [&str; 2] = [
    "2026-01-01T00:00:00Z gate kernel: [12345.678901] DROP IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=198.51.100.7 DST=203.",
    "0.113.1 LEN=44 TOS=0x00 PREC=0x00 TTL=53 ID=4711 PROTO=TCP SPT=40000 DPT=7 WINDOW=1024 RES=0x00 SYN URGP=0\n",
];

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of the process of this name.
    Kill(&'static str),
    /// kill -9 of the warden; started again as systemd would.
    KillWarden,
    /// SIGSTOP of the process of this name.
    Stop(&'static str),
    /// The disk under the ledger is full.
    DiskFull,
    /// The ledger's folder can't be written, and the judge has to open it.
    ReadOnly,
    /// riposte's table is deleted.
    TableDeleted,
    /// riposte's set of blocked addresses is emptied.
    SetFlushed,
    /// The log is rotated in the middle of a line.
    LogRotated,
    /// A control client asks and asks and never reads.
    DeafClient,
    /// More packets come than the packet sensor's socket holds while it is stopped.
    PacketsLost,
    /// Whatever the warden asks of nf_tables fails: the kernel has no memory for it. strace puts that in the place of the kernel's answer.
    KernelMemory,
    /// The judge gets no more memory while thousands of new sources fill its tables.
    JudgeMemory,
}

/// What has to be taken back.
#[derive(Debug)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// A process goes on.
    Stopped(u32),
    /// What fills the disk goes.
    Filled,
    /// The folder may be written again.
    Forbidden,
    /// The client goes.
    Client(UnixStream),
    /// strace lets go.
    Starved(Child),
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 16] = [
        Fault::Kill("judge"),
        Fault::Kill("packets"),
        Fault::Kill("log 1"),
        Fault::Kill("host"),
        Fault::KillWarden,
        Fault::Stop("judge"),
        Fault::Stop("warden"),
        Fault::DiskFull,
        Fault::ReadOnly,
        Fault::TableDeleted,
        Fault::SetFlushed,
        Fault::LogRotated,
        Fault::DeafClient,
        Fault::PacketsLost,
        Fault::KernelMemory,
        Fault::JudgeMemory,
    ];

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Fault::Kill(life) => format!("kill -9 {life}"),
            Fault::KillWarden => "kill -9 warden".into(),
            Fault::Stop(life) => format!("{life} stopped for 5 s"),
            Fault::DiskFull => "disk full for 5 s".into(),
            Fault::ReadOnly => "ledger read-only, judge killed".into(),
            Fault::TableDeleted => "nft delete table inet riposte".into(),
            Fault::SetFlushed => "nft flush set blocked4".into(),
            Fault::LogRotated => "log rotated in mid-line".into(),
            Fault::DeafClient => "control client that never reads".into(),
            Fault::PacketsLost => "NFLOG buffer overflows".into(),
            Fault::KernelMemory => "nf_tables without memory for 5 s".into(),
            Fault::JudgeMemory => "judge without memory".into(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// If it can't be done.
    pub fn inject(self, yard: &mut Yard) -> io::Result<Held> {
        match self {
            Fault::Kill(life) => signal("KILL", pid(yard, life)?)?,
            Fault::KillWarden => {
                yard.kill_warden()?;
                yard.start()?;
            }
            Fault::Stop(life) => {
                let pid = pid(yard, life)?;
                signal("STOP", pid)?;
                return Ok(Held::Stopped(pid));
            }
            Fault::DiskFull => {
                fill(yard)?;
                return Ok(Held::Filled);
            }
            Fault::ReadOnly => {
                permit(yard, 0o500, 0o400)?;
                signal("KILL", pid(yard, "judge")?)?;
                return Ok(Held::Forbidden);
            }
            // A table that is not there yet is as good as deleted.
            Fault::TableDeleted => drop(yard.arena.victim.run("nft", ["delete", "table", "inet", "riposte"])),
            Fault::SetFlushed => drop(yard.arena.victim.run("nft", ["flush", "set", "inet", "riposte", "blocked4"])),
            Fault::LogRotated => {
                let (log, old) = (yard.place.join("kern.log"), yard.place.join("kern.log.1"));
                yard.append(HALVES[0].as_bytes())?;
                fs::rename(&log, &old)?;
                yard.append(b"")?;
                sleep(Duration::from_millis(30));
                File::options().append(true).open(&old)?.write_all(HALVES[1].as_bytes())?;
            }
            Fault::DeafClient => return deafen(yard),
            Fault::PacketsLost => {
                let pid = pid(yard, "packets")?;
                signal("STOP", pid)?;
                let weapon = yard.arena.weapon()?;
                let send = |n: u32| drop(weapon.send(&syn(attacker(FLOOD_FIRST + n % FLOOD_SENDERS), 1), VICTIM));
                (0..FLOOD).for_each(send);
                signal("CONT", pid)?;
                // By the next that comes through it knows that some are missing.
                sleep(DRAINED);
                (0..10).for_each(send);
            }
            Fault::KernelMemory => return starve(yard),
            Fault::JudgeMemory => {
                let pid = pid(yard, "judge")?;
                confine(pid)?;
                yard.append(strangers().as_bytes())?;
            }
        }
        Ok(Held::Nothing)
    }
}

impl Fault {
    /// Whether riposte felt it at all, as far as it says so: a fault that does nothing proves nothing.
    ///
    /// # Errors
    /// If riposte does not answer.
    pub fn took_effect(self, yard: &Yard) -> io::Result<bool> {
        let said = |words: &[&str]| {
            let log = yard.log();
            words.iter().any(|word| log.contains(word))
        };
        match self {
            Fault::Kill(_) | Fault::KillWarden | Fault::Stop(_) | Fault::TableDeleted | Fault::SetFlushed | Fault::DeafClient => Ok(true),
            Fault::KernelMemory => Ok(said(&["the kernel does not take every change", "is not up to date"])),
            Fault::JudgeMemory => Ok(said(&["memory allocation of"])),
            Fault::DiskFull => Ok(said(&["not in the ledger", "not in the history", "can't be opened", "can't be tidied", "disk is full"])),
            Fault::ReadOnly => Ok(said(&["can't be opened"])),
            Fault::LogRotated => counted(yard, &["rotations"]),
            Fault::PacketsLost => counted(yard, &["lost by the kernel", "receive buffer overflows"]),
        }
    }
}

/// Whether one of these figures of the sensors is above 0. On a busy machine a sensor may answer too late to be shown: it is asked again.
fn counted(yard: &Yard, names: &[&str]) -> io::Result<bool> {
    let until = monotonic() + APPEAR_NANOS;
    loop {
        let status: Vec<report::status::StatusReport> = yard.ask(&["status"])?;
        let mut figures = status.iter().flat_map(|status| &status.sensors).flat_map(|sensor| &sensor.counters);
        if figures.any(|(counter, value)| *value > 0 && names.contains(&counter.as_str())) {
            return Ok(true);
        }
        if monotonic() > until {
            return Ok(false);
        }
        sleep(Duration::from_millis(50));
    }
}

impl Held {
    /// How long it goes on.
    pub fn span(&self) -> Duration {
        match self {
            Held::Nothing => Duration::ZERO,
            Held::Stopped(_) | Held::Filled | Held::Forbidden | Held::Client(_) | Held::Starved(_) => HELD,
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// If it can't be.
    pub fn release(self, yard: &Yard) -> io::Result<()> {
        match self {
            Held::Nothing => Ok(()),
            Held::Client(client) => {
                drop(client);
                Ok(())
            }
            Held::Stopped(pid) => signal("CONT", pid),
            Held::Starved(mut strace) => {
                signal("TERM", strace.id())?;
                strace.wait().map(drop)
            }
            Held::Filled => fs::remove_file(yard.place.join("store/filler")),
            Held::Forbidden => permit(yard, 0o700, 0o600),
        }
    }
}

/// The process of this name, as soon as it is there.
fn pid(yard: &mut Yard, life: &str) -> io::Result<u32> {
    let until = monotonic() + APPEAR_NANOS;
    loop {
        if let Some(pid) = yard.family().get(life) {
            return Ok(*pid);
        }
        if monotonic() > until {
            return Err(io::Error::other(format!("there is no {life} to hurt: {}", yard.last_words())));
        }
        yard.tend()?;
        sleep(Duration::from_millis(1));
    }
}

/// Fills the ledger's file system to the last byte.
fn fill(yard: &Yard) -> io::Result<()> {
    let mut file = File::create(yard.place.join("store/filler"))?;
    for piece in [1 << 20, 4_096, 1] {
        let bytes = vec![0_u8; piece];
        while file.write_all(&bytes).is_ok() {}
    }
    Ok(())
}

/// Sets the modes of the ledger's folder and files.
fn permit(yard: &Yard, folder: u32, file: u32) -> io::Result<()> {
    let store = yard.place.join("store");
    for entry in fs::read_dir(&store)? {
        fs::set_permissions(entry?.path(), Permissions::from_mode(file))?;
    }
    fs::set_permissions(&store, Permissions::from_mode(folder))
}

/// Lets no question to nf_tables through.
fn starve(yard: &mut Yard) -> io::Result<Held> {
    let warden = pid(yard, "warden")?.to_string();
    let strace = ["-qq", "-e", "trace=sendto", "-e", "inject=sendto:error=ENOMEM", "-o", "/dev/null", "-p", &warden];
    let strace = Command::new("strace").args(strace).spawn()?;
    let (until, held) = (monotonic() + APPEAR_NANOS, format!("TracerPid:\t{}", strace.id()));
    while monotonic() < until && !fs::read_to_string(format!("/proc/{warden}/status")).is_ok_and(|status| status.contains(&held)) {
        sleep(Duration::from_millis(1));
    }
    Ok(Held::Starved(strace))
}

/// Lets a process map no more memory than it has now.
fn confine(pid: u32) -> io::Result<()> {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = pages.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    // As the process' own user, who may do it; root may not everywhere (CAP_SYS_RESOURCE).
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let id = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()).unwrap_or_default().to_owned();
    let who = [format!("--reuid={}", id("Uid:")), format!("--regid={}", id("Gid:")), "--clear-groups".into()];
    let what = ["prlimit".into(), format!("--pid={pid}"), format!("--as={}", pages * PAGE_BYTES)];
    run("setpriv", who.into_iter().chain(what)).map(drop)
}

/// One line of each of many sources, none of which does more than knock once.
fn strangers() -> String {
    let line = |n: u32| HALVES.concat().replace("198.51.100.7 ", &format!("{} ", attacker(FLOOD_FIRST + n)));
    (0..FLOOD_SENDERS).map(line).collect()
}

/// Asks until nothing more is taken. There may be nobody to ask yet.
fn deafen(yard: &Yard) -> io::Result<Held> {
    let Ok(mut client) = UnixStream::connect(yard.place.join("control.sock")) else { return Ok(Held::Nothing) };
    client.set_nonblocking(true)?;
    for _ in 0..REQUESTS {
        match client.write_all(b"{\"command\":\"history\",\"prefix\":null,\"since_secs\":null,\"limit\":10000}\n") {
            Ok(()) => {}
            Err(_) => break,
        }
    }
    Ok(Held::Client(client))
}
