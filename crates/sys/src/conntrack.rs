//! Asks for connections that the kernel tracks, and forgets them (ctnetlink). Never flushes: each entry is deleted by its own tuple and number.
//! Layouts: linux/netfilter/nfnetlink_conntrack.h.

use crate::netlink::message::{Attribute, Attributes, Message, messages};
use crate::netlink::{NetlinkError, NetlinkSocket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const RECEIVE_BYTES: usize = 65_536;
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Entries deleted in one call. What is beyond stays: its packets are dropped anyway.
const SEVER_MAX: usize = 65_536;
/// Deletions sent at once: their answers must fit into the receive buffer.
const DELETE_BATCH: usize = 64;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
/// Bits of an entry's status (`enum ip_conntrack_status`): it was answered; it holds for good (for TCP: the handshake was completed);
/// source or destination are translated.
const SEEN_REPLY: u32 = 1 << 1;
const ASSURED: u32 = 1 << 2;
const SOURCE_NAT: u32 = 1 << 4;
const DESTINATION_NAT: u32 = 1 << 5;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;
const GET_STATS: u8 = 5;

fn message_kind(message: u8) -> u16 {
    (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8 | u16::from(message)
}

/// A socket to the connection tracker of this network namespace.
#[derive(Debug)]
pub struct Conntrack {
    socket: NetlinkSocket,
    sequence: u32,
    receive: Vec<u8>,
}

/// What the kernel's tracking knows of the conversation that a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whether the packet's sender has begun it, and not somebody here.
    pub begun_there: bool,
    /// Whether it was answered at all (a TCP port where nobody listens answers too, with a reset).
    pub answered: bool,
    /// Whether it is established for good: for TCP, the handshake was completed.
    pub assured: bool,
    /// Whether its destination is translated: somebody else is meant.
    pub redirected: bool,
    /// Whether its source is.
    pub masked: bool,
}

/// One entry to delete.
pub(crate) struct Doomed {
    family: u8,
    pub(crate) tuple: Vec<u8>,
    id: Option<u32>,
    zone: Option<u16>,
}

impl Conntrack {
    /// Opens a socket.
    pub fn open() -> io::Result<Self> {
        let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, 0)?;
        socket.set_extended_ack()?;
        socket.set_receive_timeout(ANSWER_WAIT)?;
        Ok(Conntrack { socket, sequence: 0, receive: vec![0; RECEIVE_BYTES] })
    }

    /// How many connections are tracked; 0 if the kernel tracks none at all.
    pub fn count(&mut self) -> Result<u32, NetlinkError> {
        let mut count = 0;
        let answer = self.ask(GET_STATS, libc::NLM_F_ACK, |_, attributes| {
            count = attributes.clone().find(|a| a.kind == CTA_STATS_GLOBAL_ENTRIES).and_then(|a| a.u32_be()).unwrap_or(count);
        });
        match answer {
            Ok(()) => Ok(count),
            Err(error) if matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT)) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// What is known of a packet's conversation; `protocol` is TCP, UDP or another with ports. Needs CAP_NET_ADMIN.
    pub fn find(&mut self, protocol: u8, from: SocketAddr, to: SocketAddr) -> Result<Option<Entry>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let (mut request, family) = (Vec::new(), if from.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8);
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::netfilter(&mut request, message_kind(GET), flags, self.sequence, family, 0);
        let tuple = message.nest(CTA_TUPLE_ORIG);
        let addresses = message.nest(CTA_TUPLE_IP);
        for (n, address) in [from, to].into_iter().enumerate() {
            match address.ip() {
                IpAddr::V4(v4) => message.put(CTA_IP_V4_SRC + n as u16, &v4.octets()),
                IpAddr::V6(v6) => message.put(CTA_IP_V6_SRC + n as u16, &v6.octets()),
            }
        }
        message.end(addresses);
        let ports = message.nest(CTA_TUPLE_PROTO);
        message.put_u8(CTA_PROTO_NUM, protocol);
        message.put_u16_be(CTA_PROTO_SRC_PORT, from.port());
        message.put_u16_be(CTA_PROTO_DST_PORT, to.port());
        message.end(ports);
        message.end(tuple);
        message.finish()?;
        let mut found = None;
        let answer = self.socket.request(&request, self.sequence, &mut self.receive, |answer| {
            if let Some((_, _, attributes)) = answer.netfilter() {
                found = entry(from, attributes);
            }
        });
        match answer {
            // Nothing is tracked, or nothing like that.
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EOPNOTSUPP)) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }

    /// Deletes the connections that a doomed address has begun or answers to, and says how many. Costs one listing of all.
    pub fn sever(&mut self, is_doomed: impl Fn(IpAddr) -> bool) -> Result<usize, NetlinkError> {
        let mut doomed: Vec<Doomed> = Vec::new();
        self.ask(GET, libc::NLM_F_DUMP, |family, attributes| {
            if doomed.len() < SEVER_MAX {
                doomed.extend(parse_entry(family, attributes, &is_doomed));
            }
        })?;
        let mut severed = 0;
        for batch in doomed.chunks(DELETE_BATCH) {
            severed += self.delete(batch)?;
        }
        Ok(severed)
    }

    fn delete(&mut self, batch: &[Doomed]) -> Result<usize, NetlinkError> {
        let mut request = Vec::new();
        let first = self.sequence.wrapping_add(1);
        for entry in batch {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
            let mut message = Message::netfilter(&mut request, message_kind(DELETE), flags, self.sequence, entry.family, 0);
            let tuple = message.nest(CTA_TUPLE_ORIG);
            message.put_raw(&entry.tuple);
            message.end(tuple);
            if let Some(id) = entry.id {
                message.put_u32_be(CTA_ID, id);
            }
            if let Some(zone) = entry.zone {
                message.put_u16_be(CTA_ZONE, zone);
            }
            message.finish()?;
        }
        self.socket.send(&request)?;
        let (mut answered, mut deleted) = (0, 0);
        while answered < batch.len() {
            for message in messages(self.socket.receive(&mut self.receive)?) {
                let Some(ending) = message.ending() else { continue };
                if message.sequence.wrapping_sub(first) < batch.len() as u32 {
                    answered += 1;
                    // One that is gone by itself in between is no failure.
                    deleted += usize::from(ending.errno == 0);
                }
            }
        }
        Ok(deleted)
    }

    fn ask(&mut self, kind: u8, flags: i32, mut each: impl FnMut(u8, Attributes<'_>)) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Vec::new();
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        Message::netfilter(&mut request, message_kind(kind), flags, self.sequence, libc::AF_UNSPEC as u8, 0).finish()?;
        self.socket.request(&request, self.sequence, &mut self.receive, |answer| {
            if let Some((family, _, attributes)) = answer.netfilter() {
                each(family, attributes);
            }
        })
    }
}

