//! The ledger against a naive one: any order of calls must leave both telling the same.

use model::block::{Because, Block, BlockId, Effect, Expiry, Scope, State};
use model::event::{RuleId, Trust};
use model::level::DangerLevel;
use model::offence::Charge;
use model::style::StyleSet;
use model::time::Time;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use store::Store;
use store::ledger::{Marked, Record};
use store::tidy::Retention;

const KEPT: Retention = Retention { days: 1, entries_max: 1_000_000, bytes_max: u64::MAX };

#[derive(Debug, Clone)]
enum Step {
    /// Blocks against 10.0.0.x/len, for so many hours or for ever.
    Want(Vec<(u8, u8, Option<u8>)>),
    /// Marks of (which of all numbers ever used and one beyond, state).
    Mark(Vec<(usize, State)>),
    Extend(usize, Option<u8>, u32),
    Pass(u8),
    Tidy,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let state = proptest::sample::select(&State::ALL[..]);
    prop_oneof![
        4 => proptest::collection::vec((0..8u8, 24..=32u8, proptest::option::weighted(0.8, 0..60u8)), 0..5).prop_map(Step::Want),
        6 => proptest::collection::vec((any::<usize>(), state), 0..6).prop_map(Step::Mark),
        2 => (any::<usize>(), proptest::option::of(0..60u8), 0..9u32).prop_map(|(which, hours, strike)| Step::Extend(which, hours, strike)),
        2 => (0..30u8).prop_map(Step::Pass),
        2 => Just(Step::Tidy),
        1 => Just(Step::Reopen),
    ]
}

/// So many seconds after the test's beginning of time.
fn at(secs: u64) -> Time {
    Time::from_secs(1_800_000_000 + secs)
}

fn hours(n: u8) -> Duration {
    Duration::from_secs(u64::from(n) * 3_600)
}

#[derive(Default)]
struct Naive {
    records: BTreeMap<u64, Record>,
    used: u64,
}

impl Naive {
    fn want(&mut self, now: Time, wanted: &[(u8, u8, Option<u8>)]) -> Vec<Block> {
        let blocks: Vec<_> = wanted
            .iter()
            .map(|(host, len, span)| {
                self.used += 1;
                let because = match host % 2 {
                    0 => Because::Operator { note: format!("host {host}") },
                    _ => Because::Offence {
                        charge: Charge::SlowScan,
                        level: DangerLevel::MIN,
                        styles: StyleSet::from_bits(u16::from(*host)),
                        trust: Trust::Spoofable,
                        strike: u32::from(*len),
                        rule: (len % 3 == 0).then_some(RuleId(u16::from(*len))),
                    },
                };
                Block {
                    id: BlockId(self.used),
                    scope: Scope::Source(model::net::Prefix::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, *host)), *len)),
                    effect: Effect::Drop,
                    made: now,
                    expiry: span.map_or(Expiry::Never, |span| Expiry::At(now.after(hours(span)))),
                    because,
                }
            })
            .collect();
        for block in &blocks {
            let record = Record { block: block.clone(), state: State::Wanted, ordered: None, active: None, ended: None };
            self.records.insert(block.id.0, record);
        }
        blocks
    }

    fn mark(&mut self, id: u64, to: State, now: Time) -> Marked {
        let Some(record) = self.records.get_mut(&id) else { return Marked { illegal: 1, ..Marked::default() } };
        if record.state == to {
            return Marked { repeated: 1, ..Marked::default() };
        }
        let time = match (record.state, to) {
            (State::Wanted, State::Ordered) => &mut record.ordered,
            (State::Wanted | State::Ordered, State::Active) => &mut record.active,
            (State::Wanted | State::Ordered | State::Active, State::Expired | State::Lifted | State::Failed) => &mut record.ended,
            _ => return Marked { illegal: 1, ..Marked::default() },
        };
        *time = Some(now);
        record.state = to;
        Marked { applied: 1, ..Marked::default() }
    }

    /// The block as it is then, and whether it could be. Without a strike it becomes an operator's.
    fn extend(&mut self, id: u64, expiry: Expiry, strike: u32) -> (Block, bool) {
        let mut block =
            self.records.get(&id).map_or_else(|| Naive::default().want(Time::EPOCH, &[(1, 32, None)])[0].clone(), |r| r.block.clone());
        block.id = BlockId(id);
        block.expiry = expiry;
        match &mut block.because {
            Because::Offence { strike: counted, trust, .. } if strike > 0 => (*counted, *trust) = (strike, Trust::Handshake),
            because => *because = Because::Operator { note: "an order".to_owned() },
        }
        let live = self.records.get_mut(&id).filter(|record| record.state.is_live());
        let applied = live.map(|record| record.block = block.clone()).is_some();
        (block, applied)
    }

    fn tidy(&mut self, now: Time) {
        let cutoff = now.before(hours(24));
        let used = self.used;
        self.records.retain(|id, record| *id == used || record.state.is_live() || record.ended >= Some(cutoff));
        for record in self.records.values_mut() {
            *record = as_seen(record, now);
        }
    }
}

