//! The log prefixes that fwsnort gives its rules: `[4] REJ SID1394 ESTAB `. Never takes part of a word for a number.

/// What a prefix says of the fwsnort rule that logged the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fwsnort {
    /// The Snort rule that it was made from.
    pub sid: u32,
    /// The rule's number in its chain.
    pub rule: Option<u32>,
    /// Whether it stands in the chain for established connections.
    pub established: bool,
}

/// Reads a log prefix; `None` if it is none of fwsnort's.
#[inline]
pub fn fwsnort(prefix: &[u8]) -> Option<Fwsnort> {
    // Most prefixes have no such letter at all: that is settled first.
    let first = prefix.iter().position(|byte| *byte == b'S')?;
    let at = first + prefix.get(first..)?.windows(3).position(|three| three == b"SID")?;
    let alone = at == 0 || prefix.get(at - 1).is_some_and(|byte| !byte.is_ascii_alphanumeric());
    let (sid, rest) = digits(prefix.get(at + 3..).filter(|_| alone)?)?;
    if rest.first().is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let rule = prefix.iter().position(|byte| *byte == b'[').and_then(|open| {
        let (rule, rest) = digits(prefix.get(open + 1..)?)?;
        (rest.first() == Some(&b']')).then_some(rule)
    });
    let established = rest.split(|byte| !byte.is_ascii_alphanumeric()).any(|word| word == b"ESTAB");
    Some(Fwsnort { sid, rule, established })
}

fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(length)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_fwsnorts() {
        for (prefix, wanted) in [
            ("SID1394", Some((1394, None, false))),
            ("[4] SID1394 ESTAB", Some((1394, Some(4), true))),
            ("[12] REJ SID2003 ", Some((2003, Some(12), false))),
            ("DRP SID621_ESTAB", Some((621, None, true))),
            ("SID", None),
            ("RESID12", None),
            ("SID12x", None),
            ("SID99999999999", None),
            ("DROP", None),
            ("[UFW BLOCK]", None),
            ("", None),
        ] {
            let found = fwsnort(prefix.as_bytes()).map(|found| (found.sid, found.rule, found.established));
            assert_eq!(found, wanted, "{prefix}");
        }
    }
}
