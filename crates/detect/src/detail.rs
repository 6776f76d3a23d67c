//! What only a source with several endpoints needs. Never grows past a fixed size.

use crate::ports::Ports;
use crate::rules::{Rules, is_icmp};
use crate::targets::Targets;
use model::event::Probe;
use model::net::Protocol;
use model::style::Style;
use model::time::Time;
use smallvec::SmallVec;

/// Failed endpoints that the sequential test remembers for one source. At the bound the oldest gives way until it has decided.
const FAILED_ENDPOINTS: u32 = 32;
/// Once it has decided, no more than these are counted and nothing is remembered: they are enough to tell one kind of scan from another.
pub(crate) const COUNTED_ENDPOINTS: u32 = 16;
/// Mirai tries tcp/23, and tcp/2323 in about every tenth probe (Antonakakis et al., "Understanding the Mirai Botnet", 2017).
const TELNET: u16 = 23;
const TELNET_ALTERNATE: u16 = 2323;

/// In the order of use: most probes of a convicted scanner touch the first four cache lines or five. Not aligned to them: what glibc's
/// aligned allocations leave behind is found again by nobody, and under a steady coming and going that was 100 KiB a minute.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Detail {
    /// All targets but the first.
    pub others: Targets,
    /// Different endpoints that failed, as far as counted.
    pub endpoints: u32,
    /// Targets that no longer count towards the level, since it decayed.
    pub hosts_past: u32,
    pub ports: Ports,
    /// One bit for each IP protocol number.
    pub protocols: [u64; 4],
    /// How many endpoints came `slow_gap` or more after the one before; the first and the newest.
    wide_gaps: u32,
    pub icmp_packets: u32,
    oldest: Time,
    newest: Time,
    failed: SmallVec<[u32; 6]>,
    telnet: u32,
    telnet_alternate: u32,
    icmp_type: Option<u8>,
    icmp_types_differ: bool,
    pub protocol_scan: bool,
}

impl Detail {
    /// Takes the flat record's endpoint over.
    pub(crate) fn begin(&mut self, endpoint: u32, at: Time) {
        self.failed.push(endpoint);
        (self.endpoints, self.oldest, self.newest) = (1, at, at);
    }

    /// Whether this endpoint fails for the first time, as far as remembered.
    pub(crate) fn is_first_contact(&mut self, endpoint: u32, at: Time, rules: &Rules) -> bool {
        if self.has_failed(endpoint) {
            return false;
        }
        if self.failed.len() < FAILED_ENDPOINTS as usize {
            self.failed.push(endpoint);
        } else if let Some(oldest) = self.failed.get_mut((self.endpoints % FAILED_ENDPOINTS) as usize) {
            *oldest = endpoint;
        }
        if self.endpoints == 0 {
            (self.oldest, self.newest) = (at, at);
        } else if rules.is_wide(self.newest, at) {
            self.wide_gaps = self.wide_gaps.saturating_add(1);
        }
        self.endpoints = self.endpoints.saturating_add(1);
        self.newest = self.newest.max(at);
        true
    }

    /// Whether further endpoints don't count.
    pub(crate) fn is_full(&self, decided: bool) -> bool {
        decided && self.endpoints >= COUNTED_ENDPOINTS
    }

    /// Targets that count towards the level.
    pub(crate) fn hosts(&self) -> u32 {
        (1 + self.others.count()).saturating_sub(self.hosts_past)
    }

    /// Looks at each cache line that a probe will need, so that they arrive together.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        self.others.touch() ^ self.endpoints ^ self.ports.waits() ^ self.protocols[0] as u32 ^ self.wide_gaps ^ self.telnet
    }

    /// Lets a full memory of endpoints go, once the sequential test has decided.
    pub(crate) fn rest(&mut self) {
        if self.is_full(true) {
            self.failed = SmallVec::new();
        }
    }

    /// Whether this endpoint failed, as far as remembered. Looks at all without a branch: that is quicker than to stop early.
    pub(crate) fn has_failed(&self, endpoint: u32) -> bool {
        self.failed.iter().fold(false, |found, &failed| found | (failed == endpoint))
    }

    /// Notes what kind of packet it was. True if memory may have grown.
    #[inline]
    pub(crate) fn note(&mut self, probe: &Probe, times: u32) -> bool {
        let protocol = probe.protocol;
        if let Some(word) = self.protocols.get_mut(usize::from(protocol.0 / 64)) {
            *word |= 1 << (protocol.0 % 64);
        }
        match (protocol, probe.port) {
            (Protocol::TCP, Some(port)) => {
                if matches!(port, TELNET | TELNET_ALTERNATE) && matches!(probe.style, Some(Style::Syn | Style::Connect)) {
                    let tries = if port == TELNET { &mut self.telnet } else { &mut self.telnet_alternate };
                    *tries = tries.saturating_add(times);
                }
                self.ports.insert(port, false)
            }
            (Protocol::UDP, Some(port)) => self.ports.insert(port, true),
            _ if is_icmp(protocol) => {
                let icmp = probe.icmp.map(|(kind, _)| kind);
                self.icmp_packets = self.icmp_packets.saturating_add(times);
                self.icmp_types_differ |= self.icmp_type.is_some() && icmp.is_some() && self.icmp_type != icmp;
                self.icmp_type = self.icmp_type.or(icmp);
                false
            }
            _ => false,
        }
    }

    /// Guilt is forgotten, what was seen is not.
    pub(crate) fn restart(&mut self) {
        self.failed.clear();
        self.endpoints = 0;
        self.wide_gaps = 0;
        self.icmp_packets = 0;
        self.hosts_past = 1 + self.others.count();
        self.others.restart();
    }

    /// Whether at least so many odd ICMP packets came, of more than one type.
    pub(crate) fn is_odd_icmp(&self, packets: u64) -> bool {
        self.icmp_types_differ && u64::from(self.icmp_packets) >= packets
    }

    /// Slow: the new endpoints came far apart on average. A quarter of the gaps must have been wide themselves, so that two quick
    /// scans on two days aren't one slow one.
    pub(crate) fn is_slow(&self, rules: &Rules) -> bool {
        let gaps = self.endpoints.saturating_sub(1);
        let long = rules.config.slow_gap.saturating_mul(gaps);
        gaps > 0 && self.newest.since(self.oldest) >= long && self.wide_gaps >= gaps.div_ceil(4)
    }

    /// Mirai's ports: many SYN to tcp/23, some to tcp/2323, next to nothing else.
    pub(crate) fn is_mirai(&self, packets: u64) -> bool {
        let both = u64::from(self.telnet) + u64::from(self.telnet_alternate);
        self.telnet >= 10 && self.telnet_alternate > 0 && both.saturating_mul(10) >= packets.saturating_mul(9)
    }

    /// Bytes with all that hangs on it.
    pub(crate) fn bytes(&self) -> usize {
        let failed = if self.failed.spilled() { self.failed.capacity() * size_of::<u32>() } else { 0 };
        size_of::<Detail>() + failed + self.others.heap_bytes() + self.ports.heap_bytes()
    }

    /// Whether the tables keep their bounds. For debug builds.
    pub(crate) fn check_invariants(&self) -> bool {
        self.failed.len() <= FAILED_ENDPOINTS as usize && self.failed.len() <= self.endpoints as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_small() {
        assert!(size_of::<Detail>() <= 320, "{}", size_of::<Detail>());
    }
}