/// What an entry says of a packet from there.
pub(crate) fn entry(from: SocketAddr, attributes: Attributes<'_>) -> Option<Entry> {
    let (mut status, mut begun_there) = (None, None);
    for attribute in attributes {
        match attribute.kind {
            CTA_STATUS => status = attribute.u32_be(),
            CTA_TUPLE_ORIG => begun_there = Some(source(attribute)? == from.ip() && source_port(attribute)? == from.port()),
            _ => {}
        }
    }
    let (status, begun_there) = (status?, begun_there?);
    let has = |bit| status & bit != 0;
    let (redirected, masked) = (has(DESTINATION_NAT), has(SOURCE_NAT));
    Some(Entry { begun_there, answered: has(SEEN_REPLY), assured: has(ASSURED), redirected, masked })
}

fn source_port(tuple: Attribute<'_>) -> Option<u16> {
    let mut ports = tuple.nested().find(|attribute| attribute.kind == CTA_TUPLE_PROTO)?.nested();
    ports.find(|port| port.kind == CTA_PROTO_SRC_PORT)?.u16_be()
}

/// What must be said to delete this entry, if one of its ends is doomed.
pub(crate) fn parse_entry(family: u8, attributes: Attributes<'_>, is_doomed: impl Fn(IpAddr) -> bool) -> Option<Doomed> {
    let (mut tuple, mut hit, mut id, mut zone) = (None, false, None, None);
    for attribute in attributes {
        match attribute.kind {
            CTA_TUPLE_ORIG => {
                tuple = Some(attribute.value.to_vec());
                hit |= source(attribute).is_some_and(&is_doomed);
            }
            CTA_TUPLE_REPLY => hit |= source(attribute).is_some_and(&is_doomed),
            CTA_ID => id = attribute.u32_be(),
            CTA_ZONE => zone = attribute.u16_be(),
            _ => {}
        }
    }
    if !hit {
        return None;
    }
    Some(Doomed { family, tuple: tuple?, id, zone })
}

