//! The lives: what each of riposte's processes does. Every life but the warden enters its sandbox before it reads a single
//! byte from outside; a step that fails ends it.

pub mod applications;
pub mod calm;
pub mod channel;
pub mod clients;
pub mod envoy;
pub mod fingerprints;
pub mod guard;
pub mod host;
pub mod judge;
pub mod keeper;
pub mod lock;
pub mod log;
pub mod logging;
pub mod lookup;
pub mod packets;
pub mod responder;
pub mod runner;
#[cfg(test)]
mod siege;
pub mod signatures;
pub mod warden;

use crate::config::Config;
use channel::Channel;
use link::message::{Life, Message};
use model::block::Expiry;
use model::time::Time;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::time::Duration;
use sys::identity::User;
use sys::inherit::inherited;
use sys::sandbox::{Enforcement, Entered, Profile};

/// How long a process whose riposte was killed may take to notice: the ledger and the socket that it still holds are waited for.
pub const PARTING: Duration = Duration::from_secs(2);
/// The link to the warden.
pub const WARDEN_FD: RawFd = 3;
/// The configuration, in its canonical form.
pub const CONFIG_FD: RawFd = 4;
/// The packet sensor's slot. Logs follow from 1, in the configuration's order.
pub const PACKETS_SLOT: u16 = 0;
/// The application-log sensor's slot, and those of what it reads beside files.
pub const APPLICATIONS_SLOT: u16 = u16::MAX;
/// The guard's slot.
pub const GUARD_SLOT: u16 = u16::MAX - 1;
/// The envoy's slot.
pub const ENVOY_SLOT: u16 = u16::MAX - 2;
/// The slot of the runner by whom alerts go out.
pub const MESSENGER_SLOT: u16 = 1 << 14;
/// The first of a life's own descriptors.
pub const OWN_FD: RawFd = 5;

/// The time now.
pub fn now() -> Time {
    Time::from_nanos(sys::clock::now())
}

/// A clock that never steps, for rates and back-off.
pub fn monotonic() -> Time {
    Time::from_nanos(sys::clock::monotonic())
}

/// An end by one clock, which shows `from`, as an end by another, which shows `to`.
pub fn moved(expiry: Expiry, from: Time, to: Time) -> Expiry {
    match expiry {
        Expiry::At(at) => Expiry::At(to.after(at.since(from))),
        Expiry::Never => Expiry::Never,
    }
}

/// What every child starts with.
#[derive(Debug)]
pub struct Start {
    /// The link to the warden.
    pub warden: Channel,
    /// The configuration.
    pub config: Config,
    /// Its slot.
    pub slot: u16,
}

/// Runs the life that `--life WORD SLOT` asks for.
pub fn live(word: &str, slot: &str) -> ExitCode {
    let Some(life) = Life::parse(word) else {
        eprintln!("riposte: there is no life '{word}': this option is for riposte's own use");
        return ExitCode::from(2);
    };
    let started = start(slot);
    // Once the link is closed the warden ends its child: it stays open until the last word is said.
    let _link = started.as_ref().ok().map(|start| start.warden.as_fd().try_clone_to_owned());
    let result = started.and_then(|start| match life {
        Life::Judge => judge::run(start),
        Life::Packets => packets::run(start),
        Life::Log => log::run(start),
        Life::Applications => applications::run(start),
        Life::Host => host::run(start),
        Life::Lookup => lookup::run(start),
        Life::Guard => guard::run(start),
        Life::Runner => runner::run(start),
        Life::Responder => responder::run(start),
        Life::Envoy => envoy::run(start),
        Life::Warden => Err("the warden is started with 'riposte run'".into()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(life = word, %error, "cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn start(slot: &str) -> Result<Start, String> {
    let warden = Channel::new(inherited(WARDEN_FD).map_err(|e| e.to_string())?);
    let mut text = String::new();
    let config = inherited(CONFIG_FD).map_err(|e| e.to_string())?;
    File::from(config).read_to_string(&mut text).map_err(|e| e.to_string())?;
    let config = Config::parse(&text, "inherited").map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    logging::start(&config);
    let slot = slot.parse().map_err(|_| "bad slot".to_owned())?;
    Ok(Start { warden, config, slot })
}

/// How a life's watch ended. Who writes to a warden or judge that has gone ends as quietly as who reads from it.
///
/// # Errors
/// What else made it end.
pub fn ended(watch: io::Result<()>) -> Result<(), String> {
    match watch {
        // The latter if it has gone with something unread.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
        watch => watch.map_err(|error| error.to_string()),
    }
}

/// Takes over one of the life's own descriptors.
pub fn own(number: RawFd) -> Result<OwnedFd, String> {
    inherited(OWN_FD + number).map_err(|e| e.to_string())
}

/// The user that a process without privilege becomes. `None` if there is nobody to become: then riposte is not really root
/// (a user namespace with one user).
///
/// # Errors
/// If a real root finds neither the configured user nor `nobody`.
pub fn unprivileged_user(name: &str) -> Result<Option<User>, String> {
    let found = [name, "nobody"].iter().find_map(|name| sys::identity::lookup_user(name).ok().flatten());
    match found {
        Some(user) if sys::identity::is_mapped(user.uid) && sys::identity::own_uid() == 0 => Ok(Some(user)),
        // Only a user namespace lacks users: there our root is no real one.
        Some(_) => Ok(None),
        None => Err(format!("neither user '{name}' nor 'nobody' exists")),
    }
}

/// Enters the sandbox and tells the warden that the life is ready.
///
/// # Errors
/// If any step failed: the life must end.
pub fn enter(profile: &Profile, warden: &mut Channel) -> Result<(), String> {
    let entered = sys::sandbox::enter(profile).map_err(|e| e.to_string())?;
    ready(&entered, warden)
}

/// Tells the warden that the life is ready.
///
/// # Errors
/// If the warden is gone.
pub fn ready(entered: &Entered, warden: &mut Channel) -> Result<(), String> {
    warden.send(&Message::Ready { sandbox: describe(entered) }).map_err(|e| e.to_string())
}

/// A sandbox in words.
pub fn describe(entered: &Entered) -> String {
    let whole = match entered.enforcement {
        Enforcement::Full => "full",
        Enforcement::Partial => "partial",
    };
    format!("{whole} (ABI {})", entered.landlock_abi)
}
