//! Alerts in the machine: the judge's part and each way's limits are the real ones; the link between them, the letters' delivery and the clocks
//! are not. Looks at what is delivered as those do who get it: nobody is told of twice, whoever dies, and nobody is forgotten.

use crate::breach::{Kept as Promise, hold};
use crate::dice::Dice;
use court::court::{Court, Spoken};
use link::message::Message;
use model::net::Prefix;
use model::time::Time;
use report::alert::{Alert, Kind, Letter};
use report::serial::Stamp;
use riposte::config::alert::{AlertConfig, Share, Tells};
use riposte::lives::envoy::limits::{DAY, Limits};
use riposte::lives::judge::alerts::Alerts;
use riposte::lives::judge::feeds::Clock;
use riposte::lives::judge::kept::Kept;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The first and the longest wait of a way before it tries a letter again.
const TRY_FIRST: Duration = Duration::from_secs(2);
const TRY_LAST: Duration = Duration::from_secs(900);
/// In so long whatever may be told is told: gathering, throttle and digest, one after the other.
const TIMELY: Duration = Duration::from_secs(110);
/// Sources that an envoy is told of by the one before.
const KEPT: usize = 256;

/// What was last told of a source.
#[derive(Debug, Clone)]
struct Told {
    /// When its day began, by the fastest clock.
    since: Time,
    letters: u32,
    level: u8,
    until: Option<Stamp>,
}

type Book = BTreeMap<Prefix, Told>;

/// A letter that is tried, when it was made (by the fastest clock), and when it is tried again after which wait (steady).
#[derive(Debug)]
struct UnderWay(Letter, Time, Time, Duration);

/// A way out.
#[derive(Debug)]
struct Way {
    name: &'static str,
    share: Share,
    /// `None`: there is no envoy.
    limits: Option<Limits>,
    under_way: Option<UnderWay>,
    is_down: bool,
    /// What was delivered; what of that the judge has heard; and what of that is on the disk.
    told: Book,
    heard: Book,
    written: Book,
    /// Who was ever told of.
    ever: BTreeSet<Prefix>,
    /// Of whose block this envoy has heard, and when (steady).
    due: BTreeMap<Prefix, Time>,
}

/// Everything about alerts.
#[derive(Debug)]
pub(crate) struct Post {
    config: AlertConfig,
    alerts: Alerts,
    kept: Kept,
    ways: Vec<Way>,
    to_envoy: VecDeque<(Time, String)>,
    to_judge: VecDeque<(Time, usize, Message, Book)>,
    folder: PathBuf,
    dice: Dice,
    /// How much the wall clock has gained on the steady one, by steps and by sleep, and how far it was ahead when last looked at.
    gained: Duration,
    ahead: Option<Duration>,
}

impl Post {
    pub(crate) fn new(folder: &Path, mut dice: Dice) -> Post {
        let (per_source, per_day) = (*dice.pick(&[1, 2, 10]), *dice.pick(&[10, 20, 100]));
        let (throttle, digest, level) = (dice.below(40), dice.below(30), dice.between(1, 3));
        let text = format!(
            "[alert]\nper_source = {per_source}\nper_day = {per_day}\nthrottle = '{throttle}s'\ndigest = '{digest}s'\nwait = '{}s'\n\
             [alert.webhook]\nurl = 'http://a.example/'\n[alert.mail]\nto = ['root']\nserver = 'a.example'\nmin_level = {level}\n",
            dice.below(10)
        );
        let config =
            riposte::config::Config::parse(&text, "the plan").map_or_else(|wrong| panic!("{wrong:?}\n{text}"), |config| config.alert);
        let way = |name| Way {
            name,
            share: config.share(name).cloned().unwrap_or_else(|| panic!("{name} has no share")),
            limits: None,
            under_way: None,
            is_down: false,
            told: Book::new(),
            heard: Book::new(),
            written: Book::new(),
            ever: BTreeSet::new(),
            due: BTreeMap::new(),
        };
        Post {
            ways: ["mail", "webhook"].map(way).into(),
            alerts: Alerts::new(config.clone()),
            kept: Kept::load(folder),
            to_envoy: VecDeque::new(),
            to_judge: VecDeque::new(),
            folder: folder.to_owned(),
            dice,
            gained: Duration::ZERO,
            ahead: None,
            config,
        }
    }

