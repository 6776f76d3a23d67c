//! fail2ban's filters and jails, as they are: its files in, its findings out. Opens nothing, reads no clock, runs none of its commands.

pub mod date;
pub mod filter;
pub mod ini;
pub mod jail;
pub mod python;
pub mod suite;
pub mod table;
pub mod tags;

use crate::Rules;
use crate::finding::Finding;
use crate::line::Line;
use crate::pattern::Pattern;
use crate::scan::{Candidates, Scan};
use date::{Clock, Dates, Found, Scratch};
use filter::{Became, Failure, Filter, State, Written};
use ini::{Files, Problem};
use jail::{Jail, Notice};
use jiff::tz::TimeZone;
use model::time::Time;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A date this far behind stands in for a missing one.
const LAST_DATE_AGE: Duration = Duration::from_secs(60);
/// A date this far ahead of the present is taken for the present.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// Files whose jails are remembered.
const PLACES_MAX: usize = 4_096;
/// A failure's level, and that of the one too many.
const LEVELS: (u8, u8) = (5, 10);

/// Cuts dates out of lines.
#[derive(Debug)]
struct Reader {
    dates: Arc<Dates>,
    zone: TimeZone,
    scratch: Scratch,
    /// The line without its date, with a line feed.
    cut: Vec<u8>,
    last: Option<Time>,
}

/// When a line was written.
#[derive(Debug, Clone, Copy)]
struct Dated {
    at: Time,
    found: Option<Found>,
}

impl Reader {
    fn new(dates: Arc<Dates>, zone: TimeZone) -> Reader {
        Reader { dates, zone, scratch: Scratch::default(), cut: Vec::new(), last: None }
    }

    fn read(&mut self, text: &[u8], now: Time) -> Dated {
        let text = without_end(text);
        self.cut.clear();
        let found = self.dates.find(text, &mut self.scratch);
        let (before, after) = found.map_or((text.len(), text.len()), |found| (found.start, found.end));
        self.cut.extend_from_slice(text.get(..before).unwrap_or_default());
        self.cut.extend_from_slice(text.get(after..).unwrap_or_default());
        self.cut.push(b'\n');
        let written = found.and_then(|found| {
            let clock = Clock { now, zone: self.zone.clone() };
            self.dates.time(found, text, &self.scratch, &clock)
        });
        // What has no date was written when the line before it was, or just now.
        let last = self.last.filter(|last| now.since(*last) < LAST_DATE_AGE);
        self.last = written.or(self.last);
        let wrong = written.is_none() && before < after;
        if wrong && last.is_some() {
            // What looked like a date and is none is text, as fail2ban has it.
            self.whole(text);
        }
        Dated { at: written.or(last).unwrap_or(now), found }
    }

    /// A line whose time is known otherwise.
    fn whole(&mut self, text: &[u8]) {
        self.cut.clear();
        self.cut.extend_from_slice(without_end(text));
        self.cut.push(b'\n');
    }
}

fn without_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

/// One filter on its own, for trying it out.
#[derive(Debug)]
pub struct Single {
    filter: Filter,
    reader: Reader,
    state: State,
    scan: Scan,
    candidates: Candidates,
}

/// What one filter made of one line.
#[derive(Debug, Clone)]
pub struct Read {
    /// What became of it.
    pub became: Became,
    /// When it was written, or what is taken for that.
    pub at: Time,
    /// Which date template matched, by its place in `Dates::templates`.
    pub template: Option<usize>,
    /// Who failed.
    pub failures: Vec<Failure>,
}

