//! Responses beside a block, by a scripted clock: what is run, what never is, and that everything is undone.

use court::court::Court;
use court::court::responses::{Response, Wanted, With};
use court::settings::Settings;
use model::block::{Change, Expiry, Installed, Outcome};
use model::event::{Act, Event, Origin, Repeated, Report, RuleId, TcpFlags, Touch, Trust};
use model::level::DangerLevel;
use model::net::{Prefix, Protocol};
use model::response::{Order, Ran, ResponseId, RunId, UserName};
use model::style::Style;
use model::time::Time;
use std::path::Path;
use std::time::Duration;
use store::Store;
use store::entry::Entry;
use store::history::HistoryQuery;

const WHOM: &str = "203.0.113.9";

fn at(secs: u64) -> Time {
    Time::from_secs(1_700_000_000 + secs)
}

fn settings() -> Settings {
    let response = |name: &str, with_blocks, wants_user| Response {
        name: name.into(),
        with: if with_blocks { With::Blocks } else { With::Rules },
        first: None,
        undone: true,
        wants_user,
        stands: None,
        per_minute: 3,
    };
    let mut settings = Settings {
        responses: vec![response("script", false, false), response("lock", false, true), response("with", true, false)],
        ..Settings::default()
    };
    settings.policy.exempt = vec!["192.0.2.0/24".parse().unwrap()];
    settings
}

fn court(path: &Path, now: Time) -> Court {
    Court::new(settings(), Store::open(path).unwrap(), None, 1, now)
}

fn in_memory() -> Court {
    Court::new(settings(), Store::open_in_memory().unwrap(), None, 1, at(0))
}

fn event(whom: &str, trust: Trust, now: Time) -> Event {
    let report = Report { rule: RuleId(0), level: DangerLevel::MAX, lines: 5, wished: None, repeated: Repeated::default() };
    Event { at: now, origin: Origin::default(), actor: whom.parse().unwrap(), target: None, act: Act::Reported(report), trust, times: 1 }
}

fn wanted(response: u8, secs: Option<u64>) -> Wanted {
    Wanted {
        response: ResponseId(response),
        user: None,
        rule: Some(5_712),
        stands: secs.map(Duration::from_secs),
        repeated: Repeated::default(),
    }
}

/// Asks, and what is to be run then.
fn ask(court: &mut Court, whom: &str, wanted: Wanted, now: Time) -> Vec<Order> {
    court.asked(&event(whom, Trust::Vouched, now), wanted, ("auth.log", "a line"), now);
    court.orders(now)
}

fn kinds(orders: &[Order]) -> Vec<(bool, String)> {
    orders.iter().map(|order| (order.add, order.address.to_string())).collect()
}

fn told(court: &Court, whom: &str) -> Vec<(bool, Ran)> {
    let query = HistoryQuery { whom: Some(whom.parse::<Prefix>().unwrap()), limit: 100, ..HistoryQuery::default() };
    let entries = court.store().history(&query).unwrap().into_iter().rev();
    entries.filter_map(|entry| if let Entry::Responded { add, ran, .. } = entry { Some((add, ran)) } else { None }).collect()
}

#[test]
fn a_response_is_undone_when_its_time_is_over_and_not_before() {
    let mut court = in_memory();
    let orders = ask(&mut court, WHOM, wanted(0, Some(600)), at(0));
    assert_eq!((kinds(&orders), orders[0].ground.rule), (vec![(true, WHOM.into())], Some(5_712)));
    court.ran(&[(orders[0].run, Ran::Done)], at(1));
    // Once more is no second run: its time begins anew.
    assert_eq!(ask(&mut court, WHOM, wanted(0, Some(600)), at(500)), []);
    assert_eq!((court.orders(at(1_099)), court.next_run()), (vec![], Some(at(1_100))));
    let undone = court.orders(at(1_100));
    assert_eq!((kinds(&undone), undone[0].run), (vec![(false, WHOM.into())], orders[0].run));
    assert_eq!(court.orders(at(1_101)), []);
    court.ran(&[(undone[0].run, Ran::Done)], at(1_102));
    assert_eq!((court.response_tallies().1, court.next_run()), (0, None));
    assert!(court.settle(at(1_102)));
    assert_eq!(told(&court, WHOM), [(true, Ran::Done), (false, Ran::Done)]);
    let quote = court.store().story(WHOM.parse().unwrap(), at(1_102), 9).unwrap().quote;
    assert_eq!(quote.map(|quote| (quote.log, quote.line)), Some(("auth.log".into(), "a line".into())));
}

