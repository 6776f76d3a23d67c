//! Everything that this crate reads out of the kernel's answers, as functions over bytes: what the fuzz target `netlink` runs.
//! Never touches a socket.

use crate::conntrack::{self, Entry, parse_entry};
use crate::diag::Found;
use crate::netlink::message::{Ending, Received};
use crate::nflog::{self, NflogPacket};
use crate::nft::read::{parse_chain, parse_counter, parse_elements, parse_set};
use crate::nft::{Chain, Count, Element, Refusal, SetShape, take_answers};
use crate::route::{self, Interface, ROUTE_HEADER};
use crate::xdp;
use std::net::{IpAddr, SocketAddr};

/// What a reader made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'b> {
    /// The end of a request.
    Ending(Ending<'b>),
    /// A logged packet.
    Packet(NflogPacket<'b>),
    /// A chain of nf_tables.
    Chain(Chain),
    /// A set of nf_tables; without a shape if it is none that we make.
    Set(String, Option<SetShape>),
    /// A named counter of nf_tables.
    Counter(String, Count),
    /// Elements of a set.
    Elements(Vec<Element>),
    /// A socket's two ends.
    Socket(SocketAddr, SocketAddr),
    /// The tuple of a tracked connection that is to be deleted.
    Tracked(Vec<u8>),
    /// What a tracked connection says of a packet.
    Entry(Entry),
    /// An interface.
    Interface(Interface),
    /// An address of the host's own.
    Own(IpAddr),
    /// A route's gateways.
    Gateways(Vec<IpAddr>),
    /// An interface with its XDP programs.
    Programs(xdp::Interface),
}

/// Puts every reader on one message, whatever its type says: only the socket that it came from tells which one it was meant for.
pub fn read<'b>(message: &Received<'b>, table: &str, is_doomed: impl Fn(IpAddr) -> bool) -> Vec<Answer<'b>> {
    let mut answers = Vec::new();
    answers.extend(message.ending().map(Answer::Ending));
    answers.extend(nflog::read(message).map(Answer::Packet));
    answers.extend(Found::read(message.payload).map(|found| Answer::Socket(found.local(), found.peer())));
    answers.extend(route::own(message.payload).map(Answer::Own));
    answers.extend(route::interface(message.payload).map(Answer::Interface));
    let mut gateways = Vec::new();
    route::gateways(message.payload.get(ROUTE_HEADER..).unwrap_or_default(), &mut gateways);
    answers.push(Answer::Gateways(gateways));
    answers.extend(xdp::interface(message.payload).map(Answer::Programs));
    if let Some((family, _, attributes)) = message.netfilter() {
        answers.extend(parse_chain(attributes.clone()).map(Answer::Chain));
        answers.extend(parse_set(attributes.clone(), table).map(|(name, shape)| Answer::Set(name, shape)));
        answers.extend(parse_counter(attributes.clone(), table).map(|(name, count)| Answer::Counter(name, count)));
        let mut elements = Vec::new();
        parse_elements(attributes.clone(), &mut elements);
        answers.push(Answer::Elements(elements));
        let from = SocketAddr::from(([192, 0, 2, 7], 40_000));
        answers.extend(conntrack::entry(from, attributes.clone()).map(Answer::Entry));
        answers.extend(parse_entry(family, attributes, is_doomed).map(|doomed| Answer::Tracked(doomed.tuple)));
    }
    answers
}

/// What a datagram says to a transaction of so many steps: the refusals, and whether the last word on it was among that.
pub fn to_transaction(datagram: &[u8], sequence: u32, steps: u32) -> (Vec<Refusal>, bool) {
    let mut refusals = Vec::new();
    let ended = take_answers(datagram, sequence, steps, &mut refusals);
    (refusals, ended)
}
