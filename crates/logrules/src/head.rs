//! A log line's head: time, host, program, process number, by their places. Never searches for a head further on in the line, where the text
//! may be an attacker's.

use model::time::Time;

/// A stamp that is further ahead of the reader's clock than this is not believed.
const AHEAD_SECS: i64 = 60;
/// Nor one that is older than this.
const PAST_SECS: i64 = 366 * 86_400;
/// A program's name is no longer.
const PROGRAM_BYTES: usize = 128;
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// How a line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// With nothing that is known: an application's own file, or the message alone.
    #[default]
    Bare,
    /// `Nov 21 03:04:05 host program[pid]: message`, and what BusyBox, FreeBSD and metalog make of it.
    Classic,
    /// `2026-11-21T03:04:05.123456+01:00 host program[pid]: message`: rsyslog, `journalctl -o short-iso`.
    Iso,
    /// RFC 5424.
    Structured,
}

/// What a line's head says. All texts are parts of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head<'a> {
    /// How the line begins.
    pub form: Form,
    /// Its time as it is written.
    pub stamp: &'a [u8],
    /// The host that wrote it.
    pub host: Option<&'a [u8]>,
    /// The program that wrote it: `sshd`, `postfix/smtpd`; of a path the last part.
    pub program: Option<&'a [u8]>,
    /// Its process number, or what else stood in brackets.
    pub pid: Option<&'a [u8]>,
    /// Where the message begins.
    pub message: usize,
}

impl<'a> Head<'a> {
    /// Reads it. What is no head belongs to the message.
    pub fn of(line: &'a [u8]) -> Head<'a> {
        let rest = priority(line);
        match rest.first() {
            Some(b'1') if rest.len() < line.len() && rest.get(1) == Some(&b' ') => structured(line, rest.get(2..).unwrap_or_default()),
            // 23:59:59 has its colons where only a time of day has them: most bare lines end here.
            Some(b'A'..=b'Z') => classic(line, rest),
            Some(b'0'..=b'9') => iso(line, rest),
            Some(b'@') => external(line, rest),
            Some(b'a'..=b'z') => socklog(line, rest),
            _ => None,
        }
        .unwrap_or_default()
    }

    /// The message of this line.
    pub fn message<'l>(&self, line: &'l [u8]) -> &'l [u8] {
        line.get(self.message..).unwrap_or_default().trim_ascii()
    }

    /// The stamp's time if it is complete (year and zone), no minute ahead of `now` and no year old. A stamp without year or zone says too
    /// little: the caller goes by when the line was read.
    pub fn time(&self, now: Time) -> Option<Time> {
        match self.form {
            Form::Iso | Form::Structured => complete(self.stamp, now),
            Form::Bare | Form::Classic => None,
        }
    }
}

/// What follows `<38>`.
fn priority(line: &[u8]) -> &[u8] {
    let [b'<', rest @ ..] = line else { return line };
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    match rest.split_at_checked(digits) {
        Some((digits, [b'>', rest @ ..])) if !digits.is_empty() && digits.len() < 4 => rest,
        _ => line,
    }
}

/// Splits at a space. It is some bytes ahead: looking at them one by one is faster than `memchr`.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn is_clock(text: &[u8]) -> bool {
    let d = |byte: &u8| byte.is_ascii_digit();
    matches!(text, [a, b, b':', c, e, b':', f, g, rest @ ..] if d(a) && d(b) && d(c) && d(e) && d(f) && d(g)
        && (rest.is_empty() || matches!(rest, [b'.' | b',', digits @ ..] if digits.len() < 10 && digits.iter().all(d))))
}