#[test]
fn nobody_exempt_nothing_forgeable_and_no_more_than_the_cap() {
    let mut court = in_memory();
    assert_eq!(ask(&mut court, "192.0.2.7", wanted(0, Some(600)), at(0)), []);
    court.asked(&event(WHOM, Trust::Spoofable, at(0)), wanted(0, Some(600)), ("", ""), at(0));
    // One that wants a user and is told none; one that there is not; one that is long over.
    assert_eq!([ask(&mut court, WHOM, wanted(1, Some(600)), at(0)), ask(&mut court, WHOM, wanted(9, Some(600)), at(0))], [vec![], vec![]]);
    court.asked(&event(WHOM, Trust::Vouched, at(0)), wanted(0, Some(600)), ("", ""), at(601));
    assert_eq!(court.orders(at(601)), []);
    let run = |court: &mut Court, n: u64, now| ask(court, &format!("203.0.113.{n}"), wanted(0, Some(6_000)), at(now)).len();
    assert_eq!((1..=5).map(|n| run(&mut court, n, 700)).sum::<usize>(), 3);
    assert_eq!(run(&mut court, 5, 759) + run(&mut court, 5, 761), 1, "a minute later there is room again");
    assert!(court.settle(at(761)));
    assert_eq!(told(&court, "192.0.2.7"), [(true, Ran::Exempt)]);
    assert_eq!(told(&court, "203.0.113.4"), [(true, Ran::TooMany)]);
    assert_eq!(court.response_tallies().0.refused, 8);
    // Who becomes exempt is let go at once: as soon as it is known that he was responded to.
    let runs: Vec<RunId> = court.runs_against("203.0.113.1".parse().unwrap()).map(|run| run.id).collect();
    court.ran(&[(runs[0], Ran::Done)], at(762));
    court.allow("203.0.113.1".parse().unwrap(), None, at(762)).unwrap();
    assert_eq!(kinds(&court.orders(at(762))), [(false, "203.0.113.1".into())]);
}

#[test]
fn a_restart_in_the_middle_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    let user = Wanted { user: UserName::new("bob"), ..wanted(1, Some(600)) };
    let orders = ask(&mut before, WHOM, user, at(0));
    assert_eq!(orders[0].user, UserName::new("bob"));
    // It dies before the answer: whether the program ran, nobody knows.
    drop(before);
    let mut after = court(&path, at(10));
    assert_eq!((after.orders(at(10)), after.next_run()), (vec![], Some(at(600))));
    drop(after);
    let mut late = court(&path, at(9_000));
    let undone = late.orders(at(9_000));
    assert_eq!((kinds(&undone), undone[0].run, undone[0].user.clone()), (vec![(false, WHOM.into())], orders[0].run, UserName::new("bob")));
    late.ran(&[(undone[0].run, Ran::Done)], at(9_001));
    late.orders(at(9_001));
    assert_eq!(late.store().load_runs().unwrap(), []);
    // A number is never given twice.
    assert!(ask(&mut late, WHOM, wanted(0, Some(600)), at(9_002))[0].run > orders[0].run);
}

