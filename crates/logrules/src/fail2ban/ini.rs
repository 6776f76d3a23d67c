//! fail2ban's configuration files: Python's INI with includes, `.local` over `.conf`, `%(…)s` and `known/`. Opens nothing itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Files that include each other deeper than this are taken for a circle.
const INCLUDES_MAX: usize = 32;
/// `%(a)s` within `%(b)s` within …: Python's own limit is 10, fail2ban's own files need 6.
const DEPTH_MAX: usize = 32;
/// A value longer than this comes from names that multiply.
const VALUE_MAX: usize = 1 << 20;
/// The section that all others fall back on.
pub const DEFAULT: &str = "DEFAULT";

/// Where texts come from: the loader opens nothing itself.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// A file's text.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// What lies in a folder, in any order; whole paths.
    pub list: &'a dyn Fn(&Path) -> io::Result<Vec<PathBuf>>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or what else it was read from.
    pub file: String,
    /// The line, from 1; 0 if it is the file as a whole.
    pub line: usize,
    /// What is wrong, and what would be right if that is known.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// An option as it was written, and where.
#[derive(Debug, Clone)]
struct Value {
    text: String,
    file: std::rc::Rc<str>,
    line: usize,
}

/// One section's options, by their names in lower case.
type Section = BTreeMap<String, Value>;

/// A configuration out of all its files.
#[derive(Debug, Clone, Default)]
pub struct Ini {
    sections: BTreeMap<String, Section>,
    /// In the order in which they first came.
    names: Vec<String>,
    /// Names that are always known (`fail2ban_confpath`).
    given: BTreeMap<String, String>,
    read: usize,
}

impl Ini {
    /// With names that any value may use.
    pub fn with(given: &[(&str, &str)]) -> Ini {
        Ini { given: given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(), ..Ini::default() }
    }

    /// Reads `BASE.conf`, `BASE.d/*.conf`, `BASE.local`, `BASE.d/*.local`, each with what it includes; later ones win. At least one must be there.
    ///
    /// # Errors
    /// If there is none of them, or one can't be understood.
    pub fn read_set(&mut self, base: &Path, files: Files<'_>) -> Result<(), Problem> {
        let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", base.display()));
        let mut folder = (files.list)(&beside("d")).unwrap_or_default();
        folder.sort();
        let before = self.read;
        for ending in ["conf", "local"] {
            let more = folder.iter().filter(|path| path.extension().is_some_and(|extension| extension == ending));
            for path in std::iter::once(&beside(ending)).chain(more) {
                self.read_file(path, files, 0)?;
            }
        }
        if self.read == before {
            let message = "there is no such file".to_owned();
            return Err(Problem { file: beside("conf").display().to_string(), line: 0, message });
        }
        Ok(())
    }

