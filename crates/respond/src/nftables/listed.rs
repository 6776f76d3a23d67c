//! The sets of those whom others' lists name: tens of thousands of prefixes, given as a whole. Never part of what is listed as a block.

use super::Nftables;
use crate::ranges::{Family, Range, cover, joined, later};
use crate::skeleton::LISTED_SETS;
use model::block::Expiry;
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeMap;
use sys::nft::NftError;

/// What one of the sets is to hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    /// The ranges, without overlap.
    pub target: Vec<Range>,
    /// Whether the kernel has them.
    pub stands: bool,
}

impl Nftables {
    /// Replaces whom lists name, each until its end, by the kernel's own timer.
    ///
    /// # Errors
    /// If the kernel refuses; it is to be told again.
    pub fn set_listed(&mut self, list: &[(Prefix, Expiry)], now: Time) -> Result<(), NftError> {
        for (index, set) in LISTED_SETS.iter().enumerate() {
            let own = list.iter().filter(|(prefix, expiry)| Family::of(prefix.addr()) == set.family && !expiry.is_over(now));
            let mut wanted: BTreeMap<Prefix, Expiry> = BTreeMap::new();
            for (prefix, expiry) in own {
                let end = wanted.entry(*prefix).or_insert(*expiry);
                *end = if later(*expiry, *end) { *expiry } else { *end };
            }
            let target = joined(&cover(&wanted));
            let Some(listed) = self.listed.get_mut(index) else { continue };
            // Kept even if it fails, so that a table made anew has them.
            let before = std::mem::replace(listed, Listed { target: target.clone(), stands: false });
            let result = match before.stands {
                true => self.turn(set.name, set.family, &before.target, &target, now),
                // What an earlier process left is not known.
                false => self.replace(set.name, set.family, &target, now),
            };
            result?;
            if let Some(listed) = self.listed.get_mut(index) {
                listed.stands = true;
            }
        }
        Ok(())
    }
}

/// Ranges whose time is not over: the kernel has dropped the others.
pub(super) fn alive(ranges: &[Range], now: Time) -> Vec<Range> {
    ranges.iter().filter(|range| !range.expiry.is_over(now)).copied().collect()
}
