//! History, strikes, allow list, retention: what was written comes back, and goes when it should.

mod common;

use common::{at, block, offence, prefix};
use model::block::{Because, BlockId, Expiry, Fault, State};
use model::decision::{Cap, Decision, ExemptReason, WatchReason};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use store::Store;
use store::entry::{Entry, Turn};
use store::error::Error;
use store::history::HistoryQuery;
use store::memory::{Allowance, LogPosition, POSITIONS, StormPause, Strike};
use store::tidy::Retention;

fn every_decision() -> Vec<Decision> {
    let mut all = vec![
        Decision::Block(block(7, "192.0.2.1", at(1), Expiry::At(at(2)))),
        Decision::Block(block(8, "192.0.2.1", at(1), Expiry::Never)),
        Decision::Extend { id: BlockId(7), expiry: Expiry::At(at(9)), strike: 4 },
    ];
    all.extend(WatchReason::ALL.map(|why| Decision::Watch { until: at(5), why }));
    all.extend(ExemptReason::ALL.map(Decision::Exempt));
    all.extend(Cap::ALL.map(Decision::Refuse));
    all
}

#[test]
fn every_kind_of_entry_reads_back_as_it_was_written() {
    let mut store = Store::open_in_memory().unwrap();
    let (who, net) = (prefix("2001:db8::/64"), prefix("198.51.100.7"));
    let mut entries: Vec<_> = every_decision().iter().map(|decision| Entry::judged(&offence("192.0.2.1", at(3)), decision)).collect();
    let turns = [
        Turn::SetByOperator,
        Turn::LiftedByOperator,
        Turn::LiftedAsExempt,
        Turn::RolledBack,
        Turn::Expired,
        Turn::SetAgain,
        Turn::Unsupported,
    ];
    for turn in turns.into_iter().chain(Fault::ALL.map(Turn::Failed)) {
        entries.push(Entry::Turned { at: at(4), whom: who, id: BlockId(3), turn });
    }
    entries.push(Entry::Allowed { at: at(5), whom: net, until: Expiry::Never });
    entries.push(Entry::Allowed { at: at(5), whom: net, until: Expiry::At(at(50)) });
    entries.push(Entry::Disallowed { at: at(6), whom: net });
    store.record(&entries).unwrap();
    let all = HistoryQuery { newest_first: false, ..HistoryQuery::default() };
    assert_eq!(store.history(&all).unwrap(), entries);
    let newest = store.history(&HistoryQuery { limit: 2, ..HistoryQuery::default() }).unwrap();
    assert_eq!(newest, [entries[entries.len() - 1], entries[entries.len() - 2]]);
    let judged = HistoryQuery { since: Some(at(3)), until: Some(at(3)), ..all };
    assert_eq!(store.history(&judged).unwrap().len(), every_decision().len());
    let allowed = HistoryQuery { whom: Some(net), limit: 2, ..all };
    assert_eq!(store.history(&allowed).unwrap(), entries[entries.len() - 3..entries.len() - 1]);
}

#[test]
fn a_story_has_all_that_covers_the_address_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut store = Store::open(&path).unwrap();
    store
        .want(&[
            block(1, "192.0.2.9", at(0), Expiry::At(at(100))),
            block(2, "192.0.2.0/24", at(1), Expiry::Never),
            block(3, "192.0.2.8", at(2), Expiry::Never),
            block(4, "2001:db8::/64", at(3), Expiry::Never),
        ])
        .unwrap();
    store.mark(&[(BlockId(1), State::Ordered)], at(1)).unwrap();
    store.mark(&[(BlockId(1), State::Active)], at(2)).unwrap();
    let old = Strike { whom: prefix("192.0.2.9"), count: 1, last: at(0) };
    let strike = Strike { whom: prefix("192.0.2.9"), count: 2, last: at(5) };
    store.save_strikes(&[old, Strike { whom: prefix("192.0.2.10"), ..strike }]).unwrap();
    store.save_strikes(&[strike]).unwrap();
    let allowance = Allowance { whom: prefix("192.0.0.0/16"), made: at(6), until: Expiry::At(at(60)), note: "the\nlab".into() };
    store.save_allow(&allowance).unwrap();
    store.record(&[Entry::judged(&offence("192.0.2.0/25", at(1)), &Decision::Exempt(ExemptReason::Own))]).unwrap();
    store.record(&[Entry::judged(&offence("192.0.2.128/25", at(1)), &Decision::Exempt(ExemptReason::Own))]).unwrap();
    drop(store);

    let store = Store::open(&path).unwrap();
    let story = store.story("::ffff:192.0.2.9".parse().unwrap(), at(10), 100).unwrap();
    assert_eq!(story.blocks.iter().map(|record| record.block.id.0).collect::<Vec<_>>(), [1, 2]);
    let first = &story.blocks[0];
    assert_eq!((first.state, first.ordered, first.active, first.ended), (State::Active, Some(at(1)), Some(at(2)), None));
    assert_eq!(story.strikes, [strike]);
    assert_eq!(story.allowances, [Allowance { note: "the\u{fffd}lab".into(), ..allowance }]);
    assert_eq!(story.entries.iter().map(Entry::whom).collect::<Vec<_>>(), [prefix("192.0.2.0/25")]);

    let later = store.story("192.0.2.9".parse().unwrap(), at(100), 1).unwrap();
    assert_eq!(later.blocks.len(), 1, "the newest alone");
    assert_eq!(later.allowances, []);
    let later = store.story("192.0.2.9".parse().unwrap(), at(100), 9).unwrap();
    assert_eq!((later.blocks[0].state, later.blocks[0].ended), (State::Expired, Some(at(100))));
    assert_eq!(store.story("2001:db8::77".parse().unwrap(), at(0), 9).unwrap().blocks.len(), 1);
    assert_eq!(store.story("2001:db8:0:1::".parse().unwrap(), at(0), 9).unwrap().blocks, []);
}

