//! The packet record that Linux writes for iptables' LOG and nftables' `log` (net/netfilter/nf_log_syslog.c).
//! Never looks at who wrote the line: that is settled before, in `framing`.
//!
//! A record starts at the first `IN=name OUT=name`, glued to its prefix or not, and runs on in space-separated keys and words.
//! Behind it nothing may stand but another such record: free text there means that somebody else wrote part of the line.

use super::Record;
use super::text::{address_value, hexadecimal, nibble, number, protocol, skip_spaces, until_space, v4, value};
use crate::facts::{Chain, Facts, Fragment, Handling, TcpOptions};
use crate::guessing::Details;
use model::event::TcpFlags;
use model::net::Protocol;
use signatures::header::IpOptions;
use std::net::IpAddr;

/// IP's and TCP's headers have room for so many bytes of options.
pub(super) const OPTION_BYTES: usize = 40;
/// The kernel's names of interfaces are shorter (IFNAMSIZ is 16, with the closing zero).
const INTERFACE_BYTES: usize = 15;

/// Where a record starts.
#[derive(Debug)]
pub(super) struct Start<'l> {
    /// All text before it.
    pub before: &'l [u8],
    interface_in: &'l [u8],
    interface_out: &'l [u8],
    fields: &'l [u8],
}

/// Finds the first record.
#[inline]
pub(super) fn find(text: &[u8]) -> Option<Start<'_>> {
    memchr::memchr_iter(b'=', text).find_map(|at| start_at(text, at))
}

/// Reads the pair of interfaces around the equals sign at `at`.
#[inline]
fn start_at(text: &[u8], at: usize) -> Option<Start<'_>> {
    let before = text.get(..at)?.strip_suffix(b"IN")?;
    let (interface_in, rest) = interface(text.get(at + 1..)?)?;
    let mut rest = rest.strip_prefix(b" ")?;
    if let Some(bridge_port) = rest.strip_prefix(b"PHYSIN=") {
        rest = interface(bridge_port)?.1.strip_prefix(b" ")?;
    }
    let (interface_out, fields) = interface(rest.strip_prefix(b"OUT=")?)?;
    Some(Start { before, interface_in, interface_out, fields })
}

/// Splits an interface's name off the front. Looks no further than a name can reach, so that a line full of `IN=` costs no more than others.
#[inline]
fn interface(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let near = text.get(..INTERFACE_BYTES + 1).unwrap_or(text);
    let (name, _) = until_space(near);
    if name.len() > INTERFACE_BYTES { None } else { text.split_at_checked(name.len()) }
}

/// Reads a record. `Ok` has what stands behind it (nothing, or text that is no part of it); `Err` has what stands behind
/// the point from which it can't be read.
#[inline]
pub(super) fn read<'l>(start: &Start<'l>, prefix: &'l [u8], handling: Handling) -> Result<(Record<'l>, &'l [u8]), &'l [u8]> {
    let mut fields = Fields::default();
    let rest = fields.read(start.fields)?;
    let details = Details::Logged(start.fields.get(..start.fields.len() - rest.len()).unwrap_or_default());
    let chain = match (start.interface_in.is_empty(), start.interface_out.is_empty()) {
        (true, false) => Chain::Output,
        (false, false) => Chain::Forward,
        (_, true) => Chain::Input,
    };
    let loopback = start.interface_in == b"lo";
    let facts = fields.facts(rest.is_empty(), chain, handling, loopback).ok_or(rest)?;
    Ok((Record { facts, interface_in: start.interface_in, interface_out: start.interface_out, prefix, details }, rest))
}

/// A key of the record, or the start of one, as a number that can be compared at once.
const fn key(text: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*text)
}

/// All of a key but its fourth byte.
const THREE: u32 = 0x00ff_ffff;

const fn key3(text: &[u8; 3]) -> u32 {
    u32::from_le_bytes([text[0], text[1], text[2], 0])
}

