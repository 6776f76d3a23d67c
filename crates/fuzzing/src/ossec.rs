//! OSSEC's files, and log lines under OSSEC's rules. The promises: files of any kind load or say on which of their lines something is wrong;
//! a line's log is part of the line; who is accused is whom the decoder names; the same lines come to the same; the daemon sees what logtest sees.

use crate::choice;
use logrules::Rules;
use logrules::line::Line;
use logrules::ossec::{Files, Ossec, read_conf};
use model::time::Time;

const DECODERS: &str = include_str!("../../../tests/ossec/etc/decoder.xml");
const CONFIG: &str = include_str!("../../../tests/ossec/etc/ossec.conf");
const BASE: &str = include_str!("../../../tests/ossec/rules/rules_config.xml");
const RULES: &str = include_str!("../../../tests/ossec/rules/local_rules.xml");

/// The first byte says as what the rest is read: decoders, rules, a configuration, or log lines.
pub fn run(bytes: &[u8]) {
    let (kind, text) = choice(bytes);
    let text_of = || String::from_utf8_lossy(text).into_owned();
    match kind {
        b'D' => load(&text_of(), RULES),
        b'R' => load(DECODERS, &text_of()),
        b'C' => _ = read_conf("ossec.conf", &text_of()).map_err(|problems| assert!(!problems.is_empty())),
        _ => lines(text),
    }
}

fn files(decoders: &str, rules: &str) -> Files {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Files {
        config: Some(file("ossec.conf", CONFIG)),
        decoders: vec![file("decoder.xml", decoders)],
        rules: vec![file("rules_config.xml", BASE), file("local_rules.xml", rules)],
        ..Files::default()
    }
}

fn load(decoders: &str, rules: &str) {
    match Ossec::load(&files(decoders, rules)) {
        Ok((mut ossec, _)) => {
            let line = b"Nov 21 10:00:00 host sshd[12]: Failed password for bob from 203.0.113.9 port 4711 ssh2";
            ossec.read(&Line::new(line, Time::from_secs(1), "stdin"));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let text = if problem.file == "decoder.xml" { decoders } else { rules };
                assert!(problem.line as usize <= text.lines().count().max(1), "{problem}");
            }
        }
    }
}

fn lines(text: &[u8]) {
    let (Ok((mut one, _)), Ok((mut other, _))) = (Ossec::load(&files(DECODERS, RULES)), Ossec::load(&files(DECODERS, RULES))) else {
        panic!("the tests' own rules load");
    };
    let mut findings = Vec::new();
    for (number, text) in (0..).zip(text.split(|&byte| byte == b'\n').take(64)) {
        let line = Line::new(text, Time::from_secs(number), "stdin");
        let reading = one.read(&line);
        let visible: Vec<u8> = text.iter().copied().filter(|byte| *byte == b'\t' || !byte.is_ascii_control()).collect();
        assert!(String::from_utf8_lossy(&visible).contains(reading.log.trim_matches('\u{fffd}')), "{reading:?}");
        let named =
            reading.fields.iter().any(|(name, value)| &**name == "srcip" && value.trim_matches(['[', ']']).parse().ok() == reading.actor);
        assert!(reading.actor.is_none() || named || reading.actor.is_some_and(|actor| actor.is_ipv4()), "{reading:?}");
        findings.clear();
        other.line(&line, &mut findings);
        let alert = reading.met.as_ref().filter(|met| met.alert).map(|met| met.rule.clone());
        assert_eq!(findings.first().map(|finding| finding.rule.clone()), alert);
        assert_eq!(findings.first().and_then(|finding| finding.wish.clone()), reading.wish);
    }
}
