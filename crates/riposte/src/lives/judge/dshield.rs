//! Which logged probes DShield is told of, and when. Never those of the exempt (us among them), never one twice, and never so many that they would
//! cost memory: what is too much is counted and told as skipped.

use super::feeds::Clock;
use super::portsentry::append;
use crate::config::feed::{By, DshieldConfig};
use crate::config::words::Word;
use court::court::Court;
use exchange::dshield::{Report, may_go, message};
use link::message::Message;
use model::event::{Act, Event};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use report::dshield::Submission;
use report::feed::FeedTrouble;
use report::serial::Stamp;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was sent last, in the store's folder, and a copy of it all.
const STATE: &str = "dshield.state";
const COPY: &str = "dshield.copy";
/// The first wait after a submission has failed; mails are an hour apart.
const AGAIN: Duration = Duration::from_secs(900);
const HOUR: Duration = Duration::from_secs(3_600);
/// The longest wait that the other side can ask for.
const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
/// So long an answer may take.
const ANSWER: Duration = Duration::from_secs(900);

/// What waits for DShield.
#[derive(Debug)]
pub struct Dshield {
    config: DshieldConfig,
    folder: PathBuf,
    waiting: VecDeque<Event>,
    /// By which order how many of those were given to the envoy, and when (steady).
    asked: Option<(u32, usize, Time)>,
    /// The number of the last order.
    order: u32,
    has_envoy: bool,
    due: Time,
    /// The time of the last probe that was told: older ones were, too.
    told: Time,
    /// Probes that found no room since the last submission.
    skipped: u64,
    /// Probes that were told, that found no room, and submissions that failed.
    pub tally: [u64; 3],
    /// Since when (wall) and why nothing goes out.
    pub wrong: Option<(Time, String)>,
}

impl Dshield {
    /// As configured, going on where an earlier process has ended; nothing if it is not wanted.
    pub fn load(config: &DshieldConfig, store: &Path, clock: Clock) -> Option<Dshield> {
        if !config.enabled {
            return None;
        }
        let text = fs::read_to_string(store.join(STATE)).unwrap_or_default();
        let mut words = text.split_whitespace().map(|word| word.parse().ok().map(Time::from_secs));
        let told = words.next().flatten().unwrap_or(Time::EPOCH).min(clock.wall);
        let sent = words.next().flatten().filter(|sent| *sent <= clock.wall);
        let wait = sent.map_or(Duration::ZERO, |sent| config.interval.saturating_sub(clock.wall.since(sent)));
        Some(Dshield {
            config: config.clone(),
            folder: store.to_owned(),
            waiting: VecDeque::new(),
            asked: None,
            order: 0,
            has_envoy: false,
            due: clock.steady.after(wait),
            told,
            skipped: 0,
            tally: [0; 3],
            wrong: None,
        })
    }

    /// Picks from what sensors have seen.
    pub fn take(&mut self, events: &[Event], court: &Court) {
        for event in events.iter().filter(|event| matches!(event.act, Act::Probe(_)) && event.at > self.told) {
            let is_known = Report::of(event).is_some_and(|report| may_go(&report));
            if !is_known || court.judge.is_exempt(&Prefix::host(event.actor)).is_some() {
                continue;
            }
            let level = self.config.min_level.is_none_or(|least| court.detectors.suspect(event.actor).and_then(|s| s.level) >= Some(least));
            if !level {
                continue;
            }
            if self.waiting.len() < limits::DSHIELD {
                self.waiting.push_back(*event);
            } else {
                self.skipped += 1;
                self.tally[1] += 1;
            }
        }
    }

    /// When there is something to do (steady).
    pub fn due(&self) -> Option<Time> {
        let due = self.asked.map_or(self.due, |(.., asked)| asked.after(ANSWER));
        (self.has_envoy && !self.waiting.is_empty()).then_some(due)
    }

    /// The envoy has begun or ended.
    pub fn envoy(&mut self, is_there: bool) {
        (self.has_envoy, self.asked) = (is_there, None);
    }

    /// What the envoy is to be told now.
    pub fn orders(&mut self, clock: Clock) -> Vec<Message> {
        if self.due().is_none_or(|due| due > clock.steady) {
            return Vec::new();
        }
        self.order = self.order.wrapping_add(1);
        self.asked = Some((self.order, self.waiting.len(), clock.steady));
        let parts = self.waiting.make_contiguous().chunks(limits::BATCH_EVENTS);
        parts.map(|part| Message::Events(part.to_vec())).chain([Message::Submit { order: self.order }]).collect()
    }

