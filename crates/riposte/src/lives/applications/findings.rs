//! Lines to the rules, and what they make of them to the judge. Decides nothing, and never lets text travel that is not cut.

use crate::config::response::ResponseConfig;
use crate::lives::channel::Channel;
use crate::sources::Line;
use link::message::{Asked, Message, RULES, Reported};
use logrules::Rules;
use logrules::finding::{Finding, Wish};
use logrules::line;
use model::event::{Act, Event, Origin, Repeated, Report, RuleId, Trust};
use model::level::DangerLevel;
use model::limits;
use model::response::{ResponseId, UserName};
use model::time::Time;
use sense::firewall::timestamp::Stamps;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Lines remembered to tell whether another log has just had the same. Two that fall on one place forget each other.
const TWINS: usize = 8_192;
/// How far back the counts of an earlier run are taken up.
const PAST: Duration = Duration::from_secs(86_400);
/// What riposte's own rules and fail2ban's call blocking the address. Which of OSSEC's commands do, its configuration says.
const BLOCK: &str = "block";

/// What was found and not yet told.
#[derive(Debug)]
pub struct Findings {
    slot: u16,
    /// What an active response may be called that blocks the address.
    blocks: BTreeSet<String>,
    /// The configuration's responses in their order, and whether each wants to know a user.
    responses: Vec<(String, bool)>,
    found: Vec<Finding>,
    reports: Vec<Reported>,
    /// This sensor's numbers of rules, and those that the judge has not heard of.
    numbers: HashMap<Arc<str>, RuleId>,
    unnamed: Vec<(RuleId, String)>,
    hasher: RandomState,
    /// By place: a line's hash, and in which log it was.
    twins: Vec<(u64, u64)>,
    lines: u64,
    past: u64,
    findings: u64,
    wishes: u64,
    /// Wishes that can't be followed: no address, or another response than a block.
    without_address: u64,
    other_responses: u64,
    /// Responses that want a user, and there is none, or one whose name could do harm.
    without_user: u64,
    forged: u64,
    twice: u64,
    dropped: u64,
}

impl Findings {
    /// For the sensor in this slot.
    pub fn new(slot: u16, blocks: &BTreeSet<String>, responses: &[ResponseConfig]) -> Findings {
        Findings {
            slot,
            blocks: std::iter::once(BLOCK.to_owned()).chain(blocks.iter().cloned()).collect(),
            responses: responses.iter().map(|response| (response.name.clone(), response.wants_user())).collect(),
            found: Vec::new(),
            reports: Vec::new(),
            numbers: HashMap::new(),
            unnamed: Vec::new(),
            hasher: RandomState::new(),
            twins: vec![(0, 0); TWINS],
            lines: 0,
            past: 0,
            findings: 0,
            wishes: 0,
            without_address: 0,
            other_responses: 0,
            without_user: 0,
            forged: 0,
            twice: 0,
            dropped: 0,
        }
    }

    /// A line of a file, a pipe or a socket.
    pub fn line(&mut self, rules: &mut dyn Rules, line: Line<'_>, at: Time, log: &str) {
        self.lines += 1;
        if self.is_twin(line.text, log) {
            self.twice += 1;
            return;
        }
        rules.line(&line::Line::new(line.text, at, log), &mut self.found);
        self.take(line.text, log, Trust::Vouched);
    }

    /// A line that an earlier run has read: its counts go on, and what it made of the line is past. One that does not say when it was written
    /// is passed over, or all of a quiet year's would count as now's.
    pub fn past(&mut self, rules: &mut dyn Rules, line: Line<'_>, stamps: &mut Stamps, now: Time, log: &str) {
        let after_priority = line.text.iter().position(|byte| *byte == b'>').filter(|end| *end <= 4 && line.text.starts_with(b"<"));
        let stamped = line.text.get(after_priority.map_or(0, |end| end + 1)..).unwrap_or_default();
        let Some((at, _)) = stamps.split(stamped, now).filter(|(at, _)| *at <= now && now.since(*at) <= PAST) else { return };
        if !self.is_twin(line.text, log) {
            rules.line(&line::Line::new(line.text, at, log), &mut self.found);
            self.found.clear();
            self.past += 1;
        }
    }