/// `Nov 21 03:04:05 host program[pid]: message`. Without a program the line is known for syslog's all the same.
fn classic<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let name = text.first_chunk::<3>()?;
    // OpenWrt: `Sat Nov 21 03:04:05 2026 auth.info sshd[1]: message`.
    let openwrt = WEEKDAYS.contains(&name);
    let date = if openwrt { text.get(4..)? } else { text };
    let (month, rest) = word(date)?;
    if month.len() != 3 || !month.first_chunk().is_some_and(|name| MONTHS.contains(&name)) {
        return None;
    }
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let (day, rest) = word(rest)?;
    if !matches!(day, [b'0'..=b'9'] | [b'0'..=b'3', b'0'..=b'9']) {
        return None;
    }
    let (first, mut rest) = word(rest)?;
    // Some Cisco and rsyslog templates put the year before the time, OpenWrt behind.
    let mut clock = first;
    if first.len() == 4 && first.iter().all(u8::is_ascii_digit) {
        (clock, rest) = word(rest)?;
    }
    if !is_clock(clock) {
        return None;
    }
    if openwrt {
        let (year, behind) = word(rest)?;
        let (facility, behind) = word(behind)?;
        // vsftpd's own file begins with the same time and goes on differently.
        if year.len() != 4 || !year.iter().all(u8::is_ascii_digit) || !is_facility(facility) {
            return None;
        }
        rest = behind;
    }
    let stamp = line.get(line.len() - text.len()..line.len() - rest.len() - 1)?;
    // FreeBSD's `syslogd -v`: `Nov 21 03:04:05 <auth.info> host sshd[1]: message`.
    if let [b'<', ..] = rest
        && let Some((mark, behind)) = word(rest)
        && mark.ends_with(b">")
    {
        rest = behind;
    }
    let head = Head { form: Form::Classic, stamp, message: line.len() - rest.len(), ..Head::default() };
    Some(tagged(line, rest, head).unwrap_or(head))
}

/// BusyBox writes facility and level before the program: `auth.info`.
fn is_facility(text: &[u8]) -> bool {
    const LEVELS: [&[u8]; 8] = [b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug"];
    text.iter()
        .position(|byte| *byte == b'.')
        .and_then(|dot| Some((text.get(..dot)?, text.get(dot + 1..)?)))
        .is_some_and(|(facility, level)| facility.iter().all(u8::is_ascii_alphanumeric) && LEVELS.contains(&level))
}

/// `host program[pid]: message`, or the same without the host.
fn tagged<'a>(line: &'a [u8], text: &'a [u8], head: Head<'a>) -> Option<Head<'a>> {
    let named = |text: &'a [u8], head| cisco(line, text, head).or_else(|| tag(line, text, head));
    if let Some(head) = named(text, head) {
        return Some(head);
    }
    let (host, rest) = word(text)?;
    if host.is_empty() {
        return None;
    }
    let head = Head { host: Some(host), ..head };
    named(rest, head).or_else(|| match word(rest) {
        Some((facility, behind)) if is_facility(facility) => named(behind, head).or_else(|| topics(line, behind, head)),
        _ => topics(line, rest, head),
    })
}

/// MikroTik's `system,error,critical message`.
fn topics<'a>(line: &'a [u8], text: &'a [u8], head: Head<'a>) -> Option<Head<'a>> {
    let (name, message) = word(text)?;
    let are_topics = name.contains(&b',') && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b',');
    are_topics.then(|| found(line, name, None, message, head)).flatten()
}

/// Cisco's `%SEC_LOGIN-4-LOGIN_FAILED: message`, behind its own number and time: `123: *Nov 21 03:04:05.123 UTC: %…`.
fn cisco<'a>(line: &'a [u8], text: &'a [u8], head: Head<'a>) -> Option<Head<'a>> {
    if !matches!(text.first(), Some(b'0'..=b'9' | b'*' | b'.' | b':' | b'%')) {
        return None;
    }
    let rest = text.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest.get(digits..)?;
    let rest = rest.strip_prefix(b": ").unwrap_or(rest);
    let rest = rest.strip_prefix(b"*").or_else(|| rest.strip_prefix(b".")).unwrap_or(rest);
    let rest = match rest.first_chunk::<3>() {
        Some(name) if MONTHS.contains(&name) => rest.get(rest.windows(2).take(40).position(|pair| pair == b": ")? + 2..)?,
        _ => rest,
    };
    let name = rest.iter().take(PROGRAM_BYTES).position(|byte| *byte == b':').and_then(|end| rest.get(..end))?;
    let is_one = name.starts_with(b"%") && name.iter().skip(1).all(|byte| is_name(*byte));
    let message = rest.get(name.len() + 1..)?.strip_prefix(b" ")?;
    is_one.then(|| found(line, name, None, message, head)).flatten()
}