const ACK_NUMBER: u32 = key(b"ACK=");
const CODE: u32 = key(b"CODE");
const DPT: u32 = key(b"DPT=");
const DST: u32 = key(b"DST=");
const FRAG: u32 = key(b"FRAG");
const HOPLIMIT: u32 = key(b"HOPL");
const MAC: u32 = key(b"MAC=");
const TOS: u32 = key(b"TOS=");
const PREC: u32 = key(b"PREC");
const RES: u32 = key(b"RES=");
const INCOMPLETE: u32 = key(b"INCO");
const LEN: u32 = key(b"LEN=");
const OPT: u32 = key(b"OPT ");
const PROTO: u32 = key(b"PROT");
const SEQ: u32 = key(b"SEQ=");
const SPT: u32 = key(b"SPT=");
const SRC: u32 = key(b"SRC=");
const TTL: u32 = key(b"TTL=");
const TYPE: u32 = key(b"TYPE");
const URGP: u32 = key(b"URGP");
const WINDOW: u32 = key(b"WIND");
const UNKNOWN: u32 = key(b"Unkn");
const ID: u32 = key3(b"ID=");
const IN: u32 = key3(b"IN=");
const TC: u32 = key3(b"TC=");
const DF: u32 = key3(b"DF ");
const MF: u32 = key3(b"MF ");
const CE: u32 = key3(b"CE ");
const AH: u32 = key3(b"AH ");
const CWR: u32 = key(b"CWR ");
const ECE: u32 = key(b"ECE ");
const URG: u32 = key(b"URG ");
const ACK: u32 = key(b"ACK ");
const PSH: u32 = key(b"PSH ");
const RST: u32 = key(b"RST ");
const SYN: u32 = key(b"SYN ");
const FIN: u32 = key(b"FIN ");
const ESP: u32 = key(b"ESP ");

/// What has been read of one record.
#[derive(Default)]
struct Fields {
    source: Option<IpAddr>,
    target: Option<IpAddr>,
    protocol: Option<Protocol>,
    source_port: Option<u16>,
    port: Option<u16>,
    flags: u8,
    flags_end: bool,
    kind: Option<u8>,
    code: Option<u8>,
    length: Option<u32>,
    ttl: Option<u8>,
    ip_id: Option<u16>,
    service: Option<u8>,
    /// IPv4's three bits beside the fragment's offset.
    fragment_bits: u8,
    ip_options: Option<IpOptions>,
    window: Option<u16>,
    sequence: Option<u32>,
    acknowledgment: Option<u32>,
    options: Option<TcpOptions>,
    /// What UDP says of its own length.
    datagram_bytes: Option<u32>,
    echo_id: Option<u16>,
    echo_sequence: Option<u16>,
    extension_headers: u8,
    /// The protocol that a named extension header stands for (`AH`, `ESP`), if no `PROTO=` follows.
    named_header: Option<Protocol>,
    offset: Option<u16>,
    more: bool,
    /// Whether no transport header follows: cut off on the way, or of a protocol whose header the kernel doesn't write out.
    headless: bool,
}

/// Puts a value in a place that is still empty; a key that comes twice belongs to somebody else.
#[inline]
fn put<'l, T>(place: &mut Option<T>, (value, rest): (T, &'l [u8])) -> Option<&'l [u8]> {
    if place.is_some() {
        return None;
    }
    *place = Some(value);
    Some(rest)
}

