//! What stands in the table `inet riposte` besides its elements: sets, counters, chains, rules. Its chains accept by default and
//! drop nothing but what a blocked set has and no exempt set has.

mod guard;
mod hold;

pub use guard::{Guarded, TRAP_PREFIX, TRAPPED};
pub use hold::{HELD, HELD_FULL};

use crate::ranges::Family;
use guard::{GUARD, GUARDED_TCP, TRAPPED_MILLIS, TRAPPED_SETS, TRAPS};
use hold::{HELD_MILLIS, HELD_SETS, HOLD, HOLDS};
use model::limits;
use sys::nft::expression::{Comparison, Expression, Header, Limit, Meta, Verdict};
use sys::nft::transaction::Transaction;
use sys::nft::{Chain, Hook, KeyKind, NftError, OwnTable, SetShape};

/// The table's name.
pub const TABLE: &str = "riposte";
/// Blocks packets for this host and forwarded ones: behind defragmentation (-400), before raw (-300), connection tracking (-200)
/// and destination NAT (-100), so that containers' published ports are covered.
const PREROUTING: (&str, Chain) = ("prerouting", Chain { hook: Hook::Prerouting, priority: -310 });
/// Logs probes to this host, shortly before the usual filters (0), which may drop them.
const PROBES: (&str, Chain) = ("probes", Chain { hook: Hook::Input, priority: -10 });
/// The loopback interface's number, fixed in Linux (LOOPBACK_IFINDEX).
const LOOPBACK: u32 = 1;
/// Sources whose probes are rationed one by one. At the bound newcomers share the common ration only.
const PROBE_SOURCES: u32 = 65_536;
/// A source without a probe for this long gets a full ration again.
const PROBE_SOURCE_MILLIS: u64 = 60_000;
/// Bytes of a probe that are handed over: IPv6 with a chain of extension headers, and TCP with all its options.
const PROBE_BYTES: u32 = 256;
/// Established or related, as `ct state` has them.
const KNOWN_CONNECTION: u32 = 2 | 4;
/// The number of the host's own addresses among the kinds of addresses (RTN_LOCAL).
const OWN_ADDRESS: u32 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const IGMP: u8 = 2;
const ICMPV6: u8 = 58;
const PASS: Expression<'static> = Expression::Verdict(Verdict::Return);
const RST: u8 = 0x04;

const SYN_ACK: u8 = 0x12;
/// ICMP that is no probe: echo reply, errors (3, 4, 11, 12), echo.
const QUIET_ICMP: [(u8, u8); 4] = [(0, 0), (3, 4), (8, 8), (11, 12)];
/// ICMPv6 that is no probe: errors, echo, listener and neighbour discovery (RFC 4443, 2710, 4861, 3810).
const QUIET_ICMPV6: [(u8, u8); 3] = [(1, 4), (128, 137), (143, 143)];

/// A set of sources whose packets are dropped. The set's name is its counter's too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSet {
    /// Its name.
    pub name: &'static str,
    /// Whose addresses.
    pub family: Family,
    /// `Some(n)`: a hash set of prefixes of n bits. `None`: an interval set of any prefixes.
    pub bits: Option<u8>,
}

/// The hash set of IPv4 addresses, as an index of `BLOCK_SETS`; the other blocked sets follow.
pub const BLOCK_SETS: [BlockSet; 5] = [
    BlockSet { name: "blocked4", family: Family::V4, bits: Some(32) },
    BlockSet { name: "blocked4_nets", family: Family::V4, bits: None },
    BlockSet { name: "blocked6", family: Family::V6, bits: Some(128) },
    // One subscriber's line: whoever is counted by it comes in numbers that an interval set is too slow for.
    BlockSet { name: "blocked6_64", family: Family::V6, bits: Some(64) },
    BlockSet { name: "blocked6_nets", family: Family::V6, bits: None },
];

/// Whom others' lists name: sets of their own, which are replaced as a whole and never listed.
pub const LISTED_SETS: [BlockSet; 2] =
    [BlockSet { name: "listed4", family: Family::V4, bits: None }, BlockSet { name: "listed6", family: Family::V6, bits: None }];