/// `program[pid]: message`, `program: message`, metalog's `[program] message`.
#[inline]
fn tag<'a>(line: &'a [u8], text: &'a [u8], head: Head<'a>) -> Option<Head<'a>> {
    if head.form == Form::Classic
        && let [b'[', rest @ ..] = text
    {
        let end = rest.iter().take(PROGRAM_BYTES).position(|byte| !is_name(*byte))?;
        let message = rest.get(end..)?.strip_prefix(b"] ")?;
        return found(line, rest.get(..end)?, None, message, head);
    }
    let end = text.iter().take(PROGRAM_BYTES).position(|byte| !is_name(*byte))?;
    let (name, rest) = text.split_at_checked(end)?;
    // `auth-worker(123):` and `sshd(pam_unix)[123]:`.
    let rest = match rest {
        [b'(', inner @ ..] => {
            let close = inner.iter().take(PROGRAM_BYTES).position(|byte| !is_name(*byte))?;
            inner.get(close..)?.strip_prefix(b")")?
        }
        rest => rest,
    };
    let (pid, rest) = match rest {
        [b'[', inner @ ..] => {
            let close = inner.iter().take(32).position(|byte| *byte == b']')?;
            (inner.get(..close), inner.get(close + 1..)?)
        }
        rest => (None, rest),
    };
    let message = rest.strip_prefix(b":")?;
    // `12:34` is no program, nor is an address with a port.
    let message = if message.is_empty() { message } else { message.strip_prefix(b" ")? };
    found(line, name, pid, message, head)
}

const fn is_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'@' | b'+')
}

fn found<'a>(line: &'a [u8], name: &'a [u8], pid: Option<&'a [u8]>, message: &'a [u8], head: Head<'a>) -> Option<Head<'a>> {
    let (pid, message) = marked(pid, message);
    (!name.is_empty()).then(|| Head { program: Some(last_part(name)), pid, message: line.len() - message.len(), ..head })
}

/// What some systems put before the message: Solaris `[ID 800047 auth.info] `, Cygwin `PID 2088: `.
fn marked<'a>(pid: Option<&'a [u8]>, message: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    let digits = |text: &'a [u8]| text.split_at(text.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count());
    if let Some(rest) = message.strip_prefix(b"[ID ") {
        let (id, rest) = digits(rest);
        let close = rest.iter().take(24).position(|byte| *byte == b']').unwrap_or(0);
        let facility = rest.get(1..close).is_some_and(is_facility);
        if let Some(rest) = rest.get(close + 1..).and_then(|rest| rest.strip_prefix(b" ")).filter(|_| !id.is_empty() && facility) {
            return (pid, rest);
        }
    }
    if let (None, Some(rest)) = (pid, message.strip_prefix(b"PID ")) {
        let (number, rest) = digits(rest);
        if let Some(rest) = rest.strip_prefix(b": ").filter(|_| !number.is_empty()) {
            return (Some(number), rest);
        }
    }
    (pid, message)
}

/// `/usr/sbin/sshd` is `sshd`; `postfix/smtpd` stays.
fn last_part(name: &[u8]) -> &[u8] {
    match name {
        [b'/', ..] => name.rsplit(|byte| *byte == b'/').next().unwrap_or(name),
        _ => name,
    }
}

/// Without program and colon it is an application's own line, which begins alike: MySQL's, for one.
fn iso<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b'_' | b' ', ..] = text else { return None };
    if text.get(10) == Some(&b' ') {
        return spaced(line, text);
    }
    let (stamp, rest) = word(text)?;
    // What ends in a colon is an application's: `2026-11-21T03:04:05Z: Failed Login: …`.
    if !is_clock(stamp.get(11..19)?) || !stamp.last().is_some_and(|last| last.is_ascii_digit() || *last == b'Z') {
        return None;
    }
    if stamp.get(10) == Some(&b'_') {
        return socklog(line, rest);
    }
    let head = Head { form: Form::Iso, stamp, ..Head::default() };
    tagged(line, rest, head)
}

