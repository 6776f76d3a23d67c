//! Tests of the TCP header.

use super::{Bits, Draft, Field, Keyword, Test};
use model::event::TcpFlags;

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    Keyword { name: "flags", read: flags },
    Keyword { name: "flow", read: flow },
    Keyword { name: "seq", read: |value, draft| draft.number(value, Field::Sequence) },
    Keyword { name: "ack", read: |value, draft| draft.number(value, Field::Acknowledgment) },
    Keyword { name: "window", read: |value, draft| draft.number(value, Field::Window) },
];

/// Snort's letters; `1` and `2` are its older names for CWR and ECE, `0` is no flag at all, and so is psad's `N`.
fn letter(letter: char) -> Option<u8> {
    Some(match letter {
        'F' => TcpFlags::FIN,
        'S' => TcpFlags::SYN,
        'R' => TcpFlags::RST,
        'P' => TcpFlags::PSH,
        'A' => TcpFlags::ACK,
        'U' => TcpFlags::URG,
        'E' | '2' => TcpFlags::ECE,
        'C' | '1' => TcpFlags::CWR,
        '0' | 'N' => 0,
        _ => return None,
    })
}

fn flags(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    // Older rules write the mask behind a blank.
    let value = value.replace(" ,", ",");
    draft.tests.push(Test::Flags(Bits::read(&value, letter, "F S R P A U C E 0")?));
    Ok(())
}

/// Of a flow, one packet tells whether it belongs to one: it acknowledges something. Which end it comes from, and the rest, needs streams.
fn flow(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    for word in value.split(',').map(str::trim) {
        match word {
            "established" => draft.tests.push(Test::Flags(Bits::read("A+", letter, "A")?)),
            "not_established" => draft.tests.push(Test::Flags(Bits::read("!A", letter, "A")?)),
            "stateless" | "no_stream" => {}
            "to_server" | "to_client" | "from_server" | "from_client" | "only_stream" | "no_frag" | "only_frag" => {
                draft.rests = draft.rests.or(Some("flow"));
            }
            other => {
                let known = ["established", "not_established", "stateless", "to_server", "to_client", "from_server", "from_client"];
                return Err(format!("'{other}' is none of what a flow can be{}", crate::did_you_mean(other, known)));
            }
        }
    }
    Ok(())
}
