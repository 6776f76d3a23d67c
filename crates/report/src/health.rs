//! `riposte status --check`: how a daemon is, in one line for monitoring (Nagios' conventions for plugins). Judges what a status says; asks nobody.

use crate::escape;
use crate::status::{Mode, ResponderLine, StatusReport};
use crate::table::{count, thousands};
use serde::Serialize;
use std::fmt::Write as _;
use std::str::FromStr;

/// Characters of one finding.
const FINDING_CHARS: usize = 160;

/// The counters of what riposte lost for want of room, of time or of an answer. What others send wrongly, or what was decided, is no loss.
pub const LOSSES: [&str; 23] = [
    "answers dropped, child too slow",
    "application logs that can't be followed",
    "blocked whose connections were not cut, too many at once",
    "blocks that failed",
    "blocks without room with the responders",
    "changes that failed",
    "changes that the responders did not answer",
    "charged sources evicted",
    "connections that could not be taken in",
    "control connections turned away",
    "derived exemptions dropped, table full",
    "derived exemptions refused",
    "events dropped, judge too slow",
    "files replaced before they were opened",
    "files that can't be read",
    "files without a descriptor",
    "files without room",
    "history entries dropped",
    "logs not opened again, the last answer is unread",
    "lost by the kernel",
    "offenders forgotten, table full",
    "overwritten before they were read",
    "reports dropped, judge too slow",
];

/// How it is; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok = 0,
    /// Somebody should look.
    Warning = 1,
    /// riposte does not protect as it should.
    Critical = 2,
    /// It could not be found out.
    Unknown = 3,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Warning => "WARNING",
            State::Critical => "CRITICAL",
            State::Unknown => "UNKNOWN",
        }
    }
}

/// What has a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// What was lost since then.
    Losses,
    /// Processes that were begun again since then.
    Restarts,
    /// Blocks that stand.
    Blocks,
}

impl Figure {
    const ALL: [Figure; 3] = [Figure::Losses, Figure::Restarts, Figure::Blocks];

    const fn word(self) -> &'static str {
        match self {
            Figure::Losses => "losses",
            Figure::Restarts => "restarts",
            Figure::Blocks => "blocks",
        }
    }

    const fn one(self) -> &'static str {
        match self {
            Figure::Losses => "lost item",
            Figure::Restarts => "restart",
            Figure::Blocks => "block",
        }
    }
}

/// `losses=1000`: from this number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Of what.
    pub figure: Figure,
    /// From where on.
    pub number: u64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || Figure::ALL.map(Figure::word).join(", ");
        let (name, number) = text.split_once('=').ok_or_else(|| format!("write it like losses=1000 ({})", words()))?;
        let figure =
            Figure::ALL.into_iter().find(|figure| figure.word() == name).ok_or_else(|| format!("'{name}' is none of {}", words()))?;
        number.parse().map(|number| Threshold { figure, number }).map_err(|_| format!("'{number}' is no whole number"))
    }
}

/// The thresholds; of several for one figure the last counts.
#[derive(Debug, Clone, Default)]
pub struct Thresholds {
    /// From where on somebody should look.
    pub warning: Vec<Threshold>,
    /// From where on it is bad.
    pub critical: Vec<Threshold>,
}

impl Thresholds {
    /// Any restart, and losses that are more than a moment's, are worth a look if nobody says otherwise.
    fn of(&self, figure: Figure) -> (Option<u64>, Option<u64>) {
        let last = |list: &[Threshold]| list.iter().rev().find(|one| one.figure == figure).map(|one| one.number);
        let usual = match figure {
            Figure::Losses => Some(1_000),
            Figure::Restarts => Some(1),
            Figure::Blocks => None,
        };
        (last(&self.warning).or(usual), last(&self.critical))
    }
}

/// A figure, its thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Which.
    pub figure: Figure,
    /// How much.
    pub value: u64,
    /// From where on somebody should look.
    pub warning: Option<u64>,
    /// From where on it is bad.
    pub critical: Option<u64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The worst of it.
    pub state: State,
    /// What is not as it should be, and how bad that is.
    pub findings: Vec<(State, String)>,
    /// How much stands, and whether anybody is blocked in earnest.
    pub summary: String,
    /// The figures.
    pub figures: Vec<Measured>,
}

