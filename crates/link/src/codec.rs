//! Little-endian bytes ↔ the nouns. Never trusts a length: every read is checked, every list has a bound.

use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope};
use model::decision::{ExemptReason, Exemption};
use model::event::{Act, Event, Guessed, Maker, Match, Origin, Probe, Repeated, Report, RuleId, TcpFlags, Touch, Trust};
use model::level::DangerLevel;
use model::net::{Hops, Prefix, Protocol};
use model::style::Style;
use model::time::Time;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early.
    #[error("frame ends too early")]
    Short,
    /// It goes on after its end.
    #[error("frame goes on after its end")]
    Long,
    /// A field has a value that it can't have.
    #[error("impossible value in the field '{0}'")]
    Value(&'static str),
}

/// Reads fields off a frame, front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Yes or no.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Value(field)),
        }
    }

    /// A text of up to `max` bytes, valid UTF-8 without control characters.
    pub fn text(&mut self, max: usize) -> Result<String, Malformed> {
        let len = usize::from(self.u16()?);
        if len > max {
            return Err(Malformed::Value("text length"));
        }
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|_| Malformed::Value("text"))?;
        if text.chars().any(char::is_control) {
            return Err(Malformed::Value("text"));
        }
        Ok(text.to_owned())
    }

    /// A list of up to `max` items.
    pub fn list<T>(&mut self, max: usize, mut item: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let len = self.u32()? as usize;
        // An item takes at least one byte, so a length past the rest is a lie told to make us allocate.
        if len > max || len > self.rest.len() {
            return Err(Malformed::Value("list length"));
        }
        (0..len).map(|_| item(self)).collect()
    }

    /// An address, canonical.
    pub fn addr(&mut self) -> Result<IpAddr, Malformed> {
        match self.u8()? {
            4 => Ok(IpAddr::V4(Ipv4Addr::from(self.array::<4>()?))),
            6 => match IpAddr::V6(Ipv6Addr::from(self.array::<16>()?)) {
                v6 if v6.to_canonical() == v6 => Ok(v6),
                _ => Err(Malformed::Value("address")),
            },
            _ => Err(Malformed::Value("address family")),
        }
    }

    /// A prefix.
    pub fn prefix(&mut self) -> Result<Prefix, Malformed> {
        let addr = self.addr()?;
        let bits = self.u8()?;
        let prefix = Prefix::new(addr, bits);
        if prefix.addr() != addr || prefix.bits() != bits { Err(Malformed::Value("prefix")) } else { Ok(prefix) }
    }

    /// A time.
    pub fn time(&mut self) -> Result<Time, Malformed> {
        Ok(Time::from_nanos(self.u64()?))
    }

    /// Something that may be absent.
    pub fn option<T>(&mut self, item: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => item(self).map(Some),
            _ => Err(Malformed::Value("option")),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T], field: &'static str) -> Result<T, Malformed> {
        all.get(usize::from(self.u8()?)).copied().ok_or(Malformed::Value(field))
    }

    /// A scope.
    pub fn scope(&mut self) -> Result<Scope, Malformed> {
        match self.u8()? {
            0 => Ok(Scope::Source(self.prefix()?)),
            _ => Err(Malformed::Value("scope")),
        }
    }

    /// An expiry.
    pub fn expiry(&mut self) -> Result<Expiry, Malformed> {
        match self.u8()? {
            0 => Ok(Expiry::Never),
            1 => Ok(Expiry::At(self.time()?)),
            _ => Err(Malformed::Value("expiry")),
        }
    }

    /// A change.
    pub fn change(&mut self) -> Result<Change, Malformed> {
        let kind = self.u8()?;
        let id = BlockId(self.u64()?);
        let scope = self.scope()?;
        match kind {
            0 => Ok(Change::Add { id, scope, expiry: self.expiry()? }),
            1 => Ok(Change::Remove { id, scope }),
            _ => Err(Malformed::Value("change")),
        }
    }

    /// An outcome.
    pub fn outcome(&mut self) -> Result<Outcome, Malformed> {
        match self.u8()? {
            0 => Ok(Outcome::Added),
            1 => Ok(Outcome::Removed),
            2 => Ok(Outcome::Unsupported),
            3 => Ok(Outcome::Failed(self.one_of(&Fault::ALL, "fault")?)),
            _ => Err(Malformed::Value("outcome")),
        }
    }

    /// Something that a responder really has.
    pub fn installed(&mut self) -> Result<Installed, Malformed> {
        Ok(Installed { scope: self.scope()?, expiry: self.expiry()? })
    }

    /// An entry of the exempt list.
    pub fn exemption(&mut self) -> Result<Exemption, Malformed> {
        Ok(Exemption { prefix: self.prefix()?, reason: self.one_of(&ExemptReason::ALL, "reason")? })
    }

    /// An event.
    pub fn event(&mut self) -> Result<Event, Malformed> {
        let at = self.time()?;
        let origin = Origin { sensor: self.u16()?, serial: self.u64()? };
        let actor = self.addr()?;
        let target = self.option(Reader::addr)?;
        let act = match self.u8()? {
            0 => Act::Probe(self.probe()?),
            1 => Act::Reached { protocol: Protocol(self.u8()?), port: self.option(Reader::u16)? },
            2 => Act::Reported(self.report()?),
            3 => Act::Touched(self.touch()?),
            4 => Act::Matched(self.matched()?),
            5 => Act::Guessed(self.guessed()?),
            _ => return Err(Malformed::Value("act")),
        };
        let trust = self.one_of(&[Trust::Spoofable, Trust::Handshake, Trust::Vouched], "trust")?;
        let times = match self.u32()? {
            0 => return Err(Malformed::Value("times")),
            n => n,
        };
        Ok(Event { at, origin, actor, target, act, trust, times })
    }

    pub(crate) fn touch(&mut self) -> Result<Touch, Malformed> {
        Ok(Touch {
            protocol: Protocol(self.u8()?),
            port: self.u16()?,
            style: self.one_of(&Style::ALL, "style")?,
            flags: TcpFlags(self.u8()?),
            hops: self.hops()?,
        })
    }

    fn report(&mut self) -> Result<Report, Malformed> {
        Ok(Report {
            rule: RuleId(self.u16()?),
            level: DangerLevel::new(self.u8()?).ok_or(Malformed::Value("level"))?,
            lines: self.u32()?,
            wished: self.option(Reader::u32)?.map(|secs| Duration::from_secs(secs.into())),
            repeated: Repeated([self.u16()?, self.u16()?, self.u16()?, self.u16()?, self.u16()?]),
        })
    }

    fn matched(&mut self) -> Result<Match, Malformed> {
        Ok(Match {
            rule: RuleId(self.u16()?),
            sid: self.u32()?,
            level: self.option(|r| DangerLevel::new(r.u8()?).ok_or(Malformed::Value("level")))?,
            protocol: Protocol(self.u8()?),
            port: self.option(Reader::u16)?,
        })
    }

    fn guessed(&mut self) -> Result<Guessed, Malformed> {
        Ok(Guessed { name: RuleId(self.u16()?), kind: self.one_of(&Maker::ALL, "maker")?, hops: self.hops()? })
    }

    fn probe(&mut self) -> Result<Probe, Malformed> {
        Ok(Probe {
            protocol: Protocol(self.u8()?),
            source_port: self.option(Reader::u16)?,
            port: self.option(Reader::u16)?,
            flags: self.option(|r| r.u8().map(TcpFlags))?,
            icmp: self.option(|r| Ok((r.u8()?, r.u8()?)))?,
            style: self.option(|r| r.one_of(&Style::ALL, "style"))?,
            hops: self.hops()?,
        })
    }

    fn hops(&mut self) -> Result<Option<Hops>, Malformed> {
        self.option(|r| r.u8().map(Hops))
    }

    /// Checks that nothing is left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }
}

