//! Names that stand for patterns: `<address>`, `<user>`, `<port>`. And what a text that was found there means as an address.
//! Never resolves a name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What there is without a file's own. Those with `(?P<…>` are fields of the finding.
pub(crate) const CLASSES: [(&str, &str); 8] = [
    // Brackets, zones and mapped addresses are read afterwards: this only says where it may be.
    ("address", r"\[?(?P<address>(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z._-]+)?)\]?"),
    // A name is whatever the stranger typed: everything up to the last place where the rest still fits.
    ("user", "(?P<user>.*)"),
    ("port", "(?P<port>[0-9]{1,5})"),
    ("host", r"(?P<host>[0-9A-Za-z._-]+)"),
    ("id", r"(?P<id>[^\s\[\]:,;]+)"),
    ("method", "(?P<method>[A-Z]{1,20})"),
    ("status", "(?P<status>[0-9]{3})"),
    ("url", r#"(?P<url>[^" ]*)"#),
];
/// Classes may stand for classes, so deep.
const DEPTH: usize = 4;

/// Replaces each `<name>`. What begins a group (`(?<name>` and `(?P<name>`) is left alone.
///
/// # Errors
/// The name that is unknown.
pub(crate) fn expand(pattern: &str, own: &BTreeMap<String, String>) -> Result<String, String> {
    let mut text = pattern.to_owned();
    for _ in 0..DEPTH {
        match once(&text, own)? {
            Cow::Borrowed(_) => return Ok(text),
            Cow::Owned(expanded) => text = expanded,
        }
    }
    Ok(text)
}

fn once<'t>(text: &'t str, own: &BTreeMap<String, String>) -> Result<Cow<'t, str>, String> {
    let (mut out, mut rest, mut changed) = (String::new(), text, false);
    while let Some(open) = rest.find('<') {
        let (before, behind) = rest.split_at(open);
        out.push_str(before);
        let name = behind.get(1..).and_then(|behind| behind.split_once('>')).map(|(name, _)| name);
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_');
        let group = out.ends_with("(?P") || out.ends_with("(?") || out.ends_with('\\');
        match name.filter(is_name).filter(|_| !group) {
            Some(name) => {
                let class = own.get(name).map(String::as_str);
                let class = class.or_else(|| CLASSES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class));
                out.push_str(class.ok_or_else(|| name.to_owned())?);
                rest = behind.get(name.len() + 2..).unwrap_or_default();
                changed = true;
            }
            None => {
                out.push('<');
                rest = behind.get(1..).unwrap_or_default();
            }
        }
    }
    if !changed {
        return Ok(Cow::Borrowed(text));
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The address at `from..to` of a message, if the text there is one and goes on as no name or number would: `192.0.2.1.example.org` is none.
pub(crate) fn address(message: &[u8], from: usize, to: usize) -> Option<IpAddr> {
    let letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let before = uncoloured(message.get(..from).unwrap_or_default()).last();
    let (next, second) = (message.get(to), message.get(to + 1));
    if letter(before) || before == Some(&b'.') || letter(next) || (next == Some(&b'.') && letter(second)) {
        return None;
    }
    parse(message.get(from..to)?)
}

/// Without what tells a terminal to colour what follows: `ESC [ 1 m`.
fn uncoloured(text: &[u8]) -> &[u8] {
    let Some(inner) = text.strip_suffix(b"m") else { return text };
    let digits = inner.iter().rev().take(8).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    inner.get(..inner.len() - digits).and_then(|rest| rest.strip_suffix(b"\x1b[")).unwrap_or(text)
}

/// Reads an address; a zone is dropped, an IPv4-mapped one comes out as IPv4.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = dotted(text) {
        return Some(IpAddr::V4(address));
    }
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(model::net::canonical)
}

/// Most addresses in logs: four numbers without more. Several times faster than the standard library, which reads all the others.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let mut parts = text.split(|byte| *byte == b'.');
    let mut number = || match *parts.next()? {
        [a] => u8::try_from(digit(a)?).ok(),
        [a @ b'1'..=b'9', b] => u8::try_from(digit(a)? * 10 + digit(b)?).ok(),
        [a @ b'1'..=b'9', b, c] => u8::try_from(digit(a)? * 100 + digit(b)? * 10 + digit(c)?).ok(),
        _ => None,
    };
    let octets = [number()?, number()?, number()?, number()?];
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(pattern: &str) -> Result<String, String> {
        expand(pattern, &BTreeMap::from([("who".to_owned(), "a<port>".to_owned()), ("deep".to_owned(), "<deep>".to_owned())]))
    }

    #[test]
    fn classes_are_replaced_and_groups_are_not() {
        assert_eq!(expanded("^x <port> (?<a>b) (?P<c>d) [<] <Upper> <").unwrap(), "^x (?P<port>[0-9]{1,5}) (?<a>b) (?P<c>d) [<] <Upper> <");
        assert_eq!(expanded("<who>b").unwrap(), "a(?P<port>[0-9]{1,5})b");
        assert_eq!(expanded("<prot>").unwrap_err(), "prot");
        assert_eq!(expanded("<deep>").unwrap(), "<deep>", "a class of itself comes to an end");
    }

    #[test]
    fn an_address_is_whole_or_none() {
        let of = |text: &str, part: &str| {
            let from = text.find(part).unwrap();
            address(text.as_bytes(), from, from + part.len()).map(|address| address.to_string())
        };
        assert_eq!(of("from 192.0.2.1.", "192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(of("from ::ffff:192.0.2.1 x", "::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(of("[fe80::1%eth0]:22", "fe80::1%eth0").as_deref(), Some("fe80::1"));
        assert_eq!(of("192.0.2.1:5060", "192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(of("from \x1b[1;32m192.0.2.1\x1b[0m", "192.0.2.1").as_deref(), Some("192.0.2.1"));
        for (text, part) in [
            ("192.0.2.1.example.org", "192.0.2.1"),
            ("192.0.2.300", "192.0.2.300"),
            ("x192.0.2.1", "192.0.2.1"),
            ("[1m192.0.2.1", "192.0.2.1"),
            ("1.192.0.2.1", "192.0.2.1"),
            ("192.0.2.1-x", "192.0.2.1"),
        ] {
            assert_eq!(of(text, part), None, "{text}");
        }
    }
    proptest::proptest! {
        #[test]
        fn what_is_read_by_hand_is_what_the_library_reads(text in "[0-9]{0,4}(\\.[0-9]{1,3}){0,4}\\.?x?") {
            proptest::prop_assert_eq!(dotted(text.as_bytes()), text.parse::<Ipv4Addr>().ok());
        }
    }
}
