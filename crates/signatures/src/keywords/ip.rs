//! Tests of the IP header, and of how much data a packet carries.

use super::{Bits, Draft, Field, Keyword, Test};

/// The keywords.
pub const KEYWORDS: &[Keyword] = &[
    Keyword { name: "ttl", read: |value, draft| value.parse().map(|numbers| draft.tests.push(Test::Ttl(numbers))) },
    Keyword { name: "tos", read: |value, draft| draft.number(value, Field::Service) },
    Keyword { name: "id", read: |value, draft| draft.number(value, Field::IpId) },
    Keyword { name: "psad_ip_len", read: |value, draft| draft.number(value, Field::Length) },
    Keyword { name: "ip_proto", read: ip_proto },
    Keyword { name: "dsize", read: |value, draft| draft.number(value, Field::Payload) },
    Keyword { name: "psad_dsize", read: |value, draft| draft.number(value, Field::Payload) },
    // Riposte's own.
    Keyword {
        name: "riposte_ext_headers",
        read: |value, draft| value.parse().map(|numbers| draft.tests.push(Test::ExtensionHeaders(numbers))),
    },
    Keyword { name: "ipopts", read: ip_options },
    Keyword { name: "fragbits", read: fragment_bits },
    Keyword { name: "sameip", read: same_address },
];

/// A number as any other, or a protocol's name.
fn ip_proto(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    let (sign, name) = value.split_at(value.len() - value.trim_start_matches(['!', '<', '>', '=']).len());
    let numbered = match draft.around.protocol(name.trim()) {
        Some(protocol) => format!("{sign}{}", protocol.0),
        None => value.to_owned(),
    };
    draft.tests.push(Test::Protocol(numbered.parse()?));
    Ok(())
}

fn ip_options(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    let value = value.trim();
    draft.tests.push(if value == "any" { Test::AnyIpOption } else { Test::IpOption(draft.around.ip_options.kind(value)?) });
    Ok(())
}

fn fragment_bits(value: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    let letter = |letter| match letter {
        'M' => Some(1),
        'D' => Some(2),
        'R' => Some(4),
        _ => None,
    };
    draft.tests.push(Test::FragmentBits(Bits::read(value, letter, "M D R")?));
    Ok(())
}

fn same_address(_: &str, draft: &mut Draft<'_>) -> Result<(), String> {
    draft.tests.push(Test::SameAddress);
    Ok(())
}
