//! The whole picture of many sources, as `replay` and `status` tell of it: levels, the busiest of everything, and each source's own. Always in
//! the same order. Never counts a packet itself.

use crate::alert_line::nmap_option;
use crate::decision::Verdict;
use crate::duration::Human;
use crate::escape;
use crate::list::BlockLine;
use crate::offender::{AimLine, Counted, Detail, OffenderLine, Ports, WayLine};
use crate::replay::TopSignature;
use crate::replay_csv::ports;
use crate::system;
use crate::table::{Room, Side, Table, count, thousands, wrap};
use crate::time::Readable;
use crate::timeline::Timeline;
use model::style::Style;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Characters of one remote word.
const WORD_CHARS: usize = 60;
/// Characters of a line under a source.
const LINE_CHARS: usize = 94;

/// How often a port was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortLine {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Which.
    pub port: u16,
    /// By how many sources that were charged.
    pub sources: u64,
    /// By how many packets, if somebody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// The busiest of everything, the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tops {
    /// How many sources reached each danger level, 1 to 5, and no higher one.
    pub levels: [u64; 5],
    /// Ports.
    pub top_ports: Vec<PortLine>,
    /// Log prefixes of firewall rules; empty if nobody counted them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<Counted>,
    /// IP protocols, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Counted>,
}

/// Who was charged and is still followed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offenders {
    /// Levels and ports.
    #[serde(flatten)]
    pub tops: Tops,
    /// How many there are.
    pub in_all: u64,
    /// The worst, the worst first.
    pub worst: Vec<OffenderLine>,
}

/// Everything that there is to show.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// What this is about.
    pub title: String,
    /// Head counts: what, and how many.
    pub heads: Vec<(String, String)>,
    /// The busiest of everything.
    pub tops: Tops,
    /// The signatures that matched most.
    pub signatures: Vec<TopSignature>,
    /// The worst sources, the worst first.
    pub sources: Vec<OffenderLine>,
    /// How many sources there are in all.
    pub sources_in_all: u64,
    /// The blocks that stand, and how many there are in all.
    pub blocks: Option<(Vec<BlockLine>, u64)>,
    /// What came when, and what that is: packets, or charges.
    pub timeline: Option<(Timeline, &'static str)>,
}

/// So many sources reached each level, and this one.
pub fn add(mut levels: [u64; 5], source: &OffenderLine) -> [u64; 5] {
    if let Some(level) = levels.get_mut(source.level.index()) {
        *level += 1;
    }
    levels
}

/// The worst first: by level, then by packets, then by address.
pub fn sort(sources: &mut [OffenderLine]) {
    sources.sort_by_key(|source| (Reverse(source.level), Reverse(source.packets), source.address));
}

/// How many of the sources tried each port: TCP's, then UDP's. Goes through the ranges and not through the ports, of which one source may have tried all.
#[derive(Debug, Clone)]
pub struct PortSources([Vec<i32>; 2]);

impl Default for PortSources {
    fn default() -> Self {
        // One more place, where the range of the last port ends.
        PortSources([vec![0; 65_537], vec![0; 65_537]])
    }
}

impl PortSources {
    /// Counts a source.
    pub fn count(&mut self, ports: &Ports) {
        for (changes, ranges) in self.0.iter_mut().zip([&ports.tcp, &ports.udp]) {
            for &(first, last) in ranges.iter().filter(|(first, last)| first <= last) {
                changes[usize::from(first)] += 1;
                changes[usize::from(last) + 1] -= 1;
            }
        }
    }

    /// The most tried ports, at most `top`: by packets if somebody counted those (TCP's and UDP's, by port), else by sources.
    pub fn tops(&self, packets: Option<&[Vec<u32>; 2]>, top: usize) -> Vec<PortLine> {
        let mut lines = Vec::new();
        for (n, (protocol, changes)) in ["tcp", "udp"].into_iter().zip(&self.0).enumerate() {
            let mut sources = 0;
            for (port, change) in (0..=u16::MAX).zip(changes) {
                sources += change;
                let packets = packets.and_then(|packets| packets.get(n)?.get(usize::from(port)).copied());
                if packets.map_or(sources > 0, |packets| packets > 0) {
                    lines.push((packets.unwrap_or(0), sources as u64, protocol, port, packets));
                }
            }
        }
        lines.sort_unstable_by_key(|&(packets, sources, protocol, port, _)| (Reverse(packets), Reverse(sources), protocol, port));
        let line = |(_, sources, protocol, port, packets): (u32, u64, &str, u16, Option<u32>)| PortLine {
            protocol: protocol.to_owned(),
            port,
            sources,
            packets: packets.map(u64::from),
        };
        lines.into_iter().take(top).map(line).collect()
    }
}