/// `2026-11-21 03:04:05 host sshd[1]: message`, also with a zone and two spaces (macOS). Many applications begin their own lines so: only a
/// program with its number makes it syslog's.
fn spaced<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let (stamp, rest) = text.split_at_checked(11 + memchr::memchr(b' ', text.get(11..)?)?)?;
    if !is_clock(stamp.get(11..19)?) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (_, program) = word(rest)?;
    let open = program.iter().take(PROGRAM_BYTES).position(|byte| !is_name(*byte))?;
    let digits = program.get(open + 1..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let numbered = program.get(open) == Some(&b'[') && digits > 0 && program.get(open + 1 + digits..)?.starts_with(b"]: ");
    numbered.then(|| tagged(line, rest, Head { form: Form::Iso, stamp, ..Head::default() })).flatten()
}

/// svlogd's `2026-11-21_03:04:05.12345 auth.info: Nov 21 03:04:05 sshd[1]: message`.
fn socklog<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let (facility, rest) = word(text)?;
    if is_facility(facility.strip_suffix(b":")?) { classic(line, rest) } else { None }
}

/// multilog's `@400000006740a1b20c1d2e3f` before any of the others.
fn external<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let (stamp, rest) = word(text)?;
    if stamp.len() != 25 || !stamp.iter().skip(1).all(u8::is_ascii_hexdigit) {
        return None;
    }
    let (facility, inner) = word(rest)?;
    let inner = if facility.strip_suffix(b":").is_some_and(is_facility) { inner } else { rest };
    let head = Head { stamp, message: line.len() - inner.len(), ..Head::default() };
    classic(line, inner).or_else(|| tagged(line, inner, Head { form: Form::Classic, ..head })).or(Some(head))
}

/// Behind `<38>1 `: `time host program pid msgid [data] message`.
fn structured<'a>(line: &'a [u8], text: &'a [u8]) -> Option<Head<'a>> {
    let (stamp, rest) = word(text)?;
    let (host, rest) = word(rest)?;
    let (program, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_id, rest) = word(rest)?;
    let rest = after_data(rest)?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
    let given = |text: &'a [u8]| (text != b"-" && !text.is_empty()).then_some(text);
    Some(Head {
        form: Form::Structured,
        stamp,
        host: given(host),
        program: given(program).map(last_part),
        pid: given(pid),
        message: line.len() - rest.len(),
    })
}

/// What follows the structured data: `-`, or `[id name="value" …]…` with `\"`, `\\` and `\]` escaped.
fn after_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let (mut quoted, mut inside, mut bytes) = (false, false, text.iter().enumerate());
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => drop(bytes.next()),
            b'"' if inside => quoted = !quoted,
            b'[' if !quoted && !inside => inside = true,
            b']' if !quoted && inside => inside = false,
            _ if !inside => return (place > 0).then(|| text.get(place..)).flatten(),
            _ => {}
        }
    }
    (!inside && !text.is_empty()).then_some(&[])
}

/// `2026-11-21T03:04:05.123456+01:00`, `…Z`, `…+0100`.
fn complete(stamp: &[u8], now: Time) -> Option<Time> {
    let text = std::str::from_utf8(stamp).ok()?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix(['.', ',']).map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let tens = 10_i64.pow(9 - u32::try_from(digits.min(9)).ok()?);
    let nanos = if digits == 0 { 0 } else { rest.get(1..1 + digits.min(9))?.parse::<i64>().ok()? * tens };
    let zone = rest.get(if digits == 0 { 0 } else { 1 + digits }..)?;
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] | [sign @ (b'+' | b'-'), a, b, c, d]
            if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) =>
        {
            let minutes = i64::from(a - b'0') * 600 + i64::from(b - b'0') * 60 + i64::from(c - b'0') * 10 + i64::from(d - b'0');
            minutes * if *sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    let present = i64::try_from(now.as_secs()).ok()?;
    if seconds > present + AHEAD_SECS || seconds < present - PAST_SECS {
        return None;
    }
    u64::try_from(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?).ok().map(Time::from_nanos)
}

