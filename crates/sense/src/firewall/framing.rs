//! The head of a log line: when, which host, and above all who wrote it.
//! Never believes a name that does not stand in its place: who wrote a line is read from the tag position or from the facility, by position
//! and never by search, as everything behind it can be an attacker's text.

use super::Provenance;
use super::text::{address, number, skip_spaces, until_space, whole, word};
use super::timestamp::Stamps;
use model::time::Time;

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// The kernel.
    Kernel,
    /// Nobody is named, but the form is that of the kernel's own buffer; it can be believed if the text fits.
    Buffer,
    /// pfSense's and OPNsense's filterlog.
    Filterlog,
    /// tcpdump on pf's log interface.
    Tcpdump,
    /// The log daemon, which says that the line before was repeated.
    Repetition,
    /// Any other program, or nobody who can be made out.
    Other,
}

/// A line's head, and what stands behind it.
#[derive(Debug)]
pub(super) struct Head<'l> {
    pub at: Time,
    pub host: &'l [u8],
    pub writer: Writer,
    pub body: &'l [u8],
}

/// What stands at the front of the kernel's own buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Front {
    /// `[  123.456789]`: microseconds since the start.
    Micros(u64),
    /// `[Fri Nov 20 21:17:01 2026]`.
    Date(Time),
}

/// Reads a line's head.
#[inline]
pub(super) fn head<'l>(line: &'l [u8], provenance: Provenance, stamps: &mut Stamps, now: Time) -> Head<'l> {
    if provenance == Provenance::Ulogd {
        return ulogd(line, stamps, now);
    }
    let mut head = match line.first() {
        Some(b'<') => with_priority(line, stamps, now),
        Some(b'0'..=b'9') => digits(line, provenance, stamps, now),
        _ => without_priority(line, provenance, stamps, now),
    };
    head.writer = match (provenance, head.writer) {
        (Provenance::Kernel, Writer::Buffer) => Writer::Kernel,
        (Provenance::Kernel, Writer::Filterlog) => Writer::Other,
        (Provenance::Journal, Writer::Buffer | Writer::Filterlog | Writer::Tcpdump) => Writer::Other,
        (_, writer) => writer,
    };
    head
}

fn other(now: Time, body: &[u8]) -> Head<'_> {
    Head { at: now, host: b"", writer: Writer::Other, body }
}

/// `Nov 20 21:17:01 host record`: nobody but ulogd writes there, and it has no tag.
fn ulogd<'l>(line: &'l [u8], stamps: &mut Stamps, now: Time) -> Head<'l> {
    let Some((at, rest)) = stamps.split(line, now) else { return other(now, line) };
    let (host, body) = word(skip_spaces(rest));
    Head { at, host, writer: Writer::Kernel, body }
}

/// `<4>…`: facility times eight plus severity (RFC 5424 §6.2.1). The kernel's facility is 0.
fn with_priority<'l>(line: &'l [u8], stamps: &mut Stamps, now: Time) -> Head<'l> {
    let Some((priority, rest)) = line.get(1..).and_then(number) else { return other(now, line) };
    let (true, Some(rest)) = (priority < 192, rest.strip_prefix(b">")) else { return other(now, line) };
    let from_kernel = priority < 8;
    let mut head = match rfc5424(rest, stamps, now) {
        Some(head) => head,
        None => match stamps.split(rest, now) {
            Some((at, rest)) => behind_stamp(at, rest),
            None => match front(rest, stamps, now) {
                Some((front, rest)) => behind_front(front, rest, stamps, now),
                None if from_kernel => Head { at: now, host: b"", writer: Writer::Buffer, body: rest },
                None => other(now, rest),
            },
        },
    };
    if !from_kernel && matches!(head.writer, Writer::Kernel | Writer::Buffer) {
        head.writer = Writer::Other;
    }
    head
}

