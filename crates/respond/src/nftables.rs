//! Blocks with nftables: elements with a time-out of their own in the sets of the table `inet riposte`, all by netlink.
//! Never touches another table, and never leaves packets unfiltered while it changes its own: each change is one transaction.

mod book;
mod ears;
mod hosts;
mod listed;
mod nets;
mod repair;
mod sever;

use crate::ranges::{Family, Nets, Range, cover, joined};
use crate::skeleton::{
    BLOCK_SETS, EXEMPT, Found, HELD, HELD_FULL, LISTED_SETS, LOGGED, OPEN_TCP, OPEN_UDP, OVER_ALL, OVER_SOURCE, Skeleton, TABLE, TRAPPED,
    find,
};
use crate::{Kind, Needs, Responder};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use sys::nft::alarm::{Alarm, Intrusion};
use sys::nft::transaction::ElementStep;
use sys::nft::{Count, Element, Key, NftError, OwnTable};

use book::Book;
use ears::Ears;
use listed::Listed;
use repair::Blocks;
pub use repair::Rebuilt;
pub use sever::Severed;
use sever::Severing;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "nftables",
    summary: "Blocks in the kernel with an own nftables table, for this host and for what it forwards; blocks end by the kernel's timer.",
    example: "[respond]\nkind = \"nftables\"\n",
    open: None,
    keys: &[],
    needs: Needs::NOTHING,
};

/// The longest time-out that is sent: a century. What is longer runs out then.
const LONGEST_MILLIS: u128 = 100 * 365 * 86_400_000;

/// Blocks of one set that are listed: 0.4 s on a small machine. A million would take most of a minute.
pub const LISTED_MAX: usize = 100_000;

/// Why the table could not be set up, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No right to change the firewall.
    #[error("may not change the firewall: run riposte as root (`sudo riposte run`) or with CAP_NET_ADMIN")]
    NoPrivilege,
    /// No nf_tables in this kernel.
    #[error(
        "this kernel has no nf_tables: `modprobe nf_tables`, or a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET (Linux 5.2 or newer)"
    )]
    NoNftables,
    /// A part of nf_tables is missing.
    #[error("the kernel refuses {what} of the table `inet riposte` ({detail}): load the module or use a kernel that has it")]
    Missing {
        /// Which step.
        what: String,
        /// The kernel's words.
        detail: String,
    },
    /// Anything else.
    #[error("the table `inet riposte` could not be set up: {0}")]
    Failed(NftError),
}

/// What the table's counters say since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Packets of blocked sources that were dropped.
    pub dropped: Count,
    /// What became of probes.
    pub probes: ProbeCounters,
    /// Packets of those whom lists name that were dropped.
    pub listed: Count,
    /// Packets that sprang a trap, and what came after them, that were dropped.
    pub trapped: Count,
    /// Packets of the held that were dropped.
    pub held: Count,
    /// Packets whose senders were not held for want of room.
    pub held_full: Count,
}

/// What became of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProbeCounters {
    /// Logged.
    pub logged: Count,
    /// Not logged: the source had used up its own ration.
    pub over_source: Count,
    /// Not logged: all sources together had used up the common ration.
    pub over_all: Count,
}

/// The responder.
#[derive(Debug)]
pub struct Nftables {
    table: OwnTable,
    skeleton: Skeleton,
    can_destroy: bool,
    /// What the exempt sets hold or should hold, by family; `None` until told.
    exempt: Option<[Vec<Range>; 2]>,
    /// Whether they do hold it.
    exempt_stands: bool,
    /// What the sets of open TCP and UDP ports hold; `None` until told.
    open_ports: Option<[BTreeSet<u16>; 2]>,
    /// What the interval sets hold, by family.
    nets: [Nets; 2],
    /// What the sets of those whom lists name hold, by family.
    listed: [Listed; 2],
    severing: Severing,
    /// What the hash sets hold.
    book: Book,
    /// Whether the book has all that they hold, and not only what was added since the start.
    known: bool,
    /// Tells when somebody else changes the table; `None` on a kernel that does not tell.
    alarm: Option<Alarm>,
    ears: Ears,
    /// The generation before our last rebuilding: what is older is repaired.
    repaired: Option<u32>,
    /// What somebody has done to the table since.
    intrusion: Option<Intrusion>,
    rebuilt: Option<Rebuilt>,
    /// A table of our name stood at the start that was not as this version makes it.
    replaced: bool,
    /// What the counters of tables that were deleted had counted, and what the table's had when last read.
    counted: [Counters; 2],
    /// The table was made just now, and only full batches came since: blocks are restored, and none of them is there yet.
    filling: bool,
}

