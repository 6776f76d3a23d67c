//! Storms: what a forger can and cannot do with them.

use crate::support::{Dice, Firewall, at, offence, order, prefix, words};
use Trust::{Handshake, Spoofable};
use model::block::{Because, BlockId, Expiry};
use model::decision::{Cap, Decision};
use model::event::Trust;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use policy::config::PolicyConfig;
use policy::judge::Judge;
use policy::ruling::{Lift, Ruling};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

fn forged(n: u32) -> Prefix {
    Prefix::host(Ipv4Addr::from(0x0a00_0000 + n).into())
}

fn judged(judge: &mut Judge, who: Prefix, trust: Trust, now: u64) -> (String, Ruling) {
    let (decision, ruling) = judge.judge(&offence(who, 1, trust, at(now)), at(now));
    (words(&decision, at(now)), ruling)
}

/// Forgeable evidence, and what the judge says.
fn said(judge: &mut Judge, who: Prefix, now: u64) -> String {
    judged(judge, who, Spoofable, now).0
}

/// As many different forged offenders as make a storm, all at once; returns the ruling that rolled back, or an empty one.
fn storm(judge: &mut Judge, first: u32, now: u64) -> Ruling {
    let offenders = first..first + PolicyConfig::default().storm.offenders as u32;
    offenders.map(|n| judged(judge, forged(n), Spoofable, now).1).find(|ruling| !ruling.lifted.is_empty()).unwrap_or_default()
}

fn rolled_back(ruling: &Ruling) -> Vec<BlockId> {
    assert!(ruling.lifted.iter().all(|lifted| lifted.why == Lift::RollBack));
    ruling.lifted.iter().map(|lifted| lifted.id).collect()
}

#[test]
fn a_storm_takes_back_what_it_made_and_nothing_else() {
    let mut judge = Judge::new(PolicyConfig::default());
    // (b) A scanner blocked before the window, (a) proven ones within it, one proven within it, and an operator's order.
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 0).0, "block 600");
    assert_eq!(judged(&mut judge, prefix("192.0.2.2"), Handshake, 61).0, "block 600");
    assert_eq!(judged(&mut judge, prefix("192.0.2.3"), Spoofable, 61).0, "block 600");
    assert_eq!(judged(&mut judge, prefix("192.0.2.3"), Handshake, 62).0, "extend 600");
    order(&mut judge, prefix("192.0.2.4"), Expiry::Never, at(62));
    assert_eq!(judged(&mut judge, prefix("192.0.2.5"), Spoofable, 62).0, "block 600");
    let before = judge.counters();
    let ruling = storm(&mut judge, 0, 62);
    let mut left: Vec<String> = judge.standing().map(|block| block.scope.prefix().to_string()).collect();
    left.sort();
    assert_eq!(left, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    // Forgeable budget: 20 a minute, one of them the block that was proven in the meantime.
    assert_eq!((rolled_back(&ruling).len(), ruling.changes.len()), (19, 19));
    let report = judge.storm().unwrap();
    assert_eq!((report.since, report.until, report.rolled_back), (at(62), at(662), 19));
    let after = judge.counters();
    assert_eq!((after.storms, after.rolled_back, after.made - before.made), (1, 19, 18));
    // What was rolled back earned no strike.
    assert_eq!(judge.strikes().count(), 3);
    assert_eq!(judged(&mut judge, prefix("192.0.2.77"), Spoofable, 63).0, "refuse stormpause");
    assert_eq!(judged(&mut judge, prefix("192.0.2.78"), Handshake, 63).0, "block 600");
}

