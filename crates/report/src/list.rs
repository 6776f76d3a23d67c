//! `riposte list`: the blocks, one a line.

use crate::decision::{NOTE_CHARS, because};
use crate::duration::Human;
use crate::escape;
use crate::serial::{Stamp, Whom};
use crate::table::{Room, Side, Table, count, thousands};
use crate::time::Readable;
use model::block::{Because, Block, Expiry, State};
use model::net::Prefix;
use model::time::Time;
use serde::{Deserialize, Serialize};

/// Characters of a state with those who have the block.
const STATE_CHARS: usize = 80;

/// One block. What an operator ordered or was adopted has no charge, level, styles, trust and strike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLine {
    /// Whom.
    pub address: Whom,
    /// Since when.
    pub since: Stamp,
    /// Until when; absent if it never ends.
    pub until: Option<Stamp>,
    /// How many seconds are left; absent if it never ends.
    pub remaining_secs: Option<u64>,
    /// Why, in one line.
    pub why: String,
    /// How dangerous, 1 to 5.
    pub level: Option<u8>,
    /// What the charge is.
    pub charge: Option<String>,
    /// The log rule that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How it was done.
    pub styles: Vec<String>,
    /// Could the address be forged?
    pub trust: Option<String>,
    /// Which offence of this offender it is, from 1.
    pub strike: Option<u32>,
    /// What the ledger knows of it.
    pub state: String,
    /// Which responders have it, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Vec<String>>,
    /// Which of them does not answer, if it is not known who has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
    /// It is no block of riposte's own, but an entry of this list of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

/// The state of what a dry run doesn't set.
pub const REHEARSED: &str = "dry run";
/// The state of an entry of others' lists.
pub const LISTED: &str = "listed";

/// What others' lists block: some of it, by address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// How many entries there are in all, if these are the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<u64>,
    /// These.
    pub entries: Vec<BlockLine>,
}

impl BlockLine {
    /// A block of the ledger, as it stands at `now`.
    pub fn of(block: &Block, state: State, now: Time) -> BlockLine {
        let until = match block.expiry {
            Expiry::At(at) => Some(at),
            Expiry::Never => None,
        };
        let bare = BlockLine::bare(block.scope.prefix(), block.made, until, now, state.word(), because(&block.because));
        match &block.because {
            Because::Adopted | Because::Operator { note: _ } => bare,
            Because::Offence { charge, level, styles, trust, strike, rule: _ } => BlockLine {
                level: Some(level.number()),
                charge: Some(charge.word().to_owned()),
                styles: styles.iter().map(|style| style.word().to_owned()).collect(),
                trust: Some(trust.word().to_owned()),
                strike: Some(*strike),
                ..bare
            },
        }
    }

    /// An entry of a list of others, fetched at `since`.
    pub fn of_list(list: &str, prefix: Prefix, since: Time, until: Time, now: Time) -> BlockLine {
        let bare = BlockLine::bare(prefix, since, Some(until), now, LISTED, format!("on the list of the feed {list}"));
        BlockLine { list: Some(list.to_owned()), ..bare }
    }

    /// Nothing but whom, when, how and why.
    fn bare(prefix: Prefix, since: Time, until: Option<Time>, now: Time, state: &str, why: String) -> BlockLine {
        BlockLine {
            address: Whom(prefix),
            since: Stamp(since),
            until: until.map(Stamp),
            remaining_secs: until.map(|until| until.since(now).as_secs()),
            why,
            level: None,
            charge: None,
            rule: None,
            styles: Vec::new(),
            trust: None,
            strike: None,
            state: state.to_owned(),
            held_by: None,
            silent: Vec::new(),
            list: None,
        }
    }

    /// With the name of the log rule that was broken.
    pub fn of_rule(self, rule: Option<&str>) -> BlockLine {
        let why = rule.map_or_else(|| self.why.clone(), |rule| format!("{rule}: {}", self.why));
        BlockLine { why, rule: rule.map(str::to_owned), ..self }
    }

    /// Whether it would be set, were it not for a dry run.
    pub fn is_rehearsed(&self) -> bool {
        self.state == REHEARSED
    }

    /// With the names of those who have it (nobody, in a dry run), or of those who don't say.
    pub fn held_by(self, names: Option<Vec<String>>, silent: Vec<String>) -> BlockLine {
        BlockLine { held_by: names.filter(|_| !self.is_rehearsed()), silent, ..self }
    }

