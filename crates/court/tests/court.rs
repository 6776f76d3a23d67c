//! The court with a store in memory: what the simulation found, one by one.

use court::court::Court;
use court::settings::Settings;
use model::block::{Because, Block, BlockId, Change, Effect, Expiry, Fault, Installed, Outcome, Scope, State};
use model::decision::{ExemptReason, Exemption};
use model::event::{Act, Event, Origin, Probe, Repeated, Report, RuleId, TcpFlags, Trust};
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::offence::Charge;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use store::Store;
use store::entry::{Entry, Turn};

fn at(secs: u64) -> Time {
    Time::from_secs(1_700_000_000 + secs)
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn court(path: &Path, now: Time) -> Court {
    Court::new(Settings::default(), Store::open(path).unwrap(), None, 1, now)
}

/// A scan with proof, by this address.
fn scan(court: &mut Court, actor: &str, now: Time) {
    let actor: IpAddr = actor.parse().unwrap();
    let events: Vec<Event> = (0..20)
        .map(|n| {
            let flags = TcpFlags(TcpFlags::SYN);
            let style = flags.style();
            let act = Act::Probe(Probe {
                protocol: Protocol::TCP,
                source_port: None,
                port: Some(n),
                flags: Some(flags),
                icmp: None,
                style,
                hops: None,
            });
            let target = Some(Ipv4Addr::new(192, 168, 0, 1).into());
            Event { at: now, origin: Origin::default(), actor, target, act, trust: Trust::Handshake, times: 1 }
        })
        .collect();
    court.observe(&events, now);
}

/// All changes are made.
fn confirm(court: &mut Court, changes: &[Change], now: Time) {
    let done = |change: &Change| match change {
        Change::Add { .. } => Outcome::Added,
        Change::Remove { .. } => Outcome::Removed,
    };
    court.outcomes(&changes.iter().map(|change| (change.id(), done(change))).collect::<Vec<_>>(), now);
}

fn one_blocked(path: &Path, now: Time) -> Court {
    let mut court = court(path, now);
    court.installed(&[], true, now);
    scan(&mut court, "203.0.113.9", now);
    let changes = court.commit(now);
    confirm(&mut court, &changes, now);
    assert!(court.settle(now));
    court
}

#[test]
fn an_operators_word_holds_even_if_the_judge_dies_over_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = one_blocked(&path, at(0));
    assert_eq!(before.unblock(prefix("203.0.113.9"), at(1)), 1);
    // Nothing is committed or settled any more.
    drop(before);
    let mut after = court(&path, at(2));
    assert_eq!(after.judge.standing().count(), 0);
    assert_eq!(after.block(prefix("198.51.100.7"), Expiry::Never, String::new(), at(3)).unwrap(), 1);
    drop(after);
    assert_eq!(court(&path, at(4)).judge.standing().count(), 1);
}

#[test]
fn a_restart_forgets_neither_strike_nor_grounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    scan(&mut before, "203.0.113.9", at(0));
    // Handed over, but what `settle` writes is lost.
    before.commit(at(0));
    let standing: Vec<_> = before.judge.standing().collect();
    drop(before);
    let mut after = court(&path, at(1));
    assert_eq!(after.judge.standing().collect::<Vec<_>>(), standing);
    assert_eq!(after.judge.strikes().map(|strike| strike.count).collect::<Vec<_>>(), [1]);
    after.settle(at(1));
    assert_eq!(after.store().load_strikes().unwrap().len(), 1);
    // An operator takes it over: so it is the operator's after the next restart, too.
    after.block(prefix("203.0.113.9"), Expiry::Never, "mine".into(), at(2)).unwrap();
    let standing: Vec<_> = after.judge.standing().collect();
    drop(after);
    assert_eq!(court(&path, at(3)).judge.standing().collect::<Vec<_>>(), standing);
}

