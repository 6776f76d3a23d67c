//! `riposte history`: who was charged with what, and what was decided, one charge a line.

use crate::decision::{Action, NOTE_CHARS, Verdict};
use crate::duration::Human;
use crate::escape;
use crate::serial::{Stamp, Whom};
use crate::table::{Room, Side, Table};
use crate::time::Readable;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use serde::{Deserialize, Serialize};

/// One charge and its decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// When.
    pub at: Stamp,
    /// Who.
    pub address: Whom,
    /// What the charge was.
    pub charge: String,
    /// The log rule that was broken; then `packets` counts lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How dangerous, 1 to 5; 0 if this is no charge but a turn in a block's life.
    pub level: u8,
    /// How it was done, all styles up to then.
    pub styles: Vec<String>,
    /// Could the address be forged?
    pub trust: String,
    /// Packets up to then.
    pub packets: u64,
    /// Targets up to then.
    pub targets: u32,
    /// What was decided: `block`, `watch`, `exempt`, `refuse` or `none`.
    pub decision: String,
    /// For how many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why.
    pub why: String,
}

impl HistoryLine {
    /// An offence and what the judge made of it.
    pub fn of(offence: &Offence, verdict: &Verdict) -> HistoryLine {
        HistoryLine {
            at: Stamp(offence.at),
            address: Whom(offence.offender),
            charge: offence.charge.word().to_owned(),
            rule: None,
            level: offence.level.number(),
            styles: offence.styles.iter().map(|style| style.word().to_owned()).collect(),
            trust: offence.trust.word().to_owned(),
            packets: offence.evidence.packets,
            targets: offence.evidence.targets,
            decision: verdict.action.word().to_owned(),
            seconds: verdict.seconds,
            why: verdict.why.clone(),
        }
    }

    /// With the name of the log rule that was broken.
    pub fn of_rule(self, rule: Option<&str>) -> HistoryLine {
        HistoryLine { rule: rule.map(str::to_owned), ..self }
    }

    /// What the charge was, by the rule's name if there is one.
    pub fn charged_with(&self) -> &str {
        self.rule.as_deref().unwrap_or(&self.charge)
    }

    /// Something that happened to a block or an allowance, without a new charge: `charge` then names what it happened to.
    pub fn event(at: Time, whom: Prefix, what: String, why: String) -> HistoryLine {
        HistoryLine {
            at: Stamp(at),
            address: Whom(whom),
            charge: what,
            rule: None,
            level: 0,
            styles: Vec::new(),
            trust: String::new(),
            packets: 0,
            targets: 0,
            decision: Action::None.word().to_owned(),
            seconds: None,
            why,
        }
    }

    /// Whether somebody was charged; otherwise something happened to a block or an allowance.
    pub fn is_charge(&self) -> bool {
        self.level > 0
    }

    /// Whether the address of whom it charges is his own.
    pub fn is_proven(&self) -> bool {
        self.is_charge() && matches!(self.trust.as_str(), "handshake" | "vouched")
    }

    /// A figure of a charge; what is none has no figures.
    fn figure(&self, number: u64) -> String {
        if self.is_charge() { number.to_string() } else { "-".to_owned() }
    }

    /// `block 10m` or `watch`.
    pub fn decided(&self) -> String {
        let action = escape::text(&self.decision, 20);
        self.seconds.map_or_else(|| action.clone(), |secs| format!("{action} {}", Human(secs)))
    }
}

/// The charges in aligned columns, in the order given.
pub fn text(lines: &[HistoryLine], room: Room) -> String {
    if lines.is_empty() {
        return "Nobody was charged with anything.\n".to_owned();
    }
    let mut table = Table::new([
        ("TIME", Side::Left),
        ("ADDRESS", Side::Left),
        ("CHARGE", Side::Left),
        ("LEVEL", Side::Right),
        ("PACKETS", Side::Right),
        ("TARGETS", Side::Right),
        ("DECISION", Side::Left),
        ("WHY", Side::Left),
    ]);
    for line in lines {
        table.row([
            Readable(line.at.0).to_string(),
            line.address.to_string(),
            escape::text(line.charged_with(), 40),
            line.figure(u64::from(line.level)),
            line.figure(line.packets),
            line.figure(u64::from(line.targets)),
            if line.is_charge() { line.decided() } else { "-".to_owned() },
            escape::text(&line.why, NOTE_CHARS),
        ]);
    }
    table.text(room)
}