/// The most frequent first, at most `top`.
pub fn most_frequent(counts: impl IntoIterator<Item = (String, u64)>, top: usize) -> Vec<Counted> {
    let mut counts: Vec<Counted> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(what, count)| Counted { what, count }).collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.what.cmp(&b.what)));
    counts.truncate(top);
    counts
}

impl Tops {
    /// `Level 1: 3 sources, level 4: 1 source.` with its newline; nothing if there are none.
    pub fn levels_text(&self) -> String {
        let one = |(n, sources): (usize, &u64)| (*sources > 0).then(|| format!("level {}: {}", n + 1, count(*sources, "source")));
        let all: Vec<String> = self.levels.iter().enumerate().filter_map(one).collect();
        if all.is_empty() { String::new() } else { format!("{}.\n", capital(&all.join(", "))) }
    }
}

fn capital(text: &str) -> String {
    text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect()
}

/// Tables of one kind of counts, each with an empty line in front; nothing if there is nothing to count.
fn counts_text(title: &'static str, counts: &[Counted], room: Room) -> String {
    let mut table = Table::new([(title, Side::Left), ("PACKETS", Side::Right)]);
    counts.iter().for_each(|line| table.row([escape::text(&line.what, WORD_CHARS), thousands(line.count)]));
    if counts.is_empty() { String::new() } else { format!("\n{}", table.text(room)) }
}

impl Picture {
    /// The tops for people, each table with an empty line in front.
    pub fn tops_text(&self, room: Room) -> String {
        let mut table = Table::new([
            ("ATTACKER", Side::Left),
            ("LEVEL", Side::Right),
            ("PACKETS", Side::Right),
            ("TARGETS", Side::Right),
            ("SIGNATURES", Side::Right),
            ("LAST SEEN", Side::Left),
            ("DECISION", Side::Left),
        ]);
        for line in &self.sources {
            table.row([
                line.address.to_string(),
                line.level.to_string(),
                thousands(line.packets),
                thousands(line.targets.into()),
                line.signatures.len().to_string(),
                Readable(line.last.0).to_string(),
                decision(&line.decision),
            ]);
        }
        let mut text =
            if self.sources.is_empty() { "\nNobody is charged with anything.\n".to_owned() } else { format!("\n{}", table.text(room)) };
        let more = self.sources_in_all.saturating_sub(self.sources.len() as u64);
        if more > 0 && !self.sources.is_empty() {
            let _ = writeln!(text, "and {} (--top N shows more)", count(more, "other source"));
        }
        let mut table = Table::new([("PORT", Side::Left), ("SOURCES", Side::Right), ("PACKETS", Side::Right)]);
        for line in &self.tops.top_ports {
            let packets = line.packets.map_or_else(|| "-".to_owned(), thousands);
            table.row([format!("{} {}", escape::text(&line.protocol, WORD_CHARS), line.port), thousands(line.sources), packets]);
        }
        if !self.tops.top_ports.is_empty() {
            let _ = write!(text, "\n{}", table.text(room));
        }
        text + &counts_text("LOG PREFIX", &self.tops.prefixes, room) + &counts_text("PROTOCOL", &self.tops.protocols, room)
    }

    /// Each source's own, a paragraph each.
    pub fn sources_text(&self) -> String {
        self.sources.iter().map(source_text).collect()
    }
}

/// `block 10m: why`.
pub(crate) fn decision(verdict: &Verdict) -> String {
    let action = verdict.action.word();
    let why = escape::text(&verdict.why, 300);
    match verdict.seconds {
        Some(seconds) => format!("{action} {}: {why}", Human(seconds)),
        None => format!("{action}: {why}"),
    }
}

