//! A decision in the words of the machine interface: what, for how long, why. Never makes one.

use crate::escape;
use model::block::{Because, Expiry};
use model::decision::Decision;
use model::time::Time;
use serde::{Deserialize, Serialize};

/// Characters of an operator's note or another free text that are shown.
pub const NOTE_CHARS: usize = 200;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A block, new or prolonged.
    Block,
    /// An eye is kept on it.
    Watch,
    /// The exempt list protects it.
    Exempt,
    /// A cap stood in the way.
    Refuse,
    /// Nobody was asked to decide.
    None,
}

impl Action {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Action::Block => "block",
            Action::Watch => "watch",
            Action::Exempt => "exempt",
            Action::Refuse => "refuse",
            Action::None => "none",
        }
    }
}

/// What was decided, for how long, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What.
    pub action: Action,
    /// For how many seconds from the decision; absent for what has no end or no length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why, in words.
    pub why: String,
}

impl Verdict {
    /// A judge's decision made at `now`.
    pub fn of(decision: &Decision, now: Time) -> Verdict {
        let (action, seconds, why) = match decision {
            Decision::Block(block) => (Action::Block, seconds_until(block.expiry, block.made), because(&block.because)),
            Decision::Extend { id: _, expiry, strike } => {
                (Action::Block, seconds_until(*expiry, now), format!("blocked already; strike {strike}, so the block ends later"))
            }
            Decision::Watch { until, why } => (Action::Watch, Some(until.since(now).as_secs()), why.to_string()),
            Decision::Exempt(reason) => (Action::Exempt, None, reason.to_string()),
            Decision::Refuse(cap) => (Action::Refuse, None, cap.to_string()),
        };
        Verdict { action, seconds, why }
    }

    /// Nobody decided; `why` says why not.
    pub fn none(why: &str) -> Verdict {
        Verdict { action: Action::None, seconds: None, why: why.to_owned() }
    }
}

fn seconds_until(expiry: Expiry, now: Time) -> Option<u64> {
    match expiry {
        Expiry::At(at) => Some(at.since(now).as_secs()),
        Expiry::Never => None,
    }
}

/// Why a block was made, in one line.
pub fn because(because: &Because) -> String {
    match because {
        Because::Offence { charge, level, trust, strike, rule: Some(_), .. } => {
            format!("{charge} at level {level}, {trust} evidence, strike {strike}")
        }
        Because::Offence { charge, level, styles, trust, strike, rule: None } => {
            format!("{charge} at level {level} ({styles}), {trust} evidence, strike {strike}")
        }
        Because::Adopted => "adopted: it stood in the kernel, and the ledger that knew why was lost".to_owned(),
        Because::Operator { note } if note.is_empty() => "an operator's order".to_owned(),
        Because::Operator { note } => format!("an operator's order: {}", escape::text(note, NOTE_CHARS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::block::{Block, BlockId, Effect, Scope};
    use model::decision::{Cap, ExemptReason, WatchReason};
    use model::event::Trust;
    use model::level::DangerLevel;
    use model::offence::Charge;
    use model::style::Style;

    #[test]
    fn every_decision_has_its_words() {
        let now = Time::from_secs(1_000);
        let block = Block {
            id: BlockId(1),
            scope: Scope::Source("192.0.2.1".parse().unwrap()),
            effect: Effect::Drop,
            made: now,
            expiry: Expiry::At(Time::from_secs(1_600)),
            because: Because::Offence {
                charge: Charge::PortScan,
                level: DangerLevel::MIN,
                styles: [Style::Syn].into_iter().collect(),
                trust: Trust::Handshake,
                strike: 2,
                rule: None,
            },
        };
        for (decision, text) in [
            (
                Decision::Block(block),
                r#"{"action":"block","seconds":600,"why":"port scan at level 1 (syn), handshake evidence, strike 2"}"#,
            ),
            (
                Decision::Extend { id: BlockId(1), expiry: Expiry::At(Time::from_secs(2_200)), strike: 3 },
                r#"{"action":"block","seconds":1200,"why":"blocked already; strike 3, so the block ends later"}"#,
            ),
            (
                Decision::Watch { until: Time::from_secs(1_060), why: WatchReason::Standing },
                r#"{"action":"watch","seconds":60,"why":"blocked already"}"#,
            ),
            (Decision::Exempt(ExemptReason::Gateway), r#"{"action":"exempt","why":"default gateway"}"#),
            (Decision::Refuse(Cap::PerMinute), r#"{"action":"refuse","why":"new blocks for this minute are used up"}"#),
        ] {
            let verdict = Verdict::of(&decision, now);
            assert_eq!(serde_json::to_string(&verdict).unwrap(), text);
            assert_eq!(serde_json::from_str::<Verdict>(text).unwrap(), verdict);
            assert!(text.contains(&format!("\"{}\"", verdict.action.word())));
        }
        assert!(because(&Because::Adopted).starts_with("adopted"));
        assert_eq!(because(&Because::Operator { note: "spam\u{1b}".into() }), "an operator's order: spam\\u{1b}");
    }
}
