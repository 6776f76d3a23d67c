//! The judge against a second one that keeps everything in lists and looks at all of it each time. The storm is left out: it has its
//! own simulation.

use crate::support::{Dice, Firewall, at, level, offence, order, prefix};
use model::block::{Because, Block, BlockId, Effect, Expiry, Fault, Outcome, Scope};
use model::decision::{Cap, Decision, ExemptReason, WatchReason};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use policy::config::PolicyConfig;
use policy::escalate::Strike;
use policy::judge::Judge;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The reference. Every answer is a walk over lists.
struct Naive {
    config: PolicyConfig,
    blocks: Vec<Block>,
    made: Vec<(Time, BlockId, bool)>,
    strikes: Vec<Strike>,
    next: u64,
}

fn holds(outer: Prefix, inner: Prefix) -> bool {
    outer.bits() <= inner.bits() && outer.contains(inner.addr())
}

fn trust_of(block: &Block) -> Option<Trust> {
    match block.because {
        Because::Offence { trust, .. } => Some(trust),
        Because::Adopted | Because::Operator { .. } => None,
    }
}

fn end_of(block: &Block) -> Time {
    match block.expiry {
        Expiry::At(end) => end,
        Expiry::Never => Time::from_nanos(u64::MAX),
    }
}

impl Naive {
    fn expire(&mut self, now: Time) -> Vec<(BlockId, Prefix, Option<DangerLevel>)> {
        let over = self.blocks.iter().map(|block| (end_of(block), block.id, block.scope.prefix(), block.because.level()));
        let mut over: Vec<(Time, BlockId, Prefix, Option<DangerLevel>)> = over.filter(|(end, ..)| *end <= now).collect();
        over.sort();
        self.blocks.retain(|block| end_of(block) > now);
        over.into_iter().map(|(_, id, whom, level)| (id, whom, level)).collect()
    }

    fn span(&self, charge: &Offence, strike: u32) -> Duration {
        let mut span = self.config.block_for[charge.level.index()];
        for _ in 1..strike {
            span = (span * self.config.escalation).min(self.config.block_max);
        }
        let longest = if charge.trust == Trust::Spoofable { self.config.spoofable.block_max } else { self.config.block_max };
        span.min(longest).min(self.config.block_max)
    }

    fn judge(&mut self, charge: &Offence, now: Time) -> Decision {
        self.expire(now);
        let who = charge.offender;
        let config = self.config.clone();
        if config.exempt.iter().any(|exempt| holds(*exempt, who)) {
            return Decision::Exempt(ExemptReason::Configured);
        }
        if config.exempt.iter().any(|exempt| exempt.overlaps(&who)) {
            return Decision::Refuse(Cap::ExemptInside);
        }
        let forgeable = charge.trust == Trust::Spoofable;
        let petty = charge.level < config.block_level;
        if let Some(until) = self.blocks.iter().filter(|block| holds(block.scope.prefix(), who)).map(end_of).max() {
            let never = until == Time::from_nanos(u64::MAX);
            let watch = Decision::Watch { until: if never { now.after(config.block_max) } else { until }, why: WatchReason::Standing };
            let strike = match self.blocks.iter().find(|block| block.scope.prefix() == who).map(|block| &block.because) {
                Some(Because::Offence { strike, .. }) if !petty => *strike,
                _ => return watch,
            };
            let mut end = now.after(self.span(charge, strike));
            let block = self.blocks.iter_mut().find(|block| block.scope.prefix() == who).unwrap();
            if forgeable && (trust_of(block) != Some(Trust::Spoofable) || !charge.evidence.convicted) {
                return watch;
            }
            if forgeable {
                end = end.min(block.made.after(config.spoofable.block_max));
            }
            let later = end > end_of(block);
            if let Because::Offence { trust, level, .. } = &mut block.because
                && (later || *trust == Trust::Spoofable && !forgeable)
            {
                (*trust, *level) = (charge.trust.max(*trust), charge.level.max(*level));
            }
            if !later {
                return watch;
            }
            block.expiry = Expiry::At(end);
            let (id, expiry) = (block.id, block.expiry);
            self.strikes.iter_mut().filter(|known| known.prefix == who).for_each(|known| known.last = now);
            return Decision::Extend { id, expiry, strike };
        }
        if petty {
            return Decision::Refuse(Cap::Level);
        }
        let known = self.strikes.iter().find(|known| known.prefix == who && now.since(known.last) < config.strikes_forget);
        let strike = known.map_or(1, |known| known.count + 1);
        let expiry = Expiry::At(now.after(self.span(charge, strike)));
        if forgeable && !charge.evidence.convicted {
            return Decision::Watch { until: end_of_expiry(expiry), why: WatchReason::Unproven };
        }
        let minute = |only_forgeable: bool| {
            let fresh = self.made.iter().filter(|(made, _, _)| now.since(*made) < Duration::from_secs(60));
            fresh.filter(|(_, _, forgeable)| *forgeable || !only_forgeable).count()
        };
        let standing = self.blocks.iter().filter(|block| trust_of(block) == Some(Trust::Spoofable)).count();
        if forgeable && minute(true) >= config.spoofable.blocks_per_minute as usize {
            return Decision::Refuse(Cap::SpoofableBudget);
        }
        if forgeable && standing >= config.spoofable.blocks_standing {
            return Decision::Refuse(Cap::SpoofableStanding);
        }
        if minute(false) >= config.blocks_per_minute as usize {
            return Decision::Refuse(Cap::PerMinute);
        }
        if self.blocks.len() >= config.blocks_total {
            return Decision::Refuse(Cap::Total);
        }
        let id = BlockId(self.next);
        self.next += 1;
        self.made.push((now, id, forgeable));
        self.strikes.retain(|known| known.prefix != who);
        self.strikes.push(Strike { prefix: who, count: strike, last: now });
        let Offence { charge, level, styles, trust, rule, .. } = *charge;
        let because = Because::Offence { charge, level, styles, trust, strike, rule };
        let block = Block { id, scope: Scope::Source(who), effect: Effect::Drop, made: now, expiry, because };
        self.blocks.push(block.clone());
        Decision::Block(block)
    }

