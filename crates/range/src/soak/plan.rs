//! Who sends what in a soak, and when: worked out from a number, so that every thread knows it without being told.
//! Never has a bystander do anything that convicts: each knocks at one place only, however often.

use model::event::TcpFlags;
use std::net::{IpAddr, Ipv4Addr};
use wire::build::{Ip, NMAP_OPTIONS, Tcp};

/// Probes of one attack, each to a port of its own: more than a verdict needs even if the detectors' tables are full.
pub const PROBES: u32 = 24;
/// Between two probes of one attack.
pub const PROBE_NANOS: u64 = 100_000_000;
/// Every so many lines one is of another program, with an attack on the log's reader in it.
const OTHER_EVERY: u64 = 20;
/// Bystanders are walked through in steps of this prime, so that neighbours in time are none in number.
const STRIDE: u64 = 387_433;
const TCP_PORTS: [u16; 8] = [22, 23, 80, 443, 445, 3_389, 5_900, 8_080];
const UDP_PORTS: [u16; 4] = [123, 161, 1_900, 5_060];

/// What a source does at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knock {
    /// A SYN to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
    /// An ICMP timestamp request.
    Icmp,
}

/// How an attack comes to riposte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As lines in a log.
    Log,
    /// As packets.
    Packets,
}

/// Sizes and rates.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Bystanders.
    pub sources: u32,
    /// Attackers, who come behind them in number, in turn.
    pub attackers: u32,
    /// Attacks that begin each second.
    pub attacks: u64,
    /// Who is attacked.
    pub victim: Ipv4Addr,
}

/// Source number n: all over 24.0.0.0/5, which holds nobody exempt, and none twice (odd multiplier, modulo 2^27).
pub fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x1800_0000 | (n.wrapping_mul(2_654_435_761) & 0x07FF_FFFF))
}

impl Plan {
    /// The source of the bystanders' event number `event`.
    pub fn bystander(&self, event: u64) -> u32 {
        ((event % u64::from(self.sources)) * STRIDE % u64::from(self.sources)) as u32
    }

    /// The one thing that a bystander ever does.
    pub fn habit(&self, source: u32) -> Knock {
        let mixed = source.wrapping_mul(0x9E37_79B9) >> 8;
        let one_of = |ports: &[u16]| ports[(mixed / 100) as usize % ports.len()];
        match mixed % 100 {
            0..75 => Knock::Tcp(one_of(&TCP_PORTS)),
            75..95 => Knock::Udp(one_of(&UDP_PORTS)),
            _ => Knock::Icmp,
        }
    }

    /// When attack number `attack` begins, in nanoseconds from the first.
    pub fn begins(&self, attack: u64) -> u64 {
        attack * 1_000_000_000 / self.attacks
    }

    /// Who makes it.
    pub fn attacker(&self, attack: u64) -> u32 {
        self.sources + (attack % u64::from(self.attackers)) as u32
    }

    /// Which way it takes: each attacker's next one takes the other.
    pub fn way(&self, attack: u64) -> Way {
        if (attack + attack / u64::from(self.attackers)).is_multiple_of(2) { Way::Log } else { Way::Packets }
    }

    /// Its probe number `probe`: a port that no bystander knocks at, the same each time that this attacker comes.
    pub fn probe(&self, attack: u64, probe: u32) -> Knock {
        Knock::Tcp(10_000 + ((u64::from(self.attacker(attack)) * 7 + u64::from(probe) * 131) % 20_000) as u16)
    }

    /// All probes of this way that are due until `until`, from where `queue` stands; no attack begins after `last` (nanoseconds from the
    /// first attack).
    pub fn due(&self, way: Way, queue: &mut Queue, (until, last): (u64, u64), mut send: impl FnMut(u32, Knock)) {
        while self.begins(queue.next) <= until.min(last) {
            if self.way(queue.next) == way {
                queue.running.push_back((queue.next, 0));
            }
            queue.next += 1;
        }
        for (attack, sent) in &mut queue.running {
            while *sent < PROBES && self.begins(*attack) + u64::from(*sent) * PROBE_NANOS <= until {
                send(self.attacker(*attack), self.probe(*attack, *sent));
                *sent += 1;
            }
        }
        while queue.running.front().is_some_and(|(_, sent)| *sent == PROBES) {
            queue.running.pop_front();
        }
    }