impl Single {
    /// A filter; dates that name no zone are of `zone`.
    ///
    /// # Errors
    /// If its patterns are too many.
    pub fn new(filter: Filter, zone: TimeZone) -> Result<Single, String> {
        let scan = Scan::new(filter.patterns())?;
        let reader = Reader::new(filter.dates.clone(), zone);
        Ok(Single { filter, reader, state: State::default(), scan, candidates: Candidates::default() })
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Lines that its prefregex matched so far.
    pub fn prefixed(&self) -> u64 {
        self.state.prefixed
    }

    /// Patterns that took too many steps so far.
    pub fn too_many_steps(&self) -> u64 {
        self.state.too_many_steps
    }

    /// Has every failregex tried, not only until one matches: so fail2ban-regex and fail2ban's own tests have it.
    pub fn try_all(&mut self) {
        self.state.all = true;
    }

    /// Which failregexes matched the last line, if all were tried, and whether it is a failure by that.
    pub fn matched(&self) -> &[(usize, bool)] {
        &self.state.matched
    }

    /// Takes one line in. `dated` says that it has no date to be cut out, for `now` is known from elsewhere (the journal).
    pub fn line(&mut self, text: &[u8], now: Time, dated: bool) -> Read {
        let read = if dated {
            self.reader.whole(text);
            Dated { at: now, found: None }
        } else {
            self.reader.read(text, now)
        };
        let mut failures = Vec::new();
        self.scan.look(&self.reader.cut, &mut self.candidates);
        let (candidates, buffered) = (&self.candidates, self.filter.is_buffered());
        let could = |number: usize| buffered || candidates.has(number as u32);
        let became = self.filter.failures(&mut self.state, &self.reader.cut, now, &could, &mut failures);
        Read { became, at: read.at, template: read.found.map(|found| found.template), failures }
    }
}

/// Jails whose lines are dated the same way: each line is read once for all of them.
#[derive(Debug)]
struct Group {
    reader: Reader,
    /// Jails, each with its first pattern's number in the scan and how many it has.
    jails: Vec<(usize, usize, usize)>,
    scan: Scan,
    candidates: Candidates,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    failures: u64,
    let_off: u64,
    too_old: u64,
    names: u64,
    no_address: u64,
    places_forgotten: u64,
}

/// fail2ban's jails at work.
#[derive(Debug)]
pub struct Fail2ban {
    jails: Vec<Jail>,
    states: Vec<State>,
    groups: Vec<Group>,
    /// Which jails read a file.
    places: HashMap<Box<str>, Arc<[usize]>>,
    entry: Vec<u8>,
    failures: Vec<Failure>,
    counted: Counted,
    /// Every jail reads every line, whenever it was written.
    everywhere: bool,
}

impl Fail2ban {
    /// Loads `DIR/jail.conf` and all that belongs to it. Dates that name no zone are of `zone`, if their jail says nothing else.
    ///
    /// # Errors
    /// Everything that can't be understood; then nothing is loaded.
    pub fn load(dir: &Path, files: Files<'_>, zone: &TimeZone) -> Result<(Fail2ban, Vec<Notice>), Vec<Problem>> {
        let (jails, notices) = Jail::read_all(dir, files)?;
        Ok((Fail2ban::new(jails, zone)?, notices))
    }

    /// One filter (`sshd[mode=aggressive]`) that looks at every line and wants each failure blocked.
    ///
    /// # Errors
    /// Everything that can't be understood.
    pub fn of_filter(text: &str, dir: &Path, files: Files<'_>, zone: &TimeZone) -> Result<Fail2ban, Vec<Problem>> {
        let written = Written::read(text, &[("logtype", "file")], dir, files).map_err(|problem| vec![problem])?;
        let mut one = Fail2ban::new(vec![Jail::of_filter(Filter::new(&written)?, text)], zone)?;
        one.everywhere = true;
        Ok(one)
    }

    /// For trying rules out on lines from `place`, of any age: unless a jail names that place, all of them look at every line.
    pub fn try_on(&mut self, place: &str) {
        self.everywhere = !self.jails.iter().any(|jail| jail.wants_file(place));
    }

    fn new(jails: Vec<Jail>, zone: &TimeZone) -> Result<Fail2ban, Vec<Problem>> {
        let problem = |about: &str, message: String| vec![Problem { file: about.to_owned(), line: 0, message }];
        let mut alike: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (number, jail) in jails.iter().enumerate() {
            alike.entry((jail.filter.datepattern.clone(), jail.zone.clone())).or_default().push(number);
        }
        let mut groups = Vec::new();
        for ((_, zone_text), numbers) in alike {
            let (mut patterns, mut members, mut reader): (Vec<&Pattern>, _, Option<Reader>) = (Vec::new(), Vec::new(), None);
            for number in numbers {
                let Some(jail) = jails.get(number) else { continue };
                let first = patterns.len();
                patterns.extend(jail.filter.patterns());
                members.push((number, first, patterns.len() - first));
                if reader.is_none() {
                    let zone = if zone_text.is_empty() { Some(zone.clone()) } else { date::fixed_zone(&zone_text) };
                    let zone = zone.ok_or_else(|| problem(&jail.name, format!("logtimezone `{zone_text}`: UTC, UTC+0200 and the like")))?;
                    reader = Some(Reader::new(jail.filter.dates.clone(), zone));
                }
            }
            let scan = Scan::new(patterns).map_err(|error| problem("jails", error))?;
            if let Some(reader) = reader {
                groups.push(Group { reader, jails: members, scan, candidates: Candidates::default() });
            }
        }
        let states = jails.iter().map(|_| State::default()).collect();
        Ok(Fail2ban {
            jails,
            states,
            groups,
            places: HashMap::new(),
            entry: Vec::new(),
            failures: Vec::new(),
            counted: Counted::default(),
            everywhere: false,
        })
    }