    /// What became of an order. False if nobody waits for that.
    pub fn submitted(&mut self, order: u32, wrong: Option<String>, wait: Option<u32>, clock: Clock) -> bool {
        let Some((_, many, _)) = self.asked.take_if(|(asked, ..)| *asked == order) else { return false };
        let wait = Duration::from_secs(wait.unwrap_or(0).into()).min(WAIT_MAX);
        if let Some(why) = wrong {
            let least = if self.config.by == By::Mail { HOUR } else { AGAIN };
            self.due = clock.steady.after(least.max(wait));
            self.tally[2] += 1;
            let why = report::escape::text(&why, 200);
            tracing::warn!(why, probes = many, "DShield was not told: it is tried again");
            self.wrong = Some((self.wrong.as_ref().map_or(clock.wall, |(since, _)| *since), why));
            return true;
        }
        let sent: Vec<Event> = self.waiting.drain(..many.min(self.waiting.len())).collect();
        self.due = clock.steady.after(self.config.interval.max(wait));
        // A log that was written by a wrong clock must not keep us from telling anything until that time comes.
        self.told = sent.iter().map(|event| event.at).max().unwrap_or(self.told).max(self.told).min(clock.wall);
        tracing::info!(probes = sent.len(), skipped = self.skipped, "DShield was told");
        self.tally[0] += sent.len() as u64;
        (self.wrong, self.skipped) = (None, 0);
        // Whole seconds, rounded up: one probe too few is told rather than one twice.
        let state = format!("{} {}\n", self.told.as_secs() + 1, clock.wall.as_secs());
        let (new, path) = (self.folder.join("dshield.new"), self.folder.join(STATE));
        let kept = fs::write(&new, state).and_then(|()| fs::rename(&new, &path));
        let copied = if self.config.copy { append(&self.folder.join(COPY), &self.config.lines(&sent)) } else { Ok(()) };
        if let Err(error) = kept.and(copied) {
            tracing::warn!(%error, "what DShield was told can't be written down: after a restart some of it may be told again");
        }
        true
    }

    /// What would be sent now, for `riposte feeds dshield`.
    pub fn submission(&self, clock: Clock) -> Submission {
        let config = &self.config;
        let head = |name: &str, value: String| (name.to_owned(), value);
        let (to, heads, body) = match config.by {
            By::Api => {
                // Who sends it is proved anew each time, by the envoy, which alone has the key.
                let proof = format!("ISC-HMAC-SHA256 Credentials=(made when it is sent) Userid={} Nonce=(likewise)", config.user);
                let reports: Vec<Report> = self.waiting.iter().filter_map(Report::of).collect();
                let body = message(&reports, config.mask(), &proof).to_string();
                (&config.url, vec![head("X-ISC-Authorization", proof), head("X-ISC-LogType", "firewall".to_owned())], body)
            }
            By::Mail => {
                let from = config.from.clone().unwrap_or_default();
                let heads = vec![head("From", from), head("To", config.to.clone()), head("Subject", config.subject())];
                (&config.to, heads, config.lines(&self.waiting))
            }
        };
        Submission {
            by: config.by.word().to_owned(),
            to: to.clone(),
            probes: self.waiting.len() as u64,
            skipped: self.skipped,
            next: self.due().filter(|_| self.asked.is_none()).map(|due| Stamp(clock.wall_of(due.max(clock.steady)))),
            trouble: self.wrong.as_ref().map(|(since, why)| FeedTrouble { since: Stamp(*since), why: why.clone() }),
            heads,
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use court::settings::Settings;
    use model::event::{Origin, Probe, TcpFlags, Trust};
    use model::net::Protocol;
    use store::Store;

    const CLOCK: Clock = Clock { wall: Time::from_secs(1_700_000_000), steady: Time::from_secs(5_000) };

    fn probe(source: &str, at: u64) -> Event {
        let probe = Probe {
            protocol: Protocol::TCP,
            source_port: Some(40_000),
            port: Some(23),
            flags: Some(TcpFlags(TcpFlags::SYN)),
            icmp: None,
            style: None,
            hops: None,
        };
        Event {
            at: Time::from_secs(at),
            origin: Origin::default(),
            actor: source.parse().unwrap(),
            target: Some("192.0.2.1".parse().unwrap()),
            act: Act::Probe(probe),
            trust: Trust::Spoofable,
            times: 1,
        }
    }

    #[test]
    fn each_probe_is_told_once_and_none_of_the_exempt() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            policy: policy::config::PolicyConfig { exempt: vec!["9.9.9.9".parse().unwrap()], ..Default::default() },
            ..Settings::default()
        };
        let court = Court::new(settings, Store::open_in_memory().unwrap(), None, 7, CLOCK.wall);
        let config = DshieldConfig { enabled: true, copy: true, user: 7, ..DshieldConfig::default() };
        assert!(Dshield::load(&DshieldConfig::default(), folder.path(), CLOCK).is_none());
        let mut dshield = Dshield::load(&config, folder.path(), CLOCK).unwrap();
        let seen = [probe("8.8.8.8", 100), probe("9.9.9.9", 100), probe("10.0.0.7", 100), probe("8.8.4.4", 101)];
        dshield.take(&seen, &court);
        assert_eq!((dshield.due(), dshield.waiting.len()), (None, 2), "nobody is there to send it");
        dshield.envoy(true);
        let orders = dshield.orders(CLOCK);
        assert!(matches!(&orders[..], [Message::Events(events), Message::Submit { order: 1 }] if events.len() == 2), "{orders:?}");
        assert!(dshield.orders(CLOCK).is_empty(), "under way");
        // It fails: kept, and tried again later.
        assert!(dshield.submitted(1, Some("500".into()), Some(2_000), CLOCK) && !dshield.submitted(1, None, None, CLOCK));
        assert_eq!(dshield.due(), Some(CLOCK.steady.after(Duration::from_secs(2_000))));
        let later = Clock { steady: CLOCK.steady.after(HOUR), wall: CLOCK.wall.after(HOUR) };
        assert_eq!(dshield.orders(later).len(), 2);
        assert!(!dshield.submitted(1, None, None, later), "an answer that comes too late says nothing of the next order");
        dshield.take(&[probe("8.8.8.8", 102)], &court);
        assert!(dshield.submitted(2, None, None, later));
        assert_eq!((dshield.waiting.len(), dshield.tally, dshield.wrong.is_some()), (1, [2, 0, 1], false));
        let copy = fs::read_to_string(folder.path().join(COPY)).unwrap();
        assert_eq!(copy.lines().map(|line| line.split('\t').nth(3).unwrap()).collect::<Vec<_>>(), ["8.8.8.8", "8.8.4.4"]);
        // The next process tells none of them again, and not before its time.
        let mut next = Dshield::load(&config, folder.path(), later).unwrap();
        next.envoy(true);
        next.take(&seen, &court);
        assert!(next.waiting.is_empty());
        next.take(&[probe("8.8.8.8", 103)], &court);
        assert_eq!(next.due(), Some(later.steady.after(config.interval)));
    }