/// (c)
#[test]
fn an_attacker_cannot_free_himself_by_a_storm() {
    let attacker = prefix("192.0.2.1");
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(judged(&mut judge, attacker, Spoofable, 0).0, "block 600");
    let ruling = storm(&mut judge, 0, 10);
    assert!(rolled_back(&ruling).contains(&BlockId(1)));
    // A charge that was under way, with no packet since, is not a new one.
    let stale = Offence { at: at(10), ..offence(attacker, 1, Spoofable, at(10)) };
    assert_eq!(judge.judge(&stale, at(10)).0, Decision::Refuse(Cap::StormPause));
    // The very next conviction blocks him again, in the middle of the pause and of the minute.
    let (said, ruling) = judged(&mut judge, attacker, Spoofable, 11);
    assert_eq!((said.as_str(), ruling.changes.len()), ("block 600", 1));
    // A storm that goes on does not roll back a second time.
    for round in 1..20 {
        let ruling = storm(&mut judge, round * 1_000, 11);
        assert!(ruling.lifted.is_empty());
        assert_eq!(judge.storm().unwrap().until, at(611));
    }
    assert!(judge.standing_for(attacker.addr()).is_some());
    // The block runs out while he keeps the pause going: the next conviction blocks him again.
    let ruling = storm(&mut judge, 50_000, 600);
    assert!(ruling.lifted.is_empty());
    assert_eq!(judged(&mut judge, attacker, Spoofable, 610).0, "watch standing");
    assert_eq!(judged(&mut judge, attacker, Spoofable, 611).0, "block 600");
    assert_eq!(judge.storm().unwrap().until, at(1_200));
}

#[test]
fn a_block_from_before_the_storm_may_run_out_in_it() {
    let attacker = prefix("192.0.2.1");
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(judged(&mut judge, attacker, Spoofable, 0).0, "block 600");
    let ruling = storm(&mut judge, 0, 100);
    assert!(!rolled_back(&ruling).contains(&BlockId(1)));
    // Forgeable evidence neither lengthens it in the pause, nor is it free of him.
    assert_eq!(judged(&mut judge, attacker, Spoofable, 500).0, "watch standing");
    assert_eq!(judged(&mut judge, attacker, Spoofable, 600).0, "block 600");
}

#[test]
fn forgeable_evidence_lengthens_nothing_in_a_pause() {
    let mut config = PolicyConfig::default();
    config.spoofable.block_max = Duration::from_secs(5_000);
    let mut judge = Judge::new(config);
    assert_eq!(said(&mut judge, prefix("192.0.2.1"), 0), "block 600");
    assert_eq!(said(&mut judge, prefix("192.0.2.1"), 90), "extend 600");
    assert_eq!(rolled_back(&storm(&mut judge, 0, 100)).len(), 20);
    assert_eq!(said(&mut judge, prefix("192.0.2.1"), 200), "watch standing");
    // Proof does, and makes the block its own.
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Handshake, 200).0, "extend 600");
}

#[test]
fn a_storm_of_refusals_takes_back_nothing_from_before() {
    let mut config = PolicyConfig::default();
    config.spoofable.blocks_standing = 1;
    let mut judge = Judge::new(config);
    assert_eq!(said(&mut judge, prefix("192.0.2.1"), 0), "block 600");
    // The budget is used up, so no new block has pushed the old one out of the window.
    assert_eq!(rolled_back(&storm(&mut judge, 0, 100)), []);
    assert_eq!((judge.counters().storms, judge.counters().standing), (1, 1));
}

/// (e)
#[test]
fn after_the_pause_all_is_as_before() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(rolled_back(&storm(&mut judge, 0, 0)).len(), 20);
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 599).0, "refuse stormpause");
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 600).0, "block 600");
    assert_eq!(judge.storm(), None);
    assert_eq!(judged(&mut judge, prefix("192.0.2.2"), Spoofable, 601).0, "block 600");
    // A pause that is shorter than the window is not begun anew by the offenders that made the last one.
    let mut config = PolicyConfig::default();
    config.storm.pause = Duration::from_secs(5);
    let mut judge = Judge::new(config);
    assert_eq!(rolled_back(&storm(&mut judge, 0, 0)).len(), 20);
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 5).0, "block 600");
    assert_eq!((judge.storm(), judge.counters().storms), (None, 1));
}

