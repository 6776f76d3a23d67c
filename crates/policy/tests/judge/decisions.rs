//! One offence after another: which decision, for how long, and what it says to the ledger and the firewall.

use crate::support::{Firewall, START, at, level, offence, order, prefix, words};
use Trust::{Handshake, Spoofable, Vouched};
use model::block::{Because, BlockId, Change, Expiry, Fault, Outcome, Scope};
use model::decision::{Cap, Decision, ExemptReason, Exemption, WatchReason};
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;
use policy::config::{PolicyConfig, SpoofableConfig, StormConfig};
use policy::escalate::{Strike, StrikeChange};
use policy::judge::Judge;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::time::Duration;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn calm() -> StormConfig {
    StormConfig { offenders: 1_000_000, ..StormConfig::default() }
}

/// Judges and says it in words; the firewall must agree afterwards.
fn say(judge: &mut Judge, who: &str, n: u8, trust: Trust, now: u64) -> String {
    let (decision, ruling) = judge.judge(&offence(prefix(who), n, trust, at(now)), at(now));
    let adds = ruling.changes.iter().filter(|change| matches!(change, Change::Add { .. })).count();
    assert_eq!(adds, usize::from(matches!(decision, Decision::Block(_) | Decision::Extend { .. })));
    words(&decision, at(now))
}

#[test]
fn the_first_answer_counts() {
    let config = PolicyConfig { exempt: vec![prefix("198.51.100.0/24")], block_level: level(2), ..PolicyConfig::default() };
    let mut judge = Judge::new(config);
    let derived = [("192.0.2.1", ExemptReason::Gateway), ("2001:db8::53", ExemptReason::Resolver)];
    let derived = derived.map(|(text, reason)| Exemption { prefix: prefix(text), reason }).to_vec();
    assert!(judge.set_exemptions(derived, at(0)).changes.is_empty());
    order(&mut judge, prefix("203.0.113.0/24"), Expiry::Never, at(0));
    let table = [
        // who, level, trust, convicted, decision
        ("127.0.0.1", 5, Vouched, true, "exempt reserved address"),
        ("0.0.0.0", 5, Vouched, true, "exempt reserved address"),
        ("192.0.2.1", 5, Vouched, true, "exempt default gateway"),
        ("198.51.100.7", 5, Handshake, true, "exempt exempt in the configuration"),
        ("198.51.100.0/25", 5, Handshake, true, "exempt exempt in the configuration"),
        ("198.41.0.4", 5, Handshake, true, "exempt dns root server"),
        ("192.0.2.0/24", 5, Handshake, true, "refuse exemptinside"),
        ("2001:db8::/64", 5, Handshake, true, "refuse exemptinside"),
        ("0.0.0.0/0", 5, Handshake, true, "refuse exemptinside"),
        ("203.0.113.9", 5, Handshake, true, "watch standing"),
        ("203.0.113.9", 1, Spoofable, false, "watch standing"),
        ("192.0.2.2", 1, Handshake, true, "refuse level"),
        ("192.0.2.2", 1, Spoofable, false, "refuse level"),
        ("192.0.2.2", 2, Spoofable, false, "watch unproven"),
        ("192.0.2.2", 2, Spoofable, true, "block 600"),
        ("192.0.2.3", 2, Handshake, true, "block 1800"),
        // Counts alone are enough when the address is beyond doubt.
        ("192.0.2.4", 3, Vouched, false, "block 3600"),
        ("2001:db8:0:1::/64", 2, Handshake, true, "block 1800"),
    ];
    for (who, n, trust, convicted, expected) in table {
        let mut charge = offence(prefix(who), n, trust, at(1));
        charge.evidence.convicted = convicted;
        assert_eq!(words(&judge.judge(&charge, at(1)).0, at(1)).to_lowercase(), expected, "{who} {n} {trust} {convicted}");
    }
    let counters = judge.counters();
    assert_eq!((counters.made, counters.ordered, counters.standing, counters.standing_forgeable), (4, 1, 5, 1));
    assert_eq!((counters.exempt(ExemptReason::Reserved), counters.refused(Cap::ExemptInside)), (2, 3));
    assert_eq!((counters.watched(WatchReason::Standing), counters.refused(Cap::Level)), (2, 2));
}

