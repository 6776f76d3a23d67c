//! What the envoy is to carry out of the house: made of what the court has done and of how riposte itself fares. Never waits for the envoy:
//! what it does not take is dropped at a bound, and counted.

use super::{ENVOY_SLOT, Judge, now};
use super::{answers, pictures};
use crate::config::AlertConfig;
use crate::config::alert::Tells;
use crate::notes::{Notebook, Words};
use court::court::{Court, Spoken};
use detect::config::ScanConfig;
use link::message::{Life, Message, Passage, Process};
use model::block::Expiry;
use model::decision::Decision;
use model::event::{Act, Event};
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use report::alert::{Alert, Kind, Source};
use report::decision::Verdict;
use report::explain::QuotedLine;
use report::offender::{Detail, OffenderLine, Ports};
use report::serial::{Stamp, Whom, to_json_line};
use sense::facts::Chain;
use std::collections::{BTreeMap, VecDeque};
use std::io;

/// Alerts on their way to the envoy.
#[derive(Debug, Default)]
pub struct Alerts {
    config: AlertConfig,
    /// Those that wait for the envoy, as it gets them.
    pub waiting: VecDeque<String>,
    /// Alerts made so far, and those of them that were dropped because the envoy did not take them.
    pub made: u64,
    /// See `made`.
    pub dropped: u64,
    /// How often each process had been restarted when that was last told.
    restarts: BTreeMap<(Life, u16), u32>,
    /// What was in trouble when that was last told, and why.
    troubles: BTreeMap<String, String>,
    seen: [usize; 6],
    /// What a mail's pictures and figures show of a source, if there are mails.
    notes: Option<Notebook>,
    /// The words in those notes.
    interfaces: Words,
    prefixes: Words,
}

impl Alerts {
    /// By this configuration.
    pub fn new(config: AlertConfig) -> Alerts {
        let mut alerts = Alerts::default();
        alerts.reconfigure(config);
        alerts
    }

    /// Goes by another configuration from now on.
    pub fn reconfigure(&mut self, config: AlertConfig) {
        let notes = self.notes.take().unwrap_or_else(|| Notebook::new(limits::NOTED_SOURCES));
        self.notes = config.mail.is_some().then_some(notes);
        self.config = config;
    }

    /// Notes what mails will tell of these events' sources. Costs nothing where nobody gets mail.
    pub fn note(&mut self, events: &[Event], scan: &ScanConfig) {
        let Some(notes) = &mut self.notes else { return };
        for event in events {
            if let (Act::Probe(probe), Some(target)) = (&event.act, event.target) {
                let bits = if event.actor.is_ipv4() { scan.count_by_ipv4 } else { scan.count_by_ipv6 };
                let page = notes.page(Prefix::new(event.actor, bits), |_| false);
                page.probe(event.at, target, probe.protocol, probe.port, probe.flags, event.times);
                page.icmp(probe.protocol, probe.icmp, event.times);
            }
        }
    }

    /// Notes likewise by which ways their packets came, as far as a log tells.
    pub fn ways(&mut self, ways: &[Passage], scan: &ScanConfig) {
        let Some(notes) = &mut self.notes else { return };
        for passage in ways {
            let Some(chain) = Chain::ALL.get(usize::from(passage.chain)) else { continue };
            let bits = if passage.actor.is_ipv4() { scan.count_by_ipv4 } else { scan.count_by_ipv6 };
            let (interface, prefix) = (passage.interface.as_bytes(), passage.prefix.as_bytes());
            let way = (
                *chain,
                self.interfaces.number(interface, passage.packets),
                self.prefixes.number(prefix, passage.packets),
                passage.protocol,
            );
            notes.page(Prefix::new(passage.actor, bits), |_| false).way(way, passage.packets);
        }
    }

    /// Whether so many wait already.
    fn is_full(&mut self, most: usize) -> bool {
        let is_full = self.waiting.len() >= most;
        self.made += 1;
        self.dropped += u64::from(is_full);
        is_full
    }

