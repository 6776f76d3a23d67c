//! From which ports clients call: a host may become a gateway while a sensor runs. Never opens anything behind its sandbox's door.

use model::time::Time;
use std::ops::RangeInclusive;
use std::time::Duration;
use sys::identity::ClientPorts;

/// The kernel's settings are read again at most this often, while there is something to read.
const EVERY: Duration = Duration::from_secs(1);

/// The ports, and where they stand.
#[derive(Debug)]
pub struct Clients {
    settings: ClientPorts,
    ports: RangeInclusive<u16>,
    read: Time,
}

impl Clients {
    /// Reads them for the first time, outside the sandbox; `now` is steady here and below.
    ///
    /// # Errors
    /// One line that says why they can't be known.
    pub fn open(now: Time) -> Result<Self, String> {
        let open = || {
            let settings = ClientPorts::open()?;
            settings.read().map(|ports| Clients { settings, ports, read: now })
        };
        open().map_err(|error| format!("ephemeral ports: {error}"))
    }

    /// As they were read last.
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.ports.clone()
    }

    /// The ports, if they are others by now. Settings that can't be read are as they were.
    pub fn news(&mut self, now: Time) -> Option<RangeInclusive<u16>> {
        if now.since(self.read) < EVERY {
            return None;
        }
        self.read = now;
        let ports = self.settings.read().ok().filter(|ports| *ports != self.ports)?;
        self.ports = ports.clone();
        Some(ports)
    }
}
