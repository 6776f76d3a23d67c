//! The packet record of FreeBSD's ipfw (sys/netpfil/ipfw/ip_fw_log.c).
//! Never looks at who wrote the line: that is settled before, in `framing`.
//!
//! `ipfw: 100 Deny TCP 198.51.100.7:1234 203.0.113.9:80 in via em0`

use super::Record;
use super::text::{address, number, protocol, whole, word};
use crate::facts::{Chain, Facts, Fragment, Handling};
use crate::guessing::Details;
use model::net::Protocol;
use std::net::IpAddr;

/// What a record starts with.
pub(super) const START: &[u8] = b"ipfw: ";

/// What a line of ipfw's comes to.
pub(super) enum Line<'l> {
    /// A packet.
    Packet(Record<'l>),
    /// A packet that can't be read.
    Damaged,
    /// No packet (`limit 5 reached on entry 100`).
    Other,
}

/// Reads a line that starts with [`START`].
pub(super) fn read(text: &[u8]) -> Line<'_> {
    let Some((_rule, rest)) = text.strip_prefix(START).and_then(number) else { return Line::Other };
    let (action, rest) = word(super::text::skip_spaces(rest));
    packet(action, rest).map_or(Line::Damaged, Line::Packet)
}

fn packet<'l>(action: &'l [u8], rest: &'l [u8]) -> Option<Record<'l>> {
    let handling = match action {
        b"Deny" | b"Reject" | b"Unreach" | b"Reset" | b"Abort" | b"Drop" => Handling::Turned,
        b"Accept" | b"Allow" | b"Pass" | b"Permit" => Handling::Passed,
        // Count, SkipTo, Divert, Pipe, Queue and the like: another rule decides.
        _ => Handling::Audited,
    };
    // Some actions have a number or an address of their own behind them (`Unreach 13`, `SkipTo 200`, `Forward to 192.0.2.1`).
    let (kind, rest) = find_protocol(rest)?;
    let (from, rest) = word(rest);
    let (to, mut rest) = word(rest);
    let ((source, source_port), (target, port)) = (endpoint(from)?, endpoint(to)?);
    if source.is_ipv4() != target.is_ipv4() {
        return None;
    }
    let mut facts = Facts { source_port, port, handling, icmp: kind.icmp, ..Facts::bare(source, target, kind.protocol) };
    if let Some(fragment) = rest.strip_prefix(b"(frag ") {
        let (_, behind) = fragment.split_at(memchr::memchr(b')', fragment)?);
        facts.fragment = offset(fragment)?;
        rest = super::text::skip_spaces(behind.get(1..)?);
    }
    let (way, rest) = word(rest);
    let interface = match rest.strip_prefix(b"via ") {
        Some(rest) if !rest.is_empty() => {
            let (name, behind) = word(rest);
            behind.is_empty().then_some(name)?
        }
        Some(_) => return None,
        None => rest.is_empty().then_some(rest)?,
    };
    facts.chain = match way {
        b"in" => Chain::Input,
        b"out" => Chain::Output,
        _ => return None,
    };
    if facts.protocol.has_ports() && facts.fragment != Fragment::Later && (facts.port.is_none() || facts.source_port.is_none()) {
        return None;
    }
    facts.loopback = interface.strip_prefix(b"lo").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    let (interface_in, interface_out) =
        if facts.chain == Chain::Output { (b"".as_slice(), interface) } else { (interface, b"".as_slice()) };
    Some(Record { facts, interface_in, interface_out, prefix: action, details: Details::Unknown })
}

struct Kind {
    protocol: Protocol,
    icmp: Option<(u8, u8)>,
}

/// The protocol's word stands at most three words behind the action.
fn find_protocol(mut rest: &[u8]) -> Option<(Kind, &[u8])> {
    for _ in 0..4 {
        let (name, behind) = word(rest);
        if let Some(kind) = kind(name) {
            return Some((kind, behind));
        }
        rest = behind;
    }
    None
}

/// `TCP`, `UDP`, `ICMP:8.0`, `ICMPv6:128.0`, `P:47`.
fn kind(name: &[u8]) -> Option<Kind> {
    let Some(colon) = name.iter().position(|byte| *byte == b':') else {
        // A number alone is the action's.
        let protocol = if name.first()?.is_ascii_digit() { None } else { protocol(name) }?;
        return Some(Kind { protocol, icmp: None });
    };
    let (name, value) = name.split_at(colon);
    let value = value.get(1..)?;
    if name == b"P" {
        return Some(Kind { protocol: Protocol(whole(value)?), icmp: None });
    }
    let protocol = protocol(name).filter(|protocol| matches!(*protocol, Protocol::ICMP | Protocol::ICMPV6))?;
    let dot = value.iter().position(|byte| *byte == b'.')?;
    let (kind, code) = value.split_at(dot);
    Some(Kind { protocol, icmp: Some((whole(kind)?, whole(code.get(1..)?)?)) })
}

/// `a.b.c.d:port`, `[v6]:port`, `[v6]`, or an address alone.
fn endpoint(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    if let Some(inside) = text.strip_prefix(b"[") {
        let (host, behind) = inside.split_at(inside.iter().position(|byte| *byte == b']')?);
        let port = match behind.get(1..)? {
            [] => None,
            [b':', port @ ..] => Some(whole(port)?),
            _ => return None,
        };
        return Some((address(host)?, port));
    }
    if let Some(address) = address(text) {
        return Some((address, None));
    }
    let (host, port) = text.split_at(text.iter().rposition(|byte| *byte == b':')?);
    Some((address(host)?, Some(whole(port.get(1..)?)?)))
}

/// `1234:1480@185+)`: identification, length, offset, and a plus if more follow.
fn offset(text: &[u8]) -> Option<Fragment> {
    let (offset, rest) = number(text.get(memchr::memchr(b'@', text)? + 1..)?)?;
    Some(match (offset, rest.first()) {
        (1.., _) => Fragment::Later,
        (0, Some(b'+')) => Fragment::First,
        (0, _) => Fragment::Whole,
    })
}
