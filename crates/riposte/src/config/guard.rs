//! `[guard]`: ports that are only there to be touched, and the lists of them that have a name. Opens nothing.

use super::NflogConfig;
use super::raw::{FlagOrWord, Given, GivenList, PortsWord, RawGuard};
use super::read::Meaning;
use super::words::{Word, did_you_mean, quoted};
use detect::config::TouchConfig;
use model::level::DangerLevel;
use model::net::Protocol;
use model::ports::Ports;
use std::ops::RangeInclusive;

/// Entries of one list of ports.
const ENTRIES_MAX: usize = 4_096;
/// Bytes of a banner: less than anybody has sent to see it, with the handshake.
pub const BANNER_BYTES: usize = 100;

/// What is guarded, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardConfig {
    /// TCP ports at which riposte answers.
    pub tcp: Ports,
    /// UDP ports: each datagram is a touch. Nobody is answered.
    pub udp: Ports,
    /// TCP ports whose first packet has its sender dropped by the kernel.
    pub trap_tcp: Ports,
    /// UDP ports of that kind.
    pub trap_udp: Ports,
    /// Nobody is answered at the TCP ports either: each packet is a touch.
    pub stealth: bool,
    /// What riposte says at TCP ports.
    pub banner: Option<String>,
    /// In which form PortSentry's own lines are written besides, if at all.
    pub portsentry: Option<Form>,
}

/// Which PortSentry's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `attackalert: …`, and in the files who is blocked.
    One,
    /// `Scan from: …`, for each charged touch.
    Two,
}

impl Word for Form {
    const ALL: &'static [Self] = &[Form::One, Form::Two];
    fn word(self) -> &'static str {
        match self {
            Form::One => "1.x",
            Form::Two => "2.x",
        }
    }
}

impl GuardConfig {
    /// The TCP ports at which riposte answers; in stealth at none.
    pub fn answered(&self) -> Ports {
        if self.stealth { Ports::default() } else { self.tcp.clone() }
    }

    /// Whether a single packet to this port is a touch.
    pub fn is_touched_by_packet(&self, protocol: Protocol, port: u16) -> bool {
        match protocol {
            Protocol::TCP => self.stealth && self.tcp.contains(port) || self.trap_tcp.contains(port),
            Protocol::UDP => self.udp.contains(port) || self.trap_udp.contains(port),
            _ => false,
        }
    }
}

/// PortSentry's lists by the names that its users know: those of 1.x (bare-bones, aware, comprehensive), and of 2.x (standard, aggressive,
/// catch-all).
pub const LISTS: [PortList; 6] = [
    PortList {
        name: "bare-bones",
        tcp: "1,11,15,110,111,143,540,635,1080,1524,2000,12345,12346,20034,32771-32774,49724,54320",
        udp: "1,7,9,69,161,162,513,640,700,32770-32774,31337,54321",
    },
    PortList {
        name: "aware",
        tcp: "1,11,15,79,111,119,143,540,635,1080,1524,2000,5742,6667,12345,12346,20034,27665,31337,32771-32774,40421,49724,54320",
        udp: "1,7,9,69,161,162,513,635,640,641,700,37444,34555,31335,32770-32774,31337,54321",
    },
    PortList {
        name: "comprehensive",
        tcp: "1,7,9,11,15,70,79,80,109-111,119,138,139,143,512-515,540,635,1080,1524,2000,2001,4000,4001,5742,6000,6001,6667,12345,12346,\
              20034,27665,30303,31337,32771-32774,40421,40425,49724,54320",
        udp: "1,7,9,66-69,111,137,138,161,162,474,513,517,518,635,640,641,666,700,2049,27444,31335,31337,32770-32774,34555,54321",
    },
    PortList {
        name: "standard",
        tcp: "1,7,9,11,13,15,17,19-21,70,79,111,113,119,389,512-515,540,543-544,873,989,990,992,1080",
        udp: "7,9,13,19,111,389,513,517-518",
    },
    PortList {
        name: "aggressive",
        tcp: "1,7,9,11,13,15,17,19-21,23,25,37,43,53,79,88,110,111,139,143,161-162,389,445,512-515,540,543-544,873,989,990,992,1090,1812-1813",
        udp: "7,9,13,19,37,53,69,111,123,137-138,161-162,389,513,514,517-518,520,1812-1813,2049,5060-5061",
    },
    PortList { name: "catch-all", tcp: "1-1813", udp: "7-52,54-66,69-136,139-5061" },
];

/// A list of ports with a name.
pub struct PortList {
    /// Its name.
    pub name: &'static str,
    /// Its TCP ports, as they are written.
    tcp: &'static str,
    /// Its UDP ports.
    udp: &'static str,
}

impl PortList {
    /// Its ports.
    pub fn ports(&self, protocol: Protocol) -> Ports {
        let written = if protocol == Protocol::UDP { self.udp } else { self.tcp };
        written.split(',').filter_map(|part| range(part).ok()).collect()
    }
}

/// Reads `23` or `1-1023`.
///
/// # Errors
/// What is wrong with it, without the text itself.
pub fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    // Digits only: `u16`'s own reader takes a plus sign too.
    let port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|port: &u16| *port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        (Some(first), Some(last)) => Err(format!("is no rising range: write {last}-{first}")),
        (_, _) => Err("is no port (1 to 65535) and no range of ports such as 1-1023".to_owned()),
    }
}

