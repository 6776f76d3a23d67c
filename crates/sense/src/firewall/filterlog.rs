//! pfSense's and OPNsense's filterlog: one comma-separated line for each packet.
//! Never looks at who wrote the line: that is settled before, in `framing`.
//!
//! `rule,sub,anchor,tracker,interface,reason,action,direction,4,tos,ecn,ttl,id,offset,flags,number,name,length,source,target,…` and for IPv6
//! `…,6,class,label,hops,name,number,length,source,target,…`; then ports, data length and for TCP flags, sequence, ack, window, urgent, options.

use super::Record;
use super::pf::{flags, handling, options};
use super::text::{address, number, whole};
use crate::facts::{Chain, Facts, Fragment};
use crate::guessing::Details;
use model::event::TcpFlags;
use model::net::Protocol;

/// Reads a record; `None` if it is damaged or tells too little.
pub(super) fn read(text: &[u8]) -> Option<Record<'_>> {
    let mut fields = text.split(|byte| *byte == b',');
    // Rule, sub-rule and anchor.
    let _rule: u32 = whole(fields.next()?)?;
    let _tracker = fields.nth(2)?;
    let interface = fields.next()?;
    let reason = fields.next()?;
    let handling = handling(fields.next()?)?;
    let chain = match fields.next()? {
        b"in" => Chain::Input,
        b"out" => Chain::Output,
        _ => return None,
    };
    let mut facts = match fields.next()? {
        b"4" => version_4(&mut fields)?,
        b"6" => version_6(&mut fields)?,
        _ => return None,
    };
    facts.chain = chain;
    facts.handling = handling;
    if facts.fragment != Fragment::Later {
        transport(&mut facts, &mut fields)?;
    }
    facts.loopback = interface.strip_prefix(b"lo").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
    let (interface_in, interface_out) = if chain == Chain::Output { (b"".as_slice(), interface) } else { (interface, b"".as_slice()) };
    Some(Record { facts, interface_in, interface_out, prefix: reason, details: Details::Unknown })
}

fn version_4<'l>(fields: &mut impl Iterator<Item = &'l [u8]>) -> Option<Facts> {
    // Type of service and ECN.
    let ttl = whole(fields.nth(2)?)?;
    let ip_id = whole(fields.next()?)?;
    let offset: u32 = whole(fields.next()?)?;
    let more = fields.next()?.contains(&b'+');
    let protocol = Protocol(whole(fields.next()?)?);
    let length = whole(fields.nth(1)?)?;
    let (source, target) = (address(fields.next()?)?, address(fields.next()?)?);
    let fragment = match (offset, more) {
        (1.., _) => Fragment::Later,
        (0, true) => Fragment::First,
        (0, false) => Fragment::Whole,
    };
    let facts = Facts { ttl: Some(ttl), ip_id: Some(ip_id), length: Some(length), fragment, ..Facts::bare(source, target, protocol) };
    (source.is_ipv4() && target.is_ipv4()).then_some(facts)
}

fn version_6<'l>(fields: &mut impl Iterator<Item = &'l [u8]>) -> Option<Facts> {
    // Class and flow label.
    let ttl = whole(fields.nth(2)?)?;
    let (first, second) = (fields.next()?, fields.next()?);
    // Name and number; some versions write the number first.
    let protocol = Protocol(whole(second).or_else(|| whole(first))?);
    let payload: u16 = whole(fields.next()?)?;
    let (source, target) = (address(fields.next()?)?, address(fields.next()?)?);
    let facts = Facts { ttl: Some(ttl), length: Some(u32::from(payload) + 40), ..Facts::bare(source, target, protocol) };
    (source.is_ipv6() && target.is_ipv6()).then_some(facts)
}

fn transport<'l>(facts: &mut Facts, fields: &mut impl Iterator<Item = &'l [u8]>) -> Option<()> {
    match facts.protocol {
        Protocol::ICMP => facts.icmp = Some(icmp_kind(fields.next()?)?),
        // The type is not told, and most of ICMPv6 is neighbour discovery: nothing can be said of such a packet.
        Protocol::ICMPV6 => return None,
        protocol if protocol.has_ports() => {
            facts.source_port = Some(whole(fields.next()?)?);
            facts.port = Some(whole(fields.next()?)?);
            facts.data = fields.next().and_then(whole).filter(|_| facts.fragment == Fragment::Whole);
        }
        _ => {}
    }
    if facts.protocol == Protocol::TCP {
        facts.flags = Some(TcpFlags(flags(fields.next()?)?));
        // `first:last` if there are data.
        facts.sequence = fields.next().and_then(number).map(|(sequence, _)| sequence);
        facts.acknowledgment = fields.next().and_then(whole);
        facts.window = fields.next().and_then(whole);
        let _urgent = fields.next()?;
        facts.options = options(fields.next().unwrap_or_default().split(|byte| *byte == b';'));
    }
    Some(())
}

/// Type and code by filterlog's words.
fn icmp_kind(word: &[u8]) -> Option<(u8, u8)> {
    Some(match word {
        b"reply" => (0, 0),
        b"unreach" => (3, 0),
        b"unreachproto" => (3, 2),
        b"unreachport" => (3, 3),
        b"needfrag" => (3, 4),
        b"redirect" => (5, 0),
        b"request" => (8, 0),
        b"timexceed" => (11, 0),
        b"paramprob" => (12, 0),
        b"tstamp" => (13, 0),
        b"tstampreply" => (14, 0),
        b"maskreply" => (18, 0),
        _ => return None,
    })
}
