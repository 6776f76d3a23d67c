//! When a line was written: fail2ban's date templates and `datepattern`. The text of the date is cut out of the line before any rule looks at it.
//! Never reads a clock: what a date leaves out comes from the `Clock` that the caller gives.
//!
//! One difference is meant: fail2ban moves the templates that hit to the front. Here their order stays, so that what a line means never
//! depends on the lines before it.

use super::python;
use crate::pattern::{Flavour, Pattern, Spans};
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use model::time::Time;

/// fail2ban's own templates, in its order.
const DEFAULTS: [&str; 17] = [
    r"%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?",
    r"%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S",
    r"%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?",
    r"%m/%d/%ExY:%H:%M:%S",
    r"%m-%d-%ExY %k:%M:%S(?:\.%f)?",
    "EPOCH",
    r"{^LN-BEG}%H:%M:%S",
    r"^<%m/%d/%Exy@%H:%M:%S>",
    r"%Exy%Exm%Exd  ?%H:%M:%S",
    r"%b %d, %ExY %I:%M:%S %p",
    r"^%b-%d-%Exy %k:%M:%S",
    r"%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?",
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    "TAI64N",
];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const LINE_BEGIN: &str = "{^LN-BEG}";
/// Two letters that are none may stand before.
const LINE_BEGIN_PATTERN: &str = r"^(?:\W{0,2})?";

/// What dates leave out.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The present.
    pub now: Time,
    /// The zone of dates that name none.
    pub zone: TimeZone,
}

/// How a group's text becomes a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Year, month, day, …, by the groups' names.
    Fields,
    /// Seconds since 1970; `long` if they may be milli- or microseconds.
    Epoch { long: bool },
    /// `@` and 24 hexadecimal digits.
    Tai,
    /// No time at all: the last one known is taken, or now.
    Nothing,
}

/// One form of a date.
#[derive(Debug, Clone)]
pub struct Template {
    /// As it is written in a configuration.
    pub name: String,
    pattern: Pattern,
    kind: Kind,
    /// It can only match at the line's beginning or end.
    anchored: bool,
    /// Groups by their numbers: what is cut out (`'<'`), and what each part is.
    groups: Vec<(usize, char)>,
}

/// The forms that a filter's dates can have.
#[derive(Debug, Clone)]
pub struct Dates {
    templates: Vec<Template>,
}

/// A date in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which template it is of.
    pub template: usize,
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last.
    pub end: usize,
}

/// What is kept between lines: of no meaning for what a line's date is.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    spans: Spans,
    best: Spans,
}