/// Writes fields onto a frame, front to back.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// The frame so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Starts a new frame in the same memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// One byte.
    pub fn u8(&mut self, n: u8) {
        self.bytes.push(n);
    }

    /// Two bytes.
    pub fn u16(&mut self, n: u16) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, n: u32) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, n: u64) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    /// Raw bytes without a length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A text, cut to 65,535 bytes at a character boundary; control characters become blanks.
    pub fn text(&mut self, text: &str) {
        let mut end = text.len().min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // A control character longer than one byte would change the length: it becomes that many blanks.
        let clean: String = text[..end]
            .chars()
            .flat_map(|c| std::iter::repeat_n(if c.is_control() { ' ' } else { c }, if c.is_control() { c.len_utf8() } else { 1 }))
            .collect();
        self.u16(clean.len() as u16);
        self.bytes.extend_from_slice(clean.as_bytes());
    }

    /// A list.
    pub fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.u32(items.len() as u32);
        items.iter().for_each(|i| item(self, i));
    }

    /// An address.
    pub fn addr(&mut self, addr: IpAddr) {
        match addr.to_canonical() {
            IpAddr::V4(v4) => {
                self.u8(4);
                self.bytes.extend_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.u8(6);
                self.bytes.extend_from_slice(&v6.octets());
            }
        }
    }

    /// A prefix.
    pub fn prefix(&mut self, prefix: Prefix) {
        self.addr(prefix.addr());
        self.u8(prefix.bits());
    }

    /// A time.
    pub fn time(&mut self, time: Time) {
        self.u64(time.as_nanos());
    }

    /// Something that may be absent.
    pub fn option<T>(&mut self, value: Option<T>, item: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                item(self, value);
            }
        }
    }

    /// A scope.
    pub fn scope(&mut self, scope: Scope) {
        match scope {
            Scope::Source(prefix) => {
                self.u8(0);
                self.prefix(prefix);
            }
        }
    }

    /// An expiry.
    pub fn expiry(&mut self, expiry: Expiry) {
        match expiry {
            Expiry::Never => self.u8(0),
            Expiry::At(at) => {
                self.u8(1);
                self.time(at);
            }
        }
    }

    /// A change.
    pub fn change(&mut self, change: &Change) {
        match change {
            Change::Add { id, scope, expiry } => {
                self.u8(0);
                self.u64(id.0);
                self.scope(*scope);
                self.expiry(*expiry);
            }
            Change::Remove { id, scope } => {
                self.u8(1);
                self.u64(id.0);
                self.scope(*scope);
            }
        }
    }

    /// An outcome.
    pub fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Added => self.u8(0),
            Outcome::Removed => self.u8(1),
            Outcome::Unsupported => self.u8(2),
            Outcome::Failed(fault) => {
                self.u8(3);
                self.u8(fault as u8);
            }
        }
    }

    /// Something that a responder really has.
    pub fn installed(&mut self, installed: &Installed) {
        self.scope(installed.scope);
        self.expiry(installed.expiry);
    }

    /// An entry of the exempt list.
    pub fn exemption(&mut self, exemption: &Exemption) {
        self.prefix(exemption.prefix);
        self.u8(exemption.reason as u8);
    }

    /// An event.
    pub fn event(&mut self, event: &Event) {
        self.time(event.at);
        self.u16(event.origin.sensor);
        self.u64(event.origin.serial);
        self.addr(event.actor);
        self.option(event.target, Writer::addr);
        match event.act {
            Act::Probe(probe) => {
                self.u8(0);
                self.probe(&probe);
            }
            Act::Reached { protocol, port } => {
                self.u8(1);
                self.u8(protocol.0);
                self.option(port, Writer::u16);
            }
            Act::Reported(Report { rule, level, lines, wished, repeated }) => {
                self.u8(2);
                self.u16(rule.0);
                self.u8(level.number());
                self.u32(lines);
                self.option(wished, |w, span| w.u32(u32::try_from(span.as_secs()).unwrap_or(u32::MAX)));
                repeated.0.into_iter().for_each(|minutes| self.u16(minutes));
            }
            Act::Touched(touch) => {
                self.u8(3);
                self.touch(touch);
            }
            Act::Matched(Match { rule, sid, level, protocol, port }) => {
                self.u8(4);
                self.u16(rule.0);
                self.u32(sid);
                self.option(level, |w, level| w.u8(level.number()));
                self.u8(protocol.0);
                self.option(port, Writer::u16);
            }
            Act::Guessed(Guessed { name, kind, hops }) => {
                self.u8(5);
                self.u16(name.0);
                self.u8(kind as u8);
                self.option(hops, |w, hops| w.u8(hops.0));
            }
        }
        self.u8(event.trust as u8);
        self.u32(event.times);
    }

    pub(crate) fn touch(&mut self, Touch { protocol, port, style, flags, hops }: Touch) {
        self.u8(protocol.0);
        self.u16(port);
        self.u8(style as u8);
        self.u8(flags.0);
        self.option(hops, |w, hops| w.u8(hops.0));
    }

    fn probe(&mut self, probe: &Probe) {
        self.u8(probe.protocol.0);
        self.option(probe.source_port, Writer::u16);
        self.option(probe.port, Writer::u16);
        self.option(probe.flags, |w, flags| w.u8(flags.0));
        self.option(probe.icmp, |w, (kind, code)| {
            w.u8(kind);
            w.u8(code);
        });
        self.option(probe.style, |w, style| w.u8(style as u8));
        self.option(probe.hops, |w, hops| w.u8(hops.0));
    }
}
