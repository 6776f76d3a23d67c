//! Finds the files that `--rules` and `--config` mean, and makes rules of them. Opens files for reading only.

use super::Engine;
use crate::cli;
use crate::commands::{Failure, fail, rules};
use crate::lives::applications::engine::{self, Kind};
use logrules::ossec::{self, Files, order};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rules that are to be asked: riposte's own unless others are named.
///
/// # Errors
/// A line for each thing that is wrong.
pub(super) fn engine(args: &cli::Logtest) -> Result<Engine, Failure> {
    let mut kinds = args.rules.iter().map(|place| engine::kind(place)).collect::<Result<Vec<_>, _>>()?;
    kinds.extend(args.config.as_ref().map(|_| Kind::Ossec));
    kinds.dedup();
    let mut notices = Vec::new();
    let engine = match kinds.as_slice() {
        [] => Engine::Own(Box::new(engine::book(Vec::new())?)),
        [Kind::Own] => {
            let mut own = Vec::new();
            args.rules.iter().try_for_each(|place| rules::gather(place, &mut own))?;
            Engine::Own(Box::new(engine::book(own)?))
        }
        [Kind::Ossec] => {
            let mut ossec = engine::engines_of_ossec(&args.rules, args.config.as_deref(), &mut notices)?;
            ossec.settings.as_logtest = true;
            Engine::Ossec(Box::new(ossec))
        }
        [Kind::Fail2ban] => {
            let mut jails = engine::load(&args.rules, &[])?;
            notices.append(&mut jails.notices);
            Engine::Other(Box::new(jails))
        }
        _ => return Err(fail("rules of one kind at a time: .toml files, OSSEC's, or fail2ban's")),
    };
    notices.iter().for_each(|notice| eprintln!("riposte: {notice}"));
    Ok(engine)
}

/// OSSEC's files that these folders, files and `ossec.conf` mean, in the order in which they are to be read; and what was left out.
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
    Ok((found.files()?, found.notices))
}

#[derive(Default)]
struct Found {
    config: Option<(String, String)>,
    conf: Option<ossec::conf::Conf>,
    decoders: Vec<PathBuf>,
    rules: Vec<PathBuf>,
    lists: Vec<PathBuf>,
    notices: Vec<String>,
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| fail(format!("{name}: {error}")))?;
    Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
}

