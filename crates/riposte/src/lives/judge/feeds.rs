//! Others' lists of attackers: when each is to be fetched, what of it is taken, and the last good copy, in the store's folder. Never takes a list
//! that is broken, too long or another one overnight: the one before stays until its time is over.

use crate::config::feed::{FeedConfig, Place, effect_word};
use crate::fetch::PATIENCE;
use court::court::Court;
use exchange::list::{Entry, List};
use exchange::vet::vet;
use link::message::{Got, Message};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use report::feed::{FeedLine, FeedTrouble};
use report::serial::Stamp;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the copies, in the store's.
const FOLDER: &str = "feeds";
/// Bytes of the longest copy that is read: as many entries as all lists together may have.
const COPY_BYTES: u64 = 16 << 20;
/// The least time between two fetches of a list that is published for everybody, asked for by an operator or not.
const HOUR: Duration = Duration::from_secs(3_600);
/// The longest time that a server can keep us from asking.
const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
/// So long an answer may take before the list is asked for again: longer than all lists together, one after the other.
const ANSWER: Duration = Duration::from_secs(PATIENCE.as_secs() * (limits::LISTS as u64 + 1));
/// So long the warden is told nothing for each frame that it was told: its gate takes five a second.
const TELL_PAUSE: Duration = Duration::from_millis(300);

/// An end or a time by both clocks: the wall's, for people, and the one that never steps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The wall's.
    pub wall: Time,
    /// The one that never steps.
    pub steady: Time,
}

impl Clock {
    /// What the wall's clock shows when the other one shows this.
    pub fn wall_of(self, steady: Time) -> Time {
        if steady >= self.steady { self.wall.after(steady.since(self.steady)) } else { self.wall.before(self.steady.since(steady)) }
    }
}

/// One list.
#[derive(Debug)]
struct Feed {
    config: FeedConfig,
    /// Who is on it, with the ends by the clock that never steps, sorted.
    entries: Vec<(Prefix, Time)>,
    /// What the server called the copy: `ETag` and `Last-Modified`.
    known: [String; 2],
    /// When it was fetched last (wall).
    fetched: Option<Time>,
    /// Until when it holds if nobody renews it (steady).
    until: Time,
    /// Entries of the last list that were left out: not public, exempt, too large, unreadable, beyond the bound.
    left_out: [u64; 5],
    /// Since when (wall) and why the copy can't be renewed.
    wrong: Option<(Time, String)>,
    /// When it is to be fetched (steady).
    due: Time,
    /// By which order and when it was asked for (steady), and nobody has answered yet.
    asked: Option<(u32, Time)>,
    /// Envoys in a row that have ended over it.
    lost: u32,
    /// When it was last asked for at all.
    tried: Option<Time>,
    /// Of a stream: whoever fetches it has read all of it.
    follows: bool,
    /// All of it was asked for, and not what has changed.
    whole: bool,
    /// What has come of the next one so far.
    coming: List,
    /// The copy could not be written.
    unkept: bool,
}

/// All lists.
#[derive(Debug)]
pub struct Feeds {
    feeds: Vec<Feed>,
    folder: PathBuf,
    /// The warden does not know of all of it yet.
    untold: bool,
    /// When it may be told (steady).
    tell_from: Time,
    /// Somebody is there who can fetch them.
    has_envoy: bool,
    /// The number of the last order.
    order: u32,
    /// Entries that were left out as exempt or beyond the bound when it was last told.
    pub kept_back: [usize; 2],
    /// Lists that were refused.
    pub refused: u64,
    /// Copies that could not be written.
    pub unwritten: u64,
}

