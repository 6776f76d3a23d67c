//! The machine interface against serde_json: the same fields in the same order with the same bytes.

use model::event::{TcpFlags, Trust};
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::style::{Style, StyleSet};
use model::time::Time;
use proptest::prelude::*;
use report::decision::{Action, Verdict};
use report::offender::{Detail, OffenderLine, Ports, Sample, SignatureLine};
use report::replay::{EVENT_HEADER, EventLine, OFFENDER_HEADER, SummaryLine, offender_table, system_table};
use report::serial::{Stamp, Whom};
use report::system::SystemLine;
use report::time::Rfc3339;
use serde::Serialize;
use std::net::IpAddr;

/// What the issue promises, as serde writes it.
#[derive(Serialize)]
struct Event {
    r#type: &'static str,
    line: u64,
    time: String,
    actor: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<IpAddr>,
    proto: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<&'static str>,
}

/// The first nanosecond that is not read back any more (the year 2554).
const READABLE: u64 = 18_429_292_800_000_000_000;

/// serde_json's line, with DEL and the C1 controls escaped as riposte does.
fn by_serde(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap();
    let escaped = text.chars().flat_map(|c| if c.is_control() { format!("\\u{:04x}", c as u32).chars().collect() } else { vec![c] });
    escaped.chain(['\n']).collect()
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn an_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn some_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop_oneof![prop::collection::vec(any::<u8>(), 0..30), "\\PC{0,30}".prop_map(String::into_bytes)])
}

/// A small CSV reader (RFC 4180), to see what a spreadsheet would.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut inside) = (Vec::new(), String::new(), false);
    let mut chars = line.strip_suffix("\r\n").unwrap().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if inside && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => inside = !inside,
            ',' if !inside => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    assert!(!inside);
    cells.push(cell);
    cells
}

fn an_offender() -> OffenderLine {
    OffenderLine {
        address: Whom("198.51.100.7".parse().unwrap()),
        level: DangerLevel::new(3).unwrap(),
        styles: [Style::Syn, Style::Sweep].into_iter().collect(),
        targets: 2,
        packets: 501,
        ports: Ports { tcp: vec![(1000, 1500), (8080, 8080)], udp: Vec::new() },
        protocols: 1,
        signatures: Vec::new(),
        systems: Vec::new(),
        first: Stamp(Time::from_secs(1_772_366_400)),
        last: Stamp(Time::from_nanos(1_772_366_401_250_000_000)),
        trust: Trust::Spoofable,
        decision: Verdict { action: Action::Block, seconds: Some(600), why: "port scan".into() },
        detail: None,
    }
}

#[test]
fn the_lines_are_those_of_the_manual() {
    let event = EventLine {
        line: 7,
        time: Time::from_secs(1_772_366_400),
        actor: "198.51.100.7".parse().unwrap(),
        target: Some("2001:db8::1".parse().unwrap()),
        protocol: Protocol::TCP,
        source_port: Some(40_000),
        port: Some(22),
        flags: Some(TcpFlags(TcpFlags::SYN)),
        chain: Some("input"),
        interface: Some(b"eth0"),
        prefix: Some(b"DROP"),
        trust: Some(Trust::Spoofable),
        times: 1,
        ignored: None,
    };
    assert_eq!(
        line(|out| event.to_json_line(out)),
        "{\"type\":\"event\",\"line\":7,\"time\":\"2026-03-01T12:00:00Z\",\"actor\":\"198.51.100.7\",\"target\":\"2001:db8::1\",\
         \"proto\":\"tcp\",\"sport\":40000,\"dport\":22,\"flags\":[\"SYN\"],\"chain\":\"input\",\"interface\":\"eth0\",\
         \"prefix\":\"DROP\",\"trust\":\"spoofable\"}\n"
    );
    assert_eq!(
        an_offender().to_json_line(),
        "{\"type\":\"offender\",\"address\":\"198.51.100.7\",\"level\":3,\"styles\":[\"syn\",\"sweep\"],\"targets\":2,\
         \"packets\":501,\"ports\":{\"tcp\":[[1000,1500],[8080,8080]],\"udp\":[]},\"protocols\":1,\"signatures\":[],\
         \"first\":\"2026-03-01T12:00:00Z\",\"last\":\"2026-03-01T12:00:01.25Z\",\"trust\":\"spoofable\",\
         \"decision\":{\"action\":\"block\",\"seconds\":600,\"why\":\"port scan\"}}\n"
    );
    let summary = SummaryLine { lines: 9, events: 5, offenders: 1, ignored: 3, unparsed: 1, signatures: Vec::new(), tops: None };
    assert_eq!(summary.to_json_line(), "{\"type\":\"summary\",\"lines\":9,\"events\":5,\"offenders\":1,\"ignored\":3,\"unparsed\":1}\n");
    assert_eq!(summary.text(), "9 lines: 5 events, 1 offender; 3 of no meaning, 1 not understood.\n");
}

#[test]
fn samples_are_short_and_come_back() {
    let sample = Sample { at: Stamp(Time::from_nanos(1_772_366_400_250_000_000)), udp: true, port: 53 };
    let detail = Some(Box::new(Detail { samples: vec![sample], ..Detail::default() }));
    let json = OffenderLine { detail, ..an_offender() }.to_json_line();
    assert!(json.ends_with(",\"detail\":{\"samples\":[[1772366400250,53,true]]}}\n"), "{json}");
    assert_eq!(serde_json::from_str::<OffenderLine>(&json).unwrap().detail.unwrap().samples, [sample]);
}

