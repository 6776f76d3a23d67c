//! Which rules are at work. For now a stand-in with one rule for sshd, until riposte's own rules are there.

use crate::config::ApplicationsConfig;
use logrules::Rules;
use logrules::finding::{Finding, Wish};
use logrules::line::Line;
use logrules::pattern::{Flavour, Pattern, Spans};
use model::event::Trust;
use model::time::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The rules that this configuration asks for. Runs before the sandbox: rule files are read here.
///
/// # Errors
/// One line that says which file is wrong, and where.
pub fn engine(config: &ApplicationsConfig) -> Result<Box<dyn Rules>, String> {
    if let Some(place) = config.rules.first() {
        return Err(format!("{}: rules of one's own are not read yet", place.display()));
    }
    Ok(Box::new(Sshd::new()?))
}

/// Failures within the time that earn a block.
const FAILURES: u32 = 5;
const WITHIN: Duration = Duration::from_secs(600);
/// Sources counted. At the bound the first in order gives way, which is good enough for a stand-in.
const SOURCES: usize = 65_536;

struct Sshd {
    with_header: Pattern,
    bare: Pattern,
    spans: Spans,
    failures: BTreeMap<IpAddr, (u32, Time)>,
    evicted: u64,
}

impl Sshd {
    fn new() -> Result<Sshd, String> {
        // The last " from A port N" that closes the line is sshd's own: a name with such words in it is before it.
        let said = "Failed \\S+ for .* from (\\S+) port \\d+(?: ssh2)?$";
        let header = "^(?:<\\d{1,3}>)?(?:\\d{4}-\\S+ |[A-Z][a-z]{2} [ \\d]\\d [\\d:]{8} )(?:\\S+ )?sshd(?:-session)?\\[\\d+\\]: ";
        Ok(Sshd {
            with_header: Pattern::new(&format!("{header}{said}"), Flavour::default())?,
            bare: Pattern::new(&format!("^{said}"), Flavour::default())?,
            spans: Spans::default(),
            failures: BTreeMap::new(),
            evicted: 0,
        })
    }
}

impl Rules for Sshd {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        let by = line.field("SYSLOG_IDENTIFIER");
        let pattern = if line.text.starts_with(b"Failed") { &self.bare } else { &self.with_header };
        let is_another = by.is_some_and(|by| by != b"sshd" && by != b"sshd-session");
        if is_another || pattern.captures(line.text, 0, &mut self.spans) != Ok(true) {
            return;
        }
        let source = self.spans.text(line.text, 1).and_then(|text| std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok());
        let Some(source) = source.map(|addr| addr.to_canonical()) else { return };
        let (count, first) =
            self.failures.get(&source).copied().filter(|(_, first)| line.at.since(*first) < WITHIN).unwrap_or((0, line.at));
        let count = count + 1;
        let wish = (count >= FAILURES).then(|| Wish {
            action: "block".into(),
            duration: None,
            why: format!("{count} failed passwords within {} s", WITHIN.as_secs()),
        });
        if wish.is_some() {
            self.failures.remove(&source);
        } else {
            self.failures.insert(source, (count, first));
        }
        if self.failures.len() > SOURCES {
            self.failures.pop_first();
            self.evicted += 1;
        }
        out.push(Finding {
            at: line.at,
            program: Some("sshd".to_owned()),
            decoder: None,
            fields: Vec::new(),
            rule: "sshd".into(),
            level: if wish.is_some() { 10 } else { 5 },
            description: "sshd: passwords guessed".into(),
            actor: Some(source),
            trust: Trust::Vouched,
            count,
            wish,
        });
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("sources forgotten, table full", self.evicted)]
    }
}
