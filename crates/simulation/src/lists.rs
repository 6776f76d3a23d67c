//! Others' lists in the machine: who publishes them, the envoy that fetches them, and the judge's and the warden's part, driven as the daemon's
//! loops drive them. What is real: the judge's `Feeds` with its copies on the disk, the warden's `Lists` and `Allowances`. What is not: the network.

use crate::dice::Dice;
use crate::kernel::Moment;
use crate::machine::{Machine, ToWarden};
use crate::plan;
use link::message::{Got, Life, Message};
use model::block::Expiry;
use model::net::Prefix;
use model::time::Time;
use riposte::config::feed::FeedConfig;
use riposte::lives::judge::feeds::Clock;
use riposte::lives::moved;
use riposte::lives::warden::listed::whole_seconds;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::time::Duration;

/// The first and the longest wait of the warden before it tries again what the kernel has refused.
const TRY_FIRST: Duration = Duration::from_millis(50);
const TRY_LAST: Duration = Duration::from_secs(5);
/// Entries of one message.
const PIECE: usize = 500;

/// Somebody elsewhere who keeps a list.
#[derive(Debug, Clone, Default)]
pub struct Publisher {
    /// Who is on it; of a stream, each with its end (true time).
    pub entries: BTreeMap<Prefix, Option<Time>>,
    /// Who is off a stream since it was last read.
    gone: BTreeSet<Prefix>,
    /// Who is on a stream since it was last read.
    fresh: BTreeSet<Prefix>,
    /// Which list it is.
    version: u64,
    /// Nobody answers, or nothing that could be read.
    pub is_down: bool,
}

/// What the envoy has fetched, as it answers the judge.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Which feed.
    pub feed: usize,
    /// Entries, with the seconds that the feed gives.
    pub items: Vec<(Prefix, Option<u32>)>,
    /// Who is so no longer.
    pub gone: Vec<Prefix>,
    /// All of it was asked for, and not what has changed.
    pub whole: bool,
    /// When it was fetched (true time).
    pub at: Time,
}

/// What comes from the envoy: a part of an answer, or its end with all that it was.
#[derive(Debug, Clone)]
enum Said {
    Items(Message),
    End(Message, Answer),
}

/// The envoy, and what the warden waits for.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    pub publishers: Vec<Publisher>,
    said: VecDeque<(Time, Said)>,
    /// When the envoy begins (again); `None`: it is at work.
    begins: Option<Time>,
    /// It answers, but late.
    pub is_slow: bool,
    /// What the warden tries again: the lists, the exempt list; when (true time) and how long it waited.
    again: [Option<(Time, Duration)>; 2],
}

/// The end of an answer, as the judge has taken it.
#[derive(Debug, Clone)]
pub struct Taken {
    /// How it went.
    pub got: Got,
    /// All of the answer.
    pub answer: Answer,
    /// Whether the judge had asked for it.
    pub was_asked: bool,
}

impl Elsewhere {
    /// With so many lists, on which nobody is.
    pub fn of(lists: usize) -> Elsewhere {
        Elsewhere { publishers: vec![Publisher::default(); lists], ..Elsewhere::default() }
    }
}

impl Publisher {
    /// Puts somebody on the list; of a stream, until this time.
    pub fn add(&mut self, whom: Prefix, until: Option<Time>) {
        self.entries.insert(whom, until);
        self.gone.remove(&whom);
        self.fresh.insert(whom);
        self.version += 1;
    }

    /// Takes somebody off.
    pub fn remove(&mut self, whom: &Prefix) {
        self.entries.remove(whom);
        self.fresh.remove(whom);
        self.gone.insert(*whom);
        self.version += 1;
    }

