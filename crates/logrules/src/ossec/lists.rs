//! Addresses in rules, and lists of keys (CDB files as text: `key:value` a line).

use model::net::{Prefix, canonical};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// An address, a range, `any`; with `!` everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    /// `None` is any.
    prefix: Option<Prefix>,
    pub negated: bool,
}

impl Net {
    /// What it stands for; `None` is any.
    pub fn prefix(&self) -> Option<Prefix> {
        self.prefix
    }

    /// `192.0.2.1`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0`, `192.0.2.`, `2001:db8::/32`, `any`, `!…`.
    pub fn parse(text: &str) -> Option<Net> {
        let text = text.trim();
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest.trim()));
        if text == "any" {
            return Some(Net { prefix: None, negated });
        }
        let dotted = text.strip_suffix('.').map(|start| (start, start.split('.').count()));
        let prefix = match (dotted, text.split_once('/')) {
            (Some((start, parts @ 1..=3)), _) => Prefix::new(format!("{start}{}", ".0".repeat(4 - parts)).parse().ok()?, parts as u8 * 8),
            (_, None) => Prefix::host(text.parse().ok()?),
            (_, Some((address, length))) => {
                let address: IpAddr = address.parse().ok()?;
                let bits = match length.parse::<Ipv4Addr>().map(u32::from) {
                    Ok(mask) if mask.count_ones() == mask.leading_ones() => mask.count_ones() as u8,
                    Ok(_) => return None,
                    Err(_) => length.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?,
                };
                Prefix::new(address, bits)
            }
        };
        Some(Net { prefix: Some(prefix), negated })
    }

    pub fn has(&self, address: IpAddr) -> bool {
        self.prefix.is_none_or(|prefix| prefix.contains(canonical(address)))
    }
}

/// Whether an address is on a list. To the letter: after the first `!` all that follows are exceptions, too.
pub(crate) fn any(nets: &[Net], address: IpAddr) -> bool {
    let mut answer = true;
    for net in nets {
        answer &= !net.negated;
        if net.has(address) {
            return answer;
        }
    }
    !answer
}

/// How a list is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    Key,
    NotKey,
    KeyValue,
    Address,
    NotAddress,
    AddressValue,
}

impl Lookup {
    pub const WORDS: [(&str, Lookup); 6] = [
        ("match_key", Lookup::Key),
        ("not_match_key", Lookup::NotKey),
        ("match_key_value", Lookup::KeyValue),
        ("address_match_key", Lookup::Address),
        ("not_address_match_key", Lookup::NotAddress),
        ("address_match_key_value", Lookup::AddressValue),
    ];
}

/// A list's keys with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Ranges among the keys.
    nets: Vec<(Net, Vec<u8>)>,
}

impl List {
    /// `key:value` a line; the key in quotes if it has a colon.
    pub fn parse(text: &str) -> List {
        let mut list = List::default();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let (key, value) = match line.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some((key, rest)) => (key, rest.strip_prefix(':').unwrap_or(rest)),
                None => line.split_once(':').unwrap_or((line, "")),
            };
            if key.contains('/')
                && let Some(net) = Net::parse(key)
            {
                list.nets.push((net, value.as_bytes().to_vec()));
            }
            list.keys.insert(key.as_bytes().to_vec(), value.as_bytes().to_vec());
        }
        list
    }

    /// A key's value.
    pub fn exactly(&self, key: &[u8]) -> Option<&[u8]> {
        self.keys.get(key).map(Vec::as_slice)
    }

    /// An address' value: its own, that of the longest `192.0.2.` before it, or that of a range.
    pub fn address(&self, key: &[u8]) -> Option<&[u8]> {
        let dots = key.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').filter_map(|(dot, _)| key.get(..=dot));
        let range = || {
            let address: IpAddr = std::str::from_utf8(key).ok()?.parse().ok()?;
            self.nets.iter().find(|(net, _)| net.has(address)).map(|(_, value)| value.as_slice())
        };
        self.exactly(key).or_else(|| dots.filter_map(|start| self.exactly(start)).next()).or_else(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nets_hold_what_they_say() {
        for (net, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.0/255.255.255.0", "::ffff:192.0.2.9", "192.0.3.0"),
            ("10.", "10.1.2.3", "11.0.0.0"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::"),
        ] {
            let net = Net::parse(net).unwrap();
            assert!(net.has(ip(inside)) && !net.has(ip(outside)), "{net:?}");
        }
        assert!(Net::parse("any").unwrap().has(ip("2001:db8::1")));
        assert_eq!((Net::parse("host"), Net::parse("1.2.3.4/33"), Net::parse("1.2.3.4/255.0.255.0")), (None, None, None));
        let not = [Net::parse("!192.0.2.0/24").unwrap()];
        assert!(any(&not, ip("198.51.100.1")) && !any(&not, ip("192.0.2.1")));
    }

    #[test]
    fn lists_are_asked_for_keys_and_addresses() {
        let list = List::parse("bob:admin\n192.0.2.:lab\n198.51.100.7:door\n\"2001:db8::1\":six\n203.0.113.0/28:dmz\nplain\n");
        assert_eq!(list.exactly(b"bob"), Some(&b"admin"[..]));
        assert_eq!(list.exactly(b"plain"), Some(&b""[..]));
        assert_eq!(list.exactly(b"2001:db8::1"), Some(&b"six"[..]));
        assert_eq!(list.address(b"192.0.2.77"), Some(&b"lab"[..]));
        assert_eq!(list.address(b"198.51.100.7"), Some(&b"door"[..]));
        assert_eq!(list.address(b"203.0.113.14"), Some(&b"dmz"[..]));
        assert_eq!(list.address(b"203.0.113.16"), None);
    }
}
