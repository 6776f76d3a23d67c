//! `riposte logtest`: what a line comes to, phase by phase, and what would be done about it. Never does it.

pub mod load;
pub mod suite;
mod summary;

use super::{Failure, fail};
use crate::cli;
use crate::lives::now;
use logrules::Rules;
use logrules::finding::Finding;
use logrules::finding::Wish;
use logrules::head::Head;
use logrules::line::Line;
use logrules::native::Book;
use logrules::ossec::{Ossec, Reading};
use report::escape;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, BufRead, IsTerminal, Write};

/// Longer lines are cut, as everywhere.
const LINE_MAX: usize = 8 << 10;
/// Bytes that are read at once of a whole log.
const BUFFER: usize = 256 << 10;
/// Characters of a text that are shown.
const SHOWN_MAX: usize = 4 << 10;
/// Where the lines are said to come from; ossec-logtest says so.
const PLACE: &str = "stdin";

/// The rules that are asked.
enum Engine {
    Own(Box<Book>),
    Ossec(Box<Ossec>),
    Other(Box<dyn Rules>),
}

/// What a line came to, for people and programs.
#[derive(Debug, Default, Serialize)]
struct Answer {
    line: u64,
    program: Option<String>,
    decoder: Option<String>,
    fields: Map<String, Value>,
    rule: Option<Value>,
    level: Option<u8>,
    description: Option<String>,
    source: Option<String>,
    would: Option<Would>,
    #[serde(skip)]
    host: Option<String>,
    #[serde(skip)]
    log: Option<String>,
    #[serde(skip)]
    alert: bool,
    #[serde(skip)]
    found: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
struct Would {
    action: String,
    seconds: Option<u64>,
    why: String,
}

impl Would {
    fn of(wish: Wish) -> Would {
        Would { action: wish.action.to_string(), seconds: wish.duration.map(|span| span.as_secs()), why: wish.why }
    }
}

/// A rule's number where it is one.
fn number(rule: &str) -> Value {
    rule.parse::<u64>().map_or_else(|_| rule.into(), Value::from)
}

fn strings(fields: Vec<(std::sync::Arc<str>, String)>) -> Vec<(String, String)> {
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

impl Answer {
    fn reading(line: u64, reading: Reading) -> Answer {
        let found = strings(reading.fields);
        let met = reading.met.as_ref();
        Answer {
            line,
            program: reading.program,
            decoder: reading.decoder.map(|name| name.to_string()),
            fields: found.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            rule: met.map(|met| number(&met.rule)),
            level: met.map(|met| met.level),
            description: met.map(|met| met.description.to_string()),
            source: reading.actor.map(|actor| actor.to_string()),
            would: reading.wish.map(Would::of),
            host: reading.host,
            log: Some(reading.log),
            alert: met.is_some_and(|met| met.alert),
            found,
        }
    }

    /// The finding that says most: one with a wish, or else the one of the highest level.
    fn findings(line: u64, text: &[u8], mut findings: Vec<Finding>) -> Answer {
        let head = Head::of(text);
        let program = head.program.map(|name| String::from_utf8_lossy(name).into_owned());
        let log = Some(String::from_utf8_lossy(head.message(text)).into_owned());
        let best = (0..findings.len()).max_by_key(|&at| findings.get(at).map(|finding| (finding.wish.is_some(), finding.level)));
        let Some(finding) = best.map(|at| findings.swap_remove(at)) else { return Answer { line, program, log, ..Answer::default() } };
        let found = strings(finding.fields);
        Answer {
            line,
            program: finding.program.or(program),
            decoder: finding.decoder.map(|name| name.to_string()),
            fields: found.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            rule: Some(number(&finding.rule)),
            level: Some(finding.level),
            description: Some(finding.description.to_string()),
            source: finding.actor.map(|actor| actor.to_string()),
            would: finding.wish.map(Would::of),
            host: None,
            log,
            alert: false,
            found,
        }
    }

    /// As ossec-logtest prints it, and one phase more.
    fn text(&self, full: &[u8], out: &mut impl Write) -> io::Result<()> {
        let safe = |text: &str| escape::text(text, SHOWN_MAX);
        let quoted = |text: Option<&str>| text.map_or_else(|| "(null)".to_owned(), safe);
        writeln!(out, "\n\n**Phase 1: Completed pre-decoding.")?;
        writeln!(out, "       full event: '{}'", escape::bytes(full, SHOWN_MAX))?;
        if let Some(log) = &self.log {
            writeln!(out, "       hostname: '{}'", quoted(self.host.as_deref()))?;
            writeln!(out, "       program_name: '{}'", quoted(self.program.as_deref()))?;
            writeln!(out, "       log: '{}'", safe(log))?;
        }
        writeln!(out, "\n**Phase 2: Completed decoding.")?;
        match &self.decoder {
            Some(decoder) => writeln!(out, "       decoder: '{}'", safe(decoder))?,
            None => writeln!(out, "       No decoder matched.")?,
        }
        for (name, value) in &self.found {
            // Its own word for it.
            let name = if name == "protocol" { "proto" } else { name };
            writeln!(out, "       {}: '{}'", safe(name), safe(value))?;
        }
        if let (Some(rule), Some(level)) = (&self.rule, self.level) {
            writeln!(out, "\n**Phase 3: Completed filtering (rules).")?;
            writeln!(out, "       Rule id: '{}'", rule.as_str().map_or_else(|| rule.to_string(), safe))?;
            writeln!(out, "       Level: '{level}'")?;
            writeln!(out, "       Description: '{}'", safe(self.description.as_deref().unwrap_or_default()))?;
            if self.alert {
                writeln!(out, "**Alert to be generated.")?;
            }
        }
        match &self.would {
            Some(would) => {
                let span = would.seconds.map_or_else(|| "with no end of its own".to_owned(), |seconds| format!("for {seconds} s"));
                writeln!(out, "\n**Phase 4: What would be done.")?;
                writeln!(out, "       {} {span}: {}", safe(&would.action), safe(&would.why))
            }
            None => writeln!(out, "\n**Phase 4: Nothing would be done."),
        }
    }
}

impl Engine {
    fn answer(&mut self, number: u64, text: &[u8]) -> Answer {
        let line = Line::new(text, now(), PLACE);
        let mut found = Vec::new();
        match self {
            Engine::Ossec(ossec) => {
                let mut answer = Answer::reading(number, ossec.read(&line));
                answer.host.get_or_insert_with(|| ossec.settings.host.clone());
                return answer;
            }
            Engine::Own(book) => book.line(&line, &mut found),
            Engine::Other(rules) => rules.line(&line, &mut found),
        }
        Answer::findings(number, text, found)
    }
}

/// Reads lines from standard input and answers each; with `--suite`, checks a file of lines with what they should come to.
///
/// # Errors
/// What is wrong with the rules, and that lines of a suite came to something else.
pub fn run(args: &cli::Logtest, out: &mut impl Write) -> Result<(), Failure> {
    if let (Some(filter), Some(path)) = (&args.filter, &args.suite) {
        return super::regex::suite(path, filter, load::filter_dir(args)?, args.json, out);
    }
    let mut engine = load::engine(args)?;
    let io = |error: io::Error| fail(error.to_string());
    if let Some(path) = &args.suite {
        return suite::run(path, &mut engine, args.json, out);
    }
    if args.summary {
        let mut input = io::BufReader::with_capacity(BUFFER, io::stdin());
        return summary::run(&mut engine, args.json, &mut input, out).map_err(io);
    }
    let mut input = io::stdin().lock();
    let interactive = io::stdin().is_terminal();
    if interactive {
        if let Engine::Ossec(ossec) = &engine {
            let (decoders, rules, ..) = ossec.counts();
            eprintln!("riposte: {decoders} decoders, {rules} rules");
        }
        eprintln!("riposte: type one log line at a time; Ctrl-D ends");
    }
    let mut line = Vec::new();
    let mut number = 0;
    while read_line(&mut input, &mut line).map_err(io)? {
        number += 1;
        let answer = engine.answer(number, &line);
        if args.json {
            out.write_all(report::serial::to_json_line(&answer).unwrap_or_default().as_bytes()).map_err(io)?;
        } else if !line.is_empty() {
            answer.text(&line, out).map_err(io)?;
        }
        if interactive {
            out.flush().map_err(io)?;
        }
    }
    Ok(())
}

/// A line without its end, cut to what lines may have. False at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', bytes);
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = LINE_MAX.saturating_sub(line.len());
        line.extend_from_slice(text.get(..room).unwrap_or(text));
        input.consume(taken);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_ends_are_taken_off() {
        let text = [&b"one\r\n\n"[..], &[b'x'; LINE_MAX + 5], b"\nlast"].concat();
        let mut input = io::BufReader::with_capacity(7, text.as_slice());
        let mut line = Vec::new();
        let mut lengths = Vec::new();
        while read_line(&mut input, &mut line).unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [3, 0, LINE_MAX, 4]);
    }

    #[test]
    fn nothing_from_a_line_reaches_the_terminal_as_it_is() {
        let answer = Answer { log: Some("\x1b[2J".into()), found: vec![("user".into(), "\u{202e}x\x07".into())], ..Answer::default() };
        let mut out = Vec::new();
        answer.text(b"\x1b]0;x\x07", &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'));
    }
}
