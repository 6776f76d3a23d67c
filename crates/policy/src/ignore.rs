//! The ignore list: what is no evidence, for or against anybody. Never looks at who sent it: that is the exempt list's part.

use crate::config::{Ignore, PolicyConfig};
use model::event::{Act, Event};
use model::net::Protocol;
use std::fmt;
use std::str::FromStr;

impl Ignore {
    /// Whether this event is no evidence. An event without a port (a later fragment) is never taken for one to a listed port.
    pub fn ignores(&self, event: &Event) -> bool {
        let (protocol, port) = match event.act {
            // A service's own word is not about packets, and a guess is no evidence.
            Act::Reported(_) | Act::Guessed(_) => return false,
            Act::Probe(probe) => (probe.protocol, probe.port),
            Act::Reached { protocol, port } => (protocol, port),
            Act::Touched(touch) => (touch.protocol, Some(touch.port)),
            Act::Matched(matched) => (matched.protocol, matched.port),
        };
        protocol == self.protocol
            && match self.ports {
                None => true,
                Some((first, last)) => port.is_some_and(|port| (first..=last).contains(&port)),
            }
    }
}

impl PolicyConfig {
    /// Whether an entry of the ignore list takes this event out.
    pub fn ignores(&self, event: &Event) -> bool {
        self.ignore.iter().any(|entry| entry.ignores(event))
    }
}

/// Why a text is no entry of the ignore list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoreError {
    /// The part before the slash is no protocol.
    Protocol(String),
    /// The part after the slash is no port and no range of ports.
    Ports(String),
    /// This protocol has no ports.
    Portless(Protocol),
}

impl fmt::Display for IgnoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IgnoreError::Protocol(text) => write!(f, "'{text}' is no protocol's name or number"),
            IgnoreError::Ports(text) => write!(f, "'{text}' is no port (0 to 65535) and no range of ports such as 61000-61356"),
            IgnoreError::Portless(protocol) => write!(f, "protocol {protocol} has no ports"),
        }
    }
}

impl std::error::Error for IgnoreError {}

impl FromStr for Ignore {
    type Err = IgnoreError;

    fn from_str(text: &str) -> Result<Self, IgnoreError> {
        let (protocol, ports) = match text.split_once('/') {
            Some((protocol, ports)) => (protocol, Some(ports)),
            None => (text, None),
        };
        let signed = protocol.starts_with('+');
        let protocol = Protocol::parse(protocol).filter(|_| !signed).ok_or_else(|| IgnoreError::Protocol(protocol.to_owned()))?;
        let Some(ports) = ports else {
            return Ok(Ignore { protocol, ports: None });
        };
        if !protocol.has_ports() {
            return Err(IgnoreError::Portless(protocol));
        }
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Ignore { protocol, ports: Some((first, last)) }),
            _ => Err(IgnoreError::Ports(ports.to_owned())),
        }
    }
}

/// Digits only: `u16`'s own reader takes a plus sign too.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Ignore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            None => write!(f, "{}", self.protocol),
            Some((first, last)) if first == last => write!(f, "{}/{first}", self.protocol),
            Some((first, last)) => write!(f, "{}/{first}-{last}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::{Origin, Probe, Trust};
    use model::time::Time;

    fn event(act: Act) -> Event {
        let actor = "192.0.2.1".parse().unwrap();
        Event { at: Time::EPOCH, origin: Origin::default(), actor, target: None, act, trust: Trust::Spoofable, times: 1 }
    }

    fn probe(protocol: Protocol, port: Option<u16>) -> Event {
        event(Act::Probe(Probe { protocol, source_port: None, port, flags: None, icmp: None, style: None, hops: None }))
    }

    #[test]
    fn entries_print_as_they_are_written() {
        for text in ["tcp/61000-61356", "udp/53", "icmp", "tcp", "icmpv6", "253", "sctp/0-65535"] {
            assert_eq!(text.parse::<Ignore>().map(|entry| entry.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("UDP/53-53".parse::<Ignore>().unwrap().to_string(), "udp/53");
        assert_eq!("6".parse::<Ignore>().unwrap().to_string(), "tcp");
    }

    #[test]
    fn bad_entries_say_which_part_is_bad() {
        let bad = |text: &str| text.parse::<Ignore>().unwrap_err();
        assert_eq!(bad("tpc"), IgnoreError::Protocol("tpc".into()));
        assert_eq!(bad(""), IgnoreError::Protocol("".into()));
        assert_eq!(bad("+6"), IgnoreError::Protocol("+6".into()));
        for ports in ["", "-", "53-", "-53", "54-53", "65536", "+53", "1-2-3", "53 "] {
            assert_eq!(bad(&format!("udp/{ports}")), IgnoreError::Ports(ports.into()), "{ports}");
        }
        assert_eq!(bad("icmp/8"), IgnoreError::Portless(Protocol::ICMP));
    }

    #[test]
    fn matches_protocol_and_port() {
        let range: Ignore = "tcp/61000-61356".parse().unwrap();
        for (port, ignored) in [(60_999, false), (61_000, true), (61_200, true), (61_356, true), (61_357, false)] {
            assert_eq!(range.ignores(&probe(Protocol::TCP, Some(port))), ignored, "{port}");
            assert!(!range.ignores(&probe(Protocol::UDP, Some(port))));
        }
        assert!(!range.ignores(&probe(Protocol::TCP, None)));
        assert!(range.ignores(&event(Act::Reached { protocol: Protocol::TCP, port: Some(61_001) })));
        let whole = PolicyConfig { ignore: vec!["icmp".parse().unwrap(), "udp/53".parse().unwrap()], ..PolicyConfig::default() };
        assert!(whole.ignores(&probe(Protocol::ICMP, None)));
        assert!(whole.ignores(&probe(Protocol::UDP, Some(53))));
        assert!(!whole.ignores(&probe(Protocol::ICMPV6, None)));
        assert!(!PolicyConfig::default().ignores(&probe(Protocol::ICMP, None)));
    }
}