impl Fields {
    #[inline]
    fn read<'l>(&mut self, text: &'l [u8]) -> Result<&'l [u8], &'l [u8]> {
        let mut rest = skip_spaces(text);
        while !rest.is_empty() {
            match self.step(rest) {
                Step::On(behind) => rest = skip_spaces(behind),
                Step::Foreign => return Ok(rest),
                // At least one byte is left behind, so that whoever looks on from there comes to an end.
                Step::Unreadable => return Err(rest.get(1..).unwrap_or_default()),
            }
        }
        Ok(rest)
    }

    /// Reads one key or word at the front of `rest`.
    #[inline]
    fn step<'l>(&mut self, rest: &'l [u8]) -> Step<'l> {
        let word = match rest.first_chunk::<4>() {
            Some(four) => u32::from_le_bytes(*four),
            None => short_word(rest),
        };
        let after = |length: usize| rest.get(length..).unwrap_or_default();
        let read = match word {
            SRC => self.common_header(rest).or_else(|| address_value(after(4)).and_then(|read| put(&mut self.source, read))),
            DST => address_value(after(4)).and_then(|read| put(&mut self.target, read)),
            LEN if self.protocol.is_some() => Some(note(&mut self.datagram_bytes, after(4))),
            LEN => value(after(4)).and_then(|read| put(&mut self.length, read)),
            TTL => value(after(4)).and_then(|read| put(&mut self.ttl, read)),
            PROTO => self.protocol(rest),
            SPT => value(after(4)).and_then(|read| put(&mut self.source_port, read)),
            DPT => value(after(4)).and_then(|read| put(&mut self.port, read)),
            WINDOW => rest.strip_prefix(b"WINDOW=").and_then(value).and_then(|read| put(&mut self.window, read)),
            TOS => {
                // ulogd writes it without the 0x.
                let (digits, behind) = until_space(after(4));
                let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
                self.service = <[u8; 2]>::try_from(digits).ok().and_then(byte);
                Some(behind)
            }
            PREC => {
                let precedence = rest.get(5..9).and_then(hexadecimal).and_then(|bits| u8::try_from(bits).ok());
                self.service = self.service.zip(precedence).map(|(service, precedence)| service | precedence);
                Some(skip_fixed(rest, 9))
            }
            RES => Some(skip_fixed(rest, 8)),
            MAC => Some(skip_mac(rest)),
            SEQ if self.protocol == Some(Protocol::TCP) => value(after(4)).and_then(|read| put(&mut self.sequence, read)),
            SEQ => Some(note(&mut self.echo_sequence, after(4))),
            ACK_NUMBER => Some(note(&mut self.acknowledgment, after(4))),
            CWR => return self.flag(TcpFlags::CWR, after(4)),
            ECE => return self.flag(TcpFlags::ECE, after(4)),
            URG => return self.flag(TcpFlags::URG, after(4)),
            ACK => return self.flag(TcpFlags::ACK, after(4)),
            PSH => return self.flag(TcpFlags::PSH, after(4)),
            RST => return self.flag(TcpFlags::RST, after(4)),
            SYN => return self.flag(TcpFlags::SYN, after(4)),
            FIN => return self.flag(TcpFlags::FIN, after(4)),
            URGP => {
                self.flags_end = true;
                Some(skip_number(after(5)))
            }
            OPT => self.options(rest),
            HOPLIMIT => rest.strip_prefix(b"HOPLIMIT=").and_then(value).and_then(|read| put(&mut self.ttl, read)),
            TYPE => rest.strip_prefix(b"TYPE=").and_then(value).and_then(|read| put(&mut self.kind, read)),
            CODE => rest.strip_prefix(b"CODE=").and_then(value).and_then(|read| put(&mut self.code, read)),
            FRAG => self.fragment(rest),
            INCOMPLETE => {
                self.headless = true;
                Some(skip(rest))
            }
            ESP => self.named_header(rest, Protocol::ESP),
            UNKNOWN => rest.strip_prefix(b"Unknown Ext Hdr ").and_then(number).map(|(_, rest)| rest),
            other => return self.short_key(other & THREE, rest),
        };
        read.map_or(Step::Unreadable, Step::On)
    }

    /// The IPv4 header up to its identification, in the order in which the kernel always writes it: a shortcut for most lines.
    /// Takes nothing if anything is unusual; then it is read key by key.
    #[inline]
    fn common_header<'l>(&mut self, text: &'l [u8]) -> Option<&'l [u8]> {
        if self.source.is_some() || self.target.is_some() || self.length.is_some() || self.ttl.is_some() || self.ip_id.is_some() {
            return None;
        }
        let (source, rest) = v4(text.strip_prefix(b"SRC=")?)?;
        let (target, rest) = v4(rest.strip_prefix(b" DST=")?)?;
        let (length, rest) = number(rest.strip_prefix(b" LEN=")?)?;
        let (service, rest) = rest.strip_prefix(b" TOS=0x")?.split_first_chunk::<2>()?;
        let (precedence, rest) = rest.strip_prefix(b" PREC=0x")?.split_first_chunk::<2>()?;
        let (ttl, rest) = number(rest.strip_prefix(b" TTL=")?)?;
        let (ip_id, rest) = value(rest.strip_prefix(b" ID=")?)?;
        self.ttl = Some(u8::try_from(ttl).ok()?);
        self.service = byte(*service).zip(byte(*precedence)).map(|(service, precedence)| service | precedence);
        (self.source, self.target) = (Some(IpAddr::V4(source)), Some(IpAddr::V4(target)));
        (self.length, self.ip_id) = (Some(length), Some(ip_id));
        Some(rest)
    }

    /// Keys of one or two letters, and everything that only has the form of one.
    #[inline]
    fn short_key<'l>(&mut self, word: u32, rest: &'l [u8]) -> Step<'l> {
        let after = rest.get(3..).unwrap_or_default();
        let read = match word {
            ID if self.protocol.is_some() => {
                note(&mut self.echo_id, after);
                Some(skip(rest))
            }
            ID => value(after).and_then(|read| put(&mut self.ip_id, read)),
            IN => return Step::Foreign,
            TC => value(after).and_then(|read| put(&mut self.service, read)),
            CE => {
                self.fragment_bits |= 4;
                Some(after)
            }
            DF => {
                self.fragment_bits |= 2;
                Some(after)
            }
            MF => {
                self.fragment_bits |= 1;
                self.more = true;
                Some(after)
            }
            AH => self.named_header(rest, Protocol::AH),
            _ => return other_word(rest),
        };
        read.map_or(Step::Unreadable, Step::On)
    }

    #[inline]
    fn protocol<'l>(&mut self, rest: &'l [u8]) -> Option<&'l [u8]> {
        let (name, rest) = until_space(rest.strip_prefix(b"PROTO=")?);
        // UDP-Lite: the kernel writes its number, and no ports. Any other number may be one that was cut.
        self.headless |= name == b"136";
        put(&mut self.protocol, (protocol(name)?, rest))
    }

    /// Flags stand between the window and the urgent pointer; elsewhere such a word is somebody else's.
    #[inline]
    fn flag<'l>(&mut self, bit: u8, behind: &'l [u8]) -> Step<'l> {
        if self.protocol != Some(Protocol::TCP) || self.flags_end {
            return Step::Foreign;
        }
        self.flags |= bit;
        Step::On(behind)
    }

    /// `FRAG:185`, for IPv6 with `INCOMPLETE` behind it if more fragments follow.
    fn fragment<'l>(&mut self, rest: &'l [u8]) -> Option<&'l [u8]> {
        let (offset, rest) = value(rest.strip_prefix(b"FRAG:")?)?;
        let rest = put(&mut self.offset, (offset, rest))?;
        self.extension_headers = self.extension_headers.saturating_sub(1);
        match rest.strip_prefix(b" INCOMPLETE ") {
            Some(behind) => {
                self.more = true;
                Some(behind)
            }
            None => Some(rest),
        }
    }

    fn named_header<'l>(&mut self, rest: &'l [u8], protocol: Protocol) -> Option<&'l [u8]> {
        self.extension_headers = self.extension_headers.saturating_sub(1);
        self.named_header = Some(protocol);
        Some(skip(rest))
    }

    /// `OPT (…)`: IP options or an IPv6 extension header before the protocol, TCP options behind the urgent pointer.
    fn options<'l>(&mut self, rest: &'l [u8]) -> Option<&'l [u8]> {
        let inside = rest.strip_prefix(b"OPT (")?;
        if self.protocol.is_none() && self.source.is_some_and(|source| source.is_ipv6()) {
            // What stands inside is read as words of the record; a lone bracket ends it.
            self.extension_headers = self.extension_headers.saturating_add(1);
            return Some(inside);
        }
        let end = memchr::memchr(b')', inside)?;
        let (digits, behind) = inside.split_at(end);
        if self.protocol == Some(Protocol::TCP) {
            self.options = Some(tcp_options(digits)?);
        } else if self.protocol.is_none() {
            self.ip_options = hexadecimal_bytes(digits).map(|(bytes, length)| IpOptions::of(bytes.get(..length).unwrap_or_default()));
        }
        behind.get(1..)
    }

    fn facts(&self, whole: bool, chain: Chain, handling: Handling, loopback: bool) -> Option<Facts> {
        let (source, target) = (self.source?, self.target?);
        if source.is_ipv4() != target.is_ipv4() {
            return None;
        }
        let fragment = match (self.offset, self.more) {
            (Some(1..), _) => Fragment::Later,
            (_, true) => Fragment::First,
            (None | Some(0), false) => Fragment::Whole,
        };
        let protocol = self.protocol.or(self.named_header).or_else(|| self.unnamed(whole, fragment))?;
        let headless = self.headless || fragment == Fragment::Later;
        // A transport header that the kernel saw is written out in full: a line without it was cut.
        let has_ports = self.source_port.is_some() && self.port.is_some();
        if matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::UDPLITE) && !has_ports && !headless {
            return None;
        }
        let icmp = self.kind.zip(self.code);
        // The other version's is a number to the kernel like any other.
        let own_icmp = if source.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
        if protocol == own_icmp && icmp.is_none() && !headless {
            return None;
        }
        // What is not written there is not there: only IPv4 has these at all.
        let of_v4 = source.is_ipv4();
        let data = self.datagram_bytes.filter(|_| protocol == Protocol::UDP || protocol == Protocol::UDPLITE);
        Some(Facts {
            source,
            target,
            protocol,
            service: self.service,
            fragment_bits: of_v4.then_some(self.fragment_bits),
            ip_options: if of_v4 { Some(self.ip_options.unwrap_or_default()) } else { None },
            data: data.filter(|_| fragment == Fragment::Whole).and_then(|bytes| bytes.checked_sub(8)),
            echo: self.echo_id.zip(self.echo_sequence).filter(|_| icmp.is_some()),
            acknowledgment: self.acknowledgment.filter(|_| protocol == Protocol::TCP),
            source_port: self.source_port,
            port: self.port,
            flags: (protocol == Protocol::TCP && self.flags_end).then_some(TcpFlags(self.flags)),
            icmp,
            length: self.length,
            ttl: self.ttl,
            ip_id: self.ip_id,
            window: self.window,
            sequence: self.sequence,
            options: self.options.unwrap_or(TcpOptions::Unknown),
            extension_headers: self.extension_headers,
            fragment,
            chain,
            handling,
            established: false,
            loopback,
        })
    }

    /// For IPv6 the kernel stops without naming a protocol at an ESP header, and at some headers of later fragments.
    fn unnamed(&self, whole: bool, fragment: Fragment) -> Option<Protocol> {
        const IPV6_FRAGMENT: Protocol = Protocol(44);
        (whole && self.ttl.is_some() && self.source?.is_ipv6()).then_some(())?;
        Some(if fragment == Fragment::Later { IPV6_FRAGMENT } else { Protocol::ESP })
    }
}

