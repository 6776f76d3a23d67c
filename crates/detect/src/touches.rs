//! Touches of guarded ports: nobody has business there, so few are enough, and of a proven address one. Never lets forged touches count
//! towards a charge that says the address is proven.
//!
//! The sender's distance is compared: a lone packet from as far away as a whole connection of the same source is likely of the same machine.
//! Likely is not sure, and a forger can guess: so each connection lends its proof to one such packet, and to no more.

use crate::config::{ScanConfig, TouchConfig};
use crate::hash::{Key, Seed};
use crate::{Detector, Kind};
use model::event::{Act, Event, Touch, Trust};
use model::limits;
use model::net::{Hops, Prefix, canonical};
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use std::time::Duration;

/// The detector's kind.
pub const KIND: Kind = Kind {
    name: "touches",
    summary: "Connections and packets to guarded ports, which are only there to be touched.",
    example: "[guard]\ntcp = [\"aware\"]\ntrigger = 1\n",
    build: |config, seed| Box::new(Touches::new(config, seed)),
};

/// Who goes on is charged again at most this often.
const AGAIN: Duration = Duration::from_secs(10);

/// The detector.
#[derive(Debug)]
pub struct Touches {
    config: TouchConfig,
    /// The prefix lengths that sources are counted by: IPv4, IPv6.
    counted_by: [u8; 2],
    seed: Seed,
    places: Vec<Option<Source>>,
    crowded_out: u64,
}

/// One source within its window.
#[derive(Debug, Clone, Copy)]
struct Source {
    who: Prefix,
    first: Time,
    last: Time,
    /// All touches, and those of a proven address.
    count: u32,
    proven: u32,
    /// Packets among the proven that are believed because they came from as far away as a connection did.
    believed: u32,
    /// How far away the source is: by its last connection, or as long as there is none by its first packet.
    hops: Option<Hops>,
    /// The last charge: when, and on what trust.
    charged: Option<(Time, Trust)>,
}

impl Touches {
    /// Nobody is known. `seed` keys the hash function and is to be kept secret.
    pub fn new(config: &ScanConfig, seed: u64) -> Touches {
        let counted_by = [config.count_by_ipv4, config.count_by_ipv6];
        Touches { config: config.touch.clone(), counted_by, seed: Seed::new(seed ^ 0x70c5), places: Vec::new(), crowded_out: 0 }
    }

    /// Goes by another configuration from now on.
    pub fn reconfigure(&mut self, config: &ScanConfig) {
        self.config = config.touch.clone();
        self.counted_by = [config.count_by_ipv4, config.count_by_ipv6];
    }

    /// Touches that counted for nobody, because somebody with a proven address had their place.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Bytes that it may take.
    pub fn memory_bound(&self) -> usize {
        limits::TOUCHERS * size_of::<Option<Source>>()
    }

    /// Bytes that it takes now.
    pub fn memory_used(&self) -> usize {
        self.places.capacity() * size_of::<Option<Source>>()
    }

    /// The place for a source; `None` if it is taken by one who has more right to it.
    fn place(&mut self, who: Prefix, event: &Event) -> Option<&mut Source> {
        if self.places.is_empty() {
            self.places = vec![None; limits::TOUCHERS];
        }
        let at = self.seed.address(Key::from(who.addr())) as usize % limits::TOUCHERS;
        let place = self.places.get_mut(at)?;
        let new = Source { who, first: event.at, last: event.at, count: 0, proven: 0, believed: 0, hops: None, charged: None };
        // Packets may be out of order, and clocks may be set: either way round, far apart is another window.
        let apart = |source: &Source| event.at.since(source.first).max(source.first.since(event.at)) > self.config.within;
        match place {
            Some(source) if source.who == who && !apart(source) => {}
            Some(source) if source.who != who && source.proven > 0 && event.trust == Trust::Spoofable && !apart(source) => {
                self.crowded_out += 1;
                return None;
            }
            Some(_) | None => *place = Some(new),
        }
        place.as_mut()
    }
}

