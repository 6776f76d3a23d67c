//! Every message is read as it was written, and nothing else is read.

use super::*;
use crate::codec::Writer;
use model::block::Fault;
use model::decision::ExemptReason;
use model::event::{Act, Guessed, Maker, Match, Origin, Probe, Repeated, Report, TcpFlags, Touch, Trust};
use model::level::DangerLevel;
use model::net::{Hops, Protocol};
use model::style::Style;
use proptest::prelude::*;
use std::time::Duration;

fn samples() -> Vec<Message> {
    let v4: Scope = Scope::Source("192.0.2.7".parse().unwrap());
    let v6: Scope = Scope::Source("2001:db8::/64".parse().unwrap());
    let event = Event {
        at: Time::from_secs(1_700_000_000),
        origin: Origin { sensor: 3, serial: 99 },
        actor: "2001:db8::9".parse().unwrap(),
        target: Some("192.0.2.1".parse().unwrap()),
        act: Act::Probe(Probe {
            protocol: Protocol::TCP,
            source_port: Some(40_000),
            port: Some(22),
            flags: Some(TcpFlags(TcpFlags::SYN)),
            icmp: None,
            style: Some(Style::Syn),
            hops: Some(Hops(12)),
        }),
        trust: Trust::Spoofable,
        times: 2,
    };
    let reached = Event { target: None, act: Act::Reached { protocol: Protocol::UDP, port: None }, trust: Trust::Vouched, ..event };
    let report = Report {
        rule: RuleId(7),
        level: DangerLevel::MAX,
        lines: 5,
        wished: Some(Duration::from_secs(600)),
        repeated: Repeated([30, 60, 0, 0, 0]),
    };
    let touched = Event { act: Act::Touched(Touch { protocol: Protocol::TCP, port: 23, style: Style::Connect, hops: None }), ..event };
    let reported = Event { act: Act::Reported(report), ..event };
    let matched = |level| {
        let matched = Match { rule: RuleId(7), sid: u32::MAX, level, protocol: Protocol::UDP, port: Some(53) };
        Event { act: Act::Matched(matched), ..event }
    };
    let guessed = |hops| Event { act: Act::Guessed(Guessed { name: RuleId(7), kind: Maker::PerhapsSystem, hops }), ..event };
    let ground = Ground {
        rule: Some(7),
        level: Some(DangerLevel::MAX),
        touch: Some(Touch { protocol: Protocol::TCP, port: 23, style: Style::Connect, hops: None }),
    };
    let position = Position { device: 1, inode: 2, offset: 3, mark: b"end\n".to_vec() };
    vec![
        Message::Ready { sandbox: "Landlock 7, seccomp".into() },
        Message::Events(vec![
            event,
            reached,
            touched,
            matched(None),
            matched(Some(DangerLevel::MAX)),
            guessed(None),
            guessed(Some(Hops(7))),
        ]),
        Message::Counters(vec![Counter { name: "lines".into(), value: 7 }]),
        Message::AskCounters,
        Message::Apply(vec![
            Change::Add { id: BlockId(1), scope: v4, expiry: Expiry::At(Time::from_secs(5)) },
            Change::Add { id: BlockId(2), scope: v6, expiry: Expiry::Never },
            Change::Remove { id: BlockId(1), scope: v4 },
        ]),
        Message::Outcomes(vec![
            (BlockId(1), Outcome::Added),
            (BlockId(2), Outcome::Failed(Fault::Exempt)),
            (BlockId(3), Outcome::Removed),
            (BlockId(4), Outcome::Unsupported),
        ]),
        Message::AskInstalled,
        Message::Installed { last: true, items: vec![Installed { scope: v6, expiry: Expiry::Never }] },
        Message::Derived(vec![Exemption { prefix: "192.0.2.1".parse().unwrap(), reason: ExemptReason::Gateway }]),
        Message::Allowed(vec![
            ("192.0.2.0/24".parse().unwrap(), Expiry::Never),
            ("2001:db8::1".parse().unwrap(), Expiry::At(Time::from_secs(5))),
        ]),
        Message::Repaired { why: "was deleted by 'nft' (process 123)".into() },
        Message::OpenPorts { tcp: PortMap::new([22, 443, 65_535]), udp: PortMap::new([]) },
        Message::Reopen,
        Message::Reopened { names: vec!["kern.log".into()], file: true },
        Message::SensorLink { slot: 1, name: "kern.log".into() },
        Message::Processes(vec![Process { life: Life::Judge, slot: 0, pid: 77, restarts: 1, sandbox: String::new() }]),
        Message::ReopenedFile,
        Message::Rebuilt,
        Message::Reload,
        Message::Reloaded { ok: false, lines: vec!["riposte.toml:3:1: there is no key 'polcy'".into()] },
        Message::Config,
        Message::Alive,
        Message::Position(Some(position.clone())),
        Message::Troubles(vec![Trouble { since: Time::from_secs(9), what: "no list".into(), why: "ENOMEM".into() }]),
        Message::RotatedFile,
        Message::Rules(vec![(RuleId(7), "sshd".into())]),
        Message::Reports(vec![Reported {
            event: reported,
            log: "auth.log".into(),
            line: "Failed password for root from 192.0.2.7".into(),
            response: Some(Asked { response: ResponseId(3), user: UserName::new("bob"), rule: Some(5_712) }),
        }]),
        Message::FilePosition { log: "/var/log/auth.log".into(), position },
        Message::Followed { slot: 7, watch: 8, rotated: true, log: "/var/log/auth.log".into() },
        Message::Looked { more: true, surplus: 9 },
        Message::Respond(vec![
            Order {
                run: RunId(9),
                response: ResponseId(0),
                add: true,
                address: event.actor,
                user: UserName::new("bob"),
                ground,
                until: Some(event.at),
            },
            Order {
                run: RunId(9),
                response: ResponseId(0),
                add: false,
                address: event.actor,
                user: None,
                ground: Ground::default(),
                until: None,
            },
        ]),
        Message::Ran(vec![(RunId(9), Ran::Done, "said".into()), (RunId(10), Ran::Lost, String::new())]),
        Message::Carry { batch: 7, changes: vec![Change::Remove { id: BlockId(1), scope: v4 }] },
        Message::Carried { batch: 7, outcomes: vec![Outcome::Removed, Outcome::Failed(Fault::Full)] },
        Message::AskHeld(vec![v4, v6]),
        Message::Held(vec![(v4, 3), (v6, 0)]),
        Message::AskKnown {
            number: 7,
            flows: vec![Flow {
                protocol: Protocol::TCP,
                from: "[2001:db8::9]:40000".parse().unwrap(),
                to: "192.0.2.1:23".parse().unwrap(),
            }],
        },
        Message::Known { number: 7, flows: Known::ALL.to_vec() },
        Message::Alert("{\"kind\":\"test\"}".into()),
        Message::Listed { first: true, last: false, items: vec![("2001:db8::/64".parse().unwrap(), Expiry::At(Time::from_secs(5)))] },
        Message::Fetch { order: 70_000, feed: 1, whole: true, known: ["\"tag\"".into(), String::new()] },
        Message::FeedItems {
            order: 1,
            items: vec![("192.0.2.0/24".parse().unwrap(), None), ("192.0.2.7".parse().unwrap(), Some(3_600))],
            gone: vec!["2001:db8::1".parse().unwrap()],
        },
        Message::Fetched { order: 1, got: Got::Nothing { why: "429 Too Many Requests".into(), wait: Some(300) } },
        Message::Submit { order: 7 },
        Message::Submitted { order: 7, wrong: Some("401".into()), wait: None },
    ]
}