/// `22, 80-443`.
pub(crate) fn range_list(ranges: &[(u16, u16)]) -> String {
    ports(ranges).join(", ")
}

/// What there is to say of a source in single lines: what, and its text. Shared by the text and the page.
pub(crate) fn facts(line: &OffenderLine) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("seen", format!("{} to {}", Readable(line.first.0), Readable(line.last.0))),
        ("packets", format!("{} to {}", thousands(line.packets), count(line.targets.into(), "target"))),
    ];
    let mut add = |what, text: String| {
        if !text.is_empty() {
            facts.push((what, text));
        }
    };
    add("styles", line.styles.iter().map(|style| style.word()).collect::<Vec<_>>().join(", "));
    add("TCP ports", range_list(&line.ports.tcp));
    add("UDP ports", range_list(&line.ports.udp));
    if let Some(detail) = &line.detail {
        add("TCP flags", counted(&detail.flags));
        add("ICMP", counted(&detail.icmp));
    }
    let signatures =
        line.signatures.iter().map(|s| format!("{} ({}, {})", escape::text(&s.message, WORD_CHARS), s.sid, count(s.count, "time")));
    add("systems", system::joined(&line.systems));
    add("signatures", signatures.collect::<Vec<_>>().join(", "));
    add("evidence", line.trust.word().to_owned());
    add("decision", decision(&line.decision));
    facts
}

/// `SYN 500, none 2`; of flags with what nmap calls such a scan.
fn counted(counts: &[Counted]) -> String {
    let one = |line: &Counted| {
        let what = escape::text(&line.what, WORD_CHARS);
        match nmap_of_flags(&line.what) {
            Some(option) => format!("{what} {} (nmap {option})", thousands(line.count)),
            None => format!("{what} {}", thousands(line.count)),
        }
    };
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The option of nmap's that makes packets with these flags, which for themselves don't tell a bare SYN from a system's.
fn nmap_of_flags(flags: &str) -> Option<&'static str> {
    let style = match flags {
        "SYN" => Style::Syn,
        "FIN" => Style::Fin,
        "none" => Style::Null,
        "URG PSH FIN" => Style::Xmas,
        "ACK" => Style::Ack,
        "ACK FIN" => Style::Maimon,
        "URG PSH SYN FIN" => return Some("-O"),
        _ => return None,
    };
    nmap_option(style)
}

/// `203.0.113.1: 500 packets, tcp 1-1024`.
pub(crate) fn aim_text(aim: &AimLine) -> String {
    let ports = [("tcp", &aim.ports.tcp), ("udp", &aim.ports.udp)];
    let ports = ports.iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(name, ranges)| format!(", {name} {}", range_list(ranges)));
    format!("{}: {}{}", aim.address, count(aim.packets, "packet"), ports.collect::<String>())
}

/// `input eth0 "DROP" tcp: 500 packets`.
pub(crate) fn way_text(way: &WayLine) -> String {
    let word = |text: &str| escape::text(text, WORD_CHARS);
    let prefix = if way.prefix.is_empty() { String::new() } else { format!(" \"{}\"", word(&way.prefix)) };
    format!("{} {}{prefix} {}: {}", word(&way.chain), word(&way.interface), word(&way.protocol), count(way.packets, "packet"))
}

fn source_text(line: &OffenderLine) -> String {
    let mut text = format!("\n{}, level {}\n", line.address, line.level);
    let mut add = |what: &str, said: &str| {
        for (n, piece) in wrap(said, LINE_CHARS - 12).lines().enumerate() {
            let _ = writeln!(text, "  {:<11} {piece}", if n == 0 { what } else { "" });
        }
    };
    facts(line).iter().for_each(|(what, said)| add(what, said));
    if let Some(Detail { ways, aims, .. }) = line.detail.as_deref() {
        ways.iter().for_each(|way| add("way", &way_text(way)));
        aims.iter().for_each(|aim| add("target", &aim_text(aim)));
        let more = u64::from(line.targets).saturating_sub(aims.len() as u64);
        if more > 0 && !aims.is_empty() {
            add("", &format!("and {}", count(more, "other target")));
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests;