#[test]
fn a_clock_set_back_lengthens_no_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let day = 86_400;
    let mut court_before = one_blocked(&path, at(2 * day));
    let block = court_before.judge.standing().next().unwrap();
    let Expiry::At(end) = block.expiry else { panic!("not by itself") };
    let whole = end.since(block.made);
    // The table is made anew before the judge knows of the clock.
    court_before.rebuilt(at(day));
    let changes = court_before.commit(at(day));
    let Some(Change::Add { expiry: Expiry::At(end), .. }) = changes.first() else { panic!("{changes:?}") };
    assert!(end.since(at(day)) <= whole);
    drop(court_before);
    // And set back once more, while no judge looks.
    let after = court(&path, at(0));
    let block = after.judge.standing().next().unwrap();
    let Expiry::At(end) = block.expiry else { panic!("not by itself") };
    assert!(end.since(at(0)) <= whole, "{block:?}");
}

#[test]
fn a_clock_that_was_set_is_in_the_ledger_at_once_and_the_kernel_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let (day, set) = (Duration::from_secs(86_400), 86_401);
    let mut before = one_blocked(&path, at(0));
    before.block(prefix("198.51.100.0/24"), Expiry::At(at(600)), String::new(), at(0)).unwrap();
    let changes = before.commit(at(0));
    confirm(&mut before, &changes, at(0));
    before.clock_set(day, true, at(set));
    // What is on its way to the kernel gets its time-out by the new clock; and ranges are cut by their ends.
    assert!(before.wants_resync());
    assert!(matches!(before.commit(at(set))[..], [Change::Add { expiry: Expiry::At(end), .. }] if end == at(86_400 + 600)));
    drop(before);
    let ends: Vec<_> = court(&path, at(set)).judge.standing().map(|block| block.expiry).collect();
    assert_eq!(ends.len(), 2, "a judge that died right then has lost none");
    assert!(ends.iter().all(|end| !end.is_over(at(set))));
}

#[test]
fn who_becomes_exempt_before_the_block_is_sent_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = court(&folder.path().join("riposte.db"), at(0));
    scan(&mut court, "203.0.113.9", at(0));
    court.derived(vec![Exemption { prefix: prefix("203.0.113.9"), reason: ExemptReason::Admin }], at(0));
    assert!(court.commit(at(0)).iter().all(|change| matches!(change, Change::Remove { .. })));
}

#[test]
fn what_failed_to_be_set_again_stays_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = one_blocked(&folder.path().join("riposte.db"), at(0));
    court.rebuilt(at(1));
    let changes = court.commit(at(1));
    court.outcomes(&[(changes[0].id(), Outcome::Failed(Fault::Refused))], at(1));
    assert_eq!(court.judge.standing().count(), 1);
    assert!(court.wants_resync());
    court.resync_begins();
    court.installed(&[], true, at(31));
    assert!(matches!(court.commit(at(31))[..], [Change::Add { id: BlockId(1), .. }]));
}

#[test]
fn a_kernel_without_memory_gets_the_new_block_again_and_that_is_told_until_it_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut court = court(&path, at(0));
    court.installed(&[], true, at(0));
    scan(&mut court, "203.0.113.9", at(0));
    let mut changes = court.commit(at(0));
    for secs in [1, 31, 61] {
        court.outcomes(&[(changes[0].id(), Outcome::Failed(Fault::Memory))], at(secs));
        assert_eq!(court.judge.standing().count(), 1);
        let refusing = court.refusing.as_ref().unwrap();
        assert_eq!((refusing.since, refusing.why.as_str()), (at(1), "the kernel is out of memory"));
        assert!(court.wants_resync());
        court.resync_begins();
        court.installed(&[], true, at(secs + 1));
        changes = court.commit(at(secs + 1));
        assert!(matches!(changes[..], [Change::Add { id: BlockId(1), .. }]), "{changes:?}");
    }
    confirm(&mut court, &changes, at(62));
    assert!(court.refusing.is_none() && !court.wants_resync() && court.settle(at(62)));
    let mut states = Vec::new();
    court.store().for_each_live(at(62), |_, state| states.push(state)).unwrap();
    assert_eq!(states, [State::Active]);
    // One that is refused for another reason is given up, as before.
    scan(&mut court, "203.0.113.10", at(63));
    let changes = court.commit(at(63));
    court.outcomes(&[(changes[0].id(), Outcome::Failed(Fault::Full))], at(63));
    assert_eq!((court.judge.standing().count(), court.refusing.is_some()), (1, true));
}

