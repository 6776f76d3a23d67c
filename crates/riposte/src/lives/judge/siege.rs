//! The judge against sensors and an envoy that were broken into: the real judge, court and ledger, and their ends of the links, over which anything
//! may come. From the warden's place comes only what a warden can say. Never touches a firewall: what would reach it is looked at instead.

use super::*;
use crate::control::protocol::Request;
use crate::lives::siege::{Dice, EXEMPT, GATEWAY, NEVER, encoded, overlap, possessions, prefix};
use link::message::{Got, Known, Passage, PortMap, Position, Reported, Tag};
use model::block::{Because, Fault, Installed, Outcome};
use model::decision::{ExemptReason, Exemption};
use model::event::{Guessed, Maker, Match, Origin, Probe, Repeated, Report, TcpFlags, Touch};
use model::level::DangerLevel;
use model::net::{Hops, Prefix, Protocol};
use model::response::{Ran, ResponseId, RunId, UserName};
use model::style::Style;
use rusty_fork::rusty_fork_test;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixDatagram;

const LOG: u16 = 1;
/// Who has a link to the judge beside the warden.
const SLOTS: [u16; 6] = [PACKETS_SLOT, LOG, 2, APPLICATIONS_SLOT, GUARD_SLOT, ENVOY_SLOT];
/// Whom no list may block either: nobody's own and private networks, and too large a part of the Internet.
const NOT_LISTED: [&str; 6] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"];

/// A judge whose links are ours.
struct Siege {
    judge: Judge,
    server: Server,
    /// The warden's end.
    warden: OwnedFd,
    /// The others' ends, by their slots.
    ends: BTreeMap<u16, OwnedFd>,
    buffer: Vec<u8>,
    ear: Vec<u8>,
    /// What the envoy was ordered to do and has not answered: fetch, submit.
    orders: [Vec<u32>; 2],
    /// The most that those who speak can vouch for; `None`: nothing may be blocked but what lists name.
    most: Option<Trust>,
    /// Blocks ordered, responses ordered, prefixes of lists told and held.
    ordered: [usize; 3],
    _folder: tempfile::TempDir,
}

/// How a frame is to be counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    malformed: u64,
    late: u64,
}

impl Siege {
    fn new(most: Option<Trust>) -> Siege {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let exempt = EXEMPT.map(|prefix| format!("{prefix:?}")).join(", ");
        let text = format!(
            "[store]\npath = \"{place}\"\n[policy]\nexempt = [{exempt}]\nblocks_per_minute = 1000000\n\
             [guard]\ntcp = [23]\nportsentry = true\n[alert]\nevery = true\n[alert.mail]\nto = [\"a@example.org\"]\nserver = \"mail.example.org\"\n\
             [[response]]\nname = \"x\"\nprotocol = \"ossec\"\nprogram = \"/bin/true\"\ntimeout = \"10m\"\n\
             [[feed]]\nname = \"published\"\nurl = \"https://a.example/\"\n[[feed]]\nname = \"own\"\npath = \"/list\"\nmax_entries = 100\n\
             [[feed]]\nname = \"crowd\"\nurl = \"http://127.0.0.1:8080\"\nformat = \"crowdsec\"\nkey = \"/key\"\n\
             [dshield]\nenabled = true\nuser = 7\nkey = \"/key\"\nfrom = \"a@example.org\"\n"
        );
        let config = Config::parse(&text, "siege").unwrap();
        let (ours, warden) = sys::fd::seqpacket_pair().unwrap();
        let judge = Judge::new(&config, Channel::new(ours), open_store(&config).unwrap()).unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let server = Server::new(listener, &judge.poller, CONTROL).unwrap();
        let (buffer, ear) = (channel::frame_buffer(), channel::frame_buffer());
        let (ends, orders) = (BTreeMap::new(), Default::default());
        let mut siege = Siege { judge, server, warden, ends, buffer, ear, orders, most, ordered: [0; 3], _folder: folder };
        siege.derive();
        siege.tell(&Message::Installed { last: true, items: Vec::new() });
        SLOTS.into_iter().for_each(|slot| siege.hand_over(slot));
        siege
    }

    /// The judge's turn: whoever is behind these tokens has something to say, and everybody takes what waits for him.
    fn turn(&mut self, tokens: &[u64]) {
        let ready: Vec<Ready> =
            tokens.iter().map(|token| Ready { token: *token, readable: true, writable: true, hung_up: false }).collect();
        self.judge.send_all().unwrap();
        assert!(self.judge.turn(&ready, &mut self.server, &mut self.buffer).unwrap(), "the judge has ended");
    }

