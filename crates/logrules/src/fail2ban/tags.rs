//! `<tags>` in values, `name[option=value, …]`, and times as `1d12h`: what fail2ban's values are made of beside INI.

use super::ini::{Ini, Problem};
use std::collections::BTreeMap;

/// A value in which more tags than this are replaced has tags that contain each other.
const REPLACED_MAX: usize = 2_000;
/// A value longer than this comes from tags that multiply.
const VALUE_MAX: usize = 1 << 20;

/// What tags stand for in one filter: its options, over what its files define.
#[derive(Debug)]
pub struct Tags<'a> {
    ini: &'a Ini,
    /// Given with the filter: `sshd[mode=aggressive]`; before all else.
    given: BTreeMap<String, String>,
    /// Of the section `[Init]`.
    init: BTreeMap<String, String>,
}

impl<'a> Tags<'a> {
    /// Of a filter's files, with the options that it is used with.
    ///
    /// # Errors
    /// If an option of `[Init]` uses names that nobody defines.
    pub fn new(ini: &'a Ini, given: BTreeMap<String, String>) -> Result<Tags<'a>, Problem> {
        let mut init = BTreeMap::new();
        for option in ini.own("Init") {
            if let Some(text) = ini.value("Init", option, &BTreeMap::new())? {
                if !option.starts_with("known/") {
                    init.insert(format!("known/{option}"), text.clone());
                }
                init.insert(option.to_owned(), text);
            }
        }
        Ok(Tags { ini, given, init })
    }

    /// An option's value before its tags are replaced.
    fn plain(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.given.get(name).or_else(|| self.init.get(name)) {
            Some(text) => Ok(Some(text.clone())),
            None => self.ini.value("Definition", name, &self.given),
        }
    }

    /// An option's value with all tags replaced that stand for something; the others stay, for they are the filter's own (`<HOST>`).
    ///
    /// # Errors
    /// If tags contain each other, or use a name that nobody defines.
    pub fn value(&self, option: &str) -> Result<Option<String>, Problem> {
        let Some(mut text) = self.plain(option)? else { return Ok(None) };
        let problem = |message: String| {
            let (file, line) = self.ini.place("Definition", option);
            Problem { file, line, message }
        };
        let (mut from, mut replaced) = (0, 0);
        while let Some((start, end)) = next_tag(&text, from) {
            let name = text.get(start + 1..end - 1).unwrap_or_default();
            let value = if is_own(name) { None } else { self.plain(&name.to_lowercase())? };
            match value {
                Some(value) => {
                    if name.eq_ignore_ascii_case(option) || replaced > REPLACED_MAX || text.len() > VALUE_MAX {
                        return Err(problem(format!("`<{name}>` in `{option}` stands for itself in the end")));
                    }
                    text.replace_range(start..end, &value);
                    replaced += 1;
                    // What was put in may complete a tag around it: `<lt_<logtype>/x>`.
                    from = text.get(..start).and_then(|before| before.rfind('<')).unwrap_or(start);
                }
                None => from = start + 1,
            }
        }
        Ok(Some(text))
    }
}

impl Tags<'_> {
    /// Tags that are left in a value although others of their family stand for something: `<mdre-agressive>` beside `mdre-normal`.
    pub fn strays(&self, text: &str) -> Vec<String> {
        let (mut strays, mut from) = (Vec::new(), 0);
        while let Some((start, end)) = next_tag(text, from) {
            from = end;
            let name = text.get(start + 1..end - 1).unwrap_or_default();
            let Some((family, _)) = name.rsplit_once('-').filter(|_| !is_own(name)) else { continue };
            let names = || self.ini.own("Definition").chain(self.ini.own("Init"));
            let kin: Vec<&str> = names().filter_map(|known| known.strip_prefix(family)?.strip_prefix('-')).collect();
            if !kin.is_empty() {
                strays.push(format!("`<{name}>` stands for nothing: {family}-… is there for {}", kin.join(", ")));
            }
        }
        strays
    }
}

