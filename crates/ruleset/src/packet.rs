//! The first packet of a connection that nobody has opened yet, and what a condition says about it: yes, no, or maybe.

use crate::firewall::Firewall;
use crate::rules::{Among, Key, Match, STATE_DNAT, STATE_NEW, STATE_UNTRACKED, Set, TYPE_LOCAL, TYPE_UNICAST, Value, Version};
use std::net::IpAddr;

/// The SYN bit, the only one in the first packet of a TCP connection.
const SYN: u8 = 2;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// IPv4 or IPv6.
    pub version: Version,
    /// The protocol's number.
    pub protocol: u8,
    /// Who sends it.
    pub source: u128,
    /// The destination port, if the protocol has ports.
    pub port: Option<u16>,
    /// The type, of an ICMP message.
    pub icmp: Option<u8>,
    /// Where it comes in; `None` for an interface that no rule names.
    pub interface: Option<String>,
    /// Where it goes.
    pub way: Way,
}

/// Where a packet goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To this host, which has these addresses; if there are none, nothing is known but that they are addresses of a host.
    Here(Vec<u128>),
    /// Through it.
    Through {
        /// To this address, if it is known.
        to: Option<u128>,
        /// Out by this interface.
        out: Out,
    },
}

/// By which interface a packet leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// This one.
    By(String),
    /// One that no rule names.
    Other,
    /// Not known.
    Unknown,
}

/// Yes, no, or maybe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// No.
    No,
    /// Not to be told.
    Maybe,
    /// Yes.
    Yes,
}