    fn answer(&mut self, whole: bool, known: &[String; 2], is_stream: bool, now: Time, dice: &mut Dice) -> (Got, Answer) {
        let mut answer = Answer { whole: whole || !is_stream, at: now, ..Answer::default() };
        if self.is_down {
            let wait = dice.one_in(4).then(|| dice.between(1, 7_200) as u32);
            return (Got::Nothing { why: "nobody answers".to_owned(), wait }, answer);
        }
        let tag = format!("\"{}\"", self.version);
        if !is_stream && known[0] == tag {
            answer.items = self.entries.keys().map(|prefix| (*prefix, None)).collect();
            return (Got::Same, answer);
        }
        // Who reads all of a stream from a library must not rely on the ends of what is over: it is not told.
        self.entries.retain(|_, until| until.is_none_or(|until| until > now.after(Duration::from_secs(1))));
        let told = self.entries.iter().filter(|(prefix, _)| answer.whole || self.fresh.contains(prefix));
        answer.items = told.map(|(prefix, until)| (*prefix, until.map(|until| until.since(now).as_secs() as u32))).collect();
        if !answer.whole {
            answer.gone = self.gone.iter().copied().collect();
        }
        if is_stream {
            (self.gone, self.fresh) = Default::default();
        }
        let known = if is_stream || dice.one_in(4) { Default::default() } else { [tag, String::new()] };
        (Got::List { known, left_out: [0; 2] }, answer)
    }
}

impl Machine {
    /// The feeds' configuration.
    pub fn feed_configs(&self) -> &[FeedConfig] {
        &self.feed_configs
    }

    /// The judge's clocks.
    pub fn clocks(&self) -> Clock {
        Clock { wall: self.clock.wall(), steady: self.clock.kernel() }
    }

    /// As the judge does before its first turn.
    pub(crate) fn judge_begins(&mut self) {
        if self.court.failing.is_none() {
            self.tell_allowed();
        }
        // Its end was the envoy's.
        self.envoy_dies();
    }

    /// The envoy dies, and begins again.
    pub fn envoy_dies(&mut self) {
        self.elsewhere.said.clear();
        self.post.envoy_dies();
        self.feeds.envoy(false);
        self.elsewhere.begins = Some(self.clock.truth().after(Duration::from_millis(self.dice.between(10, 3_000))));
    }

    /// The warden and the kernel hold the operators' allowances as well.
    pub fn tell_allowed(&mut self) {
        self.feeds.exemptions_changed();
        let allowed = self.court.judge.allowed().into_iter().map(|(prefix, until)| (prefix, until.map_or(Expiry::Never, Expiry::At)));
        let allowed = allowed.collect();
        self.order(ToWarden::Allowed(allowed));
    }

    /// The judge's part.
    pub(crate) fn look_after_feeds(&mut self) {
        if std::mem::take(&mut self.court.allowed_again) {
            self.tell_allowed();
        }
        let clock = self.clocks();
        if self.feeds.due().is_none_or(|due| due > clock.steady) {
            return;
        }
        self.feeds.expire(&mut self.court, clock);
        for message in self.feeds.tell(&self.court, clock) {
            self.order(ToWarden::Listed(message));
        }
        if self.elsewhere.begins.is_none() {
            self.feeds.orders(clock).into_iter().for_each(|order| self.fetch(order));
        }
    }

    /// The envoy fetches a list; what it says of it comes in pieces, and late.
    fn fetch(&mut self, order: Message) {
        let Message::Fetch { order, feed, whole, known } = order else { return };
        let number = usize::from(feed);
        let Some(is_stream) = self.feed_configs.get(number).map(FeedConfig::is_stream) else { return };
        let now = self.clock.truth();
        let (got, answer) = self.elsewhere.publishers[number].answer(whole, &known, is_stream, now, &mut self.dice);
        let answer = Answer { feed: number, ..answer };
        let most = self.feed_configs[number].max_entries + 1;
        let mut said: Vec<Said> = Vec::new();
        // What stays the same is not sent again.
        let told = if got == Got::Same { 0 } else { answer.items.len().min(most) };
        for items in answer.items[..told].chunks(PIECE) {
            said.push(Said::Items(Message::FeedItems { order, items: items.to_vec(), gone: Vec::new() }));
        }
        for gone in answer.gone.chunks(PIECE) {
            said.push(Said::Items(Message::FeedItems { order, items: Vec::new(), gone: gone.to_vec() }));
        }
        said.push(Said::End(Message::Fetched { order, got }, answer));
        // One thing after the other; a server may trickle for longer than the judge waits.
        let mut at = self.elsewhere.said.back().map_or(now, |(at, _)| now.max(*at));
        let longest = if self.elsewhere.is_slow { Duration::from_secs(1_200) } else { Duration::from_secs(20) };
        for said in said {
            at = at.after(self.dice.span(Duration::from_millis(1), longest));
            self.elsewhere.said.push_back((at, said));
        }
    }

