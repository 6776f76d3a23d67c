//! How often sources that found no place in the table were seen: a count-min sketch with ageing. Never counts too little before it ages.
//!
//! The idea is TinyLFU's (Einziger, Friedman, Manes 2017): a newcomer takes the place of somebody of lower standing only when the
//! sketch knows it, so that addresses seen once, however many, push out nobody. All four counters of a key lie in one cache line.

use crate::hash::Seed;

/// Counters in one block; one block is one cache line.
const BLOCK: usize = 64;
/// Counters a key has. Each lies in its own quarter of the block.
const ROWS: usize = 4;

/// Approximate counts by key, in fixed memory.
#[derive(Debug)]
pub(crate) struct Sketch {
    blocks: Vec<[u8; BLOCK]>,
    size: usize,
    added: usize,
}

impl Sketch {
    /// A sketch for a table of `tracked` places. It takes memory only once something is added.
    pub(crate) fn new(tracked: usize) -> Sketch {
        Sketch { blocks: Vec::new(), size: tracked.clamp(64, 1 << 24).next_power_of_two(), added: 0 }
    }

    /// Counts a key once more and tells its count: never too low, rarely too high.
    pub(crate) fn add(&mut self, seed: Seed, key: u64) -> u8 {
        if self.blocks.is_empty() {
            self.blocks = vec![[0; BLOCK]; self.size];
        }
        let hash = seed.join(key, 0x5eed);
        let block = &mut self.blocks[(hash >> 32) as usize & (self.size - 1)];
        let places: [usize; ROWS] = std::array::from_fn(|row| row * (BLOCK / ROWS) + (hash >> (row * 4)) as usize % (BLOCK / ROWS));
        let count = places.iter().map(|&at| block[at]).min().unwrap_or(0).saturating_add(1);
        // Only the counters that stand too low are raised ("conservative update"): less noise from other keys.
        places.iter().for_each(|&at| block[at] = block[at].max(count));
        self.added += 1;
        count
    }

    /// Whether so much was added that it is time to age: more would be noise.
    pub(crate) fn is_full(&self) -> bool {
        self.added >= self.size * (BLOCK / ROWS)
    }

    /// Halves all counts: what was seen long ago weighs less.
    pub(crate) fn age(&mut self) {
        self.blocks.iter_mut().flatten().for_each(|count| *count /= 2);
        self.added = 0;
    }

    /// Bytes that it may take.
    pub(crate) fn bound(&self) -> usize {
        self.size * BLOCK
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.capacity() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rare_stay_low_and_the_frequent_are_seen() {
        let (seed, mut sketch) = (Seed::new(3), Sketch::new(1024));
        assert_eq!(sketch.bytes(), 0);
        let mut raised = 0;
        for key in 0..10_000_u64 {
            raised += usize::from(sketch.add(seed, key) > 1);
            if key % 1_000 == 0 {
                let count = sketch.add(seed, u64::MAX);
                assert!(u64::from(count) > key / 1_000, "{count} at {key}");
            }
        }
        assert!(raised < 1_000, "{raised} of 10,000 keys seen once look as if seen before");
        assert!(sketch.bytes() <= sketch.bound());
    }

    #[test]
    fn counts_age() {
        let (seed, mut sketch) = (Seed::new(3), Sketch::new(64));
        for _ in 0..200 {
            sketch.add(seed, 7);
        }
        for key in 0..64 * 16 * 9 {
            sketch.add(seed, 1_000 + key);
            if sketch.is_full() {
                sketch.age();
            }
        }
        assert!(sketch.add(seed, 7) < 20);
    }
}
