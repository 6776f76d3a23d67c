//! A set of rules, compiled: a packet meets only the few that its protocol, flags and ports, or ICMP type, can fit. Never allocates while it
//! matches, and never says that a packet fits a rule because something about it is not known.

use crate::addresses::Ports;
use crate::assigned::Assigned;
use crate::header::Header;
use crate::keywords::{Field, Test, rare};
use crate::level::{Level, classification};
use crate::prefix::Fwsnort;
use crate::rule::{Action, Over, Read, Signature, Surroundings, read};
use crate::tables::IcmpTypes;
use crate::{Problem, shipped};
use model::event::TcpFlags;
use model::net::Protocol;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rules that a set may have. Each has a number of two bytes.
const RULES: usize = 60_000;
/// A rule with more ports than this is looked at for all of them.
const PORTS: usize = 1_024;
/// Problems that are told at one time.
const PROBLEMS: usize = 200;

/// Riposte's own numbers for what no rule says: a packet of an assigned network, ICMP that nobody has assigned.
pub mod sids {
    /// `auto_dl` has a level for the source.
    pub const ASSIGNED: u32 = 1_741_001;
    /// ICMP type or code that nobody has assigned.
    pub const ICMP: u32 = 1_741_002;
    /// The same for ICMPv6.
    pub const ICMPV6: u32 = 1_741_003;
    /// The first of the shipped rules.
    pub const FIRST: u32 = 1_741_100;
}

/// What a set is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Variables, levels, names.
    pub around: Surroundings,
    /// Whether riposte's own rules are among them. One with the same sid in `files` stands in for them.
    pub shipped: bool,
    /// Files of rules: name and text.
    pub files: Vec<(String, String)>,
    /// `auto_dl`.
    pub assigned: Assigned,
    /// `icmp_types`.
    pub icmp: Option<IcmpTypes>,
    /// `icmp6_types`.
    pub icmpv6: Option<IcmpTypes>,
}

/// A match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'s> {
    /// The rule's place in the set; `None` for what no rule of it says.
    pub place: Option<u16>,
    /// The rule's number.
    pub sid: u32,
    /// What it is called.
    pub message: &'s str,
    /// How grave it is.
    pub level: Level,
}

/// A rule in one of its directions.
#[derive(Debug, Clone, Copy)]
struct Face {
    place: u16,
    reversed: bool,
    /// See [`rare`].
    needs: u8,
    /// Only the tests are left to look at: the index has settled all the rest.
    is_open: bool,
    /// The rule's first test, here so that most rules need not be looked up.
    first: Option<Test>,
}

impl Face {
    #[inline]
    fn could_fit(&self, header: &Header, has: u8) -> bool {
        self.needs & !has == 0 && self.first.is_none_or(|test| test.holds(header))
    }
}

/// Rules of a list: those that any packet may fit, those that need what few have, and those whose first test is for one number of a field, by
/// that number: of these a packet meets those with its own.
#[derive(Debug, Default)]
struct Faces {
    common: Vec<Face>,
    rare: Vec<Face>,
    by_number: Vec<ByNumber>,
}

/// Rules by one number of a field.
#[derive(Debug)]
struct ByNumber {
    field: Field,
    /// The number of each of the rules.
    numbers: Vec<u32>,
    faces: Vec<Face>,
}

impl Faces {
    fn of(faces: Vec<Face>) -> Faces {
        let mut sorted = Faces::default();
        for face in faces {
            match face.first {
                _ if face.needs != 0 => sorted.rare.push(face),
                Some(Test::Number(field, numbers)) if let Some(number) = numbers.one() => sorted.add(field, number, face),
                _ => sorted.common.push(face),
            }
        }
        sorted
    }

    fn add(&mut self, field: Field, number: u32, face: Face) {
        match self.by_number.iter_mut().find(|known| known.field == field) {
            Some(known) => {
                known.numbers.push(number);
                known.faces.push(face);
            }
            None => self.by_number.push(ByNumber { field, numbers: vec![number], faces: vec![face] }),
        }
    }

