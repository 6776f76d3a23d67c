//! The nouns: tables, chains, rules, and what their parts say. Knows no format and decides nothing.

use std::collections::BTreeMap;
use std::fmt;

/// The two versions of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Version {
    /// Both.
    pub const BOTH: [Version; 2] = [Version::V4, Version::V6];

    /// The number of its ICMP.
    pub fn icmp(self) -> u8 {
        match self {
            Version::V4 => 1,
            Version::V6 => 58,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V4 => "IPv4",
            Version::V6 => "IPv6",
        })
    }
}

/// What packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// ARP.
    Arp,
    /// Frames through a bridge.
    Bridge,
    /// Everything on one device.
    Netdev,
}

impl Family {
    /// Whether packets of this version come by.
    pub fn sees(self, version: Version) -> bool {
        match self {
            Family::Ip => version == Version::V4,
            Family::Ip6 => version == Version::V6,
            Family::Inet | Family::Netdev => true,
            Family::Arp | Family::Bridge => false,
        }
    }

    /// Reads nft's word.
    pub fn parse(word: &str) -> Option<Family> {
        Some(match word {
            "ip" => Family::Ip,
            "ip6" => Family::Ip6,
            "inet" => Family::Inet,
            "arp" => Family::Arp,
            "bridge" => Family::Bridge,
            "netdev" => Family::Netdev,
            _ => return None,
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Inet => "inet",
            Family::Arp => "arp",
            Family::Bridge => "bridge",
            Family::Netdev => "netdev",
        })
    }
}

/// Which program's tables these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// nft's.
    Nft,
    /// Of iptables-save or ip6tables-save, whichever kernel interface is behind it.
    Iptables,
}

/// Where in the kernel a base chain is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// On one device, before everything else.
    Ingress,
    /// Before the routing decision.
    Prerouting,
    /// For this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After the routing decision.
    Postrouting,
    /// On one device, after everything else.
    Egress,
}

impl Hook {
    /// Reads nft's word.
    pub fn parse(word: &str) -> Option<Hook> {
        Some(match word {
            "ingress" => Hook::Ingress,
            "prerouting" => Hook::Prerouting,
            "input" => Hook::Input,
            "forward" => Hook::Forward,
            "output" => Hook::Output,
            "postrouting" => Hook::Postrouting,
            "egress" => Hook::Egress,
            _ => return None,
        })
    }
}

/// What a base chain adds to a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Whether it may change addresses: such a chain sees only the first packet of a connection.
    pub nat: bool,
    /// Where it is called.
    pub hook: Hook,
    /// Lower ones are called first.
    pub priority: i32,
    /// What becomes of a packet at its end.
    pub drops: bool,
    /// The devices of an ingress chain.
    pub devices: Vec<String>,
}

/// A whole ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// Its tables, in the order of the text.
    pub tables: Vec<Table>,
    /// What was not understood, one entry a rule or part of one.
    pub strange: Vec<Strange>,
    /// Rules in it.
    pub rules: usize,
}

impl Ruleset {
    /// Puts the other one's tables behind these.
    pub fn join(&mut self, other: Ruleset) {
        self.tables.extend(other.tables);
        self.strange.extend(other.strange);
        self.rules += other.rules;
    }

    /// The table of this family and name.
    pub fn table(&self, family: Family, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family && table.name == name)
    }
}

/// Something that was not understood, and is taken as "maybe".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strange {
    /// Its line.
    pub line: u32,
    /// The part.
    pub text: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose it is.
    pub origin: Origin,
    /// What it sees.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Switched off.
    pub dormant: bool,
    /// Its chains, in the order of the text.
    pub chains: Vec<Chain>,
    /// Its sets and maps by name.
    pub sets: BTreeMap<String, Set>,
    /// The names of its flow tables: established connections that skip the rules.
    pub flowtables: Vec<String>,
}

impl Table {
    /// An empty one.
    pub fn new(origin: Origin, family: Family, name: &str) -> Self {
        Table { origin, family, name: name.to_owned(), dormant: false, chains: Vec::new(), sets: BTreeMap::new(), flowtables: Vec::new() }
    }

    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The chain of this name, made if there is none.
    pub fn chain_mut(&mut self, name: &str) -> &mut Chain {
        let at = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            self.chains.push(Chain { name: name.to_owned(), base: None, rules: Vec::new() });
            self.chains.len() - 1
        });
        &mut self.chains[at]
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where the kernel calls it; `None` if only rules do.
    pub base: Option<Base>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// A rule: steps, the first that fails ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its line in the text; for JSON its place among the rules.
    pub line: u32,
    /// As it stands there, cut.
    pub text: String,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// One part of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Goes on if the packet is like this.
    Match(Match),
    /// Goes on below a rate (`over`: above it), whatever the packet.
    Limit {
        /// Goes on only above the rate.
        over: bool,
        /// The rate in the text's words.
        text: String,
    },
    /// Writes the packet down.
    Log(Log),
    /// Sets the packet's mark: `None` to what isn't known.
    Mark(Option<u32>),
    /// No connection tracking for this packet.
    Notrack,
    /// Ends the rule.
    Verdict(Verdict),
    /// Ends the rule with the verdict that a map has for the packet, if it has one.
    Map {
        /// What is looked up.
        keys: Vec<Key>,
        /// Where.
        among: Among,
        /// As it stands there.
        text: String,
    },
}

