//! Which rules are at work: riposte's own, those of the user's files, and OSSEC's and fail2ban's where he points at them. Reads files; starts
//! nothing.

use crate::commands::logtest::load::{conf_in, ossec_files};
use crate::commands::regex::FILES;
use crate::commands::{Failure, fail, rules};
use crate::config::ApplicationsConfig;
use crate::config::response::ResponseConfig;
use jiff::tz::TimeZone;
use logrules::Rules;
use logrules::fail2ban::Fail2ban;
use logrules::fail2ban::jail::{Jail, Sources};
use logrules::finding::Finding;
use logrules::line::Line;
use logrules::native::Book;
use logrules::ossec::{Ossec, read_conf};
use model::net::Prefix;
use report::escape;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Characters of a remark that are shown.
const SHOWN: usize = 2_000;

/// Rules of several kinds, one after the other.
#[derive(Default)]
pub struct Engines {
    all: Vec<Box<dyn Rules>>,
    /// What can't be done as its author meant.
    pub notices: Vec<String>,
    /// Commands of ossec.conf that stand for riposte's own block.
    pub blocks: BTreeSet<String>,
}

/// OSSEC's and Wazuh's own scripts that block an address, without their endings: riposte's block stands in for them.
const BLOCKERS: [&str; 9] =
    ["firewall-drop", "firewalld-drop", "nftables-drop", "host-deny", "route-null", "pf", "npf", "ipfw", "ipfw_mac"];

/// Riposte's own rules with what is at the places that are configured: rule files of one's own (a file called like one of riposte's stands in
/// for it), OSSEC's folders and files, fail2ban's configuration. Runs before the sandbox.
///
/// # Errors
/// A line for each thing that is wrong, with its file and line.
pub fn load(applications: &ApplicationsConfig, responses: &[ResponseConfig]) -> Result<Engines, Failure> {
    let zone = applications.timezone.clone().unwrap_or_else(TimeZone::system);
    let (mut own, mut ossec, mut engines) = (Vec::new(), Vec::new(), Engines::default());
    let mut jails = Vec::new();
    for place in &applications.rules {
        match kind(place)? {
            Kind::Own => rules::gather(place, &mut own)?,
            Kind::Ossec => ossec.push(place.clone()),
            Kind::Fail2ban => jails.push(place.clone()),
        }
    }
    let mut book = book(own, &zone)?;
    book.set_terse(true);
    book.set_files(applications.files.clone(), jails_sources(&applications.rules)?.files);
    engines.all.push(Box::new(book));
    // OSSEC's own configuration says which rules, and what is to be done.
    let config = ossec.iter().position(|place| is_conf(place)).map(|at| ossec.remove(at));
    if config.is_some() || !ossec.is_empty() {
        let rules = engines_of_ossec(&ossec, config.as_deref(), zone.clone(), &mut engines.notices)?;
        let found = ossec.iter().find_map(|place| conf_of(place).transpose()).transpose()?;
        let config = config.or(found).unwrap_or_default();
        engines.take_commands(&rules, &config, responses);
        engines.all.push(Box::new(rules));
    }
    for dir in jails {
        let jails = self::jails(&dir, &zone, &mut engines.notices)?;
        engines.all.push(Box::new(jails));
    }
    Ok(engines)
}

/// fail2ban's jails; what they don't do as they say goes into `notices`.
///
/// # Errors
/// A line for each thing that is wrong.
pub fn jails(dir: &Path, zone: &TimeZone, notices: &mut Vec<String>) -> Result<Fail2ban, Failure> {
    let (jails, said) = Fail2ban::load(dir, FILES, zone).map_err(|problems| told(&problems))?;
    let said: Vec<_> = said.iter().map(|notice| format!("{}: {}", notice.about, notice.message)).collect();
    notices.extend(told(&said));
    Ok(jails)
}

/// Where the jails at these places have their lines from, if one of them is fail2ban's.
///
/// # Errors
/// A line for each thing that is wrong.
pub fn jails_sources(places: &[PathBuf]) -> Result<Sources, Failure> {
    let mut all = Sources::default();
    for place in places {
        if kind(place)? == Kind::Fail2ban {
            let more = Jail::sources(place, FILES).map_err(|problems| told(&problems))?;
            all.journal |= more.journal;
            all.files.extend(more.files);
        }
    }
    Ok(all)
}

