//! What ledger, history and kernel say of the same addresses once riposte has ended: each must be blocked exactly once in all three.
//! Reads the ledger's file, which is nobody else's then; changes nothing in it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use store::Store;
use store::entry::{Entry, Verdict};
use store::history::HistoryQuery;
use sys::clock::now;

/// Examples of each kind that are kept.
const EXAMPLES: usize = 5;
/// The kernel's timer and the ledger's end may differ by this many seconds.
const SLACK_SECS: u64 = 4;

/// What is wrong, by kind.
#[derive(Debug, Default)]
pub struct Audit {
    /// Expected, and in the kernel or the ledger not there.
    pub lost: Finding,
    /// More than one live block of one address in the ledger, or more than one block decided in the history.
    pub doubled: Finding,
    /// In the kernel, and in the ledger not.
    pub surplus: Finding,
    /// Blocked, and the history has no decision of it.
    pub untold: Finding,
    /// Not exactly one strike remembered.
    pub strikes: Finding,
    /// Kernel and ledger disagree about the end.
    pub ends: Finding,
    /// Live blocks in the ledger.
    pub live: u64,
}

/// How often something was found, with examples.
#[derive(Debug, Default)]
pub struct Finding {
    /// How often.
    pub count: u64,
    /// The first few.
    pub examples: Vec<String>,
}

impl Finding {
    fn add(&mut self, example: String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    /// The examples in one line.
    pub fn told(&self) -> String {
        self.examples.join(", ")
    }
}

/// Compares. `folder` is the store's; `kernel` was listed while riposte had just ended.
///
/// # Errors
/// If the ledger can't be read.
pub fn audit(folder: &Path, kernel: &BTreeMap<Ipv4Addr, Option<u64>>, expected: &[Ipv4Addr]) -> io::Result<Audit> {
    let store = Store::open(&folder.join("riposte.db")).map_err(io::Error::other)?;
    let time = model::time::Time::from_nanos(now());
    let v4 = |prefix: model::net::Prefix| match prefix.addr() {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    let mut live: BTreeMap<Ipv4Addr, Vec<Option<u64>>> = BTreeMap::new();
    store
        .for_each_live(time, |block, _| {
            let left = match block.expiry {
                model::block::Expiry::At(at) => Some(at.since(time).as_secs()),
                model::block::Expiry::Never => None,
            };
            v4(block.scope.prefix()).into_iter().for_each(|address| live.entry(address).or_default().push(left));
        })
        .map_err(io::Error::other)?;
    let strikes = store.load_strikes().map_err(io::Error::other)?;
    let strikes: BTreeMap<Ipv4Addr, u32> = strikes.iter().filter_map(|strike| Some((v4(strike.whom)?, strike.count))).collect();
    let decided = decisions(&store)?;
    let mut found = Audit { live: live.values().map(|blocks| blocks.len() as u64).sum(), ..Audit::default() };
    for address in expected {
        let blocks = live.get(address).map_or(&[][..], Vec::as_slice);
        match (blocks, kernel.get(address)) {
            ([], Some(_)) => found.lost.add(format!("{address} (not in the ledger)")),
            ([], None) => found.lost.add(format!("{address} (nowhere)")),
            ([..], None) => found.lost.add(format!("{address} (not in the kernel)")),
            ([left, ..], Some(timer)) if !agree(*left, *timer) => found.ends.add(format!("{address}: {left:?} s and {timer:?} s")),
            ([..], Some(_)) => {}
        }
        let decisions = decided.get(address).copied().unwrap_or(0);
        if blocks.len() > 1 || decisions > 1 {
            found.doubled.add(format!("{address}: {} in the ledger, {decisions} decided", blocks.len()));
        }
        if decisions == 0 {
            found.untold.add(address.to_string());
        }
        match strikes.get(address) {
            Some(1) => {}
            count => found.strikes.add(format!("{address}: {}", count.copied().unwrap_or(0))),
        }
    }
    kernel.keys().filter(|address| !live.contains_key(address)).for_each(|address| found.surplus.add(address.to_string()));
    Ok(found)
}

fn agree(ledger: Option<u64>, kernel: Option<u64>) -> bool {
    match (ledger, kernel) {
        (Some(ledger), Some(kernel)) => ledger.abs_diff(kernel) <= SLACK_SECS,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// How often each address was sentenced to a new block, by the ledger in this folder.
///
/// # Errors
/// If it can't be read.
pub fn sentences(folder: &Path) -> io::Result<BTreeMap<Ipv4Addr, u32>> {
    decisions(&Store::open(&folder.join("riposte.db")).map_err(io::Error::other)?)
}

fn decisions(store: &Store) -> io::Result<BTreeMap<Ipv4Addr, u32>> {
    let query = HistoryQuery { whom: None, since: None, until: None, limit: store::ANSWER_MAX, newest_first: false };
    let mut decided = BTreeMap::new();
    for entry in store.history(&query).map_err(io::Error::other)? {
        if let Entry::Judged { offence, verdict: Verdict::Block { .. } } = entry
            && let IpAddr::V4(address) = offence.offender.addr()
        {
            *decided.entry(address).or_default() += 1;
        }
    }
    Ok(decided)
}