enum Step<'l> {
    /// Read; this is left.
    On(&'l [u8]),
    /// This is no part of the record.
    Foreign,
    /// This is part of the record and wrong.
    Unreadable,
}

fn short_word(rest: &[u8]) -> u32 {
    let mut four = [b' '; 4];
    four.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    u32::from_le_bytes(four)
}

#[inline]
fn skip(rest: &[u8]) -> &[u8] {
    until_space(rest).1
}

/// Skips a word whose length is known if it is written as the kernel does (`TOS=0x00`).
#[inline]
fn skip_fixed(rest: &[u8], length: usize) -> &[u8] {
    match rest.get(length..) {
        Some(behind @ [b' ', ..]) => behind,
        _ => skip(rest),
    }
}

/// Skips an Ethernet header: fourteen bytes, so that thirteen colons stand at known places. Other links' headers have other lengths.
#[inline]
fn skip_mac(rest: &[u8]) -> &[u8] {
    const ETHERNET: usize = "MAC=".len() + 14 * 3 - 1;
    let colons = |header: &[u8]| header.get(4..).is_some_and(|header| header.chunks_exact(3).all(|byte| matches!(byte, [_, _, b':'])));
    match rest.split_at_checked(ETHERNET) {
        Some((header, behind @ [b' ', ..])) if colons(header) => behind,
        _ => skip(rest),
    }
}