#[test]
fn what_earns_no_time_earns_no_block() {
    let zero_level = PolicyConfig { block_for: [0, 60, 60, 60, 60].map(secs), ..PolicyConfig::default() };
    let zero_forgeable = SpoofableConfig { block_max: Duration::ZERO, ..SpoofableConfig::default() };
    let never_forgeable = SpoofableConfig { may_block: false, ..SpoofableConfig::default() };
    assert_eq!(say(&mut Judge::new(zero_level), "192.0.2.1", 1, Handshake, 0), "refuse level");
    let no_time = PolicyConfig { block_max: Duration::ZERO, ..PolicyConfig::default() };
    assert_eq!(say(&mut Judge::new(no_time), "192.0.2.1", 5, Handshake, 0), "refuse level");
    for spoofable in [zero_forgeable, never_forgeable] {
        let mut judge = Judge::new(PolicyConfig { spoofable, ..PolicyConfig::default() });
        assert_eq!(say(&mut judge, "192.0.2.1", 5, Spoofable, 0), "watch forgeable");
        assert_eq!(say(&mut judge, "192.0.2.1", 5, Handshake, 0), "block 86400");
    }
}

#[test]
fn repeat_offenders_are_blocked_for_longer() {
    let mut judge = Judge::new(PolicyConfig::default());
    let mut now = 0;
    for strike in 0..6 {
        let span = 600 << strike;
        assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, now), format!("block {span}"));
        assert_eq!(judge.expire(at(now + span - 1)).expired, []);
        now += span;
        // The judge takes the time that is over from the offence as well as from `expire`.
        if strike % 2 == 0 {
            assert_eq!(judge.expire(at(now)).expired.len(), 1);
        }
    }
    assert_eq!(judge.strikes().map(|strike| strike.count).collect::<Vec<_>>(), [6]);
    // Forgeable evidence stays under its own longest, whatever the strike.
    assert_eq!(say(&mut judge, "192.0.2.1", 5, Spoofable, now), "block 600");
    // Thirty days without an offence.
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, now + 30 * 86_400), "block 600");
    assert_eq!(say(&mut judge, "192.0.2.2", 5, Handshake, now), "block 86400");
    let mut judge = Judge::new(PolicyConfig { block_max: secs(1_000), ..PolicyConfig::default() });
    assert_eq!(say(&mut judge, "192.0.2.1", 5, Handshake, 0), "block 1000");
}

#[test]
fn an_offence_while_blocked_lengthens_the_block_and_is_no_new_strike() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, 0), "block 600");
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, 0), "watch standing");
    assert_eq!(say(&mut judge, "192.0.2.1", 3, Handshake, 10), "extend 3600");
    assert_eq!(say(&mut judge, "192.0.2.1", 2, Handshake, 20), "watch standing");
    // Forgeable evidence adds nothing to a proven block.
    assert_eq!(say(&mut judge, "192.0.2.1", 5, Spoofable, 3_600), "watch standing");
    let block = judge.standing_for("192.0.2.1".parse().unwrap()).unwrap();
    assert!(matches!(block.because, Because::Offence { strike: 1, trust: Handshake, .. } if block.expiry == Expiry::At(at(3_610))));
    assert_eq!(judge.strikes().collect::<Vec<_>>(), [Strike { prefix: prefix("192.0.2.1"), count: 1, last: at(10) }]);
}

#[test]
fn forgeable_evidence_never_adds_up_beyond_its_longest() {
    let spoofable = SpoofableConfig { block_max: secs(1_000), ..SpoofableConfig::default() };
    let mut judge = Judge::new(PolicyConfig { spoofable, ..PolicyConfig::default() });
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Spoofable, 0), "block 600");
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Spoofable, 300), "extend 600");
    assert_eq!(say(&mut judge, "192.0.2.1", 5, Spoofable, 600), "extend 400");
    assert_eq!(say(&mut judge, "192.0.2.1", 5, Spoofable, 900), "watch standing");
    let mut unproven = offence(prefix("192.0.2.2"), 1, Spoofable, at(0));
    assert_eq!(words(&judge.judge(&unproven, at(0)).0, at(0)), "block 600");
    unproven.evidence.convicted = false;
    assert_eq!(words(&judge.judge(&unproven, at(100)).0, at(100)), "watch standing");
}

