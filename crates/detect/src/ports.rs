//! The ports that one source probed, as ranges. Never more than `limits::PORT_RANGES`: at the bound the two nearest are joined.

use model::limits::PORT_RANGES;
use smallvec::SmallVec;

/// Ranges of ports, both ends included, sorted, with at least one port between two of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortRanges(SmallVec<[(u16, u16); 4]>);

impl PortRanges {
    /// Adds one port.
    pub(crate) fn insert(&mut self, port: u16) {
        let ranges = &mut self.0;
        // The first range that begins after the port; the one before it, if any, is the only one that can hold it.
        let after = ranges.partition_point(|&(low, _)| low <= port);
        let touches_after = ranges.get(after).is_some_and(|&(low, _)| low == port.saturating_add(1));
        match after.checked_sub(1).and_then(|before| ranges.get_mut(before)) {
            Some((_, high)) if *high >= port => {}
            Some((_, high)) if *high + 1 == port => {
                *high = port;
                if touches_after {
                    self.join(after - 1);
                }
            }
            Some(_) | None if touches_after => ranges[after].0 = port,
            Some(_) | None => {
                ranges.insert(after, (port, port));
                if ranges.len() > PORT_RANGES {
                    self.join_nearest();
                }
            }
        }
        debug_assert!(self.check_invariants());
    }

    /// The ranges.
    pub(crate) fn as_slice(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// How many ports the ranges hold.
    pub(crate) fn count(&self) -> u32 {
        self.0.iter().map(|&(low, high)| u32::from(high - low) + 1).sum()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.0.spilled() { self.0.capacity() * size_of::<(u16, u16)>() } else { 0 }
    }

    fn join_nearest(&mut self) {
        let (mut nearest, mut smallest) = (0, u16::MAX);
        for (at, (before, after)) in self.0.iter().zip(self.0.iter().skip(1)).enumerate() {
            let gap = after.0 - before.1;
            if gap < smallest {
                (nearest, smallest) = (at, gap);
                // Nothing lies nearer: with a smaller gap they would be one range.
                if gap == 2 {
                    break;
                }
            }
        }
        self.join(nearest);
    }

    /// Joins the range at `at` with the next.
    fn join(&mut self, at: usize) {
        self.0[at].1 = self.0[at + 1].1;
        self.0.remove(at + 1);
    }

    fn check_invariants(&self) -> bool {
        self.0.len() <= PORT_RANGES
            && self.0.iter().all(|&(low, high)| low <= high)
            && self.0.windows(2).all(|pair| u32::from(pair[0].1) + 1 < u32::from(pair[1].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(ports: &[u16]) -> Vec<(u16, u16)> {
        let mut set = PortRanges::default();
        ports.iter().for_each(|&port| set.insert(port));
        set.as_slice().to_vec()
    }

    #[test]
    fn neighbours_grow_together() {
        assert_eq!(ranges(&[5, 3, 4, 9, 0, 65_535, 65_534]), [(0, 0), (3, 5), (9, 9), (65_534, 65_535)]);
        assert_eq!(ranges(&[1_500, 1_000, 1_001, 1_499]), [(1_000, 1_001), (1_499, 1_500)]);
        assert_eq!(ranges(&[7, 7, 8, 8]), [(7, 8)]);
    }

    #[test]
    fn at_the_bound_the_nearest_are_joined() {
        let mut ports: Vec<u16> = (0..PORT_RANGES as u16).map(|n| n * 100).collect();
        ports.push(150);
        ports.push(202);
        let ranges = ranges(&ports);
        assert_eq!(ranges.len(), PORT_RANGES);
        assert!(ranges.contains(&(200, 202)), "{ranges:?}");
    }

    proptest! {
        #[test]
        fn whatever_was_probed_is_covered(ports in prop::collection::vec(any::<u16>(), 0..200)) {
            let mut set = PortRanges::default();
            for &port in &ports {
                set.insert(port);
                prop_assert!(set.check_invariants());
            }
            prop_assert!(ports.iter().all(|&p| set.as_slice().iter().any(|&(low, high)| low <= p && p <= high)));
        }
    }
}