    fn push(&mut self, alert: &Alert) {
        let Ok(mut line) = to_json_line(alert) else { return };
        line.pop();
        if line.len() > limits::ALERT_BYTES {
            self.dropped += 1;
        } else {
            self.waiting.push_back(line);
        }
    }

    /// Takes in what the court has done.
    pub fn hear(&mut self, court: &Court, spoken: &Spoken, now: Time) {
        if !self.config.is_on() {
            return;
        }
        for (offence, decision) in &spoken.judged {
            let Some(kind) = self.kind(offence, decision) else { continue };
            // Before it is composed: under a flood that is what costs.
            if !self.is_full(limits::ALERTS_WAITING) {
                let notes = self.notes.as_ref().and_then(|notes| notes.of(&offence.offender));
                let detail = notes.map(|notes| notes.detail(|n| self.interfaces.word(n), |n| self.prefixes.word(n)));
                let alert = charged(court, kind, offence, decision, detail);
                self.push(&alert);
            }
        }
        let (lifts, ends) = (self.config.tells(Tells::Lift), self.config.tells(Tells::End));
        for (whom, level, why) in spoken.lifted.iter().filter(|_| lifts) {
            self.over(Kind::Lift, (*whom, *level), format_args!("the block of {whom} is lifted: {why}"), now);
        }
        for (whom, level) in spoken.ended.iter().filter(|_| ends) {
            self.over(Kind::End, (*whom, *level), format_args!("the block of {whom} has ended"), now);
        }
    }

    /// A block that is over. Thousands may end at once: what is more urgent has room behind them.
    fn over(&mut self, kind: Kind, whom: (Prefix, Option<DangerLevel>), said: std::fmt::Arguments<'_>, now: Time) {
        let is_told = whom.1.is_none_or(|level| level.number() >= self.config.min_level);
        if is_told && !self.is_full(limits::ALERTS_WAITING / 2) {
            self.push(&Alert::over(kind, Stamp(now), whom, said.to_string()));
        }
    }

    fn kind(&self, offence: &Offence, decision: &Decision) -> Option<Kind> {
        let is_block = match decision {
            Decision::Block(_) | Decision::Extend { .. } => true,
            Decision::Watch { .. } | Decision::Refuse(_) => false,
            // Who is spared is nobody's business.
            Decision::Exempt(_) => return None,
        };
        let wanted = if is_block && self.config.tells(Tells::Block) { Some(Kind::Block) } else { None };
        let wanted = wanted.or_else(|| self.config.tells(Tells::Level).then_some(Kind::Level));
        wanted.filter(|_| offence.level.number() >= self.config.min_level)
    }

    fn say(&mut self, kind: Kind, said: String, now: Time) {
        if self.config.tells(Tells::Trouble) && !self.is_full(limits::ALERTS_WAITING) {
            self.push(&Alert::own(kind, Stamp(now), said));
        }
    }

    /// Takes in how the processes are.
    pub fn processes(&mut self, processes: &[Process], now: Time) {
        for process in processes {
            let before = self.restarts.insert((process.life, process.slot), process.restarts);
            // What happened before the judge's own start is told by the judge that follows.
            let is_own = process.life == Life::Judge && before.is_none() && process.restarts > 0;
            if is_own || before.is_some_and(|before| process.restarts > before) {
                let life = answers::life_name(process);
                self.say(Kind::Trouble, format!("the process '{life}' had ended and was started again (time {})", process.restarts), now);
            }
        }
    }
}

