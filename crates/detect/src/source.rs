//! What is known of one source. Never grows past a fixed size, and never lets one endpoint speak twice in the sequential test.
//!
//! A source that sent one kind of packet to one place, as nearly all do, is one flat record. Only a second endpoint buys a `Detail`.

use crate::config::ScanConfig;
use crate::ports::PortRanges;
use crate::targets::{Target, Targets};
use crate::walk::{Verdict, Walk};
use model::event::{Probe, Trust};
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::time::Duration;

/// Failed endpoints that the sequential test remembers for one source. At the bound the oldest gives way until it has decided,
/// then nothing more is remembered.
const FAILED_ENDPOINTS: usize = 32;
/// Reached endpoints remembered for one source; at the bound the oldest gives way. One that is counted again speaks for the source.
const REACHED_ENDPOINTS: usize = 6;
/// A charged source that goes on is charged again at most this often.
const RENEW_AFTER: Duration = Duration::from_secs(1);
/// Mirai tries tcp/23, and tcp/2323 in about every tenth probe (Antonakakis et al., "Understanding the Mirai Botnet", 2017).
const TELNET: u16 = 23;
const TELNET_ALTERNATE: u16 = 2323;

/// The configuration with what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub config: ScanConfig,
    pub walk: Walk,
    /// The lowest threshold of targets that is not switched off.
    hosts_min: u32,
}

impl Rules {
    pub(crate) fn new(config: &ScanConfig) -> Rules {
        let hosts_min = config.hosts.into_iter().filter(|&threshold| threshold > 0).min().unwrap_or(u32::MAX);
        Rules { config: config.clone(), walk: Walk::new(&config.sequential), hosts_min }
    }

    /// By which prefix an address is counted.
    pub(crate) fn counted(&self, addr: IpAddr) -> Prefix {
        Prefix::new(addr, if addr.is_ipv4() { self.config.count_by_ipv4 } else { self.config.count_by_ipv6 })
    }

    /// The highest level whose threshold in `packets` is reached, 0 for none.
    fn level_by_packets(&self, packets: u32) -> u8 {
        self.config.packets.iter().rposition(|&threshold| u64::from(packets) >= threshold).map_or(0, |index| index as u8 + 1)
    }

    /// The same for targets; a threshold of 0 is switched off, as in psad.
    fn level_by_hosts(&self, hosts: u32) -> u8 {
        if hosts < self.hosts_min {
            return 0;
        }
        self.config.hosts.iter().rposition(|&threshold| threshold > 0 && hosts >= threshold).map_or(0, |index| index as u8 + 1)
    }

    /// How many levels a quiet time costs.
    fn steps(&self, quiet: Duration) -> u8 {
        if quiet < self.config.decay {
            return 0;
        }
        quiet.as_nanos().checked_div(self.config.decay.as_nanos()).map_or(0, |n| n.min(5) as u8)
    }
}

/// One probe, as far as counting needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub at: Time,
    /// Short hashes of the target, and of target, protocol and port together (for ICMP: type).
    pub target: u32,
    pub endpoint: u32,
    pub probe: Probe,
    pub trust: Trust,
    pub times: u32,
}

impl Seen {
    fn is_icmp(&self) -> bool {
        is_icmp(self.probe.protocol)
    }
}

/// An odd ICMP packet is no contact that could have succeeded, so the sequential test doesn't hear of it.
fn is_icmp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::ICMP | Protocol::ICMPV6)
}

/// One source. Two cache lines: with ten thousand sources, fetching them is most of the work.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Source {
    /// Its address, or the first of the prefix that it is counted by.
    pub addr: IpAddr,
    /// The first probe's protocol and ICMP type.
    protocol: Protocol,
    icmp: Option<u8>,
    /// The highest danger level ever, and the level as of `last`; 0 for none.
    level: u8,
    current: u8,
    convicted: bool,
    distributed: bool,
    trust: Trust,
    reached_next: u8,
    /// Styles that at least one probe had, and those that at least two had.
    once: StyleSet,
    twice: StyleSet,
    /// The first endpoint, and what went to its target: all there is to know while all probes go there.
    endpoint: u32,
    target: Target,
    reached: [u32; REACHED_ENDPOINTS],
    /// Packets since the last offence.
    fresh: u32,
    /// The sequential test's log-likelihood ratio.
    ratio: f64,
    packets: u64,
    first: Time,
    last: Time,
    last_offence: Time,
    detail: Option<Box<Detail>>,
}

