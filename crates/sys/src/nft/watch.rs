//! Hears what changes in the nf_tables of a network namespace. For the test range and benchmarks; changes nothing.

use super::read::parse_elements;
use super::{Element, RECEIVE_BYTES, message_kind};
use crate::netlink::NetlinkSocket;
use crate::netlink::message::messages;
use std::io;
use std::time::Duration;

/// The bit of the multicast group NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h), which is number 7.
const GROUP: u32 = 1 << 6;

/// A listener. Belongs to the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Watch {
    socket: NetlinkSocket,
    buffer: Vec<u8>,
    limit: Duration,
}

impl Watch {
    /// Begins to listen. `receive_buffer_bytes` is what may wait until it is heard: about 5 kB for 30 elements.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open(receive_buffer_bytes: usize) -> io::Result<Self> {
        let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, GROUP)?;
        socket.set_receive_buffer(receive_buffer_bytes)?;
        Ok(Watch { socket, buffer: vec![0; RECEIVE_BYTES], limit: Duration::ZERO })
    }

    /// Waits for one piece of news and tells of each element that it has in it as new: the set's name and the element.
    /// False if none came within `limit` (at least a microsecond).
    ///
    /// # Errors
    /// `ENOBUFS` if news were lost because nobody listened.
    pub fn wait(&mut self, limit: Duration, mut tell: impl FnMut(&str, &Element)) -> io::Result<bool> {
        // Zero would mean for ever.
        let limit = limit.max(Duration::from_micros(1));
        if limit != self.limit {
            self.socket.set_receive_timeout(limit)?;
            self.limit = limit;
        }
        let datagram = match self.socket.receive(&mut self.buffer) {
            Ok(datagram) => datagram,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut elements = Vec::new();
        for message in messages(datagram).filter(|message| message.kind == message_kind(libc::NFT_MSG_NEWSETELEM)) {
            let Some((_, _, attributes)) = message.netfilter() else { continue };
            let Some(set) = attributes.clone().find(|attribute| attribute.kind == 2).and_then(|name| name.text()) else { continue };
            parse_elements(attributes, &mut elements);
            elements.drain(..).for_each(|element| tell(set, &element));
        }
        Ok(true)
    }
}