impl Health {
    /// A daemon that could not be asked.
    pub fn unreachable(state: State, why: &str) -> Health {
        Health { state, findings: vec![(state, why.to_owned())], summary: String::new(), figures: Vec::new() }
    }

    /// Judges a status. `before`: losses and restarts count from that one on, if the same daemon told it; else from its start.
    pub fn of(report: &StatusReport, before: Option<&StatusReport>, thresholds: &Thresholds) -> Health {
        // Figures of a daemon that has ended since are no ground to count from.
        let before = before.filter(|before| before.uptime_secs <= report.uptime_secs);
        let mut findings: Vec<(State, String)> = Vec::new();
        for life in &report.absent {
            findings.push((State::Critical, format!("{life} does not run")));
        }
        for trouble in &report.troubles {
            let state = if trouble.grave { State::Critical } else { State::Warning };
            findings.push((state, format!("{} ({})", trouble.what, trouble.why)));
        }
        for (who, what) in report.responders.iter().filter_map(ResponderLine::trouble) {
            findings.push((State::Warning, format!("{who} {what}")));
        }
        let since = |of: fn(&StatusReport) -> u64| of(report).saturating_sub(before.map_or(0, of));
        let figures: Vec<Measured> =
            [(Figure::Losses, since(losses)), (Figure::Restarts, since(restarts)), (Figure::Blocks, report.blocks.active)]
                .into_iter()
                .map(|(figure, value)| {
                    let (warning, critical) = thresholds.of(figure);
                    Measured { figure, value, warning, critical }
                })
                .collect();
        for Measured { figure, value, warning, critical } in &figures {
            let is_over = |bound: &Option<u64>| bound.is_some_and(|bound| *value >= bound);
            let state = if is_over(critical) { State::Critical } else { State::Warning };
            if is_over(critical) || is_over(warning) {
                findings.push((state, count(*value, figure.one())));
            }
        }
        let mode = match report.mode {
            Mode::Blocking => "blocking",
            Mode::DryRun => "dry run",
        };
        let summary = format!(
            "{mode}, {}, {}, {} processes",
            count(report.blocks.active, "block"),
            count(report.sensors.len() as u64, "sensor"),
            thousands(report.processes.len() as u64)
        );
        findings.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
        let state = findings.first().map_or(State::Ok, |(state, _)| *state);
        Health { state, findings, summary, figures }
    }

    /// The line: what is wrong, or how it stands; behind a bar the figures as `name=value;warning;critical;least`.
    pub fn line(&self) -> String {
        let bad: Vec<String> = self.findings.iter().map(|(_, text)| escape::text(text, FINDING_CHARS).replace('|', "/")).collect();
        let said = if bad.is_empty() { self.summary.clone() } else { bad.join("; ") };
        let mut line = format!("RIPOSTE {}: {said}", self.state.word());
        for (place, Measured { figure, value, warning, critical }) in self.figures.iter().enumerate() {
            let bar = if place == 0 { " | " } else { " " };
            let number = |bound: &Option<u64>| bound.map_or_else(String::new, |bound| bound.to_string());
            let _ = write!(line, "{bar}{}={value};{};{};0", figure.word(), number(warning), number(critical));
        }
        line
    }
}

fn losses(report: &StatusReport) -> u64 {
    let lists = report.sensors.iter().map(|sensor| &sensor.counters).chain([&report.counters]);
    lists.flatten().filter(|(name, _)| LOSSES.contains(&name.as_str())).fold(0, |sum, (_, value)| sum.saturating_add(*value))
}