#[test]
fn proof_makes_a_block_on_forgeable_evidence_a_full_one() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(say(&mut judge, "192.0.2.1", 4, Spoofable, 0), "block 600");
    assert_eq!(judge.counters().standing_forgeable, 1);
    let (decision, ruling) = judge.judge(&offence(prefix("192.0.2.1"), 2, Handshake, at(60)), at(60));
    let expiry = Expiry::At(at(60 + 1_800));
    assert_eq!(decision, Decision::Extend { id: BlockId(1), expiry, strike: 1 });
    assert_eq!(ruling.changes, [Change::Add { id: BlockId(1), scope: Scope::Source(prefix("192.0.2.1")), expiry }]);
    // The ledger learns of the better grounds too: they decide what a storm may take back after a restart.
    assert!(matches!(ruling.extended[0].because, Because::Offence { trust: Handshake, strike: 1, level: l, .. } if l == level(4)));
    assert_eq!(judge.counters().standing_forgeable, 0);
    // Proof that earns no later end still makes the block a proven one, without a word to the firewall.
    let spoofable = SpoofableConfig { block_max: secs(5_000), ..SpoofableConfig::default() };
    let mut judge = Judge::new(PolicyConfig { spoofable, ..PolicyConfig::default() });
    assert_eq!(say(&mut judge, "192.0.2.1", 3, Spoofable, 0), "block 3600");
    let (decision, ruling) = judge.judge(&offence(prefix("192.0.2.1"), 1, Vouched, at(60)), at(60));
    assert_eq!(decision, Decision::Watch { until: at(3_600), why: WatchReason::Standing });
    assert_eq!((ruling.changes.len(), ruling.extended.len(), judge.counters().standing_forgeable), (0, 1, 0));
}

#[test]
fn a_prefix_is_blocked_as_a_whole() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(say(&mut judge, "192.0.2.7", 1, Handshake, 0), "block 600");
    assert_eq!(say(&mut judge, "192.0.2.0/24", 2, Handshake, 0), "block 1800");
    assert_eq!(say(&mut judge, "192.0.2.8", 5, Handshake, 10), "watch standing");
    assert_eq!(say(&mut judge, "192.0.2.0/24", 2, Handshake, 100), "extend 1800");
    assert_eq!(say(&mut judge, "192.0.2.8", 2, Handshake, 1_900), "block 1800");
    assert_eq!(say(&mut judge, "192.0.2.0/24", 1, Handshake, 1_900), "block 1200");
}

#[test]
fn caps_say_which_one_it_was() {
    let spoofable = SpoofableConfig { blocks_per_minute: 2, blocks_standing: 3, ..SpoofableConfig::default() };
    let config = PolicyConfig { blocks_per_minute: 5, blocks_total: 7, spoofable, storm: calm(), ..PolicyConfig::default() };
    let mut judge = Judge::new(config);
    let table = [
        (0, "192.0.2.1", Spoofable, "block 600"),
        (1, "192.0.2.2", Spoofable, "block 600"),
        (1, "192.0.2.3", Spoofable, "refuse spoofablebudget"),
        (59, "192.0.2.3", Spoofable, "refuse spoofablebudget"),
        (60, "192.0.2.3", Spoofable, "block 600"),
        (61, "192.0.2.4", Spoofable, "refuse spoofablestanding"),
        // Proof is not held up by the forgeable budget.
        (61, "192.0.2.5", Handshake, "block 600"),
        (61, "192.0.2.6", Handshake, "block 600"),
        (61, "192.0.2.7", Handshake, "block 600"),
        (61, "192.0.2.8", Handshake, "block 600"),
        (62, "192.0.2.9", Handshake, "refuse perminute"),
        (121, "192.0.2.9", Handshake, "refuse total"),
        (600, "192.0.2.9", Handshake, "block 600"),
    ];
    for (now, who, trust, expected) in table {
        assert_eq!(say(&mut judge, who, 1, trust, now), expected, "{who} after {now} s");
    }
    // An operator's block is held up by none of them.
    for n in 0..20 {
        let who = Prefix::host(Ipv4Addr::new(203, 0, 113, n).into());
        order(&mut judge, who, Expiry::Never, at(600));
    }
    assert_eq!(say(&mut judge, "192.0.2.10", 1, Handshake, 700), "refuse total");
}

