//! TCP wrappers' hosts.deny: lines of ours between two marks, the file replaced in one step. Never changes a byte of anybody else's.

use crate::settings::{choice, in_range, word};
use crate::standing::settle;
use crate::tool::Tool;
use crate::{Key, Kind, Needs, Responder, Value};
use model::block::{Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use sys::attribute::copy_access;
use sys::identity::own_uid;

/// How it is configured and explained.
pub const KIND: Kind = Kind {
    name: "hosts-deny",
    summary: "Turns clients away from services with TCP wrappers, by marked lines in /etc/hosts.deny; riposte takes them away in time.",
    example: "[respond]\nkind = [\"nftables\", \"hosts-deny\"]\n",
    open: Some(open),
    keys: &[
        Key {
            name: "file",
            get: |settings| Value::Text(settings.hosts_deny.file.to_string_lossy().into_owned()),
            set: |settings, value| {
                let Value::Text(text) = value else { return Err("a text is wanted".to_owned()) };
                let file = PathBuf::from(text);
                if !file.is_absolute() || file.file_name().is_none() {
                    return Err(format!("'{}' is no full path", file.display()));
                }
                settings.hosts_deny.file = file;
                Ok(())
            },
        },
        Key {
            name: "format",
            get: |settings| word(&FORMATS, settings.hosts_deny.format),
            set: |settings, value| choice(&FORMATS, &value).map(|format| settings.hosts_deny.format = format),
        },
        Key {
            name: "size",
            get: |settings| Value::Number(settings.hosts_deny.size as i64),
            set: |settings, value| in_range(&value, 1..=SIZE_MAX).map(|size| settings.hosts_deny.size = size),
        },
    ],
    needs: Needs {
        programs: &[],
        // To keep the file's group.
        capabilities: &[sys::sandbox::Capability::CAP_CHOWN],
        writes: |settings| settings.hosts_deny.file.parent().map(Path::to_owned).into_iter().collect(),
    },
};

/// Our lines stand between these two.
const BEGIN: &[u8] = b"# riposte: begin. The lines up to its end are riposte's, which takes them away in time.";
const END: &[u8] = b"# riposte: end.";
/// Bytes of a file that are read; a longer one is left alone.
const BYTES: u64 = 4 << 20;
/// The most lines: every wrapped service reads all of them for each connection.
const SIZE_MAX: usize = 20_000;
/// How often the file is read anew because somebody else has changed it meanwhile.
const TRIES: usize = 5;

/// How a line denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `ALL: ADDRESS`: hosts_access(5), every TCP wrapper.
    #[default]
    Plain,
    /// `ALL: ADDRESS : DENY`: hosts_options(5), where it was compiled in, as on Debian.
    Options,
}

const FORMATS: [(&str, Format); 2] = [("plain", Format::Plain), ("options", Format::Options)];

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file's full path.
    pub file: PathBuf,
    /// How lines deny.
    pub format: Format,
    /// Lines that it may have of ours, 1 to 20,000; above, new blocks are `Full`.
    pub size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { file: PathBuf::from("/etc/hosts.deny"), format: Format::Plain, size: 2_000 }
    }
}

/// Blocks as lines.
struct HostsDeny {
    settings: Settings,
    words: Option<String>,
}

fn open(settings: &crate::Settings, _tool: Box<dyn Tool>) -> Result<Box<dyn Responder>, String> {
    let hosts = HostsDeny { settings: settings.hosts_deny.clone(), words: None };
    hosts.load()?;
    // Whether it may be written is better known now than at the first block.
    hosts.spare().and_then(|(_, path)| fs::remove_file(path)).map_err(|error| hosts.say(&error))?;
    Ok(Box::new(hosts))
}

/// A file as it was read.
struct Loaded {
    /// `None` if there is none yet.
    file: Option<(File, Metadata)>,
    parts: Parts,
}

impl HostsDeny {
    fn say(&self, why: &dyn std::fmt::Display) -> String {
        format!("{}: {why}", self.settings.file.display())
    }

    fn folder(&self) -> &Path {
        self.settings.file.parent().unwrap_or(Path::new("/"))
    }