#[test]
fn a_restart_while_it_is_undone_for_somebody_who_is_back_begins_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    let run = ask(&mut before, WHOM, wanted(0, Some(600)), at(0))[0].run;
    before.ran(&[(run, Ran::Done)], at(1));
    assert_eq!(kinds(&before.orders(at(600))), [(false, WHOM.into())]);
    assert_eq!(ask(&mut before, WHOM, wanted(0, Some(600)), at(601)), [], "it waits for the answer");
    drop(before);
    // Nobody knows whether it was undone: it is undone once more, and then begun again.
    let mut after = court(&path, at(602));
    let undone = after.orders(at(602));
    assert_eq!((kinds(&undone), undone[0].run), (vec![(false, WHOM.into())], run));
    after.ran(&[(run, Ran::Done)], at(603));
    let begun = after.orders(at(603));
    assert_eq!((kinds(&begun), begun[0].run > run), (vec![(true, WHOM.into())], true));
    after.ran(&[(begun[0].run, Ran::Done)], at(604));
    assert_eq!((after.orders(at(1_200)), after.next_run()), (vec![], Some(at(1_201))));
    // Not for whom an operator has let go meanwhile.
    assert_eq!(kinds(&after.orders(at(1_201))), [(false, WHOM.into())]);
    assert_eq!(ask(&mut after, WHOM, wanted(0, Some(600)), at(1_202)), []);
    after.unblock(WHOM.parse().unwrap(), at(1_203));
    drop(after);
    let mut last = court(&path, at(1_204));
    let undone = last.orders(at(1_204));
    assert_eq!(kinds(&undone), [(false, WHOM.into())]);
    last.ran(&[(undone[0].run, Ran::Done)], at(1_205));
    assert_eq!((last.orders(at(1_206)), last.store().load_runs().unwrap()), (vec![], vec![]));
}

#[test]
fn what_cannot_be_undone_is_tried_again_and_then_told() {
    let mut court = in_memory();
    let run = ask(&mut court, WHOM, wanted(0, Some(600)), at(0))[0].run;
    court.ran(&[(run, Ran::TimedOut)], at(1));
    let mut tries = Vec::new();
    for secs in 600..2_000 {
        for order in court.orders(at(secs)) {
            assert!(!order.add);
            tries.push(secs);
            court.ran(&[(order.run, Ran::Failed)], at(secs));
        }
    }
    assert_eq!(tries, [600, 610, 630, 670]);
    assert_eq!((court.response_tallies().0.left, court.response_tallies().1), (1, 0));
    // What was never begun, was there already or has nothing to undo is not undone.
    for ran in [Ran::NotStarted, Ran::Guarded, Ran::Exempt, Ran::Already, Ran::ForGood] {
        let run = ask(&mut court, WHOM, wanted(0, Some(600)), at(3_000 + 100 * ran as u64))[0].run;
        court.ran(&[(run, ran)], at(3_001));
        assert_eq!((court.orders(at(9_999)), court.response_tallies().1), (vec![], 0), "{ran:?}");
    }
    // Without a time it is for good.
    let run = ask(&mut court, WHOM, wanted(0, None), at(9_999))[0].run;
    court.ran(&[(run, Ran::Done)], at(9_999));
    assert_eq!(court.next_run(), None);
}

#[test]
fn no_delete_passes_its_add() {
    let mut court = in_memory();
    let run = ask(&mut court, WHOM, wanted(0, Some(600)), at(0))[0].run;
    court.unblock(WHOM.parse().unwrap(), at(1));
    assert_eq!((court.orders(at(1)), court.next_run()), (vec![], Some(at(1_800))));
    court.ran(&[(run, Ran::Done)], at(2));
    assert_eq!(kinds(&court.orders(at(2))), [(false, WHOM.into())]);
    // An answer that never comes, to that or to another's `add`, is not waited for for ever.
    ask(&mut court, "203.0.113.8", wanted(0, Some(600)), at(10));
    assert_eq!((court.orders(at(1_801)).len(), court.orders(at(1_810)).len()), (0, 2));
}

