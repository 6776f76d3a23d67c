//! The judge's answers on the control socket. Decides nothing itself: orders go through the court like everything else.

use super::{Judge, Sensor};
use crate::config::feed::effect_word;
use crate::control::protocol::{AllowedLine, Done, MANAGED, PAGE, Reloaded, Reply, Request};
use crate::lives::channel::frame_buffer;
use crate::lives::now;
use court::court::{Court, Failing};
use link::message::{Counter, Life, Message, Tag};
use model::block::{Because, Block, Expiry, Scope, State};
use model::decision::{Cap, Decision, ExemptReason, WatchReason};
use model::event::{Guessed, RuleId, Trust};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use report::decision::Verdict;
use report::explain::{Explanation, ListingLine, Outlook, QuotedLine, SuspectFigures};
use report::history::HistoryLine;
use report::list::{BlockLine, Listed};
use report::serial::{Stamp, Whom};
use report::status::{
    BlockCounts, Mode, ProcessLine, RepairLine, ResponderLine, ResponderState, SensorLine, SignatureCount, StatusReport, StormLine,
    TroubleLine,
};

use report::system::SystemLine;
use report::time::Readable;
use respond::Kind;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;
use store::entry::Entry;
use store::history::HistoryQuery;
use sys::fd::{Interest, Poller};

/// How long `status` waits for the sensors' counters, and `list` for who has which block; what is late is shown as it was.
const COUNTERS_WAIT: Duration = Duration::from_millis(200);
/// For so long the responder is not asked who has what once it has not answered in time: page after page, that would add up.
const DEAF: Duration = Duration::from_secs(2);
/// How long `block` waits for the word that it is set: most kinds take a millisecond.
const SET_WAIT: Duration = Duration::from_millis(200);
/// How long `reload` waits for the warden: it opens logs, which may lie on a slow disk.
const RELOAD_WAIT: Duration = Duration::from_secs(10);
/// History entries in `explain`.
const EXPLAIN_ENTRIES: usize = 100;
/// Signatures in `status`.
const SIGNATURES: usize = 100;
/// The most history entries in one answer.
const HISTORY_MAX: usize = 10_000;

