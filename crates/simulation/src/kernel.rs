//! A kernel that can be told to fail, with nftables' sets and time-outs; and the warden's way to it, as `respond::nftables` goes it.
//! Never touches the real one.

use crate::dice::Dice;
use crate::sets::Listed;
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use respond::ranges::{Difference, Family, Nets, Range, difference, number, prefixes};
use respond::skeleton::BLOCK_SETS;
use std::collections::BTreeMap;
use std::time::Duration;

/// What goes wrong, each as one time in so many; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A transaction is refused as a whole (EBUSY, ENOMEM, ENOSPC).
    pub refuse: u64,
    /// A transaction is done, but its answer is lost (ENOBUFS): the warden takes it for refused.
    pub unheard: u64,
    /// The set is full: elements that are not there yet are refused.
    pub full: bool,
    /// Lists are refused.
    pub blind: bool,
}

/// An interval of an interval set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The lowest address' number.
    pub first: u128,
    /// The highest address' number.
    pub last: u128,
    /// When it ends by the kernel's clock; `None` for never.
    pub deadline: Option<Time>,
}

/// The kernel's side. Outlives every process.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// Whether the table is there.
    pub table: bool,
    /// The hash sets, with deadlines by the kernel's clock.
    pub hosts: BTreeMap<Prefix, Option<Time>>,
    /// The interval sets, by family.
    pub nets: [Vec<Interval>; 2],
    /// The sets of those whom lists name, by family.
    pub listed: [Vec<Interval>; 2],
    /// The exempt sets: whoever is in there passes before the others are looked at.
    pub exempt: Vec<Prefix>,
    /// What goes wrong.
    pub faults: Faults,
}

/// When something is done, by which clocks, and by which dice it goes wrong.
pub struct Moment<'a> {
    /// By the wall clock.
    pub wall: Time,
    /// By the kernel's clock.
    pub now: Time,
    /// The dice.
    pub dice: &'a mut Dice,
}

/// How a transaction goes.
pub(crate) enum Luck {
    Fine,
    Refused,
    Unheard,
}

impl Kernel {
    /// Time passes: elements end by themselves.
    pub fn expire(&mut self, now: Time) {
        let stands = |deadline: Option<Time>| deadline.is_none_or(|deadline| deadline > now);
        self.hosts.retain(|_, deadline| stands(*deadline));
        self.nets.iter_mut().chain(&mut self.listed).for_each(|nets| nets.retain(|net| stands(net.deadline)));
    }

    /// Somebody flushes the ruleset, or the machine starts anew.
    pub fn flush(&mut self) {
        *self = Kernel { faults: self.faults, ..Kernel::default() };
    }

    /// Elements in all sets.
    pub fn len(&self) -> usize {
        self.hosts.len() + self.nets.iter().map(Vec::len).sum::<usize>()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn luck(&self, dice: &mut Dice) -> Luck {
        let Faults { refuse, unheard, .. } = self.faults;
        match () {
            () if refuse > 0 && dice.one_in(refuse) => Luck::Refused,
            () if unheard > 0 && dice.one_in(unheard) => Luck::Unheard,
            () => Luck::Fine,
        }
    }
}

/// The warden's side: what it believes of the interval sets, as in `respond::nftables`. Dies with the warden.
#[derive(Debug, Clone)]
pub struct Driver {
    nets: [Nets; 2],
    pub(crate) listed: [Listed; 2],
    pub(crate) exempt: Option<Vec<Prefix>>,
    pub(crate) exempt_stands: bool,
    /// The table was made anew, with or without the lists.
    pub(crate) rebuilt: Option<bool>,
}

/// Whether a prefix belongs into an interval set.
pub fn is_net(prefix: &Prefix) -> bool {
    let family = Family::of(prefix.addr());
    !BLOCK_SETS.iter().any(|set| set.family == family && set.bits == Some(prefix.bits()))
}

fn deadline(expiry: Expiry, wall: Time, now: Time) -> Option<Time> {
    match expiry {
        Expiry::At(at) => Some(now.after(at.since(wall).max(Duration::from_millis(1)))),
        Expiry::Never => None,
    }
}

fn expiry(deadline: Option<Time>, wall: Time, now: Time) -> Expiry {
    deadline.map_or(Expiry::Never, |deadline| Expiry::At(wall.after(deadline.since(now))))
}

impl Driver {
    /// A new warden: lays the table if it is gone and takes over what the interval sets hold.
    pub fn open(kernel: &mut Kernel, wall: Time, now: Time) -> Driver {
        kernel.table = true;
        let mut nets = [Nets::default(), Nets::default()];
        for (index, family) in Family::ALL.into_iter().enumerate() {
            let mut standing: Vec<Range> = kernel.nets[index].iter().map(|net| range(net, wall, now)).collect();
            standing.sort_by_key(|range| range.first);
            nets[index].adopt(family, standing);
        }
        Driver { nets, listed: Default::default(), exempt: None, exempt_stands: false, rebuilt: None }
    }