/// The number of a day since 1 January 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Line, program, pid, host, message.
    const HEADS: &[(&str, &str, &str, &str, &str)] = &[
        ("Nov 21 03:04:05 box sshd[123]: a b", "sshd", "123", "box", "a b"),
        ("Nov  1 03:04:05 box sshd[123]: a", "sshd", "123", "box", "a"),
        ("Nov 1 03:04:05 box CRON[9]: (root) CMD (x)", "CRON", "9", "box", "(root) CMD (x)"),
        ("Nov 21 03:04:05 box su: a", "su", "", "box", "a"),
        ("Nov 21 03:04:05.123456 box su: a", "su", "", "box", "a"),
        ("Nov 21 2026 03:04:05 box su: a", "su", "", "box", "a"),
        ("Nov 21 03:04:05 2001:db8::1 postfix/smtpd[7]: a", "postfix/smtpd", "7", "2001:db8::1", "a"),
        ("Nov 21 03:04:05 box /usr/sbin/sshd[7]: a", "sshd", "7", "box", "a"),
        ("Nov 21 03:04:05 box sshd(pam_unix)[7]: a", "sshd", "7", "box", "a"),
        ("Nov 21 03:04:05 auth-worker(7): Info: a", "auth-worker", "", "", "Info: a"),
        ("Nov 21 03:04:05 sshd[7]: a", "sshd", "7", "", "a"),
        ("Nov 21 03:04:05 [sshd] a", "sshd", "", "", "a"),
        ("Nov 21 03:04:05 box auth.info sshd[7]: a", "sshd", "7", "box", "a"),
        ("Nov 21 03:04:05 <auth.info> box sshd[7]: a", "sshd", "7", "box", "a"),
        ("Sat Nov 21 03:04:05 2026 authpriv.warn dropbear[7]: a", "dropbear", "7", "", "a"),
        ("<38>Nov 21 03:04:05 box sshd[7]: a", "sshd", "7", "box", "a"),
        ("2026-11-21T03:04:05.123456+01:00 box sshd-session[7]: a", "sshd-session", "7", "box", "a"),
        ("2026-11-21T03:04:05+0000 box systemd[1]: a", "systemd", "1", "box", "a"),
        ("<38>1 2026-11-21T03:04:05Z box sshd 7 - - a", "sshd", "7", "box", "a"),
        ("<38>1 2026-11-21T03:04:05Z - sshd - ID1 [x y=\"a\\\"] b\"][z] \u{feff}a b", "sshd", "", "", "a b"),
        ("@400000006740a1b20c1d2e3f sshd[7]: a", "sshd", "7", "", "a"),
        ("@400000006740a1b20c1d2e3f auth.info: Nov 21 03:04:05 sshd[7]: a", "sshd", "7", "", "a"),
        ("2026-11-21_03:04:05.12345 auth.info: Nov 21 03:04:05 sshd[7]: a", "sshd", "7", "", "a"),
        ("Nov 21 03:04:05 box last message repeated 2 times", "", "", "", "box last message repeated 2 times"),
        ("Nov 21 03:04:05 box sshd[7]: [ID 800047 auth.info] a", "sshd", "7", "box", "a"),
        ("Nov 21 03:04:05 box sshd[7]: [ID x auth.info] a", "sshd", "7", "box", "[ID x auth.info] a"),
        ("Nov 21 03:04:05 box sshd: PID 2088: a", "sshd", "2088", "box", "a"),
        ("2026-11-21 03:04:05 box sshd[7]: a", "sshd", "7", "box", "a"),
        ("2026-11-21 03:04:05.123456+0100  box sshd[7]: a", "sshd", "7", "box", "a"),
        ("auth.info: Nov 21 03:04:05 sshd[7]: a", "sshd", "7", "", "a"),
        ("Nov 21 03:04:05 fw : %ASA-6-605004: a", "%ASA-6-605004", "", "fw", "a"),
        ("Nov 21 03:04:05 fw %ASA-6-605004: a", "%ASA-6-605004", "", "fw", "a"),
        (
            "<189>Nov 21 03:04:05 rtr 123: *Nov 21 03:04:05.123 UTC: %SEC_LOGIN-4-LOGIN_FAILED: a",
            "%SEC_LOGIN-4-LOGIN_FAILED",
            "",
            "rtr",
            "a",
        ),
        ("Nov 21 03:04:05 rtr system,error,critical a b", "system,error,critical", "", "rtr", "a b"),
        ("Nov 21 03:04:05 rtr 123: a", "123", "", "rtr", "a"),
        ("@400000006740a1b20c1d2e3f a b", "", "", "", "a b"),
        // No heads.
        ("192.0.2.1 - - [21/Nov/2026:03:04:05 +0000] \"GET /\"", "", "", "", "192.0.2.1 - - [21/Nov/2026:03:04:05 +0000] \"GET /\""),
        ("2026-11-21T03:04:05.123456Z 12 [Note] Access denied", "", "", "", "2026-11-21T03:04:05.123456Z 12 [Note] Access denied"),
        ("2026-11-21T03:04:05Z: Failed Login: a", "", "", "", "2026-11-21T03:04:05Z: Failed Login: a"),
        ("2026-11-21 03:04:05 TLS Error: a", "", "", "", "2026-11-21 03:04:05 TLS Error: a"),
        ("Sat Nov 21 03:04:05 2026 [pid 3] CONNECT", "", "", "", "Sat Nov 21 03:04:05 2026 [pid 3] CONNECT"),
        ("Failed password for Nov 21 03:04:05 box sshd[7]: a", "", "", "", "Failed password for Nov 21 03:04:05 box sshd[7]: a"),
        ("<38>", "", "", "", "<38>"),
        ("", "", "", "", ""),
        ("Nov", "", "", "", "Nov"),
        ("<38>1 ", "", "", "", "<38>1"),
    ];

    #[test]
    fn every_form_is_read_by_its_places() {
        for (line, program, pid, host, message) in HEADS {
            let head = Head::of(line.as_bytes());
            let text = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned();
            assert_eq!(text(head.program), *program, "{line}");
            assert_eq!(text(head.pid), *pid, "{line}");
            assert_eq!(text(head.host), *host, "{line}");
            assert_eq!(text(Some(head.message(line.as_bytes()))), *message, "{line}");
        }
    }

    #[test]
    fn a_head_inside_the_message_is_text() {
        let line = b"Nov 21 03:04:05 box app[1]: x sshd[2]: Failed password for root from 192.0.2.1 port 22 ssh2";
        assert_eq!(Head::of(line).program, Some(&b"app"[..]));
        let head = Head::of(b"Nov 21 03:04:05 box user said sshd[2]: Failed");
        assert_eq!(head.program, None, "a program's name follows the host, or there is none");
    }

    #[test]
    fn only_a_complete_and_plausible_time_is_believed() {
        let now = Time::from_secs(1_795_229_045);
        let time = |line: &'static str| Head::of(line.as_bytes()).time(now).map(|time| time.as_nanos());
        assert_eq!(time("2026-11-21T03:44:05.5+01:00 box su: a"), Some(1_795_229_045_500_000_000));
        assert_eq!(time("<1>1 2026-11-21T02:44:05Z box su - - - a"), Some(1_795_229_045_000_000_000));
        assert_eq!(time("2026-11-20T21:44:05-0500 box su: a"), Some(1_795_229_045_000_000_000));
        assert_eq!(time("2026-11-21T02:45:06Z box su: a"), None, "ahead by more than a minute");
        assert_eq!(time("2025-11-19T02:45:06Z box su: a"), None, "older than a year");
        assert_eq!(time("2026-11-21T02:44:05 box su: a"), None, "in which zone?");
        assert_eq!(time("Nov 21 02:44:05 box su: a"), None, "of which year?");
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in "(<[0-9]{1,3}>)?(1 )?(Nov 21 03:04:05|2026-11-21T03:04:05Z|@40)?[ -~]{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for line in [line.as_bytes(), &bytes] {
                let head = Head::of(line);
                prop_assert!(head.message <= line.len());
                let _ = head.time(Time::EPOCH);
            }
        }
    }
}
