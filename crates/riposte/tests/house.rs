//! The house rules that the compiler can't hold: which crate may use which, where `unsafe` may stand, how long a file may grow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may use of ours. Arrows point down only.
const ARROWS: [(&str, &[&str]); 20] = [
    ("model", &[]),
    ("sys", &[]),
    ("ruleset", &[]),
    ("wire", &["model"]),
    ("logrules", &["model"]),
    ("fingerprint", &["wire", "model"]),
    ("exchange", &["model"]),
    ("signatures", &["model"]),
    ("sense", &["signatures", "fingerprint", "wire", "model"]),
    ("detect", &["model"]),
    ("policy", &["model"]),
    ("store", &["model"]),
    ("respond", &["wire", "sys", "model"]),
    ("report", &["model"]),
    ("link", &["model"]),
    ("court", &["model", "detect", "policy", "store", "link"]),
    ("range", &["model", "report", "wire", "sys", "store", "respond", "detect"]),
    ("simulation", &["model", "detect", "policy", "store", "respond", "link", "report", "court", "riposte"]),
    (
        "riposte",
        &[
            "model",
            "wire",
            "signatures",
            "fingerprint",
            "sense",
            "detect",
            "policy",
            "store",
            "respond",
            "report",
            "link",
            "court",
            "exchange",
            "ruleset",
            "logrules",
            "sys",
            "range",
        ],
    ),
    (
        "fuzzing",
        &["model", "wire", "signatures", "sense", "exchange", "respond", "report", "link", "ruleset", "logrules", "sys", "riposte"],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("readable").map(|e| e.expect("readable").path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("crates"), &mut found);
    found.sort();
    assert!(found.len() > 30, "the sources were found");
    found
}

#[test]
fn arrows_point_down_only() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for entry in fs::read_dir(root().join("crates")).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("a plain name").to_owned();
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} has no place in ARROWS"));
        let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let used = line.split(['.', '=', ' ']).next().unwrap_or_default();
            assert!(!allowed.contains_key(used) || may.contains(&used), "{name} must not use {used}");
        }
    }
}

#[test]
fn only_sys_has_unsafe_code() {
    let word = concat!("un", "safe");
    for path in sources().iter().filter(|p| !p.starts_with(root().join("crates/sys"))) {
        let text = fs::read_to_string(path).expect("readable");
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = [" {", " fn", " impl", " extern"].iter().any(|rest| code.contains(&format!("{word}{rest}")));
            assert!(!found, "{}:{}: {word} code outside crates/sys", path.display(), n + 1);
        }
    }
}

#[test]
fn files_stay_readable() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.lines().count() <= 800, "{} has more than 800 lines: split it", path.display());
        if !path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "examples") {
            assert!(text.starts_with("//!"), "{} doesn't open with what it is", path.display());
        }
        for mark in ["TODO", "FIXME", "#[ignore", "#[allow("].map(|m| m.to_owned()) {
            let own = path.ends_with("tests/house.rs");
            assert!(own || !text.contains(&mark), "{} holds {mark}", path.display());
        }
    }
}

#[test]
fn pure_crates_open_nothing() {
    for name in ["model", "wire", "signatures", "fingerprint", "sense", "detect", "policy", "court", "ruleset"] {
        for path in sources().iter().filter(|p| p.starts_with(root().join("crates").join(name).join("src"))) {
            let text = fs::read_to_string(path).expect("readable");
            for word in ["std::fs", "std::net::Tcp", "std::net::Udp", "std::process::Command", "SystemTime", "Instant::"] {
                assert!(!text.contains(word), "{} uses {word}", path.display());
            }
        }
    }
}

/// No text from a log or the network can become a command where no shell is ever started, and commands are started in few places.
#[test]
fn no_shell_is_ever_started() {
    for path in sources().iter().filter(|p| p.components().any(|c| c.as_os_str() == "src") && !p.starts_with(root().join("crates/range"))) {
        let text = fs::read_to_string(path).expect("readable");
        // To know a shell by its name starts none.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().replace("ends_with(\"sh\")", "");
        for word in ["\"sh\"", "\"bash\"", "/bin/sh", "libc::system", "libc::popen"] {
            assert!(!code.contains(word), "{} starts a shell: {word}", path.display());
        }
    }
}

/// Every test that THREATS.md names (`name`, in the last column of a table) is there.
#[test]
fn threats_and_defects_have_their_tests() {
    let tests: String = sources().iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    for (document, least) in [("THREATS.md", 20), ("docs/psad-defects.md", 30)] {
        let text = fs::read_to_string(root().join(document)).expect("readable");
        let mut named = 0;
        for row in text.lines().filter(|line| line.starts_with('|')) {
            let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            for name in last.split('`').skip(1).step_by(2).filter(|name| name.contains('_') && !name.contains(['/', '.', ' '])) {
                assert!(tests.contains(&format!("fn {name}(")), "{document} names the test {name}, which is not there");
                named += 1;
            }
        }
        assert!(named > least, "only {named} tests are named in {document}");
    }
}
