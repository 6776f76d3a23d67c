//! Reads cases that SSHGuard's people write for their parser, and says how far our rules agree. Never changes what a rule says.

use super::{Book, classes};
use crate::Rules;
use crate::line::Line;
use model::time::Time;
use std::net::IpAddr;

/// Rules below this level only tell what innocents do all day: that is no attack.
const ACCUSES: u8 = 3;

/// One case: a line, what it is to come to, and what it came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The log line's number in the suite, from 1.
    pub number: usize,
    /// The log line.
    pub line: String,
    /// SSHGuard's number for the service, if the case has one.
    pub service: Option<u32>,
    /// The attacker's address as it is written; `None` if the case doesn't say.
    pub address: Option<String>,
    /// How bad it is there.
    pub danger: Option<u32>,
    /// Whether it must match.
    pub must: bool,
    /// The rule that it met.
    pub rule: Option<String>,
    /// Whom that rule accuses.
    pub actor: Option<IpAddr>,
    /// Whether both say the same.
    pub agree: bool,
}

/// Runs a suite of triples: the line; `SERVICE ADDRESS KIND DANGER` or `*`; `M` (must match) or `X` (must not). Empty lines between cases are
/// passed over, and so are lines that begin with `#` where a case would begin. Each case is read by itself: the book forgets in between. The format
/// names no file, so a line without a head may be any service's.
///
/// # Errors
/// The number of a line that is no verdict, and what it is instead: this is no suite of triples.
pub fn sshguard(text: &str, book: &mut Book) -> Result<Vec<Case>, (usize, String)> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate();
    book.ask_all_bare(true);
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (Some((_, wanted)), Some((at, verdict))) = (lines.next(), lines.next()) else { break };
        let words: Vec<&str> = wanted.split_whitespace().collect();
        let (service, address, danger) = match words.as_slice() {
            [service, address, _kind, danger, ..] => (service.parse().ok(), Some((*address).to_owned()), danger.parse().ok()),
            _ => (None, None, None),
        };
        let must = match verdict.trim() {
            "M" => true,
            "X" => false,
            other => return Err((at + 1, other.chars().take(40).collect())),
        };
        book.forget();
        let mut found = Vec::new();
        book.line(&Line::new(line.as_bytes(), Time::EPOCH, ""), &mut found);
        found.retain(|finding| finding.level >= ACCUSES);
        let wanted = address.as_ref().and_then(|address| classes::parse(address.as_bytes()));
        let met = found
            .iter()
            .find(|finding| wanted.is_some() && finding.actor == wanted)
            .or_else(|| found.iter().find(|finding| finding.actor.is_some()));
        let actor = met.and_then(|finding| finding.actor);
        // An address that is a name is right if it was found as a name.
        let named =
            || found.iter().any(|finding| finding.fields.iter().any(|(name, value)| &**name == "host" && Some(value) == address.as_ref()));
        let is_it = if address.is_none() { actor.is_some() } else { actor.is_some() && actor == wanted || wanted.is_none() && named() };
        let rule = met.map(|finding| finding.rule.to_string());
        cases.push(Case { number: number + 1, line: line.to_owned(), service, address, danger, must, rule, actor, agree: must == is_it });
    }
    book.forget();
    book.ask_all_bare(false);
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_are_read_and_judged() {
        let failed = "Nov 21 03:04:05 box sshd[1]: Failed password for root from 192.0.2.1 port 4711 ssh2";
        let fine = "Nov 21 03:04:05 box sshd[1]: Accepted publickey for root from 192.0.2.1 port 4711 ssh2";
        let text = format!(
            "# first\n{failed}\n100 192.0.2.1 4 10\nM\n\n{failed}\n100 192.0.2.2 4 10\nM\n{fine}\n*\nX\n{fine}\n100 192.0.2.1 4 10\nM\n{failed}\n*\nM\n{failed}\n*\nX\ncut"
        );
        let cases = sshguard(&text, &mut Book::shipped().unwrap()).unwrap();
        let agree: Vec<bool> = cases.iter().map(|case| case.agree).collect();
        assert_eq!(agree, [true, false, true, false, true, false]);
        assert_eq!((cases[0].number, cases[0].service, cases[0].danger), (2, Some(100), Some(10)));
        assert_eq!(cases[0].rule.as_deref(), Some("sshd/failed-password"));
        let bare = "Failed password for root from 192.0.2.1 port 4711 ssh2\n100 192.0.2.1 4 10\nM\n";
        assert!(sshguard(bare, &mut Book::shipped().unwrap()).unwrap()[0].agree, "without a head it may be of any file");
        let other = "[section]\nlog 1 pass = x\nrule = 5\n";
        assert_eq!(sshguard(other, &mut Book::shipped().unwrap()), Err((3, "rule = 5".to_owned())));
    }
}
