//! What reports are told of one source: as the detectors have it, and what is noted for reports alone (in `replay --detail`, and in the daemon
//! for mails with a picture). Bounded, whatever it sends.

use detect::suspect::Suspect;
use model::event::TcpFlags;
use model::level::DangerLevel;
use model::limits::{NOTED_AIMS, NOTED_KINDS, NOTED_SAMPLES, REPORT_WORDS};
use model::net::{Prefix, Protocol};
use model::time::Time;
use report::decision::Verdict;
use report::offender::{AimLine, Detail, OffenderLine, Ports, Sample, WayLine};
use report::picture::most_frequent;
use report::serial::{Stamp, Whom};
use sense::facts::Chain;
use std::collections::HashMap;
use std::net::IpAddr;

/// A source as the detectors have it, without the names of what its packets have fitted. `matched`: the level that its signatures come to. `None`: it
/// was never charged.
pub fn offender(suspect: Suspect, matched: Option<DangerLevel>, decision: Verdict) -> Option<OffenderLine> {
    Some(OffenderLine {
        address: Whom(suspect.offender),
        level: suspect.level.max(matched)?,
        styles: suspect.styles,
        targets: suspect.targets,
        packets: suspect.packets,
        ports: Ports { tcp: suspect.tcp_ports, udp: suspect.udp_ports },
        protocols: suspect.protocols,
        signatures: Vec::new(),
        systems: Vec::new(),
        first: Stamp(suspect.first),
        last: Stamp(suspect.last),
        trust: suspect.trust,
        decision,
        detail: None,
    })
}

/// Words that are known by number: interfaces, log prefixes. At the bound the one that was used longest ago gives way, and its number is
/// nobody's from then on.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<Word>,
    places: HashMap<Vec<u8>, usize>,
    /// The place of the latest: lines of one rule come in a row.
    latest: usize,
    /// Questions so far, and numbers given.
    asked: u64,
    given: u32,
    /// Packets of those that gave way.
    others: u64,
}

#[derive(Debug)]
struct Word {
    text: Vec<u8>,
    number: u32,
    /// Which question it was that it was asked for last.
    used: u64,
    packets: u64,
}

/// What stands for the words that had to give way.
const OTHERS: &str = "(others)";

impl Words {
    /// The number of this one, for which so many more packets are counted.
    pub fn number(&mut self, word: &[u8], packets: u32) -> u32 {
        self.asked += 1;
        if self.words.get(self.latest).is_none_or(|latest| latest.text != word) {
            self.latest = self.places.get(word).copied().unwrap_or_else(|| self.take_in(word));
        }
        let Some(latest) = self.words.get_mut(self.latest) else { return u32::MAX };
        latest.used = self.asked;
        latest.packets += u64::from(packets);
        latest.number
    }

    /// Gives a new word its place.
    fn take_in(&mut self, word: &[u8]) -> usize {
        let new = Word { text: word.to_vec(), number: self.given, used: self.asked, packets: 0 };
        self.given = self.given.wrapping_add(1);
        let oldest = self.words.iter().enumerate().min_by_key(|(_, word)| word.used).map(|(place, _)| place);
        let place = oldest.filter(|_| self.words.len() >= REPORT_WORDS).unwrap_or(self.words.len());
        match self.words.get_mut(place) {
            Some(old) => {
                let old = std::mem::replace(old, new);
                self.places.remove(&old.text);
                self.others += old.packets;
            }
            None => self.words.push(new),
        }
        self.places.insert(word.to_vec(), place);
        place
    }

    /// The word of this number.
    pub fn word(&self, number: u32) -> String {
        self.words.iter().find(|word| word.number == number).map_or_else(|| OTHERS.to_owned(), Word::shown)
    }

    /// All words with their packets; those that gave way as one.
    pub fn packets(&self) -> impl Iterator<Item = (String, u64)> {
        let others = (self.others > 0).then(|| (OTHERS.to_owned(), self.others));
        self.words.iter().map(|word| (word.shown(), word.packets)).chain(others)
    }
}

impl Word {
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// A way through the firewall: chain, interface and log prefix by number, protocol.
pub type Way = (Chain, u32, u32, Protocol);

/// The notes of many sources. At the bound half of them give way: those without a charge first, then those with the fewest packets, where
/// what was seen before the last time counts half.
#[derive(Debug)]
pub struct Notebook {
    most: usize,
    sources: HashMap<Prefix, Box<Notes>>,
}

impl Notebook {
    /// An empty one for so many sources.
    pub fn new(most: usize) -> Notebook {
        Notebook { most, sources: HashMap::new() }
    }

    /// The page of one source, to write on. `is_charged` says who keeps a page when there are too many.
    pub fn page(&mut self, whom: Prefix, is_charged: impl Fn(&Prefix) -> bool) -> &mut Notes {
        if self.sources.len() >= self.most && !self.sources.contains_key(&whom) {
            self.make_room(is_charged);
        }
        self.sources.entry(whom).or_default()
    }

