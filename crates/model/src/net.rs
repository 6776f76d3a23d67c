//! Addresses, prefixes and protocol numbers. Never resolves a name.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Unwraps an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`), so that one host has one spelling.
pub fn canonical(addr: IpAddr) -> IpAddr {
    addr.to_canonical()
}

/// An address range: an address with its host bits zero, and a length in bits. IPv4 sorts before IPv6, then by address, then by length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before the slash is no IPv4 or IPv6 address.
    Address(String),
    /// The part after the slash is no number, or longer than the address.
    Length(String),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Address(text) => write!(f, "'{text}' is no IPv4 or IPv6 address"),
            PrefixError::Length(text) => write!(f, "'{text}' is no prefix length for this address"),
        }
    }
}

impl std::error::Error for PrefixError {}

impl Prefix {
    /// The prefix of `len` bits around `addr`; host bits are cleared, a length past the address' is cut to it.
    pub fn new(addr: IpAddr, len: u8) -> Self {
        match canonical(addr) {
            IpAddr::V4(v4) => {
                let len = len.min(32);
                let bits = u32::from(v4) & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                Prefix { addr: IpAddr::V4(Ipv4Addr::from(bits)), len }
            }
            IpAddr::V6(v6) => {
                let len = len.min(128);
                let bits = u128::from(v6) & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                Prefix { addr: IpAddr::V6(Ipv6Addr::from(bits)), len }
            }
        }
    }

    /// The prefix that holds just this address.
    pub fn host(addr: IpAddr) -> Self {
        Prefix::new(addr, 128)
    }

    /// The first address.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The length in bits: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub fn bits(&self) -> u8 {
        self.len
    }

    /// Whether it holds exactly one address.
    pub fn is_host(&self) -> bool {
        self.len == if self.addr.is_ipv4() { 32 } else { 128 }
    }

    /// Whether `addr` lies inside.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = canonical(addr);
        addr.is_ipv4() == self.addr.is_ipv4() && Prefix::new(addr, self.len).addr == self.addr
    }

    /// Whether the two share at least one address.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        if self.len <= other.len { self.contains(other.addr) } else { other.contains(self.addr) }
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        match self.addr {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) | u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) | u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0))),
        }
    }
}

/// By the addresses' numbers: what is derived compares them byte by byte, which a million blocks to sort feel.
impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_addr = match (self.addr, other.addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u32::from(a).cmp(&u32::from(b)),
            (IpAddr::V6(a), IpAddr::V6(b)) => u128::from(a).cmp(&u128::from(b)),
            (IpAddr::V4(_), IpAddr::V6(_)) => Ordering::Less,
            (IpAddr::V6(_), IpAddr::V4(_)) => Ordering::Greater,
        };
        by_addr.then(self.len.cmp(&other.len))
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<IpAddr> for Prefix {
    fn from(addr: IpAddr) -> Self {
        Prefix::host(addr)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| PrefixError::Address(addr.to_owned()))?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        match len {
            None => Ok(Prefix::host(addr)),
            Some(len) => match length(len, addr.is_ipv4()) {
                // A mapped address with a length would silently change what the length means.
                Some(n) if n <= max && canonical(addr) == addr => Ok(Prefix::new(addr, n)),
                _ => Err(PrefixError::Length(len.to_owned())),
            },
        }
    }
}

/// `24`, for IPv4 also `255.255.255.0`.
fn length(text: &str, is_ipv4: bool) -> Option<u8> {
    if is_ipv4 && text.contains('.') {
        let mask = u32::from(text.parse::<Ipv4Addr>().ok()?);
        return (mask.leading_ones() == mask.count_ones()).then(|| mask.count_ones() as u8);
    }
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() { write!(f, "{}", self.addr) } else { write!(f, "{}/{}", self.addr, self.len) }
    }
}

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

