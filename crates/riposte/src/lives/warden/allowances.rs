//! The operators' allowances as the judge tells of them, their ends by the clock that never steps. They only ever add to the exempt list, within
//! bounds of width and number.

use model::block::Expiry;
use model::limits;
use model::net::Prefix;
use model::time::Time;

/// The widest prefixes that are taken: a judge that was taken over must not be able to free everybody in a word or two.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// The allowances.
#[derive(Debug, Default)]
pub struct Allowances {
    list: Vec<(Prefix, Expiry)>,
    /// Allowances that were not taken.
    pub refused: u64,
}

impl Allowances {
    /// Takes these in place of what there was.
    pub fn take(&mut self, list: Vec<(Prefix, Expiry)>, now: Time) {
        let before = list.len();
        let widest = |prefix: &Prefix| if prefix.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        self.list = list.into_iter().filter(|(prefix, _)| prefix.bits() >= widest(prefix)).take(limits::ALLOWED_TOLD).collect();
        self.refused += (before - self.list.len()) as u64;
        self.expire(now);
    }

    /// Drops what has ended; says whether anything has.
    pub fn expire(&mut self, now: Time) -> bool {
        let before = self.list.len();
        self.list.retain(|(_, expiry)| !expiry.is_over(now));
        self.list.len() < before
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<Time> {
        let ends = self.list.iter().filter_map(|(_, expiry)| match expiry {
            Expiry::At(at) => Some(*at),
            Expiry::Never => None,
        });
        ends.min()
    }

    /// All of them.
    pub fn prefixes(&self) -> Vec<Prefix> {
        self.list.iter().map(|(prefix, _)| *prefix).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn allowances_end_at_their_time() {
        let mut allowances = Allowances::default();
        let at = |secs| Expiry::At(Time::from_secs(secs));
        allowances.take(
            vec![(prefix("192.0.2.1"), at(10)), (prefix("2001:db8::/32"), Expiry::Never), (prefix("192.0.2.2"), at(3))],
            Time::from_secs(5),
        );
        assert_eq!(allowances.prefixes(), [prefix("192.0.2.1"), prefix("2001:db8::/32")]);
        assert_eq!(allowances.next_end(), Some(Time::from_secs(10)));
        assert!(!allowances.expire(Time::from_secs(9)) && allowances.expire(Time::from_secs(10)));
        assert_eq!((allowances.prefixes(), allowances.next_end()), (vec![prefix("2001:db8::/32")], None));
        allowances.take(Vec::new(), Time::from_secs(11));
        assert!(allowances.prefixes().is_empty() && allowances.refused == 0);
    }

    #[test]
    fn a_judge_cannot_free_the_internet() {
        let mut allowances = Allowances::default();
        let wide = ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/7", "::/0", "2000::/3"].map(|text| (prefix(text), Expiry::Never));
        allowances.take([wide.to_vec(), vec![(prefix("10.0.0.0/8"), Expiry::Never)]].concat(), Time::EPOCH);
        assert_eq!((allowances.prefixes(), allowances.refused), (vec![prefix("10.0.0.0/8")], 5));
        allowances.take(vec![(prefix("192.0.2.1"), Expiry::Never); limits::ALLOWED_TOLD + 7], Time::EPOCH);
        assert_eq!((allowances.prefixes().len(), allowances.refused), (limits::ALLOWED_TOLD, 12));
    }
}
