//! What the sieges of the warden and of the judge have in common: whom nobody may ever block, dice, and frames that are bent.

use link::codec::Writer;
use link::message::Message;
use model::net::Prefix;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the configuration exempts.
pub const EXEMPT: [&str; 3] = ["192.0.2.0/24", "203.0.113.7", "2001:db8:7::/48"];
/// What the host process has derived.
pub const GATEWAY: &str = "198.51.100.1";
/// What no change may ever touch. Written down once more, so that the warden isn't asked about itself.
pub const NEVER: [&str; 12] = [
    "192.0.2.0/24",
    "203.0.113.7/32",
    "2001:db8:7::/48",
    "198.51.100.1/32",
    "127.0.0.0/8",
    "0.0.0.0/8",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::1/128",
    "::/128",
    "ff00::/8",
    "198.41.0.4/32",
];

/// A prefix.
pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// First and last address as numbers, and whether it is IPv4: the test's own arithmetic, not the model's.
fn range(prefix: Prefix) -> (bool, u128, u128) {
    let (is_v4, first, width) = match prefix.addr() {
        IpAddr::V4(addr) => (true, u128::from(u32::from(addr)), 32),
        IpAddr::V6(addr) => (false, u128::from(addr), 128),
    };
    let host = width - u32::from(prefix.bits());
    (is_v4, first, first | 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1))
}

/// Whether two prefixes have an address in common, by the test's own arithmetic.
pub fn overlap(a: Prefix, b: Prefix) -> bool {
    let ((a4, a_first, a_last), (b4, b_first, b_last)) = (range(a), range(b));
    a4 == b4 && a_first <= b_last && b_first <= a_last
}

/// Numbers that look random and are the same each time (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below this.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    /// A prefix that a hostile judge would like to see blocked: often one that touches an exempt address, from above or below.
    pub fn victim(&mut self) -> Prefix {
        let crafted =
            ["0.0.0.0/0", "::/0", "::/96", "64:ff9b::/96", "64:ff9b::c000:207", "2002:c000:0207::/48", "::fffe:0:0/95", "128.0.0.0/1"];
        match self.below(5) {
            0 => prefix(crafted[self.below(crafted.len())]),
            1 => prefix(NEVER[self.below(NEVER.len())]),
            2 => {
                let near = prefix(NEVER[self.below(NEVER.len())]);
                let width = if near.addr().is_ipv4() { 33 } else { 129 };
                Prefix::new(near.addr(), self.below(width) as u8)
            }
            3 => Prefix::new(IpAddr::V4(Ipv4Addr::from(self.roll() as u32)), (self.below(25) + 8) as u8),
            _ => {
                let addr = Ipv6Addr::from(u128::from(self.roll()) << 64 | u128::from(self.roll()));
                Prefix::new(IpAddr::V6(addr), (self.below(113) + 16) as u8)
            }
        }
    }

    /// A frame: mostly this message, often bent, sometimes just bytes.
    pub fn frame(&mut self, message: &Message) -> Vec<u8> {
        if self.below(10) == 0 {
            let most = if self.below(20) == 0 { 70_000 } else { 300 };
            let len = 1 + self.below(most);
            return (0..len).map(|_| self.roll() as u8).collect();
        }
        let mut frame = encoded(message);
        for _ in 0..[0, 0, 0, 1, 3][self.below(5)] {
            match self.below(3) {
                0 => {
                    let len = 1 + self.below(frame.len());
                    frame.truncate(len);
                }
                1 => frame.push(self.roll() as u8),
                _ => {
                    let at = self.below(frame.len());
                    frame[at] = self.roll() as u8;
                }
            }
        }
        frame
    }
}

/// A message's bytes.
pub fn encoded(message: &Message) -> Vec<u8> {
    let mut writer = Writer::default();
    message.encode(&mut writer);
    writer.as_bytes().to_vec()
}

/// How many descriptors this process has, and whether it has ever had a child that it did not wait for.
pub fn possessions() -> (usize, String) {
    let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap_or_default();
    (fs::read_dir("/proc/self/fd").unwrap().count(), children)
}