    /// An entry of the journal; one that an earlier run has read is past.
    pub fn entry(&mut self, rules: &mut dyn Rules, line: Line<'_>, at: Time, fields: &[(&str, &[u8])], past: bool) {
        self.lines += u64::from(!past);
        let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let Some(trust) = super::proof::trust(field) else {
            self.forged += u64::from(!past);
            return;
        };
        rules.line(&line::Line { text: line.text, at, place: super::JOURNAL, journal: fields }, &mut self.found);
        if past {
            self.found.clear();
            self.past += 1;
        } else {
            self.take(line.text, super::JOURNAL, trust);
        }
    }

    /// Whether another log has just had the very same line: a syslog daemon writes what it is told into several, and one guess counts once.
    fn is_twin(&mut self, text: &[u8], log: &str) -> bool {
        // Each log's name has one place in memory for as long as it is followed: that tells them apart for nothing.
        let (line, log) = (self.hasher.hash_one(text), log.as_ptr() as u64);
        let Some(place) = self.twins.get_mut(line as usize % TWINS) else { return false };
        if place.0 == line && place.1 != log {
            return true;
        }
        *place = (line, log);
        false
    }

    fn take(&mut self, text: &[u8], log: &str, most: Trust) {
        if self.found.is_empty() {
            return;
        }
        let mut found = std::mem::take(&mut self.found);
        for finding in found.drain(..) {
            self.findings += 1;
            let Some(wish) = &finding.wish else { continue };
            let responses = &self.responses;
            let place = |wish: &Wish| responses.iter().position(|(name, _)| **name == *wish.action);
            let all: Vec<(&Wish, Option<usize>)> = std::iter::once(wish).chain(&wish.further).map(|wish| (wish, place(wish))).collect();
            self.wishes += all.len() as u64;
            // The block comes first, by which the ledger counts; two scripts that both block are one.
            let block = all.iter().find(|(wish, place)| place.is_none() && self.blocks.contains(&*wish.action)).copied();
            let others = all.iter().filter(|(wish, place)| place.is_none() && !self.blocks.contains(&*wish.action)).count();
            self.other_responses += others as u64;
            for (wish, place) in block.into_iter().chain(all.into_iter().filter(|(_, place)| place.is_some())) {
                self.report(&finding, wish, place, (text, log), most);
            }
        }
        self.found = found;
    }

    fn report(&mut self, finding: &Finding, wish: &Wish, response: Option<usize>, (text, log): (&[u8], &str), most: Trust) {
        let Some(actor) = finding.actor else {
            self.without_address += 1;
            return;
        };
        let response = match response.and_then(|place| Some((place, self.responses.get(place)?.1))) {
            None => None,
            Some((place, wants_user)) => {
                let user = wants_user.then(|| user(finding)).flatten();
                if wants_user && user.is_none() {
                    self.without_user += 1;
                    return;
                }
                Some(Asked { response: ResponseId(place as u8), user, rule: finding.rule.parse().ok() })
            }
        };
        let act = Act::Reported(Report {
            rule: self.number(&finding.rule),
            level: level(finding.level),
            lines: finding.count.max(1),
            // Whoever comes back is known by the ledger, which forgets nobody over a restart.
            wished: if wish.repeated.is_empty() { wish.duration } else { wish.first },
            repeated: Repeated::new(&wish.repeated),
        });
        let origin = Origin { sensor: self.slot, serial: self.lines };
        let trust = finding.trust.min(most);
        let event = Event { at: finding.at, origin, actor: actor.to_canonical(), target: None, act, trust, times: 1 };
        let line = String::from_utf8_lossy(text);
        self.reports.push(Reported { event, log: cut(log, limits::PLACE_BYTES), line: cut(&line, limits::QUOTE_BYTES), response });
    }

    fn number(&mut self, rule: &Arc<str>) -> RuleId {
        if let Some(number) = self.numbers.get(rule) {
            return *number;
        }
        // The last number stands for all that come when the dictionary is full.
        let number = RuleId(self.numbers.len().min(limits::RULES - 1) as u16);
        if self.numbers.len() < limits::RULES {
            self.numbers.insert(Arc::clone(rule), number);
            self.unnamed.push((number, cut(rule, limits::RULE_BYTES)));
        }
        number
    }

    /// Tells the judge: names before what needs them.
    ///
    /// # Errors
    /// If the judge is gone.
    pub fn tell(&mut self, judge: &mut Channel) -> io::Result<()> {
        for names in std::mem::take(&mut self.unnamed).chunks(RULES) {
            judge.send(&Message::Rules(names.to_vec()))?;
        }
        for batch in std::mem::take(&mut self.reports).chunks(limits::BATCH_REPORTS) {
            let before = judge.dropped();
            judge.send(&Message::Reports(batch.to_vec()))?;
            self.dropped += (judge.dropped() - before) * batch.len() as u64;
        }
        Ok(())
    }

