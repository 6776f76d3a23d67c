//! Real services, real guessers: who guesses is blocked after as many failures as the rules say, whoever else is on his network goes on logging in,
//! who is exempt may guess for ever, and no name, path or browser that looks like a line of a log has anybody else blocked.

use crate::daemon::{Daemon, folder, network, text, until, wait_until_in_kernel};
use range::network::{Network, VICTIM, attacker_address};
use range::services::{Contained, FAILURES, PASSWORD, Service, USER};
use std::fs;

/// The attackers: one has a tool, one counts his failures himself, one is a friend who mistypes, one is exempt, one has another tool.
const TOOL: usize = 0;
const COUNTS: usize = 1;
const FRIEND: usize = 2;
const EXEMPT: usize = 3;
const OTHER_TOOL: usize = 4;

/// A service on the victim, and riposte that reads its logs.
struct Scene {
    service: Service,
    network: Network,
    daemon: Daemon,
    /// Lines that were there before riposte was.
    past: usize,
}

impl Scene {
    fn new(service: Service, name: &str) -> Scene {
        let (mut network, folder) = (network(name, 5), folder());
        service.start(&mut network.victim, folder.path()).expect("the service starts");
        let files: Vec<String> = service.logs().iter().map(|log| format!("\"{{}}/{log}\"")).collect();
        let config = format!(
            "[applications]\nfiles = [{}]\njournal = \"never\"\n[policy]\nexempt = [\"{}\"]\n[sense.nflog]\nenabled = false\n",
            files.join(", "),
            attacker_address(EXEMPT)
        );
        for log in service.logs() {
            fs::File::options().append(true).create(true).open(folder.path().join(log)).unwrap();
        }
        fs::write(folder.path().join("names"), format!("{USER}\n")).unwrap();
        fs::write(folder.path().join("words"), (0..12).map(|n| format!("guess{n}\n")).collect::<String>()).unwrap();
        let daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
        daemon.wait_until_figure("applications", "files followed", service.logs().len() as u64);
        let mut scene = Scene { service, network, daemon, past: 0 };
        scene.past = scene.logged().lines().count();
        scene
    }

    fn login(&self, who: usize, password: &str) -> bool {
        self.service.login(&self.network.attackers[who], password).expect("the client starts")
    }

    fn file(&self, name: &str) -> String {
        self.daemon.path(name).display().to_string()
    }

    fn run(&self, who: usize, tool: &[String]) -> Contained {
        Contained::start(&self.network.attackers[who], tool, &self.daemon.path("")).expect("the tool starts")
    }

    /// What the service has logged so far.
    fn logged(&self) -> String {
        self.service.logs().iter().map(|log| String::from_utf8_lossy(&fs::read(self.daemon.path(log)).unwrap()).into_owned()).collect()
    }

    /// Waits until all that was logged is read.
    fn wait_until_read(&self) {
        until("every line is read", || {
            let written = self.logged().lines().count() - self.past;
            self.daemon.sensor_figure("applications", "lines").filter(|read| *read >= written as u64)
        });
    }

    /// Guesses with a tool until that has him blocked.
    fn guess(&self, who: usize, tool: &[String]) {
        let running = Contained::insist(&self.network.attackers[who], tool, &self.daemon.path("")).expect("the tool starts");
        self.expect_out(who);
        drop(running);
    }

    fn expect_out(&self, who: usize) {
        self.daemon.wait_until_blocked(&attacker_address(who));
        wait_until_in_kernel(&self.network.victim, &attacker_address(who));
        assert!(!self.login(who, PASSWORD), "who is blocked is not let in, with the right password neither");
    }
}

