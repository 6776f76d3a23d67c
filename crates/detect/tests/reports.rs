//! Reports of log rules become offences at once, but not again and again.

use detect::Detector;
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use model::event::{Act, Event, Origin, Repeated, Report, RuleId, Trust};
use model::level::DangerLevel;
use model::offence::{Charge, Offence};
use model::time::Time;
use std::time::Duration;

fn report(actor: &str, rule: u16, millis: u64) -> Event {
    let report = Report {
        rule: RuleId(rule),
        level: DangerLevel::MAX,
        lines: 5,
        wished: Some(Duration::from_secs(600)),
        repeated: Repeated::default(),
    };
    Event {
        at: Time::from_nanos(1_000_000_000_000 + millis * 1_000_000),
        origin: Origin::default(),
        actor: actor.parse().unwrap(),
        target: None,
        act: Act::Reported(report),
        trust: Trust::Vouched,
        times: 1,
    }
}

fn observe(detectors: &mut Detectors, event: &Event) -> Vec<Offence> {
    let mut offences = Vec::new();
    detectors.observe(event, &mut offences);
    offences
}

#[test]
fn a_report_is_an_offence_with_all_that_it_says() {
    let mut detectors = Detectors::new(&ScanConfig::default(), 7);
    let event = report("::ffff:192.0.2.7", 3, 0);
    let [offence] = observe(&mut detectors, &event)[..] else { panic!("one offence") };
    assert_eq!((offence.offender.to_string(), offence.charge, offence.level), ("192.0.2.7".into(), Charge::Rule, DangerLevel::MAX));
    assert_eq!((offence.rule, offence.wished, offence.trust), (Some(RuleId(3)), Some(Duration::from_secs(600)), Trust::Vouched));
    assert_eq!((offence.evidence.packets, offence.evidence.convicted, offence.at), (5, true, event.at));
    // It is no probe: nothing is known of the address afterwards.
    assert_eq!(detectors.suspect("192.0.2.7".parse().unwrap()), None);
}

#[test]
fn a_report_hits_the_prefix_by_which_sources_are_counted() {
    let config = ScanConfig { count_by_ipv6: 64, ..ScanConfig::default() };
    let mut detectors = Detectors::new(&config, 7);
    let mut offender = |actor| observe(&mut detectors, &report(actor, 3, 0))[0].offender.to_string();
    assert_eq!((offender("2001:db8::7").as_str(), offender("192.0.2.7").as_str()), ("2001:db8::/64", "192.0.2.7"));
}

#[test]
fn the_same_again_is_no_news_for_ten_seconds_whichever_way_the_clock_goes() {
    let mut detectors = Detectors::new(&ScanConfig::default(), 7);
    let mut count = |actor, rule, millis| observe(&mut detectors, &report(actor, rule, millis)).len();
    assert_eq!(count("192.0.2.7", 3, 20_000), 1);
    assert_eq!([count("192.0.2.7", 3, 29_999), count("192.0.2.7", 3, 10_001)], [0, 0]);
    assert_eq!([count("192.0.2.7", 4, 20_000), count("192.0.2.8", 3, 20_000)], [1, 1], "another rule, another actor");
    assert_eq!(count("192.0.2.7", 4, 31_000), 1);
    assert_eq!(count("192.0.2.7", 4, 1_000), 1, "a clock that was set back");
    assert_eq!(detectors.counters().reports_repeated, 2);
}

#[test]
fn a_flood_of_actors_takes_no_more_room() {
    let mut detectors = Detectors::new(&ScanConfig::default(), 7);
    let bound = detectors.memory_bound();
    for n in 0..20_000_u32 {
        let actor = std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        assert_eq!(observe(&mut detectors, &report(&actor, 1, 0)).len(), 1);
    }
    assert!(detectors.memory_used() <= bound);
}