    /// The envoy begins, with what the judge has kept for it.
    pub(crate) fn envoy_begins(&mut self, clock: Clock) {
        let now = clock.steady.after(DAY);
        for way in &mut self.ways {
            let mut limits = Limits::new(&self.config, &way.share, now);
            let notes = self.kept.messages().filter_map(|message| match message {
                Message::Kept { way: name, note } if name == way.name => serde_json::from_str(&note).ok(),
                _ => None,
            });
            notes.for_each(|kept| limits.go_on(kept, now, clock.wall));
            way.limits = Some(limits);
        }
    }

    /// The envoy dies. The judge reads what it has said to the end.
    pub(crate) fn envoy_dies(&mut self) {
        while let Some((_, number, message, book)) = self.to_judge.pop_front() {
            self.hear(number, message, book);
        }
        self.to_envoy.clear();
        for way in &mut self.ways {
            (way.limits, way.under_way) = (None, None);
            way.due.clear();
            way.told = way.heard.clone();
        }
    }

    /// The judge dies, and all with it; if it was the power, what nobody has waited for may not be on the disk.
    pub(crate) fn judge_dies(&mut self, is_power: bool) {
        self.to_judge.clear();
        let state = self.folder.join("alerts.state");
        let is_cut = is_power && self.dice.one_in(2);
        if let Ok(text) = fs::read(&state).map_err(|_| ()).and_then(|text| if is_cut { Ok(text) } else { Err(()) }) {
            let _ = fs::write(&state, &text[..self.dice.below(text.len() as u64) as usize]);
        }
        for way in &mut self.ways {
            if is_cut {
                way.written.clear();
            }
            way.heard = way.written.clone();
        }
        self.envoy_dies();
        (self.alerts, self.kept) = (Alerts::new(self.config.clone()), Kept::load(&self.folder));
    }

    /// The disk takes no notes from now on, or does again.
    pub(crate) fn suffer(&self, fails: bool) {
        let new = self.folder.join("alerts.new");
        let _ = if fails { fs::create_dir(new) } else { fs::remove_dir(new) };
    }

    fn hear(&mut self, number: usize, message: Message, book: Book) {
        if let Message::Kept { way, note } = message
            && self.kept.take(way, note)
        {
            self.ways[number].heard = book;
        }
    }

    /// A turn of everybody: the court has spoken.
    pub(crate) fn turn(&mut self, court: &Court, spoken: &Spoken, clock: Clock, lag: Duration) -> Promise {
        let ahead = clock.wall.since(clock.steady);
        self.gained += ahead.saturating_sub(self.ahead.unwrap_or(ahead));
        self.ahead = Some(ahead);
        while let Some((_, number, message, book)) = self.to_judge.pop_front_if(|(at, ..)| *at <= clock.steady) {
            self.hear(number, message, book);
        }
        self.alerts.hear(court, spoken, clock.wall);
        if self.ways.iter().all(|way| way.limits.is_some()) {
            let at = clock.steady.after(lag);
            self.to_envoy.extend(self.alerts.waiting.drain(..).map(|line| (at, line)));
        }
        let had_to = self.kept.due().is_some();
        self.kept.write(clock.steady, false);
        if had_to && self.kept.due().is_none() {
            self.ways.iter_mut().for_each(|way| way.written = way.heard.clone());
        }
        while let Some((_, line)) = self.to_envoy.pop_front_if(|(at, _)| *at <= clock.steady) {
            let alert = serde_json::from_str::<Alert>(&line).map_err(|error| error.to_string());
            hold(alert.is_ok(), "the envoy understands every alert", || format!("{alert:?}: {line}"))?;
            let alert = alert.ok();
            self.ways.iter_mut().for_each(|way| alert.iter().for_each(|alert| way.take(alert, clock)));
        }
        let fastest = clock.steady.after(self.gained);
        for number in 0..self.ways.len() {
            let way = &mut self.ways[number];
            way.is_down ^= self.dice.one_in(300);
            if way.carry(clock.steady, fastest)?
                && let Some(limits) = &way.limits
                && let Ok(note) = serde_json::to_string(&limits.keep(clock.steady.after(DAY), clock.wall))
            {
                // In a full note somebody is missing: whoever was told of in a number alone stands there, too.
                let known =
                    serde_json::from_str::<serde_json::Value>(&note).ok().and_then(|note| Some(note.get("known")?.as_array()?.len()));
                let book = if known.is_some_and(|known| known < KEPT) { way.told.clone() } else { Book::new() };
                let message = Message::Kept { way: way.name.to_owned(), note };
                self.to_judge.push_back((clock.steady.after(lag), number, message, book));
            }
        }
        Ok(())
    }

