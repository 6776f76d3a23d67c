//! What PortSentry does to whom it has caught (KILL_ROUTE, KILL_HOSTS_DENY, KILL_RUN_CMD), in riposte's words. Runs none of it, and makes no
//! command of what takes a shell.

use super::conf::{self, Conf, Value, Version};
use super::{Check, Mode, Modes, plain};
use crate::config::Config;
use crate::config::words::toml;
use respond::Kind;
use std::fmt::Write as _;

/// What stands for the address, the port and the mode.
const TOKENS: [(&str, &str); 2] = [("$TARGET$", "{address}"), ("$PORT$", "{port}")];
const MODE: &str = "$MODE$";
/// What a shell would do something about, outside of quotes.
const SHELL: &[char] = &['|', '&', ';', '<', '>', '(', ')', '`', '$', '*', '?', '[', ']', '~', '#', '!', '\\', '"', '\n'];
/// Arguments that a response can have.
const ARGS: usize = 16;

/// What one of PortSentry's commands is in riposte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A kind of responder.
    Kind(&'static str),
    /// A command of the administrator's own.
    Other,
}

/// The responder that does what a KILL_ROUTE does, by the program that stands in it.
pub fn route(command: &str) -> Route {
    let words: Vec<&str> = command.split([' ', '/', '|', '&', ';', '\t', '\'']).filter(|word| !word.is_empty()).collect();
    let has = |names: &[&str]| words.iter().any(|word| names.contains(word));
    match () {
        () if has(&["iptables", "ip6tables", "ipchains", "ipfwadm", "nft", "ufw", "firewall-cmd", "ipset"]) => Route::Kind("nftables"),
        () if has(&["ipfw"]) => Route::Kind("ipfw"),
        () if has(&["ipf"]) => Route::Kind("ipf"),
        () if has(&["pfctl"]) => Route::Kind("pf"),
        () if has(&["npfctl"]) => Route::Kind("npf"),
        () if has(&["route", "ip"]) => Route::Kind("routes"),
        () => Route::Other,
    }
}

/// The section `[respond]` with what becomes of KILL_ROUTE and KILL_HOSTS_DENY; and the notes for both lines.
/// What can't be done is added to `wrong`.
pub fn responders(conf: &Conf, wrong: &mut Vec<String>) -> (String, [String; 2]) {
    let own = "riposte's own nftables set, with an end to each block";
    let (mut kinds, mut notes) = (vec!["nftables"], [String::new(), String::new()]);
    let mut add = |kind: &'static str, what: &str| match Kind::of(kind) {
        Some(_) => {
            kinds.push(kind);
            format!("'{kind}' in [respond], behind {own}{what}")
        }
        None => format!("{own}{what}"),
    };
    if let Some(command) = conf.value("KILL_ROUTE") {
        notes[0] = match route(&command.text) {
            Route::Kind("nftables") => own.to_owned(),
            Route::Kind("routes") => add("routes", "; a route alone would only cut the way back"),
            Route::Kind(kind) => add(kind, "; the command is another system's packet filter"),
            Route::Other => {
                let why = format!("a command of your own is not run; {own}. 'protocol = \"command\"' in a [[response]] runs programs");
                wrong.push(format!("{}:{}: KILL_ROUTE: {why}", conf.name, command.line));
                why
            }
        };
    }
    if let Some(line) = conf.value("KILL_HOSTS_DENY") {
        let parts: Vec<&str> = line.text.split(':').map(str::trim).collect();
        let is_known = matches!(parts[..], ["ALL", "$TARGET$"] | ["ALL", "$TARGET$", "DENY" | "deny"]);
        let other =
            if is_known { "" } else { "; its lines deny ALL services and nothing else: other words of this one are not taken over" };
        notes[1] = add("hosts-deny", &format!("; the packets are dropped before any service sees them{other}"));
    }
    let mut chosen = String::new();
    let mut choose = |kind: &str, key: &str, word: &str| {
        if Kind::of(kind).is_some_and(|kind| kind.keys.iter().any(|known| known.name == key)) {
            let _ = write!(chosen, "[respond.{kind}]\n{key} = \"{word}\"\n");
        }
    };
    // Whoever is sent back an error by the original is sent one here, too.
    if conf.value("KILL_ROUTE").is_some_and(|command| route(&command.text) == Route::Kind("routes") && command.text.contains("reject")) {
        choose("routes", "answer", "unreachable");
    }
    if let Some(line) = conf.value("KILL_HOSTS_DENY") {
        // `ALL: 192.0.2.1 : DENY`, as libwrap has it with its options, or `ALL: 192.0.2.1`.
        let has_options = line.text.to_ascii_uppercase().trim_end().ends_with("DENY");
        choose("hosts-deny", "format", if has_options { "options" } else { "plain" });
    }
    let kinds: Vec<String> = kinds.into_iter().map(|kind| format!("\"{kind}\"")).collect();
    (format!("\n# Who sets the blocks, in order.\n[respond]\nkind = [{}]\n{chosen}", kinds.join(", ")), notes)
}

