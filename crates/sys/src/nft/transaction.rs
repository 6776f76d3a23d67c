//! Builds one transaction: steps that the kernel carries out all together or not at all. Never names a table but the one it was made for.
//! Layouts: linux/netfilter/nf_tables.h and nfnetlink.h.

use super::expression::{self, Expression};
use super::{Chain, Element, SetShape, message_kind};
use crate::netlink::message::Message;

pub(super) const NFTA_LIST_ELEM: u16 = 1;
/// The most bytes of elements in one message: a nest can have 65,535.
const ELEMENT_BYTES: usize = 60_000;
const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const NF_ACCEPT: u32 = 1;
/// Linux 6.3 and newer; not yet in the libc crate.
const NFT_MSG_DESTROYSETELEM: i32 = 30;
const NFT_OBJECT_COUNTER: u32 = 1;

/// What is done with elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementStep {
    /// They are added; refused with EEXIST if the set has one already. Kernels before 6.12 do not change the time-out
    /// of an element that is added again, so whoever wants a new one deletes first.
    Add,
    /// They are deleted; refused with ENOENT if the set has not got one.
    Delete,
    /// They are deleted if they are there. Only for kernels that can do it: see `OwnTable::can_destroy`.
    Destroy,
}

/// Steps that take effect together. Each call is one step, but for `elements`, which makes as many as it needs.
#[derive(Debug)]
pub struct Transaction {
    pub(super) bytes: Vec<u8>,
    pub(super) table: &'static str,
    /// The sequence number of the opening message; step n, from 0, has the one n + 1 above it.
    pub(super) sequence: u32,
    pub(super) steps: u32,
    last_step: usize,
    too_long: bool,
}

impl Transaction {
    pub(super) fn new(table: &'static str, mut bytes: Vec<u8>, sequence: u32) -> Self {
        bytes.clear();
        put_mark(&mut bytes, libc::NFNL_MSG_BATCH_BEGIN as u16, sequence);
        Transaction { bytes, table, sequence, steps: 0, last_step: 0, too_long: false }
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.steps as usize
    }

    /// Makes the table, or wakes it up if it is there and dormant.
    pub fn add_table(&mut self) {
        let table = self.table;
        self.step(libc::NFT_MSG_NEWTABLE, CREATE, |message| {
            message.put_str(1, table);
            message.put_u32_be(2, 0);
        });
    }

    /// Deletes the table and all that is in it.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.step(libc::NFT_MSG_DELTABLE, 0, |message| message.put_str(1, table));
    }

    /// Makes a base chain of type filter whose policy is to accept.
    pub fn add_chain(&mut self, name: &str, chain: Chain) {
        let table = self.table;
        self.step(libc::NFT_MSG_NEWCHAIN, CREATE, |message| {
            message.put_str(1, table);
            message.put_str(3, name);
            let hook = message.nest(4);
            message.put_u32_be(1, chain.hook.number());
            message.put_u32_be(2, chain.priority as u32);
            message.end(hook);
            message.put_u32_be(5, NF_ACCEPT);
            message.put_str(7, "filter");
        });
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, chain: &str) {
        let table = self.table;
        self.step(libc::NFT_MSG_DELRULE, 0, |message| {
            message.put_str(1, table);
            message.put_str(2, chain);
        });
    }

    /// Deletes a chain that has no rules any more.
    pub fn delete_chain(&mut self, chain: &str) {
        let table = self.table;
        self.step(libc::NFT_MSG_DELCHAIN, 0, |message| {
            message.put_str(1, table);
            message.put_str(3, chain);
        });
    }

    /// Makes a named counter.
    pub fn add_counter(&mut self, name: &str) {
        let table = self.table;
        self.step(libc::NFT_MSG_NEWOBJ, CREATE, |message| {
            message.put_str(1, table);
            message.put_str(2, name);
            message.put_u32_be(3, NFT_OBJECT_COUNTER);
            let data = message.nest(4);
            message.end(data);
        });
    }

    /// Makes a set.
    pub fn add_set(&mut self, name: &str, shape: &SetShape) {
        let (table, id) = (self.table, self.steps + 1);
        self.step(libc::NFT_MSG_NEWSET, CREATE, |message| {
            message.put_str(1, table);
            message.put_str(2, name);
            message.put_u32_be(3, shape.flags());
            message.put_u32_be(4, shape.key.type_number());
            message.put_u32_be(5, shape.key.bytes() as u32);
            if let Some(size) = shape.size {
                let description = message.nest(9);
                message.put_u32_be(1, size);
                message.end(description);
            }
            message.put_u32_be(10, id);
            if shape.default_timeout_millis > 0 {
                message.put_u64_be(11, shape.default_timeout_millis);
            }
        });
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, set: &str) {
        let table = self.table;
        self.step(libc::NFT_MSG_DELSETELEM, 0, |message| {
            message.put_str(1, table);
            message.put_str(2, set);
        });
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, expressions: &[Expression<'_>]) {
        let table = self.table;
        self.step(libc::NFT_MSG_NEWRULE, CREATE | APPEND, |message| {
            message.put_str(1, table);
            message.put_str(2, chain);
            expression::put_all(message, 4, expressions);
        });
    }

    /// Adds or deletes elements, in their order: one step for about every 1,500 of them, none if there are none.
    pub fn elements(&mut self, step: ElementStep, set: &str, elements: impl IntoIterator<Item = Element>) {
        let (kind, flags) = match step {
            ElementStep::Add => (libc::NFT_MSG_NEWSETELEM, CREATE | EXCLUSIVE),
            ElementStep::Delete => (libc::NFT_MSG_DELSETELEM, 0),
            ElementStep::Destroy => (NFT_MSG_DESTROYSETELEM, 0),
        };
        let table = self.table;
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            self.step(kind, flags, |message| {
                message.put_str(1, table);
                message.put_str(2, set);
                let list = message.nest(3);
                while message.nest_bytes(&list) < ELEMENT_BYTES {
                    let Some(element) = elements.next() else { break };
                    put_element(message, &element);
                }
                message.end(list);
            });
        }
    }

    fn step(&mut self, kind: i32, flags: u16, fill: impl FnOnce(&mut Message<'_>)) {
        self.last_step = self.bytes.len();
        self.steps += 1;
        let sequence = self.sequence.wrapping_add(self.steps);
        let mut message = Message::netfilter(&mut self.bytes, message_kind(kind), REQUEST | flags, sequence, libc::NFPROTO_INET as u8, 0);
        fill(&mut message);
        self.too_long |= message.finish().is_err();
    }

    /// Closes it: the last step asks for an acknowledgment. `None` if there is nothing to do or a step was too long.
    pub(super) fn close(&mut self) -> Option<&[u8]> {
        if self.steps == 0 || self.too_long {
            return None;
        }
        // The flags stand at byte 6 of a message's header.
        let flags = self.bytes.get_mut(self.last_step + 6..self.last_step + 8)?;
        let with_ack = u16::from_ne_bytes([flags[0], flags[1]]) | libc::NLM_F_ACK as u16;
        flags.copy_from_slice(&with_ack.to_ne_bytes());
        put_mark(&mut self.bytes, libc::NFNL_MSG_BATCH_END as u16, self.sequence.wrapping_add(self.steps + 1));
        Some(&self.bytes)
    }
}