/// Answers one request.
pub fn answer(judge: &mut Judge, request: Request, root: bool) -> Reply {
    if request.is_order() && !root {
        return Reply::error("only root may give orders: try with sudo");
    }
    let now = now();
    match request {
        Request::Status => status(judge, now),
        Request::Offenders { top, prefix, level } => super::pictures::offenders(judge, top, prefix.as_deref(), level, now),
        Request::List { after } => with_some_prefix(after.as_deref(), |after| list(judge, after, now)),
        Request::Listed { after, limit } => with_some_prefix(after.as_deref(), |after| listed(judge, after, limit, now)),
        Request::Block { prefix, seconds, note } => with_prefix(&prefix, |prefix| {
            let expiry = seconds.map_or(Expiry::Never, |secs| Expiry::At(now.after(Duration::from_secs(secs))));
            let before = judge.court.judge.block_for(&prefix).map(|block| block.expiry).filter(|expiry| !expiry.is_over(now));
            match judge.court.block(prefix, expiry, note, now) {
                Ok(changed) => {
                    let said = before.map_or_else(|| format!("{prefix} is blocked"), |old| moved(prefix, old, expiry));
                    carried_out(judge, prefix, said, changed)
                }
                Err(refusal) => Reply::error(format!("{prefix} is not blocked: {refusal}")),
            }
        }),
        Request::Unblock { prefix } => {
            with_prefix(&prefix, |prefix| match (judge.court.runs_against(prefix).count(), judge.court.unblock(prefix, now)) {
                (responses @ 1.., 0) => done(format!("{responses} responses to {prefix} are undone"), responses),
                (_, 0) => match judge.court.judge.standing_for(prefix.addr()) {
                    Some(block) => Reply::error(format!("{prefix} is blocked as part of {}: unblock that", block.scope.prefix())),
                    None => not_blocked(judge, prefix, now),
                },
                (_, lifted) => {
                    let said =
                        if lifted == 1 { format!("{prefix} is unblocked") } else { format!("{lifted} blocks inside {prefix} are lifted") };
                    match judge.court.judge.standing_for(prefix.addr()) {
                        Some(block) => done(format!("{said}, and still blocked as part of {}", block.scope.prefix()), lifted),
                        None => done(said, lifted),
                    }
                }
            })
        }
        Request::Respond { address, note } => respond(judge, Prefix::host(model::net::canonical(address)), note, now),
        Request::Release { address } => {
            let whom = Prefix::host(model::net::canonical(address));
            match judge.court.judge.block_for(&whom) {
                Some(block) if is_managed(&block) => done(format!("{whom} is unblocked"), judge.court.unblock(whom, now)),
                Some(_) => done(format!("{whom} stays blocked: for another reason than an active response"), 0),
                None => done(format!("{whom} is not blocked"), 0),
            }
        }
        Request::Allow { prefix, seconds } => with_prefix(&prefix, |prefix| {
            let until = seconds.map(|secs| now.after(Duration::from_secs(secs)));
            match judge.court.allow(prefix, until, now) {
                Ok(changed) => {
                    judge.tell_allowed();
                    done(format!("{prefix} is never blocked"), changed)
                }
                Err(refusal) => Reply::error(format!("{prefix} is not allowed: {refusal}")),
            }
        }),
        Request::Disallow { prefix } => with_prefix(&prefix, |prefix| match judge.court.disallow(prefix, now) {
            true => {
                judge.tell_allowed();
                done(format!("{prefix} is off the list"), 1)
            }
            false => Reply::error(format!("{prefix} is not on the list of 'riposte allow'")),
        }),
        Request::Allowed => {
            let line = |(prefix, until): (Prefix, Option<Time>)| AllowedLine {
                prefix: prefix.to_string(),
                until: until.map(|at| report::time::Rfc3339(at).to_string()),
            };
            Reply::of(&judge.court.judge.allowed().into_iter().map(line).collect::<Vec<_>>())
        }
        Request::Explain { address } => match address.parse::<IpAddr>() {
            Ok(addr) => explain(judge, model::net::canonical(addr), now),
            Err(_) => Reply::error(format!("'{address}' is no IPv4 or IPv6 address")),
        },
        Request::History { prefix, since_secs, limit } => {
            with_some_prefix(prefix.as_deref(), |whom| history(judge, whom, since_secs, limit, now))
        }
        Request::Feeds => Reply::of(&judge.feeds.lines(super::clock())),
        Request::UpdateFeeds { name } => match judge.feeds.update(name.as_deref(), super::clock()) {
            Ok(0) => done("every list was fetched within the hour".to_owned(), 0),
            Ok(many) => done(format!("{many} fetched now: 'riposte feeds list' shows how it went"), many),
            Err(why) => Reply::error(why),
        },
        Request::Dshield => match &judge.dshield {
            Some(dshield) => Reply::of(&dshield.submission(super::clock())),
            None => Reply::error("DShield is told nothing: '[dshield] enabled = true' in the configuration has it told"),
        },
        Request::Reload => reload(judge),
    }
}

/// Nothing can be lifted: a list is not ours to change.
fn not_blocked(judge: &Judge, prefix: Prefix, now: Time) -> Reply {
    let listings = judge.court.judge.listings(prefix.addr(), now);
    Reply::error(match listings.iter().find(|listing| listing.blocks) {
        Some(listing) => {
            let (entry, list) = (listing.prefix, &listing.list);
            format!(
                "{prefix} is blocked with {entry} by the feed {list}, which is not ours to change: 'riposte allow {prefix}' lets it pass"
            )
        }
        None => format!("{prefix} is not blocked"),
    })
}

/// What became of an order to block, if somebody says so in time: no one is told of a block that nobody has set.
fn carried_out(judge: &mut Judge, prefix: Prefix, said: String, changed: usize) -> Reply {
    // An order that can't be sent now is sent when the warden has room, or the loop finds that it is gone.
    let _ = judge.send_changes();
    let is_set = |judge: &Judge| {
        let court = &judge.court.judge;
        court.block_for(&prefix).map(|block| court.is_confirmed(block.id) || court.is_rehearsed(block.id))
    };
    if judge.court.judge.block_for(&prefix).is_some_and(|block| judge.court.judge.is_rehearsed(block.id)) {
        return done(format!("{prefix} would be blocked, but this is a dry run: nothing is set"), changed);
    }
    hear_until(judge, SET_WAIT, |judge| is_set(judge) != Some(false));
    match is_set(judge) {
        Some(true) => done(said, changed),
        Some(false) => {
            done(format!("{prefix} is to be blocked, which nobody has confirmed yet: 'riposte list' shows when it is set"), changed)
        }
        None => Reply::error(format!("{prefix} is not blocked: nobody could set it; 'riposte status' and the log say why")),
    }
}

