//! `[[response]]`: programs that may be run beside a block, each by its name. Opens nothing: whether they are there is looked at when riposte starts.

use super::raw::RawResponse;
use super::read::{Meaning, at, place};
use super::words::{Word, did_you_mean, quoted};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A response's program and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseConfig {
    /// Its name: a `<command>` of ossec.conf is run by it.
    pub name: String,
    /// How the program is spoken to.
    pub protocol: Protocol,
    /// The program.
    pub program: PathBuf,
    /// Wazuh's `extra_args`; of `Account`, the system's accounts that may be locked.
    pub args: Vec<String>,
    /// What it wants to know.
    pub expect: Vec<Expect>,
    /// When it is run.
    pub on: On,
    /// Whom it runs as.
    pub user: String,
    /// For how long it may run.
    pub limit: Duration,
    /// For how long it stands if a rule does not say; `None`: then for good.
    pub timeout: Option<Duration>,
    /// New runs a minute.
    pub per_minute: u32,
}

/// How a program is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OSSEC: `add|delete USER ADDRESS ALERT RULE PLACE FILE` as arguments.
    Ossec,
    /// Wazuh 4.2 and later: messages on standard input and output.
    Wazuh,
    /// riposte locks and unlocks the user's account by `usermod`, under guards of its own.
    Account,
}

/// What a program wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The address.
    Address,
    /// The user.
    User,
}

/// When a response is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    /// When a rule asks for it.
    #[default]
    Rule,
    /// For each block of a single address.
    Block,
}

impl Word for Protocol {
    const ALL: &'static [Self] = &[Protocol::Ossec, Protocol::Wazuh, Protocol::Account];
    fn word(self) -> &'static str {
        match self {
            Protocol::Ossec => "ossec",
            Protocol::Wazuh => "wazuh",
            Protocol::Account => "account",
        }
    }
}

impl Word for Expect {
    const ALL: &'static [Self] = &[Expect::Address, Expect::User];
    fn word(self) -> &'static str {
        match self {
            Expect::Address => "srcip",
            Expect::User => "user",
        }
    }
}

impl Word for On {
    const ALL: &'static [Self] = &[On::Rule, On::Block];
    fn word(self) -> &'static str {
        match self {
            On::Rule => "rule",
            On::Block => "block",
        }
    }
}

/// What locks accounts if nobody says otherwise.
const USERMOD: &str = "/usr/sbin/usermod";
/// Bytes of the longest name.
const NAME_BYTES: usize = 64;

impl ResponseConfig {
    /// Whether it is run for a user.
    pub fn wants_user(&self) -> bool {
        self.protocol == Protocol::Account || self.expect.contains(&Expect::User)
    }

    /// The court's part.
    pub fn court(&self) -> court::court::responses::Response {
        court::court::responses::Response {
            name: self.name.clone(),
            with_blocks: self.on == On::Block,
            wants_user: self.wants_user(),
            stands: self.timeout,
            per_minute: self.per_minute,
        }
    }
}

/// The users that responses run as, each once, in the file's order.
pub fn users(responses: &[ResponseConfig]) -> Vec<&str> {
    let mut users: Vec<&str> = Vec::new();
    for response in responses {
        if !users.contains(&response.user.as_str()) {
            users.push(&response.user);
        }
    }
    users
}