    /// Those that a packet with these numbers could fit.
    #[inline]
    fn numbered(&self, header: &Header) -> impl Iterator<Item = &Face> {
        self.by_number.iter().flat_map(|ByNumber { field, numbers, faces }| {
            let own = field.of(header).filter(|(least, most)| least == most);
            numbers.iter().zip(faces).filter(move |(number, _)| own.is_some_and(|(own, _)| own == **number)).map(|(_, face)| face)
        })
    }
}

/// Rules by a port: one bit says whether there are any.
#[derive(Debug, Default)]
struct ByPort {
    bits: Vec<u64>,
    faces: BTreeMap<u16, Vec<Face>>,
}

impl ByPort {
    fn add(&mut self, ports: &Ports, face: Face) {
        self.bits.resize(1_024, 0);
        for port in ports.iter() {
            if let Some(word) = self.bits.get_mut(usize::from(port >> 6)) {
                *word |= 1 << (port & 63);
            }
            self.faces.entry(port).or_default().push(face);
        }
    }

    #[inline]
    fn at(&self, port: Option<u16>) -> &[Face] {
        let Some(port) = port else { return &[] };
        let is_there = self.bits.get(usize::from(port >> 6)).is_some_and(|word| word & 1 << (port & 63) != 0);
        if is_there { self.faces.get(&port).map_or(&[], Vec::as_slice) } else { &[] }
    }
}

/// The rules about one protocol, sorted by what parts them best.
#[derive(Debug, Default)]
struct Index {
    by_port: ByPort,
    by_source_port: ByPort,
    /// Those that name no few ports, by the byte that sorts them (TCP flags, ICMP type), and last those for packets without one.
    by_byte: Vec<u16>,
    /// The lists that those are: most bytes share theirs with others.
    lists: Vec<Faces>,
}

/// The byte by which a protocol's rules are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Flags,
    IcmpType,
    Nothing,
}

/// The rules, ready.
#[derive(Debug, Default)]
pub struct Set {
    signatures: Vec<Signature>,
    tcp: Index,
    udp: Index,
    icmp: Index,
    /// Every other protocol.
    other: Index,
    by_sid: BTreeMap<u32, u16>,
    assigned: Assigned,
    levels: BTreeMap<u32, Level>,
    types: [Option<IcmpTypes>; 2],
    /// Why rules rest, and how many for each reason.
    rests: BTreeMap<&'static str, usize>,
}

impl Set {
    /// Compiles rules.
    ///
    /// # Errors
    /// Everything that is wrong with them, by file and line.
    pub fn load(sources: &Sources) -> Result<Set, Vec<Problem>> {
        let mut loading =
            Loading { around: sources.around.clone(), found: BTreeMap::new(), order: 0, rests: BTreeMap::new(), problems: Vec::new() };
        if sources.shipped {
            shipped::FILES.iter().for_each(|(name, text)| loading.file(name, text));
            loading.rests.clear();
        }
        sources.files.iter().for_each(|(name, text)| loading.file(name, text));
        if loading.found.len() > RULES {
            let message = format!("{} rules: there may be {RULES}", loading.found.len());
            loading.problems.push(Problem { file: "rules".into(), line: 0, message });
        }
        if !loading.problems.is_empty() {
            return Err(loading.problems);
        }
        let mut signatures: Vec<(usize, Signature)> = loading.found.into_values().collect();
        signatures.sort_by_key(|(order, _)| *order);
        let signatures = signatures.into_iter().map(|(_, signature)| signature).collect();
        Ok(Set {
            rests: loading.rests,
            levels: sources.around.levels.clone(),
            assigned: sources.assigned.clone(),
            types: [sources.icmp.clone(), sources.icmpv6.clone()],
            ..Set::of(signatures)
        })
    }

