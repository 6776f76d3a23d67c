//! What a sensor saw: one observation about one actor. Never a packet or a log line.

use crate::level::DangerLevel;
use crate::net::{Hops, Protocol};
use crate::style::Style;
use crate::time::Time;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Could the source address of this evidence be forged?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Trust {
    /// A lone packet: anybody can write any source address on it.
    Spoofable,
    /// The act itself came over a completed TCP handshake, which a forger off the path cannot finish.
    Handshake,
    /// A service that spoke with the actor vouches for the address.
    Vouched,
}

impl Trust {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Trust::Spoofable => "spoofable",
            Trust::Handshake => "handshake",
            Trust::Vouched => "vouched",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where an event came from: the sensor's slot and its running number there (for a file, the line).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Origin {
    /// The sensor's slot, as in the configuration's order.
    pub sensor: u16,
    /// The line or packet number within that sensor, from 1.
    pub serial: u64,
}

/// TCP's flag byte (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;

    /// Names, in the order in which Linux logs them.
    pub const NAMES: [(u8, &'static str); 8] = [
        (Self::CWR, "CWR"),
        (Self::ECE, "ECE"),
        (Self::URG, "URG"),
        (Self::ACK, "ACK"),
        (Self::PSH, "PSH"),
        (Self::RST, "RST"),
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
    ];

    /// Whether all of `bits` are set.
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Whether a connection begins with it: SYN, and neither ACK nor RST nor FIN.
    pub const fn is_first(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }

    /// The names of the set flags, in Linux's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
    }

    /// What a lone segment with these flags tells of the scan it belongs to; `None` for what scanners do not send
    /// (SYN+ACK and RST are answers: backscatter of somebody else's forgery, never evidence).
    /// ECN bits do not count. SYN may mean `Connect` too: the caller knows the options.
    pub const fn style(self) -> Option<Style> {
        const F: u8 = TcpFlags::FIN;
        const S: u8 = TcpFlags::SYN;
        const P: u8 = TcpFlags::PSH;
        const A: u8 = TcpFlags::ACK;
        const U: u8 = TcpFlags::URG;
        let bits = self.0 & (F | S | TcpFlags::RST | P | A | U);
        if bits & TcpFlags::RST != 0 || bits & (S | A) == S | A {
            return None;
        }
        Some(match bits {
            0 => Style::Null,
            b if b & S != 0 => Style::Syn,
            b if b == F | A => Style::Maimon,
            b if b & A != 0 => Style::Ack,
            b if b == F => Style::Fin,
            _ => Style::Xmas,
        })
    }
}

/// A packet to where nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The IP protocol.
    pub protocol: Protocol,
    /// The source port, for protocols with ports and if the packet was whole enough to show it.
    pub source_port: Option<u16>,
    /// The destination port, likewise.
    pub port: Option<u16>,
    /// TCP flags; `None` for other protocols and for fragments without the header.
    pub flags: Option<TcpFlags>,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// What this one packet tells of the scan it belongs to.
    pub style: Option<Style>,
    /// How far away its sender seems to be.
    pub hops: Option<Hops>,
}

/// What the actor did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sent a packet to where nothing answers: a failed first contact.
    Probe(Probe),
    /// Reached a service that is there: a successful first contact, which speaks for the actor.
    Reached {
        /// The IP protocol.
        protocol: Protocol,
        /// The destination port.
        port: Option<u16>,
    },
    /// Did what a rule for log lines wants something done about.
    Reported(Report),
    /// Came to a guarded port: one that is only there to be touched.
    Touched(Touch),
    /// Sent a packet that fits a signature.
    Matched(Match),
    /// Sent a packet whose headers are filled in as a known system or scanner does it.
    Guessed(Guessed),
}

/// Whose packet it is, by how its headers are filled in. Anybody can write any headers: this is never evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guessed {
    /// Its name: its place in a dictionary.
    pub name: RuleId,
    /// What it is.
    pub kind: Maker,
    /// How far away its sender seems to be; not told of a scanner, who writes what he likes.
    pub hops: Option<Hops>,
}

/// What made a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Maker {
    /// A scanner wrote it itself, which says nothing of the system below.
    Scanner,
    /// A system.
    System,
    /// A system, perhaps: all but a detail fits, or only a whole group of systems does.
    PerhapsSystem,
}

impl Maker {
    /// All of them.
    pub const ALL: [Maker; 3] = [Maker::Scanner, Maker::System, Maker::PerhapsSystem];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Maker::Scanner => "scanner",
            Maker::System => "system",
            Maker::PerhapsSystem => "perhaps",
        }
    }
}