#[test]
fn the_same_few_offenders_are_no_storm() {
    let mut judge = Judge::new(PolicyConfig::default());
    for now in 0..600 {
        for n in 0..59 {
            said(&mut judge, forged(n), now);
        }
    }
    // One more a second, each in a window with only those that are not blocked already.
    assert_eq!((judge.counters().storms, judge.counters().standing_forgeable), (0, 59));
    let mut judge = Judge::new(PolicyConfig::default());
    for now in 0..6_000 {
        said(&mut judge, forged(now as u32), now * 2);
    }
    assert_eq!((judge.counters().storms, judge.storm()), (0, None));
}

#[test]
fn strange_thresholds_and_clocks_do_no_harm() {
    for (offenders, window, pause) in [(0, 0, 0), (1, 60, 0), (usize::MAX, 60, 60), (2, 0, 60), (1, u64::MAX, u64::MAX)] {
        let mut config = PolicyConfig::default();
        config.storm.offenders = offenders;
        config.storm.window = Duration::from_secs(window);
        config.storm.pause = Duration::from_secs(pause);
        let mut judge = Judge::new(config);
        for (n, now) in [5, 5, 86_405, 5, 6, 0, u64::MAX / 4, 7].into_iter().enumerate() {
            said(&mut judge, forged(n as u32), now);
            said(&mut judge, forged(0), now);
        }
        let storms = judge.counters().storms;
        assert_eq!(storms > 0, offenders < 2, "{offenders} in {window} s: {storms} storms");
    }
    // The clock is set back by a day while the pause lasts: who goes on by the new time is blocked again.
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(rolled_back(&storm(&mut judge, 0, 86_400)).len(), 20);
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 0).0, "refuse stormpause");
    assert_eq!(judged(&mut judge, forged(0), Spoofable, 1).0, "block 600");
    assert_eq!(judge.storm().unwrap().until, at(600));
}

/// What happened, from outside.
#[derive(Default)]
struct Witness {
    made: BTreeMap<BlockId, (Time, Trust)>,
    /// Forgeable blocks that were not undone, by when they were made.
    kept: BTreeMap<BlockId, Time>,
    roll_backs: Vec<Time>,
}

impl Witness {
    fn take(&mut self, decision: &Decision, ruling: &Ruling, config: &PolicyConfig, now: Time) {
        if let Decision::Block(block) = decision
            && let Because::Offence { trust, .. } = block.because
        {
            self.made.insert(block.id, (now, trust));
            if trust == Spoofable {
                self.kept.insert(block.id, now);
            }
        }
        for block in &ruling.extended {
            if let Because::Offence { trust, .. } = block.because {
                self.made.entry(block.id).and_modify(|known| known.1 = trust);
            }
        }
        for lifted in &ruling.lifted {
            assert_eq!(lifted.why, Lift::RollBack);
            let (made, trust) = self.made[&lifted.id];
            assert_eq!(trust, Spoofable, "a proven block was rolled back");
            assert!(now.since(made) < config.storm.window, "a block from before the storm was rolled back");
            self.kept.remove(&lifted.id);
        }
        if !ruling.lifted.is_empty() {
            self.roll_backs.push(now);
        }
        let minute = self.kept.values().filter(|made| now.since(**made) < Duration::from_secs(60)).count();
        assert!(minute <= config.spoofable.blocks_per_minute as usize, "{minute} forgeable blocks in a minute");
    }
}

