//! The part of the configuration about signatures: which rules, and the files beside them. Opens none of them.

use super::raw::RawSignatures;
use super::read::Meaning;
use std::path::PathBuf;

/// Places of rules, and variables.
const PLACES_MAX: usize = 64;
const VARIABLES_MAX: usize = 256;

/// Signatures on packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturesConfig {
    /// Whether packets are held against any.
    pub enabled: bool,
    /// Whether riposte's own are among them.
    pub shipped: bool,
    /// Files and folders with rules.
    pub rules: Vec<PathBuf>,
    /// psad's `snort_rule_dl`: danger levels of single signatures.
    pub levels: Option<PathBuf>,
    /// psad's `auto_dl`: danger levels of networks.
    pub auto_dl: Option<PathBuf>,
    /// psad's `ip_options`, `icmp_types`, `icmp6_types` and `protocols`.
    pub ip_options: Option<PathBuf>,
    /// See `ip_options`.
    pub icmp_types: Option<PathBuf>,
    /// See `ip_options`.
    pub icmp6_types: Option<PathBuf>,
    /// See `ip_options`.
    pub protocols: Option<PathBuf>,
    /// Variables of the rules: name and value.
    pub variables: Vec<(String, String)>,
}

impl Default for SignaturesConfig {
    fn default() -> Self {
        SignaturesConfig {
            enabled: false,
            shipped: true,
            rules: Vec::new(),
            levels: None,
            auto_dl: None,
            ip_options: None,
            icmp_types: None,
            icmp6_types: None,
            protocols: None,
            variables: Vec::new(),
        }
    }
}

impl SignaturesConfig {
    /// The files beside the rules, by their keys.
    pub fn tables(&self) -> [(&'static str, &Option<PathBuf>); 6] {
        [
            ("levels", &self.levels),
            ("auto_dl", &self.auto_dl),
            ("ip_options", &self.ip_options),
            ("icmp_types", &self.icmp_types),
            ("icmp6_types", &self.icmp6_types),
            ("protocols", &self.protocols),
        ]
    }

    /// Whether anything of it is in files, which may change without it.
    pub fn has_files(&self) -> bool {
        self.enabled && (!self.rules.is_empty() || self.tables().iter().any(|(_, file)| file.is_some()))
    }
}

impl Meaning<'_> {
    pub(super) fn signatures(&mut self, raw: RawSignatures) -> SignaturesConfig {
        let default = SignaturesConfig::default();
        let rules = raw
            .rules
            .map_or_else(Vec::new, |rules| self.few(rules, PLACES_MAX).map(|path| self.path(Some(path), PathBuf::new())).collect());
        let mut variables: Vec<(String, String)> = Vec::new();
        for given in raw.variables.map_or_else(|| Vec::new().into_iter(), |list| self.few(list, VARIABLES_MAX)) {
            match given.value.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some((name, value)) if signatures::addresses::Variables::default().set(name, value).is_ok() && !value.is_empty() => {
                    variables.push((name.trim_start_matches('$').to_owned(), value.to_owned()));
                }
                _ => self.wrong(&given, "a name and a value are wanted: \"HOME_NET = [192.0.2.0/24, 2001:db8::/32]\""),
            }
        }
        // They take as much time as all the rest: who names some wants them.
        let names_some = !rules.is_empty() || raw.levels.is_some() || raw.auto_dl.is_some();
        let mut table = |given: Option<_>| given.map(|given| self.path(Some(given), PathBuf::new()));
        SignaturesConfig {
            enabled: raw.enabled.map_or(names_some, |given| given.value),
            shipped: raw.shipped.map_or(default.shipped, |given| given.value),
            rules,
            levels: table(raw.levels),
            auto_dl: table(raw.auto_dl),
            ip_options: table(raw.ip_options),
            icmp_types: table(raw.icmp_types),
            icmp6_types: table(raw.icmp6_types),
            protocols: table(raw.protocols),
            variables,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::tests::refused;

    #[test]
    fn signatures_are_files_and_variables() {
        let text = "[signatures]\nshipped = false\nrules = ['/etc/psad/signatures']\nauto_dl = '/etc/psad/auto_dl'\nvariables = ['$HOME_NET = 192.0.2.0/24']";
        let signatures = Config::parse(text, "x").unwrap().signatures;
        assert!(signatures.enabled && !signatures.shipped && signatures.has_files());
        assert_eq!(signatures.variables, [("HOME_NET".to_owned(), "192.0.2.0/24".to_owned())]);
        assert!(!Config::default().signatures.has_files());
        refused("[signatures]\nrulse = []", "r.toml:2:1: unknown key 'rulse' in [signatures]; did you mean 'rules'?");
        refused(
            "[signatures]\nauto_dl = 'auto_dl'",
            "r.toml:2:11: [signatures] auto_dl: 'auto_dl' must start with '/': the daemon's own folder is not where you typed this",
        );
        for wrong in ["HOME_NET", "= any", "A B = any", "HOME_NET ="] {
            let lines = Config::parse(&format!("[signatures]\nvariables = ['{wrong}']"), "x").unwrap_err();
            assert!(lines[0].message.contains("a name and a value are wanted"), "{wrong}: {lines:?}");
        }
    }
}
