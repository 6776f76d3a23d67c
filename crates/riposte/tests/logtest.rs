//! `riposte logtest` over the rules in `tests/ossec`, and over OSSEC's own where they are at hand: RIPOSTE_OSSEC names a folder with
//! its decoder.xml and rules/*.xml (they are under the GPL and not part of riposte).

use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ossec").canonicalize().expect("tests/ossec is there")
}

fn logtest(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_riposte"))
        .arg("logtest")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that ends with an error may not read any of it.
    _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn failed(from: &str) -> String {
    format!("Nov 21 10:00:00 host sshd[12]: Failed password for bob from {from} port 4711 ssh2\n")
}

#[test]
fn each_line_has_its_answer() {
    let rules = folder();
    let config = rules.join("etc/ossec.conf");
    let input = [failed("203.0.113.9").repeat(4), "nothing\n".into(), failed("192.0.2.7").repeat(4)].concat();
    let output = logtest(&["--rules", rules.to_str().unwrap(), "--config", config.to_str().unwrap(), "--json"], &input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = lines(&output);
    let fields = json!({"dstuser": "bob", "srcip": "203.0.113.9", "srcport": "4711"});
    assert_eq!(
        answers[0],
        json!({"line": 1, "program": "sshd", "decoder": "sshd", "fields": fields, "rule": 100_716, "level": 5, "description": "A login failed.",
            "source": "203.0.113.9", "would": null})
    );
    assert_eq!((&answers[3]["rule"], &answers[3]["level"]), (&json!(100_720), &json!(10)));
    let why = "rule 100720 has level 10, firewall-drop asks for 6";
    assert_eq!(answers[3]["would"], json!({"action": "firewall-drop", "seconds": 600, "why": why}));
    let nothing = json!({"line": 5, "program": null, "decoder": null, "fields": {}, "rule": null, "level": null, "description": null,
        "source": null, "would": null});
    assert_eq!(answers[4], nothing);
    assert_eq!((&answers[8]["rule"], &answers[8]["would"]), (&json!(100_720), &Value::Null), "nobody responds to the allowed");
}

#[test]
fn people_read_phases() {
    let config = folder().join("etc/ossec.conf");
    let output = logtest(&["--config", config.to_str().unwrap()], &failed("203.0.113.9").repeat(4));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "**Phase 1: Completed pre-decoding.",
        "program_name: 'sshd'",
        "decoder: 'sshd'",
        "srcip: '203.0.113.9'",
        "Rule id: '100720'",
        "Level: '10'",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("firewall-drop for 600 s: rule 100720"), "{text}");
}

#[test]
fn a_suite_says_who_agrees() {
    let rules = folder();
    let suite = rules.join("own.ini");
    let (rules, suite) = (rules.to_str().unwrap(), suite.to_str().unwrap());
    let output = logtest(&["--rules", rules, "--suite", suite, "--json"], "");
    let cases = lines(&output);
    assert_eq!(cases.last(), Some(&json!({"type": "suite", "agree": 8, "total": 8})), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && cases[0]["type"] == "case" && cases[0]["agree"] == true);

    let wrong = tempfile::NamedTempFile::with_suffix(".ini").unwrap();
    let text = std::fs::read_to_string(suite).unwrap().replace("alert = 3", "alert = 4");
    std::fs::write(wrong.path(), text).unwrap();
    let output = logtest(&["--rules", rules, "--suite", wrong.path().to_str().unwrap()], "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && text.contains("DISAGREES [A knock] log 1 pass") && text.contains("7 of 8 agree"), "{text}");
}

#[test]
fn what_is_wrong_has_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my_rules.xml"), "<group name=\"x\">\n<rule id=\"7\" level=\"x\"></rule></group>").unwrap();
    let output = logtest(&["--rules", folder.path().to_str().unwrap()], "");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("my_rules.xml:2: level=\"x\" is no number"), "{text}");
    let says = |name: &str, text: &str, expected: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = logtest(&["--rules", file.to_str().unwrap()], "");
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
    };
    says("x.xml", "words", "x.xml: neither <decoder name=…> nor <group name=…> is in it");
    says("x.conf", "<ossec_config><global></global></ossec_config>", "x.conf names neither decoders nor rules");
    let includes = |file: &str| format!("<ossec_config><rules><include>{file}</include></rules></ossec_config>");
    says("y.conf", &includes("nope.xml"), "y.conf: nope.xml is neither below");
    says("y.conf", &includes("x.xml"), "x.xml:1: no rule is in this file");
}

