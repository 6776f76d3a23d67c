//! The options of a rule, by what they look at: one file for each group, one line in its list for each keyword.
//! To add one: its line, and what it tests. Never looks at a packet's bytes.

pub mod about;
pub mod icmp;
pub mod ip;
pub mod later;
pub mod tcp;

use crate::header::Header;
use crate::level::Level;
use crate::numbers::Numbers;
use crate::rule::Surroundings;

/// A keyword.
pub struct Keyword {
    /// As rules write it.
    pub name: &'static str,
    /// Takes its value in.
    pub read: fn(&str, &mut Draft<'_>) -> Result<(), String>,
}

/// All groups.
pub const GROUPS: [&[Keyword]; 4] = [about::KEYWORDS, ip::KEYWORDS, tcp::KEYWORDS, icmp::KEYWORDS];

/// The keyword of this name.
pub fn find(name: &str) -> Option<&'static Keyword> {
    GROUPS.iter().flat_map(|group| group.iter()).find(|keyword| keyword.name == name)
}

/// The names of all keywords, those that come later too.
pub fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|group| group.iter().map(|keyword| keyword.name)).chain(later::names())
}

/// What the options of a rule say, while they are read.
pub struct Draft<'e> {
    /// What the names in it stand for.
    pub around: &'e Surroundings,
    /// `msg`.
    pub message: Option<Box<str>>,
    /// `sid`.
    pub sid: Option<u32>,
    /// `psad_id`.
    pub psad_id: Option<u32>,
    /// `psad_dl`.
    pub level: Option<Level>,
    /// `priority`, or that of `classtype`.
    pub priority: Option<u32>,
    /// `classtype`.
    pub class: Option<Box<str>>,
    /// `reference`s.
    pub references: Vec<Box<str>>,
    /// `psad_derived_sids`.
    pub derived: Vec<u32>,
    /// What a packet must be like: all of it.
    pub tests: Vec<Test>,
    /// The keyword that this version can't test: the rule rests.
    pub rests: Option<&'static str>,
}

impl<'e> Draft<'e> {
    /// Nothing said yet.
    pub fn new(around: &'e Surroundings) -> Draft<'e> {
        Draft {
            around,
            message: None,
            sid: None,
            psad_id: None,
            level: None,
            priority: None,
            class: None,
            references: Vec::new(),
            derived: Vec::new(),
            tests: Vec::new(),
            rests: None,
        }
    }

    /// A test of a number.
    fn number(&mut self, value: &str, field: Field) -> Result<(), String> {
        self.tests.push(Test::Number(field, value.parse()?));
        Ok(())
    }
}

/// A number of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// TCP window.
    Window,
    /// TCP sequence number.
    Sequence,
    /// TCP acknowledgment number.
    Acknowledgment,
    /// Type of service.
    Service,
    /// IPv4 identification.
    IpId,
    /// The whole packet's length.
    Length,
    /// Bytes of payload.
    Payload,
    /// ICMP code.
    IcmpCode,
    /// An echo's identifier.
    EchoId,
    /// An echo's sequence number.
    EchoSequence,
}

impl Field {
    /// The least and the most that it can be in this packet.
    #[inline]
    pub fn of(self, header: &Header) -> Option<(u32, u32)> {
        let exact = |number: u32| (number, number);
        match self {
            Field::Window => header.window.map(u32::from).map(exact),
            Field::Sequence => header.sequence.map(exact),
            Field::Acknowledgment => header.acknowledgment.map(exact),
            Field::Service => header.service.map(u32::from).map(exact),
            Field::IpId => header.ip_id.map(u32::from).map(exact),
            Field::Length => header.length.map(exact),
            Field::Payload => header.payload,
            Field::IcmpCode => header.icmp.map(|(_, code)| exact(code.into())),
            Field::EchoId => header.echo.map(|(id, _)| exact(id.into())),
            Field::EchoSequence => header.echo.map(|(_, sequence)| exact(sequence.into())),
        }
    }
}

/// One thing that a packet must be like.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// Its IP protocol: what rules are parted by.
    Protocol(Numbers),
    /// A number of it.
    Number(Field, Numbers),
    /// Its TTL or hop limit.
    Ttl(Numbers),
    /// How many IPv6 extension headers it has.
    ExtensionHeaders(Numbers),
    /// Its ICMP type: what rules are sorted by.
    IcmpType(Numbers),
    /// Its TCP flags: what rules are sorted by.
    Flags(Bits),
    /// IPv4's three bits.
    FragmentBits(Bits),
    /// An IPv4 option of this kind.
    IpOption(u8),
    /// Any IPv4 option.
    AnyIpOption,
    /// Source and destination are one.
    SameAddress,
}

/// What few packets have, one bit each. A rule that needs one of these is passed over at once for all others.
pub mod rare {
    use crate::header::Header;

    /// IPv4 options.
    pub const IP_OPTIONS: u8 = 1;
    /// More fragments, or the reserved bit.
    pub const FRAGMENT_BITS: u8 = 2;
    /// One address at both ends.
    pub const SAME_ADDRESS: u8 = 4;
    /// A TTL below 2.
    pub const LAST_HOP: u8 = 8;
    /// IPv6 extension headers.
    pub const EXTENSION_HEADERS: u8 = 16;

