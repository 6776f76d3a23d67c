//! Routes that lead nowhere, by rtnetlink. Never replaces another's route, and never adds one that this host's own addresses or gateways lie behind.

use crate::chain::has_ipv6;
use crate::settings::{choice, in_range, word};
use crate::tool::Tool;
use crate::{Key, Kind, Needs, Responder, Value};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use sys::null_route::{Destination, NullRoute, NullRoutes};
use sys::route::Routes;
use sys::sandbox::Capability;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "routes",
    summary: "Cuts the way back with a blackhole, unreachable or prohibit route each; what comes in is dropped only where reverse-path filtering is on.",
    example: "[respond]\nkind = \"routes\"\n",
    open: Some(open),
    keys: &[
        Key {
            name: "answer",
            get: |settings| word(&ANSWERS, settings.routes.answer),
            set: |settings, value| choice(&ANSWERS, &value).map(|answer| settings.routes.answer = answer),
        },
        Key {
            name: "table",
            get: |settings| Value::Number(settings.routes.table.into()),
            set: |settings, value| match in_range(&value, 1..=u32::MAX)? {
                255 => Err("255 is the kernel's own table of this host's addresses".to_owned()),
                table => {
                    settings.routes.table = table;
                    Ok(())
                }
            },
        },
        Key {
            name: "size",
            get: |settings| Value::Number(settings.routes.size as i64),
            set: |settings, value| in_range(&value, 1..=SIZE_MAX).map(|size| settings.routes.size = size),
        },
    ],
    needs: Needs { programs: &[], capabilities: &[Capability::CAP_NET_ADMIN], writes: |_| Vec::new() },
};

/// The shortest prefixes that a route may have: a slip in front of a length must not cut off half the world.
const SHORTEST: [u8; 2] = [8, 16];
/// Where the kernel keeps each interface's settings.
const INTERFACES: &str = "/proc/sys/net/ipv4/conf";

/// What routes answer, in the words of `ip route`.
const ANSWERS: [(&str, NullRoute); 3] =
    [("blackhole", NullRoute::Blackhole), ("unreachable", NullRoute::Unreachable), ("prohibit", NullRoute::Prohibit)];
/// The most routes; the kernel has no bound of its own but its memory.
const SIZE_MAX: usize = 1_000_000;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the routes answer.
    pub answer: NullRoute,
    /// The routing table's number, 1 to 2^32 - 1; 254 is `main`.
    pub table: u32,
    /// Routes that may stand at one time; above, new ones are `Full`.
    pub size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { answer: NullRoute::Blackhole, table: 254, size: 100_000 }
    }
}

/// Blocks as routes.
struct NullRouting {
    kernel: NullRoutes,
    host: Routes,
    size: usize,
    standing: BTreeSet<Prefix>,
    gateways: Vec<IpAddr>,
}

fn open(settings: &crate::Settings, _tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    let Settings { answer, table, size } = settings.routes;
    let sockets = NullRoutes::open(answer, table).and_then(|kernel| Ok((kernel, Routes::open()?)));
    let (kernel, host) = sockets.map_err(|error| format!("no socket for routes: {error}"))?;
    let mut routing = NullRouting { kernel, host, size, standing: BTreeSet::new(), gateways: Vec::new() };
    routing.list(Time::EPOCH).map_err(|fault| format!("the routes of table {table} can't be listed: {}", fault.word()))?;
    Ok(Box::new(routing))
}

/// What a block by routes alone leaves open on this host, for whoever sets it up; `None` if packets of blocked sources are dropped when they come in.
pub fn warning() -> Option<String> {
    let interfaces = Path::new(INTERFACES);
    let filter = |name: &Path| fs::read_to_string(name.join("rp_filter")).ok().and_then(|text| text.trim().parse::<u8>().ok()).unwrap_or(0);
    // The stricter of what is set for all and for the interface counts.
    let mut open = Vec::new();
    if filter(&interfaces.join("all")) == 0 {
        let names = fs::read_dir(interfaces).into_iter().flatten().flatten().filter(|entry| filter(&entry.path()) == 0);
        open = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        open.retain(|name| !["all", "default", "lo"].contains(&name.as_str()));
        open.sort();
    }
    let v4 = (!open.is_empty()).then(|| {
        let names = open.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if open.len() > 8 { format!(" and {} more", open.len() - 8) } else { String::new() };
        format!("reverse-path filtering is off on {names}{more} ('sysctl net.ipv4.conf.all.rp_filter=1' turns it on)")
    });
    let v6 = has_ipv6().then(|| "IPv6 has no such setting".to_owned());
    let reasons: Vec<String> = v4.into_iter().chain(v6).collect();
    let reasons = (!reasons.is_empty()).then(|| reasons.join(", and "))?;
    Some(format!("routes only cut the way back: what a blocked source sends still comes in, because {reasons}"))
}