impl Nftables {
    /// Sets the table up. One that stands keeps its blocks, counters, exemptions and open ports, if it is as this version makes it;
    /// any other table of the name `inet riposte` is replaced.
    pub fn open(skeleton: &Skeleton, now: Time) -> Result<Self, OpenError> {
        let table = OwnTable::open(TABLE).map_err(|error| match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => OpenError::NoNftables,
            _ => OpenError::Failed(NftError::Io(error)),
        })?;
        let mut responder = Nftables {
            table,
            skeleton: skeleton.clone(),
            can_destroy: false,
            exempt: None,
            exempt_stands: false,
            open_ports: None,
            nets: [Nets::default(), Nets::default()],
            listed: [Listed::default(), Listed::default()],
            severing: Severing::open(),
            book: Book::default(),
            known: false,
            alarm: None,
            ears: Ears::default(),
            repaired: None,
            intrusion: None,
            rebuilt: None,
            replaced: false,
            counted: [Counters::default(); 2],
            filling: false,
        };
        let found = find(&mut responder.table).map_err(|error| explain(error, &[]))?;
        responder.replaced = found == Found::Other;
        // Before the table is laid, so that nothing that happens to it goes unheard.
        responder.listen();
        responder.lay(found, &[]).map_err(|(error, labels)| explain(error, &labels))?;
        responder.can_destroy = responder.table.can_destroy(BLOCK_SETS[0].name).map_err(OpenError::Failed)?;
        responder.adopt_nets(now).map_err(OpenError::Failed)?;
        Ok(responder)
    }

    /// What the table is like.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// Goes by another skeleton from now on, in one transaction. Blocks, exemptions and open ports stay.
    ///
    /// # Errors
    /// If the kernel refuses; the table is then as it was.
    pub fn reshape(&mut self, skeleton: Skeleton) -> Result<(), NftError> {
        if skeleton == self.skeleton {
            return Ok(());
        }
        let found = find(&mut self.table)?;
        let old = std::mem::replace(&mut self.skeleton, skeleton);
        self.lay(found, &[]).map_err(|(error, _)| {
            self.skeleton = old;
            error
        })
    }

    /// Works as on a kernel before 6.3, where a refusal has to tell what stands already: slower, with the same outcomes.
    #[must_use]
    pub fn as_before_linux_6_3(mut self) -> Self {
        self.can_destroy = false;
        self
    }

    /// Whether a table `inet riposte` that is not as this version makes it was replaced at the start: another version's, or another program's.
    pub fn has_replaced_another(&self) -> bool {
        self.replaced
    }

    /// Works without hearing of others: what they do is noticed by the next change only, and no news are written for us.
    #[must_use]
    pub fn without_alarm(mut self) -> Self {
        self.open_ears();
        self.alarm = None;
        self
    }

    /// Says once whether the table has been made anew since the last call.
    pub fn take_rebuilt(&mut self) -> Option<Rebuilt> {
        self.rebuilt.take()
    }

    /// Replaces the exempt list: their packets pass even if a blocked set has them too.
    pub fn set_exempt(&mut self, list: &[Prefix], now: Time) -> Result<(), NftError> {
        let wanted = Family::ALL.map(|family| {
            let own: BTreeMap<_, _> =
                list.iter().filter(|prefix| Family::of(prefix.addr()) == family).map(|prefix| (*prefix, Expiry::Never)).collect();
            joined(&cover(&own))
        });
        if self.exempt_stands && self.exempt.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let mut transaction = self.table.transaction();
        for (set, (family, ranges)) in EXEMPT.into_iter().zip(Family::ALL.into_iter().zip(&wanted)) {
            transaction.flush_set(set);
            transaction.elements(ElementStep::Add, set, interval_elements(family, ranges, None));
        }
        // Kept even if it fails, so that a table made anew has them.
        self.exempt = Some(wanted);
        let result = match self.commit(transaction) {
            Err(error) if is_gone(&error) => self.rebuild(now),
            result => result,
        };
        self.exempt_stands = result.is_ok();
        result
    }

    /// Replaces the open ports: what goes there is no probe. Sends what differs.
    pub fn set_open_ports(&mut self, tcp: &[u16], udp: &[u16], now: Time) -> Result<(), NftError> {
        let wanted = [tcp, udp].map(|ports| ports.iter().copied().collect::<BTreeSet<u16>>());
        let Some(standing) = self.open_ports.take() else { return self.replace_open_ports(wanted, now) };
        let mut transaction = self.table.transaction();
        for (set, (old, new)) in [OPEN_TCP, OPEN_UDP].into_iter().zip(standing.iter().zip(&wanted)) {
            transaction.elements(ElementStep::Delete, set, old.difference(new).map(|port| port_element(*port)));
            transaction.elements(ElementStep::Add, set, new.difference(old).map(|port| port_element(*port)));
        }
        match self.commit(transaction) {
            Ok(()) => {
                self.open_ports = Some(wanted);
                Ok(())
            }
            Err(_) => self.replace_open_ports(wanted, now),
        }
    }

    fn replace_open_ports(&mut self, wanted: [BTreeSet<u16>; 2], now: Time) -> Result<(), NftError> {
        let mut transaction = self.table.transaction();
        for (set, ports) in [OPEN_TCP, OPEN_UDP].into_iter().zip(&wanted) {
            transaction.flush_set(set);
            transaction.elements(ElementStep::Add, set, ports.iter().map(|port| port_element(*port)));
        }
        self.open_ports = Some(wanted);
        match self.commit(transaction) {
            Err(error) if is_gone(&error) => self.rebuild(now),
            result => result.inspect_err(|_| self.open_ports = None),
        }
    }

    /// What was counted since the start and in the table before, those of tables that somebody deleted included as far as they were read.
    pub fn counters(&mut self) -> Result<Counters, NftError> {
        let read = self.read_counters()?;
        self.counted[1] = read;
        Ok(self.counted[0].plus(&read))
    }

    fn read_counters(&mut self) -> Result<Counters, NftError> {
        let mut counters = Counters::default();
        for (name, count) in self.table.counters()? {
            let sum = match name.as_str() {
                LOGGED => &mut counters.probes.logged,
                OVER_SOURCE => &mut counters.probes.over_source,
                OVER_ALL => &mut counters.probes.over_all,
                TRAPPED => &mut counters.trapped,
                HELD => &mut counters.held,
                HELD_FULL => &mut counters.held_full,
                name if BLOCK_SETS.iter().any(|set| set.name == name) => &mut counters.dropped,
                name if LISTED_SETS.iter().any(|set| set.name == name) => &mut counters.listed,
                _ => continue,
            };
            *sum = plus(*sum, count);
        }
        Ok(counters)
    }

    /// Deletes the table with all its blocks. It is no error if it is gone already.
    pub fn remove(mut self) -> Result<(), NftError> {
        let mut transaction = self.table.transaction();
        transaction.delete_table();
        match self.commit(transaction) {
            Err(error) if is_gone(&error) => Ok(()),
            result => result,
        }
    }

    /// Sets the table up or brings it up to date, with exemptions and open ports as far as they are known, in one transaction.
    /// A table that is made anew also has these blocks.
    /// An error comes with what each step was about.
    fn lay(&mut self, found: Found, blocks: &[Blocks]) -> Result<(), (NftError, Vec<String>)> {
        let mut transaction = self.table.transaction();
        let mut labels = self.skeleton.lay(found, &mut transaction);
        let anew = !matches!(found, Found::Ours { .. });
        if anew {
            for (set, (family, ranges)) in EXEMPT.into_iter().zip(Family::ALL.into_iter().zip(self.exempt.iter().flatten())) {
                transaction.elements(ElementStep::Add, set, interval_elements(family, ranges, None));
            }
            for (set, ports) in [OPEN_TCP, OPEN_UDP].into_iter().zip(self.open_ports.iter().flatten()) {
                transaction.elements(ElementStep::Add, set, ports.iter().map(|port| port_element(*port)));
            }
            for (set, elements) in blocks {
                transaction.elements(ElementStep::Add, set, elements.iter().copied());
            }
            labels.resize(transaction.steps(), "elements".to_owned());
        }
        self.commit(transaction).map_err(|error| (error, labels))?;
        self.filling = anew && blocks.is_empty() && self.book.len() == 0;
        self.exempt_stands |= anew && self.exempt.is_some();
        Ok(())
    }
}

