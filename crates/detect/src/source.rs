//! What is kept of one source. Never grows past a fixed size, and never lets one endpoint speak twice in the sequential test.
//!
//! A source that sent one kind of packet to one place, as nearly all do, is one flat record. Only a second endpoint buys a `Detail`.

use crate::detail::Detail;
use crate::reached::Reached;
use crate::rules::{QUIET, Rules, is_icmp, is_traceroute};
use crate::targets::Target;
use crate::walk::Verdict;
use model::event::{Probe, Trust};
use model::net::Protocol;
use model::style::{Style, StyleSet};
use model::time::Time;
use std::time::Duration;

/// A charged source that goes on is charged again at most this often.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// One probe, as far as counting needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub at: Time,
    /// Short hashes of the target, and of target, protocol and port together (for ICMP: type).
    pub target: u32,
    pub endpoint: u32,
    pub probe: &'a Probe,
    pub trust: Trust,
    pub times: u32,
}

impl Seen<'_> {
    /// Whether this would be a contact that a client expects to succeed. The sequential test hears of nothing else: not of odd ICMP
    /// packets, and not of a traceroute's, which are meant to fail.
    fn is_contact(&self) -> bool {
        !is_icmp(self.probe.protocol) && !is_traceroute(self.probe.protocol, self.probe.port)
    }
}

/// One source, as far as it is flat. Two cache lines, the first for each probe: with ten thousand sources, fetching them is most of the
/// work. Its detail, if it has one, is kept apart, so that both can be fetched at the same time.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Source {
    /// Its last probe (or, before the first, the last time that it reached something).
    pub last: Time,
    last_offence: Time,
    pub packets: u64,
    /// Packets since the last offence.
    fresh: u32,
    /// Styles that at least one probe had, and those that at least two had.
    pub once: StyleSet,
    pub twice: StyleSet,
    /// The level as of `last`, and the highest danger level ever; 0 for none.
    pub current: u8,
    pub level: u8,
    /// Offences in a row for no other reason than that it goes on.
    renewals: u8,
    rank: u8,
    pub convicted: bool,
    pub distributed: bool,
    pub trust: Trust,
    /// Whether the first probe was a contact; its endpoint, protocol and ICMP type, and what went to its target: all there is to know
    /// while all probes go there.
    pub is_contact: bool,
    endpoint: u32,
    pub target: Target,
    /// Bytes that the table has on its account for what hangs on this.
    accounted: u32,
    pub protocol: Protocol,
    icmp: Option<u8>,
    pub first: Time,
    /// The sequential test's log-likelihood ratio.
    pub ratio: f64,
    reached: Option<Box<Reached>>,
}

/// What a probe came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// The source is to be charged now.
    pub charged: bool,
    /// Its rank or its memory may have changed.
    pub changed: bool,
}

/// What one probe added.
struct Counted {
    /// It is a first contact that failed.
    first_contact: bool,
    /// Its target; `None` if that is counted no longer.
    target: Option<Target>,
    /// Whether that target has seen enough protocols.
    protocol_scan: bool,
    /// Whether memory may have grown.
    grown: bool,
}

impl Source {
    /// A source that nothing is known of.
    pub(crate) fn new(at: Time) -> Source {
        Source {
            last: at,
            last_offence: Time::EPOCH,
            packets: 0,
            fresh: 0,
            once: StyleSet::EMPTY,
            twice: StyleSet::EMPTY,
            current: 0,
            level: 0,
            renewals: 0,
            rank: 0,
            convicted: false,
            distributed: false,
            trust: Trust::Spoofable,
            is_contact: false,
            endpoint: 0,
            target: Target::default(),
            accounted: 0,
            protocol: Protocol(0),
            icmp: None,
            first: at,
            ratio: 0.0,
            reached: None,
        }
    }

