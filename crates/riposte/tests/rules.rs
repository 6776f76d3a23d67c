//! `riposte rules`: what is listed is shown, and a sample that comes out otherwise is told with its file and line.

use std::fs;
use std::process::Command;

/// Exit code, standard output, standard error.
fn rules(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_riposte")).arg("rules").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_listed_is_shown() {
    let (code, listed, _) = rules(&["list", "--json"]);
    assert_eq!(code, Some(0));
    let all: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.len() > 100);
    for rule in all.iter().step_by(20) {
        let name = rule["rule"].as_str().unwrap();
        let (code, shown, _) = rules(&["show", name]);
        let line = format!("name = \"{}\"", name.split_once('/').unwrap().1);
        assert!(code == Some(0) && shown.starts_with("[[rule]]") && shown.contains(&line), "{name}: {shown}");
        assert_eq!(shown.matches("[[rule]]").count(), 1);
    }
    let (code, _, told) = rules(&["show", "sshd/faild-password"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("did you mean 'sshd/failed-password'?"), "{told}");
}

#[test]
fn a_sample_that_comes_out_otherwise_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    let text = "name = \"shop\"\nprogram = \"shop\"\nforged = [\"Nov 21 03:04:05 box shop: x\"]\nlists.staff = { file = \"staff.txt\" }\n[[rule]]\nname = \"refused\"\n\
                match = '^refused <user> from <address>$'\nunless = { user = \"@staff\" }\n\
                hit = [{ line = \"Nov 21 03:04:05 box shop: refused x from 192.0.2.1\", address = \"192.0.2.1\" }]\n\
                miss = [\"Nov 21 03:04:05 box shop: refused anna from 192.0.2.1\"]\n";
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("staff.txt"), "anna\n").unwrap();
    let (code, told, wrong) = rules(&["test", folder.path().to_str().unwrap()]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""));
    assert!(told.contains("given: 1 services, 1 rules, 3 samples: all as they say"), "{told}");
    fs::write(folder.path().join("staff.txt"), "ben\n").unwrap();
    let (code, _, wrong) = rules(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert_eq!(
        wrong,
        format!("riposte: {}:10: shop/refused matches: Nov 21 03:04:05 box shop: refused anna from 192.0.2.1\n", file.display())
    );
}
