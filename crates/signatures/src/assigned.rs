//! psad's `auto_dl`: networks whose danger level an administrator has assigned, whatever they send. Of several entries for a packet the one
//! with the longest prefix counts, and with equal prefixes the one that says more of the packet. Never resolves a name.

use crate::addresses::prefix;
use crate::level::Level;
use crate::{Problem, lines};
use model::net::{Prefix, Protocol, canonical};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Entries that are kept.
const ENTRIES: usize = 1_000_000;

/// What an entry is about: a protocol, and of it the destination ports from one to another.
type About = Option<(Protocol, Option<(u16, u16)>)>;

/// The entries.
#[derive(Debug, Clone, Default)]
pub struct Assigned {
    entries: BTreeMap<Prefix, Vec<(About, Level)>>,
    /// The lengths of prefixes in use, by address family.
    lengths: [BTreeSet<u8>; 2],
    count: usize,
}

impl Assigned {
    /// Reads a file. Entries for hosts by name are told in `remarks`: names are not looked up.
    pub fn read(file: &str, text: &str, problems: &mut Vec<Problem>, remarks: &mut Vec<Problem>) -> Assigned {
        let (name, mut assigned): (Arc<str>, _) = (file.into(), Assigned::default());
        for (line, content) in lines(text) {
            let tell = |message| Problem { file: Arc::clone(&name), line, message };
            match assigned.line(content) {
                Ok(None) => {}
                Ok(Some(remark)) => remarks.push(tell(remark)),
                Err(wrong) => problems.push(tell(wrong)),
            }
        }
        assigned
    }