#[test]
fn strikes_and_allowances_survive_and_can_be_taken_back() {
    let mut store = Store::open_in_memory().unwrap();
    let strikes = [5, 9, 7].map(|n| Strike { whom: prefix(&format!("192.0.2.{n}")), count: n, last: at(u64::from(n)) });
    store.save_strikes(&strikes).unwrap();
    assert_eq!(store.load_strikes().unwrap(), [strikes[1], strikes[2], strikes[0]]);
    store.forget_strikes(&[strikes[1].whom, prefix("203.0.113.1")]).unwrap();
    assert_eq!(store.load_strikes().unwrap(), [strikes[2], strikes[0]]);
    assert_eq!(store.counts().strikes, 2);

    let allow = |whom: &str, until| Allowance { whom: prefix(whom), made: at(0), until, note: String::new() };
    let (always, brief) = (allow("10.0.0.0/8", Expiry::Never), allow("10.0.0.1", Expiry::At(at(9))));
    store.save_allow(&brief).unwrap();
    store.save_allow(&brief).unwrap();
    store.save_allow(&always).unwrap();
    assert_eq!(store.counts().allowances, 2);
    assert_eq!(store.load_allow(at(8)).unwrap(), [always.clone(), brief.clone()]);
    assert_eq!(store.load_allow(at(9)).unwrap(), std::slice::from_ref(&always));
    assert_eq!(store.tidy(at(9), &Retention::default()).unwrap().allowances, 1);
    assert!(store.remove_allow(always.whom).unwrap());
    assert!(!store.remove_allow(always.whom).unwrap());
    assert_eq!(store.counts().allowances, 0);
}

#[test]
fn the_allow_list_and_the_strikes_have_their_bounds() {
    let mut store = Store::open_in_memory().unwrap();
    let host = |n: u32| Prefix::host(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)));
    for n in 0..limits::EXEMPTIONS as u32 {
        store.save_allow(&Allowance { whom: host(n), made: at(0), until: Expiry::Never, note: String::new() }).unwrap();
    }
    let one_more = |n| Allowance { whom: host(n), made: at(1), until: Expiry::Never, note: String::new() };
    assert!(matches!(store.save_allow(&one_more(limits::EXEMPTIONS as u32)), Err(Error::TableFull(_))));
    store.save_allow(&one_more(0)).unwrap();

    let many: Vec<_> = (0..limits::STRIKES as u32 + 300).map(|n| Strike { whom: host(n), count: 1, last: at(u64::from(n)) }).collect();
    store.save_strikes(&many).unwrap();
    while store.tidy(at(0), &Retention::default()).unwrap().more {}
    let kept = store.load_strikes().unwrap();
    assert_eq!(kept.len(), limits::STRIKES);
    assert_eq!(kept.last().map(|strike| strike.whom), Some(host(300)), "the oldest gave way");
}

#[test]
fn retention_goes_by_age_and_by_number_and_in_steps() {
    let mut store = Store::open_in_memory().unwrap();
    let day = 86_400;
    let entry = |n: u64| Entry::Disallowed { at: at(n), whom: prefix("192.0.2.1") };
    store.record(&(0..1_000).map(|n| entry(n * day / 100)).collect::<Vec<_>>()).unwrap();
    let now = at(10 * day);
    let mut calls = 0;
    while store.tidy(now, &Retention { days: 5, entries_max: 400, bytes_max: u64::MAX }).unwrap().more {
        calls += 1;
    }
    assert!(calls >= 2, "600 rows went in one call");
    let left = store.history(&HistoryQuery { newest_first: false, limit: 1_000, ..HistoryQuery::default() }).unwrap();
    assert_eq!((left.len(), left[0].at()), (400, at(6 * day)));
}

