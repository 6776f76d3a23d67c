//! One rule: `alert tcp $EXTERNAL_NET any -> $HOME_NET 31337 (msg:"…"; flags:S; sid:1;)`. Never half: a rule with a part that is not understood
//! is an error, and one with a part that can't be tested yet rests.

use crate::addresses::{Addresses, Ports, Variables};
use crate::header::Header;
use crate::keywords::{self, Draft, Test, later};
use crate::level::{Level, Levels};
use crate::tables::IpOptionNames;
use model::net::Protocol;
use std::collections::BTreeMap;

/// Bytes of one rule.
const RULE_BYTES: usize = 65_536;

/// What rules are read with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Variables.
    pub variables: Variables,
    /// The levels of single signatures.
    pub levels: Levels,
    /// The IPv4 options' names.
    pub ip_options: IpOptionNames,
    /// Priorities of classes, beside Snort's own.
    pub classes: BTreeMap<String, u32>,
    /// Numbers of protocols, beside those that everybody knows.
    pub protocols: BTreeMap<String, u8>,
}

impl Surroundings {
    /// The protocol of this name or number.
    pub fn protocol(&self, name: &str) -> Option<Protocol> {
        let known = Protocol::parse(name).filter(|_| !name.starts_with('+'));
        known.or_else(|| self.protocols.get(&name.to_ascii_lowercase()).map(|number| Protocol(*number)))
    }
}

/// What a rule does when a packet fits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is a match.
    Alert,
    /// The packet matches no rule at all.
    Pass,
}

/// The protocols that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// All that IP carries.
    Ip,
    /// This one.
    One(Protocol),
}

/// A rule, ready to be matched.
#[derive(Debug, Clone)]
pub struct Signature {
    /// What a match does.
    pub action: Action,
    /// Its number: `sid`, or without one `psad_id`.
    pub sid: u32,
    /// `psad_id`, if it has both.
    pub psad_id: Option<u32>,
    /// What it is called.
    pub message: Box<str>,
    /// How grave it is.
    pub level: Level,
    /// Its class.
    pub class: Option<Box<str>>,
    /// Where more is to be read.
    pub references: Vec<Box<str>>,
    /// The Snort rules that it stands for.
    pub derived: Vec<u32>,
    /// The protocols that it is about.
    pub over: Over,
    /// Source addresses.
    pub source: Addresses,
    /// Source ports.
    pub source_ports: Ports,
    /// Destination addresses.
    pub target: Addresses,
    /// Destination ports.
    pub ports: Ports,
    /// Whether both directions are meant: `<>`.
    pub both: bool,
    /// What the packet must be like besides.
    pub tests: Vec<Test>,
}

/// What became of a rule.
#[derive(Debug, Clone)]
pub enum Read {
    /// It works.
    Signature(Box<Signature>),
    /// It rests, because of this keyword, protocol or action.
    Rests(&'static str),
}

impl Signature {
    /// Whether a packet fits in this direction.
    #[inline]
    pub fn fits(&self, header: &Header) -> bool {
        // What parts packets best comes first: the index has looked at protocol and ports already.
        self.tests.iter().all(|test| test.holds(header))
            && (match self.over {
                Over::Ip => true,
                Over::One(protocol) => protocol == header.protocol,
            })
            && self.ports.has(header.port)
            && self.source_ports.has(header.source_port)
            && self.source.has(header.source)
            && self.target.has(header.target)
    }

