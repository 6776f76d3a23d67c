//! What can be chosen about responders that have something to choose: the keys of `[respond.NAME]`. Knows values, never files.

use crate::{chain, hosts_deny, ipfw, ipset, pf, routes, xdp};
use std::ops::RangeInclusive;

/// One field for each kind that has something to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Of ipset.
    pub ipset: ipset::Settings,
    /// Of iptables.
    pub iptables: chain::Settings,
    /// Of ebtables.
    pub ebtables: chain::Settings,
    /// Of routes.
    pub routes: routes::Settings,
    /// Of hosts-deny.
    pub hosts_deny: hosts_deny::Settings,
    /// Of xdp.
    pub xdp: xdp::Settings,
    /// Of pf.
    pub pf: pf::Settings,
    /// Of ipfw.
    pub ipfw: ipfw::Settings,
}

/// A value as a configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

/// One key of a kind's section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is in force. That of `Settings::default()` also says which variant `set` is given, and no other.
    pub get: fn(&Settings) -> Value,
    /// Puts what was typed in force. The error says why that can't be, to stand behind the key's name.
    pub set: fn(&mut Settings, Value) -> Result<(), String>,
}

/// The word for what was chosen.
pub(crate) fn word<T: PartialEq>(words: &[(&str, T)], chosen: T) -> Value {
    Value::Text(words.iter().find(|(_, choice)| *choice == chosen).map_or_else(String::new, |(word, _)| (*word).to_owned()))
}

/// What a word stands for; the error names all of them.
pub(crate) fn choice<T: Copy>(words: &[(&str, T)], value: &Value) -> Result<T, String> {
    let typed = if let Value::Text(typed) = value { typed.as_str() } else { "" };
    let found = words.iter().find(|(word, _)| *word == typed).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("'{}' is none of {}", typed.escape_debug(), all.join(", "))
    })
}

/// A number within these bounds.
pub(crate) fn in_range<T: Copy + TryFrom<i64> + PartialOrd + std::fmt::Display>(
    value: &Value,
    bounds: RangeInclusive<T>,
) -> Result<T, String> {
    let typed = if let Value::Number(typed) = value { *typed } else { -1 };
    T::try_from(typed)
        .ok()
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| format!("{typed} is not from {} to {}", bounds.start(), bounds.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn keys_take_what_they_give_and_say_what_they_want() {
        for kind in crate::RESPONDERS {
            for key in kind.keys {
                let mut settings = Settings::default();
                let default = (key.get)(&settings);
                assert_eq!((key.set)(&mut settings, default.clone()), Ok(()), "{} {}", kind.name, key.name);
                assert_eq!((key.get)(&settings), default);
            }
        }
        let refused = |kind: &str, name: &str, value: Value| {
            let key = Kind::of(kind).unwrap().keys.iter().find(|key| key.name == name).unwrap();
            (key.set)(&mut Settings::default(), value).unwrap_err()
        };
        assert_eq!(refused("iptables", "backend", Value::Text("nftables".into())), r#"'nftables' is none of "system", "nft", "legacy""#);
        assert_eq!(refused("ipset", "size", Value::Number(0)), "0 is not from 1 to 500000");
        assert_eq!(refused("routes", "table", Value::Number(1 << 32)), "4294967296 is not from 1 to 4294967295");
        assert!(refused("routes", "table", Value::Number(255)).contains("kernel's own"));
        assert!(refused("routes", "size", Value::Number(i64::MIN)).contains("is not from"));
        assert_eq!(refused("ipfw", "rule", Value::Number(65_535)), "65535 is not from 1 to 65534");
        assert!(refused("pf", "anchor", Value::Text("-s".into())).contains("an anchor's name"));
        assert_eq!(refused("xdp", "mode", Value::Text("driver".into())), r#"'driver' is none of "auto", "native", "generic""#);
        assert_eq!(refused("xdp", "interfaces", Value::Texts(vec!["a b".into()])), "'a b' is no interface's name");
        assert_eq!(refused("hosts-deny", "file", Value::Text("etc/hosts.deny".into())), "'etc/hosts.deny' is no full path");
    }
}