    /// Looks at both of its cache lines.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        self.fresh ^ u32::from(self.reached.is_some())
    }

    /// Takes in a probe.
    pub(crate) fn probe(&mut self, detail: &mut Option<Box<Detail>>, seen: &Seen, rules: &Rules, roomy: bool) -> Outcome {
        if !rules.is_calm(self.last, seen.at) {
            self.settle(detail, seen.at, rules);
        }
        let is_first = self.packets == 0;
        if is_first {
            (self.first, self.last) = (seen.at, seen.at);
        }
        let counted = self.count(detail, seen, rules, roomy);
        self.packets = self.packets.saturating_add(u64::from(seen.times));
        self.fresh = self.fresh.saturating_add(seen.times);
        if seen.at < self.last {
            self.first = self.first.min(seen.at);
        } else {
            self.last = seen.at;
        }
        let more_trust = seen.trust > self.trust;
        self.trust = self.trust.max(seen.trust);
        self.note_style(seen);
        let convicted_now = counted.first_contact && self.fail(rules);
        let charged = self.rise(detail.as_deref(), &counted, convicted_now, rules) || self.goes_on(seen.at, rules);
        if charged {
            self.fresh = 0;
            self.last_offence = seen.at;
        }
        let changed = charged || counted.first_contact || counted.grown || more_trust || is_first;
        if changed {
            if let Some(detail) = detail.as_mut().filter(|_| self.convicted) {
                detail.rest();
            }
            self.rerank(detail.as_deref());
        }
        debug_assert!(self.check_invariants(detail.as_deref()));
        Outcome { charged, changed }
    }

    /// One more failure for the sequential test. True if that convicts it.
    fn fail(&mut self, rules: &Rules) -> bool {
        let convicts = !self.convicted && rules.walk.fail(&mut self.ratio) == Verdict::Convicted;
        self.convicted |= convicts;
        convicts
    }

    /// Raises the level if the counts say so. True if it rose, or if the sequential test has just decided.
    fn rise(&mut self, detail: Option<&Detail>, counted: &Counted, convicted_now: bool, rules: &Rules) -> bool {
        let packets = counted.target.map_or(0, |target| target.packets);
        let hosts = detail.map_or(1, Detail::hosts);
        if self.current > 0 && !convicted_now && !rules.may_exceed(self.current, packets, hosts) {
            return false;
        }
        let odd_icmp = detail.is_some_and(|detail| detail.is_odd_icmp(rules.config.packets[0]));
        let level = assess(counted, hosts, rules).max(u8::from(odd_icmp || self.convicted));
        // Once a level has decayed to nothing, one stray packet doesn't bring it back.
        let may_rise = self.level == 0 || self.current > 0 || rules.is_enough(self.fresh) || convicted_now;
        let risen = level > self.current && may_rise;
        if risen {
            self.current = level;
            self.level = self.level.max(level);
            self.renewals = 0;
        }
        risen || convicted_now
    }

    /// Whether it goes on so long after its last offence that it earns another.
    fn goes_on(&mut self, at: Time, rules: &Rules) -> bool {
        let goes_on = self.current > 0 && rules.is_news(self.fresh, self.renewals) && at.since(self.last_offence) >= RENEW_AFTER;
        self.renewals = self.renewals.saturating_add(u8::from(goes_on));
        goes_on
    }

    /// Takes in a first contact that succeeded; a second one to the same endpoint says nothing new for a while.
    pub(crate) fn reach(&mut self, detail: &mut Option<Box<Detail>>, at: Time, endpoint: u32, rules: &Rules) {
        if !rules.is_calm(self.last, at) {
            self.settle(detail, at, rules);
        }
        if self.packets == 0 {
            self.last = self.last.max(at);
        }
        let failed = detail.as_ref().map_or(self.packets > 0 && self.endpoint == endpoint, |detail| detail.has_failed(endpoint));
        if !failed && self.reached.get_or_insert_default().insert(endpoint, at) && !self.convicted {
            rules.walk.succeed(&mut self.ratio);
        }
    }

    /// Has a share in a scan that others made with it: level 1 on that alone.
    pub(crate) fn share(&mut self, detail: Option<&Detail>, at: Time) {
        self.distributed = true;
        self.current = self.current.max(1);
        self.level = self.level.max(1);
        self.fresh = 0;
        self.last_offence = at;
        self.rerank(detail);
    }

    /// How hard it is to push out of a full table, 0 to 15: by evidence, above all by evidence that cannot be forged. A newcomer
    /// needs as many sightings and one more. The cap keeps a flood of forged scans from closing the table to a real one.
    pub(crate) fn rank(&self) -> u8 {
        self.rank
    }

    fn rerank(&mut self, detail: Option<&Detail>) {
        let weight = |holds: bool, weight: u8| if holds { weight } else { 0 };
        let evidence = detail.map_or(1, |detail| detail.endpoints.clamp(1, 7)) as u8
            + weight(self.level > 0, 2)
            + weight(self.convicted, 3)
            + weight(self.trust > Trust::Spoofable, 3);
        self.rank = if self.packets == 0 { 0 } else { evidence };
    }

    /// Whether it is charged as of its last probe: nobody needs to look for its share in something larger.
    pub(crate) fn is_charged(&self) -> bool {
        self.current > 0 || self.convicted
    }

    /// Whether it was ever charged.
    pub(crate) fn was_charged(&self) -> bool {
        self.level > 0
    }

    /// Whether it was quiet for so long that nothing it did counts any more.
    pub(crate) fn is_forgotten(&self, now: Time, rules: &Rules) -> bool {
        now.since(self.last) >= rules.config.forget
    }

    /// Whether the sequential test has convicted it.
    pub(crate) fn is_convicted(&self) -> bool {
        self.convicted
    }

    /// Brings the account of its memory up to date: what it had and what it has, in bytes.
    pub(crate) fn account(&mut self, detail: Option<&Detail>) -> (usize, usize) {
        let reached = self.reached.as_ref().map_or(0, |_| size_of::<Reached>());
        let bytes = reached + detail.map_or(0, Detail::bytes);
        let before = std::mem::replace(&mut self.accounted, bytes as u32);
        (before as usize, bytes)
    }

    /// The bytes on its account.
    pub(crate) fn accounted(&self) -> usize {
        self.accounted as usize
    }

    /// Lets quiet time work: levels fall, and what is too old no longer counts.
    fn settle(&mut self, detail: &mut Option<Box<Detail>>, at: Time, rules: &Rules) {
        let quiet = at.since(self.last);
        if quiet >= rules.config.forget {
            self.restart(detail, at);
            return;
        }
        if quiet >= QUIET {
            self.renewals = 0;
        }
        let steps = rules.steps(quiet);
        if steps == 0 {
            return;
        }
        let left = self.current.saturating_sub(steps);
        // Counts fall to the threshold of the level that is left, or the next packet would undo the decay.
        let below = usize::from(left).checked_sub(1);
        let packets = below.and_then(|index| rules.config.packets.get(index)).copied().unwrap_or(0);
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        self.target.packets = self.target.packets.min(packets);
        let was_charged = self.current > 0;
        if let Some(detail) = detail {
            detail.others.cap_packets(packets);
            if left == 0 {
                detail.icmp_packets = 0;
            }
            // A slow sweep that was never charged keeps its targets: they are what will convict it.
            if was_charged {
                let counting = below.and_then(|index| rules.config.hosts.get(index)).copied().unwrap_or(0);
                detail.hosts_past = detail.hosts_past.max((1 + detail.others.count()).saturating_sub(counting));
            }
        }
        // A convicted one may be so slow that each of its packets comes after such a quiet time: those add up.
        if left == 0 && (was_charged || !self.convicted) {
            self.fresh = 0;
        }
        self.current = left;
    }

    /// Starts anew after `forget`. Of one that was charged the totals stay, for the report.
    fn restart(&mut self, detail: &mut Option<Box<Detail>>, at: Time) {
        if self.level == 0 {
            // The account of its memory must survive: it is settled after the event.
            *self = Source { accounted: self.accounted, ..Source::new(at) };
            *detail = None;
            return;
        }
        detail.get_or_insert_with(|| Box::new(self.unfold())).restart();
        self.target = Target::new(self.target.key);
        (self.current, self.convicted, self.fresh, self.renewals, self.ratio) = (0, false, 0, 0, 0.0);
        self.reached = None;
        self.trust = Trust::Spoofable;
        self.rerank(detail.as_deref());
    }

    /// Counts the probe; the flat record serves as long as all probes go to one endpoint.
    fn count(&mut self, detail: &mut Option<Box<Detail>>, seen: &Seen, rules: &Rules, roomy: bool) -> Counted {
        let unfolds = detail.is_none();
        if unfolds && (self.packets == 0 || self.endpoint == seen.endpoint) {
            return self.count_flat(seen, rules);
        }
        let detail = detail.get_or_insert_with(|| Box::new(self.unfold()));
        let before = detail.others.heap_bytes();
        let first_contact = !detail.is_full(self.convicted)
            && seen.is_contact()
            && self.reached.as_ref().is_none_or(|reached| !reached.contains(seen.endpoint))
            && detail.is_first_contact(seen.endpoint, seen.at, rules);
        let noted = detail.note(seen.probe, seen.times);
        let place = if seen.target == self.target.key { Some(&mut self.target) } else { detail.others.entry(seen.target, roomy) };
        let target = place.map(|target| {
            target.count(seen.probe.protocol.0, seen.probe.port, seen.times);
            *target
        });
        let protocol_scan = target.is_some_and(|target| target.protocols() >= rules.config.protocols);
        detail.protocol_scan |= protocol_scan;
        let grown = unfolds || noted || detail.others.heap_bytes() != before;
        Counted { first_contact, target, protocol_scan, grown }
    }

    /// Counts a probe to the first endpoint while there is no other.
    fn count_flat(&mut self, seen: &Seen, rules: &Rules) -> Counted {
        let probe = seen.probe;
        let is_first = self.packets == 0;
        if is_first {
            self.endpoint = seen.endpoint;
            self.protocol = probe.protocol;
            self.icmp = probe.icmp.map(|(kind, _)| kind);
            self.is_contact = seen.is_contact();
            self.target = Target::new(seen.target);
        }
        self.target.count(probe.protocol.0, probe.port, seen.times);
        let failed = self.is_contact && self.reached.as_ref().is_none_or(|reached| !reached.contains(seen.endpoint));
        let protocol_scan = rules.config.protocols <= 1;
        Counted { first_contact: is_first && failed, target: Some(self.target), protocol_scan, grown: false }
    }

    /// The flat record as a detail.
    fn unfold(&self) -> Detail {
        let mut detail = Detail::default();
        if self.packets > 0 {
            let packets = u32::try_from(self.packets).unwrap_or(u32::MAX);
            let style = [Style::Syn, Style::Connect].into_iter().find(|&style| self.once.contains(style));
            let (protocol, port, icmp) = (self.protocol, self.target.port(), self.icmp.map(|kind| (kind, 0)));
            detail.note(&Probe { protocol, source_port: None, port, flags: None, icmp, style, hops: None }, packets);
            if self.is_contact {
                detail.begin(self.endpoint, self.first);
            }
        }
        detail
    }

    fn note_style(&mut self, seen: &Seen) {
        let Some(style) = seen.probe.style else { return };
        let had = self.once;
        self.once.insert(style);
        let again = if seen.times > 1 { self.once } else { had };
        if again.contains(style) {
            self.twice.insert(style);
        }
    }

    fn check_invariants(&self, detail: Option<&Detail>) -> bool {
        self.current <= self.level
            && self.level <= 5
            && self.first <= self.last
            && self.twice.iter().all(|style| self.once.contains(style))
            && detail.is_none_or(Detail::check_invariants)
            && (!self.convicted || self.level > 0)
    }
}

/// The level that the counts come to, 0 for none: psad's thresholds behind psad's gate.
fn assess(counted: &Counted, hosts: u32, rules: &Rules) -> u8 {
    let by_hosts = rules.level_by_hosts(hosts);
    let by_packets = match &counted.target {
        Some(target) if counted.protocol_scan || by_hosts > 0 || target.range().is_some_and(|range| range >= rules.config.port_range) => {
            rules.level_by_packets(target.packets)
        }
        Some(_) | None => 0,
    };
    by_hosts.max(by_packets).max(u8::from(counted.protocol_scan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_small() {
        assert!(size_of::<Source>() <= 128, "{}", size_of::<Source>());
    }
}