/// The next `<…>` with no white space and no angle bracket inside, from byte `from` on: its start and the byte behind it.
fn next_tag(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = None;
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at < from) {
        match letter {
            '<' => start = Some(at),
            '>' => match start {
                Some(start) if at > start + 1 => return Some((start, at + 1)),
                _ => start = None,
            },
            ' ' => start = None,
            _ => {}
        }
    }
    None
}

/// A tag that patterns have of their own: never an option's name.
fn is_own(name: &str) -> bool {
    let name = name.trim_matches('/');
    name.starts_with("F-") || matches!(name, "HOST" | "ADDR" | "IP4" | "IP6" | "DNS" | "CIDR" | "SUBNET" | "SKIPLINES")
}

/// `name[option=value, option="a,b"][more='x']`: the name, and its options in lower case.
///
/// # Errors
/// What can't be understood.
pub fn options(text: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('[') else { return Ok((text.to_owned(), BTreeMap::new())) };
    let Some(mut rest) = rest.strip_suffix(']') else { return Err(format!("`{text}`: the bracket is not closed at the end")) };
    let mut options = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
        if let Some(behind) = rest.strip_prefix(']').map(str::trim_start).and_then(|behind| behind.strip_prefix('[')) {
            rest = behind;
            continue;
        }
        if rest.is_empty() {
            return Ok((name.trim().to_owned(), options));
        }
        let Some((option, behind)) = rest.split_once('=') else { return Err(format!("`{rest}`: options are written `name=value`")) };
        let option = option.trim();
        if option.is_empty() || !option.chars().all(|letter| letter.is_alphanumeric() || "_-./?=".contains(letter)) {
            return Err(format!("`{option}` is no option's name"));
        }
        let quote = behind.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let (value, behind) = match quote {
            Some(quote) => {
                let Some((value, behind)) = behind.get(1..).and_then(|behind| behind.split_once(quote)) else {
                    return Err(format!("`{option}`: the quote is not closed"));
                };
                let behind = behind.trim_start();
                if !behind.is_empty() && !behind.starts_with([',', ']']) {
                    return Err(format!("`{option}`: a comma is missing behind its value"));
                }
                (value, behind)
            }
            None => behind.split_at(behind.find([',', ']']).unwrap_or(behind.len())),
        };
        options.insert(option.to_lowercase(), value.trim_end_matches(|letter: char| quote.is_none() && letter.is_whitespace()).to_owned());
        rest = behind;
    }
}

/// Seconds in `600`, `10m`, `1d12h30m`, `1y 6mo`, `-1`.
///
/// # Errors
/// What it should look like.
pub fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no time: 600, 10m, 1d12h, 1y 6mo or -1");
    let (mut total, mut rest) = (0.0, text.trim());
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '-' | '+')).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let behind = behind.trim_start();
        let end = behind.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        total += number * unit_seconds(&unit.to_ascii_lowercase()).ok_or_else(wrong)?;
        rest = behind.trim_start();
    }
    if total.is_finite() { Ok(total) } else { Err(wrong()) }
}

