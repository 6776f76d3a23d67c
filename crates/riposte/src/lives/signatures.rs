//! Which signatures are at work: riposte's own and those of the user's files. Reads files; starts nothing. Runs before the sandbox.

use super::applications::engine::told;
use crate::commands::{Failure, fail};
use crate::config::SignaturesConfig;
use model::net::Prefix;
use signatures::assigned::Assigned;
use signatures::tables::{IcmpTypes, levels, protocols};
use signatures::{Problem, Set, Sources};
use std::fs;
use std::path::Path;

/// Bytes of one file.
const FILE_BYTES: u64 = 64 << 20;

/// How a file is read.
pub type Read<'r> = &'r dyn Fn(&Path) -> Result<String, Failure>;

/// The signatures, and what of them does not work as its author meant.
///
/// # Errors
/// A line for each thing that is wrong, with its file and line.
pub fn load(config: &SignaturesConfig) -> Result<(Set, Vec<String>), Failure> {
    load_by(config, &text)
}

/// The same, with the files read by `text`.
///
/// # Errors
/// A line for each thing that is wrong, with its file and line.
pub fn load_by(config: &SignaturesConfig, text: Read<'_>) -> Result<(Set, Vec<String>), Failure> {
    if !config.enabled {
        return Ok((Set::default(), Vec::new()));
    }
    let (mut problems, mut remarks) = (Vec::new(), Vec::new());
    let mut sources = Sources { shipped: config.shipped, ..Sources::default() };
    for (name, value) in &config.variables {
        sources.around.variables.set(name, value).map_err(|wrong| fail(format!("variables: {wrong}")))?;
    }
    for (key, place) in config.tables() {
        let Some(place) = place else { continue };
        let (name, text) = (place.display().to_string(), text(place)?);
        match key {
            "levels" => sources.around.levels = levels(&name, &text, &mut problems),
            "auto_dl" => sources.assigned = Assigned::read(&name, &text, &mut problems, &mut remarks),
            "ip_options" => sources.around.ip_options.read(&name, &text, &mut problems),
            "icmp_types" => sources.icmp = Some(IcmpTypes::read(&name, &text, &mut problems)),
            "icmp6_types" => sources.icmpv6 = Some(IcmpTypes::read(&name, &text, &mut problems)),
            _ => sources.around.protocols = protocols(&name, &text, &mut problems),
        }
    }
    for place in &config.rules {
        gather(place, &mut sources.files, text)?;
    }
    match Set::load(&sources) {
        Ok(set) if problems.is_empty() => {
            let remarks = told(&remarks).into_iter().chain(resting(&set)).collect();
            Ok((set, remarks))
        }
        Ok(_) => Err(told(&problems)),
        Err(more) => Err(told(&problems.into_iter().chain(more).collect::<Vec<Problem>>())),
    }
}

/// Whom `auto_dl` spares whatever they do: psad never blocks them either.
///
/// # Errors
/// A line for each thing that is wrong with it.
pub fn spared(config: &SignaturesConfig) -> Result<Vec<Prefix>, Failure> {
    let Some(place) = config.auto_dl.as_ref().filter(|_| config.enabled) else { return Ok(Vec::new()) };
    let mut problems = Vec::new();
    let assigned = Assigned::read(&place.display().to_string(), &text(place)?, &mut problems, &mut Vec::new());
    if problems.is_empty() { Ok(assigned.spared().collect()) } else { Err(told(&problems)) }
}

/// Rules that rest, in one line.
fn resting(set: &Set) -> Option<String> {
    let rests: Vec<(&str, usize)> = set.rests().collect();
    let count: usize = rests.iter().map(|(_, count)| count).sum();
    let names: Vec<String> =
        rests.iter().map(|(name, count)| format!("{name} {count} (needs {})", signatures::keywords::later::needs(name))).collect();
    (count > 0).then(|| format!("{count} rules rest, for what they ask is not looked at yet: {}", names.join(", ")))
}

