//! What a source reached: the successes of the sequential test. Never lets one success speak twice within an hour.

use model::time::Time;
use std::time::Duration;

/// Endpoints remembered for one source; at the bound the oldest gives way. One that is counted again speaks for the source.
const ENDPOINTS: usize = 6;
/// After this time a success counts anew. Behind one address there may be many clients of one service, week after week, who now and then
/// mistype; a scanner that is slow enough to profit would have to be welcome too.
const SPEAKS_AGAIN: Duration = Duration::from_secs(3_600);

/// Endpoints that a source reached. Forty bytes, which only a source that ever reached something pays.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    endpoints: [u32; ENDPOINTS],
    next: u8,
    /// One bit for each of the endpoints that may speak again.
    again: u8,
    since: Time,
}

impl Reached {
    /// Whether this endpoint was reached, as far as remembered.
    pub(crate) fn contains(&self, endpoint: u32) -> bool {
        self.endpoints.contains(&endpoint)
    }

    /// Takes a success in. True if it speaks for the source.
    pub(crate) fn insert(&mut self, endpoint: u32, at: Time) -> bool {
        if at.since(self.since) >= SPEAKS_AGAIN {
            (self.since, self.again) = (at, u8::MAX);
        }
        let known = self.endpoints.iter().position(|&known| known == endpoint);
        let place = known.unwrap_or(usize::from(self.next) % ENDPOINTS);
        if known.is_none() {
            self.endpoints[place] = endpoint;
            self.next = (self.next + 1) % ENDPOINTS as u8;
        }
        let speaks = known.is_none() || self.again & (1 << place) != 0;
        self.again &= !(1 << place);
        speaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_speaks_once_in_an_hour() {
        let mut reached = Reached::default();
        let mut speaks = |endpoint, secs| reached.insert(endpoint, Time::from_secs(1_000_000_u64 + secs));
        assert_eq!([speaks(1, 0), speaks(1, 1), speaks(2, 2), speaks(1, 3_599), speaks(2, 3_599)], [true, false, true, false, false]);
        assert_eq!([speaks(1, 3_600), speaks(1, 3_601), speaks(2, 7_000), speaks(2, 7_001)], [true, false, true, false]);
        // The seventh pushes the first out.
        assert!((3..=7).all(|endpoint| speaks(endpoint, 7_100)));
        assert_eq!([speaks(1, 7_101), speaks(7, 7_102)], [true, false]);
        assert!(reached.contains(7) && !reached.contains(2));
    }
}
