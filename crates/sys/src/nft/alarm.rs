//! Hears when anybody else changes our own table, and who it was. Changes nothing, and is not told of what we do ourselves.

use super::read::parse_generation;
use super::{RECEIVE_BYTES, message_kind};
use crate::netlink::NetlinkSocket;
use crate::netlink::message::messages;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The multicast group NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h).
const GROUP: u32 = 7;
/// What may wait until it is heard: another program's transaction of some 50,000 elements. More is lost, and that is heard.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams that are read in one go.
const TURN: usize = 256;
/// Not in the libc crate.
const NFT_MSG_NEWFLOWTABLE: i32 = 22;
const NFT_MSG_DELFLOWTABLE: i32 = 24;

/// What somebody did to the table; the gravest comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// News were lost, so nobody knows.
    Unknown,
    /// Elements, sets or counters were added, changed or taken out.
    Sets,
    /// Chains or rules were added, changed or taken out.
    Rules,
    /// The table is gone.
    Table,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::Unknown => "may have been changed",
            Damage::Sets => "had its sets changed",
            Damage::Rules => "had its rules changed",
            Damage::Table => "was deleted",
        })
    }
}

/// Somebody has changed the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intrusion {
    /// What was done.
    pub damage: Damage,
    /// The last transaction that did it; `None` if news were lost.
    pub generation: Option<u32>,
    /// The number of the process that did it, as the first process of the machine sees it; 0 if it is not known.
    pub pid: u32,
    /// Its name, at most 15 bytes; empty if it is not known.
    pub program: String,
}

/// A listener for one table of the family inet. Belongs to the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Alarm {
    socket: NetlinkSocket,
    table: &'static str,
    buffer: Vec<u8>,
    /// What has been heard of a transaction whose end has not been heard yet.
    damage: Option<Damage>,
}

impl Alarm {
    /// Begins to listen. `own` is the number of the socket whose changes are ours.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn open(table: &'static str, own: u32) -> io::Result<Self> {
        let socket = NetlinkSocket::open(libc::NETLINK_NETFILTER, 0)?;
        // The filter comes before the first news.
        socket.ignore_port(own)?;
        socket.set_receive_buffer(RECEIVE_BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        socket.set_member(GROUP, true)?;
        Ok(Alarm { socket, table, buffer: vec![0; RECEIVE_BYTES], damage: None })
    }

    /// Stops listening or begins again. While anybody listens in a namespace, the kernel writes news of every single element.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn set_listening(&self, listening: bool) -> io::Result<()> {
        self.socket.set_member(GROUP, listening)
    }

    /// Takes what has come, up to its turn, and sums it up. `None`: nobody has touched the table.
    pub fn hear(&mut self) -> Option<Intrusion> {
        let mut heard: Option<Intrusion> = None;
        for _ in 0..TURN {
            let more = match self.socket.receive(&mut self.buffer) {
                Ok(datagram) => news(datagram, self.table, &mut self.damage),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ENOBUFS above all. What else a socket may say leaves us as much in the dark.
                Err(_) => Some(Intrusion { damage: Damage::Unknown, generation: None, pid: 0, program: String::new() }),
            };
            heard = match (heard, more) {
                (Some(before), Some(next)) => Some(Intrusion {
                    damage: before.damage.max(next.damage),
                    generation: before.generation.and(next.generation),
                    ..if next.program.is_empty() { before } else { next }
                }),
                (before, next) => next.or(before),
            };
        }
        heard
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads one datagram. The kernel tells what a transaction did, and then in a message of its own whose it was.
fn news(datagram: &[u8], table: &str, damage: &mut Option<Damage>) -> Option<Intrusion> {
    let mut heard = None;
    for message in messages(datagram) {
        let Some((family, _, mut attributes)) = message.netfilter() else { continue };
        if message.kind == message_kind(libc::NFT_MSG_NEWGEN) {
            let Some(damage) = damage.take() else { continue };
            let (generation, pid, program) = parse_generation(attributes);
            heard = Some(Intrusion { damage, generation, pid, program });
        } else if let Some(found) = damage_of(message.kind)
            && family == libc::NFPROTO_INET as u8
            // The table's name is the first attribute of all of them.
            && attributes.find(|attribute| attribute.kind == 1).and_then(|name| name.text()) == Some(table)
        {
            *damage = (*damage).max(Some(found));
        }
    }
    heard
}

fn damage_of(kind: u16) -> Option<Damage> {
    let is = |list: &[i32]| list.iter().any(|message| message_kind(*message) == kind);
    if is(&[libc::NFT_MSG_DELTABLE]) {
        Some(Damage::Table)
    } else if is(&[libc::NFT_MSG_NEWTABLE, libc::NFT_MSG_NEWCHAIN, libc::NFT_MSG_DELCHAIN, libc::NFT_MSG_NEWRULE, libc::NFT_MSG_DELRULE]) {
        Some(Damage::Rules)
    } else if is(&[
        libc::NFT_MSG_NEWSET,
        libc::NFT_MSG_DELSET,
        libc::NFT_MSG_NEWSETELEM,
        libc::NFT_MSG_DELSETELEM,
        libc::NFT_MSG_NEWOBJ,
        libc::NFT_MSG_DELOBJ,
        NFT_MSG_NEWFLOWTABLE,
        NFT_MSG_DELFLOWTABLE,
    ]) {
        Some(Damage::Sets)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Message;
    use proptest::prelude::*;

    fn told(kind: i32, family: i32, table: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut message = Message::netfilter(&mut bytes, message_kind(kind), 0, 1, family as u8, 0);
        message.put_str(1, table);
        message.finish().unwrap();
        bytes
    }

    fn ended(generation: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut message = Message::netfilter(&mut bytes, message_kind(libc::NFT_MSG_NEWGEN), 0, 1, 0, 0);
        message.put_u32_be(1, generation);
        message.put_u32_be(2, 123);
        message.put_str(3, "nft");
        message.finish().unwrap();
        bytes
    }

    #[test]
    fn only_what_happens_to_our_own_table_is_heard() {
        let mut damage = None;
        let foreign = [
            told(libc::NFT_MSG_DELTABLE, libc::NFPROTO_INET, "other"),
            told(libc::NFT_MSG_DELTABLE, libc::NFPROTO_IPV4, "riposte"),
            told(libc::NFT_MSG_NEWGEN + 2, libc::NFPROTO_INET, "riposte"),
        ]
        .concat();
        assert_eq!(news(&foreign, "riposte", &mut damage), None);
        assert_eq!(news(&ended(7), "riposte", &mut damage), None);
        let flushed = [
            told(libc::NFT_MSG_DELRULE, libc::NFPROTO_INET, "riposte"),
            told(libc::NFT_MSG_DELTABLE, libc::NFPROTO_INET, "riposte"),
            told(libc::NFT_MSG_DELSET, libc::NFPROTO_INET, "riposte"),
        ]
        .concat();
        assert_eq!(news(&flushed, "riposte", &mut damage), None, "its end has not come");
        let heard = news(&ended(8), "riposte", &mut damage);
        assert_eq!(heard, Some(Intrusion { damage: Damage::Table, generation: Some(8), pid: 123, program: "nft".into() }));
        assert_eq!(news(&ended(9), "riposte", &mut damage), None);
    }

    proptest! {
        #[test]
        fn bent_news_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = [told(libc::NFT_MSG_DELSETELEM, libc::NFPROTO_INET, "riposte"), ended(3)].concat();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            news(&bytes, "riposte", &mut None);
        }
    }
}
