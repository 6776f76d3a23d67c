//! What OSSEC keeps between lines. Every table has a bound; what gives way is counted.

use super::decoder::{Decoder, FieldSet, Kind};
use super::event::{Event, Field};
use super::rule::Rule;
use model::time::Time;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a key that are kept: a stranger's name or URL may be as long as a line. A longer one is its beginning and a hash.
const KEY_MAX: usize = 512;
/// Entries of each table.
const ENTRIES_MAX: usize = 1 << 16;
/// Intrusion detectors' alerts that new ones are compared with (`analysisd.fts_list_size`).
const ALIKE_LIST: usize = 32;
/// So many first bytes make two of them alike (`analysisd.fts_min_size_for_str`).
const ALIKE_LENGTH: usize = 14;
/// How long the parts of a session wait for each other.
const SESSION: Duration = Duration::from_secs(120);
/// Longer values of a session are not kept.
const SESSION_VALUE_MAX: usize = 80;

/// A table that forgets its oldest entry when it is full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table<V> {
    entries: BTreeMap<Arc<[u8]>, V>,
    oldest: VecDeque<Arc<[u8]>>,
    pub evicted: u64,
}

/// A key or value that is only compared, cut to what is kept of it.
pub(crate) fn short(key: &[u8]) -> Cow<'_, [u8]> {
    let Some(start) = key.get(..KEY_MAX).filter(|start| start.len() < key.len()) else { return Cow::Borrowed(key) };
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    Cow::Owned([start, &hasher.finish().to_le_bytes()].concat())
}

impl<V> Table<V> {
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.entries.get(&*short(key))
    }

    pub fn put(&mut self, key: &[u8], value: V) {
        let key: Arc<[u8]> = Arc::from(&*short(key));
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.oldest.push_back(key);
        if self.oldest.len() > ENTRIES_MAX
            && let Some(key) = self.oldest.pop_front()
        {
            self.entries.remove(&key);
            self.evicted += 1;
        }
    }
}

/// A session's values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    at: Time,
    values: [Option<Vec<u8>>; SESSION_FIELDS.len()],
}

const SESSION_FIELDS: [Field; 7] =
    [Field::DstUser, Field::SrcUser, Field::DstIp, Field::SrcIp, Field::DstPort, Field::SrcPort, Field::Data];

/// All of it but the composites' memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// What has been seen before.
    pub seen: Table<()>,
    alike: VecDeque<Vec<u8>>,
    /// What rules have put on their ignore lists.
    pub ignored: Table<()>,
    /// What a `check_diff` rule saw last.
    pub last: Table<Vec<u8>>,
    pub sessions: Table<Session>,
    /// How often a response was made, and until when the last one lasts.
    pub offenders: Table<(usize, Time)>,
    /// Since when each rule is muted.
    pub muted: Vec<Option<Time>>,
}

impl State {
    /// For so many rules.
    pub fn new(rules: usize) -> State {
        State { muted: vec![None; rules], ..State::default() }
    }

    /// As at the start.
    pub fn clear(&mut self) {
        *self = State::new(self.muted.len());
    }

    /// Whether the decoder's fields are seen for the first time.
    pub fn first_time(&mut self, decoder: &Decoder, event: &Event, place: &str) -> bool {
        let mut key = decoder.shown.as_bytes().to_vec();
        fields(decoder.fts, event, &mut key);
        if decoder.fts.has(FieldSet::LOCATION) {
            key.push(b' ');
            key.extend_from_slice(place.as_bytes());
        }
        if self.seen.get(&key).is_some() {
            return false;
        }
        if event.kind == Kind::Ids {
            // An intrusion detector that finds the same over and over is not new each time.
            let alike = |other: &&Vec<u8>| other.iter().zip(&key).take_while(|(one, other)| one == other).count() > ALIKE_LENGTH;
            if self.alike.iter().filter(alike).count() > 2 {
                key.truncate(ALIKE_LENGTH);
            }
            if self.alike.len() >= ALIKE_LIST {
                self.alike.pop_front();
            }
            self.alike.push_back(key.clone());
            if self.seen.get(&key).is_some() {
                return false;
            }
        }
        self.seen.put(&key, ());
        true
    }

