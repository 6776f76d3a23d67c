//! What pf, ipfw, ipf and npf have in common: a table of addresses that a program fills, and a rule that drops what is in it.
//! Never touches another table or rule, and never says that somebody is blocked while no rule asks the table.

use crate::Responder;
use crate::tool::{Tool, ToolError};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::net::Prefix;
use model::time::Time;

/// The table's name, with all of them.
pub const TABLE: &str = "riposte";

/// A program's run: its arguments and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The program.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its input.
    pub input: String,
}

impl Call {
    /// A run without input.
    pub fn new(program: &'static str, args: &[&str]) -> Self {
        Call { program, args: args.iter().map(|&arg| arg.to_owned()).collect(), input: String::new() }
    }

    /// With one argument more for each of these.
    pub fn with(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Runs it.
    pub fn run(&self, tool: &mut dyn Tool) -> Result<String, ToolError> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        tool.run(self.program, &args, &self.input)
    }
}

/// Why a table can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// The table or the rule that asks it is missing; what to do.
    #[error("{0}")]
    Missing(String),
    /// The program didn't say.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Unready {
    fn fault(&self) -> Fault {
        match self {
            Unready::Missing(_) => Fault::Gone,
            Unready::Tool(error) => fault(error),
        }
    }
}

/// How one system is spoken to.
pub trait Dialect {
    /// Addresses that one run takes.
    const BATCH: usize;
    /// Words of a refusal to add which mean that it stands already.
    const STANDS: &'static [&'static str];
    /// Words of a refusal to remove which mean that it doesn't stand.
    const GONE: &'static [&'static str];

    /// Makes sure that the table stands and a rule asks it.
    fn make_ready(&self, tool: &mut dyn Tool) -> Result<(), Unready>;

    /// The run that adds these.
    fn add(&self, prefixes: &[Prefix]) -> Call;

    /// The run that removes these.
    fn remove(&self, prefixes: &[Prefix]) -> Call;

    /// The run that lists all.
    fn list(&self) -> Call;

    /// The entries of a listing; those that begin with '!' are exceptions, which only an administrator makes.
    fn entries<'t>(&self, listing: &'t str) -> Vec<&'t str>;

    /// Does what is to be done behind an address that was added.
    fn seal(&self, _tool: &mut dyn Tool, _prefix: &Prefix) {}
}

/// A table with its program.
pub struct Table<D> {
    dialect: D,
    tool: Box<dyn Tool>,
    /// What the administrator has to do, if something is missing.
    words: Option<String>,
}

impl<D: Dialect + 'static> Table<D> {
    /// Makes the table ready. What an earlier run has left in it stays.
    ///
    /// # Errors
    /// If the program is missing, refuses, or the administrator has to do something first; one line that says so.
    pub fn open(dialect: D, mut tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
        dialect.make_ready(&mut *tool).map_err(|unready| unready.to_string())?;
        Ok(Box::new(Table { dialect, tool, words: None }))
    }

    fn make_ready(&mut self) -> Result<(), Fault> {
        self.dialect.make_ready(&mut *self.tool).map_err(|unready| {
            let fault = unready.fault();
            self.words = Some(unready.to_string());
            fault
        })
    }

    /// Adds or removes these, so many in a run. One that hangs is not asked again: each run more would take its whole time.
    fn change_all(&mut self, prefixes: &[Prefix], most: usize, adds: bool) -> Vec<Outcome> {
        let hung = Outcome::Failed(Fault::Unreachable);
        let mut outcomes = Vec::with_capacity(prefixes.len());
        for part in prefixes.chunks(most) {
            let settled = if outcomes.last() == Some(&hung) { vec![hung; part.len()] } else { self.change(part, adds) };
            outcomes.extend(settled);
        }
        outcomes
    }

    /// Adds or removes these, in one run or, if that is refused, one by one.
    fn change(&mut self, prefixes: &[Prefix], adds: bool) -> Vec<Outcome> {
        let call = if adds { self.dialect.add(prefixes) } else { self.dialect.remove(prefixes) };
        let (done, excuses) = if adds { (Outcome::Added, D::STANDS) } else { (Outcome::Removed, D::GONE) };
        match call.run(&mut *self.tool) {
            Ok(_) => vec![done; prefixes.len()],
            Err(ToolError::Refused { .. }) if prefixes.len() > 1 => self.change_all(prefixes, 1, adds),
            Err(ToolError::Refused { said, .. }) if excuses.iter().any(|words| said.contains(words)) => vec![done],
            Err(error) => vec![Outcome::Failed(fault(&error)); prefixes.len()],
        }
    }
}

impl<D: Dialect + 'static> Responder for Table<D> {
    fn supports(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Source(_) => true,
        }
    }

    fn expires_itself(&self) -> bool {
        false
    }

    /// Each row of changes of one kind is a run, or as many as the program needs.
    fn apply(&mut self, batch: &[Change], _now: Time) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for row in batch.chunk_by(|a, b| is_add(a) == is_add(b)) {
            let adds = row.first().is_some_and(is_add);
            if adds && let Err(fault) = self.make_ready() {
                outcomes.extend(row.iter().map(|_| Outcome::Failed(fault)));
                continue;
            }
            let prefixes: Vec<Prefix> = row.iter().map(|change| change.scope().prefix()).collect();
            let settled = self.change_all(&prefixes, D::BATCH, adds);
            for (prefix, _) in prefixes.iter().zip(&settled).filter(|(_, outcome)| **outcome == Outcome::Added) {
                self.dialect.seal(&mut *self.tool, prefix);
            }
            outcomes.extend(settled);
        }
        outcomes
    }

    /// `Fault::Gone` if the table is missing or no rule asks it; `Fault::Refused` if the listing can't be read.
    fn list(&mut self, _now: Time) -> Result<Vec<Installed>, Fault> {
        self.make_ready()?;
        let listing = self.dialect.list().run(&mut *self.tool).map_err(|error| fault(&error))?;
        let entries = self.dialect.entries(&listing);
        if entries.len() > limits::BLOCKS {
            return Err(Fault::TooMany);
        }
        let blocks = entries.into_iter().filter(|entry| !entry.starts_with('!'));
        blocks.map(installed).collect()
    }

    fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }
}

fn is_add(change: &Change) -> bool {
    match change {
        Change::Add { .. } => true,
        Change::Remove { .. } => false,
    }
}

fn installed(entry: &str) -> Result<Installed, Fault> {
    let prefix: Prefix = entry.parse().map_err(|_| Fault::Refused)?;
    Ok(Installed { scope: Scope::Source(prefix), expiry: Expiry::Never })
}

fn fault(error: &ToolError) -> Fault {
    match error {
        // What strerror says of ENOMEM, and ipfw of EFBIG.
        ToolError::Refused { said, .. } if said.contains("Cannot allocate memory") => Fault::Memory,
        ToolError::Refused { said, .. } if said.contains("limit hit") => Fault::Full,
        ToolError::Refused { .. } | ToolError::Missing(_) | ToolError::NotStarted(..) | ToolError::TimedOut(_) => error.fault(),
    }
}