#[test]
fn a_removal_that_failed_is_owed_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = one_blocked(&folder.path().join("riposte.db"), at(0));
    court.unblock(prefix("203.0.113.9"), at(1));
    let changes = court.commit(at(1));
    court.outcomes(&[(changes[0].id(), Outcome::Failed(Fault::Refused))], at(1));
    for secs in [31, 61] {
        assert!(court.wants_resync());
        court.resync_begins();
        // The list shows nothing of it.
        court.installed(&[], true, at(secs));
        let changes = court.commit(at(secs));
        assert!(matches!(changes[..], [Change::Remove { id: BlockId(1), .. }]), "{changes:?}");
        let outcome = if secs == 31 { Outcome::Failed(Fault::Refused) } else { Outcome::Removed };
        court.outcomes(&[(changes[0].id(), outcome)], at(secs));
    }
    assert!(!court.wants_resync());
}

#[test]
fn a_kernel_that_cannot_tell_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = one_blocked(&folder.path().join("riposte.db"), at(0));
    court.want_resync();
    court.resync_begins();
    court.rebuilt(at(1));
    assert!(court.wants_resync(), "the answer was no list");
    court.resync_begins();
    court.installed(&[], true, at(31));
    court.rebuilt(at(40));
    assert!(!court.wants_resync(), "nobody had asked");
}

#[test]
fn a_lost_ledger_takes_over_what_stands_once_and_never_what_an_operator_has_lifted() {
    let scope = Scope::Source(prefix("203.0.113.9"));
    let item = Installed { scope, expiry: Expiry::At(at(600)) };
    let store = Store::open_in_memory().unwrap();
    let mut court = Court::new(Settings::default(), store, Some("lost".into()), 1, at(0));
    court.installed(&[item], true, at(0));
    let adopted: Vec<_> = court.judge.standing().collect();
    assert_eq!(adopted.iter().map(|block| &block.because).collect::<Vec<_>>(), [&Because::Adopted], "nobody's order");
    court.commit(at(0));
    assert!(court.settle(at(0)));
    // The ledger says the same, and the history how it came.
    assert_eq!(court.store().live(at(0)).unwrap(), adopted);
    let story = court.store().story("203.0.113.9".parse().unwrap(), at(0), 9).unwrap();
    assert!(matches!(story.entries[..], [Entry::Turned { turn: Turn::Adopted, .. }]), "{story:?}");
    court.unblock(prefix("203.0.113.9"), at(1));
    court.want_resync();
    court.resync_begins();
    // It was listed before the removal was done.
    court.installed(&[item], true, at(2));
    assert_eq!(court.judge.standing().count(), 0);
}

#[test]
fn a_late_answer_about_a_lifted_block_is_no_illegal_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = court(&folder.path().join("riposte.db"), at(0));
    scan(&mut court, "203.0.113.9", at(0));
    let changes = court.commit(at(0));
    court.unblock(prefix("203.0.113.9"), at(1));
    confirm(&mut court, &changes, at(1));
    assert!(court.settle(at(1)));
    assert_eq!(court.tallies.illegal, 0);
    assert_eq!(court.store().counts().in_state(State::Lifted), 1);
}

