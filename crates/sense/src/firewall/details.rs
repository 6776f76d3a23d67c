//! What of a record only a guess at the sender's system needs, read when one is made. Never looks behind the record's own fields.

use super::netfilter::{OPTION_BYTES, hexadecimal_bytes};
use super::text::number;
use crate::guessing::Rest;
use memchr::memmem::find;

/// Reads it from the record's fields. `bytes` is where the options go: `OPT (020405B4)` behind the urgent pointer.
pub(crate) fn read<'b>(fields: &[u8], bytes: &'b mut [u8; OPTION_BYTES]) -> Rest<'b> {
    let behind = |text: &'_ [u8], key: &[u8]| find(text, key).map(|at| at + key.len());
    let flags = behind(fields, b" RES=0x").and_then(|at| fields.get(at..)).unwrap_or_default();
    let (urgent, options) = behind(flags, b" URGP=").and_then(|at| number(flags.get(at..)?)).unzip();
    let options = options.and_then(|rest| {
        let digits = rest.strip_prefix(b" OPT (")?;
        let (read, length) = hexadecimal_bytes(digits.get(..find(digits, b")")?)?)?;
        *bytes = read;
        bytes.get(..length)
    });
    Rest {
        options,
        urgent: urgent.and_then(|urgent| u16::try_from(urgent).ok()),
        flow: behind(fields, b" FLOWLBL=").and_then(|at| number(fields.get(at..)?)).is_some_and(|(label, _)| label != 0),
        reserved: !flags.starts_with(b"00") && !flags.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_behind_the_window_is_read() {
        let mut bytes = [0; OPTION_BYTES];
        let tcp = b" SRC=::1 DST=::2 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=7 PROTO=TCP SPT=1 DPT=2 WINDOW=64800 RES=0x08 SYN URGP=5 OPT (020405B4) MARK=0x1";
        let whole = read(tcp, &mut bytes);
        assert_eq!(whole, Rest { options: Some(&[2, 4, 5, 180]), urgent: Some(5), flow: true, reserved: true });
        let mut bytes = [0; OPTION_BYTES];
        let v4 = b"PROTO=TCP SPT=1 DPT=2 WINDOW=512 RES=0x00 SYN URGP=0";
        assert_eq!(read(v4, &mut bytes), Rest { urgent: Some(0), ..Rest::default() });
        // An IP option before the protocol is none of TCP's.
        assert_eq!(read(b"OPT (94040000) PROTO=TCP RES=0x00 SYN URGP=0 OPT (02", &mut bytes).options, None);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "( RES=0x| URGP=| FLOWLBL=|OPT \\(|\\)|[0-9A-F]{0,90}|0|\\PC){0,20}") {
            let mut bytes = [0; OPTION_BYTES];
            let rest = read(text.as_bytes(), &mut bytes);
            prop_assert!(rest.options.is_none_or(|options| options.len() <= OPTION_BYTES));
        }
    }
}
