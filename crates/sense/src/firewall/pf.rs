//! pf's packet records as tcpdump prints them from the log interface (`tcpdump -e -n -i pflog0`), in FreeBSD's and OpenBSD's spelling.
//! Never looks at who wrote the line: that is settled before, in `framing`; and never searches behind the TCP header's own words, as
//! tcpdump may print what the packet carries there.
//!
//! `rule 5/0(match): block in on em0: 198.51.100.7.1234 > 203.0.113.9.80: Flags [S], seq 1, win 1024, options [mss 1460], length 0`

use super::Record;
use super::text::{address, number, skip_spaces, v4, whole, word};
use crate::facts::{Chain, Facts, Fragment, Handling, TcpOptions};
use crate::guessing::Details;
use memchr::memmem;
use model::event::TcpFlags;
use model::net::Protocol;
use std::net::IpAddr;

/// Reads a record that starts with `rule`, a time of day before it or not; `None` if it is damaged or tells too little.
pub(super) fn read(text: &[u8]) -> Option<Record<'_>> {
    let text = if text.first()?.is_ascii_digit() { word(text).1 } else { text };
    let (rule, rest) = word(text.strip_prefix(b"rule ")?);
    let reason = rule.strip_suffix(b":").unwrap_or(rule);
    if !reason.ends_with(b")") {
        return None;
    }
    let rest = skip_spaces(rest.strip_prefix(b":").unwrap_or(rest));
    // OpenBSD: `[uid 0, pid 42]`.
    let rest = if rest.starts_with(b"[") { skip_spaces(rest.get(memchr::memchr(b']', rest)? + 1..)?) } else { rest };
    let rest = skip_spaces(rest.strip_prefix(b":").unwrap_or(rest));
    let (action, rest) = word(rest);
    let handling = handling(action)?;
    let (way, rest) = word(rest);
    let chain = match way {
        b"in" => Chain::Input,
        b"out" => Chain::Output,
        _ => return None,
    };
    let (interface, rest) = word(rest.strip_prefix(b"on ")?);
    let interface = interface.strip_suffix(b":")?;
    let (from, rest) = word(behind_details(rest)?);
    let (to, rest) = word(rest.strip_prefix(b"> ")?);
    let ((source, source_port), (target, port)) = (endpoint(from)?, endpoint(to.strip_suffix(b":")?)?);
    if source.is_ipv4() != target.is_ipv4() {
        return None;
    }
    let mut facts = Facts { source_port, port, chain, handling, ..Facts::bare(source, target, Protocol(0)) };
    transport(&mut facts, rest)?;
    facts.loopback = interface.strip_prefix(b"lo").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    let (interface_in, interface_out) = if chain == Chain::Output { (b"".as_slice(), interface) } else { (interface, b"".as_slice()) };
    Some(Record { facts, interface_in, interface_out, prefix: reason, details: Details::Unknown })
}

/// What pf did, by its word for it.
pub(super) fn handling(action: &[u8]) -> Option<Handling> {
    Some(match action {
        b"block" | b"reject" | b"drop" | b"synproxy" => Handling::Turned,
        b"pass" | b"rdr" | b"nat" | b"binat" => Handling::Passed,
        b"match" | b"scrub" => Handling::Audited,
        _ => return None,
    })
}

/// Takes `IP `, `IP6 ` and `(tos 0x0, ttl 64, …)` off the front.
fn behind_details(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"IP6 ").or_else(|| text.strip_prefix(b"IP ")).unwrap_or(text);
    if text.first() != Some(&b'(') {
        return Some(text);
    }
    let mut depth = 0_u32;
    let end = text.iter().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    text.get(end + 1..).map(skip_spaces)
}

/// `a.b.c.d.port`, `v6.port`, or an address alone.
fn endpoint(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    if let Some((host, rest)) = v4(text) {
        return match rest {
            [] => Some((IpAddr::V4(host), None)),
            [b'.', port @ ..] => Some((IpAddr::V4(host), Some(whole(port)?))),
            _ => None,
        };
    }
    if let Some(address) = address(text) {
        return Some((address, None));
    }
    let (host, port) = text.split_at(text.iter().rposition(|byte| *byte == b'.')?);
    Some((address(host)?, Some(whole(port.get(1..)?)?)))
}

