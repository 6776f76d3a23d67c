//! The fields of a packet by name, psad's names and ours: for `replay --fields` and `--only`. Never decides what a packet comes to.

use crate::config::words::{did_you_mean, quoted};
use model::event::Act;
use model::net::Protocol;
use model::style::Style;
use model::time::Time;
use report::time::Rfc3339;
use sense::facts::Reading;
use sense::firewall::Sighting;
use std::borrow::Cow;
use std::net::IpAddr;

/// One packet, with the line that tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// What the line says.
    pub sighting: &'p Sighting<'p>,
    /// The line itself.
    pub line: &'p [u8],
    /// Its number, from 1.
    pub number: u64,
}

/// What kind of value a field has: what it can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// An address.
    Address,
    /// An IP protocol.
    Protocol,
    /// A time.
    Time,
    /// Anything else.
    Text,
}

/// A field's value in one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'p> {
    /// The log does not tell.
    Absent,
    /// A number.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// An IP protocol.
    Protocol(Protocol),
    /// A time.
    Time(Time),
    /// Whatever the log has.
    Text(Cow<'p, [u8]>),
}

impl Value<'_> {
    /// The bytes that are printed and that a pattern is tried on.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Value::Absent => Cow::Borrowed(b""),
            Value::Number(n) => n.to_string().into_bytes().into(),
            Value::Address(addr) => addr.to_string().into_bytes().into(),
            Value::Protocol(protocol) => protocol.to_string().into_bytes().into(),
            Value::Time(at) => Rfc3339(*at).to_string().into_bytes().into(),
            Value::Text(text) => Cow::Borrowed(text),
        }
    }
}

type Read = for<'p> fn(&Packet<'p>) -> Value<'p>;

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its names: psad's own, its aliases there, then ours. The first is its title.
    pub names: &'static [&'static str],
    /// What its values are.
    pub kind: Kind,
    /// Its value in a packet.
    pub read: Read,
}

