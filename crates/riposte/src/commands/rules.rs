//! `riposte rules`: what rules there are for application logs, and whether their samples come out as they say. Never touches a log.

use super::{Failure, fail};
use crate::cli::{Rules, RulesWhat};
use logrules::native::Book;
use model::event::Trust;
use report::escape;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of one rule file or list. More is no rule file.
const FILE_BYTES: u64 = 16 << 20;
/// Characters of a failure that are shown; a sample's line is in it.
const SHOWN: usize = 600;

/// Lists, shows or tests.
///
/// # Errors
/// Each sample that came out otherwise, as `file:line: what`; everything that is wrong with a file.
pub fn run(args: &Rules, out: &mut impl Write) -> Result<(), Failure> {
    match &args.what {
        RulesWhat::List { json } => list(*json, out).map_err(|e| fail(e.to_string()))?,
        RulesWhat::Show { name } => show(name, out)?,
        RulesWhat::Test { files } => test(files, out)?,
    }
    Ok(())
}

fn shipped() -> Result<Book, Failure> {
    Book::shipped().map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

fn list(as_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    let book = shipped().map_err(|wrong| std::io::Error::other(wrong.join("; ")))?;
    for service in book.services() {
        if !as_json {
            writeln!(out, "{}: {}", service.name, service.summary)?;
        }
        for rule in book.rules().iter().filter(|rule| rule.name.split('/').next() == Some(&*service.name)) {
            if as_json {
                let line = json!({"rule": &*rule.name, "file": &*service.file, "line": rule.line, "level": rule.level, "weight": rule.weight,
                    "trust": rule.trust.word(), "description": &*rule.description});
                writeln!(out, "{line}")?;
            } else {
                let forgeable = if rule.trust == Trust::Spoofable { " (forgeable)" } else { "" };
                writeln!(out, "  {:<34} level {:>2}  weight {:>2}  {}{forgeable}", rule.name, rule.level, rule.weight, rule.description)?;
            }
        }
    }
    Ok(())
}

/// The service's whole file, or the part of it that is the rule.
fn show(name: &str, out: &mut impl Write) -> Result<(), Failure> {
    let book = shipped()?;
    let (service, rule) = name.split_once('/').map_or((name, None), |(service, _)| (service, Some(name)));
    let names = || book.services().iter().map(|service| &*service.name).chain(book.rules().iter().map(|rule| &*rule.name));
    let unknown = || fail(format!("there is no service and no rule {name:?}{}", crate::config::words::did_you_mean(name, names())));
    let service = book.services().iter().find(|known| *known.name == *service).ok_or_else(unknown)?;
    let files = Book::shipped_files();
    let text = files.iter().find(|(file, _)| **file == *service.file).map(|(_, text)| text.as_str()).unwrap_or_default();
    let wanted = match rule {
        None => text.to_owned(),
        Some(rule) => {
            let line = book.rules().iter().find(|known| *known.name == *rule).ok_or_else(unknown)?.line;
            let start = text.rmatch_indices("[[rule]]").map(|(at, _)| at).find(|at| text[..*at].matches('\n').count() < line);
            let rest = &text[start.unwrap_or(0)..];
            rest.find("\n[[rule]]").map_or(rest, |end| &rest[..=end]).to_owned()
        }
    };
    out.write_all(wanted.as_bytes()).map_err(|e| fail(e.to_string()))
}

fn test(paths: &[PathBuf], out: &mut impl Write) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in paths {
        gather(path, &mut files)?;
    }
    let mut sets = vec![("shipped", Book::shipped_files())];
    if !files.is_empty() {
        sets.push(("given", files));
    }
    let mut wrong = Vec::new();
    for (which, files) in sets {
        match Book::load(&files) {
            Err(problems) => wrong.extend(problems.iter().map(|problem| escape::text(&problem.to_string(), SHOWN))),
            Ok(mut book) => match book.test() {
                Ok(run) => {
                    let (services, rules) = (book.services().len(), book.rules().len());
                    writeln!(out, "{which}: {services} services, {rules} rules, {run} samples: all as they say")
                        .map_err(|e| fail(e.to_string()))?;
                }
                Err(failures) => wrong.extend(failures.iter().map(|failure| escape::text(&failure.to_string(), SHOWN))),
            },
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// A file, or the files of a folder in order of their names: names and texts.
///
/// # Errors
/// What can't be read, or is too large.
pub fn gather(path: &Path, files: &mut Vec<(String, String)>) -> Result<(), Failure> {
    let told = |e: std::io::Error| fail(format!("{}: {e}", path.display()));
    if path.is_dir() {
        let mut inside =
            fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>()).map_err(told)?;
        inside.sort();
        return inside.iter().filter(|path| path.is_file()).try_for_each(|path| gather(path, files));
    }
    if fs::metadata(path).map_err(told)?.len() > FILE_BYTES {
        return Err(fail(format!("{}: larger than {} MiB", path.display(), FILE_BYTES >> 20)));
    }
    files.push((path.display().to_string(), fs::read_to_string(path).map_err(told)?));
    Ok(())
}