/// Reads a number that is good to know, and goes on behind its digits whether it can be one or not. Keys that can be a record's last are
/// read so, as the next line may be glued to them.
#[inline]
fn note<'l, T: TryFrom<u32>>(place: &mut Option<T>, rest: &'l [u8]) -> &'l [u8] {
    match number(rest) {
        Some((number, behind)) => {
            *place = place.take().or_else(|| T::try_from(number).ok());
            behind
        }
        None => skip_number(rest),
    }
}

/// Skips a number that nobody needs.
#[inline]
fn skip_number(rest: &[u8]) -> &[u8] {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest.get(digits..).unwrap_or_default()
}

/// A word that tells nothing we need, if the kernel could have written it: a key in capitals with its value, a bracketed header of the packet
/// that an ICMP error quotes, or one of a few words.
#[inline]
fn other_word(rest: &[u8]) -> Step<'_> {
    if rest.first() == Some(&b'[') {
        return Step::On(behind_brackets(rest));
    }
    let name = rest.iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count();
    let (word, behind) = until_space(rest);
    match rest.get(name) {
        Some(b'=') if name > 0 && !word.starts_with(b"OUT=") => Step::On(behind),
        _ if matches!(word, b"TRUNCATED" | b")") || word.starts_with(b"ID:") => Step::On(behind),
        _ => Step::Foreign,
    }
}