/// Every field.
pub const FIELDS: &[Field] = &[
    Field { names: &["timestamp", "time"], kind: Kind::Time, read: |p| Value::Time(p.sighting.at) },
    Field { names: &["src", "SRC", "actor", "source"], kind: Kind::Address, read: |p| Value::Address(p.sighting.facts.source) },
    Field { names: &["dst", "DST", "target"], kind: Kind::Address, read: |p| Value::Address(p.sighting.facts.target) },
    Field { names: &["sp", "SPT", "sport"], kind: Kind::Number, read: |p| number(p.sighting.facts.source_port) },
    Field { names: &["dp", "DPT", "dport", "port"], kind: Kind::Number, read: |p| number(p.sighting.facts.port) },
    Field { names: &["proto", "PROTO", "protocol"], kind: Kind::Protocol, read: |p| Value::Protocol(p.sighting.facts.protocol) },
    Field { names: &["flags"], kind: Kind::Text, read: flags },
    Field { names: &["ip_len", "LEN", "length"], kind: Kind::Number, read: |p| number(p.sighting.facts.length) },
    Field { names: &["intf", "interface"], kind: Kind::Text, read: |p| some(p.sighting.interface_in).or(some(p.sighting.interface_out)) },
    Field { names: &["in", "IN"], kind: Kind::Text, read: |p| some(p.sighting.interface_in) },
    Field { names: &["out", "OUT"], kind: Kind::Text, read: |p| some(p.sighting.interface_out) },
    Field { names: &["chain"], kind: Kind::Text, read: chain },
    Field { names: &["log_prefix", "prefix"], kind: Kind::Text, read: |p| some(p.sighting.prefix) },
    Field { names: &["src_mac"], kind: Kind::Text, read: |p| mac(p, 18..35) },
    Field { names: &["dst_mac"], kind: Kind::Text, read: |p| mac(p, 0..17) },
    Field { names: &["ip_id", "ID"], kind: Kind::Number, read: |p| number(p.sighting.facts.ip_id) },
    Field { names: &["ttl", "TTL"], kind: Kind::Number, read: |p| four(p, number(p.sighting.facts.ttl)) },
    Field { names: &["tos", "TOS"], kind: Kind::Number, read: |p| four(p, number(p.sighting.facts.service)) },
    Field { names: &["ip_opts"], kind: Kind::Text, read: |p| behind(p, b"OPT (", b") PROTO=", b')') },
    Field { names: &["frag_bit"], kind: Kind::Number, read: |p| holds(p.sighting.facts.fragment_bits.is_some_and(|bits| bits & 2 != 0)) },
    Field { names: &["is_ipv6"], kind: Kind::Number, read: |p| holds(p.sighting.facts.source.is_ipv6()) },
    Field { names: &["tc", "TC"], kind: Kind::Number, read: |p| six(p, number(p.sighting.facts.service)) },
    Field { names: &["hop_limit", "HOPLIMIT"], kind: Kind::Number, read: |p| six(p, number(p.sighting.facts.ttl)) },
    Field { names: &["flow_label", "FLOWLBL"], kind: Kind::Number, read: |p| digits(key(p, b"FLOWLBL=")) },
    Field { names: &["itype", "TYPE"], kind: Kind::Number, read: |p| number(p.sighting.facts.icmp.map(|(kind, _)| kind)) },
    Field { names: &["icode", "CODE"], kind: Kind::Number, read: |p| number(p.sighting.facts.icmp.map(|(_, code)| code)) },
    Field { names: &["icmp_id"], kind: Kind::Number, read: |p| number(p.sighting.facts.echo.map(|(id, _)| id)) },
    Field { names: &["icmp_seq", "SEQ"], kind: Kind::Number, read: |p| number(p.sighting.facts.echo.map(|(_, sequence)| sequence)) },
    Field { names: &["win", "WIN", "window"], kind: Kind::Number, read: |p| number(p.sighting.facts.window) },
    Field { names: &["tcp_seq"], kind: Kind::Number, read: |p| number(p.sighting.facts.sequence) },
    Field { names: &["tcp_ack"], kind: Kind::Number, read: |p| number(p.sighting.facts.acknowledgment) },
    Field { names: &["tcp_opts"], kind: Kind::Text, read: |p| behind(p, b"URGP=", b" OPT (", b')') },
    Field { names: &["udp_len"], kind: Kind::Number, read: udp_length },
    Field { names: &["fwsnort_sid"], kind: Kind::Number, read: |p| fwsnort_number(p.sighting.prefix, b"SID") },
    Field { names: &["fwsnort_rnum"], kind: Kind::Number, read: |p| fwsnort_number(p.sighting.prefix, b"[") },
    Field { names: &["fwsnort_estab"], kind: Kind::Number, read: |p| holds(memchr::memmem::find(p.sighting.prefix, b"ESTAB").is_some()) },
    Field { names: &["is_topera"], kind: Kind::Number, read: |p| holds(has_style(p, Style::Topera)) },
    Field { names: &["is_masscan"], kind: Kind::Number, read: |p| holds(has_style(p, Style::Masscan)) },
    Field { names: &["is_mirai"], kind: Kind::Number, read: |p| holds(has_style(p, Style::Mirai)) },
    Field { names: &["syslog_host", "host"], kind: Kind::Text, read: |p| some(p.sighting.host) },
    Field { names: &["line"], kind: Kind::Number, read: |p| Value::Number(p.number) },
    Field { names: &["times"], kind: Kind::Number, read: |p| number(Some(p.sighting.times)) },
    Field { names: &["ignored"], kind: Kind::Text, read: |p| some(super::ignored(p.sighting).unwrap_or_default().as_bytes()) },
    Field { names: &["raw"], kind: Kind::Text, read: |p| some(p.line) },
];

/// The field of this name.
///
/// # Errors
/// One line with the nearest right name.
pub fn find(name: &str) -> Result<&'static Field, String> {
    FIELDS.iter().find(|field| field.names.contains(&name)).ok_or_else(|| {
        // A wrong alias is as near to its lower case.
        let all = FIELDS.iter().flat_map(|field| field.names.iter().copied());
        format!("there is no field {}{}; all: {}", quoted(name), did_you_mean(name, all), first_names())
    })
}

fn first_names() -> String {
    FIELDS.iter().filter_map(|field| field.names.first().copied()).collect::<Vec<_>>().join(" ")
}

impl<'p> Value<'p> {
    fn or(self, other: Value<'p>) -> Value<'p> {
        if self == Value::Absent { other } else { self }
    }
}

fn number<'p>(number: Option<impl Into<u64>>) -> Value<'p> {
    number.map_or(Value::Absent, |number| Value::Number(number.into()))
}

fn holds<'p>(holds: bool) -> Value<'p> {
    Value::Number(holds.into())
}

fn some(text: &[u8]) -> Value<'_> {
    if text.is_empty() { Value::Absent } else { Value::Text(text.into()) }
}