    /// Reads one file with what it includes; that there is none is no error. Says whether there was one.
    ///
    /// # Errors
    /// If it can't be understood, or includes itself.
    pub fn read_file(&mut self, path: &Path, files: Files<'_>, depth: usize) -> Result<bool, Problem> {
        let file = path.display().to_string();
        if depth > INCLUDES_MAX {
            return Err(Problem { file, line: 0, message: "files include each other in a circle".to_owned() });
        }
        let text = match (files.read)(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Problem { file, line: 0, message: error.to_string() }),
        };
        let parsed = parse(&text, &file)?;
        let included = |what: &str| -> Result<Vec<PathBuf>, Problem> {
            let Some(value) = parsed.iter().find(|(name, _)| name == "INCLUDES").and_then(|(_, section)| section.get(what)) else {
                return Ok(Vec::new());
            };
            // Only what the file itself and the given names define is known at this point.
            let mut own = Ini { given: self.given.clone(), ..Ini::default() };
            parsed.iter().for_each(|(name, section)| own.merge(name, section.clone()));
            let names = own.expand("INCLUDES", &value.text, value, &BTreeMap::new(), 0)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            Ok(names.split('\n').map(str::trim).filter(|name| !name.is_empty()).map(|name| folder.join(name)).collect())
        };
        let (before, after) = (included("before")?, included("after")?);
        for path in before {
            self.read_included(&path, files, depth + 1)?;
        }
        self.read += 1;
        for (name, section) in parsed {
            if name != "INCLUDES" {
                self.merge(&name, section);
            }
        }
        for path in after {
            self.read_included(&path, files, depth + 1)?;
        }
        Ok(true)
    }

    /// A file that another includes, and the `.local` beside it.
    fn read_included(&mut self, path: &Path, files: Files<'_>, depth: usize) -> Result<(), Problem> {
        self.read_file(path, files, depth)?;
        if path.extension().is_none_or(|ending| ending != "local") {
            self.read_file(&path.with_extension("local"), files, depth)?;
        }
        Ok(())
    }

    /// Lays a section over what is there. What was there before stays as `known/…`.
    fn merge(&mut self, name: &str, mut section: Section) {
        // `[Init?family=inet6]`: options that only hold under a condition.
        let name = match name.split_once('?') {
            Some((name, condition)) => {
                section = section.into_iter().map(|(option, value)| (format!("{option}?{condition}"), value)).collect();
                name
            }
            None => name,
        };
        if !self.sections.contains_key(name) {
            self.names.push(name.to_owned());
        }
        let old = self.sections.entry(name.to_owned()).or_default();
        let mut known = Section::new();
        for option in section.keys() {
            let key = format!("known/{option}");
            if let Some(before) = old.get(option) {
                // What was known even before that is known under the same name: it is put in now.
                let mut before = before.clone();
                if let Some(first) = old.get(&key) {
                    before.text = before.text.replace(&format!("%({key})s"), &first.text);
                }
                known.insert(key, before);
            }
        }
        old.extend(known);
        old.extend(section);
    }

    /// All sections but `DEFAULT`, in the order in which they first came.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| *name != DEFAULT)
    }

    /// Whether there is such a section.
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// The names of a section's own options.
    pub fn own(&self, section: &str) -> impl Iterator<Item = &str> {
        self.sections.get(section).into_iter().flat_map(|section| section.keys()).map(String::as_str)
    }

    /// Where an option is written: file and line.
    pub fn place(&self, section: &str, option: &str) -> (String, usize) {
        match self.raw(section, option) {
            Some(value) => (value.file.to_string(), value.line),
            None => (String::new(), 0),
        }
    }

    fn raw(&self, section: &str, option: &str) -> Option<&Value> {
        let of = |section: &str| self.sections.get(section).and_then(|section| section.get(option));
        of(section).or_else(|| of(DEFAULT))
    }

    /// An option's value with everything put in; `vars` go before what is written. `None` if there is no such option.
    ///
    /// # Errors
    /// If it uses a name that nobody defines, or names that use each other.
    pub fn value(&self, section: &str, option: &str, vars: &BTreeMap<String, String>) -> Result<Option<String>, Problem> {
        let option = option.to_lowercase();
        if let Some(text) = vars.get(&option) {
            return Ok(Some(text.clone()));
        }
        if let Some((from, name)) = option.split_once('/') {
            let Some(value) = self.foreign(section, from, name) else { return Ok(None) };
            // Asked for by itself, it means what it means in its own section.
            let own = self.section_named(from).unwrap_or(section);
            return self.expand(own, &value.text, value, vars, 0).map(Some);
        }
        let Some(value) = self.raw(section, &option) else { return Ok(self.given.get(&option).cloned()) };
        self.expand(section, &value.text, value, vars, 0).map(Some)
    }

    /// `section/option`, `known/option`, `default/option`.
    fn foreign(&self, section: &str, from: &str, option: &str) -> Option<&Value> {
        let of = |section: &str, option: &str| self.sections.get(section).and_then(|section| section.get(option));
        if from == "known" {
            // What the section overrides: in an earlier file, or of all sections.
            let key = format!("known/{option}");
            return self.raw(section, &key).or_else(|| of(DEFAULT, option)).or_else(|| of(section, option));
        }
        if from.eq_ignore_ascii_case(DEFAULT) {
            return of(DEFAULT, option);
        }
        self.raw(self.section_named(from)?, option)
    }

    /// A section by its name, or by its name in another case.
    fn section_named(&self, name: &str) -> Option<&str> {
        let names = || self.sections.keys().map(String::as_str);
        names().find(|known| *known == name).or_else(|| names().find(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Puts in all `%(…)s`; `%%` is a percent sign.
    fn expand(&self, section: &str, text: &str, at: &Value, vars: &BTreeMap<String, String>, depth: usize) -> Result<String, Problem> {
        let problem = |message: String| Problem { file: at.file.to_string(), line: at.line, message };
        if depth > DEPTH_MAX {
            return Err(problem("the names in this value use each other in a circle".to_owned()));
        }
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let named = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let Some((name, after)) = named else {
                let what: String = after.chars().take(12).collect();
                return Err(problem(format!("`%{what}`: a percent sign is written `%%`, a name `%(name)s`")));
            };
            rest = after;
            let key = name.to_lowercase();
            if let Some(value) = vars.get(&key) {
                out.push_str(value);
            } else if key == "__name__" {
                out.push_str(section);
            } else {
                let value = match name.split_once('/') {
                    Some((from, option)) => self.foreign(section, from, &option.to_lowercase()),
                    None => self.raw(section, &key),
                };
                match (value, self.given.get(&key)) {
                    (Some(value), _) => out.push_str(&self.expand(section, &value.text, value, vars, depth + 1)?),
                    (None, Some(given)) => out.push_str(given),
                    (None, None) => return Err(problem(format!("nobody defines `%({name})s`{}", self.nearest(section, &key)))),
                }
            }
            if out.len() > VALUE_MAX {
                return Err(problem("this value grows beyond 1 MiB".to_owned()));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// ": `x` is near", or nothing.
    fn nearest(&self, section: &str, wanted: &str) -> String {
        let names = self.own(section).chain(self.own(DEFAULT));
        let near = names.map(|name| (distance(name, wanted), name)).min().filter(|(distance, _)| *distance <= 1 + wanted.len() / 4);
        near.map(|(_, name)| format!("; `{name}` is near")).unwrap_or_default()
    }
}

/// How many letters have to be changed, put in or left out.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (b, cell) in other.bytes().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            (diagonal, left, *cell) = (*cell, here, here);
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// One file's sections in their order. Lines that begin with white space go on with the value above; `#` and `;` begin comments.
fn parse(text: &str, file: &str) -> Result<Vec<(String, Section)>, Problem> {
    let file: std::rc::Rc<str> = file.into();
    let problem = |line: usize, message: String| Problem { file: file.to_string(), line, message };
    let mut sections: Vec<(String, Section)> = Vec::new();
    let mut option: Option<(String, usize)> = None;
    for (number, raw) in text.split('\n').enumerate().map(|(number, line)| (number + 1, line.trim_end())) {
        let line = without_comment(raw);
        let content = line.trim();
        if content.is_empty() {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some((name, at)) = &option
            && indent > *at
            && let Some((_, section)) = sections.last_mut()
            && let Some(value) = section.get_mut(name)
        {
            value.text.push('\n');
            value.text.push_str(content);
            continue;
        }
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')).map(|(name, _)| name) {
            if let Some(at) = sections.iter().position(|(known, _)| known == name) {
                let section = sections.remove(at);
                sections.push(section);
            } else {
                sections.push((name.to_owned(), Section::new()));
            }
            option = None;
            continue;
        }
        let Some((_, section)) = sections.last_mut() else {
            return Err(problem(number, "an option before the first `[section]`".to_owned()));
        };
        let Some(at) = content.find(['=', ':']) else {
            return Err(problem(number, format!("neither `[section]` nor `option = value`: {}", brief(content))));
        };
        let (name, value) = content.split_at(at);
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return Err(problem(number, "an option without a name".to_owned()));
        }
        let text = value.get(1..).unwrap_or_default().trim().to_owned();
        section.insert(name.clone(), Value { text, file: file.clone(), line: number });
        option = Some((name, indent));
    }
    Ok(sections)
}

/// Without a comment: a line that begins with `#` or `;`, or what follows a `;` behind white space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let bytes = line.as_bytes();
    let at = bytes.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b';']));
    at.and_then(|at| line.get(..at)).map_or(line, str::trim_end)
}

