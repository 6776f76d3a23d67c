//! Rulesets that real tools made (`tests/rulesets/make`), and what the survey says about each. `UPDATE=1` writes the answers anew.

use ruleset::survey::{Host, survey};
use ruleset::{Ruleset, Version, json, read};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulesets");
    let mut all: Vec<PathBuf> =
        fs::read_dir(root).expect("readable").map(|entry| entry.expect("readable").path()).filter(|path| path.is_dir()).collect();
    all.sort();
    assert!(all.len() >= 10, "the rulesets were found");
    all
}

fn load(folder: &Path, ends: &[&str]) -> Option<Ruleset> {
    let mut all = Ruleset::default();
    let mut found = false;
    for end in ends {
        if let Ok(text) = fs::read_to_string(folder.join(format!("ruleset.{end}"))) {
            all.join(read(&text, None).unwrap_or_else(|wrong| panic!("{}: ruleset.{end}:{wrong}", folder.display())));
            found = true;
        }
    }
    found.then_some(all)
}

fn surveyed(rules: &Ruleset) -> Value {
    let strange: Vec<String> = rules.strange.iter().map(|one| format!("{}: {}", one.line, one.text)).collect();
    let families: Vec<Value> = Version::BOTH.iter().map(|version| json::survey(&survey(rules, *version, &Host::default()))).collect();
    json!({"rules": rules.rules, "not_understood": strange, "families": families})
}

#[test]
fn surveys_are_as_they_were() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let rules = load(&folder, &["v4", "v6", "nft"]).expect("a ruleset");
        let now = format!("{:#}\n", surveyed(&rules));
        let file = folder.join("expected.json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &now).expect("writable");
        } else if fs::read_to_string(&file).unwrap_or_default() != now {
            wrong.push(folder);
        }
    }
    assert_eq!(wrong, Vec::<PathBuf>::new(), "run with UPDATE=1 and look at the difference");
}

/// Places are told by lines, which JSON doesn't have.
fn without_places(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.remove("at");
            fields.remove("if");
            fields.values_mut().for_each(without_places);
        }
        Value::Array(all) => all.iter_mut().for_each(without_places),
        _ => (),
    }
}

#[test]
fn text_and_json_of_nft_have_the_same_survey() {
    let mut compared = 0;
    for folder in folders() {
        // nft before 1.1 leaves an ingress chain's device out of its JSON, so such a chain counts for every interface there.
        let devices = fs::read_to_string(folder.join("ruleset.nft")).is_ok_and(|text| text.contains("hook ingress"));
        if let (Some(text), Some(json), false) = (load(&folder, &["nft"]), load(&folder, &["json"]), devices) {
            let (mut one, mut other) = (surveyed(&text), surveyed(&json));
            without_places(&mut one);
            without_places(&mut other);
            assert_eq!(one, other, "{}", folder.display());
            compared += 1;
        }
    }
    assert!(compared >= 4);
}
