//! One rule of nft's text: its expressions and statements. What is unknown reaches to the next known word, and is kept as a condition of
//! which nothing is known.

use crate::Wrong;
use crate::names::{number, shown};
use crate::nft_lexer::Token;
use crate::nft_text::{elements, mapped, one_value};
use crate::nft_words::{Operator, condition, connection, meta, payload, routing, these};
use crate::rules::{Among, Key, Log, Match, Set, Step, Value, Verdict};
use std::net::IpAddr;

/// Words that begin a statement; an unknown expression ends before the next of them.
const STATEMENTS: [&str; 31] = [
    "accept",
    "drop",
    "return",
    "continue",
    "jump",
    "goto",
    "reject",
    "log",
    "counter",
    "limit",
    "queue",
    "comment",
    "dnat",
    "snat",
    "masquerade",
    "redirect",
    "tproxy",
    "notrack",
    "add",
    "update",
    "delete",
    "set",
    "meter",
    "quota",
    "flow",
    "synproxy",
    "dup",
    "fwd",
    "xt",
    "last",
    "secmark",
];
/// Words that begin an expression.
const EXPRESSIONS: [&str; 35] = [
    "ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "igmp", "ether", "vlan", "arp", "ah", "esp", "comp",
    "meta", "ct", "fib", "iif", "iifname", "oif", "oifname", "mark", "pkttype", "exthdr", "frag", "hbh", "dst", "rt", "mh", "socket",
    "iifgroup", "skuid",
];

/// A place among tokens.
#[derive(Debug)]
pub(crate) struct Cursor<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(tokens: &'t [Token]) -> Self {
        Cursor { tokens, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    pub(crate) fn second(&self) -> Option<&'t Token> {
        self.tokens.get(self.at + 1)
    }

    pub(crate) fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    pub(crate) fn eat(&mut self, word: &str) -> bool {
        let there = self.peek().is_some_and(|token| token.is(word));
        self.at += usize::from(there);
        there
    }

    pub(crate) fn skip_ends(&mut self) {
        while self.peek().is_some_and(Token::ends) {
            self.at += 1;
        }
    }

    pub(crate) fn cut_off(&self, wanted: &str) -> Wrong {
        self.refused(format!("{wanted} is missing: the text ends here"))
    }

    /// Something is wrong here.
    pub(crate) fn refused(&self, message: String) -> Wrong {
        Wrong::new(self.peek().or(self.tokens.last()).map_or(1, |token| token.line), message)
    }

    /// The next token, whatever it is.
    pub(crate) fn word(&mut self, wanted: &str) -> Result<&'t Token, Wrong> {
        let error = self.cut_off(wanted);
        self.next().ok_or(error)
    }

    pub(crate) fn needs(&mut self, mark: &str) -> Result<(), Wrong> {
        if self.eat(mark) {
            return Ok(());
        }
        match self.peek() {
            Some(token) => Err(Wrong::new(token.line, format!("'{mark}' is wanted here, not '{}'", shown(&token.text)))),
            None => Err(self.cut_off(&format!("'{mark}'"))),
        }
    }

    /// Everything up to the end of the statement, or to the brace that ends the block around it.
    pub(crate) fn statement(&mut self) -> &'t [Token] {
        let from = self.at;
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            if depth == 0 && (token.ends() || token.is("}")) {
                break;
            }
            depth = (depth + usize::from(token.is("{"))).saturating_sub(usize::from(token.is("}")));
            self.at += 1;
        }
        &self.tokens[from..self.at]
    }

    /// Passes over a block in braces.
    pub(crate) fn block(&mut self) -> Result<(), Wrong> {
        self.needs("{")?;
        let mut depth = 1_usize;
        while depth > 0 {
            let token = self.word("a closing brace")?;
            depth = depth + usize::from(token.is("{")) - usize::from(token.is("}"));
        }
        Ok(())
    }

    /// The words since a place, as text.
    fn since(&self, from: usize) -> String {
        joined(&self.tokens[from..self.at])
    }
}

