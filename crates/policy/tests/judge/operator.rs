//! Orders, allowances, dry run, reload and restart.

use crate::support::{Firewall, at, level, offence, order, prefix, words};
use model::block::{Because, BlockId, Change, Expiry, Scope};
use model::decision::{Decision, ExemptReason, Exemption};
use model::event::Trust;
use model::limits;
use model::net::Prefix;
use policy::config::PolicyConfig;
use policy::escalate::Strike;
use policy::judge::Judge;
use policy::ruling::{Lift, Refusal, Ruling};
use std::net::Ipv4Addr;

fn judged(judge: &mut Judge, who: &str, n: u8, trust: Trust, now: u64) -> (String, Ruling) {
    let (decision, ruling) = judge.judge(&offence(prefix(who), n, trust, at(now)), at(now));
    (words(&decision, at(now)), ruling)
}

#[test]
fn an_order_is_refused_only_with_a_reason() {
    let config = PolicyConfig { exempt: vec![prefix("198.51.100.0/24")], ..PolicyConfig::default() };
    let mut judge = Judge::new(config);
    let by = |text: &str, reason| Exemption { prefix: prefix(text), reason };
    let table = [
        ("198.51.100.7", Refusal::Exempt(by("198.51.100.0/24", ExemptReason::Configured))),
        ("198.51.0.0/16", Refusal::ExemptInside(by("198.51.100.0/24", ExemptReason::Configured))),
        ("0.0.0.0/0", Refusal::ExemptInside(by("0.0.0.0/8", ExemptReason::Reserved))),
        ("::1", Refusal::Exempt(by("::1", ExemptReason::Reserved))),
        ("2001:500::/32", Refusal::ExemptInside(by("2001:500:1::53", ExemptReason::RootServer))),
    ];
    for (who, refusal) in table {
        assert_eq!(judge.block(prefix(who), Expiry::Never, String::new(), at(0)), Err(refusal), "{who}");
    }
    assert_eq!(judge.block(prefix("192.0.2.1"), Expiry::At(at(5)), String::new(), at(5)), Err(Refusal::Past));
    assert_eq!(judge.allow(prefix("192.0.2.1"), Some(at(5)), at(5)), Err(Refusal::Past));
    assert_eq!(Refusal::Exempt(by("::1", ExemptReason::Reserved)).to_string(), "::1 is exempt: reserved address");
}

#[test]
fn an_order_makes_a_standing_block_its_own() {
    let mut judge = Judge::new(PolicyConfig::default());
    assert_eq!(judged(&mut judge, "192.0.2.1", 5, Trust::Handshake, 0).0, "block 86400");
    let ruling = judge.block(prefix("192.0.2.1"), Expiry::At(at(100)), "shorter".into(), at(1)).unwrap();
    assert_eq!((ruling.made.len(), ruling.extended[0].id, ruling.extended[0].expiry), (0, BlockId(1), Expiry::At(at(100))));
    assert_eq!(ruling.extended[0].because, Because::Operator { note: "shorter".into() });
    // An offence does not move what an operator has set.
    assert_eq!(judged(&mut judge, "192.0.2.1", 5, Trust::Handshake, 2).0, "watch standing");
    // The block has ended, and nobody has called `expire`: a new order is a new block.
    let ruling = judge.block(prefix("192.0.2.1"), Expiry::Never, String::new(), at(100)).unwrap();
    assert_eq!((ruling.expired, ruling.made[0].id), (vec![(BlockId(1), prefix("192.0.2.1"), None)], BlockId(2)));
    assert_eq!(judge.next_expiry(), None);
}

#[test]
fn unblocking_lifts_what_lies_inside_and_forgives() {
    let mut judge = Judge::new(PolicyConfig::default());
    for who in ["192.0.2.1", "192.0.2.2", "192.0.3.1"] {
        assert_eq!(judged(&mut judge, who, 1, Trust::Handshake, 0).0, "block 600");
    }
    order(&mut judge, prefix("192.0.2.0/24"), Expiry::Never, at(0));
    assert!(judge.unblock(prefix("192.0.2.3"), at(1)).changes.is_empty());
    let ruling = judge.unblock(prefix("192.0.2.1"), at(1));
    assert_eq!(ruling.changes, [Change::Remove { id: BlockId(1), scope: Scope::Source(prefix("192.0.2.1")) }]);
    // The wider block still covers it.
    assert_eq!(judge.standing_for("192.0.2.1".parse().unwrap()).map(|block| block.id), Some(BlockId(4)));
    let ruling = judge.unblock(prefix("192.0.2.0/24"), at(1));
    assert_eq!(ruling.lifted.iter().map(|lifted| lifted.id.0).collect::<Vec<_>>(), [4, 2]);
    assert!(ruling.lifted.iter().all(|lifted| lifted.why == Lift::Operator));
    assert_eq!(judged(&mut judge, "192.0.2.1", 1, Trust::Handshake, 2).0, "block 600");
    assert_eq!(judge.unblock(prefix("10.0.0.0/8"), at(3)), Ruling::default());
}

