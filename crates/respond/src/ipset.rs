//! iptables with ipset: one rule asks a hash of any size, and the kernel ends each block by itself. Never touches another set, rule or chain.

use crate::chain::{self, Backend, Chain, has_ipv6};
use crate::ranges::Family;
use crate::tool::{Tool, ToolError};
use crate::{Kind, Needs, Responder};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "ipset",
    summary: "Blocks with own sets of ipset, which one rule of iptables and ip6tables asks first in INPUT and FORWARD; blocks end by the kernel's timer.",
    example: "[respond]\nkind = \"ipset\"\n",
    open: Some(open),
    keys: chain::keys!(ipset, SIZE_MAX),
    needs: Needs {
        programs: &["ipset", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"],
        capabilities: chain::CAPABILITIES,
        writes: |_| vec![chain::LOCK.into()],
    },
};

/// The chain that asks the sets.
const CHAIN: &str = "riposte-ipset";
/// Stands only while a set is made anew in another size.
const SPARE: &str = "riposte-spare";
/// The longest time-out of the kernel's in seconds, nearly 25 days. A longer block is given it again and again.
const LONGEST: u64 = 2_147_483;
/// The largest set: a listing of it still fits what is read of a program.
pub const SIZE_MAX: usize = 500_000;

/// A set of ours.
struct Set {
    name: &'static str,
    family: Family,
    is_hosts: bool,
}

const SETS: [Set; 4] = [
    Set { name: "riposte4", family: Family::V4, is_hosts: true },
    Set { name: "riposte4-nets", family: Family::V4, is_hosts: false },
    Set { name: "riposte6", family: Family::V6, is_hosts: true },
    Set { name: "riposte6-nets", family: Family::V6, is_hosts: false },
];

impl Set {
    fn of(prefix: &Prefix) -> &'static str {
        let is_it = |set: &&Set| set.family == Family::of(prefix.addr()) && set.is_hosts == prefix.is_host();
        SETS.iter().find(is_it).map_or("", |set| set.name)
    }

    /// What it is, without its name and size.
    fn shape(&self) -> String {
        let (kind, family) = (if self.is_hosts { "ip" } else { "net" }, if self.family == Family::V4 { "inet" } else { "inet6" });
        format!("hash:{kind} family {family}")
    }

    /// How many it may have of so many addresses.
    fn capped(&self, size: usize) -> usize {
        if self.is_hosts { size } else { size.min(limits::NETS) }
    }

    fn create(&self, name: &str, size: usize) -> String {
        format!("create {name} {} maxelem {size} timeout 0\n", self.shape())
    }

    fn rule(&self) -> String {
        format!("-m set --match-set {} src -j DROP", self.name)
    }
}

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which iptables.
    pub backend: Backend,
    /// Addresses of each family that may be blocked at one time, 1 to `SIZE_MAX`; above, new ones are `Full`. Prefixes: as many, 4,096 at most.
    /// If more stand at the start, all of them stay.
    pub size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { backend: Backend::System, size: 100_000 }
    }
}

/// Blocks as elements of sets.
struct Ipset {
    tool: Box<dyn Tool>,
    chains: Vec<(Family, Chain)>,
    /// The sets with their sizes: as chosen, or as many as stand in it.
    sets: Vec<(&'static Set, usize)>,
    /// What somebody should know of them.
    words: Option<String>,
    /// Whether sets, chains and rules stood when they were last looked at.
    is_laid: bool,
    /// Blocks that last longer than the kernel can tell: their end, and when the kernel would end them.
    lasting: BTreeMap<Prefix, [Time; 2]>,
}

fn open(settings: &crate::Settings, tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    let Settings { backend, size } = settings.ipset;
    let families = Family::ALL.into_iter().filter(|family| *family == Family::V4 || has_ipv6());
    let chains: Vec<(Family, Chain)> = families.map(|family| (family, Chain::iptables(CHAIN, backend, family == Family::V6))).collect();
    let mut ipset = Ipset { tool, chains, sets: Vec::new(), words: None, is_laid: false, lasting: BTreeMap::new() };
    let sets = SETS.iter().filter(|set| ipset.has(set.family)).map(|set| (set, set.capped(size)));
    ipset.sets = sets.collect();
    match ipset.lay() {
        Ok(()) => {}
        Err(ToolError::Refused { .. }) => {
            for place in 0..ipset.sets.len() {
                ipset.resize(place)?;
            }
            ipset.lay().map_err(|error| error.to_string())?;
        }
        // Each run more would take its whole time.
        Err(error) => return Err(error.to_string()),
    }
    Ok(Box::new(ipset))
}

impl Ipset {
    fn has(&self, family: Family) -> bool {
        self.chains.iter().any(|(has, _)| *has == family)
    }

