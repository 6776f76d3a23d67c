//! The load itself: a log that grows and is rotated, packets from another host, and the ear on the kernel's set.
//! Never waits for riposte: what it doesn't keep up with is its own to lose, and is told.

use super::plan::{Knock, Plan, Queue, Way, address};
use model::time::Time;
use report::time::Rfc3339;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::{monotonic, now};
use sys::nft::watch::Watch;
use sys::raw::RawSocket;

/// Between two turns of a generator.
const TURN: Duration = Duration::from_millis(10);
/// A log is renamed when it has grown to this.
const ROTATE_BYTES: u64 = 200 << 20;
/// The kernel's news are waited for this long at a time.
const LISTEN: Duration = Duration::from_millis(200);
/// News that wrong addresses are blocked are kept up to this many.
const STRANGERS: usize = 100;

/// What all threads of a soak share.
#[derive(Debug)]
pub struct Shared {
    /// The plan.
    pub plan: Plan,
    /// When the load begins, on the monotonic clock.
    pub start: u64,
    /// From the start to the first attack, and to the end of all (nanoseconds).
    pub first_attack: u64,
    /// When no further attack begins.
    pub last_attack: u64,
    /// The load is over.
    pub over: AtomicBool,
    /// Nobody needs to listen any more.
    pub deaf: AtomicBool,
    /// How far each way's attacks have really been made (nanoseconds from the first attack): a busy machine makes a generator late.
    pub made: [AtomicU64; 2],
    /// Lines written so far.
    pub lines: AtomicU64,
    /// Packets sent so far, without those of attackers.
    pub packets: AtomicU64,
    /// Rotations so far.
    pub rotations: AtomicU64,
    /// By bystander: whether it has come at all.
    pub came: Vec<AtomicBool>,
    /// When each attacker last came into the kernel's set, and who else did.
    pub heard: Mutex<Heard>,
}

/// What the kernel told.
#[derive(Debug, Default)]
pub struct Heard {
    /// By attacker: the last time (monotonic).
    pub attackers: HashMap<u32, u64>,
    /// Everybody else.
    pub strangers: Vec<String>,
    /// New elements in all.
    pub elements: u64,
}

impl Shared {
    fn elapsed(&self) -> u64 {
        monotonic().saturating_sub(self.start)
    }

    /// How far the attacks are and when the last begins, if they have begun.
    fn attacking(&self) -> Option<(u64, u64)> {
        Some((self.elapsed().checked_sub(self.first_attack)?, self.last_attack - self.first_attack))
    }

    /// How far both ways' attacks have been made.
    pub fn progress(&self) -> [u64; 2] {
        [Way::Log, Way::Packets].map(|way| self.made[way as usize].load(Ordering::Acquire))
    }

    fn came(&self, source: u32) {
        if let Some(came) = self.came.get(source as usize) {
            came.store(true, Ordering::Relaxed);
        }
    }

    /// How many bystanders have come.
    pub fn distinct(&self) -> usize {
        self.came.iter().filter(|came| came.load(Ordering::Relaxed)).count()
    }
}

/// How many of a steady stream are due after this time.
fn due(nanos: u64, a_second: u64) -> u64 {
    (u128::from(nanos) * u128::from(a_second) / 1_000_000_000) as u64
}

/// Writes the log until it is over.
///
/// # Errors
/// If writing fails.
pub fn write_log(shared: &Shared, path: &Path, a_second: u64) -> io::Result<()> {
    let (mut file, mut size) = (create(path)?, 0);
    let (mut queue, mut text, mut written) = (Queue::default(), Vec::new(), 0_u64);
    let mut line = 0;
    while !shared.over.load(Ordering::Acquire) {
        let stamp = format!("{} gate", Rfc3339(Time::from_nanos(now())));
        let target = due(shared.elapsed(), a_second);
        let mut made = 0;
        if let Some(until) = shared.attacking() {
            made = until.0;
            shared.plan.due(Way::Log, &mut queue, until, |source, knock| {
                shared.plan.line(&stamp, source, knock, &mut text);
                written += 1;
            });
        }
        while written < target {
            if let Some(source) = shared.plan.bystander_line(&stamp, line, &mut text) {
                shared.came(source);
            }
            (line, written) = (line + 1, written + 1);
        }
        file.write_all(&text)?;
        shared.made[Way::Log as usize].store(made, Ordering::Release);
        size += text.len() as u64;
        text.clear();
        shared.lines.store(written, Ordering::Relaxed);
        if size >= ROTATE_BYTES {
            fs::rename(path, rotated(path))?;
            (file, size) = (create(path)?, 0);
            shared.rotations.fetch_add(1, Ordering::Relaxed);
        }
        sleep(TURN);
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn rotated(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Sends packets until it is over. Attackers' come on top: those of the blocked never reach NFLOG.
///
/// # Errors
/// If sending fails.
pub fn send_packets(shared: &Shared, weapon: &RawSocket, a_second: u64) -> io::Result<()> {
    let (mut queue, mut sent) = (Queue::default(), 0_u64);
    // Half the way round from the log's: the two meet everybody, and not at the same time.
    let offset = u64::from(shared.plan.sources / 2);
    let send = |source: u32, knock: Knock| match weapon.send(&shared.plan.packet(source, knock), shared.plan.victim) {
        // The way to the victim is full for a moment: as lost as any packet on the Internet.
        Err(error) if error.raw_os_error() == Some(105) => Ok(false),
        result => result.map(|()| true),
    };
    while !shared.over.load(Ordering::Acquire) {
        let (mut attacks, mut made) = (Vec::new(), 0);
        if let Some(until) = shared.attacking() {
            made = until.0;
            shared.plan.due(Way::Packets, &mut queue, until, |source, knock| attacks.push((source, knock)));
        }
        for (source, knock) in attacks {
            send(source, knock)?;
        }
        shared.made[Way::Packets as usize].store(made, Ordering::Release);
        let target = due(shared.elapsed(), a_second);
        while sent < target {
            let source = shared.plan.bystander(sent + offset);
            send(source, shared.plan.habit(source))?;
            shared.came(source);
            sent += 1;
        }
        shared.packets.store(sent, Ordering::Relaxed);
        sleep(TURN);
    }
    Ok(())
}

/// Hears who comes into the kernel's sets until nobody needs to.
///
/// # Errors
/// If news were lost.
pub fn listen(shared: &Shared, watch: &mut Watch) -> io::Result<()> {
    let plan = &shared.plan;
    let attackers: HashMap<Ipv4Addr, u32> = (plan.sources..plan.sources + plan.attackers).map(|n| (address(n), n)).collect();
    while !shared.deaf.load(Ordering::Acquire) {
        watch.wait(LISTEN, |set, element| {
            if !set.starts_with("blocked") {
                return;
            }
            let mut heard = shared.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            heard.elements += 1;
            let attacker = match element.key.address() {
                Some(IpAddr::V4(v4)) => attackers.get(&v4).copied(),
                Some(IpAddr::V6(_)) | None => None,
            };
            match attacker {
                Some(attacker) => drop(heard.attackers.insert(attacker, monotonic())),
                None if heard.strangers.len() < STRANGERS => heard.strangers.push(format!("{:?} in {set}", element.key)),
                None => {}
            }
        })?;
    }
    Ok(())
}