#[test]
fn a_clock_that_is_set_neither_wedges_nor_frees_the_caps() {
    let config = PolicyConfig { blocks_per_minute: 1, ..PolicyConfig::default() };
    let mut judge = Judge::new(config);
    let mut next = 0u8;
    let mut judge_at = |now: Time| {
        next += 1;
        let who = Prefix::host(Ipv4Addr::new(192, 0, 2, next).into());
        words(&judge.judge(&offence(who, 1, Handshake, now), now).0, now)
    };
    let day = 86_400;
    assert_eq!(judge_at(at(day)), "block 600");
    // A step back is no time at all; the minute runs on from there.
    assert_eq!(judge_at(at(0)), "refuse perminute");
    assert_eq!(judge_at(at(59)), "refuse perminute");
    assert_eq!(judge_at(at(60)), "block 600");
    // A jump forward is that much time.
    assert_eq!(judge_at(at(3 * day)), "block 600");
    assert_eq!(judge_at(at(3 * day)), "refuse perminute");
    // Times that keep going to and fro by a little do not make it run faster.
    for _ in 0..100 {
        assert_eq!(judge_at(at(3 * day - 30)), "refuse perminute");
        assert_eq!(judge_at(at(3 * day)), "refuse perminute");
    }
    assert_eq!(judge_at(Time::from_nanos(u64::MAX)), "block 0");
    assert_eq!(judge_at(Time::EPOCH), "refuse perminute");
    assert_eq!(judge_at(Time::from_secs(60)), "block 600");
}

#[test]
fn a_block_that_could_not_be_set_leaves_no_trace() {
    let config = PolicyConfig { blocks_per_minute: 1, ..PolicyConfig::default() };
    let mut judge = Judge::new(config);
    let who = prefix("192.0.2.1");
    for id in 1..=3 {
        assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, 0), "block 600");
        let ruling = judge.outcome(BlockId(id), Outcome::Failed(Fault::Refused), at(0));
        assert_eq!((ruling.changes.len(), ruling.strikes), (0, vec![StrikeChange::Clear(who)]));
        assert_eq!((judge.standing().count(), judge.strikes().count(), judge.next_expiry()), (0, 0, None));
    }
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, 0), "block 600");
    assert!(judge.outcome(BlockId(4), Outcome::Added, at(0)).changes.is_empty());
    assert_eq!(say(&mut judge, "192.0.2.1", 2, Handshake, 0), "extend 1800");
    // The longer one could not be set: what may still be set of it is ordered away, and an answer about nothing changes nothing.
    let ruling = judge.outcome(BlockId(4), Outcome::Unsupported, at(0));
    assert_eq!(ruling.changes, [Change::Remove { id: BlockId(4), scope: Scope::Source(who) }]);
    assert_eq!(judge.outcome(BlockId(4), Outcome::Failed(Fault::Gone), at(0)), Default::default());
    assert_eq!(judge.counters().failed, 4);
}

#[test]
fn numbers_run_out_without_a_panic() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert!(judge.restore(Vec::new(), Vec::new(), BlockId(u64::MAX - 2)).is_empty());
    assert_eq!(say(&mut judge, "192.0.2.1", 1, Handshake, 0), "block 600");
    assert_eq!(say(&mut judge, "192.0.2.2", 1, Handshake, 0), "refuse total");
    assert!(judge.block(prefix("192.0.2.3"), Expiry::Never, String::new(), at(0)).is_err());
    assert_eq!(judge.standing().map(|block| block.id).collect::<Vec<_>>(), [BlockId(u64::MAX - 1)]);
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    // Few different addresses, so that exemptions, blocks and offenders meet.
    (0u32..64, prop_oneof![Just(32u8), Just(24), Just(30), 0u8..=32])
        .prop_map(|(n, len)| Prefix::new(Ipv4Addr::from(0xc000_0200 + n * 5).into(), len))
}

fn any_trust() -> impl Strategy<Value = Trust> {
    prop_oneof![Just(Spoofable), Just(Handshake), Just(Vouched)]
}

#[derive(Debug, Clone)]
enum Step {
    Judge(Prefix, u8, Trust, bool),
    Block(Prefix, u64),
    Unblock(Prefix),
    Allow(Prefix, Option<u64>),
    Disallow(Prefix),
    Exempt(Vec<Prefix>),
    Fail(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any_prefix(), 1u8..=5, any_trust(), any::<bool>()).prop_map(|(who, n, trust, sure)| Step::Judge(who, n, trust, sure)),
        3 => (any_prefix(), 0u64..2_000).prop_map(|(who, span)| Step::Block(who, span)),
        1 => any_prefix().prop_map(Step::Unblock),
        1 => (any_prefix(), prop::option::of(0u64..1_000)).prop_map(|(who, span)| Step::Allow(who, span)),
        1 => any_prefix().prop_map(Step::Disallow),
        1 => prop::collection::vec(any_prefix(), 0..4).prop_map(Step::Exempt),
        1 => (0u64..20).prop_map(Step::Fail),
    ]
}