#[test]
fn what_goes_with_a_block_ends_with_it() {
    let mut court = in_memory();
    court.installed(&[], true, at(0));
    court.block(WHOM.parse().unwrap(), Expiry::At(at(600)), String::new(), at(0)).unwrap();
    let changes = court.commit(at(0));
    assert_eq!(court.orders(at(0)), [], "not before the kernel has it");
    let answers: Vec<_> = changes.iter().map(|change: &Change| (change.id(), Outcome::Added)).collect();
    court.outcomes(&answers, at(0));
    let orders = court.orders(at(0));
    assert_eq!(kinds(&orders), [(true, WHOM.into())]);
    court.ran(&[(orders[0].run, Ran::Done)], at(0));
    // Set again by a repair: no second run.
    court.outcomes(&answers, at(1));
    assert_eq!(court.orders(at(1)), []);
    court.block(WHOM.parse().unwrap(), Expiry::At(at(900)), String::new(), at(2)).unwrap();
    court.tick(at(600));
    assert_eq!(court.orders(at(600)), [], "the block was extended");
    court.tick(at(900));
    assert_eq!(kinds(&court.orders(at(900))), [(false, WHOM.into())]);
}

/// Blocks for ten minutes, as the kernel confirms; what is to be run then.
fn blocked(court: &mut Court, now: Time) -> Vec<Order> {
    court.block(WHOM.parse().unwrap(), Expiry::At(now.after(Duration::from_secs(600))), String::new(), now).unwrap();
    let answers: Vec<_> = court.commit(now).iter().map(|change| (change.id(), Outcome::Added)).collect();
    court.outcomes(&answers, now);
    court.orders(now)
}

#[test]
fn who_is_blocked_again_as_his_block_ends_is_responded_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut court = court(&path, at(0));
    court.installed(&[], true, at(0));
    let run = blocked(&mut court, at(0))[0].run;
    court.ran(&[(run, Ran::Done)], at(0));
    // The next block is there before anybody has looked whether the first is over: what stands goes on with it.
    court.tick(at(600));
    assert_eq!((blocked(&mut court, at(600)), court.response_tallies().0.renewed), (vec![], 1));
    // It comes while `delete` is on its way: `add` waits for the answer, whatever that is.
    court.tick(at(1_200));
    let undone = court.orders(at(1_200));
    assert_eq!((kinds(&undone), undone[0].run), (vec![(false, WHOM.into())], run));
    assert_eq!(blocked(&mut court, at(1_200)), []);
    court.ran(&[(run, Ran::Failed)], at(1_201));
    let orders = court.orders(at(1_201));
    assert_eq!(kinds(&orders), [(true, WHOM.into())]);
    court.ran(&[(orders[0].run, Ran::Done)], at(1_202));
    // And if that answer never comes.
    court.tick(at(1_800));
    assert_eq!((kinds(&court.orders(at(1_800))), blocked(&mut court, at(1_801))), (vec![(false, WHOM.into())], vec![]));
    court.block(WHOM.parse().unwrap(), Expiry::Never, String::new(), at(1_802)).unwrap();
    assert_eq!((court.orders(at(3_599)), kinds(&court.orders(at(3_600)))), (vec![], vec![(true, WHOM.into())]));
    let run = court.runs_against(WHOM.parse().unwrap()).map(|run| run.id).next().unwrap();
    court.ran(&[(run, Ran::Done)], at(3_601));
    // Blocked while it is tried once more to undo the first: a new run in its place.
    court.unblock(WHOM.parse().unwrap(), at(3_700));
    assert_eq!(kinds(&court.orders(at(3_700))), [(false, WHOM.into())]);
    court.ran(&[(run, Ran::Failed)], at(3_701));
    let orders = blocked(&mut court, at(3_702));
    assert_eq!(kinds(&orders), [(true, WHOM.into())]);
    court.ran(&[(orders[0].run, Ran::Done)], at(3_703));
    // Who is exempt meanwhile gets no `add`, also not once he is no longer.
    court.tick(at(4_302));
    assert_eq!(kinds(&court.orders(at(4_302))), [(false, WHOM.into())]);
    assert_eq!(blocked(&mut court, at(4_302)), []);
    court.allow(WHOM.parse().unwrap(), None, at(4_303)).unwrap();
    court.disallow(WHOM.parse().unwrap(), at(4_304));
    court.ran(&[(orders[0].run, Ran::Done)], at(4_305));
    assert_eq!((court.orders(at(4_305)), court.response_tallies().1), (vec![], 0));
    assert_eq!(court.store().load_runs().unwrap(), []);
}