    fn of(signatures: Vec<Signature>) -> Set {
        let by_sid = signatures.iter().enumerate().map(|(place, signature)| (signature.sid, place as u16)).collect();
        let index = |protocol, sort| Index::of(&signatures, protocol, sort);
        Set {
            tcp: index(Some(Protocol::TCP), Sort::Flags),
            udp: index(Some(Protocol::UDP), Sort::Nothing),
            icmp: index(Some(Protocol::ICMP), Sort::IcmpType),
            other: index(None, Sort::Nothing),
            by_sid,
            signatures,
            ..Set::default()
        }
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether nothing can match.
    pub fn is_empty(&self) -> bool {
        let tables = self.assigned.is_empty() && self.levels.is_empty() && self.types.iter().all(Option::is_none);
        tables && self.signatures.is_empty()
    }

    /// Its rules, in the order of their places.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The rules that rest, by the keyword or protocol that this version can't test.
    pub fn rests(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.rests.iter().map(|(name, count)| (*name, *count))
    }

    /// The rule with this number.
    pub fn signature(&self, sid: u32) -> Option<&Signature> {
        self.by_sid.get(&sid).and_then(|place| self.signatures.get(usize::from(*place)))
    }

    /// Hands every rule that the packet fits to `hit`, each once. `fwsnort` is what the log prefix says. False: an administrator has said that
    /// such a packet is nothing to look at (level 0), and it matches nothing.
    #[inline]
    pub fn look(&self, header: &Header, fwsnort: Option<Fwsnort>, mut hit: impl FnMut(Hit<'_>)) -> bool {
        let assigned = if self.assigned.is_empty() { None } else { self.assigned.level(header.source, header.protocol, header.port) };
        if assigned == Some(Level::IGNORE) {
            return false;
        }
        let mut found = Found::default();
        self.candidates(header, &mut found);
        if found.passes {
            return true;
        }
        if found.ignores {
            return false;
        }
        if let Some(fwsnort) = fwsnort {
            let named = self.fwsnort(fwsnort);
            if named.level == Level::IGNORE {
                return false;
            }
            hit(named);
        }
        if let Some(level) = assigned {
            hit(Hit { place: None, sid: sids::ASSIGNED, message: "network with an assigned danger level", level });
        }
        if let Some((kind, code)) = header.icmp {
            self.unassigned(header.protocol, kind, code).into_iter().for_each(&mut hit);
        }
        for place in found.places.get(..found.count).unwrap_or_default() {
            let Some(Signature { sid, message, level, .. }) = self.signatures.get(usize::from(*place)) else { continue };
            hit(Hit { place: Some(*place), sid: *sid, message, level: *level });
        }
        true
    }

    fn candidates(&self, header: &Header, found: &mut Found) {
        let (index, byte) = match header.protocol {
            Protocol::TCP => (&self.tcp, header.flags.map(|TcpFlags(bits)| bits)),
            Protocol::UDP => (&self.udp, None),
            Protocol::ICMP => (&self.icmp, header.icmp.map(|(kind, _)| kind)),
            _ => (&self.other, None),
        };
        let list = index.by_byte.get(byte.map_or(256, usize::from)).or(index.by_byte.last());
        let has = rare::of(header);
        let mut meet = |face: &Face| self.meet(face, header, has, found);
        if let Some(list) = list.and_then(|list| index.lists.get(usize::from(*list))) {
            list.common.iter().for_each(&mut meet);
            if has != 0 {
                list.rare.iter().for_each(&mut meet);
            }
            list.numbered(header).for_each(&mut meet);
        }
        index.by_port.at(header.port).iter().for_each(&mut meet);
        index.by_source_port.at(header.source_port).iter().for_each(&mut meet);
    }

    #[inline]
    fn meet(&self, face: &Face, header: &Header, has: u8, found: &mut Found) {
        if !face.could_fit(header, has) {
            return;
        }
        let Some(signature) = self.signatures.get(usize::from(face.place)) else { return };
        let fits = match face {
            Face { is_open: true, .. } => signature.tests.iter().skip(1).all(|test| test.holds(header)),
            Face { reversed: true, .. } => signature.fits(&header.reversed()),
            Face { .. } => signature.fits(header),
        };
        if fits {
            found.add(face.place, signature);
        }
    }

    /// ICMP that nobody has assigned, if there is a table of what is.
    fn unassigned(&self, protocol: Protocol, kind: u8, code: u8) -> Option<Hit<'_>> {
        let [icmp, icmpv6] = &self.types;
        let (types, sid, message) = match protocol {
            Protocol::ICMP => (icmp.as_ref()?, sids::ICMP, "ICMP type or code that nobody has assigned"),
            Protocol::ICMPV6 => (icmpv6.as_ref()?, sids::ICMPV6, "ICMPv6 type or code that nobody has assigned"),
            _ => return None,
        };
        let level = self.levels.get(&sid).copied().unwrap_or(Level::DEFAULT);
        (!types.has(kind, code)).then_some(Hit { place: None, sid, message, level })
    }

    /// The rule that fwsnort has made an iptables rule of: the kernel has matched already.
    fn fwsnort(&self, Fwsnort { sid, .. }: Fwsnort) -> Hit<'_> {
        let level = self.levels.get(&sid).copied();
        match self.signature(sid) {
            Some(known) => Hit { place: None, sid, message: &known.message, level: level.unwrap_or(known.level) },
            None => Hit { place: None, sid, message: "rule of fwsnort's", level: level.unwrap_or(Level::DEFAULT) },
        }
    }