#[test]
fn a_restart_gives_no_new_budget() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut settings = Settings::default();
    settings.policy.blocks_per_minute = 2;
    let start = |now| Court::new(settings.clone(), Store::open(&path).unwrap(), None, 1, now);
    let mut before = start(at(0));
    scan(&mut before, "203.0.113.1", at(0));
    scan(&mut before, "203.0.113.2", at(0));
    before.commit(at(0));
    drop(before);
    let mut after = start(at(30));
    scan(&mut after, "203.0.113.3", at(30));
    assert_eq!(after.judge.standing().count(), 2);
    // What was made a while ago counts as made at the restart.
    let later = at(30).after(Duration::from_secs(61));
    scan(&mut after, "203.0.113.4", later);
    assert_eq!(after.judge.standing().count(), 3);
}

#[test]
fn a_dry_run_keeps_nobody_blocked_whom_it_could_not_lift() {
    let scope = Scope::Source(prefix("203.0.113.9"));
    let item = Installed { scope, expiry: Expiry::Never };
    let mut settings = Settings::default();
    settings.policy.dry_run = true;
    let mut court = Court::new(settings, Store::open_in_memory().unwrap(), Some("lost".into()), 1, at(0));
    let removal = [Change::Remove { id: BlockId(0), scope }];
    court.installed(&[item], true, at(0));
    assert_eq!((court.judge.standing().count(), court.commit(at(0))), (0, removal.to_vec()));
    // Nor does a rehearsal for the same address hide it.
    scan(&mut court, "203.0.113.9", at(1));
    assert_eq!((court.judge.standing().count(), court.commit(at(1))), (1, Vec::new()));
    court.installed(&[item], true, at(2));
    assert_eq!((court.judge.standing().count(), court.commit(at(2))), (1, removal.to_vec()));
}

#[test]
fn an_allowance_that_ends_is_told_to_whoever_holds_a_list_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut court = court(&folder.path().join("riposte.db"), at(0));
    court.allow(prefix("203.0.113.9"), Some(at(60)), at(0)).unwrap();
    court.tick(at(59));
    assert!(!court.allowed_again);
    court.tick(at(60));
    assert!(court.allowed_again);
}

#[test]
fn an_allowance_that_is_over_stays_over_when_the_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let allowed = prefix("203.0.113.9");
    let mut before = court(&path, at(0));
    before.allow(allowed, Some(at(60)), at(0)).unwrap();
    before.tick(at(60));
    assert!(before.has_work() && before.settle(at(60)));
    drop(before);
    // Nothing has been tidied, and the clock was set back while nobody looked.
    assert!(court(&path, at(10)).judge.allowed().is_empty());
    // One that is over when a judge starts is over, too.
    let mut before = court(&path, at(10));
    before.allow(allowed, Some(at(60)), at(10)).unwrap();
    drop(before);
    assert!(court(&path, at(70)).settle(at(70)));
    assert!(court(&path, at(20)).judge.allowed().is_empty());
    // And one that is given again after it was over holds.
    let mut before = court(&path, at(20));
    before.allow(allowed, Some(at(60)), at(20)).unwrap();
    before.allow(allowed, Some(at(90)), at(60)).unwrap();
    assert!(before.settle(at(60)));
    drop(before);
    assert_eq!(court(&path, at(60)).judge.allowed(), [(allowed, Some(at(90)))]);
}

#[test]
fn an_answer_to_a_dead_judges_removal_answers_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    scan(&mut before, "203.0.113.9", at(0));
    let ids: Vec<BlockId> = before.commit(at(0)).iter().map(Change::id).collect();
    drop(before);
    // It had lifted the block, too, and could not write that down any more.
    let mut after = court(&path, at(1));
    after.outcomes(&[(ids[0], Outcome::Removed)], at(1));
    after.installed(&[], true, at(1));
    let changes = after.commit(at(1));
    confirm(&mut after, &changes, at(1));
    assert!(after.settle(at(1)));
    assert_eq!(after.store().counts().in_state(State::Active), 1);
}