/// A log target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// In front of each line.
    pub prefix: String,
    /// `None`: the kernel's own log; else the NFLOG group.
    pub group: Option<u16>,
}

/// The end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// This base chain has nothing against it.
    Accept,
    /// Silently gone.
    Drop,
    /// Gone, and the sender is told.
    Reject,
    /// On with the next rule.
    Continue,
    /// Back to the calling chain.
    Return,
    /// Into another chain, and back.
    Jump(String),
    /// Into another chain, not back.
    Goto(String),
    /// A program decides.
    Queue,
    /// To a port of this host.
    Redirect(Option<u16>),
    /// To another address or port.
    Forwarded {
        /// The address, if it is one and known.
        address: Option<std::net::IpAddr>,
        /// The port, if it is one and known.
        port: Option<u16>,
    },
    /// A target that isn't known.
    Strange(String),
}

/// What of a packet a match looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// IPv4 or IPv6: 4 or 6.
    Version,
    /// The protocol's number; in headers of this version only.
    Protocol(Option<Version>),
    /// The source address.
    Source(Version),
    /// The destination address.
    Destination(Version),
    /// The source port; of this protocol only.
    SourcePort(Option<u8>),
    /// The destination port; of this protocol only.
    Port(Option<u8>),
    /// The type of an ICMP message.
    IcmpType(Version),
    /// Its code.
    IcmpCode(Version),
    /// TCP flags under this mask.
    TcpFlags(u8),
    /// The interface it came in by.
    InterfaceIn,
    /// The interface it goes out by.
    InterfaceOut,
    /// The connection's state, as one of [`STATES`].
    State,
    /// What the tracking says besides, as one of [`STATES`].
    Status,
    /// 0 original, 1 reply.
    Direction,
    /// The packet's mark under a mask.
    Mark(u32),
    /// The connection's mark under a mask.
    ConnectionMark(u32),
    /// Unicast to us 0, broadcast 1, multicast 2, other 3.
    PacketType,
    /// The routing's type of the source address (one of [`TYPES`]).
    SourceType,
    /// The routing's type of the destination address.
    DestinationType,
    /// 1 if answers would go out where it came in.
    ReversePath,
    /// 1 if it is a later fragment or has extension headers or IP options: what an ordinary first packet is not.
    Odd,
    /// Something else: not understood, or not to be told from a ruleset.
    Strange,
}

/// Connection tracking's states, as values of [`Key::State`].
pub const STATES: [(&str, u128); 11] = [
    ("invalid", 0),
    ("established", 1),
    ("related", 2),
    ("new", 3),
    ("untracked", 4),
    ("snat", 5),
    ("dnat", 6),
    ("expected", 7),
    ("seen-reply", 8),
    ("assured", 9),
    ("confirmed", 10),
];
/// A new connection.
pub const STATE_NEW: u128 = 3;
/// Not tracked.
pub const STATE_UNTRACKED: u128 = 4;
/// Its destination was changed.
pub const STATE_DNAT: u128 = 6;

/// Types of addresses, as values of [`Key::SourceType`] and [`Key::DestinationType`].
pub const TYPES: [(&str, u128); 8] =
    [("unspec", 0), ("unicast", 1), ("local", 2), ("broadcast", 3), ("anycast", 4), ("multicast", 5), ("blackhole", 6), ("unreachable", 7)];
/// Somebody else's address.
pub const TYPE_UNICAST: u128 = 1;
/// One of the host's own.
pub const TYPE_LOCAL: u128 = 2;

/// A condition on a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What is looked at; several for a concatenation.
    pub keys: Vec<Key>,
    /// What it must be among.
    pub among: Among,
    /// Must not be among.
    pub negated: bool,
    /// As it stands in the rule.
    pub text: String,
}

/// Where something is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// Written there.
    These(Set),
    /// In the table's set or map of this name.
    Named(String),
}

/// Elements, with a verdict each if it is a verdict map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// One value a key.
    pub elements: Vec<Vec<Value>>,
    /// The verdicts, in the order of the elements; empty in a set.
    pub verdicts: Vec<Verdict>,
    /// Whether there is more than is written here.
    pub more: bool,
}

/// A value that a key is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Numbers and addresses, both ends included.
    Range(u128, u128),
    /// An interface; `*` at its end stands for anything.
    Name(String),
    /// Something else.
    Strange(String),
}

impl Value {
    /// A single number.
    pub fn one(number: impl Into<u128>) -> Value {
        let number = number.into();
        Value::Range(number, number)
    }
}

impl Match {
    /// A condition on one key.
    pub fn new(key: Key, elements: Vec<Value>, negated: bool, text: impl Into<String>) -> Match {
        let elements = elements.into_iter().map(|value| vec![value]).collect();
        Match { keys: vec![key], among: Among::These(Set { elements, ..Set::default() }), negated, text: text.into() }
    }

    /// A condition of which nothing is known.
    pub fn strange(text: impl Into<String>) -> Match {
        Match::new(Key::Strange, Vec::new(), false, text)
    }
}
