//! The head of a line: date, host, program. Found by fixed places, as OSSEC does it; never fails, at worst there is no head.

use super::event::Event;
use crate::line::Line;

/// Takes a line in; Wazuh's reading of heads differs in a few.
pub(crate) fn predecode(line: &Line<'_>, wazuh: bool, event: &mut Event) {
    event.clear(line.at);
    // Control characters never get further (CVE-2020-8445); tabs are what some logs are made of.
    event.text.extend(line.text.iter().copied().filter(|&byte| byte == b'\t' || !byte.is_ascii_control()));
    let full = event.text.len();
    event.full = full as u32;
    event.log = (0, full as u32);
    if !line.journal.is_empty() {
        // The journal knows what a head would say; `_COMM` is its own word, the identifier the sender's.
        if let Some(program) = line.field("SYSLOG_IDENTIFIER").or_else(|| line.field("_COMM")) {
            event.program = Some(event.add(program));
        }
        if let Some(host) = line.field("_HOSTNAME") {
            event.host = Some(event.add(host));
        }
        event.foreign = false;
        return;
    }
    let head = Head { bytes: event.text.as_slice(), wazuh, host: None, program: None, log: 0 }.read();
    let span = |(from, to): (usize, usize)| (from as u32, to.min(full) as u32);
    let (host, program, log) = (head.host.map(span), head.program.map(span), head.log.min(full) as u32);
    let end = head_end(&event.text, head.log, full);
    (event.host, event.program, event.log) = (host, program, (log, end));
}

/// An Apple log's message ends at its bracket.
fn head_end(text: &[u8], log: usize, full: usize) -> u32 {
    let apple = text.starts_with(b"[T") && text.get(..log).is_some_and(|head| head.ends_with(b"[Message "));
    let end = text.get(log..).and_then(|rest| find(b']', rest)).filter(|_| apple);
    end.map_or(full, |end| log + end) as u32
}

struct Head<'a> {
    bytes: &'a [u8],
    wazuh: bool,
    host: Option<(usize, usize)>,
    program: Option<(usize, usize)>,
    log: usize,
}

fn find(byte: u8, text: &[u8]) -> Option<usize> {
    text.iter().position(|&other| other == byte)
}

/// What may be in the name of a host or program.
const fn names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'(' | b')' | b'-' | b'.' | b'/' | b'@' | b'_')
}

