//! The ports that one source probed, as ranges. Never more than `limits::PORT_RANGES` of a protocol: at the bound the nearest are joined.

use model::limits::PORT_RANGES;

/// Ports that wait to be sorted in: with the words beside them one cache line.
const WAITING: usize = 29;

/// Room for all ranges while the waiting ports are sorted in.
const ROOM: usize = PORT_RANGES + WAITING;

/// The ports of TCP and UDP. One port is one write; the waiting ones are sorted in together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports {
    waiting: [u16; WAITING],
    count: u16,
    /// One bit for each of the waiting ones that is UDP's.
    are_udp: u32,
    tcp: Vec<(u16, u16)>,
    udp: Vec<(u16, u16)>,
}

impl Ports {
    /// Adds a port of TCP or UDP. True if memory may have grown.
    #[inline]
    pub(crate) fn insert(&mut self, port: u16, is_udp: bool) -> bool {
        let is_full = usize::from(self.count) >= WAITING;
        if is_full {
            self.sort_in();
        }
        if let Some(place) = self.waiting.get_mut(usize::from(self.count)) {
            *place = port;
            self.are_udp |= u32::from(is_udp) << self.count;
            self.count += 1;
        }
        is_full
    }

    /// How many ports wait to be sorted in.
    pub(crate) fn waits(&self) -> u32 {
        u32::from(self.count)
    }

    /// The ranges of TCP or UDP: both ends included, sorted, with at least one port between two of them.
    pub(crate) fn ranges(&self, is_udp: bool) -> Vec<(u16, u16)> {
        let (ranges, count) = self.sorted(is_udp);
        ranges.into_iter().take(count).collect()
    }

    /// How many ports the ranges hold.
    pub(crate) fn count(&self) -> u32 {
        let held = |is_udp| {
            let (ranges, count) = self.sorted(is_udp);
            ranges.iter().take(count).map(|&(low, high)| u32::from(high - low) + 1).sum::<u32>()
        };
        held(false) + held(true)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        (self.tcp.capacity() + self.udp.capacity()) * size_of::<(u16, u16)>()
    }

    #[cold]
    fn sort_in(&mut self) {
        for (is_udp, any) in [(false, self.are_udp.count_ones() < u32::from(self.count)), (true, self.are_udp != 0)] {
            if any {
                let (ranges, count) = self.sorted(is_udp);
                let kept = if is_udp { &mut self.udp } else { &mut self.tcp };
                kept.clear();
                kept.reserve_exact(count);
                kept.extend(ranges.into_iter().take(count));
            }
        }
        (self.count, self.are_udp) = (0, 0);
    }

    /// The ranges with the waiting ports among them, and how many there are.
    fn sorted(&self, is_udp: bool) -> ([(u16, u16); ROOM], usize) {
        let (mut ports, mut count) = ([0; WAITING], 0);
        for (n, &port) in self.waiting.iter().take(usize::from(self.count)).enumerate() {
            if let Some(place) = ports.get_mut(count).filter(|_| (self.are_udp >> n & 1 == 1) == is_udp) {
                *place = port;
                count += 1;
            }
        }
        let ports = ports.get_mut(..count).unwrap_or_default();
        ports.sort_unstable();
        let (mut ranges, count) = merge(if is_udp { &self.udp } else { &self.tcp }, ports);
        let count = if count > PORT_RANGES { join_nearest(&mut ranges, count) } else { count };
        (ranges, count)
    }
}

/// Sorted ranges and sorted ports as one.
fn merge(ranges: &[(u16, u16)], ports: &[u16]) -> ([(u16, u16); ROOM], usize) {
    let (mut merged, mut count) = ([(0, 0); ROOM], 0);
    let mut open: Option<(u16, u16)> = None;
    let mut add = |low: u16, high: u16| match &mut open {
        Some((_, last)) if low <= last.saturating_add(1) => *last = high.max(*last),
        Some(_) | None => {
            if let Some(done) = open.replace((low, high))
                && let Some(place) = merged.get_mut(count)
            {
                *place = done;
                count += 1;
            }
        }
    };
    let mut ports = ports.iter().copied().peekable();
    for &(low, high) in ranges {
        while let Some(port) = ports.next_if(|&port| port < low) {
            add(port, port);
        }
        add(low, high);
    }
    ports.for_each(|port| add(port, port));
    if let (Some(place), Some(done)) = (merged.get_mut(count), open) {
        *place = done;
        count += 1;
    }
    (merged, count)
}

/// Closes the smallest gaps until the bound is kept, among equals the lowest. How many ranges are left.
fn join_nearest(ranges: &mut [(u16, u16); ROOM], count: usize) -> usize {
    let excess = count - PORT_RANGES;
    let mut gaps = [0; ROOM];
    for (gap, pair) in gaps.iter_mut().zip(ranges.windows(2)).take(count - 1) {
        *gap = pair[1].0 - pair[0].1;
    }
    let (smaller, &mut widest, _) = gaps[..count - 1].select_nth_unstable(excess - 1);
    let mut equals = excess - smaller.iter().filter(|&&gap| gap < widest).count();
    let mut last = 0;
    for at in 1..count {
        let (low, high) = ranges[at];
        let gap = low - ranges[last].1;
        let is_equal = gap == widest && equals > 0;
        equals -= usize::from(is_equal);
        if gap < widest || is_equal {
            ranges[last].1 = high;
        } else {
            last += 1;
            ranges[last] = (low, high);
        }
    }
    last + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(ports: &[u16]) -> Vec<(u16, u16)> {
        let mut set = Ports::default();
        for &port in ports {
            set.insert(port, false);
        }
        set.ranges(false)
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
        fn whatever_was_probed_is_covered(ports in prop::collection::vec((any::<u16>(), any::<bool>()), 0..300), spread in 0..16_u32) {
            let mut set = Ports::default();
            let ports: Vec<(u16, bool)> = ports.iter().map(|&(port, is_udp)| (port >> spread, is_udp)).collect();
            for &(port, is_udp) in &ports {
                set.insert(port, is_udp);
            }
            prop_assert!(set.heap_bytes() <= 2 * PORT_RANGES * 4);
            for udp in [false, true] {
                let ranges = set.ranges(udp);
                prop_assert!(ranges.len() <= PORT_RANGES);
                prop_assert!(ranges.iter().all(|&(low, high)| low <= high && ports.contains(&(low, udp)) && ports.contains(&(high, udp))));
                prop_assert!(ranges.windows(2).all(|pair| u32::from(pair[0].1) + 1 < u32::from(pair[1].0)));
                let covers = |port| ranges.iter().any(|&(low, high)| low <= port && port <= high);
                prop_assert!(ports.iter().all(|&(port, is_udp)| is_udp != udp || covers(port)));
            }
        }
    }
}
