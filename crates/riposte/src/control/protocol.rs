//! What can be asked over the control socket, and how an answer looks. Documented in the manual: programs may speak it.
//!
//! A request is one line, such as `{"command":"explain","address":"203.0.113.9"}`; the answer is one line,
//! `{"ok":true,"result":…}` or `{"ok":false,"error":"…"}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Bytes of the longest request.
pub const REQUEST_BYTES: usize = 4_096;
/// Characters of a refusal that are shown.
pub const ERROR_CHARS: usize = 2_000;
/// Blocks in one page of `list`.
pub const PAGE: usize = 5_000;
/// What stands before the note of a block that another program's manager asked for.
pub const MANAGED: &str = "active response: ";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Processes, sensors, counters.
    Status,
    /// Who was charged and is still followed: the worst, and counts of all.
    Offenders {
        /// So many at most.
        top: usize,
        /// Only inside this prefix.
        #[serde(default)]
        prefix: Option<String>,
        /// Only from this danger level on.
        #[serde(default)]
        level: Option<u8>,
    },
    /// One page of the blocks that stand, by address.
    List {
        /// Go on behind this prefix.
        #[serde(default)]
        after: Option<String>,
    },
    /// One page of what others' lists block, by address: no blocks of riposte's own.
    Listed {
        /// Go on behind this prefix.
        #[serde(default)]
        after: Option<String>,
        /// At most so many, and no more than a page.
        limit: usize,
    },
    /// Block by hand.
    Block {
        /// Whom.
        prefix: String,
        /// For how many seconds; absent: until it is lifted.
        #[serde(default)]
        seconds: Option<u64>,
        /// Why.
        #[serde(default)]
        note: String,
    },
    /// Lift a block, or all inside a prefix.
    Unblock {
        /// Whom.
        prefix: String,
    },
    /// Block as another program's manager asks (OSSEC, Wazuh): within the caps, and never past `policy.block_max`. A block that stands for
    /// another reason stays as it is.
    Respond {
        /// Whom.
        address: IpAddr,
        /// Why.
        #[serde(default)]
        note: String,
    },
    /// Lift what `respond` has set, and nothing else.
    Release {
        /// Whom.
        address: IpAddr,
    },
    /// Never block.
    Allow {
        /// Whom.
        prefix: String,
        /// For how many seconds; absent: until it is taken back.
        #[serde(default)]
        seconds: Option<u64>,
    },
    /// Take an allowance back.
    Disallow {
        /// Whose.
        prefix: String,
    },
    /// The operator's allowances.
    Allowed,
    /// Why, or why not.
    Explain {
        /// Whom.
        address: String,
    },
    /// Past offences and decisions.
    History {
        /// Only this prefix.
        #[serde(default)]
        prefix: Option<String>,
        /// Only the last so many seconds.
        #[serde(default)]
        since_secs: Option<u64>,
        /// At most so many, the newest.
        limit: usize,
    },
    /// Others' lists of attackers: how fresh each is, and what was left out.
    Feeds,
    /// Fetch others' lists now.
    UpdateFeeds {
        /// Only this one.
        #[serde(default)]
        name: Option<String>,
    },
    /// What DShield would be told now.
    Dshield,
    /// Read the configuration again.
    Reload,
}

impl Request {
    /// Whether it changes anything: then only root may say it.
    pub fn is_order(&self) -> bool {
        match self {
            Request::Block { .. }
            | Request::Unblock { .. }
            | Request::Respond { .. }
            | Request::Release { .. }
            | Request::Allow { .. }
            | Request::Disallow { .. }
            | Request::UpdateFeeds { .. }
            | Request::Reload => true,
            Request::Status
            | Request::Offenders { .. }
            | Request::List { .. }
            | Request::Listed { .. }
            | Request::Allowed
            | Request::Explain { .. }
            | Request::History { .. }
            | Request::Feeds
            | Request::Dshield => false,
        }
    }
}

/// One entry of the operator's allowances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedLine {
    /// Whom.
    pub prefix: String,
    /// Until when (RFC 3339); absent: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What an order did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// In words.
    pub said: String,
    /// How many blocks were set or lifted.
    pub changed: usize,
}

/// A reload that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What has to wait for a restart, a line each.
    pub later: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether it worked.
    pub ok: bool,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Further reasons, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<String>,
}