    /// The packet.
    pub fn packet(&self, source: u32, knock: Knock) -> Vec<u8> {
        let ip = Ip::new(IpAddr::V4(address(source)), IpAddr::V4(self.victim));
        let source_port = 40_000 + (source % 20_000) as u16;
        match knock {
            Knock::Tcp(port) => ip.tcp(&Tcp {
                source_port,
                port,
                sequence: source,
                flags: TcpFlags(TcpFlags::SYN),
                window: 1_024,
                options: &NMAP_OPTIONS,
                ..Tcp::default()
            }),
            Knock::Udp(port) => ip.udp(source_port, port, &[0; 8]),
            Knock::Icmp => ip.icmp(13, 0, [0; 4], &[0; 12]),
        }
    }

    /// Appends the line that a firewall's kernel log has of it. `stamp` is the time and the host's name.
    pub fn line(&self, stamp: &str, source: u32, knock: Knock, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let (from, id, port) = (address(source), source & 0xFFFF, 40_000 + source % 20_000);
        // Writing to memory can't fail.
        let _ = write!(
            out,
            "{stamp} kernel: [12345.678901] DROP IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC={from} DST={} ",
            self.victim
        );
        let _ = match knock {
            Knock::Tcp(to) => writeln!(
                out,
                "LEN=44 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=TCP SPT={port} DPT={to} WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4)"
            ),
            Knock::Udp(to) => writeln!(out, "LEN=36 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=UDP SPT={port} DPT={to} LEN=16"),
            Knock::Icmp => writeln!(out, "LEN=40 TOS=0x00 PREC=0x00 TTL=53 ID={id} PROTO=ICMP TYPE=13 CODE=0"),
        };
    }

    /// Appends line number `line` of the bystanders' log: mostly a packet, sometimes another program that quotes somebody.
    pub fn bystander_line(&self, stamp: &str, line: u64, out: &mut Vec<u8>) -> Option<u32> {
        let source = self.bystander(line - line / OTHER_EVERY);
        if line % OTHER_EVERY == OTHER_EVERY - 1 {
            use std::io::Write as _;
            let (from, victim) = (address(source), self.victim);
            let _ = writeln!(
                out,
                "{stamp} sshd[4711]: Invalid user IN=eth0 OUT= SRC=192.0.2.1 DST={victim} PROTO=TCP SPT=1 DPT=2 SYN from {from} port 40000"
            );
            return None;
        }
        self.line(stamp, source, self.habit(source), out);
        Some(source)
    }
}

/// Where a thread stands among the attacks.
#[derive(Debug, Default)]
pub struct Queue {
    next: u64,
    running: std::collections::VecDeque<(u64, u32)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PLAN: Plan = Plan { sources: 1_000_000, attackers: 30_000, attacks: 50, victim: Ipv4Addr::new(203, 0, 113, 1) };

    #[test]
    fn every_bystander_comes_and_has_one_habit() {
        let mut seen = vec![false; PLAN.sources as usize];
        (0..u64::from(PLAN.sources)).for_each(|event| seen[PLAN.bystander(event) as usize] = true);
        assert!(seen.iter().all(|seen| *seen));
        let addresses: BTreeSet<Ipv4Addr> = (0..PLAN.sources + PLAN.attackers).map(address).collect();
        assert_eq!(addresses.len() as u32, PLAN.sources + PLAN.attackers);
        let attack_ports = (0..10).flat_map(|attack| (0..PROBES).map(move |probe| PLAN.probe(attack, probe)));
        let habits: BTreeSet<String> = (0..10_000).map(|source| format!("{:?}", PLAN.habit(source))).collect();
        assert!(habits.len() > 10);
        assert!(attack_ports.into_iter().all(|knock| !habits.contains(&format!("{knock:?}"))));
    }

    #[test]
    fn each_attack_has_all_its_probes_in_time_on_one_way() {
        let mut by_attacker = std::collections::BTreeMap::<u32, u32>::new();
        for way in [Way::Log, Way::Packets] {
            let mut queue = Queue::default();
            for tick in 0..400 {
                PLAN.due(way, &mut queue, (tick * 10_000_000, 1_000_000_000), |source, _| *by_attacker.entry(source).or_default() += 1);
            }
        }
        // Whoever began in the first second is through after four.
        assert!((PLAN.sources..=PLAN.sources + 50).all(|source| by_attacker.remove(&source) == Some(PROBES)), "{by_attacker:?}");
        assert!(by_attacker.is_empty(), "nobody begins later: {by_attacker:?}");
        assert_ne!(PLAN.way(0), PLAN.way(u64::from(PLAN.attackers)), "the next time the other way");
    }
}