impl Dates {
    /// Of the lines of a `datepattern`; none of them means fail2ban's default.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn new(patterns: &str) -> Result<Dates, String> {
        let mut dates = Dates { templates: Vec::new() };
        let lines: Vec<&str> = patterns.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            dates.add_defaults(&|_| true)?;
        }
        for line in lines {
            match line {
                "{DEFAULT}" => dates.add_defaults(&|_| true)?,
                LINE_BEGIN => dates.add_defaults(&|text| text.starts_with(['^', '{']))?,
                "{NONE}" => dates.add("{NONE}".to_owned())?,
                line if line.contains("{DATE}") => {
                    // Without fields they are only known by their bare names.
                    let bare = matches!(line, "^{DATE}" | "{^LN-BEG}{DATE}");
                    for default in DEFAULTS.iter().filter(|default| bare || default.contains('%')) {
                        let default = default.strip_prefix(LINE_BEGIN).unwrap_or(default);
                        dates.add(line.replace("{DATE}", default))?;
                    }
                }
                line => dates.add(line.to_owned())?,
            }
        }
        Ok(dates)
    }

    /// First each at the line's beginning, then anywhere: what stands first is the line's own date.
    fn add_defaults(&mut self, wanted: &dyn Fn(&str) -> bool) -> Result<(), String> {
        let at_begin = DEFAULTS.iter().filter(|text| !text.starts_with(['^', '{'])).map(|text| format!("{LINE_BEGIN}{text}"));
        for text in at_begin.chain(DEFAULTS.iter().map(|text| (*text).to_owned())) {
            if wanted(&text) {
                self.add(text)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: String) -> Result<(), String> {
        if self.templates.iter().all(|known| known.name != text) {
            self.templates.push(Template::new(text)?);
        }
        Ok(())
    }

    /// The templates, in the order in which they are tried.
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The line's date, if it has one.
    pub fn find(&self, line: &[u8], scratch: &mut Scratch) -> Option<Found> {
        let mut best: Option<Found> = None;
        for (number, template) in self.templates.iter().enumerate() {
            let Some(found) = template.find(number, line, &mut scratch.spans) else { continue };
            if template.anchored || found.start == 0 {
                return Some(found);
            }
            // What stands further left is less likely somebody else's words.
            if best.is_none_or(|best| found.start < best.start) {
                best = Some(found);
                std::mem::swap(&mut scratch.spans, &mut scratch.best);
            }
        }
        if best.is_some() {
            std::mem::swap(&mut scratch.spans, &mut scratch.best);
        }
        best
    }

    /// The time of what `find` found just before in the same line; `None` if there is no such time (30 February).
    pub fn time(&self, found: Found, line: &[u8], scratch: &Scratch, clock: &Clock) -> Option<Time> {
        let template = self.templates.get(found.template)?;
        let text = std::str::from_utf8(line.get(found.start..found.end)?).ok()?;
        if text.is_empty() {
            // A date that may be absent.
            return None;
        }
        match template.kind {
            Kind::Fields => template.fields(line, &scratch.spans, clock),
            Kind::Epoch { long } => {
                let part = template.groups.iter().filter(|(_, part)| *part == 'e').find_map(|(group, _)| scratch.spans.text(line, *group));
                epoch(part.and_then(|part| std::str::from_utf8(part).ok()).unwrap_or(text), long)
            }
            Kind::Tai => tai(text),
            Kind::Nothing => None,
        }
    }
}

impl Template {
    fn new(text: String) -> Result<Template, String> {
        let wrong = |error: String| format!("datepattern `{text}`: {error}");
        let (_, bare) = leading_flags(&text);
        let anchored = ["^", "(^", "(?:^", LINE_BEGIN].iter().any(|begin| bare.starts_with(begin))
            || text.strip_suffix(')').unwrap_or(&text).strip_suffix('$').is_some_and(|text| !text.ends_with(['\\', '|']))
            || text == "{NONE}";
        let (kind, regex, insensitive) = match text.to_uppercase().as_str() {
            "{NONE}" => (Kind::Nothing, r"^(?P<cut0>)".to_owned(), false),
            "EPOCH" => (Kind::Epoch { long: false }, epoch_pattern(r"(?:^|^\[|\baudit\()", false), false),
            "LEPOCH" => (Kind::Epoch { long: true }, epoch_pattern(r"(?:^|^\[|\baudit\()", true), false),
            "^EPOCH" | "{^LN-BEG}EPOCH" => (Kind::Epoch { long: false }, epoch_pattern(LINE_BEGIN_PATTERN, false), false),
            "^LEPOCH" | "{^LN-BEG}LEPOCH" => (Kind::Epoch { long: true }, epoch_pattern(LINE_BEGIN_PATTERN, true), false),
            "TAI64N" => (Kind::Tai, r"(?P<cut0>@[0-9a-f]{24})\b{end-half}".to_owned(), false),
            "^TAI64N" | "{^LN-BEG}TAI64N" => (Kind::Tai, format!(r"{LINE_BEGIN_PATTERN}(?P<cut0>@[0-9a-f]{{24}})\b{{end-half}}"), false),
            upper => {
                let long = upper.contains("{LEPOCH}");
                let kind = if long || upper.contains("{EPOCH}") { Kind::Epoch { long } } else { Kind::Fields };
                let (regex, insensitive) = written(&text).map_err(wrong)?;
                (kind, regex, insensitive)
            }
        };
        let pattern = Pattern::new(&regex, Flavour { case_insensitive: insensitive, multi_line: false }).map_err(wrong)?;
        let names = pattern.names();
        let groups = names.iter().enumerate().filter_map(|(number, name)| Some((number, part(name.as_deref()?)?))).collect();
        Ok(Template { name: text, kind, anchored, groups, pattern })
    }

    fn find(&self, number: usize, line: &[u8], spans: &mut Spans) -> Option<Found> {
        if self.pattern.captures(line, 0, spans) != Ok(true) {
            return None;
        }
        let cut = self.groups.iter().filter(|(_, part)| *part == '<').find_map(|(group, _)| spans.get(*group));
        // A date that may be absent: nothing is cut.
        let (start, end) = cut.or_else(|| spans.get(0).map(|(start, _)| (start, start)))?;
        Some(Found { template: number, start, end })
    }

    fn fields(&self, line: &[u8], spans: &Spans, clock: &Clock) -> Option<Time> {
        let part = |wanted: char| {
            let text = self.groups.iter().filter(|(_, part)| *part == wanted).find_map(|(group, _)| spans.text(line, *group))?;
            std::str::from_utf8(text).ok().map(str::trim)
        };
        let number = |wanted: char| part(wanted).and_then(|text| text.parse::<i16>().ok());
        let now = nanos(clock.now)?.to_zoned(clock.zone.clone()).datetime();
        let year = number('Y').or_else(|| number('y').map(|year| if year <= 2000 { year + 2000 } else { year }));
        let month = number('m').or_else(|| month(part('b').or_else(|| part('B'))?));
        let day = number('d');
        let date = match (month, day, number('j')) {
            (None, None, Some(day)) => {
                Date::new(year.unwrap_or(now.year()), 1, 1).ok()?.checked_add(jiff::Span::new().days(i32::from(day) - 1)).ok()?
            }
            _ => {
                let (month, day) = (month.unwrap_or(i16::from(now.month())), day.unwrap_or(i16::from(now.day())));
                Date::new(year.unwrap_or(now.year()), i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?
            }
        };
        let hour = match (number('H'), number('I'), part('p')) {
            (Some(hour), _, _) => hour,
            (None, Some(12), Some(half)) if half.eq_ignore_ascii_case("pm") => 12,
            (None, Some(hour), Some(half)) if half.eq_ignore_ascii_case("pm") => hour + 12,
            (None, Some(12), _) => 0,
            (None, Some(hour), _) => hour,
            (None, None, _) => 0,
        };
        let second = i8::try_from(number('S').unwrap_or(0)).ok()?;
        let minute = i8::try_from(number('M').unwrap_or(0)).ok()?;
        let mut local = DateTime::new(date.year(), date.month(), date.day(), i8::try_from(hour).ok()?, minute, second, 0).ok()?;
        let offset = match part('z').or_else(|| part('Z')) {
            // A zone that nobody knows: no time at all is better than a wrong one.
            Some(zone) => Some(offset_minutes(zone)?),
            None => None,
        };
        // What the zone says counts from here on, also against the present.
        if let Some(minutes) = offset {
            local = local.checked_sub(SignedDuration::from_mins(i64::from(minutes))).ok()?;
        }
        if month.is_none() && day.is_none() && number('j').is_none() && local > now {
            local = local.checked_sub(SignedDuration::from_hours(24)).ok()?;
        } else if year.is_none() && local > now.checked_add(SignedDuration::from_hours(24)).ok()? {
            // The day as it is written, whatever the zone has made of it: so fail2ban has it.
            local = Date::new(date.year() - 1, date.month(), date.day()).ok()?.to_datetime(local.time());
        }
        let zone = if offset.is_some() { &TimeZone::UTC } else { &clock.zone };
        Time::from_nanos(u64::try_from(zone.to_timestamp(local).ok()?.as_nanosecond()).ok()?).into()
    }
}

fn nanos(time: Time) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(time.as_nanos())).ok()
}