#[test]
fn a_file_that_is_too_large_loses_its_oldest_history_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut store = Store::open(&path).unwrap();
    let blocks: Vec<_> = (1..=300).map(|id| block(id, "192.0.2.1", at(0), Expiry::Never)).collect();
    store.want(&blocks).unwrap();
    let entry = |n: u64| Entry::Disallowed { at: at(n), whom: prefix("192.0.2.1") };
    store.record(&(0..40_000).map(entry).collect::<Vec<_>>()).unwrap();
    let bytes_max = store.size().unwrap().used() / 2;
    let keep = Retention { bytes_max, ..Retention::default() };
    let (mut thinned, mut calls) = (0, 0);
    loop {
        let done = store.tidy(at(20_000), &keep).unwrap();
        (thinned, calls) = (thinned + done.thinned, calls + 1);
        if !done.more {
            break;
        }
    }
    assert!(calls > 10 && store.size().unwrap().used() <= bytes_max, "{calls}");
    assert_eq!(store.counts().entries, 40_000 - thinned);
    assert!((10_000..30_000).contains(&thinned), "half of it, not all: {thinned}");
    let left = store.history(&HistoryQuery { newest_first: false, limit: 1, ..HistoryQuery::default() }).unwrap();
    assert_eq!(left, [entry(thinned)], "the oldest gave way");
    // What the ledger has stays, however small the bound.
    while store.tidy(at(20_000), &Retention { bytes_max: 1, ..Retention::default() }).unwrap().more {}
    assert_eq!((store.counts().entries, store.live(at(20_000)).unwrap()), (0, blocks));
    store.close().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() <= bytes_max, "the pages are given back");
}

#[test]
fn tidying_never_touches_live_blocks_nor_the_number_of_the_last_one() {
    let mut store = Store::open_in_memory().unwrap();
    let forever: Vec<_> = (1..=500).map(|id| block(id, "192.0.2.1", at(0), Expiry::Never)).collect();
    let brief: Vec<_> = (501..=1_500).map(|id| block(id, "192.0.2.2", at(0), Expiry::At(at(60)))).collect();
    store.want(&forever).unwrap();
    store.want(&brief).unwrap();
    store.mark(&brief.iter().map(|block| (block.id, State::Active)).collect::<Vec<_>>(), at(1)).unwrap();
    let mut expired = 0;
    let keep_all = Retention { days: 1, entries_max: 5_000, bytes_max: u64::MAX };
    loop {
        let done = store.tidy(at(61), &keep_all).unwrap();
        expired += done.expired;
        if !done.more {
            break;
        }
    }
    assert_eq!((expired, store.counts().in_state(State::Expired)), (1_000, 1_000));
    // By number: the oldest of the ended ones go.
    while store.tidy(at(10_000), &Retention { days: 1, entries_max: 10, bytes_max: u64::MAX }).unwrap().more {}
    assert_eq!(store.counts().ended(), 10);
    assert_eq!(store.story("192.0.2.2".parse().unwrap(), at(10_000), 99).unwrap().blocks[0].block.id, BlockId(1_491));
    // By age: only the last one stays, for its number.
    while store.tidy(at(10 * 86_400), &keep_all).unwrap().more {}
    assert_eq!(store.counts().ended(), 1);
    assert_eq!(store.live(at(10 * 86_400)).unwrap(), forever);
    assert_eq!(store.next_block_id(), BlockId(1_501));
}

#[test]
fn a_number_is_never_used_twice_and_a_failed_batch_leaves_nothing() {
    let mut store = Store::open_in_memory().unwrap();
    store.want(&[block(1, "192.0.2.1", at(0), Expiry::Never)]).unwrap();
    let again = [block(2, "192.0.2.2", at(0), Expiry::Never), block(1, "192.0.2.3", at(0), Expiry::Never)];
    assert!(matches!(store.want(&again), Err(Error::BadId(BlockId(1)))));
    let beyond = block(u64::MAX, "192.0.2.2", at(0), Expiry::Never);
    assert!(matches!(store.want(&[beyond]), Err(Error::BadId(BlockId(u64::MAX)))));
    assert_eq!((store.counts().live(), store.next_block_id()), (1, BlockId(2)));
    assert_eq!(store.mark(&[(BlockId(u64::MAX), State::Active)], at(0)).unwrap().illegal, 1);
}