impl Engines {
    /// What becomes of ossec.conf's commands: riposte's block, a program of the configuration, or nothing, which is said.
    fn take_commands(&mut self, ossec: &Ossec, config: &Path, responses: &[ResponseConfig]) {
        let (_, others) = ossec.conf().allowed();
        if others > 0 {
            let file = config.display();
            self.notices.push(format!(
                "{file}: {others} of the <white_list> are names or exceptions: OSSEC's rules go by them, riposte's own don't"
            ));
        }
        for command in ossec.conf().used() {
            if responses.iter().any(|response| response.name == *command.name) {
                continue;
            }
            let executable = Path::new(&command.executable);
            let file = executable.file_name().unwrap_or_default().to_string_lossy();
            let stem = file.strip_suffix(".sh").unwrap_or(&file);
            if BLOCKERS.contains(&stem) {
                self.blocks.insert(command.name.to_string());
                continue;
            }
            let home = config.parent().and_then(Path::parent).unwrap_or(Path::new("/var/ossec"));
            let program = home.join("active-response/bin").join(&*file);
            let user = if stem == "disable-account" { " (or protocol = \"account\", user = \"root\")" } else { "" };
            self.notices.push(format!(
                "{}: the command '{}' is not run: no [[response]] allows it. If it is to be, write: [[response]] name = \"{}\" protocol = \"ossec\" \
                 (\"wazuh\" from Wazuh 4.2 on) program = \"{}\"{user}",
                config.display(),
                escape::text(&command.name, 64),
                escape::text(&command.name, 64),
                escape::text(&program.to_string_lossy(), 200)
            ));
        }
    }
}

fn is_conf(place: &Path) -> bool {
    place.extension().is_some_and(|ending| ending == "conf")
}

/// The ossec.conf that a place stands for: itself, or that of the installation in this folder.
fn conf_of(place: &Path) -> Result<Option<PathBuf>, Failure> {
    if is_conf(place) { Ok(Some(place.to_owned())) } else { conf_in(place) }
}

/// Whom the `<white_list>`s of these rules' ossec.conf exempt.
///
/// # Errors
/// A line for each thing that is wrong.
pub fn white_list(places: &[PathBuf]) -> Result<Vec<Prefix>, Failure> {
    let mut exempt = Vec::new();
    for place in places {
        let Some(place) = conf_of(place)? else { continue };
        let name = place.display().to_string();
        let text = std::fs::read(&place).map_err(|error| fail(format!("{name}: {error}")))?;
        let (conf, _) = read_conf(&name, &String::from_utf8_lossy(&text)).map_err(|remarks| told(&remarks))?;
        exempt.extend(conf.allowed().0);
    }
    Ok(exempt)
}

/// Riposte's own rules, and files of the user's.
///
/// # Errors
/// A line for each thing that is wrong.
pub fn book(own: Vec<(String, String)>, zone: &TimeZone) -> Result<Book, Failure> {
    let base = |name: &str| Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let files: BTreeMap<String, (String, String)> =
        Book::shipped_files().into_iter().chain(own).map(|file| (base(&file.0), file)).collect();
    let files: Vec<_> = files.into_values().collect();
    let mut book = Book::load(&files).map_err(|problems| told(&problems))?;
    book.set_utc_offset(zone.to_offset(jiff::Timestamp::now()).seconds());
    Ok(book)
}

/// OSSEC's rules.
///
/// # Errors
/// A line for each thing that is wrong.
pub fn engines_of_ossec(places: &[PathBuf], config: Option<&Path>, zone: TimeZone, notices: &mut Vec<String>) -> Result<Ossec, Failure> {
    let (files, said) = ossec_files(places, config)?;
    let (mut ossec, remarks) = Ossec::load(&files).map_err(|remarks| told(&remarks))?;
    notices.extend(told(&said).into_iter().chain(told(&remarks)));
    ossec.settings.zone = zone;
    // As OSSEC has it: without a domain.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if let Some(host) = host.trim().split('.').next().filter(|host| !host.is_empty()) {
        host.clone_into(&mut ossec.settings.host);
    }
    Ok(ossec)
}

