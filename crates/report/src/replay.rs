//! The lines of `riposte replay`: the stable machine interface, one JSON object a line. Field names, their order and
//! what is left out are promised in the manual; only optional fields may ever be added.

use crate::json::{address, number, text};
use crate::offender::SignatureLine;
use crate::picture::Tops;
use crate::serial::to_json_line;
use crate::time::write_rfc3339;
use model::event::{TcpFlags, Trust};
use model::net::{Prefix, Protocol};
use model::time::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

pub use crate::replay_csv::{EVENT_HEADER, OFFENDER_HEADER};
pub use crate::replay_text::{offender_table, signature_table, system_table};

/// One packet that was seen (`--events`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLine<'a> {
    /// The line or packet of the file, from 1.
    pub line: u64,
    /// When.
    pub time: Time,
    /// Who.
    pub actor: IpAddr,
    /// To whom.
    pub target: Option<IpAddr>,
    /// The IP protocol.
    pub protocol: Protocol,
    /// The source port.
    pub source_port: Option<u16>,
    /// The destination port.
    pub port: Option<u16>,
    /// TCP flags, in Linux's order; a null scan has an empty list.
    pub flags: Option<TcpFlags>,
    /// Which way: `input`, `forward` or `output`.
    pub chain: Option<&'static str>,
    /// The interface it came in on. Whatever the log has there.
    pub interface: Option<&'a [u8]>,
    /// The firewall rule's prefix. Whatever the log has there.
    pub prefix: Option<&'a [u8]>,
    /// Could the actor's address be forged? Absent for what is ignored.
    pub trust: Option<Trust>,
    /// How many times in a row; printed only if more than once.
    pub times: u32,
    /// Why it is evidence of nothing; absent for evidence.
    pub ignored: Option<&'static str>,
}

/// What matched how often, in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopSignature {
    /// Which, and how often.
    #[serde(flatten)]
    pub signature: SignatureLine,
    /// By how many sources.
    pub sources: u64,
}

/// The last line: what was read and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct SummaryLine {
    /// Lines read.
    pub lines: u64,
    /// Events found in them.
    pub events: u64,
    /// Offenders.
    pub offenders: u64,
    /// Packets that are evidence of nothing.
    pub ignored: u64,
    /// Lines that no sensor understands.
    pub unparsed: u64,
    /// The signatures that matched, the most frequent first; not printed if none did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<TopSignature>,
    /// The busiest of everything, if that was asked for.
    #[serde(flatten)]
    pub tops: Option<Tops>,
}

/// Writes `,"name":` and then what the closure writes.
fn field(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value(out);
}

/// Writes `,"name":number`.
fn field_number(name: &str, value: u64, out: &mut Vec<u8>) {
    field(name, out, |out| number(value, out));
}

/// Writes `,"name":"word"` for one of our own words, which need no escape.
fn field_word(name: &str, word: &str, out: &mut Vec<u8>) {
    field(name, out, |out| quoted(out, |out| out.extend_from_slice(word.as_bytes())));
}

fn quoted(out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    value(out);
    out.push(b'"');
}

/// Writes a list with what the closure writes for each entry.
fn list<T>(entries: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (n, entry) in entries.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(entry, out);
    }
    out.push(b']');
}

fn words<'w>(entries: impl IntoIterator<Item = &'w str>, out: &mut Vec<u8>) {
    list(entries, out, |word, out| quoted(out, |out| out.extend_from_slice(word.as_bytes())));
}

/// Writes a protocol's name, or its number as a word.
pub(crate) fn protocol(protocol: Protocol, out: &mut Vec<u8>) {
    match protocol.name() {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => number(u64::from(protocol.0), out),
    }
}

pub(crate) fn prefix(prefix: Prefix, out: &mut Vec<u8>) {
    address(prefix.addr(), out);
    if !prefix.is_host() {
        out.push(b'/');
        number(u64::from(prefix.bits()), out);
    }
}

impl EventLine<'_> {
    /// Appends the line, with its newline.
    pub fn to_json_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"event\"");
        field_number("line", self.line, out);
        field("time", out, |out| quoted(out, |out| write_rfc3339(self.time, out)));
        field("actor", out, |out| quoted(out, |out| address(self.actor, out)));
        if let Some(target) = self.target {
            field("target", out, |out| quoted(out, |out| address(target, out)));
        }
        field("proto", out, |out| quoted(out, |out| protocol(self.protocol, out)));
        if let Some(port) = self.source_port {
            field_number("sport", u64::from(port), out);
        }
        if let Some(port) = self.port {
            field_number("dport", u64::from(port), out);
        }
        if let Some(flags) = self.flags {
            field("flags", out, |out| words(flags.names(), out));
        }
        if let Some(chain) = self.chain {
            field_word("chain", chain, out);
        }
        if let Some(interface) = self.interface {
            field("interface", out, |out| text(interface, out));
        }
        if let Some(prefix) = self.prefix {
            field("prefix", out, |out| text(prefix, out));
        }
        if let Some(trust) = self.trust {
            field_word("trust", trust.word(), out);
        }
        if self.times > 1 {
            field_number("times", u64::from(self.times), out);
        }
        if let Some(ignored) = self.ignored {
            field("ignored", out, |out| text(ignored.as_bytes(), out));
        }
        out.extend_from_slice(b"}\n");
    }
}

impl SummaryLine {
    /// The line as it is printed, with its newline.
    pub fn to_json_line(&self) -> String {
        // Texts, numbers and lists of them can always be written.
        to_json_line(self).unwrap_or_default()
    }
}