/// The `[[response]]`s of KILL_RUN_CMD, what becomes of its line, and what is wrong with it. One that can't be run as it stands is printed as
/// comments.
pub fn responses(conf: &Conf, modes: Modes, runs: [bool; 2], check: Check) -> (String, String, Option<String>) {
    let Some(Value { line, text: command }) = conf.value("KILL_RUN_CMD") else { return Default::default() };
    let told = |why: &str| format!("{}:{line}: KILL_RUN_CMD: {why}", conf.name);
    if runs == [false; 2] {
        return (String::new(), "not run, nor does PortSentry with BLOCK_TCP and BLOCK_UDP = 0".to_owned(), None);
    }
    let words = match words(command) {
        Ok(words) => words,
        Err(why) => {
            let why = conf::odd_token(command).map_or(why, |odd| odd.trim_start_matches(": ").to_owned());
            let own = vec!["/usr/local/sbin/portsentry-command".to_owned(), "$TARGET$".to_owned(), "$PORT$".to_owned(), MODE.to_owned()];
            let text = commented(&text(conf, modes, runs, &own, line));
            return (text, format!("not run: {why}"), Some(told(&why)));
        }
    };
    let text = text(conf, modes, runs, &words, line);
    // As `riposte check` sees it: what is missing there would keep riposte from starting.
    let wrong = match Config::parse(&text, "") {
        Ok(config) => check(&config.responses).err().and_then(|lines| Some(lines.first()?.split_once(": ")?.1.to_owned())),
        Err(lines) => Some(lines.first().map(|line| line.message.clone()).unwrap_or_default()),
    };
    match wrong {
        Some(why) => {
            let why = format!("{why}; put it there and take the '#' out of the [[response]] that is printed");
            (commented(&text), format!("not run: {why}"), Some(told(&why)))
        }
        None => (text, "run as the [[response]] below, without a shell and as nobody, not root".to_owned(), None),
    }
}