impl Truth {
    fn not(self) -> Truth {
        match self {
            Truth::No => Truth::Yes,
            Truth::Maybe => Truth::Maybe,
            Truth::Yes => Truth::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(yes: bool) -> Truth {
        if yes { Truth::Yes } else { Truth::No }
    }
}

/// A packet on its way, with what rules have done to it.
#[derive(Debug, Clone)]
pub(crate) struct Travelling {
    pub(crate) packet: Packet,
    pub(crate) mark: Option<u32>,
    pub(crate) untracked: bool,
    pub(crate) translated: bool,
}

/// What is known of one key.
enum Fact<'p> {
    Is(u128),
    Both(u128, u128),
    Interface(Option<&'p str>),
    /// A source port: the sender chooses.
    AnyPort,
    /// One of these addresses; none: some host's.
    Own(&'p [u128]),
    /// This packet has no such thing, so no condition on it holds.
    Absent,
    Unknown,
}

impl Travelling {
    fn fact(&self, key: &Key) -> Fact<'_> {
        let packet = &self.packet;
        let state = if self.untracked { STATE_UNTRACKED } else { STATE_NEW };
        match key {
            Key::Version => Fact::Is(if packet.version == Version::V4 { 4 } else { 6 }),
            Key::Protocol(version) if version.is_some_and(|only| only != packet.version) => Fact::Absent,
            Key::Protocol(_) => Fact::Is(packet.protocol.into()),
            Key::Source(version) | Key::Destination(version) if *version != packet.version => Fact::Absent,
            Key::Source(_) => Fact::Is(packet.source),
            Key::Destination(_) => match &packet.way {
                Way::Here(own) => Fact::Own(own),
                Way::Through { to, .. } => to.map_or(Fact::Own(&[]), Fact::Is),
            },
            Key::SourcePort(only) | Key::Port(only) if only.is_some_and(|only| only != packet.protocol) || packet.port.is_none() => {
                Fact::Absent
            }
            Key::SourcePort(_) => Fact::AnyPort,
            Key::Port(_) => packet.port.map_or(Fact::Absent, |port| Fact::Is(port.into())),
            Key::IcmpType(version) if *version == packet.version => packet.icmp.map_or(Fact::Absent, |kind| Fact::Is(kind.into())),
            Key::IcmpCode(version) if *version == packet.version && packet.icmp.is_some() => Fact::Is(0),
            Key::IcmpType(_) | Key::IcmpCode(_) => Fact::Absent,
            Key::TcpFlags(mask) if packet.protocol == 6 => Fact::Is((SYN & mask).into()),
            Key::TcpFlags(_) => Fact::Absent,
            Key::InterfaceIn => Fact::Interface(packet.interface.as_deref()),
            Key::InterfaceOut => match &packet.way {
                Way::Here(_) | Way::Through { out: Out::Other, .. } => Fact::Interface(None),
                Way::Through { out: Out::By(name), .. } => Fact::Interface(Some(name)),
                Way::Through { out: Out::Unknown, .. } => Fact::Unknown,
            },
            Key::State if self.translated => Fact::Both(state, STATE_DNAT),
            Key::State => Fact::Is(state),
            Key::Status => Fact::Is(if self.translated { STATE_DNAT } else { u128::MAX }),
            Key::Direction => Fact::Is(0),
            Key::Mark(mask) => self.mark.map_or(Fact::Unknown, |mark| Fact::Is((mark & mask).into())),
            Key::ConnectionMark(_) => Fact::Unknown,
            Key::PacketType => Fact::Is(0),
            Key::SourceType => Fact::Is(TYPE_UNICAST),
            Key::DestinationType => Fact::Is(if matches!(packet.way, Way::Here(_)) { TYPE_LOCAL } else { TYPE_UNICAST }),
            Key::ReversePath => Fact::Is(1),
            Key::Odd => Fact::Is(0),
            Key::Strange => Fact::Unknown,
        }
    }

    /// Whether a condition of a rule in this table holds.
    pub(crate) fn meets(&self, firewall: &Firewall<'_>, table: usize, condition: &Match) -> Truth {
        let facts: Vec<Fact<'_>> = condition.keys.iter().map(|key| self.fact(key)).collect();
        if facts.iter().any(|fact| matches!(fact, Fact::Absent)) {
            return Truth::No;
        }
        let found = match &condition.among {
            Among::Named(name) => match (facts.as_slice(), firewall.set(table, name)) {
                (_, None) => Truth::Maybe,
                ([Fact::Is(number)], Some(set)) => match firewall.in_long_set(table, name, *number) {
                    Some(inside) => Truth::from(inside).max(if set.more { Truth::Maybe } else { Truth::No }),
                    None => self.any(&facts, set),
                },
                (_, Some(set)) => self.any(&facts, set),
            },
            Among::These(set) => self.any(&facts, set),
        };
        let unknown = facts.iter().all(|fact| matches!(fact, Fact::Unknown));
        let found = if unknown { Truth::Maybe } else { found };
        if condition.negated { found.not() } else { found }
    }

    fn any(&self, facts: &[Fact<'_>], set: &Set) -> Truth {
        let more = if set.more { Truth::Maybe } else { Truth::No };
        set.elements.iter().map(|element| self.all(facts, element)).max().unwrap_or(Truth::No).max(more)
    }

    /// What a set or map says of each of its elements, in order.
    pub(crate) fn each<'a>(&'a self, keys: &'a [Key], set: &'a Set) -> impl Iterator<Item = Truth> + 'a {
        let facts: Vec<Fact<'_>> = keys.iter().map(|key| self.fact(key)).collect();
        set.elements
            .iter()
            .map(move |element| if facts.iter().any(|fact| matches!(fact, Fact::Absent)) { Truth::No } else { self.all(&facts, element) })
    }

    fn all(&self, facts: &[Fact<'_>], element: &[Value]) -> Truth {
        if facts.len() != element.len() {
            return Truth::Maybe;
        }
        facts.iter().zip(element).map(|(fact, value)| self.one(fact, value)).min().unwrap_or(Truth::Maybe)
    }

    fn one(&self, fact: &Fact<'_>, value: &Value) -> Truth {
        match (fact, value) {
            (Fact::Is(number), Value::Range(low, high)) => (low <= number && number <= high).into(),
            (Fact::Both(one, other), Value::Range(low, high)) => (low <= one && one <= high || low <= other && other <= high).into(),
            (Fact::Interface(name), Value::Name(pattern)) => fits(*name, pattern).into(),
            // Programs choose from the ports above 1023, but nobody must.
            (Fact::AnyPort, Value::Range(low, high)) if *low <= 1_024 && *high >= u16::MAX.into() => Truth::Yes,
            // Nobody sends from port 0.
            (Fact::AnyPort, Value::Range(_, 0)) => Truth::No,
            (Fact::Own([]), Value::Range(low, high)) => self.some_host(*low, *high),
            (Fact::Own(own), Value::Range(low, high)) => {
                let inside = own.iter().filter(|address| low <= address && *address <= high).count();
                match inside {
                    0 => Truth::No,
                    n if n == own.len() => Truth::Yes,
                    _ => Truth::Maybe,
                }
            }
            (Fact::Absent, _) => Truth::No,
            (Fact::Unknown | Fact::AnyPort | Fact::Is(_) | Fact::Both(..) | Fact::Interface(_) | Fact::Own(_), _) => Truth::Maybe,
        }
    }

    /// Whether a host's address that others can reach lies between these.
    fn some_host(&self, low: u128, high: u128) -> Truth {
        if low == 0 && high >= crate::names::last(self.packet.version) {
            return Truth::Yes;
        }
        let reachable = |number: u128| match crate::names::address_of(self.packet.version, number) {
            IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4.is_loopback() || v4.is_unspecified()),
            IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local()),
        };
        if reachable(low) || reachable(high) { Truth::Maybe } else { Truth::No }
    }
}

/// Whether an interface's name fits a pattern.
pub(crate) fn fits(name: Option<&str>, pattern: &str) -> bool {
    match (name, pattern.strip_suffix('*')) {
        (_, Some("")) => true,
        (Some(name), Some(start)) => name.starts_with(start),
        (Some(name), None) => name == pattern,
        (None, _) => false,
    }
}