    fn restore(&mut self, text: &str) -> Result<String, ToolError> {
        self.tool.run("ipset", &["restore", "-exist"], text)
    }

    /// Makes a set that stands in another size anew, with what is in it: all of it, if it is more than was chosen.
    fn resize(&mut self, place: usize) -> Result<(), String> {
        let Some((set, size)) = self.sets.get_mut(place) else { return Ok(()) };
        let (set, chosen) = (*set, *size);
        if self.restore(&set.create(set.name, chosen)).is_ok() {
            return Ok(());
        }
        let saved = self.save(set.name).map_err(|error| error.to_string())?;
        let header = saved.lines().next().unwrap_or_default();
        if !header.starts_with(&format!("create {} {} ", set.name, set.shape())) || !header.contains(" timeout ") {
            return Err(format!("a set named {} stands that is none of riposte's ({header}): rename it ('ipset rename')", set.name));
        }
        let standing: Vec<(Prefix, u64)> = saved.lines().filter_map(|line| element(set, line)).collect();
        let size = chosen.max(standing.len());
        if size > chosen {
            let many = standing.len();
            let said = format!(
                "{many} blocks stand in {}, more than [respond.ipset] size allows ({chosen}): all stay, and new ones are refused as \"full\" while so many stand; \
                 the next start takes another look",
                set.name
            );
            self.words = self.words.take().into_iter().chain([said]).reduce(|before, said| format!("{before}; {said}"));
        }
        // Left by a run that died here; nearly always there is none, and this is refused.
        let _ = self.tool.run("ipset", &["destroy", SPARE], "");
        let mut text = set.create(SPARE, size);
        for (prefix, timeout) in standing {
            let _ = writeln!(text, "add {SPARE} {prefix} timeout {timeout}");
        }
        let _ = write!(text, "swap {SPARE} {}\ndestroy {SPARE}\n", set.name);
        if let Err(error) = self.restore(&text) {
            let _ = self.tool.run("ipset", &["destroy", SPARE], "");
            return Err(error.to_string());
        }
        if let Some((_, kept)) = self.sets.get_mut(place) {
            *kept = size;
        }
        Ok(())
    }

    /// Makes sets, chains and rules as far as they are missing.
    fn lay(&mut self) -> Result<(), ToolError> {
        let creation: String = self.sets.iter().map(|(set, size)| set.create(set.name, *size)).collect();
        self.restore(&creation)?;
        for (family, chain) in &self.chains {
            let standing = chain.read(&mut *self.tool)?;
            let rules: Vec<String> = self.sets.iter().filter(|(set, _)| set.family == *family).map(|(set, _)| set.rule()).collect();
            let mut edits = String::new();
            if standing.rules != rules {
                let _ = writeln!(edits, "-F {CHAIN}");
                rules.iter().for_each(|rule| edits.push_str(&format!("-A {CHAIN} {rule}\n")));
            }
            chain.write(&mut *self.tool, &standing, &edits)?;
        }
        self.is_laid = true;
        Ok(())
    }

    fn save(&mut self, set: &str) -> Result<String, ToolError> {
        self.tool.run("ipset", &["save", set], "")
    }

