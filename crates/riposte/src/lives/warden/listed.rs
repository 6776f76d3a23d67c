//! Whom others' lists block, as the judge tells of them in pieces. Never takes a network too large for a list's mistake, or anybody exempt.

use super::Warden;
use super::troubles::Matter;
use crate::lives::{monotonic, moved, now};
use link::message::Life;
use model::block::Expiry;
use model::limits;
use model::net::Prefix;
use model::time::Time;

/// The widest prefixes that are taken: a judge that was taken over must not cut off the Internet in a word or two.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 19;

/// The lists.
#[derive(Debug, Default)]
pub struct Lists {
    /// What has come of the next list so far.
    coming: Vec<(Prefix, Expiry)>,
    /// The list in force, its ends by the clock that never steps.
    list: Vec<(Prefix, Expiry)>,
    /// Entries that were not taken.
    pub refused: u64,
}

impl Lists {
    /// The list in force.
    pub fn list(&self) -> &[(Prefix, Expiry)] {
        &self.list
    }

    /// Takes a piece; says whether the list is whole with it.
    pub fn take(&mut self, first: bool, last: bool, items: Vec<(Prefix, Expiry)>) -> bool {
        if first {
            self.coming.clear();
        }
        let (told, before) = (items.len(), self.coming.len());
        let room = limits::LISTED.saturating_sub(before);
        let widest = |prefix: &Prefix| if prefix.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        self.coming.extend(items.into_iter().filter(|(prefix, _)| prefix.bits() >= widest(prefix)).take(room));
        self.refused += (told + before - self.coming.len()) as u64;
        if last {
            self.list = std::mem::take(&mut self.coming);
        }
        last
    }

    /// Lets go of whoever must not be on the list in force.
    pub fn spare(&mut self, is_exempt: impl Fn(&Prefix) -> bool) {
        let before = self.list.len();
        self.list.retain(|(prefix, _)| !is_exempt(prefix));
        self.refused += (before - self.list.len()) as u64;
    }
}

impl Warden {
    /// Takes a piece of whom lists block.
    pub(super) fn list(&mut self, first: bool, last: bool, items: Vec<(Prefix, Expiry)>) {
        let (wall, steady) = (now(), monotonic());
        let items = items.into_iter().map(|(prefix, until)| (prefix, whole_seconds(moved(until, wall, steady)))).collect();
        if self.lists.take(first, last, items) {
            self.set_listed();
        }
    }

    /// Gives the kernel the list as it is now, once this host's own addresses and its gateway are known: before, it could cut the host off.
    pub(super) fn set_listed(&mut self) {
        if !self.shield.has_derived(Life::Host) {
            return;
        }
        let shield = &self.shield;
        self.lists.spare(|prefix| shield.touches(prefix));
        let result = self.firewall.set_listed(&self.lists.list);
        self.tried(Matter::Listed, result);
        self.tell_rebuilt();
    }
}

/// Two clocks are never read at one time: without this the same end would be another one each time, and all of a list would be set anew.
pub fn whole_seconds(end: Expiry) -> Expiry {
    match end {
        Expiry::At(at) => Expiry::At(Time::from_secs(at.as_secs())),
        Expiry::Never => Expiry::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_in_pieces_and_has_bounds() {
        let mut lists = Lists::default();
        let entry = |text: &str| (text.parse::<Prefix>().unwrap(), Expiry::Never);
        let exempt: Prefix = "192.0.2.7".parse().unwrap();
        assert!(!lists.take(true, false, vec![entry("0.0.0.0/1"), entry("2000::/3"), entry("10.0.0.0/8")]));
        assert!(lists.list.is_empty());
        assert!(lists.take(false, true, vec![entry("192.0.2.0/24"), entry("198.51.100.7")]));
        lists.spare(|prefix| prefix.contains(exempt.addr()));
        assert_eq!((lists.list.clone(), lists.refused), (vec![entry("10.0.0.0/8"), entry("198.51.100.7")], 3));
        // One that was cut short is forgotten with the next beginning.
        assert!(!lists.take(true, false, vec![entry("10.0.0.0/8")]));
        assert!(lists.take(true, true, vec![entry("203.0.113.7"); limits::LISTED + 2]));
        assert_eq!((lists.list.len(), lists.refused), (limits::LISTED, 5));
    }
}
