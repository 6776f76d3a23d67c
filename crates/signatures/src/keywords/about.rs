//! What a rule says of itself: its name, its number, how grave it is. Tests nothing.

use super::{Draft, Keyword};
use crate::level::{Level, of_class};
use crate::numbers::number;

/// Bytes of a message, and of a reference. The rest is cut.
const MESSAGE_BYTES: usize = 200;
/// References, and numbers of derived rules, that are kept.
const KEPT: usize = 32;

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    Keyword { name: "msg", read: message },
    Keyword { name: "sid", read: |value, draft| whole(value).map(|sid| draft.sid = Some(sid)) },
    Keyword { name: "psad_id", read: |value, draft| whole(value).map(|id| draft.psad_id = Some(id)) },
    Keyword { name: "psad_dl", read: |value, draft| Level::read(value).map(|level| draft.level = Some(level)) },
    Keyword { name: "psad_derived_sids", read: derived },
    Keyword { name: "priority", read: |value, draft| whole(value).map(|priority| draft.priority = Some(priority)) },
    Keyword { name: "classtype", read: class },
    Keyword { name: "reference", read: reference },
    Keyword { name: "rev", read: |value, _| whole(value).map(drop) },
    Keyword { name: "gid", read: |value, _| whole(value).map(drop) },
    Keyword { name: "metadata", read: |_, _| Ok(()) },
    Keyword { name: "target", read: |_, _| Ok(()) },
    Keyword { name: "fwsnort_dsize", read: |_, _| Ok(()) },
    // What becomes of the packet besides: riposte's own business.
    Keyword { name: "logto", read: |_, _| Ok(()) },
    Keyword { name: "session", read: |_, _| Ok(()) },
    Keyword { name: "tag", read: |_, _| Ok(()) },
    Keyword { name: "resp", read: |_, _| Ok(()) },
    Keyword { name: "react", read: |_, _| Ok(()) },
];

fn whole(value: &str) -> Result<u32, String> {
    number(value).ok_or_else(|| format!("'{value}' is no number"))
}

/// The text within quotes, its escapes undone.
fn unquoted(value: &str) -> String {
    let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut text = String::with_capacity(inside.len());
    let mut escaped = false;
    for c in inside.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            text.push(if c.is_control() { ' ' } else { c });
        }
    }
    text
}

fn cut(mut text: String) -> Box<str> {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
    text.into()
}

fn message(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    let text = unquoted(value);
    if text.trim().is_empty() {
        return Err("a text is wanted".to_owned());
    }
    draft.message = Some(cut(text));
    Ok(())
}

fn derived(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    for entry in value.split(',').take(KEPT) {
        draft.derived.push(whole(entry)?);
    }
    Ok(())
}

/// A class that nobody has told us of says nothing of its priority.
fn class(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    let priority = draft.around.classes.get(value).copied().or_else(|| of_class(value));
    draft.priority = draft.priority.or(priority);
    draft.class = Some(cut(value.to_owned()));
    Ok(())
}

fn reference(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    if draft.references.len() < KEPT {
        draft.references.push(cut(unquoted(value)));
    }
    Ok(())
}
