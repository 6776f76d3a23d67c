//! How the nouns become columns and columns the nouns again. Takes nothing in the file on trust: what it can't have
//! written itself is [`Error::Corrupt`].

use crate::error::Error;
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use std::net::IpAddr;

/// An address range as a blob that sorts by family, address, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: [u8; Key::V6_BYTES],
    used: usize,
}

impl Key {
    const V4_BYTES: usize = 6;
    const V6_BYTES: usize = 18;

    pub(crate) fn of(prefix: Prefix) -> Key {
        Key::spelled(prefix.addr(), prefix.bits())
    }

    /// The highest key that a range inside `prefix` can have.
    pub(crate) fn last_inside(prefix: Prefix) -> Key {
        Key::spelled(prefix.last(), u8::MAX)
    }

    fn spelled(addr: IpAddr, bits: u8) -> Key {
        let mut bytes = [0; Key::V6_BYTES];
        let used = match addr {
            IpAddr::V4(v4) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&v4.octets());
                Key::V4_BYTES
            }
            IpAddr::V6(v6) => {
                bytes[0] = 6;
                bytes[1..17].copy_from_slice(&v6.octets());
                Key::V6_BYTES
            }
        };
        bytes[used - 1] = bits;
        Key { bytes, used }
    }

    fn parse(blob: &[u8]) -> Option<Prefix> {
        let (addr, bits) = match blob {
            [4, addr @ .., bits] => (IpAddr::from(<[u8; 4]>::try_from(addr).ok()?), *bits),
            [6, addr @ .., bits] => (IpAddr::from(<[u8; 16]>::try_from(addr).ok()?), *bits),
            _ => return None,
        };
        let prefix = Prefix::new(addr, bits);
        // Only the canonical spelling: host bits zero, length within the family, never IPv4-mapped.
        (prefix.addr() == addr && prefix.bits() == bits).then_some(prefix)
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.bytes[..self.used])))
    }
}

/// Every range that holds all of `prefix` and more, from the widest.
pub(crate) fn wider(prefix: Prefix) -> impl Iterator<Item = Prefix> {
    (0..prefix.bits()).map(move |bits| Prefix::new(prefix.addr(), bits))
}

/// A time as SQLite's signed integer; past the year 2262 it is cut.
pub(crate) fn nanos(time: Time) -> i64 {
    whole(time.as_nanos())
}

/// An unsigned count as SQLite's signed integer; cut at 2^63.
pub(crate) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// One row of an answer, read by column number.
pub(crate) struct Columns<'a, 'b>(pub(crate) &'a rusqlite::Row<'b>);

impl Columns<'_, '_> {
    fn broken(&self, column: usize) -> Error {
        let name = self.0.as_ref().column_name(column).unwrap_or("?");
        Error::Corrupt(format!("column '{name}' holds what riposte never writes"))
    }

    /// An integer, or `None` for NULL.
    pub(crate) fn maybe<T: TryFrom<i64>>(&self, column: usize) -> Result<Option<T>, Error> {
        match self.0.get_ref(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(n) => T::try_from(n).map(Some).map_err(|_| self.broken(column)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.broken(column)),
        }
    }

    /// An integer.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Error> {
        self.maybe(column)?.ok_or_else(|| self.broken(column))
    }

    /// A time.
    pub(crate) fn time(&self, column: usize) -> Result<Time, Error> {
        self.number(column).map(Time::from_nanos)
    }

    /// A time, or `None` for NULL.
    pub(crate) fn maybe_time(&self, column: usize) -> Result<Option<Time>, Error> {
        Ok(self.maybe(column)?.map(Time::from_nanos))
    }

    /// An address range.
    pub(crate) fn prefix(&self, column: usize) -> Result<Prefix, Error> {
        let blob = self.0.get_ref(column)?.as_blob().map_err(|_| self.broken(column))?;
        Key::parse(blob).ok_or_else(|| self.broken(column))
    }

    /// A text, or `None` for NULL.
    pub(crate) fn text(&self, column: usize) -> Result<Option<String>, Error> {
        let text = self.0.get_ref(column)?.as_str_or_null().map_err(|_| self.broken(column))?;
        Ok(text.map(str::to_owned))
    }

    /// Bytes.
    pub(crate) fn blob(&self, column: usize) -> Result<Vec<u8>, Error> {
        self.0.get_ref(column)?.as_blob().map(<[u8]>::to_vec).map_err(|_| self.broken(column))
    }

    /// One of a list, by its index.
    pub(crate) fn one_of<T: Copy>(&self, column: usize, all: &[T]) -> Result<T, Error> {
        all.get(self.number::<usize>(column)?).copied().ok_or_else(|| self.broken(column))
    }

    /// What `make` makes of the number.
    pub(crate) fn made<N: TryFrom<i64>, T>(&self, column: usize, make: impl FnOnce(N) -> Option<T>) -> Result<T, Error> {
        make(self.number(column)?).ok_or_else(|| self.broken(column))
    }
}

