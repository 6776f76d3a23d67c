//! The texts of status, list, history and explain, as people see them; and that all of them travel as JSON.

use model::block::{Because, Block, BlockId, Effect, Expiry, Scope, State};
use model::decision::{Cap, Decision, WatchReason};
use model::event::Trust;
use model::level::DangerLevel;
use model::offence::{Charge, Evidence, Offence};
use model::style::Style;
use model::time::Time;
use report::decision::Verdict;
use report::explain::{Explanation, Outlook, SuspectFigures};
use report::history::{self, HistoryLine};
use report::list::{self, BlockLine};
use report::serial::{Stamp, Whom};
use report::status::{
    BlockCounts, Mode, ProcessLine, RepairLine, ResponderLine, ResponderState, SensorLine, SignatureCount, StatusReport, StormLine,
    TroubleLine,
};
use report::table::Room;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const NOON: u64 = 1_772_366_400;

#[track_caller]
fn travels<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
}

fn a_block() -> Block {
    Block {
        id: BlockId(1),
        scope: Scope::Source("198.51.100.7".parse().unwrap()),
        effect: Effect::Drop,
        made: Time::from_secs(NOON),
        expiry: Expiry::At(Time::from_secs(NOON + 600)),
        because: Because::Offence {
            rule: None,
            charge: Charge::PortScan,
            level: DangerLevel::new(2).unwrap(),
            styles: [Style::Syn].into_iter().collect(),
            trust: Trust::Spoofable,
            strike: 1,
        },
    }
}

fn an_order() -> Block {
    Block {
        id: BlockId(2),
        scope: Scope::Source("2001:db8:bad::/48".parse().unwrap()),
        expiry: Expiry::Never,
        because: Because::Operator { note: "abuse desk\u{1b}[31m".to_owned() },
        ..a_block()
    }
}

fn an_offence(level: u8) -> Offence {
    Offence {
        rule: None,
        touch: None,
        wished: None,
        repeated: Default::default(),
        at: Time::from_secs(NOON),
        offender: "198.51.100.7".parse().unwrap(),
        charge: Charge::PortScan,
        level: DangerLevel::new(level).unwrap(),
        styles: [Style::Syn, Style::Connect].into_iter().collect(),
        trust: Trust::Spoofable,
        evidence: Evidence {
            first: Time::from_secs(NOON - 3),
            last: Time::from_secs(NOON),
            packets: 27,
            targets: 1,
            endpoints: 25,
            protocols: 1,
            convicted: true,
        },
    }
}

fn figures() -> SuspectFigures {
    SuspectFigures {
        first: Stamp(Time::from_secs(NOON - 3)),
        last: Stamp(Time::from_secs(NOON)),
        packets: 1_027,
        targets: 1,
        endpoints: 25,
        odds: Some(1_024.0),
        convicted: true,
        level: Some(2),
        styles: vec!["syn".to_owned(), "connect".to_owned()],
        trust: "spoofable".to_owned(),
    }
}

fn whom() -> Whom {
    Whom("198.51.100.7".parse().unwrap())
}

fn outlook() -> Outlook {
    Outlook { dry_run: false, next_block_secs: Some(1_200) }
}

fn entry(decision: &Decision) -> HistoryLine {
    HistoryLine::of(&an_offence(2), &Verdict::of(decision, Time::from_secs(NOON)))
}

#[test]
fn blocks_are_listed() {
    let now = Time::from_secs(NOON + 2);
    let lines = [BlockLine::of(&a_block(), State::Active, now), BlockLine::of(&an_order(), State::Wanted, now)];
    lines.iter().for_each(travels);
    assert_eq!(
        list::text(&lines, Room::Terminal),
        "\
ADDRESS            SINCE                     LEFT  STATE   WHY
198.51.100.7       2026-03-01 12:00:00Z    9m 58s  active  port scan at level 2 (syn), spoofable ev…
2001:db8:bad::/48  2026-03-01 12:00:00Z  for good  wanted  an operator's order: abuse desk\\u{1b}[31m
2 blocks.
"
    );
    assert_eq!(list::text(&[], Room::Terminal), "Nobody is blocked.\n");
}