/// The value, if the packet is IPv4's.
fn four<'p>(packet: &Packet<'p>, value: Value<'p>) -> Value<'p> {
    if packet.sighting.facts.source.is_ipv4() { value } else { Value::Absent }
}

/// The value, if the packet is IPv6's.
fn six<'p>(packet: &Packet<'p>, value: Value<'p>) -> Value<'p> {
    if packet.sighting.facts.source.is_ipv6() { value } else { Value::Absent }
}

/// As iptables calls it.
fn chain<'p>(packet: &Packet<'p>) -> Value<'p> {
    Value::Text(packet.sighting.facts.chain.word().to_ascii_uppercase().into_bytes().into())
}

fn flags<'p>(packet: &Packet<'p>) -> Value<'p> {
    packet.sighting.facts.flags.map_or(Value::Absent, |flags| {
        let names = flags.names().collect::<Vec<_>>().join(" ");
        Value::Text(if names.is_empty() { b"NULL".to_vec() } else { names.into_bytes() }.into())
    })
}

fn udp_length<'p>(packet: &Packet<'p>) -> Value<'p> {
    let facts = &packet.sighting.facts;
    match facts.header().payload {
        Some((least, most)) if matches!(facts.protocol, Protocol::UDP | Protocol::UDPLITE) && least == most => {
            Value::Number(u64::from(most) + 8)
        }
        Some(_) | None => Value::Absent,
    }
}

fn has_style(packet: &Packet<'_>, style: Style) -> bool {
    matches!(packet.sighting.reading, Reading::Evidence(Act::Probe(probe), _) if probe.style == Some(style))
}

/// What stands behind a key of Linux' format, to the next space. Only of a line with one packet can that be told.
fn key<'p>(packet: &Packet<'p>, name: &[u8]) -> &'p [u8] {
    // The packet that an ICMP error is about stands in brackets.
    let end = memchr::memmem::find(packet.line, b" [SRC=").unwrap_or(packet.line.len());
    let line = packet.line.get(..end).unwrap_or_default();
    let mut found = memchr::memmem::find_iter(line, name);
    let at = match (found.next(), found.next()) {
        (Some(at), None) => at + name.len(),
        (Some(_) | None, _) => return b"",
    };
    let rest = line.get(at..).unwrap_or_default();
    rest.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// The hexadecimal digits behind `open`, which stands behind `first`, or before `open` if that is what follows; to the closing byte.
fn behind<'p>(packet: &Packet<'p>, first: &[u8], then: &[u8], close: u8) -> Value<'p> {
    let Some(at) = memchr::memmem::find(packet.line, first) else { return Value::Absent };
    let from = packet.line.get(at..).unwrap_or_default();
    // IP's options end before PROTO=, TCP's begin somewhere behind URGP=.
    let inside = if first.ends_with(b"(") {
        let end = memchr::memmem::find(from, then);
        end.and_then(|end| from.get(first.len()..end))
    } else {
        memchr::memmem::find(from, then).and_then(|start| from.get(start + then.len()..))
    };
    let hex = inside.and_then(|inside| inside.split(|byte| *byte == close).next()).unwrap_or_default();
    if hex.iter().all(u8::is_ascii_hexdigit) { some(hex) } else { Value::Absent }
}

/// One of the two addresses in `MAC=`: the target's six bytes, the source's six, the type's two. Other links have other headers.
fn mac<'p>(packet: &Packet<'p>, range: std::ops::Range<usize>) -> Value<'p> {
    const ETHERNET: usize = 14 * 3 - 1;
    some(Some(key(packet, b"MAC=")).filter(|header| header.len() == ETHERNET).and_then(|header| header.get(range)).unwrap_or_default())
}

fn digits<'p>(text: &[u8]) -> Value<'p> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let text = std::str::from_utf8(text.get(..end).unwrap_or_default()).unwrap_or_default();
    number(text.parse::<u64>().ok())
}

/// The number behind a mark in a prefix of fwsnort's, such as `[3] REJ SID2003 ESTAB`.
fn fwsnort_number<'p>(prefix: &[u8], mark: &[u8]) -> Value<'p> {
    let at = memchr::memmem::find(prefix, mark).map(|at| at + mark.len());
    at.map_or(Value::Absent, |at| digits(prefix.get(at..).unwrap_or_default()))
}
