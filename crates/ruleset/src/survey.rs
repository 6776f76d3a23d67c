//! Asks about every kind of packet that a ruleset tells apart, and sums up: what becomes of new connections by default, and which ports are
//! open to whom. Bounded in questions; what was left out is counted.

use crate::ask::{Answer, Condition, Fate, Place, ask};
use crate::firewall::Firewall;
use crate::mentioned::{Mentioned, PROTOCOLS};
use crate::packet::{Out, Packet, Way};
use crate::rules::{Hook, Log, Ruleset, Table, Version};
use std::net::IpAddr;

/// Questions about the ports of one protocol and version of IP, and rules that all of them together look at.
const QUESTIONS: usize = 40_000;
const LOOKS: usize = 200_000_000;
/// Pairs of interfaces that forwarding is asked about.
const PAIRS: usize = 64;

/// What is known of the host besides its rules. Everything may be empty: then the rules alone speak.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its interfaces but the loopback one.
    pub interfaces: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// What the rules do with one version of IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Which.
    pub version: Version,
    /// Whether any rule or policy sees packets to this host.
    pub filtered: bool,
    /// By interface what becomes of a new connection that no rule is about.
    pub sides: Vec<Side>,
    /// Ports that somebody can reach, or might.
    pub open: Vec<Open>,
    /// What becomes of new connections through this host, by the interfaces they come in and go out by.
    pub forward: Vec<(Option<String>, Option<String>, Fate)>,
    /// Classes of packets that were not asked about, because there are too many.
    pub left_out: usize,
}

/// One interface's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The interface; `None` for every one that no rule names.
    pub interface: Option<String>,
    /// New TCP connections.
    pub tcp: Usual,
    /// First UDP packets.
    pub udp: Usual,
    /// Echo requests.
    pub ping: Fate,
}

/// What becomes of a packet that no rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usual {
    /// What.
    pub fate: Fate,
    /// Decided where; `None` if nothing has a say.
    pub at: Option<Place>,
    /// How it is written down before, if it is: the log, and the rate that it is held to.
    pub logs: Vec<(Log, Option<String>)>,
    /// What else can become of it, on which conditions.
    pub exceptions: Vec<(Fate, String)>,
}

/// Ports that somebody can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// TCP or UDP.
    pub protocol: u8,
    /// The first.
    pub low: u16,
    /// The last.
    pub high: u16,
    /// Who.
    pub to: Vec<Whom>,
}

/// Who can reach a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// By which interfaces; empty for all.
    pub interfaces: Vec<Option<String>>,
    /// Anybody, but for `nets`; if not, only `nets`.
    pub anybody: bool,
    /// Ranges of addresses.
    pub nets: Vec<(u128, u128)>,
    /// Only below this rate.
    pub limit: Option<String>,
    /// Where packets are sent on to: an address, a port.
    pub sent_to: Option<(Option<IpAddr>, Option<u16>)>,
    /// Otherwise on these conditions.
    pub unless: Vec<(Fate, String)>,
    /// Open only on conditions of which nothing is known.
    pub maybe: bool,
}

/// Whether this is riposte's own table, which is asked about nothing: it lets pass whatever isn't blocked.
pub fn own(table: &Table) -> bool {
    table.family == crate::rules::Family::Inet && table.name == "riposte" && table.chain("prerouting").is_some()
}

/// Surveys one version.
pub fn survey(rules: &Ruleset, version: Version, host: &Host) -> Survey {
    let firewall = Firewall::new(rules, own);
    let mentioned = Mentioned::new(rules.tables.iter().filter(|table| !own(table) && !table.dormant), version);
    let asking = Asking { firewall, version, addresses: addresses(version, host), mentioned };
    let interfaces = asking.interfaces(host);
    let sides: Vec<Side> = interfaces.iter().map(|interface| asking.side(interface)).collect();
    let (open, left_out) = asking.open(&interfaces);
    let filtered = [Hook::Ingress, Hook::Prerouting, Hook::Input].iter().any(|hook| asking.firewall.watches(version, *hook));
    let forward = asking.forward(&interfaces);
    Survey { version, filtered, sides, open, forward, left_out: left_out + asking.mentioned.left_out }
}

fn addresses(version: Version, host: &Host) -> Vec<u128> {
    let of = |address: &&IpAddr| address.is_ipv4() == (version == Version::V4) && !address.is_loopback();
    host.addresses.iter().filter(of).map(|address| crate::names::address_number(*address)).collect()
}

struct Asking<'r> {
    firewall: Firewall<'r>,
    version: Version,
    addresses: Vec<u128>,
    mentioned: Mentioned,
}

