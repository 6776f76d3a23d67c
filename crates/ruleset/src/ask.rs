//! What becomes of one packet: follows it through every chain, into user chains and back, and where a condition is "maybe" both ways.
//! Bounded in steps and depth; a question that is too long for that is answered "not known".

use crate::firewall::{Called, Firewall};
use crate::packet::{Out, Packet, Travelling, Truth, Way};
use crate::rules::{Among, Hook, Key, Log, Rule, Step, Verdict};
use std::net::IpAddr;

/// Rules that one question looks at.
const STEPS: usize = 200_000;
/// Chains in one another. The kernel's own limit for nft is 16.
const STACK: usize = 64;
/// Ways, outcomes and log entries that one answer tells.
const TOLD: usize = 256;
/// Translations on a condition that are followed.
const FORKS: usize = 16;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// No rule has anything against it.
    Accepted,
    /// Silently gone.
    Dropped,
    /// Gone, and the sender is told.
    Rejected,
    /// A program decides.
    Queued,
    /// Not known.
    Unknown,
}

/// A rule's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Family and name of the table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's line; 0 for the chain's policy.
    pub line: u32,
    /// Where the kernel calls the base chain.
    pub hook: Hook,
    /// With this priority.
    pub priority: i32,
}

/// What an outcome depends on besides the packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Below a rate.
    Within(String),
    /// Above a rate.
    Over(String),
    /// Something of which nothing is known.
    If(String),
    /// The opposite of it.
    Unless(String),
}

impl Condition {
    /// Whether it holds for a single packet, as long as nothing unknown is the case.
    fn usual(&self) -> bool {
        match self {
            Condition::Within(_) | Condition::Unless(_) => true,
            Condition::Over(_) | Condition::If(_) => false,
        }
    }
}

/// One thing that can become of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub fate: Fate,
    /// On what conditions.
    pub conditions: Vec<Condition>,
    /// Decided where; `None` if no rule and no policy has a say.
    pub at: Option<Place>,
    order: usize,
}

/// The packet is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// How.
    pub log: Log,
    /// On what conditions.
    pub conditions: Vec<Condition>,
    /// Where.
    pub at: Place,
    order: usize,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// What can become of it, in the order of the rules.
    pub outcomes: Vec<Outcome>,
    /// Where it can be written down.
    pub logs: Vec<Logged>,
    /// Where it was sent on to: an address if it is known, a port if it is another one.
    pub sent_to: Option<(Option<IpAddr>, Option<u16>)>,
    /// Tracking was switched off for it.
    pub untracked: bool,
}

impl Answer {
    /// What becomes of a single packet as long as nothing unknown is the case.
    pub fn usual(&self) -> Option<&Outcome> {
        let fits = |one: &&Outcome| one.conditions.iter().all(Condition::usual);
        self.outcomes.iter().filter(fits).min_by_key(|one| one.order)
    }

    /// The fate of [`Self::usual`].
    pub fn fate(&self) -> Fate {
        self.usual().map_or(Fate::Unknown, |one| one.fate)
    }

    /// What else can become of it, on conditions.
    pub fn exceptions(&self) -> impl Iterator<Item = &Outcome> {
        let usual = self.fate();
        self.outcomes.iter().filter(move |one| one.fate != usual && !one.conditions.iter().all(Condition::usual))
    }

    /// Where it is written down before its usual fate.
    pub fn usual_logs(&self) -> impl Iterator<Item = &Logged> {
        let end = self.usual().map_or(0, |one| one.order);
        self.logs.iter().filter(move |one| one.order <= end && one.conditions.iter().all(Condition::usual))
    }
}

/// Asks what becomes of a packet.
pub fn ask(firewall: &Firewall<'_>, packet: &Packet) -> Answer {
    let travelling = Travelling { packet: packet.clone(), mark: Some(0), untracked: false, translated: false };
    let early: Vec<Called<'_>> = firewall.called(packet.version, &[Hook::Ingress, Hook::Prerouting]).collect();
    let mut walk = Walk {
        firewall,
        travelling,
        answer: Answer::default(),
        steps: 0,
        order: 0,
        forked: 0,
        stack: Vec::new(),
        conditions: Vec::new(),
        through: Vec::new(),
        forks: Vec::new(),
        place: None,
    };
    walk.go(&early, 0, vec![Through { conditions: Vec::new(), order: 0, at: None }]);
    while let Some(fork) = walk.forks.pop() {
        walk.travelling = fork.travelling;
        walk.go(&early, fork.next, vec![Through { conditions: fork.conditions, order: fork.order, at: None }]);
    }
    walk.answer.outcomes.sort_by_key(|one| one.order);
    walk.answer
}

