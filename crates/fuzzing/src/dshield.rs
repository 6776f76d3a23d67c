//! What DShield answers about an address or about ports. The promises: whatever it says, no control character of it reaches a terminal, a line of JSON
//! is one line; no more ports than were asked for, each once and none of them 0; and what is proposed for riposte.toml is taken as it stands.

use crate::choice;
use exchange::isc::{about, top_ports};
use riposte::commands::feeds::{say_about, say_ports};
use riposte::config::Config;
use std::collections::BTreeSet;
use sys::diag::Listener;

/// The first byte chooses what was asked.
pub fn run(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let answer = String::from_utf8_lossy(rest);
    if which % 2 == 0 {
        let known = about(&answer);
        assert_eq!(about(&answer), known);
        let Ok(known) = known else { return };
        assert!(known.lists.len() <= 50);
        shown(|json, out| say_about(&known, json, out));
    } else {
        let top = top_ports(&answer);
        assert_eq!(top_ports(&answer), top);
        let Ok(top) = top else { return };
        let ports: BTreeSet<u16> = top.iter().map(|top| top.port).collect();
        assert!((1..=100).contains(&top.len()) && ports.len() == top.len() && !ports.contains(&0), "{top:?}");
        assert!(top.windows(2).all(|pair| pair[0].rank <= pair[1].rank), "{top:?}");
        // Every third of them is open here.
        let open = top.iter().step_by(3).map(|top| Listener { protocol: 6, addr: [0; 4].into(), port: top.port });
        let open: Vec<Listener> = open.collect();
        let [text, _] = shown(|json, out| say_ports(&top, &open, json, out));
        if let Some((_, guard)) = text.split_once("[guard]") {
            assert!(Config::parse(&format!("[guard]{guard}"), "x").is_ok(), "{guard}");
        }
    }
}

/// The text, and the JSON of it.
fn shown(say: impl Fn(bool, &mut Vec<u8>) -> Result<(), Vec<String>>) -> [String; 2] {
    let [text, json] = [false, true].map(|json| {
        let mut out = Vec::new();
        say(json, &mut out).expect("memory takes it");
        String::from_utf8(out).expect("text")
    });
    assert!(text.len() <= 100_000 && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{text:?}");
    assert!(json.lines().count() == 1 && !json.trim_end().chars().any(char::is_control), "{json:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok_and(|value| value.is_object()), "{json:?}");
    [text, json]
}