    /// Its state, and who has it, for people.
    pub fn standing(&self) -> String {
        match &self.held_by {
            None => self.state.clone(),
            Some(names) if names.is_empty() => format!("{}: nobody", self.state),
            Some(names) => format!("{}: {}", self.state, names.join(", ")),
        }
    }

    /// How long it still lasts, for people.
    pub fn left(&self) -> String {
        self.remaining_secs.map_or_else(|| "for good".to_owned(), |secs| Human(secs).to_string())
    }
}

/// That it is not known who has a block, because these do not answer.
pub(crate) fn unsaid(silent: &[String]) -> String {
    let (names, verb) = (escape::text(&silent.join(", "), STATE_CHARS), if silent.len() == 1 { "does" } else { "do" });
    format!("{names} {verb} not answer: who has which block is not known now.")
}

/// The blocks in aligned columns, in the order given, and a line that counts them.
pub fn text(blocks: &[BlockLine], room: Room) -> String {
    whole_text(blocks, &Listed { all: None, entries: Vec::new() }, room)
}

/// Likewise, and behind them what others' lists block.
pub fn whole_text(blocks: &[BlockLine], listed: &Listed, room: Room) -> String {
    let (all, shown) = (listed.all.unwrap_or(0), listed.entries.len() as u64);
    if blocks.is_empty() && all == 0 {
        return "Nobody is blocked.\n".to_owned();
    }
    let mut table =
        Table::new([("ADDRESS", Side::Left), ("SINCE", Side::Left), ("LEFT", Side::Right), ("STATE", Side::Left), ("WHY", Side::Left)]);
    for block in blocks.iter().chain(&listed.entries) {
        table.row([
            block.address.to_string(),
            Readable(block.since.0).to_string(),
            block.left(),
            escape::text(&block.standing(), STATE_CHARS),
            escape::text(&block.why, NOTE_CHARS),
        ]);
    }
    let table = if blocks.len() as u64 + shown > 0 { table.text(room) } else { String::new() };
    let others = match all.saturating_sub(shown) {
        _ if all == 0 => String::new(),
        0 => format!(", and {} of others' lists", entries(all)),
        more => format!(", and {} of others' lists, {} of them not shown (riposte list --listed {all})", entries(all), thousands(more)),
    };
    let silent =
        blocks.iter().find(|block| !block.silent.is_empty()).map_or_else(String::new, |block| format!("{}\n", unsaid(&block.silent)));
    format!("{table}{}{others}.\n{silent}", count(blocks.len() as u64, "block"))
}

fn entries(number: u64) -> String {
    format!("{} {}", thousands(number), if number == 1 { "entry" } else { "entries" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_others_lists_are_told_from_blocks() {
        let (now, end) = (Time::from_secs(100), Time::from_secs(160));
        let entry = |text: &str| BlockLine::of_list("drop", text.parse().unwrap(), now, end, now);
        let text = |all, entries: &[BlockLine]| whole_text(&[], &Listed { all: Some(all), entries: entries.to_vec() }, Room::Endless);
        let one = text(1, &[entry("46.1.0.0/16")]);
        assert!(one.contains("46.1.0.0/16") && one.contains("listed") && one.contains("on the list of the feed drop"), "{one}");
        assert!(one.ends_with("0 blocks, and 1 entry of others' lists.\n"), "{one}");
        let more = text(4_000, &[entry("45.9.9.9")]);
        assert!(more.ends_with("4,000 entries of others' lists, 3,999 of them not shown (riposte list --listed 4000).\n"), "{more}");
        assert_eq!(text(2, &[]), "0 blocks, and 2 entries of others' lists, 2 of them not shown (riposte list --listed 2).\n");
        assert_eq!(text(0, &[]), "Nobody is blocked.\n");
        // Who reads blocks reads it, and who asks is told whose it is.
        let json = crate::serial::to_json_line(&entry("45.9.9.9")).unwrap();
        assert!(json.contains("\"list\":\"drop\"") && json.contains("\"remaining_secs\":60"), "{json}");
        assert_eq!(serde_json::from_str::<BlockLine>(&json).unwrap(), entry("45.9.9.9"));
    }
}