#[test]
fn every_message_survives_the_way() {
    let mut out = Writer::default();
    let mut tags = Vec::new();
    for message in samples() {
        message.encode(&mut out);
        assert_eq!(Message::decode(out.as_bytes()).as_ref(), Ok(&message));
        tags.push(message.tag());
        // Cut anywhere or with a byte more, it is no message.
        for cut in 0..out.as_bytes().len().min(200) {
            assert!(Message::decode(&out.as_bytes()[..cut]).is_err(), "{message:?} cut to {cut}");
        }
        let long = [out.as_bytes(), &[0]].concat();
        assert!(Message::decode(&long).is_err());
    }
    assert_eq!(tags, Tag::ALL);
}

#[test]
fn the_largest_lists_fit_into_a_frame() {
    let mut out = Writer::default();
    let scope = Scope::Source("2001:db8::1".parse().unwrap());
    let change = Change::Add { id: BlockId(1), scope, expiry: Expiry::At(Time::from_secs(1)) };
    Message::Carry { batch: u32::MAX, changes: vec![change; limits::BATCH_CHANGES] }.encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
    let Message::Events(events) = &samples()[1] else { unreachable!() };
    let worst = Event { target: Some(events[0].actor), ..events[0] };
    Message::Events(vec![worst; limits::BATCH_EVENTS]).encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
    let report = Report {
        rule: RuleId(7),
        level: DangerLevel::MAX,
        lines: 5,
        wished: Some(Duration::from_secs(600)),
        repeated: Repeated([30, 60, 0, 0, 0]),
    };
    let event = Event { act: Act::Reported(report), ..worst };
    let reported = Reported {
        event,
        log: "x".repeat(limits::PLACE_BYTES),
        line: "x".repeat(limits::QUOTE_BYTES),
        response: Some(Asked { response: ResponseId(31), user: UserName::new(&"x".repeat(32)), rule: Some(u32::MAX) }),
    };
    Message::Reports(vec![reported; limits::BATCH_REPORTS]).encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES && Message::decode(out.as_bytes()).is_ok());
    Message::Rules(vec![(RuleId(7), "x".repeat(limits::RULE_BYTES)); RULES]).encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES && Message::decode(out.as_bytes()).is_ok());
    let exemption = Exemption { prefix: "2001:db8::1".parse().unwrap(), reason: ExemptReason::Own };
    Message::Derived(vec![exemption; limits::DERIVED]).encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
    Message::Reloaded { ok: false, lines: vec!["x".repeat(ANSWER_BYTES); ANSWER_LINES] }.encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES && Message::decode(out.as_bytes()).is_ok());
    let samples = samples();
    let flows = samples.iter().find_map(|message| if let Message::AskKnown { flows, .. } = message { Some(flows) } else { None }).unwrap();
    let end = flows[0].from;
    Message::AskKnown { number: 1, flows: vec![Flow { to: end, ..flows[0] }; limits::BATCH_FLOWS] }.encode(&mut out);
    let rule = crate::gate::WARDEN_ACCEPTS.iter().find(|rule| rule.message == Tag::AskKnown).unwrap();
    assert!(out.as_bytes().len() <= rule.max_len && Message::decode(out.as_bytes()).is_ok());
    Message::Allowed(vec![(exemption.prefix, Expiry::At(Time::from_secs(1))); limits::ALLOWED_TOLD]).encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
    let items = vec![(exemption.prefix, Expiry::At(Time::from_secs(1))); limits::BATCH_LISTED];
    Message::Listed { first: true, last: true, items }.encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
    let (items, gone) = (vec![(exemption.prefix, Some(1)); limits::BATCH_LISTED], vec![exemption.prefix; limits::BATCH_LISTED]);
    Message::FeedItems { order: 0, items, gone }.encode(&mut out);
    assert!(out.as_bytes().len() <= limits::FRAME_BYTES);
}

#[test]
fn a_feed_that_is_there_or_unchanged_survives_the_way() {
    let mut out = Writer::default();
    for got in [Got::Same, Got::List { known: ["a".into(), "b".into()], left_out: [1, 2] }] {
        let message = Message::Fetched { order: 3, got };
        message.encode(&mut out);
        assert_eq!(Message::decode(out.as_bytes()), Ok(message));
    }
}

#[test]
fn control_characters_do_not_travel() {
    let mut out = Writer::default();
    Message::Ready { sandbox: "a\u{1b}[2Jb\u{85}c".into() }.encode(&mut out);
    assert_eq!(Message::decode(out.as_bytes()), Ok(Message::Ready { sandbox: "a [2Jb  c".into() }));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn bent_messages_never_panic(which in 0..Tag::ALL.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut out = Writer::default();
        samples()[which].encode(&mut out);
        let mut frame = out.as_bytes().to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        if let Ok(message) = Message::decode(&frame) {
            // What is accepted is written back to the very same bytes: there is one spelling.
            message.encode(&mut out);
            prop_assert_eq!(out.as_bytes(), &frame[..]);
        }
    }
}
