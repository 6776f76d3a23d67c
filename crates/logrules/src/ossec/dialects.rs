//! OSSEC's three kinds of patterns, put into the one that `Pattern` understands: PCRE2, os_regex, sregex. All of them without regard to case
//! but Wazuh's PCRE2.

use crate::pattern::{Flavour, Pattern};

/// Which kind a pattern is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Pcre2,
    /// Wazuh's `type="pcre2"`: case counts.
    CasedPcre2,
    /// `\w \d \s \p \S \.` with `+` and `*`, groups, `^ $ |`.
    OsRegex,
    /// Literal texts with `^ $ |`.
    Sregex,
}

/// Compiles it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn compile(text: &str, dialect: Dialect) -> Result<Pattern, String> {
    let text = match dialect {
        Dialect::Pcre2 => pcre2(text),
        Dialect::CasedPcre2 => format!("(?-i){}", pcre2(text)),
        Dialect::OsRegex => os_regex(text)?,
        Dialect::Sregex => sregex(text),
    };
    Pattern::new(&text, Flavour { case_insensitive: true, multi_line: false })
}

/// PCRE2 and the `regex` crate differ in little: `\<` and `\>` are the characters, a `{` that counts nothing is itself,
/// and in a class `[`, `&&`, `--` and `~~` mean nothing special.
fn pcre2(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    // Some(true): right at the beginning of a class.
    let mut class: Option<bool> = None;
    let mut last = '\0';
    while let Some(c) = chars.next() {
        let beginning = class == Some(true);
        if class.is_some() && !(beginning && c == '^' && last == '[') {
            class = Some(false);
        }
        match c {
            '\\' => match chars.next() {
                Some(same @ ('<' | '>')) => out.push(same),
                Some('Z') if class.is_none() => out.push_str("\\z"),
                Some('h') => out.push_str(if class.is_none() { "[ \\t]" } else { " \\t" }),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if class.is_none() => {
                class = Some(true);
                out.push('[');
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' if class.is_some() && !beginning => {
                class = None;
                out.push(']');
            }
            ']' if class.is_some() => out.push_str("\\]"),
            '&' | '-' | '~' if class.is_some() && last == c => out.extend(['\\', c]),
            '{' if class.is_none() && !counts(chars.clone()) => out.push_str("\\{"),
            c => out.push(c),
        }
        last = if c == '\\' { '\0' } else { c };
    }
    out
}

/// Whether `3}`, `3,}` or `3,5}` follows.
fn counts(rest: impl Iterator<Item = char>) -> bool {
    let inside: String = rest.take(12).take_while(|&c| c != '}').collect();
    let mut parts = inside.splitn(2, ',');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let first = parts.next().unwrap_or_default();
    !first.is_empty() && digits(first) && parts.next().is_none_or(digits) && inside.len() < 12
}

/// `+` and `*` count only behind a backslashed character, and take as little as they can except at the end of a branch.
fn os_regex(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() * 4);
    let mut chars = text.chars().peekable();
    let mut repeatable = false;
    while let Some(c) = chars.next() {
        let may_repeat = std::mem::take(&mut repeatable);
        match c {
            '\\' => {
                repeatable = true;
                out.push_str(match chars.next() {
                    Some('w') => "[A-Za-z0-9@_-]",
                    Some('W') => "[^A-Za-z0-9@_-]",
                    Some('d') => "[0-9]",
                    Some('D') => "[^0-9]",
                    Some('s') => "[ ]",
                    Some('S') => "[^ ]",
                    Some('p') => "[()*+,.:;<=>?\\[\\]!\"'#%&$|{}\\-]",
                    Some('.') => "(?s:.)",
                    Some('t') => "\\t",
                    Some('$') => "\\$",
                    Some('(') => "\\(",
                    Some(')') => "\\)",
                    Some('[') => "\\[",
                    Some(']') => "\\]",
                    Some('{') => "\\{",
                    Some('}') => "\\}",
                    Some('|') => "\\|",
                    Some('\\') => "\\\\",
                    Some('<') => "<",
                    other => return Err(format!("os_regex knows no \\{}", other.map_or(String::new(), String::from))),
                });
            }
            '+' | '*' if may_repeat => {
                out.push(c);
                let mut behind = chars.clone().skip_while(|&c| c == ')');
                if !matches!(behind.next(), None | Some('|' | '$')) {
                    out.push('?');
                }
            }
            '.' | '[' | ']' | '{' | '}' | '+' | '?' | '*' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn sregex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !matches!(c, '^' | '$' | '|') && c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Spans;

    fn matches(text: &str, dialect: Dialect, line: &str) -> bool {
        compile(text, dialect).unwrap().is_match(line.as_bytes(), 0).unwrap()
    }

    fn groups(text: &str, line: &str) -> Vec<String> {
        let (pattern, mut spans) = (compile(text, Dialect::OsRegex).unwrap(), Spans::default());
        assert!(pattern.captures(line.as_bytes(), 0, &mut spans).unwrap(), "{text} on {line}");
        (1..9).filter_map(|n| spans.text(line.as_bytes(), n)).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    #[test]
    fn pcre2_means_what_it_means_to_pcre2() {
        for (text, line, expected) in [
            ("^user=\\<(\\S+)\\>,", "USER=<x>, y", true),
            ("[()*+,.:;\\<=>?\\[\\]!\"'#%&$|{}-]x", "<x", true),
            ("[a[b]c", "[c", true),
            ("[a&&b]+$", "&&", true),
            ("[]x]y", "]y", true),
            ("[^]x]y", "]y", false),
            ("^{\"a\": \\d{2}}", "{\"a\": 12}", true),
            ("[[:digit:]]{2,}z", "12z", true),
            ("(?:\\D|\\Z)", "", true),
            ("a\\hb", "a\tb", true),
            ("", "anything", true),
        ] {
            assert_eq!(matches(text, Dialect::Pcre2, line), expected, "{text} on {line}");
        }
        for (text, line, expected) in [
            ("Deny|Drop", "deny drop", false),
            ("Deny|Drop", "x Drop", true),
            ("(?i)deny", "DENY", true),
            ("(?<!no )Deny", "no Deny, Deny", true),
            ("(?<!no )Deny", "no Deny, deny", false),
        ] {
            assert_eq!(matches(text, Dialect::CasedPcre2, line), expected, "{text} on {line}");
        }
    }

    #[test]
    fn os_regex_groups() {
        assert_eq!(groups("user (\\S+) from (\\S+)$", "for user bob from 192.0.2.1"), ["bob", "192.0.2.1"]);
        assert_eq!(groups("^(\\.+) end", "one two end end"), ["one two"], "as little as it can");
        assert_eq!(groups("= (\\.+)", "x = one two"), ["one two"], "all at the end of a branch");
        assert_eq!(groups("\\[(\\d+)\\]", "a[12]"), ["12"]);
        assert!(matches("a.b+", Dialect::OsRegex, "xA.B+"));
        assert!(!matches("a.b", Dialect::OsRegex, "axb"));
        assert!(matches("^\\w+\\s\\p\\w+$|^x\\t", Dialect::OsRegex, "a-b@ .c"));
        assert!(compile("\\q", Dialect::OsRegex).is_err());
    }

    #[test]
    fn sregex_is_literal_but_for_three() {
        for (text, line, expected) in [
            ("fail(ed)|^start|end.$", "x FAIL(ED) y", true),
            ("fail(ed)|^start|end.$", "failed", false),
            ("^start|end.$", "starting", true),
            ("^start|end.$", "at the end.", true),
            ("^start|end.$", "at the end!", false),
            ("C:\\x", "c:\\X", true),
        ] {
            assert_eq!(matches(text, Dialect::Sregex, line), expected, "{text} on {line}");
        }
    }
}
