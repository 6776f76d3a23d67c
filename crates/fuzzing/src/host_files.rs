//! What the host itself says of its resolvers, time servers and administrators. The promises: addresses are canonical, names hold nothing but
//! what names may hold, and there are no more of them than the text has words.

use crate::choice;
use riposte::host::{admins, resolvers, time_servers};

/// The first byte says which file the rest is.
pub fn run(bytes: &[u8]) {
    let (file, content) = choice(bytes);
    if file == b'U' {
        let addresses = admins::from_utmp(content);
        assert!(addresses.len() <= content.len() / 384);
        assert!(addresses.iter().all(|addr| !addr.is_unspecified() && *addr == addr.to_canonical()));
        return;
    }
    let text = String::from_utf8_lossy(content);
    let resolvers = resolvers::parse(&text);
    assert!(resolvers.len() <= text.lines().count() && resolvers.iter().all(|addr| *addr == addr.to_canonical()));
    let servers = time_servers::parse(&text);
    assert!(servers.len() <= text.split_whitespace().count() + 1);
    for server in servers {
        assert!(
            (1..=253).contains(&server.len()) && server.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b)),
            "{server:?}"
        );
    }
    assert!(admins::from_session(&text).is_none_or(|addr| addr == addr.to_canonical()));
}