/// Protocols with a name that riposte prints. Anything else prints as its number.
const PROTOCOL_NAMES: [(u8, &str); 13] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (132, "sctp"),
    (136, "udplite"),
];

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Protocol = Protocol(1);
    /// IGMP: multicast membership.
    pub const IGMP: Protocol = Protocol(2);
    /// TCP.
    pub const TCP: Protocol = Protocol(6);
    /// UDP.
    pub const UDP: Protocol = Protocol(17);
    /// GRE.
    pub const GRE: Protocol = Protocol(47);
    /// ESP.
    pub const ESP: Protocol = Protocol(50);
    /// AH.
    pub const AH: Protocol = Protocol(51);
    /// ICMP for IPv6.
    pub const ICMPV6: Protocol = Protocol(58);
    /// SCTP.
    pub const SCTP: Protocol = Protocol(132);
    /// UDP-Lite.
    pub const UDPLITE: Protocol = Protocol(136);

    /// The name, in lower case, if riposte has one.
    pub fn name(self) -> Option<&'static str> {
        PROTOCOL_NAMES.iter().find(|(n, _)| *n == self.0).map(|(_, name)| *name)
    }

    /// Reads a name (any case) or a number 0 to 255.
    pub fn parse(text: &str) -> Option<Protocol> {
        if let Ok(n) = text.parse::<u8>() {
            return Some(Protocol(n));
        }
        // psad's word.
        if text.eq_ignore_ascii_case("icmp6") {
            return Some(Protocol::ICMPV6);
        }
        PROTOCOL_NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(n, _)| Protocol(*n))
    }

    /// Whether its header starts with two 16-bit ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Protocol::TCP | Protocol::UDP | Protocol::SCTP | Protocol::UDPLITE)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// How far away a packet's sender seems to be: the routers on its way, by what is left of its TTL or hop limit. Proves nothing: whoever forges
/// packets chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hops(pub u8);

impl Hops {
    /// From what is left. Systems begin with 32, 64, 128 or 255.
    pub fn of_ttl(left: u8) -> Hops {
        let begun = [32, 64, 128].into_iter().find(|begun| left <= *begun).unwrap_or(255);
        Hops(begun - left)
    }
}

impl fmt::Display for Hops {
    /// As `12 hops away`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} away", self.0, if self.0 == 1 { "hop" } else { "hops" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_what_they_should() {
        let p: Prefix = "192.0.2.77/24".parse().unwrap();
        assert_eq!(p.to_string(), "192.0.2.0/24");
        assert!(p.contains("192.0.2.255".parse().unwrap()));
        assert!(p.contains("::ffff:192.0.2.9".parse().unwrap()));
        assert!(!p.contains("192.0.3.0".parse().unwrap()));
        assert!(!p.contains("2001:db8::".parse().unwrap()));
        assert_eq!(p.last(), "192.0.2.255".parse::<IpAddr>().unwrap());
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert_eq!(all.last(), IpAddr::V6(Ipv6Addr::from(u128::MAX)));
        assert!("10.0.0.0/8".parse::<Prefix>().unwrap().overlaps(&"10.1.2.3".parse().unwrap()));
        assert!(!"10.0.0.0/8".parse::<Prefix>().unwrap().overlaps(&"11.0.0.0/8".parse().unwrap()));
    }

    #[test]
    fn prefixes_sort_by_family_address_and_length() {
        let sorted = ["0.0.0.0/0", "1.2.3.4", "10.0.0.0/8", "10.0.0.0/16", "200.0.0.0/8", "255.255.255.255", "::", "::2:0:0", "ff00::/8"];
        let mut prefixes: Vec<Prefix> = sorted.iter().rev().map(|text| text.parse().unwrap()).collect();
        prefixes.sort();
        assert_eq!(prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn bad_prefixes_say_which_part_is_bad() {
        assert_eq!("10.0.0".parse::<Prefix>(), Err(PrefixError::Address("10.0.0".into())));
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError::Length("33".into())));
        assert_eq!("10.0.0.0/255.0.0.0".parse::<Prefix>(), "10.0.0.0/8".parse());
        assert_eq!("10.0.0.0/255.0.255.0".parse::<Prefix>(), Err(PrefixError::Length("255.0.255.0".into())));
        assert_eq!("10.0.0.0/+8".parse::<Prefix>(), Err(PrefixError::Length("+8".into())));
        assert_eq!("10.0.0.0/".parse::<Prefix>(), Err(PrefixError::Length("".into())));
        assert_eq!("::ffff:1.2.3.4/24".parse::<Prefix>(), Err(PrefixError::Length("24".into())));
    }

    #[test]
    fn protocols_have_names_and_numbers() {
        assert_eq!(Protocol::parse("ICMPv6"), Some(Protocol::ICMPV6));
        assert_eq!(Protocol::parse("icmp6"), Some(Protocol::ICMPV6));
        assert_eq!(Protocol::parse("253"), Some(Protocol(253)));
        assert_eq!(Protocol::parse("256"), None);
        assert_eq!(Protocol(253).to_string(), "253");
        assert_eq!(Protocol::TCP.to_string(), "tcp");
    }

    #[test]
    fn hops_are_what_is_missing_from_a_usual_beginning() {
        for (left, hops) in [(64, 0), (63, 1), (52, 12), (128, 0), (113, 15), (65, 63), (255, 0), (240, 15), (32, 0), (20, 12), (0, 32)] {
            assert_eq!(Hops::of_ttl(left), Hops(hops), "{left}");
        }
    }
}
