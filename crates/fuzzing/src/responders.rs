//! What responders read: hosts.deny, and whatever a program answers.

use crate::choice;
use model::block::{BlockId, Change, Expiry, Scope};
use model::net::Prefix;
use model::time::Time;
use respond::hosts_deny::{Format, Parts};
use respond::tool::{Tool, ToolError};
use respond::{Kind, Settings};

/// Says the same whatever is run: ends well with it, or refuses with it.
struct Says {
    text: String,
    ends_well: bool,
}

impl Tool for Says {
    fn run(&mut self, program: &str, _args: &[&str], _input: &str) -> Result<String, ToolError> {
        match self.ends_well {
            true => Ok(self.text.clone()),
            false => Err(ToolError::Refused { program: program.to_owned(), code: 1, said: self.text.clone() }),
        }
    }
}

/// hosts.deny: nobody else's byte is changed, and what is written is read again. Programs: any answer gives one outcome a change.
pub fn run(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    match ["iptables", "ebtables", "ipset"].get(usize::from(which & 3)) {
        Some(kind) => programs(kind, rest, which & 4 == 0),
        None => hosts_deny(rest),
    }
}

fn hosts_deny(bytes: &[u8]) {
    let Ok(mut parts) = Parts::of(bytes) else { return };
    assert!(parts.others.len() <= bytes.len());
    parts.blocked.extend(["192.0.2.7", "192.0.2.0/25", "2001:db8::/33"].map(|prefix| prefix.parse::<Prefix>().expect("a prefix")));
    for format in [Format::Plain, Format::Options] {
        let again = Parts::of(&parts.content(format)).expect("what we wrote can be read");
        assert_eq!((&again.others, &again.blocked), (&parts.others, &parts.blocked));
    }
    // Without any of ours, what was others' is all.
    parts.blocked.clear();
    assert_eq!(parts.content(Format::Plain), parts.others);
}

fn programs(kind: &str, bytes: &[u8], ends_well: bool) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines = text.lines().count();
    let open = Kind::of(kind).and_then(|kind| kind.open).expect("it can be begun");
    let mut responder = match open(&Settings::default(), Box::new(Says { text, ends_well })) {
        Ok(responder) => responder,
        Err(words) => return assert!(!words.is_empty()),
    };
    let scope = Scope::Source("192.0.2.7".parse().expect("an address"));
    let batch = [Change::Add { id: BlockId(1), scope, expiry: Expiry::Never }, Change::Remove { id: BlockId(1), scope }];
    assert_eq!(responder.apply(&batch, Time::EPOCH).len(), batch.len());
    // Each program is asked once for each of its tables.
    assert!(responder.list(Time::EPOCH).is_ok_and(|list| list.len() <= 4 * lines) || lines > 0);
}
