//! How long from the packet that decides to the element in the kernel's set; beside peers, from the line that decides.

use super::arena::{self, Arena, VICTIM};
use super::figure::{Figure, Unit};
use super::peers::Follower;
use super::{Context, bare, have, progress, quantile};
use crate::namespace::{Namespace, run};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;
use sys::nft::Key;
use sys::nft::watch::Watch;

const ATTACKERS: u32 = 1_000;
/// Failed first contacts that convict with the default thresholds.
const PROBES: u16 = 5;
const PEER_ATTACKERS: u32 = 12;
const LINE_ATTACKERS: u32 = 200;
/// Failed logins that are enough with the shipped rules.
const GUESSES: u32 = 5;
/// Quiet between two attackers: all processes sleep again.
pub const PAUSE: Duration = Duration::from_millis(6);
/// What peers get to start in.
const SETTLE: Duration = Duration::from_secs(4);
pub const LIMIT: Duration = Duration::from_secs(20);

/// The defaults but for what keeps forgeable evidence from blocking many: one thousand attackers are a storm.
pub const SETTINGS: &str = "\
[sense.nflog]
rate = 1000000
burst = 1000000
[policy]
blocks_per_minute = 1000000
[policy.spoofable]
blocks_per_minute = 1000000
blocks_standing = 1000000
[policy.storm]
offenders = 65536
";

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let (ours, bare, from_lines) = (riposte(context)?, bare::measure()?, lines(context)?);
    let peer = |program: &str, start: Start| {
        follower(context, program, start).unwrap_or_else(|error| {
            progress(&format!("latency: measured without {program}: {error}"));
            None
        })
    };
    let (sshguard, fail2ban) = (peer("sshguard", Follower::sshguard), peer("fail2ban-server", Follower::fail2ban));
    let micros = |samples: &[u64], share| quantile(samples, share) / 1e3;
    let beside = |samples: &Option<Vec<u64>>, share| samples.as_ref().map(|samples| micros(samples, share));
    let note = format!(
        "{ATTACKERS} attackers one after the other; from right before the {PROBES}th SYN to a closed port is sent until the kernel tells of the \
         new element; p90 {:.0} µs, largest {:.0} µs. Peers: {PEER_ATTACKERS} attackers each, from right before the log line that decides is \
         written; sshguard {}, fail2ban {} µs. Default thresholds, budgets raised.",
        micros(&ours, 0.9),
        micros(&ours, 1.0),
        spread(&sshguard),
        spread(&fail2ban)
    );
    let of_lines = format!(
        "{LINE_ATTACKERS} attackers, {GUESSES} failed logins each, from right before the last line is written; p90 {:.0} µs, largest {:.0} µs",
        micros(&from_lines, 0.9),
        micros(&from_lines, 1.0)
    );
    Ok(vec![
        Figure::less("deciding line of an auth.log to block, median", micros(&from_lines, 0.5), Unit::Micros)
            .promised(2_000.0)
            .beside("sshguard", beside(&sshguard, 0.5))
            .beside("fail2ban", beside(&fail2ban, 0.5))
            .noted(of_lines),
        Figure::less("deciding packet to block, median", micros(&ours, 0.5), Unit::Micros)
            .promised(300.0)
            .beside("sshguard", beside(&sshguard, 0.5))
            .beside("fail2ban", beside(&fail2ban, 0.5))
            .noted(note),
        Figure::less("of that, the machine's own: median", micros(&bare, 0.5), Unit::Micros).noted(format!(
            "the same packet through one rule that logs it, three threads that sleep until they hand it on, and the same element in an \
             empty set; p90 {:.0} µs. What riposte reads, weighs and writes down is the rest.",
            micros(&bare, 0.9)
        )),
        Figure::less("deciding packet to block, p99", micros(&ours, 0.99), Unit::Micros).promised(2_000.0),
    ])
}

fn spread(samples: &Option<Vec<u64>>) -> String {
    samples
        .as_ref()
        .map_or_else(|| "not there".to_owned(), |all| format!("{:.0}–{:.0}", quantile(all, 0.0) / 1e3, quantile(all, 1.0) / 1e3))
}

/// Nanoseconds, sorted.
fn riposte(context: &Context) -> io::Result<Vec<u64>> {
    let arena = Arena::new("lat")?;
    let daemon = arena.daemon(context, SETTINGS)?;
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    let _awake = Awake::new()?;
    let mut samples = Vec::new();
    for n in 0..ATTACKERS {
        let from = arena::attacker(n);
        let packets: Vec<Vec<u8>> = (0..PROBES).map(|probe| arena::syn(from, 1_000 + probe * 7)).collect();
        let Some((last, first)) = packets.split_last() else { continue };
        for packet in first {
            weapon.send(packet, VICTIM)?;
        }
        sleep(PAUSE);
        let start = monotonic();
        weapon.send(last, VICTIM)?;
        samples.push(
            await_element(&mut watch, from, start)?.ok_or_else(|| io::Error::other(format!("{from} was not blocked: {:?}", daemon.log)))?,
        );
        sleep(PAUSE);
    }
    daemon.end()?;
    progress(&format!("latency: riposte, {} attackers", samples.len()));
    samples.sort_unstable();
    Ok(samples)
}

