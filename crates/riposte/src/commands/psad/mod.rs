//! `riposte import psad`: prints a riposte configuration that does what a psad's does, with what becomes of each setting. Changes nothing
//! anywhere, and runs none of the programs that it finds.

mod alerts;
mod blocks;
mod conf;
mod detection;
pub mod settings;

use super::portsentry::{Check, opened, plain, read};
use super::{Failure, fail};
use crate::cli;
use crate::config::response::check;
use conf::{Conf, Value};
use settings::Fate;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where psad's files lie.
const DIR: &str = "/etc/psad";
/// What Debian starts it with, seen from there.
const STARTER: &str = "../default/psad";
/// There where journald runs.
const JOURNAL: &str = "/run/systemd/journal";

/// What is looked at beside psad's own file.
pub struct Host<'h> {
    /// A file's bytes; `None` if there is none.
    pub read: &'h dyn Fn(&Path) -> io::Result<Option<Vec<u8>>>,
    /// Looks whether responses can be run.
    pub check: Check,
    /// Whether journald runs here.
    pub journald: bool,
}

/// Says what riposte makes of a psad's configuration.
///
/// # Errors
/// If it can't be read, and one line for each setting that is wrong; what is right is printed all the same.
pub fn import(args: &cli::ImportPsad, out: &mut impl Write) -> Result<(), Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new(DIR));
    let path = path.canonicalize().map_err(|error| fail(format!("{}: {error}", path.display())))?;
    let file = if path.is_dir() { path.join("psad.conf") } else { path };
    let host = Host { read: &read, check, journald: Path::new(JOURNAL).exists() };
    let (text, wrong) = translate(&file, &args.overrides, &host)?;
    out.write_all(text.as_bytes()).map_err(|error| fail(error.to_string()))?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The configuration that does what this file says, and one line for each thing that is wrong.
///
/// # Errors
/// If the file itself, or an override file, can't be read: psad does not start without them either.
pub fn translate(file: &Path, overrides: &[PathBuf], host: &Host<'_>) -> Result<(String, Vec<String>), Failure> {
    let whole = |path: &Path| match opened(path, host.read) {
        Ok(text) => text.ok_or_else(|| fail(format!("{}: there is no such file", path.display()))),
        Err(why) => Err(fail(format!("{}: {why}", path.display()))),
    };
    let dir = file.parent().unwrap_or(Path::new("/"));
    let mut conf = Conf::default();
    let starter = opened(&dir.join(STARTER), host.read).unwrap_or_else(|why| {
        conf.wrong.push(format!("{}: {why}: how psad is started is not known", dir.join(STARTER).display()));
        None
    });
    let (named, options) = starter.as_deref().map(started).unwrap_or_default();
    let overrides = if overrides.is_empty() { &named } else { overrides };
    for path in overrides {
        conf.read(&path.display().to_string(), &whole(path)?);
    }
    conf.read(&file.display().to_string(), &whole(file)?);
    conf.expand();
    let mut plan = Plan { conf, file: file.display().to_string(), dir, host, told: BTreeSet::new(), text: String::new() };
    plan.head(overrides, &options);
    plan.detection();
    plan.blocks();
    plan.alerts();
    plan.rest();
    // In the files' order, whatever was looked at first.
    let place = |line: &String| line.split(':').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0_usize);
    let mut wrong: Vec<String> = plan.conf.wrong.iter().map(|line| plain(line)).collect();
    wrong.sort_by(|a, b| (a.split(':').next(), place(a)).cmp(&(b.split(':').next(), place(b))));
    Ok((plan.text, wrong))
}

/// What Debian's starter gives psad: the override files, and its other options.
fn started(text: &str) -> (Vec<PathBuf>, Vec<String>) {
    let args = text.lines().rev().find_map(|line| line.trim().strip_prefix("DAEMON_ARGS")?.trim_start().strip_prefix('='));
    let words: Vec<&str> = args.unwrap_or_default().split(['"', '\'', ' ', '\t', '=']).filter(|word| !word.is_empty()).collect();
    let (mut files, mut options) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "-O" || word.starts_with("--O") {
            files.extend(words.next().unwrap_or_default().split(',').map(PathBuf::from));
        } else {
            options.push(word.to_owned());
        }
    }
    (files, options)
}

/// The configuration that is printed.
struct Plan<'p> {
    conf: Conf,
    /// psad's file, and its folder.
    file: String,
    dir: &'p Path,
    host: &'p Host<'p>,
    /// The settings of which the text says what becomes of them.
    told: BTreeSet<String>,
    text: String,
}

impl Plan<'_> {
    fn head(&mut self, overrides: &[PathBuf], options: &[String]) {
        let _ = writeln!(self.text, "# Made by 'riposte import psad' from {}.", plain(&self.file));
        for path in overrides {
            let _ = writeln!(self.text, "# {} comes before it: the first definition counts.", plain(&path.display().to_string()));
        }
        if !options.is_empty() {
            let _ =
                writeln!(self.text, "# It is also started with {}: docs/psad.md says what each option is here.", plain(&options.join(" ")));
        }
        self.text += "# A name with a line number is psad's setting, with what becomes of it. At the end: what is no longer needed, and what riposte does not do.\n";
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text.push('\n');
    }

    /// A comment of one or more lines.
    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.text, "# {}", plain(line));
        }
    }

    /// The places of these settings, as far as they are there, with what is to be known about them.
    fn say(&mut self, keys: &[&str], more: &str) {
        let places: Vec<String> = keys.iter().filter_map(|key| self.place(key)).collect();
        if !places.is_empty() {
            let more = if more.is_empty() { String::new() } else { format!(": {more}") };
            self.comment(&format!("{}{more}", places.join("; ")));
        }
        self.told.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// `NAME, line 12`, or with the file if that is another.
    fn place(&self, key: &str) -> Option<String> {
        Some(self.named(key, self.conf.place(key)?))
    }

    fn named(&self, key: &str, place: &str) -> String {
        let line = place.strip_prefix(&self.file).and_then(|rest| rest.strip_prefix(':'));
        line.map_or_else(|| format!("{key}, {place}"), |line| format!("{key}, line {line}"))
    }

    /// Says that a setting can't be taken over as it is, on standard error.
    fn wrong(&mut self, value: &Value, key: &str, why: &str) {
        self.conf.wrong.push(format!("{}: {key}: {why}", value.place));
    }

    /// What no key says: each setting that is left, one line each.
    fn rest(&mut self) {
        let names: Vec<String> = self.conf.names().into_iter().filter(|name| !self.told.contains(*name)).map(str::to_owned).collect();
        for (fate, title) in [
            (Fate::Gone, "No longer needed:"),
            (Fate::Key, "Not set here, for psad has it switched off or at what riposte does by itself:"),
            (Fate::Left, "Not carried over:"),
        ] {
            let mut lines: Vec<String> = Vec::new();
            for name in &names {
                let Some(setting) = settings::of(name).filter(|setting| setting.fate == fate) else { continue };
                lines.extend(self.place(name).map(|place| format!("  {place}: {}", setting.text.replace('`', ""))));
            }
            if !lines.is_empty() {
                self.text.push('\n');
                self.comment(title);
                lines.iter().for_each(|line| self.comment(line));
            }
        }
    }
}

#[cfg(test)]
mod tests;
