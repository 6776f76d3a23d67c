//! The part of the configuration about fingerprints: whether senders' systems are guessed at, and by which files. Opens none of them.

use super::raw::RawFingerprint;
use super::read::Meaning;
use std::path::PathBuf;

/// Files of one kind.
const FILES_MAX: usize = 16;

/// Guesses at senders' systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintConfig {
    /// Whether any are made.
    pub enabled: bool,
    /// Whether riposte's own fingerprints are among them.
    pub shipped: bool,
    /// Files of p0f's, of version 2 or 3, and `pf.os`.
    pub p0f: Vec<PathBuf>,
    /// psad's `posf`.
    pub posf: Vec<PathBuf>,
}

impl Default for FingerprintConfig {
    fn default() -> Self {
        FingerprintConfig { enabled: false, shipped: true, p0f: Vec::new(), posf: Vec::new() }
    }
}

impl FingerprintConfig {
    /// Whether anything of it is in files, which may change without it.
    pub fn has_files(&self) -> bool {
        self.enabled && !(self.p0f.is_empty() && self.posf.is_empty())
    }
}

impl Meaning<'_> {
    pub(super) fn fingerprint(&mut self, raw: RawFingerprint) -> FingerprintConfig {
        let default = FingerprintConfig::default();
        let [p0f, posf] = [raw.p0f, raw.posf].map(|list| {
            list.map_or_else(Vec::new, |list| self.few(list, FILES_MAX).map(|path| self.path(Some(path), PathBuf::new())).collect())
        });
        FingerprintConfig {
            // Who names some wants them.
            enabled: raw.enabled.map_or(!(p0f.is_empty() && posf.is_empty()), |given| given.value),
            shipped: raw.shipped.map_or(default.shipped, |given| given.value),
            p0f,
            posf,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn who_names_files_wants_guesses() {
        let read = |text: &str| Config::parse(&format!("[fingerprint]\n{text}"), "x").map(|config| config.fingerprint);
        let named = read("p0f = ['/etc/p0f/p0f.fp', '/etc/psad/pf.os']\nposf = ['/etc/psad/posf']").unwrap();
        assert!(named.enabled && named.shipped && named.has_files());
        assert_eq!((named.p0f.len(), named.posf.len()), (2, 1));
        assert!(!read("").unwrap().enabled && read("enabled = true").unwrap().enabled);
        assert!(!read("enabled = false\np0f = ['/a']").unwrap().has_files());
        let wrong = read("pof = []").unwrap_err();
        assert!(wrong[0].to_string().ends_with("; did you mean 'p0f'?"), "{}", wrong[0]);
    }
}