impl Feeds {
    /// The feeds of the configuration, with their last good copies from the store's folder.
    pub fn load(configs: &[FeedConfig], store: &Path, court: &mut Court, clock: Clock) -> Feeds {
        let mut feeds = Feeds {
            feeds: Vec::new(),
            folder: store.join(FOLDER),
            untold: !configs.is_empty(),
            tell_from: Time::EPOCH,
            has_envoy: false,
            order: 0,
            kept_back: [0; 2],
            refused: 0,
            unwritten: 0,
        };
        for config in configs.iter().filter(|config| config.enabled) {
            let mut feed = Feed {
                config: config.clone(),
                entries: Vec::new(),
                known: Default::default(),
                fetched: None,
                until: clock.steady,
                left_out: [0; 5],
                wrong: None,
                due: clock.steady,
                asked: None,
                lost: 0,
                tried: None,
                follows: false,
                whole: true,
                coming: List::default(),
                unkept: false,
            };
            match copy_of(&feeds.folder, &feed.config.name) {
                Ok(copy) => feed.take_up(copy, court, clock),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(feed = feed.config.name, %error, "the feed's last good copy can't be read"),
            }
            feed.set(court, clock);
            feeds.feeds.push(feed);
        }
        feeds
    }

    /// When there is something to do (steady).
    pub fn due(&self) -> Option<Time> {
        let fetch = self.feeds.iter().filter(|_| self.has_envoy).map(|feed| feed.asked.map_or(feed.due, |(_, asked)| asked.after(ANSWER)));
        fetch.chain(self.untold.then_some(self.tell_from)).chain(self.next_end()).min()
    }

    fn next_end(&self) -> Option<Time> {
        self.feeds.iter().filter(|feed| !feed.entries.is_empty()).map(|feed| feed.until).min()
    }

    /// What is to be fetched now, as messages for the envoy.
    pub fn orders(&mut self, clock: Clock) -> Vec<Message> {
        let mut orders = Vec::new();
        for (number, feed) in self.feeds.iter_mut().enumerate().filter(|_| self.has_envoy) {
            let waits = feed.asked.is_some_and(|(_, asked)| clock.steady.since(asked) < ANSWER);
            if feed.due > clock.steady || waits {
                continue;
            }
            self.order = self.order.wrapping_add(1);
            (feed.asked, feed.tried) = (Some((self.order, clock.steady)), Some(clock.steady));
            feed.coming = List::default();
            // Only who has read a stream from its beginning is told what has changed.
            let whole = feed.config.is_stream() && !std::mem::replace(&mut feed.follows, true);
            feed.whole = whole || !feed.config.is_stream();
            let known = if feed.entries.is_empty() { Default::default() } else { feed.known.clone() };
            orders.push(Message::Fetch { order: self.order, feed: number as u8, whole, known });
        }
        orders
    }

    /// The envoy has begun, or has ended: whoever was asked will not answer.
    pub fn envoy(&mut self, is_there: bool) {
        self.has_envoy = is_there;
        for feed in &mut self.feeds {
            feed.follows = false;
            let Some((_, asked)) = feed.asked.take() else { continue };
            feed.lost = feed.lost.saturating_add(1);
            // Once may be chance. Whoever ends over each answer must not ask the publisher again and again.
            if feed.lost > 1 {
                feed.due = asked.after(feed.config.every.min(HOUR));
            }
        }
    }

    /// Exemptions have changed: the warden is told anew.
    pub fn exemptions_changed(&mut self) {
        self.untold |= !self.feeds.is_empty();
    }

    /// Takes a part of a list; hostile. False if nobody waits for it.
    pub fn items(&mut self, order: u32, items: Vec<(Prefix, Option<u32>)>, gone: Vec<Prefix>) -> bool {
        let Some(feed) = asked_by(&mut self.feeds, order) else { return false };
        // One more than is taken, so that the list is refused as too long; likewise below.
        let room = (feed.config.max_entries + 1).saturating_sub(feed.coming.entries.len());
        let entry = |(prefix, lasts): (Prefix, Option<u32>)| Entry { prefix, lasts: lasts.map(|secs| Duration::from_secs(secs.into())) };
        feed.coming.entries.extend(items.into_iter().take(room).map(entry));
        let room = (limits::LISTED + 1).saturating_sub(feed.coming.gone.len());
        feed.coming.gone.extend(gone.into_iter().take(room));
        true
    }