    /// Gives those that last longer than the kernel can tell a new time-out, in the second half of their last.
    fn renew(&mut self, now: Time) {
        let half = now.after(Duration::from_secs(LONGEST / 2));
        let due: Vec<(Prefix, Time)> =
            self.lasting.iter().filter(|(_, [_, timer])| *timer < half).map(|(prefix, [end, _])| (*prefix, *end)).collect();
        if due.is_empty() {
            return;
        }
        let lines: Vec<String> = due.iter().map(|(prefix, end)| self.line_for_add(prefix, Expiry::At(*end), now)).collect();
        // What is refused is found missing by the next list.
        let _ = self.run_lines(&lines);
    }

    /// The line that adds a block, with the longest time-out that the kernel has if need be.
    fn line_for_add(&mut self, prefix: &Prefix, expiry: Expiry, now: Time) -> String {
        self.lasting.remove(prefix);
        let timeout = match expiry {
            // 0 is for ever; what is over ends within a second.
            Expiry::At(end) => end.since(now).as_millis().div_ceil(1_000).clamp(1, u128::from(LONGEST)) as u64,
            Expiry::Never => 0,
        };
        if let Expiry::At(end) = expiry
            && timeout == LONGEST
        {
            self.lasting.insert(*prefix, [end, now.after(Duration::from_secs(LONGEST))]);
        }
        format!("add {} {prefix} timeout {timeout}\n", Set::of(prefix))
    }