impl Reply {
    /// An answer that worked.
    pub fn of(result: &impl Serialize) -> Reply {
        match serde_json::to_value(result) {
            Ok(value) => Reply { ok: true, result: Some(value), error: None, further: Vec::new() },
            Err(error) => Reply::error(format!("the answer can't be written: {error}")),
        }
    }

    /// An answer that did not.
    pub fn error(why: impl Into<String>) -> Reply {
        Reply { ok: false, result: None, error: Some(why.into()), further: Vec::new() }
    }

    /// An answer that did not, for all these reasons.
    pub fn errors(lines: Vec<String>) -> Reply {
        let mut lines = lines.into_iter();
        Reply { ok: false, result: None, error: lines.next(), further: lines.collect() }
    }

    /// The answer as it travels: one line.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_else(|_| b"{\"ok\":false}".to_vec());
        line.push(b'\n');
        line
    }

    /// What the line of an answer says.
    ///
    /// # Errors
    /// The daemon's own words, a line for each reason, or why the answer can't be read.
    pub fn read<T: DeserializeOwned>(line: &str) -> Result<T, Vec<String>> {
        // The judge's own words; but it reads what attackers cause, so it is not trusted with the operator's terminal.
        let safe = |why: &str| report::escape::text(why, ERROR_CHARS);
        let unreadable = |error: serde_json::Error| vec![safe(&format!("the answer can't be read: {error}"))];
        let reply: Reply = serde_json::from_str(line).map_err(unreadable)?;
        match (reply.ok, reply.result, reply.error) {
            (true, Some(result), _) => serde_json::from_value(result).map_err(unreadable),
            (_, _, why) => {
                let first = safe(why.as_deref().unwrap_or("refused without a reason"));
                Err(std::iter::once(first).chain(reply.further.iter().map(|line| safe(line))).collect())
            }
        }
    }
}

/// What one client has sent and nobody has answered yet, cut into requests.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
}

impl Requests {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether there is a whole request.
    pub fn is_whole(&self) -> bool {
        self.bytes.contains(&b'\n')
    }

    /// Whether what is there is longer than any request, so that reading on would only cost memory.
    pub fn is_flood(&self) -> bool {
        self.bytes.len() > REQUEST_BYTES
    }

    /// Takes the next whole request off the front, or the refusal of one that isn't understood.
    pub fn next_one(&mut self) -> Option<Result<Request, Reply>> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Some(serde_json::from_slice(&line).map_err(|error| Reply::error(format!("not understood: {error}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_documented() {
        let ask = |text: &str| serde_json::from_str::<Request>(text).map_err(|e| e.to_string());
        assert_eq!(ask(r#"{"command":"status"}"#), Ok(Request::Status));
        assert_eq!(
            ask(r#"{"command":"block","prefix":"192.0.2.1"}"#),
            Ok(Request::Block { prefix: "192.0.2.1".into(), seconds: None, note: String::new() })
        );
        assert!(ask(r#"{"command":"blok"}"#).unwrap_err().contains("unknown variant `blok`"));
        assert!(ask(r#"{"command":"list","aftr":"x"}"#).unwrap_err().contains("unknown field `aftr`"));
    }

    #[test]
    fn a_refusal_brings_no_control_character_to_the_terminal() {
        let said = Reply::read::<Done>(r#"{"ok":false,"error":"\u001b[2Jgone\u0007"}"#).unwrap_err();
        assert_eq!(said, ["\\u{1b}[2Jgone\\u{7}"]);
        let bad = Reply::read::<Done>(r#"{"ok":true,"result":{"said":"x","changed":"1\u001b"}}"#).unwrap_err();
        assert!(bad.len() == 1 && bad[0].contains("1\\u{1b}"), "{bad:?}");
        // Each reason is a line, and none can make two of itself.
        let lines = ["a.toml:1:1: x", "a.toml:2:1: y\nz"].map(str::to_owned).to_vec();
        let line = String::from_utf8(Reply::errors(lines).to_line()).unwrap();
        assert_eq!(Reply::read::<Done>(&line).unwrap_err(), ["a.toml:1:1: x", "a.toml:2:1: y\\u{a}z"]);
    }

    #[test]
    fn orders_are_told_from_questions() {
        assert!(Request::Unblock { prefix: String::new() }.is_order());
        assert!(Request::Reload.is_order() && !Request::Status.is_order());
    }
}
