//! Attackers who go on until they are blocked, as real ones do, half of them as packets and half as log lines; forged senders who must
//! never be blocked among them; and an ear on the kernel's set all the while. Decides nothing.

use super::yard::Yard;
use crate::bench::arena::{VICTIM, attacker, syn};
use model::time::Time;
use report::time::Rfc3339;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;
use sys::nft::watch::Watch;
use sys::raw::RawSocket;

/// Between two rounds, in each of which everybody who may sends one probe.
const ROUND: Duration = Duration::from_millis(20);
const LISTEN: Duration = Duration::from_millis(50);
/// News from the kernel that may wait.
const NEWS_BYTES: usize = 256 << 20;
/// Forged senders that speak in one round.
const FORGED_EACH: usize = 2;
/// The first of the exempt among all senders; they are in `EXEMPT`.
const FORGED_FIRST: u32 = 0x1_FF00;
/// What the configuration exempts: the last 256 of 198.18.0.0/15.
pub const EXEMPT: &str = "198.19.255.0/24";
/// The victim's gateway, which is exempt by itself.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// One attacker.
#[derive(Debug, Default)]
struct Scanner {
    sent: AtomicU32,
    /// Times that it came into the kernel's set.
    blocked: AtomicU32,
    /// Whether it has stopped: it can't reach the victim.
    out: AtomicBool,
}

/// All of them.
#[derive(Debug)]
pub struct Mob {
    scanners: Vec<Scanner>,
    index: HashMap<Ipv4Addr, u32>,
    exempt: BTreeSet<Ipv4Addr>,
    /// So many of them have come so far.
    come: AtomicU32,
    /// Probes that each may send in all, for now.
    allowance: AtomicU32,
    over: AtomicBool,
    /// Exempt addresses that were heard of in a blocked set.
    pub wronged: Mutex<Vec<String>>,
}

impl Mob {
    /// So many attackers; none has come yet.
    pub fn new(count: u32) -> Mob {
        let exempt = (0..200).map(|n| attacker(FORGED_FIRST + n)).chain([GATEWAY, VICTIM]).collect();
        Mob {
            scanners: (0..count).map(|_| Scanner::default()).collect(),
            index: (0..count).map(|n| (attacker(n), n)).collect(),
            exempt,
            come: AtomicU32::new(0),
            allowance: AtomicU32::new(u32::MAX),
            over: AtomicBool::new(false),
            wronged: Mutex::new(Vec::new()),
        }
    }

    /// From now on so many have come.
    pub fn come(&self, count: u32) {
        self.come.store(count.min(self.scanners.len() as u32), Ordering::Release);
    }

    /// From now on each may send so many probes in all.
    pub fn allow(&self, probes: u32) {
        self.allowance.store(probes, Ordering::Release);
    }

    /// Attacker `n` can reach the victim again: its block is over.
    pub fn again(&self, n: u32) {
        if let Some(scanner) = self.scanners.get(n as usize) {
            scanner.out.store(false, Ordering::Release);
        }
    }

    /// Everybody who has come, by address.
    pub fn all(&self) -> Vec<Ipv4Addr> {
        (0..self.come.load(Ordering::Acquire)).map(attacker).collect()
    }

    /// Whether everybody who has come is blocked or has sent all that it may.
    pub fn is_done(&self) -> bool {
        let allowance = self.allowance.load(Ordering::Acquire);
        self.here().all(|s| s.out.load(Ordering::Acquire) || s.sent.load(Ordering::Acquire) >= allowance)
    }

    /// Whether everybody who has come is blocked.
    pub fn is_out(&self) -> bool {
        self.here().all(|s| s.out.load(Ordering::Acquire))
    }

    /// How many of those who have come are not blocked.
    pub fn loose(&self) -> usize {
        self.here().filter(|s| !s.out.load(Ordering::Acquire)).count()
    }

    fn here(&self) -> impl Iterator<Item = &Scanner> {
        self.scanners.iter().take(self.come.load(Ordering::Acquire) as usize)
    }