    /// The jails, in the configuration's order.
    pub fn jails(&self) -> &[Jail] {
        &self.jails
    }

    /// The jails that read this line.
    fn who_reads(&mut self, line: &Line<'_>) -> Arc<[usize]> {
        if !line.journal.is_empty() {
            let field = |name: &str| line.field(name).map(<[u8]>::to_vec);
            let wants = |jail: &Jail| jail.journal && (!jail.filter.has_journal() || jail.filter.wants_entry(&field));
            return self.jails.iter().enumerate().filter(|(_, jail)| wants(jail)).map(|(number, _)| number).collect();
        }
        if let Some(known) = self.places.get(line.place) {
            return known.clone();
        }
        if self.places.len() >= PLACES_MAX {
            self.counted.places_forgotten += self.places.len() as u64;
            self.places.clear();
        }
        let wants = |jail: &Jail| self.everywhere || jail.wants_file(line.place);
        let who: Arc<[usize]> = self.jails.iter().enumerate().filter(|(_, jail)| wants(jail)).map(|(number, _)| number).collect();
        self.places.insert(line.place.into(), who.clone());
        who
    }

    /// Counts a failure in its jail, and says what follows.
    fn failed(&mut self, number: usize, failure: &Failure, at: Time, line: &Line<'_>, out: &mut Vec<Finding>) {
        let Some(jail) = self.jails.get_mut(number) else { return };
        self.counted.failures += 1;
        if failure.by_name {
            self.counted.names += 1;
        } else if failure.address.is_none() {
            self.counted.no_address += 1;
        }
        let at = if at > line.at.after(AHEAD_MAX) { line.at } else { at };
        if !self.everywhere && line.at.since(at) > jail.window {
            self.counted.too_old += 1;
            return;
        }
        if failure.address.is_some_and(|address| jail.lets_off(address)) {
            self.counted.let_off += 1;
            return;
        }
        let (count, wish) = jail.count(&failure.id, at);
        let regex = jail.filter.fail_texts().nth(failure.regex).unwrap_or_default();
        let blocked = wish.is_some();
        out.push(finding(jail, failure, at, count, wish, regex));
        if blocked {
            self.tell_others(number, failure, at, line, out);
        }
    }

