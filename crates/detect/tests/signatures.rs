//! Packets that fit signatures: what they come to, and what forged ones can not do.

use detect::Detector;
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use model::event::{Act, Event, Match, Origin, Probe, RuleId, TcpFlags, Trust};
use model::level::DangerLevel;
use model::limits;
use model::net::Protocol;
use model::offence::{Charge, Offence};
use model::style::Style;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};

const ALL_DAY: u64 = 86_400;

fn level(level: u8) -> Option<DangerLevel> {
    DangerLevel::new(level)
}

fn event(actor: u32, secs: u64, act: Act, trust: Trust) -> Event {
    let actor = IpAddr::V4(Ipv4Addr::from(actor));
    let target = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    Event { at: Time::from_secs(ALL_DAY + secs), origin: Origin::default(), actor, target, act, trust, times: 1 }
}

fn matched(actor: u32, secs: u64, rule: u16, level: Option<DangerLevel>, trust: Trust) -> Event {
    let matched = Match { rule: RuleId(rule), sid: 100 + u32::from(rule), level, protocol: Protocol::TCP, port: Some(22) };
    event(actor, secs, Act::Matched(matched), trust)
}

fn probe(actor: u32, secs: u64, port: u16) -> Event {
    let flags = Some(TcpFlags(TcpFlags::SYN));
    let probe = Probe {
        protocol: Protocol::TCP,
        source_port: Some(40_000),
        port: Some(port),
        flags,
        icmp: None,
        style: Some(Style::Syn),
        hops: None,
    };
    event(actor, secs, Act::Probe(probe), Trust::Spoofable)
}

fn observe(detectors: &mut Detectors, event: &Event) -> Vec<Offence> {
    let mut offences = Vec::new();
    detectors.observe(event, &mut offences);
    offences
}

fn detectors() -> Detectors {
    Detectors::new(&ScanConfig::default(), 7)
}

#[test]
fn a_forgeable_match_is_charged_and_convicts_nobody() {
    let mut detectors = detectors();
    let [offence] = observe(&mut detectors, &matched(9, 0, 3, level(4), Trust::Spoofable))[..] else { panic!("one offence") };
    assert_eq!((offence.charge, offence.level, offence.rule), (Charge::Signature, level(4).unwrap(), Some(RuleId(3))));
    assert_eq!((offence.trust, offence.evidence.convicted), (Trust::Spoofable, false), "the judge watches, and blocks nobody for it");
    let [offence] = observe(&mut detectors, &matched(9, 1, 4, level(2), Trust::Handshake))[..] else { panic!("better grounds are news") };
    assert_eq!((offence.trust, offence.evidence.convicted, offence.level), (Trust::Handshake, true, level(4).unwrap()));
}

#[test]
fn only_what_is_graver_or_better_founded_is_news() {
    let mut detectors = detectors();
    let mut told = |secs, rule, n| observe(&mut detectors, &matched(9, secs, rule, level(n), Trust::Spoofable)).len();
    assert_eq!([told(0, 1, 2), told(1, 1, 2), told(30, 2, 1), told(60, 3, 3), told(61, 1, 2), told(3_700, 1, 2)], [1, 0, 0, 1, 0, 1]);
    let known = detectors.signatures().of("0.0.0.9".parse().unwrap()).unwrap();
    let counts: Vec<_> = known.signatures.iter().map(|matched| (detectors.signatures().sid(matched.rule), matched.count)).collect();
    assert_eq!((counts, known.count), (vec![(101, 4), (102, 1), (103, 1)], 6));
}

#[test]
fn what_only_says_who_it_is_charges_nobody_whose_address_may_be_forged() {
    let mut detectors = detectors();
    for n in 0..50 {
        assert_eq!(observe(&mut detectors, &matched(9, n, 1, level(1), Trust::Spoofable)), []);
    }
    let [offence] = observe(&mut detectors, &matched(9, 51, 1, level(1), Trust::Handshake))[..] else { panic!("its address is proven") };
    assert_eq!((offence.level, offence.evidence.packets), (level(1).unwrap(), 51));
}

