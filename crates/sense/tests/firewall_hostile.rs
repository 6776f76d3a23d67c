//! What an attacker, a broken disk or a wrong clock can put into a firewall log: nothing of it may become a packet, or bring the reader down.

use model::time::Time;
use proptest::prelude::*;
use sense::facts::{Harmless, Reading};
use sense::firewall::{FirewallLog, LineKind, LogClock, Provenance};

/// Friday, 20 November 2026, 21:17:01 UTC.
const T0: u64 = 1_795_209_421;
const NOW: Time = Time::from_secs(T0 + 3_600);
const RECORD: &str = "IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=198.51.100.7 DST=203.0.113.9 LEN=44 TOS=0x00 PREC=0x00 TTL=49 ID=54321 PROTO=TCP SPT=40000 DPT=80 WINDOW=1024 RES=0x00 SYN URGP=0 ";

fn log(provenance: Provenance) -> FirewallLog {
    FirewallLog::new(0, provenance, LogClock::utc(NOW), 32_768..=60_999)
}

fn kind(log: &mut FirewallLog, line: &str) -> LineKind {
    log.line(line.as_bytes(), NOW, |_| {})
}

fn time_of(log: &mut FirewallLog, line: &str, now: Time) -> Time {
    let mut at = Time::EPOCH;
    assert_eq!(log.line(line.as_bytes(), now, |sighting| at = sighting.at), LineKind::Packets(1), "{line}");
    at
}

/// Heads that are not the kernel's, however near they come; what follows them is a record.
const FORGED_HEADS: [&str; 41] = [
    "Nov 20 21:17:01 gw sshd[1]: Invalid user ",
    "Nov 20 21:17:01 gw sshd[1]: Invalid user x kernel: ",
    "Nov 20 21:17:01 gw sshd[1]: kernel: ",
    "Nov 20 21:17:01 gw sshd: kernel: [1.5] DROP ",
    "Nov 20 21:17:01 gw kernel[1]: DROP ",
    "Nov 20 21:17:01 gw kernelx: DROP ",
    "Nov 20 21:17:01 gw xkernel: DROP ",
    "Nov 20 21:17:01 gw Kernel: DROP ",
    "Nov 20 21:17:01 gw kernel DROP ",
    "Nov 20 21:17:01 gw x kernel: DROP ",
    // A host that calls itself so.
    "Nov 20 21:17:01 kernel: sshd[1]: Invalid user ",
    "Nov 20 21:17:01 kernel: sshd: ",
    "Nov 20 21:17:01 kernel: kernel: ",
    "Nov 20 21:17:01 kernel sshd[1]: ",
    // A log without hosts.
    "Nov 20 21:17:01 sshd[1]: kernel: DROP ",
    "Nov 20 21:17:01  sshd: kernel: DROP ",
    "Nov 20 21:17:01 [sshd] kernel: DROP ",
    "Nov 20 21:17:01 [sshd] [kernel] DROP ",
    "[86400.5] sshd[1]: kernel: DROP ",
    // A facility that is not the kernel's.
    "<13>Nov 20 21:17:01 gw kernel: DROP ",
    "<12>[1.5] DROP ",
    "<13>",
    "<199>Nov 20 21:17:01 gw kernel: ",
    "<4294967300>Nov 20 21:17:01 gw kernel: ",
    "Fri Nov 20 21:17:01 2026 user.notice kernel: ",
    "Nov 20 21:17:01 gw user.notice kernel: ",
    // RFC 5424: the name counts only in its own field.
    "<4>1 2026-11-20T21:17:01Z gw sshd 1 - - kernel: DROP ",
    "<4>1 2026-11-20T21:17:01Z kernel sshd - - - DROP ",
    "<4>1 2026-11-20T21:17:01Z gw - - kernel - DROP ",
    "<4>1 2026-11-20T21:17:01Z gw - kernel - - DROP ",
    "<4>1 2026-11-20T21:17:01Z gw kernel 7 - - DROP ",
    "<12>1 2026-11-20T21:17:01Z gw kernel - - - DROP ",
    "<4>1 2026-11-20T21:17:01Z gw sshd 1 - [x y=\"] kernel - - - DROP\"] ",
    // Another program in the journal's monotonic form, and lines without any head.
    "[86400.5] gw sshd[1]: Invalid user ",
    "[86400.5] gw sshd: Invalid user ",
    "DROP ",
    "  ",
    "\t",
    "kernel: DROP ",
    "gw kernel: DROP ",
    "\u{1b}[1mNov 20 21:17:01 gw kernel: ",
];

