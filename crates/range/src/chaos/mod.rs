//! Chaos: riposte is killed, stopped and starved at the worst moments while attackers come; then its ledger, its history and the kernel
//! are compared, address by address. Touches nothing of the host: all runs in namespaces named `rp-…` and is removed at the end.

mod audit;
mod fault;
mod flush;
pub mod kill;
pub mod matrix;
mod mob;
mod yard;

use crate::bench;
use crate::verdict::Verdict;
use std::io;
use std::path::{Path, PathBuf};

/// What to do to it, and with which binary.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary under test.
    pub riposte: PathBuf,
    /// Only groups whose name has this in it; behind a colon, only cells of the matrix whose name has that in it.
    pub only: Option<String>,
    /// How many kills the storm has.
    pub kills: u32,
    /// Chance comes from this number: the same again does the same again, as far as the machine does.
    pub seed: u64,
}

impl Options {
    /// The group and the cells that are wanted.
    fn split(&self) -> (Option<&str>, Option<&str>) {
        match self.only.as_deref() {
            Some(only) => only.split_once(':').map_or((Some(only), None), |(group, cell)| (Some(group), Some(cell))),
            None => (None, None),
        }
    }

    /// Whether any group is wanted.
    pub fn is_known(&self) -> bool {
        GROUPS.iter().any(|group| self.split().0.is_none_or(|word| group.name.contains(word)))
    }
}

/// What a group gets.
#[derive(Debug)]
pub struct Context {
    /// The binary and the folder.
    pub bench: bench::Context,
    /// How many kills the storm has.
    pub kills: u32,
    /// What chance comes from.
    pub seed: u64,
    /// Only cells of the matrix whose name has this in it.
    pub cell: Option<String>,
    /// Begins the names of network namespaces (`rp-bench-TAG…`), so that several can run at one time.
    pub tag: String,
}

/// A group of trials.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// What its tables show.
    pub about: &'static str,
    run: fn(&Context) -> io::Result<Vec<Verdict>>,
}

/// The groups, in order.
pub const GROUPS: [Group; 3] = [
    Group {
        name: "matrix",
        about: "Measured: blocks lost, blocks doubled, exempt addresses blocked; milliseconds from the fault's end until all was right.",
        run: matrix::run,
    },
    Group {
        name: "kill",
        about: "Ten attackers come with each kill, and go on until they are blocked; recovery is until every process is at work again.",
        run: kill::run,
    },
    Group {
        name: "flush",
        about: "Another tool empties the firewall again and again while attackers come; the gap is until every block is back in the kernel.",
        run: flush::run,
    },
];

/// Runs the groups and hands each one's verdicts to `tell`; only for a process that [`bench::run_enclosed`] has started, with the folder that
/// it was given. A group that fails is told on standard error, and the others go on.
///
/// # Errors
/// If nothing can be run at all, or a group failed: then at the end.
pub fn run(options: &Options, folder: &Path, mut tell: impl FnMut(&Group, &[Verdict])) -> io::Result<()> {
    bench::furnish()?;
    let bench = bench::Context::new(&options.riposte, folder)?;
    let (group, cell) = options.split();
    let context = Context { bench, kills: options.kills, seed: options.seed, cell: cell.map(str::to_owned), tag: "chaos".into() };
    progress(&format!("seed {}", options.seed));
    let wanted = |candidate: &Group| group.is_none_or(|word| candidate.name.contains(word));
    let mut failed = Vec::new();
    for group in GROUPS.iter().filter(|group| wanted(group)) {
        match (group.run)(&context) {
            Ok(verdicts) => tell(group, &verdicts),
            Err(error) => {
                progress(&format!("{} FAILED: {error}", group.name));
                failed.push(group.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(format!("could not be run: {}", failed.join(", ")))) }
}

/// A line about what goes on, on standard error.
fn progress(text: &str) {
    eprintln!("chaos: {text}");
}