/// Tokens as nft would write them.
pub(crate) fn joined(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens.iter().take(crate::RULE_TEXT).filter(|token| !token.ends()) {
        if !text.is_empty() && !token.is(",") {
            text.push(' ');
        }
        if token.quoted {
            text.push_str(&format!("\"{}\"", token.text));
        } else {
            text.push_str(&token.text);
        }
    }
    shown(&text)
}

/// The steps of a rule.
pub(crate) fn steps(tokens: &[Token], strange: &mut Vec<String>) -> Result<Vec<Step>, Wrong> {
    let mut cursor = Cursor::new(tokens);
    let mut steps = Vec::new();
    while let Some(token) = cursor.peek() {
        let from = cursor.at;
        if !statement(&token.text, &mut cursor, &mut steps, strange)? {
            cursor.at = from;
            expression(&mut cursor, &mut steps, strange)?;
        }
    }
    Ok(steps)
}

/// A verdict where one must stand.
pub(crate) fn verdict(cursor: &mut Cursor<'_>) -> Result<Verdict, Wrong> {
    let Some(token) = cursor.peek() else { return Err(cursor.cut_off("a verdict")) };
    Ok(match token.text.as_str() {
        "accept" | "drop" | "return" | "continue" | "jump" | "goto" => {
            cursor.next();
            plain_verdict(token, cursor)?
        }
        _ => mapped(cursor),
    })
}

fn plain_verdict(token: &Token, cursor: &mut Cursor<'_>) -> Result<Verdict, Wrong> {
    Ok(match token.text.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(cursor.word("a chain's name")?.text.clone()),
        "goto" => Verdict::Goto(cursor.word("a chain's name")?.text.clone()),
        _ => Verdict::Continue,
    })
}