#[test]
fn a_block_whose_end_the_ledger_missed_takes_no_younger_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let scope = Scope::Source(prefix("203.0.113.9"));
    let block = |id, until| {
        let because = Because::Operator { note: String::new() };
        Block { id: BlockId(id), scope, effect: Effect::Drop, made: at(0), expiry: Expiry::At(at(until)), because }
    };
    // The disk was full when the first ended; then the clock was set back.
    Store::open(&path).unwrap().want(&[block(1, 600), block(2, 300)]).unwrap();
    let mut court = court(&path, at(100));
    assert_eq!(court.judge.standing().collect::<Vec<_>>(), [block(2, 300)]);
    assert_eq!(court.commit(at(100)), [], "what stands is not taken out");
    assert!(court.settle(at(100)));
    assert_eq!(court.store().live(at(100)).unwrap(), [block(2, 300)]);
}

#[test]
fn a_rules_name_and_the_line_that_decided_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    before.installed(&[], true, at(0));
    let rule = before.rule("sshd");
    let actor: IpAddr = "203.0.113.9".parse().unwrap();
    let report = Report { rule, level: DangerLevel::MIN, lines: 5, wished: Some(Duration::from_secs(900)), repeated: Repeated::default() };
    let act = Act::Reported(report);
    let event = Event { at: at(0), origin: Origin::default(), actor, target: None, act, trust: Trust::Vouched, times: 1 };
    let line = "Failed password for x\u{1b}[2J from 203.0.113.9 port 22 ssh2";
    before.reported(&event, "/var/log/auth.log", line, at(0));
    let changes = before.commit(at(0));
    assert_eq!(changes, [Change::Add { id: BlockId(1), scope: Scope::Source(prefix("203.0.113.9")), expiry: Expiry::At(at(900)) }]);
    assert!(before.settle(at(0)));
    // The same again is no news, and leaves the line that decided.
    before.reported(&event, "/var/log/other.log", "another line", at(1));
    assert!(!before.has_work());
    drop(before);

    let mut after = court(&path, at(2));
    assert_eq!((after.rule_name(rule), after.store().load_rules().unwrap().len()), (Some("sshd"), 1));
    assert_eq!((after.rule("sshd"), after.rule("nginx") == rule), (rule, false));
    let block = after.judge.block_of(BlockId(1)).unwrap();
    assert!(matches!(block.because, Because::Offence { charge: Charge::Rule, rule: Some(kept), .. } if kept == rule));
    let story = after.store().story(actor, at(2), 10).unwrap();
    let quote = story.quote.unwrap();
    assert_eq!((quote.log.as_str(), quote.at), ("/var/log/auth.log", at(0)));
    assert_eq!(quote.line, "Failed password for x\u{fffd}[2J from 203.0.113.9 port 22 ssh2");
    let [store::entry::Entry::Judged { offence, .. }] = story.entries[..] else { panic!("{:?}", story.entries) };
    assert_eq!((offence.rule, offence.wished, offence.evidence.packets), (Some(rule), Some(Duration::from_secs(900)), 5));
}

#[test]
fn a_report_about_somebody_exempt_blocks_nobody() {
    let mut court = Court::new(Settings::default(), Store::open_in_memory().unwrap(), None, 1, at(0));
    court.derived(vec![Exemption { prefix: prefix("203.0.113.0/24"), reason: ExemptReason::Configured }], at(0));
    let report = Report { rule: RuleId(1), level: DangerLevel::MAX, lines: 99, wished: None, repeated: Repeated::default() };
    let actor = "203.0.113.9".parse().unwrap();
    let act = Act::Reported(report);
    let event = Event { at: at(0), origin: Origin::default(), actor, target: None, act, trust: Trust::Vouched, times: 1 };
    court.reported(&event, "auth.log", "line", at(0));
    assert_eq!((court.commit(at(0)), court.judge.standing().count()), (Vec::new(), 0));
}
