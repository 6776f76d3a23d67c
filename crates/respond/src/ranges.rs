//! Address ranges without overlap: what an interval set of the kernel can hold, made from prefixes that may overlap.
//! Never widens a block: an address is covered exactly as long as the longest wanted prefix around it.

use model::block::Expiry;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4: addresses are the numbers up to 2^32 - 1.
    V4,
    /// IPv6: addresses are the numbers up to 2^128 - 1.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(addr: IpAddr) -> Family {
        if addr.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The number of the highest address.
    pub fn highest(self) -> u128 {
        match self {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        }
    }

    /// The length of an address in bits.
    fn width(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The address with this number; numbers above the highest wrap around.
    pub fn address(self, number: u128) -> IpAddr {
        match self {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(number as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }
}

/// The number of an address within its family.
pub fn number(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The addresses from `first` to `last`, both included, until `expiry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// The lowest address' number.
    pub first: u128,
    /// The highest address' number.
    pub last: u128,
    /// Until when.
    pub expiry: Expiry,
}

/// Whether the first ends later.
pub fn later(a: Expiry, b: Expiry) -> bool {
    match (a, b) {
        (Expiry::Never, Expiry::At(_)) => true,
        (Expiry::Never | Expiry::At(_), Expiry::Never) => false,
        (Expiry::At(a), Expiry::At(b)) => a > b,
    }
}

/// The ranges that cover `wanted` (of one family): sorted, without overlap, each as long as the longest prefix around it.
pub fn cover(wanted: &BTreeMap<Prefix, Expiry>) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::with_capacity(wanted.len());
    // The wanted prefixes around the cursor, widest first, each outlasting those before it. Prefixes nest or are apart.
    let mut open: Vec<Range> = Vec::new();
    for (prefix, expiry) in wanted {
        let range = Range { first: number(prefix.addr()), last: number(prefix.last()), expiry: *expiry };
        close(&mut open, &mut out, Some(range.first));
        match open.last_mut() {
            Some(around) if !later(range.expiry, around.expiry) => continue,
            Some(around) if around.first < range.first => out.push(Range { last: range.first - 1, ..*around }),
            Some(_) | None => {}
        }
        open.push(range);
    }
    close(&mut open, &mut out, None);
    out
}

/// Emits and drops the open prefixes that end before `next` (all of them for `None`).
fn close(open: &mut Vec<Range>, out: &mut Vec<Range>, next: Option<u128>) {
    while let Some(inner) = open.pop_if(|inner| next.is_none_or(|next| inner.last < next)) {
        if inner.first <= inner.last {
            out.push(inner);
        }
        // What is left of the prefix around it starts behind it; if nothing is left, it starts behind its own end.
        if let Some(around) = open.last_mut() {
            match inner.last.checked_add(1) {
                Some(behind) => around.first = behind,
                None => open.clear(),
            }
        }
    }
}

/// The same ranges with neighbours of equal expiry joined.
pub fn joined(ranges: &[Range]) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.expiry == range.expiry && last.last.checked_add(1) == Some(range.first) => last.last = range.last,
            _ => out.push(*range),
        }
    }
    out
}

/// The fewest prefixes that together are exactly this range.
pub fn prefixes(family: Family, range: &Range) -> Vec<Prefix> {
    let mut out = Vec::new();
    let mut first = range.first;
    while first <= range.last {
        let mut size_bits = first.trailing_zeros().min(u32::from(family.width()));
        while size_bits > 0 && first | ones(size_bits) > range.last {
            size_bits -= 1;
        }
        // Both are at most 128.
        out.push(Prefix::new(family.address(first), family.width() - size_bits as u8));
        match (first | ones(size_bits)).checked_add(1) {
            Some(next) => first = next,
            None => break,
        }
    }
    out
}

/// The number whose `bits` lowest bits are set.
fn ones(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits).unwrap_or(0)
}

/// What turns one list of ranges into another. Both are sorted and without overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// In the old list only.
    pub gone: Vec<Range>,
    /// In the new list only.
    pub fresh: Vec<Range>,
}

/// Compares two sorted lists.
pub fn difference(old: &[Range], new: &[Range]) -> Difference {
    let mut out = Difference::default();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return out,
            (Some(_), None) => out.gone.extend(old.by_ref()),
            (None, Some(_)) => out.fresh.extend(new.by_ref()),
            (Some(a), Some(b)) if a == b => {
                old.next();
                new.next();
            }
            (Some(a), Some(b)) => match a.first.cmp(&b.first) {
                Ordering::Less => out.gone.extend(old.next()),
                Ordering::Greater => out.fresh.extend(new.next()),
                Ordering::Equal => {
                    out.gone.extend(old.next());
                    out.fresh.extend(new.next());
                }
            },
        }
    }
}

/// The prefixes that one interval set should block, and what it holds of them.
#[derive(Debug, Clone, Default)]
pub struct Nets {
    wanted: BTreeMap<Prefix, Expiry>,
    standing: Vec<Range>,
}

impl Nets {
    /// Takes what the kernel's set holds for the truth, as after a restart.
    pub fn adopt(&mut self, family: Family, standing: Vec<Range>) {
        self.wanted = standing.iter().flat_map(|range| prefixes(family, range).into_iter().map(|prefix| (prefix, range.expiry))).collect();
        self.standing = standing;
    }

    /// Wants a prefix until `expiry`, in place of the expiry that it had; false if there are too many.
    pub fn want(&mut self, prefix: Prefix, expiry: Expiry) -> bool {
        if self.wanted.len() >= limits::NETS && !self.wanted.contains_key(&prefix) {
            return false;
        }
        self.wanted.insert(prefix, expiry);
        true
    }

    /// Does not want a prefix any more.
    pub fn unwant(&mut self, prefix: &Prefix) {
        self.wanted.remove(prefix);
    }

    /// Wants what was wanted `before`. What the set holds is not taken back: it may have been lost since.
    pub fn want_again(&mut self, before: Nets) {
        self.wanted = before.wanted;
    }

    /// Forgets what has run out by itself: the kernel has dropped it too.
    pub fn expire(&mut self, now: Time) {
        self.wanted.retain(|_, expiry| !expiry.is_over(now));
        self.standing.retain(|range| !range.expiry.is_over(now));
    }

    /// What the set should hold.
    pub fn target(&self) -> Vec<Range> {
        cover(&self.wanted)
    }

    /// What the set is believed to hold.
    pub fn standing(&self) -> &[Range] {
        &self.standing
    }

    /// The set now holds these.
    pub fn installed(&mut self, standing: Vec<Range>) {
        self.standing = standing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(secs: u64) -> Expiry {
        Expiry::At(Time::from_secs(secs))
    }

    fn wanted(list: &[(&str, Expiry)]) -> BTreeMap<Prefix, Expiry> {
        list.iter().map(|(prefix, expiry)| (prefix.parse().unwrap(), *expiry)).collect()
    }

    fn shown(ranges: &[Range]) -> Vec<(String, Expiry)> {
        let name = |n| Family::V4.address(n);
        ranges.iter().map(|range| (format!("{}-{}", name(range.first), name(range.last)), range.expiry)).collect()
    }

    #[test]
    fn an_inner_prefix_that_lasts_longer_is_cut_out_of_the_outer_one() {
        let ranges = cover(&wanted(&[("10.0.0.0/8", at(10)), ("10.1.0.0/16", at(20)), ("10.1.2.0/24", at(15)), ("10.2.0.0/16", at(5))]));
        let expected = [("10.0.0.0-10.0.255.255", 10), ("10.1.0.0-10.1.255.255", 20), ("10.2.0.0-10.255.255.255", 10)];
        assert_eq!(shown(&ranges), expected.map(|(name, secs)| (name.to_owned(), at(secs))));
    }

    #[test]
    fn the_ends_of_the_address_space_hold() {
        let all = cover(&wanted(&[("0.0.0.0/0", at(1)), ("255.255.255.0/24", Expiry::Never), ("0.0.0.0/8", at(2))]));
        let expected =
            [("0.0.0.0-0.255.255.255", at(2)), ("1.0.0.0-255.255.254.255", at(1)), ("255.255.255.0-255.255.255.255", Expiry::Never)];
        assert_eq!(shown(&all), expected.map(|(name, expiry)| (name.to_owned(), expiry)));
        let six = cover(&wanted(&[("::/0", at(1)), ("ff00::/8", at(2)), ("ffff::/16", at(3))]));
        assert_eq!(six.last().map(|range| range.last), Some(u128::MAX));
        assert_eq!(six.len(), 3);
        let whole = Range { first: 0, last: u128::MAX, expiry: Expiry::Never };
        assert_eq!(prefixes(Family::V6, &whole), ["::/0".parse().unwrap()]);
    }

    #[test]
    fn neighbours_are_joined_only_if_they_end_together() {
        let ranges = joined(&cover(&wanted(&[("10.0.0.0/24", at(1)), ("10.0.1.0/24", at(1)), ("10.0.2.0/24", at(2))])));
        let expected = [("10.0.0.0-10.0.1.255", 1), ("10.0.2.0-10.0.2.255", 2)];
        assert_eq!(shown(&ranges), expected.map(|(name, secs)| (name.to_owned(), at(secs))));
    }

    #[test]
    fn a_range_becomes_the_fewest_prefixes() {
        let range = Range { first: number("10.0.0.1".parse().unwrap()), last: number("10.0.0.6".parse().unwrap()), expiry: at(1) };
        let texts: Vec<_> = prefixes(Family::V4, &range).iter().map(Prefix::to_string).collect();
        assert_eq!(texts, ["10.0.0.1", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6"]);
    }

    #[test]
    fn the_bound_holds_and_a_known_prefix_may_still_change() {
        let mut nets = Nets::default();
        let net = |n: usize| Prefix::new(Family::V4.address((n as u128) << 8), 24);
        (0..limits::NETS).for_each(|n| assert!(nets.want(net(n), at(1))));
        assert!(!nets.want(net(limits::NETS), at(1)));
        assert!(nets.want(net(7), at(2)));
        nets.expire(Time::from_secs(1));
        assert_eq!(nets.target().len(), 1);
    }

    #[test]
    fn what_is_wanted_again_is_not_taken_for_installed() {
        let mut nets = Nets::default();
        nets.want("10.0.0.0/24".parse().unwrap(), at(9));
        nets.installed(nets.target());
        let before = nets.clone();
        // The table was gone, was made anew, and then the kernel refused.
        nets.want("10.0.1.0/24".parse().unwrap(), at(9));
        nets.installed(Vec::new());
        nets.want_again(before.clone());
        assert_eq!(nets.target(), before.target());
        assert_eq!(difference(nets.standing(), &nets.target()).fresh, before.target());
    }

    proptest! {
        /// Checked against the definition, address by address, in a small corner of the address space.
        #[test]
        fn the_cover_is_exact(list in prop::collection::vec((0u32..64, 26u8..=32, 0u64..4), 0..24)) {
            let mut nets = BTreeMap::new();
            for (host, len, secs) in list {
                let expiry = if secs == 0 { Expiry::Never } else { at(secs) };
                nets.insert(Prefix::new(IpAddr::V4(Ipv4Addr::from(0xffff_ffc0 | host)), len), expiry);
            }
            let ranges = cover(&nets);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
            for host in 0xffff_ff80_u32..=u32::MAX {
                let addr = IpAddr::V4(Ipv4Addr::from(host));
                let longest = nets.iter().filter(|(net, _)| net.contains(addr)).map(|(_, expiry)| *expiry).reduce(|a, b| if later(b, a) { b } else { a });
                let covered = ranges.iter().find(|range| (range.first..=range.last).contains(&u128::from(host))).map(|range| range.expiry);
                prop_assert_eq!(longest, covered);
            }
            // And taken apart into prefixes it covers the same.
            let again: BTreeMap<_, _> = ranges.iter().flat_map(|range| prefixes(Family::V4, range).into_iter().map(|net| (net, range.expiry))).collect();
            prop_assert_eq!(joined(&cover(&again)), joined(&ranges));
        }

        #[test]
        fn a_difference_leads_from_old_to_new(old in prop::collection::btree_map(0u128..40, 0u64..3, 0..20), new in prop::collection::btree_map(0u128..40, 0u64..3, 0..20)) {
            let ranges = |map: BTreeMap<u128, u64>| map.into_iter().map(|(n, secs)| Range { first: n * 4, last: n * 4 + 3, expiry: at(secs) }).collect::<Vec<_>>();
            let (old, new) = (ranges(old), ranges(new));
            let diff = difference(&old, &new);
            let mut result: Vec<_> = old.iter().filter(|range| !diff.gone.contains(range)).chain(&diff.fresh).copied().collect();
            result.sort_by_key(|range| range.first);
            prop_assert_eq!(result, new);
        }
    }
}