#[test]
fn text_that_others_wrote_is_no_packet() {
    for head in FORGED_HEADS {
        for provenance in [Provenance::Syslog, Provenance::Journal] {
            let mut log = log(provenance);
            assert_eq!(kind(&mut log, &format!("{head}{RECORD}")), LineKind::Ignored, "{head}");
            assert_eq!((log.counters().forged, log.counters().packets), (1, 0), "{head}");
        }
    }
}

#[test]
fn only_in_ulogds_own_file_a_line_needs_no_writer() {
    for (provenance, wanted) in [(Provenance::Ulogd, LineKind::Packets(1)), (Provenance::Syslog, LineKind::Ignored)] {
        assert_eq!(kind(&mut log(provenance), &format!("Nov 20 21:17:01 gw DROP: {RECORD}")), wanted);
        assert_eq!(kind(&mut log(provenance), &format!("DROP: {RECORD}")), LineKind::Ignored);
    }
}

#[test]
fn text_in_the_kernels_own_lines_is_no_packet() {
    for (line, wanted) in [
        (format!("usb 1-1: Product: {RECORD}"), LineKind::Ignored),
        (format!("process '/tmp/{RECORD}' started with executable stack"), LineKind::Unparsed),
        (format!("DROP {RECORD}and more"), LineKind::Unparsed),
        (format!("{}{RECORD}", "x".repeat(128)), LineKind::Ignored),
        ("device eth0 entered promiscuous mode".to_owned(), LineKind::Ignored),
    ] {
        let mut log = log(Provenance::Syslog);
        assert_eq!(kind(&mut log, &format!("Nov 20 21:17:01 gw kernel: [1.5] {line}")), wanted, "{line}");
    }
}

#[test]
fn damaged_packets_are_counted_and_dropped() {
    let whole = format!("Nov 20 21:17:01 gw kernel: DROP {RECORD}");
    for (from, to) in [
        ("DPT=80", "DPT=70000"),
        ("SPT=40000", "SPT=-1"),
        ("DPT=80 ", ""),
        ("SRC=198.51.100.7 ", ""),
        ("DST=203.0.113.9 ", ""),
        ("SRC=198.51.100.7", "SRC=198.51.100.256"),
        ("SRC=198.51.100.7", "SRC=198.51.100.7.1"),
        ("SRC=198.51.100.7", "SRC=198.051.100.7"),
        ("SRC=198.51.100.7", "SRC=198.51.100.7x"),
        ("SRC=198.51.100.7", "SRC=198.51.100.7777"),
        ("SRC=198.51.100.7", "SRC=2001:db8::7"),
        ("SRC=198.51.100.7", "SRC=evil.example"),
        ("SRC=198.51.100.7", "SRC=198.51.100.7 SRC=198.51.100.8"),
        ("DST=203.0.113.9", "DST=203.0.113.9 DST=203.0.113.9"),
        ("TTL=49", "TTL=256"),
        ("ID=54321", "ID=65536"),
        ("PROTO=TCP", "PROTO=256"),
        ("PROTO=TCP", "PROTO=XYZ"),
        ("PROTO=TCP ", ""),
        ("PROTO=TCP", "PROTO=ICMP"),
        ("PROTO=TCP", "FRAG:9 FRAG:9 PROTO=TCP"),
        ("WINDOW=1024", "WINDOW=99999"),
        ("LEN=44", "LEN=99999999999"),
        ("URGP=0", "URGP=0 SYN"),
        ("URGP=0", "URGP=0 OPT (02x4)"),
        ("URGP=0", "URGP=0 OPT (0204"),
        ("TTL=49", "SYN TTL=49"),
    ] {
        let mut log = log(Provenance::Syslog);
        let line = whole.replace(from, to);
        assert_eq!(kind(&mut log, &line), LineKind::Unparsed, "{line}");
        assert_eq!((log.counters().unparsed, log.counters().packets), (1, 0), "{line}");
    }
}