/// A block for another program's manager. He may never come back to lift it, so it has an end.
fn respond(judge: &mut Judge, whom: Prefix, note: String, now: Time) -> Reply {
    if let Some(block) = judge.court.judge.standing_for(whom.addr()).filter(|block| !is_managed(block)) {
        return done(format!("{whom} is blocked already, with {}", block.scope.prefix()), 0);
    }
    let end = now.after(judge.court.config().policy.block_max);
    match judge.court.respond(whom, Expiry::At(end), format!("{MANAGED}{note}"), now) {
        Ok(changed) => done(format!("{whom} is blocked"), changed),
        Err(refusal) => Reply::error(format!("{whom} is not blocked: {refusal}")),
    }
}

fn is_managed(block: &Block) -> bool {
    matches!(&block.because, Because::Operator { note } if note.starts_with(MANAGED))
}

fn with_prefix(text: &str, then: impl FnOnce(Prefix) -> Reply) -> Reply {
    match text.parse::<Prefix>() {
        Ok(prefix) => then(prefix),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn with_some_prefix(text: Option<&str>, then: impl FnOnce(Option<Prefix>) -> Reply) -> Reply {
    match text {
        Some(text) => with_prefix(text, |prefix| then(Some(prefix))),
        None => then(None),
    }
}

/// What an order did to a block that stood already.
fn moved(prefix: Prefix, old: Expiry, new: Expiry) -> String {
    let word = |expiry| match expiry {
        Expiry::At(at) => Readable(at).to_string(),
        Expiry::Never => "no end".to_owned(),
    };
    let how = match (old, new) {
        (Expiry::At(old), Expiry::At(new)) if new < old => "shortened",
        (Expiry::Never, Expiry::At(_)) => "shortened",
        (Expiry::At(_), Expiry::At(_) | Expiry::Never) => "extended",
        (Expiry::Never, Expiry::Never) => return format!("{prefix} stays blocked without an end"),
    };
    format!("{prefix} was blocked already: {how} from {} to {}", word(old), word(new))
}

fn done(said: String, changed: usize) -> Reply {
    Reply::of(&Done { said, changed })
}

fn list(judge: &mut Judge, after: Option<Prefix>, now: Time) -> Reply {
    let blocks = judge.court.judge.standing().skip_while(|block| after.is_some_and(|after| block.scope.prefix() <= after)).take(PAGE);
    let blocks: Vec<Block> = blocks.collect();
    let held = ask_held(judge, blocks.iter().map(|block| block.scope));
    let lines: Vec<BlockLine> = blocks.iter().map(|block| held.tell(line(judge, block, now), block.scope)).collect();
    Reply::of(&lines)
}

fn listed(judge: &Judge, after: Option<Prefix>, limit: usize, now: Time) -> Reply {
    let (all, page) = judge.court.judge.listed_page(after, limit.min(PAGE), now);
    let since = |list: &str| judge.feeds.fetched_at(list).unwrap_or(now);
    let line = |(prefix, until, list)| BlockLine::of_list(list, prefix, since(list), until, now);
    Reply::of(&Listed { all: all.map(|all| all as u64), entries: page.into_iter().map(line).collect() })
}

/// Who has what.
#[derive(Default)]
struct Holders {
    by: HashMap<Scope, Vec<String>>,
    /// Who doesn't say.
    silent: Vec<String>,
}

impl Holders {
    fn tell(&self, line: BlockLine, scope: Scope) -> BlockLine {
        let by = self.by.get(&scope).cloned();
        let silent = if by.is_none() { self.silent.clone() } else { Vec::new() };
        line.held_by(by, silent)
    }
}

/// Who has these; nothing if there is only one who could.
fn ask_held(judge: &mut Judge, scopes: impl Iterator<Item = Scope>) -> Holders {
    let mut all = Holders::default();
    if judge.responders.len() < 2 {
        return all;
    }
    for piece in scopes.collect::<Vec<_>>().chunks(limits::BATCH_CHANGES) {
        judge.held = None;
        if judge.silent() != 0 || judge.warden.send(&Message::AskHeld(piece.to_vec())).is_err() {
            break;
        }
        // One that comes late answers an earlier question.
        let is_answer = |held: &Vec<(Scope, u16)>| held.first().map(|(scope, _)| scope) == piece.first();
        hear_until(judge, COUNTERS_WAIT, |judge| judge.silent != 0 || judge.held.as_ref().is_some_and(is_answer));
        let Some(held) = judge.held.take().filter(is_answer) else {
            judge.deaf_until = crate::lives::monotonic().after(DEAF);
            break;
        };
        all.by.extend(held.into_iter().map(|(scope, by)| (scope, judge.named(by))));
    }
    all.silent = judge.named(judge.silent());
    all
}

impl Judge {
    /// The responders of these bits.
    fn named(&self, bits: u16) -> Vec<String> {
        self.responders.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, name)| (*name).to_owned()).collect()
    }

    /// The bits of those who don't answer: whom the responder waits for, or, if it says nothing at all, all that it carries.
    fn silent(&self) -> u16 {
        if self.silent != 0 || crate::lives::monotonic() >= self.deaf_until {
            return self.silent;
        }
        let is_carried = |name: &str| Kind::of(name).is_some_and(|kind| kind.open.is_some());
        (0..).zip(&self.responders).filter(|(_, name)| is_carried(name)).map(|(n, _)| 1 << n).sum()
    }
}