    /// Takes a block out with the strike that it earned.
    fn undo(&mut self, id: BlockId) {
        let Some(at) = self.blocks.iter().position(|block| block.id == id) else { return };
        let block = self.blocks.remove(at);
        if trust_of(&block).is_some() {
            self.strikes.iter_mut().filter(|known| known.prefix == block.scope.prefix()).for_each(|known| known.count -= 1);
            self.strikes.retain(|known| known.count > 0);
        }
    }

    fn order(&mut self, who: Prefix, expiry: Expiry, now: Time) {
        self.expire(now);
        let because = Because::Operator { note: "an order".into() };
        let block = Block { id: BlockId(self.next), scope: Scope::Source(who), effect: Effect::Drop, made: now, expiry, because };
        self.next += 1;
        self.blocks.push(block);
    }
}

fn end_of_expiry(expiry: Expiry) -> Time {
    match expiry {
        Expiry::At(end) => end,
        Expiry::Never => Time::from_nanos(u64::MAX),
    }
}

fn config(dice: &mut Dice) -> PolicyConfig {
    let mut config = PolicyConfig {
        block_level: level(1 + dice.roll(2) as u8),
        block_for: [30, 60, 100, 200, 400].map(Duration::from_secs),
        escalation: 1 + dice.roll(3) as u32,
        block_max: Duration::from_secs(300 + dice.roll(1_000)),
        strikes_forget: Duration::from_secs(200 + dice.roll(2_000)),
        blocks_per_minute: 2 + dice.roll(10) as u32,
        blocks_total: 5 + dice.roll(20) as usize,
        exempt: vec![prefix("10.0.0.8/30"), prefix("10.0.0.33")],
        ..PolicyConfig::default()
    };
    config.spoofable.block_max = Duration::from_secs(20 + dice.roll(200));
    config.spoofable.blocks_per_minute = 1 + dice.roll(5) as u32;
    config.spoofable.blocks_standing = 1 + dice.roll(10) as usize;
    config.storm.offenders = usize::MAX;
    config
}

fn somebody(dice: &mut Dice) -> Prefix {
    let len = [32, 32, 32, 32, 31, 29][dice.roll(6) as usize];
    Prefix::new(Ipv4Addr::from(0x0a00_0000 + dice.roll(48) as u32).into(), len)
}

fn agree(judge: &Judge, naive: &Naive, seed: u64) {
    let mut blocks: Vec<(Prefix, BlockId, Expiry, Option<Trust>)> =
        naive.blocks.iter().map(|block| (block.scope.prefix(), block.id, block.expiry, trust_of(block))).collect();
    blocks.sort_by_key(|block| block.0);
    let standing: Vec<_> = judge.standing().map(|block| (block.scope.prefix(), block.id, block.expiry, trust_of(&block))).collect();
    assert_eq!(standing, blocks, "seed {seed}");
    let mut strikes = naive.strikes.clone();
    strikes.sort();
    assert_eq!(judge.strikes().collect::<Vec<_>>(), strikes, "seed {seed}");
    let next = naive.blocks.iter().filter(|block| block.expiry != Expiry::Never).map(end_of).min();
    assert_eq!(judge.next_expiry(), next, "seed {seed}");
}

