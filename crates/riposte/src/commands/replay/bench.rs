//! What a configuration makes of the packets: signatures on the reader's side, detectors and judge on a thread of their own where a second
//! processor is there for it. Whichever it is, the same comes out.

use super::super::{Failure, fail};
use crate::config::Config;
use crate::lives::{fingerprints, signatures};
use detect::config::ScanConfig;
use detect::detectors::Detectors;
use detect::signatures::{Matched, Top};
use detect::{Detector, WARM};
use model::block::Expiry;
use model::decision::Decision;
use model::event::{Act, Event, Guessed, RuleId};
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use policy::judge::Judge;
use report::decision::Verdict;
use report::offender::{OffenderLine, SignatureLine};
use report::replay::TopSignature;
use report::system::SystemLine;
use sense::firewall::Sighting;
use sense::guessing::Guesser;
use sense::matching::{Matcher, Named};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The tables' hash seed: any, but the same, so that a replay can be repeated.
const SEED: u64 = 0x7269_706f_7374_6531;
/// Events that go to the other thread at a time: so many that waking it up costs nothing beside them.
const PARCEL: usize = 16 * WARM;
/// Parcels on their way.
const ON_THE_WAY: usize = 4;

/// One configuration's signatures, and where what they found goes.
pub struct Bench {
    matcher: Matcher,
    named: Vec<Named>,
    /// Events that the trial has not got yet.
    events: Vec<Event>,
    trial: Stage,
}

/// Where the trial is held.
enum Stage {
    Here(Box<Trial>),
    Apart(Courier),
}

/// The way to a trial on a thread of its own.
struct Courier {
    there: SyncSender<Vec<Event>>,
    /// Emptied parcels, to be filled again.
    back: Receiver<Vec<Event>>,
    thread: JoinHandle<Box<Trial>>,
}

impl Courier {
    fn new(mut trial: Box<Trial>) -> Result<Courier, Failure> {
        let (there, parcels) = sync_channel::<Vec<Event>>(ON_THE_WAY);
        let (emptied, back) = sync_channel(ON_THE_WAY + 1);
        let work = move || {
            for mut parcel in parcels {
                trial.hear(&parcel);
                parcel.clear();
                // If there are enough of them, this one is let go.
                let _ = emptied.try_send(parcel);
            }
            trial
        };
        let thread = std::thread::Builder::new().name("trial".to_owned()).spawn(work).map_err(|e| fail(format!("no thread: {e}")))?;
        Ok(Courier { there, back, thread })
    }

