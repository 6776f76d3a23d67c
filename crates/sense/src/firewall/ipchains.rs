//! The packet record of ipchains (Linux 2.2).
//! Never looks at who wrote the line: that is settled before, in `framing`.
//!
//! `Packet log: input DENY eth0 PROTO=6 198.51.100.7:1234 203.0.113.9:80 L=60 S=0x00 I=1234 F=0x4000 T=64 SYN (#3)`

use super::Record;
use super::text::{address, hexadecimal, protocol, whole, word};
use crate::facts::{Chain, Facts, Fragment, Handling};
use crate::guessing::Details;
use model::event::TcpFlags;
use model::net::Protocol;

/// What a record starts with.
pub(super) const START: &[u8] = b"Packet log: ";

/// Reads a record that starts with [`START`]; `None` if it is damaged.
pub(super) fn read(text: &[u8]) -> Option<Record<'_>> {
    let (chain_name, rest) = word(text.strip_prefix(START)?);
    let (target, rest) = word(rest);
    let (interface, rest) = word(rest);
    let (protocol_word, rest) = word(rest);
    let protocol = protocol(protocol_word.strip_prefix(b"PROTO=")?)?;
    let (from, rest) = word(rest);
    let (to, mut rest) = word(rest);
    let ((source, first), (aim, second)) = (endpoint(from)?, endpoint(to)?);
    let mut facts = Facts::bare(source, aim, protocol);
    let mut fragment_field = None;
    while !rest.is_empty() {
        let (word, behind) = word(rest);
        rest = behind;
        match word {
            [b'L', b'=', length @ ..] => facts.length = Some(whole(length)?),
            [b'I', b'=', ip_id @ ..] => facts.ip_id = Some(whole(ip_id)?),
            [b'T', b'=', ttl @ ..] => facts.ttl = Some(whole(ttl)?),
            [b'F', b'=', field @ ..] => fragment_field = Some(hexadecimal(field)?),
            // Written only for a segment with SYN and without ACK and FIN.
            b"SYN" => facts.flags = Some(TcpFlags(TcpFlags::SYN)),
            _ if word.starts_with(b"S=") || word.starts_with(b"O=") || word.starts_with(b"(#") => {}
            _ => return None,
        }
    }
    // The IPv4 header's field: three flags, of which 0x2000 is "more fragments", and the offset.
    let field = fragment_field?;
    facts.fragment = match (field & 0x1fff, field & 0x2000) {
        (1.., _) => Fragment::Later,
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First,
    };
    if facts.fragment != Fragment::Later {
        if protocol == Protocol::ICMP {
            facts.icmp = Some((u8::try_from(first).ok()?, u8::try_from(second).ok()?));
        } else if protocol.has_ports() {
            (facts.source_port, facts.port) = (Some(first), Some(second));
        }
    }
    if protocol != Protocol::TCP || facts.fragment == Fragment::Later {
        facts.flags = None;
    }
    facts.chain = match chain_name {
        b"output" => Chain::Output,
        b"forward" => Chain::Forward,
        _ => Chain::Input,
    };
    facts.handling = match target {
        b"DENY" | b"REJECT" => Handling::Turned,
        b"ACCEPT" | b"MASQ" | b"REDIRECT" => Handling::Passed,
        // `-` or the name of another chain: the decision falls elsewhere.
        _ => Handling::Audited,
    };
    facts.loopback = interface == b"lo";
    let (interface_in, interface_out) =
        if facts.chain == Chain::Output { (b"".as_slice(), interface) } else { (interface, b"".as_slice()) };
    Some(Record { facts, interface_in, interface_out, prefix: target, details: Details::Unknown })
}

/// `address:number`. The number is a port, or for ICMP the type and the code.
fn endpoint(text: &[u8]) -> Option<(std::net::IpAddr, u16)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let (host, port) = text.split_at(colon);
    Some((address(host)?, whole(port.get(1..)?)?))
}
