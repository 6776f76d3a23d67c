//! Descriptors that the service manager keeps for us from one run to the next (FDSTORE in sd_notify(3), handed over as in sd_listen_fds(3)):
//! packets, datagrams and lines that come while riposte is away wait in them. Never relied upon: what was not kept is opened anew.

use std::collections::BTreeMap;
use std::env;
use std::os::fd::{OwnedFd, RawFd};
use sys::inherit::inherited;

/// The first descriptor that the manager hands over.
const FIRST: RawFd = 3;
/// Descriptors that are taken over at most: more than we ever hand in.
const MOST: usize = 128;
/// Bytes of a name that the manager takes.
const NAME_BYTES: usize = 255;

/// What was kept, by name.
#[derive(Debug, Default)]
pub struct Stored {
    fds: BTreeMap<String, OwnedFd>,
}

impl Stored {
    /// Takes over what the environment says was handed to this process. Call it at the start, before anything is opened.
    pub fn inherit() -> Self {
        let text = |name: &str| env::var(name).unwrap_or_default();
        let ours = text("LISTEN_PID").parse() == Ok(std::process::id());
        let count = text("LISTEN_FDS").parse::<usize>().ok().filter(|_| ours).unwrap_or(0);
        let names = text("LISTEN_FDNAMES");
        let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
        let fds = (FIRST..).zip(names).take(count.min(MOST)).filter_map(|(number, name)| Some((name, inherited(number).ok()?)));
        Stored { fds: fds.collect() }
    }

    /// The descriptor with this name, if there is one.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.fds.remove(&spelling(name)?)
    }

    /// Names that nobody has asked for.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.fds.keys().map(String::as_str)
    }
}

/// A name as the manager takes it: printable ASCII without colons. `None` if it can't be spelt so; then it is not kept.
pub fn spelling(name: &str) -> Option<String> {
    let fits = name.len() <= NAME_BYTES && name.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    fits.then(|| name.replace(':', ";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_the_manager_takes_them() {
        assert_eq!(spelling("syslog on udp [::1]:514").as_deref(), Some("syslog on udp [;;1];514"));
        assert_eq!(spelling("pipe /run/\u{e4}"), None);
        assert_eq!(spelling("pipe /run/a\nb"), None);
        assert_eq!(spelling(&"x".repeat(256)), None);
    }

    #[test]
    fn what_was_meant_for_another_process_is_not_taken() {
        // The tests' environment has no LISTEN_PID with our number in it.
        assert_eq!(Stored::inherit().left().count(), 0);
    }
}