    fn token(&self, slot: u16) -> Option<u64> {
        self.judge.sensors.iter().find(|(_, sensor)| sensor.slot == slot).map(|(token, _)| *token)
    }

    /// The warden's word.
    fn tell(&mut self, message: &Message) {
        sys::fd::send_frame(self.warden.as_fd(), &encoded(message), None).unwrap();
        self.turn(&[WARDEN]);
    }

    fn derive(&mut self) {
        self.tell(&Message::Derived(vec![Exemption { prefix: prefix(GATEWAY), reason: ExemptReason::Gateway }]));
    }

    /// The warden hands over the link of one who begins.
    fn hand_over(&mut self, slot: u16) {
        let (ours, theirs) = sys::fd::seqpacket_pair().unwrap();
        let message = Message::SensorLink { slot, name: format!("sensor {slot}") };
        sys::fd::send_frame(self.warden.as_fd(), &encoded(&message), Some(ours.as_fd())).unwrap();
        drop(ours);
        if slot == ENVOY_SLOT {
            self.orders = Default::default();
        }
        self.ends.insert(slot, theirs);
        self.turn(&[WARDEN]);
    }

    /// Says bytes with the mouth of one of them; false if the judge doesn't take more for now.
    fn say(&self, slot: u16, frame: &[u8], pass: Option<&OwnedFd>) -> bool {
        sys::fd::send_frame(self.ends[&slot].as_fd(), frame, pass.map(AsFd::as_fd)).is_ok()
    }

    fn attend(&mut self, slot: u16) {
        let token = self.token(slot).unwrap();
        self.turn(&[token]);
    }

    /// What one of them was told. The envoy remembers its orders.
    fn hear(&mut self, slot: u16) -> Vec<Message> {
        let heard = taken(&self.ends[&slot], &mut self.ear);
        for message in &heard {
            match message {
                Message::Fetch { order, .. } => self.orders[0].push(*order),
                Message::Submit { order } => self.orders[1].push(*order),
                _ => {}
            }
        }
        heard
    }

    /// What the warden was told.
    fn hear_warden(&mut self) -> Vec<Message> {
        taken(&self.warden, &mut self.ear)
    }

    /// The warden does what it is told, or says why not, once it is sure that it may be done.
    fn obey(&mut self, dice: &mut Dice) {
        for message in self.hear_warden() {
            match message {
                Message::Apply(changes) => {
                    for change in &changes {
                        let Change::Add { id, scope, expiry } = change else { continue };
                        self.ordered[0] += 1;
                        assert!(!is_exempt(scope.prefix()), "{change:?}");
                        let most = self.most.unwrap_or_else(|| panic!("nobody may block: {change:?}"));
                        let Some(Because::Offence { trust, .. }) = self.judge.court.judge.block_of(*id).map(|block| block.because) else {
                            continue;
                        };
                        assert!(trust <= most, "{change:?} by {trust:?}");
                        let latest = now().after(self.judge.court.config().policy.spoofable.block_max);
                        assert!(trust > Trust::Spoofable || matches!(expiry, Expiry::At(at) if *at <= latest), "{change:?}");
                    }
                    let outcome = |change: &Change| match (change, dice.below(20)) {
                        (_, 0) => Outcome::Failed(Fault::ALL[dice.below(Fault::ALL.len())]),
                        (Change::Add { .. }, _) => Outcome::Added,
                        (Change::Remove { .. }, _) => Outcome::Removed,
                    };
                    let outcomes: Vec<_> = changes.iter().map(Change::id).zip(changes.iter().map(outcome)).collect();
                    self.tell(&Message::Outcomes(outcomes));
                }
                Message::Respond(orders) => {
                    self.ordered[1] += orders.len();
                    assert_eq!(self.most, Some(Trust::Vouched), "only a service's log asks for responses");
                    assert!(!orders.iter().any(|order| order.add && is_exempt(Prefix::host(order.address))), "{orders:?}");
                    let ran = orders.iter().map(|order| (order.run, Ran::ALL[dice.below(Ran::ALL.len())], "said".to_owned()));
                    self.tell(&Message::Ran(ran.collect()));
                }
                Message::Listed { items, .. } => {
                    self.ordered[2] += items.len();
                    check_listed(&items);
                }
                Message::AskInstalled => {
                    let items =
                        (0..dice.below(4)).map(|_| Installed { scope: Scope::Source(dice.victim()), expiry: Expiry::Never }).collect();
                    self.tell(&Message::Installed { last: true, items });
                }
                Message::AskCounters => self.tell(&Message::Counters(vec![Counter { name: "x".into(), value: 7 }])),
                Message::Allowed(_) | Message::Alive => {}
                other => panic!("{other:?} for the warden"),
            }
        }
    }