fn epoch_pattern(before: &str, long: bool) -> String {
    let digits = if long { r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?" } else { r"\d{10,11}\b(?:\.\d{3,6})?" };
    format!(r"{before}(?P<cut0>{digits})\b{{end-half}}")
}

fn epoch(text: &str, long: bool) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let value: u128 = whole.parse().ok()?;
    let unit: u128 = match whole.len() {
        16.. if long => 1_000,
        13.. if long => 1_000_000,
        _ => 1_000_000_000,
    };
    let part: u128 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").get(..9)?.parse().ok()? };
    u64::try_from(value.checked_mul(unit)? + part * unit / 1_000_000_000).ok().map(Time::from_nanos)
}

fn tai(text: &str) -> Option<Time> {
    // `@4` and 15 digits of seconds; fail2ban takes them as they are, without the leap seconds.
    Some(Time::from_secs(u64::from_str_radix(text.get(2..17)?, 16).ok()?))
}

fn month(name: &str) -> Option<i16> {
    let name = name.get(..3)?.to_ascii_lowercase();
    MONTHS.iter().position(|known| *known == name).map(|at| at as i16 + 1)
}

/// Minutes ahead of UTC, for `Z`, `CEST`, `+0200`, `UTC-03:30`; `None` for a zone that nobody knows.
fn offset_minutes(text: &str) -> Option<i32> {
    let (name, digits) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    let named = match name {
        "" => 0,
        name => ZONES.iter().find(|(_, names)| names.split(' ').any(|known| known == name)).map(|(minutes, _)| *minutes)?,
    };
    let Some(sign) = digits.chars().next() else { return Some(named) };
    let numbers: String = digits.chars().filter(char::is_ascii_digit).collect();
    let hours: i32 = numbers.get(..2)?.parse().ok()?;
    let minutes: i32 = numbers.get(2..).and_then(|minutes| minutes.parse().ok()).unwrap_or(0);
    let minutes = hours * 60 + minutes;
    Some(named + if sign == '-' { -minutes } else { minutes })
}

