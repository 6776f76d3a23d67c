//! One measured figure beside what was promised and what the peers did in the same run; and the table of all. Measures nothing.

use report::table::{Room, Side, Table};
use serde::Serialize;
use std::fmt::Write as _;

/// What a number counts, and how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many a second.
    PerSecond,
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// Mebibytes.
    Mebibytes,
    /// Just so many.
    Count,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The more the better.
    More,
    /// The less the better.
    Less,
}

/// Somebody else's figure, from the same run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peer {
    /// Who.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// How many times better ours is.
    pub ratio: f64,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// How much.
    pub measured: f64,
    /// What was promised, in words; empty if nothing was.
    pub promise: String,
    /// Whether the promise is kept; `None` if there is none.
    pub kept: Option<bool>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// How it was measured, what else is to be known.
    pub note: String,
    /// The machine's load average (one minute) right after it: much above 1 means that something else was running.
    pub load: f64,
}

impl Figure {
    /// A figure of which less is better.
    pub fn less(what: impl Into<String>, measured: f64, unit: Unit) -> Self {
        Figure::new(what.into(), measured, unit, Better::Less)
    }

    /// A figure of which more is better.
    pub fn more(what: impl Into<String>, measured: f64, unit: Unit) -> Self {
        Figure::new(what.into(), measured, unit, Better::More)
    }

    fn new(what: String, measured: f64, unit: Unit, better: Better) -> Self {
        let load = super::load();
        Figure { what, unit, better, measured, promise: String::new(), kept: None, peers: Vec::new(), note: String::new(), load }
    }

    /// With a promise about the number itself.
    #[must_use]
    pub fn promised(mut self, bound: f64) -> Self {
        let (sign, kept) = match self.better {
            Better::More => ("≥", self.measured >= bound),
            Better::Less => ("≤", self.measured <= bound),
        };
        (self.promise, self.kept) = (format!("{sign} {}", show(bound, self.unit)), Some(kept));
        self
    }

    /// With a promise about the ratio to the first peer. Call it after `beside`.
    #[must_use]
    pub fn promised_ratio(mut self, bound: f64) -> Self {
        let Some(peer) = self.peers.first() else { return self };
        self.kept = Some(peer.ratio >= bound);
        self.promise = format!("≥ {bound:.0} × {}", peer.name);
        self
    }

    /// Beside a peer, if it could be measured.
    #[must_use]
    pub fn beside(mut self, name: &'static str, value: Option<f64>) -> Self {
        let measured = self.measured;
        self.peers.extend(value.filter(|value| *value > 0.0).map(|value| {
            let ratio = match self.better {
                Better::More => measured / value,
                Better::Less => value / measured,
            };
            Peer { name, value, ratio }
        }));
        self
    }

    /// With a note.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The measured value as people read it.
    pub fn shown(&self) -> String {
        show(self.measured, self.unit)
    }
}

/// A number with its unit.
fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", grouped(value)),
        Unit::Micros if value >= 10_000.0 => format!("{:.1} ms", value / 1e3),
        Unit::Micros => format!("{value:.0} µs"),
        Unit::Seconds => format!("{value:.2} s"),
        Unit::Mebibytes => format!("{value:.1} MiB"),
        Unit::Count => grouped(value),
    }
}

/// A ratio with as many digits as mean anything.
fn times(ratio: f64) -> String {
    if ratio < 100.0 { format!("{ratio:.1}") } else { grouped(ratio) }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// All figures as a table, with the notes below.
pub fn table(figures: &[Figure]) -> String {
    let columns = [
        ("figure", Side::Left),
        ("promise", Side::Left),
        ("measured", Side::Right),
        ("kept", Side::Left),
        ("peers in the same run", Side::Left),
    ];
    let mut table = Table::new(columns);
    for figure in figures {
        let kept = figure.kept.map_or("", |kept| if kept { "yes" } else { "NO" });
        let mut peers =
            figure.peers.iter().map(|peer| format!("{} {} ({} ×)", peer.name, show(peer.value, figure.unit), times(peer.ratio)));
        let first = peers.next().unwrap_or_default();
        table.row([figure.what.clone(), figure.promise.clone(), figure.shown(), kept.to_owned(), first]);
        peers.for_each(|peer| table.row([String::new(), String::new(), String::new(), String::new(), peer]));
    }
    let mut text = table.text(Room::Endless);
    for figure in figures.iter().filter(|figure| !figure.note.is_empty()) {
        let _ = writeln!(text, "\n{} [load {:.1}]: {}", figure.what, figure.load, figure.note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_and_ratios_point_the_right_way() {
        let fast = Figure::more("lines", 2_100_000.0, Unit::PerSecond).beside("psad", Some(7_000.0)).promised_ratio(300.0);
        assert_eq!((fast.kept, fast.promise.as_str()), (Some(true), "≥ 300 × psad"));
        let quick = Figure::less("latency", 250.0, Unit::Micros).beside("sshguard", Some(3_500.0)).beside("none", None).promised(300.0);
        assert_eq!((quick.kept, quick.peers.len(), quick.peers[0].ratio), (Some(true), 1, 14.0));
        assert_eq!(Figure::less("latency", 301.0, Unit::Micros).promised(300.0).kept, Some(false));
        let text = table(&[fast, quick]);
        assert!(text.contains("2,100,000/s") && text.contains("sshguard 3500 µs (14.0 ×)"), "{text}");
    }
}
