//! Whom one source probed: exact to a bound, an estimate above. Never counts a target twice, and never forgets packets it counted.

use model::limits::EXACT_TARGETS;

/// What one source sent to one target. Sixteen bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target {
    /// The short hash of its address; 0 marks an empty place.
    pub key: u32,
    /// Packets since counting last began anew.
    pub packets: u32,
    /// The lowest port probed, and the highest; `low > high` before the first.
    low: u16,
    high: u16,
    /// One bit for each IP protocol number modulo 32: two protocols may share one, so the count is never too high.
    protocols: u32,
}

impl Target {
    /// A target that nothing was sent to yet.
    pub(crate) fn new(key: u32) -> Target {
        Target { key, packets: 0, low: u16::MAX, high: 0, protocols: 0 }
    }

    /// Counts a probe.
    pub(crate) fn count(&mut self, protocol: u8, port: Option<u16>, times: u32) {
        self.packets = self.packets.saturating_add(times);
        self.protocols |= 1 << (protocol % 32);
        if let Some(port) = port {
            self.low = self.low.min(port);
            self.high = self.high.max(port);
        }
    }

    /// How far the highest and lowest port lie apart; `None` before the first port.
    pub(crate) fn range(&self) -> Option<u16> {
        self.high.checked_sub(self.low)
    }

    /// The lowest port.
    pub(crate) fn port(&self) -> Option<u16> {
        self.range().map(|_| self.low)
    }

    /// How many different IP protocols, at least.
    pub(crate) fn protocols(&self) -> u32 {
        self.protocols.count_ones()
    }
}

/// Targets that lie in the record itself: those of nearly all sources, and one fetch from memory less.
const NEAR: usize = 3;

/// All targets of one source.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    near: [Target; NEAR],
    exact: u32,
    /// Further ones. Open addressing with linear steps, at most three quarters full, a power of two long.
    places: Vec<Target>,
    estimate: Option<Box<Estimate>>,
}

impl Targets {
    /// Looks at the cache lines that a probe will need.
    pub(crate) fn touch(&self) -> u32 {
        self.near[0].key ^ self.exact
    }

    /// The record of a target, made if there is none. `None` when the exact table is full (or may not grow, see `roomy`):
    /// then the target only counts towards the number of targets.
    pub(crate) fn entry(&mut self, key: u32, roomy: bool) -> Option<&mut Target> {
        match self.near.iter().position(|near| near.key == key || near.key == 0) {
            Some(at) => {
                let near = self.near.get_mut(at)?;
                if near.key == 0 {
                    *near = Target::new(key);
                    self.exact += 1;
                }
                Some(near)
            }
            None => self.far(key, roomy),
        }
    }

    fn far(&mut self, key: u32, roomy: bool) -> Option<&mut Target> {
        let mut at = self.seek(key);
        if self.places.get(at).is_none_or(|place| place.key == 0) {
            if self.estimate.is_some() || self.exact as usize >= EXACT_TARGETS || (!roomy && self.exact >= ALWAYS_EXACT && self.is_tight())
            {
                self.estimate_with(key);
                return None;
            }
            if self.is_tight() {
                self.grow();
                at = self.seek(key);
            }
            self.exact += 1;
            self.places[at] = Target::new(key);
        }
        self.places.get_mut(at)
    }

    /// How many different targets: exact to `limits::EXACT_TARGETS`, within a few per cent above.
    pub(crate) fn count(&self) -> u32 {
        match &self.estimate {
            Some(estimate) => estimate.count.max(self.exact),
            None => self.exact,
        }
    }

    /// No target has more than `packets` any more.
    pub(crate) fn cap_packets(&mut self, packets: u32) {
        self.all().for_each(|target| target.packets = target.packets.min(packets));
    }