#[test]
fn an_allowance_lifts_what_it_touches_and_ends() {
    let mut judge = Judge::new(PolicyConfig::default());
    for who in ["192.0.2.1", "192.0.2.0/24", "192.0.3.1"] {
        assert_eq!(judged(&mut judge, who, 1, Trust::Handshake, 0).0, "block 600");
    }
    // A block of a prefix that holds the allowed address goes as well.
    let ruling = judge.allow(prefix("192.0.2.1"), Some(at(50)), at(1)).unwrap();
    assert_eq!(ruling.lifted.iter().map(|lifted| (lifted.id.0, lifted.why)).collect::<Vec<_>>(), {
        let why = Lift::Exempt(ExemptReason::Allowed);
        [(2, why), (1, why)]
    });
    assert_eq!((ruling.changes.len(), judge.next_expiry()), (2, Some(at(50))));
    assert_eq!(judge.allowed(), [(prefix("192.0.2.1"), Some(at(50)))]);
    assert_eq!(judge.is_exempt(&prefix("192.0.2.1")), Some(ExemptReason::Allowed));
    assert_eq!(judged(&mut judge, "192.0.2.1", 1, Trust::Handshake, 49).0, "exempt allowed by an operator");
    assert_eq!(judged(&mut judge, "192.0.2.1", 1, Trust::Handshake, 50).0, "block 600");
    assert!(judge.allowed().is_empty() && !judge.disallow(prefix("192.0.2.1")));
}

#[test]
fn a_new_gateway_is_released_at_once() {
    let (mut judge, mut firewall) = (Judge::new(PolicyConfig::default()), Firewall::default());
    for who in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let ruling = judged(&mut judge, who, 1, Trust::Spoofable, 0).1;
        firewall.apply(&judge, &ruling);
    }
    let gateway = |text: &str| Exemption { prefix: prefix(text), reason: ExemptReason::Gateway };
    let ruling = judge.set_exemptions(vec![gateway("192.0.2.1"), gateway("2001:db8::1")], at(1));
    firewall.apply(&judge, &ruling);
    firewall.agrees(&judge, at(1));
    assert_eq!(firewall.set.keys().copied().collect::<Vec<_>>(), [prefix("192.0.2.2")]);
    // The same list again changes nothing; without the entry the address counts like any other.
    assert!(judge.set_exemptions(vec![gateway("192.0.2.1")], at(2)).changes.is_empty());
    assert_eq!(judged(&mut judge, "2001:db8::1", 1, Trust::Spoofable, 3).0, "block 600");
    assert_eq!(judge.exemptions().iter().filter(|exemption| exemption.reason == ExemptReason::Gateway).count(), 1);
}

#[test]
fn a_dry_run_decides_and_changes_nothing() {
    let (dry, wet) = (PolicyConfig { dry_run: true, ..PolicyConfig::default() }, PolicyConfig::default());
    let mut judge = Judge::new(wet.clone());
    assert_eq!(judged(&mut judge, "192.0.2.1", 1, Trust::Handshake, 0).1.changes.len(), 1);
    assert!(judge.reconfigure(dry.clone(), at(1)).changes.is_empty());
    let (words, ruling) = judged(&mut judge, "192.0.2.2", 1, Trust::Handshake, 1);
    assert_eq!(
        (words.as_str(), ruling.dry_run, ruling.made.len(), ruling.strikes.len(), ruling.changes.len()),
        ("block 600", true, 1, 1, 0)
    );
    let ruling = judge.block(prefix("192.0.2.3"), Expiry::Never, String::new(), at(1)).unwrap();
    assert!(ruling.dry_run && ruling.changes.is_empty() && judge.is_rehearsed(ruling.made[0].id));
    assert_eq!(judged(&mut judge, "192.0.2.2", 2, Trust::Handshake, 2).1.changes, []);
    // What stands in earnest stays as it is, but can be lifted.
    assert_eq!(judged(&mut judge, "192.0.2.1", 2, Trust::Handshake, 2).0, "watch standing");
    assert_eq!(judge.block(prefix("192.0.2.1"), Expiry::Never, String::new(), at(2)), Err(Refusal::DryRun));
    assert!(!judge.is_rehearsed(BlockId(1)));
    assert_eq!(judge.unblock(prefix("192.0.2.1"), at(2)).changes.len(), 1);
    // In earnest again: what was only rehearsed is gone, with its strikes, and the firewall hears nothing of it.
    let ruling = judge.reconfigure(wet, at(3));
    assert_eq!(ruling.lifted.iter().map(|lifted| lifted.why).collect::<Vec<_>>(), [Lift::Rehearsal; 2]);
    assert!(ruling.changes.is_empty() && !ruling.dry_run && judge.standing().next().is_none() && judge.strikes().next().is_none());
    assert_eq!(judged(&mut judge, "192.0.2.2", 1, Trust::Handshake, 4).1.changes.len(), 1);
}