    /// Networks with a level of their own.
    pub fn assigned(&self) -> &Assigned {
        &self.assigned
    }
}

/// Rules that one packet may fit; further ones are not told.
const FITS: usize = 16;

#[derive(Default)]
struct Found {
    places: [u16; FITS],
    count: usize,
    /// One of them is a pass rule, or of level 0.
    passes: bool,
    ignores: bool,
}

impl Found {
    fn add(&mut self, place: u16, signature: &Signature) {
        self.passes |= signature.action == Action::Pass;
        let known = self.places.get(..self.count).unwrap_or_default().contains(&place);
        if !known && let Some(free) = self.places.get_mut(self.count) {
            *free = place;
            self.count += 1;
            self.ignores |= signature.level == Level::IGNORE;
        }
    }
}

impl Index {
    /// The rules about a protocol, or (`None`) about all those that have no index of their own.
    fn of(signatures: &[Signature], protocol: Option<Protocol>, sort: Sort) -> Index {
        let mut index = Index::default();
        let mut general = Vec::new();
        for (place, signature) in signatures.iter().enumerate().filter(|(_, signature)| is_about(signature, protocol)) {
            let faces = if signature.both { &[false, true][..] } else { &[false] };
            for reversed in faces.iter().copied() {
                let needs = signature.tests.iter().fold(0, |needs, test| needs | test.needs());
                let is_open = signature.is_open() && (signature.over == Over::Ip || protocol.is_some());
                let face = Face { place: place as u16, reversed, needs, is_open, first: signature.tests.first().copied() };
                let (to, from) = match reversed {
                    false => (&signature.ports, &signature.source_ports),
                    true => (&signature.source_ports, &signature.ports),
                };
                if to.count() <= PORTS {
                    index.by_port.add(to, face);
                } else if from.count() <= PORTS {
                    index.by_source_port.add(from, face);
                } else {
                    general.push(face);
                }
            }
        }
        let bytes = if sort == Sort::Nothing { 1 } else { 257 };
        let mut known: BTreeMap<Vec<(u16, bool)>, u16> = BTreeMap::new();
        for byte in 0..bytes {
            let fits = |face: &&Face| could_fit(signatures, **face, sort, u8::try_from(byte).ok());
            let fitting: Vec<Face> = general.iter().filter(fits).copied().collect();
            let list = *known.entry(fitting.iter().map(|face| (face.place, face.reversed)).collect()).or_insert_with(|| {
                index.lists.push(Faces::of(fitting));
                (index.lists.len() - 1) as u16
            });
            index.by_byte.push(list);
        }
        index
    }
}