/// Files come from elsewhere, too: what they say must not reach a terminal as it is.
pub fn told(remarks: &[impl ToString]) -> Failure {
    remarks.iter().map(|remark| escape::text(&remark.to_string(), SHOWN)).collect()
}

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.toml` files, and the lists beside them.
    Own,
    /// A folder with `jail.conf` or `filter.d`.
    Fail2ban,
    /// XML files, or a folder with them.
    Ossec,
}

/// What lies at a place.
///
/// # Errors
/// If nothing does, or nothing that is known.
pub fn kind(place: &Path) -> Result<Kind, Failure> {
    let told = |what: &str| fail(format!("{}: {what}", place.display()));
    let is = |path: &Path, ending: &str| path.extension().is_some_and(|known| known == ending);
    if place.is_dir() {
        if place.join("jail.conf").is_file() || place.join("filter.d").is_dir() {
            return Ok(Kind::Fail2ban);
        }
        let inside = std::fs::read_dir(place).map_err(|error| told(&error.to_string()))?;
        let own = inside.flatten().any(|entry| is(&entry.path(), "toml"));
        return Ok(if own { Kind::Own } else { Kind::Ossec });
    }
    match place.metadata() {
        Err(error) => Err(told(&error.to_string())),
        Ok(_) if is(place, "toml") => Ok(Kind::Own),
        Ok(_) if is_of_fail2ban(place) => Err(told("a file of fail2ban's: name the folder that has jail.conf and filter.d")),
        Ok(_) if is(place, "xml") || is(place, "conf") => Ok(Kind::Ossec),
        Ok(_) => Err(told("no rules: they are .toml files, OSSEC's .xml files, or a folder with either or with fail2ban's jail.conf")),
    }
}

/// `jail.conf`, `jail.local`, or a file in `jail.d`, `filter.d` or `action.d`.
fn is_of_fail2ban(file: &Path) -> bool {
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
    file.file_stem().is_some_and(|name| name == "jail" || name == "fail2ban")
        || ["jail.d", "filter.d", "action.d"].iter().any(|name| folder == *name)
}

impl Rules for Engines {
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>) {
        self.all.iter_mut().for_each(|rules| rules.line(line, out));
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        self.all.iter().flat_map(|rules| rules.counters()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::Time;
    use std::fs;

    fn with(place: PathBuf) -> ApplicationsConfig {
        ApplicationsConfig { rules: vec![place], ..ApplicationsConfig::default() }
    }

    #[test]
    fn a_place_tells_whose_rules_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        made("f2b/jail.conf", "");
        made("own/a.toml", "");
        made("ossec/rules/local_rules.xml", "");
        let kind_of = |name: &str| kind(&folder.path().join(name)).unwrap();
        assert_eq!([kind_of("f2b"), kind_of("own"), kind_of("ossec")], [Kind::Fail2ban, Kind::Own, Kind::Ossec]);
        assert_eq!(kind_of("own/a.toml"), Kind::Own);
        assert!(kind(&folder.path().join("nothing")).unwrap_err()[0].contains("nothing: No such file"));
        assert!(kind(&made("x.txt", "")).unwrap_err()[0].contains("no rules"));
    }

    #[test]
    fn rules_of_ones_own_stand_beside_riposte_s_and_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let own = "name = \"shop\"\nsummary = \"Our shop\"\nprogram = [\"shop\"]\n[[rule]]\nname = \"bad\"\n\
                   match = ['^bad login of .* from <address>$']\n";
        fs::write(folder.path().join("shop.toml"), own).unwrap();
        let mut engines = load(&with(folder.path().to_owned()), &[]).unwrap();
        let mut found = Vec::new();
        let lines = [
            "Nov 21 03:04:05 box shop[1]: bad login of x from 192.0.2.1",
            "Nov 21 03:04:05 box sshd[1]: Failed password for root from 192.0.2.2 port 4711 ssh2",
        ];
        for text in lines {
            engines.line(&Line::new(text.as_bytes(), Time::from_secs(1_700_000_000), "/var/log/auth.log"), &mut found);
        }
        assert_eq!(found.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["shop/bad", "sshd/failed-password"]);
        fs::write(folder.path().join("sshd.toml"), own.replace("shop", "sshd")).unwrap();
        let mut engines = load(&with(folder.path().join("sshd.toml")), &[]).unwrap();
        found.clear();
        engines.line(&Line::new(lines[1].as_bytes(), Time::from_secs(1_700_000_000), "/var/log/auth.log"), &mut found);
        assert!(found.is_empty());
    }

    #[test]
    fn a_folder_s_configuration_is_the_one_that_its_rules_go_by() {
        for name in ["etc/ossec.conf", "ossec.conf"] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("etc")).unwrap();
            let conf = "<ossec_config><global><white_list>192.0.2.0/24</white_list></global></ossec_config>\n";
            fs::write(folder.path().join(name), conf).unwrap();
            assert_eq!(white_list(&[folder.path().to_owned()]).unwrap(), ["192.0.2.0/24".parse().unwrap()], "{name}");
        }
    }
}
