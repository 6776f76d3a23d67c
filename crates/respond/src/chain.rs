//! An own chain in the filter table of iptables, ip6tables or ebtables, before everybody else's rules in INPUT and FORWARD.
//! Never changes another rule or chain.

use crate::standing::settle;
use crate::tool::{Tool, ToolError};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use sys::sandbox::Capability;

/// What all chains of ours begin with: several kinds of responders may be at work, and none of them insists on being before the other.
const OURS: &str = "riposte";
/// The kernel's chains that ours is called from: what is for this host, and what it passes on.
const HOOKS: [&str; 2] = ["INPUT", "FORWARD"];

/// What the programs hold while they are at work, so that only one of them is.
pub(crate) const LOCK: &str = "/run/xtables.lock";
/// What the programs need: netlink, and a raw socket to ask the kernel by (the classic ones, and the match of sets).
pub(crate) const CAPABILITIES: &[Capability] = &[Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Which iptables or ebtables, where both are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The one that the system has chosen (Debian: `update-alternatives`).
    #[default]
    System,
    /// The one on top of nf_tables.
    Nft,
    /// The classic one.
    Legacy,
}

impl Backend {
    /// Every one with its word in the configuration.
    pub const WORDS: [(&str, Backend); 3] = [("system", Backend::System), ("nft", Backend::Nft), ("legacy", Backend::Legacy)];

    fn program(self, base: &str, what: &str) -> String {
        let backend = match self {
            Backend::System => "",
            Backend::Nft => "-nft",
            Backend::Legacy => "-legacy",
        };
        format!("{base}{backend}-{what}")
    }
}

/// What can be chosen of those that have a rule for each block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which program.
    pub backend: Backend,
    /// Rules, of iptables for each address family. Every packet or frame is compared with each of them in turn.
    pub size: usize,
}

impl Settings {
    /// The most rules: one after the other, they would slow down every packet.
    pub(crate) const SIZE_MAX: usize = 50_000;
}

impl Default for Settings {
    fn default() -> Self {
        Settings { backend: Backend::System, size: 5_000 }
    }
}

/// The keys of a kind with a backend and a size, of the settings' field of this name.
macro_rules! keys {
    ($field:ident, $size_max:expr) => {
        &[
            $crate::Key {
                name: "backend",
                get: |settings| $crate::settings::word(&$crate::chain::Backend::WORDS, settings.$field.backend),
                set: |settings, value| {
                    $crate::settings::choice(&$crate::chain::Backend::WORDS, &value).map(|backend| settings.$field.backend = backend)
                },
            },
            $crate::Key {
                name: "size",
                get: |settings| $crate::Value::Number(settings.$field.size as i64),
                set: |settings, value| $crate::settings::in_range(&value, 1..=$size_max).map(|size| settings.$field.size = size),
            },
        ]
    };
}
pub(crate) use keys;

/// So many refused batches are halved. One wrong line in a thousand is found by ten; more means that all is refused, and each run may wait for a lock.
const REFUSALS: usize = 16;

/// Whether this kernel knows IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// A chain and the two programs that read and change it.
#[derive(Debug)]
pub(crate) struct Chain {
    name: &'static str,
    save: (String, &'static [&'static str]),
    restore: (String, &'static [&'static str]),
    /// What becomes of a packet that comes to the chain's end, as it stands behind its name: it goes on.
    policy: &'static str,
    /// What ends a table.
    end: &'static str,
}

/// What stands in the kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What becomes of a packet that comes to our chain's end; `None` if there is no chain.
    policy: Option<String>,
    /// For each of `HOOKS`: how often it calls ours, and whether that is the first thing it does.
    calls: [(usize, bool); 2],
    /// The rules in our chain, as the program writes them.
    pub rules: Vec<String>,
}

impl Standing {
    /// Whether every packet comes by our chain before anything else can let it pass.
    pub fn is_first(&self) -> bool {
        self.calls.iter().all(|(_, first)| *first)
    }
}

