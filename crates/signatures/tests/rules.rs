//! Rules in, and which packets fit them.

use model::event::TcpFlags;
use model::net::Protocol;
use proptest::prelude::*;
use signatures::header::{Header, IpOptions};
use signatures::level::Level;
use signatures::tables::IcmpTypes;
use signatures::{Problem, Set, Sources};
use std::collections::BTreeMap;
use std::net::IpAddr;

const S: u8 = TcpFlags::SYN;
const A: u8 = TcpFlags::ACK;
const F: u8 = TcpFlags::FIN;
const P: u8 = TcpFlags::PSH;
const U: u8 = TcpFlags::URG;
const R: u8 = TcpFlags::RST;

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn packet(protocol: Protocol) -> Header {
    Header {
        source: addr("198.51.100.7"),
        target: addr("192.0.2.1"),
        protocol,
        source_port: None,
        port: None,
        flags: None,
        icmp: None,
        echo: None,
        length: None,
        extension_headers: 0,
        ttl: None,
        ip_id: None,
        service: None,
        fragment_bits: None,
        ip_options: None,
        window: None,
        sequence: None,
        acknowledgment: None,
        payload: None,
    }
}

fn tcp(from: u16, to: u16, flags: u8) -> Header {
    Header { source_port: Some(from), port: Some(to), flags: Some(TcpFlags(flags)), ..packet(Protocol::TCP) }
}

fn udp(from: u16, to: u16) -> Header {
    Header { source_port: Some(from), port: Some(to), ..packet(Protocol::UDP) }
}

fn icmp(kind: u8, code: u8) -> Header {
    Header { icmp: Some((kind, code)), ..packet(Protocol::ICMP) }
}

fn load(text: &str) -> Result<Set, Vec<Problem>> {
    Set::load(&Sources { files: vec![("own.rules".into(), text.into())], ..Sources::default() })
}