fn as_seen(record: &Record, now: Time) -> Record {
    match record.block.expiry {
        Expiry::At(end) if record.state.is_live() && end <= now => Record { state: State::Expired, ended: Some(end), ..record.clone() },
        Expiry::At(_) | Expiry::Never => record.clone(),
    }
}

fn compare(store: &Store, naive: &Naive, now: Time) -> Result<(), TestCaseError> {
    let live: Vec<_> = naive
        .records
        .values()
        .map(|record| as_seen(record, now))
        .filter(|record| record.state.is_live())
        .map(|record| record.block)
        .collect();
    prop_assert_eq!(store.live(now).unwrap(), live);
    for state in State::ALL {
        let count = naive.records.values().filter(|record| record.state == state).count() as u64;
        prop_assert_eq!(store.counts().in_state(state), count, "{:?}", state);
    }
    prop_assert_eq!(store.next_block_id(), BlockId(naive.used + 1));
    for host in 0..8 {
        let addr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
        let about: Vec<_> =
            naive.records.values().filter(|record| record.block.scope.prefix().contains(addr)).map(|record| as_seen(record, now)).collect();
        prop_assert_eq!(store.story(addr, now, 1_000).unwrap().blocks, about);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_calls_leaves_what_a_naive_ledger_has(steps in proptest::collection::vec(step(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let mut store = Store::open(&path).unwrap();
        let mut naive = Naive::default();
        let mut now = at(0);
        for step in steps {
            let number = |which: usize| which as u64 % (naive.used + 2);
            match step {
                Step::Want(wanted) => store.want(&naive.want(now, &wanted)).unwrap(),
                Step::Mark(marks) => {
                    let marks: Vec<_> = marks.into_iter().map(|(which, state)| (BlockId(number(which)), state)).collect();
                    let mut expected = Marked::default();
                    for (id, state) in &marks {
                        let one = naive.mark(id.0, *state, now);
                        expected.applied += one.applied;
                        expected.repeated += one.repeated;
                        expected.illegal += one.illegal;
                    }
                    prop_assert_eq!(store.mark(&marks, now).unwrap(), expected);
                }
                Step::Extend(which, span, strike) => {
                    let id = number(which);
                    let expiry = span.map_or(Expiry::Never, |span| Expiry::At(now.after(hours(span))));
                    let (block, applied) = naive.extend(id, expiry, strike);
                    let marked = store.extend(&[block]).unwrap();
                    prop_assert_eq!((marked.applied, marked.illegal), (usize::from(applied), usize::from(!applied)));
                }
                Step::Pass(n) => now = now.after(hours(n)),
                Step::Tidy => {
                    now = now.after(hours(1));
                    while store.tidy(now, &KEPT).unwrap().more {}
                    naive.tidy(now);
                }
                Step::Reopen => {
                    store.close().unwrap();
                    store = Store::open(&path).unwrap();
                }
            }
            compare(&store, &naive, now)?;
        }
    }
}