/// Appends one of the two messages around the steps.
fn put_mark(bytes: &mut Vec<u8>, kind: u16, sequence: u32) {
    let mark = Message::netfilter(bytes, kind, REQUEST, sequence, libc::AF_UNSPEC as u8, libc::NFNL_SUBSYS_NFTABLES as u16);
    let done = mark.finish();
    debug_assert!(done.is_ok(), "a mark is 20 bytes");
}

fn put_element(message: &mut Message<'_>, element: &Element) {
    let nest = message.nest(NFTA_LIST_ELEM);
    expression::put_value(message, 1, element.key.as_bytes());
    if element.ends_interval {
        message.put_u32_be(3, libc::NFT_SET_ELEM_INTERVAL_END as u32);
    }
    if let Some(millis) = element.timeout_millis {
        message.put_u64_be(4, millis);
    }
    message.end(nest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::messages;
    use crate::nft::Key;
    use std::net::{IpAddr, Ipv4Addr};

    fn element(n: u32, timeout_millis: Option<u64>) -> Element {
        Element { key: Key::from(IpAddr::V4(Ipv4Addr::from(n))), ends_interval: false, timeout_millis }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_single_add_is_these_bytes() {
        let mut transaction = Transaction::new("riposte", Vec::new(), 7);
        transaction.elements(ElementStep::Add, "blocked4", [element(0xC000_0207, Some(600_000))]);
        let expected = [
            // Opening: 20 bytes, type 16, a request, number 7; family 0, version 0, subsystem 10.
            &[20, 0, 0, 0, 16, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10][..],
            // NEWSETELEM: type 0x0A0C, request + ack + create + exclusive, number 8; family inet.
            &[80, 0, 0, 0, 12, 10, 5, 6, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
            &[12, 0, 1, 0, b'r', b'i', b'p', b'o', b's', b't', b'e', 0],
            &[13, 0, 2, 0, b'b', b'l', b'o', b'c', b'k', b'e', b'd', b'4', 0, 0, 0, 0],
            // A list with one element: the key in two nests, the time-out in milliseconds.
            &[32, 0, 3, 128, 28, 0, 1, 128, 12, 0, 1, 128, 8, 0, 1, 0, 192, 0, 2, 7],
            &[12, 0, 4, 0, 0, 0, 0, 0, 0, 9, 39, 192],
            // End: type 17, number 9.
            &[20, 0, 0, 0, 17, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
        ]
        .concat();
        assert_eq!(transaction.close(), Some(&expected[..]));
    }

    #[test]
    fn many_elements_are_split_and_only_the_last_step_is_acknowledged() {
        let mut transaction = Transaction::new("riposte", Vec::new(), u32::MAX);
        transaction.elements(ElementStep::Delete, "blocked4", []);
        assert_eq!(transaction.steps(), 0);
        transaction.elements(ElementStep::Delete, "blocked4", (0..5_000).map(|n| element(n, None)));
        assert!(transaction.steps() > 1);
        let steps = transaction.steps() as u32;
        let bytes = transaction.close().unwrap();
        let all: Vec<_> = messages(bytes).collect();
        assert_eq!(all.len() as u32, steps + 2);
        let acks: Vec<_> =
            all.iter().filter(|message| i32::from(message.flags) & libc::NLM_F_ACK != 0).map(|message| message.sequence).collect();
        assert_eq!(acks, [u32::MAX.wrapping_add(steps)]);
        let lists = all.iter().filter_map(|message| message.netfilter()).flat_map(|(_, _, attributes)| attributes.filter(|a| a.kind == 3));
        assert_eq!(lists.map(|list| list.nested().count()).sum::<usize>(), 5_000);
    }

    #[test]
    fn nothing_to_do_sends_nothing() {
        assert_eq!(Transaction::new("riposte", Vec::new(), 1).close(), None);
    }
}
