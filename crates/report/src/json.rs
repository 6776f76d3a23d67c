//! JSON written by hand, fast: what a million lines a second need. Never writes a control character, nor a byte that is
//! not UTF-8.

use std::io::Write as _;
use std::net::IpAddr;

/// Fills `place` with the number's last decimal digits, with zeros in front.
pub fn digits(mut number: u32, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Appends a number.
pub fn number(mut number: u64, out: &mut Vec<u8>) {
    let mut text = [0_u8; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&text[at..]);
        }
    }
}

/// Appends an address, without quotes.
pub fn address(addr: IpAddr, out: &mut Vec<u8>) {
    match addr {
        IpAddr::V4(v4) => {
            for (n, byte) in v4.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push(b'.');
                }
                number(u64::from(byte), out);
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// Appends a text in quotes. Bytes that are not UTF-8 become U+FFFD; control characters, DEL and the C1 controls
/// (which some terminals obey) are escaped.
pub fn text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'"' && *byte != b'\\') {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|c| character(c, out));
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.push(b'"');
}

fn character(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        c if c.is_control() => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = c as usize;
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[code >> 4 & 15], HEX[code & 15]]);
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        text(bytes, &mut out);
        String::from_utf8(out).expect("the writer makes UTF-8")
    }

    #[test]
    fn hostile_bytes_are_escaped() {
        assert_eq!(written(b"\x1b[2J\x00\x7f\xff\xfe\"\\"), r#""\u001b[2J\u0000\u007f��\"\\""#);
        assert_eq!(written("\u{9b}é".as_bytes()), r#""\u009bé""#);
        assert_eq!(written(b"DROP"), "\"DROP\"");
    }

    proptest! {
        #[test]
        fn serde_json_reads_what_was_meant(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let text = written(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn numbers_and_addresses_are_those_of_the_standard_library(n in any::<u64>(), six in any::<u128>(), four in any::<u32>()) {
            let mut out = Vec::new();
            number(n, &mut out);
            for addr in [IpAddr::from(six.to_be_bytes()), IpAddr::from(four.to_be_bytes())] {
                out.push(b' ');
                address(addr, &mut out);
            }
            let meant = format!("{n} {} {}", IpAddr::from(six.to_be_bytes()), IpAddr::from(four.to_be_bytes()));
            prop_assert_eq!(String::from_utf8(out).unwrap(), meant);
        }
    }
}