#[test]
fn offenders_as_csv() {
    assert_eq!(
        line(|out| an_offender().to_csv_line(out)),
        "198.51.100.7,3,syn sweep,2,501,1000-1500 8080,,1,,2026-03-01T12:00:00Z,2026-03-01T12:00:01.25Z,spoofable,block,600,port scan\r\n"
    );
    assert_eq!(cells(OFFENDER_HEADER).len(), cells(&line(|out| an_offender().to_csv_line(out))).len());
}

#[test]
fn offenders_as_a_table() {
    let many = OffenderLine {
        address: Whom("2001:db8:1::/64".parse().unwrap()),
        styles: StyleSet::EMPTY,
        ports: Ports { tcp: (0..40).map(|n| (n * 100, n * 100)).collect(), udp: vec![(53, 53), (500, 4_500), (5_353, 5_353)] },
        decision: Verdict::none("replayed\u{1b}[2J without a configuration"),
        ..an_offender()
    };
    let none = OffenderLine { ports: Ports::default(), ..an_offender() };
    assert_eq!(
        offender_table(&[an_offender(), many, none]),
        "\
ADDRESS          LEVEL  STYLES     TARGETS  PACKETS  PORTS                    DECISION
198.51.100.7         3  syn,sweep        2      501  tcp 1000-1500,8080       block 10m: port scan
2001:db8:1::/64      3  -                2      501  tcp 0,100 +38 udp 53 +2  none: replayed\\u{1b}[…
198.51.100.7         3  syn,sweep        2      501  -                        block 10m: port scan
"
    );
    assert_eq!(offender_table(&[]), "Nobody is charged with anything.\n");
}

proptest! {
    #[test]
    fn events_are_what_serde_would_write(
        numbers in (any::<u64>(), any::<u64>(), any::<u8>(), any::<u8>(), 0_u32..9),
        actor in an_address(),
        target in prop::option::of(an_address()),
        ports in any::<(Option<u16>, Option<u16>)>(),
        interface in some_bytes(),
        prefix in some_bytes(),
        some in any::<[bool; 4]>(),
    ) {
        let event = EventLine {
            line: numbers.0,
            time: Time::from_nanos(numbers.1),
            actor,
            target,
            protocol: Protocol(numbers.2),
            source_port: ports.0,
            port: ports.1,
            flags: some[0].then_some(TcpFlags(numbers.3)),
            chain: some[1].then_some("forward"),
            interface: interface.as_deref(),
            prefix: prefix.as_deref(),
            trust: some[2].then_some(Trust::Vouched),
            times: numbers.4,
            ignored: some[3].then_some("host's \"own\""),
        };
        let meant = Event {
            r#type: "event",
            line: event.line,
            time: Rfc3339(event.time).to_string(),
            actor,
            target,
            proto: event.protocol.to_string(),
            sport: ports.0,
            dport: ports.1,
            flags: event.flags.map(|flags| flags.names().collect()),
            chain: event.chain,
            interface: interface.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            prefix: prefix.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            trust: event.trust.map(Trust::word),
            times: (event.times > 1).then_some(event.times),
            ignored: event.ignored,
        };
        prop_assert_eq!(line(|out| event.to_json_line(out)), by_serde(&meant));

        let csv = line(|out| event.to_csv_line(out));
        prop_assert_eq!(csv.matches(['\r', '\n']).count(), 2);
        let found = cells(&csv);
        prop_assert_eq!(found.len(), cells(EVENT_HEADER).len());
        prop_assert!(!found.iter().any(|cell| cell.starts_with(['=', '+', '-', '@']) || cell.chars().any(char::is_control)));
    }

    #[test]
    fn offenders_travel_as_they_are_and_harm_no_terminal(
        address in (an_address(), 0_u8..=128),
        numbers in (1_u8..=5, any::<u16>(), any::<u32>(), any::<u64>(), any::<u32>(), 0..READABLE, 0..READABLE),
        tcp in prop::collection::vec(any::<(u16, u16)>(), 0..5),
        udp in prop::collection::vec(any::<(u16, u16)>(), 0..5),
        signatures in prop::collection::vec((any::<u32>(), "\\PC{0,20}", any::<u64>()), 0..3),
        systems in prop::collection::vec(("\\PC{0,20}", any::<Option<u8>>()), 0..3),
        why in "\\PC{0,40}|[\\x00-\\x7f]{0,40}",
        seconds in any::<Option<u64>>(),
    ) {
        let offender = OffenderLine {
            address: Whom(Prefix::new(address.0, address.1)),
            level: DangerLevel::new(numbers.0).unwrap(),
            styles: StyleSet::from_bits(numbers.1),
            targets: numbers.2,
            packets: numbers.3,
            ports: Ports { tcp, udp },
            protocols: numbers.4,
            signatures: signatures.into_iter().map(|(sid, message, count)| SignatureLine { sid, message, count }).collect(),
            systems: systems.into_iter().map(|(name, hops)| SystemLine { name, kind: "perhaps".into(), hops }).collect(),
            first: Stamp(Time::from_nanos(numbers.5)),
            last: Stamp(Time::from_nanos(numbers.6)),
            trust: Trust::Handshake,
            decision: Verdict { action: Action::Refuse, seconds, why },
            detail: None,
        };
        let json = offender.to_json_line();
        prop_assert!(!json.trim_end().chars().any(char::is_control));
        prop_assert_eq!(&serde_json::from_str::<OffenderLine>(&json).unwrap(), &offender);
        prop_assert_eq!(cells(&line(|out| offender.to_csv_line(out))).len(), cells(OFFENDER_HEADER).len());
        let table = offender_table(std::slice::from_ref(&offender));
        prop_assert!(!table.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert_eq!(table.lines().count(), 2);
        let systems = system_table(std::slice::from_ref(&offender));
        prop_assert!(!systems.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert_eq!(systems.is_empty(), offender.systems.is_empty());
    }
}