    /// `recidive` counts other jails' blocks as the failures that it is for.
    fn tell_others(&mut self, number: usize, failure: &Failure, at: Time, line: &Line<'_>, out: &mut Vec<Finding>) {
        let mut again = Vec::new();
        for (other, jail) in self.jails.iter().enumerate().filter(|(other, _)| *other != number) {
            let spared = failure.address.is_some_and(|address| jail.lets_off(address)) || line.at.since(at) > jail.window;
            if jail.filter.name.as_ref() == "recidive" && !spared {
                again.push(other);
            }
        }
        for other in again {
            let Some(jail) = self.jails.get_mut(other) else { continue };
            let (count, wish) = jail.count(&failure.id, at);
            out.push(finding(jail, failure, at, count, wish, "blocked by another jail"));
        }
    }
}

fn finding(jail: &Jail, failure: &Failure, at: Time, count: u32, wish: Option<crate::finding::Wish>, regex: &str) -> Finding {
    let mut fields: Vec<(Arc<str>, String)> = failure.fields.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
    if failure.address.map(|address| address.to_string()).as_deref() != Some(failure.id.as_str()) {
        fields.push(("id".into(), failure.id.clone()));
    }
    Finding {
        at,
        program: None,
        decoder: Some(jail.filter.name.clone()),
        fields,
        rule: jail.name.clone(),
        level: if wish.is_some() { LEVELS.1 } else { LEVELS.0 },
        description: regex.into(),
        actor: failure.address,
        trust: jail.trust,
        count,
        // Who has no address cannot be blocked by it.
        wish: wish.filter(|_| failure.address.is_some()),
    }
}

impl Rules for Fail2ban {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        let who = self.who_reads(line);
        if who.is_empty() {
            return;
        }
        let from_journal = !line.journal.is_empty();
        if from_journal {
            write_entry(line, &mut self.entry);
        }
        let (mut groups, mut failures, entry) =
            (std::mem::take(&mut self.groups), std::mem::take(&mut self.failures), std::mem::take(&mut self.entry));
        for group in groups.iter_mut().filter(|group| group.jails.iter().any(|(number, ..)| who.contains(number))) {
            let at = if from_journal {
                group.reader.whole(&entry);
                line.at
            } else {
                group.reader.read(line.text, line.at).at
            };
            group.scan.look(&group.reader.cut, &mut group.candidates);
            for (number, first, count) in group.jails.iter().filter(|(number, ..)| who.contains(number)) {
                let (Some(jail), Some(state)) = (self.jails.get(*number), self.states.get_mut(*number)) else { continue };
                let (candidates, buffered) = (&group.candidates, jail.filter.is_buffered());
                if !buffered && !(*first..first + count).any(|pattern| candidates.has(pattern as u32)) {
                    continue;
                }
                let could = |pattern: usize| buffered || candidates.has((first + pattern) as u32);
                failures.clear();
                jail.filter.failures(state, &group.reader.cut, line.at, &could, &mut failures);
                for failure in &failures {
                    self.failed(*number, failure, at, line, out);
                }
            }
        }
        (self.groups, self.failures, self.entry) = (groups, failures, entry);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let steps = self.states.iter().map(|state| state.too_many_steps).sum();
        let evicted = self.states.iter().map(State::evicted).sum::<u64>() + self.jails.iter().map(Jail::evicted).sum::<u64>();
        vec![
            ("fail2ban failures", self.counted.failures),
            ("fail2ban failures let off", self.counted.let_off),
            ("fail2ban failures too old", self.counted.too_old),
            ("fail2ban names not looked up", self.counted.names),
            ("fail2ban ids that are no address", self.counted.no_address),
            ("fail2ban patterns with too many steps", steps),
            ("fail2ban entries given way", evicted),
            ("fail2ban places forgotten", self.counted.places_forgotten),
        ]
    }
}