/// The names of the sets that are filled from outside: exempt sources by family, open ports, and sources of probes.
pub const EXEMPT: [&str; 2] = ["exempt4", "exempt6"];
/// TCP ports where somebody listens.
pub const OPEN_TCP: &str = "open_tcp";
/// UDP ports where somebody listens.
pub const OPEN_UDP: &str = "open_udp";
const PROBE_SOURCE_SETS: [&str; 2] = ["probe_sources4", "probe_sources6"];
/// Counts probes that were logged.
pub const LOGGED: &str = "probes_logged";
/// Counts probes of sources that had used up their own ration.
pub const OVER_SOURCE: &str = "probes_over_source";
/// Counts probes beyond the common ration.
pub const OVER_ALL: &str = "probes_over_all";

/// The chains that not every table has.
const CHAINS: [(&str, Chain); 3] = [PROBES, GUARD, HOLD];

/// What can be chosen about the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Skeleton {
    /// The NFLOG group that probes to closed ports are logged to; `None` blocks only and never looks at connections.
    pub nflog_group: Option<u16>,
    /// Whether TCP and UDP are left out of that: somebody else looks at them. Connections are tracked all the same.
    pub captured: bool,
    /// Probes a second that are logged, of all sources together.
    pub probe_rate: u32,
    /// Probes beyond the rate that may come at once, of all sources together.
    pub probe_burst: u32,
    /// Probes a second that are logged of one source.
    pub per_source_rate: u32,
    /// Probes beyond the rate that may come at once, of one source.
    pub per_source_burst: u32,
    /// The guarded ports.
    pub guarded: Guarded,
}

impl Default for Skeleton {
    /// No logging; rations that let 10,000 sources at once be seen with ten probes each.
    fn default() -> Self {
        Skeleton {
            nflog_group: None,
            captured: false,
            probe_rate: 50_000,
            probe_burst: 100_000,
            per_source_rate: 100,
            per_source_burst: 300,
            guarded: Guarded::default(),
        }
    }
}

/// What was found where the table should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No table.
    Nothing,
    /// A table with all our sets, counters and chains; `probes` tells whether the chain of that name is there.
    Ours {
        /// Which of the chains it has that not every table has: `CHAINS`, in their order.
        chains: [bool; 3],
    },
    /// A table that is not as this version makes it.
    Other,
}

/// All sets whose sources are dropped.
fn dropped_sets() -> impl Iterator<Item = &'static BlockSet> {
    BLOCK_SETS.iter().chain(&LISTED_SETS)
}

/// All sets, sorted by name.
fn sets() -> Vec<(&'static str, SetShape)> {
    let plain = |key| SetShape { key, interval: false, timeout: false, dynamic: false, default_timeout_millis: 0, size: None };
    let mut all: Vec<_> = dropped_sets()
        .map(|set| {
            let shape = SetShape { interval: set.bits.is_none(), timeout: true, ..plain(key_kind(set.family)) };
            // An interval set is bounded on our side.
            (set.name, SetShape { size: set.bits.map(|_| limits::BLOCKS as u32), ..shape })
        })
        .collect();
    for (family, (exempt, probing)) in Family::ALL.into_iter().zip(EXEMPT.into_iter().zip(PROBE_SOURCE_SETS)) {
        let key = key_kind(family);
        all.push((exempt, SetShape { interval: true, ..plain(key) }));
        let shape = SetShape { timeout: true, dynamic: true, default_timeout_millis: PROBE_SOURCE_MILLIS, ..plain(key) };
        all.push((probing, SetShape { size: Some(PROBE_SOURCES), ..shape }));
    }
    for (names, millis, size) in [(TRAPPED_SETS, TRAPPED_MILLIS, limits::TRAPPED), (HELD_SETS, HELD_MILLIS, limits::HELD)] {
        for (family, name) in Family::ALL.into_iter().zip(names) {
            let shape = SetShape { timeout: true, dynamic: true, default_timeout_millis: millis, ..plain(key_kind(family)) };
            all.push((name, SetShape { size: Some(size as u32), ..shape }));
        }
    }
    all.extend([OPEN_TCP, OPEN_UDP].map(|name| (name, plain(KeyKind::Port))));
    let guarded = SetShape { interval: true, ..plain(KeyKind::Port) };
    all.extend(port_sets().map(|name| (name, guarded)));
    all.sort_by_key(|(name, _)| *name);
    all
}

