//! `[[response]]`: programs that may be run beside a block, each by its name. Opens nothing: whether they are there is looked at when riposte starts.

use super::placeholder::Placeholder;
use super::raw::{Given, RawResponse};
use super::read::{Meaning, at, place};
use super::words::{Word, did_you_mean, quoted};
use court::court::responses::With;
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
    /// Wazuh's `extra_args`; of `Account`, the system's accounts that may be locked; of `Command`, all arguments, with placeholders.
    pub args: Vec<String>,
    /// What it wants to know.
    pub expect: Vec<Expect>,
    /// When it is run.
    pub on: On,
    /// Of `On::Touch`: of which ports.
    pub protocols: Vec<Touched>,
    /// Whether a block waits for it.
    pub when: When,
    /// Whether it is run again when what it is about ends.
    pub at_end: bool,
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
    /// Any program: its arguments as they stand, with values in the place of `{address}` and the like.
    Command,
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
    /// For each charged touch of a guarded port, whether it may block or not.
    Touch,
}

/// Whether a block waits for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// The block is set when it has run, or when its time is over.
    Before,
    /// It is run once the block is set.
    #[default]
    After,
}

/// A protocol whose guarded ports can be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Word for Protocol {
    const ALL: &'static [Self] = &[Protocol::Ossec, Protocol::Wazuh, Protocol::Account, Protocol::Command];
    fn word(self) -> &'static str {
        match self {
            Protocol::Ossec => "ossec",
            Protocol::Wazuh => "wazuh",
            Protocol::Account => "account",
            Protocol::Command => "command",
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
    const ALL: &'static [Self] = &[On::Rule, On::Block, On::Touch];
    fn word(self) -> &'static str {
        match self {
            On::Rule => "rule",
            On::Block => "block",
            On::Touch => "touch",
        }
    }
}

impl Word for When {
    const ALL: &'static [Self] = &[When::Before, When::After];
    fn word(self) -> &'static str {
        match self {
            When::Before => "before",
            When::After => "after",
        }
    }
}

impl Word for Touched {
    const ALL: &'static [Self] = &[Touched::Tcp, Touched::Udp];
    fn word(self) -> &'static str {
        match self {
            Touched::Tcp => "tcp",
            Touched::Udp => "udp",
        }
    }
}

/// What locks accounts if nobody says otherwise.
const USERMOD: &str = "/usr/sbin/usermod";
/// Links that are followed on the way to a program, one within the other: Linux' own bound.
const LINKS: u32 = 40;
/// Bytes of the longest name.
const NAME_BYTES: usize = 64;
/// Arguments of a program.
const ARGS: usize = 16;
/// Bytes of one of them.
const ARG_BYTES: usize = 1_024;
/// The longest time that a block waits for a program, in seconds.
const WAIT_MAX: u64 = 10;

impl ResponseConfig {
    /// Whether it is run for a user.
    pub fn wants_user(&self) -> bool {
        self.protocol == Protocol::Account || self.expect.contains(&Expect::User)
    }

