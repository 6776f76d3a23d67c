//! The text before a netfilter record: what the administrator's rule says of itself.
//! Never takes a word for another that it is only part of.

use super::text::{Text, has_process_mark};
use crate::facts::Handling;

/// nftables' log prefixes have at most 127 bytes, iptables' 29.
const PREFIX_BYTES: usize = 127;
/// Words that say that the packet was turned away. One of them decides, whatever stands beside it.
const TURNED: [&[u8]; 8] = [b"DROP", b"BLOCK", b"DENY", b"REJECT", b"DROPPED", b"BLOCKED", b"DENIED", b"REJECTED"];
const PASSED: [&[u8]; 6] = [b"ACCEPT", b"ALLOW", b"PASS", b"ACCEPTED", b"ALLOWED", b"PASSED"];
const AUDITED: &[u8] = b"AUDIT";

/// Whether a text before a record in the kernel's own line can be a rule's log prefix.
/// The kernel's lines about USB devices quote the names that the devices give themselves (`usb 1-1: Product: …`).
pub(super) fn can_be(before: &[u8]) -> bool {
    let quotes_a_device = before.strip_prefix(b"usb ").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit);
    before.len() <= PREFIX_BYTES && !quotes_a_device
}

/// Whether a text can be a log prefix where no tag proves who wrote the line: it must not look like a host and a program's tag with more
/// behind it (the journal's monotonic form of another program's line).
pub(super) fn can_be_unsigned(before: &[u8]) -> bool {
    !has_process_mark(before) && memchr::memmem::find(before.trim_ascii_end(), b": ").is_none()
}

/// What the prefix of the last record said: most lines are logged by the same few rules.
#[derive(Debug)]
pub(super) struct Said {
    prefix: Text<PREFIX_BYTES>,
    handling: Handling,
}

impl Default for Said {
    fn default() -> Self {
        Said { prefix: Text::default(), handling: handling_of(b"") }
    }
}

impl Said {
    /// What was done with the packet.
    #[inline]
    pub(super) fn handling(&mut self, prefix: &[u8]) -> Handling {
        if prefix.len() > PREFIX_BYTES {
            return handling_of(prefix);
        }
        if self.prefix.text() != prefix {
            self.prefix.set(prefix);
            self.handling = handling_of(prefix);
        }
        self.handling
    }
}

/// What a log prefix says that was done with the packet: by whole words, and in doubt that it was turned away.
fn handling_of(prefix: &[u8]) -> Handling {
    let mut handling = Handling::Turned;
    for word in prefix.split(|byte| !byte.is_ascii_alphanumeric()) {
        let is = |words: &[&[u8]]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
        if is(&TURNED) {
            return Handling::Turned;
        } else if is(&[AUDITED]) {
            handling = Handling::Audited;
        } else if is(&PASSED) && handling == Handling::Turned {
            handling = Handling::Passed;
        }
    }
    handling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_say_what_was_done() {
        for (prefix, wanted) in [
            ("", Handling::Turned),
            ("IN-world", Handling::Turned),
            ("[UFW BLOCK]", Handling::Turned),
            ("[UFW AUDIT INVALID]", Handling::Audited),
            ("[UFW ALLOW]", Handling::Passed),
            ("net2fw:Accept:", Handling::Passed),
            ("compass bypass", Handling::Turned),
            ("accept then DROP", Handling::Turned),
            ("DROP, not accept", Handling::Turned),
            ("pass audit", Handling::Audited),
        ] {
            let mut said = Said::default();
            assert_eq!(said.handling(prefix.as_bytes()), wanted, "{prefix}");
            assert_eq!(said.handling(prefix.as_bytes()), wanted, "{prefix}, remembered");
            assert_eq!(said.handling(b"x"), Handling::Turned);
        }
    }

    #[test]
    fn a_prefix_too_long_to_remember_is_read_each_time() {
        let mut said = Said::default();
        let (drop, accept) = (format!("{} DROP", "x".repeat(127)), format!("{} ACCEPT", "x".repeat(127)));
        assert_eq!(said.handling(drop.as_bytes()), Handling::Turned);
        assert_eq!(said.handling(accept.as_bytes()), Handling::Passed);
        assert_eq!(said.handling("x".repeat(127).as_bytes()), Handling::Turned);
    }
}