#[test]
fn a_reload_keeps_what_is_remembered() {
    let mut judge = Judge::new(PolicyConfig::default());
    for who in ["192.0.2.1", "198.51.100.1"] {
        assert_eq!(judged(&mut judge, who, 1, Trust::Handshake, 0).0, "block 600");
    }
    let config = PolicyConfig { exempt: vec![prefix("192.0.2.0/24")], blocks_total: 1, ..PolicyConfig::default() };
    let ruling = judge.reconfigure(config, at(1));
    assert_eq!(ruling.lifted.iter().map(|lifted| lifted.why).collect::<Vec<_>>(), [Lift::Exempt(ExemptReason::Configured)]);
    assert_eq!(judged(&mut judge, "203.0.113.1", 1, Trust::Handshake, 1).0, "refuse total");
    assert_eq!(judged(&mut judge, "198.51.100.1", 1, Trust::Handshake, 600).0, "block 1200");
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let mut before = Judge::new(PolicyConfig::default());
    assert_eq!(judged(&mut before, "192.0.2.9", 1, Trust::Handshake, 0).0, "block 600");
    assert_eq!(before.expire(at(600)).expired, [(BlockId(1), prefix("192.0.2.9"), Some(level(1)))]);
    for (who, trust) in [("192.0.2.1", Trust::Spoofable), ("192.0.2.2", Trust::Handshake), ("192.0.2.9", Trust::Handshake)] {
        assert!(judged(&mut before, who, 1, trust, 600).0.starts_with("block"));
    }
    order(&mut before, prefix("198.51.100.0/24"), Expiry::Never, at(600));
    order(&mut before, prefix("203.0.113.0/24"), Expiry::Never, at(600));

    let config = PolicyConfig { exempt: vec![prefix("192.0.2.2"), prefix("203.0.113.128/25")], ..PolicyConfig::default() };
    let mut after = Judge::new(config);
    let back = after.restore(before.standing().collect(), before.strikes().collect(), BlockId(17));
    let exempt = |text: &str| Exemption { prefix: prefix(text), reason: ExemptReason::Configured };
    assert_eq!(
        back.iter().map(|(block, refusal)| (block.id.0, *refusal)).collect::<Vec<_>>(),
        [(3, Refusal::Exempt(exempt("192.0.2.2"))), (6, Refusal::ExemptInside(exempt("203.0.113.128/25"))),]
    );
    let kept: Vec<_> = before.standing().filter(|block| ![3, 6].contains(&block.id.0)).collect();
    assert_eq!(after.standing().collect::<Vec<_>>(), kept);
    assert_eq!((after.counters().standing_forgeable, after.counters().standing), (1, 3));
    // Numbers are never used again, not even those that the ledger no longer lists.
    let (decision, _) = after.judge(&offence(prefix("192.0.2.50"), 1, Trust::Handshake, at(601)), at(601));
    assert!(matches!(decision, Decision::Block(block) if block.id == BlockId(18)));
    // Two strikes from before.
    assert_eq!(after.expire(at(1_800)).expired.len(), 3);
    assert_eq!(judged(&mut after, "192.0.2.9", 1, Trust::Handshake, 1_800).0, "block 2400");
}

#[test]
fn allowances_and_strikes_are_bounded() {
    let mut judge = Judge::new(PolicyConfig::default());
    let host = |n: usize| Prefix::host(Ipv4Addr::from(0x0a00_0000 + n as u32).into());
    let stored = (0..limits::STRIKES + 5).map(|n| Strike { prefix: host(n), count: 1, last: at(n as u64) }).collect();
    assert!(judge.restore(Vec::new(), stored, BlockId(0)).is_empty());
    assert_eq!((judge.counters().strikes, judge.counters().strikes_forgotten), (limits::STRIKES, 5));
    let derived = (0..limits::DERIVED + 3).map(|n| Exemption { prefix: host(n), reason: ExemptReason::Own }).collect();
    assert!(judge.set_exemptions(derived, at(0)).changes.is_empty());
    assert_eq!(judge.counters().exemptions_dropped, 3);
}
