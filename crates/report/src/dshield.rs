//! `riposte feeds dshield`: what DShield would be told now, as it would be sent.

use crate::escape;
use crate::feed::FeedTrouble;
use crate::serial::Stamp;
use crate::table::{count, thousands};
use crate::time::Readable;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Characters of a line that is no part of what is sent.
const WORDS_CHARS: usize = 300;

/// What waits for DShield.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// By which way: `api` or `mail`.
    pub by: String,
    /// Whither: an address of the web, or of a mailbox.
    pub to: String,
    /// Probes that wait.
    pub probes: u64,
    /// Probes since the last submission that found no room: nobody is told of them.
    pub skipped: u64,
    /// When it is sent; absent: it is being sent, nothing waits, or nobody is there to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Stamp>,
    /// Why the last one was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<FeedTrouble>,
    /// The heads that DShield reads, each with its value.
    pub heads: Vec<(String, String)>,
    /// What stands below them.
    pub body: String,
}

impl Submission {
    /// What is to be known of it in lines with `#`, then heads and body.
    pub fn text(&self) -> String {
        let (to, skipped) = (escape::text(&self.to, WORDS_CHARS), self.skipped);
        let when = match &self.next {
            Some(next) => format!(", sent at {}", Readable(next.0)),
            None if self.probes == 0 => ": nothing would be sent".to_owned(),
            None => ", being sent now or when somebody is there to send them".to_owned(),
        };
        let mut text = format!("# {} for {to}{when}\n", count(self.probes, "probe"));
        if skipped > 0 {
            let _ = writeln!(text, "# {} more found no room and are not told", thousands(skipped));
        }
        if let Some(FeedTrouble { since, why }) = &self.trouble {
            let _ = writeln!(text, "# not told since {}: {}", Readable(since.0), escape::text(why, WORDS_CHARS));
        }
        if self.probes > 0 {
            let heads = self.heads.iter().map(|(name, value)| format!("{name}: {}\n", escape::text(value, WORDS_CHARS)));
            let body =
                self.body.lines().map(|line| line.split('\t').map(|field| escape::text(field, field.len())).collect::<Vec<_>>().join("\t"));
            text.extend(heads.chain(["\n".to_owned()]).chain(body.map(|line| line + "\n")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::Time;

    #[test]
    fn what_would_be_sent_is_shown_as_it_is_and_nothing_else_reaches_the_terminal() {
        let waiting = Submission {
            by: "mail".into(),
            to: "reports@dshield.org".into(),
            probes: 1,
            skipped: 1_234,
            next: Some(Stamp(Time::from_secs(1_700_000_000))),
            trouble: Some(FeedTrouble { since: Stamp(Time::from_secs(1_700_000_000)), why: "no\u{1b}[2J".into() }),
            heads: vec![("Subject".into(), "FORMAT DSHIELD".into())],
            body: "a\tb\t\u{7}\t\n".into(),
        };
        let text = waiting.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# 1 probe for reports@dshield.org, sent at 2023-11-14"), "{text}");
        assert!(lines[1].starts_with("# 1,234 more") && lines[2].ends_with(": no\\u{1b}[2J"), "{text}");
        assert_eq!(lines[3..], ["Subject: FORMAT DSHIELD", "", "a\tb\t\\u{7}\t"]);
        let none = Submission { probes: 0, skipped: 0, next: None, trouble: None, ..waiting };
        assert_eq!(none.text(), "# 0 probes for reports@dshield.org: nothing would be sent\n");
    }
}
