//! What rules remember between lines: how often, how many different, since when. Bounded: the keys that were quiet for longest give way, and
//! each that still meant something is counted.

use hashbrown::HashMap;
use model::time::Time;
use smallvec::SmallVec;
use std::hash::RandomState;
use std::time::Duration;

/// Points in time that one key keeps. Beyond, the two nearest are joined at the earlier: they are forgotten sooner, never later.
const SLOTS: usize = 16;
/// Different values that one key keeps, and so the most that a rule may ask for.
pub(crate) const DISTINCT_MAX: u32 = 64;

/// What is counted by: an address or a short text has room in the table itself.
pub(crate) type Key = SmallVec<[u8; 24]>;

/// Keys in two halves. What is used comes to the young one; when that is full, the old one is forgotten and they change places. So the last
/// `bound / 2` keys are always there.
#[derive(Debug, Default)]
pub(crate) struct Table<V> {
    young: HashMap<Key, V, RandomState>,
    old: HashMap<Key, V, RandomState>,
    half: usize,
    given_way: u64,
}

/// A value that means nothing any more from some time on.
pub(crate) trait Until {
    fn until(&self) -> Time;
}

impl<V: Default + Until> Table<V> {
    pub(crate) fn new(bound: usize) -> Table<V> {
        Table { young: HashMap::default(), old: HashMap::default(), half: (bound / 2).max(1), given_way: 0 }
    }

    /// The value of this key, made anew if there is none.
    pub(crate) fn entry(&mut self, key: &Key, now: Time) -> &mut V {
        if self.young.len() >= self.half && !self.young.contains_key(key) {
            // Who is about to be used again does not go with the old.
            let kept = self.old.remove(key);
            self.given_way += self.old.values().filter(|value| value.until() > now).count() as u64;
            self.old = std::mem::take(&mut self.young);
            return self.young.entry_ref(key).or_insert_with(|| kept.unwrap_or_default());
        }
        self.young.entry_ref(key).or_insert_with(|| self.old.remove(key).unwrap_or_default())
    }

    /// The value of this key, if it still means something.
    pub(crate) fn get(&self, key: &Key, now: Time) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key)).filter(|value| value.until() >= now)
    }

    /// Keys that gave way although they still meant something.
    pub(crate) const fn given_way(&self) -> u64 {
        self.given_way
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// How a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The lines' scores within a time.
    Score { least: u32, within: Duration },
    /// Lines within a time.
    Lines { least: u32, within: Duration },
    /// Different values within a time.
    Distinct { least: u32, within: Duration },
    /// A bucket that loses one line each time, and is full with so many; if `distinct`, only a value that it hasn't pours into it.
    Leak { least: u32, each: Duration, distinct: bool },
}

impl Measure {
    /// The same with twice as many; of values no more than are kept.
    pub(crate) const fn doubled(self) -> Measure {
        match self {
            Measure::Score { least, within } => Measure::Score { least: least.saturating_mul(2), within },
            Measure::Lines { least, within } => Measure::Lines { least: least.saturating_mul(2), within },
            Measure::Distinct { least, within } => {
                Measure::Distinct { least: if least > DISTINCT_MAX / 2 { DISTINCT_MAX } else { least * 2 }, within }
            }
            Measure::Leak { least, each, distinct } => {
                let least = if distinct && least > DISTINCT_MAX / 2 { DISTINCT_MAX } else { least.saturating_mul(2) };
                Measure::Leak { least, each, distinct }
            }
        }
    }

    /// For how long a line counts.
    const fn span(self) -> Duration {
        match self {
            Measure::Score { within, .. } | Measure::Lines { within, .. } | Measure::Distinct { within, .. } => within,
            Measure::Leak { each, least, .. } => each.saturating_mul(least),
        }
    }

    const fn least(self) -> u32 {
        let (Measure::Score { least, .. } | Measure::Lines { least, .. } | Measure::Distinct { least, .. } | Measure::Leak { least, .. }) =
            self;
        least
    }
}

/// Who counts: a rule or a service, and what of it.
pub(crate) type Who = (u32, u8);

/// What all who count one key have collected. They lie together: what one line changes is found at once.
#[derive(Debug, Default)]
pub(crate) struct Record(SmallVec<[(Who, Entry); 3]>);

/// What one of them has collected.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    newest: Time,
    until: Time,
    /// Answers nothing before this.
    quiet: Time,
    /// What is in the leaky bucket, in nanoseconds until it is empty.
    level: u64,
    /// Seconds since 1970, lines and their score; or seconds and a value's hash.
    slots: SmallVec<[(u32, u32); 2]>,
}

/// What a count came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// What it was set against.
    pub(crate) measure: Measure,
    /// Lines (or different values) counted.
    pub(crate) count: u32,
    /// Their score.
    pub(crate) score: u32,
    /// Whether that is enough. Then counting begins anew.
    pub(crate) reached: bool,
}

impl Until for Record {
    fn until(&self) -> Time {
        self.0.iter().map(|(_, entry)| entry.until.max(entry.quiet)).max().unwrap_or_default()
    }
}

