//! Python's regular expressions with fail2ban's tags, as patterns of ours. Means the same wherever both can say it; names what it can't.
//!
//! fail2ban searches in text that ends in a line feed: `$` is before it, `\Z` behind it. The text given to these patterns has it too.

use crate::pattern::{Flavour, Pattern, Spans, TooManySteps};
use std::sync::Arc;

/// What a group catches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// `<HOST>`, `<ADDR>`, `<IP4>`, …: an address.
    Ip,
    /// `<HOST>`, `<DNS>`: a name.
    Dns,
    /// `<CIDR>`: how many bits of the address count.
    Cidr,
    /// `<F-ID>`: what is blocked if it is no address.
    Id,
    /// `<F-CONTENT>`: what the failregexes look at.
    Content,
    /// `<F-MLFID>`: the session that the line belongs to.
    Session,
    /// `<F-MLFFORGET>`: the session ends.
    Forget,
    /// `<F-MLFGAINED>`: the session was let in.
    Gained,
    /// `<F-NOFAIL>`: no failure by itself.
    NoFail,
    /// `<SKIPLINES>`: lines between.
    Skip,
    /// Anything else, by its name in lower case; also what `F-ALT_…` stands in for.
    Field(Arc<str>),
    /// `<F-ALT_USER>`, `<F-ALT_USER_1>`: in place of the field `user` if that caught nothing. By its whole name in lower case.
    Alternative(Arc<str>),
    /// A part of the field of this name.
    Part(Arc<str>),
}

/// What a pattern looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// One line.
    Line,
    /// Several lines: `^` and `$` are the beginning and end of each.
    Lines,
    /// Several lines: `^` and `$` are the beginning and end of all.
    Text,
}

/// A pattern with what its groups mean.
#[derive(Debug, Clone)]
pub struct Regex {
    /// As it was written.
    pub text: String,
    pattern: Pattern,
    groups: Vec<(usize, Group)>,
}

impl Regex {
    /// Translates and compiles; `names` if hosts may be names.
    ///
    /// # Errors
    /// What can't be understood or said in our patterns.
    pub fn new(text: &str, over: Over, names: bool) -> Result<Regex, String> {
        let translated = Translator::new(&expand_tags(text, names)).run(over)?;
        let pattern = Pattern::new(&translated, Flavour::default()).map_err(|error| format!("{} in `{text}`", error.replace('\n', " ")))?;
        let groups = pattern.names().iter().enumerate().filter_map(|(number, name)| name.map(|name| (number, meaning(name)))).collect();
        Ok(Regex { text: text.to_owned(), pattern, groups })
    }

    /// The pattern, for a scan over many.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Whether it catches who it was, or the session in which that was said.
    pub fn names_somebody(&self) -> bool {
        self.groups.iter().any(|(_, group)| matches!(group, Group::Ip | Group::Dns | Group::Id | Group::Session))
    }

    /// The first match, with its groups.
    ///
    /// # Errors
    /// If it took too many steps: count it, and take it for no match.
    pub fn search(&self, text: &[u8], spans: &mut Spans) -> Result<bool, TooManySteps> {
        self.pattern.captures(text, 0, spans)
    }

    /// What the groups caught in the match that `spans` are of; only those that took part.
    pub fn caught<'t>(&'t self, text: &'t [u8], spans: &'t Spans) -> impl Iterator<Item = (&'t Group, &'t [u8])> {
        self.groups.iter().filter_map(move |(number, group)| spans.text(text, *number).map(|caught| (group, caught)))
    }
}

/// A pattern of Python's without tags, as one of ours.
///
/// # Errors
/// What can't be understood.
pub fn translate(text: &str) -> Result<String, String> {
    Translator::new(text).run(Over::Line)
}

/// A name in lower case is a tag's or the author's own; what is put in for tags ends in a number, so that it can be there twice.
fn meaning(name: &str) -> Group {
    match name {
        "content" => Group::Content,
        "mlfid" => Group::Session,
        "mlfforget" => Group::Forget,
        "mlfgained" => Group::Gained,
        "nofail" => Group::NoFail,
        "fid" => Group::Id,
        "cidr" => Group::Cidr,
        "ip4" | "ip6" => Group::Ip,
        "dns" | "host" => Group::Dns,
        _ if name.starts_with("skiplines") => Group::Skip,
        _ => match (name.strip_prefix("alt_"), name.strip_prefix("tuple_")) {
            (Some(_), _) => Group::Alternative(name.into()),
            (_, Some(rest)) => Group::Part(without_number(rest).into()),
            _ => Group::Field(name.into()),
        },
    }
}