/// Minutes ahead of UTC and the abbreviations that fail2ban takes for that, whatever the season.
const ZONES: [(i32, &str); 36] = [
    (-720, "Y"),
    (-660, "X NUT SST"),
    (-600, "W CKT HAST HST TAHT TKT"),
    (-570, "MART MIT"),
    (-540, "V AKST GAMT GIT HADT HNY"),
    (-480, "U AKDT CIST HAY HNP PST PT"),
    (-420, "T HAP HNR MST PDT"),
    (-360, "S CST EAST GALT HAR HNC MDT"),
    (-300, "R CDT COT EASST ECT EST ET HAC HNE PET"),
    (-270, "HLV VET"),
    (-240, "Q AST BOT CLT COST EDT FKT GYT HAE HNA PYT"),
    (-210, "HNT NST NT"),
    (-180, "P ADT ART BRT CLST FKST GFT HAA PMST PYST SRT UYT WGT"),
    (-150, "HAT NDT"),
    (-120, "O BRST FNT PMDT UYST WGST"),
    (-60, "N AZOT CVT EGT"),
    (0, "Z EGST GMT UTC WET WT"),
    (60, "A CET DFT WAT WEDT WEST"),
    (120, "B CAT CEDT CEST EET SAST WAST"),
    (180, "C EAT EEDT EEST IDT MSK"),
    (210, "IRST"),
    (240, "D AMT AZT GET GST KUYT MSD MUT RET SAMT SCT"),
    (270, "AFT IRDT"),
    (300, "E AMST AQTT AZST HMT MAWT MVT PKT TFT TJT TMT UZT YEKT"),
    (330, "SLT"),
    (345, "NPT"),
    (360, "F ALMT BIOT BTT IOT KGT NOVT OMST YEKST"),
    (390, "CCT MMT"),
    (420, "G CXT DAVT HOVT ICT KRAT NOVST OMSST THA WIB"),
    (480, "H ACT AWST BDT BNT CAST HKT IRKT KRAST MYT PHT SGT ULAT WITA WST"),
    (540, "I AWDT IRKST JST KST PWT TLT WDT WIT YAKT"),
    (600, "K AEST PGT VLAT YAKST YAPT"),
    (660, "L AEDT LHDT MAGT NCT PONT SBT VLAST VUT"),
    (690, "NFT"),
    (720, "M ANAST ANAT FJT GILT MAGST MHT NZST PETST PETT TVT WFT"),
    (780, "FJST NZDT"),
];

/// A zone as `logtimezone` and `--timezone` write it: `UTC+0200`, `GMT`, `Z`, or a name that the caller looks up.
pub fn fixed_zone(text: &str) -> Option<TimeZone> {
    let text = text.trim();
    let rest = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name))?;
    if !rest.is_empty() && !rest.starts_with(['+', '-']) {
        return None;
    }
    Some(TimeZone::fixed(Offset::from_seconds(offset_minutes(text)? * 60).ok()?))
}

/// What a group with this name holds; names end in a number, so that they can occur again.
fn part(name: &str) -> Option<char> {
    let name = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    match name {
        "cut" => Some('<'),
        "epoch" => Some('e'),
        name => {
            let mut letters = name.chars();
            letters.next().filter(|_| letters.next().is_none())
        }
    }
}

