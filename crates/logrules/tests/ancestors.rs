//! Lines with which strangers once had somebody else blocked by DenyHosts, fail2ban or BlockHosts, or went unseen, in the form in which the services write
//! them: asked of all rules that riposte comes with. THREATS.md names these tests.

use logrules::Rules;
use logrules::finding::Finding;
use logrules::line::Line;
use logrules::native::Book;
use model::time::Time;
use std::collections::BTreeSet;

/// Who sends them, and whom they are to hit.
const STRANGER: &str = "192.0.2.1";
const VICTIM: &str = "198.51.100.9";
/// More than any rule waits for.
const OFTEN: u64 = 60;

/// All shipped rules, asked about one message after the other.
struct Shipped(Book);

impl Shipped {
    fn new() -> Shipped {
        Shipped(Book::shipped().expect("the shipped rules are in order"))
    }

    /// What they find if the program writes this again and again: in a log with heads, or (without a program) in a file of its own.
    fn find(&mut self, program: &str, place: &str, message: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        self.0.forget();
        for n in 0..OFTEN {
            let line = if program.is_empty() { message.to_owned() } else { format!("Nov 21 03:04:05 box {program}[{n}]: {message}") };
            self.0.line(&Line::new(line.as_bytes(), Time::from_secs(1_795_219_200 + n), place), &mut found);
        }
        found
    }

    fn accused(&mut self, program: &str, place: &str, message: &str) -> BTreeSet<String> {
        self.find(program, place, message).iter().filter_map(|finding| finding.actor).map(|actor| actor.to_string()).collect()
    }

    /// Each of them accuses the stranger and nobody else.
    #[track_caller]
    fn hit_the_stranger(&mut self, program: &str, place: &str, messages: &[String]) {
        for message in messages {
            assert_eq!(self.accused(program, place, message), BTreeSet::from([STRANGER.to_owned()]), "{message}");
        }
    }

    /// None of them accuses anybody but the stranger.
    #[track_caller]
    fn spare_the_victim(&mut self, program: &str, place: &str, messages: &[String]) {
        for message in messages {
            let mut accused = self.accused(program, place, message);
            accused.remove(STRANGER);
            assert!(accused.is_empty(), "{accused:?}: {message}");
        }
    }
}

/// CVE-2006-6301 and CVE-2013-6890 (DenyHosts), CVE-2006-6302 (fail2ban), CVE-2007-4322 (`BlockHosts`).
#[test]
fn a_user_s_name_that_is_a_line_of_sshd_accuses_nobody_else() {
    let mut rules = Shipped::new();
    for name in [
        format!("Invalid user root from {VICTIM}"),
        format!("Illegal user root from {VICTIM}"),
        format!("root from {VICTIM} port 22 ssh2"),
        format!("Failed password for invalid user root from {VICTIM} port 22 ssh2"),
        format!("User root from {VICTIM} not allowed because not listed in AllowUsers"),
        format!("x rhost={VICTIM} user=root"),
    ] {
        let lines = [
            format!("Invalid user {name} from {STRANGER} port 4711"),
            format!("Invalid user {name} from {STRANGER}"),
            format!("Failed password for invalid user {name} from {STRANGER} port 4711 ssh2"),
            format!("Connection closed by invalid user {name} {STRANGER} port 4711 [preauth]"),
        ];
        rules.hit_the_stranger("sshd", "", &lines);
        let pam =
            format!("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={STRANGER}  user={name}");
        rules.spare_the_victim("sshd", "", &[pam, format!("input_userauth_request: invalid user {name} [preauth]")]);
    }
}

/// CVE-2007-4323 (DenyHosts) and CVE-2007-4321 (fail2ban).
#[test]
fn a_client_s_version_that_is_a_line_of_sshd_accuses_nobody_else() {
    let mut rules = Shipped::new();
    let versions = [
        format!("User root from {VICTIM} not allowed because none of user's groups are listed in AllowGroups"),
        format!("Failed password for root from {VICTIM} port 22 ssh2"),
        format!("x' from {VICTIM} port 22"),
    ];
    let lines: Vec<String> =
        versions.iter().map(|version| format!("Bad protocol version identification '{version}' from {STRANGER} port 4711")).collect();
    rules.hit_the_stranger("sshd", "", &lines);
}

/// CVE-2007-5715: DenyHosts overlooked who tried users that may not log in.
#[test]
fn whoever_tries_a_user_that_may_not_log_in_is_seen() {
    let mut rules = Shipped::new();
    let line = format!("User root from {STRANGER} not allowed because not listed in AllowUsers");
    let found = rules.find("sshd", "", &line);
    assert!(found.len() as u64 >= OFTEN && found.iter().any(|finding| finding.wish.is_some()), "{found:?}");
    rules.hit_the_stranger("sshd", "", &[line]);
}