impl Head<'_> {
    fn at(&self, place: usize) -> u8 {
        self.bytes.get(place).copied().unwrap_or(0)
    }

    fn is(&self, shift: usize, wanted: &[(usize, u8)]) -> bool {
        wanted.iter().all(|&(place, byte)| self.at(place + shift) == byte)
    }

    fn digits(&self, mut from: usize) -> usize {
        while self.at(from).is_ascii_digit() {
            from += 1;
        }
        from
    }

    fn name(&self, mut from: usize) -> usize {
        while names(self.at(from)) {
            from += 1;
        }
        from
    }

    fn read(mut self) -> Self {
        if let Some(behind) = self.date() {
            self.syslog(behind + usize::from(self.at(behind) == b' '));
            return self;
        }
        let longer = |than: usize| self.bytes.len() + 1 > than;
        // xferlog: Mon Apr 17 18:27:14 2006 1 64.160.42.130
        let xfer = [(3, b' '), (7, b' '), (10, b' '), (13, b':'), (16, b':'), (19, b' '), (24, b' '), (26, b' ')];
        // snort: 01/28-09:13:16.240702  [**]; suricata: 01/28/1979-09:13:16.240702  [**]
        let snort = [(2, b'/'), (5, b'-'), (8, b':'), (11, b':'), (14, b'.'), (21, b' ')];
        let suricata = [(2, b'/'), (5, b'/'), (10, b'-'), (13, b':'), (16, b':'), (19, b'.'), (26, b' ')];
        // apache: [Fri Feb 11 18:06:35 2004] [warn]
        let apache = [(0, b'['), (4, b' '), (8, b' '), (11, b' '), (14, b':'), (17, b':'), (20, b' '), (25, b']')];
        let apple = [(0, b'['), (1, b'T'), (5, b' '), (10, b'.'), (13, b'.'), (16, b' '), (19, b':')];
        if longer(28) && self.is(0, &xfer) {
            self.log = if self.wazuh { 25 } else { 24 };
        } else if longer(24) && self.is(0, &snort) {
            self.log = 23;
        } else if longer(26) && self.is(0, &suricata) {
            self.log = 28;
        } else if longer(27) && self.is(0, &apache) {
            self.log = 27;
        } else if longer(26) && self.is(0, &apple) {
            self.apple();
        } else if longer(32)
            && self.is(0, &[(0, b'1'), (10, b'.'), (14, b' ')])
            && [1, 2, 3, 13].into_iter().all(|place| self.at(place).is_ascii_digit())
            && (self.at(21) == b' ' || self.at(22) == b' ')
        {
            // squid: 1140804070.368  11623
            self.log = 14;
            while self.at(self.log) == b' ' {
                self.log += 1;
            }
        }
        self
    }

    /// Where the date of a syslog line ends.
    fn date(&self) -> Option<usize> {
        let long = self.bytes.len() + 1;
        // A German March has a letter of two bytes.
        let shift = usize::from(self.at(1) == 0xc3 && self.at(2) == 0xa4);
        if long > 17 && self.is(shift, &[(3, b' '), (6, b' '), (9, b':'), (12, b':'), (15, b' ')]) {
            return Some(16);
        }
        let day = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if long > 24 && self.is(0, &day) && self.is(0, &[(10, b' '), (19, b',')]) {
            return Some(23);
        }
        if long > 33 && self.is(0, &day) && self.at(10) == b'T' {
            if self.is(0, &[(22, b':'), (25, b' ')]) {
                return Some(26);
            }
            if self.wazuh && self.at(19) == b'.' {
                return Some(if self.at(29) == b':' { 33 } else { 32 });
            }
            let zone = (24..=29).find(|&place| self.at(place) == b':');
            if !self.wazuh
                && matches!(self.at(19), b'.' | b',')
                && let Some(colon) = zone
            {
                return Some(colon + 3);
            }
        }
        let first = self.at(0).is_ascii_digit();
        if long > 21 && first && self.is(0, &[(4, b' '), (8, b' '), (11, b' '), (14, b':'), (17, b':'), (20, b' ')]) {
            return Some(21);
        }
        (!self.wazuh && long > 20 && first && self.is(0, &[(4, b':'), (7, b':'), (10, b'-'), (13, b':'), (16, b':')])).then_some(20)
    }

    /// Host and program: `host prog: `, `host prog[pid]: `, `host prog[pid] `, `prog: ` (Solaris), `host auth|security:info prog: ` (AIX).
    fn syslog(&mut self, start: usize) {
        self.log = start;
        let end = self.name(start);
        if self.at(end) == b':' && self.at(end + 1) == b' ' {
            self.program = Some((start, end));
            self.id(end + 2);
            return;
        }
        if self.at(end) != b' ' {
            return;
        }
        self.host = Some((start, end));
        let from = end + 1;
        self.log = from;
        let to = self.name(from);
        if self.at(to) == b'|' && self.at(to + 1).is_ascii_lowercase() {
            self.aix(to + 2);
        } else if let Some(behind) = self.behind_program(to, true) {
            self.program = Some((from, to));
            self.id(behind);
        }
    }

    /// Where the log begins behind a program's name that ends at `to`.
    fn behind_program(&self, to: usize, colon_may_lack: bool) -> Option<usize> {
        // To Wazuh the blank behind the colon may lack, too, but not behind AIX' names.
        let blank_may_lack = self.wazuh && colon_may_lack;
        if self.at(to) == b':' && (blank_may_lack || self.at(to + 1) == b' ') {
            return Some(to + 1 + usize::from(self.at(to + 1) == b' '));
        }
        if self.at(to) != b'[' || !self.at(to + 1).is_ascii_digit() {
            return None;
        }
        let end = self.digits(to + 1);
        match (self.at(end), self.at(end + 1), self.at(end + 2)) {
            (b']', b':', b' ') => Some(end + 3),
            (b']', b':', _) if blank_may_lack => Some(end + 2),
            (b']', b' ', _) if colon_may_lack => Some(end + 2),
            _ => None,
        }
    }

    fn aix(&mut self, mut from: usize) {
        let letters = |head: &Self, mut from: usize| {
            while head.at(from).is_ascii_alphanumeric() {
                from += 1;
            }
            from
        };
        from = letters(self, from);
        if self.at(from) != b':' {
            return;
        }
        from = letters(self, from + 1);
        if self.at(from) != b' ' {
            return;
        }
        let (from, to) = (from + 1, self.name(from + 1));
        if let Some(behind) = self.behind_program(to, false) {
            self.program = Some((from, to));
            self.id(behind);
        } else if self.at(to) == b'[' && self.at(to + 1).is_ascii_digit() {
            self.program = Some((from, to));
        } else {
            self.program = Some((from, self.bytes.len()));
            self.id(to);
        }
    }

    /// Solaris' `[ID 702911 auth.notice] ` is no part of the log.
    fn id(&mut self, from: usize) {
        self.log = from;
        if let Some(rest) = self.bytes.get(from..)
            && rest.starts_with(b"[ID ")
            && let Some(end) = rest.windows(2).skip(4).position(|two| two == b"] ")
        {
            self.log = from + 4 + end + 2;
        }
    }

    /// `[Time …] [Facility auth] [Sender sshd] [PID 483] [Message …] [Level 3] [UID -2] [GID -2] [Host name]`
    fn apple(&mut self) {
        self.log = 25;
        let mut from = 25;
        let mut message = false;
        while let Some(open) = self.bytes.get(from..).and_then(|rest| find(b'[', rest)) {
            let inside = from + open + 1;
            let rest = self.bytes.get(inside..).unwrap_or_default();
            let end = find(b']', rest).map(|end| inside + end);
            if rest.starts_with(b"Sender ") && self.program.is_none() {
                let Some(end) = end else { break };
                self.program = Some((inside + 7, end));
                from = end;
            } else if rest.starts_with(b"Message ") && !message {
                // More than one would be a forgery.
                message = true;
                self.log = inside + 8;
                let Some(end) = end else { break };
                from = end;
            } else if rest.starts_with(b"Host ") {
                self.host = end.map(|end| (inside + 5, end));
                break;
            } else {
                from = inside;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::Time;

    fn parts(text: &str, wazuh: bool) -> (String, String, String) {
        let mut event = Event::default();
        predecode(&Line::new(text.as_bytes(), Time::EPOCH, "stdin"), wazuh, &mut event);
        let show = |span: Option<_>| span.map_or("-".into(), |span| String::from_utf8_lossy(event.at(span)).into_owned());
        (show(event.host), show(event.program), show(Some(event.log)))
    }

    #[test]
    fn heads_are_found_where_ossec_finds_them() {
        for (text, host, program, log) in [
            ("Jul  7 10:51:24 eva sshd[19537]: Invalid user", "eva", "sshd", "Invalid user"),
            ("Jul  7 10:51:24 eva su: ok", "eva", "su", "ok"),
            ("Jul  7 10:51:24 eva su(pam_unix)[23164]: session", "eva", "su(pam_unix)", "session"),
            ("Jul  7 10:51:24 eva prog[12] no colon", "eva", "prog", "no colon"),
            ("Jul  7 10:51:24 eva prog[12]x", "eva", "-", "prog[12]x"),
            // An empty name is a name.
            ("Jul  7 10:51:24 eva [12] x: y", "eva", "", "x: y"),
            ("Jul  7 10:51:24 sshd: no host here", "-", "sshd", "no host here"),
            ("Jul  7 10:51:24 e+a sshd: x", "-", "-", "e+a sshd: x"),
            ("M\u{e4}r  7 10:51:24 eva su: ok", "eva", "su", "ok"),
            ("2015-04-16 21:51:02,805 ftp proftpd[12]: x", "ftp", "proftpd", "x"),
            ("2007-06-14T15:48:55-04:00 host cron[1]: run and run", "host", "cron", "run and run"),
            ("2009-05-22T09:36:46.214994-07:00 host cron[1]: run", "host", "cron", "run"),
            ("2009-05-22T09:36:46,2-07:00 host cron[1]: run and run", "host", "cron", "run and run"),
            ("2015 Dec 29 10:00:01 host app: started", "host", "app", "started"),
            ("2019:11:06-00:08:03 host app: started", "host", "app", "started"),
            ("Jun  9 00:00:01 ix sshd[9815]: [ID 702911 auth.notice] User x", "ix", "sshd", "User x"),
            ("Jun  9 00:00:01 ix auth|security:info sshd[98]: Failed", "ix", "sshd", "Failed"),
            ("Mon Apr 17 18:27:14 2006 1 64.160.42.130 more", "-", "-", " 1 64.160.42.130 more"),
            ("01/28-09:13:16.240702  [**] [1:2:3] x", "-", "-", "[**] [1:2:3] x"),
            ("01/28/1979-09:13:16.240702  [**] [1:2:3]", "-", "-", "[**] [1:2:3]"),
            ("[Fri Feb 11 18:06:35 2004] [warn] x", "-", "-", "[warn] x"),
            ("1140804070.368  11623 192.0.2.1 TCP_MISS/200", "-", "-", "11623 192.0.2.1 TCP_MISS/200"),
            ("192.0.2.1 - - [x]", "-", "-", "192.0.2.1 - - [x]"),
            ("", "-", "-", ""),
        ] {
            let expected = (host.to_owned(), program.to_owned(), log.to_owned());
            assert_eq!(parts(text, false), expected, "{text}");
        }
        // Wazuh has other rules for some of them.
        for (text, host, program, log) in [
            ("Jul  7 10:51:24 eva su:ok", "eva", "su", "ok"),
            ("Jul  7 10:51:24 eva su[12]:ok", "eva", "su", "ok"),
            ("Jul  7 10:51:24 eva su[12] ok", "eva", "su", "ok"),
            ("2009-05-22T09:36:46.214994-07:00 host cron[1]: run", "host", "cron", "run"),
            ("2009-05-22T09:36:46.214994+0700 host cron[1]: run and", "host", "cron", "run and"),
            ("2009-05-22T09:36:46,2-07:00 host cron[1]: run and run", "-", "-", "2009-05-22T09:36:46,2-07:00 host cron[1]: run and run"),
            ("2019:11:06-00:08:03 host app: started", "-", "-", "2019:11:06-00:08:03 host app: started"),
            ("Mon Apr 17 18:27:14 2006 1 64.160.42.130 more", "-", "-", "1 64.160.42.130 more"),
        ] {
            let expected = (host.to_owned(), program.to_owned(), log.to_owned());
            assert_eq!(parts(text, true), expected, "{text}");
        }
    }

    #[test]
    fn an_apple_log_has_its_message_in_the_middle() {
        let text = "[Time 2006.12.28 15:53:55 UTC] [Facility auth] [Sender sshd] [PID 483] [Message error: from 192.0.2.2] [Level 3] [Message x] [Host mac]";
        assert_eq!(parts(text, false), ("mac".into(), "sshd".into(), "error: from 192.0.2.2".into()));
    }

    #[test]
    fn the_journal_needs_no_head() {
        let mut event = Event::default();
        let journal: [(&str, &[u8]); 2] = [("SYSLOG_IDENTIFIER", b"sshd"), ("_HOSTNAME", b"h")];
        predecode(&Line { text: b"Jul  7 10:51:24 x y: z", at: Time::EPOCH, place: "journal", journal: &journal }, false, &mut event);
        assert_eq!((event.program.map(|span| event.at(span)), event.log()), (Some(&b"sshd"[..]), &b"Jul  7 10:51:24 x y: z"[..]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_the_log_is_in_the_line(wazuh: bool, text: Vec<u8>, head in "(Jul  7 10:51:24 |\\[Time 2006.12.28 15:53:55 UTC\\] )?[a-z\\[\\] 0-9:|]{0,40}") {
            let text = [head.as_bytes(), &text].concat();
            let mut event = Event::default();
            predecode(&Line::new(&text, Time::EPOCH, "x"), wazuh, &mut event);
            proptest::prop_assert!(event.log.0 <= event.log.1 && event.log.1 <= event.full);
        }
    }
}
