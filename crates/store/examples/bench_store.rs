//! Does one kind of the store's work N times, so that it can be timed from outside: `bench_store WORK FILE N`.
//! Never reads a clock itself. `perf stat` or `time` around it, less the same with `open`, gives the cost.

use model::block::{Because, Block, BlockId, Effect, Expiry, Scope, State};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use store::Store;
use store::entry::{Entry, Verdict};
use store::memory::Strike;
use store::tidy::Retention;

const NOW: Time = Time::from_secs(1_800_000_000);

/// The nth attacker: all over the address space, so that the index gets no help from their order.
fn attacker(n: u64) -> Prefix {
    Prefix::host(IpAddr::V4(Ipv4Addr::from((n as u32).wrapping_mul(2_654_435_761))))
}

fn block(id: u64) -> Block {
    let styles = StyleSet::from_iter([Style::Syn]);
    Block {
        id: BlockId(id),
        scope: Scope::Source(attacker(id)),
        effect: Effect::Drop,
        made: NOW,
        expiry: Expiry::At(NOW.after(Duration::from_secs(86_400))),
        because: Because::Offence {
            charge: Charge::PortScan,
            level: DangerLevel::MIN,
            styles,
            trust: Trust::Spoofable,
            strike: 1,
            rule: None,
        },
    }
}

fn entry(id: u64) -> Entry {
    let evidence = Evidence { first: NOW, last: NOW, packets: 20, targets: 1, endpoints: 12, protocols: 1, convicted: true };
    let offence = Offence {
        rule: None,
        touch: None,
        wished: None,
        repeated: Default::default(),
        at: NOW,
        offender: attacker(id),
        charge: Charge::PortScan,
        level: DangerLevel::MIN,
        styles: StyleSet::from_iter([Style::Syn]),
        trust: Trust::Spoofable,
        evidence,
    };
    Entry::Judged { offence, verdict: Verdict::Block { id: BlockId(id), expiry: Expiry::At(NOW), strike: 1 } }
}

fn batches(ids: std::ops::Range<u64>, mut each: impl FnMut(Vec<u64>) -> Result<(), store::error::Error>) -> Result<(), Box<dyn Error>> {
    let mut from = ids.start;
    while from < ids.end {
        let to = (from + 1_000).min(ids.end);
        each((from..to).collect())?;
        from = to;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, work, file, count] = &arguments[..] else {
        return Err("usage: bench_store open|want|want-one|active|live|record|strikes|attack|tidy|after|story FILE N".into());
    };
    let mut store = Store::open(Path::new(file))?;
    let first = store.next_block_id().0;
    let ids = first..first + count.parse::<u64>()?;
    let newest = first.saturating_sub(ids.end - ids.start)..first;
    match work.as_str() {
        "open" => {}
        "want" => batches(ids, |ids| store.want(&ids.into_iter().map(block).collect::<Vec<_>>()))?,
        "want-one" => ids.into_iter().try_for_each(|id| store.want(&[block(id)]))?,
        "active" => {
            batches(newest, |ids| store.mark(&ids.into_iter().map(|id| (BlockId(id), State::Active)).collect::<Vec<_>>(), NOW).map(|_| ()))?
        }
        "live" => println!("{} live", store.live(NOW)?.len()),
        "record" => batches(ids, |ids| store.record(&ids.into_iter().map(entry).collect::<Vec<_>>()))?,
        "strikes" => batches(ids, |ids| {
            store.save_strikes(
                &ids.into_iter().map(|id| Strike { whom: attacker(id), count: 1, last: Time::from_secs(id) }).collect::<Vec<_>>(),
            )
        })?,
        // All that the store does for a wave of new attackers.
        "attack" => batches(ids, |ids| {
            store.want(&ids.iter().map(|id| block(*id)).collect::<Vec<_>>())?;
            store.record(&ids.iter().map(|id| entry(*id)).collect::<Vec<_>>())?;
            store.save_strikes(
                &ids.iter().map(|id| Strike { whom: attacker(*id), count: 1, last: Time::from_secs(*id) }).collect::<Vec<_>>(),
            )?;
            store.mark(&ids.iter().map(|id| (BlockId(*id), State::Ordered)).collect::<Vec<_>>(), NOW)?;
            store.mark(&ids.iter().map(|id| (BlockId(*id), State::Active)).collect::<Vec<_>>(), NOW).map(|_| ())
        })?,
        "tidy" => {
            let later = NOW.after(Duration::from_secs(200 * 86_400));
            let mut calls = 1;
            while calls < ids.end - ids.start && store.tidy(later, &Retention::default())?.more {
                calls += 1;
            }
            println!("{calls} calls");
        }
        // What stays in memory when a wave is over.
        "after" => {
            batches(ids, |ids| store.want(&ids.into_iter().map(block).collect::<Vec<_>>()))?;
            while store.tidy(NOW, &Retention::default())?.more {}
        }
        "story" => {
            for n in newest {
                let story = store.story(attacker(n).addr(), NOW, 100)?;
                assert!(!story.blocks.is_empty());
            }
        }
        other => return Err(format!("no such work: {other}").into()),
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory: Vec<_> = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")).collect();
    println!("{:?} {memory:?}", store.counts());
    // Leaving the log alone: closing writes it back, which is not what is measured.
    std::process::exit(0)
}
