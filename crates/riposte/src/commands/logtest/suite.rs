//! OSSEC's test format: sections of lines with the rule, level and decoder that they should come to. Says line by line whether they do.

use super::Engine;
use crate::commands::{Failure, fail};
use logrules::native::{Book, suite::sshguard};
use report::escape;
use serde::Serialize;
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// One line, or several that belong together, with what the last should come to.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    section: String,
    /// Its key: `log 1 pass`.
    name: String,
    text: String,
    /// Whether it should come to that, or to anything else.
    pass: bool,
    rule: String,
    alert: String,
    decoder: String,
}

#[derive(Serialize)]
struct CaseLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    line: &'a str,
    agree: bool,
    pass: bool,
    expected: Expected<'a>,
    got: Got,
}

#[derive(Serialize)]
struct Expected<'a> {
    rule: &'a str,
    alert: &'a str,
    decoder: &'a str,
}

#[derive(Serialize)]
struct Got {
    rule: String,
    alert: String,
    decoder: String,
}

#[derive(Serialize)]
struct SuiteLine {
    #[serde(rename = "type")]
    kind: &'static str,
    agree: usize,
    total: usize,
}

/// Runs a suite.
///
/// # Errors
/// What is wrong with the file, and how many cases came to something else.
pub(super) fn run(path: &Path, engine: &mut Engine, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| fail(format!("{name}: {error}")))?;
    if let Engine::Own(book) = engine {
        return triples(&name, &String::from_utf8_lossy(&bytes), book, json, out);
    }
    let parsed = parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, message)| fail(format!("{name}:{line}: {message}")))?;
    let (cases, passed_over) = parsed;
    for key in passed_over {
        eprintln!("riposte: {name}: passed over: {} (log N pass, log N fail, rule, alert, decoder)", escape::text(&key, 200));
    }
    let io = |error: std::io::Error| fail(error.to_string());
    let mut agree = 0;
    for case in &cases {
        // ossec-logtest is started anew for each: nothing that came before counts.
        match engine {
            Engine::Ossec(ossec) => ossec.forget(),
            Engine::Own(book) => book.forget(),
            Engine::Other(_) => {}
        }
        let mut got = Got { rule: String::new(), alert: String::new(), decoder: String::new() };
        // ossec-logtest passes over lines of less than two bytes.
        for text in case.text.lines().filter(|text| text.len() > 1) {
            let answer = engine.answer(0, text.as_bytes());
            let rule = answer.rule.map(|rule| rule.as_str().map_or_else(|| rule.to_string(), str::to_owned));
            let alert = answer.level.map(|level| level.to_string());
            got = Got { rule: rule.unwrap_or_default(), alert: alert.unwrap_or_default(), decoder: answer.decoder.unwrap_or_default() };
        }
        let comes = same(&case.rule, &got.rule) && same(&case.alert, &got.alert) && same(&case.decoder, &got.decoder);
        let agrees = comes == case.pass;
        agree += usize::from(agrees);
        if json {
            let line = CaseLine {
                kind: "case",
                name: format!("{}: {}", case.section, case.name),
                line: &case.text,
                agree: agrees,
                pass: case.pass,
                expected: Expected { rule: &case.rule, alert: &case.alert, decoder: &case.decoder },
                got,
            };
            out.write_all(report::serial::to_json_line(&line).unwrap_or_default().as_bytes()).map_err(io)?;
        } else {
            let word = if agrees { "agrees   " } else { "DISAGREES" };
            let safe = |text: &str| escape::text(text, 200);
            writeln!(out, "{word} [{}] {}", safe(&case.section), safe(&case.name)).map_err(io)?;
            if !agrees {
                let not = if case.pass { "expected" } else { "expected anything but" };
                writeln!(out, "          {not} rule {}, level {}, decoder {}", safe(&case.rule), safe(&case.alert), safe(&case.decoder))
                    .map_err(io)?;
                writeln!(out, "          got rule {}, level {}, decoder {}", safe(&got.rule), safe(&got.alert), safe(&got.decoder))
                    .map_err(io)?;
                writeln!(out, "          {}", safe(&case.text)).map_err(io)?;
            }
        }
    }
    if cases.is_empty() {
        return Err(fail(format!("{name}: no case: [name], `log N pass = LINE`, `rule =`, `alert =`, `decoder =`")));
    }
    close(&name, agree, cases.len(), json, out)
}

/// A suite's last line, and whether all of it agreed.
pub fn close(name: &str, agree: usize, total: usize, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let line = match json {
        true => report::serial::to_json_line(&SuiteLine { kind: "suite", agree, total }).unwrap_or_default(),
        false => format!("{agree} of {total} agree\n"),
    };
    out.write_all(line.as_bytes()).map_err(|error| fail(error.to_string()))?;
    if agree == total { Ok(()) } else { Err(fail(format!("{name}: {} of {total} disagree", total - agree))) }
}

