//! What one process can say to another. A request names a slot number, never a path, a name or a command.

use model::block::{BlockId, Change, Expiry, Installed, Outcome, Scope};
use model::decision::Exemption;
use model::event::{Event, RuleId};
use model::level::DangerLevel;
use model::limits;
use model::net::{Prefix, Protocol};
use model::response::{Ground, Order, Ran, ResponseId, RunId, UserName};
use model::time::Time;
use std::net::SocketAddr;

mod bytes;
mod feed;
mod tag;
pub use feed::Got;
pub use tag::Tag;

/// A life: what one of riposte's processes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Life {
    /// The privileged parent.
    Warden,
    /// Detects, decides, records.
    Judge,
    /// Reads packets that the kernel hands over.
    Packets,
    /// Reads one log.
    Log,
    /// Watches the host itself: addresses, routes, resolvers, administrators' sessions.
    Host,
    /// Resolves the configuration's names once, then ends.
    Lookup,
    /// Reads application logs by their rules.
    Applications,
    /// Runs the programs of responses as one user.
    Runner,
    /// Answers at guarded ports.
    Guard,
    /// Sets blocks by other means than the kernel's nftables.
    Responder,
    /// Tells people and programs elsewhere, and asks there.
    Envoy,
}

impl Life {
    /// Every life.
    pub const ALL: [Life; 11] = [
        Life::Warden,
        Life::Judge,
        Life::Packets,
        Life::Log,
        Life::Host,
        Life::Lookup,
        Life::Applications,
        Life::Runner,
        Life::Guard,
        Life::Responder,
        Life::Envoy,
    ];

    /// The word for it, as in `--life` and the process table.
    pub const fn word(self) -> &'static str {
        match self {
            Life::Warden => "warden",
            Life::Judge => "judge",
            Life::Packets => "packets",
            Life::Log => "log",
            Life::Host => "host",
            Life::Lookup => "lookup",
            Life::Applications => "applications",
            Life::Runner => "runner",
            Life::Guard => "guard",
            Life::Responder => "responder",
            Life::Envoy => "envoy",
        }
    }

    /// The life with this word.
    pub fn parse(word: &str) -> Option<Life> {
        Life::ALL.into_iter().find(|life| life.word() == word)
    }
}

/// One of riposte's processes, as the warden knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What it is for.
    pub life: Life,
    /// The sensor's slot; 0 for others.
    pub slot: u16,
    /// Its process id; 0 while it waits to be begun again.
    pub pid: u32,
    /// How often it was restarted.
    pub restarts: u32,
    /// What it said of its sandbox when it had entered it; empty before.
    pub sandbox: String,
}

/// A named figure that `status` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its name, in words.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// Something that the warden can't do for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, by the wall clock.
    pub since: Time,
    /// What, in words.
    pub what: String,
    /// Why, in the words of whoever refused.
    pub why: String,
}

/// The ports with listeners: 65,536 bits each, port n in bit n%8 of byte n/8.
#[derive(Clone, PartialEq, Eq)]
pub struct PortMap(pub Box<[u8; 8192]>);

impl std::fmt::Debug for PortMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ports()).finish()
    }
}

impl PortMap {
    /// A map of these ports.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let mut bits = Box::new([0; 8192]);
        for port in ports {
            bits[usize::from(port / 8)] |= 1 << (port % 8);
        }
        PortMap(bits)
    }

    /// The ports, rising.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(|port| self.0[usize::from(port / 8)] & (1 << (port % 8)) != 0)
    }
}

/// A packet's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
}

/// What connection tracking knows of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Known {
    /// Nothing, or nobody here has answered in earnest.
    No,
    /// Somebody here has begun it or has answered.
    Own,
    /// It is handed on to somebody else.
    Forwarded,
    /// Nobody could be asked.
    Unsaid,
}

impl Known {
    /// Every answer, in the order of their bytes.
    pub const ALL: [Known; 4] = [Known::No, Known::Own, Known::Forwarded, Known::Unsaid];
}

