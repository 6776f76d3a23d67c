//! Blocks with ipfw (FreeBSD): addresses in the table `riposte` and one rule that drops them. Never changes another rule or table.
//! Commands, words and exit codes are those of ipfw(8) and its source (FreeBSD's sbin/ipfw).

use crate::settings::in_range;
use crate::tables::{Call, Dialect, TABLE, Table, Unready};
use crate::tool::{Tool, ToolError};
use crate::{Key, Kind, Needs, Responder, Value};
use model::limits;
use model::net::Prefix;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "ipfw",
    summary: "Blocks with an own table and one rule of ipfw (FreeBSD).",
    example: "[respond.ipfw]\nrule = 50\n",
    open: Some(open),
    keys: &[Key {
        name: "rule",
        get: |settings| Value::Number(settings.ipfw.rule.into()),
        set: |settings, value| in_range(&value, 1..=RULE_MAX).map(|rule| settings.ipfw.rule = rule),
    }],
    needs: Needs { programs: &["ipfw"], ..Needs::NOTHING },
};

/// The highest number: 65535 is the rule that nobody can change.
const RULE_MAX: u16 = 65_534;
/// The rule, from its action on.
const RULE: [&str; 6] = ["deny", "ip", "from", "table(riposte)", "to", "any"];

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of riposte's rule, 1 to 65534: what passes before it is never dropped.
    pub rule: u16,
}

impl Default for Settings {
    /// Before the numbers that FreeBSD's own rc.firewall begins with (100).
    fn default() -> Self {
        Settings { rule: 50 }
    }
}

fn open(settings: &crate::Settings, tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    Table::open(Ipfw(settings.ipfw.clone()), tool)
}

struct Ipfw(Settings);

impl Dialect for Ipfw {
    const BATCH: usize = limits::BATCH_CHANGES;
    // With -q a duplicate is an update and what is gone is no error.
    const STANDS: &'static [&'static str] = &[];
    const GONE: &'static [&'static str] = &["does not exist"];

    /// Whoever flushed the rules has left the table, so it is the rule that is looked for.
    fn make_ready(&self, tool: &mut dyn Tool) -> Result<(), Unready> {
        let (number, rule) = (self.0.rule.to_string(), RULE.join(" "));
        match Call::new("ipfw", &["list", &number]).run(tool) {
            Ok(rules) if rules.lines().any(|line| line.ends_with(&rule)) => return Ok(()),
            Ok(_) => {}
            Err(ToolError::Refused { said, .. }) if said.contains("does not exist") => {}
            Err(error) => return Err(error.into()),
        }
        match Call::new("ipfw", &["-q", "table", TABLE, "create", "type", "addr"]).run(tool) {
            Ok(_) => {}
            Err(ToolError::Refused { said, .. }) if said.contains("File exists") => {}
            Err(error) => return Err(error.into()),
        }
        Call::new("ipfw", &["-q", "add", &number]).with(RULE.map(str::to_owned)).run(tool)?;
        Ok(())
    }

    /// All or none; each address has a value, of which we make no use.
    fn add(&self, prefixes: &[Prefix]) -> Call {
        let pairs = prefixes.iter().flat_map(|prefix| [prefix.to_string(), "0".to_owned()]);
        Call::new("ipfw", &["-q", "table", TABLE, "atomic", "add"]).with(pairs)
    }

    fn remove(&self, prefixes: &[Prefix]) -> Call {
        Call::new("ipfw", &["-q", "table", TABLE, "delete"]).with(prefixes.iter().map(Prefix::to_string))
    }

    fn list(&self) -> Call {
        Call::new("ipfw", &["table", TABLE, "list"])
    }

    /// `ADDRESS/LENGTH VALUE` in each line.
    fn entries<'t>(&self, listing: &'t str) -> Vec<&'t str> {
        listing.lines().filter_map(|line| line.split_whitespace().next()).collect()
    }
}
