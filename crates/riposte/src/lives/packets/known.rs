//! Whether a captured packet belongs to a conversation of this host's own: what looks like a probe before connection tracking has seen it
//! may be the late answer to a client that has ended. The warden asks the kernel, which takes a privilege; until then events wait here.
//! Never lets an event pass whose question was not answered.

use super::Packets;
use link::message::{Counter, Flow, Known, Message};
use model::event::{Act, Event, Probe};
use model::limits;
use model::net::Protocol;
use model::time::Time;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Questions that may be open. At the bound further events are dropped and counted.
const OPEN: usize = 64;
/// Flows that are remembered, twice over. At the bound the older half is forgotten.
const REMEMBERED: usize = 8_192;
/// And for so long at least, if there is room.
const REMEMBER_FOR: Duration = Duration::from_secs(30);

/// A packet's flow, and what was made of it.
type Seen = (Flow, Vec<Event>);

/// What waits, and what is known already.
#[derive(Debug, Default)]
pub struct Questions {
    waiting: VecDeque<(u32, Vec<Seen>)>,
    asked: u32,
    /// Flows of this host's own, and packets that a trap has told of.
    known: [HashSet<Flow>; 2],
    turned: Time,
    told: u64,
    own: u64,
    forwarded: u64,
    dropped: u64,
}

/// A probe's two ends; `None` if its ports are not known, or if they are of two families (IPv4 within IPv6, which no host takes in).
pub fn flow(event: &Event) -> Option<Flow> {
    let Act::Probe(Probe { protocol, port: Some(port), source_port: Some(source_port), .. }) = event.act else { return None };
    let (from, to) = (SocketAddr::new(event.actor, source_port), SocketAddr::new(event.target?, port));
    (from.is_ipv4() == to.is_ipv4()).then_some(Flow { protocol, from, to })
}

impl Questions {
    /// Remembers a flow that is not to be told, for a while.
    pub fn remember(&mut self, flow: Flow, at: Time) {
        if self.known[0].len() >= REMEMBERED || at.since(self.turned) >= REMEMBER_FOR {
            self.known.swap(0, 1);
            self.known[0].clear();
            self.turned = at;
        }
        self.known[0].insert(flow);
    }

    /// Whether this is of a flow that is not to be told; counted.
    pub fn is_known(&mut self, event: &Event) -> bool {
        let is_known = flow(event).is_some_and(|flow| self.known.iter().any(|known| known.contains(&flow)));
        self.own += u64::from(is_known);
        is_known
    }

    /// For `status`.
    pub fn counters(&self) -> impl Iterator<Item = Counter> {
        let figures = [
            ("told", self.told),
            ("of connections of this host", self.own),
            ("of connections that are handed on", self.forwarded),
            ("dropped, nobody could say whose they are", self.dropped),
        ];
        figures.into_iter().map(|(name, value)| Counter { name: format!("captured: {name}"), value })
    }
}

impl Packets {
    /// Asks whose these are, each packet's events, and tells them once that is known.
    pub(super) fn ask(&mut self, seen: Vec<Vec<Event>>, at: Time) -> io::Result<()> {
        let all = seen.len();
        let with_flow = |events: Vec<Event>| Some((events.first().and_then(flow)?, events));
        let mut unknown: Vec<Seen> = seen.into_iter().filter_map(with_flow).collect();
        // Nobody can say whose the others are.
        self.questions.dropped += (all - unknown.len()) as u64;
        // At a port that riposte itself answers even half a connection has a socket: the guard's. Of a whole one the guard tells.
        unknown.retain(|(flow, _)| self.is_answered_by_guard(flow) || !self.has_socket(flow, at));
        while !unknown.is_empty() {
            let rest = unknown.split_off(unknown.len().min(limits::BATCH_FLOWS));
            if self.questions.waiting.len() >= OPEN {
                self.questions.dropped += (unknown.len() + rest.len()) as u64;
                return Ok(());
            }
            self.questions.asked = self.questions.asked.wrapping_add(1);
            let number = self.questions.asked;
            self.warden.send(&Message::AskKnown { number, flows: unknown.iter().map(|(flow, _)| *flow).collect() })?;
            self.questions.waiting.push_back((number, std::mem::replace(&mut unknown, rest)));
        }
        Ok(())
    }

    /// Whether there is a socket for this very flow, be it one that only waits for late packets.
    fn has_socket(&mut self, flow: &Flow, at: Time) -> bool {
        let found = self.diag.is_answered(flow.protocol.0, flow.to, flow.from);
        self.looks_failed += u64::from(found.is_err());
        if found.unwrap_or(false) {
            self.questions.own += 1;
            self.questions.remember(*flow, at);
            return true;
        }
        false
    }

    fn is_answered_by_guard(&self, flow: &Flow) -> bool {
        !self.guard.stealth && flow.protocol == Protocol::TCP && self.guard.tcp.contains(flow.to.port())
    }

    /// The warden's answer. A question before it has got none: it was turned away at the gate, or the warden could not ask.
    pub(super) fn known(&mut self, number: u32, answers: &[Known], at: Time) -> io::Result<()> {
        while let Some((asked, waiting)) = self.questions.waiting.pop_front() {
            if asked != number || waiting.len() != answers.len() {
                self.questions.dropped += waiting.len() as u64;
                if asked == number { break } else { continue }
            }
            let mut probes = Vec::new();
            for ((flow, events), known) in waiting.into_iter().zip(answers) {
                match known {
                    Known::No => probes.push(events),
                    Known::Own => {
                        self.questions.own += 1;
                        self.questions.remember(flow, at);
                    }
                    // A service of another host or a container, behind a port of ours.
                    Known::Forwarded => {
                        self.questions.forwarded += 1;
                        self.opened(flow.protocol, flow.to.port());
                    }
                    Known::Unsaid => self.questions.dropped += 1,
                }
            }
            self.questions.told += probes.len() as u64;
            return self.tell_seen(probes.into_iter().flatten());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn numbered(n: usize) -> Flow {
        let end = |port| SocketAddr::new(IpAddr::from([192, 0, 2, (n >> 16) as u8]), port);
        Flow { protocol: Protocol::UDP, from: end(n as u16), to: end(53) }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stays() {
        let mut questions = Questions::default();
        for n in 0..10 * REMEMBERED {
            questions.remember(numbered(n), Time::EPOCH);
        }
        let knows = |n| questions.known.iter().any(|known| known.contains(&numbered(n)));
        assert!(questions.known.iter().all(|known| known.len() <= REMEMBERED));
        assert!((9 * REMEMBERED..10 * REMEMBERED).all(knows) && !knows(0));
    }
}