    /// Whether a rule's log differs from the last one; the first differs from nothing.
    pub fn differs(&mut self, rule: &Rule, event: &Event) -> bool {
        let mut key = rule.id.to_le_bytes().to_vec();
        key.extend(event.host.map_or(&[][..], |host| event.at(host)));
        let log = short(event.log());
        let answer = match self.last.get(&key) {
            None => false,
            Some(last) if *last == *log => return false,
            Some(_) => true,
        };
        self.last.put(&key, log.into_owned());
        answer
    }

    /// Adds to a line what other lines of its session had, and keeps what it has.
    pub fn accumulate(&mut self, decoder: &Decoder, event: &mut Event) {
        let Some(id) = event.get(Field::Id) else { return };
        let host = event.host.map_or(&[][..], |host| event.at(host));
        let key = [host, b" ", decoder.shown.as_bytes(), b" ", id].concat();
        let mut session = self.sessions.get(&key).filter(|session| event.at.since(session.at) <= SESSION).cloned().unwrap_or_default();
        session.at = event.at;
        for (field, kept) in SESSION_FIELDS.into_iter().zip(&mut session.values) {
            match (event.get(field), kept.as_deref()) {
                (None | Some([]), Some(value)) => {
                    let value = value.to_vec();
                    event.make(field, &value);
                }
                (Some(value), None) if !value.is_empty() && value.len() <= SESSION_VALUE_MAX => *kept = Some(value.to_vec()),
                _ => {}
            }
        }
        self.sessions.put(&key, session);
    }

    /// Whether a rule is muted now; if not and it is to be, it is from now on.
    pub fn mutes(&mut self, place: u32, rule: &Rule, now: Time) -> bool {
        let (Some(span), Some(since)) = (rule.mute.filter(|span| !span.is_zero()), self.muted.get_mut(place as usize)) else {
            return false;
        };
        if since.is_some_and(|since| now.since(since) < span) {
            return true;
        }
        // To the letter: the alert that ends the silence does not begin the next one.
        *since = if since.is_some() { None } else { Some(now) };
        false
    }

    /// What the ignore list knows an event by.
    pub fn ignore_key(set: FieldSet, decoder: Option<&Decoder>, event: &Event, place: &str) -> Vec<u8> {
        let mut key = Vec::new();
        if let Some(decoder) = decoder.filter(|_| set.has(FieldSet::NAME)) {
            key.extend_from_slice(decoder.shown.as_bytes());
        }
        fields(set, event, &mut key);
        if set.has(FieldSet::LOCATION) {
            key.extend_from_slice(place.as_bytes());
        }
        key
    }

    /// For how long a response lasts: each time that an offender comes back after the last one was over, longer.
    pub fn duration(&mut self, command: &str, whom: &str, first: Duration, repeated: &[Duration], now: Time) -> Duration {
        let key = [command.as_bytes(), b" ", whom.as_bytes()].concat();
        let (count, until) = self.offenders.get(&key).copied().unwrap_or_default();
        let count = if until > now { count.max(1) } else { count + 1 };
        let span = match count.checked_sub(2) {
            None => first,
            Some(place) => repeated.get(place).or(repeated.last()).copied().unwrap_or(first),
        };
        self.offenders.put(&key, (count, now.after(span)));
        span
    }

    /// What gave way.
    pub fn evicted(&self) -> u64 {
        self.seen.evicted + self.ignored.evicted + self.last.evicted + self.sessions.evicted + self.offenders.evicted
    }
}

fn fields(set: FieldSet, event: &Event, key: &mut Vec<u8>) {
    for field in Field::ALL {
        key.push(b' ');
        if set.has(FieldSet::of(field)) {
            key.extend_from_slice(event.get(field).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_takes_little_room_and_is_still_its_own() {
        let (mut table, long) = (Table::default(), vec![b'x'; 8_192]);
        let other = [&long[..], b"y"].concat();
        table.put(&long, 1);
        table.put(&other, 2);
        assert_eq!((table.get(&long), table.get(&other), table.get(&long[..KEY_MAX])), (Some(&1), Some(&2), None));
        assert!(table.entries.keys().all(|key| key.len() == KEY_MAX + 8));
    }
}
