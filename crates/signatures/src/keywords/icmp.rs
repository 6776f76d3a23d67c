//! Tests of ICMP and ICMPv6.

use super::{Draft, Keyword, Test, exact};

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    Keyword { name: "itype", read: kind },
    Keyword { name: "icode", read: |value, draft| draft.number(value, |header| exact(header.icmp.map(|(_, code)| code))) },
    Keyword { name: "icmp_id", read: |value, draft| draft.number(value, |header| exact(header.echo.map(|(id, _)| id))) },
    Keyword { name: "icmp_seq", read: |value, draft| draft.number(value, |header| exact(header.echo.map(|(_, sequence)| sequence))) },
];

fn kind(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    draft.tests.push(Test::IcmpType(value.parse()?));
    Ok(())
}