    /// How this is to be counted if it comes by the link of this slot: who may say what, written down once more.
    fn count(&self, slot: u16, message: Option<&Message>) -> Count {
        let rules = self.judge.sensors.values().find(|sensor| sensor.slot == slot).map(|sensor| &sensor.rules);
        let knows = |rule: &RuleId| rules.is_some_and(|rules| rules.contains_key(rule));
        let sees_ports = matches!(slot, PACKETS_SLOT | GUARD_SLOT);
        let is_log = matches!(slot, LOG | 2);
        let malformed = match message {
            Some(Message::Counters(_)) => 0,
            Some(Message::FeedItems { order, .. } | Message::Fetched { order, .. }) if slot == ENVOY_SLOT => {
                return Count { malformed: 0, late: u64::from(!self.orders[0].contains(order)) };
            }
            Some(Message::Submitted { order, .. }) if slot == ENVOY_SLOT => {
                return Count { malformed: 0, late: u64::from(!self.orders[1].contains(order)) };
            }
            Some(Message::Kept { way, .. }) if slot == ENVOY_SLOT => {
                u64::from(!["mail", "syslog", "webhook", "command"].contains(&way.as_str()))
            }
            Some(Message::Events(events)) if sees_ports || is_log => {
                let is_false = |event: &&Event| match event.act {
                    Act::Probe(_) | Act::Reached { .. } => false,
                    Act::Touched(_) => !sees_ports,
                    Act::Matched(matched) => !knows(&matched.rule),
                    Act::Guessed(guessed) => !knows(&guessed.name),
                    Act::Reported(_) => true,
                };
                events.iter().filter(is_false).count() as u64
            }
            Some(Message::Ways(_) | Message::Position(Some(_))) if is_log => 0,
            Some(Message::Rules(names)) if !matches!(slot, GUARD_SLOT | ENVOY_SLOT) => {
                let mut known: std::collections::BTreeSet<RuleId> = rules.into_iter().flat_map(BTreeMap::keys).copied().collect();
                let mut has_no_room = |rule: RuleId| !known.contains(&rule) && (known.len() >= limits::RULES || !known.insert(rule));
                names.iter().filter(|(rule, _)| has_no_room(*rule)).count() as u64
            }
            Some(Message::Reports(reports)) if slot == APPLICATIONS_SLOT => {
                let is_false = |reported: &&Reported| !matches!(reported.event.act, Act::Reported(report) if knows(&report.rule));
                reports.iter().filter(is_false).count() as u64
            }
            Some(Message::FilePosition { .. }) if slot == APPLICATIONS_SLOT => 0,
            _ => 1,
        };
        Count { malformed, late: 0 }
    }

    /// One of them says something, and it is counted as it should be.
    fn hear_of(&mut self, slot: u16, frame: &[u8], pass: Option<&OwnedFd>) {
        let message = Message::decode(frame).ok().filter(|_| pass.is_none() && frame.len() <= limits::FRAME_BYTES);
        let expected = self.count(slot, message.as_ref());
        let before = (self.judge.malformed, self.judge.late);
        assert!(self.say(slot, frame, pass));
        self.attend(slot);
        let counted = Count { malformed: self.judge.malformed - before.0, late: self.judge.late - before.1 };
        assert_eq!(counted, expected, "{slot}: {message:?}");
        match message {
            Some(Message::Fetched { order, .. }) => self.orders[0].retain(|known| *known != order),
            Some(Message::Submitted { order, .. }) => self.orders[1].retain(|known| *known != order),
            _ => {}
        }
    }