/// What only a source with several endpoints needs. In the order of use: a probe of a convicted scanner touches the first three cache
/// lines only.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Detail {
    /// All targets but the first.
    others: Targets,
    tcp: PortRanges,
    udp: PortRanges,
    /// One bit for each IP protocol number.
    protocols: [u64; 4],
    /// Targets that no longer count towards the level, since it decayed.
    hosts_past: u32,
    /// Bytes that the table has on its account for this.
    accounted: u32,
    failed: SmallVec<[u32; 8]>,
    /// Different endpoints that failed, as far as counted; how many of them came `slow_gap` or more after the one before.
    endpoints: u32,
    wide_gaps: u32,
    icmp_packets: u32,
    icmp_type: Option<u8>,
    icmp_types_differ: bool,
    protocol_scan: bool,
    /// The first and the newest of the endpoints.
    oldest: Time,
    newest: Time,
    telnet: u32,
    telnet_alternate: u32,
}

/// What one probe added.
struct Counted {
    /// It is a first contact that failed.
    first_contact: bool,
    /// Its target; `None` if that is counted no longer.
    target: Option<Target>,
    /// Whether that target has seen enough protocols.
    protocol_scan: bool,
}

impl Source {
    /// A source that nothing is known of.
    pub(crate) fn new(addr: IpAddr, at: Time) -> Source {
        Source {
            addr,
            protocol: Protocol(0),
            icmp: None,
            level: 0,
            current: 0,
            convicted: false,
            distributed: false,
            trust: Trust::Spoofable,
            reached_next: 0,
            once: StyleSet::EMPTY,
            twice: StyleSet::EMPTY,
            endpoint: 0,
            target: Target::default(),
            reached: [0; REACHED_ENDPOINTS],
            fresh: 0,
            ratio: 0.0,
            packets: 0,
            first: at,
            last: at,
            last_offence: Time::EPOCH,
            detail: None,
        }
    }

    /// Takes in a probe. True if the source is to be charged now.
    pub(crate) fn probe(&mut self, seen: &Seen, rules: &Rules, roomy: bool) -> bool {
        self.settle(seen.at, rules);
        if self.packets == 0 {
            (self.first, self.last) = (seen.at, seen.at);
        }
        let counted = self.count(seen, rules, roomy);
        self.packets = self.packets.saturating_add(u64::from(seen.times));
        self.fresh = self.fresh.saturating_add(seen.times);
        self.first = self.first.min(seen.at);
        self.last = self.last.max(seen.at);
        self.trust = self.trust.max(seen.trust);
        self.note_style(seen);
        let convicted_now = counted.first_contact && !self.convicted && rules.walk.fail(&mut self.ratio) == Verdict::Convicted;
        self.convicted |= convicted_now;

        let level = self.assess(&counted, rules);
        let enough = u64::from(self.fresh) >= rules.config.packets[0].max(1);
        // Once a level has decayed to nothing, one stray packet doesn't bring it back.
        let may_rise = self.level == 0 || self.current > 0 || enough || convicted_now;
        let risen = level > self.current && may_rise;
        if risen {
            self.current = level;
            self.level = self.level.max(level);
        }
        let goes_on = self.current > 0 && enough && seen.at.since(self.last_offence) >= RENEW_AFTER;
        let charge = risen || convicted_now || goes_on;
        if charge {
            self.fresh = 0;
            self.last_offence = seen.at;
        }
        debug_assert!(self.check_invariants());
        charge
    }