/// A line that starts with a digit: a date, a kernel record, or RFC 5424 without its priority.
fn digits<'l>(line: &'l [u8], provenance: Provenance, stamps: &mut Stamps, now: Time) -> Head<'l> {
    if let Some(head) = kmsg(line, stamps, now).or_else(|| rfc5424(line, stamps, now)) {
        return head;
    }
    without_priority(line, provenance, stamps, now)
}

#[inline]
fn without_priority<'l>(line: &'l [u8], provenance: Provenance, stamps: &mut Stamps, now: Time) -> Head<'l> {
    if let Some((at, rest)) = stamps.split(line, now) {
        return behind_stamp(at, rest);
    }
    if let Some((front, rest)) = front(line, stamps, now) {
        return behind_front(front, rest, stamps, now);
    }
    if let Some((from_kernel, rest)) = facility_columns(line) {
        let (front, rest) = front(rest, stamps, now).unwrap_or((Front::Date(now), rest));
        let writer = if from_kernel { Writer::Buffer } else { Writer::Other };
        return Head { at: at(front, stamps, now), host: b"", writer, body: rest };
    }
    // Without any head a line is only what it starts with.
    let writer = if line.starts_with(b"rule ") {
        Writer::Tcpdump
    } else if line.starts_with(b"IN=") || provenance == Provenance::Kernel {
        Writer::Buffer
    } else {
        Writer::Other
    };
    Head { at: now, host: b"", writer, body: line }
}

fn at(front: Front, stamps: &Stamps, now: Time) -> Time {
    match front {
        Front::Micros(micros) => stamps.since_boot(micros, now),
        Front::Date(at) => at,
    }
}

/// What follows a date: `host tag: message`, and its relatives.
#[inline]
fn behind_stamp(at: Time, rest: &[u8]) -> Head<'_> {
    let head = |host, writer, body| Head { at, host, writer, body };
    let Some(rest) = rest.strip_prefix(b" ") else { return head(b"", Writer::Other, rest) };
    let rest = skip_spaces(rest);
    if rest.starts_with(b"rule ") {
        return head(b"", Writer::Tcpdump, rest);
    }
    let (first, behind) = word(rest);
    // metalog: `[kernel] …`, without a host. A host in brackets is an address, maybe with a zone: a name there is a program's (syslog-ng and rsyslog
    // write a host's without brackets), and what follows it is that program's text.
    if let Some(name) = first.strip_prefix(b"[").and_then(|inside| inside.strip_suffix(b"]"))
        && address(name.split(|byte| *byte == b'%').next().unwrap_or(name)).is_none()
    {
        return head(b"", if name == b"kernel" { Writer::Kernel } else { Writer::Other }, behind);
    }
    if let Some(body) = behind.strip_prefix(b"kernel:")
        && !first.ends_with(b":")
        && facility(first).is_none()
    {
        return head(first, Writer::Kernel, skip_spaces(body));
    }
    // OpenWrt: `kern.warn kernel: …`, without a host.
    if let Some(from_kernel) = facility(first) {
        let (writer, body) = tag(behind);
        return head(b"", if writer == Writer::Kernel && !from_kernel { Writer::Other } else { writer }, body);
    }
    if first == b"kernel:" {
        // Some routers leave the host out. Then the kernel's text follows at once; a host that calls itself `kernel:` has a tag there.
        let (_, body) = stamped(behind);
        let untagged = body.len() < behind.len() || !body.starts_with(b"kernel:") && memchr::memchr(b':', prefix_of(body)).is_none();
        return head(b"", if untagged { Writer::Kernel } else { Writer::Other }, behind);
    }
    // Where the host is left out, its place has the tag, and all behind it is that program's text.
    if first.ends_with(b":") {
        return head(b"", Writer::Other, rest);
    }
    // BusyBox: `host kern.warn kernel: …`.
    let (second, behind_second) = until_space(behind);
    if let Some(from_kernel) = facility(second) {
        let (writer, body) = tag(skip_spaces(behind_second));
        return head(first, if writer == Writer::Kernel && !from_kernel { Writer::Other } else { writer }, body);
    }
    let (writer, body) = tag(behind);
    head(first, writer, body)
}