    /// All tables are whole and within their bounds, and nobody exempt is blocked.
    fn check(&mut self) {
        let (judge, policy) = (&self.judge, &self.judge.court.judge);
        policy.check_invariants();
        for block in policy.standing() {
            assert!(!is_exempt(block.scope.prefix()), "{} is blocked", block.scope.prefix());
        }
        let spoofable = &judge.court.config().policy.spoofable;
        assert!(policy.counters().standing_forgeable <= spoofable.blocks_standing);
        assert!(judge.court.detectors.counters().tracked <= limits::TRACKED_SOURCES as u64);
        let listed = policy.listed(now()).0;
        check_listed(&listed);
        self.ordered[2] += listed.len();
        assert!(judge.sensors.len() <= SLOTS.len());
        for sensor in judge.sensors.values() {
            assert!(sensor.rules.len() <= limits::RULES && sensor.link.waiting_bytes() <= (32 << 20) + limits::FRAME_BYTES);
        }
    }

    /// A scan that the packet sensor sees is answered, and `status` is.
    fn still_judges(&mut self, dice: &mut Dice) {
        self.most = Some(Trust::Vouched);
        self.hand_over(PACKETS_SLOT);
        let whom: IpAddr = "198.51.100.77".parse().unwrap();
        self.hear_of(PACKETS_SLOT, &scan(whom), None);
        assert!(self.judge.court.judge.standing_for(whom).is_some(), "a scan is a scan: {:?}", self.judge.court.detectors.suspect(whom));
        self.obey(dice);
        let status = answers::answer(&mut self.judge, Request::Status, true);
        let counters = status.result.as_ref().unwrap()["counters"].as_array().unwrap().clone();
        let malformed = counters.iter().find(|counter| counter[0] == "messages not understood").unwrap();
        assert_eq!(malformed[1], self.judge.malformed);
    }
}

/// All that has come by a link.
fn taken(end: &OwnedFd, ear: &mut [u8]) -> Vec<Message> {
    let frame = move || sys::fd::recv_frame(end.as_fd(), ear).ok().map(|received| Message::decode(&ear[..received.len]).unwrap());
    std::iter::from_fn(frame).collect()
}

/// Whether an address lies in it that nobody may block.
fn is_exempt(whom: Prefix) -> bool {
    NEVER.iter().any(|never| overlap(prefix(never), whom))
}

/// Nobody is among them whom no list may name.
fn check_listed(items: &[(Prefix, Expiry)]) {
    assert!(items.len() <= limits::LISTED);
    let latest = now().after(Duration::from_secs(2 * 86_400));
    for (whom, end) in items {
        let shortest = if whom.addr().is_ipv4() { 8 } else { 19 };
        assert!(!is_exempt(*whom) && whom.bits() >= shortest, "{whom} is listed");
        assert!(!NOT_LISTED.iter().any(|never| overlap(prefix(never), *whom)), "{whom} is listed");
        assert!(matches!(end, Expiry::At(at) if *at <= latest), "{whom} is listed until {end:?}");
    }
}

/// Two hundred ports, as the packet sensor tells of them.
fn scan(actor: IpAddr) -> Vec<u8> {
    let (protocol, flags) = (Protocol::TCP, Some(TcpFlags(TcpFlags::SYN)));
    let probe =
        |port| Probe { protocol, source_port: Some(40_000), port: Some(port), flags, icmp: None, style: Some(Style::Syn), hops: None };
    let event = |port| Event {
        at: now(),
        origin: Origin { sensor: 0, serial: 0 },
        actor,
        target: Some("192.0.2.1".parse().unwrap()),
        act: Act::Probe(probe(port)),
        trust: Trust::Handshake,
        times: 1,
    };
    encoded(&Message::Events((1..=200).map(event).collect()))
}