/// A packet that fits a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Match {
    /// Which: its place in a dictionary.
    pub rule: RuleId,
    /// And its number, as its author has it.
    pub sid: u32,
    /// How grave it is; `None` if such a packet is no charge against its sender (an answer, an error about somebody else's packet).
    pub level: Option<DangerLevel>,
    /// The IP protocol.
    pub protocol: Protocol,
    /// The destination port.
    pub port: Option<u16>,
}

/// What came to a guarded port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Touch {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Which.
    pub port: u16,
    /// How: a whole connection is `Style::Connect`.
    pub style: Style,
    /// A lone segment's flags; none of a whole connection or a datagram.
    pub flags: TcpFlags,
    /// How far away its sender seems to be.
    pub hops: Option<Hops>,
}

impl fmt::Display for Touch {
    /// As `tcp/31337 (connect), 12 hops away`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.protocol, self.port, self.style)?;
        self.hops.map_or(Ok(()), |hops| write!(f, ", {hops}"))
    }
}

/// A rule's, signature's or system's number: its place in a dictionary of names. A sensor's dictionary is its own; the judge has one for all of them, and for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u16);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.0)
    }
}

/// For how many minutes a rule's author wants the second, third … offence of an actor answered, as OSSEC's `repeated_offenders`. The first 0
/// ends the list; the last number stands for all further offences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Repeated(pub [u16; 5]);

impl Repeated {
    /// The list; what is beyond five is left out, and what is beyond a number's range cut.
    pub fn new(spans: &[Duration]) -> Repeated {
        let mut minutes = [0; 5];
        for (minute, span) in minutes.iter_mut().zip(spans) {
            *minute = u16::try_from(span.as_secs() / 60).unwrap_or(u16::MAX);
        }
        Repeated(minutes)
    }

    /// For how long this strike is answered, from 1; `None`: the list says nothing of it.
    pub fn span(&self, strike: u32) -> Option<Duration> {
        let listed = self.0.iter().position(|minutes| *minutes == 0).unwrap_or(self.0.len());
        let place = (strike.checked_sub(2)? as usize).min(listed.checked_sub(1)?);
        self.0.get(place).map(|minutes| Duration::from_secs(u64::from(*minutes) * 60))
    }
}

/// What a log rule says of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Report {
    /// Which rule.
    pub rule: RuleId,
    /// How dangerous it finds that.
    pub level: DangerLevel,
    /// How many lines it had counted.
    pub lines: u32,
    /// For how long it wants the actor blocked, in whole seconds when it travels; `None` leaves it to the policy.
    pub wished: Option<Duration>,
    /// And for how long if it comes back.
    pub repeated: Repeated,
}

/// One observation about one actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// When, by the packet's or the log's own clock.
    pub at: Time,
    /// Which sensor saw it.
    pub origin: Origin,
    /// Who did it (canonical: never IPv4-mapped).
    pub actor: IpAddr,
    /// To whom.
    pub target: Option<IpAddr>,
    /// What.
    pub act: Act,
    /// Could the actor's address be forged?
    pub trust: Trust,
    /// How many times in a row it was seen (`last message repeated n times`); at least 1.
    pub times: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_is_answered_by_the_list() {
        let minutes = |list: &[u64], strike| {
            let spans: Vec<Duration> = list.iter().map(|minutes| Duration::from_secs(minutes * 60)).collect();
            Repeated::new(&spans).span(strike).map(|span| span.as_secs() / 60)
        };
        assert_eq!([1, 2, 3, 4, 99].map(|strike| minutes(&[30, 60, 120], strike)), [None, Some(30), Some(60), Some(120), Some(120)]);
        assert_eq!([0, 1, 2].map(|strike| minutes(&[], strike)), [None; 3]);
        assert_eq!([minutes(&[1, 2, 3, 4, 5, 6], 9), minutes(&[100_000], 2)], [Some(5), Some(65_535)]);
    }

    #[test]
    fn flags_tell_the_scan() {
        let style = |bits| TcpFlags(bits).style();
        assert_eq!(style(TcpFlags::SYN), Some(Style::Syn));
        assert_eq!(style(TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR), Some(Style::Syn));
        assert_eq!(style(0), Some(Style::Null));
        assert_eq!(style(TcpFlags::FIN), Some(Style::Fin));
        assert_eq!(style(TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG), Some(Style::Xmas));
        assert_eq!(style(TcpFlags::ACK), Some(Style::Ack));
        assert_eq!(style(TcpFlags::ACK | TcpFlags::FIN), Some(Style::Maimon));
        assert_eq!(style(TcpFlags::ACK | TcpFlags::SYN), None);
        assert_eq!(style(TcpFlags::RST), None);
        assert_eq!(style(TcpFlags::RST | TcpFlags::ACK), None);
    }

    #[test]
    fn flag_names_stand_in_linux_order() {
        let names: Vec<_> = TcpFlags(TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG).names().collect();
        assert_eq!(names, ["URG", "PSH", "FIN"]);
    }
}
