//! Finds the files that `--rules` and `--config` mean, and makes rules of them. Opens files for reading only.

use super::{Engine, PLACE};
use crate::cli;
use crate::commands::{Failure, fail, regex, rules};
use crate::lives::applications::engine::{self, Kind};
use jiff::tz::TimeZone;
use logrules::ossec::{self, Files, conf::Conf, order};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The rules that are to be asked: riposte's own unless others are named.
///
/// # Errors
/// A line for each thing that is wrong.
pub(super) fn engine(args: &cli::Logtest) -> Result<Engine, Failure> {
    if let Some(filter) = &args.filter {
        return regex::jail_of(filter, filter_dir(args)?).map(|jail| Engine::Other(Box::new(jail)));
    }
    let mut kinds = args.rules.iter().map(|place| engine::kind(place)).collect::<Result<Vec<_>, _>>()?;
    kinds.extend(args.config.as_ref().map(|_| Kind::Ossec));
    kinds.dedup();
    let mut notices = Vec::new();
    let zone = TimeZone::system();
    let engine = match kinds.as_slice() {
        [] => Engine::Own(Box::new(engine::book(Vec::new(), &zone)?)),
        [Kind::Own] => {
            let mut own = Vec::new();
            args.rules.iter().try_for_each(|place| rules::gather(place, &mut own))?;
            Engine::Own(Box::new(engine::book(own, &zone)?))
        }
        [Kind::Ossec] => {
            let mut ossec = engine::engines_of_ossec(&args.rules, args.config.as_deref(), zone, &mut notices)?;
            ossec.settings.as_logtest = true;
            Engine::Ossec(Box::new(ossec))
        }
        [Kind::Fail2ban] => {
            let [dir] = args.rules.as_slice() else { return Err(fail("one folder of fail2ban's at a time")) };
            let mut jails = engine::jails(dir, &zone, &mut notices)?;
            jails.try_on(PLACE);
            Engine::Other(Box::new(jails))
        }
        _ => return Err(fail("rules of one kind at a time: .toml files, OSSEC's, or fail2ban's")),
    };
    notices.iter().for_each(|notice| eprintln!("riposte: {notice}"));
    Ok(engine)
}

/// Where the filter lies: in `--config-dir`, or in fail2ban's folder that `--rules` names.
///
/// # Errors
/// If `--rules` names anything else.
pub(super) fn filter_dir(args: &cli::Logtest) -> Result<Option<&Path>, Failure> {
    match args.rules.as_slice() {
        [] => Ok(args.config_dir.as_deref()),
        [dir] if engine::kind(dir)? == Kind::Fail2ban => Ok(Some(dir)),
        _ => Err(fail("--filter is a filter of fail2ban's: with it, --rules can only be the folder that has filter.d")),
    }
}

/// OSSEC's files that these folders, files and `ossec.conf` mean, in the order in which they are to be read; and what is to be said of them.
///
/// # Errors
/// A line for each thing that can't be found or read.
pub fn ossec_files(rules: &[PathBuf], config: Option<&Path>) -> Result<(Files, Vec<String>), Failure> {
    let mut found = Found::default();
    if let Some(path) = config {
        found.config(path)?;
    }
    for path in rules {
        found.path(path)?;
    }
    found.files()
}

#[derive(Default)]
struct Found {
    /// `ossec.conf`: its name, its text, what it says.
    config: Option<(PathBuf, String, Conf)>,
    /// Nobody has named it: it lay in a folder.
    found_config: bool,
    decoders: Vec<PathBuf>,
    /// Rule files of folders.
    rules: Vec<PathBuf>,
    /// Rule files that were named one by one.
    named: Vec<PathBuf>,
    lists: Vec<PathBuf>,
    notices: Vec<String>,
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| fail(format!("{name}: {error}")))?;
    Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
}

/// `None` if nothing is there; that it can't be looked at is an error.
fn there<T>(path: &Path, found: io::Result<T>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(fail(format!("{}: {error}", path.display()))),
    }
}