    /// Whether any address and any port will do, in either direction.
    pub fn is_open(&self) -> bool {
        self.ports.are_all() && self.source_ports.are_all() && self.source.are_all() && self.target.are_all()
    }
}

/// Reads a rule, without what continues lines.
///
/// # Errors
/// What is wrong, in words.
pub fn read(text: &str, around: &Surroundings) -> Result<Read, String> {
    if text.len() > RULE_BYTES {
        return Err(format!("a rule has at most {RULE_BYTES} bytes"));
    }
    let (head, options) = match text.split_once('(') {
        // What stands behind the last bracket is a slip that psad's own file has, too.
        Some((head, rest)) => (head, rest.rsplit_once(')').ok_or("the rule has no end: ')' is missing")?.0),
        None => return Err("a rule's options stand in brackets: (msg:\"…\"; sid:1;)".to_owned()),
    };
    let parts = head_parts(head);
    let [action, protocol, source, source_ports, arrow, target, ports] = parts[..] else {
        return Err(format!("a rule begins with seven words: action, protocol, address, port, arrow, address, port; not {}", parts.len()));
    };
    let action = match action {
        "alert" | "drop" | "reject" | "sdrop" | "block" | "rejectsrc" | "rejectdst" | "rejectboth" => Some(Action::Alert),
        "pass" => Some(Action::Pass),
        "log" | "activate" | "dynamic" => None,
        other => {
            return Err(format!(
                "unknown action '{other}'{}",
                crate::did_you_mean(other, ["alert", "pass", "log", "drop", "reject", "sdrop"])
            ));
        }
    };
    let mut rests = if action.is_none() { Some("log") } else { None };
    let over = match over(protocol, around)? {
        Ok(over) => over,
        Err(name) => {
            rests = rests.or(Some(name));
            Over::Ip
        }
    };
    let variables = &around.variables;
    let side =
        |address: &str, port: &str| -> Result<_, String> { Ok((Addresses::read(address, variables)?, Ports::read(port, variables)?)) };
    let (mut left, mut right) = (side(source, source_ports)?, side(target, ports)?);
    let both = match arrow {
        "->" => false,
        "<>" => true,
        "<-" => {
            std::mem::swap(&mut left, &mut right);
            false
        }
        other => return Err(format!("'{other}' is no direction: ->, <- or <>")),
    };
    let mut draft = Draft::new(around);
    for option in split(options)? {
        let (name, value) = option.split_once(':').map_or((option, ""), |(name, value)| (name.trim_end(), value.trim()));
        match keywords::find(name) {
            Some(keyword) => (keyword.read)(value, &mut draft).map_err(|wrong| format!("{name}: {wrong}"))?,
            None => match later::keyword(name) {
                Some(keyword) => draft.rests = draft.rests.or(Some(keyword)),
                None => return Err(format!("unknown keyword '{name}'{}", crate::did_you_mean(name, keywords::names()))),
            },
        }
    }
    let sid = draft.sid.or(draft.psad_id).ok_or("a rule needs a number: sid:1;")?;
    if let Some(name) = rests.or(draft.rests) {
        return Ok(Read::Rests(name));
    }
    draft.tests.sort_by_key(Test::order);
    let level = around.levels.get(&sid).copied().or(draft.level).or_else(|| draft.priority.map(Level::of_priority));
    let ((source, source_ports), (target, ports)) = (left, right);
    Ok(Read::Signature(Box::new(Signature {
        action: action.unwrap_or(Action::Alert),
        sid,
        psad_id: draft.psad_id.filter(|_| draft.sid.is_some()),
        message: draft.message.unwrap_or_else(|| format!("rule {sid}").into()),
        level: level.unwrap_or(Level::DEFAULT),
        class: draft.class,
        references: draft.references,
        derived: draft.derived,
        over,
        source,
        source_ports,
        target,
        ports,
        both,
        tests: draft.tests,
    })))
}

/// The words of a rule's head; blanks within a list don't part it.
fn head_parts(head: &str) -> Vec<&str> {
    let (mut parts, mut start, mut open) = (Vec::new(), None, 0_u32);
    for (at, c) in head.char_indices() {
        match c {
            '[' => open += 1,
            ']' => open = open.saturating_sub(1),
            _ => {}
        }
        match start {
            None if !c.is_whitespace() => start = Some(at),
            Some(from) if c.is_whitespace() && open == 0 => {
                parts.extend(head.get(from..at));
                start = None;
            }
            _ => {}
        }
    }
    parts.extend(start.and_then(|from| head.get(from..)));
    parts
}

/// The protocol, or (`Err` within) one that rules about it rest for.
fn over(word: &str, around: &Surroundings) -> Result<Result<Over, &'static str>, String> {
    let known = ["ip", "tcp", "udp", "icmp", "icmpv6", "udplite", "sctp", "igmp"];
    Ok(match word.to_ascii_lowercase().as_str() {
        "ip" | "ip4" | "ipv4" | "ip6" | "ipv6" | "any" | "pkthdr" => Ok(Over::Ip),
        "icmp6" => Ok(Over::One(Protocol::ICMPV6)),
        "icmpv4" => Ok(Over::One(Protocol::ICMP)),
        "tcp-pkt" => Ok(Over::One(Protocol::TCP)),
        "tcp-stream" => Err("stream_size"),
        name => match (around.protocol(name), later::protocol(name)) {
            (Some(protocol), _) => Ok(Over::One(protocol)),
            (_, Some(later)) => Err(later),
            (_, None) => return Err(format!("unknown protocol '{word}'{}", crate::did_you_mean(word, known))),
        },
    })
}

/// The options, at their semicolons: none within quotes or behind a backslash counts.
fn split(options: &str) -> Result<Vec<&str>, String> {
    let (mut found, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in options.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                found.push(options.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err("a text has no end: '\"' is missing".to_owned());
    }
    found.push(options.get(start..).unwrap_or_default().trim());
    found.retain(|option| !option.is_empty());
    Ok(found)
}