impl Record {
    /// What this one has collected, made anew if it is nothing yet.
    pub(crate) fn of(&mut self, who: Who) -> &mut Entry {
        let place = self.0.iter().position(|(known, _)| *known == who).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.push((who, Entry::default()));
        }
        &mut self.0[place].1
    }

    /// Whether this one has a mark that still means something.
    pub(crate) fn is_marked(&self, who: Who, now: Time) -> bool {
        self.0.iter().any(|(known, entry)| *known == who && entry.until >= now)
    }
}

const fn pack(lines: u32, score: u32) -> u32 {
    let (lines, score) = (if lines > 0xffff { 0xffff } else { lines }, if score > 0xffff { 0xffff } else { score });
    lines << 16 | score
}

const fn unpack(slot: u32) -> (u32, u32) {
    (slot >> 16, slot & 0xffff)
}

const fn join(slot: u32, other: u32) -> u32 {
    let ((lines, score), (more, still)) = (unpack(slot), unpack(other));
    pack(lines + more, score + still)
}

impl Entry {
    /// Counts `times` lines of `score` each (and of this value, where values are counted). A line that is older than the newest by more than the
    /// window says that the clock was set back: then counting begins anew.
    pub(crate) fn count(&mut self, measure: Measure, at: Time, times: u32, score: u32, value: u32, ignore: Duration) -> Tally {
        let (span, least) = (measure.span(), measure.least());
        if self.is_late(measure, at) {
            *self = Entry::default();
        }
        let elapsed = at.since(self.newest);
        self.newest = self.newest.max(at);
        self.until = self.newest.after(span);
        let seconds = |time: Time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let (now, window) = (seconds(self.newest), u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
        let (count, score) = match measure {
            Measure::Leak { each, distinct, .. } => {
                let one = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX).max(1);
                self.level = self.level.saturating_sub(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
                let times = match distinct {
                    true => u32::from(self.is_new(now, window, seconds(at), value)),
                    false => times,
                };
                self.level = self.level.saturating_add(one.saturating_mul(u64::from(times)));
                (u32::try_from(self.level.div_ceil(one)).unwrap_or(u32::MAX), 0)
            }
            Measure::Distinct { .. } => {
                self.is_new(now, window, seconds(at), value);
                (u32::try_from(self.slots.len()).unwrap_or(u32::MAX), 0)
            }
            Measure::Score { .. } | Measure::Lines { .. } => {
                self.slots.retain(|(second, _)| now.saturating_sub(*second) <= window);
                self.add(seconds(at), pack(times, score.saturating_mul(times)));
                self.slots.iter().fold((0_u32, 0_u32), |(lines, sum), (_, slot)| (lines + unpack(*slot).0, sum + unpack(*slot).1))
            }
        };
        let reached = at >= self.quiet && (if matches!(measure, Measure::Score { .. }) { score } else { count }) >= least;
        if reached {
            self.slots = SmallVec::new();
            self.level = 0;
            self.quiet = if ignore.is_zero() { Time::EPOCH } else { at.after(ignore) };
        }
        Tally { measure, count, score, reached }
    }

    /// Whether a line of this time is older than all that counts here.
    pub(crate) fn is_late(&self, measure: Measure, at: Time) -> bool {
        at.after(measure.span()) < self.newest
    }

    /// Remembers a value. Says whether it was not there.
    fn is_new(&mut self, now: u32, window: u32, second: u32, value: u32) -> bool {
        let known = self.slots.iter().any(|(second, known)| now.saturating_sub(*second) <= window && *known == value);
        self.slots.retain(|(second, known)| now.saturating_sub(*second) <= window && *known != value);
        self.slots.push((second, value));
        // More than any rule asks for: while it is to be quiet, a stranger may bring as many as he likes.
        if self.slots.len() > DISTINCT_MAX as usize {
            self.slots.remove(0);
        }
        !known
    }

    fn add(&mut self, second: u32, slot: u32) {
        let place = self.slots.iter().rposition(|(known, _)| *known <= second).map_or(0, |place| place + 1);
        if let Some((known, same)) = place.checked_sub(1).and_then(|place| self.slots.get_mut(place))
            && *known == second
        {
            *same = join(*same, slot);
            return;
        }
        self.slots.insert(place, (second, slot));
        if self.slots.len() <= SLOTS {
            return;
        }
        let gap = |pair: &[(u32, u32)]| if let [one, other] = pair { other.0 - one.0 } else { u32::MAX };
        let Some(nearest) = self.slots.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(place, _)| place) else { return };
        let (_, joined) = self.slots.remove(nearest + 1);
        if let Some((_, slot)) = self.slots.get_mut(nearest) {
            *slot = join(*slot, joined);
        }
    }