    /// Takes the end of a list. False if nobody waits for it.
    pub fn fetched(&mut self, order: u32, got: Got, court: &mut Court, clock: Clock) -> bool {
        let Some(feed) = asked_by(&mut self.feeds, order) else { return false };
        let asked = feed.asked.take().map_or(Time::EPOCH, |(_, at)| at);
        feed.lost = 0;
        feed.follows &= !matches!(got, Got::Nothing { .. });
        feed.due = clock.steady.after(feed.config.every);
        let (name, before) = (feed.config.name.clone(), feed.entries.clone());
        let wrong = match got {
            Got::Same => {
                // The same as what has ended meanwhile: all of it is wanted at once.
                if feed.entries.is_empty() && asked < feed.until {
                    feed.due = clock.steady;
                }
                feed.renew(clock);
                None
            }
            Got::List { known, left_out } => match feed.take(known, left_out, court, clock) {
                Ok(()) => None,
                Err(why) => {
                    feed.follows = false;
                    self.refused += 1;
                    Some(why)
                }
            },
            Got::Nothing { why, wait } => {
                let wait = Duration::from_secs(wait.unwrap_or(0).into()).min(WAIT_MAX);
                feed.due = clock.steady.after(feed.config.every.min(HOUR).max(wait));
                Some(why)
            }
        };
        feed.coming = List::default();
        let Some(why) = wrong else {
            if feed.wrong.take().is_some() {
                tracing::info!(feed = name, entries = feed.entries.len(), "the feed is fetched again");
            }
            let has_changed = feed.entries != before;
            if has_changed {
                feed.set(court, clock);
                self.untold = true;
            }
            // The time of a file is known, and a stream is read anew after a restart: only others have to be remembered as fresh.
            if has_changed || feed.unkept || !feed.config.is_stream() && matches!(feed.config.place, Place::Url(_)) {
                feed.keep(&self.folder, clock);
                self.unwritten += u64::from(feed.unkept);
            }
            return true;
        };
        let why: String = report::escape::text(&why, 200);
        if feed.wrong.as_ref().is_none_or(|(_, before)| *before != why) {
            tracing::warn!(feed = name, why, "the feed can't be renewed: its last good copy stays until its time is over");
        }
        feed.wrong = Some((feed.wrong.as_ref().map_or(clock.wall, |(since, _)| *since), why));
        true
    }

    /// Has feeds fetched now; how many, or why not.
    pub fn update(&mut self, name: Option<&str>, clock: Clock) -> Result<usize, String> {
        let mut many = 0;
        for feed in self.feeds.iter_mut().filter(|feed| name.is_none_or(|name| feed.config.name == name)) {
            let is_public = feed.config.every >= HOUR && matches!(feed.config.place, Place::Url(_));
            let tried = feed.tried.map(|tried| clock.steady.since(tried));
            let since = tried.or(feed.fetched.map(|fetched| clock.wall.since(fetched)));
            if let Some(since) = since.filter(|since| is_public && *since < HOUR) {
                if name.is_some() {
                    let minutes = since.as_secs() / 60;
                    return Err(format!("it was fetched {minutes} minutes ago: whoever publishes a list wants an hour in between"));
                }
                continue;
            }
            feed.due = clock.steady;
            many += 1;
        }
        match (many, name) {
            (0, Some(name)) => Err(format!("there is no feed '{name}' that is enabled")),
            _ => Ok(many),
        }
    }

    /// The clock was set by so much: the judge is told anew, and the copies, which have no other clock, go by it. So is the warden, which has a
    /// clock of its own: what was under way to it had its ends by the wall clock from before.
    pub fn clock_set(&mut self, step: Duration, forward: bool, court: &mut Court, clock: Clock) {
        for feed in &mut self.feeds {
            feed.fetched = feed.fetched.map(|at| if forward { at.after(step) } else { at.before(step) });
            feed.set(court, clock);
            if !feed.entries.is_empty() {
                feed.keep(&self.folder, clock);
                self.unwritten += u64::from(feed.unkept);
            }
        }
        self.exemptions_changed();
    }