fn line(judge: &Judge, block: &Block, now: Time) -> BlockLine {
    let rule = match &block.because {
        Because::Offence { rule, .. } => rule.and_then(|rule| judge.court.rule_name(rule)),
        Because::Adopted | Because::Operator { .. } => None,
    };
    let mut line = BlockLine::of(block, State::Active, now).of_rule(rule);
    if judge.court.judge.is_rehearsed(block.id) {
        line.state = report::list::REHEARSED.into();
    }
    line
}

fn explain(judge: &mut Judge, addr: IpAddr, now: Time) -> Reply {
    let standing = judge.court.judge.standing_for(addr);
    let held = ask_held(judge, standing.iter().map(|block| block.scope));
    let court = &judge.court;
    let story = match court.store().story(addr, now, EXPLAIN_ENTRIES) {
        Ok(story) => story,
        Err(error) => return Reply::error(error.to_string()),
    };
    let whom = Prefix::host(addr);
    let suspect = court.detectors.suspect(addr);
    let bare = suspect.as_ref().map(|s| SuspectFigures {
        first: Stamp(s.first),
        last: Stamp(s.last),
        packets: s.packets,
        targets: s.targets,
        endpoints: s.endpoints,
        odds: Some(s.log_odds.exp()),
        convicted: s.convicted,
        level: s.level.map(|level| level.number()),
        styles: s.styles.iter().map(|style| style.word().to_owned()).collect(),
        trust: s.trust.word().to_owned(),
    });
    let strikes = story.strikes.iter().map(|strike| strike.count).max().unwrap_or(0);
    let outlook =
        Outlook { dry_run: court.config().policy.dry_run, next_block_secs: Some(next_block_secs(judge, suspect.as_ref(), strikes)) };
    let explanation = Explanation::compose(
        Whom(whom),
        court.judge.is_exempt(&whom).map(|reason| reason.word().to_owned()),
        standing.map(|block| held.tell(line(judge, &block, now), block.scope)),
        bare,
        story.entries.iter().map(|entry| history_line(judge, entry)).collect(),
        strikes,
        outlook,
    );
    let quote = story.quote.map(|quote| QuotedLine { at: Stamp(quote.at), log: quote.log, line: quote.line });
    let known = court.detectors.signatures();
    let mut signatures: Vec<_> = known
        .of(addr)
        .into_iter()
        .flat_map(|matches| &matches.signatures)
        .map(|m| signature_count(judge, m.rule, known.sid(m.rule), (m.count.into(), 1)))
        .collect();
    signatures.sort_by_key(|line| (std::cmp::Reverse(line.count), line.sid));
    let listings = court.judge.listings(addr, now).into_iter().map(|listing| ListingLine {
        list: listing.list,
        effect: effect_word(listing.effect).to_owned(),
        entry: Whom(listing.prefix),
        until: Stamp(listing.until),
        blocks: listing.blocks,
    });
    Reply::of(&explanation.quoting(quote).matching(signatures).looking_like(systems(court, addr)).listed(listings.collect()))
}

/// What an address's packets look like.
pub(super) fn systems(court: &Court, addr: IpAddr) -> Vec<SystemLine> {
    let name = |guessed: &Guessed| SystemLine::new(guessed, court.rule_name(guessed.name).unwrap_or_default());
    court.detectors.systems().of(addr).iter().map(name).collect()
}

