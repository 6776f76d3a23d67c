//! A short storm of kills; `make chaos` has the long one, and the matrix of faults.

use crate::daemon::{RIPOSTE, folder};
use range::chaos::{Context, kill};
use range::verdict::{Verdict, table};
use std::path::Path;

#[test]
fn thirty_kills_in_a_storm_of_attackers_lose_nothing() {
    let folder = folder();
    let bench = range::bench::Context::new(Path::new(RIPOSTE), folder.path()).unwrap();
    // Each run strikes at other moments; the seed stands in the table.
    let seed = u64::from(std::process::id());
    let context = Context { bench, kills: 30, seed, cell: None, tag: format!("live{seed}") };
    let verdicts = kill::run(&context).unwrap();
    let broken: Vec<Verdict> = verdicts.iter().filter(|verdict| !verdict.kept).cloned().collect();
    assert!(broken.is_empty(), "{}\nall of it:\n{}", table(&broken), table(&verdicts));
}