/// A journal entry as a line: `HOST IDENTIFIER[PID]: MESSAGE`.
fn write_entry(line: &Line<'_>, out: &mut Vec<u8>) {
    out.clear();
    if let Some(host) = line.field("_HOSTNAME") {
        out.extend_from_slice(host);
        out.push(b' ');
    }
    if let Some(identifier) = line.field("SYSLOG_IDENTIFIER").or_else(|| line.field("_COMM")) {
        out.extend_from_slice(identifier);
        if let Some(pid) = line.field("SYSLOG_PID").or_else(|| line.field("_PID")) {
            out.push(b'[');
            out.extend_from_slice(pid);
            out.push(b']');
        }
        out.extend_from_slice(b": ");
    }
    out.extend_from_slice(line.text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fail2ban::ini::tests::reading;
    use std::path::PathBuf;

    const FILTER: &str = "[Definition]\nfailregex = ^ s: bad <F-USER>.*</F-USER> from <HOST>$\njournalmatch = _SYSTEMD_UNIT=s.service\n";

    fn load(jail: &str) -> (Fail2ban, Vec<Notice>) {
        let texts = [
            ("/f/jail.conf", jail),
            ("/f/filter.d/s.conf", FILTER),
            ("/f/filter.d/recidive.conf", "[Definition]\nfailregex = Ban <HOST>$\n"),
            ("/f/filter.d/j.conf", "[Definition]\nfailregex = s\\[1\\]: bad <HOST>$\njournalmatch = _SYSTEMD_UNIT=s.service\n"),
        ];
        let read = |path: &Path| reading(&texts, path);
        Fail2ban::load(Path::new("/f"), Files { read: &read, list: &|_| Ok(Vec::<PathBuf>::new()) }, &TimeZone::UTC).unwrap()
    }

    fn findings(fail2ban: &mut Fail2ban, text: &str, at: u64, place: &str) -> Vec<Finding> {
        let mut out = Vec::new();
        fail2ban.line(&Line::new(text.as_bytes(), Time::from_secs(at), place), &mut out);
        out
    }

    /// 16 January 2026, 21:05:29 UTC.
    const AT: u64 = 1_768_597_529;

    #[test]
    fn a_jail_blocks_after_so_many_failures() {
        let (mut jails, notices) =
            load("[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s\nmaxretry = 2\naction = nftables\nignoreip = 192.0.2.9\n");
        assert_eq!(notices, []);
        let one = findings(&mut jails, "Jan 16 21:05:29 s: bad root from 10.0.0.1 from 192.0.2.1\n", AT, "/var/log/s");
        assert_eq!(one.len(), 1);
        assert_eq!((one[0].actor, one[0].at, one[0].count), ("192.0.2.1".parse().ok(), Time::from_secs(AT), 1));
        assert_eq!(one[0].fields, [("user".into(), "root from 10.0.0.1".to_owned())]);
        assert_eq!(one[0].wish, None);
        let two = findings(&mut jails, "Jan 16 21:05:30 s: bad x from ::ffff:192.0.2.1", AT + 1, "/var/log/s");
        assert_eq!(
            two[0].wish.as_ref().map(|wish| (wish.action.as_ref(), wish.why.as_str())),
            Some(("block", "jail s: 2 failures in 10 min"))
        );
        for (text, at, place) in [
            ("Jan 16 21:05:29 s: bad x from 192.0.2.9", AT, "/var/log/s"),
            ("Jan 16 21:05:29 s: bad x from 192.0.2.2", AT, "/var/log/t"),
            ("Jan 16 20:05:29 s: bad x from 192.0.2.2", AT, "/var/log/s"),
            ("Jan 16 21:05:29 s: good", AT, "/var/log/s"),
        ] {
            assert_eq!(findings(&mut jails, text, at, place), [], "{text}");
        }
        let name = findings(&mut jails, "Jan 16 21:05:29 s: bad x from a.example.com", AT, "/var/log/s");
        assert_eq!((name[0].actor, &name[0].wish), (None, &None));
        let counted: Vec<u64> = jails.counters().into_iter().map(|(_, number)| number).collect();
        assert_eq!(counted, [5, 1, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn jails_that_are_tried_out_look_at_lines_of_any_place_and_age() {
        let line = "Jan 16 20:05:29 s: bad x from 192.0.2.1";
        let jail = "[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s\n";
        let (mut jails, _) = load(jail);
        assert_eq!(findings(&mut jails, line, AT, "stdin"), []);
        let (mut jails, _) = load(jail);
        jails.try_on("stdin");
        assert_eq!(findings(&mut jails, line, AT, "stdin").len(), 1);
        let (mut jails, _) = load(&format!("{jail}[t]\nenabled = true\nfilter = s\nlogpath = stdin\n"));
        jails.try_on("stdin");
        assert_eq!(findings(&mut jails, "Jan 16 21:05:29 s: bad x from 192.0.2.1", AT, "stdin").len(), 1, "one of them says where from");
    }

    #[test]
    fn a_line_from_the_future_is_of_now() {
        let (mut jails, _) = load("[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s\n");
        assert_eq!(findings(&mut jails, "2026-01-16T23:05:29Z s: bad x from 192.0.2.1", AT, "/var/log/s")[0].at, Time::from_secs(AT));
    }

    #[test]
    fn who_is_blocked_again_and_again_is_recidive() {
        let (mut jails, _) = load(
            "[s]\nenabled = true\nfilter = s\nlogpath = /var/log/s\nmaxretry = 1\n[r]\nenabled = true\nfilter = recidive\nlogpath = /var/log/f\nmaxretry = 2\nbantime = 1w\nfindtime = 1d\n",
        );
        let line = "Jan 16 21:05:29 s: bad x from 192.0.2.1";
        assert_eq!(
            findings(&mut jails, line, AT, "/var/log/s").iter().map(|finding| finding.wish.is_some()).collect::<Vec<_>>(),
            [true, false]
        );
        let again = findings(&mut jails, line, AT, "/var/log/s");
        assert_eq!(again[1].wish.as_ref().map(|wish| wish.why.as_str()), Some("jail r: 2 failures in 1 d"));
    }

    #[test]
    fn journal_entries_are_lines_of_their_unit() {
        let (mut jails, _) = load("[j]\nenabled = true\nfilter = j\nbackend = systemd\nmaxretry = 1\n");
        let mut look = |unit: &str| {
            let journal: &[(&str, &[u8])] =
                &[("_SYSTEMD_UNIT", unit.as_bytes()), ("_HOSTNAME", b"h"), ("SYSLOG_IDENTIFIER", b"s"), ("_PID", b"1")];
            let mut out = Vec::new();
            jails.line(&Line { text: b"bad 192.0.2.1", at: Time::from_secs(AT), place: "journal", journal }, &mut out);
            out.len()
        };
        assert_eq!(look("s.service"), 1);
        assert_eq!(look("t.service"), 0);
    }
}