/// The text before the first record.
fn prefix_of(body: &[u8]) -> &[u8] {
    super::netfilter::find(body).map_or(body, |start| start.before)
}

/// Reads the tag position: who wrote the line, and the message.
#[inline]
fn tag(text: &[u8]) -> (Writer, &[u8]) {
    if let Some(body) = text.strip_prefix(b"kernel:") {
        return (Writer::Kernel, skip_spaces(body));
    }
    if is_repetition(text) {
        return (Writer::Repetition, text);
    }
    let name = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let (name, rest) = text.split_at(name);
    let rest = match rest.strip_prefix(b"[").and_then(number) {
        Some((_, behind)) => behind.strip_prefix(b"]:"),
        None => rest.strip_prefix(b":"),
    };
    match (name, rest.map(skip_spaces)) {
        (b"filterlog", Some(body)) => (Writer::Filterlog, body),
        (b"pf" | b"pflog" | b"pflogd", Some(body)) => (Writer::Tcpdump, body),
        (b"syslogd" | b"rsyslogd", Some(body)) if is_repetition(body) => (Writer::Repetition, body),
        _ => (Writer::Other, text),
    }
}

fn is_repetition(text: &[u8]) -> bool {
    text.strip_prefix(b"--- ").unwrap_or(text).starts_with(b"last message repeated ")
}

/// `kern.warn`: whether the facility is the kernel's; `None` if the word has no such form.
#[inline]
fn facility(word: &[u8]) -> Option<bool> {
    let dot = word.iter().position(|byte| *byte == b'.')?;
    let (facility, level) = word.split_at(dot);
    let levels: [&[u8]; 12] =
        [b".emerg", b".panic", b".alert", b".crit", b".err", b".error", b".warn", b".warning", b".notice", b".info", b".debug", b".none"];
    levels.contains(&level).then_some(facility == b"kern")
}

/// `1 2026-11-20T21:17:01.003Z host kernel - - - message` (RFC 5424 §6), the priority already taken off.
fn rfc5424<'l>(text: &'l [u8], stamps: &mut Stamps, now: Time) -> Option<Head<'l>> {
    let rest = text.strip_prefix(b"1 ")?;
    let (at, rest) = match rest.strip_prefix(b"- ") {
        Some(rest) => (now, rest),
        None => {
            let (at, rest) = stamps.split(rest, now)?;
            (at, rest.strip_prefix(b" ")?)
        }
    };
    let mut fields = [b"".as_slice(); 4];
    let mut rest = rest;
    for field in &mut fields {
        let (value, behind) = until_space(rest);
        *field = value;
        rest = behind.strip_prefix(b" ")?;
    }
    let [host, application, process, _message_id] = fields;
    let body = skip_spaces(behind_structured_data(rest)?);
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let writer = match application {
        b"kernel" if process == b"-" => Writer::Kernel,
        b"filterlog" => Writer::Filterlog,
        b"pf" | b"pflog" | b"pflogd" => Writer::Tcpdump,
        _ => Writer::Other,
    };
    Some(Head { at, host, writer, body })
}

/// `-`, or `[id name="value" …]` once or more; quotes and brackets in values are escaped (RFC 5424 §6.3.3).
fn behind_structured_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return matches!(rest.first(), None | Some(b' ')).then_some(rest);
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix(b"[") {
        let mut quoted = false;
        let mut at = 0;
        loop {
            match element.get(at)? {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        rest = element.get(at + 1..)?;
    }
    (rest.len() < text.len() && matches!(rest.first(), None | Some(b' '))).then_some(rest)
}

/// `4,1234,5678901,-;message` (Documentation/ABI/testing/dev-kmsg): priority, number, microseconds since the start.
/// User space can write there too, but never with facility 0.
fn kmsg<'l>(line: &'l [u8], stamps: &Stamps, now: Time) -> Option<Head<'l>> {
    let (priority, rest) = number(line)?;
    let (_, rest) = long_number(rest.strip_prefix(b",")?)?;
    let (micros, rest) = long_number(rest.strip_prefix(b",")?)?;
    let rest = rest.strip_prefix(b",")?;
    let body = rest.get(memchr::memchr(b';', rest)? + 1..)?;
    let writer = if priority < 8 { Writer::Buffer } else { Writer::Other };
    Some(Head { at: stamps.since_boot(micros, now), host: b"", writer, body })
}