/// Reads what tcpdump says of the packet behind its addresses.
fn transport(facts: &mut Facts, text: &[u8]) -> Option<()> {
    if let Some(rest) = text.strip_prefix(b"Flags [") {
        return tcp(facts, rest.split_at(memchr::memchr(b']', rest)?), true);
    }
    let (first, rest) = word(text);
    let first = first.strip_suffix(b",").unwrap_or(first);
    let icmp = match first {
        b"ICMP" | b"icmp:" => Some(Protocol::ICMP),
        b"ICMP6" | b"icmp6:" => Some(Protocol::ICMPV6),
        _ => None,
    };
    if let Some(protocol) = icmp {
        facts.protocol = protocol;
        facts.icmp = Some(icmp_kind(rest, protocol)?);
        return Some(());
    }
    if facts.source_port.is_some() && facts.port.is_some() {
        if let Some(is_tcp) = old_tcp(first, rest) {
            return if is_tcp { tcp(facts, (first, rest), false) } else { None };
        }
        facts.protocol = if first.eq_ignore_ascii_case(b"sctp") { Protocol::SCTP } else { Protocol::UDP };
        return Some(());
    }
    facts.protocol = portless(first)?;
    if facts.protocol.has_ports() {
        // A segment or datagram without ports is the tail of a fragmented one.
        facts.fragment = Fragment::Later;
    }
    Some(())
}

/// Whether `first` are the flags of tcpdump's old form (`S 1:1(0) win 512`, `. ack 1 win 512`); `None` if this is no TCP.
fn old_tcp(first: &[u8], rest: &[u8]) -> Option<bool> {
    let letters = !first.is_empty() && first.len() <= 8 && first.iter().all(|byte| b"SFRPWEU.".contains(byte));
    let numbers = || {
        let (_, rest) = number(rest)?;
        let (_, rest) = number(rest.strip_prefix(b":")?)?;
        let (_, rest) = number(rest.strip_prefix(b"(")?)?;
        rest.strip_prefix(b")")
    };
    letters.then(|| numbers().is_some() || rest.starts_with(b"ack ") || rest.starts_with(b"win "))
}

fn tcp(facts: &mut Facts, (letters, rest): (&[u8], &[u8]), dot_is_ack: bool) -> Option<()> {
    // What follows the length is the packet's own text.
    let rest = rest.get(..memmem::find(rest, b"length ").unwrap_or(rest.len()))?;
    let mut flags = if letters == b"none" { 0 } else { flags(letters)? };
    if !dot_is_ack {
        // In the old form the dot only says that none of SYN, FIN, RST and PSH is set.
        flags &= !TcpFlags::ACK;
        flags |= if memmem::find(rest, b"ack ").is_some() { TcpFlags::ACK } else { 0 };
        flags |= if memmem::find(rest, b"urg ").is_some() { TcpFlags::URG } else { 0 };
    }
    facts.protocol = Protocol::TCP;
    facts.flags = Some(TcpFlags(flags));
    let behind = |word: &[u8]| memmem::find(rest, word).and_then(|at| number(rest.get(at + word.len()..)?));
    facts.window = behind(b"win ").and_then(|(window, _)| u16::try_from(window).ok());
    facts.sequence = behind(b"seq ").or_else(|| if dot_is_ack { None } else { number(rest) }).map(|(sequence, _)| sequence);
    let list = memmem::find(rest, b"options [").map(|at| at + 9).or_else(|| memchr::memchr(b'<', rest).map(|at| at + 1));
    facts.options = match list.and_then(|at| rest.get(at..)) {
        Some(list) => options(list.split(|byte| matches!(byte, b']' | b'>')).next().unwrap_or_default().split(|byte| *byte == b',')),
        None => TcpOptions::Absent,
    };
    Some(())
}