    /// `192.0.2.0/24 3 tcp/1-1024, udp/53;`: a remark if it is about a name.
    fn line(&mut self, line: &str) -> Result<Option<String>, String> {
        let line = line.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let (whom, rest) = line.split_once(char::is_whitespace).ok_or("a line is an address and a danger level: 192.0.2.0/24 3 tcp/22;")?;
        let (level, about) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let level = Level::read(level)?;
        let whom = match prefix(whom) {
            Ok(prefix) => prefix,
            Err(_) if is_name(whom) => {
                return Ok(Some(format!("'{whom}' is a name and rests: names are not looked up; write its address")));
            }
            Err(wrong) => return Err(wrong),
        };
        let whom = if whom.is_host() { Prefix::host(canonical(whom.addr())) } else { whom };
        let abouts = if about.trim().is_empty() { vec![None] } else { about.split(',').map(criterion).collect::<Result<Vec<_>, _>>()? };
        self.count += abouts.len();
        if self.count > ENTRIES {
            return Err(format!("at most {ENTRIES} entries"));
        }
        self.entries.entry(whom).or_default().extend(abouts.into_iter().map(|about| (about, level)));
        self.lengths[usize::from(whom.addr().is_ipv6())].insert(whom.bits());
        Ok(None)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The level of what comes from this address to this port; `None`: nobody has said anything.
    pub fn level(&self, source: IpAddr, protocol: Protocol, port: Option<u16>) -> Option<Level> {
        let applies = |about: &About| match about {
            None => true,
            Some((over, ports)) => {
                *over == protocol && ports.is_none_or(|(first, last)| port.is_some_and(|port| (first..=last).contains(&port)))
            }
        };
        let lengths = &self.lengths[usize::from(source.is_ipv6())];
        lengths.iter().rev().filter_map(|bits| self.entries.get(&Prefix::new(source, *bits))).find_map(|entries| {
            // A port says more than a protocol, and that more than nothing; of equals the gravest.
            let says = |about: &About| about.map(|(_, ports)| ports.is_some());
            entries.iter().filter(|(about, _)| applies(about)).max_by_key(|(about, level)| (says(about), *level)).map(|(_, level)| *level)
        })
    }

    /// Whom level 0 spares whatever they do.
    pub fn spared(&self) -> impl Iterator<Item = Prefix> {
        self.entries
            .iter()
            .filter(|(_, entries)| entries.iter().any(|(about, level)| about.is_none() && *level == Level::IGNORE))
            .map(|(p, _)| *p)
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `tcp`, `tcp/22`, `tcp/1-1024`.
fn criterion(text: &str) -> Result<About, String> {
    let text = text.trim();
    let (name, ports) = text.split_once('/').map_or((text, None), |(name, ports)| (name, Some(ports)));
    let protocol = Protocol::parse(name).filter(|_| !name.starts_with('+')).ok_or_else(|| format!("'{name}' is no protocol"))?;
    let Some(ports) = ports else { return Ok(Some((protocol, None))) };
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|_| !text.trim().starts_with('+'));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last && protocol.has_ports() => Ok(Some((protocol, Some((first, last))))),
        (Some(_), Some(_)) if !protocol.has_ports() => Err(format!("{name} has no ports")),
        _ => Err(format!("'{ports}' is no port and no range of ports: 22 or 1-1024")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Assigned, Vec<String>, Vec<String>) {
        let (mut problems, mut remarks) = (Vec::new(), Vec::new());
        let assigned = Assigned::read("auto_dl", text, &mut problems, &mut remarks);
        let said = |all: Vec<Problem>| all.iter().map(Problem::to_string).collect();
        (assigned, said(problems), said(remarks))
    }

    fn level(assigned: &Assigned, source: &str, protocol: Protocol, port: u16) -> Option<Level> {
        assigned.level(source.parse().unwrap(), protocol, Some(port))
    }

    #[test]
    fn the_longest_prefix_counts_whatever_the_order() {
        let entries = ["192.0.2.0/24 0;", "192.0.2.128/25 5; # worse", "192.0.2.200 1;", "2001:db8::/32  3;", "10.0.0.0/255.0.0.0 2"];
        for turn in 0..entries.len() {
            let mut entries = entries;
            entries.rotate_left(turn);
            let (assigned, problems, _) = read(&entries.join("\n"));
            assert_eq!(problems, [""; 0]);
            for (source, wanted) in
                [("192.0.2.1", "0"), ("192.0.2.129", "5"), ("192.0.2.200", "1"), ("2001:db8::1", "3"), ("10.1.2.3", "2")]
            {
                assert_eq!(level(&assigned, source, Protocol::TCP, 22), Level::read(wanted).ok(), "{source}");
            }
            assert_eq!(level(&assigned, "198.51.100.7", Protocol::TCP, 22), None);
        }
    }

    #[test]
    fn level_0_with_a_port_ignores_that_port_alone() {
        let (assigned, _, _) = read("198.51.100.0/24 0 tcp/22, udp/53;\n198.51.100.0/24 4 tcp;\n");
        assert_eq!(level(&assigned, "198.51.100.7", Protocol::TCP, 22), Some(Level::IGNORE));
        assert_eq!(level(&assigned, "198.51.100.7", Protocol::UDP, 53), Some(Level::IGNORE));
        assert_eq!(level(&assigned, "198.51.100.7", Protocol::TCP, 23), Level::read("4").ok());
        assert_eq!(level(&assigned, "198.51.100.7", Protocol::UDP, 54), None);
        assert_eq!(assigned.spared().count(), 0, "who may knock at one port is not spared for all");
        let (assigned, _, _) = read("198.51.100.7 0;\n203.0.113.0/24 0 icmp;");
        assert_eq!(assigned.spared().collect::<Vec<_>>(), ["198.51.100.7".parse().unwrap()]);
        assert_eq!(assigned.level("203.0.113.9".parse().unwrap(), Protocol::ICMP, None), Some(Level::IGNORE));
    }

    #[test]
    fn an_entry_that_does_not_apply_leaves_the_word_to_a_wider_one() {
        let (assigned, _, _) = read("192.0.2.0/24 0;\n192.0.2.7 5 tcp/22;");
        assert_eq!(level(&assigned, "192.0.2.7", Protocol::TCP, 22), Level::read("5").ok());
        assert_eq!(level(&assigned, "192.0.2.7", Protocol::TCP, 80), Some(Level::IGNORE));
    }

    #[test]
    fn wrong_lines_are_named_and_names_rest() {
        let (_, problems, remarks) =
            read("192.0.2.1\n192.0.2.1 6;\n192.0.2.1 3 tpc;\n192.0.2.1 3 icmp/8;\n192.0.2.1 3 tcp/9-8;\nhost.example.org 0;\n1.2.3 1;");
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert!(problems[1].starts_with("auto_dl:2: '6' is no danger level") && problems[3].contains("icmp has no ports"), "{problems:?}");
        assert!(matches!(&remarks[..], [remark] if remark.starts_with("auto_dl:6: 'host.example.org'")), "{remarks:?}");
    }
}