/// A copy of tests/ossec.
fn copy() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for file in ["etc/decoder.xml", "etc/ossec.conf", "rules/local_rules.xml", "rules/rules_config.xml"] {
        let to = place.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(folder().join(file), to).unwrap();
    }
    place
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn ossec_s_files_are_found_however_they_are_named() {
    let place = copy();
    let at = |name: &str| place.path().join(name).display().to_string();
    let guesses = failed("203.0.113.9").repeat(4);
    let last = |args: &[&str]| {
        let output = logtest(&[args, &["--json"]].concat(), &guesses);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        let answer = lines(&output).pop().unwrap();
        (answer["rule"].as_u64(), answer["would"]["seconds"].as_u64())
    };
    // A home has its own configuration, and that says what is to be done.
    for home in [at(""), at("etc"), at("etc/ossec.conf")] {
        assert_eq!(last(&["--rules", &home]), (Some(100_720), Some(600)), "{home}");
    }
    assert_eq!(last(&["--config", &at("etc/ossec.conf")]), (Some(100_720), Some(600)));
    // Rules alone: what they need is beside them.
    for rules in [at("rules"), at("rules/local_rules.xml")] {
        assert_eq!(last(&["--rules", &rules]), (Some(100_720), None), "{rules}");
    }
    std::fs::remove_file(at("etc/ossec.conf")).unwrap();
    std::fs::rename(at("etc/decoder.xml"), at("decoder.xml")).unwrap();
    assert_eq!(last(&["--rules", &at("")]), (Some(100_720), None), "the shape of OSSEC's source code");
    // Wazuh's.
    std::fs::create_dir_all(at("w/ruleset/decoders")).unwrap();
    std::fs::rename(at("decoder.xml"), at("w/ruleset/decoders/0005-decoders.xml")).unwrap();
    std::fs::rename(at("rules"), at("w/ruleset/rules")).unwrap();
    for home in [at("w"), at("w/ruleset")] {
        assert_eq!(last(&["--rules", &home]), (Some(100_720), None), "{home}");
    }
}

#[test]
fn what_the_configuration_names_must_be_there() {
    let place = copy();
    let (conf, rules) = (place.path().join("etc/ossec.conf"), place.path().join("rules"));
    let text = std::fs::read_to_string(&conf).unwrap();
    let with = |from: &str, to: &str, args: &[&str]| {
        std::fs::write(&conf, text.replace(from, to)).unwrap();
        let output = logtest(&[&["--config", conf.to_str().unwrap()], args].concat(), &failed("203.0.113.9"));
        (output.status.success(), said(&output))
    };
    let (fine, told) = with("local_rules.xml", "lokal_rules.xml", &[]);
    assert!(!fine && told.contains("lokal_rules.xml is neither below") && told.contains("ossec.conf"), "{told}");
    let (fine, told) = with("<include>local_rules", "<decoder>etc/nope.xml</decoder><include>local_rules", &[]);
    assert!(!fine && told.contains("etc/nope.xml is neither below"), "{told}");
    let (fine, told) = with("<include>local_rules", "<list>lists/people</list><include>local_rules", &[]);
    assert!(fine && told.contains("the list lists/people is not below"), "{told}");
    let (fine, told) = with("<include>local_rules.xml</include>", "", &["--rules", rules.to_str().unwrap()]);
    assert!(fine && told.contains("names 1 rule files; 1 more are not read"), "{told}");
    // A configuration that nobody named: the rest is in force, and what is missing is said.
    std::fs::write(&conf, text.replace("rules_config.xml</include>", "rules_config.xml</include><include>nope.xml</include>")).unwrap();
    let output = logtest(&["--rules", place.path().to_str().unwrap(), "--json"], &failed("203.0.113.9"));
    assert!(output.status.success() && said(&output).contains("nope.xml is neither below") && lines(&output)[0]["rule"] == 100_716);
}

