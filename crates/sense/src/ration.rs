//! Which packets are told when more come than anybody can use: so many a second from one source, so many from all, and in a flood first those of
//! sources that send much, so that ten thousand forged senders of one packet each hide nobody who scans. Fixed memory; in doubt it tells less.

use model::time::Time;
use std::time::Duration;

/// Counters of a row, and rows: 1 MiB. A flood of a million sources a second leaves a count of some eight in each.
const ROW: usize = 1 << 18;
const ROWS: usize = 2;
/// Counts fall by half so often.
const HALF_LIFE: Duration = Duration::from_secs(1);
/// So often it is looked at whether more or fewer sources are to be told.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// It is told.
    Told,
    /// Its source has had its ration.
    OverSource,
    /// All together have had theirs.
    OverAll,
}

/// Rations, and how much each source has sent lately.
#[derive(Debug, Clone)]
pub struct Ration {
    counts: [Box<[u16]>; ROWS],
    rate: u32,
    /// What a source may stand at: what came before has gone by half with each second, so a steady sender stands at twice what it sends in one.
    most: u16,
    /// Packets that may be told now.
    left: f64,
    filled: Time,
    halved: Time,
    /// Sources must have sent so many lately while there is more than can be told.
    threshold: u16,
    looked: Time,
    /// Packets since that were above the threshold and had no share; and those that had one.
    turned: u32,
    told: u32,
}

impl Ration {
    /// Rations of so many packets a second for all sources together, and for each one.
    pub fn new(rate: u32, per_source: u32) -> Self {
        let counts = std::array::from_fn(|_| vec![0; ROW].into_boxed_slice());
        let (left, start) = (f64::from(rate), Time::EPOCH);
        let most = u16::try_from(per_source.saturating_mul(2)).unwrap_or(u16::MAX - 1);
        Ration { counts, rate, most, left, filled: start, halved: start, threshold: 0, looked: start, turned: 0, told: 0 }
    }

    /// Weighs one packet. `source` is its source as a hash with a secret key: nobody can aim at another's counters.
    pub fn weigh(&mut self, source: u64, at: Time) -> Share {
        if at.since(self.halved) >= HALF_LIFE {
            self.halve(at);
        }
        let count = self.count(source);
        if count > self.most {
            return Share::OverSource;
        }
        self.left = (self.left + at.since(self.filled).as_secs_f64() * f64::from(self.rate)).min(f64::from(self.rate));
        self.filled = self.filled.max(at);
        if at.since(self.looked) >= LOOK_EVERY {
            self.look(at);
        }
        if count < self.threshold {
            return Share::OverAll;
        }
        if self.left < 1.0 {
            self.turned += 1;
            return Share::OverAll;
        }
        self.left -= 1.0;
        self.told += 1;
        Share::Told
    }

    /// Counts one more packet and says how many there were: at least as many as really came, until they are halved.
    fn count(&mut self, source: u64) -> u16 {
        let [first, second] = &mut self.counts;
        let (low, high) = (source as usize % ROW, (source >> 32) as usize % ROW);
        let (Some(first), Some(second)) = (first.get_mut(low), second.get_mut(high)) else { return u16::MAX };
        // Only the lesser grows: what others have left in the other one stays what it is (Estan and Varghese 2002).
        // Whoever is above his ration is not counted any further: in a second he has half of it again.
        let count = (*first).min(*second).saturating_add(1).min(self.most + 1);
        (*first, *second) = ((*first).max(count), (*second).max(count));
        count
    }

    fn halve(&mut self, at: Time) {
        // After a long calm nothing is left to be halved again.
        let times = (at.since(self.halved).as_secs_f64() / HALF_LIFE.as_secs_f64()).min(16.0) as u32;
        for count in self.counts.iter_mut().flatten() {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        self.halved = at;
    }

    /// Raises the threshold while sources above it have to be turned away, and lowers it again when there is room.
    fn look(&mut self, at: Time) {
        let most = f64::from(self.rate) * LOOK_EVERY.as_secs_f64();
        if self.turned > 0 {
            self.threshold = self.threshold.saturating_add(self.threshold / 4 + 1).min(self.most);
        } else if f64::from(self.told) < most / 2.0 {
            self.threshold -= self.threshold.div_ceil(8);
        }
        (self.turned, self.told, self.looked) = (0, 0, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    const START: Time = Time::from_secs(1_000);

    fn hash(n: u64) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(n)
    }

    /// Sends so many packets a second for so long, evenly; `source` says whose the n-th is. Returns what became of each, by source 0 or others.
    fn send(ration: &mut Ration, rate: u64, secs: u64, source: impl Fn(u64) -> u64) -> [[u64; 3]; 2] {
        let mut became = [[0; 3]; 2];
        for n in 0..rate * secs {
            let at = START.after(Duration::from_nanos(n * 1_000_000_000 / rate));
            let source = source(n);
            became[usize::from(source != 0)][ration.weigh(hash(source), at) as usize] += 1;
        }
        became
    }

    #[test]
    fn in_calm_everything_is_told() {
        let [scanner, others] = send(&mut Ration::new(2_000, 100), 1_000, 10, |n| if n % 20 == 0 { 0 } else { n });
        assert_eq!((scanner, others), ([500, 0, 0], [9_500, 0, 0]));
    }

    #[test]
    fn one_source_is_held_to_its_ration() {
        let [flooder, others] = send(&mut Ration::new(2_000, 100), 50_000, 10, |n| if n % 500 == 0 { n + 1 } else { 0 });
        assert!((900..1_500).contains(&flooder[0]) && flooder[2] == 0, "{flooder:?}");
        assert_eq!(others, [1_000, 0, 0]);
    }

    #[test]
    fn a_flood_of_forged_sources_hides_no_scanner() {
        // A scanner sends fifty packets a second among half a million of others, each from an address of its own.
        let [scanner, others] = send(&mut Ration::new(2_000, 100), 500_000, 5, |n| if n % 10_000 == 0 { 0 } else { n });
        assert!(scanner[0] > 100 && scanner[1] == 0, "{scanner:?}");
        assert!(others[0] <= 2_000 * 6, "{others:?}");
    }

    #[test]
    fn after_a_flood_it_is_as_before() {
        let mut ration = Ration::new(2_000, 100);
        send(&mut ration, 200_000, 2, |n| n);
        let later = START.after(Duration::from_secs(60));
        let told = (0..2_000).filter(|n| ration.weigh(hash(1 << 40 | n), later.after(Duration::from_millis(5 * n))) == Share::Told);
        // The first are held until it is seen that there is room again.
        assert!(told.count() > 1_900);
    }
}