/// A written pattern as ours, and whether letters of either case match.
fn written(text: &str) -> Result<(String, bool), String> {
    let (text, unbound) = text.strip_prefix("{UNB}").map_or((text, false), |text| (text, true));
    let (text, line_begin) = text.strip_prefix(LINE_BEGIN).map_or((text, false), |text| (text, true));
    let (flags, text) = leading_flags(text);
    let (text, caret) = text.strip_prefix('^').map_or((text, false), |text| (text, !line_begin));
    let (text, free_begin) = strip(text, |text| text.strip_prefix("**"));
    let (text, free_end) = strip(text, |text| text.strip_suffix("**"));
    let (text, dollar) = strip(text, |text| text.strip_suffix('$').filter(|text| !text.ends_with('\\')));
    // A pattern that repeats its separator is one for each separator: so it stays linear.
    let separators = separators(text);
    let (mut alternatives, mut insensitive) = (Vec::new(), flags.contains('i'));
    for (number, separator) in separators.iter().enumerate() {
        let text = match separator {
            Some((group, escaped)) => text.replace(group.as_str(), escaped).replace("(?P=_sep)", escaped),
            None => text.to_owned(),
        };
        let mut tokens = Tokens { out: String::new(), next: number * 100, insensitive: false, cut: false };
        tokens.write(&text)?;
        insensitive |= tokens.insensitive;
        let cut = number;
        alternatives.push(if tokens.cut {
            tokens.out.replace("(?P<cut>", &format!("(?P<cut{cut}>"))
        } else {
            format!("(?P<cut{cut}>{})", tokens.out)
        });
    }
    let (begin, end) = bounds(text);
    let before = match (caret, line_begin) {
        (true, _) => "^",
        (_, true) => LINE_BEGIN_PATTERN,
        _ if unbound || free_begin => "",
        _ if begin => r"\b{start-half}",
        _ => NOT_INSIDE,
    };
    let after = match dollar {
        true => "$",
        false if unbound || free_end || text.ends_with(r"\b") || text.ends_with(r"\s") => "",
        false if end => r"\b{end-half}",
        false => NOT_INSIDE,
    };
    let body = match alternatives.as_slice() {
        [one] => one.clone(),
        _ => format!("(?:{})", alternatives.join("|")),
    };
    Ok((format!("{before}{}{after}", python::translate(&body)?), insensitive))
}

fn strip<'t>(text: &'t str, by: impl Fn(&'t str) -> Option<&'t str>) -> (&'t str, bool) {
    by(text).map_or((text, false), |text| (text, true))
}

fn leading_flags(text: &str) -> (&str, &str) {
    let flags = text.strip_prefix("(?").and_then(|rest| rest.split_once(')'));
    match flags {
        Some((flags, rest)) if flags.bytes().all(|b| b.is_ascii_lowercase()) => (flags, rest),
        _ => ("", text),
    }
}

/// The separators of `(?P<_sep>[-/.])…(?P=_sep)`, each with the group it takes the place of; one `None` if there are none.
fn separators(text: &str) -> Vec<Option<(String, String)>> {
    let class = text.split_once("(?P<_sep>[").and_then(|(_, rest)| rest.split_once("])")).map(|(class, _)| class);
    match class {
        Some(class) if class.bytes().all(|b| b.is_ascii_punctuation() && b != b'\\' && b != b'^') => {
            class.chars().map(|letter| Some((format!("(?P<_sep>[{class}])"), format!("\\{letter}")))).collect()
        }
        _ => vec![None],
    }
}

/// No word goes on here. Costs more than the half that is enough where a letter is known to be of a word.
const NOT_INSIDE: &str = r"(?:\b{start-half}|\b{end-half})";

/// Whether the pattern's first and last letter are surely of words.
fn bounds(text: &str) -> (bool, bool) {
    let begin = text.trim_start_matches("(?:").trim_start_matches('(').as_bytes();
    let begin = match begin {
        // A day or an hour of one digit may have a space before it, an offset has its sign.
        [b'%', b'E', b'x', token, ..] => !matches!(token, b'k' | b'l' | b'z'),
        [b'%', token, ..] => !matches!(token, b'd' | b'k' | b'l' | b'z' | b'%'),
        [first, ..] => first.is_ascii_alphanumeric(),
        [] => false,
    };
    let end = text.trim_end_matches(['?', ')']).as_bytes();
    let end = match end {
        [.., b'%', token] => token.is_ascii_alphabetic(),
        [.., b'E', b'x', token] => token.is_ascii_alphabetic(),
        [] | [.., _] => false,
    };
    (begin, end)
}