/// Reads a statement, if this word begins one.
fn statement(word: &str, cursor: &mut Cursor<'_>, steps: &mut Vec<Step>, strange: &mut Vec<String>) -> Result<bool, Wrong> {
    let Some(token) = cursor.next() else { return Ok(false) };
    match word {
        "accept" | "drop" | "return" | "continue" | "jump" | "goto" => steps.push(Step::Verdict(plain_verdict(token, cursor)?)),
        "reject" => {
            if cursor.eat("with") {
                cursor.next();
                cursor.eat("type");
                cursor.next();
            }
            steps.push(Step::Verdict(Verdict::Reject));
        }
        "log" => steps.push(Step::Log(log(cursor))),
        "limit" => steps.push(limit(cursor)),
        "counter" => {
            if cursor.eat("name") {
                cursor.next();
            } else {
                while cursor.peek().is_some_and(|next| next.is("packets") || next.is("bytes")) {
                    cursor.next();
                    cursor.next();
                }
            }
        }
        "comment" => drop(cursor.next()),
        "notrack" => steps.push(Step::Notrack),
        "queue" => {
            rest(cursor);
            steps.push(Step::Verdict(Verdict::Queue));
        }
        "dnat" | "redirect" | "tproxy" | "snat" | "masquerade" => translation(word, cursor, steps)?,
        "add" | "update" | "delete" | "meter" | "set" => steps.extend(dynamic(word, cursor)?),
        "flow" => {
            cursor.next();
            cursor.next();
        }
        "dup" | "secmark" | "last" => drop(rest(cursor)),
        "fwd" | "synproxy" => {
            strange.push(word.to_owned());
            rest(cursor);
            steps.push(Step::Verdict(Verdict::Strange(word.to_owned())));
        }
        "xt" => foreign(cursor, steps, strange),
        "ct" if cursor.eat("count") => {
            let over = cursor.eat("over");
            let count = cursor.next().map(|n| n.text.clone()).unwrap_or_default();
            steps.push(Step::Limit { over, text: format!("{} connections", shown(&count)) });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The rest of the rule but for a comment.
fn rest<'t>(cursor: &mut Cursor<'t>) -> &'t [Token] {
    let from = cursor.at;
    while cursor.peek().is_some_and(|next| !next.is("comment") && !next.is("accept") && !next.is("drop")) {
        cursor.next();
    }
    &cursor.tokens[from..cursor.at]
}

fn log(cursor: &mut Cursor<'_>) -> Log {
    let mut log = Log { prefix: String::new(), group: None };
    while let Some(word) = cursor.peek() {
        match word.text.as_str() {
            "prefix" => {
                cursor.next();
                log.prefix = cursor.next().map(|prefix| prefix.text.clone()).unwrap_or_default();
            }
            "group" => {
                cursor.next();
                log.group = cursor.next().and_then(|group| group.text.parse().ok());
            }
            "level" | "snaplen" | "queue-threshold" => {
                cursor.next();
                cursor.next();
            }
            "flags" => {
                cursor.next();
                // `flags tcp sequence,options`, `flags ip options`, `flags all`
                if cursor.eat("tcp") || cursor.eat("ip") {
                    cursor.next();
                    while cursor.eat(",") {
                        cursor.next();
                    }
                } else {
                    cursor.next();
                }
            }
            _ => break,
        }
    }
    log
}

fn limit(cursor: &mut Cursor<'_>) -> Step {
    if cursor.eat("name") {
        let name = cursor.next().map(|name| name.text.clone()).unwrap_or_default();
        return Step::Limit { over: false, text: shown(&name) };
    }
    cursor.eat("rate");
    let over = cursor.eat("over");
    cursor.eat("until");
    let mut text = cursor.next().map(|rate| rate.text.clone()).unwrap_or_default();
    // `10 mbytes/second`, `5 / minute`
    while cursor
        .peek()
        .is_some_and(|next| next.text.contains('/') || ["second", "minute", "hour", "day", "week"].contains(&next.text.as_str()))
    {
        text.extend(cursor.next().map(|unit| unit.text.clone()));
    }
    if cursor.eat("burst") {
        cursor.next();
        if cursor.peek().is_some_and(|next| next.is("packets") || next.text.ends_with("bytes")) {
            cursor.next();
        }
    }
    Step::Limit { over, text: shown(&text) }
}

fn translation(word: &str, cursor: &mut Cursor<'_>, steps: &mut Vec<Step>) -> Result<(), Wrong> {
    let words = rest(cursor);
    let to = words.iter().position(|one| one.is("to")).map_or(words.len(), |at| at + 1);
    let mut inner = Cursor::new(&words[to..]);
    if let Some(found) = keys(&mut inner)
        && inner.eat("map")
    {
        // Only what the map knows is translated; where to, depends on it.
        let among = among(&mut inner, &found.keys)?;
        steps.push(Step::Match(Match { keys: found.keys, among, negated: false, text: joined(&words[to..]) }));
    }
    let target = words.iter().position(|one| one.is("to")).and_then(|at| words.get(at + 1)).map_or("", |one| one.text.as_str());
    let (address, port) = target_of(target);
    let port = port.or_else(|| {
        // `to : 80`
        words.windows(2).find(|pair| pair[0].is(":")).and_then(|pair| pair[1].text.parse().ok())
    });
    steps.push(Step::Verdict(match word {
        "dnat" => Verdict::Forwarded { address, port },
        "redirect" | "tproxy" => Verdict::Redirect(port),
        _ => Verdict::Accept,
    }));
    Ok(())
}

/// `10.0.0.5:80`, `[2001:db8::1]:80`, `:80`, `10.0.0.5`
fn target_of(text: &str) -> (Option<IpAddr>, Option<u16>) {
    let port = |text: &str| text.split('-').next().and_then(|one| one.parse().ok());
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (address.parse().ok(), port(rest.trim_start_matches(':')));
    }
    match (text.parse(), text.split_once(':')) {
        (Ok(address), _) => (Some(address), None),
        (Err(_), Some((address, rest))) => (address.parse().ok(), port(rest)),
        (Err(_), None) => (None, None),
    }
}