/// (d) Whatever a forger does, for twenty minutes, beside a real scanner and a proven attacker.
#[test]
fn a_forger_never_gets_more_than_the_budget() {
    let mut config = PolicyConfig::default();
    config.spoofable.blocks_per_minute = 8;
    config.spoofable.blocks_standing = 25;
    config.spoofable.block_max = Duration::from_secs(300);
    config.storm.offenders = 15;
    config.storm.pause = Duration::from_secs(120);
    let (mut storms, mut full) = (0, 0);
    for seed in 1..=8 {
        let mut dice = Dice(seed);
        let mut judge = Judge::new(config.clone());
        let (mut firewall, mut witness) = (Firewall::default(), Witness::default());
        let pool = 20 + dice.roll(300);
        // Every other forger keeps just under what makes a storm.
        let pace = if seed % 2 == 0 { None } else { Some(2 + dice.roll(12)) };
        for now in (0..1_200).map(at) {
            let offences = match pace {
                None => u64::from(dice.roll(5) == 0),
                Some(pace) => dice.roll(pace),
            };
            for _ in 0..offences {
                let (who, trust) = match dice.roll(20) {
                    0 => (prefix("192.0.2.1"), Spoofable),
                    1 => (prefix("192.0.2.2"), Handshake),
                    2 => (forged(dice.roll(pool) as u32), Handshake),
                    _ => (forged(dice.roll(pool) as u32), Spoofable),
                };
                let (decision, ruling) = judge.judge(&offence(who, 1 + dice.roll(5) as u8, trust, now), now);
                witness.take(&decision, &ruling, &config, now);
                firewall.apply(&judge, &ruling);
            }
            firewall.agrees(&judge, now);
            let standing = judge.standing().filter(|block| matches!(block.because, Because::Offence { trust: Spoofable, .. })).count();
            assert!(standing <= config.spoofable.blocks_standing, "seed {seed}: {standing} innocents blocked at one time");
            full += usize::from(standing == config.spoofable.blocks_standing);
        }
        // One roll-back for each pause.
        assert!(witness.roll_backs.is_sorted_by(|a, b| b.since(*a) >= config.storm.pause), "seed {seed}: {:?}", witness.roll_backs);
        storms += judge.counters().storms;
    }
    assert!(storms > 5 && full > 100, "the simulation is too tame: {storms} storms, {full} times at the bound");
}

#[test]
fn a_restart_ends_neither_the_pause_nor_the_minute() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(judged(&mut judge, prefix("192.0.2.1"), Spoofable, 0).0, "block 600");
    assert_eq!(rolled_back(&storm(&mut judge, 0, 100)).len(), 20);
    assert_eq!(judged(&mut judge, prefix("192.0.2.2"), Handshake, 101).0, "block 600");
    let pause = judge.storm().unwrap();
    let restarted = |now: u64| {
        let mut other = Judge::new(PolicyConfig::default());
        let live: Vec<_> = judge.standing().collect();
        assert!(other.restore(live, judge.strikes().collect(), BlockId(100)).is_empty());
        let _ = other.resume(Some(pause), at(now));
        other.check_invariants();
        other
    };
    let mut after = restarted(110);
    assert_eq!(after.storm(), Some(pause));
    assert_eq!(said(&mut after, prefix("192.0.2.9"), 111), "refuse stormpause");
    assert_eq!(judged(&mut after, prefix("192.0.2.10"), Handshake, 111).0, "block 600");
    // Over is over, and a clock that was set makes no pause longer than it can be.
    assert!(restarted(701).storm().is_none());
    assert_eq!(restarted(50).storm().unwrap().until, at(650));

    // The minute's places are taken still; with the storm in the making, too.
    let mut judge = Judge::new(PolicyConfig::default());
    (0..20).for_each(|n| assert_eq!(said(&mut judge, forged(n), 0), "block 600"));
    let mut after = Judge::new(PolicyConfig::default());
    assert!(after.restore(judge.standing().collect(), Vec::new(), BlockId(20)).is_empty());
    let _ = after.resume(None, at(30));
    assert_eq!(said(&mut after, forged(100), 31), "refuse spoofablebudget");
    assert_eq!(rolled_back(&storm(&mut after, 200, 32)).len(), 20);
    let mut later = Judge::new(PolicyConfig::default());
    assert!(later.restore(judge.standing().collect(), Vec::new(), BlockId(20)).is_empty());
    let _ = later.resume(None, at(60));
    assert_eq!(said(&mut later, forged(100), 61), "block 600");
}
