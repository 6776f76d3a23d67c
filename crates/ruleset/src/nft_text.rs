//! Reads what `nft list ruleset` writes, and files that `nft -f` takes if they hold whole tables. Rules are read in `nft_rule`.

use crate::names::{nearest, number, shown, value};
use crate::nft_lexer::{Token, tokens};
use crate::nft_rule::{self, Cursor};
use crate::nft_words::{priority, these, typed};
use crate::rules::{Among, Base, Family, Hook, Key, Origin, Rule, Ruleset, Set, Strange, Table, Value, Verdict};
use crate::{CHAINS, DEPTH, ELEMENTS, RULES, Wrong};

/// What may stand in a table.
const IN_TABLE: [&str; 13] =
    ["chain", "set", "map", "flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "flags", "comment", "meter"];
/// What may stand outside of tables.
const OUTSIDE: [&str; 7] = ["table", "flush", "add", "delete", "destroy", "include", "define"];

/// Reads a ruleset in nft's text.
///
/// # Errors
/// The first line that is not in nft's form.
pub fn nft_text(text: &str) -> Result<Ruleset, Wrong> {
    let tokens = tokens(text)?;
    let mut cursor = Cursor::new(&tokens);
    let mut all = Ruleset::default();
    loop {
        cursor.skip_ends();
        let Some(token) = cursor.next() else { return Ok(all) };
        match token.text.as_str() {
            "table" => table(&mut cursor, &mut all)?,
            // `flush ruleset` at the head of a file, or a table that is emptied before it is made.
            "flush" | "delete" | "destroy" => drop(cursor.statement()),
            "add" | "create" if cursor.eat("table") => table(&mut cursor, &mut all)?,
            "include" => {
                let rest = cursor.statement();
                all.strange.push(Strange { line: token.line, text: shown(&format!("include {}", nft_rule::joined(rest))) });
            }
            word => {
                return Err(Wrong::new(
                    token.line,
                    format!("'{}' begins nothing that nft list ruleset writes{}", shown(word), nearest(word, &OUTSIDE)),
                ));
            }
        }
    }
}

fn table(cursor: &mut Cursor<'_>, all: &mut Ruleset) -> Result<(), Wrong> {
    let first = cursor.word("a table's family or name")?;
    let (family, name) = match Family::parse(&first.text) {
        Some(family) => (family, cursor.word("a table's name")?),
        None => (Family::Ip, first),
    };
    // A table may be opened more than once.
    let at = all.tables.iter().position(|table| table.family == family && table.name == name.text).unwrap_or_else(|| {
        all.tables.push(Table::new(Origin::Nft, family, &name.text));
        all.tables.len() - 1
    });
    if !cursor.eat("{") {
        return Ok(());
    }
    loop {
        cursor.skip_ends();
        let token = cursor.word("the end of the table")?;
        match token.text.as_str() {
            "}" => return Ok(()),
            "chain" => {
                let name = cursor.word("a chain's name")?.text.clone();
                chain(cursor, &name, at, all)?;
            }
            "set" | "map" => {
                let name = cursor.word("a set's name")?.text.clone();
                let set = set(cursor)?;
                all.tables[at].sets.insert(name, set);
            }
            "flowtable" => {
                let name = cursor.word("a flow table's name")?.text.clone();
                cursor.block()?;
                all.tables[at].flowtables.push(name);
            }
            "flags" => all.tables[at].dormant |= cursor.statement().iter().any(|word| word.is("dormant")),
            "comment" => drop(cursor.statement()),
            word if IN_TABLE.contains(&word) => {
                while cursor.peek().is_some_and(|next| !next.is("{") && !next.ends()) {
                    cursor.next();
                }
                cursor.block()?;
            }
            word => return Err(Wrong::new(token.line, format!("'{}' can't stand in a table{}", shown(word), nearest(word, &IN_TABLE)))),
        }
    }
}

fn chain(cursor: &mut Cursor<'_>, name: &str, table: usize, all: &mut Ruleset) -> Result<(), Wrong> {
    cursor.needs("{")?;
    if all.tables[table].chains.len() >= CHAINS {
        return Err(cursor.refused(format!("more than {CHAINS} chains")));
    }
    all.tables[table].chain_mut(name);
    loop {
        cursor.skip_ends();
        let Some(first) = cursor.peek() else { return Err(cursor.cut_off("the end of the chain")) };
        let line = first.line;
        match first.text.as_str() {
            "}" => {
                cursor.next();
                return Ok(());
            }
            "type" => {
                let base = base(cursor.statement())?;
                all.tables[table].chain_mut(name).base = Some(base);
            }
            "policy" => {
                let drops = cursor.statement().get(1).is_some_and(|word| word.is("drop"));
                if let Some(base) = &mut all.tables[table].chain_mut(name).base {
                    base.drops = drops;
                }
            }
            "comment" | "devices" | "flags" => drop(cursor.statement()),
            _ => {
                if all.rules >= RULES {
                    return Err(Wrong::new(line, format!("more than {RULES} rules")));
                }
                let words = cursor.statement();
                let mut strange = Vec::new();
                let steps = nft_rule::steps(words, &mut strange)?;
                all.tables[table].chain_mut(name).rules.push(Rule { line, text: nft_rule::joined(words), steps });
                all.strange.extend(strange.into_iter().map(|text| Strange { line, text }));
                all.rules += 1;
            }
        }
    }
}

/// `type filter hook input device "eth0" priority filter + 5`; the policy is a statement of its own.
fn base(words: &[Token]) -> Result<Base, Wrong> {
    let line = words.first().map_or(0, |word| word.line);
    let behind = |name: &str| words.iter().position(|word| word.is(name)).and_then(|at| words.get(at + 1..)).unwrap_or_default();
    let hook = behind("hook").first().map_or("", |word| word.text.as_str());
    let hook = Hook::parse(hook).ok_or_else(|| {
        let known = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
        Wrong::new(line, format!("'{}' is no hook{}", shown(hook), nearest(hook, &known)))
    })?;
    let level: Vec<&str> = behind("priority").iter().map(|word| word.text.as_str()).collect();
    let level = priority(&level).ok_or_else(|| Wrong::new(line, format!("'{}' is no priority", shown(&level.join(" ")))))?;
    let nat = behind("type").first().is_some_and(|word| word.is("nat"));
    let devices = words.iter().filter(|word| word.quoted).map(|word| word.text.clone()).collect();
    Ok(Base { nat, hook, priority: level, drops: false, devices })
}

fn set(cursor: &mut Cursor<'_>) -> Result<Set, Wrong> {
    cursor.needs("{")?;
    let (mut keys, mut set) = (vec![Key::Strange], Set::default());
    loop {
        cursor.skip_ends();
        let Some(first) = cursor.peek() else { return Err(cursor.cut_off("the end of the set")) };
        match first.text.as_str() {
            "}" => {
                cursor.next();
                return Ok(match these(set) {
                    Among::These(set) => set,
                    Among::Named(_) => Set::default(),
                });
            }
            "type" => {
                let words = cursor.statement();
                let names = words[1..].iter().take_while(|word| !word.is(":")).filter(|word| !word.is("."));
                keys = names.map(|word| typed(&word.text)).collect();
            }
            "typeof" => {
                let words = cursor.statement();
                let end = words.iter().position(|word| word.is(":")).unwrap_or(words.len());
                keys = nft_rule::keys(&mut Cursor::new(&words[1..end])).map_or_else(|| vec![Key::Strange], |found| found.keys);
            }
            "elements" => {
                cursor.next();
                cursor.needs("=")?;
                cursor.needs("{")?;
                elements(cursor, &keys, &mut set)?;
            }
            _ => drop(cursor.statement()),
        }
    }
}

/// What stands between braces, up to and with the closing one.
pub(crate) fn elements(cursor: &mut Cursor<'_>, keys: &[Key], set: &mut Set) -> Result<(), Wrong> {
    loop {
        while cursor.eat(",") || cursor.peek().is_some_and(Token::ends) {
            cursor.skip_ends();
        }
        if cursor.eat("}") {
            return Ok(());
        }
        let element = element(cursor, keys)?;
        let verdict = if cursor.eat(":") { Some(nft_rule::verdict(cursor)?) } else { None };
        if set.elements.len() < ELEMENTS {
            set.elements.push(element);
            set.verdicts.extend(verdict);
        } else {
            set.more = true;
        }
    }
}

/// Values with `.` between; time-outs, counters and comments behind them are passed over.
fn element(cursor: &mut Cursor<'_>, keys: &[Key]) -> Result<Vec<Value>, Wrong> {
    let mut values = Vec::new();
    let mut depth = 0;
    let mut value_next = true;
    while let Some(token) = cursor.peek() {
        if depth == 0 && (token.is(",") || token.is("}") || token.is(":")) {
            break;
        }
        depth = if token.is("{") { depth + 1 } else { depth - usize::from(token.is("}")) };
        if depth > DEPTH {
            return Err(Wrong::new(token.line, "too many braces in one another"));
        }
        let key = keys.get(values.len()).unwrap_or(&Key::Strange);
        if value_next && values.len() < keys.len().max(1) && !token.ends() {
            values.push(one_value(key, token));
            value_next = false;
        } else if token.is(".") {
            value_next = true;
        } else if token.is("|")
            && let (Some(Value::Range(all, _)), Some(next)) = (values.last().cloned(), cursor.second())
            && let Value::Range(more, _) = one_value(keys.get(values.len() - 1).unwrap_or(&Key::Strange), next)
        {
            values.pop();
            values.push(Value::one(all | more));
        }
        cursor.next();
    }
    if cursor.peek().is_none() {
        return Err(cursor.cut_off("a closing brace"));
    }
    Ok(values)
}

pub(crate) fn one_value(key: &Key, token: &Token) -> Value {
    match key {
        _ if token.is("*") && !matches!(key, Key::InterfaceIn | Key::InterfaceOut) => Value::Range(0, u128::MAX),
        Key::Mark(_) => number(&token.text).map_or_else(|| value(key, &token.text), Value::one),
        _ => value(key, &token.text),
    }
}

/// A verdict map's verdict, or what a plain map maps to.
pub(crate) fn mapped(cursor: &mut Cursor<'_>) -> Verdict {
    while cursor.peek().is_some_and(|next| !next.is(",") && !next.is("}")) {
        cursor.next();
    }
    Verdict::Continue
}
