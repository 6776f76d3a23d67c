//! psad's own method, for logs without TCP options: a system by window, length, time to live and how the identification goes on
//! over some SYNs. Its format: blocks of `OS name;`, `NUMPKTS n;`, `TOS n;`, `LEN n;`, `TTL n;`, `ID SMALLINCR|RANDOM;`, `WINDOW n;`.

use crate::number::{Number, shown};
use crate::{FINGERPRINTS, Guess, Problem, Sureness, did_you_mean};

/// The furthest that a sender is taken to be away (psad's `MAX_HOPS`).
const HOPS: u8 = 20;
/// Identifications that rise by less than this from one packet to the next are counted up.
const SMALL: u16 = 1_000;
/// SYNs of one source that are looked at, at most.
pub const LOOKED_AT: u8 = 100;
/// What a block can hold. `TOS` is read and, as by psad, not compared: logs have it without its last bits.
const KEYS: [&str; 7] = ["OS", "NUMPKTS", "TOS", "LEN", "TTL", "ID", "WINDOW"];

/// One SYN, as a log line without options tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The packet's length in bytes.
    pub length: u32,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub ip_id: u16,
    /// TCP's window.
    pub window: u16,
}

/// The SYNs of one source, in their order, as far as a fingerprint looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    packets: u8,
    /// Whether length and window have stayed the same.
    is_even: bool,
    counts_up: bool,
    ttls: (u8, u8),
    last: Line,
}

impl Course {
    /// Begins with one.
    pub fn new(line: Line) -> Course {
        Course { packets: 1, is_even: true, counts_up: true, ttls: (line.ttl, line.ttl), last: line }
    }

    /// With the next one.
    #[must_use]
    pub fn and(self, line: Line) -> Course {
        Course {
            packets: self.packets.saturating_add(1),
            is_even: self.is_even && (line.length, line.window) == (self.last.length, self.last.window),
            counts_up: self.counts_up && line.ip_id.wrapping_sub(self.last.ip_id) < SMALL,
            ttls: (self.ttls.0.min(line.ttl), self.ttls.1.max(line.ttl)),
            last: line,
        }
    }

    /// How many there were.
    pub fn packets(&self) -> u8 {
        self.packets
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fingerprint {
    name: String,
    packets: u8,
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
            "NUMPKTS" => self.packets = number(LOOKED_AT.into())? as u8,
            "TOS" => drop(number(255)?),
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
            other => return Err(format!("'{}' is no key: {}{}", shown(other), KEYS.join(", "), did_you_mean(other, &KEYS))),
        }
        Ok(())
    }

    /// Whether these SYNs of one source are its: how far away it is then.
    fn fits(&self, course: &Course) -> Option<u8> {
        let (lowest, highest) = course.ttls;
        let ttl = self.ttl.unwrap_or(highest);
        let fits = course.packets >= self.packets
            && course.is_even
            && self.length.is_none_or(|length| length == course.last.length)
            && self.window.is_none_or(|window| window == course.last.window)
            && (self.ttl.is_none() || highest <= ttl && ttl - lowest < HOPS)
            // One packet doesn't count.
            && self.counts_up.is_none_or(|wanted| course.packets > 1 && wanted == course.counts_up);
        fits.then(|| ttl - highest)
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

    /// The most SYNs that one of them asks for.
    pub(crate) fn most_packets(&self) -> u8 {
        self.0.iter().map(|fingerprint| fingerprint.packets.max(2)).max().unwrap_or(0)
    }

    /// The first system that the SYNs of one source fit. That is never sure: it says little.
    pub fn guess(&self, course: &Course) -> Option<Guess<'_>> {
        self.0.iter().find_map(|fingerprint| {
            let hops = fingerprint.fits(course)?;
            Some(Guess::System { name: &fingerprint.name, sureness: Sureness::Roughly, hops })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# systems\nOS   Counting System;\nNUMPKTS 3;\nTOS 0x10;\nLEN 60;\nTTL 64;\nID SMALLINCR;\nWINDOW 5840;\n\nOS Random System;\nNUMPKTS 2;\nLEN 60;\nTTL 64;\nID RANDOM;\nWINDOW 5840;\n";

    fn lines(ids: &[u16]) -> Vec<Line> {
        ids.iter().map(|id| Line { length: 60, ttl: 57, ip_id: *id, window: 5_840 }).collect()
    }

    fn guess(lines: &[Line]) -> Option<String> {
        let (database, problems) = read(FILE);
        assert_eq!((database.len(), problems, database.most_packets()), (2, vec![], 3));
        let course = lines[1..].iter().fold(Course::new(lines[0]), |course, line| course.and(*line));
        database.guess(&course).map(|guess| guess.to_string())
    }

    #[test]
    fn how_the_identification_goes_on_tells_systems_apart() {
        assert_eq!(guess(&lines(&[65_500, 100, 101])).as_deref(), Some("perhaps Counting System, 7 hops away"));
        assert_eq!(guess(&lines(&[65_500, 100])), None);
        assert_eq!(guess(&lines(&[40_000, 7, 9_000])).as_deref(), Some("perhaps Random System, 7 hops away"));
        assert_eq!(guess(&lines(&[1])), None);
    }

    #[test]
    fn each_field_counts() {
        let good = lines(&[1, 2, 3]);
        let with = |change: fn(&mut Line)| {
            let mut lines = good.clone();
            change(&mut lines[1]);
            guess(&lines).is_some()
        };
        assert!(with(|_| ()));
        let changes: [fn(&mut Line); 4] = [|line| line.length = 44, |line| line.ttl = 44, |line| line.ttl = 65, |line| line.window = 1];
        for change in changes {
            assert!(!with(change));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let (_, problems) = read("TTL 64;\nOS x;\nTTL 256;\nTTL 0xfff;\nID SOME;\nCOLOUR 7;\nWINDOW *;\nOS ;\n");
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 7, 8], "{problems:#?}");
    }
}