    /// Nothing fails any more.
    pub(crate) fn calm(&mut self) {
        for way in &mut self.ways {
            way.is_down = false;
            way.under_way.iter_mut().for_each(|under_way| under_way.2 = Time::EPOCH);
        }
    }

    /// All is quiet: whoever was blocked was told of.
    pub(crate) fn quiet(&self, now: Time) -> Promise {
        for way in self.ways.iter().filter(|way| !way.is_down) {
            let Some(limits) = &way.limits else { continue };
            let counts = limits.counts;
            let is_late = limits.due().is_some_and(|due| due.after(TIMELY) < now.after(DAY)) && way.under_way.is_none();
            hold(!is_late, "what is due goes out", || format!("{}: {:?}", way.name, limits.due()))?;
            let is_all = counts.over_day == 0 && counts.over_source == 0 && counts.crowded == 0;
            let missing = way.due.iter().find(|(whom, at)| now.since(**at) > TIMELY && !way.ever.contains(*whom));
            hold(!is_all || missing.is_none(), "who is blocked is told of", || format!("{}: {missing:?}, {counts:?}", way.name))?;
        }
        Ok(())
    }
}

impl Way {
    fn take(&mut self, alert: &Alert, clock: Clock) {
        let Some(limits) = &mut self.limits else { return };
        limits.take(alert.clone(), clock.steady.after(DAY));
        if let (Kind::Block, Some(source)) = (alert.kind, &alert.source)
            && self.share.tell.contains(&Tells::Block)
            && source.line.level.number() >= self.share.min_level
        {
            self.due.entry(source.line.address.0).or_insert(clock.steady);
        }
    }

    /// As a way's thread does; true if a letter was delivered.
    fn carry(&mut self, now: Time, fastest: Time) -> Result<bool, crate::breach::Breach> {
        let Some(limits) = &mut self.limits else { return Ok(false) };
        if self.under_way.is_none() {
            let letter = limits.letter("host", now.after(DAY));
            self.under_way = letter.map(|letter| UnderWay(letter, fastest, now, TRY_FIRST));
        }
        let Some(UnderWay(letter, made, _, wait)) = self.under_way.take_if(|under_way| under_way.2 <= now) else { return Ok(false) };
        if self.is_down {
            self.under_way = Some(UnderWay(letter, made, now.after(wait), (wait * 2).min(TRY_LAST)));
            return Ok(false);
        }
        for told in &letter.told {
            let Some(source) = &told.alert.source else { continue };
            let (whom, level) = (source.line.address.0, source.line.level.number());
            hold(level >= self.share.min_level, "nothing is told that is too low", || format!("{}: {told:?}", self.name))?;
            let known = self.told.get(&whom).filter(|known| made.since(known.since) < DAY);
            let news = known.is_none_or(|known| level > known.level || told.alert.kind == Kind::Block && source.until != known.until);
            hold(news, "nobody is told of twice", || format!("{}: {:?}, {known:?}", self.name, told.alert))?;
            let (since, before) = known.map_or((made, 0), |known| (known.since, known.letters));
            hold(before < self.share.per_source, "no more is told of a source than its limit", || format!("{}: {told:?}", self.name))?;
            self.told.insert(whom, Told { since, letters: before + 1, level, until: source.until });
            self.ever.insert(whom);
        }
        Ok(true)
    }
}