/// Every trust, by its number in the file.
pub(crate) const TRUST: [Trust; 3] = [Trust::Spoofable, Trust::Handshake, Trust::Vouched];

/// Characters of an operator's note that are kept.
const NOTE_CHARS: usize = 200;

/// An operator's words, cut to 200 characters; what could move a terminal's cursor, hide or reorder text becomes `�`.
pub(crate) fn clean_note(note: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    note.chars().take(NOTE_CHARS).map(|c| if hides(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::block::{Fault, State};
    use model::decision::{Cap, ExemptReason, WatchReason};
    use model::offence::Charge;

    fn blob(prefix: &str) -> Vec<u8> {
        let key = Key::of(prefix.parse().unwrap());
        key.bytes[..key.used].to_vec()
    }

    #[test]
    fn keys_sort_as_addresses_do_and_read_back() {
        let sorted =
            ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0", "10.0.0.255", "10.0.1.0", "::/0", "2001:db8::/32", "2001:db8::1"];
        let keys: Vec<_> = sorted.iter().map(|text| blob(text)).collect();
        assert!(keys.is_sorted());
        for (text, key) in sorted.iter().zip(&keys) {
            assert_eq!(Key::parse(key).unwrap().to_string(), *text);
        }
    }

    #[test]
    fn keys_that_nobody_wrote_are_refused() {
        for bad in [
            &[][..],
            &[4],
            &[4, 32],
            &[4, 1, 2, 3, 4],
            &[4, 1, 2, 3, 4, 33],
            &[4, 1, 2, 3, 4, 24],
            &[5, 1, 2, 3, 4, 32],
            &[4, 1, 2, 3, 4, 5, 32],
            &[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4, 128],
        ] {
            assert_eq!(Key::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_range_of_a_prefix_holds_what_lies_inside_and_nothing_else() {
        let prefix: Prefix = "10.0.0.0/24".parse().unwrap();
        let (low, high) = (Key::of(prefix), Key::last_inside(prefix));
        let inside = |text: &str| (&low.bytes[..low.used]..=&high.bytes[..high.used]).contains(&&blob(text)[..]);
        assert!(inside("10.0.0.0/24") && inside("10.0.0.0") && inside("10.0.0.255") && inside("10.0.0.128/25"));
        assert!(!inside("10.0.0.0/8") && !inside("10.0.1.0") && !inside("9.255.255.255") && !inside("::"));
        let wider: Vec<_> = wider("192.0.0.0/3".parse().unwrap()).map(|prefix| prefix.to_string()).collect();
        assert_eq!(wider, ["0.0.0.0/0", "128.0.0.0/1", "192.0.0.0/2"]);
    }

    #[test]
    fn every_enum_is_numbered_as_it_stands_in_its_list() {
        fn in_order<T: Copy>(all: &[T], number: impl Fn(T) -> usize) {
            all.iter().enumerate().for_each(|(n, item)| assert_eq!(number(*item), n));
        }
        in_order(&State::ALL, |x| x as usize);
        in_order(&Fault::ALL, |x| x as usize);
        in_order(&Charge::ALL, |x| x as usize);
        in_order(&Cap::ALL, |x| x as usize);
        in_order(&WatchReason::ALL, |x| x as usize);
        in_order(&ExemptReason::ALL, |x| x as usize);
        in_order(&TRUST, |x| x as usize);
    }

    #[test]
    fn notes_are_cut_and_can_not_touch_a_terminal() {
        assert_eq!(clean_note("tea\x1b[2J\nand\u{202e}cake"), "tea\u{fffd}[2J\u{fffd}and\u{fffd}cake");
        assert_eq!(clean_note(&"ä".repeat(1000)).chars().count(), 200);
    }
}