    /// The machine slept: lists have aged as much. The warden's clock and the kernel's timers stood still meanwhile.
    pub fn slept(&mut self, span: Duration, court: &mut Court, clock: Clock) {
        for feed in &mut self.feeds {
            feed.entries.iter_mut().for_each(|(_, end)| *end = end.before(span));
            (feed.until, feed.due) = (feed.until.before(span), feed.due.before(span));
            feed.asked = feed.asked.map(|(order, at)| (order, at.before(span)));
            feed.tried = feed.tried.map(|at| at.before(span));
            feed.set(court, clock);
        }
        self.exemptions_changed();
    }

    /// Lets go of what is over.
    pub fn expire(&mut self, court: &mut Court, clock: Clock) {
        for feed in &mut self.feeds {
            if !feed.entries.is_empty() && feed.until <= clock.steady {
                tracing::warn!(
                    feed = feed.config.name,
                    entries = feed.entries.len(),
                    "the feed was not renewed in its time: nobody is on it any more"
                );
                feed.entries = Vec::new();
                feed.set(court, clock);
                self.untold = true;
            }
        }
    }

    /// What the warden is to be told now.
    pub fn tell(&mut self, court: &Court, clock: Clock) -> Vec<Message> {
        if !self.untold || self.tell_from > clock.steady {
            return Vec::new();
        }
        let (list, exempt, over) = court.judge.listed(clock.wall);
        self.kept_back = [exempt, over];
        let pieces = list.len().div_ceil(limits::BATCH_LISTED).max(1);
        (self.untold, self.tell_from) = (false, clock.steady.after(TELL_PAUSE * pieces as u32));
        let piece = |n: usize| list.chunks(limits::BATCH_LISTED).nth(n).unwrap_or_default().to_vec();
        (0..pieces).map(|n| Message::Listed { first: n == 0, last: n + 1 == pieces, items: piece(n) }).collect()
    }

    /// When this one was fetched last (wall).
    pub fn fetched_at(&self, name: &str) -> Option<Time> {
        self.feeds.iter().find(|feed| feed.config.name == name)?.fetched
    }

    /// How many can't be renewed.
    pub fn in_trouble(&self) -> usize {
        self.feeds.iter().filter(|feed| feed.wrong.is_some()).count()
    }

    /// For `riposte feeds list` and `status`.
    pub fn lines(&self, clock: Clock) -> Vec<FeedLine> {
        let line = |feed: &Feed| FeedLine {
            name: feed.config.name.clone(),
            place: feed.config.place.to_string(),
            effect: effect_word(feed.config.effect).to_owned(),
            entries: (feed.entries.len() as u64).saturating_sub(feed.left_out[1]),
            fetched: feed.fetched.map(Stamp),
            next: (feed.asked.is_none()).then(|| Stamp(clock.wall_of(feed.due.max(clock.steady)))),
            until: (!feed.entries.is_empty()).then(|| Stamp(clock.wall_of(feed.until))),
            left_out: FeedLine::REASONS.iter().zip(feed.left_out).filter(|(_, n)| *n > 0).map(|(why, n)| ((*why).to_owned(), n)).collect(),
            trouble: feed.wrong.as_ref().map(|(since, why)| FeedTrouble { since: Stamp(*since), why: why.clone() }),
        };
        self.feeds.iter().map(line).collect()
    }
}

/// Where the copy of this feed is.
fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.copy"))
}