fn defends(service: Service, name: &str) {
    let scene = Scene::new(service, name);
    // As many failures as the rules say, and not one less.
    for n in 1..FAILURES {
        assert!(!scene.login(COUNTS, &format!("wrong{n}")) && !scene.login(FRIEND, &format!("wrong{n}")));
    }
    assert!(scene.login(COUNTS, PASSWORD) && scene.login(FRIEND, PASSWORD), "{}", scene.logged());
    scene.wait_until_read();
    assert_eq!(scene.daemon.blocked(), Vec::<String>::new());
    scene.login(COUNTS, "wrong");
    scene.expect_out(COUNTS);

    // A tool is stopped while it guesses; who is exempt may guess as often as he likes.
    let (names, words) = (scene.file("names"), scene.file("words"));
    scene.guess(TOOL, &service.hydra(&names, &words));
    let mut out = vec![attacker_address(TOOL), attacker_address(COUNTS)];
    if service == Service::Ssh {
        scene.guess(OTHER_TOOL, &["ncrack", "-T5", "-U", &names, "-P", &words, &format!("ssh://{VICTIM}")].map(str::to_owned));
        out.push(attacker_address(OTHER_TOOL));
    }
    assert!((0..2 * FAILURES).all(|n| !scene.login(EXEMPT, &format!("wrong{n}"))));
    imitate(&scene);
    scene.wait_until_read();
    let mut blocked = scene.daemon.blocked();
    blocked.sort();
    assert_eq!(blocked, out, "{}", scene.logged());
    assert!(scene.login(EXEMPT, PASSWORD) && scene.login(FRIEND, PASSWORD));
    assert!(text(&scene.daemon.json_one(&["explain", &attacker_address(EXEMPT)])["exempt"]).contains("exempt"));
}

/// The exempt one sends what the service has logged of the blocked, with the friend's address in it: as names, and where HTTP is spoken as everything else.
fn imitate(scene: &Scene) {
    let (attacker, friend) = (attacker_address(COUNTS), attacker_address(FRIEND));
    let mut texts = Vec::new();
    for line in scene.logged().lines().filter(|line| line.contains(&attacker)) {
        let forged = line.replace(&attacker, &friend);
        let message = forged.split_once("]: ").map_or("", |(_, message)| message).to_owned();
        // From the name on: what would close the field that the name is in.
        let rest = forged.split_once(USER).map_or(String::new(), |(_, rest)| format!("{USER}{rest}"));
        texts.extend([forged.clone(), message, rest].into_iter().filter(|text| text.contains(&friend)));
    }
    assert!(texts.len() > FAILURES, "there is enough to imitate: {texts:?}");
    fs::write(scene.daemon.path("imitations"), texts.join("\n")).unwrap();
    fs::write(scene.daemon.path("words"), "x\n").unwrap();
    scene.run(EXEMPT, &scene.service.hydra(&scene.file("imitations"), &scene.file("words"))).wait().unwrap();
    if matches!(scene.service, Service::Basic | Service::WordPress) {
        let file = scene.daemon.path("request");
        let script = format!("timeout 5 ncat --no-shutdown {VICTIM} 80 < {}", file.display());
        for request in texts.iter().flat_map(|text| requests(text)) {
            fs::write(&file, request).unwrap();
            let _ = scene.network.attackers[EXEMPT].command("sh").args(["-c", &script]).output();
        }
    }
}

/// Asks for a path with line ends in it, for one with quotes and spaces, and says by raw text who one is.
fn requests(text: &str) -> [String; 3] {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    [
        format!("GET /%0a{encoded}%0a HTTP/1.1\r\nHost: x\r\n"),
        format!("GET /{text} HTTP/1.1\r\nHost: x\r\n"),
        format!("GET /x HTTP/1.1\r\nHost: x\r\nUser-Agent: \" 401 \" {text}\r\nReferer: \" {text}\r\n"),
    ]
    .map(|request| request + "Connection: close\r\n\r\n")
}

#[test]
fn sshd() {
    defends(Service::Ssh, "svc-ssh");
}

#[test]
fn nginx_with_basic_authentication() {
    defends(Service::Basic, "svc-basic");
}

#[test]
fn a_wordpress_behind_nginx() {
    defends(Service::WordPress, "svc-wp");
}

#[test]
fn dovecot_over_imap() {
    defends(Service::Imap, "svc-imap");
}

#[test]
fn dovecot_over_pop3() {
    defends(Service::Pop3, "svc-pop3");
}

#[test]
fn vsftpd() {
    defends(Service::Ftp, "svc-ftp");
}
