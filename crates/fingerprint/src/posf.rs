//! psad's own method, for logs without TCP options: a system by window, length, time to live and how the identification goes on
//! over some SYNs. Its format: blocks of `OS name;`, `NUMPKTS n;`, `TOS n;`, `LEN n;`, `TTL n;`, `ID SMALLINCR|RANDOM;`, `WINDOW n;`.

use crate::number::{Number, shown};
use crate::{FINGERPRINTS, Problem};

/// The furthest that a sender is taken to be away (psad's `MAX_HOPS`).
const HOPS: u8 = 20;
/// Identifications that rise by less than this from one packet to the next are counted up.
const SMALL: u16 = 1_000;
/// SYNs of one source that are looked at.
pub const LOOKED_AT: usize = 100;

/// One SYN, as a log line without options tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// IPv4's type of service.
    pub tos: Option<u8>,
    /// The packet's length in bytes.
    pub length: u32,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub ip_id: u16,
    /// TCP's window.
    pub window: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fingerprint {
    name: String,
    packets: Option<u32>,
    tos: Option<u8>,
    length: Option<u32>,
    ttl: Option<u8>,
    counts_up: Option<bool>,
    window: Option<u16>,
}

/// A file's fingerprints.
#[derive(Debug, Clone, Default)]
pub struct Database(Vec<Fingerprint>);

/// Reads a file: what it has, and what is wrong with it, line by line; the rest counts all the same.
pub fn read(text: &str) -> (Database, Vec<Problem>) {
    let (mut all, mut problems): (Vec<Fingerprint>, Vec<Problem>) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut wrong = |text: String| problems.push(Problem { line: number + 1, text });
        let said = line.split_once(char::is_whitespace).map(|(key, value)| (key, value.split(';').next().unwrap_or_default().trim()));
        match (said, all.last_mut()) {
            (Some(("OS", name)), _) if !name.is_empty() => {
                if all.len() >= FINGERPRINTS {
                    wrong(format!("more than {FINGERPRINTS} fingerprints: the rest is left out"));
                    break;
                }
                all.push(Fingerprint { name: crate::name(&[name]), ..Fingerprint::default() });
            }
            (Some((key, value)), Some(fingerprint)) => {
                if let Err(text) = fingerprint.set(key, value) {
                    wrong(text);
                }
            }
            _ => wrong(format!("'{}' stands in no block: begin one with 'OS name;'", shown(line))),
        }
    }
    (Database(all), problems)
}

impl Fingerprint {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = |most: u32| match value.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16)) {
            Some(Ok(number)) if number <= most => Ok(number),
            Some(_) => Err(format!("'{}' is no number from 0 to {most}", shown(value))),
            None => match Number::read(value, most)? {
                Number::Exactly(number) => Ok(number),
                _ => Err(format!("'{}' is no number from 0 to {most}", shown(value))),
            },
        };
        match key {
            "NUMPKTS" => self.packets = Some(number(LOOKED_AT as u32)?.max(1)),
            "TOS" => self.tos = Some(number(255)? as u8),
            "LEN" => self.length = Some(number(65_535)?),
            "TTL" => self.ttl = Some(number(255)? as u8),
            "WINDOW" => self.window = Some(number(65_535)? as u16),
            "ID" => {
                self.counts_up = Some(match value {
                    "SMALLINCR" => true,
                    "RANDOM" => false,
                    other => return Err(format!("'{}' is neither SMALLINCR nor RANDOM", shown(other))),
                });
            }
            other => return Err(format!("'{}' is no key: OS, NUMPKTS, TOS, LEN, TTL, ID, WINDOW", shown(other))),
        }
        Ok(())
    }

    /// Whether so many SYNs of one source, in their order, are its.
    fn fits(&self, lines: &[Line]) -> bool {
        let seen = lines.len() >= self.packets.unwrap_or(1) as usize;
        let each = |line: &Line| {
            self.length.is_none_or(|length| length == line.length)
                && self.window.is_none_or(|window| window == line.window)
                && self.tos.is_none_or(|tos| line.tos.is_none_or(|seen| seen == tos))
                && self.ttl.is_none_or(|ttl| line.ttl <= ttl && ttl - line.ttl < HOPS)
        };
        let counts_up = lines.len() > 1 && lines.array_windows().all(|[a, b]| b.ip_id.wrapping_sub(a.ip_id) < SMALL);
        seen && lines.iter().all(each) && self.counts_up.is_none_or(|wanted| wanted == counts_up)
    }
}

impl Database {
    /// How many fingerprints there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first system that the SYNs of one source, in their order, fit.
    pub fn guess(&self, lines: &[Line]) -> Option<&str> {
        let lines = lines.get(..LOOKED_AT).unwrap_or(lines);
        self.0.iter().find(|fingerprint| !lines.is_empty() && fingerprint.fits(lines)).map(|fingerprint| fingerprint.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# systems\nOS   Counting System;\nNUMPKTS 3;\nTOS 0x10;\nLEN 60;\nTTL 64;\nID SMALLINCR;\nWINDOW 5840;\n\nOS Random System;\nNUMPKTS 2;\nLEN 60;\nTTL 64;\nID RANDOM;\nWINDOW 5840;\n";

    fn lines(ids: &[u16]) -> Vec<Line> {
        ids.iter().map(|id| Line { tos: Some(16), length: 60, ttl: 57, ip_id: *id, window: 5_840 }).collect()
    }

    #[test]
    fn how_the_identification_goes_on_tells_systems_apart() {
        let (database, problems) = read(FILE);
        assert_eq!((database.len(), problems), (2, vec![]));
        assert_eq!(database.guess(&lines(&[65_500, 100, 101])), Some("Counting System"));
        assert_eq!(database.guess(&lines(&[65_500, 100])), None);
        assert_eq!(database.guess(&lines(&[40_000, 7, 9_000])), Some("Random System"));
        assert_eq!(database.guess(&[]), None);
    }

    #[test]
    fn each_field_counts() {
        let (database, _) = read(FILE);
        let good = lines(&[1, 2, 3]);
        let with = |change: fn(&mut Line)| {
            let mut lines = good.clone();
            change(&mut lines[1]);
            database.guess(&lines)
        };
        assert_eq!(with(|_| ()), Some("Counting System"));
        let changes: [fn(&mut Line); 5] =
            [|line| line.length = 44, |line| line.ttl = 44, |line| line.ttl = 65, |line| line.window = 1, |line| line.tos = Some(0)];
        for change in changes {
            assert_eq!(with(change), None);
        }
        assert_eq!(with(|line| line.tos = None), Some("Counting System"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let (_, problems) = read("TTL 64;\nOS x;\nTTL 256;\nTTL 0xfff;\nID SOME;\nCOLOUR 7;\nWINDOW *;\nOS ;\n");
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 7, 8], "{problems:#?}");
    }
}
