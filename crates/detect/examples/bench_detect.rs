//! Drives the detectors for measurements from outside (`time`, `perf stat`, `/usr/bin/time -v`). Never reads a clock.
//!
//! `bench_detect sources [COUNT]` sends 1,000,000 probes of 10,000 sources; `bench_detect spoofed` 10,000,000 probes of forged addresses,
//! and among them one real scanner with a probe in each 100,000; `bench_detect events` only makes the events of the first, to subtract.
//! What a probe costs once all sources are known is the difference between two counts.

use detect::Detector;
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use model::event::{Act, Event, Origin, Probe, TcpFlags, Trust};
use model::net::Protocol;
use model::style::Style;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};

const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SCANNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let mut detectors = Detectors::new(&ScanConfig::default(), 42);
    let (mut random, mut offences, mut total, mut made) = (0x1234_5678_9abc_def1_u64, Vec::new(), 0_usize, 0_u64);
    let mut observe = |event: &Event| {
        detectors.observe(event, &mut offences);
        total += offences.len();
        offences.clear();
    };
    match what.as_str() {
        "events" => (0..count).for_each(|n| made = made.wrapping_add(std::hint::black_box(ten_thousand(n, &mut random)).origin.serial)),
        "sources" => (0..count).for_each(|n| observe(&ten_thousand(n, &mut random))),
        "spoofed" => (0..10_000_000).for_each(|n| {
            let source = Ipv4Addr::from(xorshift(&mut random) as u32);
            observe(&syn(n, source.into(), (random >> 48) as u16));
            if n % 100_000 == 0 {
                observe(&syn(n, SCANNER, (1_000 + n / 100_000) as u16));
            }
        }),
        _ => {
            eprintln!("usage: bench_detect sources|spoofed|events [COUNT]");
            std::process::exit(2);
        }
    }
    println!("offences {total}, suspects {}, events only {made}", detectors.suspects().len());
    println!("memory {} of {} bytes", detectors.memory_used(), detectors.memory_bound());
    println!("{:?}", detectors.counters());
    println!("{:?}", detectors.suspect(SCANNER));
}

fn ten_thousand(n: u64, random: &mut u64) -> Event {
    let source = Ipv4Addr::from(0x0a00_0000 + (xorshift(random) % 10_000) as u32);
    syn(n, source.into(), (*random >> 40) as u16 % 1_024)
}

fn syn(n: u64, actor: IpAddr, port: u16) -> Event {
    let flags = Some(TcpFlags(TcpFlags::SYN));
    let act =
        Act::Probe(Probe { protocol: Protocol::TCP, source_port: None, port: Some(port), flags, icmp: None, style: Some(Style::Syn) });
    let at = Time::from_nanos(1_700_000_000_000_000_000 + n * 100_000);
    Event { at, origin: Origin { sensor: 0, serial: n }, actor, target: Some(TARGET), act, trust: Trust::Spoofable, times: 1 }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
