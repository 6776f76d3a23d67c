//! `[whois]` and `[reverse_dns]`: what others are asked about sources that letters tell of. Asks nobody.

use super::raw::{RawReverseDns, RawWhois};
use super::read::Meaning;
use super::words::{is_host_name, quoted};
use std::time::Duration;

/// The port of whois (RFC 3912).
pub const WHOIS_PORT: u16 = 43;

/// Registries of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoisConfig {
    /// Whether they are asked.
    pub enabled: bool,
    /// Who is asked first; it says who knows more.
    pub server: String,
    /// The longest time for one source, all servers together.
    pub timeout: Duration,
    /// For how long an answer is kept.
    pub keep: Duration,
    /// Sources that are asked about in an hour.
    pub per_hour: u32,
}

impl Default for WhoisConfig {
    fn default() -> Self {
        WhoisConfig {
            enabled: false,
            server: "whois.iana.org".to_owned(),
            timeout: Duration::from_secs(15),
            keep: Duration::from_secs(7 * 86_400),
            per_hour: 60,
        }
    }
}

/// Names of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReverseDnsConfig {
    /// Whether they are asked for.
    pub enabled: bool,
    /// The longest time for one.
    pub timeout: Duration,
}

impl Default for ReverseDnsConfig {
    fn default() -> Self {
        ReverseDnsConfig { enabled: false, timeout: Duration::from_secs(5) }
    }
}

impl Meaning<'_> {
    pub(super) fn whois(&mut self, raw: Option<RawWhois>) -> WhoisConfig {
        let default = WhoisConfig::default();
        let Some(raw) = raw else { return default };
        let server = raw.server.map_or(default.server, |server| {
            if !is_host_name(&server.value) && server.value.parse::<std::net::IpAddr>().is_err() {
                self.wrong(&server, format!("{} is no host's name or address", quoted(&server.value)));
            }
            server.value
        });
        WhoisConfig {
            enabled: raw.enabled.is_none_or(|given| given.value),
            server,
            timeout: self.period(&raw.timeout, 1..=120, default.timeout),
            keep: self.period(&raw.keep, 60..=365 * 86_400, default.keep),
            per_hour: self.number(&raw.per_hour, 1..=1_000, default.per_hour),
        }
    }

    pub(super) fn reverse_dns(&mut self, raw: Option<RawReverseDns>) -> ReverseDnsConfig {
        let default = ReverseDnsConfig::default();
        let Some(raw) = raw else { return default };
        ReverseDnsConfig {
            enabled: raw.enabled.is_none_or(|given| given.value),
            timeout: self.period(&raw.timeout, 1..=60, default.timeout),
        }
    }
}