    /// Whether the table was made anew since the last call, and if so, whether with the lists.
    pub fn take_rebuilt(&mut self) -> Option<bool> {
        self.rebuilt.take()
    }

    /// Makes the table anew, if it is gone.
    pub fn rebuild(&mut self, kernel: &mut Kernel, at: &mut Moment<'_>) {
        if !kernel.table {
            kernel.table = true;
            self.nets.iter_mut().for_each(|nets| nets.installed(Vec::new()));
            self.lay_lists_again(kernel, at);
        }
    }

    /// Carries out a batch; one outcome each, in order.
    pub fn apply(&mut self, kernel: &mut Kernel, batch: &[Change], at: &mut Moment<'_>) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Failed(Fault::Refused); batch.len()];
        let hosts: Vec<usize> = (0..batch.len()).filter(|n| !is_net(&batch[*n].scope().prefix())).collect();
        if !hosts.is_empty() {
            self.apply_hosts(kernel, batch, &hosts, &mut outcomes, at);
        }
        for (index, family) in Family::ALL.into_iter().enumerate() {
            let mine = |change: &Change| is_net(&change.scope().prefix()) && Family::of(change.scope().prefix().addr()) == family;
            let mine: Vec<usize> = (0..batch.len()).filter(|n| mine(&batch[*n])).collect();
            if !mine.is_empty() {
                self.apply_nets((kernel, index), batch, &mine, &mut outcomes, at);
            }
        }
        outcomes
    }

    fn apply_hosts(&mut self, kernel: &mut Kernel, batch: &[Change], mine: &[usize], outcomes: &mut [Outcome], at: &mut Moment<'_>) {
        let luck = kernel.luck(at.dice);
        if let Luck::Refused = luck {
            // Without memory as often as for other reasons.
            if batch.len() % 2 == 1 {
                mine.iter().for_each(|n| outcomes[*n] = Outcome::Failed(Fault::Memory));
            }
            return;
        }
        if !kernel.table && mine.iter().any(|n| matches!(batch[*n], Change::Add { .. })) {
            self.rebuild(kernel, at);
        }
        for n in mine {
            outcomes[*n] = match batch[*n] {
                Change::Add { scope: Scope::Source(prefix), expiry, .. } => {
                    if kernel.faults.full && !kernel.hosts.contains_key(&prefix) {
                        Outcome::Failed(Fault::Full)
                    } else {
                        kernel.hosts.insert(prefix, deadline(expiry, at.wall, at.now));
                        Outcome::Added
                    }
                }
                Change::Remove { scope: Scope::Source(prefix), .. } => {
                    kernel.hosts.remove(&prefix);
                    Outcome::Removed
                }
            };
            if let Luck::Unheard = luck {
                outcomes[*n] = Outcome::Failed(Fault::Unreachable);
            }
        }
    }

    fn apply_nets(
        &mut self,
        (kernel, index): (&mut Kernel, usize),
        batch: &[Change],
        mine: &[usize],
        outcomes: &mut [Outcome],
        at: &mut Moment<'_>,
    ) {
        let nets = &mut self.nets[index];
        nets.expire(at.wall);
        let before = nets.clone();
        for n in mine {
            outcomes[*n] = match batch[*n] {
                Change::Add { scope, expiry, .. } if nets.want(scope.prefix(), expiry) => Outcome::Added,
                Change::Add { .. } => Outcome::Failed(Fault::Full),
                Change::Remove { scope, .. } => {
                    nets.unwant(&scope.prefix());
                    Outcome::Removed
                }
            };
        }
        if !self.install(kernel, index, at) {
            self.nets[index].want_again(before);
            mine.iter().for_each(|n| outcomes[*n] = Outcome::Failed(Fault::Refused));
        }
    }