    /// The next word of the envoy, if it is there, taken in by the judge; the end of an answer is told.
    pub(crate) fn hear_envoy(&mut self) -> Option<Option<Taken>> {
        let now = self.clock.truth();
        if self.elsewhere.begins.is_some_and(|at| at <= now) {
            self.elsewhere.begins = None;
            self.post.envoy_begins(self.clocks());
            self.feeds.envoy(true);
            return Some(None);
        }
        let (_, said) = self.elsewhere.said.pop_front_if(|(at, _)| *at <= now)?;
        let clock = self.clocks();
        match said {
            Said::Items(Message::FeedItems { order, items, gone }) => {
                self.feeds.items(order, items, gone);
                Some(None)
            }
            Said::End(Message::Fetched { order, got }, answer) => {
                let was_asked = self.feeds.fetched(order, got.clone(), &mut self.court, clock);
                Some(Some(Taken { got, answer, was_asked }))
            }
            Said::Items(_) | Said::End(..) => Some(None),
        }
    }

    /// The warden takes a piece of whom lists name.
    pub(crate) fn take_listed(&mut self, message: Message) {
        let Message::Listed { first, last, items } = message else { return };
        let Clock { wall, steady } = self.clocks();
        let items = items.into_iter().map(|(prefix, until)| (prefix, whole_seconds(moved(until, wall, steady)))).collect();
        if self.lists.take(first, last, items) {
            self.set_listed();
        }
    }

    /// The warden takes the operators' allowances.
    pub(crate) fn take_allowed(&mut self, list: Vec<(Prefix, Expiry)>) {
        let Clock { wall, steady } = self.clocks();
        self.allowances.take(list.into_iter().map(|(prefix, until)| (prefix, moved(until, wall, steady))).collect(), steady);
        self.spread_allowances();
    }

    fn spread_allowances(&mut self) {
        self.shield.allow(self.allowances.prefixes());
        self.set_exempt();
    }

    /// Gives the kernel the exempt list as it is now.
    pub(crate) fn set_exempt(&mut self) {
        let mut at = Moment { wall: self.clock.wall(), now: self.clock.kernel(), dice: &mut self.dice };
        let done = self.driver.set_exempt(&mut self.kernel, self.shield.prefixes(), &mut at);
        self.tried(1, done);
    }

    /// Gives the kernel the lists as they are now, once the host's own addresses are known.
    pub(crate) fn set_listed(&mut self) {
        if !self.shield.has_derived(Life::Host) {
            return;
        }
        let shield = &self.shield;
        self.lists.spare(|prefix| shield.touches(prefix));
        let mut at = Moment { wall: self.clock.wall(), now: self.clock.kernel(), dice: &mut self.dice };
        let done = self.driver.set_listed(&mut self.kernel, self.lists.list(), &mut at);
        self.tried(0, done);
    }

    /// The table was made anew: without the lists they are to be set soon.
    pub(crate) fn rebuilt(&mut self, has_lists: bool) {
        if !has_lists && self.shield.has_derived(Life::Host) {
            self.tried(0, false);
        }
    }