impl Chain {
    /// The chain of this name (which begins with "riposte") of iptables or ip6tables.
    pub fn iptables(name: &'static str, backend: Backend, ipv6: bool) -> Self {
        debug_assert!(name.starts_with(OURS));
        let base = if ipv6 { "ip6tables" } else { "iptables" };
        Chain {
            name,
            save: (backend.program(base, "save"), &["-t", "filter"]),
            // Waits for whoever else is at work; less than a program may run.
            restore: (backend.program(base, "restore"), &["-w", "5", "--noflush"]),
            policy: "- [0:0]",
            end: "COMMIT\n",
        }
    }

    /// The chain of this name of ebtables.
    pub fn ebtables(name: &'static str, backend: Backend) -> Self {
        debug_assert!(name.starts_with(OURS));
        let [save, restore] = ["save", "restore"].map(|what| backend.program("ebtables", what));
        Chain { name, save: (save, &[]), restore: (restore, &["--noflush"]), policy: "RETURN", end: "" }
    }

    /// Reads what stands.
    pub fn read(&self, tool: &mut dyn Tool) -> Result<Standing, ToolError> {
        let (program, args) = &self.save;
        let said = tool.run(program, args, "")?;
        // A table with rules that only nft knows is not written, and looks as if it were empty.
        if let Some(line) = said.lines().find(|line| line.starts_with('#') && line.contains("is incompatible")) {
            return Err(ToolError::Refused { program: program.clone(), code: 0, said: line.to_owned() });
        }
        let mut standing = Standing::default();
        let mut foreign = [false; 2];
        for line in said.lines().skip_while(|line| *line != "*filter").take_while(|line| *line != "COMMIT") {
            if let Some(chain) = line.strip_prefix(':') {
                if let Some(policy) = chain.strip_prefix(self.name).and_then(|rest| rest.strip_prefix(' ')) {
                    standing.policy = Some(policy.split(' ').next().unwrap_or_default().to_owned());
                }
                continue;
            }
            let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rule| rule.split_once(' ')) else { continue };
            let rule = rule.trim_end();
            if chain == self.name {
                standing.rules.push(rule.to_owned());
            } else if let Some(at) = HOOKS.iter().position(|hook| *hook == chain) {
                let target = rule.strip_prefix("-j ");
                if let (Some((calls, first)), Some(foreign)) = (standing.calls.get_mut(at), foreign.get_mut(at)) {
                    if target == Some(self.name) {
                        *first |= !*foreign;
                        *calls += 1;
                    }
                    *foreign |= !target.is_some_and(|target| target.starts_with(OURS));
                }
            }
        }
        Ok(standing)
    }

    /// Makes the chain and its calls as they must be, and these edits (whole lines), all at once or not at all. Runs nothing if nothing is to be done.
    pub fn write(&self, tool: &mut dyn Tool, standing: &Standing, edits: &str) -> Result<(), ToolError> {
        let (name, mut text) = (self.name, String::new());
        match &standing.policy {
            None => _ = writeln!(text, ":{name} {}", self.policy),
            // ebtables makes chains that accept everything, unless it is told otherwise.
            Some(policy) if !self.policy.starts_with(policy) => _ = writeln!(text, "-P {name} {}", self.policy),
            Some(_) => {}
        }
        for (hook, (calls, _)) in HOOKS.iter().zip(standing.calls).filter(|(_, calls)| *calls != (1, true)) {
            (0..calls).for_each(|_| text.push_str(&format!("-D {hook} -j {name}\n")));
            let _ = writeln!(text, "-I {hook} 1 -j {name}");
        }
        text.push_str(edits);
        if text.is_empty() {
            return Ok(());
        }
        let (program, args) = &self.restore;
        tool.run(program, args, &format!("*filter\n{text}{}", self.end)).map(drop)
    }
}

/// Blocks as rules of a chain, one each. What stands is asked before each batch, so that nothing is believed and whatever is missing is put right.
pub(crate) struct Rules {
    /// Where.
    pub chain: Chain,
    /// Rules that it may have; above, new blocks are `Full`.
    pub size: usize,
    /// A block's rule, as the program reads and writes it.
    pub rule: fn(&Prefix) -> String,
    /// The addresses that a rule blocks; `None` if it is no rule of ours.
    pub blocked: fn(&str) -> Option<Prefix>,
}

