//! The way from a packet to a block with nobody on it who thinks: a packet that the kernel logs, three who sleep until they can hand it
//! on, an element. What that takes is the machine's own. Decides nothing.

use super::arena::{self, Arena, VICTIM};
use super::latency::{Awake, LIMIT, PAUSE, await_element};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use sys::clock::monotonic;
use sys::fd::{Interest, Poller, recv_frame, send_frame, seqpacket_pair};
use sys::nflog::{Nflog, NflogPacket, NflogSettings};
use sys::nft::transaction::ElementStep;
use sys::nft::{Element, Key, OwnTable};

const ROUNDS: u32 = 300;
const GROUP: u16 = 9;
const TABLE: &str = "bare";
const SET: &str = "blocked";
const PORT: u16 = 1_000;
/// What a block of an hour has left.
const TIMEOUT_MILLIS: u64 = 3_600_000;

/// Nanoseconds, sorted.
pub fn measure() -> io::Result<Vec<u64>> {
    let arena = Arena::new("bare")?;
    let set = format!("add set inet {TABLE} {SET} {{ type ipv4_addr; flags timeout; }}");
    let chain = format!("add chain inet {TABLE} input {{ type filter hook input priority -10; }}");
    let rule = format!("add rule inet {TABLE} input tcp dport {PORT} log group {GROUP}");
    for command in [format!("add table inet {TABLE}"), set, chain, rule] {
        arena.victim.run("nft", [command.as_str()])?;
    }
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    let open = || -> io::Result<(Nflog, OwnTable)> {
        Ok((Nflog::open(&NflogSettings::group(GROUP)).map_err(io::Error::other)?, OwnTable::open(TABLE)?))
    };
    let (nflog, table) = arena.inside(open)??;
    let ((to_second, second), (to_third, third)) = (seqpacket_pair()?, seqpacket_pair()?);
    std::thread::scope(|scope| {
        // Whoever has waited in vain ends, and with him all.
        scope.spawn(move || witness(nflog, to_second));
        scope.spawn(move || pass_on(second, to_third));
        scope.spawn(move || execute(third, table));
        let _awake = Awake::new()?;
        let mut samples = Vec::new();
        for n in 0..ROUNDS {
            sleep(PAUSE);
            let (from, start) = (arena::attacker(n), monotonic());
            weapon.send(&arena::syn(from, PORT), VICTIM)?;
            samples.push(await_element(&mut watch, from, start)?.ok_or_else(|| io::Error::other(format!("{from} did not get through")))?);
        }
        samples.sort_unstable();
        Ok(samples)
    })
}

fn witness(mut nflog: Nflog, to: OwnedFd) -> io::Result<()> {
    let poller = waiting_for(nflog.as_fd())?;
    for _ in 0..ROUNDS {
        poller.wait(Some(LIMIT), &mut Vec::new())?;
        let mut source = [0; 4];
        let take = |packet: &NflogPacket<'_>| source = packet.payload.get(12..16).and_then(|bytes| bytes.try_into().ok()).unwrap_or(source);
        if nflog.receive(1, take)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        send_frame(to.as_fd(), &source, None)?;
    }
    Ok(())
}

fn pass_on(from: OwnedFd, to: OwnedFd) -> io::Result<()> {
    let poller = waiting_for(from.as_fd())?;
    (0..ROUNDS).try_for_each(|_| send_frame(to.as_fd(), &frame(&poller, &from)?, None))
}

fn execute(from: OwnedFd, mut table: OwnTable) -> io::Result<()> {
    let poller = waiting_for(from.as_fd())?;
    for _ in 0..ROUNDS {
        let key = Key::from(IpAddr::from(Ipv4Addr::from(frame(&poller, &from)?)));
        let mut transaction = table.transaction();
        transaction.elements(ElementStep::Add, SET, [Element { key, ends_interval: false, timeout_millis: Some(TIMEOUT_MILLIS) }]);
        table.commit(transaction).map_err(io::Error::other)?;
    }
    Ok(())
}

fn waiting_for(fd: BorrowedFd<'_>) -> io::Result<Poller> {
    let poller = Poller::new()?;
    poller.add(fd, 0, Interest::Read)?;
    Ok(poller)
}

fn frame(poller: &Poller, from: &OwnedFd) -> io::Result<[u8; 4]> {
    poller.wait(Some(LIMIT), &mut Vec::new())?;
    let mut source = [0; 4];
    recv_frame(from.as_fd(), &mut source)?;
    Ok(source)
}