    fn make_room(&mut self, is_charged: impl Fn(&Prefix) -> bool) {
        let mut all: Vec<(bool, u64, Prefix)> = self.sources.iter().map(|(whom, notes)| (is_charged(whom), notes.weight, *whom)).collect();
        all.sort_unstable();
        all.truncate(all.len().div_ceil(2));
        all.iter().for_each(|(_, _, whom)| drop(self.sources.remove(whom)));
        self.sources.values_mut().for_each(|notes| notes.weight /= 2);
    }

    /// What was noted of one source.
    pub fn of(&self, whom: &Prefix) -> Option<&Notes> {
        self.sources.get(whom).map(Box::as_ref)
    }
}

/// One source's notes.
#[derive(Debug, Default)]
pub struct Notes {
    /// Packets, fading.
    weight: u64,
    flags: Vec<(TcpFlags, u64)>,
    icmp: Vec<((Protocol, u8, u8), u64)>,
    ways: Vec<(Way, u64)>,
    aims: Vec<Aim>,
    /// Every `stride`th packet's.
    samples: Vec<(Time, u16, bool)>,
    stride: u32,
    /// Packets with a port that were left out since the last sample.
    skipped: u32,
}

/// One target: its packets, and the least and the greatest port of TCP and of UDP.
#[derive(Debug)]
struct Aim {
    address: IpAddr,
    packets: u64,
    ports: [Option<(u16, u16)>; 2],
}

/// Counts one more of a few; further kinds find no room.
fn bump<K: PartialEq>(counts: &mut Vec<(K, u64)>, kind: K, times: u32) {
    if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == kind) {
        *count += u64::from(times);
    } else if counts.len() < NOTED_KINDS {
        counts.push((kind, times.into()));
    }
}

impl Notes {
    /// Notes a packet to where nothing answers.
    pub fn probe(&mut self, at: Time, target: IpAddr, protocol: Protocol, port: Option<u16>, flags: Option<TcpFlags>, times: u32) {
        self.weight += u64::from(times);
        if let Some(flags) = flags {
            bump(&mut self.flags, flags, times);
        }
        let port = port.filter(|_| matches!(protocol, Protocol::TCP | Protocol::UDP)).map(|port| (port, protocol == Protocol::UDP));
        self.aim(target, port, times);
        if let Some((port, udp)) = port {
            self.sample(at, port, udp);
        }
    }

    /// Notes what kind of ICMP a packet is, if it is any.
    pub fn icmp(&mut self, protocol: Protocol, icmp: Option<(u8, u8)>, times: u32) {
        if let Some((kind, code)) = icmp {
            bump(&mut self.icmp, (protocol, kind, code), times);
        }
    }

    /// Notes which way a packet took.
    pub fn way(&mut self, way: Way, times: u32) {
        bump(&mut self.ways, way, times);
    }

    fn aim(&mut self, address: IpAddr, port: Option<(u16, bool)>, times: u32) {
        let at = match self.aims.iter().position(|aim| aim.address == address) {
            Some(at) => at,
            None if self.aims.len() < NOTED_AIMS => {
                self.aims.push(Aim { address, packets: 0, ports: [None; 2] });
                self.aims.len() - 1
            }
            None => return,
        };
        let Some(aim) = self.aims.get_mut(at) else { return };
        aim.packets += u64::from(times);
        if let Some((port, udp)) = port
            && let Some(range) = aim.ports.get_mut(usize::from(udp))
        {
            *range = Some(range.map_or((port, port), |(low, high)| (low.min(port), high.max(port))));
        }
    }

    fn sample(&mut self, at: Time, port: u16, udp: bool) {
        if self.skipped < self.stride {
            self.skipped += 1;
            return;
        }
        self.skipped = 0;
        if self.samples.len() >= NOTED_SAMPLES {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride = self.stride.saturating_mul(2).saturating_add(1);
        }
        self.samples.push((at, port, udp));
    }