/// `add @set { ip saddr limit rate over 10/minute }` and its like.
fn dynamic(word: &str, cursor: &mut Cursor<'_>) -> Result<Option<Step>, Wrong> {
    while cursor.peek().is_some_and(|next| !next.is("{")) {
        let next = cursor.next();
        // `set add ip saddr @name`, without braces.
        if word == "set" && next.is_some_and(|name| name.text.starts_with('@')) {
            return Ok(None);
        }
    }
    let from = cursor.at;
    cursor.block()?;
    let inside = &cursor.tokens[from..cursor.at];
    Ok(inside.iter().position(|one| one.is("limit") || one.is("count")).map(|at| {
        let mut part = Cursor::new(&inside[at + 1..]);
        let limited = if inside[at].is("limit") {
            limit(&mut part)
        } else {
            let over = part.eat("over");
            Step::Limit { over, text: format!("{} connections", part.next().map_or("", |n| &n.text)) }
        };
        match limited {
            Step::Limit { over, text } => Step::Limit { over, text: format!("{text} per source") },
            other => other,
        }
    }))
}

fn foreign(cursor: &mut Cursor<'_>, steps: &mut Vec<Step>, strange: &mut Vec<String>) {
    let target = cursor.next().is_some_and(|kind| kind.is("target"));
    let name = cursor.next().map(|name| shown(&name.text)).unwrap_or_default();
    strange.push(format!("xt {name} (iptables-save shows it)"));
    steps.push(if target { Step::Verdict(Verdict::Strange(name)) } else { Step::Match(Match::strange(format!("xt {name}"))) });
}

/// What an expression looks at.
pub(crate) struct Keys {
    pub(crate) keys: Vec<Key>,
    /// Something that an ordinary packet doesn't have, whatever its value.
    odd: bool,
}

/// One or more keys with `.` between.
pub(crate) fn keys(cursor: &mut Cursor<'_>) -> Option<Keys> {
    let mut found = Keys { keys: Vec::new(), odd: false };
    loop {
        let key = key(cursor, &mut found.odd)?;
        found.keys.push(key);
        if !cursor.eat(".") {
            return Some(found);
        }
    }
}

fn key(cursor: &mut Cursor<'_>, odd: &mut bool) -> Option<Key> {
    let head = cursor.next()?;
    Some(match head.text.as_str() {
        "meta" => meta(&cursor.next()?.text),
        "ct" => {
            let word = cursor.next()?;
            match word.text.as_str() {
                "original" | "reply" => {
                    let field = cursor.next()?;
                    if field.is("ip") || field.is("ip6") {
                        cursor.next();
                    }
                    Key::Strange
                }
                word => connection(word),
            }
        }
        "fib" => {
            let mut flags = vec![cursor.next()?.text.as_str()];
            while cursor.eat(".") {
                flags.push(cursor.next()?.text.as_str());
            }
            routing(&flags, &cursor.next()?.text)
        }
        "tcp" if cursor.eat("option") => {
            cursor.next();
            cursor.next();
            Key::Strange
        }
        "ip" if cursor.eat("option") => {
            cursor.next();
            cursor.next();
            *odd = true;
            Key::Odd
        }
        "exthdr" | "frag" | "hbh" | "dst" | "rt" | "mh" => {
            cursor.next();
            *odd = true;
            Key::Odd
        }
        "socket" => {
            cursor.next();
            Key::Strange
        }
        "iif" | "iifname" | "oif" | "oifname" | "mark" | "pkttype" | "iifgroup" | "oifgroup" | "skuid" | "skgid" | "l4proto"
        | "nfproto" | "time" | "day" | "hour" | "cpu" | "cgroup" | "rtclassid" | "iiftype" | "oiftype" | "length" | "priority"
        | "nftrace" | "protocol" => meta(&head.text),
        // `@th,16,16`
        raw if raw.starts_with('@') && !head.quoted => {
            for _ in 0..4 {
                cursor.next();
            }
            Key::Strange
        }
        header if EXPRESSIONS.contains(&header) => payload(header, &cursor.next()?.text),
        _ => return None,
    })
}