/// The same from the line of an `auth.log` that decides.
fn lines(context: &Context) -> io::Result<Vec<u64>> {
    let arena = Arena::new("lat")?;
    let daemon = arena.daemon(context, SETTINGS)?;
    let mut watch = arena.watch()?;
    let mut log = OpenOptions::new().create(true).append(true).open(daemon.log.with_file_name("auth.log"))?;
    let stamp = run("date", ["+%b %e %H:%M:%S"])?;
    let mut guess = |from: Ipv4Addr, n: u32| {
        writeln!(log, "{} gate sshd[{}]: Failed password for root from {from} port {} ssh2", stamp.trim(), 900 + n, 40_000 + n)
    };
    let _awake = Awake::new()?;
    let (mut samples, mut warm_up) = (Vec::new(), 100_000);
    let ready = monotonic() + LIMIT.as_nanos() as u64;
    while samples.len() < LINE_ATTACKERS as usize {
        // The first addresses are for the file to be found.
        let from = arena::attacker(if samples.is_empty() { warm_up } else { samples.len() as u32 });
        (0..GUESSES - 1).try_for_each(|n| guess(from, n))?;
        sleep(PAUSE);
        let start = monotonic();
        guess(from, GUESSES)?;
        match await_within(&mut watch, from, start, Duration::from_secs(2))? {
            Some(took) => samples.push(took),
            None if samples.is_empty() && monotonic() < ready => warm_up += 1,
            None => return Err(io::Error::other(format!("{from} was not blocked: {:?}", daemon.log))),
        }
        sleep(PAUSE);
    }
    daemon.end()?;
    progress(&format!("latency: riposte, {} attackers in an auth.log", samples.len()));
    samples.sort_unstable();
    Ok(samples)
}

type Start = fn(&Context, &Namespace) -> io::Result<Follower>;

fn follower(context: &Context, program: &str, start: Start) -> io::Result<Option<Vec<u64>>> {
    if !have(program) {
        return Ok(None);
    }
    progress(&format!("latency: {program}"));
    let arena = Arena::new("peer")?;
    let mut watch = arena.watch()?;
    let mut peer = start(context, &arena.victim)?;
    sleep(SETTLE);
    // Neither says that it is ready: the first addresses are for that.
    let ready = monotonic() + LIMIT.as_nanos() as u64;
    let mut warm_up = 1_000;
    loop {
        let begun = peer.provoke(arena::attacker(warm_up))?;
        if await_within(&mut watch, arena::attacker(warm_up), begun, Duration::from_secs(2))?.is_some() {
            break;
        }
        if monotonic() > ready {
            return Err(io::Error::other(format!("{program} blocks nobody: {}", peer.said())));
        }
        warm_up += 1;
    }
    let _awake = Awake::new()?;
    let mut samples = Vec::new();
    for n in 0..PEER_ATTACKERS {
        sleep(Duration::from_millis(300));
        let begun = peer.provoke(arena::attacker(n))?;
        samples.extend(await_element(&mut watch, arena::attacker(n), begun)?);
    }
    samples.sort_unstable();
    Ok((samples.len() == PEER_ATTACKERS as usize).then_some(samples))
}

/// While this lives, this process runs as soon as it can: otherwise what is measured is how long the kernel's news wait for a processor
/// that the measured program still uses after its block is set.
pub struct Awake;

impl Awake {
    pub fn new() -> io::Result<Self> {
        Awake::schedule(["-R", "-f", "-p", "10"]).map(|()| Awake)
    }

    fn schedule(how: [&str; 4]) -> io::Result<()> {
        run("chrt", how.into_iter().chain([std::process::id().to_string().as_str()])).map(drop)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        let _ = Awake::schedule(["-R", "-o", "-p", "0"]);
    }
}

pub fn await_element(watch: &mut Watch, address: Ipv4Addr, start: u64) -> io::Result<Option<u64>> {
    await_within(watch, address, start, LIMIT)
}

/// Nanoseconds from `start` until the address is in a set; `None` if it is not within the limit.
fn await_within(watch: &mut Watch, address: Ipv4Addr, start: u64, limit: Duration) -> io::Result<Option<u64>> {
    let key = Key::from(IpAddr::V4(address));
    let end = start + limit.as_nanos() as u64;
    while monotonic() < end {
        let mut found = false;
        watch.wait(Duration::from_millis(500), |_, element| found |= element.key == key)?;
        if found {
            return Ok(Some(monotonic() - start));
        }
    }
    Ok(None)
}
