//! Blocks with NPF (NetBSD): addresses in the table `<riposte>`, by npfctl. Never loads a configuration.
//! Commands and words are those of npfctl(8) and its source (NetBSD's usr.sbin/npf/npfctl: npf_cmd.c, npf_show.c).

use crate::tables::{Call, Dialect, TABLE, Table, Unready};
use crate::tool::Tool;
use crate::{Kind, Needs, Responder};
use model::net::Prefix;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "npf",
    summary: "Blocks with NPF's table <riposte> (NetBSD).",
    example: "[respond]\nkind = \"npf\"\n",
    open: Some(open),
    keys: &[],
    needs: Needs { programs: &["npfctl"], ..Needs::NOTHING },
};

fn open(_: &crate::Settings, tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    Table::open(Npf, tool)
}

struct Npf;

impl Dialect for Npf {
    // One address a run. `replace` would take many, but puts a new table in the old one's place: what somebody adds meanwhile would be lost.
    const BATCH: usize = 1;
    const STANDS: &'static [&'static str] = &["entry already exists"];
    const GONE: &'static [&'static str] = &["not found"];

    fn make_ready(&self, tool: &mut dyn Tool) -> Result<(), Unready> {
        let configuration = Call::new("npfctl", &["show"]).run(tool)?;
        if configuration.lines().any(|line| line.trim_start().starts_with("block ") && line.contains("<riposte>")) {
            return Ok(());
        }
        let what = "no rule of NPF asks the table <riposte>: put `table <riposte> type lpm` and, first in the group, \
                    `block in final from <riposte>` into /etc/npf.conf and load it (`npfctl reload`)";
        Err(Unready::Missing(what.to_owned()))
    }

    fn add(&self, prefixes: &[Prefix]) -> Call {
        Call::new("npfctl", &["table", TABLE, "add"]).with(prefixes.iter().map(Prefix::to_string))
    }

    fn remove(&self, prefixes: &[Prefix]) -> Call {
        Call::new("npfctl", &["table", TABLE, "rem"]).with(prefixes.iter().map(Prefix::to_string))
    }

    fn list(&self) -> Call {
        Call::new("npfctl", &["table", TABLE, "list"])
    }

    fn entries<'t>(&self, listing: &'t str) -> Vec<&'t str> {
        listing.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}