/// A message. Comments say who sends it to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Child → warden: the sandbox is entered; what it is, in words.
    Ready {
        /// For `status`.
        sandbox: String,
    },
    /// Sensor → judge: what was seen.
    Events(Vec<Event>),
    /// Sensor or warden → judge: an answer to `AskCounters`.
    Counters(Vec<Counter>),
    /// Judge → sensor or warden.
    AskCounters,
    /// Judge → warden: set and lift these blocks.
    Apply(Vec<Change>),
    /// Warden → judge: one for each change, in the order of the changes.
    Outcomes(Vec<(BlockId, Outcome)>),
    /// Judge → warden: which blocks are really there?
    AskInstalled,
    /// Warden → judge: the answer, in pieces.
    Installed {
        /// Whether it is the last piece.
        last: bool,
        /// Blocks that are really there.
        items: Vec<Installed>,
    },
    /// Host or lookup → warden, and warden → judge: the derived exemptions, all of them.
    Derived(Vec<Exemption>),
    /// Judge → warden: the operators' allowances, all of them, each with its end.
    Allowed(Vec<(Prefix, Expiry)>),
    /// Warden → judge: somebody else had changed the firewall's own table, and it has been made anew.
    Repaired {
        /// What had happened and who did it, in words.
        why: String,
    },
    /// Packet sensor → warden: the ports with listeners have changed.
    OpenPorts {
        /// TCP.
        tcp: PortMap,
        /// UDP.
        udp: PortMap,
    },
    /// Log sensor → warden: open its log again. The log is the sensor's own slot. Application-log sensor → warden: look again which files there
    /// are to follow; its patterns are the warden's own knowledge.
    Reopen,
    /// Warden → log sensor: the log's inotify descriptor (with it), or the log can't be opened (without one).
    Reopened {
        /// The names whose appearing means that the log is to be opened again.
        names: Vec<String>,
        /// Whether there is a file now: then `ReopenedFile` follows.
        file: bool,
    },
    /// Warden → log sensor: the log's file (with its descriptor).
    ReopenedFile,
    /// Warden → log sensor, before `Reopened`: what had the log's name before, as it seems (with its descriptor). An earlier sensor may not
    /// have read it to its end.
    RotatedFile,
    /// Warden → judge: a sensor's link (with a file descriptor).
    SensorLink {
        /// Its slot.
        slot: u16,
        /// What it is.
        name: String,
    },
    /// Warden → judge: the processes as they are now.
    Processes(Vec<Process>),
    /// Warden → judge: the firewall's own table was made anew, and not all of its blocks are known to be back: all are to be set again.
    Rebuilt,
    /// Judge → warden: read the configuration again. Which one is the warden's own knowledge.
    Reload,
    /// Warden → judge: what became of that.
    Reloaded {
        /// Whether the new configuration is in force.
        ok: bool,
        /// What is to be told, or what is wrong with it.
        lines: Vec<String>,
    },
    /// Warden → judge: the configuration in force from now on (its canonical text is in the descriptor with it).
    Config,
    /// Warden → judge, and judge → warden in answer: still at work?
    Alive,
    /// Warden → judge: what it can't do for now, all of it.
    Troubles(Vec<Trouble>),
    /// Log sensor → judge: so far it has told of everything in its log. Judge → log sensor, once, before it begins: so far this log is known.
    Position(Option<Position>),
    /// Sensor → judge: its own numbers of log rules or signatures, and their names.
    Rules(Vec<(RuleId, String)>),
    /// Application-log sensor → judge: what rules want done, each with the line that decided.
    Reports(Vec<Reported>),
    /// Application-log sensor → judge: so far it has told of everything in this file. Judge → application-log sensor, for each file before it
    /// begins: so far it is known. A `Position` ends the list.
    FilePosition {
        /// The file's name.
        log: String,
        /// How far.
        position: Position,
    },
    /// Warden → application-log sensor: a file to follow (with its descriptor).
    Followed {
        /// Its number. One that is known stands for another file from now on.
        slot: u16,
        /// Its number among the inotify descriptor's watches.
        watch: u32,
        /// What became of the file that had the name before (rotated): only what is left of it is wanted.
        rotated: bool,
        /// Its name.
        log: String,
    },
    /// Warden → application-log sensor: that is all, for now.
    Looked {
        /// There are more files: ask again at once.
        more: bool,
        /// Files that there is no room for.
        surplus: u32,
    },
    /// Judge → warden → runner: run these.
    Respond(Vec<Order>),
    /// Runner → warden → judge: what became of them, and what the programs said: at most [`limits::SAID_BYTES`], hostile.
    Ran(Vec<(RunId, Ran, String)>),
    /// Warden → responder: set and lift these blocks.
    Carry {
        /// The batch's number.
        batch: u32,
        /// As the judge has ordered them, but for the exempt.
        changes: Vec<Change>,
    },
    /// Responder → warden: one outcome for each change, in the order of the changes.
    Carried {
        /// The batch's number.
        batch: u32,
        /// What became of them.
        outcomes: Vec<Outcome>,
    },
    /// Judge → warden → responder: who has these?
    AskHeld(Vec<Scope>),
    /// Responder → warden → judge: the answer, in the same order; bit n stands for the nth kind of `[respond]`.
    Held(Vec<(Scope, u16)>),
    /// Judge → warden: whom others' lists block, all of them, in pieces; the last of them takes the place of what was told before.
    Listed {
        /// Whether it is the first piece.
        first: bool,
        /// Whether it is the last one.
        last: bool,
        /// Each with its end; at most [`limits::BATCH_LISTED`].
        items: Vec<(Prefix, Expiry)>,
    },
    /// Judge → envoy: fetch this feed now.
    Fetch {
        /// The order's number, which the answers have: one that comes too late belongs to no other order.
        order: u32,
        /// Its place in the configuration.
        feed: u8,
        /// All of it, of a stream of changes.
        whole: bool,
        /// What the server said of the copy that there is, to be told only if there is another one: `ETag` and `Last-Modified`, or nothing.
        known: [String; 2],
    },
    /// Envoy → judge: a part of what a feed has, hostile.
    FeedItems {
        /// The order's number.
        order: u32,
        /// Who is on it, with the seconds that the feed gives; at most [`limits::BATCH_LISTED`].
        items: Vec<(Prefix, Option<u32>)>,
        /// Who is so no longer; likewise.
        gone: Vec<Prefix>,
    },
    /// Envoy → judge: that was all of it, or why there is nothing.
    Fetched {
        /// The order's number.
        order: u32,
        /// How it went.
        got: Got,
    },
    /// Judge → envoy: what was told by `Events` since the last of these is for DShield.
    Submit {
        /// The order's number.
        order: u32,
    },
    /// Envoy → judge: what became of it.
    Submitted {
        /// The order's number.
        order: u32,
        /// Why it was not taken, in words; at most [`ANSWER_BYTES`], hostile. `None`: it was.
        wrong: Option<String>,
        /// For how many seconds nobody is to try again, if the other side said so.
        wait: Option<u32>,
    },
    /// Packet sensor → warden: what does connection tracking, which takes a privilege to ask, know of these?
    AskKnown {
        /// The question's number.
        number: u32,
        /// At most [`limits::BATCH_FLOWS`].
        flows: Vec<Flow>,
    },
    /// Judge → envoy: what people are to be told, as JSON in one line of at most [`limits::ALERT_BYTES`].
    Alert(String),
    /// Warden → packet sensor: the answer, one for each in their order.
    Known {
        /// The question's number.
        number: u32,
        /// What is known.
        flows: Vec<Known>,
    },
}