fn set(text: &str) -> Set {
    load(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn sids(set: &Set, header: &Header) -> Vec<u32> {
    let mut sids = Vec::new();
    set.look(header, None, |hit| sids.push(hit.sid));
    sids
}

/// One rule with these options over TCP.
fn fits(options: &str, header: &Header) -> bool {
    let protocol = match header.protocol {
        Protocol::TCP => "tcp",
        Protocol::UDP => "udp",
        Protocol::ICMP => "icmp",
        _ => "ip",
    };
    let rule = format!("alert {protocol} any any -> any any (msg:\"x\"; {options}; sid:1;)");
    !sids(&set(&rule), header).is_empty()
}

#[test]
fn flags_mean_what_snort_says_and_a_null_scan_has_none() {
    let table: [(&str, &[u8], &[u8]); 12] = [
        ("flags:S", &[S], &[S | A, 0, S | TcpFlags::ECE]),
        ("flags:0", &[0], &[S, F, A]),
        ("flags:N", &[0], &[S]),
        ("flags:F", &[F], &[F | A, 0]),
        ("flags:FPU", &[F | P | U], &[F, F | P]),
        ("flags:SRAFPU", &[S | R | A | F | P | U], &[S]),
        ("flags:A+", &[A, A | P], &[S]),
        ("flags:+A", &[A | F], &[S]),
        ("flags:*SF", &[S, F, S | A], &[A]),
        ("flags:!A", &[S, 0], &[A, S | A]),
        ("flags:S,12", &[S, S | TcpFlags::ECE, S | TcpFlags::CWR | TcpFlags::ECE], &[S | A]),
        ("flags:SE,C", &[S | TcpFlags::ECE, S | TcpFlags::ECE | TcpFlags::CWR], &[S]),
    ];
    for (options, has, has_not) in table {
        has.iter().for_each(|flags| assert!(fits(options, &tcp(1, 2, *flags)), "{options} fits {flags:#x}"));
        has_not.iter().for_each(|flags| assert!(!fits(options, &tcp(1, 2, *flags)), "{options} fits no {flags:#x}"));
        assert!(!fits(options, &Header { flags: None, ..tcp(1, 2, 0) }), "{options} fits no unknown flags");
    }
}

#[test]
fn every_keyword_holds_and_fails() {
    let syn = tcp(40_000, 22, S);
    let ping = Header { echo: Some((666, 0)), ttl: Some(64), payload: Some((0, 0)), length: Some(28), ..icmp(8, 0) };
    let routed = Header { ip_options: Some(IpOptions::of(&[131, 3, 4, 0])), ..packet(Protocol::ICMP) };
    let table: [(&str, Header, Header); 23] = [
        ("ttl:>200", Header { ttl: Some(201), ..syn }, Header { ttl: Some(200), ..syn }),
        ("ttl:0", Header { ttl: Some(0), ..syn }, syn),
        ("id:39426", Header { ip_id: Some(39_426), ..syn }, syn),
        ("window:55808", Header { window: Some(55_808), ..syn }, Header { window: Some(1), ..syn }),
        ("seq:6060842", Header { sequence: Some(6_060_842), ..syn }, Header { sequence: Some(0), ..syn }),
        ("ack:0", Header { acknowledgment: Some(0), ..syn }, syn),
        ("tos:4", Header { service: Some(4), ..syn }, Header { service: Some(0), ..syn }),
        ("psad_ip_len:404", Header { length: Some(404), ..udp(1, 1434) }, Header { length: Some(405), ..udp(1, 1434) }),
        ("psad_dsize:>20", Header { payload: Some((21, 60)), ..syn }, Header { payload: Some((0, 40)), ..syn }),
        ("dsize:0", ping, Header { payload: Some((8, 8)), ..ping }),
        ("dsize:300<>400", Header { payload: Some((301, 399)), ..syn }, Header { payload: Some((300, 300)), ..syn }),
        ("itype:8", ping, icmp(0, 0)),
        ("itype:>12", icmp(13, 0), icmp(12, 0)),
        ("itype:3; icode:>0", icmp(3, 1), icmp(3, 0)),
        ("icmp_id:666; icmp_seq:0", ping, Header { echo: Some((666, 1)), ..ping }),
        ("riposte_ext_headers:>6", Header { extension_headers: 7, ..syn }, syn),
        ("ipopts:lsrr", routed, ping),
        ("ipopts:any", routed, Header { ip_options: Some(IpOptions::default()), ..ping }),
        ("ip_proto:!6", packet(Protocol::GRE), Header { protocol: Protocol::TCP, ..packet(Protocol::GRE) }),
        ("ip_proto:gre", packet(Protocol::GRE), packet(Protocol::ESP)),
        ("sameip", Header { target: syn.source, ..syn }, syn),
        ("fragbits:M", Header { fragment_bits: Some(1), ..syn }, Header { fragment_bits: Some(3), ..syn }),
        ("fragbits:D+", Header { fragment_bits: Some(3), ..syn }, Header { fragment_bits: Some(1), ..syn }),
    ];
    for (options, hit, miss) in table {
        assert!(fits(options, &hit), "{options}: {hit:?}");
        assert!(!fits(options, &miss), "{options}: {miss:?}");
    }
    assert!(fits("flow:established", &tcp(1, 2, A | P)) && !fits("flow:established", &syn));
}

#[test]
fn what_a_source_does_not_tell_is_no_match() {
    for options in ["ttl:<5", "id:!7", "window:0", "seq:0", "ack:!0", "tos:!3", "dsize:0", "psad_ip_len:<9", "ipopts:any", "fragbits:!M"] {
        assert!(!fits(options, &tcp(1, 2, S)), "{options}");
    }
    // An IPv6 packet has no identification; rules about its other headers still fit it.
    let v6 = Header { source: addr("2001:db8::7"), target: addr("2001:db8::1"), ttl: Some(255), ..tcp(1, 22, S) };
    assert!(fits("flags:S; ttl:>200", &v6) && !fits("flags:S; id:0", &v6));
}

#[test]
fn both_directions_of_a_two_way_rule_and_the_ends_of_an_arrow() {
    let two_way = set("alert tcp any 12345 <> any any (msg:\"x\"; sid:1;)\nalert udp 192.0.2.0/24 any <> any 53 (msg:\"y\"; sid:2;)");
    assert_eq!(sids(&two_way, &tcp(12_345, 80, S)), [1]);
    assert_eq!(sids(&two_way, &tcp(80, 12_345, S)), [1]);
    assert_eq!(sids(&two_way, &tcp(12_345, 12_345, S)), [1], "told once");
    assert_eq!(sids(&two_way, &tcp(1, 2, S)), [0; 0]);
    assert_eq!(sids(&two_way, &udp(53, 9)), [2]);
    assert_eq!(sids(&two_way, &udp(9, 53)), [0; 0], "the address belongs to the other end");
    let back = set("alert tcp any 80 <- any 7 (msg:\"x\"; sid:1;)");
    assert_eq!(sids(&back, &tcp(7, 80, S)), [1]);
    assert_eq!(sids(&back, &tcp(80, 7, S)), [0; 0]);
}

#[test]
fn only_rules_about_its_protocol_ports_and_addresses_fit_a_packet() {
    let all = set("var HOME_NET 192.0.2.0/24\nportvar WEB [80,8000:8010]\n\
        alert tcp !$HOME_NET any -> $HOME_NET $WEB (msg:\"web\"; flags:S; sid:1;)\n\
        alert udp any 1024: -> any 1434 (msg:\"udp\"; sid:2;)\n\
        alert ip any any -> 192.0.2.1 any (msg:\"ip\"; sid:3;)\n\
        alert icmp any any -> any any (msg:\"icmp\"; itype:8; sid:4;)\n\
        alert tcp any 0 -> any any (msg:\"port 0\"; sid:5;)\n\
        alert tcp any any -> any 0 (msg:\"port 0\"; sid:6;)\n\
        alert icmpv6 any any -> any any (msg:\"icmpv6\"; itype:128; sid:7;)\n\
        alert 47 any any -> any any (msg:\"gre\"; sid:8;)\n");
    assert_eq!(all.len(), 8);
    assert_eq!(sids(&all, &tcp(40_000, 8_005, S)), [3, 1]);
    assert_eq!(sids(&all, &tcp(40_000, 8_011, S)), [3]);
    assert_eq!(sids(&all, &Header { target: addr("203.0.113.1"), ..tcp(40_000, 80, S) }), [0; 0]);
    assert_eq!(sids(&all, &udp(1_023, 1_434)), [3]);
    assert_eq!(sids(&all, &udp(1_024, 1_434)), [3, 2]);
    assert_eq!(sids(&all, &icmp(8, 0)), [3, 4]);
    assert_eq!(sids(&all, &tcp(0, 9, S)), [3, 5]);
    assert_eq!(sids(&all, &tcp(9, 0, S)), [3, 6]);
    let v6 = Header { source: addr("2001:db8::7"), target: addr("2001:db8::1"), ..packet(Protocol::ICMPV6) };
    assert_eq!(sids(&all, &Header { icmp: Some((128, 0)), ..v6 }), [7]);
    assert_eq!(sids(&all, &Header { icmp: Some((8, 0)), ..v6 }), [0; 0], "ICMP's types are not ICMPv6's");
    assert_eq!(sids(&all, &packet(Protocol::GRE)), [3, 8]);
}

#[test]
fn levels_come_from_the_list_then_the_rule_then_its_class() {
    let rules = "config classification: mine, my own, 3\n\
        alert udp any any -> any 1 (msg:\"a\"; classtype:attempted-admin; psad_dl:3; sid:1;)\n\
        alert udp any any -> any 2 (msg:\"b\"; classtype:attempted-admin; sid:2;)\n\
        alert udp any any -> any 3 (msg:\"c\"; classtype:attempted-admin; priority:4; sid:3;)\n\
        alert udp any any -> any 4 (msg:\"d\"; classtype:never-heard-of; psad_id:4;)\n\
        alert udp any any -> any 5 (msg:\"e\"; sid:5;)\n\
        alert udp any any -> any 6 (msg:\"f\"; classtype:mine; sid:6;)\n";
    let mut sources = Sources { files: vec![("r".into(), rules.into())], ..Sources::default() };
    sources.around.levels = [(5, Level::read("4").unwrap()), (6, Level::IGNORE)].into_iter().collect();
    let set = Set::load(&sources).unwrap();
    let level = |port| {
        let mut level = None;
        let looked = set.look(&udp(9, port), None, |hit| level = hit.level.danger());
        (looked, level.map(|level| level.number()))
    };
    assert_eq!([1, 2, 3, 4, 5].map(level), [Some(3), Some(5), Some(2), Some(2), Some(4)].map(|level| (true, level)));
    assert_eq!(level(6), (false, None), "level 0: nothing to look at");
}

#[test]
fn a_rule_that_passes_a_packet_has_the_last_word() {
    let set = set("alert tcp any any -> any 22 (msg:\"x\"; sid:1;)\npass tcp 198.51.100.7 any -> any any (msg:\"friend\"; sid:2;)");
    assert_eq!(sids(&set, &tcp(1, 22, S)), [0; 0]);
    assert_eq!(sids(&set, &Header { source: addr("198.51.100.8"), ..tcp(1, 22, S) }), [1]);
}

#[test]
fn rules_that_need_more_than_headers_rest_and_are_counted() {
    let set = set("alert tcp any any -> any 80 (msg:\"a; b\"; content:\"GET \\\"/\\;\"; depth:9; sid:1;)\n\
        alert http any any -> any any (msg:\"b\"; http.uri; content:\"x\"; sid:2;)\n\
        alert tcp any any -> any 80 (msg:\"c\"; flow:to_server,established; sid:3;)\n\
        log tcp any any -> any 80 (msg:\"d\"; sid:4;)\n\
        alert tcp any any -> any 80 (msg:\"e\"; flags:S; \\\n   sid:5;)\n\
        preprocessor frag3_global: max_frags 65536\n");
    assert_eq!(set.rests().collect::<BTreeMap<_, _>>(), BTreeMap::from([("content", 1), ("http", 1), ("flow", 1), ("log", 1)]));
    assert_eq!(sids(&set, &tcp(1, 80, S)), [5]);
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_the_nearest_word() {
    let table = [
        ("alert tcp any any -> any 80 (msg:\"x\"; flgas:S; sid:1;)", "unknown keyword 'flgas'; did you mean 'flags'?"),
        ("alrt tcp any any -> any 80 (msg:\"x\"; sid:1;)", "unknown action 'alrt'; did you mean 'alert'?"),
        ("alert tpc any any -> any 80 (msg:\"x\"; sid:1;)", "unknown protocol 'tpc'; did you mean 'tcp'?"),
        ("alert tcp any any => any 80 (msg:\"x\"; sid:1;)", "is no direction"),
        ("alert tcp any any -> $HOME_NTE 80 (msg:\"x\"; sid:1;)", "no variable '$HOME_NTE'; did you mean 'HOME_NET'?"),
        ("alert tcp any any -> any 80 (msg:\"x\"; flags:X; sid:1;)", "flags: 'X' is none of"),
        ("alert tcp any any -> any 80 (msg:\"x\"; ttl:abc; sid:1;)", "ttl: 'abc' is no number or range"),
        ("alert tcp any any -> any 80 (msg:\"x\"; ipopts:lssr; sid:1;)", "did you mean 'lsrr'?"),
        ("alert tcp any any -> any 80 (msg:\"x\"; psad_dl:6; sid:1;)", "is no danger level"),
        ("alert tcp any any -> any 80 (msg:\"x\"; flow:established,to_servr; sid:1;)", "did you mean 'to_server'?"),
        ("alert tcp any any -> any 80 (msg:\"x\";)", "needs a number"),
        ("alert tcp any any -> any 80 (msg:\"x; sid:1;)", "'\"' is missing"),
        ("alert tcp any any -> any 80 (msg:\"x\"; sid:1;", "')' is missing"),
        ("alert tcp any -> any 80 (msg:\"x\"; sid:1;)", "seven words"),
        ("alert", "stand in brackets"),
        ("config classification: x", "with commas between"),
    ];
    for (rule, says) in table {
        let problems = load(&format!("# first\n\n{rule}\nalert tcp any any -> any 80 (msg:\"good\"; sid:2;)\n")).unwrap_err();
        let [problem] = &problems[..] else { panic!("{rule}: {problems:?}") };
        assert!(problem.to_string().starts_with("own.rules:3: ") && problem.message.contains(says), "{rule}: {problem}");
    }
}

#[test]
fn icmp_that_nobody_has_assigned_is_told() {
    let mut problems = Vec::new();
    let types = |text| Some(IcmpTypes::read("t", text, &mut Vec::new()));
    let sources = Sources { icmp: types("8 Echo\n    0\n1 Unassigned\n"), icmpv6: types("128 Echo\n    0\n"), ..Sources::default() };
    let set = Set::load(&sources).unwrap_or_else(|all| panic!("{:?}", problems.extend(all)));
    let told = |header: &Header| sids(&set, header).len();
    assert_eq!([icmp(8, 0), icmp(8, 1), icmp(1, 0), icmp(44, 0)].map(|header| told(&header)), [0, 1, 1, 1]);
    let v6 = |kind| Header { icmp: Some((kind, 0)), ..packet(Protocol::ICMPV6) };
    assert_eq!([v6(128), v6(8)].map(|header| told(&header)), [0, 1]);
    assert!(!set.is_empty() && Set::load(&Sources::default()).unwrap().is_empty());
}

#[test]
fn fwsnorts_prefixes_name_the_rule_that_the_kernel_matched() {
    let mut sources =
        Sources { files: vec![("r".into(), "alert tcp any any -> any 1 (msg:\"known\"; psad_dl:3; sid:7;)".into())], ..Sources::default() };
    sources.around.levels.insert(9, Level::IGNORE);
    let set = Set::load(&sources).unwrap();
    let look = |prefix: &str| {
        let mut found = Vec::new();
        let looked = set.look(&tcp(9, 80, A), signatures::prefix::fwsnort(prefix.as_bytes()), |hit| {
            found.push((hit.sid, hit.message.to_owned(), hit.level.danger().map(|level| level.number())));
        });
        (looked, found)
    };
    assert_eq!(look("SID7 ESTAB "), (true, vec![(7, "known".to_owned(), Some(3))]));
    assert_eq!(look("[1] SID8 "), (true, vec![(8, "rule of fwsnort's".to_owned(), Some(2))]));
    assert_eq!(look("SID9"), (false, vec![]));
    assert_eq!(look("DROP"), (true, vec![]));
}

/// What the index leaves out, the rules themselves leave out too.
fn check_index(set: &Set, header: &Header) {
    let expected: Vec<u32> = set
        .signatures()
        .iter()
        .filter(|signature| signature.fits(header) || signature.both && signature.fits(&header.reversed()))
        .map(|signature| signature.sid)
        .collect();
    let mut found = sids(set, header);
    found.sort_unstable();
    assert_eq!(found, expected, "{header:?}");
}

proptest! {
    #[test]
    fn the_index_finds_what_the_rules_fit(
        protocol in prop::sample::select(vec![1_u8, 6, 17, 47, 58]),
        from in prop::sample::select(vec![None, Some(0), Some(80), Some(1_024), Some(5_000)]),
        to in prop::sample::select(vec![None, Some(0), Some(22), Some(80), Some(9_000)]),
        flags in prop::option::of(any::<u8>()),
        icmp in prop::option::of((0..20_u8, 0..3_u8)),
    ) {
        let rules = "alert tcp any any -> any 80 (msg:\"a\"; flags:S; sid:1;)\nalert tcp any any -> any any (msg:\"b\"; flags:0; sid:2;)\n\
            alert tcp any 80 <> any any (msg:\"c\"; sid:3;)\nalert tcp any any -> any !80 (msg:\"d\"; flags:*SF; sid:4;)\n\
            alert udp any 1024: -> any any (msg:\"e\"; sid:5;)\nalert ip any any -> any any (msg:\"f\"; ip_proto:>17; sid:6;)\n\
            alert icmp any any -> any any (msg:\"g\"; itype:>12; sid:7;)\nalert icmp any any -> any any (msg:\"h\"; icode:1; sid:8;)\n\
            alert ip any any -> any 22 (msg:\"i\"; sid:9;)\n";
        let flags = flags.map(TcpFlags);
        check_index(&set(rules), &Header { source_port: from, port: to, flags, icmp, ..packet(Protocol(protocol)) });
    }

    #[test]
    fn no_text_makes_the_reader_stumble(text in "[ -~\\n]{0,200}", options in "[a-z_:;!<>=,.0-9\" \\\\]{0,80}", list in "[\\[\\]!$,.:0-9a-zA-Z_/]{0,40}") {
        let all = format!("{text}\nalert tcp {list} {list} -> any {list} (msg:\"x\"; {options}; sid:1;)\n");
        if let Err(problems) = load(&all) {
            prop_assert!(!problems.is_empty() && problems.iter().all(|problem| problem.line > 0 && problem.line <= all.lines().count()));
        }
    }
}