/// psad's defect 7: a danger level that has once been reached never goes.
#[test]
fn a_level_goes_when_its_source_was_quiet() {
    let mut detectors = detectors();
    observe(&mut detectors, &matched(9, 0, 1, level(5), Trust::Spoofable));
    let [offence] = observe(&mut detectors, &matched(9, 7_300, 2, level(2), Trust::Spoofable))[..] else { panic!("it begins anew") };
    assert_eq!(offence.level, level(2).unwrap());
    assert_eq!(detectors.signatures().of("0.0.0.9".parse().unwrap()).unwrap().signatures.len(), 2, "what it was stays known");
}

#[test]
fn a_match_makes_a_scan_graver_and_a_conviction_counts_for_it() {
    let scan = |matches: bool| {
        let mut detectors = detectors();
        let mut offences = Vec::new();
        for n in 0..20 {
            offences.extend(observe(&mut detectors, &probe(9, n, 100 + n as u16)));
            if matches {
                offences.extend(observe(&mut detectors, &matched(9, n, 1, level(4), Trust::Spoofable)));
            }
        }
        offences
    };
    let (plain, graver) = (scan(false), scan(true));
    let of = |offences: &[Offence], charge| offences.iter().filter(|offence| offence.charge == charge).map(|o| o.level).max();
    assert_eq!(of(&plain, Charge::PortScan), level(2));
    assert_eq!(of(&graver, Charge::PortScan), level(4));
    assert!(graver.iter().any(|offence| offence.charge == Charge::Signature && offence.evidence.convicted));
    assert!(graver.iter().filter(|offence| !offence.evidence.convicted).all(|offence| offence.at < Time::from_secs(ALL_DAY + 5)));
}

#[test]
fn what_only_counts_is_no_charge_and_makes_nothing_graver() {
    let mut detectors = detectors();
    for n in 0..50 {
        assert_eq!(observe(&mut detectors, &matched(9, n, 1, None, Trust::Spoofable)), []);
    }
    let tops = detectors.signatures().tops();
    assert_eq!((tops.len(), tops[0].count, tops[0].sources), (1, 50, 1));
    assert_eq!(detectors.signatures().of("0.0.0.9".parse().unwrap()).unwrap().level, None);
}

#[test]
fn forged_crowds_fill_neither_history_nor_memory_and_take_no_proven_sources_place() {
    let mut detectors = detectors();
    observe(&mut detectors, &matched(9, 0, 1, level(3), Trust::Handshake));
    let mut charged = 0;
    for forged in 0..200_000_u32 {
        charged += observe(&mut detectors, &matched(0x0a00_0000 + forged, 1, (forged % 200) as u16, level(5), Trust::Spoofable)).len();
    }
    assert_eq!(charged, limits::MATCH_CHARGES as usize);
    assert_eq!(detectors.counters().matches_unheard, 200_000 - charged as u64);
    assert!(detectors.signatures().of("0.0.0.9".parse().unwrap()).is_some());
    assert!(detectors.memory_used() <= detectors.memory_bound());
    let busy = (0..500).map(|rule| observe(&mut detectors, &matched(9, 2, rule, level(3), Trust::Handshake)).len()).sum::<usize>();
    assert_eq!(busy, 0);
    let known = detectors.signatures().of("0.0.0.9".parse().unwrap()).unwrap();
    assert_eq!((known.signatures.len(), known.count), (limits::SIGNATURES_OF_SOURCE, 501));
}

#[test]
fn nobody_gives_way_while_three_quarters_of_the_places_are_taken() {
    let mut detectors = detectors();
    let sources = limits::MATCHERS as u32 * 3 / 4;
    for secs in 0..2 {
        for actor in 0..sources {
            observe(&mut detectors, &matched(0x0a00_0000 + 7 * actor, secs, 1, level(2), Trust::Spoofable));
        }
    }
    let [top] = detectors.signatures().tops()[..] else { panic!("one signature") };
    assert_eq!((top.count, top.sources), (u64::from(2 * sources), u64::from(sources)));
    assert_eq!(detectors.counters().matches_crowded_out, 0);
    assert!(detectors.memory_used() <= detectors.memory_bound());
}