    /// Reads the file. Refuses one that somebody else could change or lead elsewhere.
    fn load(&self) -> Result<Loaded, String> {
        let is_safe = |metadata: &Metadata| {
            let others = if metadata.gid() == 0 { 0o002 } else { 0o022 };
            metadata.mode() & others == 0 && [0, own_uid()].contains(&metadata.uid())
        };
        let folder = fs::symlink_metadata(self.folder()).map_err(|error| format!("{}: {error}", self.folder().display()))?;
        if !folder.is_dir() || !is_safe(&folder) {
            return Err(format!("{} is no folder that only root can write to", self.folder().display()));
        }
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&self.settings.file);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded { file: None, parts: Parts::default() }),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(self.say(&"is a symbolic link: name the file itself")),
            Err(error) => return Err(self.say(&error)),
        };
        let metadata = file.metadata().map_err(|error| self.say(&error))?;
        if !metadata.is_file() || !is_safe(&metadata) {
            return Err(self.say(&"is no file that only root can write to"));
        }
        let mut bytes = Vec::new();
        (&mut file).take(BYTES + 1).read_to_end(&mut bytes).map_err(|error| self.say(&error))?;
        if bytes.len() as u64 > BYTES {
            return Err(self.say(&format!("is longer than {BYTES} bytes")));
        }
        let parts = Parts::of(&bytes).map_err(|line| {
            let why =
                format!("line {line} ends in a backslash, so the mark of riposte's behind it is no line of its own: remove the backslash");
            self.say(&why)
        })?;
        Ok(Loaded { file: Some((file, metadata)), parts })
    }

    /// Makes the file that is to take its place, in the same folder.
    fn spare(&self) -> io::Result<(File, PathBuf)> {
        let name = self.settings.file.file_name().unwrap_or_default().to_string_lossy();
        let path = self.folder().join(format!(".{name}.riposte"));
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match create() {
            // Left by a run that died here: nobody else can write to this folder.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&path).and_then(|()| create())?,
            result => result?,
        };
        Ok((file, path))
    }

    /// Puts new content in the file's place in one step, with its owner, mode and label; false if somebody else has changed it since it was read.
    fn replace(&self, loaded: &Loaded, content: &[u8]) -> io::Result<bool> {
        let (mut spare, path) = self.spare()?;
        let mut fill = || -> io::Result<bool> {
            spare.write_all(content)?;
            let mode = loaded.file.as_ref().map_or(0o644, |(_, metadata)| metadata.mode() & 0o7777);
            spare.set_permissions(Permissions::from_mode(mode))?;
            if let Some((file, metadata)) = &loaded.file {
                copy_access(file.as_fd(), spare.as_fd())?;
                let made = spare.metadata()?;
                // The last thing: who has given it away may not change it any more.
                if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
                    fchown(&spare, Some(metadata.uid()), Some(metadata.gid()))?;
                }
            }
            spare.sync_all()?;
            if !self.is_unchanged(loaded)? {
                return Ok(false);
            }
            fs::rename(&path, &self.settings.file)?;
            File::open(self.folder())?.sync_all()?;
            Ok(true)
        };
        let done = fill();
        if !matches!(done, Ok(true)) {
            let _ = fs::remove_file(&path);
        }
        done
    }

    fn is_unchanged(&self, loaded: &Loaded) -> io::Result<bool> {
        let identity =
            |file: &Metadata| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
        match (fs::symlink_metadata(&self.settings.file), &loaded.file) {
            (Ok(now), Some((_, then))) => Ok(identity(&now) == identity(then)),
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(false),
        }
    }

    fn change(&self, batch: &[Change]) -> Result<Vec<Outcome>, String> {
        for _ in 0..TRIES {
            let mut loaded = self.load()?;
            let outcomes = settle(batch, &mut loaded.parts.blocked, self.settings.size);
            let content = loaded.parts.content(self.settings.format);
            if content == loaded.parts.was || self.replace(&loaded, &content).map_err(|error| self.say(&error))? {
                return Ok(outcomes);
            }
        }
        Err(self.say(&"somebody else changes it again and again"))
    }
}

impl Responder for HostsDeny {
    fn supports(&self, scope: &Scope) -> bool {
        scope.prefix().bits() > 0
    }

    fn expires_itself(&self) -> bool {
        false
    }

    fn apply(&mut self, batch: &[Change], _now: Time) -> Vec<Outcome> {
        self.change(batch).unwrap_or_else(|words| {
            self.words = Some(words);
            vec![Outcome::Failed(Fault::Refused); batch.len()]
        })
    }

    fn list(&mut self, _now: Time) -> Result<Vec<Installed>, Fault> {
        let loaded = self.load().map_err(|words| {
            self.words = Some(words);
            Fault::Refused
        })?;
        let installed = |prefix| Installed { scope: Scope::Source(prefix), expiry: Expiry::Never };
        Ok(loaded.parts.blocked.into_iter().map(installed).collect())
    }

    fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }
}

