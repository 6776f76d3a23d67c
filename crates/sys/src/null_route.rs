//! Routes that lead nowhere (rtnetlink): added, removed and listed under a protocol number of our own. Never replaces or removes another's route.

use crate::netlink::message::{Message, Received, TooLong, attributes, messages};
use crate::netlink::{NetlinkError, NetlinkSocket};
use crate::route::{ROUTE_HEADER, address};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Who made a route (rtm_protocol): by this ours are known. Not in iproute2's /etc/iproute2/rt_protos, nor any routing daemon's.
pub const PROTOCOL: u8 = 173;
/// Requests in one datagram; their answers fit the receive buffer.
const BATCH: usize = 256;
/// Bytes of the receive buffer: each short answer takes about a kilobyte of it.
const RECEIVE_BYTES: usize = 1 << 20;
/// Routes that are listed at most.
const LISTED: usize = 2_000_000;
const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
/// Answers with the route in the table, not with what becomes of a packet.
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// Addresses: the first one and the length in bits.
pub type Destination = (IpAddr, u8);

/// What such a route answers to whoever sends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NullRoute {
    /// Nothing; the host's own programs are told "invalid argument".
    #[default]
    Blackhole,
    /// ICMP "host unreachable"; what `route add … reject` makes.
    Unreachable,
    /// ICMP "administratively prohibited".
    Prohibit,
}

/// What is asked of the kernel about one destination.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Add,
    Remove,
    Match,
}

/// A table of routes.
#[derive(Debug)]
pub struct NullRoutes {
    socket: NetlinkSocket,
    sequence: u32,
    buffer: Vec<u8>,
    kind: NullRoute,
    table: u32,
}

impl NullRoutes {
    /// Opens the socket. `table` is the routing table's number: 254 is `main`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open(kind: NullRoute, table: u32) -> io::Result<Self> {
        let socket = NetlinkSocket::open(libc::NETLINK_ROUTE, 0)?;
        socket.set_receive_timeout(Duration::from_secs(2))?;
        socket.set_receive_buffer(RECEIVE_BYTES)?;
        socket.set_extended_ack()?;
        // Older kernels than 4.20 list more than was asked for; that is sorted out below.
        let _ = socket.set_strict_check();
        Ok(NullRoutes { socket, sequence: 0, buffer: vec![0; 65_536], kind, table })
    }

    /// Adds a route for each; for each the errno, 0 if it stands now. `EEXIST`: a route of somebody else has this destination.
    /// One of ours that stands already is made anew.
    ///
    /// # Errors
    /// If the socket fails; then nothing is known of any.
    pub fn add(&mut self, destinations: &[Destination]) -> io::Result<Vec<i32>> {
        // Others' routes with another metric would not be in the way of ours, but be hidden by it.
        let mut results = self.ask(Ask::Match, destinations)?;
        let free: Vec<Destination> = with_result(destinations, &results, 0);
        let mut added = self.ask(Ask::Add, &free)?;
        let standing = with_result(&free, &added, libc::EEXIST);
        if !standing.is_empty() {
            // Only ours are removed; where none was, another's is in the way.
            let removed = self.ask(Ask::Remove, &standing)?;
            let mut anew = self.ask(Ask::Add, &with_result(&standing, &removed, 0))?.into_iter();
            let mut removed = removed.into_iter();
            for result in added.iter_mut().filter(|result| **result == libc::EEXIST) {
                if removed.next() == Some(0) {
                    *result = anew.next().unwrap_or(libc::EIO);
                }
            }
        }
        let mut added = added.into_iter();
        results.iter_mut().filter(|result| **result == 0).for_each(|result| *result = added.next().unwrap_or(libc::EIO));
        Ok(results)
    }

    /// Removes our route for each; for each the errno, 0 if it is gone now. `ESRCH`: there was none of ours.
    ///
    /// # Errors
    /// If the socket fails; then nothing is known of any.
    pub fn remove(&mut self, destinations: &[Destination]) -> io::Result<Vec<i32>> {
        self.ask(Ask::Remove, destinations)
    }

    /// Our routes in the table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list(&mut self) -> Result<Vec<Destination>, NetlinkError> {
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.sequence = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            let mut message =
                Message::begin(&mut bytes, libc::RTM_GETROUTE, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, self.sequence);
            message.put_raw(&Header { family: family as u8, protocol: PROTOCOL, ..Header::default() }.bytes());
            message.put_u32_ne(RTA_TABLE, self.table);
            message.finish()?;
            let each = |message: &Received<'_>| {
                let route = Route::read(message).filter(|route| route.protocol == PROTOCOL && route.table == self.table);
                found.extend(route.filter(|_| found.len() < LISTED).map(|route| route.destination));
            };
            match self.socket.request(&bytes, self.sequence, &mut self.buffer, each) {
                // A table without any route doesn't exist.
                Err(error) if error.errno() != Some(libc::ENOENT) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        // A kernel without IPv6 answers with what it has instead.
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Asks the kernel about each; for each the errno. All of a batch travel in one datagram, and each is answered by itself.
    fn ask(&mut self, ask: Ask, destinations: &[Destination]) -> io::Result<Vec<i32>> {
        let mut results = Vec::with_capacity(destinations.len());
        for part in destinations.chunks(BATCH) {
            let first = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            for destination in part {
                self.sequence = self.sequence.wrapping_add(1);
                self.write(ask, destination, &mut bytes).map_err(io::Error::other)?;
            }
            self.socket.send(&bytes)?;
            let mut answers: Vec<Option<i32>> = vec![None; part.len()];
            while answers.contains(&None) {
                for message in messages(self.socket.receive(&mut self.buffer)?) {
                    let at = message.sequence.wrapping_sub(first) as usize;
                    let (Some(answer), Some(destination)) = (answers.get_mut(at), part.get(at)) else { continue };
                    match (message.ending(), ask) {
                        // Whether there is no route, or one that leads nowhere already: none is in the way.
                        (Some(_), Ask::Match) => *answer = answer.or(Some(0)),
                        (Some(ending), Ask::Add | Ask::Remove) => *answer = Some(ending.errno),
                        (None, _) => {
                            let is_anothers = |route: &Route| {
                                route.protocol != PROTOCOL && route.table == self.table && route.destination == *destination
                            };
                            if Route::read(&message).as_ref().is_some_and(is_anothers) {
                                *answer = Some(libc::EEXIST);
                            }
                        }
                    }
                }
            }
            results.extend(answers.into_iter().flatten());
        }
        Ok(results)
    }

    /// Writes a request about a destination.
    fn write(&self, ask: Ask, (addr, bits): &Destination, bytes: &mut Vec<u8>) -> Result<(), TooLong> {
        let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
        let header = Header { family, bits: *bits, ..Header::default() };
        let kind = match self.kind {
            NullRoute::Blackhole => libc::RTN_BLACKHOLE,
            NullRoute::Unreachable => libc::RTN_UNREACHABLE,
            NullRoute::Prohibit => libc::RTN_PROHIBIT,
        };
        let (message, flags, header) = match ask {
            Ask::Add => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, Header { protocol: PROTOCOL, kind, ..header }),
            // Of any type: the configuration may have changed.
            Ask::Remove => (libc::RTM_DELROUTE, 0, Header { protocol: PROTOCOL, scope: libc::RT_SCOPE_NOWHERE, ..header }),
            Ask::Match => (libc::RTM_GETROUTE, 0, Header { bits: if addr.is_ipv4() { 32 } else { 128 }, flags: RTM_F_FIB_MATCH, ..header }),
        };
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let mut message = Message::begin(bytes, message, flags, self.sequence);
        message.put_raw(&header.bytes());
        match addr {
            IpAddr::V4(v4) => message.put(RTA_DST, &v4.octets()),
            IpAddr::V6(v6) => message.put(RTA_DST, &v6.octets()),
        }
        if !matches!(ask, Ask::Match) {
            message.put_u32_ne(RTA_TABLE, self.table);
        }
        message.finish()
    }
}