impl Judge {
    /// Tells of what has begun not to work, and of what works again.
    pub(super) fn tell_troubles(&mut self) {
        let (court, dshield) = (&self.court, self.dshield.as_ref().and_then(|dshield| dshield.wrong.as_ref()));
        let own = [court.failing.is_some(), court.refusing.is_some(), court.tight.is_some(), dshield.is_some()].map(usize::from);
        let seen = [own[0], own[1], own[2], own[3], self.feeds.in_trouble(), self.warden_troubles.len()];
        if seen == self.alerts.seen {
            return;
        }
        self.alerts.seen = seen;
        let troubles: BTreeMap<String, String> = answers::troubles(self).into_iter().map(|line| (line.what, line.why)).collect();
        let before = std::mem::replace(&mut self.alerts.troubles, troubles.clone());
        for (what, why) in troubles.iter().filter(|(what, _)| !before.contains_key(*what)) {
            self.alerts.say(Kind::Trouble, format!("{what}: {why}"), now());
        }
        for what in before.keys().filter(|what| !troubles.contains_key(*what)) {
            self.alerts.say(Kind::Recovery, format!("no longer: {what}"), now());
        }
    }

    /// Hands the envoy what it takes.
    pub(super) fn pass_alerts(&mut self) -> io::Result<()> {
        if self.alerts.waiting.is_empty() {
            return Ok(());
        }
        let Some((token, sensor)) = self.sensors.iter_mut().find(|(_, sensor)| sensor.slot == ENVOY_SLOT) else { return Ok(()) };
        while !sensor.link.wants_to_write() {
            let Some(line) = self.alerts.waiting.pop_front() else { break };
            let message = Message::Alert(line);
            // An envoy that has gone begins again, and gets it then.
            if sensor.link.send(&message).is_err() {
                if let Message::Alert(line) = message {
                    self.alerts.waiting.push_front(line);
                }
                return Ok(());
            }
        }
        self.poller.modify(std::os::fd::AsFd::as_fd(&sensor.link), *token, sensor.link.interest())
    }
}