/// A folder's files with one of these endings, in the order of their names.
fn folder(path: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let meant = |path: &PathBuf| {
        path.is_file() && (endings.is_empty() || path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)))
    };
    let mut files: Vec<PathBuf> = entries.filter(meant).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Found {
    fn config(&mut self, path: &Path) -> Result<(), Failure> {
        let (name, text) = read(path)?;
        let (conf, _) = ossec::read_conf(&name, &text).map_err(|remarks| engine::told(&remarks))?;
        // OSSEC's home is above the folder of its configuration.
        let etc = path.parent().unwrap_or(Path::new("."));
        let home = etc.join("..");
        let there = |name: &str, folders: &[&Path]| {
            let name = Path::new(name);
            folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        self.config = Some((name.clone(), text));
        for file in &conf.rules {
            match there(file, &[&home.join("rules"), &home, etc]) {
                Some(path) => self.rules.push(path),
                // `--rules DIR` may have it.
                None => self.notices.push(format!("{name}: {file} is not below {}", home.display())),
            }
        }
        for file in &conf.decoders {
            self.decoders.extend(there(file, &[&home, etc]));
        }
        for file in &conf.lists {
            let candidates = [file.clone(), format!("{file}.txt")];
            self.lists.extend(candidates.iter().find_map(|file| there(file, &[&home, etc])));
        }
        for folder_name in &conf.rule_folders {
            let files = folder(&home.join(folder_name), &["xml"]);
            let excluded = |path: &PathBuf| conf.excluded.iter().any(|out| path.ends_with(Path::new(out).file_name().unwrap_or_default()));
            self.rules.extend(files.into_iter().filter(|path| !excluded(path)));
        }
        for folder_name in &conf.decoder_folders {
            self.decoders.extend(folder(&home.join(folder_name), &["xml"]));
        }
        if self.decoders.is_empty() && !self.rules.is_empty() {
            let candidates = ["etc/decoder.xml", "etc/local_decoder.xml"].map(|file| home.join(file));
            self.decoders.extend(candidates.into_iter().filter(|path| path.is_file()));
        }
        if !conf.rules.is_empty() && self.rules.len() == conf.rules.len() {
            self.notices.clear();
        }
        self.conf = Some(conf);
        Ok(())
    }

    fn path(&mut self, path: &Path) -> Result<(), Failure> {
        if path.is_dir() {
            return self.dir(path);
        }
        let (_, text) = read(path)?;
        self.sort_in(path.to_owned(), &text);
        Ok(())
    }

    fn sort_in(&mut self, path: PathBuf, text: &str) {
        let place = |word: &str| text.find(word).unwrap_or(usize::MAX);
        if place("<decoder ") < place("<group ") {
            self.decoders.push(path);
        } else {
            self.rules.push(path);
        }
    }

    fn dir(&mut self, path: &Path) -> Result<(), Failure> {
        let decoders = self.decoders.len();
        for name in ["decoder.xml", "etc/decoder.xml", "local_decoder.xml", "etc/local_decoder.xml"] {
            let file = path.join(name);
            if file.is_file() {
                self.decoders.push(file);
            }
        }
        for name in ["ruleset/decoders", "decoders", "etc/decoders"] {
            self.decoders.extend(folder(&path.join(name), &["xml"]));
        }
        for name in ["lists", "etc/lists", "etc/lists/amazon"] {
            self.lists
                .extend(folder(&path.join(name), &[]).into_iter().filter(|path| path.extension().is_none_or(|ending| ending == "txt")));
        }
        let mut rules = Vec::new();
        for name in ["ruleset/rules", "rules", "etc/rules"] {
            rules.extend(folder(&path.join(name), &["xml"]));
        }
        let mut any = self.decoders.len() > decoders || !rules.is_empty();
        let named = self.conf.as_ref().map(|conf| conf.rules.clone()).unwrap_or_default();
        if named.is_empty() {
            let rules = self.in_order(rules);
            self.rules.extend(rules);
        } else {
            // The configuration says which, and in which order.
            self.notices.clear();
            self.rules.clear();
            for name in named {
                let file = rules.iter().find(|file| file.ends_with(Path::new(&name).file_name().unwrap_or_default()));
                match file {
                    Some(file) => self.rules.push(file.clone()),
                    None => return Err(fail(format!("{name}: no such rule file in {}", path.display()))),
                }
            }
        }
        if !any {
            let mut loose = Vec::new();
            for file in folder(path, &["xml"]) {
                let (_, text) = read(&file)?;
                any = true;
                if text.contains("<decoder ") { self.decoders.push(file) } else { loose.push(file) }
            }
            let loose = self.in_order(loose);
            self.rules.extend(loose);
        }
        if !any {
            return Err(fail(format!("{}: neither decoder.xml nor rules/*.xml is there", path.display())));
        }
        Ok(())
    }

    /// As OSSEC's own configuration has them; what it doesn't know comes behind, by name.
    fn in_order(&mut self, mut rules: Vec<PathBuf>) -> Vec<PathBuf> {
        // Stable: folder by folder, by name within each.
        rules.sort_by_key(|path| order::place(&stem(path)));
        rules.retain(|path| {
            let out = stem(path) == order::LEFT_OUT;
            if out {
                let file = path.display();
                self.notices.push(format!("{file}: left out, as in OSSEC's own configuration; --rules {file} takes it in"));
            }
            !out
        });
        rules
    }

    fn files(&self) -> Result<Files, Failure> {
        let all = |paths: &[PathBuf]| {
            // The configuration and the folder may name the same file.
            let mut known = BTreeSet::new();
            let once = paths.iter().filter(|path| known.insert(path.canonicalize().unwrap_or_else(|_| (*path).clone())));
            once.map(|path| read(path)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Files { config: self.config.clone(), decoders: all(&self.decoders)?, rules: all(&self.rules)?, lists: all(&self.lists)? })
    }
}