    /// Nothing that was sent to the targets counts any more; they stay known.
    pub(crate) fn restart(&mut self) {
        self.all().filter(|target| target.key != 0).for_each(|target| *target = Target::new(target.key));
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Target> {
        self.near.iter_mut().chain(&mut self.places)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Target>() + self.estimate.as_ref().map_or(0, |_| size_of::<Estimate>())
    }

    /// Where the key is, or the empty place where it would go.
    fn seek(&self, key: u32) -> usize {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = key as usize & mask;
        while let Some(place) = self.places.get(at)
            && place.key != 0
            && place.key != key
        {
            at = (at + 1) & mask;
        }
        at
    }

    fn is_tight(&self) -> bool {
        (self.exact as usize - NEAR + 1) * 4 > self.places.len() * 3
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places = vec![Target::default(); (old.len() * 2).max(4)];
        for place in old.into_iter().filter(|place| place.key != 0) {
            let at = self.seek(place.key);
            self.places[at] = place;
        }
    }

    fn estimate_with(&mut self, key: u32) {
        let known = self.near.iter().chain(&self.places);
        let estimate = self.estimate.get_or_insert_with(|| {
            let mut estimate = Box::new(Estimate::new());
            known.filter(|target| target.key != 0).for_each(|target| estimate.insert(spread(target.key)));
            estimate
        });
        estimate.insert(spread(key));
    }
}

/// Targets that each source may have exactly, however little memory is left.
const ALWAYS_EXACT: u32 = 48;

/// Spreads a short hash over 64 bits: the estimate needs leading zeros to count.
fn spread(key: u32) -> u64 {
    let z = u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 29)
}

/// HyperLogLog (Flajolet et al. 2007) with 1,024 registers: standard error 1.04 / sqrt(1024) = 3.25 %.
#[derive(Debug)]
struct Estimate {
    registers: [u8; Self::REGISTERS],
    /// The sum of 2^-register, kept up to date, so that asking costs nothing.
    sum: f64,
    zeros: u32,
    /// What it comes to.
    count: u32,
}

impl Estimate {
    const REGISTERS: usize = 1 << 10;

    fn new() -> Estimate {
        Estimate { registers: [0; Self::REGISTERS], sum: Self::REGISTERS as f64, zeros: Self::REGISTERS as u32, count: 0 }
    }

    fn insert(&mut self, hash: u64) {
        let register = &mut self.registers[hash as usize % Self::REGISTERS];
        let rank = ((hash >> 10).trailing_zeros() + 1).min(55) as u8;
        if rank > *register {
            self.zeros -= u32::from(*register == 0);
            self.sum += 0.5_f64.powi(i32::from(rank)) - 0.5_f64.powi(i32::from(*register));
            *register = rank;
            self.count = self.weigh();
        }
    }

    fn weigh(&self) -> u32 {
        let registers = Self::REGISTERS as f64;
        let raw = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / self.sum;
        // The paper's small-range correction: linear counting while registers are empty.
        let count = if raw <= 2.5 * registers && self.zeros > 0 { registers * (registers / f64::from(self.zeros)).ln() } else { raw };
        count as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Key, Seed, short};
    use std::net::{IpAddr, Ipv4Addr};

    fn fill(targets: &mut Targets, count: u32, roomy: bool) {
        let seed = Seed::new(5);
        for _round in 0..2 {
            for n in 0..count {
                let hash = seed.address(Key::from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))));
                if let Some(target) = targets.entry(short(hash), roomy) {
                    target.count(6, Some(80), 1);
                }
            }
        }
    }

    #[test]
    fn exact_to_the_bound() {
        for count in [1, 2, 3, 9, 10, 100, 1_000, EXACT_TARGETS as u32] {
            let mut targets = Targets::default();
            fill(&mut targets, count, true);
            assert_eq!(targets.count(), count);
        }
    }

    #[test]
    fn above_the_bound_an_estimate_in_fixed_memory() {
        for count in [1_500, 5_000, 60_000, 1_000_000] {
            let mut targets = Targets::default();
            fill(&mut targets, count, true);
            let off = (f64::from(targets.count()) / f64::from(count) - 1.0).abs();
            assert!(off < 0.1, "{} for {count}", targets.count());
            assert!(targets.heap_bytes() < 48 << 10, "{}", targets.heap_bytes());
        }
    }

    #[test]
    fn without_room_the_estimate_begins_early() {
        let mut targets = Targets::default();
        fill(&mut targets, 900, false);
        assert!(targets.heap_bytes() < 3_000, "{}", targets.heap_bytes());
        assert!((f64::from(targets.count()) / 900.0 - 1.0).abs() < 0.1, "{}", targets.count());
    }

    #[test]
    fn ranges_and_protocols_of_a_target() {
        let mut target = Target::new(1);
        assert_eq!((target.range(), target.port()), (None, None));
        target.count(1, None, 3);
        assert_eq!(target.range(), None);
        target.count(6, Some(80), 1);
        assert_eq!(target.range(), Some(0));
        target.count(17, Some(53), 1);
        assert_eq!((target.range(), target.port(), target.packets, target.protocols()), (Some(27), Some(53), 5, 3));
    }
}