fn charged(court: &Court, kind: Kind, offence: &Offence, decision: &Decision, detail: Option<Detail>) -> Alert {
    let whom = offence.offender;
    let suspect = court.detectors.suspect(whom.addr());
    let ports = suspect.as_ref().map(|s| Ports { tcp: s.tcp_ports.clone(), udp: s.udp_ports.clone() }).unwrap_or_default();
    let mut line = OffenderLine {
        address: Whom(whom),
        level: offence.level,
        styles: offence.styles,
        // What came behind the packet that decided is part of the picture.
        targets: suspect.as_ref().map_or(0, |s| s.targets).max(offence.evidence.targets),
        packets: suspect.as_ref().map_or(0, |s| s.packets).max(offence.evidence.packets),
        ports,
        protocols: suspect.map_or(offence.evidence.protocols, |suspect| suspect.protocols),
        signatures: Vec::new(),
        systems: Vec::new(),
        first: Stamp(offence.evidence.first),
        last: Stamp(offence.evidence.last),
        trust: offence.trust,
        decision: Verdict::of(decision, offence.at),
        detail: detail.map(Box::new),
    };
    pictures::name(court, &mut line);
    let charge = match offence.rule.and_then(|rule| court.rule_name(rule)) {
        Some(rule) => format!("{}: {rule}", offence.charge),
        None => offence.charge.to_string(),
    };
    let mut source = Source { line, charge, until: None, quote: None, dry_run: court.config().policy.dry_run };
    source.until = match decision {
        Decision::Block(block) => Some(block.expiry),
        Decision::Extend { expiry, .. } => Some(*expiry),
        Decision::Watch { .. } | Decision::Exempt(_) | Decision::Refuse(_) => None,
    }
    .and_then(|expiry| match expiry {
        Expiry::At(at) => Some(Stamp(at)),
        Expiry::Never => None,
    });
    let quote = court.quote_of(&whom).filter(|quote| quote.at == offence.at || quote.at == offence.evidence.last);
    source.quote = quote.map(|quote| QuotedLine { at: Stamp(quote.at), log: quote.log.clone(), line: quote.line.clone() });
    let done = match kind {
        Kind::Block if source.dry_run => "would be blocked, but for the dry run",
        Kind::Block => "is blocked",
        _ => "is watched",
    };
    let said = format!("{whom} {done}: {} at level {}", source.charge, offence.level);
    Alert { source: Some(source), ..Alert::own(kind, Stamp(offence.at), said) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ruling::Lift;

    fn process(life: Life, restarts: u32) -> Process {
        Process { life, slot: 0, pid: 1, restarts, sandbox: String::new() }
    }

    fn on() -> AlertConfig {
        crate::config::Config::parse("[alert.syslog]\n", "x").unwrap().alert
    }

    #[test]
    fn a_restart_is_told_once() {
        let mut alerts = Alerts::new(on());
        alerts.processes(&[process(Life::Judge, 0), process(Life::Host, 3)], Time::EPOCH);
        assert_eq!(alerts.made, 0, "what was before is not ours");
        alerts.processes(&[process(Life::Judge, 0), process(Life::Host, 4)], Time::EPOCH);
        alerts.processes(&[process(Life::Judge, 0), process(Life::Host, 4)], Time::EPOCH);
        assert_eq!(alerts.waiting.len(), 1);
        assert!(alerts.waiting[0].contains("'host' had ended and was started again (time 4)"), "{alerts:?}");
        let mut alerts = Alerts::new(on());
        alerts.processes(&[process(Life::Judge, 2)], Time::EPOCH);
        assert_eq!(alerts.made, 1, "the judge that follows tells");
        let mut off = Alerts::new(AlertConfig::default());
        off.processes(&[process(Life::Judge, 2)], Time::EPOCH);
        assert_eq!(off.made, 0);
    }

    #[test]
    fn an_envoy_that_takes_nothing_costs_no_more_than_the_bound() {
        let mut alerts = Alerts::new(on());
        (1..1_000).for_each(|n| alerts.say(Kind::Trouble, format!("{n}"), Time::EPOCH));
        assert_eq!((alerts.waiting.len(), alerts.dropped), (limits::ALERTS_WAITING, 999 - limits::ALERTS_WAITING as u64));
    }

    #[test]
    fn blocks_that_end_all_at_once_hide_no_trouble() {
        let mut alerts = Alerts::new(on());
        let court = Court::new(crate::config::Config::default().court(), store::Store::open_in_memory().unwrap(), None, 1, Time::EPOCH);
        let ended = (0..1_000_u32).map(|n| (Prefix::host(std::net::IpAddr::from(n.to_be_bytes())), None)).collect();
        alerts.hear(&court, &Spoken { ended, ..Spoken::default() }, Time::EPOCH);
        alerts.say(Kind::Trouble, "the disk is full".into(), Time::EPOCH);
        assert!(alerts.waiting.back().unwrap().contains("the disk is full"));
        assert_eq!(alerts.made - alerts.dropped, alerts.waiting.len() as u64);
    }

    #[test]
    fn below_min_level_neither_a_block_nor_its_end_is_told() {
        let mut alerts = Alerts::new(crate::config::Config::parse("[alert]\nmin_level = 3\n[alert.syslog]\n", "x").unwrap().alert);
        let court = Court::new(crate::config::Config::default().court(), store::Store::open_in_memory().unwrap(), None, 1, Time::EPOCH);
        let whom = |n: u8| Prefix::host(std::net::IpAddr::from([192, 0, 2, n]));
        let ended = (2..=3).map(|n| (whom(n), DangerLevel::new(n))).chain([(whom(9), None)]).collect();
        let lifted = (2..=3).map(|n| (whom(n), DangerLevel::new(n), Lift::Operator)).collect();
        alerts.hear(&court, &Spoken { ended, lifted, ..Spoken::default() }, Time::EPOCH);
        let told: Vec<Alert> = alerts.waiting.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = told.iter().map(|alert| (alert.kind, alert.about().unwrap().0, alert.level())).collect();
        assert_eq!(told, [(Kind::Lift, whom(3), Some(3)), (Kind::End, whom(3), Some(3)), (Kind::End, whom(9), None)]);
    }
}
