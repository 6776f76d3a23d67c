//! Pictures are whole, bounded, and always in the same order.

use super::*;
use crate::offender::{Sample, SignatureLine};
use crate::replay::TopSignature;
use crate::serial::{Stamp, Whom};
use crate::system::SystemLine;
use model::event::Trust;
use model::level::DangerLevel;
use model::style::Style;
use model::time::Time;
use proptest::prelude::*;

/// Noon of the first of March 2026.
const NOON: u64 = 1_772_366_400;

pub(crate) fn source(address: &str, level: u8, packets: u64, word: &str) -> OffenderLine {
    let counted = |what: &str, count| Counted { what: what.into(), count };
    let ports = Ports { tcp: vec![(1, 1_024), (8_080, 8_080)], udp: vec![(53, 53)] };
    OffenderLine {
        address: Whom(address.parse().unwrap()),
        level: DangerLevel::new(level).unwrap(),
        styles: [Style::Syn, Style::Udp].into_iter().collect(),
        targets: 3,
        packets,
        ports: ports.clone(),
        protocols: 2,
        signatures: vec![SignatureLine { sid: 7, message: word.into(), count: 9 }],
        systems: vec![SystemLine { name: word.into(), kind: "system".into(), hops: Some(3) }],
        first: Stamp(Time::from_secs(NOON)),
        last: Stamp(Time::from_secs(NOON + 60)),
        trust: Trust::Spoofable,
        decision: Verdict::none(word),
        detail: Some(Box::new(Detail {
            flags: vec![counted("SYN", 500), counted("none", 2)],
            icmp: vec![counted("icmp 8/0", 1)],
            ways: vec![WayLine {
                chain: "input".into(),
                interface: word.into(),
                prefix: word.into(),
                protocol: "tcp".into(),
                packets: 502,
            }],
            aims: vec![AimLine { address: Whom("203.0.113.1".parse().unwrap()), packets: 502, ports }],
            samples: vec![Sample { at: Stamp(Time::from_secs(NOON)), udp: false, port: 22 }],
        })),
    }
}

pub(crate) fn picture(word: &str) -> Picture {
    let mut sources = vec![source("198.51.100.7", 3, 502, word), source("192.0.2.9", 1, 9, word), source("2001:db8::/64", 3, 502, word)];
    sort(&mut sources);
    let mut ports = PortSources::default();
    sources.iter().for_each(|line| ports.count(&line.ports));
    let mut timeline = Timeline::default();
    (0..100).for_each(|n| timeline.count(Time::from_secs(NOON + n * 60), Some((n as u16, n % 3 == 0)), 1));
    Picture {
        title: format!("replay of {word}"),
        heads: vec![("lines".into(), "600".into()), (word.into(), word.into())],
        tops: Tops {
            levels: sources.iter().fold([0; 5], add),
            top_ports: ports.tops(None, 3),
            prefixes: most_frequent([(word.to_owned(), 1), ("B".into(), 5), ("A".into(), 5)], 9),
            protocols: most_frequent([("tcp".into(), 1_000), ("udp".into(), 0)], 9),
        },
        signatures: vec![TopSignature { signature: SignatureLine { sid: 7, message: word.into(), count: 27 }, sources: 3 }],
        sources_in_all: 4,
        sources,
        blocks: None,
        timeline: Some((timeline, "packet")),
    }
}

#[test]
fn the_whole_picture_as_text() {
    let picture = picture("DROP");
    let text = picture.tops.levels_text() + &picture.tops_text(Room::Terminal) + &picture.sources_text();
    assert_eq!(
        text.split_inclusive("decision    none: DROP\n").next().unwrap(),
        "\
Level 1: 1 source, level 3: 2 sources.

ATTACKER       LEVEL  PACKETS  TARGETS  SIGNATURES  LAST SEEN             DECISION
198.51.100.7       3      502        3           1  2026-03-01 12:01:00Z  none: DROP
2001:db8::/64      3      502        3           1  2026-03-01 12:01:00Z  none: DROP
192.0.2.9          1        9        3           1  2026-03-01 12:01:00Z  none: DROP
and 1 other source (--top N shows more)

PORT   SOURCES  PACKETS
tcp 1        3        -
tcp 2        3        -
tcp 3        3        -

LOG PREFIX  PACKETS
A                 5
B                 5
DROP              1

PROTOCOL  PACKETS
tcp         1,000

198.51.100.7, level 3
  seen        2026-03-01 12:00:00Z to 2026-03-01 12:01:00Z
  packets     502 to 3 targets
  styles      syn, udp
  TCP ports   1-1024, 8080
  UDP ports   53
  TCP flags   SYN 500 (nmap -sT or -sS), none 2 (nmap -sN)
  ICMP        icmp 8/0 1
  systems     DROP, 3 hops away
  signatures  DROP (7, 9 times)
  evidence    spoofable
  decision    none: DROP
"
    );
    assert!(text.contains("  way         input DROP \"DROP\" tcp: 502 packets\n  target      203.0.113.1: 502 packets, tcp 1-1024, 8080, udp 53\n              and 2 other targets\n"), "{text}");
}

#[test]
fn ports_are_counted_by_ranges() {
    let mut ports = PortSources::default();
    ports.count(&Ports { tcp: vec![(0, 65_535)], udp: vec![(65_535, 65_535)] });
    ports.count(&Ports { tcp: vec![(22, 23)], udp: Vec::new() });
    let line = |protocol: &str, port, sources, packets| PortLine { protocol: protocol.into(), port, sources, packets };
    assert_eq!(ports.tops(None, 3), [line("tcp", 22, 2, None), line("tcp", 23, 2, None), line("tcp", 0, 1, None)]);
    let mut packets = [vec![0; 65_536], vec![0; 65_536]];
    (packets[1][65_535], packets[1][53], packets[0][22]) = (7, 7, 1);
    // By packets; the one that nobody charged has tried is there, too.
    assert_eq!(ports.tops(Some(&packets), 9), [line("udp", 65_535, 1, Some(7)), line("udp", 53, 0, Some(7)), line("tcp", 22, 2, Some(1))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_remote_text_reaches_a_terminal(word in "\\PC{0,70}|[\\x00-\\x7f\u{9b}\u{202e}]{0,70}") {
        let picture = picture(&word);
        let text = picture.tops_text(Room::Endless) + &picture.sources_text();
        let harms = text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
        prop_assert!(!harms);
    }
}
