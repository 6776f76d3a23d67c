//! The warden's firewall: the kernel's nftables, nobody (`respond.kind = "null"`), or others than the warden.

use crate::config::Config;
use crate::lives::{monotonic, moved};
use link::message::Counter;
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::ports::Ports;
use model::time::Time;
use respond::Responder;
use respond::nftables::{Nftables, Rebuilt};
use respond::null::Null;
use respond::skeleton::{Guarded, Skeleton};
use std::os::fd::BorrowedFd;

/// Who carries out changes. The kernel's timers know nothing of the wall clock, and what is remembered of the blocks must not, either: their ends
/// are kept by the clock that never steps, so that no repair after a step brings back who is free, or forgets who is not.
#[derive(Debug)]
pub enum Firewall {
    /// The kernel.
    Kernel(Box<Nftables>),
    /// Nobody: what would be done is only said.
    Null(Null),
    /// The life `responder` alone: here nothing is done.
    Elsewhere,
}

impl Firewall {
    /// Sets it up.
    ///
    /// # Errors
    /// One line that says what to do.
    pub fn open(config: &Config, listeners: [Option<u16>; 2]) -> Result<Self, String> {
        match (config.respond.has_kernel(), config.respond.is_null()) {
            (_, true) => Ok(Firewall::Null(Null::new())),
            (false, false) => Ok(Firewall::Elsewhere),
            (true, false) => {
                let nftables = Nftables::open(&skeleton(config, listeners), monotonic()).map_err(|e| e.to_string())?;
                if nftables.has_replaced_another() {
                    tracing::warn!("a table 'inet riposte' that is not as this version makes it was replaced: the name is riposte's own");
                }
                if nftables.alarm_fd().is_none() {
                    tracing::warn!(
                        "the kernel does not tell of changes: what other tools do to riposte's table is noticed with the next block only"
                    );
                }
                Ok(Firewall::Kernel(Box::new(nftables)))
            }
        }
    }

    /// Goes by another configuration: which ports are guarded, and whether the kernel may drop anybody itself.
    ///
    /// # Errors
    /// The kernel's words; then the table is as it was.
    pub fn reshape(&mut self, config: &Config) -> Result<(), String> {
        match self {
            Firewall::Kernel(nftables) => {
                let wanted = skeleton(config, nftables.skeleton().guarded.listeners);
                nftables.reshape(wanted).map_err(|error| error.to_string())
            }
            Firewall::Null(_) | Firewall::Elsewhere => Ok(()),
        }
    }

    /// Carries out changes, whose ends are by the wall clock, as `now` is; one outcome each, in order.
    pub fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome> {
        match self {
            Firewall::Kernel(nftables) => {
                let steady = monotonic();
                let by_it = |change: &Change| match *change {
                    Change::Add { id, scope, expiry } => Change::Add { id, scope, expiry: moved(expiry, now, steady) },
                    Change::Remove { .. } => *change,
                };
                nftables.apply(&batch.iter().map(by_it).collect::<Vec<Change>>(), steady)
            }
            Firewall::Null(null) => {
                let outcomes = null.apply(batch, now);
                null.take_lines().iter().for_each(|line| tracing::info!("{line}"));
                outcomes
            }
            Firewall::Elsewhere => vec![Outcome::Unsupported; batch.len()],
        }
    }

    /// What is really there.
    ///
    /// # Errors
    /// If it can't be asked.
    pub fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault> {
        match self {
            Firewall::Kernel(nftables) => {
                let steady = monotonic();
                let mut items = nftables.list(steady)?;
                items.iter_mut().for_each(|item| item.expiry = moved(item.expiry, steady, now));
                Ok(items)
            }
            Firewall::Null(null) => null.list(now),
            Firewall::Elsewhere => Ok(Vec::new()),
        }
    }

    /// Cuts the established connections of these sources; returns how many.
    pub fn sever(&mut self, scopes: &[Scope]) -> usize {
        match self {
            Firewall::Kernel(nftables) => match nftables.sever(scopes) {
                Ok(severed) => severed.conntrack + severed.sockets,
                Err(error) => {
                    tracing::warn!(%error, "established connections of the blocked could not be cut");
                    0
                }
            },
            Firewall::Null(_) | Firewall::Elsewhere => 0,
        }
    }

    /// Says once that the table was made anew since the last call.
    pub fn take_rebuilt(&mut self) -> Option<Rebuilt> {
        match self {
            Firewall::Kernel(nftables) => nftables.take_rebuilt(),
            Firewall::Null(_) | Firewall::Elsewhere => None,
        }
    }