/// Whether a rule is about packets of a protocol, or (`None`) of any that has no index of its own.
fn is_about(signature: &Signature, protocol: Option<Protocol>) -> bool {
    let over = match (signature.over, protocol) {
        (Over::Ip, _) => true,
        (Over::One(one), Some(protocol)) => one == protocol,
        (Over::One(one), None) => !matches!(one, Protocol::TCP | Protocol::UDP | Protocol::ICMP),
    };
    let holds = |test: &Test| match (test, protocol) {
        (Test::Protocol(numbers), Some(protocol)) => numbers.has(protocol.0.into()),
        _ => true,
    };
    over && signature.tests.iter().all(holds)
}

/// Whether a rule could fit a packet with this byte; `None`: a packet that has none.
fn could_fit(signatures: &[Signature], face: Face, sort: Sort, byte: Option<u8>) -> bool {
    let Some(signature) = signatures.get(usize::from(face.place)) else { return false };
    signature.tests.iter().all(|test| match (test, sort) {
        (Test::Flags(bits), Sort::Flags) => byte.is_some_and(|byte| bits.fit(byte)),
        (Test::IcmpType(numbers), Sort::IcmpType) => byte.is_some_and(|byte| numbers.has(byte.into())),
        _ => true,
    })
}

/// Rules while they are read.
struct Loading {
    around: Surroundings,
    /// By sid, with the place of its first mention.
    found: BTreeMap<u32, (usize, Signature)>,
    order: usize,
    rests: BTreeMap<&'static str, usize>,
    problems: Vec<Problem>,
}

/// Lines of a Snort configuration that are not about rules.
const DIRECTIVES: [&str; 9] =
    ["config", "preprocessor", "output", "include", "dynamicpreprocessor", "dynamicengine", "dynamicdetection", "event_filter", "suppress"];

impl Loading {
    fn file(&mut self, name: &str, text: &str) {
        let file: Arc<str> = name.into();
        let mut lines = text.lines().enumerate();
        while let Some((n, first)) = lines.next() {
            if first.trim().is_empty() || first.trim_start().starts_with('#') {
                continue;
            }
            let mut rule = first.trim().to_owned();
            // A rule may go on in the next line.
            while let Some(head) = rule.strip_suffix('\\') {
                let Some((_, more)) = lines.next() else { break };
                rule = format!("{} {}", head.trim_end(), more.trim());
            }
            if let Err(message) = self.line(&rule)
                && self.problems.len() < PROBLEMS
            {
                self.problems.push(Problem { file: Arc::clone(&file), line: n + 1, message });
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word.trim_end_matches(':') {
            "var" | "ipvar" | "portvar" => {
                let (name, value) = rest.trim().split_once(char::is_whitespace).ok_or("a variable is a name and a value")?;
                return self.around.variables.set(name, value);
            }
            "config" if rest.trim_start().starts_with("classification:") => {
                let (name, priority) = classification(rest.trim_start().trim_start_matches("classification:"))?;
                self.around.classes.insert(name, priority);
                return Ok(());
            }
            directive if DIRECTIVES.contains(&directive) => return Ok(()),
            _ => {}
        }
        match read(line, &self.around)? {
            Read::Rests(why) => *self.rests.entry(why).or_default() += 1,
            Read::Signature(signature) => {
                // The latest word counts; the first mention gives the order.
                self.order += 1;
                let order = self.found.get(&signature.sid).map_or(self.order, |(order, _)| *order);
                self.found.insert(signature.sid, (order, *signature));
            }
        }
        Ok(())
    }
}