#[test]
fn two_judges_agree() {
    let mut seen: Vec<&'static str> = Vec::new();
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let config = config(&mut dice);
        let mut judge = Judge::new(config.clone());
        let mut naive = Naive { config, blocks: Vec::new(), made: Vec::new(), strikes: Vec::new(), next: 1 };
        let mut firewall = Firewall::default();
        let mut now = 0;
        for _ in 0..300 {
            now += [0, 0, 1, 5, 20, 100][dice.roll(6) as usize];
            firewall.tick(at(now));
            let who = somebody(&mut dice);
            match dice.roll(12) {
                0 => assert_eq!(judge.expire(at(now)).expired, naive.expire(at(now)), "seed {seed}"),
                1 => {
                    naive.expire(at(now));
                    let inside: Vec<BlockId> =
                        naive.blocks.iter().filter(|block| holds(who, block.scope.prefix())).map(|block| block.id).collect();
                    let ruling = judge.unblock(who, at(now));
                    assert_eq!(ruling.lifted.len(), inside.len(), "seed {seed}");
                    firewall.apply(&judge, &ruling);
                    inside.into_iter().for_each(|id| naive.undo(id));
                }
                2 => {
                    naive.expire(at(now));
                    let id = BlockId(naive.next.saturating_sub(1 + dice.roll(3)));
                    let stood = judge.block_of(id).filter(|block| !block.expiry.is_over(at(now)));
                    let ruling = judge.outcome(id, Outcome::Failed(Fault::Refused), at(now));
                    firewall.apply(&judge, &ruling);
                    if let Some(block) = stood {
                        firewall.set.remove(&block.scope.prefix());
                        naive.made.retain(|(_, made, _)| *made != id);
                        naive.undo(id);
                    }
                }
                3 if naive.config.exempt.iter().all(|exempt| !exempt.overlaps(&who)) => {
                    naive.expire(at(now));
                    if naive.blocks.iter().all(|block| block.scope.prefix() != who) {
                        let expiry = if dice.roll(20) == 0 { Expiry::Never } else { Expiry::At(at(now + 1 + dice.roll(300))) };
                        naive.order(who, expiry, at(now));
                        let id = order(&mut judge, who, expiry, at(now));
                        firewall.set.insert(who, (id, expiry));
                    } else {
                        let _ = judge.expire(at(now));
                    }
                }
                _ => {
                    let trust = [Trust::Spoofable, Trust::Spoofable, Trust::Handshake, Trust::Vouched][dice.roll(4) as usize];
                    let mut charge = offence(who, 1 + dice.roll(5) as u8, trust, at(now));
                    charge.evidence.convicted = dice.roll(4) > 0;
                    let (decision, ruling) = judge.judge(&charge, at(now));
                    assert_eq!(decision, naive.judge(&charge, at(now)), "seed {seed}, {who} at {now}");
                    firewall.apply(&judge, &ruling);
                    seen.push(kind(&decision));
                }
            }
            naive.expire(at(now));
            agree(&judge, &naive, seed);
            firewall.agrees(&judge, at(now));
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["block", "exempt", "extend", "inside", "level", "minute", "spoofable", "standing", "total", "unproven", "watch"]);
}

fn kind(decision: &Decision) -> &'static str {
    match decision {
        Decision::Block(_) => "block",
        Decision::Extend { .. } => "extend",
        Decision::Exempt(_) => "exempt",
        Decision::Watch { why: WatchReason::Unproven, .. } => "unproven",
        Decision::Watch { why: WatchReason::Standing | WatchReason::Forgeable | WatchReason::Recorded, .. } => "watch",
        Decision::Refuse(Cap::Level) => "level",
        Decision::Refuse(Cap::SpoofableBudget) => "spoofable",
        Decision::Refuse(Cap::SpoofableStanding) => "standing",
        Decision::Refuse(Cap::PerMinute) => "minute",
        Decision::Refuse(Cap::Total) => "total",
        Decision::Refuse(Cap::StormPause) => "storm",
        Decision::Refuse(Cap::ExemptInside) => "inside",
    }
}