/// The sets of guarded ports.
fn port_sets() -> impl Iterator<Item = &'static str> {
    [GUARDED_TCP].into_iter().chain(TRAPS).chain(HOLDS)
}

/// All counters, sorted by name.
fn counters() -> Vec<&'static str> {
    let mut all: Vec<_> = dropped_sets().map(|set| set.name).chain([LOGGED, OVER_SOURCE, OVER_ALL, TRAPPED, HELD, HELD_FULL]).collect();
    all.sort_unstable();
    all
}

fn key_kind(family: Family) -> KeyKind {
    match family {
        Family::V4 => KeyKind::Ipv4,
        Family::V6 => KeyKind::Ipv6,
    }
}

/// Looks at what is there. Sets and counters of other names are nobody's business and don't count.
pub fn find(table: &mut OwnTable) -> Result<Found, NftError> {
    if !table.exists()? {
        return Ok(Found::Nothing);
    }
    let have = table.sets()?;
    let sets_fit = sets().iter().all(|(name, shape)| have.iter().any(|(other, found)| other == name && *found == Some(*shape)));
    let have = table.counters()?;
    let counters_fit = counters().iter().all(|name| have.iter().any(|(other, _)| other == name));
    let prerouting = table.chain(PREROUTING.0)?;
    let mut chains_fit = prerouting == Some(Some(PREROUTING.1));
    let mut chains = [false; 3];
    for (has, (name, ours)) in chains.iter_mut().zip(CHAINS) {
        let found = table.chain(name)?;
        chains_fit &= found.is_none_or(|chain| chain == Some(ours));
        *has = found.is_some();
    }
    let ours = Found::Ours { chains };
    Ok(if sets_fit && counters_fit && chains_fit { ours } else { Found::Other })
}

impl Skeleton {
    /// Writes the steps that turn what was found into this skeleton; a table that is ours keeps its blocks and counters.
    /// Returns what each step is about, in words for an error message.
    pub fn lay(&self, found: Found, transaction: &mut Transaction) -> Vec<String> {
        let mut labels = Labels(Vec::new());
        let wanted = [self.nflog_group.is_some(), self.guarded.has_chain(), self.guarded.holds()];
        if found == Found::Other {
            transaction.delete_table();
            labels.note(transaction, "the old table");
        }
        transaction.add_table();
        labels.note(transaction, "a table of the family inet (NF_TABLES_INET)");
        match found {
            Found::Nothing | Found::Other => make_contents(transaction, &mut labels),
            Found::Ours { chains } => {
                transaction.flush_chain(PREROUTING.0);
                for ((chain, _), (_, is_wanted)) in CHAINS.into_iter().zip(chains.into_iter().zip(wanted)).filter(|(_, (has, _))| *has) {
                    transaction.flush_chain(chain);
                    if !is_wanted {
                        transaction.delete_chain(chain);
                    }
                }
                port_sets().for_each(|set| transaction.flush_set(set));
                // Their buckets were filled after the old rations.
                PROBE_SOURCE_SETS.into_iter().for_each(|set| transaction.flush_set(set));
                labels.note(transaction, "emptying the old chains");
            }
        }
        transaction.add_chain(PREROUTING.0, PREROUTING.1);
        labels.note(transaction, "the chain prerouting");
        block_rules(transaction, &mut labels);
        if let Some(group) = self.nflog_group {
            transaction.add_chain(PROBES.0, PROBES.1);
            labels.note(transaction, "the chain probes");
            self.probe_rules(group, transaction, &mut labels);
        }
        if self.guarded.has_chain() {
            transaction.add_chain(GUARD.0, GUARD.1);
            labels.note(transaction, "the chain guard");
            self.guarded.lay(self.nflog_group, transaction, &mut labels);
        }
        if self.guarded.holds() {
            transaction.add_chain(HOLD.0, HOLD.1);
            labels.note(transaction, "the chain hold");
            hold::lay(&self.guarded.holds, transaction, &mut labels);
        }
        labels.0
    }

