//! `riposte explain ADDRESS`: who it is, what it did, why that is believed, what was decided and why not more, until when.
//! Tells only what it was given; decides nothing.

use crate::decision::NOTE_CHARS;
use crate::duration::Human;
use crate::escape;
use crate::history::{self, HistoryLine};
use crate::list::BlockLine;
use crate::serial::{Stamp, Whom};
use crate::status::SignatureCount;
use crate::system::{self, SystemLine};
use crate::table::{Room, WIDTH, count, wrap};
use crate::time::Readable;
use model::decision::WatchReason;
use model::offence::Charge;
use serde::{Deserialize, Serialize};

/// Charges that the text shows, the latest; JSON has all of them.
const ENTRIES_SHOWN: usize = 10;

/// Signatures that the text names; JSON has all of them.
const SIGNATURES_SHOWN: usize = 5;

/// What the detector has on an address right now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectFigures {
    /// Its first packet.
    pub first: Stamp,
    /// Its latest packet.
    pub last: Stamp,
    /// Packets.
    pub packets: u64,
    /// Different targets.
    pub targets: u32,
    /// Different (target, protocol, port) that it failed to reach.
    pub endpoints: u32,
    /// How many times more likely a scanner does this than a benign host (the sequential test's likelihood ratio).
    pub odds: Option<f64>,
    /// Whether the sequential test has decided against it.
    pub convicted: bool,
    /// Its danger level, if it has one.
    pub level: Option<u8>,
    /// How it was done.
    pub styles: Vec<String>,
    /// Could the address be forged?
    pub trust: String,
}

/// The log line that decided last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedLine {
    /// When.
    pub at: Stamp,
    /// Which log it stands in.
    pub log: String,
    /// The line, cut. Whoever was blocked wrote part of it.
    pub line: String,
}

/// That somebody is on another's list of attackers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingLine {
    /// The list's name.
    pub list: String,
    /// What follows: `block`, `level` or `mark`.
    pub effect: String,
    /// The entry.
    pub entry: Whom,
    /// Until when.
    pub until: Stamp,
    /// Whether it is blocked for that.
    pub blocks: bool,
}

/// What else has to be known to say what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Whether nobody is blocked at all.
    pub dry_run: bool,
    /// How long its next block would be, in seconds.
    pub next_block_secs: Option<u64>,
}

/// The whole answer about one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whom it is about.
    pub address: Whom,
    /// The answer in one sentence.
    pub verdict: String,
    /// Why it is exempt.
    pub exempt: Option<String>,
    /// The block that stands.
    pub block: Option<BlockLine>,
    /// What the detector has on it.
    pub suspect: Option<SuspectFigures>,
    /// What it was charged with, the oldest first.
    pub entries: Vec<HistoryLine>,
    /// The log line that decided last, if a log rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuotedLine>,
    /// The signatures that its packets have fitted, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<SignatureCount>,
    /// What its packets look like, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<SystemLine>,
    /// Others' lists of attackers that it is on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listings: Vec<ListingLine>,
    /// Offences that are remembered against it.
    pub strikes: u32,
    /// What comes next, in words.
    pub what_next: String,
}

impl Explanation {
    /// Puts the sentences to the facts.
    pub fn compose(
        address: Whom,
        exempt: Option<String>,
        block: Option<BlockLine>,
        suspect: Option<SuspectFigures>,
        entries: Vec<HistoryLine>,
        strikes: u32,
        outlook: Outlook,
    ) -> Explanation {
        let bare = Explanation {
            address,
            verdict: String::new(),
            exempt,
            block,
            suspect,
            entries,
            quote: None,
            signatures: Vec::new(),
            systems: Vec::new(),
            listings: Vec::new(),
            strikes,
            what_next: String::new(),
        };
        Explanation { verdict: bare.say_verdict(), what_next: bare.say_what_next(outlook), ..bare }
    }

    /// With the log line that decided last.
    pub fn quoting(self, quote: Option<QuotedLine>) -> Explanation {
        Explanation { quote, ..self }
    }

    /// With the signatures that its packets have fitted.
    pub fn matching(self, signatures: Vec<SignatureCount>) -> Explanation {
        Explanation { signatures, ..self }
    }

    /// With what its packets look like.
    pub fn looking_like(self, systems: Vec<SystemLine>) -> Explanation {
        Explanation { systems, ..self }
    }

    /// With the lists that it is on: one of them may be all that blocks it.
    pub fn listed(self, listings: Vec<ListingLine>) -> Explanation {
        let blocking = listings.iter().find(|listing| listing.blocks).filter(|_| self.block.is_none());
        let (verdict, what_next) = match blocking {
            Some(listing) => {
                let with = if listing.entry == self.address { String::new() } else { format!(" with {}", listing.entry) };
                let until = Readable(listing.until.0);
                let verdict = format!("{} is blocked{with} by the feed {} until {until}.", self.address, listing.list);
                (verdict, format!("It passes when the list forgets it, or with riposte allow. {}", self.what_next).trim_end().to_owned())
            }
            None => (self.verdict, self.what_next),
        };
        Explanation { listings, verdict, what_next, ..self }
    }