/// Writes a pattern with groups for its tokens.
struct Tokens {
    out: String,
    next: usize,
    insensitive: bool,
    /// The author says himself what is cut out: his first group.
    cut: bool,
}

impl Tokens {
    fn write(&mut self, text: &str) -> Result<(), String> {
        let (mut rest, mut in_class) = (text, false);
        while let Some(letter) = rest.chars().next() {
            let behind = rest.get(letter.len_utf8()..).unwrap_or_default();
            rest = match letter {
                '\\' => {
                    let length = behind.chars().next().map_or(0, char::len_utf8);
                    self.out.push('\\');
                    self.out.push_str(behind.get(..length).unwrap_or_default());
                    behind.get(length..).unwrap_or_default()
                }
                '[' | ']' => {
                    in_class = letter == '[';
                    self.out.push(letter);
                    behind
                }
                '(' if !in_class && !behind.starts_with('?') && !self.cut => {
                    self.cut = true;
                    self.out.push_str("(?P<cut>");
                    behind
                }
                '%' => self.token(behind)?,
                '{' => {
                    let long = behind.starts_with("LEPOCH}");
                    match behind.strip_prefix("LEPOCH}").or_else(|| behind.strip_prefix("EPOCH}")) {
                        Some(behind) => {
                            let digits = if long { r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?" } else { r"\d{10,11}\b(?:\.\d{3,6})?" };
                            self.group("epoch", digits);
                            behind
                        }
                        None => {
                            self.out.push('{');
                            behind
                        }
                    }
                }
                letter => {
                    self.out.push(letter);
                    behind
                }
            };
        }
        Ok(())
    }

    fn group(&mut self, name: &str, pattern: &str) {
        self.out.push_str(&format!("(?P<{name}{}>{pattern})", self.next));
        self.next += 1;
    }

    /// One `%…`; what is left behind it.
    fn token<'t>(&mut self, rest: &'t str) -> Result<&'t str, String> {
        let (exact, name) = rest.strip_prefix("Ex").map_or((false, rest), |rest| (true, rest));
        let Some(letter) = name.chars().next() else { return Err("a percent sign at the end".to_owned()) };
        let behind = name.get(letter.len_utf8()..).unwrap_or_default();
        const HOUR: &str = r"[0-1]?\d|2[0-3]";
        const SECOND: &str = r"[0-5]?\d|6[0-1]";
        let (name, pattern) = match (exact, letter) {
            (false, '%') => {
                self.out.push('%');
                return Ok(behind);
            }
            (false, 'Y' | 'G') => ("Y", r"\d{4}"),
            // Years that logs can be of.
            (true, 'Y') => ("Y", r"20[0-3]\d"),
            (_, 'y') => ("y", r"\d{2}"),
            (false, 'm') => ("m", r"0?[1-9]|1[0-2]"),
            (true, 'm') => ("m", r"0[1-9]|1[0-2]"),
            (false, 'd') => ("d", r"[1-2]\d|[0 ]?[1-9]|3[0-1]"),
            (true, 'd') => ("d", r"[1-2]\d|0[1-9]|3[0-1]"),
            (false, 'H') => ("H", HOUR),
            (true, 'H') => ("H", r"[0-1]\d|2[0-3]"),
            (_, 'k') => {
                self.out.push_str(" ?");
                ("H", if exact { HOUR } else { r"[0-2]?\d" })
            }
            (false, 'I') => ("I", r"1[0-2]|0[1-9]|[1-9]"),
            (_, 'l') => {
                self.out.push_str(" ?");
                ("I", if exact { r"1[0-2]|\d" } else { r"1?\d" })
            }
            (false, 'M') => ("M", r"[0-5]?\d"),
            (true, 'M') => ("M", r"[0-5]\d"),
            (false, 'S') => ("S", SECOND),
            (true, 'S') => ("S", r"[0-5]\d|6[0-1]"),
            (false, 'f') => ("f", r"[0-9]{1,6}"),
            (false, 'j') => ("j", r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]"),
            (false, 'a') => ("a", "mon|tue|wed|thu|fri|sat|sun"),
            (false, 'A') => ("A", "wednesday|thursday|saturday|tuesday|monday|friday|sunday"),
            (false, 'b') => ("b", "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"),
            (false, 'B') => ("B", "september|february|november|december|january|october|august|march|april|june|july|may"),
            (false, 'p') => ("p", "am|pm"),
            (false, 'z') => ("z", r"Z|UTC|GMT|[+-][01]\d(?::?\d{2})?"),
            (true, 'z') => ("z", r"(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01]\d(?::?\d{2})?|[A-Z](?:[A-Z]{2,4})?"),
            (false, 'Z') => ("Z", "Z|[A-Z]{3,5}"),
            (true, 'Z') => ("Z", "[A-Z](?:[A-Z]{2,4})?"),
            (false, 'U' | 'W' | 'V') => ("U", r"5[0-3]|[0-4]\d|\d"),
            (false, 'w' | 'u') => ("w", "[0-7]"),
            (false, 'x') => return self.write("%m/%d/%y").map(|()| behind),
            (false, 'X') => return self.write("%H:%M:%S").map(|()| behind),
            (false, 'c') => return self.write(r"%a\s+%b\s+%d\s+%H:%M:%S\s+%Y").map(|()| behind),
            _ => return Err(format!("`%{}{letter}` means nothing; a percent sign is written `%%`", if exact { "Ex" } else { "" })),
        };
        self.insensitive |= matches!(name, "a" | "A" | "b" | "B" | "p");
        self.group(name, pattern);
        Ok(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(now: u64) -> Clock {
        Clock { now: Time::from_secs(now), zone: TimeZone::fixed(jiff::tz::offset(1)) }
    }

    /// 21 November 2026, 04:05 UTC.
    const NOW: u64 = 1_795_233_900;

    /// What is left of a line without its date, and the date as UTC.
    fn read(patterns: &str, line: &str) -> Option<(String, String)> {
        let dates = Dates::new(patterns).unwrap();
        let mut scratch = Scratch::default();
        let found = dates.find(line.as_bytes(), &mut scratch)?;
        let time = dates.time(found, line.as_bytes(), &scratch, &clock(NOW)).and_then(nanos);
        Some((format!("{}|{}", &line[..found.start], &line[found.end..]), time.map(|time| time.to_string()).unwrap_or_default()))
    }

    #[test]
    fn default_templates_are_found_and_read() {
        // Each as fail2ban-regex 1.0.2 answers (zone: an hour ahead of UTC).
        for (line, left, time) in [
            ("2026-01-16T21:05:29Z bad", "| bad", "2026-01-16T21:05:29Z"),
            ("[2026/01/16 21:05:29,123] bad", "[|] bad", "2026-01-16T20:05:29Z"),
            ("2026-01-16T21:05:29+0530: bad", "|: bad", "2026-01-16T15:35:29Z"),
            ("Jan 16 21:05:29 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("Fri Jan 16 21:05:29.5 2026 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("Fri Jan 16 2026 21:05:29 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("Dec 24 21:05:29 bad", "| bad", "2025-12-24T20:05:29Z"),
            ("Nov 22 03:05:29 bad", "| bad", "2026-11-22T02:05:29Z"),
            ("<16/01/26 21:05:29> bad", "<|> bad", "2026-01-16T20:05:29Z"),
            ("1.2.3.4 - [16/Jan/2026:21:05:29 +0100] bad", "1.2.3.4 - [|] bad", "2026-01-16T20:05:29Z"),
            ("01/16/2026:21:05:29 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("01-16-2026 21:05:29.252 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("1137362729 bad", "| bad", "2006-01-15T22:05:29Z"),
            ("type=X msg=audit(1137362729.123:55): bad", "type=X msg=audit(|:55): bad", "2006-01-15T22:05:29.123Z"),
            ("23:59:58 bad", "| bad", "2026-11-20T22:59:58Z"),
            ("<01/16/26@21:05:29> bad", "| bad", "2026-01-16T20:05:29Z"),
            ("260116 01:02:03 bad", "| bad", "2026-01-16T00:02:03Z"),
            ("Jan 16, 2026 9:05:29 PM bad", "| bad", "2026-01-16T20:05:29Z"),
            ("Jan-16-26 21:05:29 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("20260116T210529 bad", "| bad", "2026-01-16T20:05:29Z"),
            ("PDT Jan 16 21:05:29 bad", "| bad", "2026-01-17T04:05:29Z"),
            ("CEST Jan 16 21:05:29 bad", "| bad", "2026-01-16T19:05:29Z"),
            ("PDT Dec 31 23:16:12 bad", "| bad", "2025-12-31T06:16:12Z"),
            ("ERROR Jan 16 21:05:29 bad", "| bad", ""),
            ("+02:00 Jan 16 21:05:29 bad", "| bad", "2026-01-16T19:05:29Z"),
            ("@40000000433225833b6e1a8c bad", "| bad", "2005-09-22T03:31:15Z"),
            ("2026-02-31 01:02:03 bad", "| bad", ""),
        ] {
            assert_eq!(read("", line), Some((left.to_owned(), time.to_owned())), "{line}");
        }
        assert_eq!(read("", "bad"), None);
        assert_eq!(read("{^LN-BEG}", "bad at 2026-01-16 21:05:29"), None, "only at the line's beginning");
    }

    #[test]
    fn what_stands_first_is_the_lines_date() {
        let (left, _) = read("", "x 16/Jan/2026:21:05:29 +0100 user Jan 17 01:02:03 2026-01-01 01:02:03").unwrap();
        assert_eq!(left, "x | user Jan 17 01:02:03 2026-01-01 01:02:03");
    }

    #[test]
    fn own_patterns_are_read() {
        for (pattern, line, left, time) in [
            ("%Y:%m:%d-%H:%M:%S", "x 2026:01:16-21:05:29 y", "x | y", "2026-01-16T20:05:29Z"),
            (r"^L %d/%m/%Y - %H:%M:%S", "L 16/01/2026 - 21:05:29: y", "|: y", "2026-01-16T20:05:29Z"),
            (r"^[^\[]*\[({DATE})", "h [16/Jan/2026:21:05:29 +0100] y", "h [|] y", "2026-01-16T20:05:29Z"),
            (r"^[^\[]*(\[{DATE}\s*\])", "h [16/Jan/2026:21:05:29 +0100] y", "h | y", "2026-01-16T20:05:29Z"),
            (r"^<\d+>\d+\s+{DATE}", "<38>1 2026-01-16T21:05:29Z h y", "| h y", "2026-01-16T21:05:29Z"),
            (r"^x\s+{LEPOCH}\|", "x 1137362729123|y", "|y", "2006-01-15T22:05:29.123Z"),
            ("LEPOCH", "[1137362729123456] y", "[|] y", "2006-01-15T22:05:29.123456Z"),
            ("{UNB}x%H:%M", "ax12:30b", "a|b", "2026-11-20T11:30:00Z"),
            (r"\[%Y-%m-%d %H:%M\]", "x[2026-01-16 21:05]y", "x|y", "2026-01-16T20:05:00Z"),
            ("%d/%m/%Y %H:%M", "x 6/01/2026 21:05 y", "x| y", "2026-01-06T20:05:00Z"),
            ("{NONE}", "y", "|y", ""),
            (r"^(%ExY(?P<_sep>[-/.])%m(?P=_sep)%d[T ]%H:%M:%S)\|", "2026/01/16 21:05:29|y", "||y", "2026-01-16T20:05:29Z"),
            ("^I\\(()**", "I(1) y", "I(|1) y", ""),
            ("%d %B %Y %I:%M %p", "16 January 2026 12:05 am y", "| y", "2026-01-15T23:05:00Z"),
        ] {
            assert_eq!(read(pattern, line), Some((left.to_owned(), time.to_owned())), "{pattern} {line}");
        }
        assert_eq!(read("%Y-%m-%d %H:%M", "12026-01-16 21:05"), None, "a word that goes on");
        assert_eq!(read(r"^%H:%M\|", "x12:00|"), None);
        assert!(Dates::new("%Q").unwrap_err().contains("`%Q` means nothing"));
        assert!(Dates::new("(%Y").is_err());
    }

    #[test]
    fn zones_are_fixed_or_somebody_elses() {
        assert_eq!(fixed_zone("UTC+0200"), Some(TimeZone::fixed(jiff::tz::offset(2))));
        assert_eq!(fixed_zone("GMT"), Some(TimeZone::fixed(jiff::tz::offset(0))));
        assert_eq!(fixed_zone("Europe/Zurich"), None);
    }
}