impl Counters {
    fn plus(&self, other: &Counters) -> Counters {
        let (a, b) = (&self.probes, &other.probes);
        let probes = ProbeCounters {
            logged: plus(a.logged, b.logged),
            over_source: plus(a.over_source, b.over_source),
            over_all: plus(a.over_all, b.over_all),
        };
        Counters {
            dropped: plus(self.dropped, other.dropped),
            probes,
            listed: plus(self.listed, other.listed),
            trapped: plus(self.trapped, other.trapped),
            held: plus(self.held, other.held),
            held_full: plus(self.held_full, other.held_full),
        }
    }
}

fn plus(a: Count, b: Count) -> Count {
    Count { packets: a.packets.saturating_add(b.packets), bytes: a.bytes.saturating_add(b.bytes) }
}

impl Responder for Nftables {
    fn supports(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Source(_) => true,
        }
    }

    fn expires_itself(&self) -> bool {
        true
    }

    /// Up to `limits::BATCH_CHANGES` changes are one transaction (prefixes one more for each family).
    /// An expiry that has passed already becomes the shortest time-out, a millisecond: so it also ends a block that stands.
    fn apply(&mut self, batch: &[Change], now: Time) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for part in batch.chunks(limits::BATCH_CHANGES) {
            let mut settled = self.apply_hosts(part, now);
            self.apply_nets(part, now, &mut settled);
            outcomes.extend(settled.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Failed(Fault::Refused))));
        }
        debug_assert_eq!(outcomes.len(), batch.len());
        outcomes
    }

    /// The kernel lists a hash set in quadratic time, so a set with more than `LISTED_MAX` blocks is not listed: `Fault::TooMany`.
    /// To make sure of so many, add them all again: that takes microseconds each, and what stands just gets its expiry anew.
    fn list(&mut self, now: Time) -> Result<Vec<Installed>, Fault> {
        // Whoever asks adds what he misses: from now on the book has all.
        self.known = true;
        let mut installed = Vec::new();
        for set in BLOCK_SETS {
            let elements = self.table.elements(set.name, LISTED_MAX).map_err(|error| fault(&error))?;
            match set.bits {
                Some(bits) => installed.extend(elements.iter().filter_map(|element| {
                    let scope = Scope::Source(Prefix::new(element.key.address()?, bits));
                    Some(Installed { scope, expiry: expiry(element.timeout_millis, now) })
                })),
                None => {
                    let ranges = nets::ranges_of(elements, now);
                    installed.extend(ranges.iter().flat_map(|range| {
                        let prefixes = crate::ranges::prefixes(set.family, range);
                        prefixes.into_iter().map(|prefix| Installed { scope: Scope::Source(prefix), expiry: range.expiry })
                    }));
                    // What we believed may be wrong, as when the clock was set or a change was refused: from here on the truth counts,
                    // and who asked puts right what differs.
                    if let Some(nets) = self.nets.get_mut(set.family as usize) {
                        nets.adopt(set.family, ranges);
                    }
                }
            }
        }
        self.enter(&installed, now);
        Ok(installed)
    }
}