#[test]
fn what_could_not_be_undone_is_tried_again_though_the_next_is_refused() {
    let mut court = in_memory();
    court.installed(&[], true, at(0));
    let run = blocked(&mut court, at(0))[0].run;
    court.ran(&[(run, Ran::Done)], at(0));
    court.tick(at(600));
    assert_eq!(kinds(&court.orders(at(600))), [(false, WHOM.into())]);
    court.ran(&[(run, Ran::Failed)], at(600));
    // As many others as there may be in a minute.
    let others = |court: &mut Court, now| {
        for n in 1..=3 {
            let whom = Prefix::host(format!("198.51.100.{n}").parse().unwrap());
            court.block(whom, Expiry::At(at(100_000)), String::new(), now).unwrap();
            let answers: Vec<_> = court.commit(now).iter().map(|change| (change.id(), Outcome::Added)).collect();
            court.outcomes(&answers, now);
        }
        assert_eq!(court.orders(now).len(), 3);
    };
    others(&mut court, at(601));
    assert_eq!((blocked(&mut court, at(602)), court.response_tallies().0.refused), (vec![], 1));
    let again = court.orders(at(610));
    assert_eq!((kinds(&again), again[0].run), (vec![(false, WHOM.into())], run));
    // Blocked again meanwhile, and there is room again: a new run.
    court.ran(&[(run, Ran::Failed)], at(611));
    assert_eq!(blocked(&mut court, at(662)).len(), 1);
}

#[test]
fn who_comes_back_is_answered_for_longer_over_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut now = 0;
    let mut spans = Vec::new();
    for _ in 0..4 {
        let mut court = court(&path, at(now));
        let wanted = Wanted { repeated: Repeated([30, 60, 0, 0, 0]), ..wanted(0, Some(600)) };
        let run = ask(&mut court, WHOM, wanted, at(now))[0].run;
        court.ran(&[(run, Ran::Done)], at(now));
        let end = court.next_run().unwrap();
        spans.push(end.since(at(now)).as_secs() / 60);
        now = end.since(at(0)).as_secs();
        let undone = court.orders(at(now));
        court.ran(&[(undone[0].run, Ran::Done)], at(now));
        court.orders(at(now));
        assert!(court.settle(at(now)));
        now += 60;
    }
    assert_eq!(spans, [10, 30, 60, 60]);
}

/// Two that go before blocks and are not undone, and one at touches of UDP ports that is.
fn commands() -> Settings {
    let response = |name: &str, with, first| Response {
        name: name.into(),
        with,
        first,
        undone: first.is_none(),
        wants_user: false,
        stands: first.is_none().then_some(Duration::from_secs(600)),
        per_minute: 3,
    };
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(10));
    let mut settings = Settings {
        responses: vec![
            response("first", With::Blocks, Some(short)),
            response("touched", With::Touches { tcp: true, udp: false }, Some(long)),
            response("recorded", With::Touches { tcp: false, udp: true }, None),
        ],
        ..Settings::default()
    };
    settings.policy.exempt = vec!["192.0.2.0/24".parse().unwrap()];
    settings.policy.touch_blocks = [true, false];
    settings.policy.spoofable.blocks_per_minute = 2;
    settings
}

fn with_commands(store: Store, now: Time) -> Court {
    let mut court = Court::new(commands(), store, None, 1, now);
    court.installed(&[], true, now);
    court
}

fn touched(whom: &str, protocol: Protocol, trust: Trust, now: Time) -> Event {
    let style = if protocol == Protocol::UDP { Style::Udp } else { Style::Connect };
    Event { act: Act::Touched(Touch { protocol, port: 31_337, style, flags: TcpFlags::default(), hops: None }), ..event(whom, trust, now) }
}

fn names(court: &Court, orders: &[Order]) -> Vec<String> {
    orders.iter().map(|order| court.config().responses[usize::from(order.response.0)].name.clone()).collect()
}

