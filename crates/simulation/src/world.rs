//! What goes on around the machine: attackers of several kinds, innocents, operators, clocks, faults. Draws one step after the other.

use crate::breach::{Kept, hold};
use crate::kernel::Faults;
use crate::machine::Restart;
use crate::plan;
use crate::reference::Cause;
use crate::run::Run;
use model::block::Expiry;
use model::decision::{ExemptReason, Exemption};
use model::event::{Act, Event, Origin, Probe, TcpFlags, Trust};
use model::net::{Prefix, Protocol};
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use store::faults::Trouble;

const DAY: Duration = Duration::from_secs(86_400);

/// One packet to where nobody listens.
fn probe(at: Time, actor: IpAddr, host: u8, port: u16, trust: Trust) -> Event {
    let act = Act::Probe(Probe {
        protocol: Protocol::TCP,
        source_port: Some(40_000),
        port: Some(port),
        flags: Some(TcpFlags(TcpFlags::SYN)),
        icmp: None,
        style: TcpFlags(TcpFlags::SYN).style(),
        hops: None,
    });
    let target = Some(IpAddr::V4(Ipv4Addr::new(192, 168, 7, host)));
    Event { at, origin: Origin::default(), actor, target, act, trust, times: 1 }
}

impl Run<'_> {
    /// Takes one step.
    pub(crate) fn step(&mut self) -> Kept {
        match self.dice.below(108) {
            0..=44 => self.attack(),
            45..=49 => self.storm(),
            50..=54 => self.visit(),
            55..=69 => {
                let span = self.dice.span(Duration::from_millis(1), Duration::from_secs(3_600));
                self.say(format_args!("{span:?} pass"));
                self.pass(span)
            }
            70..=79 => self.order(),
            80..=82 => self.derive(),
            83..=85 => self.set_clock(),
            86..=89 => self.meddle(),
            90..=92 => self.break_kernel(),
            93..=94 => self.break_disk(),
            95..=97 => self.kill(),
            98..=99 => self.calm(),
            _ => self.lists(),
        }
    }

    /// A scan: of ports or hosts, fast or slow, by lone packets or over handshakes, by one who is exempt or one who is not.
    fn attack(&mut self) -> Kept {
        let actor = match self.dice.below(12) {
            0 => plan::friend(&mut self.dice),
            1 => plan::innocent(&mut self.dice),
            2 => plan::forged(&mut self.dice),
            _ => plan::attacker(&mut self.dice),
        };
        let trust = if self.dice.one_in(3) { Trust::Handshake } else { Trust::Spoofable };
        let most = if self.dice.one_in(8) { 200 } else { 24 };
        let count = self.dice.between(1, most);
        let sweeps = self.dice.one_in(3);
        let slow = self.dice.one_in(8);
        let lag = self.stamp();
        self.say(format_args!("{actor} scans: {count} packets, {trust}{}", if slow { ", slowly" } else { "" }));
        let mut events = Vec::new();
        for n in 0..count {
            let (host, port) = if sweeps { (n as u8, 22) } else { (1, self.dice.between(1, 9_999) as u16) };
            events.push(probe(self.machine.clock.wall().before(lag), actor, host, port, trust));
            if slow && n < 12 {
                self.feed(&std::mem::take(&mut events))?;
                let gap = self.dice.span(Duration::from_secs(1), Duration::from_secs(900));
                self.pass(gap)?;
            }
        }
        self.feed(&events)
    }

    /// How old an event is: fresh, late, or of a log that comes in one go.
    fn stamp(&mut self) -> Duration {
        match self.dice.below(10) {
            0 => self.dice.span(Duration::from_secs(1), Duration::from_secs(7_200)),
            1..=3 => Duration::from_millis(self.dice.below(3_000)),
            _ => Duration::ZERO,
        }
    }

    /// Forged senders: strangers, and those whom it would hurt to block.
    fn storm(&mut self) -> Kept {
        let senders = self.dice.between(3, 70);
        let each = self.dice.between(4, 8);
        self.say(format_args!("{senders} forged senders with {each} packets each"));
        for _ in 0..senders {
            let actor = match self.dice.below(8) {
                0 => plan::friend(&mut self.dice),
                1 => plan::attacker(&mut self.dice),
                _ => plan::forged(&mut self.dice),
            };
            let at = self.machine.clock.wall();
            let events: Vec<Event> = (0..each)
                .map(|_| probe(at, actor, self.dice.between(1, 9) as u8, self.dice.between(1, 9_999) as u16, Trust::Spoofable))
                .collect();
            self.feed(&events)?;
            if self.dice.one_in(4) {
                let gap = self.dice.span(Duration::from_millis(1), Duration::from_secs(20));
                self.pass(gap)?;
            }
        }
        Ok(())
    }

    /// Innocents reach what is open; nobody who does only that may ever be charged.
    fn visit(&mut self) -> Kept {
        let actor = IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.dice.between(100, 120) as u8));
        let at = self.machine.clock.wall();
        let act = Act::Reached { protocol: Protocol::TCP, port: Some(443) };
        let count = self.dice.between(1, 40);
        let events: Vec<Event> = (0..count).map(|_| Event { act, ..probe(at, actor, 1, 443, Trust::Handshake) }).collect();
        self.say(format_args!("{actor} visits {count} times"));
        self.feed(&events)
    }

    fn somebody(&mut self) -> Prefix {
        let standing: Vec<Prefix> = self.reference.known.values().map(|block| block.scope.prefix()).collect();
        if !standing.is_empty() && self.dice.one_in(2) {
            return *self.dice.pick(&standing);
        }
        let addr = match self.dice.below(4) {
            0 => plan::friend(&mut self.dice),
            1 => plan::stranger(&mut self.dice),
            _ => plan::attacker(&mut self.dice),
        };
        let bits = if addr.is_ipv4() { *self.dice.pick(&[32, 32, 28, 24, 16]) } else { *self.dice.pick(&[128, 64, 60, 48]) };
        Prefix::new(addr, bits)
    }

    /// An operator's word. What is answered is a promise, whatever dies next.
    fn order(&mut self) -> Kept {
        if !self.machine.is_on_watch() {
            return Ok(());
        }
        let whom = self.somebody();
        let now = self.machine.clock.wall();
        let span = self.dice.span(Duration::from_secs(30), 7 * DAY);
        match self.dice.below(5) {
            0..=1 => {
                let expiry = if self.dice.one_in(6) { Expiry::Never } else { Expiry::At(now.after(span)) };
                let answer = self.machine.court.block(whom, expiry, "an order".to_owned(), now);
                self.say(format_args!("an operator blocks {whom} {expiry:?}: {answer:?}"));
                let is_exempt = self.reference.is_exempt(&whom);
                hold(answer.is_err() || !is_exempt, "nobody exempt is blocked", || whom.to_string())?;
                self.look(Cause::Block(whom))?;
                if answer.is_ok() {
                    self.reference.ordered(whom);
                }
            }
            2 => {
                let lifted = self.machine.court.unblock(whom, now);
                self.say(format_args!("an operator lifts {whom}: {lifted}"));
                self.look(Cause::Unblock(whom))?;
            }
            3 => {
                let until = if self.dice.one_in(2) { None } else { Some(now.after(span)) };
                let answer = self.machine.court.allow(whom, until, now);
                self.say(format_args!("an operator allows {whom} until {until:?}: {answer:?}"));
                if answer.is_ok() {
                    self.reference.lapsed.remove(&whom);
                    self.reference.allowed.insert(whom, until);
                }
                self.machine.tell_allowed();
                self.look(Cause::Exempt)?;
            }
            _ => {
                let known: Vec<Prefix> = self.reference.allowed.keys().copied().collect();
                let whom = if known.is_empty() { whom } else { *self.dice.pick(&known) };
                let was = self.machine.court.disallow(whom, now);
                self.say(format_args!("an operator takes back the allowance of {whom}: {was}"));
                self.reference.allowed.remove(&whom);
                self.machine.tell_allowed();
                self.look(Cause::Time)?;
            }
        }
        if self.dice.one_in(10) {
            let mark = self.machine.written();
            return self.restart(Restart::Judge, mark);
        }
        self.turn()
    }

    fn derive(&mut self) -> Kept {
        let list: Vec<Exemption> = (0..self.dice.below(4))
            .map(|_| Exemption {
                prefix: Prefix::host(if self.dice.one_in(3) { plan::stranger(&mut self.dice) } else { plan::friend(&mut self.dice) }),
                reason: *self.dice.pick(&[ExemptReason::Gateway, ExemptReason::Admin]),
            })
            .collect();
        self.say(format_args!("the host derives {list:?}"));
        self.machine.derive(list);
        self.turn()
    }

    /// Clocks are set, and machines sleep; sometimes while no judge looks.
    fn set_clock(&mut self) -> Kept {
        let step = self.dice.span(Duration::from_millis(10), DAY);
        match self.dice.below(3) {
            0 => {
                self.say(format_args!("the clock is set forward by {step:?}"));
                self.machine.clock.set_forward(step);
            }
            1 => {
                self.say(format_args!("the clock is set back by {step:?}"));
                self.machine.clock.set_back(step);
            }
            _ => {
                self.say(format_args!("the machine sleeps for {step:?}"));
                self.machine.clock.sleep(step);
            }
        }
        if self.dice.one_in(6) {
            let mark = self.machine.written();
            let how = *self.dice.pick(&[Restart::Judge, Restart::Warden]);
            return self.restart(how, mark);
        }
        self.turn()
    }

    /// Other tools at work on the firewall.
    fn meddle(&mut self) -> Kept {
        match self.dice.below(4) {
            0 => {
                self.say("somebody flushes the ruleset");
                self.machine.kernel.flush();
            }
            1 => {
                let there: Vec<Prefix> = self.machine.kernel.hosts.keys().copied().collect();
                if !there.is_empty() {
                    let whom = *self.dice.pick(&there);
                    self.say(format_args!("somebody deletes {whom} from the kernel"));
                    self.machine.kernel.hosts.remove(&whom);
                }
            }
            2 => {
                self.say("somebody empties a set of those whom lists name");
                let set = usize::from(self.dice.one_in(3));
                self.machine.kernel.listed[set].clear();
            }
            _ => {
                let whom = Prefix::host(IpAddr::V4(Ipv4Addr::new(100, 127, 0, self.dice.below(256) as u8)));
                if self.machine.kernel.table && self.is_untouched(&whom) {
                    self.say(format_args!("somebody adds {whom} to the kernel"));
                    let deadline = self.dice.one_in(2).then(|| self.machine.clock.kernel().after(DAY));
                    self.machine.kernel.hosts.insert(whom, deadline);
                    self.reference.foreign.insert(whom);
                }
            }
        }
        self.machine.meddled();
        self.turn()
    }

    /// What happens to others' lists, and to the envoy that fetches them.
    fn lists(&mut self) -> Kept {
        let many = self.machine.feed_configs().len() as u64;
        if many == 0 {
            return Ok(());
        }
        match self.dice.below(10) {
            0 => {
                self.say("the envoy dies");
                self.machine.envoy_dies();
            }
            1 => {
                let is_slow = !self.machine.elsewhere.is_slow;
                self.say(format_args!("the envoy is {}", if is_slow { "slow" } else { "quick" }));
                self.machine.elsewhere.is_slow = is_slow;
            }
            2 => {
                self.say("an operator has the lists fetched");
                let clock = self.machine.clocks();
                let _ = self.machine.feeds.update(None, clock);
            }
            _ => {
                let number = self.dice.below(many) as usize;
                let what = self.machine.publish(number, &mut self.dice);
                self.say(what);
            }
        }
        self.turn()
    }

    fn break_kernel(&mut self) -> Kept {
        self.machine.kernel.faults = match self.dice.below(6) {
            0 => Faults { refuse: 1, ..Faults::default() },
            1 => Faults { refuse: 3, unheard: 4, ..Faults::default() },
            2 => Faults { full: true, ..Faults::default() },
            3 => Faults { blind: true, ..Faults::default() },
            4 => Faults { unheard: 2, blind: true, ..Faults::default() },
            _ => Faults::default(),
        };
        self.machine.lag = self.dice.span(Duration::from_millis(1), Duration::from_secs(5));
        let (faults, lag) = (self.machine.kernel.faults, self.machine.lag);
        self.say(format_args!("the kernel: {faults:?}, links late by {lag:?}"));
        self.turn()
    }

    fn break_disk(&mut self) -> Kept {
        self.trouble = *self.dice.pick(&[Trouble::None, Trouble::Full, Trouble::ReadOnly]);
        let trouble = self.trouble;
        self.say(format_args!("the disk: {trouble:?}"));
        self.machine.suffer(self.trouble);
        self.turn()
    }

    /// Somebody dies: now, or in the middle of one of the next parts of the judge's loop.
    fn kill(&mut self) -> Kept {
        let mark = self.machine.written();
        match self.dice.below(10) {
            0..=4 => {
                self.fuse = Some(self.dice.below(24));
                Ok(())
            }
            5..=6 => self.restart(Restart::Judge, mark),
            7 => self.restart(Restart::Warden, mark),
            8 => self.restart(Restart::Power, mark),
            _ => self.restart(Restart::LedgerLost, mark),
        }
    }

    /// The last step: faults have ceased, all agree, and whoever scans with proof against him is blocked.
    pub(crate) fn end(&mut self) -> Kept {
        self.calm()?;
        let policy = self.reference.settings.policy.clone();
        self.pass(policy.storm.pause + policy.storm.window + Duration::from_secs(120))?;
        let room = policy.blocks_total > self.reference.known.len() + 4;
        let roomy = self.reference.settings.scan.tracked_sources >= 4_096;
        if policy.dry_run || !room || !roomy || policy.blocks_per_minute < 4 {
            return self.calm();
        }
        let newcomers: Vec<IpAddr> = (1..=3).map(|n| IpAddr::V4(Ipv4Addr::new(172, 16 + n, 0, n))).collect();
        for actor in &newcomers {
            let at = self.machine.clock.wall();
            let events: Vec<Event> = (0..200).map(|n| probe(at, *actor, n as u8, 1_000 + n, Trust::Handshake)).collect();
            self.say(format_args!("{actor} scans, with proof"));
            self.feed(&events)?;
        }
        self.pass(Duration::from_secs(1))?;
        for actor in &newcomers {
            let stands = self.machine.court.judge.standing_for(*actor).is_some();
            hold(stands, "who is proven to scan is blocked in the end", || actor.to_string())?;
        }
        self.calm()
    }
}