/// The source address of a tuple.
fn source(tuple: Attribute<'_>) -> Option<IpAddr> {
    let mut addresses = tuple.nested().find(|attribute| attribute.kind == CTA_TUPLE_IP)?.nested();
    addresses.find_map(|address| match address.kind {
        CTA_IP_V4_SRC => address.value.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))),
        CTA_IP_V6_SRC => address.value.first_chunk::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::attributes;
    use proptest::prelude::*;

    /// An entry as the kernel lists it: a connection from 192.0.2.7, port 40000, to 10.0.0.1 that was translated to 10.9.9.9.
    fn entry() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut message = Message::begin(&mut bytes, 0, 0, 0);
        for (kind, source, destination) in
            [(CTA_TUPLE_ORIG, [192, 0, 2, 7], [10, 0, 0, 1]), (CTA_TUPLE_REPLY, [10, 9, 9, 9], [192, 0, 2, 7])]
        {
            let tuple = message.nest(kind);
            let addresses = message.nest(CTA_TUPLE_IP);
            message.put(CTA_IP_V4_SRC, &source);
            message.put(2, &destination);
            message.end(addresses);
            let ports = message.nest(CTA_TUPLE_PROTO);
            message.put_u16_be(CTA_PROTO_SRC_PORT, 40_000);
            message.end(ports);
            message.end(tuple);
        }
        message.put_u32_be(CTA_STATUS, SEEN_REPLY | DESTINATION_NAT);
        message.put_u32_be(CTA_ID, 77);
        message.finish().unwrap();
        bytes.split_off(16)
    }

    #[test]
    fn an_entry_is_doomed_by_either_source_and_by_nothing_else() {
        let parse = |addr: [u8; 4]| parse_entry(2, attributes(&entry()), |source| source == IpAddr::from(addr));
        for doomed in [[192, 0, 2, 7], [10, 9, 9, 9]] {
            let found = parse(doomed).unwrap();
            assert_eq!((found.family, found.id, found.zone), (2, Some(77), None));
            assert_eq!(found.tuple, attributes(&entry()).next().unwrap().value);
        }
        assert!(parse([10, 0, 0, 1]).is_none());
    }

    #[test]
    fn an_entry_tells_who_has_begun() {
        let of = |addr: [u8; 4], port| super::entry(SocketAddr::from((addr, port)), attributes(&entry())).unwrap();
        let expected = Entry { begun_there: true, answered: true, assured: false, redirected: true, masked: false };
        assert_eq!(of([192, 0, 2, 7], 40_000), expected);
        assert!(!of([192, 0, 2, 7], 40_001).begun_there && !of([10, 9, 9, 9], 40_000).begun_there);
    }

    proptest! {
        #[test]
        fn a_damaged_entry_is_read_without_panic(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = entry();
            let at = at.index(bytes.len());
            bytes[at] = value;
            bytes.truncate(cut.index(bytes.len()) + 1);
            super::entry(SocketAddr::from(([192, 0, 2, 7], 40_000)), attributes(&bytes));
            let found = parse_entry(2, attributes(&bytes), |_| true);
            prop_assert!(found.is_none_or(|doomed| doomed.tuple.len() <= bytes.len()));
        }
    }
}
