//! The warden's way to the sets of those whom lists name, and of the exempt, as `respond::nftables::listed` and `repair` go it.
//! Never touches the real ones.

use crate::kernel::{Driver, Kernel, Luck, Moment, lay, put};
use model::block::Expiry;
use model::net::Prefix;
use respond::ranges::{Difference, Family, Range, cover, difference, joined, later};
use std::collections::BTreeMap;

/// What one of the sets is to hold, with ends by the kernel's clock, and whether it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    target: Vec<Range>,
    stands: bool,
}

/// The ranges of one family, with what is over left out.
fn target(list: &[(Prefix, Expiry)], family: Family, at: &Moment<'_>) -> Vec<Range> {
    let mut wanted: BTreeMap<Prefix, Expiry> = BTreeMap::new();
    for (prefix, expiry) in list.iter().filter(|(prefix, expiry)| Family::of(prefix.addr()) == family && !expiry.is_over(at.now)) {
        let end = wanted.entry(*prefix).or_insert(*expiry);
        *end = if later(*expiry, *end) { *expiry } else { *end };
    }
    joined(&cover(&wanted))
}

impl Driver {
    /// Replaces whom lists name; false if the kernel refuses, or seems to.
    pub fn set_listed(&mut self, kernel: &mut Kernel, list: &[(Prefix, Expiry)], at: &mut Moment<'_>) -> bool {
        // Ends are by the kernel's clock.
        let at = &mut Moment { wall: at.now, now: at.now, dice: &mut *at.dice };
        for (index, family) in Family::ALL.into_iter().enumerate() {
            let target = target(list, family, at);
            let before = std::mem::replace(&mut self.listed[index], Listed { target: target.clone(), stands: false });
            let change = difference(&before.target, &target);
            let turned = before.stands && (change == Difference::default() || put(kernel, |kernel| &mut kernel.listed[index], &change, at));
            if !turned && !self.replace(kernel, index, target, at) {
                return false;
            }
            self.listed[index].stands = true;
        }
        true
    }

    fn replace(&mut self, kernel: &mut Kernel, index: usize, target: Vec<Range>, at: &mut Moment<'_>) -> bool {
        let luck = kernel.luck(at.dice);
        if let Luck::Refused = luck {
            return false;
        }
        self.rebuild(kernel, at);
        kernel.listed[index].clear();
        lay(&mut kernel.listed[index], &Difference { gone: Vec::new(), fresh: target }, at);
        matches!(luck, Luck::Fine)
    }

    /// Replaces the exempt list; false if the kernel refuses, or seems to.
    pub fn set_exempt(&mut self, kernel: &mut Kernel, mut list: Vec<Prefix>, at: &mut Moment<'_>) -> bool {
        list.sort_unstable();
        if self.exempt_stands && self.exempt.as_ref() == Some(&list) {
            return true;
        }
        let luck = kernel.luck(at.dice);
        self.exempt = Some(list.clone());
        self.exempt_stands = matches!(luck, Luck::Fine);
        if !matches!(luck, Luck::Refused) {
            self.rebuild(kernel, at);
            kernel.exempt = list;
        }
        self.exempt_stands
    }

    /// The table is made anew: with all in one transaction, or, if that is too much, first without those whom lists name.
    pub(crate) fn lay_lists_again(&mut self, kernel: &mut Kernel, at: &mut Moment<'_>) {
        let at = &mut Moment { wall: at.now, now: at.now, dice: &mut *at.dice };
        kernel.exempt = self.exempt.clone().unwrap_or_default();
        self.exempt_stands |= self.exempt.is_some();
        let in_one = !at.dice.one_in(3);
        for (listed, set) in self.listed.iter_mut().zip(&mut kernel.listed) {
            listed.target.retain(|range| !range.expiry.is_over(at.now));
            set.clear();
            if in_one {
                lay(set, &Difference { gone: Vec::new(), fresh: listed.target.clone() }, at);
            }
            listed.stands = in_one;
        }
        self.rebuilt = Some(in_one);
    }
}
