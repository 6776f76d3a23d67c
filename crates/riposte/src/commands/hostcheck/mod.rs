//! `riposte check --host`: what this host's firewall does with strangers, what riposte sees of it, and what to do. Changes nothing.

mod live;
mod text;

use crate::cli;
use crate::config::words::{did_you_mean, quoted};
use crate::config::{Config, LogSource};
use ruleset::advice::{Advice, Circumstances, advice};
use ruleset::survey::{Host, Survey, survey};
use ruleset::tools::{Tool, tools};
use ruleset::{Ruleset, TEXT_BYTES, Version, json, read};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// The priority of riposte's chain `probes` at the input hook.
const PROBES: i32 = -10;
/// Nothing could be read.
const UNREADABLE: u8 = 2;

/// All that was found.
struct Found {
    rules: Ruleset,
    surveys: Vec<Survey>,
    tools: Vec<Tool>,
    circumstances: Circumstances,
    advice: Vec<Advice>,
    /// What is to be said about the reading itself.
    notes: Vec<String>,
}

/// Reads, surveys, advises. The exit code is 0 if nothing must be done, 1 if something should, 2 if the rules can't be read.
pub fn run(args: &cli::Check, out: &mut impl Write) -> ExitCode {
    let found = match find(args) {
        Ok(found) => found,
        Err(lines) => return fail(args.json, &lines, out),
    };
    let heavy = found.advice.iter().any(|one| one.heavy);
    let written = if args.json { writeln!(out, "{}", as_json(&found)) } else { text::write(&found, out) };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(false, &[error.to_string()], out),
        _ => ExitCode::from(u8::from(heavy)),
    }
}

fn fail(json: bool, lines: &[String], out: &mut impl Write) -> ExitCode {
    if json {
        // Whoever reads it learns it from the exit code, too.
        let _ = writeln!(out, "{}", json!({"ok": false, "errors": lines}));
        let _ = out.flush();
    }
    for line in lines {
        eprintln!("riposte: {line}");
    }
    ExitCode::from(UNREADABLE)
}

fn find(args: &cli::Check) -> Result<Found, Vec<String>> {
    let mut circumstances = Circumstances { probes: PROBES, outside: args.outside.clone(), ..Circumstances::default() };
    let mut notes = Vec::new();
    configured(args.config.as_deref(), &mut circumstances, &mut notes)?;
    let mut host = Host::default();
    let (rules, versions) = if args.files.is_empty() {
        host = live::host(&mut circumstances, &mut notes);
        (live::rules(&mut notes)?, Version::BOTH.to_vec())
    } else {
        saved(&args.files, args.family)?
    };
    let surveys: Vec<Survey> = versions.iter().map(|version| survey(&rules, *version, &host)).collect();
    for version in Version::BOTH.iter().filter(|version| !versions.contains(version)) {
        notes.push(format!("{version}: these files say nothing about it."));
    }
    named(&args.outside, &surveys)?;
    let advice = advice(&rules, &surveys, &circumstances);
    Ok(Found { tools: tools(&rules), rules, surveys, circumstances, advice, notes })
}

/// Whether each interface that was named is one of the host's, or of those that saved rules name. Rules that name none treat all alike.
fn named(wanted: &[String], surveys: &[Survey]) -> Result<(), Vec<String>> {
    let there: BTreeSet<&str> = surveys.iter().flat_map(|survey| &survey.sides).filter_map(|side| side.interface.as_deref()).collect();
    let unknown = wanted.iter().filter(|name| !there.is_empty() && !there.contains(name.as_str()));
    let wrong: Vec<String> = unknown
        .map(|name| {
            let all: Vec<&str> = there.iter().copied().collect();
            let hint = did_you_mean(name, all.iter().copied());
            format!("--outside {}: there is no such interface (there are {}){hint}", quoted(name), all.join(", "))
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What of riposte's configuration counts here. Without a configuration the defaults do.
fn configured(path: Option<&Path>, circumstances: &mut Circumstances, notes: &mut Vec<String>) -> Result<(), Vec<String>> {
    let loaded = match path {
        Some(path) => Config::load(path),
        None => Config::load_default(),
    };
    let config = match (loaded, path) {
        (Ok(config), _) => config,
        (Err(wrong), Some(_)) => return Err(wrong.iter().map(ToString::to_string).collect()),
        (Err(_), None) => {
            notes.push("riposte's own configuration can't be read here; its defaults are taken (--config FILE names another).".to_owned());
            Config::default()
        }
    };
    circumstances.group = config.nflog.enabled.then_some(config.nflog.group);
    circumstances.follows_log = config.logs.iter().any(|log| match log {
        LogSource::File { .. } | LogSource::Pipe { .. } | LogSource::Kmsg { .. } | LogSource::Journal { .. } | LogSource::Syslog { .. } => {
            true
        }
    });
    Ok(())
}

/// Saved rules, and the versions of IP that they are about.
fn saved(files: &[std::path::PathBuf], family: Option<u8>) -> Result<(Ruleset, Vec<Version>), Vec<String>> {
    let (mut all, mut errors) = (Ruleset::default(), Vec::new());
    for path in files {
        let name = path.display().to_string();
        let version = match family {
            Some(4) => Some(Version::V4),
            Some(_) => Some(Version::V6),
            None => None,
        };
        match text_of(path) {
            Ok(text) if text.trim().is_empty() => {
                errors.push(format!("{name}: is empty: no rules were saved here (nft -j list ruleset, iptables-save)"))
            }
            Ok(text) => match read(&text, version.or_else(|| by_name(&text, &name))) {
                Ok(rules) => all.join(rules),
                Err(wrong) => errors.push(format!("{name}:{wrong}")),
            },
            Err(error) => errors.push(format!("{name}: {error}")),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // A listing of nft is about everything; of iptables about one version.
    let whole = all.tables.is_empty() || all.tables.iter().any(|table| table.origin == ruleset::rules::Origin::Nft);
    let versions =
        Version::BOTH.iter().copied().filter(|version| whole || all.tables.iter().any(|table| table.family.sees(*version))).collect();
    Ok((all, versions))
}

/// What a file's name says, if its text has no header that does: `rules.v6`, `ip6tables.save`.
fn by_name(text: &str, name: &str) -> Option<Version> {
    let name = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let six = ["ip6", "v6", "rules6"].iter().any(|part| name.contains(part));
    (six && !text.contains("Generated by")).then_some(Version::V6)
}

fn text_of(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let limit = TEXT_BYTES as u64 + 1;
    let done = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    done.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "this is no text (is it compressed?)".to_owned())
}

fn as_json(found: &Found) -> Value {
    let families: Vec<Value> = found.surveys.iter().map(json::survey).collect();
    let advice: Vec<Value> = found
        .advice
        .iter()
        .map(|one| json!({"heavy": one.heavy, "family": one.version.map(|version| version.to_string()), "what": one.what, "do": one.act}))
        .collect();
    let strange: Vec<Value> = found.rules.strange.iter().map(|one| json!({"line": one.line, "text": one.text})).collect();
    let seen: Vec<Value> = text::seen(found)
        .iter()
        .map(|one| json!({"family": one.version.to_string(), "protocol": one.protocol, "interface": one.interface, "seen": one.seen, "why": one.why}))
        .collect();
    json!({
        "ok": !found.advice.iter().any(|one| one.heavy),
        "rules": found.rules.rules,
        "tools": found.tools.iter().map(|tool| tool.name()).collect::<Vec<_>>(),
        "families": families,
        "riposte_sees": seen,
        "advice": advice,
        "not_understood": strange,
        "notes": found.notes,
    })
}