    /// The court's part.
    pub fn court(&self) -> court::court::responses::Response {
        court::court::responses::Response {
            name: self.name.clone(),
            with: match self.on {
                On::Rule => With::Rules,
                On::Block => With::Blocks,
                On::Touch => With::Touches { tcp: self.protocols.contains(&Touched::Tcp), udp: self.protocols.contains(&Touched::Udp) },
            },
            first: (self.when == When::Before).then_some(self.limit),
            undone: self.at_end || self.protocol != Protocol::Command,
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
            self.problems.say(start, "[[response]]: 'protocol' is missing: ossec, wazuh, account or command".to_owned());
            return None;
        };
        let protocol = self.word::<Protocol>(Some(protocol))?;
        let program = match (&raw.program, protocol) {
            (None, Protocol::Account) => USERMOD.into(),
            (None, Protocol::Ossec | Protocol::Wazuh | Protocol::Command) => {
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
            Some(given) => self.few(given, ARGS).map(|arg| self.argument(arg, protocol)).collect(),
            None => Vec::new(),
        };
        let mut expect = Vec::new();
        for word in raw.expect.take().map(|given| given.value).unwrap_or_default() {
            expect.extend(self.word::<Expect>(Some(word)));
        }
        let (on_at, protocols_at, when_at, end_at) = (at(&raw.on), at(&raw.protocols), at(&raw.when), at(&raw.at_end));
        let on = self.word(raw.on.take()).unwrap_or_default();
        let mut protocols = Vec::new();
        for word in raw.protocols.take().map(|given| given.value).unwrap_or_default() {
            protocols.extend(self.word::<Touched>(Some(word)));
        }
        if protocols_at.is_some() && on != On::Touch {
            self.problems.say(place(&[protocols_at]), "[[response]] protocols: of touched ports: on = \"touch\" it must be".to_owned());
        } else if protocols.is_empty() && on == On::Touch {
            protocols = Touched::ALL.to_vec();
        }
        let when = self.word(raw.when.take()).unwrap_or_default();
        if when == When::Before && on == On::Rule {
            self.problems
                .say(place(&[when_at]), "[[response]] when: only a block can wait: on = \"block\" or \"touch\" it must be".to_owned());
        }
        let at_end = raw.at_end.take().map_or(protocol != Protocol::Command, |given| given.value);
        if end_at.is_some() && protocol != Protocol::Command {
            self.problems.say(place(&[end_at]), format!("[[response]] at_end: with protocol = \"{}\" it always is", protocol.word()));
        }
        let longest = if when == When::Before { WAIT_MAX } else { 600 };
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
            protocols,
            when,
            at_end,
            limit: self.period(&raw.limit, 1..=longest, Duration::from_secs(10)),
            timeout: match (&raw.timeout, protocol) {
                // Nobody is locked out for good because somebody guessed at his password.
                (None, Protocol::Account) => Some(Duration::from_secs(600)),
                // Nor is a program run at every touch of one source.
                (None, _) if on == On::Touch => Some(Duration::from_secs(3_600)),
                (None, Protocol::Ossec | Protocol::Wazuh | Protocol::Command) => None,
                (Some(_), _) => Some(self.period(&raw.timeout, 1..=30 * 86_400, Duration::from_secs(600))),
            },
            per_minute: self.number(&raw.per_minute, 1..=1_000, 60),
        };
        if response.protocol == Protocol::Account && response.user != "root" {
            let message = "[[response]] user: locking accounts takes root: write user = \"root\" if that is to be".to_owned();
            self.problems.say(place(&[user_at, Some(start)]), message);
        }
        if response.on != On::Rule && response.wants_user() {
            let message = format!("[[response]] on: a {} names no user: on = \"rule\" it must be", response.on.word());
            self.problems.say(place(&[on_at, Some(start)]), message);
        }
        Some(response)
    }

    /// An argument; of a command it may have placeholders.
    fn argument(&mut self, given: Given<String>, protocol: Protocol) -> String {
        if given.value.contains('\0') || given.value.len() > ARG_BYTES {
            self.wrong(&given, format!("an argument has at most {ARG_BYTES} bytes, and none that is zero"));
        } else if protocol == Protocol::Command
            && let Err(why) = Placeholder::check(&given.value, &Placeholder::OF_RESPONSES)
        {
            self.wrong(&given, format!("{} {why}", quoted(&given.value)));
        }
        given.value
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(format!("there is no {shown}{}", nearest(program))),
        Err(error) => return Some(format!("{shown}: {error}")),
    };
    if !meta.is_file() {
        return Some(format!("{shown} is no file"));
    }
    if meta.mode() & 0o111 == 0 {
        return Some(format!("{shown} can't be executed (chmod +x)"));
    }
    if response.user == "root" {
        return strange(program, LINKS)
            .map(|step| format!("{} may be changed by others than root, so it is not run as root", quoted(&step.to_string_lossy())));
    }
    None
}

/// What on the way to a program, links included, others than root may change: who can would be root by that.
fn strange(path: &Path, links: u32) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    path.ancestors().find_map(|step| {
        let meta = step.symlink_metadata().ok()?;
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        if meta.uid() != 0 || !meta.is_symlink() && meta.mode() & 0o022 != 0 && !sticky {
            return Some(step.to_owned());
        }
        if !meta.is_symlink() {
            return None;
        }
        let leads = step.parent().zip(step.read_link().ok()).map(|(folder, target)| folder.join(target));
        leads.filter(|_| links > 0).map_or_else(|| Some(step.to_owned()), |target| strange(&target, links - 1))
    })
}

fn nearest(program: &Path) -> String {
    let names = program.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    did_you_mean(&program.file_name().unwrap_or_default().to_string_lossy(), names.iter().map(String::as_str))
}