/// SSHGuard's triples, asked of riposte's own rules: a line, whom it accuses, and whether it must match.
fn triples(name: &str, text: &str, book: &mut Book, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let io = |error: std::io::Error| fail(error.to_string());
    const FORM: &str = "three lines each: the log line, `SERVICE ADDRESS KIND DANGER` or `*`, `M` or `X` (OSSEC's format: name --rules; fail2ban's: --filter)";
    let cases = sshguard(text, book)
        .map_err(|(line, found)| fail(format!("{name}:{line}: neither M nor X but `{}`: {FORM}", escape::text(&found, 40))))?;
    if cases.is_empty() {
        return Err(fail(format!("{name}: no case: {FORM}")));
    }
    for case in &cases {
        let actor = case.actor.map(|actor| actor.to_string());
        if json {
            let line = json!({"type": "case", "name": format!("{name}:{}", case.number), "line": case.line, "agree": case.agree,
                "expected": {"match": case.must, "source": case.address}, "got": {"match": case.actor.is_some(), "source": actor, "rule": case.rule}});
            writeln!(out, "{line}").map_err(io)?;
        } else if !case.agree {
            let expected = case.address.as_deref().unwrap_or(if case.must { "a match" } else { "no match" });
            let got = actor.as_deref().unwrap_or("no match");
            writeln!(
                out,
                "DISAGREES line {}: expected {}{}, got {got}",
                case.number,
                if case.must { "" } else { "no match of " },
                escape::text(expected, 200)
            )
            .map_err(io)?;
            writeln!(out, "          {}", escape::text(&case.line, 400)).map_err(io)?;
        }
    }
    close(name, cases.iter().filter(|case| case.agree).count(), cases.len(), json, out)
}

/// Numbers as numbers, names whatever their case.
fn same(expected: &str, got: &str) -> bool {
    match (expected.parse::<u64>(), got.parse::<u64>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => expected.eq_ignore_ascii_case(got),
    }
}

/// A section's keys with their values, as they are written.
#[derive(Default)]
struct Section {
    name: String,
    keys: Vec<(String, String)>,
}

/// `[section]`, `key = value` or `key: value`; an indented line goes on with the value before it; `#` and `;` begin comments. Also the keys that
/// OSSEC's own runner passes over, too.
fn parse(text: &str) -> Result<(Vec<Case>, Vec<String>), (usize, String)> {
    let mut sections = vec![Section::default()];
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let Some(section) = sections.last_mut() else { break };
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = section.keys.last_mut()
        {
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some((name, _)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            sections.push(Section { name: name.to_owned(), keys: Vec::new() });
        } else if let Some(end) = trimmed.find(['=', ':']) {
            let (key, value) = trimmed.split_at(end);
            section.keys.push((key.trim().to_lowercase(), value.get(1..).unwrap_or_default().trim().to_owned()));
        } else {
            return Err((number, "neither [section] nor key = value".into()));
        }
    }
    let (mut cases, mut passed_over) = (Vec::new(), Vec::new());
    for section in sections {
        let value = |name: &str| section.keys.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
        for (key, text) in &section.keys {
            match key.as_str() {
                "rule" | "alert" | "decoder" => {}
                log if log.starts_with("log ") => cases.push(Case {
                    section: section.name.clone(),
                    name: key.clone(),
                    text: text.clone(),
                    pass: !log.ends_with("fail"),
                    rule: value("rule"),
                    alert: value("alert"),
                    decoder: value("decoder"),
                }),
                other => passed_over.push(format!("[{}] {other}", section.name)),
            }
        }
    }
    Ok((cases, passed_over))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_read_as_they_are_written() {
        let text = "\u{feff}# about sshd\n[login: failed]\nlog 1 pass = a: b = c ; d\nlog 2 FAIL: x\n\nlog 3 pass = one 100%\n\n  two %(x)s\nnote = x\nrule = 5716\nalert = 5\ndecoder = sshd\n\
                    [nothing]\nlog 1 = z\nrule=1\nalert=0\ndecoder =\n";
        let (cases, passed_over) = parse(text).unwrap();
        assert_eq!(passed_over, ["[login: failed] note"]);
        let shown: Vec<_> = cases
            .iter()
            .map(|case| (case.section.as_str(), case.text.as_str(), case.pass, case.rule.as_str(), case.decoder.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("login: failed", "a: b = c ; d", true, "5716", "sshd"),
                ("login: failed", "x", false, "5716", "sshd"),
                ("login: failed", "one 100%\ntwo %(x)s", true, "5716", "sshd"),
                ("nothing", "z", true, "1", ""),
            ]
        );
        assert_eq!(parse("[a]\n\nwhat\n").unwrap_err().0, 3);
    }

    #[test]
    fn numbers_and_names_are_compared() {
        assert!(same("0005", "5") && same("SSHD", "sshd") && same("", ""));
        assert!(!same("5", "") && !same("sshd", "sshd2"));
    }
}
