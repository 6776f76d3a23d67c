//! Which XDP programs interfaces have, and putting one there by rtnetlink. Never takes the place of a program that was not named.

use crate::bpf::Program;
use crate::netlink::message::{Message, attributes};
use crate::netlink::{NetlinkError, NetlinkSocket};
use crate::route::{IFLA_IFNAME, LINK_HEADER};
use std::io;
use std::time::Duration;

// linux/if_link.h
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const UPDATE_IF_NOEXIST: u32 = 1;
const SKB_MODE: u32 = 2;
const DRV_MODE: u32 = 4;
const REPLACE: u32 = 16;
/// Interfaces that are kept.
const BOUND: usize = 4_096;

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel has made anything of the packet.
    Native,
    /// In the kernel's common way in: with any interface, and slower.
    Generic,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether its packets begin with an Ethernet header.
    pub is_ethernet: bool,
    /// The numbers of its XDP programs and where they run (`None`: in the card). None or one, but for cards that can have several.
    pub programs: Vec<(u32, Option<Mode>)>,
}

/// A socket for questions and orders.
#[derive(Debug)]
pub struct Interfaces {
    socket: NetlinkSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Interfaces {
    /// Opens it; questions need no privilege.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open() -> io::Result<Self> {
        let socket = NetlinkSocket::open(libc::NETLINK_ROUTE, 0)?;
        socket.set_extended_ack()?;
        socket.set_receive_timeout(Duration::from_secs(2))?;
        Ok(Interfaces { socket, sequence: 0, buffer: vec![0; 65_536] })
    }

    /// All of this network namespace.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list(&mut self) -> Result<Vec<Interface>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        let mut message = Message::begin(&mut bytes, libc::RTM_GETLINK, flags, self.sequence);
        message.put_raw(&[0; LINK_HEADER]);
        message.finish()?;
        let mut found = Vec::new();
        self.socket.request(&bytes, self.sequence, &mut self.buffer, |message| {
            if message.kind == libc::RTM_NEWLINK && found.len() < BOUND {
                found.extend(interface(message.payload));
            }
        })?;
        Ok(found)
    }

    /// The one of this name, if it is there.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn named(&mut self, name: &str) -> Result<Option<Interface>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::begin(&mut bytes, libc::RTM_GETLINK, flags, self.sequence);
        message.put_raw(&[0; LINK_HEADER]);
        message.put_str(IFLA_IFNAME, name);
        message.finish()?;
        let mut found = None;
        match self.socket.request(&bytes, self.sequence, &mut self.buffer, |message| found = interface(message.payload)) {
            Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
            result => result.map(|()| found),
        }
    }

    /// Puts a program there, in the place of `old` or, without one, only if there is none.
    ///
    /// # Errors
    /// `EBUSY` or `EEXIST` if another program is there; if the driver can't.
    pub fn attach(&mut self, index: u32, program: &Program, old: Option<&Program>, mode: Mode) -> Result<(), NetlinkError> {
        self.set(index, program.number(), old, mode)
    }

    /// Takes this program away, and no other.
    ///
    /// # Errors
    /// If another program is there.
    pub fn detach(&mut self, index: u32, program: &Program, mode: Mode) -> Result<(), NetlinkError> {
        self.set(index, -1, Some(program), mode)
    }

    fn set(&mut self, index: u32, fd: i32, old: Option<&Program>, mode: Mode) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut message = Message::begin(&mut bytes, libc::RTM_SETLINK, flags, self.sequence);
        let mut header = [0; LINK_HEADER];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        message.put_raw(&header);
        let nest = message.nest(IFLA_XDP);
        message.put(IFLA_XDP_FD, &fd.to_ne_bytes());
        let mode = match mode {
            Mode::Native => DRV_MODE,
            Mode::Generic => SKB_MODE,
        };
        message.put_u32_ne(IFLA_XDP_FLAGS, mode | if old.is_some() { REPLACE } else { UPDATE_IF_NOEXIST });
        if let Some(old) = old {
            message.put(IFLA_XDP_EXPECTED_FD, &old.number().to_ne_bytes());
        }
        message.end(nest);
        message.finish()?;
        self.socket.request(&bytes, self.sequence, &mut self.buffer, |_| ())
    }
}

/// An interface's name, number and programs.
pub(crate) fn interface(payload: &[u8]) -> Option<Interface> {
    let kind = u16::from_ne_bytes(*payload.get(2..)?.first_chunk()?);
    let index = u32::from_ne_bytes(*payload.get(4..)?.first_chunk()?);
    let (mut name, mut programs) = (None, Vec::new());
    for attribute in attributes(payload.get(LINK_HEADER..)?) {
        match attribute.kind {
            IFLA_IFNAME => name = attribute.text(),
            IFLA_XDP => programs.extend(attribute.nested().filter_map(|inner| {
                let mode = match inner.kind {
                    IFLA_XDP_DRV_PROG_ID => Some(Mode::Native),
                    IFLA_XDP_SKB_PROG_ID => Some(Mode::Generic),
                    IFLA_XDP_HW_PROG_ID => None,
                    _ => return None,
                };
                Some((inner.u32_ne()?, mode))
            })),
            _ => {}
        }
    }
    Some(Interface { index, name: name?.to_owned(), is_ethernet: matches!(kind, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK), programs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let mut interfaces = Interfaces::open().unwrap();
        let list = interfaces.list().unwrap();
        assert!(list.iter().any(|interface| interface.name == "lo" && interface.index == 1 && interface.is_ethernet), "{list:?}");
        assert_eq!(interfaces.named("lo").unwrap().as_ref(), list.iter().find(|interface| interface.name == "lo"));
        assert_eq!(interfaces.named("no-such-link").unwrap(), None);
    }

    #[test]
    fn a_program_is_known_with_its_place() {
        let attribute = |kind: u16, value: &[u8]| [&((value.len() + 4) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        let id = 77u32.to_ne_bytes();
        let xdp = attribute(IFLA_XDP | 0x8000, &[attribute(2, &[2, 0, 0, 0]), attribute(4, &id), attribute(6, &id)].concat());
        let payload = [&[0, 0, 1, 0][..], &9u32.to_ne_bytes(), &[0; 8], &attribute(IFLA_IFNAME, b"eth0\0\0\0\0"), &xdp].concat();
        let expected = Interface { index: 9, name: "eth0".into(), is_ethernet: true, programs: vec![(77, Some(Mode::Generic))] };
        assert_eq!(interface(&payload), Some(expected));
        assert_eq!(interface(&payload[..10]), None);
    }
}
