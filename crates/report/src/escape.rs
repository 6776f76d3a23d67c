//! Remote text made safe for a terminal. Nothing that it returns has a control character, a character that reverses
//! the writing direction, or one that cannot be seen.

/// Escapes and cuts: at most `max` characters of the text, and `…` where something is missing.
pub fn bytes(remote: &[u8], max: usize) -> String {
    text(&String::from_utf8_lossy(remote), max)
}

/// Likewise for what is UTF-8 already.
pub fn text(remote: &str, max: usize) -> String {
    let mut safe = String::with_capacity(remote.len().min(max * 4));
    let mut chars = remote.chars();
    for c in chars.by_ref().take(max) {
        if is_dangerous(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    if chars.next().is_some() {
        safe.push('…');
    }
    safe
}

/// Likewise, and fit for HTML and XML, in an element or in a quoted attribute.
pub fn html(remote: &str, max: usize) -> String {
    markup(&text(remote, max))
}

/// What is safe for a terminal already, fit for HTML and XML.
pub(crate) fn markup(terminal: &str) -> String {
    let mut safe = String::with_capacity(terminal.len());
    for c in terminal.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML has no place for these two.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Whether a terminal or a reader could be deceived by it.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_escape_sequence_reaches_the_terminal() {
        assert_eq!(bytes(b"\x1b]0;owned\x07", 99), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(bytes(b"a\nb\r\tc\x7f", 99), "a\\u{a}b\\u{d}\\u{9}c\\u{7f}");
        assert_eq!(bytes(b"\xc2\x9b2J\xff", 99), "\\u{9b}2J\u{fffd}");
        assert_eq!(text("abc\u{202e}fed", 99), "abc\\u{202e}fed");
        assert_eq!(text("Grüße, 世界", 99), "Grüße, 世界");
    }

    #[test]
    fn no_markup_reaches_a_page() {
        assert_eq!(html("<script>alert('x\u{7}')</script>", 99), "&lt;script&gt;alert(&#39;x\\u{7}&#39;)&lt;/script&gt;");
        assert_eq!(html("\" onload=\"x&amp;", 99), "&quot; onload=&quot;x&amp;amp;");
        assert_eq!(html("a\u{ffff}<<", 3), "a\u{fffd}&lt;…");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(text("abcdef", 3), "abc…");
        assert_eq!(text("abc", 3), "abc");
        assert_eq!(text("", 0), "");
    }

    proptest! {
        #[test]
        fn pages_get_no_markup_at_all(remote in "\\PC{0,60}|[<>&\"'a;#x0]{0,60}") {
            let safe = html(&remote, 100);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            let back = safe.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
            prop_assert_eq!(back, text(&remote, 100).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"));
        }

        #[test]
        fn what_comes_out_is_harmless_and_short(remote in prop::collection::vec(any::<u8>(), 0..200), max in 0_usize..50) {
            let safe = bytes(&remote, max);
            prop_assert!(!safe.chars().any(is_dangerous));
            prop_assert!(safe.chars().count() <= max * 10 + 1);
        }
    }
}