/// A file's content, ours and others'.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// All of it.
    was: Vec<u8>,
    /// What is others', byte by byte.
    pub others: Vec<u8>,
    /// Where in it our lines stand. Those of a file without any come first: a line that goes on, or has no end, would swallow what stands behind it.
    place: usize,
    /// Whom our lines deny.
    pub blocked: BTreeSet<Prefix>,
}

impl Parts {
    /// Takes a file apart.
    ///
    /// # Errors
    /// The number of a line that goes on into a mark of ours.
    pub fn of(bytes: &[u8]) -> Result<Parts, usize> {
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let mut parts = Parts { was: bytes.to_owned(), ..Parts::default() };
        let mut place = None;
        let is = |line: &&[u8], mark| line.trim_ascii_end() == mark;
        let goes_on = |at: usize| at.checked_sub(1).and_then(|before| lines.get(before)).is_some_and(|line| line.ends_with(b"\\\n"));
        if let Some((at, _)) = lines.iter().enumerate().find(|(at, line)| (is(line, BEGIN) || is(line, END)) && goes_on(*at)) {
            return Err(at);
        }
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            if !is(line, BEGIN) {
                parts.others.extend_from_slice(line);
                continue;
            }
            place.get_or_insert(parts.others.len());
            let rest = lines.get(at..).unwrap_or_default();
            let next = rest.iter().position(|line| is(line, BEGIN)).unwrap_or(rest.len());
            let end = rest.iter().take(next).position(|line| is(line, END));
            // Without the mark that ends them, ours are those that follow without a gap.
            let body = end.unwrap_or_else(|| rest.iter().take_while(|line| blocked(line).is_some()).count());
            for (behind, line) in rest.iter().take(body).enumerate() {
                match blocked(line).filter(|_| !goes_on(at + behind)) {
                    Some(prefix) => _ = parts.blocked.insert(prefix),
                    None => parts.others.extend_from_slice(line),
                }
            }
            at += body + usize::from(end.is_some());
        }
        parts.place = place.unwrap_or(0);
        Ok(parts)
    }

    /// The file with our lines as they are to be; without any, nothing of ours is left.
    pub fn content(&self, format: Format) -> Vec<u8> {
        let (before, behind) = self.others.split_at_checked(self.place).unwrap_or((&self.others, &[]));
        let mut content = before.to_owned();
        if !self.blocked.is_empty() {
            content.extend_from_slice(&[BEGIN, b"\n"].concat());
            self.blocked.iter().for_each(|prefix| content.extend_from_slice(line(prefix, format).as_bytes()));
            content.extend_from_slice(&[END, b"\n"].concat());
        }
        content.extend_from_slice(behind);
        content
    }
}

/// The line that denies these addresses, with its end.
pub fn line(prefix: &Prefix, format: Format) -> String {
    let clients = match (prefix.addr(), prefix.is_host()) {
        (IpAddr::V4(v4), true) => v4.to_string(),
        // Not every wrapper knows lengths here.
        (IpAddr::V4(v4), false) => format!("{v4}/{}", Ipv4Addr::from(u32::MAX << (32 - prefix.bits()))),
        (IpAddr::V6(v6), true) => format!("[{v6}]"),
        (IpAddr::V6(v6), false) => format!("[{v6}]/{}", prefix.bits()),
    };
    let option = match format {
        Format::Plain => "",
        Format::Options => " : DENY",
    };
    format!("ALL: {clients}{option}\n")
}

/// Whom a line of ours denies, in either format; `None` if it is none of ours. One that denies everybody never is.
fn blocked(line: &[u8]) -> Option<Prefix> {
    denied(line).filter(|prefix| prefix.bits() > 0)
}