fn is_gone(error: &NftError) -> bool {
    error.errno() == Some(libc::ENOENT)
}

/// What went wrong while the table was set up, in words that say what to do. `labels` has what each step was about.
fn explain(error: NftError, labels: &[String]) -> OpenError {
    let NftError::Refused(refusals) = &error else { return OpenError::Failed(error) };
    let Some(first) = refusals.first() else { return OpenError::Failed(error) };
    match (first.errno, first.step.and_then(|step| labels.get(step))) {
        (libc::EPERM, _) => OpenError::NoPrivilege,
        // What nfnetlink says when nobody answers for nf_tables.
        (libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EINVAL, None) => OpenError::NoNftables,
        (_, Some(what)) => OpenError::Missing { what: what.clone(), detail: first.to_string() },
        (_, None) => OpenError::Failed(error),
    }
}

fn fault(error: &NftError) -> Fault {
    match error {
        // What the socket says when the kernel has no memory for the question or for its answer.
        NftError::Io(error) => match error.raw_os_error().map(fault_of) {
            Some(Fault::Memory) => Fault::Memory,
            Some(_) | None => Fault::Unreachable,
        },
        NftError::Refused(refusals) => refusals.first().map_or(Fault::Refused, |refusal| fault_of(refusal.errno)),
    }
}

fn fault_of(errno: i32) -> Fault {
    match errno {
        libc::ENOENT => Fault::Gone,
        libc::ENFILE | libc::ENOSPC => Fault::Full,
        libc::E2BIG => Fault::TooMany,
        libc::ENOMEM | libc::ENOBUFS => Fault::Memory,
        _ => Fault::Refused,
    }
}

/// A time-out for the kernel: at least a millisecond, `None` for never.
fn timeout_millis(expiry: Expiry, now: Time) -> Option<u64> {
    match expiry {
        // At most a century, which fits.
        Expiry::At(at) => Some(at.since(now).as_millis().clamp(1, LONGEST_MILLIS) as u64),
        Expiry::Never => None,
    }
}

