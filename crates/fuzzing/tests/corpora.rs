//! Runs every fuzz target over its saved inputs: the corpus, and everything that once brought it down. Plain Rust, so it runs wherever tests do.

use fuzzing::TARGETS;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

#[test]
fn no_saved_input_breaks_a_promise() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let corpus = inputs(&fuzz().join("corpus").join(target.name));
        let crashes = fuzz().join("crashes").join(target.name);
        let crashes = if crashes.exists() { inputs(&crashes) } else { Vec::new() };
        assert!(corpus.len() >= 10, "{}: a corpus of {} is none", target.name, corpus.len());
        for path in corpus.iter().chain(&crashes) {
            let bytes = fs::read(path).expect("readable");
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err() {
                broken.push(path.display().to_string());
            }
        }
        println!("{}: {} inputs, {} of them former crashes", target.name, corpus.len() + crashes.len(), crashes.len());
    }
    assert!(broken.is_empty(), "these inputs break a promise (the panics are above): {broken:#?}");
}

#[test]
fn every_target_can_be_fuzzed() {
    let mut files = inputs(&fuzz().join("fuzz_targets"));
    let mut expected: Vec<PathBuf> = TARGETS.iter().map(|target| fuzz().join("fuzz_targets").join(format!("{}.rs", target.name))).collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
}

#[test]
fn the_corpora_stay_small() {
    let sizes = TARGETS.iter().flat_map(|target| inputs(&fuzz().join("corpus").join(target.name)));
    let sizes: Vec<u64> = sizes.map(|path| fs::metadata(path).expect("readable").len()).collect();
    assert!(
        sizes.len() <= 36 * TARGETS.len() && sizes.iter().sum::<u64>() <= 1 << 20,
        "{} inputs, {} bytes",
        sizes.len(),
        sizes.iter().sum::<u64>()
    );
}
