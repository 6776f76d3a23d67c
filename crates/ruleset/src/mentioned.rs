//! What rules tell apart: the ports, addresses and interfaces that are named anywhere, as classes with one packet to stand for each.

use crate::names::last;
use crate::rules::{Among, Key, Set, Step, Table, Value, Verdict, Version};
use std::collections::BTreeSet;

/// Prefixes and ranges of sources that are told apart.
const SOURCES: usize = 256;
/// Interfaces that are told apart.
const INTERFACES: usize = 32;
/// Ends of port ranges that are told apart.
const PORTS: usize = 4_096;
/// Addresses that stand for "anybody else": ordinary ones, far from each other, on no list of reserved networks.
const ANYBODY4: [[u8; 4]; 6] = [[185, 77, 33, 9], [91, 12, 200, 5], [47, 88, 9, 10], [8, 26, 56, 26], [203, 7, 44, 91], [62, 141, 36, 17]];
const ANYBODY6: [[u16; 2]; 4] = [[0x2a02, 0x0f8a], [0x2607, 0x7a31], [0x2400, 0x99c1], [0x2c0f, 0x77e2]];

/// What is named anywhere in a ruleset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentioned {
    /// Ranges of source addresses, the widest first.
    pub(crate) sources: Vec<(u128, u128)>,
    /// Interfaces, without the loopback one; a pattern stands as one that fits it.
    pub(crate) interfaces: BTreeSet<String>,
    /// Where ranges of ports begin, for TCP and for UDP.
    ports: [BTreeSet<u32>; 2],
    /// Classes that were left out because there are too many.
    pub(crate) left_out: usize,
}

/// The two protocols whose ports are told apart.
pub(crate) const PROTOCOLS: [u8; 2] = [6, 17];

impl Mentioned {
    pub(crate) fn new<'t>(tables: impl Iterator<Item = &'t Table>, version: Version) -> Self {
        let mut all = Mentioned::default();
        let mut sources = BTreeSet::new();
        for table in tables.filter(|table| table.family.sees(version)) {
            for step in table.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.steps) {
                match step {
                    Step::Match(one) => all.compared(version, table, &one.keys, &one.among, &mut sources),
                    Step::Map { keys, among, .. } => all.compared(version, table, keys, among, &mut sources),
                    Step::Verdict(Verdict::Redirect(Some(port))) => all.port(None, u128::from(*port), u128::from(*port)),
                    Step::Verdict(_) | Step::Limit { .. } | Step::Log(_) | Step::Mark(_) | Step::Notrack => (),
                }
            }
            let devices = table.chains.iter().filter_map(|chain| chain.base.as_ref()).flat_map(|base| &base.devices);
            all.interfaces.extend(devices.filter(|name| *name != "lo").cloned());
        }
        all.sources = sources.into_iter().collect();
        all.sources.sort_by_key(|(low, high)| (u128::MAX - (high - low), *low));
        all.left_out += all.sources.len().saturating_sub(SOURCES);
        all.sources.truncate(SOURCES);
        all
    }

    fn compared(&mut self, version: Version, table: &Table, keys: &[Key], among: &Among, sources: &mut BTreeSet<(u128, u128)>) {
        let set: Option<&Set> = match among {
            Among::These(set) => Some(set),
            Among::Named(name) => table.sets.get(name),
        };
        let Some(set) = set else { return };
        for (key, value) in set.elements.iter().flat_map(|element| keys.iter().zip(element)) {
            match (key, value) {
                (Key::Source(of), Value::Range(low, high)) if *of == version && sources.len() <= 4 * SOURCES => {
                    let range = (*low, (*high).min(last(version)));
                    sources.extend(Some(range).filter(|range| *range != (0, last(version)) && sends(version, *low)));
                }
                (Key::Port(of), Value::Range(low, high)) => self.port(*of, *low, *high),
                (Key::InterfaceIn | Key::InterfaceOut, Value::Name(name)) if name != "lo" && name != "*" => {
                    if self.interfaces.len() < INTERFACES {
                        self.interfaces.insert(name.strip_suffix('*').map_or_else(|| name.clone(), |start| format!("{start}0")));
                    } else {
                        self.left_out += usize::from(!self.interfaces.contains(name));
                    }
                }
                _ => (),
            }
        }
    }

    fn port(&mut self, protocol: Option<u8>, low: u128, high: u128) {
        let end = |port: u128| u32::try_from(port).unwrap_or(u32::MAX).min(65_536);
        for (of, ports) in PROTOCOLS.iter().zip(&mut self.ports) {
            if protocol.is_none_or(|only| only == *of) && ports.len() < PORTS {
                ports.extend([end(low), end(high).saturating_add(1).min(65_536)]);
            }
        }
    }

    /// Ranges of ports that no rule tells apart.
    pub(crate) fn port_ranges(&self, protocol: u8) -> Vec<(u16, u16)> {
        let ports = &self.ports[usize::from(protocol != PROTOCOLS[0])];
        let mut starts: Vec<u32> = [1].into_iter().chain(ports.iter().copied().filter(|port| (2..=65_535).contains(port))).collect();
        starts.dedup();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([65_535]);
        starts.iter().zip(ends).filter_map(|(low, high)| Some((u16::try_from(*low).ok()?, u16::try_from(high).ok()?))).collect()
    }

    /// An address of somebody whom no rule names.
    pub(crate) fn anybody(&self, version: Version) -> u128 {
        let candidates: Vec<u128> = match version {
            Version::V4 => ANYBODY4.iter().map(|one| u128::from(u32::from_be_bytes(*one))).collect(),
            Version::V6 => ANYBODY6.iter().map(|[one, two]| u128::from(*one) << 112 | u128::from(*two) << 96 | 0x9).collect(),
        };
        let named = |address: &u128| self.sources.iter().filter(|(low, high)| low <= address && address <= high).count();
        candidates.into_iter().min_by_key(named).unwrap_or(0)
    }

    /// An address in this range and, if there is one, in no narrower one.
    pub(crate) fn somebody(&self, (low, high): (u128, u128)) -> u128 {
        let middle = low + (high - low) / 2;
        let narrower = |address: &u128| {
            let inside = self.sources.iter().filter(|(from, to)| from <= address && address <= to && to - from < high - low);
            inside.count()
        };
        let candidates = [low.saturating_add(1).min(high), middle, middle.saturating_add(1).min(high), high, low];
        candidates.into_iter().min_by_key(narrower).unwrap_or(low)
    }
}

/// Whether somebody else can have this address.
fn sends(version: Version, number: u128) -> bool {
    let address = crate::names::address_of(version, number);
    !(address.is_multicast() || address.is_loopback() || address == std::net::IpAddr::from([255, 255, 255, 255]))
}