fn expiry(timeout_millis: Option<u64>, now: Time) -> Expiry {
    timeout_millis.map_or(Expiry::Never, |millis| Expiry::At(now.after(Duration::from_millis(millis))))
}

fn port_element(port: u16) -> Element {
    Element { key: Key::from(port), ends_interval: false, timeout_millis: None }
}

/// The elements of an interval set: each range's first address, and the one behind its last. `now` makes time-outs.
fn interval_elements(family: Family, ranges: &[Range], now: Option<Time>) -> impl Iterator<Item = Element> {
    ranges.iter().flat_map(move |range| {
        let timeout_millis = now.and_then(|now| timeout_millis(range.expiry, now));
        let start = Element { key: Key::from(family.address(range.first)), ends_interval: false, timeout_millis };
        let behind = (range.last < family.highest()).then(|| Key::from(family.address(range.last + 1)));
        [Some(start), behind.map(|key| Element { key, ends_interval: true, timeout_millis: None })].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_never_zero_and_never_past_a_century() {
        let now = Time::from_secs(1_000);
        assert_eq!(timeout_millis(Expiry::At(Time::from_secs(1_600)), now), Some(600_000));
        assert_eq!(timeout_millis(Expiry::At(Time::from_secs(999)), now), Some(1));
        assert_eq!(timeout_millis(Expiry::At(Time::from_nanos(u64::MAX)), now), Some(LONGEST_MILLIS as u64));
        assert_eq!(timeout_millis(Expiry::Never, now), None);
    }

    #[test]
    fn the_highest_range_has_no_end_element() {
        let range = Range { first: 0xe000_0000, last: 0xffff_ffff, expiry: Expiry::Never };
        let elements: Vec<_> = interval_elements(Family::V4, &[range], None).collect();
        assert_eq!(elements.len(), 1);
        let range = Range { last: 0xefff_ffff, ..range };
        let elements: Vec<_> = interval_elements(Family::V4, &[range], None).collect();
        assert_eq!(format!("{:?} {:?}", elements[0].key, elements[1].key), "224.0.0.0 240.0.0.0");
        assert!(elements[1].ends_interval);
    }

    #[test]
    fn what_the_kernel_refuses_is_told_with_what_to_do() {
        let refused = |step, errno| NftError::Refused(vec![sys::nft::Refusal { step, errno, message: String::new() }]);
        let labels = ["a table".to_owned(), "logging (module nft_log)".to_owned()];
        let text = |step, errno| explain(refused(step, errno), &labels).to_string();
        assert!(text(None, libc::EPERM).contains("sudo riposte run"));
        assert!(text(Some(0), libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(text(None, libc::EOPNOTSUPP).contains("CONFIG_NF_TABLES"));
        assert!(text(Some(1), libc::ENOENT).contains("logging (module nft_log)"));
        assert!(text(None, libc::ENOMEM).contains("could not be set up"));
    }

    #[test]
    fn a_kernel_without_memory_is_told_from_one_that_refuses() {
        let refused = |errno| fault(&NftError::Refused(vec![sys::nft::Refusal { step: None, errno, message: String::new() }]));
        let failed = |errno| fault(&NftError::Io(std::io::Error::from_raw_os_error(errno)));
        for errno in [libc::ENOMEM, libc::ENOBUFS] {
            assert_eq!([refused(errno), failed(errno)], [Fault::Memory; 2]);
        }
        assert_eq!([libc::ENOSPC, libc::ENFILE].map(refused), [Fault::Full; 2]);
        assert_eq!([refused(libc::EINVAL), failed(libc::EAGAIN)], [Fault::Refused, Fault::Unreachable]);
    }

    #[test]
    fn an_interval_sets_elements_become_ranges_again() {
        let now = Time::from_secs(1_000);
        let at = |secs| Expiry::At(Time::from_secs(secs));
        let ranges = [
            Range { first: 0, last: 9, expiry: at(1_005) },
            Range { first: 10, last: 19, expiry: at(1_009) },
            Range { first: 50, last: u128::from(u32::MAX), expiry: Expiry::Never },
        ];
        let mut elements: Vec<_> = interval_elements(Family::V4, &ranges, Some(now)).collect();
        elements.reverse();
        assert_eq!(nets::ranges_of(elements.clone(), now), ranges);
        // An end without a start says nothing.
        elements.retain(|element| element.ends_interval);
        assert_eq!(nets::ranges_of(elements, now), []);
    }
}