impl Dice {
    fn maybe<T>(&mut self, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| value(self))
    }

    /// One of these.
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Some whom nobody may block, some who come again and again, some who never come back.
    fn actor(&mut self) -> IpAddr {
        match self.below(4) {
            0 => self.victim().addr(),
            1 | 2 => Ipv4Addr::from(0x0808_0800 + self.below(64) as u32).into(),
            _ => Ipv6Addr::from(0x2a00 << 112 | u128::from(self.roll())).into(),
        }
    }

    fn number(&mut self) -> u32 {
        match self.below(4) {
            0 => u32::MAX,
            1 => self.roll() as u32,
            _ => 1 + self.below(20) as u32,
        }
    }

    fn text(&mut self, most: usize) -> String {
        let words = ["sshd", "\u{202e}name", "<script>", "mail", "x; nft flush ruleset", "", "\"}, {\"", "../../etc/shadow"];
        let word = self.of(&words);
        let word = if self.below(8) == 0 { "x".repeat(most) } else { format!("{word}{}", self.below(5_000)) };
        word.chars().take(most).collect()
    }

    fn rule(&mut self) -> RuleId {
        RuleId(if self.below(8) == 0 { self.roll() as u16 } else { self.below(16) as u16 })
    }

    fn event(&mut self) -> Event {
        let at = match self.below(8) {
            0 => Time::from_nanos(self.roll()),
            1 => self.of(&[
                Time::EPOCH,
                Time::from_nanos(u64::MAX),
                now().after(Duration::from_secs(59)),
                now().before(Duration::from_secs(3_600)),
            ]),
            _ => now(),
        };
        let (protocol, port) = (Protocol(self.of(&[1, 6, 17, 58, 132, self.0 as u8])), self.roll() as u16);
        let (flags, style, hops) = (TcpFlags(self.roll() as u8), self.of(&Style::ALL), self.maybe(|dice| Hops(dice.roll() as u8)));
        let act = match self.below(9) {
            0..=3 => Act::Probe(Probe {
                protocol,
                source_port: self.maybe(|dice| dice.roll() as u16),
                port: self.maybe(|_| port),
                flags: self.maybe(|_| flags),
                icmp: self.maybe(|dice| (dice.roll() as u8, 0)),
                style: self.maybe(|_| style),
                hops,
            }),
            4 => Act::Reached { protocol, port: self.maybe(|_| port) },
            5 => Act::Touched(Touch { protocol, port, style, flags, hops }),
            6 => Act::Matched(Match {
                rule: self.rule(),
                sid: self.number(),
                level: self.maybe(Dice::level),
                protocol,
                port: self.maybe(|_| port),
            }),
            7 => Act::Guessed(Guessed { name: self.rule(), kind: self.of(&Maker::ALL), hops }),
            _ => self.report(),
        };
        Event {
            at,
            origin: Origin { sensor: self.of(&SLOTS), serial: self.roll() },
            actor: self.actor(),
            target: self.maybe(Dice::actor),
            act,
            trust: self.of(&[Trust::Spoofable, Trust::Handshake, Trust::Vouched]),
            times: self.number(),
        }
    }

    fn level(&mut self) -> DangerLevel {
        DangerLevel::new(1 + self.below(5) as u8).unwrap()
    }

    fn report(&mut self) -> Act {
        Act::Reported(Report {
            rule: self.rule(),
            level: self.level(),
            lines: self.number(),
            wished: self.maybe(|dice| Duration::from_secs(dice.number().into())),
            repeated: Repeated(std::array::from_fn(|_| self.roll() as u16)),
        })
    }

    fn reported(&mut self) -> Reported {
        let act = if self.below(10) == 0 { self.event().act } else { self.report() };
        let event = Event { act, ..self.event() };
        let ask = |dice: &mut Dice| link::message::Asked {
            response: ResponseId(dice.below(limits::RESPONSES.min(3)) as u8),
            user: dice.maybe(|dice| UserName::new(dice.of(&["bob", "root"])).unwrap()),
            rule: dice.maybe(Dice::number),
        };
        let response = (self.below(3) == 0).then(|| ask(self));
        Reported { event, log: self.text(limits::PLACE_BYTES), line: self.text(limits::QUOTE_BYTES), response }
    }

    fn got(&mut self) -> Got {
        match self.below(5) {
            0 => Got::Same,
            1 => Got::Nothing { why: self.text(1_024), wait: self.maybe(Dice::number) },
            _ => Got::List { known: [self.text(128), self.text(128)], left_out: [self.number(), self.number()] },
        }
    }

    /// A message with any tag; mostly one that belongs to this slot.
    fn testimony(&mut self, slot: u16, [fetches, submits]: &[Vec<u32>; 2]) -> Message {
        let own: &[Tag] = match slot {
            PACKETS_SLOT => &[Tag::Events, Tag::Events, Tag::Rules, Tag::Counters],
            GUARD_SLOT => &[Tag::Events, Tag::Counters],
            APPLICATIONS_SLOT => &[Tag::Reports, Tag::Reports, Tag::Rules, Tag::FilePosition, Tag::Counters],
            ENVOY_SLOT => &[Tag::FeedItems, Tag::FeedItems, Tag::Fetched, Tag::Fetched, Tag::Submitted, Tag::Kept, Tag::Counters],
            _ => &[Tag::Events, Tag::Events, Tag::Rules, Tag::Ways, Tag::Position, Tag::Counters],
        };
        let tags = if self.below(3) == 0 { &Tag::ALL } else { own };
        let tag = self.of(tags);
        let most = |full: usize, dice: &mut Dice| if dice.below(50) == 0 { full } else { dice.below(20) };
        let position = Position { device: self.roll(), inode: self.roll(), offset: self.roll(), mark: vec![self.0 as u8; self.below(65)] };
        let [fetch, submit] = [fetches, submits].map(|orders| match orders.last() {
            Some(order) if self.below(3) > 0 => *order,
            _ => self.roll() as u32,
        });
        let (text, number, victim) = (self.text(200), self.number(), self.victim());
        let scope = Scope::Source(victim);
        let change = Change::Add { id: BlockId(self.roll() % 99), scope, expiry: Expiry::Never };
        match tag {
            Tag::Events => Message::Events((0..most(limits::BATCH_EVENTS, self)).map(|_| self.event()).collect()),
            Tag::Reports => Message::Reports((0..most(limits::BATCH_REPORTS, self)).map(|_| self.reported()).collect()),
            Tag::Rules => Message::Rules((0..most(256, self)).map(|_| (self.rule(), self.text(limits::RULE_BYTES))).collect()),
            Tag::Counters => Message::Counters((0..most(512, self)).map(|_| Counter { name: self.text(90), value: self.roll() }).collect()),
            Tag::Ways => Message::Ways(
                (0..most(limits::BATCH_WAYS, self))
                    .map(|_| Passage {
                        actor: self.actor(),
                        chain: self.roll() as u8 % 5,
                        protocol: Protocol(self.roll() as u8),
                        interface: self.text(limits::PREFIX_BYTES),
                        prefix: self.text(limits::PREFIX_BYTES),
                        packets: self.number(),
                    })
                    .collect(),
            ),
            Tag::Position => Message::Position(self.maybe(|_| position)),
            Tag::FilePosition => Message::FilePosition { log: text, position },
            Tag::FeedItems => Message::FeedItems {
                order: fetch,
                items: (0..most(limits::BATCH_LISTED, self))
                    .map(|_| (if self.below(2) == 0 { self.victim() } else { Prefix::host(self.actor()) }, self.maybe(Dice::number)))
                    .collect(),
                gone: (0..most(limits::BATCH_LISTED, self)).map(|_| Prefix::host(self.actor())).collect(),
            },
            Tag::Fetched => Message::Fetched { order: fetch, got: self.got() },
            Tag::Submitted => Message::Submitted { order: submit, wrong: self.maybe(|_| text), wait: self.maybe(Dice::number) },
            Tag::Kept => Message::Kept {
                way: self.of(&["mail", "syslog", "webhook", "command", "pigeon", ""]).to_owned(),
                note: self.text(limits::ALERT_BYTES),
            },
            Tag::Ready => Message::Ready { sandbox: text },
            Tag::AskCounters => Message::AskCounters,
            Tag::Apply => Message::Apply(vec![change]),
            Tag::Outcomes => Message::Outcomes(vec![(change.id(), Outcome::Added)]),
            Tag::AskInstalled => Message::AskInstalled,
            Tag::Installed => Message::Installed { last: true, items: vec![Installed { scope, expiry: Expiry::Never }] },
            Tag::Derived => Message::Derived(Vec::new()),
            Tag::Allowed => Message::Allowed(vec![(victim, Expiry::Never)]),
            Tag::Repaired => Message::Repaired { why: text },
            Tag::OpenPorts => Message::OpenPorts { tcp: PortMap::new([]), udp: PortMap::new(0..=u16::MAX) },
            Tag::Reopen => Message::Reopen,
            Tag::Reopened => Message::Reopened { names: vec![text], file: true },
            Tag::ReopenedFile => Message::ReopenedFile,
            Tag::RotatedFile => Message::RotatedFile,
            Tag::SensorLink => Message::SensorLink { slot: self.of(&SLOTS), name: text },
            Tag::Processes => Message::Processes(Vec::new()),
            Tag::Rebuilt => Message::Rebuilt,
            Tag::Reload => Message::Reload,
            Tag::Reloaded => Message::Reloaded { ok: true, lines: vec![text] },
            Tag::Config => Message::Config,
            Tag::Alive => Message::Alive,
            Tag::Troubles => Message::Troubles(Vec::new()),
            Tag::Followed => Message::Followed { slot: 7, watch: number, rotated: true, log: text },
            Tag::Looked => Message::Looked { more: true, surplus: number },
            Tag::Respond => Message::Respond(Vec::new()),
            Tag::Ran => Message::Ran(vec![(RunId(self.roll() % 99), Ran::Done, text)]),
            Tag::Carry => Message::Carry { batch: number, changes: vec![change] },
            Tag::Carried => Message::Carried { batch: number, outcomes: vec![Outcome::Added] },
            Tag::AskHeld => Message::AskHeld(vec![scope]),
            Tag::Held => Message::Held(vec![(scope, u16::MAX)]),
            Tag::Silent => Message::Silent(u16::MAX),
            Tag::Listed => Message::Listed { first: true, last: true, items: vec![(victim, Expiry::Never)] },
            Tag::Fetch => Message::Fetch { order: number, feed: 0, whole: true, known: Default::default() },
            Tag::Submit => Message::Submit { order: number },
            Tag::AskKnown => Message::AskKnown { number, flows: Vec::new() },
            Tag::Known => Message::Known { number, flows: Known::ALL.to_vec() },
            Tag::Alert => Message::Alert(text),
        }
    }

    /// What a warden may say at any time.
    fn warden(&mut self) -> Message {
        let process = |life, restarts| Process { life, slot: 0, pid: 9, restarts, sandbox: String::new() };
        match self.below(9) {
            0 => Message::Rebuilt,
            1 => Message::Repaired { why: self.text(200) },
            2 => Message::Processes(vec![process(Life::Envoy, self.number()), process(Life::Host, self.number())]),
            3 => Message::Troubles(vec![Trouble { since: now(), what: self.text(90), why: self.text(90) }]),
            4 => Message::Silent(self.roll() as u16),
            5 => Message::Held(vec![(Scope::Source(self.victim()), self.roll() as u16)]),
            // Also of blocks that are gone by now.
            6 => Message::Outcomes((0..9).map(|_| (BlockId(self.roll() % 5_000), self.of(&[Outcome::Added, Outcome::Removed]))).collect()),
            7 => Message::Ran(vec![(RunId(self.roll()), self.of(&Ran::ALL), self.text(200))]),
            _ => Message::Alive,
        }
    }
}

