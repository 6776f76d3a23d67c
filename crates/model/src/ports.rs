//! A set of TCP or UDP ports, as ranges. Never holds port 0, which is nobody's.

use std::fmt;
use std::ops::RangeInclusive;

/// A set of ports: rising ranges that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// The ranges, rising.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ports it has.
    pub fn count(&self) -> usize {
        self.0.iter().map(RangeInclusive::len).sum()
    }

    /// Whether it has this one.
    pub fn contains(&self, port: u16) -> bool {
        let at = self.0.partition_point(|range| *range.end() < port);
        self.0.get(at).is_some_and(|range| range.contains(&port))
    }

    /// Without these ports.
    #[must_use]
    pub fn without(&self, others: &Ports) -> Ports {
        let mut left = self.0.clone();
        for other in &others.0 {
            left = left.into_iter().flat_map(|range| cut(&range, other)).collect();
        }
        Ports(left)
    }
}

/// What is left of a range without another.
fn cut(range: &RangeInclusive<u16>, other: &RangeInclusive<u16>) -> impl Iterator<Item = RangeInclusive<u16>> + use<> {
    let (first, last) = (*range.start(), *range.end());
    // Neither can overflow: a port below `other` is at least one less, a port above at least one more.
    let below = (first < *other.start()).then(|| first..=last.min(other.start() - 1));
    let above = (last > *other.end()).then(|| first.max(other.end() + 1)..=last);
    below.into_iter().chain(above)
}

impl FromIterator<RangeInclusive<u16>> for Ports {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().map(|range| (*range.start()).max(1)..=*range.end()).filter(|r| !r.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                Some(_) | None => joined.push(range),
            }
        }
        Ports(joined)
    }
}

/// A range as it is written: `23`, `1-1023`.
pub struct Written<'a>(pub &'a RangeInclusive<u16>);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl fmt::Display for Ports {
    /// As `7,9,13-19`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, Written(range))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_port_0_is_no_port() {
        let ports: Ports = [20..=25, 0..=3, 7..=7, 4..=4, 22..=30, 65_534..=65_535].into_iter().collect();
        assert_eq!((ports.to_string().as_str(), ports.count()), ("1-4,7,20-30,65534-65535", 18));
        for (port, has) in [(0, false), (1, true), (5, false), (7, true), (30, true), (31, false), (65_533, false), (65_535, true)] {
            assert_eq!(ports.contains(port), has, "{port}");
        }
        assert_eq!(Ports::from_iter([0..=0]), Ports::default());
        assert_eq!(Ports::from_iter([1..=65_535]).count(), 65_535);
    }

    #[test]
    fn some_can_be_taken_out() {
        let all: Ports = [1..=65_535].into_iter().collect();
        let out: Ports = [1..=1, 113..=113, 139..=200, 65_535..=65_535].into_iter().collect();
        assert_eq!(all.without(&out).to_string(), "2-112,114-138,201-65534");
        assert_eq!(out.without(&all), Ports::default());
        assert_eq!(out.without(&Ports::default()), out);
    }
}