    /// What was counted.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("lines", self.lines),
            ("lines looked at once more", self.past),
            ("findings", self.findings),
            ("wishes", self.wishes),
            ("wishes without an address", self.without_address),
            ("wishes for other responses", self.other_responses),
            ("responses without a usable user", self.without_user),
            ("forged", self.forged),
            ("in two logs", self.twice),
            ("reports dropped, judge too slow", self.dropped),
        ]
    }
}

/// Whose account the line is about, if that is a name that can do no harm.
fn user(finding: &Finding) -> Option<UserName> {
    let named = |name: &str| finding.fields.iter().find(|(known, _)| &**known == name);
    UserName::new(&["dstuser", "user"].into_iter().find_map(named)?.1)
}

/// OSSEC's 16 levels on psad's scale of five.
fn level(level: u8) -> DangerLevel {
    let danger = match level {
        0..=6 => 1,
        7..=9 => 2,
        10..=11 => 3,
        12..=13 => 4,
        14.. => 5,
    };
    DangerLevel::new(danger).unwrap_or(DangerLevel::MIN)
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApplicationsConfig;
    use crate::lives::applications::engine;

    fn text(text: &str) -> Line<'_> {
        Line { text: text.as_bytes(), cut: false, at: None }
    }

    /// Five guesses as sshd logs them (the number makes them different lines).
    fn guesses(findings: &mut Findings, rules: &mut dyn Rules, log: &str, user: &str) {
        for n in 0..5 {
            let line = format!("2026-11-21T04:00:0{n}+00:00 host sshd[7]: Failed password for {user} from 192.0.2.7 port 40{n} ssh2");
            findings.line(rules, text(&line), Time::from_secs(1_000), log);
        }
    }

    #[test]
    fn what_rules_want_goes_to_the_judge_with_the_line_cut() {
        let mut rules = engine::load(&ApplicationsConfig::default(), &[]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let mut findings = Findings::new(9, &BTreeSet::new(), &[]);
        let long = format!("invalid user {}", "x\u{e9}".repeat(300));
        guesses(&mut findings, &mut rules, "/var/log/auth.log", &long);
        let [reported] = &findings.reports[..] else { panic!("{:?}", findings.reports) };
        assert_eq!((reported.event.actor.to_string().as_str(), reported.event.origin.sensor), ("192.0.2.7", 9));
        assert!(matches!(reported.event.act, Act::Reported(Report { rule: RuleId(0), lines: 5, .. })), "{reported:?}");
        assert!(reported.line.len() <= limits::QUOTE_BYTES && reported.line.contains("invalid user x\u{e9}"));
        assert!(matches!(&findings.unnamed[..], [(RuleId(0), name)] if name.starts_with("sshd")), "{:?}", findings.unnamed);
        let count = |name: &str| findings.counters().into_iter().find(|(known, _)| *known == name).map(|(_, count)| count);
        assert_eq!((count("lines"), count("findings"), count("wishes"), count("in two logs")), (Some(5), Some(5), Some(1), Some(0)));
    }

    #[test]
    fn what_two_logs_have_counts_once() {
        let mut rules = engine::load(&ApplicationsConfig::default(), &[]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let mut findings = Findings::new(9, &BTreeSet::new(), &[]);
        let guess = |n: u8| format!("2026-11-21T04:00:0{n}+00:00 host sshd[7]: Failed password for root from 192.0.2.7 port 22 ssh2");
        for n in 0..4 {
            for log in ["/var/log/auth.log", "/var/log/syslog"] {
                findings.line(&mut rules, text(&guess(n)), Time::from_secs(1_000), log);
            }
        }
        assert_eq!((findings.reports.len(), findings.twice), (0, 4));
        // The same line twice in one log are two guesses in the same second.
        findings.line(&mut rules, text(&guess(3)), Time::from_secs(1_000), "/var/log/auth.log");
        assert_eq!(findings.reports.len(), 1);
    }

    #[test]
    fn levels_are_those_of_the_danger_scale() {
        assert_eq!([0, 5, 6, 7, 10, 12, 14, 16, 255].map(|n| level(n).number()), [1, 1, 1, 2, 3, 4, 5, 5, 5]);
    }
}