fn text(conf: &Conf, modes: Modes, runs: [bool; 2], words: &[String], line: &usize) -> String {
    let first = conf.number("KILL_RUN_CMD_FIRST", 1).is_some_and(|(_, first)| first == 1);
    let all = [("tcp", modes.tcp), ("udp", modes.udp)].map(|(protocol, mode)| (protocol, mode_word(conf.version, protocol, mode)));
    let of: Vec<(&str, String)> = all.into_iter().zip(runs).filter(|(_, runs)| *runs).map(|(each, _)| each).collect();
    // Only if the command is told different things, there must be two.
    let is_same = !words.iter().any(|word| word.contains(MODE)) || of.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let groups: Vec<Vec<(&str, String)>> = if is_same { vec![of] } else { of.into_iter().map(|each| vec![each]).collect() };
    let mut text = String::new();
    for group in &groups {
        let Some((protocol, mode)) = group.first() else { continue };
        let suffix = if groups.len() > 1 { format!("-{protocol}") } else { String::new() };
        let filled: Vec<String> = words.iter().map(|word| filled(word, mode)).collect();
        let quoted: Vec<String> = filled.iter().map(|word| toml(word)).collect();
        let (program, args) =
            quoted.split_first().map_or((String::new(), String::new()), |(program, args)| (program.clone(), args.join(", ")));
        let protocols: Vec<String> = group.iter().map(|(protocol, _)| format!("\"{protocol}\"")).collect();
        let _ = write!(
            text,
            "\n# KILL_RUN_CMD, line {line}. PortSentry runs it as root; write user = \"root\" if it must be, and only what nobody else can change.\n\
             [[response]]\nname = \"kill-run-cmd{suffix}\"\nprotocol = \"command\"\nprogram = {program}\nargs = [{args}]\non = \"touch\"\n\
             protocols = [{}]\nwhen = \"{}\"\n",
            protocols.join(", "),
            if first { "before" } else { "after" }
        );
    }
    text
}

/// What PortSentry puts in the place of `$MODE$`.
fn mode_word(version: Version, protocol: &str, mode: Mode) -> String {
    match (version, mode) {
        (Version::One, Mode::Stealth) => format!("s{protocol}"),
        (Version::One, Mode::Advanced) => format!("a{protocol}"),
        (Version::One, Mode::Off | Mode::Connect) => protocol.to_owned(),
        (Version::Two, Mode::Connect) => "connect".to_owned(),
        (Version::Two, Mode::Off | Mode::Stealth | Mode::Advanced) => "stealth".to_owned(),
    }
}

/// A word with riposte's placeholders in the place of PortSentry's tokens.
fn filled(word: &str, mode: &str) -> String {
    let mut word = word.replace('{', "{{").replace('}', "}}").replace(MODE, mode);
    for (token, placeholder) in TOKENS {
        word = word.replace(token, placeholder);
    }
    word
}

/// A command's words, if a shell would make of them what stands there.
///
/// # Errors
/// What it takes a shell for, and what to do.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    let script = "put the command into a script of your own and name that, with what it is to be told as arguments";
    // Tokens have dollar signs, which nothing else may have.
    let tokens = TOKENS.iter().map(|(token, _)| *token).chain([MODE]);
    let shown = tokens.fold(command.to_owned(), |text, token| text.replace(token, ""));
    let (mut words, mut word, mut quoted): (Vec<String>, Option<String>, bool) = (Vec::new(), None, false);
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        return Err(format!("a quote has no end: {script}"));
    }
    words.extend(word);
    let mut outside = true;
    let bare = shown.chars().find(|c| {
        outside ^= *c == '\'';
        outside && SHELL.contains(c) || c.is_control() && *c != '\t'
    });
    if let Some(c) = bare {
        return Err(format!("'{}' takes a shell, and riposte starts none: {script}", c.escape_default()));
    }
    let Some(program) = words.first() else { return Err("it has no program".to_owned()) };
    if !program.starts_with('/') {
        return Err(format!("{} is no full path: write it with its folder, or {script}", crate::config::words::quoted(program)));
    }
    if words.len() > ARGS + 1 {
        return Err(format!("it has more than {ARGS} arguments: {script}"));
    }
    let name = program.rsplit('/').next().unwrap_or_default();
    // Every shell's name ends so; each reads a command out of an argument.
    if name.ends_with("sh") && name != "ssh" && words.get(1).is_some_and(|word| word.starts_with('-') && word.contains('c')) {
        return Err(format!("it gives a shell its command, and riposte starts none for that: {script}"));
    }
    Ok(words)
}

