//! The small readers that every log format is built from: numbers, words and addresses in bytes.
//! Never allocates, never panics, and never takes a value that overflows for a smaller one.

use model::net::{Protocol, canonical};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest text of an IPv6 address (RFC 4291 §2.2 form 3, written out).
const ADDRESS_BYTES: usize = 45;

/// Splits a decimal number off the front.
#[inline]
pub fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (mut value, mut length) = (0_u64, 0);
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    // Ten digits always fit 64 bits.
    if !(1..=10).contains(&length) { None } else { Some((u32::try_from(value).ok()?, text.get(length..)?)) }
}

/// Splits a decimal number off the front that fits `T` and ends at a space or at the text's end.
#[inline]
pub fn value<T: TryFrom<u32>>(text: &[u8]) -> Option<(T, &[u8])> {
    let (value, rest) = number(text)?;
    matches!(rest.first(), None | Some(b' ')).then_some(())?;
    Some((T::try_from(value).ok()?, rest))
}

/// Reads a text that is a decimal number and nothing else.
pub fn whole<T: TryFrom<u32>>(text: &[u8]) -> Option<T> {
    let (value, rest) = number(text)?;
    rest.is_empty().then_some(())?;
    T::try_from(value).ok()
}

/// Reads `0x…`, at most eight hexadecimal digits and nothing else.
pub fn hexadecimal(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"0x")?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, byte| Some(value << 4 | u32::from(nibble(*byte)?)))
}

/// The value of one hexadecimal digit.
#[inline]
pub fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Splits at the first space: the word before it, and what comes from the space on.
#[inline]
pub fn until_space(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    text.split_at(end)
}

/// Takes the spaces off the front.
#[inline]
pub fn skip_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

/// The first word, and what follows it without the spaces between.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let (word, rest) = until_space(text);
    (word, skip_spaces(rest))
}

/// Splits an IPv4 address in dotted decimal off the front; leading zeros are refused, as some readers take them for octal.
#[inline]
pub fn v4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    // An octet's digits and value must belong together: 7, 42, 198; neither 007 nor 256.
    let fits = |digits: usize, octet: u32| matches!((digits, octet), (1, _) | (2, 10..) | (3, 100..=255));
    let (mut bits, mut octet, mut dots, mut start, mut length) = (0_u32, 0_u32, 0, 0, 0);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            octet = octet.wrapping_mul(10).wrapping_add(u32::from(digit));
        } else if *byte == b'.' && dots < 3 && fits(length - start, octet) {
            bits = bits << 8 | octet;
            (octet, dots, start) = (0, dots + 1, length + 1);
        } else {
            break;
        }
        length += 1;
    }
    let whole = dots == 3 && fits(length - start, octet);
    if whole { Some((Ipv4Addr::from(bits << 8 | octet), text.get(length..)?)) } else { None }
}

/// Splits an address off the front that ends at a space or at the text's end.
#[inline]
pub fn address_value(text: &[u8]) -> Option<(IpAddr, &[u8])> {
    if let Some((address, rest)) = v4(text)
        && matches!(rest.first(), None | Some(b' '))
    {
        return Some((IpAddr::V4(address), rest));
    }
    let (word, rest) = until_space(text);
    Some((address(word)?, rest))
}

/// Reads a text that is an IPv4 or IPv6 address and nothing else; IPv4-mapped ones come out as IPv4.
pub fn address(text: &[u8]) -> Option<IpAddr> {
    if let Some((address, rest)) = v4(text)
        && rest.is_empty()
    {
        return Some(IpAddr::V4(address));
    }
    if let Some(address) = full_v6(text) {
        return Some(canonical(IpAddr::V6(address)));
    }
    if text.len() > ADDRESS_BYTES {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok().map(|address| canonical(IpAddr::V6(address)))
}

/// Reads eight groups of four digits, as the kernel writes them.
fn full_v6(text: &[u8]) -> Option<Ipv6Addr> {
    let text: &[u8; 39] = text.try_into().ok()?;
    let mut bits = 0_u128;
    for (place, byte) in text.iter().enumerate() {
        if place % 5 == 4 {
            if *byte != b':' {
                return None;
            }
        } else {
            bits = bits << 4 | u128::from(nibble(*byte)?);
        }
    }
    Some(Ipv6Addr::from(bits))
}

/// Reads a protocol's name or number.
#[inline]
pub fn protocol(text: &[u8]) -> Option<Protocol> {
    Some(match text {
        b"TCP" => Protocol::TCP,
        b"UDP" => Protocol::UDP,
        b"ICMP" => Protocol::ICMP,
        b"ICMPv6" => Protocol::ICMPV6,
        b"UDPLITE" => Protocol::UDPLITE,
        _ if text.len() > 16 => return None,
        _ => Protocol::parse(std::str::from_utf8(text).ok()?)?,
    })
}

/// Whether `[`, digits, `]` and `:` stand somewhere in it: the mark of a process, never of the kernel.
pub fn has_process_mark(text: &[u8]) -> bool {
    memchr::memchr_iter(b'[', text)
        .any(|open| number(text.get(open + 1..).unwrap_or_default()).is_some_and(|(_, rest)| rest.starts_with(b"]:")))
}

/// A short text of its own; what does not fit is cut off.
#[derive(Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Text<N> {
    /// Takes a copy.
    #[inline]
    pub fn set(&mut self, text: &[u8]) {
        let length = text.len().min(N);
        if let (Some(place), Some(text)) = (self.bytes.get_mut(..length), text.get(..length)) {
            place.copy_from_slice(text);
            self.length = length;
        }
    }

    /// The text.
    #[inline]
    pub fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_wrap() {
        assert_eq!(number(b"4294967295 x"), Some((u32::MAX, b" x".as_slice())));
        assert_eq!(number(b"4294967296"), None);
        assert_eq!(number(b"18446744073709551617"), None);
        assert_eq!(number(b""), None);
        assert_eq!(value::<u16>(b"70000 "), None);
        assert_eq!(value::<u16>(b"80x"), None);
        assert_eq!(whole::<u8>(b"255"), Some(255));
        assert_eq!(whole::<u8>(b"256"), None);
        assert_eq!(hexadecimal(b"0x4000"), Some(0x4000));
        assert_eq!(hexadecimal(b"0x"), None);
        assert_eq!(hexadecimal(b"0x123456789"), None);
    }

    #[test]
    fn addresses_are_read_whole_or_not_at_all() {
        let read = |text: &str| address(text.as_bytes()).map(|address| address.to_string());
        assert_eq!(read("198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(read("0.0.0.0").as_deref(), Some("0.0.0.0"));
        assert_eq!(read("2001:0db8:0000:0000:0000:0000:0000:0001").as_deref(), Some("2001:db8::1"));
        assert_eq!(read("2001:db8::1").as_deref(), Some("2001:db8::1"));
        assert_eq!(read("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(read("0000:0000:0000:0000:0000:ffff:c000:0201").as_deref(), Some("192.0.2.1"));
        for bad in ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "01.2.3.4", "1.2.3.4x", "fe80::1%eth0", ":::", "2001:db8::1::"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn process_marks_are_found() {
        assert!(has_process_mark(b"host sshd[12]: x"));
        assert!(!has_process_mark(b"[UFW BLOCK]: [1] x"));
    }
}