fn expression(cursor: &mut Cursor<'_>, steps: &mut Vec<Step>, strange: &mut Vec<String>) -> Result<(), Wrong> {
    let from = cursor.at;
    let Some(found) = keys(cursor) else {
        cursor.at = from + 1;
        to_next(cursor);
        let text = cursor.since(from);
        strange.push(text.clone());
        steps.push(Step::Match(Match::strange(text)));
        return Ok(());
    };
    if cursor.eat("set") {
        let first = cursor.next().map(|word| word.text.clone()).unwrap_or_default();
        let value_at = cursor.at;
        to_next(cursor);
        if let [Key::Mark(_)] = found.keys.as_slice() {
            let whole = cursor.at == value_at;
            steps.push(Step::Mark(number(&first).filter(|_| whole).and_then(|n| u32::try_from(n).ok())));
        }
        return Ok(());
    }
    let mut mask = cursor.eat("&").then(|| flag_words(cursor));
    if cursor.eat("vmap") {
        let among = among(cursor, &found.keys)?;
        steps.push(Step::Map { keys: found.keys, among, text: cursor.since(from) });
        return Ok(());
    }
    let operator = cursor.peek().and_then(|word| Operator::parse(&word.text));
    if operator.is_some() {
        cursor.next();
    }
    let among = among(cursor, &found.keys)?;
    if cursor.eat("/") {
        mask = Some(flag_words(cursor));
    }
    let text = cursor.since(from);
    let known = !found.keys.contains(&Key::Strange);
    let condition = match found.odd {
        true => Match::new(Key::Odd, vec![Value::one(1_u8)], false, text.clone()),
        false => condition(found.keys, mask.as_deref(), operator.unwrap_or(Operator::Implicit), among, text.clone()),
    };
    if known && condition.keys == [Key::Strange] {
        strange.push(text);
    }
    steps.push(Step::Match(condition));
    Ok(())
}

/// Goes to the next word that begins something.
fn to_next(cursor: &mut Cursor<'_>) {
    while cursor
        .peek()
        .is_some_and(|next| next.quoted || !(STATEMENTS.contains(&next.text.as_str()) || EXPRESSIONS.contains(&next.text.as_str())))
    {
        if cursor.peek().is_some_and(|next| next.is("{")) && cursor.block().is_err() {
            cursor.at = cursor.tokens.len();
            return;
        }
        cursor.next();
    }
}

/// `syn`, `fin,syn`, `(fin | syn)`, `0xff` as one word.
fn flag_words(cursor: &mut Cursor<'_>) -> String {
    let mut words = Vec::new();
    if cursor.eat("(") {
        while let Some(word) = cursor.next().filter(|word| !word.is(")")) {
            words.push(word.text.as_str());
        }
        words.retain(|word| *word != "|");
    } else {
        words.extend(cursor.next().map(|word| word.text.as_str()));
        while cursor.eat(",") || cursor.eat("|") {
            words.extend(cursor.next().map(|word| word.text.as_str()));
        }
    }
    words.join(",")
}

/// The right side of a comparison.
fn among(cursor: &mut Cursor<'_>, keys: &[Key]) -> Result<Among, Wrong> {
    let mut set = Set::default();
    let Some(first) = cursor.peek() else { return Ok(Among::These(set)) };
    if first.is("{") {
        cursor.next();
        elements(cursor, keys, &mut set)?;
        return Ok(these(set));
    }
    if let Some(name) = first.text.strip_prefix('@').filter(|_| !first.quoted) {
        cursor.next();
        return Ok(Among::Named(name.to_owned()));
    }
    let one = keys.first().unwrap_or(&Key::Strange);
    if matches!(one, Key::TcpFlags(_)) {
        let words = flag_words(cursor);
        set.elements.push(vec![crate::names::value(one, &words)]);
        return Ok(Among::These(set));
    }
    loop {
        let mut element = Vec::new();
        for key in keys {
            let Some(token) = cursor.next() else { return Err(cursor.cut_off("a value")) };
            element.push(one_value(key, token));
            cursor.eat(".");
        }
        set.elements.push(element);
        if !cursor.eat(",") {
            break;
        }
    }
    Ok(Among::These(set))
}