/// These speak, and so does the warden: so many frames. Who can vouch for `most`, or for nothing, brings about no more than that.
fn lay_siege(slots: &[u16], most: Option<Trust>, frames: usize, dice: &mut Dice) -> Siege {
    let mut siege = Siege::new(most);
    let before = possessions();
    let began = monotonic();
    for round in 0..frames {
        let slot = dice.of(slots);
        let message = dice.testimony(slot, &siege.orders);
        let frame = dice.frame(&message);
        let pass = (dice.below(50) == 0).then(|| sys::fd::sealed_text(b"[policy]\n").unwrap());
        siege.hear_of(slot, &frame, pass.as_ref());
        drop(pass);
        if dice.below(10) == 0 {
            let word = dice.warden();
            siege.tell(&word);
        }
        // A frame without a byte is the end of a link: whoever sends it begins again.
        if dice.below(100) == 0 {
            UnixDatagram::from(siege.ends[&slot].try_clone().unwrap()).send(&[]).unwrap();
            siege.attend(slot);
            assert_eq!(siege.token(slot), None);
            siege.hand_over(slot);
        }
        // For a while nobody reads what he is told, but the warden, whom the judge would wait for.
        if round / 256 % 2 == 0 {
            SLOTS.into_iter().for_each(|slot| drop(siege.hear(slot)));
        }
        if round % 16 == 0 {
            answers::answer(&mut siege.judge, Request::UpdateFeeds { name: None }, true);
        }
        siege.obey(dice);
        if round % 500 == 0 {
            siege.check();
            assert_eq!(possessions(), before, "round {round}");
        }
    }
    siege.check();
    assert_eq!(possessions(), before);
    if most == Some(Trust::Spoofable) {
        let minutes = monotonic().since(began).as_secs() / 60 + 2;
        let made = siege.judge.court.judge.counters().made;
        assert!(made <= minutes * u64::from(siege.judge.court.config().policy.spoofable.blocks_per_minute), "{made} in {minutes}");
    }
    siege
}