    /// Remembers that it was now, for so long. Says whether it was known.
    pub(crate) fn mark(&mut self, at: Time, span: Duration) -> bool {
        let known = self.until > at;
        self.until = at.after(span);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(second: u64) -> Time {
        Time::from_secs(1_000_000 + second)
    }

    fn lines(entry: &mut Entry, least: u32, second: u64) -> Tally {
        entry.count(Measure::Lines { least, within: WINDOW }, at(second), 1, 10, 0, Duration::ZERO)
    }

    #[test]
    fn a_window_slides() {
        let mut entry = Entry::default();
        assert!((0..4).all(|n| !lines(&mut entry, 5, n * 200).reached), "four within 600 s, and the fifth is too late");
        let measure = Measure::Lines { least: 5, within: WINDOW };
        assert_eq!(lines(&mut entry, 5, 800), Tally { measure, count: 4, score: 40, reached: false });
        assert_eq!(lines(&mut entry, 5, 801), Tally { measure, count: 4, score: 40, reached: false });
        assert!(lines(&mut entry, 5, 802).reached);
        assert_eq!(lines(&mut entry, 5, 803).count, 1, "then it begins anew");
    }

    #[test]
    fn many_lines_need_little_room_and_are_never_kept_too_long() {
        let mut entry = Entry::default();
        for second in 0..3_000 {
            let tally = lines(&mut entry, 60_000, second);
            let right = second.min(600) as u32 + 1;
            assert!(tally.count <= right && tally.count * 5 >= right * 4, "{} of {right}", tally.count);
            assert!(entry.slots.len() <= SLOTS);
        }
    }

    #[test]
    fn a_bucket_leaks() {
        let leak = Measure::Leak { least: 3, each: Duration::from_secs(10), distinct: false };
        let pour = |entry: &mut Entry, second| entry.count(leak, at(second), 1, 0, 0, Duration::ZERO).reached;
        let mut entry = Entry::default();
        assert!((0..50).all(|n| !pour(&mut entry, n * 10)), "one each ten seconds is never too much");
        let mut entry = Entry::default();
        assert!(!pour(&mut entry, 0) && !pour(&mut entry, 1) && pour(&mut entry, 2));
    }

    #[test]
    fn a_bucket_takes_each_value_once() {
        let leak = Measure::Leak { least: 3, each: Duration::from_secs(10), distinct: true };
        let pour = |entry: &mut Entry, second, value| entry.count(leak, at(second), 5, 0, value, Duration::ZERO).reached;
        let mut entry = Entry::default();
        assert!(!pour(&mut entry, 0, 1) && (0..9).all(|_| !pour(&mut entry, 1, 1)) && !pour(&mut entry, 1, 2) && pour(&mut entry, 2, 3));
        assert!(!pour(&mut entry, 100, 1) && !pour(&mut entry, 115, 2) && !pour(&mut entry, 130, 3), "it leaks all the same");
    }

    #[test]
    fn different_values_count_once() {
        let distinct = Measure::Distinct { least: 3, within: WINDOW };
        let mut entry = Entry::default();
        let mut see = |value, second| entry.count(distinct, at(second), 1, 0, value, Duration::ZERO).reached;
        assert!(!see(1, 0) && !see(1, 1) && !see(2, 2) && !see(2, 3) && see(3, 4));
    }

    #[test]
    fn different_values_have_a_bound_while_it_is_quiet() {
        let (distinct, hour) = (Measure::Distinct { least: 2, within: WINDOW }, Duration::from_secs(3_600));
        let mut entry = Entry::default();
        let reached = (0..10_000).filter(|n| entry.count(distinct, at(1), 1, 0, *n, hour).reached).count();
        assert_eq!((reached, entry.slots.len()), (1, DISTINCT_MAX as usize));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut entry = Entry::default();
        assert!(!lines(&mut entry, 3, 10_000).reached && !lines(&mut entry, 3, 10_000).reached);
        assert_eq!(lines(&mut entry, 3, 5_000).count, 1);
        assert_eq!(lines(&mut entry, 3, 4_999).count, 2, "a little out of order is no setting back");
    }

    #[test]
    fn quiet_after_an_answer() {
        let count = |entry: &mut Entry, second| {
            let measure = Measure::Lines { least: 2, within: WINDOW };
            entry.count(measure, at(second), 1, 0, 0, Duration::from_secs(60)).reached
        };
        let mut entry = Entry::default();
        assert!(!count(&mut entry, 0) && count(&mut entry, 1) && !count(&mut entry, 2) && !count(&mut entry, 60) && count(&mut entry, 61));
    }

    #[test]
    fn the_table_is_bounded_and_counts_what_gave_way() {
        let key = |n: u32| Key::from_slice(&n.to_be_bytes());
        let mut table = Table::<Record>::new(100);
        for n in 0..1_000_u32 {
            table.entry(&key(n), at(0)).of((1, 0)).mark(at(0), WINDOW);
            assert!(table.young.len() + table.old.len() <= 100);
            assert!(table.get(&key(n.saturating_sub(49)), at(0)).is_some(), "the last fifty are there");
        }
        assert_eq!(table.given_way(), 900);
        assert!(table.get(&key(999), at(601)).is_none(), "what has no meaning any more");
    }
}
