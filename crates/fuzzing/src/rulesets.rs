//! Saved firewall rulesets: nft's text and JSON, iptables-save. The promises: what is kept is bounded, reading twice gives the same, a comment
//! changes nothing, whatever was read can be asked about, and what is no ruleset is told in one line that any terminal can show.

use crate::choice;
use ruleset::advice::{Circumstances, advice};
use ruleset::rules::Ruleset;
use ruleset::survey::{Host, survey};
use ruleset::tools::tools;
use ruleset::{RULE_TEXT, Version, Wrong, iptables_save, json, nft_json, nft_text, read};

/// The first byte says as what the rest is read: recognised by its content, or as one of the three kinds.
pub fn run(bytes: &[u8]) {
    let (kind, text) = choice(bytes);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let as_kind = |text: &str| match kind {
        b'N' => nft_text(text),
        b'J' => nft_json(text),
        b'4' => iptables_save(text, Some(Version::V4)),
        b'6' => iptables_save(text, Some(Version::V6)),
        _ => read(text, None),
    };
    let found = as_kind(text);
    assert_eq!(found, as_kind(text), "reading has no memory");
    match found {
        Ok(rules) => {
            bounded(&rules, text);
            if matches!(kind, b'N' | b'4' | b'6') {
                let commented = as_kind(&format!("{text}\n# a comment\n"));
                assert!(commented.is_err() || commented == Ok(rules.clone()), "a comment changes nothing");
            }
            asked(&rules);
        }
        Err(wrong) => one_line(&wrong, text),
    }
}

fn bounded(rules: &Ruleset, text: &str) {
    // A rule of JSON takes some twenty bytes, one of text a line or a semicolon.
    let ends = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r' | b';' | b'{' | b'}')).count();
    assert!(rules.rules <= ends + 1, "{} rules in {} bytes", rules.rules, text.len());
    let kept: usize = rules.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum();
    assert!(kept <= rules.rules);
    assert!(rules.strange.len() <= text.len());
    for strange in &rules.strange {
        assert!(strange.text.len() <= 2 * RULE_TEXT, "{} bytes of a rule's text", strange.text.len());
    }
}

/// Surveys it as `riposte check --host` does.
fn asked(rules: &Ruleset) {
    let host = Host { interfaces: vec!["eth0".to_owned()], addresses: vec!["192.0.2.1".parse().expect("an address")] };
    for host in [Host::default(), host] {
        let surveys = Version::BOTH.map(|version| survey(rules, version, &host));
        for survey in &surveys {
            for open in &survey.open {
                assert!(open.low <= open.high, "{open:?}");
            }
            assert!(!json::survey(survey).to_string().contains('\n'));
        }
        let circumstances = Circumstances { probes: -10, group: Some(1741), follows_log: true, ..Circumstances::default() };
        advice(rules, &surveys, &circumstances);
    }
    tools(rules);
}

fn one_line(wrong: &Wrong, text: &str) {
    // In JSON, which nft writes into one line, it is the number of a rule.
    let most = text.split('\n').count().max(text.split('{').count());
    assert!(wrong.line as usize <= most, "{wrong:?}");
    let said = wrong.to_string();
    assert!(!said.chars().any(char::is_control), "a control character reaches the terminal: {said:?}");
    assert!(said.len() <= 2_000, "{} bytes to say what is wrong", said.len());
}
