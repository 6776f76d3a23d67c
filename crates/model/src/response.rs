//! Responses beside a block: programs that the operator has named in the configuration. Which program that is, only the configuration says;
//! here it is a number.

use crate::event::Touch;
use crate::level::DangerLevel;
use crate::time::Time;
use std::fmt;
use std::net::IpAddr;

/// A response's number: its place among the configuration's `[[response]]`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseId(pub u8);

/// One run of a response, from `add` to `delete`: unique in one ledger and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "response #{}", self.0)
    }
}

/// A user's name that can do no harm as an argument: 1 to 32 of `A-Z a-z 0-9 _ . -`, the first a letter or `_`, and no `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// Bytes of the longest.
    pub const BYTES: usize = 32;

    /// Checks a name. `None` for what starts with `-`, has control characters, is too long, or is a path.
    pub fn new(text: &str) -> Option<UserName> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let all = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        (first && all && text.len() <= Self::BYTES && !text.contains("..")).then(|| UserName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is known of the ground for a run: numbers and words of our own, nothing that a stranger wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ground {
    /// The log rule's own number.
    pub rule: Option<u32>,
    /// How dangerous it was.
    pub level: Option<DangerLevel>,
    /// The guarded port that was touched, and how: only a whole connection is `Style::Connect`.
    pub touch: Option<Touch>,
}

/// An order to run a response's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which run.
    pub run: RunId,
    /// Which response.
    pub response: ResponseId,
    /// `add` or `delete`.
    pub add: bool,
    /// Against whom (canonical).
    pub address: IpAddr,
    /// Whose account it is about, if the response wants to know.
    pub user: Option<UserName>,
    /// Why.
    pub ground: Ground,
    /// When what it is about ends; `None`: that is not known, or it has no end.
    pub until: Option<Time>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ran {
    /// It ran, and is to be undone when its time is over.
    Done,
    /// It ran, and there is nothing to undo.
    ForGood,
    /// The program had it done already.
    Already,
    /// The program says that it failed.
    Failed,
    /// It was still running when its time was over, and was ended.
    TimedOut,
    /// It could not be started.
    NotStarted,
    /// A guard of riposte's own stands in the way.
    Guarded,
    /// The exempt list protects the address: the privileged side refused.
    Exempt,
    /// More at once than there may be.
    TooMany,
    /// The process that runs it ended before it had answered.
    Lost,
}

impl Ran {
    /// Every outcome.
    pub const ALL: [Ran; 10] = [
        Ran::Done,
        Ran::ForGood,
        Ran::Already,
        Ran::Failed,
        Ran::TimedOut,
        Ran::NotStarted,
        Ran::Guarded,
        Ran::Exempt,
        Ran::TooMany,
        Ran::Lost,
    ];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Ran::Done => "done",
            Ran::ForGood => "done, with nothing to undo",
            Ran::Already => "nothing done: the program has it already",
            Ran::Failed => "failed: the program says so",
            Ran::TimedOut => "failed: it took too long and was ended",
            Ran::NotStarted => "failed: the program can't be started",
            Ran::Guarded => "refused by a guard: see riposte's log",
            Ran::Exempt => "refused: the address is exempt",
            Ran::TooMany => "refused: too many at once",
            Ran::Lost => "failed: the process that runs it has ended",
        }
    }

    /// Whether anything may have been done that is to be undone.
    pub const fn may_stand(self) -> bool {
        match self {
            // Half done is to be undone, too.
            Ran::Done | Ran::Failed | Ran::TimedOut | Ran::Lost => true,
            Ran::ForGood | Ran::Already | Ran::NotStarted | Ran::Guarded | Ran::Exempt | Ran::TooMany => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_do_harm_are_no_names() {
        for name in ["root", "web.admin", "_apt", "a-b", "X9"] {
            assert_eq!(UserName::new(name).map(|name| name.as_str().to_owned()).as_deref(), Some(name));
        }
        for name in [
            "",
            "-rf",
            "--help",
            "+x",
            "~x",
            "1a",
            ".a",
            "a b",
            "a\n",
            "a\u{1b}[2J",
            "../x",
            "a..b",
            "a/b",
            "a:b",
            "a,b",
            "é",
            &"x".repeat(33),
        ] {
            assert_eq!(UserName::new(name), None, "{name:?}");
        }
    }
}