    fn say_verdict(&self) -> String {
        let who = self.address;
        let charged = self.last_charge();
        if let Some(block) = &self.block {
            let is = if block.is_rehearsed() { "would be, but for the dry run, blocked" } else { "is blocked" };
            let scope = if block.address == who { format!("{who} {is}") } else { format!("{who} {is} with {}", block.address) };
            let why = match (&block.charge, block.level) {
                (Some(charge), Some(level)) if block.rule.is_some() => {
                    let what = if charge == Charge::Signature.word() { "signature" } else { "log rule" };
                    format!("by the {what} {} at level {level}", block.rule.as_deref().unwrap_or_default())
                }
                (Some(charge), Some(level)) => format!("for a {charge} at level {level}"),
                (_, _) if block.why.starts_with("adopted") => format!("({})", block.why),
                (_, _) => format!("by {}", block.why),
            };
            let held = block.held_by.as_ref().map_or_else(String::new, |names| match names.as_slice() {
                [] => " Nobody holds it at the moment.".to_owned(),
                names => format!(" It is held by {}.", names.join(", ")),
            });
            return match block.until {
                Some(until) => format!("{scope} until {} ({} left) {why}.{held}", Readable(until.0), block.left()),
                None => format!("{scope} for good {why}.{held}"),
            };
        }
        match (&self.exempt, charged) {
            (Some(reason), _) => format!("{who} is never blocked: {reason}."),
            // It was blocked then.
            (None, Some(entry)) if entry.decision == "block" || entry.why == WatchReason::Standing.word() => {
                format!("{who} is not blocked any more.")
            }
            (None, Some(entry)) if entry.decision == "watch" => format!("{who} is not blocked, only watched: {}.", entry.why),
            (None, Some(entry)) if entry.decision == "refuse" => format!("{who} is not blocked: {}.", entry.why),
            (None, Some(entry)) => format!("{who} is not blocked: {}.", entry.why),
            (None, None) if self.suspect.is_some() => format!("{who} is not blocked: it is charged with nothing."),
            (None, None) => format!("{who} is not blocked: nothing is known of it."),
        }
    }

    fn say_what_next(&self, outlook: Outlook) -> String {
        if let Some(reason) = &self.exempt {
            return format!("Whatever it does, it is not blocked while this holds: {reason}.");
        }
        let next = match outlook.next_block_secs {
            Some(secs) if self.strikes > 0 => format!("Its next offence would earn a block of {}.", Human(secs)),
            Some(secs) => format!("A first offence would earn a block of {}.", Human(secs)),
            None => String::new(),
        };
        let end = match &self.block {
            Some(block) if block.until.is_some() => "The block ends by itself when its time is over. ",
            Some(_) => "Only an operator lifts this block: riposte unblock. ",
            None => "",
        };
        let dry = if outlook.dry_run { "This is a dry run: nothing of it is done. " } else { "" };
        format!("{dry}{end}{next}").trim_end().to_owned()
    }

    /// What it did, in sentences.
    fn say_deeds(&self) -> Option<String> {
        let suspect = self.suspect.as_ref()?;
        let seen = if suspect.first == suspect.last {
            format!("It was seen at {}", Readable(suspect.first.0))
        } else {
            format!("It was first seen at {} and last at {}", Readable(suspect.first.0), Readable(suspect.last.0))
        };
        let mut text = format!(
            "{seen}: {} to {}, where it failed to reach {}",
            count(suspect.packets, "packet"),
            count(u64::from(suspect.targets), "target"),
            count(u64::from(suspect.endpoints), "endpoint")
        );
        if !suspect.styles.is_empty() {
            text += &format!(" (styles: {})", escape::text(&suspect.styles.join(", "), NOTE_CHARS));
        }
        text.push('.');
        if let Some(level) = suspect.level {
            text += &format!(" That is danger level {level} of 5.");
        }
        Some(text)
    }

    fn last_charge(&self) -> Option<&HistoryLine> {
        self.entries.iter().rev().find(|entry| entry.is_charge())
    }

    /// What happened to it last without a new charge.
    fn say_turn(&self) -> Option<String> {
        let entry = self.entries.last().filter(|entry| !entry.is_charge())?;
        Some(format!("At {}, {}: {}.", Readable(entry.at.0), entry.charge, entry.why))
    }

    /// Which rule, how many lines, which log, and the last of them.
    fn say_quote(&self) -> Option<String> {
        let quote = self.quote.as_ref()?;
        let entry = self.entries.iter().rev().find(|entry| entry.is_charge() && entry.charge == Charge::Rule.word())?;
        let rule = entry.rule.as_deref().unwrap_or_default();
        let (lines, log) = (count(entry.packets, "line"), escape::text(&quote.log, NOTE_CHARS));
        Some(format!("The log rule {rule} counted {lines} in {log}, at last at {}: {}", Readable(quote.at.0), quote.line))
    }

