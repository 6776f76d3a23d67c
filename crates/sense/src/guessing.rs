//! Whose packet a SYN is: asks the fingerprints, and remembers of each source what was asked already, so that most packets cost a look into a
//! small table. Never evidence: who writes his own packets writes any system's.

use crate::facts::{Facts, Fragment, TcpOptions};
use crate::firewall::details;
use fingerprint::posf::{Course, Line};
use fingerprint::{Fingerprints, Guess, Sureness, Syn};
use model::event::{Guessed, Maker, RuleId, TcpFlags};
use model::hash::{Key, Seed};
use model::limits;
use model::net::{Hops, Protocol};
use model::style::Style;
use std::net::{IpAddr, Ipv6Addr};

/// Places that a source can be in: a cache line's worth of marks.
const GROUP: usize = 8;
/// Kinds of packets of one source that are remembered, the latest ones.
const FORMS: usize = 4;
/// The part of a mark that is the source's; the rest is the packet's.
const TAG: u64 = 0xffff_ffff_0000_0000;
/// TCP's header has room for so many bytes of options.
const OPTION_BYTES: usize = 40;

/// What only a guess looks at, as it stands where the packet was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details<'p> {
    /// Nothing is known.
    Unknown,
    /// The fields of a log record of Linux'.
    Logged(&'p [u8]),
    /// The packet itself.
    Seen(Rest<'p>),
}

/// What a SYN has beside its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rest<'p> {
    /// TCP's options; `None` if nobody knows them.
    pub options: Option<&'p [u8]>,
    /// TCP's urgent pointer.
    pub urgent: Option<u16>,
    /// Whether IPv6's flow label is set.
    pub flow: bool,
    /// Whether one of TCP's reserved bits is set.
    pub reserved: bool,
}

/// The fingerprints at work, and whom they were asked about.
#[derive(Debug)]
pub struct Guesser {
    fingerprints: Fingerprints,
    course_length: u8,
    seed: Seed,
    /// Of each place its source and the latest kind of packet, in one word: apart and small, so that a group is searched at once.
    marks: Vec<u64>,
    places: Vec<Place>,
    /// Where in its group the next newcomer goes.
    turn: usize,
    guesses: u64,
}

/// What is remembered of one source.
#[derive(Debug, Clone)]
struct Place {
    source: Key,
    forms: [u64; FORMS],
    told: [Option<RuleId>; limits::SYSTEMS_OF_SOURCE],
    looks: u8,
    course: Option<Course>,
}

impl Guesser {
    /// With these fingerprints. `seed` keys the table's hash function and is to be kept secret.
    pub fn new(fingerprints: Fingerprints, seed: u64) -> Guesser {
        let course_length = fingerprints.course_length();
        Guesser { fingerprints, course_length, seed: Seed::new(seed), marks: Vec::new(), places: Vec::new(), turn: 0, guesses: 0 }
    }

    /// How often the fingerprints were asked.
    pub fn guesses(&self) -> u64 {
        self.guesses
    }

    /// Whose this is, if that is news; `number` gives a name its number, if there is room for one.
    #[inline]
    pub fn look(
        &mut self,
        facts: &Facts,
        style: Option<Style>,
        details: &Details<'_>,
        number: impl FnOnce(&str) -> Option<RuleId>,
    ) -> Option<Guessed> {
        if facts.protocol != Protocol::TCP || !facts.flags.is_some_and(TcpFlags::is_first) || facts.fragment == Fragment::Later {
            return None;
        }
        let key = Key::from(facts.source);
        let hash = self.seed.address(key);
        let (tag, form) = (hash & TAG, self.seed.join(hash, form(facts)) & !TAG);
        let first = hash as usize % (limits::GUESSED_AT / GROUP) * GROUP;
        let group = self.marks.get(first..first + GROUP);
        if group.is_some_and(|group| group.contains(&(tag | form))) {
            return None;
        }
        let at = self.place(key, tag, first);
        self.ask(facts, style, details, (at, tag, form), number)
    }