/// A signature's message by its name in the dictionary, which has its number in front.
pub(super) fn message(court: &Court, rule: RuleId) -> String {
    let name = court.rule_name(rule).unwrap_or_default();
    name.split_once(": ").map_or(name, |(_, message)| message).to_owned()
}

/// A signature, counted.
fn signature_count(judge: &Judge, rule: RuleId, sid: u32, (count, sources): (u64, u64)) -> SignatureCount {
    SignatureCount { sid, message: message(&judge.court, rule), count, sources }
}

/// How long the next block would be, were it decided now on evidence as before.
fn next_block_secs(judge: &Judge, suspect: Option<&detect::suspect::Suspect>, strikes: u32) -> u64 {
    let policy = &judge.court.config().policy;
    let level = suspect.and_then(|s| s.level).map_or(0, |level| level.index());
    let factor = policy.escalation.saturating_pow(strikes.min(64));
    let longest = match suspect.map(|s| s.trust) {
        Some(Trust::Handshake | Trust::Vouched) => policy.block_max,
        Some(Trust::Spoofable) | None => policy.block_max.min(policy.spoofable.block_max),
    };
    policy.block_for[level].saturating_mul(factor).min(longest).as_secs()
}

fn history(judge: &Judge, whom: Option<Prefix>, since_secs: Option<u64>, limit: usize, now: Time) -> Reply {
    let since = since_secs.map(|secs| now.before(Duration::from_secs(secs)));
    let query = HistoryQuery { whom, since, until: None, limit: limit.min(HISTORY_MAX), newest_first: true };
    match judge.court.store().history(&query) {
        Ok(entries) => Reply::of(&entries.iter().rev().map(|entry| history_line(judge, entry)).collect::<Vec<HistoryLine>>()),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn history_line(judge: &Judge, entry: &Entry) -> HistoryLine {
    match entry {
        Entry::Judged { offence, verdict } => {
            // A log's line may come late: only the block itself knows when it was decided. Of one that is over, the offence's time is left.
            let standing = judge.court.judge.standing_for(offence.offender.addr());
            let made = standing.filter(|block| verdict.block() == Some(block.id)).map_or(offence.at, |block| block.made);
            HistoryLine::of(offence, &Verdict::of(&decision(offence, verdict, made), offence.at))
                .of_rule(offence.rule.and_then(|rule| judge.court.rule_name(rule)))
        }
        Entry::Turned { at, whom, id, turn } => HistoryLine::event(*at, *whom, format!("block {id}"), turn.word().to_owned()),
        Entry::Allowed { at, whom, .. } => HistoryLine::event(*at, *whom, "operator".into(), "allowed by an operator".into()),
        Entry::Responded { at, whom, id, name, add, ran } => {
            let (name, what) = (judge.court.rule_name(*name).unwrap_or("?"), if *add { "add" } else { "delete" });
            let said =
                judge.court.said(*id, *add).map(|said| format!("; it said: {}", report::escape::text(said, model::limits::SAID_BYTES)));
            let why = format!("{what}: {}{}", ran.word(), said.unwrap_or_default());
            HistoryLine::event(*at, *whom, format!("response {name}"), why)
        }
        Entry::Disallowed { at, whom } => HistoryLine::event(*at, *whom, "operator".into(), "taken off the list of the allowed".into()),
    }
}

/// The decision again, from what the history keeps of it.
fn decision(offence: &model::offence::Offence, verdict: &store::entry::Verdict, made: Time) -> Decision {
    match *verdict {
        store::entry::Verdict::Block { id, expiry, strike } => Decision::Block(Block {
            id,
            scope: model::block::Scope::Source(offence.offender),
            effect: model::block::Effect::Drop,
            made,
            expiry,
            because: Because::Offence {
                charge: offence.charge,
                level: offence.level,
                styles: offence.styles,
                trust: offence.trust,
                strike,
                rule: offence.rule,
            },
        }),
        store::entry::Verdict::Extend { id, expiry, strike } => Decision::Extend { id, expiry, strike },
        store::entry::Verdict::Watch { until, why } => Decision::Watch { until, why },
        store::entry::Verdict::Exempt(reason) => Decision::Exempt(reason),
        store::entry::Verdict::Refuse(cap) => Decision::Refuse(cap),
    }
}

fn status(judge: &mut Judge, now: Time) -> Reply {
    ask_counters(judge);
    let court = &judge.court;
    let policy = court.judge.counters();
    let (mut operator, mut adopted) = (0, 0);
    for block in court.judge.standing() {
        match block.because {
            Because::Offence { .. } => {}
            Because::Operator { .. } => operator += 1,
            Because::Adopted => adopted += 1,
        }
    }
    let report = StatusReport {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_secs: now.since(judge.began).as_secs(),
        mode: if court.config().policy.dry_run { Mode::DryRun } else { Mode::Blocking },
        processes: processes(judge),
        absent: judge.processes.iter().filter(|process| process.pid == 0).map(life_name).collect(),
        sensors: judge.sensors.values().map(sensor_line).collect(),
        counters: counters(judge),
        blocks: BlockCounts {
            active: policy.standing as u64,
            spoofable: policy.standing_forgeable as u64,
            proven: policy.standing.saturating_sub(policy.standing_forgeable + operator + adopted) as u64,
            operator: operator as u64,
            adopted: adopted as u64,
        },
        exemptions: court.judge.exemptions().iter().map(|e| (e.prefix.to_string(), e.reason.word().to_owned())).collect(),
        storm: court.judge.storm().map(|storm| StormLine {
            since: Stamp(storm.since),
            until: Stamp(storm.until),
            offenders: court.config().policy.storm.offenders as u64,
            rolled_back: storm.rolled_back as u64,
        }),
        repaired: judge.repaired.as_ref().map(|(at, why)| RepairLine { at: Stamp(*at), why: why.clone() }),
        signatures: court
            .detectors
            .signatures()
            .tops()
            .iter()
            .take(SIGNATURES)
            .map(|top| signature_count(judge, top.rule, top.sid, (top.count, top.sources)))
            .collect(),
        troubles: troubles(judge),
        responders: responders(judge),
        offenders: None,
    };
    Reply::of(&report)
}

fn responders(judge: &Judge) -> Vec<ResponderLine> {
    let is_idle = |name: &str| {
        let figure = format!("responder {name}: not at work");
        judge.warden_counters.iter().any(|counter| counter.name == figure && counter.value > 0)
    };
    let silent = judge.silent();
    let line = |(n, name): (u32, &&str)| {
        let state = if silent & (1 << n) != 0 {
            ResponderState::Silent
        } else if is_idle(name) {
            ResponderState::Idle
        } else {
            ResponderState::Working
        };
        ResponderLine { name: (*name).to_owned(), state }
    };
    (0..).zip(&judge.responders).map(line).collect()
}

pub(super) fn troubles(judge: &Judge) -> Vec<TroubleLine> {
    let line = |what: &str, failing: &Failing, grave| TroubleLine {
        what: what.into(),
        since: Stamp(failing.since),
        why: failing.why.clone(),
        grave,
    };
    let court = &judge.court;
    let ledger = "the ledger can't be written; blocks are set and remembered, and written down later";
    let kernel = "the kernel does not take every change; it is asked what it has, and what is missing is set again";
    let ledger = court.failing.iter().map(|failing| line(ledger, failing, false));
    let kernel = court.refusing.iter().map(|refusing| line(kernel, refusing, true));
    let tight = court.tight.iter().map(|tight| TroubleLine {
        what: "there is little room on the ledger's disk; the history waits in memory, and blocks are set and written down as ever"
            .to_owned(),
        since: Stamp(tight.since),
        why: tight.why.clone(),
        grave: false,
    });
    let wardens =
        judge.warden_troubles.iter().map(|t| TroubleLine { what: t.what.clone(), since: Stamp(t.since), why: t.why.clone(), grave: true });
    let feeds = judge.feeds.lines(super::clock()).into_iter().filter_map(|feed| {
        let trouble = feed.trouble?;
        let what = format!("the feed {} can't be renewed", feed.name);
        Some(TroubleLine { what, since: trouble.since, why: trouble.why, grave: false })
    });
    let dshield = judge.dshield.as_ref().and_then(|dshield| dshield.wrong.as_ref());
    let dshield = dshield.map(|(since, why)| TroubleLine {
        what: "DShield is not told".into(),
        since: Stamp(*since),
        why: why.clone(),
        grave: false,
    });
    ledger.chain(kernel).chain(tight).chain(wardens).chain(feeds).chain(dshield).collect()
}

/// What only the asking side can read from /proc is left out: the judge sees no other process there.
fn processes(judge: &Judge) -> Vec<ProcessLine> {
    let line = |process: &link::message::Process| ProcessLine {
        life: life_name(process),
        pid: process.pid,
        uid: u32::MAX,
        capabilities: Vec::new(),
        no_new_privs: false,
        seccomp: String::new(),
        landlock: process.sandbox.clone(),
        rss_kb: 0,
        restarts: process.restarts,
        open_fds: None,
    };
    judge.processes.iter().filter(|process| process.pid != 0).map(line).collect()
}

/// A process, for people.
pub(super) fn life_name(process: &link::message::Process) -> String {
    match process.life {
        Life::Log => format!("log {}", process.slot),
        Life::Warden
        | Life::Judge
        | Life::Packets
        | Life::Host
        | Life::Lookup
        | Life::Applications
        | Life::Runner
        | Life::Guard
        | Life::Responder
        | Life::Envoy => process.life.word().into(),
    }
}

fn sensor_line(sensor: &Sensor) -> SensorLine {
    let pairs = sensor.counters.iter().map(|c| (c.name.clone(), c.value)).collect();
    let kind = sensor.name.split(' ').next().unwrap_or_default().to_owned();
    SensorLine { name: sensor.name.clone(), kind, state: "running".into(), counters: pairs }
}

fn counters(judge: &Judge) -> Vec<(String, u64)> {
    let (court, policy, detect) = (&judge.court, judge.court.judge.counters(), judge.court.detectors.counters());
    let t = court.tallies;
    let stored = court.store().counts();
    let (responses, standing) = court.response_tallies();
    let mut list: Vec<(String, u64)> = [
        ("events", t.events),
        ("events ignored by configuration", t.ignored),
        ("events with a time in the future", t.ahead),
        ("offences", t.offences),
        ("offences too old to act upon", t.stale),
        ("blocks made", policy.made),
        ("blocks by an operator", policy.ordered),
        ("blocks extended", policy.extended),
        ("blocks lifted", policy.lifted),
        ("blocks expired", policy.expired),
        ("blocks that failed", policy.failed),
        ("storms", policy.storms),
        ("blocks rolled back", policy.rolled_back),
        ("offenders remembered", policy.strikes as u64),
        ("offenders forgotten, table full", policy.strikes_forgotten),
        ("derived exemptions dropped, table full", policy.exemptions_dropped as u64),
        ("sources tracked", detect.tracked),
        ("sources evicted", detect.evicted),
        ("charged sources evicted", detect.evicted_charged),
        ("probes of sources without room", detect.refused_admission),
        ("sources forgotten", detect.forgotten),
        ("sources charged", detect.charged),
        ("sources convicted", detect.convicted),
        ("targets tracked", detect.targets_tracked),
        ("targets evicted", detect.targets_evicted),
        ("shares without room", detect.shares_refused),
        ("reports of log rules that said nothing new", detect.reports_repeated),
        ("touches of guarded ports that found no room", detect.touches_crowded_out),
        ("sources whose matches of signatures gave way", detect.matches_crowded_out),
        ("sources whose systems gave way", detect.systems_crowded_out),
        ("forgeable matches not charged, too many", detect.matches_unheard),
        ("reports of log rules without room for their names", t.rules_unnamed),
        ("responses run", responses.begun),
        ("responses that stand", standing as u64),
        ("responses whose time began anew", responses.renewed),
        ("responses undone", responses.undone),
        ("responses that failed", responses.failed),
        ("responses not run", responses.refused),
        ("responses that could not be undone", responses.left),
        ("ledger steps out of order", t.illegal),
        ("store errors", t.store_errors),
        ("history entries dropped", t.entries_dropped),
        ("history entries thinned out, store too large", t.entries_thinned),
        ("history entries that wait for room on the disk", court.waiting() as u64),
        ("history entries", stored.entries),
        ("changes sent", t.changes),
        ("changes that failed", t.failed),
        ("messages not understood", judge.malformed),
        ("captured packets of the blocked", judge.of_blocked),
        ("control connections turned away", judge.turned_away),
        ("alerts", judge.alerts.made),
        ("alerts dropped, the envoy did not take them", judge.alerts.dropped),
        ("lines in PortSentry's form that could not be written", judge.lines.as_ref().map_or(0, |lines| lines.lost)),
        ("probes told to DShield", judge.dshield.as_ref().map_or(0, |dshield| dshield.tally[0])),
        ("probes not told to DShield, too many", judge.dshield.as_ref().map_or(0, |dshield| dshield.tally[1])),
        ("submissions to DShield that failed", judge.dshield.as_ref().map_or(0, |dshield| dshield.tally[2])),
        ("feeds refused", judge.feeds.refused),
        ("entries of feeds not blocked, exempt", judge.feeds.kept_back[0] as u64),
        ("entries of feeds not blocked, too many", judge.feeds.kept_back[1] as u64),
        ("copies of feeds that could not be kept", judge.feeds.unwritten),
        ("answers of the envoy that nobody waits for", judge.late),
        ("clock was set", t.clock_set),
        ("ledger behind", u64::from(court.failing.is_some())),
        ("ledger in memory only", u64::from(court.store_trouble.is_some())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    list.extend(Cap::ALL.into_iter().map(|cap| (format!("refused: {cap}"), policy.refused(cap))).filter(|(_, n)| *n > 0));
    list.extend(ExemptReason::ALL.into_iter().map(|why| (format!("exempt: {why}"), policy.exempt(why))).filter(|(_, n)| *n > 0));
    list.extend(WatchReason::ALL.into_iter().map(|why| (format!("watched: {why}"), policy.watched(why))).filter(|(_, n)| *n > 0));
    list.extend(judge.warden_counters.iter().map(|c: &Counter| (c.name.clone(), c.value)));
    list
}

/// Asks everybody and waits a little. Events that come in meanwhile are taken as always.
fn ask_counters(judge: &mut Judge) {
    let (mut open, mut before) = (0, Vec::new());
    for (token, sensor) in &mut judge.sensors {
        open += usize::from(sensor.link.send(&Message::AskCounters).is_ok());
        before.push((*token, std::mem::take(&mut sensor.counters)));
    }
    let wardens = std::mem::take(&mut judge.warden_counters);
    open += usize::from(judge.warden.send(&Message::AskCounters).is_ok());
    hear_until(judge, COUNTERS_WAIT, |judge| answered(judge) >= open);
    // What is late is shown as it was.
    for (token, counters) in before {
        if let Some(sensor) = judge.sensors.get_mut(&token).filter(|sensor| sensor.counters.is_empty()) {
            sensor.counters = counters;
        }
    }
    if judge.warden_counters.is_empty() {
        judge.warden_counters = wardens;
    }
}

/// Has the warden read the configuration again. The new one is in force here, too, before the warden's answer comes.
fn reload(judge: &mut Judge) -> Reply {
    judge.reloaded = None;
    if judge.reloads.admit(Tag::Reload, 1, crate::lives::monotonic()).is_err() {
        return Reply::error("the configuration has just been read several times: try again in a second");
    }
    if judge.warden.send(&Message::Reload).is_err() {
        return Reply::error("the warden has gone");
    }
    hear_until(judge, RELOAD_WAIT, |judge| judge.reloaded.is_some());
    match judge.reloaded.take() {
        Some((true, later)) => Reply::of(&Reloaded { later }),
        Some((false, wrong)) => Reply::errors(wrong),
        None => Reply::error(format!("the warden has not answered within {} s: riposte's log will tell", RELOAD_WAIT.as_secs())),
    }
}

/// Goes on with everybody but the askers until something has come, or for so long at most.
fn hear_until(judge: &mut Judge, most: Duration, come: impl Fn(&Judge) -> bool) {
    let Ok(poller) = Poller::new() else { return };
    let mut polled = poller.add(judge.warden.as_fd(), super::WARDEN, judge.warden.interest()).is_ok();
    for (token, sensor) in &judge.sensors {
        polled &= poller.add(sensor.link.as_fd(), *token, Interest::Read).is_ok();
    }
    let until = crate::lives::monotonic().after(most);
    let (mut ready, mut frame) = (Vec::new(), frame_buffer());
    while polled && !come(judge) {
        let left = until.since(crate::lives::monotonic());
        if left.is_zero() || poller.wait(Some(left), &mut ready).is_err() || ready.is_empty() {
            return;
        }
        for event in &ready {
            let heard = if event.token == super::WARDEN {
                judge.hear_warden(event, &mut frame).is_ok_and(|alive| alive)
            } else {
                judge.hear_sensor(event, &mut frame).is_ok()
            };
            if !heard {
                return;
            }
        }
        if !judge.warden.wants_to_write() {
            polled &= poller.modify(judge.warden.as_fd(), super::WARDEN, Interest::Read).is_ok();
        }
    }
}

fn answered(judge: &Judge) -> usize {
    judge.sensors.values().filter(|sensor| !sensor.counters.is_empty()).count() + usize::from(!judge.warden_counters.is_empty())
}