fn denied(line: &[u8]) -> Option<Prefix> {
    let clients = str::from_utf8(line).ok()?.trim_ascii_end().strip_prefix("ALL: ")?;
    let clients = clients.strip_suffix(" : DENY").unwrap_or(clients);
    if let Some(v6) = clients.strip_prefix('[') {
        let (addr, length) = v6.split_once(']')?;
        let addr = addr.parse::<Ipv6Addr>().ok()?;
        return if length.is_empty() { Some(Prefix::host(addr.into())) } else { format!("{addr}{length}").parse().ok() };
    }
    let (addr, mask) = clients.split_once('/').unwrap_or((clients, "255.255.255.255"));
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let is_length = mask.leading_ones() == mask.count_ones();
    Some(Prefix::new(addr.parse::<Ipv4Addr>().ok()?.into(), mask.leading_ones() as u8)).filter(|_| is_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a content apart; `<` and `>` stand for the marks.
    fn parts(text: &str) -> Result<Parts, usize> {
        let marked = |text: &str| text.replace('<', str::from_utf8(BEGIN).unwrap()).replace('>', str::from_utf8(END).unwrap());
        Parts::of(marked(text).as_bytes())
    }

    #[test]
    fn our_lines_are_told_from_others() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("", "", &[]),
            ("a\nb", "a\nb", &[]),
            ("ALL: 192.0.2.1\n", "ALL: 192.0.2.1\n", &[]),
            ("a\n<\nALL: 192.0.2.1\nALL: [2001:db8::]/32\n>\nb\n", "a\nb\n", &["192.0.2.1", "2001:db8::/32"]),
            // Either format, and the ends of lines that an editor has changed.
            ("<\r\nALL: 192.0.2.0/255.255.255.0 : DENY\r\nALL: [2001:db8::1]\r\n>\r\nb", "b", &["192.0.2.0/24", "2001:db8::1"]),
            // Somebody else's line between ours stays.
            ("<\nALL: 192.0.2.1\nsshd: 192.0.2.2\nALL: 192.0.2.3\n>\n", "sshd: 192.0.2.2\n", &["192.0.2.1", "192.0.2.3"]),
            ("<\nsshd: x \\\nALL: 192.0.2.3\n>\n", "sshd: x \\\nALL: 192.0.2.3\n", &[]),
            // The end is lost: what follows without a gap is ours, and nothing behind it.
            ("<\nALL: 192.0.2.1\nb\nALL: 192.0.2.2\n", "b\nALL: 192.0.2.2\n", &["192.0.2.1"]),
            ("<\nALL: 192.0.2.1\n<\nALL: 192.0.2.2\n>\nALL: 192.0.2.3\n", "ALL: 192.0.2.3\n", &["192.0.2.1", "192.0.2.2"]),
            ("<", "", &[]),
            ("<\nALL: 192.0.2.1", "", &["192.0.2.1"]),
        ];
        for (text, others, blocked) in cases {
            let parts = parts(text).unwrap();
            assert_eq!(str::from_utf8(&parts.others).unwrap(), *others, "{text:?}");
            assert_eq!(parts.blocked.iter().map(Prefix::to_string).collect::<Vec<_>>(), *blocked, "{text:?}");
            for format in [Format::Plain, Format::Options] {
                let again = Parts::of(&parts.content(format)).unwrap();
                assert_eq!((&again.others, &again.blocked), (&parts.others, &parts.blocked), "{text:?}");
            }
        }
        assert_eq!(parts("a\nb \\\n<\nALL: 192.0.2.1\n>\n"), Err(2));
        assert_eq!(parts("<\nALL: 192.0.2.1\nb \\\n>\n"), Err(3));
    }

    #[test]
    fn only_our_own_lines_are_ours() {
        for line in [
            "ALL: 0x7f000001",
            "ALL: 192.0.2.1, 192.0.2.2",
            "all: 192.0.2.1",
            "ALL:192.0.2.1",
            "ALL: 192.0.2.0/255.0.255.0",
            "ALL: [::1",
            "ALL: [x]/3",
            "ALL: [::]/129",
            "ALL: [::]/0",
            "ALL: 0.0.0.0/0.0.0.0",
            "ALL: ALL",
            "ALL: 192.0.2.1 : ALLOW",
        ] {
            assert_eq!(blocked(line.as_bytes()), None, "{line}");
        }
        for whom in ["192.0.2.7", "192.0.2.0/25", "128.0.0.0/1", "2001:db8::7", "2001:db8::/127", "8000::/1"] {
            let prefix: Prefix = whom.parse().unwrap();
            assert_eq!(
                [Format::Plain, Format::Options].map(|format| blocked(line(&prefix, format).as_bytes())),
                [Some(prefix); 2],
                "{whom}"
            );
        }
    }

    #[test]
    fn a_file_that_somebody_changes_meanwhile_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.deny");
        let hosts = HostsDeny { settings: Settings { file: file.clone(), ..Settings::default() }, words: None };
        let absent = hosts.load().unwrap();
        fs::write(&file, "sshd: 198.51.100.1\n").unwrap();
        assert!(!hosts.replace(&absent, b"ours\n").unwrap());
        let loaded = hosts.load().unwrap();
        fs::write(folder.path().join("new"), "sshd: 198.51.100.2\n").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        assert!(!hosts.replace(&loaded, b"ours\n").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"sshd: 198.51.100.2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(hosts.replace(&hosts.load().unwrap(), b"ours\n").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"ours\n");
    }
}