fn brief(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder of files in memory.
    pub fn reading(files: &[(&str, &str)], path: &Path) -> io::Result<String> {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn ini(files: &[(&str, &str)], base: &str) -> Result<Ini, Problem> {
        let list =
            |folder: &Path| Ok(files.iter().map(|(name, _)| PathBuf::from(name)).filter(|path| path.parent() == Some(folder)).collect());
        let mut ini = Ini::with(&[("fail2ban_confpath", "/etc/fail2ban")]);
        ini.read_set(Path::new(base), Files { read: &|path| reading(files, path), list: &list })?;
        Ok(ini)
    }

    fn value(ini: &Ini, section: &str, option: &str) -> String {
        ini.value(section, option, &BTreeMap::new()).unwrap().unwrap()
    }

    #[test]
    fn values_go_on_and_comments_end_them() {
        let text = "# c\n[A]\nX = one ; c\n    two\n  # c\n\n    three;four\ny: %(x)s|%%|%(__name__)s\nz =\n[A]\nw=1\n";
        let ini = ini(&[("/a.conf", text)], "/a").unwrap();
        assert_eq!(value(&ini, "A", "x"), "one\ntwo\nthree;four");
        assert_eq!(value(&ini, "A", "Y"), "one\ntwo\nthree;four|%|A");
        assert_eq!(value(&ini, "A", "z"), "");
        assert_eq!(value(&ini, "A", "w"), "1");
        assert_eq!(value(&ini, "A", "fail2ban_confpath"), "/etc/fail2ban");
    }

    #[test]
    fn later_files_win_and_what_was_before_is_known() {
        let files = [
            (
                "/f/jail.conf",
                "[INCLUDES]\nbefore = %(os)s.conf\n         gone.conf\n[DEFAULT]\nos = paths\nn = 1\n[s]\nlog = %(syslog)s\nre = a\n",
            ),
            ("/f/paths.conf", "[INCLUDES]\nafter = own.local\n[DEFAULT]\nsyslog = /var/log/syslog\n"),
            ("/f/own.local", "[DEFAULT]\nsyslog = /var/log/own\n"),
            ("/f/paths.local", "[DEFAULT]\nsyslog = /var/log/all\n"),
            ("/f/jail.d/b.conf", "[s]\nre = %(known/re)s|b\nn = 2\n"),
            ("/f/jail.d/a.local", "[s]\nre = %(known/re)s|c\nm = %(t/k)s%(default/n)s\n[t]\nk = %(n)s\n"),
            ("/f/jail.local", "[DEFAULT]\nn = 3\n"),
            ("/f/jail.d/readme", "no configuration"),
        ];
        let ini = ini(&files, "/f/jail").unwrap();
        assert_eq!(value(&ini, "s", "log"), "/var/log/all");
        assert_eq!(value(&ini, "s", "re"), "a|b|c");
        assert_eq!(value(&ini, "s", "n"), "2");
        assert_eq!(value(&ini, "s", "m"), "23", "another section's option means what it would mean here");
        assert_eq!(ini.sections().collect::<Vec<_>>(), ["s", "t"]);
    }

    #[test]
    fn what_is_wrong_has_file_and_line() {
        let problem = |text: &str| match ini(&[("/a.conf", text)], "/a") {
            Ok(ini) => ini.value("A", "x", &BTreeMap::new()).unwrap_err().to_string(),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(problem("[A]\nx = 1\n  2\nfoo\n"), "/a.conf:4: neither `[section]` nor `option = value`: foo");
        assert_eq!(problem("x = 1"), "/a.conf:1: an option before the first `[section]`");
        assert_eq!(problem("[A]\n_daemon = 1\nx = %(_deamon)s"), "/a.conf:3: nobody defines `%(_deamon)s`; `_daemon` is near");
        assert!(problem("[A]\nx = 50% of").contains("written `%%`"));
        assert!(problem("[A]\nx = %(y)s\ny = %(x)s").contains("circle"));
        assert!(problem("[INCLUDES]\nbefore = a.conf\n[A]\nx=1").contains("circle"));
        assert!(problem("[A]\nx = %(y)s%(y)s%(y)s%(y)s\ny = %(x)s%(x)s").contains("circle"));
        assert_eq!(ini(&[], "/a").unwrap_err().to_string(), "/a.conf: there is no such file");
    }

    #[test]
    fn another_sections_value_means_what_the_asker_or_its_owner_says() {
        // As fail2ban-regex 1.0.2 answers.
        let text = "[DEFAULT]\nn = dflt\nm = mdflt\n[t]\nk = %(n)s-%(m)s-%(own)s\nown = town\n[d]\nn = defn\nown = down\nx = %(t/k)s\nm = %(known/m)s!\n";
        let ini = ini(&[("/a.conf", text)], "/a").unwrap();
        assert_eq!(value(&ini, "d", "x"), "defn-mdflt!-down");
        assert_eq!(value(&ini, "d", "t/k"), "dflt-mdflt-town");
    }

    #[test]
    fn conditions_are_part_of_the_name() {
        let ini = ini(&[("/a.conf", "[Init]\nx = 4\n[Init?family=inet6]\nx = 6\n")], "/a").unwrap();
        assert_eq!(value(&ini, "Init", "x"), "4");
        assert_eq!(value(&ini, "Init", "x?family=inet6"), "6");
    }
}