#[test]
fn a_block_waits_for_what_runs_first_and_no_longer_than_it_may() {
    let mut court = with_commands(Store::open_in_memory().unwrap(), at(0));
    court.observe(&[touched(WHOM, Protocol::TCP, Trust::Handshake, at(0))], at(0));
    assert_eq!(court.commit(at(0)), []);
    // What is wanted is in the ledger before anything is run.
    let live = |court: &Court| court.store().counts().live();
    assert_eq!(live(&court), 1);
    let orders = court.orders(at(0));
    assert_eq!(names(&court, &orders), ["first", "touched"]);
    let touch = orders[1].ground.touch.map(|touch| (touch.port, touch.style));
    assert_eq!((touch, orders[1].ground.level.is_some(), orders[1].until.is_some()), (Some((31_337, Style::Connect)), true, true));
    // Neither a comparison with the kernel nor one of the two lets it go.
    court.resync_begins();
    court.installed(&[], true, at(1));
    court.ran(&[(orders[0].run, Ran::Failed)], at(1));
    assert_eq!((court.commit(at(1)), court.next_tick()), (vec![], Some(at(10))));
    court.ran(&[(orders[1].run, Ran::Done)], at(2));
    let changes = court.commit(at(2));
    assert!(matches!(changes[..], [Change::Add { scope, .. }] if scope.prefix() == WHOM.parse().unwrap()), "{changes:?}");
    court.outcomes(&[(changes[0].id(), Outcome::Added)], at(2));
    // There is nothing to undo, and nothing is run after it.
    assert_eq!((court.orders(at(2)), court.response_tallies().1), (vec![], 0));

    // One that never ends: the block is set when its time is over. An operator's block waits for what goes before each.
    court.block("203.0.113.8".parse().unwrap(), Expiry::At(at(600)), String::new(), at(3)).unwrap();
    let orders = court.orders(at(3));
    assert_eq!((names(&court, &orders), court.commit(at(3))), (vec!["first".to_owned()], vec![]));
    court.tick(at(7));
    assert_eq!(court.commit(at(7)), []);
    court.tick(at(8));
    assert_eq!(court.commit(at(8)).len(), 1);
    court.ran(&[(orders[0].run, Ran::TimedOut)], at(9));
    assert_eq!((court.commit(at(9)), court.orders(at(9))), (vec![], vec![]));

    // Lifted meanwhile: it is not set when the program ends.
    court.block("203.0.113.7".parse().unwrap(), Expiry::At(at(600)), String::new(), at(10)).unwrap();
    let orders = court.orders(at(10));
    court.unblock("203.0.113.7".parse().unwrap(), at(11));
    court.commit(at(11));
    court.ran(&[(orders[0].run, Ran::Done)], at(12));
    assert_eq!(court.commit(at(12)), []);

    // The cap of a minute: nothing is run, and nobody waits.
    court.block("203.0.113.6".parse().unwrap(), Expiry::At(at(600)), String::new(), at(13)).unwrap();
    assert_eq!((court.orders(at(13)), court.commit(at(13)).len()), (vec![], 1));
}

#[test]
fn what_is_not_undone_is_run_for_each_block() {
    let mut court = with_commands(Store::open_in_memory().unwrap(), at(0));
    for n in 0..2 {
        // The second comes in the moment in which the first ends.
        let now = at(600 * n);
        court.tick(now);
        court.block(WHOM.parse().unwrap(), Expiry::At(at(600 * (n + 1))), String::new(), now).unwrap();
        let orders = court.orders(now);
        assert_eq!((names(&court, &orders), court.commit(now)), (vec!["first".to_owned()], vec![]), "{n}");
        court.ran(&[(orders[0].run, Ran::Done)], now);
        assert_eq!(court.commit(now).len(), 1);
    }
}

#[test]
fn a_restart_while_a_block_waits_does_not_lose_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = with_commands(Store::open(&path).unwrap(), at(0));
    before.observe(&[touched(WHOM, Protocol::TCP, Trust::Handshake, at(0))], at(0));
    assert_eq!((before.commit(at(0)), before.orders(at(0)).len()), (vec![], 2));
    drop(before);
    let mut after = with_commands(Store::open(&path).unwrap(), at(1));
    assert_eq!((after.commit(at(1)).len(), after.orders(at(1))), (1, vec![]));
    // What was under way has nothing to undo: it is forgotten with the block.
    after.tick(at(90_000));
    assert_eq!((after.orders(at(90_000)), after.response_tallies().1), (vec![], 0));
    after.orders(at(90_001));
    assert_eq!(after.store().load_runs().unwrap(), []);
}