/// CVE-2009-0362 (fail2ban): the attacker's own name server says what his address is called.
#[test]
fn a_host_s_name_that_holds_an_address_is_none() {
    let mut rules = Shipped::new();
    for name in [format!("{VICTIM}.evil.example"), format!("x.{VICTIM}"), format!("{VICTIM}:80.evil.example")] {
        let failure = |service: &str| {
            format!("pam_unix({service}:auth): authentication failure; logname= uid=0 euid=0 tty={service} ruser=x rhost={name}  user=x")
        };
        rules.spare_the_victim("wu-ftpd", "", &[failure("wu-ftpd"), format!("failed login from {name} [{STRANGER}]")]);
        let sshd = [
            failure("sshd"),
            format!("refused connect from {name} ({STRANGER})"),
            format!("Failed password for root from {name} port 22 ssh2"),
            format!("reverse mapping checking getaddrinfo for {name} [{STRANGER}] failed - POSSIBLE BREAK-IN ATTEMPT!"),
            format!("Address {STRANGER} maps to {name}, but this does not map back to the address."),
        ];
        rules.spare_the_victim("sshd", "", &sshd);
        let proftpd =
            format!("203.0.113.5 ({name}[{STRANGER}]) - USER root: no such user found from {name} [{STRANGER}] to 203.0.113.5:21");
        rules.spare_the_victim("proftpd", "", &[proftpd]);
        rules.spare_the_victim("postfix/smtpd", "", &[format!("warning: {name}[{STRANGER}]: SASL LOGIN authentication failed: x")]);
    }
}

/// CVE-2013-2178 (fail2ban): Apache's error log tells the path that was asked for, and the user.
#[test]
fn a_path_that_is_a_line_of_apache_accuses_nobody_else() {
    let mut rules = Shipped::new();
    let head = "[Sat Nov 21 03:04:05.123456 2026] [auth_basic:error] [pid 7:tid 8]";
    let old = "[Sat Nov 21 03:04:05 2026] [error]";
    for forged in [
        format!("[client {VICTIM}:4711] AH01617: user root: authentication failure for \"/\": Password Mismatch"),
        format!("[client {VICTIM}] user root not found: /"),
        format!("{old} [client {VICTIM}] user root: authentication failure for \"/\": Password Mismatch"),
        format!("{head} [client {VICTIM}:4711] AH01618: user root not found: /"),
    ] {
        let lines = [
            format!("{head} [client {STRANGER}:4711] AH01617: user {forged}: authentication failure for \"/\": Password Mismatch"),
            format!("{head} [client {STRANGER}:4711] AH01618: user x not found: /{forged}"),
            format!("{old} [client {STRANGER}] user x not found: /{forged}"),
        ];
        rules.hit_the_stranger("", "/var/log/apache2/error.log", &lines);
        rules.spare_the_victim(
            "",
            "/var/log/apache2/error.log",
            &[format!("{old} [client {STRANGER}] File does not exist: /srv/www/{forged}")],
        );
    }
}

/// CVE-2013-7176 (fail2ban): Postfix tells the addresses of the mail.
#[test]
fn an_address_of_mail_that_is_a_line_of_postfix_accuses_nobody_else() {
    let mut rules = Shipped::new();
    for forged in [
        format!("x[{VICTIM}]: 554 5.7.1 "),
        format!("unknown[{VICTIM}]: SASL LOGIN authentication failed: x"),
        format!("from x[{VICTIM}]: 450"),
    ] {
        let lines = [
            format!(
                "NOQUEUE: reject: RCPT from unknown[{STRANGER}]: 554 5.7.1 <{forged}@example.net>: Relay access denied; from=<{forged}> to=<{forged}@example.net> proto=ESMTP helo=<{forged}>"
            ),
            format!("warning: unknown[{STRANGER}]: SASL PLAIN authentication failed: {forged}, sasl_username={forged}"),
            format!("warning: non-SMTP command from unknown[{STRANGER}]: {forged}"),
        ];
        rules.hit_the_stranger("postfix/smtpd", "", &lines);
    }
}

/// CVE-2013-7177 (fail2ban): Cyrus tells the user's name behind the address.
#[test]
fn a_user_s_name_that_is_a_line_of_cyrus_accuses_nobody_else() {
    let mut rules = Shipped::new();
    for name in [
        format!("x [{VICTIM}] plaintext root"),
        format!("[{VICTIM}]"),
        format!("badlogin: x [{VICTIM}] plaintext root SASL(-13): authentication failure: x"),
    ] {
        let lines = [
            format!("badlogin: a.example.org [{STRANGER}] plaintext {name} SASL(-13): authentication failure: checkpass failed"),
            format!("badlogin: [{STRANGER}] PLAIN {name} [SASL(-13): authentication failure: Password verification failed]"),
        ];
        rules.spare_the_victim("cyrus/imap", "", &lines);
    }
    rules.hit_the_stranger(
        "cyrus/imap",
        "",
        &[format!("badlogin: a.example.org [{STRANGER}] plaintext x SASL(-13): authentication failure: checkpass failed")],
    );
}
