//! What the journal knows of who wrote an entry, and what that is worth. A program may call itself anything (`logger -t sshd`): the journal's
//! own fields, which begin with `_`, say who it really was.

use model::event::Trust;

/// Those who log as root, whatever their name claims.
const ROOTS: [&[u8]; 4] = [b"sshd", b"sshd-session", b"login", b"systemd-logind"];
/// The first user number of people, and the first behind them (systemd's "Users, Groups, UIDs and GIDs": services may get those above).
const PEOPLE: std::ops::Range<u32> = 1_000..60_000;

/// How far an entry can be believed; `None` if it isn't by whom it says.
pub fn trust<'a>(field: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Trust> {
    let by = field("SYSLOG_IDENTIFIER").unwrap_or_default();
    let uid: Option<u32> = field("_UID").and_then(|uid| std::str::from_utf8(uid).ok()?.parse().ok());
    // The kernel's ring holds what programs wrote to /dev/kmsg, too.
    let by_kernel = field("_TRANSPORT").is_some_and(|transport| transport == b"kernel");
    if by_kernel != (by == b"kernel") || ROOTS.contains(&by) && uid != Some(0) {
        return None;
    }
    // Whoever has an account can write such a line about anybody.
    let people = uid.is_none_or(|uid| PEOPLE.contains(&uid)) && !by_kernel;
    Some(if people { Trust::Spoofable } else { Trust::Vouched })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_proves_nothing() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<Trust>);
        let table: [Row<'_>; 9] = [
            (&[("SYSLOG_IDENTIFIER", "sshd"), ("_UID", "0"), ("_TRANSPORT", "syslog")], Some(Trust::Vouched)),
            (&[("SYSLOG_IDENTIFIER", "sshd"), ("_UID", "1000"), ("_TRANSPORT", "syslog")], None),
            (&[("SYSLOG_IDENTIFIER", "sshd-session"), ("_UID", "33")], None),
            (&[("SYSLOG_IDENTIFIER", "sshd")], None),
            (&[("SYSLOG_IDENTIFIER", "sshd"), ("_UID", "0"), ("_TRANSPORT", "kernel")], None),
            (&[("SYSLOG_IDENTIFIER", "kernel"), ("_UID", "0"), ("_TRANSPORT", "syslog")], None),
            (&[("SYSLOG_IDENTIFIER", "kernel"), ("_TRANSPORT", "kernel")], Some(Trust::Vouched)),
            (&[("SYSLOG_IDENTIFIER", "nginx"), ("_UID", "33")], Some(Trust::Vouched)),
            (&[("SYSLOG_IDENTIFIER", "nginx"), ("_UID", "1000")], Some(Trust::Spoofable)),
        ];
        for (fields, expected) in table {
            let field = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes());
            assert_eq!(trust(field), expected, "{fields:?}");
        }
    }
}