    /// The notes as reports show them; `interface` and `prefix` tell the words of a way's numbers.
    pub fn detail(&self, interface: impl Fn(u32) -> String, prefix: impl Fn(u32) -> String) -> Detail {
        let flags = self.flags.iter().map(|(flags, count)| {
            let names = flags.names().collect::<Vec<_>>().join(" ");
            (if names.is_empty() { "none".to_owned() } else { names }, *count)
        });
        let icmp = self.icmp.iter().map(|((protocol, kind, code), count)| (format!("{protocol} {kind}/{code}"), *count));
        let mut ways: Vec<WayLine> = Vec::new();
        for &((chain, way_in, rule, protocol), packets) in &self.ways {
            let (interface, prefix) = (interface(way_in), prefix(rule));
            let line = WayLine { chain: chain.word().to_owned(), interface, prefix, protocol: protocol.to_string(), packets };
            // Those whose words had to give way look alike.
            match ways.iter_mut().find(|known| WayLine { packets, ..(*known).clone() } == line) {
                Some(known) => known.packets += packets,
                None => ways.push(line),
            }
        }
        ways.sort_by_key(|way| std::cmp::Reverse(way.packets));
        let range = |range: Option<(u16, u16)>| range.into_iter().collect();
        let mut aims: Vec<AimLine> = self
            .aims
            .iter()
            .map(|aim| AimLine {
                address: Whom(Prefix::host(aim.address)),
                packets: aim.packets,
                ports: Ports { tcp: range(aim.ports[0]), udp: range(aim.ports[1]) },
            })
            .collect();
        aims.sort_by_key(|aim| (std::cmp::Reverse(aim.packets), aim.address));
        let mut samples: Vec<Sample> = self.samples.iter().map(|&(at, port, udp)| Sample { at: Stamp(at), udp, port }).collect();
        samples.sort_by_key(|sample| sample.at);
        Detail { flags: most_frequent(flags, NOTED_KINDS), icmp: most_frequent(icmp, NOTED_KINDS), ways, aims, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_crowd_pushes_no_scanner_out() {
        let mut book = Notebook::new(64);
        let whom = |n: u32| Prefix::host(IpAddr::from(n.to_be_bytes()));
        let note = |book: &mut Notebook, n: u32| {
            book.page(whom(n), |whom| *whom == Prefix::host(IpAddr::from([0, 0, 0, 2]))).probe(
                Time::EPOCH,
                IpAddr::from([203, 0, 113, 1]),
                Protocol::TCP,
                Some(n as u16),
                None,
                1,
            );
        };
        // One that was busy once, one that was charged for a single packet, one that goes on, and ten thousand that come and go.
        (0..1_000).for_each(|_| note(&mut book, 1));
        note(&mut book, 2);
        for n in 0..10_000 {
            note(&mut book, 100 + n);
            if n % 10 == 0 {
                note(&mut book, 3);
            }
        }
        assert!(book.sources.len() <= 64);
        assert_eq!([1, 2, 3].map(|n| book.of(&whom(n)).is_some()), [false, true, true]);
    }

    #[test]
    fn the_word_that_was_used_longest_ago_makes_room() {
        let (mut words, name) = (Words::default(), |n: usize| format!("veth{n}"));
        let numbers: Vec<u32> = (0..REPORT_WORDS).map(|n| words.number(name(n).as_bytes(), 3)).collect();
        assert_eq!((words.number(b"veth0", 1), words.word(numbers[0])), (numbers[0], name(0)));
        let mut notes = Notes::default();
        for n in [0, 1, 2] {
            notes.way((Chain::Input, numbers[n], 0, Protocol::TCP), 2);
        }
        // Containers that come and go.
        let new = (0..2).map(|n| words.number(name(REPORT_WORDS + n).as_bytes(), 1)).last().unwrap();
        assert_eq!(words.word(new), name(REPORT_WORDS + 1));
        assert_eq!((words.number(b"veth0", 1), words.words.len(), words.places.len()), (numbers[0], REPORT_WORDS, REPORT_WORDS));
        let detail = notes.detail(|n| words.word(n), |_| String::new());
        let ways: Vec<(&str, u64)> = detail.ways.iter().map(|way| (way.interface.as_str(), way.packets)).collect();
        assert_eq!(ways, [("(others)", 4), ("veth0", 2)], "nobody is told under another's name");
        let of = |shown: &str| words.packets().find(|(word, _)| word == shown).map(|(_, packets)| packets);
        assert_eq!([of("veth0"), of("veth1"), of("(others)")], [Some(5), None, Some(6)]);
        assert_ne!(words.number(b"veth1", 1), numbers[1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn notes_are_bounded_and_evenly_thinned_out(packets in 1..5_000_u32, targets in 1..99_u8) {
            let mut notes = Notes::default();
            for n in 0..packets {
                let target = IpAddr::from([203, 0, 113, (n % u32::from(targets)) as u8]);
                notes.probe(Time::from_secs(n.into()), target, Protocol::TCP, Some(n as u16), Some(TcpFlags(n as u8)), 1);
                notes.icmp(Protocol::ICMP, Some((n as u8, 0)), 1);
                notes.way((Chain::Input, n, 0, Protocol::TCP), 1);
            }
            let detail = notes.detail(|n| n.to_string(), |_| String::new());
            prop_assert_eq!(notes.weight, u64::from(packets));
            prop_assert!(detail.flags.len() <= NOTED_KINDS && detail.icmp.len() <= NOTED_KINDS && detail.ways.len() <= NOTED_KINDS);
            prop_assert_eq!(detail.aims.len(), usize::from(targets).min(packets as usize).min(NOTED_AIMS));
            let times: Vec<u64> = detail.samples.iter().map(|sample| sample.at.0.as_secs()).collect();
            prop_assert!(times.len() <= NOTED_SAMPLES && times.len() >= (packets as usize).min(NOTED_SAMPLES / 2 - 1), "{}", times.len());
            prop_assert_eq!(times[0], 0);
            let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (gaps.iter().min().copied().unwrap_or(1), gaps.iter().max().copied().unwrap_or(1));
            // While they are thinned out, the newest stand twice as far apart as those before, or nearly.
            prop_assert!(most <= 2 * least + 1, "{least} {most}");
        }
    }
}