#[test]
fn a_folder_that_cannot_be_read_is_no_empty_one() {
    let place = copy();
    std::fs::remove_dir_all(place.path().join("rules")).unwrap();
    // Root may read everything: a link to itself is what nobody can read.
    std::os::unix::fs::symlink("rules", place.path().join("rules")).unwrap();
    let output = logtest(&["--rules", place.path().to_str().unwrap()], "");
    assert!(!output.status.success() && said(&output).contains("/rules: Too many levels of symbolic links"), "{}", said(&output));
}

#[test]
fn rules_that_ossec_leaves_out_are_read_and_rest() {
    let place = copy();
    std::fs::remove_file(place.path().join("etc/ossec.conf")).unwrap();
    let policy = place.path().join("rules/policy_rules.xml");
    let rule = "<group name=\"policy,\"><rule id=\"100900\" level=\"9\"><if_group>authentication_failed</if_group><description>No.</description></rule></group>";
    std::fs::write(&policy, rule).unwrap();
    let (home, policy_name) = (place.path().to_str().unwrap(), policy.to_str().unwrap());
    let output = logtest(&["--rules", home, "--json"], &failed("203.0.113.9"));
    assert!(said(&output).contains("policy_rules.xml: its rules are at rest") && lines(&output)[0]["rule"] == 100_716, "{}", said(&output));
    let output = logtest(&["--rules", home, "--rules", policy_name, "--json"], &failed("203.0.113.9"));
    assert!(!said(&output).contains("at rest") && lines(&output)[0]["rule"] == 100_900, "{}", said(&output));
    std::fs::write(&policy, rule.replace("if_group", "if_grup")).unwrap();
    let output = logtest(&["--rules", home], "");
    assert!(!output.status.success() && said(&output).contains("policy_rules.xml:1: rule 100900: no such element: <if_grup>"));
}

/// OSSEC's own decoders and rules: lines of real services with what they are known to come to.
#[test]
fn stock_rules_know_well_known_lines() {
    let Ok(rules) = std::env::var("RIPOSTE_OSSEC") else {
        return eprintln!("SKIPPED: RIPOSTE_OSSEC names no folder with OSSEC's decoder.xml and rules/*.xml");
    };
    let suite = folder().join("stock.ini");
    let output = logtest(&["--rules", &rules, "--suite", suite.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn fail2ban_s_jails_and_filters_are_tried_on_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("filter.d")).expect("another");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("filter.d/shop.conf", "[Definition]\nfailregex = ^ shop: bad <F-USER>\\w+</F-USER> from <HOST>$\n");
    write(
        "jail.conf",
        "[shop]\nenabled = true\nfilter = shop\nmaxretry = 2\nlogpath = /var/log/shop\naction = nftables\n[off]\nfilter = shop\n",
    );
    let dir = folder.path().to_str().expect("a name");
    // The jail's lines are of another place, and of another year.
    let input =
        format!("2020-01-16 21:05:29 shop: bad x from 192.0.2.1\n2020-01-16 21:05:30 shop: bad x from 192.0.2.1\n{}", failed("192.0.2.7"));
    let answers = lines(&logtest(&["--rules", dir, "--json"], &input));
    let told = |answer: &Value| (answer["rule"].clone(), answer["source"].clone(), answer["would"]["action"].clone());
    assert_eq!(told(&answers[0]), (json!("shop"), json!("192.0.2.1"), Value::Null));
    assert_eq!(told(&answers[1]), (json!("shop"), json!("192.0.2.1"), json!("block")));
    assert_eq!(answers[2]["rule"], Value::Null, "riposte's own rules are not asked");
    for by in [["--rules", dir], ["--config-dir", dir]] {
        let answers = lines(&logtest(&["--filter", "shop", by[0], by[1], "--json"], &input));
        assert_eq!(told(&answers[0]), (json!("shop"), json!("192.0.2.1"), json!("block")), "{by:?}");
    }
    let refused = |args: &[&str]| String::from_utf8_lossy(&logtest(args, "").stderr).into_owned();
    assert!(refused(&["--filter", "shpo", "--rules", dir]).contains("did you mean 'shop'?"));
    assert!(refused(&["--rules", &format!("{dir}/jail.conf")]).contains("name the folder"));
    assert!(refused(&["--filter", "shop", "--rules", folder_of_ossec()]).contains("only be the folder that has filter.d"));
}

fn folder_of_ossec() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/ossec")
}