    /// The place of a source in its group.
    #[cold]
    fn place(&mut self, source: Key, tag: u64, first: usize) -> usize {
        let empty = Place { source, forms: [0; FORMS], told: [None; limits::SYSTEMS_OF_SOURCE], looks: 0, course: None };
        if self.places.is_empty() {
            let nobody = Key::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            self.places = vec![Place { source: nobody, ..empty.clone() }; limits::GUESSED_AT];
            self.marks = vec![0; limits::GUESSED_AT];
        }
        let marks = self.marks.get(first..first + GROUP).unwrap_or_default();
        let tagged = marks.iter().enumerate().filter(|(_, mark)| **mark & TAG == tag).map(|(at, _)| first + at);
        if let Some(at) = tagged.into_iter().find(|at| self.places.get(*at).is_some_and(|place| place.source == source)) {
            return at;
        }
        let free = marks.iter().position(|mark| *mark == 0);
        let at = first + free.unwrap_or(self.turn % GROUP);
        self.turn = self.turn.wrapping_add(usize::from(free.is_none()));
        if let (Some(place), Some(mark)) = (self.places.get_mut(at), self.marks.get_mut(at)) {
            (*place, *mark) = (empty, tag);
        }
        at
    }

    /// Asks the fingerprints, unless they were asked about such a packet of this source.
    fn ask(
        &mut self,
        facts: &Facts,
        style: Option<Style>,
        details: &Details<'_>,
        (at, tag, form): (usize, u64, u64),
        number: impl FnOnce(&str) -> Option<RuleId>,
    ) -> Option<Guessed> {
        let Guesser { fingerprints, marks, places, guesses, course_length, .. } = self;
        let place = places.get_mut(at)?;
        // Of a source of which nothing is known yet, each packet without options counts.
        let is_open = place.told.iter().all(Option::is_none) && place.course.is_none_or(|course| course.packets() < *course_length);
        let line = line(facts).filter(|_| is_open && *course_length > 0);
        *marks.get_mut(at)? = if line.is_some() { tag } else { tag | form };
        let is_known = place.forms.contains(&form) || place.looks >= limits::GUESSES;
        if is_known && line.is_none() {
            return None;
        }
        *guesses += 1;
        let mut bytes = [0; OPTION_BYTES];
        let guess = if is_known {
            None
        } else {
            place.forms.rotate_right(1);
            place.forms[0] = form;
            place.looks += 1;
            own_mark(style).or_else(|| fingerprints.guess(&syn(facts, details, &mut bytes)?))
        };
        let guess = guess.or_else(|| {
            let line = line?;
            let course = place.course.map_or(Course::new(line), |course| course.and(line));
            place.course = Some(course);
            fingerprints.guess_course(&course)
        })?;
        let name = number(guess.name())?;
        let free = place.told.iter_mut().find(|told| told.is_none_or(|told| told == name))?;
        free.replace(name).is_none().then(|| guessed(&guess, name))
    }
}

/// The scanners that one packet's style tells by more than its headers alone.
fn own_mark(style: Option<Style>) -> Option<Guess<'static>> {
    match style? {
        Style::Masscan => Some(Guess::Scanner("masscan")),
        Style::Mirai => Some(Guess::Scanner("Mirai")),
        Style::Topera => Some(Guess::Scanner("Topera")),
        _ => None,
    }
}

fn guessed(guess: &Guess<'_>, name: RuleId) -> Guessed {
    let (kind, hops) = match *guess {
        Guess::Scanner(_) => (Maker::Scanner, None),
        Guess::System { sureness: Sureness::Exactly, hops, .. } => (Maker::System, Some(Hops(hops))),
        Guess::System { sureness: Sureness::Roughly, hops, .. } => (Maker::PerhapsSystem, Some(Hops(hops))),
    };
    Guessed { name, kind, hops }
}

/// What packets of one sender have in common, as one number: nothing that changes from packet to packet.
fn form(facts: &Facts) -> u64 {
    let ttl = u64::from(facts.ttl.unwrap_or(0).saturating_sub(1) >> 5);
    let id = match facts.ip_id {
        Some(0) => 1,
        // zmap's.
        Some(54_321) => 2,
        _ => 0,
    };
    let flags = facts.flags.map_or(0, |flags| flags.0);
    u64::from(facts.window.unwrap_or(0))
        | u64::from(facts.length.unwrap_or(0) as u16) << 16
        | ttl << 32
        | u64::from(facts.fragment_bits.unwrap_or(0)) << 35
        | u64::from(flags) << 38
        | id << 46
        | u64::from(facts.sequence == Some(0)) << 48
}

