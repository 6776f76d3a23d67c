//! Runs the samples that rule files carry: what must match, what must not, and what strangers forge. Never knows a rule by name.

use super::Book;
use super::classes;
use super::file::Sample;
use crate::Rules;
use crate::finding::Finding;
use crate::line::Line;
use model::time::Time;
use std::fmt;
use std::time::Duration;

/// Samples without a time of their own are of 21 November 2026, 03:05 UTC, one a second.
const START: Time = Time::from_secs(1_795_230_300);

/// A sample that came out otherwise than its file says: `file:line: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub file: String,
    /// The sample's line in it, or the rule's.
    pub line: usize,
    /// What went wrong.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl Book {
    /// Runs all samples of these files; the book forgets what it had counted.
    ///
    /// # Errors
    /// Every sample that came out otherwise. A rule without a sample of what it meets, or of what it doesn't, is one, too.
    pub fn test(&mut self) -> Result<usize, Vec<Failure>> {
        let (mut failures, mut run) = (Vec::new(), 0);
        let mut cases = Vec::new();
        for rule in &self.plan.rules {
            let file = self.plan.services.get(rule.service).map(|service| service.file.to_string()).unwrap_or_default();
            for (samples, noun) in [(&rule.hits, "hit"), (&rule.misses, "miss")] {
                if samples.is_empty() {
                    failures.push(Failure {
                        file: file.clone(),
                        line: rule.line,
                        message: format!("{}: no {noun} among its samples", rule.name),
                    });
                }
            }
            cases.extend(rule.hits.iter().map(|sample| (file.clone(), Some((rule.name.clone(), true)), sample.clone())));
            cases.extend(rule.misses.iter().map(|sample| (file.clone(), Some((rule.name.clone(), false)), sample.clone())));
        }
        for service in &self.plan.services {
            if service.forged.is_empty() {
                failures.push(Failure {
                    file: service.file.to_string(),
                    line: 1,
                    message: "no line in forged, none that an attacker wrote".to_owned(),
                });
            }
            cases.extend(service.forged.iter().map(|sample| (service.file.to_string(), None, sample.clone())));
        }
        self.state.aloud = true;
        for (file, rule, sample) in cases {
            run += 1;
            let found = self.run(&sample);
            let wrong = match &rule {
                Some((name, true)) => {
                    let met = found.iter().find(|finding| finding.rule == *name);
                    met.map_or_else(|| Some(format!("{name} doesn't match; found: {}", names(&found))), |met| differs(met, &sample))
                }
                Some((name, false)) => found.iter().any(|finding| finding.rule == *name).then(|| format!("{name} matches")),
                None => forged(&found, &sample),
            };
            failures.extend(wrong.map(|message| Failure { file, line: sample.at, message: format!("{message}: {}", sample.line) }));
        }
        self.state.aloud = false;
        self.forget();
        failures.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        if failures.is_empty() { Ok(run) } else { Err(failures) }
    }

    /// What the last line comes to.
    fn run(&mut self, sample: &Sample) -> Vec<Finding> {
        self.forget();
        let (mut at, mut found) = (START, Vec::new());
        let last = std::iter::repeat_n(&sample.line, sample.times as usize);
        for text in sample.before.iter().chain(last) {
            found.clear();
            self.line(&Line::new(text.as_bytes(), at, &sample.place), &mut found);
            at = at.after(Duration::from_secs(1));
        }
        found
    }
}

fn names(found: &[Finding]) -> String {
    let all: Vec<&str> = found.iter().map(|finding| &*finding.rule).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// What a finding says otherwise than its sample.
fn differs(found: &Finding, sample: &Sample) -> Option<String> {
    let actor = found.actor.map(|address| address.to_string());
    if let (Some(actor), None) = (&actor, &sample.address) {
        return Some(format!("tells an address that the sample doesn't: write {{ line = …, address = \"{actor}\" }}"));
    }
    if actor != canonical(sample) {
        return Some(format!("address {} instead of {}", shown(actor.as_ref()), shown(sample.address.as_ref())));
    }
    if let Some(block) = sample.block.filter(|block| *block != found.wish.is_some()) {
        return Some(if block { "doesn't block" } else { "blocks" }.to_owned());
    }
    sample.fields.iter().find_map(|(name, wanted)| {
        let value = found.fields.iter().find(|(known, _)| **known == **name).map(|(_, value)| value);
        (value != Some(wanted)).then(|| format!("{name} {} instead of {wanted:?}", shown(value)))
    })
}

/// A forged line may accuse nobody but the address that the service vouches for.
fn forged(found: &[Finding], sample: &Sample) -> Option<String> {
    let wanted = canonical(sample);
    let actors: Vec<String> = found.iter().filter_map(|finding| finding.actor).map(|address| address.to_string()).collect();
    match actors.iter().find(|actor| Some(*actor) != wanted.as_ref()) {
        Some(other) => Some(format!("accuses {other} instead of {}", shown(wanted.as_ref()))),
        None => (wanted.is_some() && actors.is_empty()).then(|| format!("doesn't accuse {}", shown(wanted.as_ref()))),
    }
}

fn canonical(sample: &Sample) -> Option<String> {
    let text = sample.address.as_ref()?;
    Some(classes::parse(text.as_bytes()).map_or_else(|| text.clone(), |address| address.to_string()))
}

fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"))
}