/// Flags by tcpdump's letters; the dot is ACK.
pub(super) fn flags(letters: &[u8]) -> Option<u8> {
    letters.iter().try_fold(0, |flags, letter| {
        Some(
            flags
                | match letter {
                    b'S' => TcpFlags::SYN,
                    b'F' => TcpFlags::FIN,
                    b'R' => TcpFlags::RST,
                    b'P' => TcpFlags::PSH,
                    b'.' | b'A' => TcpFlags::ACK,
                    b'U' => TcpFlags::URG,
                    b'E' => TcpFlags::ECE,
                    b'W' | b'C' => TcpFlags::CWR,
                    _ => return None,
                },
        )
    })
}

/// TCP options by tcpdump's names for them, with their lengths (RFC 9293 §3.2, RFC 2018, RFC 7323).
pub(super) fn options<'l>(names: impl Iterator<Item = &'l [u8]>) -> TcpOptions {
    let (mut bytes, mut system) = (0_u8, false);
    for name in names {
        let (name, _) = word(skip_spaces(name));
        let (length, known) = match name {
            b"" => (0, false),
            b"mss" => (4, false),
            b"sackOK" => (2, true),
            b"TS" | b"timestamp" => (10, true),
            b"wscale" => (3, true),
            b"nop" | b"eol" => (1, false),
            _ => (2, false),
        };
        bytes = bytes.saturating_add(length).min(40);
        system |= known;
    }
    if bytes == 0 { TcpOptions::Absent } else { TcpOptions::Present { bytes: bytes.next_multiple_of(4), system } }
}

/// Type and code by tcpdump's words; the code is told only where it is certain to be one, else 0.
fn icmp_kind(text: &[u8], protocol: Protocol) -> Option<(u8, u8)> {
    const WORDS: [(&[u8], Option<u8>, Option<u8>); 19] = [
        (b"echo request", Some(8), Some(128)),
        (b"echo reply", Some(0), Some(129)),
        (b"unreachable", Some(3), Some(1)),
        (b"packet too big", None, Some(2)),
        (b"time exceeded", Some(11), Some(3)),
        (b"parameter problem", Some(12), Some(4)),
        (b"source quench", Some(4), None),
        (b"redirect", Some(5), Some(137)),
        (b"router solicitation", Some(10), Some(133)),
        (b"router advertisement", Some(9), Some(134)),
        (b"neighbor sol", None, Some(135)),
        (b"neighbor adv", None, Some(136)),
        (b"multicast listener", None, Some(130)),
        (b"time stamp query", Some(13), None),
        (b"time stamp request", Some(13), None),
        (b"time stamp reply", Some(14), None),
        (b"address mask request", Some(17), None),
        (b"address mask is", Some(18), None),
        (b"address mask reply", Some(18), None),
    ];
    let (_, v4, v6) = WORDS.iter().find(|(words, ..)| memmem::find(text, words).is_some())?;
    let kind = if protocol == Protocol::ICMP { *v4 } else { *v6 }?;
    let code = if protocol == Protocol::ICMP && kind == 3 && memmem::find(text, b"port").is_some() { 3 } else { 0 };
    Some((kind, code))
}

/// Protocols without ports, and tails of fragments, by tcpdump's first word.
fn portless(word: &[u8]) -> Option<Protocol> {
    if let Some(number) = word.strip_prefix(b"ip-proto-") {
        return whole(number).map(Protocol);
    }
    const WORDS: [(&[u8], Protocol); 9] = [
        (b"ESP(", Protocol::ESP),
        (b"esp", Protocol::ESP),
        (b"AH(", Protocol::AH),
        (b"ah", Protocol::AH),
        (b"GRE", Protocol::GRE),
        (b"gre", Protocol::GRE),
        (b"igmp", Protocol::IGMP),
        (b"tcp", Protocol::TCP),
        (b"udp", Protocol::UDP),
    ];
    WORDS.iter().find(|(start, _)| word.starts_with(start)).map(|(_, protocol)| *protocol)
}