/// A file of rules, or those in a folder: `*.rules`, psad's `signatures`, and Snort's `classification.config` before them.
fn gather(place: &Path, files: &mut Vec<(String, String)>, text: Read<'_>) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| fail(format!("{}: {error}", place.display()));
    if !place.is_dir() {
        files.push((place.display().to_string(), text(place)?));
        return Ok(());
    }
    let inside = fs::read_dir(place).map_err(wrong)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let named = |path: &Path, name: &str| path.file_name().is_some_and(|known| known == name);
    let mut rules: Vec<_> = inside
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "rules") || named(path, "signatures") || named(path, "classification.config")
        })
        .filter(|path| path.is_file())
        .collect();
    rules.sort_by_key(|path| (!named(path, "classification.config"), path.clone()));
    if rules.is_empty() {
        return Err(fail(format!("{}: no rules in it: they are files called *.rules, or psad's signatures", place.display())));
    }
    rules.iter().try_for_each(|path| gather(path, files, text))
}

/// A file's text. Old rules are often no UTF-8.
pub(super) fn text(place: &Path) -> Result<String, Failure> {
    let wrong = |error: std::io::Error| fail(format!("{}: {error}", place.display()));
    if fs::metadata(place).map_err(wrong)?.len() > FILE_BYTES {
        return Err(fail(format!("{}: larger than {} MiB", place.display(), FILE_BYTES >> 20)));
    }
    Ok(String::from_utf8_lossy(&fs::read(place).map_err(wrong)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "alert tcp any any -> any 4711 (msg:\"x\"; classtype:mine; sid:1;)\n";

    #[test]
    fn folders_and_tables_are_read_and_what_rests_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        write("a.rules", &[RULE.as_bytes(), b"alert tcp any any -> any 80 (msg:\"\xe9\"; content:\"x\"; sid:2;)\n"].concat());
        write("classification.config", b"config classification: mine,My own,3\n");
        write("README", b"no rules at all");
        write("auto_dl", b"192.0.2.7 0;\n198.51.100.0/24 0 tcp/22;\nhost.example.org 3;\n");
        let rules = vec![folder.path().to_owned()];
        let auto_dl = Some(folder.path().join("auto_dl"));
        let config = SignaturesConfig { enabled: true, shipped: false, rules, auto_dl, ..SignaturesConfig::default() };
        let (set, remarks) = load(&config).unwrap();
        assert_eq!(
            (set.len(), set.signature(1).map(|s| s.level)),
            (1, signatures::level::Level::read("3").ok()),
            "its class is told beside it"
        );
        assert!(
            matches!(&remarks[..], [name, rests] if name.contains("auto_dl:3: 'host.example.org'") && rests.contains("content 1 (needs the payload)")),
            "{remarks:?}"
        );
        assert_eq!(spared(&config), Ok(vec!["192.0.2.7".parse().unwrap()]));
        assert!(load(&SignaturesConfig { enabled: false, ..config }).unwrap().0.is_empty());
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_by_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let rules = vec![place("a", "alert tcp any any -> any 80 (flgas:S; sid:1;)\n")];
        let levels = Some(place("levels", "\n1 9\n"));
        let wrong = load(&SignaturesConfig { enabled: true, rules, levels, ..SignaturesConfig::default() }).unwrap_err();
        assert!(matches!(&wrong[..], [a, b] if a.contains("levels:2: ") && b.contains("/a:1: unknown keyword 'flgas'")), "{wrong:?}");
        let missing =
            load(&SignaturesConfig { enabled: true, rules: vec![folder.path().join("none")], ..SignaturesConfig::default() }).unwrap_err();
        assert!(missing[0].contains("none: "), "{missing:?}");
        fs::remove_file(folder.path().join("a")).unwrap();
        let empty =
            load(&SignaturesConfig { enabled: true, rules: vec![folder.path().to_owned()], ..SignaturesConfig::default() }).unwrap_err();
        assert!(empty[0].contains("no rules in it"), "{empty:?}");
    }
}