    /// Waits for the trial's end.
    fn join(self) -> Box<Trial> {
        drop(self.there);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Bench {
    /// Of a configuration. `apart`: on a thread of its own.
    ///
    /// # Errors
    /// What is wrong with its signatures or fingerprints, or that there is no thread.
    pub fn new(config: &Config, apart: bool) -> Result<Self, Failure> {
        let (set, remarks) = signatures::load(&config.signatures)?;
        let guesser = fingerprints::load(&config.fingerprint)?.map(|fingerprints| Guesser::new(fingerprints, SEED));
        remarks.iter().for_each(|remark| eprintln!("riposte: [signatures]: {remark}"));
        let trial = Box::new(Trial::new(config)?);
        let trial = if apart { Stage::Apart(Courier::new(trial)?) } else { Stage::Here(trial) };
        Ok(Bench { matcher: Matcher::new(set).with_guesser(guesser), named: Vec::new(), events: Vec::new(), trial })
    }

    /// Takes a packet in. Most wait for each other, so that the detectors' look-ups overlap.
    #[inline]
    pub fn take(&mut self, sighting: &Sighting<'_>) {
        self.matcher.events(&sighting.seen(0), sighting.event(0), &mut self.events);
        let enough = if let Stage::Here(_) = self.trial { WARM } else { PARCEL };
        if self.events.len() >= enough {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.named.extend(self.matcher.take_unnamed());
        match &mut self.trial {
            Stage::Here(trial) => {
                trial.hear(&self.events);
                self.events.clear();
            }
            Stage::Apart(courier) => {
                let empty = courier.back.try_recv().unwrap_or_else(|_| Vec::with_capacity(PARCEL + WARM));
                // It can't be gone but by a panic, and that shows when it is waited for.
                let _ = courier.there.send(std::mem::replace(&mut self.events, empty));
            }
        }
    }

    /// Whether there was something to decide about somebody, as far as is known at once: nothing, if the trial is held apart.
    pub fn has_charged(&self, whom: &Prefix) -> bool {
        matches!(&self.trial, Stage::Here(trial) if trial.decisions.contains_key(whom))
    }

    /// Everything was read.
    pub fn finish(mut self) -> Outcome {
        self.flush();
        let trial = match self.trial {
            Stage::Here(trial) => trial,
            Stage::Apart(courier) => courier.join(),
        };
        Outcome { ignored: trial.config_ignored + self.matcher.counts().1, named: self.named, trial }
    }
}

/// One configuration's detectors and judge, and what they came to.
struct Trial {
    detectors: Detectors,
    judge: Judge,
    offences: Vec<Offence>,
    /// What tells most of what was decided about each, and when.
    decisions: HashMap<Prefix, (Decision, Time)>,
    /// Above this many, the decisions about those whom the detectors have forgotten are dropped.
    decisions_max: usize,
    config_ignored: u64,
}

impl Trial {
    fn new(config: &Config) -> Result<Trial, Failure> {
        // What happened is all to be told: nobody fills a history here.
        let scan = ScanConfig { match_charges: u32::MAX, ..config.scan.clone() };
        let mut policy = config.policy.clone();
        policy.exempt.extend(signatures::spared(&config.signatures)?);
        Ok(Trial {
            detectors: Detectors::new(&scan, SEED),
            judge: Judge::new(policy),
            offences: Vec::new(),
            decisions: HashMap::new(),
            decisions_max: config.scan.tracked_sources + config.scan.tracked_sources / 4,
            config_ignored: 0,
        })
    }

    fn hear(&mut self, events: &[Event]) {
        for batch in events.chunks(WARM) {
            self.detectors.warm(batch);
            batch.iter().for_each(|event| self.observe(event));
        }
    }

    fn observe(&mut self, event: &Event) {
        if self.judge.ignores(event) {
            // A packet counts once, whatever it fits besides.
            self.config_ignored += u64::from(!matches!(event.act, Act::Matched(_) | Act::Guessed(_)));
            return;
        }
        self.detectors.observe(event, &mut self.offences);
        if self.offences.is_empty() {
            return;
        }
        let mut offences = std::mem::take(&mut self.offences);
        for offence in offences.drain(..) {
            let (decision, _) = self.judge.judge(&offence, offence.at);
            self.keep(offence.offender, decision, offence.at);
        }
        self.offences = offences;
    }

    /// Keeps the decision that tells most: a block rather than what came before or after it.
    fn keep(&mut self, offender: Prefix, decision: Decision, at: Time) {
        match self.decisions.get_mut(&offender) {
            Some((old, since)) if ends(old, *since).is_some_and(|end| ends(&decision, at) <= Some(end)) => {}
            Some(old) => *old = (decision, at),
            None => drop(self.decisions.insert(offender, (decision, at))),
        }
        // Whom the detectors have forgotten is not printed either.
        if self.decisions.len() > self.decisions_max {
            let detectors = &self.detectors;
            self.decisions.retain(|offender, _| detectors.suspect(offender.addr()).is_some());
        }
    }
}

/// How long a block that this decision makes or prolongs lasts from the decision on; `None` if it makes none.
fn ends(decision: &Decision, at: Time) -> Option<Duration> {
    let expiry = match decision {
        Decision::Block(block) => block.expiry,
        Decision::Extend { expiry, .. } => *expiry,
        Decision::Watch { .. } | Decision::Exempt(_) | Decision::Refuse(_) => return None,
    };
    match expiry {
        Expiry::At(end) => Some(end.since(at)),
        Expiry::Never => Some(Duration::MAX),
    }
}

/// What a trial has come to.
pub struct Outcome {
    /// Packets that an administrator has said to be nothing to look at.
    pub ignored: u64,
    named: Vec<Named>,
    trial: Box<Trial>,
}

impl Outcome {
    /// Whom there was something to decide about, sorted.
    pub fn whom(&self) -> Vec<Prefix> {
        let mut whom: Vec<Prefix> = self.trial.decisions.keys().copied().collect();
        whom.sort_unstable();
        whom
    }

    /// What is known of each of them.
    pub fn offenders(&self) -> Vec<OffenderLine> {
        self.whom().iter().filter_map(|whom| self.line(whom)).collect()
    }

    /// What is known of an offender, unless the detectors have forgotten it.
    pub fn line(&self, whom: &Prefix) -> Option<OffenderLine> {
        let Trial { detectors, decisions, .. } = &*self.trial;
        let (decision, at) = decisions.get(whom)?;
        let decision = Verdict::of(decision, *at);
        let matches = detectors.signatures().of(whom.addr());
        let signatures = matches.map_or_else(Vec::new, |matches| self.signatures(&matches.signatures));
        let matched = matches.and_then(|matches| matches.level);
        let line = crate::notes::offender(detectors.suspect(whom.addr())?, matched, decision)?;
        Some(OffenderLine { signatures, systems: self.systems(whom), ..line })
    }

    fn signature(&self, rule: RuleId, sid: u32, count: u64) -> SignatureLine {
        let message = self.named.get(usize::from(rule.0)).map_or_else(String::new, |named| named.message.clone());
        SignatureLine { sid, message, count }
    }

    /// What an offender's packets look like.
    fn systems(&self, whom: &Prefix) -> Vec<SystemLine> {
        let named = |guessed: &Guessed| self.named.get(usize::from(guessed.name.0)).map_or("", |named| &named.message);
        self.trial.detectors.systems().of(whom.addr()).iter().map(|guessed| SystemLine::new(guessed, named(guessed))).collect()
    }

    /// By number.
    fn signatures(&self, matched: &[Matched]) -> Vec<SignatureLine> {
        let known = self.trial.detectors.signatures();
        let mut lines: Vec<SignatureLine> = matched.iter().map(|m| self.signature(m.rule, known.sid(m.rule), m.count.into())).collect();
        lines.sort_unstable_by_key(|line| line.sid);
        lines
    }

    /// The signatures that were fitted most.
    pub fn tops(&self) -> Vec<TopSignature> {
        let line = |top: Top| TopSignature { signature: self.signature(top.rule, top.sid, top.count), sources: top.sources };
        self.trial.detectors.signatures().tops().into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sense::firewall::timestamp::LogClock;
    use sense::firewall::{FirewallLog, Provenance};

    #[test]
    fn one_processor_and_two_come_to_the_same() {
        let config = Config::parse("[signatures]\nenabled = true\n[fingerprint]\nenabled = true\n", "").unwrap();
        let mut text = Vec::new();
        // More than is on its way at a time, and a parcel that is not full.
        range::logs::write(&mut text, 20_000, 300, SEED).unwrap();
        let outcome = |apart| {
            let mut bench = Bench::new(&config, apart).unwrap();
            let clock = LogClock { utc_offset: Box::new(|_| 0), reference: Time::from_secs(1_772_409_600), boot: None };
            let mut log = FirewallLog::new(0, Provenance::Syslog, clock, 32_768..=60_999);
            for line in text.split(|byte| *byte == b'\n') {
                log.line(line, Time::from_secs(1_772_409_600), |sighting| bench.take(sighting));
            }
            let outcome = bench.finish();
            (outcome.ignored, outcome.offenders(), outcome.tops())
        };
        let here = outcome(false);
        assert!(here.1.len() > 100, "{}", here.1.len());
        assert_eq!(here, outcome(true));
    }
}