    /// Lets go what is no probe, rations the rest, and logs it.
    fn probe_rules(&self, group: u16, transaction: &mut Transaction, labels: &mut Labels) {
        from_loopback(transaction, PROBES.0);
        known_connections(transaction, PROBES.0);
        labels.note(transaction, "connection states (module nft_ct)");
        if self.captured {
            [TCP, UDP].into_iter().for_each(|protocol| rule(transaction, PROBES.0, &protocol_is(&[protocol]), &[PASS]));
        }
        let to_others = [Expression::Meta(Meta::PacketType), Expression::Compare(Comparison::NotEqual, &[0]), PASS];
        transaction.add_rule(PROBES.0, &to_others);
        from_exempt(transaction, PROBES.0);
        labels.note(transaction, "rules about packet types and exempt sources");
        open_ports(transaction, PROBES.0);
        answers(transaction, PROBES.0);
        let icmp = QUIET_ICMP.into_iter().map(|types| (ICMP, types));
        for (protocol, (low, high)) in icmp.chain(QUIET_ICMPV6.into_iter().map(|types| (ICMPV6, types))) {
            let (low_byte, high_byte) = ([low], [high]);
            let same = Expression::Compare(Comparison::Equal, &low_byte);
            let between = [Expression::Compare(Comparison::AtLeast, &low_byte), Expression::Compare(Comparison::AtMost, &high_byte)];
            let kind = if low == high { &[same][..] } else { &between };
            rule(transaction, PROBES.0, &protocol_is(&[protocol]), &[&[transport(0, 1)], kind, &[PASS]].concat());
        }
        rule(transaction, PROBES.0, &protocol_is(&[IGMP]), &[PASS]);
        labels.note(transaction, "rules about open ports and harmless packets");
        let limit = Limit { rate: u64::from(self.per_source_rate.max(1)), secs: 1, burst: self.per_source_burst };
        for (family, set) in Family::ALL.into_iter().zip(PROBE_SOURCE_SETS) {
            let over = Expression::SourceOver { set, timeout_millis: PROBE_SOURCE_MILLIS, limit };
            let number = family_number(family);
            let source = source_of(family, &number);
            transaction.add_rule(PROBES.0, &[&source[..], &[over, Expression::Count(OVER_SOURCE), PASS]].concat());
        }
        labels.note(transaction, "rations for each source (modules nft_limit, nft_set_hash)");
        let limit = Limit { rate: u64::from(self.probe_rate.max(1)), secs: 1, burst: self.probe_burst };
        let log = Expression::Log { group, snap_bytes: PROBE_BYTES, prefix: None };
        transaction.add_rule(PROBES.0, &[Expression::Within(limit), log, Expression::Count(LOGGED), PASS]);
        labels.note(transaction, "logging to NFLOG (modules nft_log, nfnetlink_log)");
        transaction.add_rule(PROBES.0, &[Expression::Count(OVER_ALL)]);
        labels.note(transaction, "a counter");
    }
}

/// What each step so far is about.
struct Labels(Vec<String>);

impl Labels {
    /// All steps since the last call are about this.
    fn note(&mut self, transaction: &Transaction, label: &str) {
        self.0.resize(transaction.steps(), label.to_owned());
    }
}

fn make_contents(transaction: &mut Transaction, labels: &mut Labels) {
    for name in counters() {
        transaction.add_counter(name);
        labels.note(transaction, "named counters (nft_counter)");
    }
    for (name, shape) in sets() {
        transaction.add_set(name, &shape);
        labels.note(transaction, &format!("the set {name}"));
    }
}

/// Exempt sources pass, then blocked ones are dropped.
fn block_rules(transaction: &mut Transaction, labels: &mut Labels) {
    from_loopback(transaction, PREROUTING.0);
    from_exempt(transaction, PREROUTING.0);
    for set in dropped_sets() {
        let family = family_number(set.family);
        let mut steps = source_of(set.family, &family).to_vec();
        let mask = prefix_mask(set);
        if let Some(mask) = &mask {
            steps.push(Expression::Mask(mask));
        }
        steps.extend([Expression::Lookup(set.name), Expression::Count(set.name), Expression::Verdict(Verdict::Drop)]);
        transaction.add_rule(PREROUTING.0, &steps);
    }
    labels.note(transaction, "rules that look sources up and drop (nft_lookup, nft_objref)");
}