    /// What its packets have fitted.
    fn say_signatures(&self) -> Option<String> {
        let named = |line: &SignatureCount| format!("{} (sid {}), {}", line.message, line.sid, count(line.count, "packet"));
        let shown: Vec<String> = self.signatures.iter().take(SIGNATURES_SHOWN).map(named).collect();
        let more = match self.signatures.len().saturating_sub(SIGNATURES_SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        (!shown.is_empty()).then(|| format!("Signatures that its packets fit: {}{more}.", shown.join("; ")))
    }

    /// Whose its packets seem to be.
    fn say_systems(&self) -> Option<String> {
        (!self.systems.is_empty()).then(|| format!("Its packets look like: {}.", system::joined(&self.systems)))
    }

    /// On whose lists it is.
    fn say_listings(&self) -> Option<String> {
        let one = |line: &ListingLine| {
            let effect = match (line.effect.as_str(), line.blocks) {
                ("block", false) => "not blocked for that, being exempt or in a dry run",
                ("block", true) => "blocked for that",
                ("level", _) => "what it does counts for more",
                (_, _) => "only marked",
            };
            format!("{} ({}, until {}; {effect})", line.list, line.entry, Readable(line.until.0))
        };
        let all: Vec<String> = self.listings.iter().map(one).collect();
        (!all.is_empty()).then(|| format!("It is on the lists of others: {}.", all.join(", ")))
    }

    /// Why that is believed, and how far.
    fn say_belief(&self) -> Option<String> {
        let suspect = self.suspect.as_ref()?;
        let odds = match suspect.odds {
            Some(odds) if odds >= 2.0 => format!("a scanner is {} times more likely to do this than a benign host", rounded(odds)),
            Some(odds) if odds <= 0.5 => format!("a benign host is {} times more likely to do this than a scanner", rounded(1.0 / odds)),
            Some(_) => "it tells a scanner from a benign host no better than a coin".to_owned(),
            None => "no odds were kept".to_owned(),
        };
        let decided = if suspect.convicted { "The sequential test has convicted it" } else { "The sequential test has not decided" };
        // A touch or a log line may have proved the address that the scan's packets alone don't.
        let proof = self.entries.iter().rev().find(|entry| entry.is_proven());
        let trust = match proof.map_or(suspect.trust.as_str(), |entry| entry.trust.as_str()) {
            "spoofable" => {
                "Nothing proves that the packets are its own: anybody could have written its address on them, and such evidence earns short blocks at most."
            }
            "handshake" => "It completed a TCP handshake, so the address is its own.",
            "vouched" => "A service that spoke with it vouches for the address.",
            _ => "",
        };
        Some(format!("{decided}: {odds}. {trust}").trim_end().to_owned())
    }

    /// What was decided last, and why not more.
    fn say_decision(&self) -> Option<String> {
        let entry = self.last_charge()?;
        let length = entry.seconds.map_or_else(String::new, |secs| format!(" for {}", Human(secs)));
        let decided = match entry.decision.as_str() {
            "block" => format!("was blocked{length}"),
            "watch" if entry.why == WatchReason::Standing.word() => {
                return Some(format!(
                    "At {} it was charged again, with a {} at level {}; its block was left as it stood.{}",
                    Readable(entry.at.0),
                    entry.charge,
                    entry.level,
                    self.say_strikes()
                ));
            }
            "watch" => format!("was watched{length} and not blocked"),
            "exempt" => "was left alone, being exempt".to_owned(),
            "refuse" => "was not blocked".to_owned(),
            _ => "was left as it was".to_owned(),
        };
        let when = Readable(entry.at.0);
        let strikes = self.say_strikes();
        Some(format!("At {when} it was charged with a {} at level {} and {decided}: {}.{strikes}", entry.charge, entry.level, entry.why))
    }

    fn say_strikes(&self) -> String {
        match self.strikes {
            0 => String::new(),
            1 => " 1 offence is remembered against it.".to_owned(),
            n => format!(" {} are remembered against it.", count(u64::from(n), "offence")),
        }
    }

    /// The text for people: sentences, then the latest charges as a table.
    pub fn text(&self, room: Room) -> String {
        let paragraphs = [
            Some(self.verdict.clone()),
            self.say_deeds(),
            self.say_quote(),
            self.say_signatures(),
            self.say_systems(),
            self.say_listings(),
            self.say_belief(),
            self.say_decision(),
            self.say_turn(),
            Some(self.what_next.clone()),
        ];
        let mut text = String::new();
        for paragraph in paragraphs.into_iter().flatten().filter(|paragraph| !paragraph.is_empty()) {
            text.push_str(&wrap(&escape::text(&paragraph, 2_000), WIDTH));
        }
        if self.entries.is_empty() {
            return text;
        }
        let hidden = self.entries.len().saturating_sub(ENTRIES_SHOWN);
        text.push('\n');
        if hidden > 0 {
            text.push_str(&format!("{} before these.\n", count(hidden as u64, "earlier charge")));
        }
        text.push_str(&history::text(&self.entries[hidden..], room));
        text
    }
}

/// Odds with no more digits than they deserve.
fn rounded(odds: f64) -> String {
    if odds >= 1e15 {
        "more than a thousand million million".to_owned()
    } else if odds >= 10.0 {
        crate::table::thousands(odds.round() as u64)
    } else {
        format!("{odds:.1}")
    }
}