/// A way past a base chain.
#[derive(Debug, Clone)]
struct Through {
    conditions: Vec<Condition>,
    order: usize,
    at: Option<Place>,
}

/// Somebody who is sent elsewhere on a condition.
struct Fork {
    travelling: Travelling,
    conditions: Vec<Condition>,
    order: usize,
    /// The base chain that comes next.
    next: usize,
}

/// Where the rules go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// With the next rule.
    Rule,
    /// Behind the jump into this chain.
    Back,
    /// Nowhere: nobody gets further.
    Nowhere,
}

struct Walk<'f, 'r> {
    firewall: &'f Firewall<'r>,
    travelling: Travelling,
    answer: Answer,
    steps: usize,
    order: usize,
    forked: usize,
    /// The chains that the packet is in.
    stack: Vec<&'r str>,
    conditions: Vec<Condition>,
    /// The ways past the base chain that is walked.
    through: Vec<Through>,
    forks: Vec<Fork>,
    /// The base chain that is walked, its place in the early hooks, and whether it is one of them.
    place: Option<(Called<'r>, usize)>,
}

impl<'r> Walk<'_, 'r> {
    fn go(&mut self, early: &[Called<'r>], from: usize, mut ways: Vec<Through>) {
        for (at, called) in early.iter().enumerate().skip(from) {
            ways = self.base(*called, at, ways);
        }
        let hooks: &[Hook] = match self.travelling.packet.way {
            Way::Here(_) => &[Hook::Input],
            Way::Through { .. } => &[Hook::Forward, Hook::Postrouting],
        };
        let late: Vec<Called<'r>> = self.firewall.called(self.travelling.packet.version, hooks).collect();
        for called in late {
            ways = self.base(called, early.len(), ways);
        }
        for way in ways {
            self.tell(Outcome { fate: Fate::Accepted, conditions: way.conditions, at: way.at, order: way.order });
        }
    }

    /// Walks a base chain; returns the ways past it.
    fn base(&mut self, called: Called<'r>, at: usize, before: Vec<Through>) -> Vec<Through> {
        let elsewhere = |device: &str| !before.is_empty() && self.travelling.packet.interface.as_deref() != Some(device);
        let device = matches!(called.base.hook, Hook::Ingress | Hook::Egress) && called.base.devices.iter().all(|one| elsewhere(one));
        if before.is_empty() || (device && !called.base.devices.is_empty()) || (called.base.nat && self.travelling.untracked) {
            return before;
        }
        self.conditions = if let [only] = before.as_slice() { only.conditions.clone() } else { Vec::new() };
        self.through = Vec::new();
        self.place = Some((called, at));
        self.stack = vec![called.chain.name.as_str()];
        if self.chain(&called.chain.rules) == Next::Back {
            self.order += 1;
            let (conditions, place) = (self.conditions.clone(), self.here(0));
            if called.base.drops {
                self.tell(Outcome { fate: Fate::Dropped, conditions, at: place, order: self.order });
            } else {
                self.through.push(Through { conditions, order: self.order, at: place });
            }
        }
        combined(before, std::mem::take(&mut self.through))
    }

    /// Walks rules; returns [`Next::Back`] or [`Next::Nowhere`].
    fn chain(&mut self, rules: &'r [Rule]) -> Next {
        let base = self.conditions.len();
        let mut somebody_left = false;
        let mut end = Next::Back;
        for rule in rules {
            self.steps += 1;
            if self.steps > STEPS {
                self.lost("the question is too long", rule.line);
                end = Next::Nowhere;
                break;
            }
            match self.rule(rule, &mut somebody_left) {
                Next::Rule => (),
                next @ (Next::Back | Next::Nowhere) => {
                    end = next;
                    break;
                }
            }
        }
        self.conditions.truncate(base);
        if somebody_left { Next::Back } else { end }
    }

    fn rule(&mut self, rule: &'r Rule, somebody_left: &mut bool) -> Next {
        let base = self.conditions.len();
        let table = self.place.map_or(0, |(called, _)| called.table);
        let mut next = Next::Rule;
        for step in &rule.steps {
            match step {
                Step::Match(condition) => match self.travelling.meets(self.firewall, table, condition) {
                    Truth::No => break,
                    Truth::Maybe => self.conditions.push(Condition::If(condition.text.clone())),
                    Truth::Yes => (),
                },
                Step::Limit { over: true, text } => self.conditions.push(Condition::Over(text.clone())),
                Step::Limit { over: false, text } => self.conditions.push(Condition::Within(text.clone())),
                Step::Log(log) => self.log(log, rule.line),
                Step::Mark(mark) => self.travelling.mark = mark.filter(|_| self.conditions.is_empty()),
                Step::Notrack if self.conditions.is_empty() => {
                    self.travelling.untracked = true;
                    self.answer.untracked = true;
                }
                Step::Notrack => self.answer.untracked = true,
                Step::Verdict(verdict) => {
                    next = self.verdict(verdict, rule.line, base, somebody_left);
                    break;
                }
                Step::Map { keys, among, text } => {
                    next = self.map(keys, among, text, rule.line, base, somebody_left);
                    // A packet that the map doesn't know goes on in this rule.
                    if next != Next::Rule {
                        break;
                    }
                }
            }
        }
        self.leave(base);
        next
    }

    /// Takes a rule's own conditions away, but keeps what a return on a condition means for the rules behind.
    fn leave(&mut self, base: usize) {
        let kept: Vec<Condition> = self.conditions.drain(base..).filter(|one| matches!(one, Condition::Unless(_))).collect();
        self.conditions.extend(kept);
    }

    fn map(&mut self, keys: &[Key], among: &'r Among, text: &str, line: u32, base: usize, left: &mut bool) -> Next {
        let table = self.place.map_or(0, |(called, _)| called.table);
        let set = match among {
            Among::These(set) => Some(set),
            Among::Named(name) => self.firewall.set(table, name),
        };
        let Some(set) = set else {
            self.lost(text, line);
            return Next::Rule;
        };
        let truths: Vec<Truth> = self.travelling.each(keys, set).collect();
        for (verdict, truth) in set.verdicts.iter().zip(truths) {
            let before = self.conditions.len();
            match truth {
                Truth::No => continue,
                Truth::Maybe => self.conditions.push(Condition::If(text.to_owned())),
                Truth::Yes => (),
            }
            let next = self.verdict(verdict, line, base, left);
            if truth == Truth::Maybe {
                self.leave(before);
            } else {
                return next;
            }
        }
        Next::Rule
    }

    /// Carries out a verdict. `base`: the conditions from there on are this rule's own.
    fn verdict(&mut self, verdict: &'r Verdict, line: u32, base: usize, somebody_left: &mut bool) -> Next {
        self.order += 1;
        let sure = self.conditions[base..].iter().all(|one| matches!(one, Condition::Unless(_)));
        let done = if sure { Next::Nowhere } else { Next::Rule };
        let fate = match verdict {
            Verdict::Continue => return Next::Rule,
            Verdict::Accept => {
                self.pass(line);
                return done;
            }
            Verdict::Return if sure => return Next::Back,
            Verdict::Return => return self.sent_back(base, somebody_left),
            Verdict::Jump(name) => {
                return match self.enter(name, line) {
                    Next::Nowhere => done,
                    Next::Rule | Next::Back => Next::Rule,
                };
            }
            Verdict::Goto(name) => {
                return match self.enter(name, line) {
                    Next::Nowhere => done,
                    Next::Rule | Next::Back if sure => Next::Back,
                    Next::Rule | Next::Back => self.sent_back(base, somebody_left),
                };
            }
            Verdict::Redirect(port) => {
                self.translate(None, *port, sure, line, true);
                return done;
            }
            Verdict::Forwarded { address, port } => {
                self.translate(*address, *port, sure, line, false);
                return done;
            }
            Verdict::Strange(name) => {
                self.lost(&format!("the target {name}"), line);
                return Next::Rule;
            }
            Verdict::Drop => Fate::Dropped,
            Verdict::Reject => Fate::Rejected,
            Verdict::Queue => Fate::Queued,
        };
        let (conditions, at) = (self.conditions.clone(), self.here(line));
        self.tell(Outcome { fate, conditions, at, order: self.order });
        done
    }

    fn pass(&mut self, line: u32) {
        if self.through.len() < TOLD {
            let (conditions, at) = (self.conditions.clone(), self.here(line));
            self.through.push(Through { conditions, order: self.order, at });
        }
    }

    /// Some are sent back on this rule's conditions; the rest goes on without them.
    fn sent_back(&mut self, base: usize, somebody_left: &mut bool) -> Next {
        *somebody_left = true;
        let own: Vec<&str> = self.conditions[base..]
            .iter()
            .map(|one| match one {
                Condition::Within(text) | Condition::Over(text) | Condition::If(text) | Condition::Unless(text) => text.as_str(),
            })
            .collect();
        let text = own.join(" and ");
        self.conditions.push(Condition::Unless(text));
        Next::Rule
    }

    /// Jumps into a chain.
    fn enter(&mut self, name: &'r str, line: u32) -> Next {
        let table = self.place.map_or(0, |(called, _)| called.table);
        if self.stack.len() >= STACK || self.stack.contains(&name) {
            self.lost(&format!("the chain {name} leads into itself"), line);
            return Next::Nowhere;
        }
        let Some(chain) = self.firewall.chain(table, name) else {
            self.lost(&format!("the chain {name} is not there"), line);
            return Next::Back;
        };
        self.stack.push(name);
        let next = self.chain(&chain.rules);
        self.stack.pop();
        next
    }

    /// Sends the packet elsewhere; on a condition, follows both ways.
    fn translate(&mut self, address: Option<IpAddr>, port: Option<u16>, sure: bool, line: u32, here: bool) {
        let mut changed = self.travelling.clone();
        changed.translated = true;
        changed.packet.port = port.filter(|_| changed.packet.port.is_some()).or(changed.packet.port);
        let number = address.map(crate::names::address_number);
        let own = matches!((&changed.packet.way, number), (Way::Here(own), Some(number)) if own.contains(&number));
        let loops_back = address.is_some_and(|address| address.is_loopback());
        if !(here || own || loops_back) {
            let out = number.and_then(|number| self.firewall.way_out(changed.packet.version, number));
            changed.packet.way = Way::Through { to: number, out: out.map_or(Out::Unknown, |name| Out::By(name.to_owned())) };
            self.answer.sent_to.get_or_insert((address, port));
        } else {
            self.answer.sent_to.get_or_insert((None, port));
        }
        if sure {
            self.travelling = changed;
            self.pass(line);
        } else if self.forked < FORKS {
            self.forked += 1;
            let next = self.place.map_or(0, |(_, at)| at + 1);
            self.forks.push(Fork { travelling: changed, conditions: self.conditions.clone(), order: self.order, next });
        } else {
            self.lost("too many translations", line);
        }
    }

    /// Something that can't be followed.
    fn lost(&mut self, why: &str, line: u32) {
        self.order += 1;
        let mut conditions = self.conditions.clone();
        conditions.push(Condition::If(why.to_owned()));
        let at = self.here(line);
        self.tell(Outcome { fate: Fate::Unknown, conditions, at, order: self.order });
    }

    fn log(&mut self, log: &Log, line: u32) {
        self.order += 1;
        if let Some(at) = self.here(line).filter(|_| self.answer.logs.len() < TOLD) {
            self.answer.logs.push(Logged { log: log.clone(), conditions: self.conditions.clone(), at, order: self.order });
        }
    }

    fn tell(&mut self, outcome: Outcome) {
        if self.answer.outcomes.len() < TOLD {
            self.answer.outcomes.push(outcome);
        }
    }

    fn here(&self, line: u32) -> Option<Place> {
        let (called, _) = self.place?;
        let table = &self.firewall.rules.tables[called.table];
        let chain = (*self.stack.last()?).to_owned();
        Some(Place {
            table: format!("{} {}", table.family, table.name),
            chain,
            line,
            hook: called.base.hook,
            priority: called.base.priority,
        })
    }
}

/// Ways past two base chains in a row.
fn combined(before: Vec<Through>, after: Vec<Through>) -> Vec<Through> {
    let policy = |way: &Through| way.at.as_ref().is_none_or(|at| at.line == 0);
    match (before.as_slice(), after.as_slice()) {
        ([one], [other]) if one.conditions == other.conditions && policy(other) && !policy(one) => before,
        ([_], _) => after,
        (_, [other]) if other.conditions.is_empty() => before,
        _ => {
            let both = before.iter().flat_map(|one| {
                after.iter().map(|other| Through {
                    conditions: [one.conditions.as_slice(), other.conditions.as_slice()].concat(),
                    order: one.order.max(other.order),
                    at: if policy(other) { one.at.clone() } else { other.at.clone() },
                })
            });
            both.take(TOLD).collect()
        }
    }
}