#[test]
fn charges_are_listed() {
    let lines = [entry(&Decision::Block(a_block())), entry(&Decision::Refuse(Cap::StormPause))];
    lines.iter().for_each(travels);
    assert_eq!(
        history::text(&lines, Room::Terminal),
        "\
TIME                  ADDRESS       CHARGE     LEVEL  PACKETS  TARGETS  DECISION   WHY
2026-03-01 12:00:00Z  198.51.100.7  port scan      2       27        1  block 10m  port scan at level …
2026-03-01 12:00:00Z  198.51.100.7  port scan      2       27        1  refuse     a storm was rolled …
"
    );
}

#[test]
fn a_blocked_scanner_is_explained() {
    let now = Time::from_secs(NOON + 2);
    let block = BlockLine::of(&a_block(), State::Active, now);
    let entries = vec![entry(&Decision::Block(a_block()))];
    let explanation = Explanation::compose(whom(), None, Some(block), Some(figures()), entries, 1, outlook());
    travels(&explanation);
    assert_eq!(
        explanation.text(Room::Terminal),
        "\
198.51.100.7 is blocked until 2026-03-01 12:10:00Z (9m 58s left) for a port scan at level 2.
It was first seen at 2026-03-01 11:59:57Z and last at 2026-03-01 12:00:00Z: 1,027 packets to 1
target, where it failed to reach 25 endpoints (styles: syn, connect). That is danger level 2 of 5.
The sequential test has convicted it: a scanner is 1,024 times more likely to do this than a benign
host. Nothing proves that the packets are its own: anybody could have written its address on them,
and such evidence earns short blocks at most.
At 2026-03-01 12:00:00Z it was charged with a port scan at level 2 and was blocked for 10m: port
scan at level 2 (syn), spoofable evidence, strike 1. 1 offence is remembered against it.
The block ends by itself when its time is over. Its next offence would earn a block of 20m.

TIME                  ADDRESS       CHARGE     LEVEL  PACKETS  TARGETS  DECISION   WHY
2026-03-01 12:00:00Z  198.51.100.7  port scan      2       27        1  block 10m  port scan at level …
"
    );
}

#[test]
fn an_address_that_was_proved_once_is_not_called_forgeable() {
    let mut touch = entry(&Decision::Block(a_block()));
    touch.trust = "handshake".into();
    let entries = vec![touch, entry(&Decision::Block(a_block()))];
    let text = Explanation::compose(whom(), None, None, Some(figures()), entries, 1, outlook()).text(Room::Terminal);
    assert!(text.contains("TCP handshake") && !text.contains("Nothing proves"), "{text}");
}

#[test]
fn who_was_let_go_is_explained_as_free() {
    let now = Time::from_secs(NOON + 9);
    let standing = Decision::Watch { until: now, why: WatchReason::Standing };
    let let_go = HistoryLine::event(now, whom().0, "block 7".into(), "lifted: the address is exempt now".into());
    let entries = vec![entry(&Decision::Block(a_block())), entry(&standing), let_go];
    let freed = Explanation::compose(whom(), None, None, Some(figures()), entries.clone(), 1, outlook());
    assert_eq!(freed.verdict, "198.51.100.7 is not blocked any more.");
    assert!(!freed.verdict.contains("watched"));
    let allowed = Explanation::compose(whom(), Some("allowed by an operator".into()), None, None, entries, 1, outlook());
    assert_eq!(allowed.verdict, "198.51.100.7 is never blocked: allowed by an operator.");
}

#[test]
fn what_was_adopted_is_nobodys_order() {
    let block = Block { because: Because::Adopted, ..a_block() };
    let line = BlockLine::of(&block, State::Active, Time::from_secs(NOON + 2));
    let explanation = Explanation::compose(whom(), None, Some(line), None, Vec::new(), 0, outlook());
    assert!(
        explanation.verdict.ends_with("left) (adopted: it stood in the kernel, and the ledger that knew why was lost)."),
        "{}",
        explanation.verdict
    );
}