impl Meaning<'_> {
    /// All of them. A name must stand for one alone.
    pub(super) fn responses(&mut self, raw: Vec<(usize, RawResponse)>) -> Vec<ResponseConfig> {
        if let Some((at, _)) = raw.get(model::limits::RESPONSES) {
            self.problems.say(*at, format!("[[response]]: at most {} of them, not {}", model::limits::RESPONSES, raw.len()));
            return Vec::new();
        }
        let mut all: Vec<ResponseConfig> = Vec::new();
        for (start, response) in raw {
            let name_at = at(&response.name);
            let Some(response) = self.response(start, response) else { continue };
            if all.iter().any(|other| other.name == response.name) {
                let message = format!("[[response]] name: {} stands there twice", quoted(&response.name));
                self.problems.say(place(&[name_at]), message);
                continue;
            }
            all.push(response);
        }
        all
    }

    fn response(&mut self, start: usize, mut raw: RawResponse) -> Option<ResponseConfig> {
        let name_fits = |text: &str| {
            (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let Some(name) = raw.name.take() else {
            self.problems.say(start, "[[response]]: 'name' is missing".to_owned());
            return None;
        };
        if !name_fits(&name.value) {
            self.wrong(&name, format!("{} is no name: up to {NAME_BYTES} letters, digits, '_', '.', '-'", quoted(&name.value)));
        }
        let Some(protocol) = raw.protocol.take() else {
            self.problems.say(start, "[[response]]: 'protocol' is missing: ossec, wazuh or account".to_owned());
            return None;
        };
        let protocol = self.word::<Protocol>(Some(protocol))?;
        let program = match (&raw.program, protocol) {
            (None, Protocol::Account) => USERMOD.into(),
            (None, Protocol::Ossec | Protocol::Wazuh) => {
                self.problems.say(start, "[[response]]: 'program' is missing: the script's full path".to_owned());
                return None;
            }
            (Some(_), _) => self.path(raw.program.take(), PathBuf::new()),
        };
        let args: Vec<String> = match raw.args.take() {
            Some(given) if protocol == Protocol::Ossec && !given.value.is_empty() => {
                self.wrong(&given, "OSSEC's protocol has no further arguments");
                Vec::new()
            }
            Some(given) => self.few(given, 16).map(|arg| arg.value).collect(),
            None => Vec::new(),
        };
        let mut expect = Vec::new();
        for word in raw.expect.take().map(|given| given.value).unwrap_or_default() {
            expect.extend(self.word::<Expect>(Some(word)));
        }
        let on_at = at(&raw.on);
        let on = self.word(raw.on.take()).unwrap_or_default();
        let user_at = at(&raw.user);
        let user = raw.user.take().map_or_else(|| "nobody".to_owned(), |user| self.account(user));
        let response = ResponseConfig {
            name: name.value,
            protocol,
            program,
            args,
            expect,
            on,
            user,
            limit: self.period(&raw.limit, 1..=600, Duration::from_secs(10)),
            timeout: match (&raw.timeout, protocol) {
                // Nobody is locked out for good because somebody guessed at his password.
                (None, Protocol::Account) => Some(Duration::from_secs(600)),
                (None, Protocol::Ossec | Protocol::Wazuh) => None,
                (Some(_), _) => Some(self.period(&raw.timeout, 1..=30 * 86_400, Duration::from_secs(600))),
            },
            per_minute: self.number(&raw.per_minute, 1..=1_000, 60),
        };
        if response.protocol == Protocol::Account && response.user != "root" {
            let message = "[[response]] user: locking accounts takes root: write user = \"root\" if that is to be".to_owned();
            self.problems.say(place(&[user_at, Some(start)]), message);
        }
        if response.on == On::Block && response.wants_user() {
            self.problems.say(place(&[on_at, Some(start)]), "[[response]] on: a block names no user: on = \"rule\" it must be".to_owned());
        }
        Some(response)
    }
}

/// Looks whether the programs are there and can be run; one that runs as root must be nobody else's to change.
///
/// # Errors
/// One line for each thing that is wrong, with the nearest right name.
pub fn check(responses: &[ResponseConfig]) -> Result<(), Vec<String>> {
    let wrong: Vec<String> =
        responses.iter().filter_map(|response| wrong_with(response).map(|why| format!("[[response]] {}: {why}", response.name))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn wrong_with(response: &ResponseConfig) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let program = &response.program;
    let shown = quoted(&program.to_string_lossy());
    let meta = match program.metadata() {
        Ok(meta) => meta,
        Err(error) => return Some(format!("{shown}: {}{}", error.kind(), nearest(program))),
    };
    if !meta.is_file() {
        return Some(format!("{shown} is no file"));
    }
    if meta.mode() & 0o111 == 0 {
        return Some(format!("{shown} can't be executed (chmod +x)"));
    }
    if response.user == "root" {
        // Who may change it, or what lies on the way to it, would be root by that.
        let real = program.canonicalize().ok()?;
        let strange = real.ancestors().find(|step| {
            let open = |meta: std::fs::Metadata| meta.uid() != 0 || meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
            step.metadata().is_ok_and(open)
        });
        return strange
            .map(|step| format!("{} may be changed by others than root, so it is not run as root", quoted(&step.to_string_lossy())));
    }
    None
}

fn nearest(program: &Path) -> String {
    let names = program.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    did_you_mean(&program.file_name().unwrap_or_default().to_string_lossy(), names.iter().map(String::as_str))
}