#[test]
fn every_line_stands_in_one_counter() {
    let mut log = log(Provenance::Syslog);
    let packet = format!("Nov 20 21:17:01 gw kernel: DROP {RECORD}");
    let long = format!("Nov 20 21:17:01 gw app: {}", "x".repeat(9_000));
    for line in [
        packet.as_str(),
        "Nov 20 21:17:01 gw last message repeated 4 times",
        "Nov 20 21:17:01 gw sshd[1]: hello",
        "Nov 20 21:17:01 gw last message repeated 4 times",
        "Nov 20 21:17:01 gw kernel: eth0: link up",
        &format!("Nov 20 21:17:01 gw sshd[1]: {RECORD}"),
        "Nov 20 21:17:01 gw kernel: IN=eth0 OUT= SRC=x",
        &long,
        "",
    ] {
        kind(&mut log, line);
    }
    let counters = log.counters();
    assert_eq!((counters.lines, counters.packets, counters.unparsed, counters.cut), (9, 2, 1, 1));
    assert_eq!((counters.other_programs, counters.other_messages, counters.other_repetitions, counters.forged), (3, 1, 1, 1));
    assert_eq!(counters.ignored() + counters.packets + counters.unparsed, counters.lines);
}

#[test]
fn a_sighting_becomes_an_event_only_if_it_is_evidence() {
    let mut log = log(Provenance::Syslog);
    let mut events = Vec::new();
    let packet = format!("Nov 20 21:17:01 gw kernel: DROP {RECORD}");
    log.line(packet.as_bytes(), NOW, |sighting| events.extend(sighting.event(3)));
    let event = events[0];
    assert_eq!((event.origin.sensor, event.origin.serial, event.times), (3, 1, 1));
    assert_eq!(
        (event.actor.to_string(), event.target.map(|target| target.to_string())),
        ("198.51.100.7".into(), Some("203.0.113.9".into()))
    );
    let mut seen = None;
    log.line(packet.replace("IN=eth0 OUT=", "IN= OUT=eth0").as_bytes(), NOW, |sighting| seen = Some((sighting.reading, sighting.event(3))));
    assert_eq!(seen, Some((Reading::Harmless(Harmless::Outgoing), None)));
}

#[test]
fn a_year_that_is_left_out_is_the_latest_plausible_one() {
    let at = |reference: u64, stamp: &str| {
        let reference = Time::from_secs(reference);
        let mut log = FirewallLog::new(0, Provenance::Syslog, LogClock::utc(reference), 32_768..=60_999);
        time_of(&mut log, &format!("{stamp} gw kernel: {RECORD}"), reference).as_secs()
    };
    assert_eq!(at(T0, "Nov 20 21:17:01"), T0);
    assert_eq!(at(T0, "Nov 21 21:17:00"), T0 + 86_399, "clocks may differ by a day");
    assert_eq!(at(T0, "Nov 22 21:17:01"), T0 - 363 * 86_400, "but not by two");
    assert_eq!(at(1_798_761_599, "Jan  1 00:00:10"), 1_798_761_610, "31 December 2026 → 2027");
    assert_eq!(at(1_798_761_610, "Dec 31 23:59:59"), 1_798_761_599, "and back");
    assert_eq!(at(T0, "Feb 29 12:00:00"), 1_709_208_000, "2024 was the last leap year");
    assert_eq!(at(4_133_980_800, "Feb 29 12:00:00"), 3_981_355_200, "1 January 2101: 2100 was none, so 2096");
}

