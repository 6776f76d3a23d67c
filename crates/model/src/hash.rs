//! The tables' keys and their seeded hash. Never used where a collision could put guilt on somebody with more than the odds of chance:
//! without the seed nobody can aim one.

use std::net::{IpAddr, Ipv6Addr};

/// What an IPv4 address as a number has above it in its IPv4-mapped form (RFC 4291 §2.5.5.2).
const MAPPED: u64 = 0xffff << 32;

/// An address as a number; IPv4 as its IPv4-mapped form, so that each host has one key. Quicker to compare than an `IpAddr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    high: u64,
    low: u64,
}

impl Key {
    /// The address, canonical.
    pub fn addr(self) -> IpAddr {
        Ipv6Addr::from(u128::from(self.high) << 64 | u128::from(self.low)).to_canonical()
    }
}

impl From<IpAddr> for Key {
    fn from(addr: IpAddr) -> Key {
        match addr {
            IpAddr::V4(v4) => Key { high: 0, low: MAPPED | u64::from(u32::from(v4)) },
            IpAddr::V6(v6) => Key { high: (u128::from(v6) >> 64) as u64, low: u128::from(v6) as u64 },
        }
    }
}

/// The key of all hashes of one detector.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    first: u64,
    second: u64,
}

impl Seed {
    /// Spreads a seed over the key (the step of SplitMix64, Steele et al. 2014).
    pub fn new(seed: u64) -> Seed {
        let step = |n: u64| {
            let z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Seed { first: step(1), second: step(2) | 1 }
    }

    /// An address.
    pub fn address(self, key: Key) -> u64 {
        let first = if key.high == 0 { self.first } else { fold(key.high ^ self.first, self.second) };
        fold(key.low ^ first, self.second)
    }

    /// A hash with another word worked into it.
    pub fn join(self, hash: u64, word: u64) -> u64 {
        fold(hash ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.first, self.second)
    }
}

/// The 32 bits that a table keeps of a hash; never 0, which marks an empty place.
pub fn short(hash: u64) -> u32 {
    ((hash >> 32) as u32).max(1)
}

/// Multiplies to 128 bits and folds the halves: each bit of the product depends on all lower bits of both.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    #[test]
    fn neighbours_and_seeds_lead_apart() {
        let (one, two) = (Seed::new(1), Seed::new(2));
        let key = |addr: IpAddr| Key::from(addr);
        let v4: HashSet<u32> = (0..50_000_u32).map(|n| short(one.address(key(Ipv4Addr::from(n << 8).into())))).collect();
        assert!(v4.len() > 49_990, "{}", v4.len());
        let v6: HashSet<u32> = (0..50_000_u128).map(|n| short(one.address(key(Ipv6Addr::from(n << 64).into())))).collect();
        assert!(v6.len() > 49_990, "{}", v6.len());
        let addr = key(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_ne!(one.address(addr), two.address(addr));
        assert_ne!(one.join(7, 1), one.join(7, 2));
    }

    #[test]
    fn a_key_is_an_address() {
        for text in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::fffe:1.2.3.4", "ffff::"] {
            let addr: IpAddr = text.parse().unwrap();
            assert_eq!(Key::from(addr).addr(), addr);
        }
        let (v4, mapped): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(Key::from(v4), Key::from(mapped));
    }
}
