//! Packets over time, binned: how many in each step, and on which ports. Bounded whatever is counted: with too many steps in use, all become
//! longer. Never keeps a single packet.

use model::time::Time;

/// Steps in use at one time. At the bound the next longer step is taken.
const BINS: usize = 512;
/// Bins of the ports' axis, which is logarithmic.
pub const PORT_BINS: usize = 64;
/// Lengths of a step in seconds; each is a multiple of the one before, and after the last they double.
const STEPS: [u64; 13] = [1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_419_200];

/// Where a port lies on a logarithmic axis, from 0 (port 0) to 1 (port 65,535).
pub fn place(port: u16) -> f64 {
    (f64::from(port) + 1.0).log2() / 16.0
}

fn port_bin(port: u16) -> usize {
    ((place(port) * PORT_BINS as f64) as usize).min(PORT_BINS - 1)
}

/// One step's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bin {
    /// Which step since 1970.
    number: u64,
    packets: u64,
    /// By port, TCP's first, then UDP's.
    ports: [u32; 2 * PORT_BINS],
}

/// Packets over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    step: u64,
    /// By number.
    bins: Vec<Bin>,
    /// Where the latest packet was counted: the next one most often belongs there, too.
    last: usize,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline { step: 1, bins: Vec::new(), last: 0 }
    }
}

/// How many packets there were on a part of the ports' axis in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The step's begin, in seconds since 1970.
    pub at: u64,
    /// The place's begin on the ports' axis, from 0 to 1; it is 1/`PORT_BINS` long.
    pub place: f64,
    /// Whether the ports are UDP's; else TCP's.
    pub udp: bool,
    /// How many.
    pub packets: u32,
}

impl Timeline {
    /// Counts a packet that came `times` times; its port, if it has one, and whether that is UDP's.
    #[inline]
    pub fn count(&mut self, at: Time, port: Option<(u16, bool)>, times: u32) {
        let number = at.as_secs() / self.step;
        if self.bins.get(self.last).is_none_or(|bin| bin.number != number) {
            self.last = self.find(number);
        }
        if let Some(bin) = self.bins.get_mut(self.last) {
            bin.packets += u64::from(times);
            if let Some(count) = port.and_then(|(port, udp)| bin.ports.get_mut(port_bin(port) + if udp { PORT_BINS } else { 0 })) {
                *count = count.saturating_add(times);
            }
        }
        while self.bins.len() > BINS {
            self.coarsen();
        }
    }

    fn find(&mut self, number: u64) -> usize {
        self.bins.binary_search_by_key(&number, |bin| bin.number).unwrap_or_else(|at| {
            self.bins.insert(at, Bin { number, packets: 0, ports: [0; 2 * PORT_BINS] });
            at
        })
    }

    fn coarsen(&mut self) {
        let longer = STEPS.into_iter().find(|step| *step > self.step).unwrap_or(self.step.saturating_mul(2));
        let times = longer / self.step;
        let mut merged: Vec<Bin> = Vec::with_capacity(self.bins.len());
        for bin in self.bins.drain(..) {
            let number = bin.number / times;
            match merged.last_mut().filter(|last| last.number == number) {
                None => merged.push(Bin { number, ..bin }),
                Some(last) => {
                    last.packets += bin.packets;
                    last.ports.iter_mut().zip(bin.ports).for_each(|(sum, more)| *sum = sum.saturating_add(more));
                }
            }
        }
        (self.step, self.bins, self.last) = (longer, merged, 0);
    }

    /// The same with at most `most` steps between its ends.
    pub fn at_most(&self, most: u64) -> Timeline {
        let mut coarse = self.clone();
        while coarse.ends().is_some_and(|(from, to)| (to - from) / coarse.step > most.max(1)) {
            coarse.coarsen();
        }
        coarse
    }

    /// The length of a step in seconds.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The begin of the first step and the end of the last one, in seconds since 1970.
    pub fn ends(&self) -> Option<(u64, u64)> {
        Some((self.bins.first()?.number * self.step, (self.bins.last()?.number + 1) * self.step))
    }

    /// The steps in which something came: their begin in seconds since 1970, and how many packets.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.bins.iter().map(|bin| (bin.number * self.step, bin.packets))
    }

    /// What came on which ports.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        self.bins.iter().flat_map(|bin| {
            bin.ports.iter().enumerate().filter(|(_, packets)| **packets > 0).map(|(n, &packets)| Cell {
                at: bin.number * self.step,
                place: (n % PORT_BINS) as f64 / PORT_BINS as f64,
                udp: n >= PORT_BINS,
                packets,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_grow_with_the_span() {
        let mut line = Timeline::default();
        for second in 0..600 {
            line.count(Time::from_secs(1_200_000_000 + second), Some((22, false)), 2);
        }
        assert_eq!((line.step(), line.ends()), (5, Some((1_200_000_000, 1_200_000_600))));
        assert_eq!(line.counts().next(), Some((1_200_000_000, 10)));
        assert_eq!(line.at_most(10).step(), 60);
        let cells: Vec<Cell> = line.at_most(1).cells().collect();
        assert_eq!(cells.iter().map(|cell| cell.packets).sum::<u32>(), 1_200);
        assert!(cells.iter().all(|cell| !cell.udp && cell.place <= place(22) && place(22) < cell.place + 1.0 / PORT_BINS as f64));
    }

    #[test]
    fn all_ports_have_their_place() {
        assert_eq!((place(0), place(u16::MAX)), (0.0, 1.0));
        assert!((0..=u16::MAX).all(|port| port_bin(port) < PORT_BINS && port_bin(port) <= port_bin(port.saturating_add(1))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn nothing_is_lost_and_nothing_grows(times in prop::collection::vec((0..4_000_000_000_u64, any::<u16>(), any::<bool>()), 1..3_000)) {
            let mut line = Timeline::default();
            for &(at, port, udp) in &times {
                line.count(Time::from_secs(at), Some((port, udp)), 1);
            }
            prop_assert!(line.bins.len() <= BINS);
            prop_assert!(line.bins.is_sorted_by_key(|bin| bin.number));
            prop_assert_eq!(line.counts().map(|(_, packets)| packets).sum::<u64>(), times.len() as u64);
            prop_assert_eq!(line.at_most(50).cells().map(|cell| u64::from(cell.packets)).sum::<u64>(), times.len() as u64);
        }
    }
}