fn copy_of(folder: &Path, name: &str) -> io::Result<Saved> {
    let mut text = String::new();
    File::open(path_of(folder, name))?.take(COPY_BYTES).read_to_string(&mut text)?;
    Saved::read(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The feed that this order was for, if that still waits for an answer.
fn asked_by(feeds: &mut [Feed], order: u32) -> Option<&mut Feed> {
    feeds.iter_mut().find(|feed| feed.asked.is_some_and(|(asked, _)| asked == order))
}

impl Feed {
    /// Tells the judge who is on it.
    fn set(&self, court: &mut Court, clock: Clock) {
        court.judge.set_list(&self.config.name, self.entries.iter().map(|(prefix, end)| (*prefix, clock.wall_of(*end))).collect());
    }

    /// It is still the same: whoever is on it is so for as long again. The kernel is bothered only when half of the time is over.
    fn renew(&mut self, clock: Clock) {
        self.fetched = Some(clock.wall);
        // Those that were on it before others came end first.
        if !self.config.is_stream() && self.entries.iter().any(|(_, end)| self.is_half_over(*end, clock)) {
            self.until = clock.steady.after(self.config.expires);
            self.entries.iter_mut().for_each(|(_, until)| *until = self.until);
        }
    }

    fn is_half_over(&self, end: Time, clock: Clock) -> bool {
        end.since(clock.steady) < self.config.expires / 2
    }

    /// Takes the list that has come, or says why not.
    fn take(&mut self, known: [String; 2], unread: [u32; 2], court: &Court, clock: Clock) -> Result<(), String> {
        let end = |entry: &Entry| clock.steady.after(entry.lasts.unwrap_or(self.config.expires).min(self.config.expires));
        let mut list = std::mem::take(&mut self.coming);
        if list.gone.len() > limits::LISTED {
            return Err(format!("more than {} are gone at once", limits::LISTED));
        }
        let lives = |(_, until): &&(Prefix, Time)| *until > clock.steady;
        let mut ends: BTreeMap<Prefix, Time> = BTreeMap::new();
        if !self.whole {
            // A stream says what has changed since.
            ends.extend(self.entries.iter().filter(lives).copied());
            list.gone.iter().for_each(|gone| _ = ends.remove(gone));
        }
        for entry in &list.entries {
            let until = ends.entry(entry.prefix).or_insert(end(entry));
            *until = end(entry).max(*until);
        }
        list.entries = ends.keys().map(|prefix| Entry { prefix: *prefix, lasts: None }).collect();
        // Those whose time is over are none who went all at once, and if they are named again, none who came.
        let before = self.entries.iter().filter(|entry| lives(entry) || ends.contains_key(&entry.0));
        let before: Vec<Entry> = before.map(|(prefix, _)| Entry { prefix: *prefix, lasts: None }).collect();
        let before = self.entries.iter().any(|entry| lives(&entry)).then_some(&before[..]);
        // A whole list of none is a server's mistake more often than the world's peace.
        if list.entries.is_empty() && before.is_some() && !self.config.is_stream() {
            return Err("it is empty".to_owned());
        }
        if !self.config.is_stream() {
            for (prefix, old) in self.entries.iter().filter(|(_, old)| !self.is_half_over(*old, clock)) {
                ends.entry(*prefix).and_modify(|end| *end = *old);
            }
        }
        // Who is exempt now is left out whenever the warden is told: he may be so no longer before the list is another one.
        let vetted = vet(&list, &self.config.terms(), |_| false, before).map_err(|refusal| refusal.to_string())?;
        let [not_public, too_large] = [vetted.not_public, vetted.too_large].map(|count| count as u64);
        self.left_out = [not_public, exempt(&vetted.entries, court), too_large, unread[0].into(), unread[1].into()];
        self.entries = vetted.entries.iter().filter_map(|entry| ends.get(&entry.prefix).map(|end| (entry.prefix, *end))).collect();
        // Each is a line of the copy: one with lines of its own would be entries that nobody has vetted.
        let is_line = |text: &String| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let known = known.map(|text| if is_line(&text) { text } else { String::new() });
        (self.known, self.fetched, self.until) = (known, Some(clock.wall), clock.steady.after(self.config.expires));
        Ok(())
    }

    /// Goes on with the copy of an earlier process, as far as it still holds; it is vetted like any other list.
    fn take_up(&mut self, copy: Saved, court: &Court, clock: Clock) {
        if copy.from != self.from() {
            tracing::info!(feed = self.config.name, "the feed's place is another one: its copy is not used");
            return;
        }
        let age = clock.wall.since(copy.fetched);
        if copy.fetched > clock.wall || age >= self.config.expires {
            return;
        }
        let latest = clock.steady.after(self.config.expires.saturating_sub(age));
        let ends: BTreeMap<Prefix, Time> =
            copy.entries.into_iter().map(|(prefix, end)| (prefix, clock.steady.after(end.since(clock.wall)).min(latest))).collect();
        let list = List { entries: ends.keys().map(|prefix| Entry { prefix: *prefix, lasts: None }).collect(), ..List::default() };
        if let Ok(vetted) = vet(&list, &self.config.terms(), |_| false, None) {
            self.left_out[1] = exempt(&vetted.entries, court);
            self.entries = vetted.entries.iter().filter_map(|entry| ends.get(&entry.prefix).map(|end| (entry.prefix, *end))).collect();
            (self.known, self.fetched, self.until) = (copy.known, Some(copy.fetched), latest);
            // A stream says only what has changed since somebody was connected: it begins anew.
            if !self.config.is_stream() {
                self.due = clock.steady.after(self.config.every.saturating_sub(age));
            }
        }
    }

    /// Where it comes from, as one line.
    fn from(&self) -> String {
        let place = self.config.place.to_string();
        report::escape::text(&place, place.len())
    }

    /// Writes a copy beside the old one and puts it into its place. Waits for no disk: one that a power cut has damaged is known by its end.
    /// One that can't be written is when the list is next fetched, changed or not.
    fn keep(&mut self, folder: &Path, clock: Clock) {
        let (name, text) = (&self.config.name, self.copy(clock).text());
        let new = folder.join(format!("{name}.new"));
        let written =
            fs::create_dir_all(folder).and_then(|()| fs::write(&new, text)).and_then(|()| fs::rename(&new, path_of(folder, name)));
        let could = !std::mem::replace(&mut self.unkept, written.is_err());
        if let Err(error) = written
            && could
        {
            tracing::warn!(feed = name, %error, "the feed's copy can't be kept: after a restart it is fetched again");
        }
    }

    fn copy(&self, clock: Clock) -> Saved {
        Saved {
            from: self.from(),
            fetched: self.fetched.unwrap_or(clock.wall),
            known: self.known.clone(),
            entries: self.entries.iter().map(|(prefix, end)| (*prefix, clock.wall_of(*end))).collect(),
        }
    }
}

/// How many of a list nobody may block.
fn exempt(entries: &[Entry], court: &Court) -> u64 {
    entries.iter().filter(|entry| court.judge.protection(&entry.prefix).is_some()).count() as u64
}

/// The last good copy of a list: lines `PREFIX SECONDS`, behind four lines that say what it is, and before one that says how many they are.
#[derive(Debug, PartialEq, Eq)]
struct Saved {
    from: String,
    fetched: Time,
    known: [String; 2],
    entries: Vec<(Prefix, Time)>,
}

impl Saved {
    fn text(&self) -> String {
        use std::fmt::Write as _;
        let (fetched, [etag, modified]) = (self.fetched.as_secs(), &self.known);
        let mut text = format!("# fetched {fetched}\n# from {}\n# etag {etag}\n# modified {modified}\n", self.from);
        self.entries.iter().for_each(|(prefix, end)| _ = writeln!(text, "{prefix} {}", end.as_secs()));
        let _ = writeln!(text, "# entries {}", self.entries.len());
        text
    }

    /// `None` if it is none, or not as it was written, to the last byte.
    fn read(text: &str) -> Option<Saved> {
        fn value<'t>(line: Option<&'t str>, key: &str) -> Option<&'t str> {
            line?.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(' ')
        }
        let mut lines = text.strip_suffix('\n')?.lines();
        let many: usize = value(lines.next_back(), "entries")?.parse().ok()?;
        let mut head = |key: &str| value(lines.next(), key).map(str::to_owned);
        let (fetched, from) = (Time::from_secs(head("fetched")?.parse().ok()?), head("from")?);
        let known = [head("etag")?, head("modified")?];
        let entry = |line: &str| {
            let (prefix, end) = line.split_once(' ')?;
            Some((prefix.parse().ok()?, Time::from_secs(end.parse().ok()?)))
        };
        let entries: Vec<_> = lines.map(entry).collect::<Option<_>>()?;
        (entries.len() == many).then_some(Saved { from, fetched, known, entries })
    }
}

#[cfg(test)]
mod tests;
