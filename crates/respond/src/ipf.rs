//! Blocks with IPFilter's pools (FreeBSD, NetBSD, illumos): addresses in the pool `riposte`, by ippool. Never loads or flushes a rule.
//! A rule for each address, by `ipf -f -` and `ipf -r -f -`, would be walked for each packet; a pool is looked up.
//! Commands and words are those of ippool(8), ippool(5) and their source (FreeBSD's sbin/ipf; the words of refusals in libipf/interror.c).

use crate::tables::{Call, Dialect, TABLE, Table, Unready};
use crate::tool::Tool;
use crate::{Kind, Needs, Responder};
use model::net::Prefix;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "ipf",
    summary: "Blocks with an address pool of IPFilter (FreeBSD, NetBSD, illumos).",
    example: "[respond]\nkind = \"ipf\"\n",
    open: Some(open),
    keys: &[],
    needs: Needs { programs: &["ippool", "ipfstat"], ..Needs::NOTHING },
};

fn open(_: &crate::Settings, tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    Table::open(Ipf, tool)
}

struct Ipf;

impl Dialect for Ipf {
    // One `-i` a run.
    const BATCH: usize = 1;
    const STANDS: &'static [&'static str] = &["node entry already present in pool"];
    const GONE: &'static [&'static str] = &["cannot find node to delete in pool", "cannot find pool to delete node from"];

    fn make_ready(&self, tool: &mut dyn Tool) -> Result<(), Unready> {
        let missing = |what: &str| Err(Unready::Missing(what.to_owned()));
        // A pool that is missing is an empty answer.
        if !self.list().run(tool)?.contains('{') {
            return missing(
                "IPFilter has no pool riposte: put `table role=ipf type=tree name=riposte { ; };` into /etc/ippool.conf \
                 and load it (`ippool -f /etc/ippool.conf`)",
            );
        }
        if !Call::new("ipfstat", &["-i"]).run(tool)?.contains("pool/riposte") {
            return missing(
                "no rule of IPFilter asks the pool riposte: put `block in quick from pool/riposte to any` into /etc/ipf.conf \
                 and load it (`ipf -f /etc/ipf.conf`)",
            );
        }
        Ok(())
    }

    fn add(&self, prefixes: &[Prefix]) -> Call {
        Call::new("ippool", &["-a", "-m", TABLE, "-i"]).with(prefixes.iter().map(Prefix::to_string))
    }

    fn remove(&self, prefixes: &[Prefix]) -> Call {
        Call::new("ippool", &["-r", "-m", TABLE, "-i"]).with(prefixes.iter().map(Prefix::to_string))
    }

    fn list(&self) -> Call {
        Call::new("ippool", &["-l", "-m", TABLE, "-t", "tree"])
    }

    /// A head, then `{ ADDRESS/LENGTH; ! ADDRESS/LENGTH; };`.
    fn entries<'t>(&self, listing: &'t str) -> Vec<&'t str> {
        let inside = listing.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
        inside.split(';').map(str::trim).filter(|entry| !entry.is_empty()).collect()
    }
}