fn restarts(report: &StatusReport) -> u64 {
    report.processes.iter().map(|process| u64::from(process.restarts)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::Stamp;
    use crate::status::{BlockCounts, ResponderState, SensorLine, TroubleLine};
    use model::time::Time;

    fn report() -> StatusReport {
        StatusReport {
            version: "1".into(),
            uptime_secs: 100,
            mode: Mode::Blocking,
            processes: Vec::new(),
            sensors: vec![SensorLine {
                name: "a".into(),
                kind: "log".into(),
                state: "running".into(),
                counters: vec![("overwritten before they were read".into(), 7), ("forged".into(), 9_000)],
            }],
            counters: vec![("history entries dropped".into(), 3), ("events".into(), 10_000)],
            blocks: BlockCounts { active: 12, ..BlockCounts::default() },
            exemptions: Vec::new(),
            storm: None,
            repaired: None,
            signatures: Vec::new(),
            troubles: Vec::new(),
            offenders: None,
            responders: Vec::new(),
            absent: Vec::new(),
        }
    }

    fn trouble(grave: bool) -> TroubleLine {
        TroubleLine { what: "x | y".into(), since: Stamp(Time::EPOCH), why: "z\n".into(), grave }
    }

    #[test]
    fn a_daemon_that_is_well_is_one_line_with_its_figures() {
        let health = Health::of(&report(), None, &Thresholds::default());
        assert_eq!(
            health.line(),
            "RIPOSTE OK: blocking, 12 blocks, 1 sensor, 0 processes | losses=10;1000;;0 restarts=0;1;;0 blocks=12;;;0"
        );
    }

    #[test]
    fn the_worst_comes_first_and_nothing_breaks_the_line() {
        let mut ill = report();
        ill.troubles = vec![trouble(false), trouble(true)];
        let health = Health::of(&ill, None, &Thresholds::default());
        assert_eq!((health.state, health.findings[0].0, health.findings.len()), (State::Critical, State::Critical, 2));
        assert!(health.line().starts_with("RIPOSTE CRITICAL: x / y (z") && health.line().matches('|').count() == 1, "{}", health.line());
        assert!(!health.line().contains('\n'));
        ill.troubles.pop();
        assert_eq!(Health::of(&ill, None, &Thresholds::default()).state, State::Warning);
        ill.troubles.clear();
        for (state, said) in [(ResponderState::Idle, "is not at work"), (ResponderState::Silent, "does not answer")] {
            ill.responders = vec![ResponderLine { name: "nftables".into(), state: ResponderState::Working }];
            assert_eq!(Health::of(&ill, None, &Thresholds::default()).state, State::Ok);
            ill.responders.push(ResponderLine { name: "ipset".into(), state });
            let line = Health::of(&ill, None, &Thresholds::default()).line();
            assert!(line.starts_with(&format!("RIPOSTE WARNING: responder ipset {said} |")), "{line}");
        }
        ill.absent = vec!["log 3".into()];
        assert!(Health::of(&ill, None, &Thresholds::default()).line().starts_with("RIPOSTE CRITICAL: log 3 does not run; "));
    }

    #[test]
    fn thresholds_are_of_what_came_since() {
        let (then, mut now) = (report(), report());
        now.counters[0].1 = 8;
        let with = |warning: &[&str], critical: &[&str]| {
            let read = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
            Thresholds { warning: read(warning), critical: read(critical) }
        };
        let state = |thresholds: Thresholds, before: Option<&StatusReport>| Health::of(&now, before, &thresholds).state;
        assert_eq!(state(with(&["losses=5"], &[]), Some(&then)), State::Warning);
        assert_eq!(state(with(&["losses=6"], &[]), Some(&then)), State::Ok);
        assert_eq!(state(with(&["losses=6"], &["losses=15"]), None), State::Critical);
        assert_eq!(state(with(&[], &["blocks=12"]), None), State::Critical);
        // A daemon that has begun anew counts from its own start.
        let older = StatusReport { uptime_secs: 5_000, ..then };
        assert_eq!(state(with(&["losses=15"], &[]), Some(&older)), State::Warning);
        for (wrong, why) in [("drops=1", "is none of"), ("losses", "write it like"), ("losses=many", "no whole number")] {
            assert!(wrong.parse::<Threshold>().unwrap_err().contains(why), "{wrong}");
        }
    }

    /// A loss that the manual does not call one has been renamed.
    #[test]
    fn losses_stand_in_the_manual_as_such() {
        let manual = include_str!("../../../docs/manual.md");
        for name in LOSSES {
            let row = manual.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            assert!(row.is_some_and(|row| row.contains("| drop")), "{name}: {row:?}");
        }
    }
}