    #[test]
    fn what_would_be_sent_can_be_seen_before() {
        let folder = tempfile::tempdir().unwrap();
        let court = Court::new(Settings::default(), Store::open_in_memory().unwrap(), None, 7, CLOCK.wall);
        let config = DshieldConfig { enabled: true, by: By::Mail, user: 7, from: Some("a@example.org".into()), ..DshieldConfig::default() };
        let mut dshield = Dshield::load(&config, folder.path(), CLOCK).unwrap();
        assert_eq!((dshield.submission(CLOCK).probes, dshield.submission(CLOCK).next), (0, None));
        dshield.envoy(true);
        dshield.take(&[probe("8.8.8.8", 100)], &court);
        let shown = dshield.submission(CLOCK);
        let heads: Vec<String> = shown.heads.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(heads[..2], ["From: a@example.org", "To: reports@dshield.org"]);
        assert!(heads[2].starts_with("Subject: FORMAT DSHIELD USERID 7 TZ +00:00 riposte Version "), "{heads:?}");
        assert_eq!(shown.body, "1970-01-01 00:01:40 +00:00\t7\t1\t8.8.8.8\t40000\t10.0.2.1\t23\tTCP\tSYN\n");
        assert_eq!((shown.probes, shown.skipped, shown.next), (1, 0, Some(Stamp(CLOCK.wall))));
        assert_eq!(dshield.orders(CLOCK).len(), 2, "looking has changed nothing");
        assert_eq!(dshield.submission(CLOCK).next, None, "just now");
    }

    #[test]
    fn a_probe_of_tomorrow_does_not_hide_those_of_today() {
        let folder = tempfile::tempdir().unwrap();
        let court = Court::new(Settings::default(), Store::open_in_memory().unwrap(), None, 7, CLOCK.wall);
        let config = DshieldConfig { enabled: true, ..DshieldConfig::default() };
        let later = Clock { steady: CLOCK.steady.after(HOUR), wall: CLOCK.wall.after(HOUR) };
        let [tomorrow, today] = [86_400, 60].map(|secs| [probe("8.8.8.8", CLOCK.wall.as_secs() + secs)]);
        let mut dshield = Dshield::load(&config, folder.path(), CLOCK).unwrap();
        dshield.envoy(true);
        dshield.take(&tomorrow, &court);
        assert!(!dshield.orders(CLOCK).is_empty() && dshield.submitted(1, None, None, CLOCK));
        dshield.take(&today, &court);
        let mut next = Dshield::load(&config, folder.path(), later).unwrap();
        next.take(&today, &court);
        assert_eq!((dshield.waiting.len(), next.waiting.len()), (1, 1));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let court = Court::new(Settings::default(), Store::open_in_memory().unwrap(), None, 7, CLOCK.wall);
        let mut dshield = Dshield::load(&DshieldConfig { enabled: true, ..DshieldConfig::default() }, folder.path(), CLOCK).unwrap();
        dshield.envoy(true);
        dshield.take(&vec![probe("8.8.8.8", 100); limits::DSHIELD + 5], &court);
        assert_eq!((dshield.orders(CLOCK).last(), dshield.skipped, dshield.tally[1]), (Some(&Message::Submit { order: 1 }), 5, 5));
        let levels = DshieldConfig { enabled: true, min_level: model::level::DangerLevel::new(1), ..DshieldConfig::default() };
        let mut dshield = Dshield::load(&levels, folder.path(), CLOCK).unwrap();
        dshield.take(&[probe("8.8.8.8", 100)], &court);
        assert!(dshield.waiting.is_empty(), "it has no level yet");
    }
}