    /// What of it a packet has.
    pub fn of(header: &Header) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        bit(header.ip_options.is_some_and(|options| !options.is_empty()), IP_OPTIONS)
            | bit(header.fragment_bits.is_some_and(|bits| bits & 5 != 0), FRAGMENT_BITS)
            | bit(header.source == header.target, SAME_ADDRESS)
            | bit(header.ttl.is_some_and(|ttl| ttl < 2), LAST_HOP)
            | bit(header.extension_headers > 0, EXTENSION_HEADERS)
    }
}

impl Test {
    /// What a packet must have of what is rare, or this can't hold.
    pub fn needs(&self) -> u8 {
        match self {
            Test::IpOption(_) | Test::AnyIpOption => rare::IP_OPTIONS,
            Test::FragmentBits(bits) if !bits.fit(0) && !bits.fit(2) => rare::FRAGMENT_BITS,
            Test::SameAddress => rare::SAME_ADDRESS,
            Test::Ttl(numbers) if numbers.are_below(2) => rare::LAST_HOP,
            Test::ExtensionHeaders(numbers) if !numbers.has(0) => rare::EXTENSION_HEADERS,
            Test::FragmentBits(_) | Test::Protocol(_) | Test::Number(..) | Test::Ttl(_) | Test::ExtensionHeaders(_) => 0,
            Test::IcmpType(_) | Test::Flags(_) => 0,
        }
    }

    /// What parts packets best is looked at first; what rules are sorted by is nearly settled before.
    pub fn order(&self) -> u8 {
        match self {
            Test::Number(_, numbers) if numbers.one().is_some() => 0,
            Test::Number(..) | Test::Ttl(_) | Test::ExtensionHeaders(_) => 1,
            Test::FragmentBits(_) | Test::IpOption(_) | Test::AnyIpOption | Test::SameAddress => 2,
            Test::IcmpType(_) | Test::Flags(_) | Test::Protocol(_) => 3,
        }
    }

    /// Whether the packet is so.
    #[inline]
    pub fn holds(&self, header: &Header) -> bool {
        match self {
            Test::Protocol(numbers) => numbers.has(header.protocol.0.into()),
            Test::Number(field, numbers) => field.of(header).is_some_and(|(least, most)| numbers.have(least, most)),
            Test::Ttl(numbers) => header.ttl.is_some_and(|ttl| numbers.has(ttl.into())),
            Test::ExtensionHeaders(numbers) => numbers.has(header.extension_headers.into()),
            Test::IcmpType(numbers) => header.icmp.is_some_and(|(kind, _)| numbers.has(kind.into())),
            Test::Flags(bits) => header.flags.is_some_and(|flags| bits.fit(flags.0)),
            Test::FragmentBits(bits) => header.fragment_bits.is_some_and(|known| bits.fit(known)),
            Test::IpOption(kind) => header.ip_options.is_some_and(|options| options.has(*kind)),
            Test::AnyIpOption => header.ip_options.is_some_and(|options| !options.is_empty()),
            Test::SameAddress => header.source == header.target,
        }
    }
}

/// A test of single bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    wanted: u8,
    /// Bits that don't count.
    mask: u8,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// These and no others.
    Exactly,
    /// These, and any others: `+`.
    All,
    /// One of these: `*`.
    Any,
    /// None of these: `!`.
    None,
}

impl Bits {
    /// Whether these bits are as wanted.
    pub fn fit(&self, bits: u8) -> bool {
        let bits = bits & !self.mask;
        match self.how {
            How::Exactly => bits == self.wanted,
            How::All => bits & self.wanted == self.wanted,
            How::Any => bits & self.wanted != 0,
            How::None => bits & self.wanted == 0,
        }
    }

    /// Reads letters with a sign before or behind them, and behind a comma letters that don't count.
    fn read(text: &str, letter: impl Fn(char) -> Option<u8>, letters: &str) -> Result<Bits, String> {
        let sum = |text: &str| {
            text.chars().filter(|c| !c.is_whitespace()).try_fold(0, |bits, c| {
                letter(c.to_ascii_uppercase()).map(|bit| bits | bit).ok_or_else(|| format!("'{c}' is none of {letters}"))
            })
        };
        let (wanted, mask) = text.split_once(',').unwrap_or((text, ""));
        let wanted = wanted.trim();
        let sign = |c: char| matches!(c, '+' | '*' | '!');
        let how = match wanted.chars().find(|c| sign(*c)) {
            None => How::Exactly,
            Some('+') => How::All,
            Some('*') => How::Any,
            Some(_) => How::None,
        };
        let names = wanted.trim_start_matches(sign).trim_end_matches(sign);
        if names.is_empty() {
            return Err(format!("some of {letters} are wanted"));
        }
        let mask = sum(mask)?;
        Ok(Bits { wanted: sum(names)? & !mask, mask, how })
    }
}
