//! Debian's portsentry (1.2), unpacked and not installed. The path of its configuration is compiled in: it gets an `/etc` of its own in
//! mounts of its own, and everything that it writes lies in the benchmark's folder. Its syslog goes nowhere, which saves it some work.

use super::super::Context;
use super::super::idle::{self, Family};
use super::super::peers::{PRIVATE, secluded};
use crate::namespace::Namespace;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

/// Where `scripts/setup --bench` unpacks the package, beside the root itself.
const ROOTS: [&str; 2] = ["target/peers/portsentry", "/"];
/// It does not say that it is ready. Trying all 65,536 ports for services takes it half a second.
const SETTLE: Duration = Duration::from_secs(2);
/// More ports than it can have in a list (64).
pub const LISTED: u16 = 100;
/// The first ports of both lists: the probes' own, and one that a service has just left.
pub const PORT: u16 = 111;
pub const LEFT_PORT: u16 = 2_000;
/// The others.
const MORE_PORTS: u16 = 3_000;
/// The last port of the lists.
pub const LAST_LISTED: u16 = MORE_PORTS + LISTED - 3;

/// A running portsentry, one process for each mode. Ended when dropped.
#[derive(Debug)]
pub struct Portsentry {
    child: Child,
    victim: String,
}

impl Portsentry {
    /// Whether the program is there.
    pub fn is_there() -> bool {
        program().is_some()
    }

    /// Starts it in these modes: `tcp`, `sudp` and so on. It blocks at the first probe, by a route: the quickest of what it can call.
    pub fn start(context: &Context, victim: &Namespace, modes: &[&str]) -> io::Result<Self> {
        let program = program().ok_or_else(|| io::Error::other("portsentry is not there"))?;
        let folder = context.folder(&format!("portsentry-{}", victim.name()))?;
        fs::create_dir_all(folder.join("etc/portsentry"))?;
        fs::write(folder.join("etc/portsentry/portsentry.conf"), configuration(&folder))?;
        File::create(folder.join("ignore"))?;
        let starts: Vec<String> = modes.iter().map(|mode| format!("{} -{mode}", program.display())).collect();
        let script = format!("{PRIVATE} && mount --bind {}/etc /etc && {} && exec sleep infinity", folder.display(), starts.join(" && "));
        let mut command = secluded(victim.command("unshare"), &script);
        let child = command.stderr(File::create(folder.join("stderr"))?).spawn()?;
        let portsentry = Portsentry { child, victim: victim.name().to_owned() };
        sleep(SETTLE);
        match portsentry.pids()?.len() {
            running if running == modes.len() => Ok(portsentry),
            running => Err(io::Error::other(format!(
                "{running} of {} processes of portsentry run: {}",
                modes.len(),
                fs::read_to_string(folder.join("stderr"))?
            ))),
        }
    }

    /// Its processes, without the shell that has started them.
    fn pids(&self) -> io::Result<Vec<u32>> {
        let numbers = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(numbers.filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == super::NAME)).collect())
    }

    /// What they take.
    pub fn family(&self) -> io::Result<Family> {
        idle::families(&self.pids()?)
    }

    /// Whom it has blocked.
    pub fn blocked(&self) -> io::Result<BTreeSet<Ipv4Addr>> {
        let routes = crate::namespace::run("ip", ["-n", &self.victim, "route", "show", "type", "blackhole"])?;
        Ok(routes.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect())
    }
}

impl Drop for Portsentry {
    fn drop(&mut self) {
        // The whole tree goes with it: `unshare --kill-child`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let programs = ROOTS.iter().map(|root| Path::new(root).join("usr/sbin/portsentry"));
    programs.filter_map(|program| fs::canonicalize(program).ok()).next()
}

fn configuration(folder: &Path) -> String {
    let ports = [PORT, LEFT_PORT].into_iter().chain(MORE_PORTS..=LAST_LISTED).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
    // In the advanced modes it watches the ports below a number; 65536 makes it all of them.
    let folder = folder.display();
    format!(
        "TCP_PORTS=\"{ports}\"\nUDP_PORTS=\"{ports}\"\nADVANCED_PORTS_TCP=\"65536\"\nADVANCED_PORTS_UDP=\"65536\"\n\
         ADVANCED_EXCLUDE_TCP=\"22\"\nADVANCED_EXCLUDE_UDP=\"67\"\nIGNORE_FILE=\"{folder}/ignore\"\n\
         HISTORY_FILE=\"{folder}/history\"\nBLOCKED_FILE=\"{folder}/blocked\"\nRESOLVE_HOST=\"0\"\nBLOCK_TCP=\"1\"\nBLOCK_UDP=\"1\"\n\
         KILL_ROUTE=\"/sbin/ip route add blackhole $TARGET$\"\nSCAN_TRIGGER=\"0\"\n"
    )
}