rusty_fork_test! {
    #[test]
    fn a_flood_of_one_keeps_nobody_else_waiting_and_is_heard_to_its_end() {
        let mut siege = Siege::new(Some(Trust::Vouched));
        let (flood, before) = (encoded(&Message::AskCounters), siege.judge.malformed);
        let frames = (0..100_000).take_while(|_| siege.say(LOG, &flood, None)).count();
        assert!(frames > TURN_FRAMES);
        let whom = "198.51.100.77".parse().unwrap();
        assert!(siege.say(PACKETS_SLOT, &scan(whom), None));
        sys::fd::send_frame(siege.warden.as_fd(), &encoded(&Message::Alive), None).unwrap();
        siege.turn(&[siege.token(LOG).unwrap(), siege.token(PACKETS_SLOT).unwrap(), WARDEN]);
        assert_eq!(siege.judge.malformed - before, TURN_FRAMES as u64);
        assert!(siege.judge.court.judge.standing_for(whom).is_some());
        let heard = siege.hear_warden();
        assert!(heard.contains(&Message::Alive) && heard.iter().any(|message| matches!(message, Message::Apply(_))), "{heard:?}");
        (0..frames / TURN_FRAMES).for_each(|_| siege.attend(LOG));
        assert_eq!(siege.judge.malformed - before, frames as u64);
    }

    #[test]
    fn a_judge_whose_warden_goes_while_it_is_spoken_to_writes_down_what_waits_in_memory() {
        let mut siege = Siege::new(None);
        let position = Position { device: 1, inode: 2, offset: 3, mark: Vec::new() };
        siege.judge.positions.note("log", position.clone());
        siege.judge.court.block(prefix("198.51.100.9"), Expiry::Never, String::new(), now()).unwrap();
        let Siege { mut judge, server, warden, _folder: folder, .. } = siege;
        drop(warden);
        assert_eq!(judge.watch(server), Ok(()));
        drop(judge);
        let store = Store::open(&folder.path().join("riposte.db")).unwrap();
        assert_eq!(Positions::load(&store).of("log"), Some(position));
        let court = Court::new(Config::default().court(), store, None, 1, now());
        assert!(court.judge.standing_for("198.51.100.9".parse().unwrap()).is_some());
    }

    #[test]
    fn a_sensor_that_names_more_rules_than_it_may_is_counted() {
        let (mut siege, most) = (Siege::new(None), link::message::RULES);
        for n in 0..=limits::RULES / most {
            let names = (n * most..(n + 1) * most).map(|rule| (RuleId(rule as u16), format!("rule {rule}")));
            siege.hear_of(LOG, &encoded(&Message::Rules(names.collect())), None);
        }
        assert_eq!(siege.judge.malformed, most as u64);
        siege.check();
    }

    #[test]
    fn each_sensor_brings_about_what_its_kind_can_vouch_for_and_no_more() {
        let mut dice = Dice(5);
        for (slots, most) in [
            (&[LOG, 2][..], Trust::Spoofable),
            (&[PACKETS_SLOT], Trust::Handshake),
            (&[GUARD_SLOT], Trust::Handshake),
            (&[APPLICATIONS_SLOT], Trust::Vouched),
        ] {
            let mut siege = lay_siege(slots, Some(most), 1_500, &mut dice);
            assert!(siege.ordered[0] > 9 && siege.judge.malformed > 300, "{slots:?}: {:?}", siege.ordered);
            assert_eq!(siege.ordered[1] > 0, most == Trust::Vouched, "{slots:?}: {:?}", siege.ordered);
            assert_eq!(siege.ordered[2], 0, "{slots:?} have no lists");
            siege.still_judges(&mut dice);
        }
    }

    #[test]
    fn an_envoy_has_listed_whom_a_list_may_name_and_nobody_blocked() {
        let mut dice = Dice(6);
        let mut siege = lay_siege(&[ENVOY_SLOT], None, 3_000, &mut dice);
        assert!(siege.ordered[2] > 0 && siege.judge.late > 99 && siege.judge.feeds.refused > 0, "{:?} {} {}", siege.ordered, siege.judge.late, siege.judge.feeds.refused);
        siege.still_judges(&mut dice);
    }

    #[test]
    fn all_of_them_together_end_no_judge_and_have_nobody_blocked_who_is_exempt() {
        let mut dice = Dice(7);
        let mut siege = lay_siege(&SLOTS, Some(Trust::Vouched), 5_000, &mut dice);
        assert!(siege.ordered[0] > 99 && siege.ordered[1] > 0, "{:?}", siege.ordered);
        siege.still_judges(&mut dice);
    }
}