impl Rules {
    /// Makes the chain, or takes it over: the blocks in it stay, once each, and everything else in it goes.
    pub fn open(&self, tool: &mut dyn Tool) -> Result<(), ToolError> {
        let standing = self.chain.read(tool)?;
        let blocks = self.blocks(&standing);
        let is_clean = blocks.values().sum::<usize>() == standing.rules.len() && blocks.values().all(|rules| *rules == 1);
        let mut edits = String::new();
        if !is_clean {
            let _ = writeln!(edits, "-F {}", self.chain.name);
            blocks.keys().for_each(|prefix| self.edit(&mut edits, "-A", prefix));
        }
        self.chain.write(tool, &standing, &edits)
    }

    /// Carries out the changes: one run that reads and one that writes; if the batch is refused, each half of it by itself.
    pub fn apply(&self, tool: &mut dyn Tool, batch: &[Change]) -> Vec<Outcome> {
        self.apply_within(tool, batch, &mut { REFUSALS })
    }

    fn apply_within(&self, tool: &mut dyn Tool, batch: &[Change], refusals: &mut usize) -> Vec<Outcome> {
        if batch.is_empty() {
            return Vec::new();
        }
        if *refusals == 0 {
            return vec![Outcome::Failed(Fault::Refused); batch.len()];
        }
        let standing = match self.chain.read(tool) {
            Ok(standing) => standing,
            Err(error) => return vec![Outcome::Failed(error.fault()); batch.len()],
        };
        let before = self.blocks(&standing);
        let mut after: BTreeSet<Prefix> = before.keys().copied().collect();
        let outcomes = settle(batch, &mut after, self.size);
        let mut edits = String::new();
        for (prefix, rules) in before.iter().filter(|(prefix, _)| !after.contains(prefix)) {
            (0..*rules).for_each(|_| self.edit(&mut edits, "-D", prefix));
        }
        after.iter().filter(|prefix| !before.contains_key(prefix)).for_each(|prefix| self.edit(&mut edits, "-A", prefix));
        match self.chain.write(tool, &standing, &edits) {
            Ok(()) => outcomes,
            // Somebody has it for longer than was waited.
            Err(ToolError::Refused { said, .. }) if said.contains("xtables lock") => vec![Outcome::Failed(Fault::Unreachable); batch.len()],
            Err(ToolError::Refused { .. }) if batch.len() > 1 => {
                *refusals -= 1;
                let (first, second) = batch.split_at(batch.len() / 2);
                [self.apply_within(tool, first, refusals), self.apply_within(tool, second, refusals)].concat()
            }
            Err(error) => vec![Outcome::Failed(error.fault()); batch.len()],
        }
    }

    /// What is really blocked: nobody, if the chain is not called first.
    pub fn list(&self, tool: &mut dyn Tool) -> Result<Vec<Installed>, ToolError> {
        let standing = self.chain.read(tool)?;
        let blocks = if standing.is_first() { self.blocks(&standing) } else { BTreeMap::new() };
        Ok(blocks.into_keys().map(|prefix| Installed { scope: Scope::Source(prefix), expiry: Expiry::Never }).collect())
    }

    /// The blocks, each with the number of its rules.
    fn blocks(&self, standing: &Standing) -> BTreeMap<Prefix, usize> {
        let mut blocks = BTreeMap::new();
        // One of everybody is none of ours: it could not be lifted.
        let ours = standing.rules.iter().filter_map(|rule| (self.blocked)(rule)).filter(|prefix| prefix.bits() > 0);
        ours.for_each(|prefix| *blocks.entry(prefix).or_default() += 1);
        blocks
    }