fn destination(prefix: &Prefix) -> Destination {
    (prefix.addr(), prefix.bits())
}

impl NullRouting {
    /// Adds these, or removes them; what became of each.
    fn change(&mut self, prefixes: &[Prefix], adds: bool) -> Vec<Outcome> {
        let destinations: Vec<Destination> = prefixes.iter().map(destination).collect();
        let results = if adds { self.kernel.add(&destinations) } else { self.kernel.remove(&destinations) };
        // Whatever this was, what stands is not known until the next list.
        let Ok(results) = results else { return vec![Outcome::Failed(Fault::Unreachable); prefixes.len()] };
        let settle = |(prefix, errno): (&Prefix, i32)| match errno {
            0 if adds => {
                self.standing.insert(*prefix);
                Outcome::Added
            }
            0 | libc::ESRCH if !adds => {
                self.standing.remove(prefix);
                Outcome::Removed
            }
            libc::ENOMEM | libc::ENOBUFS => Outcome::Failed(Fault::Memory),
            _ => Outcome::Failed(Fault::Refused),
        };
        prefixes.iter().zip(results).map(settle).collect()
    }
}

impl Responder for NullRouting {
    fn supports(&self, scope: &Scope) -> bool {
        let prefix = scope.prefix();
        let [v4, v6] = SHORTEST;
        prefix.bits() >= if prefix.addr().is_ipv4() { v4 } else { v6 }
    }

    fn expires_itself(&self) -> bool {
        false
    }

    fn apply(&mut self, batch: &[Change], _now: Time) -> Vec<Outcome> {
        let Ok(own) = self.host.addresses() else { return vec![Outcome::Failed(Fault::Unreachable); batch.len()] };
        let mut outcomes = Vec::with_capacity(batch.len());
        // Neighbours of one kind travel together.
        for part in batch.chunk_by(|a, b| matches!(a, Change::Add { .. }) == matches!(b, Change::Add { .. })) {
            let adds = matches!(part.first(), Some(Change::Add { .. }));
            let mut settled = Vec::with_capacity(part.len());
            let mut asked = Vec::new();
            let mut new = BTreeSet::new();
            for change in part {
                let prefix = change.scope().prefix();
                let is_new = adds && !self.standing.contains(&prefix) && !new.contains(&prefix);
                settled.push(if !self.supports(&change.scope()) {
                    Some(Outcome::Unsupported)
                } else if adds && own.iter().chain(&self.gateways).any(|addr| prefix.contains(*addr)) {
                    Some(Outcome::Failed(Fault::Refused))
                } else if is_new && self.standing.len() + new.len() >= self.size {
                    Some(Outcome::Failed(Fault::Full))
                } else {
                    new.extend(is_new.then_some(prefix));
                    asked.push(prefix);
                    None
                });
            }
            let mut answers = self.change(&asked, adds).into_iter();
            outcomes
                .extend(settled.into_iter().map(|outcome| outcome.or_else(|| answers.next()).unwrap_or(Outcome::Failed(Fault::Refused))));
        }
        outcomes
    }

    fn list(&mut self, _now: Time) -> Result<Vec<Installed>, Fault> {
        self.gateways = self.host.default_gateways().map_err(|_| Fault::Unreachable)?;
        let routes = self.kernel.list().map_err(|_| Fault::Unreachable)?;
        self.standing = routes.into_iter().map(|(addr, bits)| Prefix::new(addr, bits)).collect();
        Ok(self.standing.iter().map(|prefix| Installed { scope: Scope::Source(*prefix), expiry: Expiry::Never }).collect())
    }
}