/// A unit's seconds: months and years are a four years' average.
fn unit_seconds(unit: &str) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    const YEAR: f64 = 365.25 * DAY;
    Some(match unit {
        "" | "s" | "ss" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "mm" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hh" | "hou" | "hour" | "hours" => 3_600.0,
        "d" | "dd" | "da" | "day" | "days" => DAY,
        "w" | "ww" | "wee" | "week" | "weeks" => 7.0 * DAY,
        "mo" | "mon" | "month" | "months" => YEAR / 12.0,
        "y" | "yy" | "yea" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::ini::Files;
    use super::*;
    use std::path::{Path, PathBuf};

    fn value(text: &str, given: &str, option: &str) -> Result<String, String> {
        let mut ini = Ini::default();
        let files = Files { read: &|_| Ok(text.to_owned()), list: &|_| Ok(Vec::<PathBuf>::new()) };
        ini.read_file(Path::new("/x.conf"), files, 0).unwrap();
        let (_, given) = options(given)?;
        let tags = Tags::new(&ini, given).map_err(|problem| problem.to_string())?;
        tags.value(option).map(Option::unwrap).map_err(|problem| problem.to_string())
    }

    #[test]
    fn tags_stand_for_options_and_for_each_other() {
        let text = "[DEFAULT]\nkind = file\npre = <lt_<kind>/pre>\n_d = x\n[lt_file]\npre = f<_d>\n[lt_journal]\npre = j<_d>\n\
                    [Definition]\n_d = sshd\nfailregex = ^%(pre)s <HOST> <m-<mode>><none> <F-USER>a</F-USER> <[^.]+>\nm-normal =\nm-extra = E\nmode = normal\n\
                    [Init]\nagents = A|B\nre = (<agents>)\n";
        assert_eq!(value(text, "x", "failregex").unwrap(), "^fsshd <HOST> <none> <F-USER>a</F-USER> <[^.]+>");
        assert_eq!(value(text, "x[mode=extra, kind=journal]", "failregex").unwrap(), "^jsshd <HOST> E<none> <F-USER>a</F-USER> <[^.]+>");
        assert_eq!(value(text, "x[agents=\"C|<known/agents>\"]", "re").unwrap(), "(C|A|B)");
    }

    #[test]
    fn tags_that_stand_for_nothing_are_named() {
        let text = "[Definition]\nfailregex = <m-<mode>> <br-x> <F-A> <m-normal>\nm-normal = n\nm-more = m\nmode = mroe\n";
        let mut ini = Ini::default();
        let files = Files { read: &|_| Ok(text.to_owned()), list: &|_| Ok(Vec::<PathBuf>::new()) };
        ini.read_file(Path::new("/x.conf"), files, 0).unwrap();
        let tags = Tags::new(&ini, BTreeMap::new()).unwrap();
        let value = tags.value("failregex").unwrap().unwrap();
        assert_eq!(tags.strays(&value), ["`<m-mroe>` stands for nothing: m-… is there for more, normal"]);
    }

    #[test]
    fn circles_are_named() {
        let wrong = value("[Definition]\na = <b>\nb = <c>\nc = <b>\n", "x", "a").unwrap_err();
        assert_eq!(wrong, "/x.conf:2: `<c>` in `a` stands for itself in the end");
        assert!(value("[Definition]\na = <b>\nb = <b><b>\n", "x", "a").is_err());
    }

    #[test]
    fn options_are_read_with_their_quotes() {
        let (name, read) = options("sshd[mode=aggressive, a=\"b,c\",d='e]f' , g= ][h=i]").unwrap();
        assert_eq!(name, "sshd");
        let wanted = [("a", "b,c"), ("d", "e]f"), ("g", ""), ("h", "i"), ("mode", "aggressive")];
        assert_eq!(read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), wanted);
        assert_eq!(options("sshd").unwrap().0, "sshd");
        for wrong in ["a[b", "a[b]", "a[b=\"c]", "a[b=\"c\"d]", "a[=c]"] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_what_fail2ban_says_they_are() {
        // What `fail2ban-client --str2sec` of version 1.0.2 answers.
        let table = [("600", 600.0), ("10m", 600.0), ("1y", 31_557_600.0), ("1mo", 2_629_800.0), ("1w", 604_800.0), ("1d12h", 129_600.0)];
        let more = [("1h 30", 3_630.0), ("-1", -1.0), ("1y6mo", 47_336_400.0), ("1.5h", 5_400.0), ("1 week 2 days", 777_600.0)];
        for (text, wanted) in table.into_iter().chain(more) {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for wrong in ["", "x", "1q", "--1", "1e400"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