/// A piece of configuration, as comments.
pub fn commented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("# {}\n", plain(line.trim_start_matches("# "))) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_known_by_their_programs() {
        for (recipe, kind) in [
            ("/sbin/route add $TARGET$ 333.444.555.666", "routes"),
            ("/sbin/route add -host $TARGET$ gw 127.0.0.1", "routes"),
            ("/sbin/route add -host $TARGET$ reject", "routes"),
            ("/sbin/route add -net $TARGET$ -netmask 255.255.255.255 127.0.0.1 -blackhole", "routes"),
            ("/usr/sbin/route add $TARGET$ 127.0.0.1 1", "routes"),
            ("/usr/bin/ip route add blackhole $TARGET$", "routes"),
            ("/sbin/ipfwadm -I -i deny -S $TARGET$ -o", "nftables"),
            ("/sbin/ipchains -I input -s $TARGET$ -j DENY -l", "nftables"),
            ("/sbin/iptables -I INPUT -s $TARGET$ -j DROP", "nftables"),
            (
                "/sbin/iptables -I INPUT -s $TARGET$ -j DROP && /sbin/iptables -I INPUT -s $TARGET$ -m limit --limit 3/minute -j LOG",
                "nftables",
            ),
            ("/usr/sbin/nft add element inet filter bad { $TARGET$ }", "nftables"),
            ("/sbin/ipfw add 1 deny all from $TARGET$:255.255.255.255 to any", "ipfw"),
            ("/bin/echo 'block in log on external_interface from $TARGET$/32 to any' | /sbin/ipf -f -", "ipf"),
            ("/sbin/pfctl -t portsentry -T add $TARGET$", "pf"),
            ("/sbin/npfctl table portsentry add $TARGET$", "npf"),
        ] {
            assert_eq!(route(recipe), Route::Kind(kind), "{recipe}");
        }
        assert_eq!(route("/usr/local/bin/mine $TARGET$"), Route::Other);
    }

    #[test]
    fn a_plain_command_is_an_argument_list_and_nothing_else_is() {
        let list = |command: &str| words(command).map(|words| words.join("|"));
        assert_eq!(list("/usr/bin/mine  $TARGET$\t$PORT$ $MODE$"), Ok("/usr/bin/mine|$TARGET$|$PORT$|$MODE$".into()));
        assert_eq!(
            list("/usr/bin/mail -s 'scan by $TARGET$; port $PORT$' root ''"),
            Ok("/usr/bin/mail|-s|scan by $TARGET$; port $PORT$|root|".into())
        );
        for (command, part) in [
            ("/bin/echo $TARGET$ | /usr/bin/mail root", "'|' takes a shell"),
            ("/bin/a $TARGET$ && /bin/b", "'&' takes a shell"),
            ("/bin/a $TARGET$ > /tmp/x", "'>' takes a shell"),
            ("/bin/a `id`", "'`' takes a shell"),
            ("/bin/a $(id)", "'$' takes a shell"),
            ("/bin/a $HOME $TARGET$", "'$' takes a shell"),
            ("/bin/a *", "'*' takes a shell"),
            ("/bin/a \\$TARGET$", "takes a shell"),
            ("/bin/a 'it", "a quote has no end"),
            ("mail root", "'mail' is no full path"),
            ("A=1 /bin/a", "'A=1' is no full path"),
            ("/bin/sh -c 'echo $TARGET$ | mail root'", "gives a shell its command"),
            ("/bin/bash -lc x", "gives a shell its command"),
            ("", "has no program"),
        ] {
            let why = words(command).unwrap_err();
            assert!(why.contains(part), "{command}: {why}");
        }
        assert!(words(&format!("/bin/a{}", " x".repeat(17))).is_err());
    }

    #[test]
    fn tokens_become_placeholders_and_braces_stay_braces() {
        assert_eq!(filled("--x={$TARGET$}/$PORT$/$MODE$", "atcp"), "--x={{{address}}}/{port}/atcp");
        let responses = &crate::config::placeholder::Placeholder::OF_RESPONSES;
        assert_eq!(crate::config::placeholder::Placeholder::check(&filled("--x={$TARGET$}/$PORT$", ""), responses), Ok(true));
    }
}
