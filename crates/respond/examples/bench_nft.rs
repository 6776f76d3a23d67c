//! Measures the nftables responder: single adds, bulk restore, list. Run it in a network namespace of its own, never on a host that
//! riposte protects: it deletes the table `inet riposte` at the end.
//!
//! `ip netns add rp-bench; ip netns exec rp-bench target/release/examples/bench_nft 1000000; ip netns del rp-bench`

use model::block::{BlockId, Change, Expiry, Outcome, Scope};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use respond::Responder;
use respond::nftables::Nftables;
use respond::skeleton::Skeleton;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use sys::clock;

const SINGLES: u32 = 10_000;

fn now() -> Time {
    Time::from_nanos(clock::now())
}

fn add(n: u32, end: Time) -> Change {
    // Spread over the address space as real ones are, without repeating.
    let addr = IpAddr::V4(Ipv4Addr::from(n.wrapping_mul(2_654_435_761)));
    Change::Add { id: BlockId(u64::from(n)), scope: Scope::Source(Prefix::host(addr)), expiry: Expiry::At(end) }
}

fn timed<T>(what: &str, elements: usize, work: impl FnOnce() -> T) -> T {
    let (start, before) = (clock::monotonic(), processor());
    let result = work();
    let busy = processor() - before;
    let seconds = Duration::from_nanos(clock::monotonic() - start).as_secs_f64();
    println!(
        "{what:34} {elements:>9}  {seconds:8.3} s  {:7.3} µs each  {:9.0} /s  on the processor {busy:7.3} s",
        seconds * 1e6 / elements as f64,
        elements as f64 / seconds
    );
    result
}

/// Seconds that this thread has had a processor: what counts on a machine that has other things to do.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn singles(nft: &mut Nftables, what: &str, from: u32) {
    let end = now().after(Duration::from_secs(3_600));
    let mut nanos: Vec<u64> = (from..from + SINGLES)
        .map(|n| {
            let start = clock::monotonic();
            assert_eq!(nft.apply(&[add(n, end)], now()), [Outcome::Added]);
            clock::monotonic() - start
        })
        .collect();
    nanos.sort_unstable();
    let at = |share: usize| nanos[nanos.len() * share / 100] as f64 / 1e3;
    println!("{what:34} {:>9}  p50 {:.1} µs  p99 {:.1} µs", nanos.len(), at(50), at(99));
}

fn bulk(nft: &mut Nftables, count: u32, from: u32) {
    let end = now().after(Duration::from_secs(3_600));
    let changes: Vec<Change> = (from..from + count).map(|n| add(n, end)).collect();
    let outcomes = timed("bulk add", changes.len(), || nft.apply(&changes, now()));
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Added));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let count = count.min(limits::BLOCKS as u32 - 200_000);
    let mut nft = Nftables::open(&Skeleton { nflog_group: Some(5), ..Skeleton::default() }, now())?;
    // "deaf": as if nobody listened.
    let deaf = std::env::args().nth(2).is_some_and(|word| word == "deaf");
    if deaf {
        nft = nft.without_alarm();
    }
    singles(&mut nft, "single adds, nearly empty set", 0);
    singles(&mut nft, "the same again, with new expiry", 0);
    bulk(&mut nft, 90_000, 100_000);
    let listed = timed("list", 100_000, || nft.list(now()));
    println!("{:34} {:>9}", "listed", listed.map_err(|fault| fault.word())?.len());
    for _ in 0..2 {
        timed("repair, all blocks again", 100_000, || nft.repair(now()))?;
    }
    bulk(&mut nft, count, 1_000_000);
    singles(&mut nft, "single adds, full set", 20_000);
    bulk(&mut nft, count, 1_000_000);
    for _ in 0..2 {
        timed("repair, all blocks again", count as usize + 110_000, || nft.repair(now()))?;
        println!("{:?}", nft.take_rebuilt());
    }
    let reopened = timed("open again", 1, || Nftables::open(&Skeleton::default(), now()))?;
    timed("remove the table", 1, || reopened.remove())?;
    Ok(())
}
