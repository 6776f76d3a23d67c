//! Blocks with pf (OpenBSD, FreeBSD): addresses in the table `<riposte>`, by pfctl. Never loads a ruleset but that of its own anchor.
//! Commands and words are those of pfctl(8) and its source (FreeBSD's sbin/pfctl, OpenBSD's).

use crate::tables::{Call, Dialect, TABLE, Table, Unready};
use crate::tool::Tool;
use crate::{Key, Kind, Needs, Responder, Value};
use model::limits;
use model::net::Prefix;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "pf",
    summary: "Blocks with pf's table <riposte> (OpenBSD, FreeBSD) and cuts the states of those that are blocked.",
    example: "[respond.pf]\nanchor = \"riposte\"\nkeep_states = false\n",
    open: Some(open),
    keys: &[
        Key { name: "anchor", get: |settings| Value::Text(settings.pf.anchor.clone().unwrap_or_default()), set: set_anchor },
        Key { name: "keep_states", get: |settings| Value::Flag(settings.pf.keep_states), set: set_keep_states },
    ],
    needs: Needs { programs: &["pfctl"], ..Needs::NOTHING },
};

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The anchor that riposte fills with its table and rule. Without one both stand in pf.conf.
    pub anchor: Option<String>,
    /// Connections that stand are left alone.
    pub keep_states: bool,
}

/// Bytes of an anchor's name: pf's own limit for one part of it (PF_ANCHOR_NAME_SIZE).
const ANCHOR_BYTES: usize = 63;
/// What the anchor has. A table without a list of its own keeps its addresses when it is loaded again.
const RULES: &str = "table <riposte> persist\nblock drop in quick from <riposte> to any\n";

fn set_anchor(settings: &mut crate::Settings, value: Value) -> Result<(), String> {
    let Value::Text(name) = value else { return Ok(()) };
    let may_stand = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if name.starts_with(['-', '/']) || name.len() > ANCHOR_BYTES || !name.chars().all(may_stand) {
        return Err(format!("an anchor's name has letters, digits, '_', '.', '-' and '/' within it, {ANCHOR_BYTES} at most"));
    }
    settings.pf.anchor = (!name.is_empty()).then_some(name);
    Ok(())
}

fn set_keep_states(settings: &mut crate::Settings, value: Value) -> Result<(), String> {
    if let Value::Flag(keep) = value {
        settings.pf.keep_states = keep;
    }
    Ok(())
}

fn open(settings: &crate::Settings, tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    Table::open(Pf(settings.pf.clone()), tool)
}

struct Pf(Settings);

impl Pf {
    fn call(&self, args: &[&str]) -> Call {
        let anchor: Vec<&str> = self.0.anchor.iter().flat_map(|anchor| ["-a", anchor]).collect();
        Call::new("pfctl", &[&anchor, args].concat())
    }

    fn fed(&self, command: &str, prefixes: &[Prefix]) -> Call {
        let input = prefixes.iter().map(|prefix| format!("{prefix}\n")).collect();
        Call { input, ..self.call(&["-t", TABLE, "-T", command, "-f", "-"]) }
    }
}

impl Dialect for Pf {
    const BATCH: usize = limits::BATCH_CHANGES;
    // A duplicate is counted ("0/1 addresses added.") and no error.
    const STANDS: &'static [&'static str] = &[];
    const GONE: &'static [&'static str] = &["Table does not exist"];

    fn make_ready(&self, tool: &mut dyn Tool) -> Result<(), Unready> {
        // Without this look `-T add` would make a table that no rule asks.
        let tables = self.call(&["-v", "-s", "Tables"]).run(tool)?;
        // Flags (r: a rule refers to it, h: one in an anchor does), a tab, the name, and the anchor's if there is one.
        let is_asked = |line: &str| {
            let mut fields = line.split('\t');
            fields.next().is_some_and(|flags| flags.contains(['r', 'h'])) && fields.next() == Some(TABLE)
        };
        if tables.lines().any(is_asked) {
            return Ok(());
        }
        if self.0.anchor.is_none() {
            let what = "pf has no table <riposte> that a rule asks: put `table <riposte> persist` and \
                        `block drop in quick from <riposte>` into /etc/pf.conf and load it (`pfctl -f /etc/pf.conf`), or name an anchor";
            return Err(Unready::Missing(what.to_owned()));
        }
        Call { input: RULES.to_owned(), ..self.call(&["-f", "-"]) }.run(tool)?;
        Ok(())
    }

    fn add(&self, prefixes: &[Prefix]) -> Call {
        self.fed("add", prefixes)
    }

    fn remove(&self, prefixes: &[Prefix]) -> Call {
        self.fed("delete", prefixes)
    }

    fn list(&self) -> Call {
        // -q keeps FreeBSD's remarks on ALTQ out of it.
        self.call(&["-q", "-t", TABLE, "-T", "show"])
    }

    fn entries<'t>(&self, listing: &'t str) -> Vec<&'t str> {
        listing.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// States pass before any rule is asked. If they can't be cut the block still holds for whatever is new.
    fn seal(&self, tool: &mut dyn Tool, prefix: &Prefix) {
        if !self.0.keep_states {
            let _ = Call::new("pfctl", &["-k", &prefix.to_string()]).run(tool);
        }
    }
}