/// What a log rule reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Who, when, which rule.
    pub event: Event,
    /// The log that the line stands in; at most [`limits::PLACE_BYTES`].
    pub log: String,
    /// The line, as text, at most [`limits::QUOTE_BYTES`]. Hostile: to be escaped wherever it is shown.
    pub line: String,
    /// The response that it asks for in place of a block.
    pub response: Option<Asked>,
}

/// A response that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub response: ResponseId,
    /// Whose account it is about.
    pub user: Option<UserName>,
    /// The rule's own number, if it has one.
    pub rule: Option<u32>,
}

/// How far a followed file has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file's device and inode: its name may stand for another one by now.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Bytes read.
    pub offset: u64,
    /// The last bytes before the offset, at most [`MARK_BYTES`]: a file that was rewritten has others there.
    pub mark: Vec<u8>,
}

/// Counters in one message.
const COUNTERS: usize = 512;
/// Processes in one message.
const PROCESSES: usize = 256;
/// Troubles in one message.
const TROUBLES: usize = 16;
/// Names that stand for one log: its own, and what links and missing folders on its way add.
const NAMES: usize = 64;
/// Bytes of a name.
const NAME_BYTES: usize = 256;
/// Rules named in one message.
pub const RULES: usize = 256;
/// Lines in an answer to `Reload`, and bytes of each. Who sends more must cut.
pub const ANSWER_LINES: usize = 48;
/// See [`ANSWER_LINES`].
pub const ANSWER_BYTES: usize = 1_024;
/// Bytes of an `ETag` or a date that a server gave.
pub const KNOWN_BYTES: usize = 128;
/// Bytes of a position's mark.
pub const MARK_BYTES: usize = 64;

