//! nft's vocabulary: which of its expressions looks at what, and what an operator does with it. Knows nothing of text or JSON around it.

use crate::names::{number, protocol, value};
use crate::rules::{Among, Key, Match, Set, Value, Version};

/// How an expression is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Nothing is written: equal, but for bits "one of them is set".
    Implicit,
    Equal,
    Not,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Operator {
    pub(crate) fn parse(word: &str) -> Option<Operator> {
        Some(match word {
            "in" => Operator::Implicit,
            "==" | "eq" => Operator::Equal,
            "!=" | "ne" => Operator::Not,
            "<" | "lt" => Operator::Less,
            "<=" | "le" => Operator::AtMost,
            ">" | "gt" => Operator::More,
            ">=" | "ge" => Operator::AtLeast,
            _ => return None,
        })
    }
}

/// `PROTOCOL FIELD`, as in `tcp dport`.
pub(crate) fn payload(header: &str, field: &str) -> Key {
    match (header, field) {
        ("ip", "saddr") => Key::Source(Version::V4),
        ("ip", "daddr") => Key::Destination(Version::V4),
        ("ip6", "saddr") => Key::Source(Version::V6),
        ("ip6", "daddr") => Key::Destination(Version::V6),
        ("ip", "protocol") => Key::Protocol(Some(Version::V4)),
        ("ip6", "nexthdr") => Key::Protocol(Some(Version::V6)),
        ("ip", "version") | ("ether", "type") => Key::Version,
        ("ip", "frag-off") => Key::Odd,
        ("th", "dport") => Key::Port(None),
        ("th", "sport") => Key::SourcePort(None),
        ("tcp" | "udp" | "sctp" | "dccp" | "udplite", "dport") => Key::Port(protocol(header)),
        ("tcp" | "udp" | "sctp" | "dccp" | "udplite", "sport") => Key::SourcePort(protocol(header)),
        ("tcp", "flags") => Key::TcpFlags(0xff),
        ("icmp", "type") => Key::IcmpType(Version::V4),
        ("icmp", "code") => Key::IcmpCode(Version::V4),
        ("icmpv6", "type") => Key::IcmpType(Version::V6),
        ("icmpv6", "code") => Key::IcmpCode(Version::V6),
        _ => Key::Strange,
    }
}

/// `meta WORD`, or the word alone where nft allows that.
pub(crate) fn meta(word: &str) -> Key {
    match word {
        "l4proto" => Key::Protocol(None),
        "nfproto" | "protocol" => Key::Version,
        "iif" | "iifname" => Key::InterfaceIn,
        "oif" | "oifname" => Key::InterfaceOut,
        "mark" => Key::Mark(u32::MAX),
        "pkttype" => Key::PacketType,
        _ => Key::Strange,
    }
}

/// `ct WORD`.
pub(crate) fn connection(word: &str) -> Key {
    match word {
        "state" => Key::State,
        "status" => Key::Status,
        "direction" => Key::Direction,
        "mark" => Key::ConnectionMark(u32::MAX),
        _ => Key::Strange,
    }
}

/// `fib FLAGS RESULT`.
pub(crate) fn routing(flags: &[&str], result: &str) -> Key {
    let about = |which: &str| flags.contains(&which);
    match result {
        "type" if about("saddr") => Key::SourceType,
        "type" => Key::DestinationType,
        "oif" | "oifname" if about("saddr") => Key::ReversePath,
        _ => Key::Strange,
    }
}

/// The key whose values look like those of a set of this type.
pub(crate) fn typed(word: &str) -> Key {
    match word {
        "ipv4_addr" => Key::Source(Version::V4),
        "ipv6_addr" => Key::Source(Version::V6),
        "inet_service" => Key::Port(None),
        "inet_proto" => Key::Protocol(None),
        "ifname" | "iface_index" => Key::InterfaceIn,
        "mark" => Key::Mark(u32::MAX),
        "ct_state" => Key::State,
        "ct_status" => Key::Status,
        "icmp_type" => Key::IcmpType(Version::V4),
        "icmpv6_type" => Key::IcmpType(Version::V6),
        "pkt_type" => Key::PacketType,
        "tcp_flag" => Key::TcpFlags(0xff),
        "nf_proto" | "ether_type" => Key::Version,
        "fib_addrtype" => Key::DestinationType,
        _ => Key::Strange,
    }
}