#[test]
fn a_live_log_goes_on_into_the_next_year() {
    let mut log = FirewallLog::new(0, Provenance::Syslog, LogClock::utc(Time::from_secs(T0)), 32_768..=60_999);
    for (stamp, secs) in [
        ("Nov 20 21:17:01", T0),
        ("Dec 31 23:59:59", 1_798_761_599),
        ("Jan  1 00:00:00", 1_798_761_600),
        ("Jun 15 12:00:00", 1_813_060_800),
    ] {
        let now = Time::from_secs(secs);
        assert_eq!(time_of(&mut log, &format!("{stamp} gw kernel: {RECORD}"), now), now, "{stamp}");
    }
}

#[test]
fn local_stamps_are_moved_to_utc() {
    // Central Europe: summer time ended on 25 October 2026, 01:00 UTC, which is 02:00 by the winter clock.
    let clock = LogClock { utc_offset: Box::new(|local| if local < 1_792_893_600 { 7_200 } else { 3_600 }), ..LogClock::utc(NOW) };
    let mut log = FirewallLog::new(0, Provenance::Syslog, clock, 32_768..=60_999);
    for (stamp, secs) in [
        ("Nov 20 22:17:01", T0),
        ("Oct 20 12:00:00", 1_792_490_400),
        ("2026-11-20T22:17:01", T0),
        ("2026-11-20T21:17:01Z", T0),
        ("2026-11-20T16:17:01-05:00", T0),
        ("Fri 2026-11-20 22:17:01 CET", T0),
        ("Fri 2026-11-20 21:17:02 UTC", T0 + 1),
        ("Fri Nov 20 22:17:01 2026", T0),
    ] {
        assert_eq!(time_of(&mut log, &format!("{stamp} gw kernel: {RECORD}"), NOW).as_secs(), secs, "{stamp}");
    }
}

#[test]
fn impossible_stamps_are_no_head() {
    for stamp in [
        "Nov 31 21:17:01",
        "Nov 20 24:00:00",
        "Nov 20 21:60:01",
        "Nov 20 21:17:61",
        "Feb 30 00:00:00",
        "2025-02-29T00:00:00Z",
        "Nov 0 21:17:01",
        "2026-13-01T00:00:00",
        "Nov 20 21:17",
        "99999999999999999999.1",
    ] {
        assert_eq!(kind(&mut log(Provenance::Syslog), &format!("{stamp} gw kernel: {RECORD}")), LineKind::Ignored, "{stamp}");
    }
}

/// Real lines to start from.
fn real() -> impl Strategy<Value = String> {
    let heads = [
        "Nov 20 21:17:01 gw kernel: [1.5] DROP ",
        "<4>1 2026-11-20T21:17:01Z gw kernel - - [a b=\"c\"] DROP ",
        "[86400.5] DROP ",
        "4,1,5,-;DROP ",
        "",
    ];
    let bodies = [
        RECORD,
        "IN=eth0 OUT= SRC=2001:db8::7 DST=2001:db8::9 LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( FRAG:0 INCOMPLETE ID:0000abcd ) PROTO=UDP SPT=1 DPT=2 LEN=60 ",
        "IN=eth0 OUT= SRC=198.51.100.7 DST=203.0.113.9 LEN=56 TTL=64 ID=9 PROTO=ICMP TYPE=3 CODE=4 [SRC=1.2.3.4 DST=5.6.7.8 [x] ] MTU=1400 ",
        "Packet log: input DENY eth0 PROTO=6 198.51.100.7:1234 203.0.113.9:80 L=60 S=0x00 I=1234 F=0x4000 T=64 SYN (#3)",
        "ipfw: 100 Deny UDP [2001:db8::7]:1 [2001:db8::9]:80 (frag 1234:1480@0+) in via em0",
        "message repeated 5 times: [ DROP IN=eth0 OUT= SRC=1.2.3.4 DST=5.6.7.8 PROTO=47 ]",
    ];
    let others = [
        "2026-11-20 21:17:01.5 rule 5/0(match): block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [S], seq 1, win 1024, options [mss 1460], length 0",
        "rule 5/(match) [uid 0, pid 42] block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: S 123:123(0) win 512 <mss 1460>",
        "Nov 20 21:17:01 gw filterlog[123]: 5,,,1,em0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,198.51.100.7,203.0.113.9,4,80,0,S,1,,64240,,mss;sackOK",
        "Nov 20 21:17:01 gw last message repeated 3 times",
    ];
    let whole =
        (prop::sample::select(heads.to_vec()), prop::sample::select(bodies.to_vec())).prop_map(|(head, body)| format!("{head}{body}"));
    prop_oneof![3 => whole, 1 => prop::sample::select(others.to_vec()).prop_map(str::to_owned)]
}

