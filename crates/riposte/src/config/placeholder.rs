//! Placeholders in the arguments of a response or of an alert's program: `{address}` and its like. A value takes the place within its argument and never makes another one.

use super::words::{Word, did_you_mean};

/// What can stand between braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `add` or `delete`.
    Action,
    /// Against whom.
    Address,
    /// The guarded port that was touched.
    Port,
    /// Its protocol: `tcp` or `udp`.
    Protocol,
    /// `connect` for a whole connection, `stealth` for a lone packet.
    Mode,
    /// The number of the log rule.
    Rule,
    /// The danger level, 1 to 5.
    Level,
    /// When the block ends, in seconds since 1970.
    Until,
    /// What an alert is about: `level`, `block` and so on.
    Kind,
}

impl Word for Placeholder {
    const ALL: &'static [Self] = &[
        Placeholder::Action,
        Placeholder::Address,
        Placeholder::Port,
        Placeholder::Protocol,
        Placeholder::Mode,
        Placeholder::Rule,
        Placeholder::Level,
        Placeholder::Until,
        Placeholder::Kind,
    ];
    fn word(self) -> &'static str {
        match self {
            Placeholder::Action => "action",
            Placeholder::Address => "address",
            Placeholder::Port => "port",
            Placeholder::Protocol => "protocol",
            Placeholder::Mode => "mode",
            Placeholder::Rule => "rule",
            Placeholder::Level => "level",
            Placeholder::Until => "until",
            Placeholder::Kind => "kind",
        }
    }
}

impl Placeholder {
    /// Those of a response.
    pub const OF_RESPONSES: [Placeholder; 8] = [
        Placeholder::Action,
        Placeholder::Address,
        Placeholder::Port,
        Placeholder::Protocol,
        Placeholder::Mode,
        Placeholder::Rule,
        Placeholder::Level,
        Placeholder::Until,
    ];
    /// Those of an alert's program.
    pub const OF_ALERTS: [Placeholder; 3] = [Placeholder::Address, Placeholder::Level, Placeholder::Kind];

    /// Looks whether every brace opens or closes one of these placeholders, or is doubled; whether there is any.
    ///
    /// # Errors
    /// What is wrong, with the nearest right placeholder.
    pub fn check(argument: &str, known: &[Placeholder]) -> Result<bool, String> {
        let mut any = false;
        walk(argument, known, &mut |piece| any |= matches!(piece, Piece::Value(_)))?;
        Ok(any)
    }

    /// The argument with values in the place of its placeholders; `{{` and `}}` are braces. What [`check`](Self::check) refuses stays as it is.
    pub fn fill(argument: &str, mut value: impl FnMut(Placeholder) -> String) -> String {
        let mut filled = String::new();
        let done = walk(argument, Placeholder::ALL, &mut |piece| match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Value(placeholder) => filled.push_str(&value(placeholder)),
        });
        if done.is_ok() { filled } else { argument.to_owned() }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Value(Placeholder),
}

fn walk(mut rest: &str, known: &[Placeholder], take: &mut impl FnMut(Piece<'_>)) -> Result<(), String> {
    const LONE: &str = "has a brace that is none of a placeholder's: write it twice if it is meant";
    while let Some(at) = rest.find(['{', '}']) {
        let (text, braces) = rest.split_at(at);
        take(Piece::Text(text));
        if let Some(behind) = braces.strip_prefix("{{").or_else(|| braces.strip_prefix("}}")) {
            take(Piece::Text(&braces[..1]));
            rest = behind;
            continue;
        }
        let (name, behind) = braces.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(LONE)?;
        let placeholder = known.iter().find(|known| known.word() == name).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|known| known.word()).collect();
            let all: Vec<String> = words.iter().map(|word| format!("{{{word}}}")).collect();
            let near = did_you_mean(name, words).replace(" '", " '{").replace("'?", "}'?");
            format!("has a placeholder that there is not ({}){near}", all.join(", "))
        })?;
        take(Piece::Value(*placeholder));
        rest = behind;
    }
    take(Piece::Text(rest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_their_place_and_nothing_else_changes() {
        let filled = |text: &str| Placeholder::fill(text, |placeholder| format!("<{}>", placeholder.word()));
        for (text, expected) in [
            ("{address}", "<address>"),
            ("--drop={address}/{port}", "--drop=<address>/<port>"),
            ("s{protocol}{mode}", "s<protocol><mode>"),
            ("{{address}}", "{address}"),
            ("$(id); `x` | y > z 'a b'", "$(id); `x` | y > z 'a b'"),
            ("", ""),
            ("é{level}é", "é<level>é"),
        ] {
            assert_eq!(Placeholder::check(text, Placeholder::ALL), Ok(text.replace("{{", "").contains('{')), "{text}");
            assert_eq!(filled(text), expected);
        }
    }

    #[test]
    fn the_nearest_right_placeholder_is_named() {
        let wrong = |text: &str| Placeholder::check(text, &Placeholder::OF_RESPONSES).unwrap_err();
        assert!(wrong("{adress}").ends_with("did you mean '{address}'?"), "{}", wrong("{adress}"));
        assert!(wrong("x {prot}").ends_with("did you mean '{protocol}'?") || wrong("x {prot}").ends_with("did you mean '{port}'?"));
        for text in ["{", "}", "{address", "address}", "{a}}", "a{b{address}"] {
            assert!(Placeholder::check(text, Placeholder::ALL).is_err(), "{text}");
        }
    }
}
