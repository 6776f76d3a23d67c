//! The tables' bounds hold whatever comes, and a flood of forged addresses hides no real scanner.

use detect::Detector;
use detect::config::{DistributedConfig, ScanConfig};
use detect::detectors::Detectors;
use model::event::{Act, Event, Origin, Probe, TcpFlags, Trust};
use model::limits::EXACT_TARGETS;
use model::net::Protocol;
use model::style::Style;
use model::time::Time;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SCANNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn syn(nanos: u64, actor: IpAddr, target: IpAddr, port: u16) -> Event {
    let at = Time::from_nanos(1_700_000_000_000_000_000 + nanos);
    let flags = Some(TcpFlags(TcpFlags::SYN));
    let act = Act::Probe(Probe {
        protocol: Protocol::TCP,
        source_port: None,
        port: Some(port),
        flags,
        icmp: None,
        style: Some(Style::Syn),
        hops: None,
    });
    Event { at, origin: Origin::default(), actor, target: Some(target), act, trust: Trust::Spoofable, times: 1 }
}

/// Sends `count` probes of forged addresses, and one of the scanner in each `count / 100`.
fn flood(config: &ScanConfig, count: u64, probes_each: u64) -> Detectors {
    let mut detectors = Detectors::new(config, 42);
    let (mut random, mut offences) = (0x1234_5678_9abc_def1, Vec::new());
    let mut source = SCANNER;
    for n in 0..count {
        if n % probes_each == 0 {
            source = Ipv4Addr::from(xorshift(&mut random) as u32).into();
        }
        detectors.observe(&syn(n * 1_000, source, TARGET, (xorshift(&mut random) >> 48) as u16), &mut offences);
        if n % (count / 100) == 0 {
            detectors.observe(&syn(n * 1_000, SCANNER, TARGET, (1_000 + n / (count / 100)) as u16), &mut offences);
        }
        if n % (count / 10) == 0 {
            detectors.check_invariants();
        }
        offences.clear();
    }
    detectors.check_invariants();
    detectors
}

#[test]
fn ten_million_forged_addresses_hide_no_scanner() {
    let config = ScanConfig::default();
    let detectors = flood(&config, 10_000_000, 1);
    let counters = detectors.counters();
    assert!(counters.tracked <= config.tracked_sources as u64, "{counters:?}");
    assert!(detectors.memory_used() <= detectors.memory_bound());
    assert!(detectors.memory_bound() <= 60 << 20, "the stated bound: {}", detectors.memory_bound());
    let scanner = detectors.suspect(SCANNER).unwrap();
    assert!(scanner.convicted && scanner.packets >= 90, "{scanner:?}");
    // And of ten million innocents, who sent nothing at all, next to nobody is charged.
    assert!(detectors.suspects().len() <= 10, "{}", detectors.suspects().len());
}

#[test]
fn forged_addresses_with_details_stay_under_the_bound_too() {
    let config = ScanConfig { tracked_sources: 2_048, ..ScanConfig::default() };
    for probes_each in [2, 4, 7, 40] {
        let detectors = flood(&config, 400_000, probes_each);
        let scanner = detectors.suspect(SCANNER);
        assert!(scanner.is_some_and(|scanner| scanner.convicted), "{probes_each}: {:?}", detectors.counters());
    }
}

#[test]
fn sweeps_of_many_sources_share_one_budget() {
    let config = ScanConfig { tracked_sources: 512, ..ScanConfig::default() };
    let mut detectors = Detectors::new(&config, 42);
    let mut offences = Vec::new();
    for n in 0..300_000_u32 {
        let (source, target) = (Ipv4Addr::from(0x0a00_0000 + n % 300), Ipv4Addr::from(0xc000_0000 + n / 300));
        detectors.observe(&syn(u64::from(n) * 1_000, source.into(), target.into(), 22), &mut offences);
        offences.clear();
    }
    detectors.check_invariants();
    let targets: Vec<u32> = detectors.suspects().iter().map(|suspect| suspect.targets).collect();
    assert!(!targets.is_empty() && targets.iter().all(|&n| n <= 1_150), "{targets:?}");
    assert!(detectors.memory_used() <= detectors.memory_bound());
}

#[test]
fn one_sweep_of_everything_stays_small() {
    let mut detectors = Detectors::new(&ScanConfig::default(), 42);
    let mut offences = Vec::new();
    for n in 0..200_000_u32 {
        detectors.observe(&syn(u64::from(n), SCANNER, Ipv4Addr::from(n).into(), (n % 65_536) as u16), &mut offences);
    }
    detectors.check_invariants();
    let suspect = detectors.suspect(SCANNER).unwrap();
    assert!(suspect.targets > 180_000 && suspect.targets < 220_000, "{}", suspect.targets);
    assert!(detectors.memory_used() < 1 << 20, "{} for {EXACT_TARGETS} exact targets", detectors.memory_used());
}