#[test]
fn what_an_operator_writes_is_cut_and_cleaned() {
    let mut store = Store::open_in_memory().unwrap();
    let mut wanted = block(1, "192.0.2.1", at(0), Expiry::At(Time::from_nanos(u64::MAX)));
    wanted.because = Because::Operator { note: format!("\x1b]0;gotcha\x07{}", "x".repeat(500)) };
    store.want(std::slice::from_ref(&wanted)).unwrap();
    let kept = &store.live(at(0)).unwrap()[0];
    let Because::Operator { note } = &kept.because else { panic!("{kept:?}") };
    assert!(note.chars().count() == 200 && note.starts_with("\u{fffd}]0;gotcha\u{fffd}x"));
    // Past the year 2262 a time is cut, never wrapped.
    assert_eq!(kept.expiry, Expiry::At(Time::from_nanos(i64::MAX as u64)));
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    // Few addresses and all lengths, so that ranges meet.
    let v4 = (0..4u32, 0..=32u8).prop_map(|(n, len)| Prefix::new(IpAddr::V4(Ipv4Addr::from(n << 30 | n)), len));
    let v6 = (0..4u128, 0..=128u8).prop_map(|(n, len)| Prefix::new(IpAddr::V6(Ipv6Addr::from(n << 126 | n)), len));
    prop_oneof![v4, v6]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn history_of_a_range_is_what_overlaps_it(
        recorded in proptest::collection::vec((any_prefix(), 0..20u64), 0..60),
        whom in proptest::option::of(any_prefix()),
        (since, until) in (proptest::option::of(0..20u64), proptest::option::of(0..20u64)),
        limit in 0..40usize,
        newest_first in any::<bool>(),
    ) {
        let mut store = Store::open_in_memory().unwrap();
        let entries: Vec<_> = recorded.iter().map(|(whom, secs)| Entry::Disallowed { at: at(*secs), whom: *whom }).collect();
        store.record(&entries).unwrap();
        let mut expected: Vec<_> = entries
            .into_iter()
            .filter(|entry| whom.is_none_or(|whom| whom.overlaps(&entry.whom())))
            .filter(|entry| since.is_none_or(|secs| entry.at() >= at(secs)) && until.is_none_or(|secs| entry.at() <= at(secs)))
            .collect();
        if newest_first {
            expected.reverse();
        }
        expected.truncate(limit);
        let query = HistoryQuery { whom, since: since.map(at), until: until.map(at), limit, newest_first };
        prop_assert_eq!(store.history(&query).unwrap(), expected);
    }
}

#[test]
fn how_far_logs_were_read_is_remembered_within_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let position =
        |n: u64| LogPosition { log: format!("file /var/log/{n:04}"), device: u64::MAX, inode: n, offset: 1 << 40, mark: b"end\n".to_vec() };
    let mut store = Store::open(&path).unwrap();
    let all: Vec<LogPosition> = (0..POSITIONS as u64).map(position).collect();
    store.save_positions(&all).unwrap();
    store.save_positions(&[LogPosition { offset: 7, ..position(0) }]).unwrap();
    // One too many: the one that was not written for longest gives way, and that is not the first any more.
    store.save_positions(&[position(9_999)]).unwrap();
    drop(store);
    let known = Store::open(&path).unwrap().load_positions().unwrap();
    assert_eq!(known.len(), POSITIONS);
    assert_eq!((known[0].offset, known[0].device), (7, u64::MAX));
    assert_eq!((&known[1], known.last()), (&position(2), Some(&position(9_999))));
}

#[test]
fn a_ledger_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut store = Store::open(&path).unwrap();
    store.want(&[block(1, "192.0.2.9", at(0), Expiry::Never)]).unwrap();
    drop(store);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "DROP TABLE run; DROP TABLE position; DROP TABLE storm; DROP TABLE rule; DROP TABLE quote;
             ALTER TABLE block DROP COLUMN rule; ALTER TABLE entry DROP COLUMN rule; ALTER TABLE entry DROP COLUMN wished;
             PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.live(at(1)).unwrap().len(), 1);
    store.save_positions(&[]).unwrap();
    assert_eq!((store.load_positions().unwrap(), store.load_storm().unwrap()), (vec![], None));
}

#[test]
fn the_latest_storm_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let pause = StormPause { since: at(1), until: at(601), rolled_back: 20 };
    let mut store = Store::open(&path).unwrap();
    store.save_storm(&pause).unwrap();
    store.save_storm(&StormPause { until: at(700), ..pause }).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().load_storm().unwrap(), Some(StormPause { until: at(700), ..pause }));
}