    /// Takes in a first contact that succeeded; a second one to the same endpoint says nothing new.
    pub(crate) fn reach(&mut self, at: Time, endpoint: u32, rules: &Rules) {
        self.settle(at, rules);
        if self.packets == 0 {
            self.last = self.last.max(at);
        }
        let failed = self.detail.as_ref().map_or(self.endpoint == endpoint, |detail| detail.failed.contains(&endpoint));
        if failed || self.reached.contains(&endpoint) {
            return;
        }
        if let Some(place) = self.reached.get_mut(usize::from(self.reached_next)) {
            *place = endpoint;
        }
        self.reached_next = (self.reached_next + 1) % REACHED_ENDPOINTS as u8;
        if !self.convicted {
            rules.walk.succeed(&mut self.ratio);
        }
    }

    /// Has a share in a scan that others made with it: level 1 on that alone.
    pub(crate) fn share(&mut self, at: Time) {
        self.distributed = true;
        self.current = self.current.max(1);
        self.level = self.level.max(1);
        self.fresh = 0;
        self.last_offence = at;
    }

    /// How hard it is to push out of a full table, 0 to 15: by evidence, above all by evidence that cannot be forged. A newcomer
    /// needs as many sightings and one more. The cap keeps a flood of forged scans from closing the table to a real one.
    pub(crate) fn rank(&self) -> u8 {
        if self.packets == 0 {
            return 0;
        }
        let weight = |holds: bool, weight: u8| if holds { weight } else { 0 };
        let endpoints = self.endpoints().clamp(1, 7) as u8;
        endpoints + weight(self.level > 0, 2) + weight(self.convicted, 3) + weight(self.trust > Trust::Spoofable, 3)
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

    /// Its last probe (or, before the first, the last time that it reached something).
    pub(crate) fn last(&self) -> Time {
        self.last
    }

    /// Whether the sequential test has convicted it.
    pub(crate) fn is_convicted(&self) -> bool {
        self.convicted
    }

    /// Brings the account of its memory up to date: what it had and what it has, in bytes.
    pub(crate) fn account(&mut self) -> (usize, usize) {
        let Some(detail) = &mut self.detail else { return (0, 0) };
        let before = detail.accounted;
        detail.accounted = detail.bytes() as u32;
        (before as usize, detail.accounted as usize)
    }

    /// The bytes on its account.
    pub(crate) fn accounted(&self) -> usize {
        self.detail.as_ref().map_or(0, |detail| detail.accounted as usize)
    }

    /// The charge as it stands; `None` if there is none.
    pub(crate) fn offence(&self, at: Time, rules: &Rules) -> Option<Offence> {
        let level = DangerLevel::new(self.current)?;
        Some(Offence {
            at,
            offender: rules.counted(self.addr),
            charge: self.charge(rules),
            level,
            styles: self.styles(rules),
            trust: self.trust,
            evidence: Evidence {
                first: self.first,
                last: self.last,
                packets: self.packets,
                targets: self.targets(),
                endpoints: self.endpoints(),
                protocols: self.protocols(),
                convicted: self.convicted,
            },
        })
    }

    /// The highest level ever, and the level at `now`.
    pub(crate) fn levels(&self, now: Time, rules: &Rules) -> (Option<DangerLevel>, Option<DangerLevel>) {
        let left = self.current.saturating_sub(rules.steps(now.since(self.last)));
        (DangerLevel::new(self.level), DangerLevel::new(left))
    }

    /// Ranges of probed ports of TCP or UDP.
    pub(crate) fn ports(&self, protocol: Protocol) -> Vec<(u16, u16)> {
        match &self.detail {
            Some(detail) if protocol == Protocol::TCP => detail.tcp.as_slice().to_vec(),
            Some(detail) if protocol == Protocol::UDP => detail.udp.as_slice().to_vec(),
            Some(_) => Vec::new(),
            None => self.target.port().filter(|_| self.protocol == protocol).map(|port| (port, port)).into_iter().collect(),
        }
    }

    /// The log-likelihood ratio.
    pub(crate) fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Styles: what at least two probes showed (or all there is), and what follows from the whole.
    pub(crate) fn styles(&self, rules: &Rules) -> StyleSet {
        let mut styles = if self.once.iter().nth(1).is_none() { self.once } else { self.twice };
        let mut add = |style: Style, holds: bool| {
            if holds {
                styles.insert(style);
            }
        };
        add(Style::Protocol, self.is_protocol_scan(rules));
        add(Style::Sweep, self.is_sweep(rules));
        add(Style::Slow, self.level > 0 && self.is_slow(rules));
        add(Style::Distributed, self.distributed);
        add(Style::Mirai, self.detail.as_ref().is_some_and(|detail| detail.is_mirai(self.packets)));
        styles
    }

    fn charge(&self, rules: &Rules) -> Charge {
        let few_ports = self.detail.as_ref().is_none_or(|detail| detail.tcp.count() + detail.udp.count() <= self.targets());
        if self.is_sweep(rules) && few_ports {
            Charge::Sweep
        } else if self.is_protocol_scan(rules) {
            Charge::ProtocolScan
        } else if self.is_slow(rules) {
            Charge::SlowScan
        } else if self.distributed && !self.convicted {
            Charge::DistributedScan
        } else {
            Charge::PortScan
        }
    }

    /// Different targets.
    pub(crate) fn targets(&self) -> u32 {
        u32::from(self.packets > 0) + self.detail.as_ref().map_or(0, |detail| detail.others.count())
    }

    /// Different failed endpoints, as far as counted.
    pub(crate) fn endpoints(&self) -> u32 {
        self.detail.as_ref().map_or(u32::from(self.packets > 0 && !is_icmp(self.protocol)), |detail| detail.endpoints)
    }

    /// Different IP protocols.
    pub(crate) fn protocols(&self) -> u32 {
        let bits = |detail: &Detail| detail.protocols.iter().map(|word| word.count_ones()).sum();
        self.detail.as_deref().map_or(u32::from(self.packets > 0), bits)
    }

    /// Packets, first and last probe, trust, and whether the sequential test has decided.
    pub(crate) fn totals(&self) -> (u64, Time, Time, Trust, bool) {
        (self.packets, self.first, self.last, self.trust, self.convicted)
    }

    fn is_sweep(&self, rules: &Rules) -> bool {
        rules.config.hosts[0] > 0 && self.targets() >= rules.config.hosts[0]
    }

    fn is_protocol_scan(&self, rules: &Rules) -> bool {
        self.detail.as_ref().map_or(self.packets > 0 && rules.config.protocols <= 1, |detail| detail.protocol_scan)
    }

    /// Slow: the new endpoints came far apart on average. A quarter of the gaps must have been wide themselves, so that two quick
    /// scans on two days aren't one slow one.
    fn is_slow(&self, rules: &Rules) -> bool {
        let Some(detail) = &self.detail else { return false };
        let gaps = detail.endpoints.saturating_sub(1);
        gaps > 0 && detail.newest.since(detail.oldest) >= rules.config.slow_gap.saturating_mul(gaps) && detail.wide_gaps >= gaps.div_ceil(4)
    }

    /// Lets quiet time work: levels fall, and what is too old no longer counts.
    fn settle(&mut self, at: Time, rules: &Rules) {
        let quiet = at.since(self.last);
        if quiet >= rules.config.forget {
            self.restart(at);
            return;
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
        let (was_charged, targets) = (self.current > 0, self.targets());
        if let Some(detail) = &mut self.detail {
            detail.others.cap_packets(packets);
            if left == 0 {
                detail.icmp_packets = 0;
            }
            // A slow sweep that was never charged keeps its targets: they are what will convict it.
            if was_charged {
                let counting = below.and_then(|index| rules.config.hosts.get(index)).copied().unwrap_or(0);
                detail.hosts_past = detail.hosts_past.max(targets.saturating_sub(counting));
            }
        }
        // A convicted one may be so slow that each of its packets comes after such a quiet time: those add up.
        if left == 0 && (was_charged || !self.convicted) {
            self.fresh = 0;
        }
        self.current = left;
    }

    /// Starts anew after `forget`. Of one that was charged the totals stay, for the report.
    fn restart(&mut self, at: Time) {
        if self.level == 0 && self.detail.is_none() {
            *self = Source::new(self.addr, at);
            return;
        }
        if self.level == 0 {
            // The account of its memory must survive: it is settled after the event.
            let accounted = self.accounted() as u32;
            *self = Source { detail: Some(Box::new(Detail { accounted, ..Detail::default() })), ..Source::new(self.addr, at) };
            return;
        }
        let mut detail = self.take_detail();
        detail.failed.clear();
        detail.endpoints = 0;
        detail.wide_gaps = 0;
        detail.icmp_packets = 0;
        detail.hosts_past = 1 + detail.others.count();
        detail.others.restart();
        self.target = Target::new(self.target.key);
        self.detail = Some(detail);
        (self.current, self.convicted, self.fresh, self.ratio) = (0, false, 0, 0.0);
        self.reached = [0; REACHED_ENDPOINTS];
        self.trust = Trust::Spoofable;
    }

    /// Counts the probe; the flat record serves as long as all probes go to one endpoint.
    fn count(&mut self, seen: &Seen, rules: &Rules, roomy: bool) -> Counted {
        let probe = &seen.probe;
        let is_first = self.packets == 0;
        if is_first {
            self.endpoint = seen.endpoint;
            self.protocol = probe.protocol;
            self.icmp = probe.icmp.map(|(kind, _)| kind);
            self.target = Target::new(seen.target);
        }
        let unreached = !seen.is_icmp() && !self.reached.contains(&seen.endpoint);
        if self.detail.is_none() && self.endpoint == seen.endpoint {
            self.target.count(probe.protocol.0, probe.port, seen.times);
            let protocol_scan = rules.config.protocols <= 1;
            return Counted { first_contact: is_first && unreached, target: Some(self.target), protocol_scan };
        }
        let mut detail = self.take_detail();
        let first_contact = unreached && detail.is_first_contact(seen, self.convicted, rules);
        let is_syn = matches!(probe.style, Some(Style::Syn | Style::Connect));
        detail.note(probe.protocol, probe.port, probe.icmp.map(|(kind, _)| kind), seen.times, is_syn);
        let place = if seen.target == self.target.key { Some(&mut self.target) } else { detail.others.entry(seen.target, roomy) };
        let target = place.map(|target| {
            target.count(probe.protocol.0, probe.port, seen.times);
            *target
        });
        let protocol_scan = target.is_some_and(|target| target.protocols() >= rules.config.protocols);
        detail.protocol_scan |= protocol_scan;
        self.detail = Some(detail);
        Counted { first_contact, target, protocol_scan }
    }

    /// The detail, made from the flat record if there is none yet.
    fn take_detail(&mut self) -> Box<Detail> {
        self.detail.take().unwrap_or_else(|| {
            let mut detail = Box::new(Detail::default());
            if self.packets > 0 {
                let packets = u32::try_from(self.packets).unwrap_or(u32::MAX);
                let is_syn = self.once.contains(Style::Syn) || self.once.contains(Style::Connect);
                detail.note(self.protocol, self.target.port(), self.icmp, packets, is_syn);
                if !is_icmp(self.protocol) {
                    detail.failed.push(self.endpoint);
                    (detail.endpoints, detail.oldest, detail.newest) = (1, self.first, self.first);
                }
            }
            detail
        })
    }

    fn note_style(&mut self, seen: &Seen) {
        let Some(style) = seen.probe.style else { return };
        if self.once.contains(style) || seen.times > 1 {
            self.twice.insert(style);
        }
        self.once.insert(style);
    }

    /// The level that the counts come to, 0 for none: psad's thresholds behind psad's gate, and a conviction is worth 1 alone.
    fn assess(&self, counted: &Counted, rules: &Rules) -> u8 {
        let config = &rules.config;
        let hosts = self.targets().saturating_sub(self.detail.as_ref().map_or(0, |detail| detail.hosts_past));
        let by_hosts = rules.level_by_hosts(hosts);
        let protocol_scan = counted.protocol_scan;
        let by_packets = match &counted.target {
            Some(target) if protocol_scan || by_hosts > 0 || target.range().is_some_and(|range| range >= config.port_range) => {
                rules.level_by_packets(target.packets)
            }
            Some(_) | None => 0,
        };
        let odd_icmp =
            self.detail.as_ref().is_some_and(|detail| detail.icmp_types_differ && u64::from(detail.icmp_packets) >= config.packets[0]);
        by_hosts.max(by_packets).max(u8::from(protocol_scan || odd_icmp || self.convicted))
    }

    fn check_invariants(&self) -> bool {
        self.current <= self.level
            && self.level <= 5
            && self.first <= self.last
            && self.twice.iter().all(|style| self.once.contains(style))
            && self.detail.as_ref().is_none_or(|detail| detail.failed.len() <= FAILED_ENDPOINTS)
            && (!self.convicted || self.level > 0)
    }
}

impl Detail {
    /// Whether this endpoint fails for the first time, as far as remembered.
    fn is_first_contact(&mut self, seen: &Seen, decided: bool, rules: &Rules) -> bool {
        let is_full = self.failed.len() >= FAILED_ENDPOINTS;
        if (is_full && decided) || self.failed.contains(&seen.endpoint) {
            return false;
        }
        if !is_full {
            self.failed.push(seen.endpoint);
        } else if let Some(oldest) = self.failed.get_mut(self.endpoints as usize % FAILED_ENDPOINTS) {
            *oldest = seen.endpoint;
        }
        if self.endpoints == 0 {
            (self.oldest, self.newest) = (seen.at, seen.at);
        } else if seen.at.since(self.newest) >= rules.config.slow_gap {
            self.wide_gaps = self.wide_gaps.saturating_add(1);
        }
        self.endpoints = self.endpoints.saturating_add(1);
        self.newest = self.newest.max(seen.at);
        true
    }

    fn note(&mut self, protocol: Protocol, port: Option<u16>, icmp: Option<u8>, times: u32, is_syn: bool) {
        if let Some(word) = self.protocols.get_mut(usize::from(protocol.0 / 64)) {
            *word |= 1 << (protocol.0 % 64);
        }
        match (protocol, port) {
            (Protocol::TCP, Some(port)) => {
                self.tcp.insert(port);
                match port {
                    TELNET if is_syn => self.telnet = self.telnet.saturating_add(times),
                    TELNET_ALTERNATE if is_syn => self.telnet_alternate = self.telnet_alternate.saturating_add(times),
                    _ => {}
                }
            }
            (Protocol::UDP, Some(port)) => self.udp.insert(port),
            _ => {}
        }
        if is_icmp(protocol) {
            self.icmp_packets = self.icmp_packets.saturating_add(times);
            self.icmp_types_differ |= self.icmp_type.is_some() && icmp.is_some() && self.icmp_type != icmp;
            self.icmp_type = self.icmp_type.or(icmp);
        }
    }

    /// Mirai's ports: many SYN to tcp/23, some to tcp/2323, next to nothing else.
    fn is_mirai(&self, packets: u64) -> bool {
        let both = u64::from(self.telnet) + u64::from(self.telnet_alternate);
        self.telnet >= 10 && self.telnet_alternate > 0 && both.saturating_mul(10) >= packets.saturating_mul(9)
    }

    fn bytes(&self) -> usize {
        let failed = if self.failed.spilled() { self.failed.capacity() * size_of::<u32>() } else { 0 };
        size_of::<Detail>() + failed + self.others.heap_bytes() + self.tcp.heap_bytes() + self.udp.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_small() {
        assert!(size_of::<Source>() <= 128, "{}", size_of::<Source>());
        assert!(size_of::<Detail>() <= 256, "{}", size_of::<Detail>());
    }
}