proptest! {
    /// Whatever happens, at whatever times: nothing exempt is ever ordered or stands, and firewall and table agree.
    #[test]
    fn nobody_exempt_is_ever_blocked(
        configured in prop::collection::vec(any_prefix(), 0..4),
        steps in prop::collection::vec((any_step(), 0u64..400), 1..60),
    ) {
        let storm = StormConfig { offenders: 4, ..StormConfig::default() };
        let mut judge = Judge::new(PolicyConfig { exempt: configured, storm, ..PolicyConfig::default() });
        let mut firewall = Firewall::default();
        let mut now = Time::from_secs(START);
        for (step, wait) in steps {
            now = now.after(secs(wait));
            firewall.tick(now);
            let exempt_before = judge.exemptions();
            let ruling = match step {
                Step::Judge(who, n, trust, convicted) => {
                    let mut charge = offence(who, n, trust, now);
                    charge.evidence.convicted = convicted;
                    judge.judge(&charge, now).1
                }
                Step::Block(who, span) => judge.block(who, Expiry::At(now.after(secs(span))), String::new(), now).unwrap_or_default(),
                Step::Unblock(who) => judge.unblock(who, now),
                Step::Allow(who, span) => judge.allow(who, span.map(|span| now.after(secs(span))), now).unwrap_or_default(),
                Step::Disallow(who) => {
                    let had = exempt_before.iter().any(|exemption| exemption.prefix == who);
                    prop_assert!(!judge.disallow(who) || had);
                    Default::default()
                }
                Step::Exempt(list) => {
                    let derived = list.into_iter().map(|prefix| Exemption { prefix, reason: ExemptReason::Own }).collect();
                    judge.set_exemptions(derived, now)
                }
                Step::Fail(id) => {
                    if judge.block_of(BlockId(id)).is_some_and(|block| !block.expiry.is_over(now)) {
                        // The responder's side of it: the element is not there.
                        firewall.set.retain(|_, (set, _)| set.0 != id);
                    }
                    judge.outcome(BlockId(id), Outcome::Failed(Fault::Refused), now)
                }
            };
            firewall.apply(&judge, &ruling);
            firewall.agrees(&judge, now);
            for block in judge.standing() {
                for exemption in judge.exemptions() {
                    prop_assert!(!exemption.prefix.overlaps(&block.scope.prefix()));
                }
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_leaves_nobody_blocked_on_paper_only() {
    let mut judge = Judge::new(PolicyConfig::default());
    let tomorrow = Time::from_secs(1_000_000 + 86_400);
    let offender: Prefix = "203.0.113.9".parse().unwrap();
    let (decision, _) = judge.judge(&offence(offender, 1, Handshake, tomorrow), tomorrow);
    let Decision::Block(block) = decision else { panic!("{decision:?}") };
    // The clock was a day ahead and is put right: the kernel's ten minutes run on.
    let right = Time::from_secs(1_000_000 + 60);
    let rulings = judge.set_exemptions(Vec::new(), right);
    assert_eq!(rulings.extended.iter().map(|b| b.id).collect::<Vec<_>>(), [block.id], "the ledger learns of it");
    let later = Time::from_secs(1_000_000 + 60 + 601);
    assert_eq!(judge.expire(later).expired, [(block.id, block.scope.prefix(), Some(level(1)))], "it ends when the kernel ends it");
    let (decision, ruling) = judge.judge(&offence(offender, 1, Handshake, later), later);
    assert!(matches!(decision, Decision::Block(_)), "{decision:?}");
    assert_eq!(ruling.changes.len(), 1);
}

#[test]
fn a_clock_that_is_set_by_a_day_either_way_moves_every_end_by_as_much() {
    let day = Duration::from_secs(86_400);
    for forward in [true, false] {
        let mut judge = Judge::new(PolicyConfig::default());
        let start = at(10 * 86_400);
        let (_, ruling) = judge.judge(&offence(prefix("203.0.113.9"), 3, Trust::Handshake, start), start);
        let Expiry::At(end) = ruling.made[0].expiry else { panic!("a block without an end") };
        let lasts = end.since(start);
        let _ = judge.allow(prefix("198.51.100.0/24"), Some(start.after(lasts)), start).unwrap();
        let now = if forward { start.after(day) } else { start.before(day) };
        let moved = judge.clock_set(day, forward, now);
        assert_eq!(moved.extended.iter().map(|block| block.expiry).collect::<Vec<_>>(), [Expiry::At(now.after(lasts))]);
        assert!(moved.changes.is_empty(), "the kernel's timers are right as they are");
        assert_eq!(judge.allowed(), [(prefix("198.51.100.0/24"), Some(now.after(lasts)))]);
        assert_eq!(judge.next_expiry(), Some(now.after(lasts)));
        let just_before = now.after(lasts).before(Duration::from_secs(1));
        assert!(judge.expire(just_before).expired.is_empty() && judge.is_exempt(&prefix("198.51.100.7")).is_some());
        assert_eq!(judge.expire(now.after(lasts)).expired.len(), 1);
        assert!(judge.is_exempt(&prefix("198.51.100.7")).is_none());
    }
}

#[test]
fn a_log_rules_wish_stands_in_for_the_levels_length_within_the_same_limits() {
    let mut judge = Judge::new(PolicyConfig { block_max: secs(5_000), ..PolicyConfig::default() });
    let wish = |who: &str, trust, wished: u64, now: u64| {
        let charge = model::offence::Charge::Rule;
        model::offence::Offence { charge, wished: Some(secs(wished)), ..offence(prefix(who), 3, trust, at(now)) }
    };
    let mut say = |offence: &model::offence::Offence, now: u64| words(&judge.judge(offence, at(now)).0, at(now));
    assert_eq!(say(&wish("192.0.2.1", Vouched, 700, 0), 0), "block 700");
    // Escalated as any other, to the same longest.
    assert_eq!(say(&wish("192.0.2.1", Vouched, 700, 1_000), 1_000), "block 1400");
    assert_eq!(say(&wish("192.0.2.1", Vouched, 700, 3_000), 3_000), "block 2800");
    assert_eq!(say(&wish("192.0.2.1", Vouched, 700, 9_000), 9_000), "block 5000");
    assert_eq!(say(&wish("192.0.2.2", Vouched, u64::MAX, 0), 9_000), "block 5000");
    // What could be forged earns no more for it.
    assert_eq!(say(&wish("192.0.2.3", Spoofable, 4_000, 0), 9_000), "block 600");
    // A rule that wants no block at all gets none.
    assert_eq!(say(&wish("192.0.2.4", Vouched, 0, 0), 9_000), "refuse level");
}

#[test]
fn a_touch_by_a_proven_address_earns_the_full_block_and_what_is_only_recorded_none() {
    use model::style::{Style, StyleSet};
    let touch = |who: &str, trust, style: Style| model::offence::Offence {
        charge: model::offence::Charge::Touch,
        styles: StyleSet::from_iter([style]),
        ..offence(prefix(who), 3, trust, at(0))
    };
    let say = |judge: &mut Judge, offence: &model::offence::Offence| words(&judge.judge(offence, at(0)).0, at(0));
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(say(&mut judge, &touch("192.0.2.1", Handshake, Style::Connect)), "block 3600");
    assert_eq!(say(&mut judge, &touch("192.0.2.2", Spoofable, Style::Udp)), "block 600");
    // Each protocol for itself; a block that stands for something else is not lengthened.
    let mut judge = Judge::new(PolicyConfig { touch_blocks: [false, true], ..PolicyConfig::default() });
    assert_eq!(say(&mut judge, &touch("192.0.2.1", Handshake, Style::Connect)), "watch recorded");
    assert_eq!(say(&mut judge, &touch("192.0.2.1", Spoofable, Style::Udp)), "block 600");
    assert_eq!(say(&mut judge, &touch("192.0.2.1", Handshake, Style::Connect)), "watch standing");
    assert_eq!(say(&mut judge, &offence(prefix("192.0.2.1"), 3, Handshake, at(0))), "extend 3600");
}

#[test]
fn a_rule_s_list_for_who_comes_back_is_taken_as_it_is() {
    let mut judge = Judge::new(PolicyConfig { block_max: secs(10_000), ..PolicyConfig::default() });
    let repeated = model::event::Repeated([30, 60, 300, 0, 0]);
    let offence = |now| model::offence::Offence { wished: Some(secs(600)), repeated, ..offence(prefix("192.0.2.1"), 3, Vouched, at(now)) };
    let spans = [(0, "block 600"), (1_000, "block 1800"), (5_000, "block 3600"), (10_000, "block 10000"), (30_000, "block 10000")];
    for (now, said) in spans {
        assert_eq!(words(&judge.judge(&offence(now), at(now)).0, at(now)), said);
    }
}