    /// Lets them loose on the yard while `work` runs, and listens.
    ///
    /// # Errors
    /// If probes can't be sent, or news of the kernel were lost.
    pub fn while_loose<T: Send>(&self, yard: &mut Yard, work: impl FnOnce(&mut Yard) -> T + Send) -> io::Result<T> {
        let weapon = yard.arena.weapon()?;
        let mut watch = sys::namespace::within(&yard.arena.victim_file(), || Watch::open(NEWS_BYTES))??;
        let log = yard.place.join("kern.log");
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| self.send(&weapon, &log));
            let listener = scope.spawn(|| self.listen(&mut watch));
            let done = work(yard);
            self.over.store(true, Ordering::Release);
            for result in [sender.join(), listener.join()] {
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            self.over.store(false, Ordering::Release);
            Ok(done)
        })
    }

    fn send(&self, weapon: &RawSocket, log: &std::path::Path) -> io::Result<()> {
        let forged: Vec<Ipv4Addr> = self.exempt.iter().copied().filter(|address| *address != VICTIM).collect();
        let (mut round, mut lines) = (0_usize, String::new());
        while !self.over.load(Ordering::Acquire) {
            let stamp = Rfc3339(Time::from_nanos(sys::clock::now())).to_string();
            let allowance = self.allowance.load(Ordering::Acquire);
            for (n, scanner) in (0..).zip(self.here()) {
                let sent = scanner.sent.load(Ordering::Acquire);
                if sent >= allowance || scanner.out.load(Ordering::Acquire) {
                    continue;
                }
                let port = 1_000 + (sent % 5_000) as u16 * 7;
                if n % 2 == 0 {
                    line(&stamp, attacker(n), port, &mut lines);
                } else {
                    launch(weapon, attacker(n), port)?;
                }
                scanner.sent.store(sent + 1, Ordering::Release);
            }
            for turn in 0..FORGED_EACH {
                let at = round * FORGED_EACH + turn;
                let (from, port) = (forged[at % forged.len()], 1_000 + (at % 20_000) as u16);
                line(&stamp, from, port, &mut lines);
                launch(weapon, from, port)?;
            }
            append(log, &lines)?;
            lines.clear();
            round += 1;
            sleep(ROUND);
        }
        Ok(())
    }

    fn listen(&self, watch: &mut Watch) -> io::Result<()> {
        loop {
            let last = self.over.load(Ordering::Acquire);
            let more = watch.wait(LISTEN, |set, element| {
                let (true, Some(IpAddr::V4(address))) = (set.starts_with("blocked"), element.key.address()) else { return };
                if self.exempt.contains(&address) {
                    self.wronged.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(address.to_string());
                }
                if let Some(scanner) = self.index.get(&address).and_then(|n| self.scanners.get(*n as usize)) {
                    scanner.blocked.fetch_add(1, Ordering::AcqRel);
                    scanner.out.store(true, Ordering::Release);
                }
            })?;
            if last && !more {
                return Ok(());
            }
        }
    }

    /// How many exempt addresses were heard of in a blocked set.
    pub fn wronged(&self) -> u64 {
        self.wronged.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len() as u64
    }
}

/// Appends by name each time: the log may have been rotated meanwhile.
fn append(log: &std::path::Path, lines: &str) -> io::Result<()> {
    use std::io::Write as _;
    std::fs::File::options().append(true).create(true).open(log)?.write_all(lines.as_bytes())
}

fn launch(weapon: &RawSocket, from: Ipv4Addr, port: u16) -> io::Result<()> {
    match weapon.send(&syn(from, port), VICTIM) {
        // The way to the victim is full for a moment (ENOBUFS): as lost as any packet on the Internet.
        Err(error) if error.raw_os_error() == Some(105) => Ok(()),
        result => result,
    }
}

fn line(stamp: &str, from: Ipv4Addr, port: u16, out: &mut String) {
    // Writing to memory can't fail.
    let _ = writeln!(
        out,
        "{stamp} gate kernel: [12345.678901] DROP IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={from} DST={VICTIM} LEN=44 \
         TOS=0x00 PREC=0x00 TTL=53 ID=4711 PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0"
    );
}