    fn tried(&mut self, matter: usize, done: bool) {
        let waited = self.elsewhere.again[matter].map_or(TRY_FIRST / 2, |(_, wait)| wait);
        let wait = (waited * 2).min(TRY_LAST);
        self.elsewhere.again[matter] = (!done).then(|| (self.clock.truth().after(wait), wait));
    }

    /// Whether the kernel's exempt list is the warden's.
    pub fn has_exempt(&self) -> bool {
        self.elsewhere.again[1].is_none()
    }

    /// The warden does what is due for lists and allowances.
    pub(crate) fn mend_lists(&mut self) {
        let now = self.clock.truth();
        if self.host_due.is_some_and(|due| due <= now) {
            let host = self.host.clone();
            self.derive(host);
        }
        if self.elsewhere.again[1].is_some_and(|(due, _)| due <= now) {
            self.set_exempt();
        }
        if self.elsewhere.again[0].is_some_and(|(due, _)| due <= now) {
            self.set_listed();
        }
        if self.allowances.expire(self.clock.kernel()) {
            self.spread_allowances();
        }
    }

    /// When something of this is due (true time).
    pub(crate) fn lists_due(&self) -> Option<Time> {
        let by_kernel = |at: Time| self.clock.truth().after(at.since(self.clock.kernel()));
        let again = self.elsewhere.again.iter().flatten().map(|(due, _)| *due);
        let said = self.elsewhere.said.front().map(|(at, _)| *at);
        let steady = self.feeds.due().into_iter().chain(self.allowances.next_end()).map(by_kernel);
        // Nobody fetches while the envoy is away: what is due waits for it.
        again.chain(said).chain(self.elsewhere.begins).chain(self.host_due).chain(steady).min()
    }

    /// The disk takes no copies from now on, or does again: there is a file where the folder should be.
    pub(crate) fn suffer_copies(&mut self, fails: bool) {
        self.post.suffer(fails);
        let (folder, aside) = (self.folder.join("feeds"), self.folder.join("feeds.aside"));
        if fails && !self.copies_fail {
            let _ = fs::rename(&folder, &aside);
            let _ = fs::write(&folder, "");
        } else if !fails && self.copies_fail {
            let _ = fs::remove_file(&folder);
            let _ = fs::rename(&aside, &folder);
        }
        self.copies_fail = fails;
    }

    /// Somebody who publishes changes his list.
    pub(crate) fn publish(&mut self, number: usize, dice: &mut Dice) -> String {
        let now = self.clock.truth();
        let Some(is_stream) = self.feed_configs.get(number).map(FeedConfig::is_stream) else { return String::new() };
        let most = self.feed_configs[number].max_entries;
        let publisher = &mut self.elsewhere.publishers[number];
        let until = |dice: &mut Dice| is_stream.then(|| now.after(dice.span(Duration::from_secs(30), Duration::from_secs(3 * 86_400))));
        let what = match dice.below(12) {
            0 => {
                publisher.is_down = true;
                "answers no longer".to_owned()
            }
            1..=2 => {
                publisher.is_down = false;
                "answers".to_owned()
            }
            3 => {
                let all: Vec<Prefix> = publisher.entries.keys().copied().collect();
                all.iter().for_each(|whom| publisher.remove(whom));
                "names nobody".to_owned()
            }
            4 => {
                let count = if most < 1_000 { most + 1 } else { 1_300 };
                let from = dice.below(1 << 20) as u32;
                for n in 0..count as u32 {
                    publisher.add(plan::far(from + n), until(dice));
                }
                format!("names {count} more")
            }
            _ => {
                let (more, fewer) = (dice.below(12), dice.below(8));
                for _ in 0..more {
                    publisher.add(plan::listed(dice), until(dice));
                }
                let all: Vec<Prefix> = publisher.entries.keys().copied().collect();
                for _ in 0..fewer.min(all.len() as u64) {
                    publisher.remove(dice.pick(&all));
                }
                format!("names {more} more and {fewer} fewer")
            }
        };
        format!("list {number}, of {}, {what}", publisher.entries.len())
    }
}