/// The first of these files that is there.
fn first(candidates: impl IntoIterator<Item = PathBuf>) -> Result<Option<PathBuf>, Failure> {
    for path in candidates {
        if there(&path, fs::metadata(&path))?.is_some_and(|file| file.is_file()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The configuration of the installation in a folder.
///
/// # Errors
/// If it can't be looked at.
pub fn conf_in(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    first(["etc/ossec.conf", "ossec.conf"].map(|name| folder.join(name)))
}

/// The file of this name among those that were given, or in one of these folders.
fn find(given: &[PathBuf], file: &str, folders: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    match given.iter().find(|path| name(path) == name(Path::new(file))) {
        Some(path) => Ok(Some(path.clone())),
        None => first(folders.iter().map(|folder| folder.join(file))),
    }
}

/// A folder's files with one of these endings, in the order of their names. `None` if there is no such folder.
fn folder(path: &Path, endings: &[&str]) -> Result<Option<Vec<PathBuf>>, Failure> {
    let Some(entries) = there(path, fs::read_dir(path))? else { return Ok(None) };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| fail(format!("{}: {error}", path.display())))?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let ending = path.extension().unwrap_or_default();
        if !hidden && endings.iter().any(|meant| ending == *meant) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(Some(files))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A rule file that OSSEC comes with and leaves out.
fn rests(path: &Path) -> bool {
    path.file_stem().unwrap_or_default().to_string_lossy().ends_with(order::LEFT_OUT)
}

/// The folders of OSSEC's and Wazuh's homes, of their source code, and of what people keep.
const DECODERS: [&str; 4] = ["decoder.xml", "etc/decoder.xml", "local_decoder.xml", "etc/local_decoder.xml"];
const DECODER_FOLDERS: [&str; 3] = ["ruleset/decoders", "decoders", "etc/decoders"];
const RULE_FOLDERS: [&str; 3] = ["ruleset/rules", "rules", "etc/rules"];
const LIST_FOLDERS: [&str; 6] = ["lists", "lists/amazon", "ruleset/lists", "ruleset/lists/amazon", "etc/lists", "etc/lists/amazon"];
/// Without it no rule has a place.
const BASE: &str = "rules_config.xml";

impl Found {
    fn config(&mut self, path: &Path) -> Result<(), Failure> {
        let (file, text) = read(path)?;
        if let Some((other, ..)) = &self.config {
            return Err(fail(format!("{file}: one ossec.conf is enough, and there is {} already", other.display())));
        }
        let (conf, _) = ossec::read_conf(&file, &text).map_err(|remarks| engine::told(&remarks))?;
        self.config = Some((path.to_owned(), text, conf));
        Ok(())
    }

    fn path(&mut self, path: &Path) -> Result<(), Failure> {
        if path.is_dir() {
            return self.dir(path);
        }
        if path.extension().is_some_and(|ending| ending == "conf") {
            return self.config(path);
        }
        let (file, text) = read(path)?;
        let list = match (text.find("<decoder "), text.find("<group ")) {
            (None, None) => return Err(fail(format!("{file}: neither <decoder name=…> nor <group name=…> is in it"))),
            (Some(decoder), group) if group.is_none_or(|group| decoder < group) => &mut self.decoders,
            _ => &mut self.named,
        };
        list.push(path.to_owned());
        Ok(())
    }

    fn dir(&mut self, path: &Path) -> Result<(), Failure> {
        let before = self.decoders.len() + self.rules.len();
        for file in DECODERS {
            self.decoders.extend(first([path.join(file)])?);
        }
        for name in DECODER_FOLDERS {
            self.decoders.extend(folder(&path.join(name), &["xml"])?.into_iter().flatten());
        }
        for name in RULE_FOLDERS {
            self.rules.extend(folder(&path.join(name), &["xml"])?.into_iter().flatten());
        }
        for name in LIST_FOLDERS {
            self.lists.extend(folder(&path.join(name), &["", "txt"])?.into_iter().flatten());
        }
        if self.decoders.len() + self.rules.len() == before {
            // Files beside each other, of both kinds.
            for file in folder(path, &["xml"])?.into_iter().flatten() {
                let (_, text) = read(&file)?;
                if text.contains("<decoder ") { self.decoders.push(file) } else { self.rules.push(file) }
            }
        }
        // A home's own configuration says what is in force there.
        let config = if self.config.is_none() { conf_in(path)? } else { None };
        if let Some(config) = &config {
            self.config(config)?;
            self.found_config = true;
        }
        if self.decoders.len() + self.rules.len() == before && config.is_none() {
            return Err(fail(format!("{}: neither decoder.xml nor rules/*.xml is there", path.display())));
        }
        Ok(())
    }

    /// What the configuration names: rules in its order, each found beside it or in a folder that was named. Whether it names any.
    fn of_config(&mut self) -> Result<bool, Failure> {
        let Some((path, _, conf)) = &self.config else { return Ok(false) };
        // OSSEC's home is above the folder of its configuration.
        let etc = path.parent().unwrap_or(Path::new("."));
        let home = etc.join("..");
        let (mut missing, mut rules, mut decoders) = (Vec::new(), Vec::new(), Vec::new());
        for file in &conf.rules {
            match find(&self.rules, file, &[home.join("rules"), home.clone(), etc.to_owned()])? {
                Some(path) => rules.push(path),
                None => missing.push(file),
            }
        }
        for file in &conf.decoders {
            match find(&self.decoders, file, &[home.clone(), etc.to_owned()])? {
                Some(path) => decoders.push(path),
                None => missing.push(file),
            }
        }
        for file in &conf.lists {
            // OSSEC reads what it has compiled; the text lies beside it.
            let names = [file.clone(), format!("{file}.txt"), file.trim_end_matches(".cdb").to_owned()];
            match first(names.iter().flat_map(|file| [home.join(file), etc.join(file)]).filter(|path| !path.ends_with(".cdb")))? {
                Some(path) => self.lists.push(path),
                None => self.notices.push(format!("{}: the list {file} is not below {}", path.display(), home.display())),
            }
        }
        let excluded = |path: &PathBuf| conf.excluded.iter().any(|out| name(Path::new(out)) == name(path));
        for (folders, files) in [(&conf.rule_folders, &mut rules), (&conf.decoder_folders, &mut decoders)] {
            for place in folders {
                match folder(&home.join(place), &["xml"])? {
                    Some(found) => files.extend(found.into_iter().filter(|path| !excluded(path))),
                    None => missing.push(place),
                }
            }
        }
        if !missing.is_empty() {
            let told =
                |file: &&String| format!("{}: {file} is neither below {} nor in a folder of --rules", path.display(), home.display());
            let missing: Failure = missing.iter().map(told).collect();
            if !self.found_config {
                return Err(missing);
            }
            self.notices.extend(missing);
        }
        if decoders.is_empty() && self.decoders.is_empty() {
            for file in DECODERS {
                decoders.extend(first([home.join(file)])?);
            }
        }
        let of_config = !rules.is_empty();
        if of_config {
            let left = self.rules.iter().filter(|path| !rules.iter().any(|rule| name(rule) == name(path))).count();
            if left > 0 {
                self.notices.push(format!("{}: names {} rule files; {left} more are not read", path.display(), rules.len()));
            }
            self.rules = rules;
        }
        if !decoders.is_empty() {
            self.decoders = decoders;
        }
        Ok(of_config)
    }

    /// Rule files alone mean nothing: what they need is mostly where it is in OSSEC's home.
    fn beside(&mut self) -> Result<(), Failure> {
        let Some(at) = self.named.iter().chain(&self.rules).next().and_then(|path| path.parent()).map(Path::to_owned) else {
            return Ok(());
        };
        let above = at.join("..");
        let mut taken = Vec::new();
        if self.decoders.is_empty() {
            for file in DECODERS {
                taken.extend(first([above.join(file)])?);
            }
            self.decoders.clone_from(&taken);
        }
        if !self.rules.iter().chain(&self.named).any(|path| name(path) == BASE) {
            let base = first([at.join(BASE)])?;
            taken.extend(base.clone());
            self.rules.extend(base);
        }
        self.notices.extend(taken.iter().map(|path| format!("{} is read, too", path.display())));
        Ok(())
    }

    fn files(mut self) -> Result<(Files, Vec<String>), Failure> {
        // As OSSEC's own configuration has them; what it doesn't know comes behind. Stable: folder by folder, by name within each.
        self.rules.sort_by_key(|path| order::place(&path.file_stem().unwrap_or_default().to_string_lossy()));
        let mut resting = Vec::new();
        if !self.of_config()? {
            (resting, self.rules) = std::mem::take(&mut self.rules).into_iter().partition(|path| rests(path));
        }
        if self.config.is_none() {
            self.beside()?;
        }
        // Several may name the same file.
        let mut known = BTreeSet::new();
        let mut once = |paths: &mut Vec<PathBuf>| paths.retain(|path| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
        self.rules.append(&mut self.named);
        [&mut self.decoders, &mut self.rules, &mut self.lists, &mut resting].into_iter().for_each(&mut once);
        if self.rules.is_empty() {
            let from = self.config.as_ref().map_or_else(String::new, |(path, ..)| format!("{} names ", path.display()));
            if self.decoders.is_empty() {
                return Err(fail(format!("{from}neither decoders nor rules: --rules says where they are")));
            }
            self.notices.push(format!("{from}no rules: lines are only decoded"));
        }
        for file in resting.iter().map(|path| path.display()) {
            self.notices.push(format!("{file}: its rules are at rest, as in OSSEC's own configuration; --rules {file} puts them to work"));
        }
        let all = |paths: &[PathBuf]| paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>();
        let files = Files {
            config: self.config.as_ref().map(|(path, text, _)| (path.display().to_string(), text.clone())),
            decoders: all(&self.decoders)?,
            rules: all(&self.rules)?,
            resting: all(&resting)?,
            lists: all(&self.lists)?,
        };
        Ok((files, self.notices))
    }
}
