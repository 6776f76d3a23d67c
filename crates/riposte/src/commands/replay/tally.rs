//! What `replay --detail` counts beside the detectors. Every table is bounded; nothing of it decides anything.

use crate::notes::{Notebook, Words};
use detect::config::ScanConfig;
use model::event::Act;
use model::limits;
use model::net::{Prefix, Protocol};
use report::offender::Detail;
use report::picture::{PortSources, Tops, most_frequent};
use report::timeline::Timeline;
use sense::facts::{Chain, Reading};
use sense::firewall::Sighting;

/// Everything that is counted.
#[derive(Debug)]
pub struct Tally {
    by: (u8, u8),
    /// TCP's and UDP's packets by port.
    ports: [Vec<u32>; 2],
    protocols: [u64; 256],
    interfaces: Words,
    prefixes: Words,
    /// What came when.
    pub timeline: Timeline,
    sources: Notebook,
}

impl Tally {
    /// Nothing counted. Sources are counted by the configuration's prefixes.
    pub fn new(config: &ScanConfig) -> Tally {
        Tally {
            by: (config.count_by_ipv4, config.count_by_ipv6),
            ports: [vec![0; 65_536], vec![0; 65_536]],
            protocols: [0; 256],
            interfaces: Words::default(),
            prefixes: Words::default(),
            timeline: Timeline::default(),
            sources: Notebook::new(limits::DETAILED_SOURCES),
        }
    }

    /// Counts a packet. `is_charged` says who keeps a place when there are too many.
    pub fn count(&mut self, sighting: &Sighting<'_>, is_charged: impl Fn(&Prefix) -> bool) {
        let (facts, times) = (&sighting.facts, sighting.times);
        if let Some(count) = self.protocols.get_mut(usize::from(facts.protocol.0)) {
            *count += u64::from(times);
        }
        let prefix = self.prefixes.number(sighting.prefix, times);
        let probe = match &sighting.reading {
            Reading::Evidence(Act::Probe(probe), _) => Some(probe),
            Reading::Evidence(..) | Reading::Harmless(_) => None,
        };
        let port = probe.and_then(|probe| Some((probe.port?, probe.protocol))).and_then(|(port, protocol)| match protocol {
            Protocol::TCP => Some((port, false)),
            Protocol::UDP => Some((port, true)),
            _ => None,
        });
        self.timeline.count(sighting.at, port, times);
        if let Some((port, udp)) = port
            && let Some(count) = self.ports.get_mut(usize::from(udp)).and_then(|ports| ports.get_mut(usize::from(port)))
        {
            *count = count.saturating_add(times);
        }
        if probe.is_none() && (facts.icmp.is_none() || facts.chain == Chain::Output) {
            return;
        }
        let whom = Prefix::new(facts.source, if facts.source.is_ipv4() { self.by.0 } else { self.by.1 });
        let interface = if sighting.interface_in.is_empty() { sighting.interface_out } else { sighting.interface_in };
        let interface = self.interfaces.number(interface, times);
        let notes = self.sources.page(whom, is_charged);
        notes.icmp(facts.protocol, facts.icmp, times);
        if probe.is_some() {
            notes.probe(sighting.at, facts.target, facts.protocol, facts.port, facts.flags, times);
            notes.way((facts.chain, interface, prefix, facts.protocol), times);
        }
    }

    /// What was counted of one source.
    pub fn detail(&self, source: &Prefix) -> Option<Detail> {
        Some(self.sources.of(source)?.detail(|number| self.interfaces.word(number), |number| self.prefixes.word(number)))
    }

    /// The busiest of everything.
    pub fn tops(&self, levels: [u64; 5], ports: &PortSources, top: usize) -> Tops {
        let prefixes = self.prefixes.packets().filter(|(word, _)| !word.is_empty());
        let protocols = (0..=u8::MAX).zip(&self.protocols).map(|(number, packets)| (Protocol(number).to_string(), *packets));
        Tops {
            levels,
            top_ports: ports.tops(Some(&self.ports), top),
            prefixes: most_frequent(prefixes, top),
            protocols: most_frequent(protocols, top),
        }
    }
}