#[test]
fn a_block_whose_answer_a_dead_judge_has_heard_is_responded_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut before = court(&path, at(0));
    before.installed(&[], true, at(0));
    before.block(WHOM.parse().unwrap(), Expiry::At(at(600)), String::new(), at(0)).unwrap();
    let Change::Add { scope, expiry, .. } = before.commit(at(0))[0] else { panic!("an add") };
    drop(before);
    let installed = [Installed { scope, expiry }];
    let mut after = court(&path, at(1));
    after.installed(&installed, true, at(1));
    assert_eq!(kinds(&after.orders(at(1))), [(true, WHOM.into())]);
    // It dies once more, before it has written that down: nothing is run twice.
    drop(after);
    let mut again = court(&path, at(2));
    again.installed(&installed, true, at(2));
    assert_eq!(again.orders(at(2)), []);
}

#[test]
fn a_touch_that_blocks_nobody_runs_its_command_once_and_a_forger_few() {
    let mut court = with_commands(Store::open_in_memory().unwrap(), at(0));
    let mut touch = |whom: &str, protocol, trust, secs| {
        court.observe(&[touched(whom, protocol, trust, at(secs))], at(secs));
        let (orders, changes) = (court.orders(at(secs)), court.commit(at(secs)));
        let answers: Vec<(RunId, Ran)> = orders.iter().map(|order| (order.run, Ran::Done)).collect();
        court.ran(&answers, at(secs));
        (kinds(&orders), changes.len())
    };
    assert_eq!(touch(WHOM, Protocol::UDP, Trust::Spoofable, 0), (vec![(true, WHOM.into())], 0));
    // The same goes on: its time begins anew.
    assert_eq!(touch(WHOM, Protocol::UDP, Trust::Spoofable, 20), (vec![], 0));
    assert_eq!(touch("192.0.2.7", Protocol::UDP, Trust::Spoofable, 21), (vec![], 0), "exempt");
    // A forger gets what forgeable evidence may block in a minute; a proven address still has its place.
    assert_eq!(touch("203.0.113.10", Protocol::UDP, Trust::Spoofable, 22).0.len(), 1);
    assert_eq!(touch("203.0.113.11", Protocol::UDP, Trust::Spoofable, 23).0.len(), 0);
    assert_eq!(touch("203.0.113.12", Protocol::UDP, Trust::Handshake, 24).0.len(), 1);
    assert!(court.settle(at(25)));
    assert_eq!((court.response_tallies().0.refused, told(&court, "203.0.113.11")), (1, vec![]), "counted, and no more");
    // All of them are undone in their time.
    assert_eq!(court.orders(at(619)), []);
    assert_eq!(kinds(&court.orders(at(900))).len(), 3);
    let mut config = commands();
    config.policy.spoofable.may_block = false;
    court.reconfigure(config, at(1_000));
    court.observe(&[touched("203.0.113.13", Protocol::UDP, Trust::Spoofable, at(1_000))], at(1_000));
    assert_eq!(court.orders(at(1_000)), []);
}

#[test]
fn what_programs_said_is_remembered_within_its_bound() {
    let mut court = in_memory();
    let run = ask(&mut court, WHOM, wanted(0, Some(600)), at(0))[0].run;
    court.heard(run, "at add".into());
    court.heard(RunId(99), "of nobody".into());
    court.ran(&[(run, Ran::Done)], at(1));
    court.orders(at(600));
    assert_eq!((court.said(run, true), court.said(run, false), court.said(RunId(99), true)), (Some("at add"), None, None));
    for n in 0..2 * model::limits::SAID {
        court.heard(run, n.to_string());
    }
    assert_eq!((court.said(run, true), court.said(run, false)), (None, Some("511")));
}
