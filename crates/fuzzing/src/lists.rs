//! Others' lists of attackers, in each format and as they look. The promises: what is taken is sorted, each entry once, bounded, and the same each time;
//! a complaint is one line; a list that is read says the same when it is written plainly; and whatever stands in a list, nothing of it that is
//! vetted is too wide, exempt, or an address of somebody's own house.

use crate::choice;
use exchange::list::{Entry, Format, List, read};
use exchange::vet::{Terms, vet};
use model::net::Prefix;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Whom no list may touch here.
const EXEMPT: [&str; 2] = ["9.9.9.9", "2620:fe::/48"];
/// Prefixes that one line may become.
const OF_ONE_LINE: usize = 256;

/// The first byte chooses the format, or that it is told by the looks.
pub fn run(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let text = String::from_utf8_lossy(rest);
    let format = Format::ALL.get(usize::from(which) % (Format::ALL.len() + 1)).copied().unwrap_or_else(|| Format::of(&text));
    let result = read(format, &text);
    assert_eq!(read(format, &text), result);
    let list = match result {
        Ok(list) => list,
        Err(broken) => {
            let why = broken.to_string();
            assert!(why.len() <= 400 && !why.chars().any(char::is_control), "{why:?}");
            return;
        }
    };
    look(&list, format, &text);
    vetted(&list);
}

fn look(list: &List, format: Format, text: &str) {
    assert!(list.entries.windows(2).all(|pair| pair[0].prefix < pair[1].prefix), "{:?}", list.entries);
    assert!(list.problems.len() <= list.unread.min(20));
    assert!(list.problems.iter().all(|line| line.len() <= 400 && !line.chars().any(char::is_control)), "{:?}", list.problems);
    assert_eq!(list.over, 0, "nothing as short as this has so many");
    let is_stream = format == Format::Crowdsec;
    assert!(list.entries.iter().all(|entry| entry.lasts.is_some_and(|lasts| !lasts.is_zero()) == is_stream));
    assert!(is_stream || list.gone.is_empty() && list.entries.len() <= OF_ONE_LINE * text.lines().count());
    if format == Format::Drop {
        assert!(list.entries.is_empty() || text.contains("metadata"), "its end is missing");
    }
    let plain: String = list.entries.iter().map(|entry| format!("{}\n", entry.prefix)).collect();
    let again = read(Format::Plain, &plain).map(|again| again.entries.iter().map(|entry| entry.prefix).collect::<Vec<_>>());
    assert_eq!(again, Ok(list.entries.iter().map(|entry| entry.prefix).collect()));
}

fn vetted(list: &List) {
    let exempt = EXEMPT.map(|text| text.parse::<Prefix>().expect("a prefix"));
    let terms = Terms { always: 2, ..Terms::default() };
    let is_exempt = |prefix: &Prefix| exempt.iter().any(|exempt| exempt.overlaps(prefix));
    let vetted = vet(list, &terms, is_exempt, None).expect("no list as short as this is too long");
    let left_out = vetted.not_public + vetted.exempt + vetted.too_large;
    assert_eq!(vetted.entries.len() + left_out, list.entries.len());
    let all: BTreeSet<Prefix> = list.entries.iter().map(|entry| entry.prefix).collect();
    for Entry { prefix, .. } in &vetted.entries {
        assert!(all.contains(prefix) && !is_exempt(prefix));
        assert!(prefix.bits() >= if prefix.addr().is_ipv4() { 8 } else { 19 }, "{prefix}");
        assert!(is_strangers(prefix.addr()) && is_strangers(prefix.last()), "{prefix}");
    }
    // The same list is no other one, and half of it is, unless it is short.
    assert!(vet(list, &terms, is_exempt, Some(&vetted.entries)).is_ok());
    let few = List { entries: vetted.entries.iter().take(vetted.entries.len() / 3).copied().collect(), ..List::default() };
    let gone = vetted.entries.len() - few.entries.len();
    let is_other = vet(&few, &terms, is_exempt, Some(&vetted.entries)).is_err();
    assert_eq!(is_other, gone > terms.always && gone > vetted.entries.len() / 2);
}

/// The standard library's word for it.
fn is_strangers(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_documentation())
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast())
        }
    }
}
