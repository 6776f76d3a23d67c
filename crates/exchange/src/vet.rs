//! What of a list is taken: nobody's own, private or exempt addresses, no network too large for a mistake, and no list that is
//! another one overnight. Whoever publishes a list, or stands between, could otherwise cut off whom he likes.

use crate::list::{Entry, List};
use model::net::Prefix;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that no stranger on the Internet has (IANA's special-purpose registries): lists of bogons have them, and would cut off the house.
const NOT_PUBLIC: [(IpAddr, u8); 22] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v6([0, 0], 32),
    v6([0x64, 0xff9b], 32),
    v6([0x100, 0], 32),
    v6([0x2001, 0xdb8], 32),
    v6([0xfc00, 0], 7),
    v6([0xfe80, 0], 10),
    v6([0xff00, 0], 8),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6([a, b]: [u16; 2], bits: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits)
}

/// Whether all of it can be strangers' on the Internet.
pub fn is_public(prefix: &Prefix) -> bool {
    !NOT_PUBLIC.iter().any(|(addr, bits)| Prefix::new(*addr, *bits).overlaps(prefix))
}

/// What is taken of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Entries at most.
    pub most: usize,
    /// The shortest prefixes that are taken, of IPv4 and of IPv6: a shorter one is a large part of the Internet.
    pub shortest: [u8; 2],
    /// The part of a list that may go, or come anew, from one time to the next; above that it is another list.
    pub churn: f64,
    /// So many entries may come or go in any case.
    pub always: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { most: 200_000, shortest: [8, 19], churn: 0.5, always: 1_000 }
    }
}

/// What was left of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vetted {
    /// Who is to be blocked, sorted.
    pub entries: Vec<Entry>,
    /// Entries left out because no stranger has them.
    pub not_public: usize,
    /// Entries left out because somebody exempt has them.
    pub exempt: usize,
    /// Entries left out because they are too large.
    pub too_large: usize,
}

/// Why nothing is taken of a list; the one before stays in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has more entries than are taken.
    TooMany(usize),
    /// So many of the one before are gone, or new ones come.
    Another {
        /// How many there were.
        before: usize,
        /// How many of those are gone.
        gone: usize,
        /// How many are new.
        new: usize,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::TooMany(has) => write!(f, "it has {has} entries, more than are taken"),
            Refusal::Another { before, gone, new } => {
                write!(f, "of {before} entries {gone} are gone and {new} are new at once: that is another list")
            }
        }
    }
}

/// Takes what is to be taken of a list: `is_exempt` says whether somebody who is never blocked has an address in a prefix; `before`, sorted,
/// is what was taken of it the last time, if it ever was.
///
/// # Errors
/// If it is too long, or another one than the last time.
pub fn vet(list: &List, terms: &Terms, is_exempt: impl Fn(&Prefix) -> bool, before: Option<&[Entry]>) -> Result<Vetted, Refusal> {
    let has = list.entries.len() + list.over;
    if has > terms.most {
        return Err(Refusal::TooMany(has));
    }
    let mut vetted = Vetted::default();
    for entry in &list.entries {
        let [v4, v6] = terms.shortest;
        let shortest = if entry.prefix.addr().is_ipv4() { v4 } else { v6 };
        let count = if !is_public(&entry.prefix) {
            &mut vetted.not_public
        } else if entry.prefix.bits() < shortest {
            &mut vetted.too_large
        } else if is_exempt(&entry.prefix) {
            &mut vetted.exempt
        } else {
            vetted.entries.push(*entry);
            continue;
        };
        *count += 1;
    }
    let Some(before) = before else { return Ok(vetted) };
    let set = |entries: &[Entry]| entries.iter().map(|entry| entry.prefix).collect::<BTreeSet<Prefix>>();
    let (old, new) = (set(before), set(&vetted.entries));
    let (gone, came) = (old.difference(&new).count(), new.difference(&old).count());
    let allowed = terms.always.max((old.len() as f64 * terms.churn) as usize);
    if gone > allowed || came > allowed {
        return Err(Refusal::Another { before: old.len(), gone, new: came });
    }
    Ok(vetted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{Format, read};

    fn list(text: &str) -> List {
        read(Format::Plain, text).unwrap()
    }

    #[test]
    fn nobody_s_own_and_nothing_too_large_is_taken() {
        let text = "8.8.4.0/24\n10.1.2.3\n192.168.0.0/16\n0.0.0.0/0\n9.0.0.0/7\n9.9.9.9\nfc00::1\n2600::/12\n2600:1::/32\n8.8.8.8\n";
        // The 7 bits of 9.0.0.0/7 don't stand: bits behind its length.
        let taken = vet(&list(text), &Terms::default(), |prefix| prefix.contains("8.8.8.8".parse().unwrap()), None).unwrap();
        let left: Vec<String> = taken.entries.iter().map(|entry| entry.prefix.to_string()).collect();
        assert_eq!(left, ["8.8.4.0/24", "9.9.9.9", "2600:1::/32"]);
        assert_eq!((taken.not_public, taken.exempt, taken.too_large), (4, 1, 1));
    }

    #[test]
    fn another_list_is_refused() {
        let some = |from: u32, count: u32| {
            let lines = (from..from + count).map(|n| Ipv4Addr::from(0x0800_0000 + n).to_string());
            list(&lines.collect::<Vec<_>>().join("\n"))
        };
        let terms = Terms { most: 100, always: 5, churn: 0.5, ..Terms::default() };
        let vet = |list: &List, before: &[Entry]| vet(list, &terms, |_| false, Some(before)).map(|vetted| vetted.entries.len());
        let old = some(0, 40).entries;
        assert_eq!(vet(&some(10, 40), &old), Ok(40));
        assert_eq!(vet(&some(30, 40), &old), Err(Refusal::Another { before: 40, gone: 30, new: 30 }));
        assert_eq!(vet(&some(0, 5), &old), Err(Refusal::Another { before: 40, gone: 35, new: 0 }));
        assert_eq!(vet(&some(0, 90), &old), Err(Refusal::Another { before: 40, gone: 0, new: 50 }));
        assert_eq!(vet(&some(0, 101), &old), Err(Refusal::TooMany(101)));
        assert_eq!(vet(&some(100, 5), &some(0, 4).entries), Ok(5));
    }
}