/// A priority: a number, a name, or a name with a number added.
pub(crate) fn priority(words: &[&str]) -> Option<i32> {
    let named = |word: &str| {
        Some(match word {
            "raw" => -300,
            "mangle" => -150,
            "dstnat" => -100,
            "filter" | "out" => 0,
            "security" => 50,
            "srcnat" => 100,
            _ => return word.parse().ok(),
        })
    };
    match words {
        [one] => named(one),
        ["-", number] => number.parse::<i32>().ok().map(|n| -n),
        [name, sign @ ("+" | "-"), number] => {
            let by: i32 = number.parse().ok()?;
            if *sign == "+" { named(name)?.checked_add(by) } else { named(name)?.checked_sub(by) }
        }
        _ => None,
    }
}

/// What is compared, with a mask and an operator, as a condition.
pub(crate) fn condition(mut keys: Vec<Key>, mask: Option<&str>, operator: Operator, among: Among, text: String) -> Match {
    if keys.contains(&Key::Strange) {
        return Match::strange(text);
    }
    let negated = operator == Operator::Not;
    if let (Operator::Implicit, None, [Key::TcpFlags(all)], Among::These(set)) = (operator, mask, keys.as_mut_slice(), &among)
        && let [element] = set.elements.as_slice()
        && let [Value::Range(low, high)] = element.as_slice()
        && low == high
    {
        // `tcp flags syn`: this bit, whatever the others are.
        *all = u8::try_from(*low).unwrap_or(u8::MAX);
        return Match::new(keys.remove(0), vec![Value::one(0_u8)], true, text);
    }
    if let Some(mask) = mask {
        return match (masked(keys, mask), among) {
            (Some(Masked::Key(key)), among) => Match { keys: vec![key], among, negated, text },
            (Some(Masked::Address(key, mask, all)), Among::These(mut set)) => {
                for one in set.elements.iter_mut().flatten() {
                    if let Value::Range(low, high) = one {
                        (*low, *high) = (*low & mask, *low & mask | (all & !mask));
                    }
                }
                Match { keys: vec![key], among: Among::These(set), negated, text }
            }
            _ => Match::strange(text),
        };
    }
    match (operator, among) {
        (Operator::Implicit | Operator::Equal | Operator::Not, among) => Match { keys, among, negated, text },
        (_, Among::Named(_)) => Match::strange(text),
        (_, Among::These(mut set)) => {
            set.elements.iter_mut().flatten().for_each(|one| compared(operator, one));
            Match { keys, among: Among::These(set), negated, text }
        }
    }
}

fn compared(operator: Operator, one: &mut Value) {
    let Value::Range(low, high) = *one else { return };
    *one = match operator {
        Operator::Implicit | Operator::Equal | Operator::Not => return,
        Operator::Less if low == 0 => Value::Strange("less than nothing".to_owned()),
        Operator::Less => Value::Range(0, low - 1),
        Operator::AtMost => Value::Range(0, high),
        Operator::More => Value::Range(high.saturating_add(1), u128::MAX),
        Operator::AtLeast => Value::Range(low, u128::MAX),
    };
}

enum Masked {
    Key(Key),
    /// The mask, and an address with all bits.
    Address(Key, u128, u128),
}

fn masked(keys: Vec<Key>, mask: &str) -> Option<Masked> {
    let [key] = <[Key; 1]>::try_from(keys).ok()?;
    let read = |key: &Key| match value(key, mask) {
        Value::Range(low, high) if low == high => Some(low),
        Value::Range(..) | Value::Name(_) | Value::Strange(_) => None,
    };
    Some(match key {
        Key::TcpFlags(_) => Masked::Key(Key::TcpFlags(u8::try_from(read(&key)?).ok()?)),
        Key::Mark(_) => Masked::Key(Key::Mark(u32::try_from(number(mask)?).ok()?)),
        Key::ConnectionMark(_) => Masked::Key(Key::ConnectionMark(u32::try_from(number(mask)?).ok()?)),
        Key::Odd => Masked::Key(Key::Odd),
        Key::Source(version) | Key::Destination(version) => {
            let bits = read(&key)?;
            let all = crate::names::last(version);
            // Only a mask without holes makes a range.
            let whole = (all & !bits).checked_add(1).is_none_or(u128::is_power_of_two);
            if !whole {
                return None;
            }
            Masked::Address(key, bits, all)
        }
        _ => return None,
    })
}

/// Elements as they were written, the one for "everything else" last.
pub(crate) fn these(mut set: Set) -> Among {
    let everything = |element: &Vec<Value>| element.iter().all(|value| *value == Value::Range(0, u128::MAX));
    if let Some(at) = set.elements.iter().position(everything) {
        let last = set.elements.len() - 1;
        set.elements.swap(at, last);
        if set.verdicts.len() > last {
            set.verdicts.swap(at, last);
        }
    }
    Among::These(set)
}
