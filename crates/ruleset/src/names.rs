//! Words for numbers: protocols, ICMP types, services, states; and the values that are made of them. Looks nothing up outside.

use crate::rules::{Key, STATES, TYPES, Value, Version};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PROTOCOLS: [(&str, u8); 22] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("ipip", 4),
    ("tcp", 6),
    ("egp", 8),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ipv6-crypt", 50),
    ("ah", 51),
    ("ipv6-auth", 51),
    ("icmpv6", 58),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("pim", 103),
    ("comp", 108),
    ("vrrp", 112),
    ("sctp", 132),
    ("udplite", 136),
];

const ICMP: [(&str, u8); 17] = [
    ("echo-reply", 0),
    ("pong", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("ping", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("ttl-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

const ICMPV6: [(&str, u8); 25] = [
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("ttl-exceeded", 3),
    ("parameter-problem", 4),
    ("bad-header", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("nd-router-solicit", 133),
    ("router-solicitation", 133),
    ("nd-router-advert", 134),
    ("router-advertisement", 134),
    ("nd-neighbor-solicit", 135),
    ("neighbor-solicitation", 135),
    ("neighbour-solicitation", 135),
    ("nd-neighbor-advert", 136),
    ("neighbor-advertisement", 136),
    ("neighbour-advertisement", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("mld2-listener-report", 143),
];

/// What people write by name in a firewall (IANA "Service Name and Transport Protocol Port Number Registry").
const SERVICES: [(&str, u16); 38] = [
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("www", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("netbios-ns", 137),
    ("netbios-dgm", 138),
    ("netbios-ssn", 139),
    ("imap", 143),
    ("imap2", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("submissions", 465),
    ("isakmp", 500),
    ("syslog", 514),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pop3s", 995),
    ("openvpn", 1194),
    ("mysql", 3306),
    ("ms-wbt-server", 3389),
    ("postgresql", 5432),
    ("mdns", 5353),
    ("http-alt", 8080),
];

const FLAGS: [(&str, u8); 10] =
    [("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128), ("all", 63), ("none", 0)];

/// No value is longer than this.
const WORD: usize = 256;

fn find<N: Copy>(table: &[(&str, N)], word: &str) -> Option<N> {
    table.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number)
}

/// A number, decimal or hexadecimal.
pub(crate) fn number(word: &str) -> Option<u128> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u128::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// A protocol's number.
pub(crate) fn protocol(word: &str) -> Option<u8> {
    find(&PROTOCOLS, word).or_else(|| word.parse().ok())
}

/// A protocol's name.
pub(crate) fn protocol_name(number: u8) -> String {
    PROTOCOLS.iter().find(|(_, n)| *n == number).map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// TCP flags: a name, or several with `,` or `|` between.
pub(crate) fn flags(word: &str) -> Option<u8> {
    if let Some(all) = number(word) {
        return u8::try_from(all).ok();
    }
    word.split([',', '|']).map(|name| find(&FLAGS, name.trim())).try_fold(0, |all, flag| Some(all | flag?))
}

/// An ICMP type's number.
pub(crate) fn icmp_type(version: Version, word: &str) -> Option<u8> {
    let table: &[(&str, u8)] = match version {
        Version::V4 => &ICMP,
        Version::V6 => &ICMPV6,
    };
    word.parse().ok().or_else(|| find(table, word))
}

/// An address as a number.
pub(crate) fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The address that a number stands for.
pub(crate) fn address_of(version: Version, number: u128) -> IpAddr {
    match version {
        Version::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        Version::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The last address.
pub(crate) fn last(version: Version) -> u128 {
    match version {
        Version::V4 => u32::MAX.into(),
        Version::V6 => u128::MAX,
    }
}

/// An address, with `/LENGTH` or `/MASK` behind it or not, as a range.
pub(crate) fn prefix(version: Version, word: &str) -> Option<Value> {
    let bits: u32 = if version == Version::V4 { 32 } else { 128 };
    let address = |text: &str| match (text.parse(), version) {
        (Ok(address @ IpAddr::V4(_)), Version::V4) | (Ok(address @ IpAddr::V6(_)), Version::V6) => Some(address_number(address)),
        _ => None,
    };
    let (first, length) = match word.split_once('/') {
        None => (address(word)?, bits),
        Some((first, length)) => (address(first)?, length.parse().ok().or_else(|| mask_length(address(length)?, bits))?),
    };
    let host = bits.checked_sub(length)?;
    let low_bits = if host == 128 { u128::MAX } else { (1_u128 << host) - 1 };
    Some(Value::Range(first & !low_bits, first | low_bits))
}

/// The length of a mask without holes.
fn mask_length(mask: u128, bits: u32) -> Option<u32> {
    let ones = mask.count_ones();
    let host = bits - ones;
    let whole = if host == 128 { 0 } else { (last_of(bits) >> host) << host };
    (mask == whole).then_some(ones)
}

fn last_of(bits: u32) -> u128 {
    if bits == 128 { u128::MAX } else { (1_u128 << bits) - 1 }
}

/// One word as a value of this key; a range with `-` or (`colon`) `:` between two of them.
pub(crate) fn value(key: &Key, word: &str) -> Value {
    let word = word.trim_matches('"');
    if word.len() > WORD {
        return Value::Strange(shown(word));
    }
    atom(key, word).or_else(|| range(key, word)).unwrap_or_else(|| Value::Strange(word.to_owned()))
}

fn range(key: &Key, word: &str) -> Option<Value> {
    word.match_indices('-').find_map(|(at, _)| match (atom(key, &word[..at])?, atom(key, &word[at + 1..])?) {
        (Value::Range(low, _), Value::Range(_, high)) if low <= high => Some(Value::Range(low, high)),
        _ => None,
    })
}

fn atom(key: &Key, word: &str) -> Option<Value> {
    match key {
        Key::Version => match word {
            "ip" | "ipv4" | "0x0800" | "2048" => Some(Value::one(4_u8)),
            "ip6" | "ipv6" | "0x86dd" | "34525" => Some(Value::one(6_u8)),
            _ => number(word)
                .map(|_| Value::one(0_u8))
                .or_else(|| matches!(word, "arp" | "vlan" | "8021q" | "8021ad").then(|| Value::one(0_u8))),
        },
        Key::Protocol(_) => protocol(word).map(Value::one),
        Key::Source(version) | Key::Destination(version) => prefix(*version, word),
        Key::SourcePort(_) | Key::Port(_) => word.parse().ok().or_else(|| find(&SERVICES, word)).map(|port: u16| Value::one(port)),
        Key::IcmpType(version) => icmp_type(*version, word).map(Value::one),
        Key::TcpFlags(_) => flags(word).map(Value::one),
        Key::InterfaceIn | Key::InterfaceOut => Some(Value::Name(word.to_owned())),
        Key::State | Key::Status => find(&STATES, word).map(Value::one),
        Key::Direction => find(&[("original", 0_u128), ("reply", 1)], word).map(Value::one),
        Key::PacketType => {
            let names = [("host", 0_u128), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3), ("otherhost", 3)];
            find(&names, word).or_else(|| number(word)).map(Value::one)
        }
        Key::SourceType | Key::DestinationType => find(&TYPES, word).map(Value::one),
        Key::ReversePath | Key::Odd => match word {
            "missing" | "false" => Some(Value::one(0_u8)),
            "exists" | "true" => Some(Value::one(1_u8)),
            _ => number(word).map(|n| Value::one(u128::from(n != 0))),
        },
        Key::IcmpCode(_) | Key::Mark(_) | Key::ConnectionMark(_) => number(word).map(Value::one),
        Key::Strange => None,
    }
}

/// The nearest right word to a wrong one, as the end of a message.
pub(crate) fn nearest(word: &str, right: &[&str]) -> String {
    let word = &word[..word.char_indices().nth(40).map_or(word.len(), |(at, _)| at)];
    let best = right.iter().map(|one| (strsim::osa_distance(word, one), one)).min();
    match best {
        Some((distance, one)) if distance > 0 && distance <= 1 + one.len() / 3 => format!(" (did you mean {one}?)"),
        _ => String::new(),
    }
}

/// A text for messages: without control characters, cut.
pub(crate) fn shown(text: &str) -> String {
    let mut all: String = text.chars().take(crate::RULE_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(crate::RULE_TEXT).is_some() {
        all.push('…');
    }
    all
}
