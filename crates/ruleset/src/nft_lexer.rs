//! nft's text as tokens: words, marks, ends of statements; variables are put in. Knows no grammar.

use crate::Wrong;
use crate::names::shown;
use std::collections::HashMap;

/// Tokens that are kept: variables may stand for many.
const TOKENS: usize = 2_000_000;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: u32,
    pub(crate) quoted: bool,
}

impl Token {
    /// Whether it is this word or mark, and no quoted text.
    pub(crate) fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }

    /// Whether a statement ends here.
    pub(crate) fn ends(&self) -> bool {
        self.is("\n")
    }
}

/// Splits a text; `define` lines are taken out, and what they define is put in where it is used.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let raw = raw(text)?;
    let mut defined: HashMap<String, Vec<Token>> = HashMap::new();
    let mut all = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(token) = raw.get(at) {
        if all.len() > TOKENS {
            return Err(Wrong::new(token.line, "variables make this text too long"));
        }
        if matches!(token.text.as_str(), "define" | "redefine") && !token.quoted && raw.get(at + 2).is_some_and(|equals| equals.is("=")) {
            let name = raw[at + 1].text.clone();
            let from = at + 3;
            let end = from + raw[from..].iter().scan(0_i32, scan).count();
            let value = put_in(&raw[from..end], &defined)?;
            defined.insert(name, value);
            at = end;
        } else {
            all.extend(put_in(std::slice::from_ref(token), &defined)?);
            at += 1;
        }
    }
    Ok(all)
}

/// Goes on until the end of a statement outside of braces.
fn scan(depth: &mut i32, token: &Token) -> Option<()> {
    *depth += i32::from(token.is("{")) - i32::from(token.is("}"));
    (!(token.ends() && *depth <= 0)).then_some(())
}

fn put_in(tokens: &[Token], defined: &HashMap<String, Vec<Token>>) -> Result<Vec<Token>, Wrong> {
    let mut all = Vec::new();
    for token in tokens {
        match token.text.strip_prefix('$').filter(|_| !token.quoted) {
            None => all.push(token.clone()),
            Some(name) => {
                let value = defined.get(name).ok_or_else(|| Wrong::new(token.line, format!("nothing is defined as ${}", shown(name))))?;
                all.extend(value.iter().map(|one| Token { line: token.line, ..one.clone() }));
            }
        }
        if all.len() > TOKENS {
            return Err(Wrong::new(token.line, "variables make this text too long"));
        }
    }
    Ok(all)
}

fn raw(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut all: Vec<Token> = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut push = |text: &str, quoted: bool| all.push(Token { text: text.to_owned(), line, quoted });
        let taken = match c {
            '\n' | ';' => {
                push("\n", false);
                line += u32::from(c == '\n');
                1
            }
            '\\' if rest[1..].starts_with('\n') => {
                line += 1;
                2
            }
            c if c.is_whitespace() => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' => {
                let Some(inside) = rest[1..].find(['"', '\n']).filter(|end| rest[1 + end..].starts_with('"')) else {
                    return Err(Wrong::new(line, "a quotation mark has no partner"));
                };
                push(&rest[1..=inside], true);
                inside + 2
            }
            '{' | '}' | '(' | ')' | ',' | '|' | '&' => {
                push(&rest[..1], false);
                1
            }
            '=' | '!' | '<' | '>' => {
                let double = 1 + usize::from(rest[1..].starts_with('=')) + usize::from(rest.starts_with("<<") || rest.starts_with(">>"));
                push(&rest[..double], false);
                double
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{}(),|&=!<>;\"#".contains(c)).unwrap_or(rest.len());
                let word = &rest[..end];
                // `22: accept`; addresses of IPv6 have more than one colon.
                match word.strip_suffix(':').filter(|key| !key.is_empty() && !key.contains(':')) {
                    Some(key) => {
                        push(key, false);
                        push(":", false);
                    }
                    None => push(word, false),
                }
                end
            }
        };
        rest = &rest[taken..];
        if all.len() > TOKENS {
            return Err(Wrong::new(line, "this text is too long"));
        }
    }
    Ok(all)
}
