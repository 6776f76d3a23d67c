//! One line on its way through decoders and rules: what was found in it so far. Keeps places in one buffer, so that no line costs an allocation.

use super::decoder::Kind;
use model::time::Time;
use std::sync::Arc;

/// A place in the event's text.
pub(crate) type Span = (u32, u32);

/// What decoders find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Field {
    DstUser,
    SrcUser,
    SrcIp,
    DstIp,
    SrcPort,
    DstPort,
    Protocol,
    Action,
    Id,
    Url,
    Data,
    Status,
    SystemName,
    FileName,
}

impl Field {
    pub const ALL: [Field; 14] = [
        Field::DstUser,
        Field::SrcUser,
        Field::SrcIp,
        Field::DstIp,
        Field::SrcPort,
        Field::DstPort,
        Field::Protocol,
        Field::Action,
        Field::Id,
        Field::Url,
        Field::Data,
        Field::Status,
        Field::SystemName,
        Field::FileName,
    ];

    /// OSSEC's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Field::DstUser => "dstuser",
            Field::SrcUser => "srcuser",
            Field::SrcIp => "srcip",
            Field::DstIp => "dstip",
            Field::SrcPort => "srcport",
            Field::DstPort => "dstport",
            Field::Protocol => "protocol",
            Field::Action => "action",
            Field::Id => "id",
            Field::Url => "url",
            Field::Data => "extra_data",
            Field::Status => "status",
            Field::SystemName => "system_name",
            Field::FileName => "filename",
        }
    }

    /// The field that an `<order>` names.
    pub fn named(word: &str) -> Option<Field> {
        match word {
            "user" => Some(Field::DstUser),
            "data" => Some(Field::Data),
            "systemname" => Some(Field::SystemName),
            word => Field::ALL.into_iter().find(|field| field.word() == word),
        }
    }
}

/// One line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    /// The line without control characters; behind it what was made up.
    pub text: Vec<u8>,
    /// How much of `text` is the line.
    pub full: u32,
    /// What decoders and rules look at: the line without its head.
    pub log: Span,
    pub host: Option<Span>,
    pub program: Option<Span>,
    fields: [Option<Span>; 14],
    /// Fields with names of their own (Wazuh).
    pub named: Vec<(Arc<str>, Span)>,
    /// In which order they were found.
    pub found: Vec<Field>,
    /// Which decoder read it; an index.
    pub decoder: Option<u32>,
    pub kind: Kind,
    /// Some field is no part of the log: patterns can't be chosen by what is in the log.
    pub foreign: bool,
    /// The rule that another OSSEC found already.
    pub forwarded: Option<u32>,
    pub at: Time,
}

impl Event {
    /// Forgets everything.
    pub fn clear(&mut self, at: Time) {
        self.text.clear();
        self.named.clear();
        self.found.clear();
        (self.full, self.log, self.host, self.program) = (0, (0, 0), None, None);
        (self.fields, self.decoder, self.kind, self.foreign) = ([None; 14], None, Kind::Syslog, false);
        (self.forwarded, self.at) = (None, at);
    }

    /// The text at a place.
    pub fn at(&self, span: Span) -> &[u8] {
        self.text.get(span.0 as usize..span.1 as usize).unwrap_or_default()
    }

    /// What decoders and rules look at.
    pub fn log(&self) -> &[u8] {
        self.at(self.log)
    }

    pub fn get(&self, field: Field) -> Option<&[u8]> {
        self.span(field).map(|span| self.at(span))
    }

    pub fn span(&self, field: Field) -> Option<Span> {
        self.fields.get(field as usize).copied().flatten()
    }

    pub fn set(&mut self, field: Field, span: Span) {
        if let Some(place) = self.fields.get_mut(field as usize) {
            *place = Some(span);
            if !self.found.contains(&field) {
                self.found.push(field);
            }
        }
    }

    /// Sets a field to what is not in the line.
    pub fn make(&mut self, field: Field, value: &[u8]) {
        let span = self.add(value);
        self.set(field, span);
    }

    /// Keeps a text that is not in the line.
    pub fn add(&mut self, value: &[u8]) -> Span {
        self.foreign = true;
        let from = self.text.len() as u32;
        self.text.extend_from_slice(value);
        (from, self.text.len() as u32)
    }

    /// A field with a name of its own, or one of OSSEC's.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let own = self.named.iter().rev().find(|(known, _)| &**known == name).map(|(_, span)| self.at(*span));
        own.or_else(|| Field::named(name).and_then(|field| self.get(field)))
    }
}