/// A number that may need 64 bits; longer ones are refused.
fn long_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut length) = (0_u64, 0);
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    // Nineteen digits always fit.
    if !(1..=19).contains(&length) { None } else { Some((value, text.get(length..)?)) }
}

/// `kern  :warn  : `, as `dmesg -x` writes it.
fn facility_columns(line: &[u8]) -> Option<(bool, &[u8])> {
    let (columns, rest) = line.split_at_checked(15)?;
    let (facility, level) = columns.split_at_checked(7)?;
    let level = level.strip_suffix(b": ")?;
    let name = facility.strip_suffix(b":")?.trim_ascii_end();
    let words = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_lowercase);
    (words(name) && words(level.trim_ascii_end())).then_some((name == b"kern", rest))
}

/// `[  123.456789] `, `[Fri Nov 20 21:17:01 2026] `.
fn front<'l>(text: &'l [u8], stamps: &mut Stamps, now: Time) -> Option<(Front, &'l [u8])> {
    if let (Some(micros), rest) = stamped(text) {
        return Some((Front::Micros(micros), rest));
    }
    let (at, rest) = stamps.split(text.strip_prefix(b"[")?, now)?;
    Some((Front::Date(at), skip_spaces(rest.strip_prefix(b"]")?)))
}

/// What follows a stamp of the kernel's buffer: its text, or in the journal's monotonic form a host and a tag.
fn behind_front<'l>(front: Front, rest: &'l [u8], stamps: &Stamps, now: Time) -> Head<'l> {
    let at = at(front, stamps, now);
    let (first, behind) = word(rest);
    match behind.strip_prefix(b"kernel:") {
        Some(body) if !first.is_empty() && !first.ends_with(b":") => {
            Head { at, host: first, writer: Writer::Kernel, body: skip_spaces(body) }
        }
        _ => Head { at, host: b"", writer: Writer::Buffer, body: rest },
    }
}

/// Takes `[  123.456789]` off the front, with the caller's number (`[  T123]`) that some kernels put behind it.
#[inline]
pub(super) fn stamped(text: &[u8]) -> (Option<u64>, &[u8]) {
    let read = || {
        let inside = skip_spaces(text.strip_prefix(b"[")?);
        let (mut digits, mut point, mut value) = (0, None, 0_u64);
        for (at, byte) in inside.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                    digits += 1;
                }
                b'.' if point.is_none() && at > 0 => point = Some(at),
                // Nineteen digits always fit 64 bits.
                b']' if digits <= 19 => return Some((micros(value, at - point? - 1)?, inside.get(at + 1..)?)),
                _ => return None,
            }
        }
        None
    };
    match read() {
        Some((micros, rest)) => (Some(micros), skip_spaces(behind_caller(rest))),
        None => (None, text),
    }
}

/// The microseconds in a number with so many places behind the point.
fn micros(value: u64, places: usize) -> Option<u64> {
    let places = u32::try_from(places).ok()?;
    match places {
        0 => None,
        1..=6 => Some(value.saturating_mul(10_u64.pow(6 - places))),
        _ => Some(value / 10_u64.checked_pow(places - 6)?),
    }
}

fn behind_caller(text: &[u8]) -> &[u8] {
    let read = || {
        let inside = skip_spaces(text.strip_prefix(b"[")?);
        let end = inside.iter().position(|byte| *byte == b']')?;
        let (caller, rest) = inside.split_at(end);
        whole::<u32>(caller.strip_prefix(b"T").or_else(|| caller.strip_prefix(b"C"))?)?;
        rest.strip_prefix(b"]")
    };
    read().unwrap_or(text)
}