#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Splice(prop::sample::Index, String),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b" =:[]()<>,.0123456789-".to_vec())];
    let edit = prop_oneof![
        (any::<prop::sample::Index>(), byte.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<prop::sample::Index>(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        (any::<prop::sample::Index>(), 1..20_u8).prop_map(|(at, length)| Edit::Remove(at, length)),
        any::<prop::sample::Index>().prop_map(Edit::Cut),
        (any::<prop::sample::Index>(), real()).prop_map(|(at, text)| Edit::Splice(at, text)),
    ];
    prop::collection::vec(edit, 0..6)
}

fn apply(line: &mut Vec<u8>, edit: &Edit) {
    let place = |at: &prop::sample::Index, line: &[u8]| at.index(line.len() + 1);
    match edit {
        Edit::Set(at, byte) => {
            let at = place(at, line);
            if let Some(place) = line.get_mut(at) {
                *place = *byte;
            }
        }
        Edit::Insert(at, byte) => line.insert(place(at, line), *byte),
        Edit::Remove(at, length) => {
            let at = place(at, line);
            line.drain(at..(at + usize::from(*length)).min(line.len()));
        }
        Edit::Cut(at) => line.truncate(place(at, line)),
        Edit::Splice(at, text) => {
            let at = place(at, line);
            line.splice(at..at, text.bytes());
        }
    }
}

/// Reads a line under every provenance, and checks what holds for each.
fn read_everywhere(line: &[u8]) {
    for provenance in [Provenance::Syslog, Provenance::Kernel, Provenance::Journal] {
        let mut log = log(provenance);
        for _ in 0..2 {
            let mut seen = 0;
            let kind = log.line(line, NOW, |sighting| {
                seen += 1;
                assert!(sighting.times > 0);
                assert_eq!(sighting.facts.source, sighting.facts.source.to_canonical());
                assert_eq!(sighting.facts.source.is_ipv4(), sighting.facts.target.is_ipv4());
            });
            assert_eq!(kind == LineKind::Packets(seen), seen > 0);
        }
        assert_eq!(log.counters().lines, 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_bring_nothing_down(line in prop::collection::vec(any::<u8>(), 0..400)) {
        read_everywhere(&line);
    }

    #[test]
    fn damaged_lines_bring_nothing_down(line in real(), edits in edits()) {
        let mut line = line.into_bytes();
        edits.iter().for_each(|edit| apply(&mut line, edit));
        read_everywhere(&line);
    }

    #[test]
    fn no_text_of_another_program_is_a_packet(
        host in "[a-z:.\\[\\]0-9]{0,12}", program in "[a-zA-Z:./-]{1,12}", process in 0..99_999_u32,
        lead in prop::sample::select(vec!["", "kernel: ", "kern.warn kernel: ", "gw kernel: ", "[1.5] ", "<4>", "filterlog: ", "last message "]),
        text in ".{0,20}", line in real(), edits in edits(),
    ) {
        prop_assume!(!["kernel", "filterlog", "pf", "pflog", "pflogd"].contains(&program.split(':').next().unwrap_or_default()));
        let mut text = format!("{lead}{text}{line}").into_bytes();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        let line = [format!("Nov 20 21:17:01 {host} {program}[{process}]: ").as_bytes(), &text].concat();
        for provenance in [Provenance::Syslog, Provenance::Kernel, Provenance::Journal] {
            prop_assert_eq!(log(provenance).line(&line, NOW, |_| {}), LineKind::Ignored);
        }
    }
}
