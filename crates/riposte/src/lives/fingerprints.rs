//! Which fingerprints are at work: riposte's own and those of the user's files. Reads files; starts nothing. Runs before the sandbox.

use super::applications::engine::told;
use super::signatures;
use crate::commands::Failure;
use crate::config::{Config, FingerprintConfig};
use fingerprint::{Fingerprints, Problem};
use sense::guessing::Guesser;
use sense::matching::Matcher;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The fingerprints; none if nobody wants them.
///
/// # Errors
/// A line for each thing that is wrong, with its file and line.
pub fn load(config: &FingerprintConfig) -> Result<Option<Fingerprints>, Failure> {
    if !config.enabled {
        return Ok(None);
    }
    type Add = fn(&mut Fingerprints, &str) -> Vec<Problem>;
    let kinds: [(_, Add); 2] = [(&config.p0f, Fingerprints::add_p0f), (&config.posf, Fingerprints::add_posf)];
    let (mut fingerprints, mut problems) = (Fingerprints::default(), Vec::new());
    for (files, add) in kinds {
        for place in files {
            let name = place.display();
            problems.extend(add(&mut fingerprints, &signatures::text(place)?).iter().map(|problem| format!("{name}:{problem}")));
        }
    }
    if !problems.is_empty() {
        return Err(told(&problems));
    }
    if config.shipped {
        fingerprints.add_own();
    }
    Ok(Some(fingerprints))
}

/// What makes events of a sensor's packets: signatures and fingerprints.
///
/// # Errors
/// What is wrong with their files, in one line.
pub fn matcher(config: &Config) -> Result<Matcher, String> {
    let one_line = |wrong: Failure| wrong.join("; ");
    let (set, _) = signatures::load(&config.signatures).map_err(one_line)?;
    let seed = || RandomState::new().build_hasher().finish();
    let guesser = load(&config.fingerprint).map_err(one_line)?.map(|fingerprints| Guesser::new(fingerprints, seed()));
    Ok(Matcher::new(set).with_guesser(guesser))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_wrong_is_told_by_file_and_line_and_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let p0f3 = place("p0f.fp", "[tcp:request]\nlabel = s:unix:Linux:x\nsig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0\n");
        let pf_os = place("pf.os", "S4:64:1:60:M*,S,T,N,W7:Linux:2.6::Linux 2.6\n");
        let posf = place("posf", "OS Old;\nNUMPKTS 3;\nLEN 60;\n");
        let good = FingerprintConfig { enabled: true, shipped: false, p0f: vec![p0f3, pf_os], posf: vec![posf] };
        assert_eq!(load(&good).unwrap().map(|all| all.len()), Some(3));
        assert!(load(&FingerprintConfig { enabled: false, ..good.clone() }).unwrap().is_none());
        let bad = FingerprintConfig {
            p0f: vec![place("a", "[tcp:request]\n\nlable = s:unix:Linux:x\n")],
            posf: vec![place("b", "OS x;\nWINDOWS 1;\n")],
            ..good
        };
        let wrong = load(&bad).unwrap_err();
        assert!(
            matches!(&wrong[..], [a, b] if a.contains("/a:3: 'lable'") && a.contains("'label'?") && b.contains("/b:2: 'WINDOWS'") && b.contains("'WINDOW'?")),
            "{wrong:?}"
        );
        let missing = load(&FingerprintConfig { p0f: vec![folder.path().join("none")], ..bad }).unwrap_err();
        assert!(missing[0].contains("none: "), "{missing:?}");
    }
}