/// The mask of a hash set of prefixes; `None` if it has whole addresses or ranges.
fn prefix_mask(set: &BlockSet) -> Option<[u8; 16]> {
    let bits = set.bits.filter(|bits| set.family == Family::V6 && *bits < 128)?;
    Some(u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0).to_be_bytes())
}

fn from_loopback(transaction: &mut Transaction, chain: &str) {
    let loopback = LOOPBACK.to_ne_bytes();
    let is_loopback = Expression::Compare(Comparison::Equal, &loopback);
    transaction.add_rule(chain, &[Expression::Meta(Meta::InputInterface), is_loopback, Expression::Verdict(Verdict::Return)]);
}

fn from_exempt(transaction: &mut Transaction, chain: &str) {
    for (family, set) in Family::ALL.into_iter().zip(EXEMPT) {
        let number = family_number(family);
        let source = source_of(family, &number);
        transaction.add_rule(chain, &[&source[..], &[Expression::Lookup(set), Expression::Verdict(Verdict::Return)]].concat());
    }
}

/// The kernel's number of a family (NFPROTO_IPV4, NFPROTO_IPV6).
fn family_number(family: Family) -> [u8; 1] {
    match family {
        Family::V4 => [2],
        Family::V6 => [10],
    }
}

/// Loads the source address of packets of one family.
fn source_of(family: Family, number: &[u8; 1]) -> [Expression<'_>; 3] {
    let (offset, length) = match family {
        Family::V4 => (12, 4),
        Family::V6 => (8, 16),
    };
    let source = Expression::Payload { header: Header::Network, offset, length };
    [Expression::Meta(Meta::Family), Expression::Compare(Comparison::Equal, number), source]
}

fn protocol_is(protocol: &[u8; 1]) -> [Expression<'_>; 2] {
    [Expression::Meta(Meta::Protocol), Expression::Compare(Comparison::Equal, protocol)]
}

fn transport(offset: u32, length: u32) -> Expression<'static> {
    Expression::Payload { header: Header::Transport, offset, length }
}

fn rule(transaction: &mut Transaction, chain: &str, first: &[Expression<'_>], rest: &[Expression<'_>]) {
    transaction.add_rule(chain, &[first, rest].concat());
}

/// What belongs to a known connection passes.
fn known_connections(transaction: &mut Transaction, chain: &str) {
    let known = KNOWN_CONNECTION.to_ne_bytes();
    let is_known = [Expression::Mask(&known), Expression::Compare(Comparison::NotEqual, &[0; 4]), PASS];
    rule(transaction, chain, &[Expression::ConnectionState], &is_known);
}

/// What is neither TCP nor UDP passes.
fn other_protocols(transaction: &mut Transaction, chain: &str) {
    let other = [[TCP], [UDP]];
    let other = other.each_ref().map(|protocol| Expression::Compare(Comparison::NotEqual, protocol));
    rule(transaction, chain, &[Expression::Meta(Meta::Protocol)], &[&other[..], &[PASS]].concat());
}

/// What is not for one of the host's own addresses passes: broadcast, multicast, what is forwarded, what a transparent proxy takes in.
fn other_addresses(transaction: &mut Transaction, chain: &str) {
    let not_ours = Expression::Compare(Comparison::NotEqual, &OWN_ADDRESS.to_ne_bytes());
    transaction.add_rule(chain, &[Expression::DestinationKind, not_ours, PASS]);
}

/// What goes to a port where somebody listens passes.
fn open_ports(transaction: &mut Transaction, chain: &str) {
    for (protocol, set) in [(TCP, OPEN_TCP), (UDP, OPEN_UDP)] {
        rule(transaction, chain, &protocol_is(&[protocol]), &[transport(2, 2), Expression::Lookup(set), PASS]);
    }
}

/// RST and SYN+ACK pass: answers, be they late or to somebody else's forgery.
fn answers(transaction: &mut Transaction, chain: &str) {
    for flags in [RST, SYN_ACK] {
        let has = [transport(13, 1), Expression::Mask(&[flags]), Expression::Compare(Comparison::Equal, &[flags]), PASS];
        rule(transaction, chain, &protocol_is(&[TCP]), &has);
    }
}