#[test]
fn a_charged_source_outlives_a_flood() {
    let config = ScanConfig { tracked_sources: 1_024, ..ScanConfig::default() };
    let mut detectors = Detectors::new(&config, 42);
    let (mut random, mut offences) = (0x1234_5678_9abc_def1, Vec::new());
    for port in 1..=20 {
        detectors.observe(&syn(u64::from(port), SCANNER, TARGET, port), &mut offences);
    }
    for n in 0..300_000 {
        let source = Ipv4Addr::from(xorshift(&mut random) as u32);
        detectors.observe(&syn(1_000 * n, source.into(), TARGET, 80), &mut offences);
    }
    assert_eq!(detectors.suspect(SCANNER).unwrap().level.map(|level| level.number()), Some(2));
    assert_eq!(detectors.counters().evicted_charged, 0);
}

#[test]
fn successes_of_many_clients_leave_room_for_failures() {
    let config = ScanConfig { tracked_sources: 256, ..ScanConfig::default() };
    let mut detectors = Detectors::new(&config, 42);
    let mut offences = Vec::new();
    for n in 0..10_000_u32 {
        let mut event = syn(u64::from(n), Ipv4Addr::from(n).into(), TARGET, 443);
        event.act = Act::Reached { protocol: Protocol::TCP, port: Some(443) };
        detectors.observe(&event, &mut offences);
    }
    for port in 1..=6 {
        detectors.observe(&syn(20_000, SCANNER, TARGET, port), &mut offences);
    }
    assert_eq!(offences.len(), 1, "{offences:?}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let addr = prop_oneof![
        8 => (0..40_u32).prop_map(|n| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))),
        1 => any::<u32>().prop_map(|n| IpAddr::V4(Ipv4Addr::from(n))),
        1 => (0..4_u128).prop_map(|n| IpAddr::V6(Ipv6Addr::from(n << 64 | 7))),
    ];
    let port = prop_oneof![4 => (1..200_u16).prop_map(Some), 1 => any::<u16>().prop_map(Some), 1 => Just(None)];
    let protocol = prop_oneof![6 => Just(6_u8), 2 => Just(17), 1 => Just(1), 1 => any::<u8>()].prop_map(Protocol);
    let time = prop_oneof![10 => 0..10_000_000_u64, 1 => any::<u64>()];
    let style = prop::option::of((0..Style::ALL.len()).prop_map(|n| Style::ALL[n]));
    let what = (port, protocol, style, prop::option::of(any::<(u8, u8)>()), 0..8_u8);
    (addr.clone(), prop::option::of(addr), time, what, prop_oneof![9 => Just(1_u32), 1 => any::<u32>()]).prop_map(
        |(actor, target, millis, (port, protocol, style, icmp, kind), times)| {
            let flags = (protocol == Protocol::TCP).then_some(TcpFlags(TcpFlags::SYN));
            let act = match kind {
                0 => Act::Reached { protocol, port },
                _ => Act::Probe(Probe { protocol, source_port: None, port, flags, icmp, style, hops: None }),
            };
            let trust = if kind == 1 { Trust::Handshake } else { Trust::Spoofable };
            Event { at: Time::from_nanos(millis.saturating_mul(1_000_000)), origin: Origin::default(), actor, target, act, trust, times }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any events in any order of time, in tables of any size: no panic, all bounds hold, levels never exceed the highest.
    #[test]
    fn nothing_breaks_the_tables(
        events in prop::collection::vec(any_event(), 1..600),
        tracked_sources in 1..80_usize,
        (sources, ports) in (1..5_usize, 1..8_usize),
        (decay, forget) in (0..4_000_u64, 0..8_000_u64),
        (packets, hosts, port_range) in (0..6_u64, 0..6_u32, 0..3_u16),
        (count_by_ipv4, count_by_ipv6) in (0..=40_u8, 0..=130_u8),
    ) {
        let config = ScanConfig {
            tracked_sources,
            decay: Duration::from_secs(decay),
            forget: Duration::from_secs(forget),
            packets: [packets, packets + 10, 150, 1_500, 10_000],
            hosts: [hosts, 20, 50, 100, 500],
            port_range,
            count_by_ipv4,
            count_by_ipv6,
            distributed: DistributedConfig { sources, ports, ..DistributedConfig::default() },
            ..ScanConfig::default()
        };
        let mut detectors = Detectors::new(&config, 42);
        let mut offences = Vec::new();
        for (n, event) in events.iter().enumerate() {
            detectors.observe(event, &mut offences);
            if n % 50 == 0 {
                detectors.check_invariants();
                detectors.tick(event.at, &mut offences);
            }
        }
        detectors.check_invariants();
        let counters = detectors.counters();
        prop_assert!(counters.tracked <= tracked_sources as u64);
        prop_assert_eq!(counters.offences, offences.len() as u64);
        prop_assert!(detectors.memory_used() <= detectors.memory_bound());
        for suspect in detectors.suspects() {
            prop_assert!(suspect.level_now <= suspect.level && suspect.first <= suspect.last);
        }
        for offence in &offences {
            prop_assert!(offence.evidence.first <= offence.evidence.last && offence.evidence.packets > 0);
        }
    }
}