impl Message {
    /// Its tag.
    pub fn tag(&self) -> Tag {
        match self {
            Message::Ready { .. } => Tag::Ready,
            Message::Events(_) => Tag::Events,
            Message::Counters(_) => Tag::Counters,
            Message::AskCounters => Tag::AskCounters,
            Message::Apply(_) => Tag::Apply,
            Message::Outcomes(_) => Tag::Outcomes,
            Message::AskInstalled => Tag::AskInstalled,
            Message::Installed { .. } => Tag::Installed,
            Message::Derived(_) => Tag::Derived,
            Message::Allowed(_) => Tag::Allowed,
            Message::Repaired { .. } => Tag::Repaired,
            Message::OpenPorts { .. } => Tag::OpenPorts,
            Message::Reopen => Tag::Reopen,
            Message::Reopened { .. } => Tag::Reopened,
            Message::ReopenedFile => Tag::ReopenedFile,
            Message::RotatedFile => Tag::RotatedFile,
            Message::SensorLink { .. } => Tag::SensorLink,
            Message::Processes(_) => Tag::Processes,
            Message::Rebuilt => Tag::Rebuilt,
            Message::Reload => Tag::Reload,
            Message::Reloaded { .. } => Tag::Reloaded,
            Message::Config => Tag::Config,
            Message::Alive => Tag::Alive,
            Message::Position(_) => Tag::Position,
            Message::Troubles(_) => Tag::Troubles,
            Message::Rules(_) => Tag::Rules,
            Message::Reports(_) => Tag::Reports,
            Message::FilePosition { .. } => Tag::FilePosition,
            Message::Followed { .. } => Tag::Followed,
            Message::Looked { .. } => Tag::Looked,
            Message::Respond(_) => Tag::Respond,
            Message::Ran(_) => Tag::Ran,
            Message::Carry { .. } => Tag::Carry,
            Message::Carried { .. } => Tag::Carried,
            Message::AskHeld(_) => Tag::AskHeld,
            Message::Held(_) => Tag::Held,
            Message::Listed { .. } => Tag::Listed,
            Message::Fetch { .. } => Tag::Fetch,
            Message::FeedItems { .. } => Tag::FeedItems,
            Message::Fetched { .. } => Tag::Fetched,
            Message::Submit { .. } => Tag::Submit,
            Message::Submitted { .. } => Tag::Submitted,
            Message::AskKnown { .. } => Tag::AskKnown,
            Message::Known { .. } => Tag::Known,
            Message::Alert(_) => Tag::Alert,
        }
    }
}

#[cfg(test)]
mod tests;
