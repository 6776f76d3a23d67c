//! What a rule makes of a line. It says what was done and what its author wants done; never does it.

use model::event::Trust;
use model::time::Time;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a line came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// When it happened: by the line's own time if it has one that is to be believed, else when it was read.
    pub at: Time,
    /// The program that wrote the line, if it says.
    pub program: Option<String>,
    /// The decoder or filter that read it.
    pub decoder: Option<Arc<str>>,
    /// Named values, in the decoder's order. Text from the log: to be escaped before anybody sees it.
    pub fields: Vec<(Arc<str>, String)>,
    /// The rule that it met.
    pub rule: Arc<str>,
    /// The rule's level, 0 to 16 as OSSEC has them: 0 ignored, 5 a failure, 10 repeated failures, 12 and more an attack for certain.
    pub level: u8,
    /// The rule's description.
    pub description: Arc<str>,
    /// Who did it (canonical: never IPv4-mapped), if the line names an address.
    pub actor: Option<IpAddr>,
    /// Could that address be forged?
    pub trust: Trust,
    /// How many of these lines the rule had counted when it answered; 1 for a rule that does not count.
    pub count: u32,
    /// What is to be done about the actor; `None` if the line only counts.
    pub wish: Option<Wish>,
}

/// What a rule's author wants done.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The response by its name: `block`, or a command of the configuration that the rule came from.
    pub action: Arc<str>,
    /// For how long; `None` leaves it to the policy.
    pub duration: Option<Duration>,
    /// What decided: rule, jail or active response, and the counts.
    pub why: String,
    /// What of that holds for an offender who comes back: the second, third … time, whatever `duration` says. Empty: nothing is said.
    pub repeated: Vec<Duration>,
    /// And the first time.
    pub first: Option<Duration>,
    /// What is to be done besides: an OSSEC rule may have several responses.
    pub further: Vec<Wish>,
}

impl Wish {
    /// One thing, the same each time.
    pub fn new(action: Arc<str>, duration: Option<Duration>, why: String) -> Self {
        Wish { action, duration, why, repeated: Vec::new(), first: None, further: Vec::new() }
    }
}