    /// Runs lines in their order; what became of each. A refused line stops a run: those before it are done, and the next run begins behind it.
    fn run_lines(&mut self, lines: &[String]) -> Vec<Result<(), Fault>> {
        let mut done = Vec::with_capacity(lines.len());
        let mut may_lay = true;
        while let Some(rest) = lines.get(done.len()..).filter(|rest| !rest.is_empty()) {
            let refused = match self.restore(&rest.concat()) {
                Ok(_) => break,
                Err(error) => error,
            };
            let (fault, line) = (fault(&refused), failed_line(&refused).filter(|line| (1..=rest.len()).contains(line)));
            let before = line.unwrap_or(1) - 1;
            done.extend(std::iter::repeat_n(Ok(()), before));
            if fault == Fault::Gone && std::mem::take(&mut may_lay) && self.lay().is_ok() {
                continue;
            }
            match line {
                Some(_) => done.push(Err(fault)),
                None => done.resize(lines.len(), Err(fault)),
            }
        }
        done.resize(lines.len(), Ok(()));
        done
    }
}

/// The line of its input that ipset refused, from 1.
fn failed_line(error: &ToolError) -> Option<usize> {
    let ToolError::Refused { said, .. } = error else { return None };
    let (_, behind) = said.split_once("in line ")?;
    behind.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn fault(error: &ToolError) -> Fault {
    match error {
        ToolError::Refused { said, .. } if said.contains("is full") => Fault::Full,
        ToolError::Refused { said, .. } if said.contains("does not exist") => Fault::Gone,
        ToolError::Refused { .. } | ToolError::Missing(_) | ToolError::NotStarted(..) | ToolError::TimedOut(_) => error.fault(),
    }
}

/// An element of a set as `ipset save` writes it: whom, and the seconds left, 0 for ever.
fn element(set: &Set, line: &str) -> Option<(Prefix, u64)> {
    let mut words = line.strip_prefix("add ")?.strip_prefix(set.name)?.split_ascii_whitespace();
    let prefix = words.next()?.parse().ok()?;
    let timeout = words.skip_while(|word| *word != "timeout").nth(1)?.parse().ok()?;
    Some((prefix, timeout))
}

impl Responder for Ipset {
    fn supports(&self, scope: &Scope) -> bool {
        let prefix = scope.prefix();
        // A set of prefixes holds none that is everybody.
        prefix.bits() > 0 && self.has(Family::of(prefix.addr()))
    }

    fn expires_itself(&self) -> bool {
        true
    }

    fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome> {
        if !self.is_laid
            && let Err(error) = self.lay()
        {
            return vec![Outcome::Failed(fault(&error)); batch.len()];
        }
        self.renew(now);
        let mut outcomes = vec![Outcome::Unsupported; batch.len()];
        let (mut places, mut lines) = (Vec::new(), Vec::with_capacity(batch.len()));
        for (place, change) in outcomes.iter_mut().zip(batch) {
            let prefix = change.scope().prefix();
            let (line, outcome) = match change {
                _ if !self.supports(&change.scope()) => continue,
                Change::Add { expiry, .. } => (self.line_for_add(&prefix, *expiry, now), Outcome::Added),
                Change::Remove { .. } => {
                    self.lasting.remove(&prefix);
                    (format!("del {} {prefix}\n", Set::of(&prefix)), Outcome::Removed)
                }
            };
            *place = outcome;
            lines.push(line);
            places.push((place, prefix));
        }
        for ((place, prefix), done) in places.into_iter().zip(self.run_lines(&lines)) {
            if let Err(fault) = done {
                self.lasting.remove(&prefix);
                *place = Outcome::Failed(fault);
            }
        }
        outcomes
    }

    fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault> {
        self.renew(now);
        let mut installed = Vec::new();
        for (family, sets) in [(Family::V4, &SETS[..2]), (Family::V6, &SETS[2..])] {
            let Some((_, chain)) = self.chains.iter().find(|(has, _)| *has == family) else { continue };
            let standing = chain.read(&mut *self.tool).map_err(|error| error.fault())?;
            if !standing.is_first() || sets.iter().any(|set| !standing.rules.contains(&set.rule())) {
                self.is_laid = false;
                continue;
            }
            for set in sets {
                let saved = self.save(set.name).map_err(|error| fault(&error))?;
                installed.extend(saved.lines().filter_map(|line| element(set, line)).map(|(prefix, left)| {
                    let expiry = match (self.lasting.get(&prefix), left) {
                        (Some([end, _]), _) => Expiry::At(*end),
                        (None, 0) => Expiry::Never,
                        (None, secs) => Expiry::At(now.after(Duration::from_secs(secs))),
                    };
                    Installed { scope: Scope::Source(prefix), expiry }
                }));
            }
        }
        Ok(installed)
    }

    fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_as_ipset_writes_them() {
        let refused = |said: &str| ToolError::Refused { program: "ipset".to_owned(), code: 1, said: said.to_owned() };
        let full = refused("ipset v7.17: Error in line 4: Hash is full, cannot add more elements");
        assert_eq!((failed_line(&full), fault(&full)), (Some(4), Fault::Full));
        let gone = refused("ipset v7.17: Error in line 1: The set with the given name does not exist");
        assert_eq!((failed_line(&gone), fault(&gone)), (Some(1), Fault::Gone));
        let other = refused("ipset v7.17: Kernel error received: Operation not permitted");
        assert_eq!((failed_line(&other), fault(&other)), (None, Fault::Refused));
        let wild = refused("in line 99999999999999999999999999");
        assert_eq!(failed_line(&wild), None);
        assert_eq!(fault(&ToolError::Missing("ipset".to_owned())), Fault::Unreachable);
    }

    #[test]
    fn elements_are_read_as_ipset_saves_them() {
        let [hosts, nets, hosts6, _] = &SETS;
        let host = |text: &str| text.parse::<Prefix>().unwrap();
        assert_eq!(element(hosts, "add riposte4 192.0.2.7 timeout 599"), Some((host("192.0.2.7"), 599)));
        assert_eq!(element(hosts, "add riposte4 192.0.2.7 timeout 0 packets 3 bytes 180"), Some((host("192.0.2.7"), 0)));
        assert_eq!(element(nets, "add riposte4-nets 10.0.0.0/8 timeout 9"), Some((host("10.0.0.0/8"), 9)));
        assert_eq!(element(hosts6, "add riposte6 2001:db8::7 timeout 9"), Some((host("2001:db8::7"), 9)));
        for line in [
            "add riposte4 192.0.2.7",
            "add riposte4-nets 10.0.0.0/8 timeout 9",
            "create riposte4 hash:ip",
            "add riposte4 x timeout 1",
            "add riposte4",
        ] {
            assert_eq!(element(hosts, line), None, "{line}");
        }
    }
}
