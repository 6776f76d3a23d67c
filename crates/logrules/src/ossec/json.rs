//! Wazuh's JSON decoder: every value of the object is a field, `a.b` for what is nested. What is no JSON has no fields.

use super::event::{Event, Field};

/// Objects may be nested so deep.
const DEPTH_MAX: usize = 64;
/// Fields that one line may have.
const FIELDS_MAX: usize = 256;

/// Takes the object that begins at `from` apart.
pub(crate) fn decode(event: &mut Event, from: u32) {
    let text = event.at((from.max(event.log.0), event.log.1));
    let start = text.iter().position(|&byte| byte == b'{').unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default().to_vec();
    let mut reader = Reader { text: &text, at: 0, found: Vec::new() };
    if reader.object("", 0).is_none() {
        return;
    }
    for (name, value) in reader.found {
        match Field::named(&name) {
            Some(field) => event.make(field, &value),
            None => {
                let span = event.add(&value);
                event.named.push((name.into(), span));
            }
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    found: Vec<(String, Vec<u8>)>,
}

impl Reader<'_> {
    fn peek(&mut self) -> u8 {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    fn object(&mut self, above: &str, depth: usize) -> Option<()> {
        self.take(b'{')?;
        if depth > DEPTH_MAX {
            return None;
        }
        while self.peek() != b'}' {
            let name = String::from_utf8_lossy(&self.string()?).into_owned();
            self.take(b':')?;
            let name = if above.is_empty() { name } else { format!("{above}.{name}") };
            self.value(&name, depth)?;
            if self.peek() == b',' {
                self.at += 1;
            } else if self.peek() != b'}' {
                return None;
            }
        }
        self.take(b'}')
    }

    fn value(&mut self, name: &str, depth: usize) -> Option<()> {
        let value = match self.peek() {
            b'{' => return self.object(name, depth + 1),
            b'[' => self.list(name, depth)?,
            b'"' => self.string()?,
            _ => self.word()?,
        };
        if self.found.len() < FIELDS_MAX {
            self.found.push((name.to_owned(), value));
        }
        Some(())
    }

    /// A list's values with commas between.
    fn list(&mut self, name: &str, depth: usize) -> Option<Vec<u8>> {
        self.take(b'[')?;
        if depth > DEPTH_MAX {
            return None;
        }
        let mut all = Vec::new();
        while self.peek() != b']' {
            let value = match self.peek() {
                b'"' => self.string()?,
                b'[' => self.list(name, depth + 1)?,
                b'{' => {
                    self.object(name, depth + 1)?;
                    Vec::new()
                }
                _ => self.word()?,
            };
            if !all.is_empty() && !value.is_empty() {
                all.push(b',');
            }
            all.extend(value);
            if self.peek() == b',' {
                self.at += 1;
            } else if self.peek() != b']' {
                return None;
            }
        }
        self.take(b']')?;
        Some(all)
    }

    fn word(&mut self) -> Option<Vec<u8>> {
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'+' | b'.')).unwrap_or(rest.len());
        self.at += end;
        let word = rest.get(..end)?;
        (!word.is_empty()).then(|| word.to_vec())
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.take(b'"')?;
        let mut out = Vec::new();
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return Some(out),
                b'\\' => {
                    let escaped = *self.text.get(self.at)?;
                    self.at += 1;
                    match escaped {
                        b'n' => out.push(b'\n'),
                        b't' => out.push(b'\t'),
                        b'r' => out.push(b'\r'),
                        b'b' | b'f' => out.push(b' '),
                        b'u' => {
                            let digits = std::str::from_utf8(self.text.get(self.at..self.at + 4)?).ok()?;
                            self.at += 4;
                            let code = u32::from_str_radix(digits, 16).ok()?;
                            let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                            out.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        other => out.push(other),
                    }
                }
                byte => out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Line;
    use model::time::Time;

    fn fields(text: &[u8]) -> Event {
        let mut event = Event::default();
        super::super::predecode::predecode(&Line::new(text, Time::EPOCH, "x"), true, &mut event);
        decode(&mut event, 0);
        event
    }

    #[test]
    fn every_value_is_a_field() {
        let event = fields(br#"x {"srcip":"192.0.2.1","a":{"b":[1,"two"],"c":null},"t":true,"s":"q\"\u0041"}"#);
        assert_eq!(event.get(Field::SrcIp), Some(&b"192.0.2.1"[..]));
        let value = |name| event.value(name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(value("a.b").as_deref(), Some("1,two"));
        assert_eq!(fields(br#"{"srcip":"192.0.2.1","a":}"#).get(Field::SrcIp), None, "half an object is none");
        assert_eq!((value("a.c").as_deref(), value("t").as_deref(), value("s").as_deref()), (Some("null"), Some("true"), Some("q\"A")));
    }

    proptest::proptest! {
        #[test]
        fn nothing_runs_away(text in "[{}\\[\\]\":,a1\\\\u ]{0,200}") {
            fields(text.as_bytes());
        }
    }
}