impl Meaning<'_> {
    /// The guarded ports, and what their touches are worth to the detector and to the judge.
    pub(super) fn guard(&mut self, raw: RawGuard, nflog: &NflogConfig) -> (GuardConfig, TouchConfig, [bool; 2]) {
        let default = TouchConfig::default();
        let place = [&raw.tcp, &raw.udp, &raw.trap_tcp, &raw.trap_udp].into_iter().flatten().find(|list| !list.value.is_empty());
        if let Some(list) = place.filter(|_| !nflog.enabled) {
            self.wrong(list, "guarded ports need [sense.nflog] enabled = true: it knows which ports have services of their own");
        }
        // Whoever is connected to one of these counts as an administrator: nobody may get that by touching.
        let ssh: Ports = nflog.ssh_ports.iter().map(|port| *port..=*port).collect();
        let mut ports = |given: Option<GivenList<PortsWord>>, protocol| {
            let ports = given.map_or_else(Ports::default, |list| self.ports_of(list, protocol));
            if protocol == Protocol::TCP { ports.without(&ssh) } else { ports }
        };
        // A trap comes first: at a guarded port there would be an answer.
        let (trap_tcp, trap_udp) = (ports(raw.trap_tcp, Protocol::TCP), ports(raw.trap_udp, Protocol::UDP));
        let (tcp, udp) = (ports(raw.tcp, Protocol::TCP).without(&trap_tcp), ports(raw.udp, Protocol::UDP).without(&trap_udp));
        let stealth = raw.stealth.is_some_and(|given| given.value);
        let portsentry = raw.portsentry.and_then(|given| match &given.value {
            FlagOrWord::Flag(flag) => flag.then_some(Form::One),
            FlagOrWord::Word(word) => Form::from_word(word).map_err(|message| self.wrong(&given, message)).ok(),
        });
        let guard = GuardConfig { tcp, udp, trap_tcp, trap_udp, stealth, banner: self.banner(raw.banner, stealth), portsentry };
        let touch = TouchConfig {
            trigger: self.number(&raw.trigger, 0..=1_000_000, default.trigger),
            within: self.period(&raw.within, 1..=30 * 86_400, default.within),
            level: DangerLevel::new(self.number(&raw.level, 1..=5, default.level.number())).unwrap_or(default.level),
        };
        let flag = |given: Option<Given<bool>>| given.is_none_or(|given| given.value);
        (guard, touch, [flag(raw.block_tcp), flag(raw.block_udp)])
    }

    fn ports_of(&mut self, given: GivenList<PortsWord>, protocol: Protocol) -> Ports {
        if given.value.len() > ENTRIES_MAX {
            self.wrong(&given, format!("at most {ENTRIES_MAX} entries, not {}", given.value.len()));
            return Ports::default();
        }
        let mut ranges = Vec::new();
        for entry in given.value {
            match named_or_range(&entry.value.0, protocol) {
                Ok(ports) => ranges.extend(ports.ranges().iter().cloned()),
                Err(message) => self.wrong(&entry, message),
            }
        }
        ranges.into_iter().collect()
    }

    fn banner(&mut self, given: Option<Given<String>>, stealth: bool) -> Option<String> {
        let given = given?;
        if given.value.len() > BANNER_BYTES {
            self.wrong(&given, format!("a banner has at most {BANNER_BYTES} bytes, this one has {}", given.value.len()));
        } else if stealth {
            self.wrong(&given, "with stealth = true nobody is answered: take one of the two out");
        } else if !given.value.is_empty() {
            return Some(given.value);
        }
        None
    }
}

fn named_or_range(text: &str, protocol: Protocol) -> Result<Ports, String> {
    if let Some(list) = LISTS.iter().find(|list| list.name == text) {
        return Ok(list.ports(protocol));
    }
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        // Names have hyphens, which the nearest key has not.
        let names = LISTS.map(|list| list.name.replace('-', "_"));
        let near = did_you_mean(text, names.iter().map(String::as_str)).replace('_', "-");
        return Err(format!("{} is no list of ports ({}){near}", quoted(text), LISTS.map(|list| list.name).join(", ")));
    }
    range(text).map(|range| Ports::from_iter([range])).map_err(|why| format!("{} {why}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_read_whole() {
        for list in &LISTS {
            for protocol in [Protocol::TCP, Protocol::UDP] {
                let written = if protocol == Protocol::UDP { list.udp } else { list.tcp };
                assert!(written.split(',').all(|part| range(part).is_ok()), "{}", list.name);
                assert_eq!(named_or_range(list.name, protocol), Ok(list.ports(protocol)));
            }
        }
        assert_eq!(LISTS[5].ports(Protocol::TCP).count(), 1_813);
        assert_eq!(LISTS[1].ports(Protocol::TCP).count(), 26);
    }

    #[test]
    fn what_is_no_port_is_told_with_what_is() {
        let wrong = |text: &str| named_or_range(text, Protocol::TCP).unwrap_err();
        assert_eq!(wrong("comprehensiv").split("; ").last(), Some("did you mean 'comprehensive'?"));
        assert_eq!(wrong("catch_all").split("; ").last(), Some("did you mean 'catch-all'?"));
        assert_eq!(wrong("20-10"), "'20-10' is no rising range: write 10-20");
        for text in ["0", "65536", "-5", "1-", "1-2-3", "1,2", " 1", "+1", ""] {
            assert!(wrong(text).contains("is no port (1 to 65535)"), "{text}");
        }
        assert_eq!(named_or_range("60000-65535", Protocol::TCP).unwrap().count(), 5_536);
    }
}