    fn edit(&self, edits: &mut String, step: &str, prefix: &Prefix) {
        let _ = writeln!(edits, "{step} {} {}", self.chain.name, (self.rule)(prefix));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Transcript;

    fn read(saved: &str) -> Standing {
        Chain::iptables("riposte", Backend::Nft, false)
            .read(&mut Transcript::new(&format!("$ iptables-nft-save -t filter\n{saved}")))
            .unwrap()
    }

    #[test]
    fn what_stands_is_read_as_the_programs_save_it() {
        let saved = "*nat\n-A INPUT -j riposte\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:riposte - [0:0]\n-A INPUT -j riposte-ipset\n-A INPUT -j riposte\n\
            -A FORWARD -j other\n-A FORWARD -j riposte\n-A riposte -s 192.0.2.1/32 -j DROP\n-A other -s 192.0.2.2/32 -j DROP\nCOMMIT\n";
        let standing = read(saved);
        assert_eq!(
            standing,
            Standing { policy: Some("-".to_owned()), calls: [(1, true), (1, false)], rules: vec!["-s 192.0.2.1/32 -j DROP".to_owned()] }
        );
        assert!(!standing.is_first());
        // Called conditionally, by a longer name, or twice.
        let standing =
            read("*filter\n:riposte2 - [0:0]\n-A INPUT -s 10.0.0.0/8 -j riposte\n-A FORWARD -j riposte\n-A FORWARD -j riposte\n");
        assert_eq!(standing, Standing { policy: None, calls: [(0, false), (2, true)], rules: Vec::new() });
        for odd in ["", "*filter", "*filter\n-A\n-A INPUT\n:\n-A riposte", "-A INPUT -j riposte"] {
            assert_eq!(read(odd), Standing::default(), "{odd}");
        }
    }

    /// Every writing is refused in these words; how often somebody tried.
    struct Refuses(&'static str, usize);

    impl Tool for Refuses {
        fn run(&mut self, program: &str, _: &[&str], _: &str) -> Result<String, ToolError> {
            if program.ends_with("save") {
                return Ok("*filter\n:riposte - [0:0]\n-A INPUT -j riposte\n-A FORWARD -j riposte\n".to_owned());
            }
            self.1 += 1;
            Err(ToolError::Refused { program: program.to_owned(), code: 4, said: self.0.to_owned() })
        }
    }

    #[test]
    fn who_refuses_everything_is_not_asked_for_each() {
        let rule = |prefix: &Prefix| format!("-s {prefix} -j DROP");
        let rules = Rules { chain: Chain::iptables("riposte", Backend::System, false), size: 5_000, rule, blocked: |_| None };
        let add = |n: u32| {
            let scope = Scope::Source(Prefix::host(std::net::Ipv4Addr::from(n).into()));
            Change::Add { id: model::block::BlockId(0), scope, expiry: Expiry::Never }
        };
        let batch: Vec<Change> = (0..1_000).map(add).collect();
        let lock = "Another app is currently holding the xtables lock. Stopped waiting after 5s.";
        for (words, fault, most) in [("No chain/target/match by that name.", Fault::Refused, 2 * REFUSALS), (lock, Fault::Unreachable, 1)] {
            let mut tool = Refuses(words, 0);
            assert_eq!(rules.apply(&mut tool, &batch), vec![Outcome::Failed(fault); batch.len()]);
            assert!(tool.1 <= most, "{}", tool.1);
        }
    }

    #[test]
    fn only_what_differs_is_written() {
        let chain = Chain::iptables("riposte", Backend::System, true);
        let sound = Standing { policy: Some("-".to_owned()), calls: [(1, true); 2], rules: Vec::new() };
        chain.write(&mut Transcript::default(), &sound, "").unwrap();
        let mut tool = Transcript::new(
            "$ ip6tables-restore -w 5 --noflush\n< *filter\n< :riposte - [0:0]\n< -D INPUT -j riposte\n< -D INPUT -j riposte\n< -I INPUT 1 -j riposte\n\
             < -I FORWARD 1 -j riposte\n< -A riposte x\n< COMMIT\n",
        );
        chain.write(&mut tool, &Standing { calls: [(2, true), (0, false)], ..Standing::default() }, "-A riposte x\n").unwrap();
        assert!(tool.expected.is_empty());
    }
}