    /// By the difference, or if the kernel has something else than we believe, by replacing all.
    fn install(&mut self, kernel: &mut Kernel, index: usize, at: &mut Moment<'_>) -> bool {
        let target = self.nets[index].target();
        let change = difference(self.nets[index].standing(), &target);
        if change != Difference::default() && !put(kernel, |kernel| &mut kernel.nets[index], &change, at) {
            if !kernel.table {
                self.rebuild(kernel, at);
            }
            let all = Difference { gone: Vec::new(), fresh: target.clone() };
            let old = std::mem::take(&mut kernel.nets[index]);
            match kernel.luck(at.dice) {
                Luck::Refused => {
                    kernel.nets[index] = old;
                    return false;
                }
                Luck::Fine => {
                    lay(&mut kernel.nets[index], &all, at);
                }
                Luck::Unheard => {
                    lay(&mut kernel.nets[index], &all, at);
                    return false;
                }
            }
        }
        self.nets[index].installed(target);
        true
    }

    /// What is really there.
    pub fn list(&mut self, kernel: &Kernel, wall: Time, now: Time) -> Result<Vec<Installed>, Fault> {
        if kernel.faults.blind || !kernel.table {
            return Err(Fault::Refused);
        }
        for (family, (nets, there)) in Family::ALL.into_iter().zip(self.nets.iter_mut().zip(&kernel.nets)) {
            let mut there: Vec<Range> = there.iter().map(|net| range(net, wall, now)).collect();
            there.sort_by_key(|range| range.first);
            nets.adopt(family, there);
        }
        let hosts = kernel.hosts.iter().map(|(prefix, deadline)| (*prefix, *deadline));
        let nets = Family::ALL.into_iter().zip(&kernel.nets).flat_map(|(family, nets)| {
            nets.iter().flat_map(move |net| {
                let whole = Range { first: net.first, last: net.last, expiry: Expiry::Never };
                prefixes(family, &whole).into_iter().map(|prefix| (prefix, net.deadline))
            })
        });
        Ok(hosts
            .chain(nets)
            .map(|(prefix, deadline)| Installed { scope: Scope::Source(prefix), expiry: expiry(deadline, wall, now) })
            .collect())
    }
}

fn range(net: &Interval, wall: Time, now: Time) -> Range {
    Range { first: net.first, last: net.last, expiry: expiry(net.deadline, wall, now) }
}

/// One transaction on one of its interval sets; false if it was refused, or seems so.
pub(crate) fn put(kernel: &mut Kernel, set: impl Fn(&mut Kernel) -> &mut Vec<Interval>, change: &Difference, at: &mut Moment<'_>) -> bool {
    match kernel.luck(at.dice) {
        Luck::Refused => false,
        Luck::Fine => kernel.table && lay(set(kernel), change, at),
        Luck::Unheard => {
            if kernel.table {
                lay(set(kernel), change, at);
            }
            false
        }
    }
}

/// Takes intervals out (those that are not there are passed over) and puts others in: all or, if two would overlap, nothing.
pub(crate) fn lay(set: &mut Vec<Interval>, change: &Difference, at: &Moment<'_>) -> bool {
    let mut nets = set.clone();
    nets.retain(|net| !change.gone.iter().any(|gone| (gone.first, gone.last) == (net.first, net.last)));
    for fresh in &change.fresh {
        if nets.iter().any(|net| net.first <= fresh.last && fresh.first <= net.last) {
            return false;
        }
        nets.push(Interval { first: fresh.first, last: fresh.last, deadline: deadline(fresh.expiry, at.wall, at.now) });
    }
    *set = nets;
    true
}

/// Whether an interval touches a prefix of its family.
pub fn touches(family: Family, net: &Interval, prefix: &Prefix) -> bool {
    Family::of(prefix.addr()) == family && net.first <= number(prefix.last()) && number(prefix.addr()) <= net.last
}