impl Asking<'_> {
    /// The interfaces that are told apart: the host's own if they are known, else those that rules name, and any other.
    fn interfaces(&self, host: &Host) -> Vec<Option<String>> {
        if !host.interfaces.is_empty() {
            return host.interfaces.iter().cloned().map(Some).collect();
        }
        [None].into_iter().chain(self.mentioned.interfaces.iter().cloned().map(Some)).collect()
    }

    fn packet(&self, protocol: u8, port: Option<u16>, source: u128, interface: &Option<String>) -> Packet {
        let icmp = (protocol == self.version.icmp()).then_some(if self.version == Version::V4 { 8 } else { 128 });
        let way = Way::Here(self.addresses.clone());
        Packet { version: self.version, protocol, source, port, icmp, interface: interface.clone(), way }
    }

    fn side(&self, interface: &Option<String>) -> Side {
        let anybody = self.mentioned.anybody(self.version);
        let default = |protocol: u8| {
            let ranges = self.mentioned.port_ranges(protocol);
            let widest = ranges.iter().max_by_key(|(low, high)| high - low).map_or(1, |(low, _)| *low);
            summary(&ask(&self.firewall, &self.packet(protocol, Some(widest), anybody, interface)))
        };
        let ping = ask(&self.firewall, &self.packet(self.version.icmp(), None, anybody, interface)).fate();
        Side { interface: interface.clone(), tcp: default(6), udp: default(17), ping }
    }

    /// Every range of ports with everybody who can reach it, neighbours with the same answer joined.
    fn open(&self, interfaces: &[Option<String>]) -> (Vec<Open>, usize) {
        let mut all: Vec<Open> = Vec::new();
        let mut left_out = 0;
        let questions = QUESTIONS.min(LOOKS / self.firewall.rules.rules.max(1)).max(interfaces.len());
        for protocol in PROTOCOLS {
            let mut ranges = self.mentioned.port_ranges(protocol);
            left_out += ranges.len().saturating_sub(questions / interfaces.len().max(1));
            ranges.truncate(questions / interfaces.len().max(1));
            let sources = (questions / (ranges.len() * interfaces.len()).max(1)).min(self.mentioned.sources.len());
            left_out += self.mentioned.sources.len() - sources;
            for (low, high) in ranges {
                let to = self.whom(protocol, low, interfaces, &self.mentioned.sources[..sources]);
                match all.last_mut() {
                    Some(before) if before.protocol == protocol && before.high.checked_add(1) == Some(low) && before.to == to => {
                        before.high = high
                    }
                    _ => all.push(Open { protocol, low, high, to }),
                }
            }
        }
        all.retain(|open| !open.to.is_empty());
        (all, left_out)
    }

    fn whom(&self, protocol: u8, port: u16, interfaces: &[Option<String>], sources: &[(u128, u128)]) -> Vec<Whom> {
        let mut all: Vec<Whom> = Vec::new();
        for interface in interfaces {
            let Some(whom) = self.by_interface(protocol, port, interface, sources) else { continue };
            match all.iter_mut().find(|one| {
                (one.anybody, &one.nets, &one.limit, one.sent_to, &one.unless, one.maybe)
                    == (whom.anybody, &whom.nets, &whom.limit, whom.sent_to, &whom.unless, whom.maybe)
            }) {
                Some(same) => same.interfaces.push(interface.clone()),
                None => all.push(whom),
            }
        }
        if let [only] = all.as_mut_slice()
            && only.interfaces.len() == interfaces.len()
        {
            only.interfaces.clear();
        }
        all
    }

    fn by_interface(&self, protocol: u8, port: u16, interface: &Option<String>, sources: &[(u128, u128)]) -> Option<Whom> {
        let answer = ask(&self.firewall, &self.packet(protocol, Some(port), self.mentioned.anybody(self.version), interface));
        let anybody = answer.fate() == Fate::Accepted;
        // Accepted only if the answer is sure, or nothing unknown is the case.
        let maybe = !anybody && answer.exceptions().any(|one| one.fate == Fate::Accepted);
        let mut nets = Vec::new();
        let mut inner = None;
        for range in sources {
            let one = ask(&self.firewall, &self.packet(protocol, Some(port), self.mentioned.somebody(*range), interface));
            let other = (one.fate() == Fate::Accepted) != anybody;
            if other && !nets.iter().any(|(low, high)| *low <= range.0 && range.1 <= *high) {
                nets.push(*range);
            }
            inner = inner.or((other && !anybody).then_some(one));
        }
        if !anybody && nets.is_empty() && !maybe {
            return None;
        }
        let open = if anybody { &answer } else { inner.as_ref().unwrap_or(&answer) };
        let limit = open.usual().and_then(|one| one.conditions.iter().find_map(within));
        Some(Whom { interfaces: vec![interface.clone()], anybody, nets, limit, sent_to: open.sent_to, unless: exceptions(&answer), maybe })
    }

    fn forward(&self, interfaces: &[Option<String>]) -> Vec<(Option<String>, Option<String>, Fate)> {
        let pairs = interfaces.iter().flat_map(|from| interfaces.iter().map(move |to| (from, to)));
        let mut all = Vec::new();
        for (from, to) in pairs.filter(|(from, to)| from != to || from.is_none()).take(PAIRS) {
            let mut packet = self.packet(6, Some(40_001), self.mentioned.anybody(self.version), from);
            packet.way = Way::Through { to: None, out: to.clone().map_or(Out::Other, Out::By) };
            all.push((from.clone(), to.clone(), ask(&self.firewall, &packet).fate()));
        }
        all
    }
}

fn within(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Within(text) => Some(text.clone()),
        Condition::Over(_) | Condition::If(_) | Condition::Unless(_) => None,
    }
}

fn exceptions(answer: &Answer) -> Vec<(Fate, String)> {
    let mut all: Vec<(Fate, String)> = answer.exceptions().map(|one| (one.fate, words(&one.conditions))).collect();
    all.dedup();
    all.truncate(8);
    all
}

/// Conditions as a phrase.
fn words(conditions: &[Condition]) -> String {
    let parts: Vec<String> = conditions
        .iter()
        .map(|one| match one {
            Condition::Within(text) => format!("within {text}"),
            Condition::Over(text) => format!("over {text}"),
            Condition::If(text) => format!("if {text}"),
            Condition::Unless(text) => format!("unless {text}"),
        })
        .collect();
    parts.join(", ")
}

fn summary(answer: &Answer) -> Usual {
    let logs = answer.usual_logs().map(|one| (one.log.clone(), one.conditions.iter().find_map(within))).collect();
    Usual { fate: answer.fate(), at: answer.usual().and_then(|one| one.at.clone()), logs, exceptions: exceptions(answer) }
}
