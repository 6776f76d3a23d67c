//! What is known of one source, all together, for charges and reports. Never changes anything.

use crate::detail::{COUNTED_ENDPOINTS, Detail};
use crate::hash::Key;
use crate::rules::Rules;
use crate::source::Source;
use crate::suspect::Suspect;
use model::level::DangerLevel;
use model::net::Protocol;
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;

/// Targets that make a convicted source a sweeper if it probed hardly more than one endpoint of each: the sequential test is quicker
/// than the count of hosts.
const SWEPT_TARGETS: u32 = 4;

/// The parts of one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub key: Key,
    pub flat: &'a Source,
    pub detail: Option<&'a Detail>,
}

impl Known<'_> {
    /// The charge as it stands; `None` if there is none.
    pub(crate) fn offence(&self, at: Time, rules: &Rules) -> Option<Offence> {
        let level = DangerLevel::new(self.flat.current)?;
        Some(Offence {
            at,
            offender: rules.counted(self.key.addr()),
            charge: self.charge(rules),
            level,
            styles: self.styles(rules),
            trust: self.flat.trust,
            evidence: Evidence {
                first: self.flat.first,
                last: self.flat.last,
                packets: self.flat.packets,
                targets: self.targets(),
                endpoints: self.endpoints(),
                protocols: self.protocols(),
                convicted: self.flat.convicted,
            },
            rule: None,
            touch: None,
            wished: None,
            repeated: Default::default(),
        })
    }

    /// All of it, for a report. Levels fall until `now`.
    pub(crate) fn suspect(&self, now: Time, rules: &Rules) -> Suspect {
        let flat = self.flat;
        let left = flat.current.saturating_sub(rules.steps(now.since(flat.last)));
        Suspect {
            offender: rules.counted(self.key.addr()),
            level: DangerLevel::new(flat.level),
            level_now: DangerLevel::new(left),
            styles: self.styles(rules),
            targets: self.targets(),
            packets: flat.packets,
            tcp_ports: self.ports(Protocol::TCP),
            udp_ports: self.ports(Protocol::UDP),
            protocols: self.protocols(),
            first: flat.first,
            last: flat.last,
            trust: flat.trust,
            endpoints: self.endpoints(),
            convicted: flat.convicted,
            log_odds: flat.ratio,
        }
    }

    /// Ranges of probed ports of TCP or UDP.
    fn ports(&self, protocol: Protocol) -> Vec<(u16, u16)> {
        match self.detail {
            Some(detail) if protocol == Protocol::TCP => detail.ports.ranges(false),
            Some(detail) if protocol == Protocol::UDP => detail.ports.ranges(true),
            Some(_) => Vec::new(),
            None => self.flat.target.port().filter(|_| self.flat.protocol == protocol).map(|port| (port, port)).into_iter().collect(),
        }
    }

    /// Styles: what at least two probes showed (or all there is), and what follows from the whole.
    fn styles(&self, rules: &Rules) -> StyleSet {
        let mut styles = if self.flat.once.iter().nth(1).is_none() { self.flat.once } else { self.flat.twice };
        let mut add = |style: Style, holds: bool| {
            if holds {
                styles.insert(style);
            }
        };
        add(Style::Protocol, self.is_protocol_scan(rules));
        add(Style::Sweep, self.is_wide(rules) || self.is_thin());
        add(Style::Slow, self.flat.level > 0 && self.detail.is_some_and(|detail| detail.is_slow(rules)));
        add(Style::Distributed, self.flat.distributed);
        add(Style::Mirai, self.detail.is_some_and(|detail| detail.is_mirai(self.flat.packets)));
        styles
    }

    fn charge(&self, rules: &Rules) -> Charge {
        if self.is_thin() || (self.is_wide(rules) && self.has_few_ports()) {
            Charge::Sweep
        } else if self.is_protocol_scan(rules) {
            Charge::ProtocolScan
        } else if self.detail.is_some_and(|detail| detail.is_slow(rules)) {
            Charge::SlowScan
        } else if self.flat.distributed && !self.flat.convicted {
            Charge::DistributedScan
        } else {
            Charge::PortScan
        }
    }

    /// Different targets.
    fn targets(&self) -> u32 {
        u32::from(self.flat.packets > 0) + self.detail.map_or(0, |detail| detail.others.count())
    }

    /// Different failed endpoints, as far as counted.
    fn endpoints(&self) -> u32 {
        self.detail.map_or(u32::from(self.flat.packets > 0 && self.flat.is_contact), |detail| detail.endpoints)
    }

    /// Different IP protocols.
    fn protocols(&self) -> u32 {
        let bits = |detail: &Detail| detail.protocols.iter().map(|word| word.count_ones()).sum();
        self.detail.map_or(u32::from(self.flat.packets > 0), bits)
    }

    /// So many targets that it is a sweep by psad's count.
    fn is_wide(&self, rules: &Rules) -> bool {
        rules.config.hosts[0] > 0 && self.targets() >= rules.config.hosts[0]
    }

    /// Convicted on several targets with hardly more than one endpoint of each.
    fn is_thin(&self) -> bool {
        let (targets, endpoints) = (self.targets(), self.endpoints());
        let thin = self.flat.convicted && targets >= SWEPT_TARGETS && endpoints.saturating_mul(2) <= targets.saturating_mul(3);
        // Endpoints are counted so far only.
        thin && (endpoints < COUNTED_ENDPOINTS || self.has_few_ports())
    }

    fn has_few_ports(&self) -> bool {
        self.detail.is_none_or(|detail| detail.ports.count() <= self.targets())
    }

    fn is_protocol_scan(&self, rules: &Rules) -> bool {
        self.detail.map_or(self.flat.packets > 0 && rules.config.protocols <= 1, |detail| detail.protocol_scan)
    }
}
