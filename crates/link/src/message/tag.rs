//! Which message it is, without its contents: the first byte of a frame.

use crate::codec::Malformed;

/// A message without its contents: the first byte of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tag {
    /// See [`super::Message::Ready`].
    Ready,
    /// See [`super::Message::Events`].
    Events,
    /// See [`super::Message::Counters`].
    Counters,
    /// See [`super::Message::AskCounters`].
    AskCounters,
    /// See [`super::Message::Apply`].
    Apply,
    /// See [`super::Message::Outcomes`].
    Outcomes,
    /// See [`super::Message::AskInstalled`].
    AskInstalled,
    /// See [`super::Message::Installed`].
    Installed,
    /// See [`super::Message::Derived`].
    Derived,
    /// See [`super::Message::Allowed`].
    Allowed,
    /// See [`super::Message::Repaired`].
    Repaired,
    /// See [`super::Message::OpenPorts`].
    OpenPorts,
    /// See [`super::Message::Reopen`].
    Reopen,
    /// See [`super::Message::Reopened`].
    Reopened,
    /// See [`super::Message::SensorLink`].
    SensorLink,
    /// See [`super::Message::Processes`].
    Processes,
    /// See [`super::Message::ReopenedFile`].
    ReopenedFile,
    /// See [`super::Message::Rebuilt`].
    Rebuilt,
    /// See [`super::Message::Reload`].
    Reload,
    /// See [`super::Message::Reloaded`].
    Reloaded,
    /// See [`super::Message::Config`].
    Config,
    /// See [`super::Message::Alive`].
    Alive,
    /// See [`super::Message::Position`].
    Position,
    /// See [`super::Message::Troubles`].
    Troubles,
    /// See [`super::Message::RotatedFile`].
    RotatedFile,
    /// See [`super::Message::Rules`].
    Rules,
    /// See [`super::Message::Reports`].
    Reports,
    /// See [`super::Message::FilePosition`].
    FilePosition,
    /// See [`super::Message::Followed`].
    Followed,
    /// See [`super::Message::Looked`].
    Looked,
    /// See [`super::Message::Respond`].
    Respond,
    /// See [`super::Message::Ran`].
    Ran,
    /// See [`super::Message::Carry`].
    Carry,
    /// See [`super::Message::Carried`].
    Carried,
    /// See [`super::Message::AskHeld`].
    AskHeld,
    /// See [`super::Message::Held`].
    Held,
    /// See [`super::Message::AskKnown`].
    AskKnown,
    /// See [`super::Message::Known`].
    Known,
    /// See [`super::Message::Alert`].
    Alert,
    /// See [`super::Message::Listed`].
    Listed,
    /// See [`super::Message::Fetch`].
    Fetch,
    /// See [`super::Message::FeedItems`].
    FeedItems,
    /// See [`super::Message::Fetched`].
    Fetched,
    /// See [`super::Message::Submit`].
    Submit,
    /// See [`super::Message::Submitted`].
    Submitted,
    /// See [`super::Message::Silent`].
    Silent,
    /// See [`super::Message::Kept`].
    Kept,
    /// See [`super::Message::Ways`].
    Ways,
}

impl Tag {
    /// Every tag, in the order of their bytes.
    pub const ALL: [Tag; 48] = [
        Tag::Ready,
        Tag::Events,
        Tag::Counters,
        Tag::AskCounters,
        Tag::Apply,
        Tag::Outcomes,
        Tag::AskInstalled,
        Tag::Installed,
        Tag::Derived,
        Tag::Allowed,
        Tag::Repaired,
        Tag::OpenPorts,
        Tag::Reopen,
        Tag::Reopened,
        Tag::SensorLink,
        Tag::Processes,
        Tag::ReopenedFile,
        Tag::Rebuilt,
        Tag::Reload,
        Tag::Reloaded,
        Tag::Config,
        Tag::Alive,
        Tag::Position,
        Tag::Troubles,
        Tag::RotatedFile,
        Tag::Rules,
        Tag::Reports,
        Tag::FilePosition,
        Tag::Followed,
        Tag::Looked,
        Tag::Respond,
        Tag::Ran,
        Tag::Carry,
        Tag::Carried,
        Tag::AskHeld,
        Tag::Held,
        Tag::AskKnown,
        Tag::Known,
        Tag::Alert,
        Tag::Listed,
        Tag::Fetch,
        Tag::FeedItems,
        Tag::Fetched,
        Tag::Submit,
        Tag::Submitted,
        Tag::Silent,
        Tag::Kept,
        Tag::Ways,
    ];

    /// Whether such a message says how something is from now on: only the latest counts, and that one must not get lost.
    pub const fn is_state(self) -> bool {
        match self {
            Tag::Config | Tag::Derived | Tag::Allowed | Tag::Processes | Tag::Troubles | Tag::Silent => true,
            Tag::Ready
            | Tag::Events
            | Tag::Counters
            | Tag::AskCounters
            | Tag::Apply
            | Tag::Outcomes
            | Tag::AskInstalled
            | Tag::Installed
            | Tag::Repaired
            | Tag::OpenPorts
            | Tag::Reopen
            | Tag::Reopened
            | Tag::SensorLink
            | Tag::ReopenedFile
            | Tag::RotatedFile
            | Tag::Rebuilt
            | Tag::Reload
            | Tag::Reloaded
            | Tag::Alive
            | Tag::Position
            | Tag::Rules
            | Tag::Reports
            | Tag::FilePosition
            | Tag::Followed
            | Tag::Looked
            | Tag::Respond
            | Tag::Ran
            | Tag::Carry
            | Tag::Carried
            | Tag::AskHeld
            | Tag::Held
            | Tag::AskKnown
            | Tag::Known
            | Tag::Alert
            | Tag::Listed
            | Tag::Fetch
            | Tag::FeedItems
            | Tag::Fetched
            | Tag::Submit
            | Tag::Submitted
            | Tag::Kept
            | Tag::Ways => false,
        }
    }

    /// The tag of a frame.
    pub fn of(frame: &[u8]) -> Result<Tag, Malformed> {
        let byte = frame.first().ok_or(Malformed::Short)?;
        Tag::ALL.get(usize::from(*byte)).copied().ok_or(Malformed::Value("message"))
    }
}