/// Those whose result is this one.
fn with_result(destinations: &[Destination], results: &[i32], result: i32) -> Vec<Destination> {
    destinations.iter().zip(results).filter(|(_, is)| **is == result).map(|(destination, _)| *destination).collect()
}

/// A `rtmsg`.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    family: u8,
    bits: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

impl Header {
    fn bytes(self) -> [u8; ROUTE_HEADER] {
        let [a, b, c, d] = self.flags.to_ne_bytes();
        [self.family, self.bits, 0, 0, 0, self.protocol, self.scope, self.kind, a, b, c, d]
    }
}

/// What a message says of a route.
struct Route {
    protocol: u8,
    table: u32,
    destination: Destination,
}

impl Route {
    fn read(message: &Received<'_>) -> Option<Route> {
        let (header, rest) = message.payload.split_first_chunk::<ROUTE_HEADER>()?;
        let [family, bits, _, _, table, protocol, ..] = *header;
        let of = |kind| attributes(rest).find(|attribute| attribute.kind == kind).map(|attribute| attribute.value);
        let table = of(RTA_TABLE).and_then(|value| value.try_into().ok()).map_or(u32::from(table), u32::from_ne_bytes);
        // The default route has no destination, and is never ours.
        let addr = address(of(RTA_DST)?).filter(|addr| i32::from(family) == if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 })?;
        (message.kind == libc::RTM_NEWROUTE).then_some(Route { protocol, table, destination: (addr, bits) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_and_what_is_none_is_not() {
        let attribute = |kind: u16, value: &[u8]| [&((value.len() + 4) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        let header = Header { family: libc::AF_INET as u8, bits: 24, protocol: PROTOCOL, ..Header::default() }.bytes();
        let read = |kind: u16, parts: &[&[u8]]| {
            let payload = parts.concat();
            let route = Route::read(&Received { kind, flags: 0, sequence: 1, payload: &payload });
            route.map(|route| (route.protocol, route.table, route.destination))
        };
        let (to, table) = (attribute(RTA_DST, &[192, 0, 2, 0]), attribute(RTA_TABLE, &7_173u32.to_ne_bytes()));
        let found = (PROTOCOL, 7_173, (IpAddr::from([192, 0, 2, 0]), 24));
        assert_eq!(read(libc::RTM_NEWROUTE, &[&header, &to, &table]), Some(found));
        assert_eq!(read(libc::RTM_DELROUTE, &[&header, &to, &table]), None);
        // A default route, an address of the other family, lengths that lie.
        assert_eq!(read(libc::RTM_NEWROUTE, &[&header, &table]), None);
        assert_eq!(read(libc::RTM_NEWROUTE, &[&header, &attribute(RTA_DST, &[0; 16])]), None);
        assert_eq!(read(libc::RTM_NEWROUTE, &[&header, &[200, 0, 1, 0, 192, 0, 2, 0]]), None);
        assert_eq!(read(libc::RTM_NEWROUTE, &[&header[..11]]), None);
    }
}
