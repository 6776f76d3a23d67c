//! `[sense.capture]`: packets before any packet filter, and on which interfaces. Opens nothing.

use super::NflogConfig;
use super::raw::{Given, GivenList, RawCapture};
use super::read::{Meaning, at, place};
use super::words::quoted;
use glob::Pattern;

/// Bytes of an interface's name (IFNAMSIZ without its closing zero).
const NAME_BYTES: usize = 15;
/// Names and patterns of interfaces.
const INTERFACES_MAX: usize = 64;
/// All that are there but the loopback.
pub const AUTO: &str = "auto";
/// What else somebody may write for that.
const MEANT_AUTO: [&str; 4] = ["any", "all", "*", "Auto"];

/// The ring, and whose packets come into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Whether it is used.
    pub enabled: bool,
    /// Names of interfaces, with `*`, `?` and `[…]` as in a shell; `None`: all but the loopback.
    pub interfaces: Option<Vec<String>>,
    /// Mebibytes of the ring: half for IPv4, half for IPv6.
    pub ring_mib: u32,
    /// Packets a second that are looked at closely and told, all sources together.
    pub rate: u32,
    /// Packets a second from one source.
    pub per_source_rate: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig { enabled: false, interfaces: None, ring_mib: 8, rate: 2_000, per_source_rate: 100 }
    }
}

impl CaptureConfig {
    /// Bytes of each of the two rings.
    pub fn ring_bytes(&self) -> usize {
        (self.ring_mib as usize) << 19
    }

    /// Whether an interface of this name is looked at, as far as its name tells.
    pub fn wants(&self, name: &str) -> bool {
        let fits = |pattern: &String| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name));
        self.interfaces.as_ref().is_none_or(|list| list.iter().any(fits))
    }
}

impl Meaning<'_> {
    pub(super) fn capture(&mut self, raw: RawCapture, nflog: &NflogConfig) -> CaptureConfig {
        let default = CaptureConfig::default();
        let enabled = raw.enabled.as_ref().is_some_and(|given| given.value);
        if let Some(given) = raw.enabled.as_ref().filter(|_| enabled && !nflog.enabled) {
            self.wrong(given, "this needs [sense.nflog] enabled = true: what is neither TCP nor UDP, and traps, still come that way");
        }
        let before = self.problems.count();
        let config = CaptureConfig {
            enabled,
            interfaces: raw.interfaces.and_then(|list| self.interfaces(list)),
            ring_mib: self.number(&raw.ring_mib, 1..=256, default.ring_mib),
            rate: self.number(&raw.rate, 1..=20_000, default.rate),
            per_source_rate: self.number(&raw.per_source_rate, 1..=10_000, default.per_source_rate),
        };
        if self.problems.count() == before && config.per_source_rate > config.rate {
            let (one, all) = (config.per_source_rate, config.rate);
            let message = format!("[sense.capture] per_source_rate: {one} for one source is more than rate = {all} for all");
            self.problems.say(place(&[at(&raw.per_source_rate), at(&raw.rate)]), message);
        }
        config
    }

    fn interfaces(&mut self, given: GivenList<String>) -> Option<Vec<String>> {
        let (count, is_auto) = (given.value.len(), given.value.iter().any(|entry| entry.value == AUTO));
        if is_auto && count == 1 {
            return None;
        }
        if is_auto || count == 0 || count > INTERFACES_MAX {
            self.wrong(&given, format!("either [\"{AUTO}\"] or up to {INTERFACES_MAX} names such as \"eth0\" or \"ppp*\""));
            return None;
        }
        given.value.iter().for_each(|entry| self.interface(entry));
        Some(given.value.into_iter().map(|entry| entry.value).collect())
    }

    fn interface(&mut self, entry: &Given<String>) {
        let name = entry.value.as_str();
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if MEANT_AUTO.contains(&name) {
            self.wrong(entry, format!("{} would take the loopback too: write [\"{AUTO}\"] for all others", quoted(name)));
        } else if name == "lo" {
            self.wrong(entry, "the loopback carries nobody's packets but this host's own");
        } else if name.is_empty() || name.contains(odd) || matches!(name, "." | "..") {
            self.wrong(entry, format!("{} is no name of an interface", quoted(name)));
        } else if name.len() > NAME_BYTES && !name.contains(['*', '?', '[']) {
            self.wrong(entry, format!("{} is longer than an interface's name can be ({NAME_BYTES} bytes)", quoted(name)));
        } else if let Err(error) = Pattern::new(name) {
            self.wrong(entry, format!("{} is no pattern: {}", quoted(name), error.msg));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        let config = CaptureConfig { interfaces: Some(vec!["eth*".into(), "wan[01]".into()]), ..CaptureConfig::default() };
        assert!(["eth0", "eth", "eth0.5", "wan1"].iter().all(|name| config.wants(name)));
        assert!(["ppp0", "wan2", "xeth0"].iter().all(|name| !config.wants(name)));
        assert!(CaptureConfig::default().wants("tun0"));
    }
}
