//! The lines of `riposte replay --csv` (RFC 4180). No cell can be taken for a formula by a spreadsheet, and none has a
//! control character.

use crate::escape;
use crate::json::{address, number};
use crate::offender::OffenderLine;
use crate::replay::{EventLine, prefix, protocol};
use crate::time::write_rfc3339;

/// Titles of [`EventLine::to_csv_line`].
pub const EVENT_HEADER: &str = "line,time,actor,target,proto,sport,dport,flags,chain,interface,prefix,trust,times,ignored\r\n";
/// Titles of [`OffenderLine::to_csv_line`].
pub const OFFENDER_HEADER: &str =
    "address,level,styles,targets,packets,tcp_ports,udp_ports,protocols,signatures,first,last,trust,action,seconds,why\r\n";

/// Characters of one cell.
const CELL_CHARS: usize = 4_096;

/// Appends a text as a cell of a table with this separator. One that begins like a formula gets an apostrophe in front, which spreadsheets take for
/// "this is text" (OWASP, "CSV Injection").
pub fn cell(bytes: &[u8], separator: char, out: &mut Vec<u8>) {
    let text = escape::bytes(bytes, CELL_CHARS);
    let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if text.contains(['"', separator]) || text.starts_with(' ') || text.ends_with(' ') {
        let doubled = text.replace('"', "\"\"");
        out.extend(["\"", guard, &doubled, "\""].concat().as_bytes());
    } else {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

fn joined<'w>(words: impl IntoIterator<Item = &'w str>, out: &mut Vec<u8>) {
    for (n, word) in words.into_iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

/// Port ranges as `22 80-443`.
pub(crate) fn ports(ranges: &[(u16, u16)]) -> Vec<String> {
    ranges.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") }).collect()
}

impl EventLine<'_> {
    /// Appends the line, with its line end.
    pub fn to_csv_line(&self, out: &mut Vec<u8>) {
        let optional = |value: Option<u16>, out: &mut Vec<u8>| {
            if let Some(value) = value {
                number(u64::from(value), out);
            }
            out.push(b',');
        };
        number(self.line, out);
        out.push(b',');
        write_rfc3339(self.time, out);
        out.push(b',');
        address(self.actor, out);
        out.push(b',');
        if let Some(target) = self.target {
            address(target, out);
        }
        out.push(b',');
        protocol(self.protocol, out);
        out.push(b',');
        optional(self.source_port, out);
        optional(self.port, out);
        if let Some(flags) = self.flags {
            joined(flags.names(), out);
        }
        out.push(b',');
        out.extend_from_slice(self.chain.unwrap_or_default().as_bytes());
        out.push(b',');
        cell(self.interface.unwrap_or_default(), ',', out);
        out.push(b',');
        cell(self.prefix.unwrap_or_default(), ',', out);
        out.push(b',');
        out.extend_from_slice(self.trust.map_or("", |trust| trust.word()).as_bytes());
        out.push(b',');
        number(u64::from(self.times), out);
        out.push(b',');
        cell(self.ignored.unwrap_or_default().as_bytes(), ',', out);
        out.extend_from_slice(b"\r\n");
    }
}

impl OffenderLine {
    /// Appends the line, with its line end.
    pub fn to_csv_line(&self, out: &mut Vec<u8>) {
        prefix(self.address.0, out);
        out.push(b',');
        number(u64::from(self.level.number()), out);
        out.push(b',');
        joined(self.styles.iter().map(|style| style.word()), out);
        for value in [u64::from(self.targets), self.packets] {
            out.push(b',');
            number(value, out);
        }
        for ranges in [&self.ports.tcp, &self.ports.udp] {
            out.push(b',');
            out.extend_from_slice(ports(ranges).join(" ").as_bytes());
        }
        out.push(b',');
        number(u64::from(self.protocols), out);
        out.push(b',');
        let signatures: Vec<String> =
            self.signatures.iter().map(|line| format!("{} {} ({})", line.sid, line.message, line.count)).collect();
        cell(signatures.join("; ").as_bytes(), ',', out);
        for time in [self.first, self.last] {
            out.push(b',');
            write_rfc3339(time.0, out);
        }
        out.push(b',');
        out.extend_from_slice(self.trust.word().as_bytes());
        out.push(b',');
        out.extend_from_slice(self.decision.action.word().as_bytes());
        out.push(b',');
        if let Some(seconds) = self.decision.seconds {
            number(seconds, out);
        }
        out.push(b',');
        cell(self.decision.why.as_bytes(), ',', out);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        cell(text.as_bytes(), ',', &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        assert_eq!(written("DROP"), "DROP");
        assert_eq!(written("a,b"), "\"a,b\"");
        assert_eq!(written("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(written("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(written("@a,b"), "\"'@a,b\"");
        assert_eq!(written("-1"), "'-1");
        assert_eq!(written("+1"), "'+1");
        assert_eq!(written("\t=1"), "\\u{9}=1");
        assert_eq!(written("a\r\n=1"), "a\\u{d}\\u{a}=1");
        assert_eq!(written(""), "");
        let mut out = Vec::new();
        cell(b"a,b;c", ';', &mut out);
        assert_eq!(out, b"\"a,b;c\"");
    }
}