/// A SYN of whose options nobody knows, as psad's method looks at it.
fn line(facts: &Facts) -> Option<Line> {
    let Facts { length: Some(length), ttl: Some(ttl), ip_id: Some(ip_id), window: Some(window), .. } = *facts else { return None };
    (facts.options == TcpOptions::Unknown).then_some(Line { length, ttl, ip_id, window })
}

/// A SYN as the fingerprints look at it. `bytes` has room for its options, if they have to be read from digits.
fn syn<'p>(facts: &Facts, details: &Details<'p>, bytes: &'p mut [u8; OPTION_BYTES]) -> Option<Syn<'p>> {
    let Rest { options, urgent, flow, reserved } = match details {
        Details::Unknown => return None,
        Details::Logged(fields) => details::read(fields, bytes),
        Details::Seen(rest) => *rest,
    };
    let is_v6 = facts.source.is_ipv6();
    let is_bare = facts.payload() == Some((0, 0));
    Some(Syn {
        is_v6,
        ttl: facts.ttl?,
        length: facts.length?,
        ip_options: match facts.ip_options {
            Some(options) => u16::from(options.bytes()),
            // As long as they are at least.
            None => u16::from(facts.extension_headers) * 8,
        },
        dont_fragment: facts.fragment_bits.map(|bits| bits & 2 != 0),
        ip_id: facts.ip_id,
        flow,
        reserved: reserved || facts.fragment_bits.is_some_and(|bits| bits & 4 != 0),
        ecn: facts.service.is_some_and(|service| service & 3 != 0),
        flags: facts.flags?,
        window: facts.window?,
        options: options.or(is_bare.then_some(&[])),
        sequence: facts.sequence,
        acknowledgment: facts.acknowledgment,
        urgent,
        data: facts.payload().is_some_and(|(least, _)| least > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::{FirewallLog, LineKind, LogClock, Provenance};
    use model::time::Time;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A guesser with riposte's own fingerprints and one of psad's form, and a log that it looks at.
    struct Bench {
        guesser: Guesser,
        log: FirewallLog,
        numbers: BTreeMap<String, RuleId>,
    }

    impl Bench {
        fn new() -> Bench {
            let mut fingerprints = Fingerprints::default();
            assert_eq!(fingerprints.add_posf("OS Old System;\nNUMPKTS 3;\nLEN 60;\nTTL 64;\nID SMALLINCR;\nWINDOW 5840;\n"), []);
            fingerprints.add_own();
            let clock = LogClock { utc_offset: Box::new(|_| 0), reference: Time::from_secs(1_700_000_000), boot: None };
            let log = FirewallLog::new(0, Provenance::Kernel, clock, 32_768..=60_999);
            Bench { guesser: Guesser::new(fingerprints, 7), log, numbers: BTreeMap::new() }
        }

        /// What a line tells anew.
        fn line(&mut self, line: &str) -> Option<String> {
            let Bench { guesser, log, numbers } = self;
            let mut found = None;
            let kind = log.line(line.as_bytes(), Time::EPOCH, |sighting| {
                let next = RuleId(numbers.len() as u16);
                found = guesser.look(sighting.facts, None, &sighting.details, |name| Some(*numbers.entry(name.into()).or_insert(next)));
            });
            assert_eq!(kind, LineKind::Packets(1), "{line}");
            let guessed = found?;
            let (name, _) = self.numbers.iter().find(|(_, number)| **number == guessed.name)?;
            let hops = guessed.hops.map_or_else(String::new, |hops| format!(" {hops}"));
            Some(format!("{} {name}{hops}", guessed.kind.word()))
        }
    }

    const LINUX: &str = "OPT (020405B40402080AE3F3A0000000000001030307)";

    fn v4(source: &str, length: u32, ttl: u8, id: u16, window: u16, behind: &str) -> String {
        let df = if behind.contains("0402") { "DF " } else { "" };
        format!(
            "IN=eth0 OUT= SRC={source} DST=192.0.2.1 LEN={length} TOS=0x00 PREC=0x00 TTL={ttl} ID={id} {df}PROTO=TCP SPT=40000 DPT=81 WINDOW={window} RES=0x00 SYN URGP=0 {behind}"
        )
    }

    #[test]
    fn a_source_is_asked_about_once_and_again_when_it_changes() {
        let mut bench = Bench::new();
        let linux = v4("198.51.100.7", 60, 57, 4_711, 64_240, LINUX);
        assert_eq!(bench.line(&linux).as_deref(), Some("system Linux 4.19 and newer 7 hops away"));
        for id in 1..100 {
            assert_eq!(bench.line(&v4("198.51.100.7", 60, 57, id, 64_240, LINUX)), None);
        }
        assert_eq!(bench.guesser.guesses(), 1);
        let nmap = v4("198.51.100.7", 44, 45, 99, 1_024, "OPT (020405B4)");
        assert_eq!(bench.line(&nmap).as_deref(), Some("scanner nmap -sS"));
        assert_eq!((bench.line(&nmap), bench.line(&linux), bench.guesser.guesses()), (None, None, 2));
        assert!(bench.line(&linux.replace(".7 ", ".8 ")).is_some(), "another source");
        // Thousands are remembered beside each other.
        let crowd: Vec<String> = (0..5_000).map(|n| v4(&format!("10.9.{}.{}", n / 256, n % 256), 60, 57, 1, 64_240, LINUX)).collect();
        let told = (0..2).flat_map(|_| &crowd).filter(|line| bench.line(line).is_some()).count();
        assert_eq!((told, bench.guesser.guesses()), (5_000, 5_003));
        let ack = linux.replace("SYN", "ACK").replace(".7 ", ".9 ");
        assert_eq!((bench.line(&ack), bench.guesser.guesses()), (None, 5_003));
    }

    #[test]
    fn ipv6_with_its_flow_label_and_what_is_not_logged() {
        let mut bench = Bench::new();
        let v6 = "IN=eth0 OUT= SRC=2001:db8::7 DST=2001:db8::1 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=7 PROTO=TCP SPT=4 DPT=81 WINDOW=64800 RES=0x00 SYN URGP=0 OPT (020405A00402080AE3F3A0000000000001030307)";
        assert_eq!(bench.line(v6).as_deref(), Some("system Linux 4.19 and newer 0 hops away"));
        // Without --log-tcp-options nobody knows, but for packets that have room for none or one.
        assert_eq!(bench.line(&v4("198.51.100.8", 60, 57, 1, 64_240, "")), None);
        assert_eq!(bench.line(&v4("198.51.100.9", 44, 57, 1, 1_024, "")).as_deref(), Some("scanner nmap -sS"));
    }

    #[test]
    fn psads_method_takes_some_packets_in_a_row() {
        let mut bench = Bench::new();
        let told: Vec<_> = [10, 20, 30, 40].map(|id| bench.line(&v4("198.51.100.7", 60, 57, id, 5_840, ""))).to_vec();
        assert_eq!(told, [None, None, Some("perhaps Old System 7 hops away".to_owned()), None]);
        let guesses = bench.guesser.guesses();
        (50..60).for_each(|id| assert_eq!(bench.line(&v4("198.51.100.7", 60, 57, id, 5_840, "")), None));
        assert_eq!(bench.guesser.guesses(), guesses, "nobody is asked again");
        // Not a scanner's, and not one whose numbers jump.
        assert!([10, 20, 30, 40].into_iter().all(|id| bench.line(&v4("198.51.100.8", 60, 57, id * 1_000, 5_840, "")).is_none()));
    }

    proptest! {
        #[test]
        fn many_sources_and_packets_take_no_more_than_there_is(packets in prop::collection::vec((0..200_000_u32, 0..8_u16), 1..200)) {
            let mut bench = Bench::new();
            for (source, window) in packets {
                let source = std::net::Ipv4Addr::from(0xC633_0000 + source);
                bench.line(&v4(&source.to_string(), 60, 57, 1, window, LINUX));
            }
            prop_assert_eq!((bench.guesser.marks.len(), bench.guesser.places.len()), (limits::GUESSED_AT, limits::GUESSED_AT));
        }
    }
}