#[test]
fn who_is_not_blocked_is_explained_too() {
    let watch = Decision::Watch { until: Time::from_secs(NOON + 60), why: WatchReason::Unproven };
    let weak = SuspectFigures { odds: Some(0.1), convicted: false, level: Some(1), trust: "handshake".into(), ..figures() };
    let watched = Explanation::compose(whom(), None, None, Some(weak), vec![entry(&watch)], 0, outlook());
    assert_eq!(
        watched.text(Room::Terminal),
        "\
198.51.100.7 is not blocked, only watched: counts alone: a benign host could do this.
It was first seen at 2026-03-01 11:59:57Z and last at 2026-03-01 12:00:00Z: 1,027 packets to 1
target, where it failed to reach 25 endpoints (styles: syn, connect). That is danger level 1 of 5.
The sequential test has not decided: a benign host is 10 times more likely to do this than a
scanner. It completed a TCP handshake, so the address is its own.
At 2026-03-01 12:00:00Z it was charged with a port scan at level 2 and was watched for 1m and not
blocked: counts alone: a benign host could do this.
A first offence would earn a block of 20m.

TIME                  ADDRESS       CHARGE     LEVEL  PACKETS  TARGETS  DECISION  WHY
2026-03-01 12:00:00Z  198.51.100.7  port scan      2       27        1  watch 1m  counts alone: a ben…
"
    );
    let refused = Explanation::compose(whom(), None, None, None, vec![entry(&Decision::Refuse(Cap::SpoofableBudget)); 12], 3, outlook());
    assert_eq!(
        refused.text(Room::Terminal).lines().take(5).collect::<Vec<_>>().join("\n"),
        "\
198.51.100.7 is not blocked: forgeable evidence has used up its new blocks for this minute.
At 2026-03-01 12:00:00Z it was charged with a port scan at level 2 and was not blocked: forgeable
evidence has used up its new blocks for this minute. 3 offences are remembered against it.
Its next offence would earn a block of 20m.
"
    );
    assert_eq!(refused.text(Room::Terminal).lines().count(), 17);
    let verdict = |exempt: Option<&str>, block, suspect, outlook| {
        let explanation = Explanation::compose(whom(), exempt.map(str::to_owned), block, suspect, Vec::new(), 0, outlook);
        travels(&explanation);
        format!("{}|{}", explanation.verdict, explanation.what_next)
    };
    assert_eq!(
        verdict(Some("default gateway"), None, None, outlook()),
        "198.51.100.7 is never blocked: default gateway.|Whatever it does, it is not blocked while this holds: default gateway."
    );
    assert_eq!(
        verdict(None, None, None, Outlook { dry_run: true, next_block_secs: Some(600) }),
        "198.51.100.7 is not blocked: nothing is known of it.|This is a dry run: nothing of it is done. A first offence would earn a block of 10m."
    );
    assert_eq!(
        verdict(
            None,
            Some(BlockLine::of(&an_order(), State::Active, Time::from_secs(NOON))),
            None,
            Outlook { dry_run: false, next_block_secs: None }
        ),
        "198.51.100.7 is blocked with 2001:db8:bad::/48 for good by an operator's order: abuse desk\\u{1b}[31m.\
         |Only an operator lifts this block: riposte unblock."
    );
    assert_eq!(
        verdict(None, None, Some(figures()), outlook()).split('|').next(),
        Some("198.51.100.7 is not blocked: it is charged with nothing.")
    );
}