/// `user_1` is another `user`. (`user1` is not, whatever fail2ban's manual says: so does fail2ban itself.)
pub fn without_number(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((rest, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
    }
}

const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})";
// What comes before the last part always ends in a colon.
const IP6: &str = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|:))";
const DNS: &str = r"(?P<dns>[\w\-.^_]*\w)";
const CIDR: &str = r"(?P<cidr>\d+)";

/// Puts in what fail2ban's own tags stand for.
fn expand_tags(text: &str, names: bool) -> String {
    let (mut out, mut rest, mut open, mut skips) = (String::with_capacity(text.len() * 2), text, Vec::new(), 0);
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let tag =
            after.split_once('>').filter(|(tag, _)| tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/')));
        let Some((tag, behind)) = tag else {
            out.push('<');
            rest = after;
            continue;
        };
        rest = behind;
        match tag {
            "HOST" if names => out.push_str(&format!(r"(?:\[?(?:{IP4}|{IP6})\]?|{DNS})")),
            "HOST" | "ADDR" | "F-ADDR/" => out.push_str(&format!(r"\[?(?:{IP4}|{IP6})\]?")),
            "IP4" | "F-IP4/" => out.push_str(IP4),
            "IP6" | "F-IP6/" => out.push_str(IP6),
            "DNS" | "F-DNS/" => out.push_str(DNS),
            "CIDR" | "F-CIDR/" => out.push_str(CIDR),
            "SUBNET" | "F-SUBNET/" => out.push_str(&format!(r"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?")),
            "F-ID/" => out.push_str(r"(?P<fid>\S+)"),
            "F-PORT/" => out.push_str(r"(?P<fport>\w+)"),
            "SKIPLINES" => {
                out.push_str(&format!(r"\n(?P<skiplines{skips}>(?:.*\n)*?)"));
                skips += 1;
            }
            _ => match (tag.strip_prefix("F-"), tag.strip_prefix("/F-")) {
                (Some(name), _) if is_name(name) => {
                    open.push(name);
                    let name = match name.to_lowercase().replace('-', "_").as_str() {
                        "id" => "fid".to_owned(),
                        "port" => "fport".to_owned(),
                        name => name.to_owned(),
                    };
                    out.push_str(&format!("(?P<{name}>"));
                }
                (_, Some(name)) if open.contains(&name) => out.push(')'),
                _ => {
                    out.push('<');
                    out.push_str(tag);
                    out.push('>');
                }
            },
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// Goes through a pattern once and writes it anew.
struct Translator<'p> {
    rest: &'p str,
    out: String,
    /// Names of the capturing groups so far, in the order of their opening.
    names: Vec<Option<String>>,
    /// Flags that hold for all of it.
    flags: String,
    /// Something only the engine with look-around reads the way Python does.
    stepped: bool,
    verbose: bool,
}

impl<'p> Translator<'p> {
    fn new(text: &'p str) -> Translator<'p> {
        Translator {
            rest: text,
            out: String::with_capacity(text.len() + 16),
            names: Vec::new(),
            flags: String::new(),
            stepped: false,
            verbose: false,
        }
    }

    fn run(mut self, over: Over) -> Result<String, String> {
        if over == Over::Lines {
            self.flags.push('m');
        }
        while let Some(letter) = self.next() {
            match letter {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                // Python's `$` is also before the line feed at the end, and there is one.
                '$' if over == Over::Text => self.out.push_str(r"(?=\n?\z)"),
                '$' => self.out.push_str("(?m:$)"),
                '{' => self.repetition(),
                '+' if matches!(self.out.chars().last(), Some('+' | '*' | '?' | '}')) && !self.escaped_last() => {
                    self.stepped = true;
                    self.out.push('+');
                }
                '#' if self.verbose => {
                    self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
                }
                letter => self.out.push(letter),
            }
        }
        let mut out = String::new();
        if !self.flags.is_empty() {
            out.push_str(&format!("(?{})", self.flags));
        }
        if self.stepped {
            out.push_str("(?=)");
        }
        out.push_str(&self.out);
        Ok(out)
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = self.rest.get(letter.len_utf8()..).unwrap_or_default();
        Some(letter)
    }

    fn takes(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the last letter written is one that was escaped, and so no repetition.
    fn escaped_last(&self) -> bool {
        let before = self.out.get(..self.out.len().saturating_sub(1)).unwrap_or_default();
        before.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(letter) = self.next() else { return Err("a backslash at the end".to_owned()) };
        match letter {
            'Z' if !in_class => self.out.push_str(r"\z"),
            'b' if in_class => self.out.push_str(r"\x08"),
            'A' | 'b' | 'B' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' => {
                self.out.push('\\');
                self.out.push(letter);
            }
            'x' => self.out.push_str(r"\x"),
            'u' | 'U' => {
                let length = if letter == 'u' { 4 } else { 8 };
                let code = self.rest.get(..length).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
                let Some(code) = code else { return Err(format!("`\\{letter}` wants {length} hexadecimal digits")) };
                self.rest = self.rest.get(length..).unwrap_or_default();
                self.literal(code);
            }
            '0' => {
                let digits = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let code = u8::from_str_radix(self.rest.get(..digits).unwrap_or_default(), 8).unwrap_or(0);
                self.rest = self.rest.get(digits..).unwrap_or_default();
                self.out.push_str(&format!(r"\x{code:02x}"));
            }
            '1'..='9' => {
                self.out.push('\\');
                self.out.push(letter);
            }
            letter if letter.is_ascii_alphabetic() => return Err(format!("`\\{letter}` means nothing")),
            letter => self.literal(letter),
        }
        Ok(())
    }

    /// One letter that stands for itself.
    fn literal(&mut self, letter: char) {
        if matches!(letter, ' ' | '#') && self.verbose {
            self.out.push_str(&format!(r"\x{:02x}", letter as u32));
            return;
        }
        if letter.is_ascii_punctuation()
            && !matches!(letter, '<' | '>' | '_' | '/' | '"' | '\'' | ':' | ',' | ';' | '=' | '@' | '!' | '%' | '`')
        {
            self.out.push('\\');
        }
        self.out.push(letter);
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.takes("^") {
            self.out.push('^');
        }
        if self.takes("]") {
            self.out.push_str(r"\]");
        }
        // Whether what stands before could begin a range.
        let mut begins = false;
        loop {
            let Some(letter) = self.next() else { return Err("a `[` that is not closed".to_owned()) };
            let range = letter == '-' && begins && !self.rest.starts_with(']') && !ends_no_range(self.rest);
            begins = match letter {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => {
                    let kind = self.rest.chars().next();
                    self.escape(true)?;
                    !matches!(kind, Some('d' | 'D' | 's' | 'S' | 'w' | 'W'))
                }
                '-' if range => {
                    self.out.push('-');
                    false
                }
                '-' | '[' | '&' | '~' | '^' => {
                    self.out.push('\\');
                    self.out.push(letter);
                    true
                }
                letter => {
                    self.out.push(letter);
                    true
                }
            };
        }
    }

    fn group(&mut self) -> Result<(), String> {
        if self.local_flags() {
            return Ok(());
        }
        if !self.takes("?") {
            self.names.push(None);
            self.out.push('(');
            return Ok(());
        }
        if self.takes("#") {
            self.rest = self.rest.split_once(')').map_or("", |(_, rest)| rest);
            return Ok(());
        }
        for plain in [":", "=", "!", "<=", "<!", ">"] {
            if self.takes(plain) {
                self.out.push_str("(?");
                self.out.push_str(plain);
                return Ok(());
            }
        }
        if self.takes("P<") {
            let Some((name, rest)) = self.rest.split_once('>') else { return Err("a group's name that is not closed".to_owned()) };
            self.rest = rest;
            if self.names.iter().flatten().any(|known| known == name) {
                return Err(format!("two groups are called `{name}`"));
            }
            self.names.push(Some(name.to_owned()));
            self.out.push_str(&format!("(?P<{name}>"));
            return Ok(());
        }
        if self.takes("P=") {
            let Some((name, rest)) = self.rest.split_once(')') else { return Err("a back-reference that is not closed".to_owned()) };
            self.rest = rest;
            let number = self.number(name)?;
            // In a group of its own, so that a digit behind it does not belong to it.
            self.out.push_str(&format!(r"(?:\{number})"));
            return Ok(());
        }
        if self.takes("(") {
            let Some((name, rest)) = self.rest.split_once(')') else { return Err("a condition that is not closed".to_owned()) };
            self.rest = rest;
            let number = self.number(name)?;
            self.out.push_str(&format!("(?({number})"));
            return Ok(());
        }
        self.inline_flags()
    }

    /// `((?i)…)` and `(?:(?i)…)`: fail2ban takes flags at a group's beginning for that group, and makes `(?i:…)` of it.
    fn local_flags(&mut self) -> bool {
        let inside = self.rest.strip_prefix("?:").unwrap_or(self.rest);
        let flags = inside.strip_prefix("(?").and_then(|inside| inside.split_once(')'));
        let Some((flags, rest)) = flags.filter(|(flags, _)| !flags.is_empty() && flags.bytes().all(|b| b.is_ascii_lowercase())) else {
            return false;
        };
        let kept: String = flags.chars().filter(|flag| !matches!(flag, 'u' | 'a')).collect();
        self.out.push_str(&format!("(?{kept}:"));
        self.rest = rest;
        true
    }

    /// `(?i)`: for all of it, wherever it stands; `(?i:…)`: inside.
    fn inline_flags(&mut self) -> Result<(), String> {
        let end = self.rest.find([':', ')']).ok_or("a `(?` that is not closed")?;
        let (flags, rest) = self.rest.split_at(end);
        // Unicode, ASCII and the locale make no difference in bytes.
        let kept: String = flags.chars().filter(|flag| !matches!(flag, 'u' | 'a' | 'L')).collect();
        if let Some(wrong) = kept.chars().find(|flag| !matches!(flag, 'i' | 'm' | 's' | 'x' | '-')) {
            return Err(format!("`(?{wrong}` means nothing"));
        }
        if let Some(rest) = rest.strip_prefix(')') {
            self.verbose |= kept.contains('x');
            self.flags.push_str(&kept);
            self.rest = rest;
        } else {
            let kept = kept.trim_end_matches('-');
            self.out.push_str(&format!("(?{kept}:"));
            self.rest = rest.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    /// A group's number, from 1, by its number or name.
    fn number(&self, name: &str) -> Result<usize, String> {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        let place = self.names.iter().position(|known| known.as_deref() == Some(name));
        place.map(|place| place + 1).ok_or_else(|| format!("no group before it is called `{name}`"))
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}`; any other brace stands for itself.
    fn repetition(&mut self) {
        let inside = self.rest.split_once('}').map(|(inside, _)| inside);
        let parts = inside.map(|inside| inside.split_once(',').unwrap_or((inside, inside)));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        match (inside, parts) {
            (Some(inside), Some((least, most))) if !inside.is_empty() && digits(least) && digits(most) => {
                let least = if least.is_empty() { "0" } else { least };
                let comma = if inside.contains(',') { format!(",{most}") } else { String::new() };
                self.out.push_str(&format!("{{{least}{comma}}}"));
                self.rest = self.rest.get(inside.len() + 1..).unwrap_or_default();
            }
            _ => self.out.push_str(r"\{"),
        }
    }
}

/// Whether what follows a hyphen in a class is a class itself: `[a-\d]` is no range.
fn ends_no_range(rest: &str) -> bool {
    let mut letters = rest.chars();
    letters.next() == Some('\\') && letters.next().is_some_and(|letter| matches!(letter, 'd' | 'D' | 's' | 'S' | 'w' | 'W'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is caught in `line`, or nothing.
    fn caught(regex: &str, line: &str) -> Option<Vec<(Group, String)>> {
        let regex = Regex::new(regex, Over::Line, true).unwrap();
        let (text, mut spans) = (format!("{line}\n"), Spans::default());
        let found = regex.search(text.as_bytes(), &mut spans).unwrap();
        found.then(|| {
            regex.caught(text.as_bytes(), &spans).map(|(group, text)| (group.clone(), String::from_utf8_lossy(text).into())).collect()
        })
    }

    fn matches(regex: &str, line: &str) -> bool {
        caught(regex, line).is_some()
    }

    #[test]
    fn the_end_of_a_line_is_before_its_line_feed() {
        // Each as fail2ban-regex 1.0.2 answers.
        assert!(!matches(r"bad <HOST>\Z", "bad 192.0.2.1"));
        for regex in [r"bad <HOST>\n", r"bad <HOST>$", r"bad <HOST>\s", r"bad <HOST>\n\Z", r"bad <HOST>$\n"] {
            assert!(matches(regex, "bad 192.0.2.1"), "{regex}");
        }
        assert!(!matches(r"bad$", "bad x"));
        assert!(!matches(r"^b", "ab"));
    }

    #[test]
    fn hosts_are_addresses_and_names() {
        let host = |line: &str| caught("from <HOST>$", line).map(|caught| caught.into_iter().next().unwrap());
        assert_eq!(host("from 192.0.2.1"), Some((Group::Ip, "192.0.2.1".into())));
        assert_eq!(host("from ::ffff:192.0.2.1"), Some((Group::Ip, "192.0.2.1".into())));
        assert_eq!(host("from [2001:db8::1]"), Some((Group::Ip, "2001:db8::1".into())));
        assert_eq!(host("from [192.0.2.1]"), Some((Group::Ip, "192.0.2.1".into())));
        assert_eq!(host("from fe80::"), Some((Group::Ip, "fe80::".into())));
        assert_eq!(host("from ::1"), Some((Group::Ip, "::1".into())));
        assert_eq!(host("from a.example.com"), Some((Group::Dns, "a.example.com".into())));
        assert_eq!(host("from -"), None);
        assert!(!matches("from <ADDR>$", "from a.example.com"));
        assert_eq!(caught("<SUBNET>", "[192.0.2.0/24]").unwrap(), [(Group::Ip, "192.0.2.0".into()), (Group::Cidr, "24".into())]);
        assert!(Regex::new("<HOST>", Over::Line, false).unwrap().pattern().is_linear());
    }

    #[test]
    fn tags_are_groups() {
        let groups = caught(
            "^<F-MLFID>s</F-MLFID> (?:<F-USER>\\w+</F-USER>|'<F-ALT_USER1>\\w*</F-ALT_USER1>') <F-ID/> <F-PORT>\\d+</F-PORT>",
            "s 'x' y 5",
        );
        let wanted =
            [(Group::Session, "s"), (Group::Alternative("alt_user1".into()), "x"), (Group::Id, "y"), (Group::Field("fport".into()), "5")];
        assert_eq!(groups.unwrap(), wanted.map(|(group, text)| (group, text.to_owned())));
        assert!(matches("<none> </F-USER> <br/>", "<none> </F-USER> <br/>"), "a tag that nobody knows stands for itself");
        assert!(!Regex::new("a", Over::Line, true).unwrap().names_somebody());
    }

    #[test]
    fn what_python_writes_differently() {
        for (regex, line) in [
            (r"[[\]a&&~~]+$", "[]a&~"),
            (r"^[]x]+$", "]x"),
            (r"^[^]x]+$", "ab"),
            (r"^[\w-.]+$", "a-.b"),
            (r"^[a-]+$", "a-"),
            (r"^[+--]+$", "+,-"),
            (r"a{,2}b{x}{", "aab{x}{"),
            (r"\<a\>\_\ \/\'\#", "<a>_ /'#"),
            (r"(?iu)FOO (?P<a>.)bar(?P=a)1", "foo xBARx1"),
            (r"bar(?i)foo", "BARFOO"),
            (r"bar((?i)foo)", "barFOO"),
            (r"^(?P<c>x )?(?(c)a|b)$", "x a"),
            (r"^(?P<c>x )?(?(c)a|b)$", "b"),
            (r"(?x) a\ b # comment", "a b"),
            (r"a(?#comment)b\u00e4", "abä"),
            (r"^(?:(?! from ).)*? from", "a b from"),
            (r"a++b", "aab"),
            (r"\+++$", "++"),
            (r"(?P<a>b)(?<=b)c\011", "bc\t"),
        ] {
            assert!(matches(regex, line), "{regex} {line}");
        }
        assert!(!matches(r"^(?P<c>x )?(?(c)a|b)$", "x b"));
        assert!(!matches(r"^a++a", "aaa"), "what is held is not given back");
        assert!(!matches(r"bar(?:(?i)foo)", "BARFOO"), "flags at a group's beginning are the group's");
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (regex, wanted) in [
            ("a\\", "backslash"),
            ("[a", "not closed"),
            ("(?P<a>x)(?P<a>y)", "two groups are called `a`"),
            ("(?(b)x)", "called `b`"),
            ("\\q", "means nothing"),
            ("a(", "in `a(`"),
            ("<HOST> <HOST>", "two groups"),
        ] {
            let wrong = Regex::new(regex, Over::Line, true).unwrap_err();
            assert!(wrong.contains(wanted), "{regex}: {wrong}");
        }
    }
}