/// What follows the bracket that closes the first one; nothing if none does.
fn behind_brackets(text: &[u8]) -> &[u8] {
    let mut depth = 0_u32;
    for at in memchr::memchr2_iter(b'[', b']', text) {
        if text.get(at) == Some(&b'[') {
            depth += 1;
        } else {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return text.get(at + 1..).unwrap_or_default();
            }
        }
    }
    &[]
}

/// Options as bytes, of IP or TCP, and how many they are: at most 40.
pub(super) fn hexadecimal_bytes(digits: &[u8]) -> Option<([u8; OPTION_BYTES], usize)> {
    let digits = digits.trim_ascii();
    let mut bytes = [0_u8; OPTION_BYTES];
    if !digits.len().is_multiple_of(2) || digits.len() / 2 > OPTION_BYTES {
        return None;
    }
    for (place, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *place = byte([high, low])?;
    }
    Some((bytes, digits.len() / 2))
}

/// A byte in two hexadecimal digits.
#[inline]
fn byte([high, low]: [u8; 2]) -> Option<u8> {
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Reads TCP options as hexadecimal digits (RFC 9293 §3.2; SACK-permitted RFC 2018, window scale and timestamps RFC 7323).
fn tcp_options(digits: &[u8]) -> Option<TcpOptions> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    const SACK_PERMITTED: u8 = 4;
    const TIMESTAMPS: u8 = 8;
    let (bytes, length) = hexadecimal_bytes(digits)?;
    let mut system = false;
    let mut rest = bytes.get(..length)?;
    while let [kind, behind @ ..] = rest {
        rest = match *kind {
            END => break,
            NO_OPERATION => behind,
            kind => {
                system |= matches!(kind, WINDOW_SCALE | SACK_PERMITTED | TIMESTAMPS);
                // A length that does not fit ends the list, as it does in the kernel.
                let size = usize::from(behind.first().copied().unwrap_or(0));
                if size < 2 {
                    break;
                }
                rest.get(size..).unwrap_or_default()
            }
        };
    }
    Some(if length == 0 { TcpOptions::Absent } else { TcpOptions::Present { bytes: length as u8, system } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_an_operating_system_are_told_from_a_tools() {
        let present = |bytes, system| Some(TcpOptions::Present { bytes, system });
        assert_eq!(tcp_options(b"020405B40402080A000000000000000001030307"), present(20, true));
        assert_eq!(tcp_options(b"020405B4"), present(4, false));
        assert_eq!(tcp_options(b"0204"), present(2, false));
        assert_eq!(tcp_options(b"0300"), present(2, true));
        assert_eq!(tcp_options(b""), Some(TcpOptions::Absent));
        assert_eq!(tcp_options(b"0"), None);
        assert_eq!(tcp_options(b"zz"), None);
        assert_eq!(tcp_options(&[b'0'; 82]), None);
    }

    #[test]
    fn a_record_starts_only_at_a_full_pair_of_interfaces() {
        assert!(find(b"[IN=wan] DROP IN=eth0 OUT= SRC=").is_some_and(|start| start.before == b"[IN=wan] DROP "));
        assert!(find(b"DROPIN=eth0 OUT= ").is_some_and(|start| start.before == b"DROP"));
        assert!(find(b"IN=eth0 x OUT= ").is_none());
        assert!(find(b"IN=abcdefghijklmnopqrst OUT= ").is_none());
    }
}
