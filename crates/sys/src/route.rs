//! The host's interfaces, own addresses and default gateways, from the kernel (rtnetlink). Reads only; changes nothing.

use crate::netlink::message::{Attribute, Message, Received, attributes, messages};
use crate::netlink::{NetlinkError, NetlinkSocket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Multicast groups (RTMGRP_…, linux/rtnetlink.h): interfaces; addresses of both families; routes of both.
const LINKS: u32 = 0x1;
const ADDRESSES: u32 = 0x10 | 0x100;
const ROUTES: u32 = 0x40 | 0x400;
/// Bytes of `ifinfomsg`, `ifaddrmsg` and `rtmsg`.
pub(crate) const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
pub(crate) const ROUTE_HEADER: usize = 12;
pub(crate) const IFLA_IFNAME: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
/// Bytes of `rtnexthop`.
const NEXT_HOP_HEADER: usize = 8;
/// Addresses or gateways of one host that are kept.
const BOUND: usize = 1_024;
/// Interfaces: a host of containers has one for each.
const INTERFACES: usize = 16_384;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name, as text.
    pub name: String,
}

/// A socket for questions, and one that tells of changes.
#[derive(Debug)]
pub struct Routes {
    questions: NetlinkSocket,
    changes: NetlinkSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Routes {
    /// Opens both sockets, to hear of addresses and routes; needs no privilege.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open() -> io::Result<Self> {
        Self::open_for(ADDRESSES | ROUTES)
    }

    /// The same, to hear of interfaces and addresses.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open_for_interfaces() -> io::Result<Self> {
        Self::open_for(LINKS | ADDRESSES)
    }

    fn open_for(groups: u32) -> io::Result<Self> {
        let questions = NetlinkSocket::open(libc::NETLINK_ROUTE, 0)?;
        Self::from_fds(questions.into_fd(), NetlinkSocket::open(libc::NETLINK_ROUTE, groups)?.into_fd())
    }

    /// Takes over sockets that another process opened.
    ///
    /// # Errors
    /// If they are no sockets.
    pub fn from_fds(questions: OwnedFd, changes: OwnedFd) -> io::Result<Self> {
        let (questions, changes) = (NetlinkSocket::from_fd(questions), NetlinkSocket::from_fd(changes));
        questions.set_receive_timeout(Duration::from_secs(2))?;
        changes.set_nonblocking(true)?;
        Ok(Routes { questions, changes, sequence: 0, buffer: vec![0; 65_536] })
    }

    /// Gives both sockets away: questions, changes.
    pub fn into_fds(self) -> (OwnedFd, OwnedFd) {
        (self.questions.into_fd(), self.changes.into_fd())
    }

    /// Readable when an address or route has changed.
    pub fn changes_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// Empties the socket of changes; true if there was at least one (or if some were lost).
    pub fn drain_changes(&mut self) -> bool {
        let mut any = false;
        loop {
            match self.changes.receive(&mut self.buffer) {
                Ok(bytes) => any |= messages(bytes).next().is_some(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                // Lost notifications are a change, too; a broken socket must not spin.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return true,
            }
        }
    }

    /// All interfaces, whether they are up or not.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn interfaces(&mut self) -> Result<Vec<Interface>, NetlinkError> {
        let mut found = Vec::new();
        self.dump(libc::RTM_GETLINK, LINK_HEADER, |message| {
            if message.kind == libc::RTM_NEWLINK && found.len() < INTERFACES {
                found.extend(interface(message.payload));
            }
        })?;
        Ok(found)
    }

    /// The addresses of all interfaces, loopback included.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn addresses(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut found = Vec::new();
        self.dump(libc::RTM_GETADDR, ADDRESS_HEADER, |message| {
            if message.kind != libc::RTM_NEWADDR || found.len() >= BOUND {
                return;
            }
            found.extend(own(message.payload));
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The gateways of the default routes, of every table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn default_gateways(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut found = Vec::new();
        self.dump(libc::RTM_GETROUTE, ROUTE_HEADER, |message| {
            let bits = message.payload.get(1).copied();
            if message.kind == libc::RTM_NEWROUTE && bits == Some(0) && found.len() < BOUND {
                gateways(message.payload.get(ROUTE_HEADER..).unwrap_or_default(), &mut found);
            }
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn dump(&mut self, kind: u16, header: usize, each: impl FnMut(&Received<'_>)) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut message = Message::begin(&mut bytes, kind, flags, self.sequence);
        message.put_raw(&vec![0; header]);
        message.finish()?;
        self.questions.request(&bytes, self.sequence, &mut self.buffer, each)
    }
}

/// `ifinfomsg`: family, padding, type (2), number (4), flags, changed flags; then attributes.
pub(crate) fn interface(payload: &[u8]) -> Option<Interface> {
    let index = u32::from_ne_bytes(*payload.get(4..)?.first_chunk()?);
    let name = attributes(payload.get(LINK_HEADER..)?).find(|attribute| attribute.kind == IFLA_IFNAME)?.value;
    let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
    Some(Interface { index, name })
}

/// Our own end of an interface's address.
pub(crate) fn own(payload: &[u8]) -> Option<IpAddr> {
    // On a point-to-point link IFA_ADDRESS is the peer's, and IFA_LOCAL is ours.
    let list: Vec<Attribute<'_>> = attributes(payload.get(ADDRESS_HEADER..)?).collect();
    let of = |kind| list.iter().find(|a| a.kind == kind).and_then(|a| address(a.value));
    of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS))
}

/// The gateways among a route's attributes.
pub(crate) fn gateways(bytes: &[u8], found: &mut Vec<IpAddr>) {
    for attribute in attributes(bytes) {
        match attribute.kind {
            RTA_GATEWAY => found.extend(address(attribute.value)),
            // A gateway of the other family: u16 family, then the address.
            RTA_VIA => found.extend(attribute.value.get(2..).and_then(address)),
            RTA_MULTIPATH => {
                let mut rest = attribute.value;
                while let Some(length) = rest.first_chunk().map(|b| usize::from(u16::from_ne_bytes(*b))) {
                    let Some(hop) = rest.get(NEXT_HOP_HEADER..length) else { break };
                    attributes(hop).filter(|a| a.kind == RTA_GATEWAY).for_each(|a| found.extend(address(a.value)));
                    rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_ours() {
        let mut routes = Routes::open().unwrap();
        let addresses = routes.addresses().unwrap();
        assert!(addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{addresses:?}");
        routes.default_gateways().unwrap();
        assert!(routes.interfaces().unwrap().contains(&Interface { index: 1, name: "lo".into() }));
        assert!(!routes.drain_changes());
    }

    #[test]
    fn a_multipath_route_has_several_gateways() {
        let attribute = |kind: u16, value: &[u8]| [&((value.len() + 4) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        let hop = |last: u8| {
            let gateway = attribute(RTA_GATEWAY, &[192, 0, 2, last]);
            [&((gateway.len() + NEXT_HOP_HEADER) as u16).to_ne_bytes()[..], &[0; 6], &gateway].concat()
        };
        let mut found = Vec::new();
        gateways(&attribute(RTA_MULTIPATH, &[hop(1), hop(2)].concat()), &mut found);
        assert_eq!(found, ["192.0.2.1".parse::<IpAddr>().unwrap(), "192.0.2.2".parse().unwrap()]);
        // Lengths that lie end the walk.
        found.clear();
        gateways(&attribute(RTA_MULTIPATH, &[0, 0, 0, 0, 0, 0, 0, 0, 1]), &mut found);
        assert!(found.is_empty());
    }
}
