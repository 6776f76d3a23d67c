//! The configuration with what follows from it, worked out once. Never decides anything that the configuration doesn't.

use crate::config::ScanConfig;
use crate::walk::Walk;
use model::net::{Prefix, Protocol};
use model::time::Time;
use std::net::IpAddr;
use std::time::Duration;

/// A charged source is back as if new, for its next offence, after a quiet time of this length: half of the shortest block.
pub(crate) const QUIET: Duration = Duration::from_secs(300);
/// A charged source that goes on is charged again with this many further packets at the latest.
const RENEW_MOST: u64 = 64;
/// Where traceroute's UDP probes go: from 33434 one port up with each hop and try (traceroute(8); the range is what its users leave open).
const TRACEROUTE: std::ops::RangeInclusive<u16> = 33_434..=33_534;

/// The configuration, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub config: ScanConfig,
    pub walk: Walk,
    /// Packets to one target, and targets, from which a level above the index can be due; `u32::MAX` for never.
    packets_above: [u32; 6],
    hosts_above: [u32; 6],
    /// Packets that the first further offence takes, and that any takes at most.
    renew: u64,
    renew_most: u64,
    /// Whether each address is counted for itself.
    pub by_address: bool,
    /// Spans in nanoseconds: shorter quiet changes nothing at all.
    calm: u64,
    slow_gap: u64,
}

impl Rules {
    pub(crate) fn new(config: &ScanConfig) -> Rules {
        let above = |thresholds: [u32; 5]| std::array::from_fn(|level| thresholds.into_iter().skip(level).min().unwrap_or(u32::MAX));
        let renew = config.packets[0].max(1);
        let decay = if config.decay.is_zero() { Duration::MAX } else { config.decay };
        Rules {
            config: config.clone(),
            walk: Walk::new(&config.sequential),
            packets_above: above(config.packets.map(|threshold| u32::try_from(threshold).unwrap_or(u32::MAX))),
            hosts_above: above(config.hosts.map(|threshold| if threshold == 0 { u32::MAX } else { threshold })),
            renew,
            renew_most: renew.max(RENEW_MOST),
            by_address: config.count_by_ipv4 >= 32 && config.count_by_ipv6 >= 128,
            calm: nanos(decay.min(config.forget).min(QUIET)),
            slow_gap: nanos(config.slow_gap),
        }
    }

    /// By which prefix an address is counted.
    pub(crate) fn counted(&self, addr: IpAddr) -> Prefix {
        Prefix::new(addr, if addr.is_ipv4() { self.config.count_by_ipv4 } else { self.config.count_by_ipv6 })
    }

    /// Whether so many packets to one target or so many targets could be worth more than this level. Cheap: asked for each packet.
    pub(crate) fn may_exceed(&self, level: u8, packets: u32, hosts: u32) -> bool {
        let reached = |above: &[u32; 6], count: u32| above.get(usize::from(level)).is_some_and(|&threshold| count >= threshold);
        reached(&self.packets_above, packets) || reached(&self.hosts_above, hosts)
    }

    /// The highest level whose threshold in `packets` is reached, 0 for none.
    pub(crate) fn level_by_packets(&self, packets: u32) -> u8 {
        self.config.packets.iter().rposition(|&threshold| u64::from(packets) >= threshold).map_or(0, |index| index as u8 + 1)
    }

    /// The same for targets; a threshold of 0 is switched off, as in psad.
    pub(crate) fn level_by_hosts(&self, hosts: u32) -> u8 {
        self.config.hosts.iter().rposition(|&threshold| threshold > 0 && hosts >= threshold).map_or(0, |index| index as u8 + 1)
    }

    /// Packets since the last offence that are enough to take a charged source seriously again.
    pub(crate) fn is_enough(&self, fresh: u32) -> bool {
        u64::from(fresh) >= self.renew
    }

    /// The same for one that was charged again `renewals` times in a row: each time takes twice as many packets, to a bound.
    pub(crate) fn is_news(&self, fresh: u32, renewals: u8) -> bool {
        u64::from(fresh) >= self.renew.saturating_mul(1 << renewals.min(6)).min(self.renew_most)
    }

    /// Whether the quiet between the two is too short to change anything.
    pub(crate) fn is_calm(&self, last: Time, at: Time) -> bool {
        at.as_nanos().saturating_sub(last.as_nanos()) < self.calm
    }

    /// Whether two endpoints came as far apart as a slow scan's.
    pub(crate) fn is_wide(&self, last: Time, at: Time) -> bool {
        at.as_nanos().saturating_sub(last.as_nanos()) >= self.slow_gap
    }

    /// How many levels a quiet time costs.
    pub(crate) fn steps(&self, quiet: Duration) -> u8 {
        if quiet < self.config.decay {
            return 0;
        }
        quiet.as_nanos().checked_div(self.config.decay.as_nanos()).map_or(0, |n| n.min(5) as u8)
    }
}

/// Whether this is what a traceroute sends. It means no harm by it, and it always fails at several endpoints.
pub(crate) fn is_traceroute(protocol: Protocol, port: Option<u16>) -> bool {
    protocol == Protocol::UDP && port.is_some_and(|port| TRACEROUTE.contains(&port))
}

/// ICMP of either family.
pub(crate) fn is_icmp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::ICMP | Protocol::ICMPV6)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_question_never_misses_a_level() {
        for config in [
            ScanConfig::default(),
            ScanConfig { packets: [0, 10, 10, 7, u64::MAX], hosts: [0, 9, 4, 0, 4], ..ScanConfig::default() },
            ScanConfig { hosts: [0; 5], packets: [9, 8, 7, 6, 5], ..ScanConfig::default() },
        ] {
            let rules = Rules::new(&config);
            for count in (0..40).chain([99, 150, 1_500, 10_000, u32::MAX - 1]) {
                for level in 0..=5 {
                    assert!(rules.may_exceed(level, count, 0) || rules.level_by_packets(count) <= level, "{count} packets, {level}");
                    assert!(rules.may_exceed(level, 0, count) || rules.level_by_hosts(count) <= level, "{count} hosts, {level}");
                }
            }
        }
    }

    #[test]
    fn further_offences_take_twice_as_many_packets_to_a_bound() {
        let least = |rules: &Rules, renewals| (0..5_000).find(|&fresh| rules.is_news(fresh, renewals)).unwrap();
        let rules = Rules::new(&ScanConfig::default());
        assert_eq!([0, 1, 2, 3, 4, 5, 255].map(|renewals| least(&rules, renewals)), [5, 10, 20, 40, 64, 64, 64]);
        let rules = Rules::new(&ScanConfig { packets: [1_000, 2_000, 3_000, 4_000, 5_000], ..ScanConfig::default() });
        assert_eq!([0, 1, 255].map(|renewals| least(&rules, renewals)), [1_000; 3]);
    }
}