impl Source {
    /// Whether this touch is believed to be the source's own, which is counted.
    fn weigh(&mut self, event: &Event, hops: Option<Hops>) -> bool {
        let is_same = hops.is_some() && hops == self.hops;
        if event.trust > Trust::Spoofable {
            // The first packet came before; now it is known who sent it.
            let first = u32::from(is_same && self.proven == 0 && self.count > event.times.max(1));
            self.proven = self.proven.saturating_add(event.times.max(1)).saturating_add(first);
            self.believed += first;
            self.hops = hops;
            return true;
        }
        if self.proven == 0 {
            self.hops = self.hops.or(hops);
        }
        let is_believed = is_same && self.proven - self.believed > self.believed;
        self.proven = self.proven.saturating_add(u32::from(is_believed));
        self.believed += u32::from(is_believed);
        is_believed
    }
}

impl Detector for Touches {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        let Act::Touched(touch) = event.act else { return };
        let (trigger, level) = (self.config.trigger.max(1), self.config.level);
        let actor = canonical(event.actor);
        let who = Prefix::new(actor, self.counted_by[usize::from(actor.is_ipv6())]);
        let Some(source) = self.place(who, event) else { return };
        source.count = source.count.saturating_add(event.times.max(1));
        source.last = source.last.max(event.at);
        let is_proven = source.weigh(event, touch.hops);
        // A forger can't lengthen what somebody else has earned.
        let trust = if is_proven && source.proven >= trigger { Trust::Handshake } else { Trust::Spoofable };
        let is_news = source.charged.is_none_or(|(at, before)| trust > before || event.at.since(at).max(at.since(event.at)) >= AGAIN);
        if source.count < trigger || !is_news {
            return;
        }
        source.charged = Some((event.at, trust));
        // A lone first packet can look as a connection's.
        let is_lone = event.trust == Trust::Spoofable && touch.style == Style::Connect;
        let shown = if is_lone { Style::Syn } else { touch.style };
        out.push(Offence {
            at: event.at,
            offender: who,
            charge: Charge::Touch,
            level,
            // The deciding one's alone: what may be done about it can depend on that.
            styles: StyleSet::from_iter([touch.style]),
            trust,
            evidence: Evidence {
                first: source.first,
                last: source.last,
                packets: u64::from(source.count),
                targets: 1,
                endpoints: 0,
                protocols: 0,
                // No client has business there: there is nothing to weigh.
                convicted: true,
            },
            rule: None,
            touch: Some(Touch { style: shown, ..touch }),
            wished: None,
            repeated: Default::default(),
        });
    }

    fn tick(&mut self, _: Time, _: &mut Vec<Offence>) {}

    fn next_tick(&self) -> Option<Time> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::{Origin, TcpFlags};
    use model::net::Protocol;
    use std::net::{IpAddr, Ipv4Addr};

    fn touches(trigger: u32) -> Touches {
        let touch = TouchConfig { trigger, ..TouchConfig::default() };
        Touches::new(&ScanConfig { touch, ..ScanConfig::default() }, 7)
    }

    fn touch(secs: u64, actor: u32, trust: Trust) -> Event {
        from_afar(secs, actor, trust, None)
    }

    fn from_afar(secs: u64, actor: u32, trust: Trust, hops: Option<u8>) -> Event {
        let style = if trust == Trust::Spoofable { Style::Udp } else { Style::Connect };
        let act = Act::Touched(Touch { protocol: Protocol::TCP, port: 31_337, style, flags: TcpFlags::default(), hops: hops.map(Hops) });
        let actor = IpAddr::V4(Ipv4Addr::from(actor));
        Event { at: Time::from_secs(secs), origin: Origin::default(), actor, target: None, act, trust, times: 1 }
    }

    fn charged(touches: &mut Touches, event: Event) -> Option<Trust> {
        let mut out = Vec::new();
        touches.observe(&event, &mut out);
        assert!(out.len() < 2);
        out.pop().map(|offence| offence.trust)
    }

    #[test]
    fn the_first_touch_is_enough_and_the_next_say_nothing_new() {
        let mut touches = touches(0);
        assert_eq!(charged(&mut touches, touch(100, 1, Trust::Spoofable)), Some(Trust::Spoofable));
        assert_eq!(charged(&mut touches, touch(101, 1, Trust::Spoofable)), None);
        assert_eq!(charged(&mut touches, touch(102, 1, Trust::Handshake)), Some(Trust::Handshake), "better grounds are news");
        assert_eq!(charged(&mut touches, touch(103, 1, Trust::Handshake)), None);
        assert_eq!(charged(&mut touches, touch(112, 1, Trust::Handshake)), Some(Trust::Handshake));
    }

    #[test]
    fn a_trigger_counts_within_its_window_and_forged_touches_prove_nothing() {
        let mut touches = touches(3);
        for secs in [100, 101] {
            assert_eq!(charged(&mut touches, touch(secs, 1, Trust::Spoofable)), None);
        }
        assert_eq!(charged(&mut touches, touch(102, 1, Trust::Handshake)), Some(Trust::Spoofable), "one is proven, not three");
        assert_eq!(charged(&mut touches, touch(103, 1, Trust::Handshake)), None);
        assert_eq!(charged(&mut touches, touch(104, 1, Trust::Handshake)), Some(Trust::Handshake));
        // A window later it begins anew.
        let late = 100 + TouchConfig::default().within.as_secs() + 1;
        assert_eq!(charged(&mut touches, touch(late, 1, Trust::Handshake)), None);
    }

    #[test]
    fn a_connection_lends_its_proof_to_one_packet_from_as_far_away() {
        let (forgeable, proof) = (Trust::Spoofable, Trust::Handshake);
        let charges = |trigger, events: &[(Trust, Option<u8>)]| {
            let mut touches = touches(trigger);
            let each = (100..).zip(events).map(|(secs, (trust, hops))| charged(&mut touches, from_afar(secs, 1, *trust, *hops)));
            each.collect::<Vec<_>>()
        };
        // Later or earlier, from as far away: two of two are proven.
        assert_eq!(charges(2, &[(proof, Some(9)), (forgeable, Some(9))]), [None, Some(proof)]);
        assert_eq!(charges(2, &[(forgeable, Some(9)), (proof, Some(9))]), [None, Some(proof)]);
        // From elsewhere, or nobody knows from where: a connection and a packet.
        for hops in [Some(8), None] {
            assert_eq!(charges(2, &[(proof, Some(9)), (forgeable, hops)]), [None, Some(forgeable)]);
            assert_eq!(charges(2, &[(forgeable, hops), (proof, Some(9))]), [None, Some(forgeable)]);
        }
        assert_eq!(charges(2, &[(proof, None), (forgeable, None)]), [None, Some(forgeable)]);
        // One connection, one packet: whoever guesses the distance makes no more of it.
        let guessed = [(proof, Some(9)), (forgeable, Some(9)), (forgeable, Some(9)), (forgeable, Some(9))];
        assert_eq!(charges(3, &guessed), [None, None, Some(forgeable), None]);
        assert_eq!(charges(3, &[guessed[0], guessed[1], guessed[0]]), [None, None, Some(proof)]);
        // Without any connection nothing is believed.
        assert_eq!(charges(2, &[(forgeable, Some(9)); 3]), [None, Some(forgeable), None]);
    }

    #[test]
    fn a_forger_lengthens_nothing_that_was_proven() {
        let mut touches = touches(1);
        assert_eq!(charged(&mut touches, from_afar(100, 1, Trust::Handshake, Some(9))), Some(Trust::Handshake));
        for (secs, hops) in [(120, Some(4)), (140, None), (160, Some(4))] {
            assert_eq!(charged(&mut touches, from_afar(secs, 1, Trust::Spoofable, hops)), Some(Trust::Spoofable));
        }
    }

    #[test]
    fn forged_crowds_take_no_proven_sources_place_and_no_more_memory() {
        let mut touches = touches(2);
        assert_eq!(charged(&mut touches, touch(100, 1, Trust::Handshake)), None);
        for forged in 0..200_000 {
            charged(&mut touches, touch(101, 0x0a00_0000 + forged, Trust::Spoofable));
        }
        assert_eq!(charged(&mut touches, touch(102, 1, Trust::Handshake)), Some(Trust::Handshake));
        assert!(touches.crowded_out() > 0 && touches.memory_used() <= touches.memory_bound());
    }
}
