//! Tests of ICMP and ICMPv6.

use super::{Draft, Field, Keyword, Test};

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    Keyword { name: "itype", read: kind },
    Keyword { name: "icode", read: |value, draft| draft.number(value, Field::IcmpCode) },
    Keyword { name: "icmp_id", read: |value, draft| draft.number(value, Field::EchoId) },
    Keyword { name: "icmp_seq", read: |value, draft| draft.number(value, Field::EchoSequence) },
];

fn kind(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    draft.tests.push(Test::IcmpType(value.parse()?));
    Ok(())
}
