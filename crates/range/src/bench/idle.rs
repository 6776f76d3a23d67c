//! What it costs when nothing happens: memory of all processes, and how often they wake up. Beside peers in the same state.

use super::arena::Arena;
use super::figure::{Figure, Unit};
use super::peers::Follower;
use super::{Context, have, progress};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::thread::sleep;
use std::time::Duration;

/// How long is looked.
pub const SPAN: Duration = Duration::from_secs(20);
/// Start-up is over by then, the ledger's tidying too.
pub const SETTLE: Duration = Duration::from_secs(15);

/// What a family of processes has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Family {
    /// How many they are.
    pub processes: u64,
    /// Resident, with what they share counted for each.
    pub rss_kib: u64,
    /// Resident, with what they share divided among all that share it.
    pub pss_kib: u64,
    /// Times that one of them went to sleep of itself.
    pub switches: u64,
    /// Processor time so far, in hundredths of a second.
    pub ticks: u64,
}

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    progress("idle: riposte");
    let arena = Arena::new("idle")?;
    let daemon = arena.daemon(context, "")?;
    let (family, woken) = watch(daemon.pid())?;
    daemon.end()?;
    let sshguard = follower(context, "sshguard", Follower::sshguard)?;
    let fail2ban = follower(context, "fail2ban-server", Follower::fail2ban)?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let peer = |peer: Option<(Family, u64)>, of: fn(&Family) -> u64| peer.map(|(family, _)| mib(of(&family)));
    let note = format!("{} processes; everything by default, no traffic", family.processes);
    let wakes = |peer: Option<(Family, u64)>| peer.map_or_else(|| "not there".to_owned(), |(_, woken)| woken.to_string());
    Ok(vec![
        Figure::less("idle, all processes, RSS", mib(family.rss_kib), Unit::Mebibytes)
            .beside("sshguard", peer(sshguard, |f| f.rss_kib))
            .beside("fail2ban", peer(fail2ban, |f| f.rss_kib))
            .promised(25.0)
            .noted(note),
        Figure::less("idle, all processes, PSS", mib(family.pss_kib), Unit::Mebibytes)
            .beside("sshguard", peer(sshguard, |f| f.pss_kib))
            .beside("fail2ban", peer(fail2ban, |f| f.pss_kib))
            .promised(25.0),
        Figure::less("wake-ups in 20 s of idleness", woken as f64, Unit::Count).promised(0.0).noted(format!(
            "voluntary context switches of all threads; sshguard {}, fail2ban {}",
            wakes(sshguard),
            wakes(fail2ban)
        )),
    ])
}

fn follower(
    context: &Context,
    program: &str,
    start: fn(&Context, &crate::namespace::Namespace) -> io::Result<Follower>,
) -> io::Result<Option<(Family, u64)>> {
    if !have(program) {
        return Ok(None);
    }
    progress(&format!("idle: {program}"));
    let arena = Arena::new("idlepeer")?;
    let peer = start(context, &arena.victim)?;
    // The one that keeps its namespaces is the benchmark's own.
    let of_peer = family(peer.pid())?;
    let (mut all, woken) = watch(peer.pid())?;
    let own = one(peer.pid()).unwrap_or_default();
    all.processes -= 1;
    all.rss_kib = all.rss_kib.saturating_sub(own.rss_kib);
    all.pss_kib = all.pss_kib.saturating_sub(own.pss_kib);
    Ok((of_peer.processes > 0).then_some((all, woken)))
}

fn watch(pid: u32) -> io::Result<(Family, u64)> {
    sleep(SETTLE);
    let before = family(pid)?;
    sleep(SPAN);
    let after = family(pid)?;
    Ok((after, after.switches.saturating_sub(before.switches)))
}

/// A process and all that descend from it.
pub fn family(pid: u32) -> io::Result<Family> {
    families(&[pid])
}

/// Several processes and all that descend from them.
pub fn families(pids: &[u32]) -> io::Result<Family> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Gone meanwhile: no child any more.
        let Ok(status) = fs::read_to_string(format!("/proc/{child}/status")) else { continue };
        if let Some(parent) = field(&status, "PPid:") {
            children.entry(parent as u32).or_default().push(child);
        }
    }
    let (mut sum, mut open) = (Family::default(), pids.to_vec());
    while let Some(pid) = open.pop() {
        let own = one(pid).unwrap_or_default();
        sum.processes += own.processes;
        sum.rss_kib += own.rss_kib;
        sum.pss_kib += own.pss_kib;
        sum.switches += own.switches;
        sum.ticks += own.ticks;
        open.extend(children.get(&pid).into_iter().flatten());
    }
    Ok(sum)
}

fn one(pid: u32) -> io::Result<Family> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let pss = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut switches = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        switches += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
    }
    // Behind the name in brackets, which may have anything in it: user and system time are fields 14 and 15 (proc_pid_stat(5)).
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let kib = |text: &str, name| field(text, name).unwrap_or(0);
    Ok(Family { processes: 1, rss_kib: kib(&status, "VmRSS:"), pss_kib: kib(&pss, "Pss:"), switches, ticks })
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_a_family() {
        let family = family(std::process::id()).unwrap();
        assert!(family.processes >= 1 && family.rss_kib > 500 && family.pss_kib > 100, "{family:?}");
    }
}