    /// Readable when somebody else may have changed the table.
    pub fn alarm_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Firewall::Kernel(nftables) => nftables.alarm_fd(),
            Firewall::Null(_) | Firewall::Elsewhere => None,
        }
    }

    /// Whether `hear` is to be called though nothing is readable.
    pub fn wants_to_hear(&self, calm: bool) -> bool {
        match self {
            Firewall::Kernel(nftables) => nftables.wants_to_hear(calm),
            Firewall::Null(_) | Firewall::Elsewhere => false,
        }
    }

    /// Whether somebody else has changed the table.
    pub fn hear(&mut self) -> bool {
        match self {
            Firewall::Kernel(nftables) => nftables.hear(),
            Firewall::Null(_) | Firewall::Elsewhere => false,
        }
    }

    /// Makes the table anew with all that should be in it.
    ///
    /// # Errors
    /// The kernel's words.
    pub fn repair(&mut self) -> Result<(), String> {
        match self {
            Firewall::Kernel(nftables) => nftables.repair(monotonic()).map_err(|error| error.to_string()),
            Firewall::Null(_) | Firewall::Elsewhere => Ok(()),
        }
    }

    /// The kernel's own exempt list.
    ///
    /// # Errors
    /// The kernel's words. It is to be tried again; a table that is made anew meanwhile has the new list.
    pub fn set_exempt(&mut self, list: &[Prefix]) -> Result<(), String> {
        match self {
            Firewall::Kernel(nftables) => nftables.set_exempt(list, monotonic()).map_err(|error| error.to_string()),
            Firewall::Null(_) | Firewall::Elsewhere => Ok(()),
        }
    }

    /// The ports with listeners.
    ///
    /// # Errors
    /// The kernel's words. It is to be tried again.
    pub fn set_open_ports(&mut self, tcp: &[u16], udp: &[u16]) -> Result<(), String> {
        match self {
            Firewall::Kernel(nftables) => nftables.set_open_ports(tcp, udp, monotonic()).map_err(|error| error.to_string()),
            Firewall::Null(_) | Firewall::Elsewhere => Ok(()),
        }
    }

    /// Whom others' lists block, with ends by the clock that never steps.
    ///
    /// # Errors
    /// The kernel's words. It is to be tried again.
    pub fn set_listed(&mut self, list: &[(Prefix, Expiry)]) -> Result<(), String> {
        match self {
            Firewall::Kernel(nftables) => nftables.set_listed(list, monotonic()).map_err(|error| error.to_string()),
            Firewall::Null(_) | Firewall::Elsewhere => Ok(()),
        }
    }

    /// For `status`.
    pub fn counters(&mut self) -> Vec<Counter> {
        let counter = |name: &str, value| Counter { name: name.to_owned(), value };
        match self {
            Firewall::Kernel(nftables) => match nftables.counters() {
                Ok(counts) => vec![
                    counter("packets dropped from the blocked", counts.dropped.packets),
                    counter("bytes dropped from the blocked", counts.dropped.bytes),
                    counter("packets dropped from the listed", counts.listed.packets),
                    counter("probes handed over", counts.probes.logged.packets),
                    counter("probes over the source's ration", counts.probes.over_source.packets),
                    counter("probes over the common ration", counts.probes.over_all.packets),
                    counter("packets dropped by traps", counts.trapped.packets),
                    counter("packets dropped on hold", counts.held.packets),
                    counter("packets whose senders were not held, too many at once", counts.held_full.packets),
                ],
                Err(_) => vec![counter("kernel counters unreadable", 1)],
            },
            Firewall::Null(null) => vec![counter("lines dropped", null.lines_dropped())],
            Firewall::Elsewhere => Vec::new(),
        }
    }
}

/// What the table is to be like.
fn skeleton(config: &Config, listeners: [Option<u16>; 2]) -> Skeleton {
    let (nflog, guard, spoofable) = (&config.nflog, &config.guard, &config.policy.spoofable);
    let [block_tcp, block_udp] = config.policy.touch_blocks;
    // One packet is forgeable evidence: what such evidence may not do, the kernel does not do for it.
    let may_forged = spoofable.may_block && !config.policy.dry_run;
    // Who may come several times before he is charged must get there.
    let holds = config.scan.touch.trigger <= 1 && !config.policy.dry_run;
    let forged = holds && may_forged;
    let ports = |parts: &[(bool, &Ports)]| -> Ports {
        parts.iter().filter(|(may, _)| *may).flat_map(|(_, ports)| ports.ranges()).cloned().collect()
    };
    Skeleton {
        nflog_group: nflog.enabled.then_some(nflog.group),
        captured: config.capture.enabled,
        probe_rate: nflog.rate,
        probe_burst: nflog.burst,
        per_source_rate: nflog.per_source_rate,
        per_source_burst: nflog.per_source_burst,
        guarded: Guarded {
            tcp: guard.answered(),
            listeners,
            traps: [ports(&[(block_tcp, &guard.trap_tcp)]), ports(&[(block_udp, &guard.trap_udp)])],
            traps_per_minute: if may_forged { spoofable.blocks_per_minute } else { 0 },
            // Where riposte answers, whoever comes can prove himself.
            holds: [
                ports(&[(block_tcp && if guard.stealth { forged } else { holds }, &guard.tcp), (block_tcp && forged, &guard.trap_tcp)]),
                ports(&[(block_udp && forged, &guard.udp), (block_udp && forged, &guard.trap_udp)]),
            ],
        },
    }
}