#[test]
fn hostile_words_stay_harmless() {
    let mut line = entry(&Decision::Refuse(Cap::Level));
    line.why = "\u{1b}[2J\u{202e}x\n".to_owned();
    line.charge = "\u{7}".to_owned();
    let explanation = Explanation::compose(whom(), Some("\u{9b}1m".into()), None, Some(figures()), vec![line], 0, outlook());
    assert!(!explanation.text(Room::Terminal).chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')));
}

#[test]
fn the_status_is_shown() {
    let process = |life: &str, pid, uid, capabilities: &[&str]| ProcessLine {
        life: life.to_owned(),
        pid,
        uid,
        capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        no_new_privs: true,
        seccomp: "filter".to_owned(),
        landlock: "ABI 5".to_owned(),
        rss_kb: 5_222,
        restarts: 0,
        open_fds: None,
    };
    let report = StatusReport {
        version: "0.1.0".to_owned(),
        uptime_secs: 5_400,
        mode: Mode::Blocking,
        processes: vec![
            process("warden", 801, 0, &["CAP_NET_ADMIN"]),
            process("sensor nflog", 802, 998, &[]),
            process("judge", 803, 998, &[]),
        ],
        sensors: vec![SensorLine {
            name: "nflog".to_owned(),
            kind: "nflog".to_owned(),
            state: "listening".to_owned(),
            counters: vec![("packets".to_owned(), 12_345), ("lost".to_owned(), 0)],
        }],
        counters: vec![("events".to_owned(), 12_000), ("offences".to_owned(), 7), ("responder xdp: not at work".to_owned(), 1)],
        blocks: BlockCounts { active: 1_003, spoofable: 200, proven: 802, operator: 1, adopted: 0 },
        exemptions: (0..22).map(|n| (format!("192.0.2.{n}"), "resolver".to_owned())).collect(),
        signatures: vec![SignatureCount { sid: 621, message: "SCAN FIN".into(), count: 1_234, sources: 5 }],
        troubles: vec![TroubleLine {
            what: "the ledger can't be written".into(),
            since: Stamp(Time::from_secs(NOON)),
            why: "the disk is full".into(),
            grave: false,
        }],
        absent: vec!["packets".into()],
        responders: vec![ResponderLine { name: "xdp".to_owned(), state: ResponderState::Idle }],
        offenders: None,
        storm: Some(StormLine {
            since: Stamp(Time::from_secs(NOON)),
            until: Stamp(Time::from_secs(NOON + 600)),
            offenders: 61,
            rolled_back: 40,
        }),
        repaired: Some(RepairLine { at: Stamp(Time::from_secs(NOON + 60)), why: "was deleted by 'nft' (process 123)".into() }),
    };
    travels(&report);
    let text = report.text(Room::Terminal);
    let shown: Vec<&str> = text.lines().filter(|line| !line.starts_with("192.0.2.") || line.starts_with("192.0.2.0")).collect();
    assert_eq!(
        shown.join("\n"),
        "\
riposte 0.1.0, up 1h 30m, blocking.
1,003 blocks: 802 on proven evidence, 200 on forgeable evidence, 1 by order.
TROUBLE since 2026-03-01 12:00:00Z: the ledger can't be written:
the disk is full.
TROUBLE: packets does not run, and is begun again.
TROUBLE: responder xdp is not at work and sets no block (the log says why):
it is tried again every half minute.
A storm of 61 offenders was rolled back at 2026-03-01 12:00:00Z (40 blocks lifted);
until 2026-03-01 12:10:00Z forgeable evidence blocks nobody new.
riposte's own table was deleted by 'nft' (process 123): it was made anew at 2026-03-01 12:01:00Z.

PROCESS       PID  UID  MEMORY  SECCOMP  LANDLOCK  NO NEW PRIVS  CAPABILITIES
warden        801    0  5.0 MB  filter   ABI 5     yes           1, see below
sensor nflog  802  998  5.0 MB  filter   ABI 5     yes           none
judge         803  998  5.0 MB  filter   ABI 5     yes           none
warden may CAP_NET_ADMIN.

SENSOR  KIND   STATE      FIGURES
nflog   nflog  listening  packets 12,345

SID  SIGNATURE  MATCHES  SOURCES
621  SCAN FIN     1,234        5

FIGURE                       COUNT
events                      12,000
offences                         7
responder xdp: not at work       1

EXEMPT      WHY
192.0.2.0   resolver
and 2 more (riposte status --json shows all)"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let quiet = StatusReport {
        processes: Vec::new(),
        sensors: Vec::new(),
        counters: Vec::new(),
        exemptions: Vec::new(),
        signatures: Vec::new(),
        storm: None,
        repaired: None,
        ..report
    };
    assert!(
        quiet.text(Room::Terminal).contains("No sensor: nothing is seen.\n") && quiet.text(Room::Terminal).contains("Nobody is exempt.\n")
    );
    assert!(serde_json::to_string(&StatusReport { mode: Mode::DryRun, ..quiet }).unwrap().contains("\"mode\":\"dry_run\""));
}
