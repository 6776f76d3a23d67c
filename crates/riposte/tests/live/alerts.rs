//! What people elsewhere are told, by real servers and programs of theirs.

use crate::daemon::{self, Daemon, RIPOSTE, folder, network, signal, text, until};
use range::namespace::Namespace;
use range::network::{Network, VICTIM, attacker_address};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// At once, and each for itself.
const AT_ONCE: &str = "[alert]\nwait = \"0s\"\ndigest = \"0s\"\nthrottle = \"0s\"\n";

fn scan(network: &Network, attacker: usize) {
    network.attackers[attacker]
        .run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1040", VICTIM])
        .expect("nmap is installed");
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A log daemon's socket, and the file that it writes to.
pub fn syslog(host: &mut Namespace, folder: &Path) {
    let (socket, file) = (folder.join("devlog"), folder.join("syslog"));
    host.start("socat", ["-u", &format!("UNIX-RECV:{},mode=666", socket.display()), &format!("OPEN:{},creat,append", file.display())])
        .expect("socat is installed");
    until("the log daemon listens", || socket.exists().then_some(()));
}

/// nginx with this inside its `http`.
fn nginx(host: &mut Namespace, folder: &Path, inside: &str) {
    let place = folder.display();
    let config = format!(
        "daemon off; user root; pid {place}/nginx.pid; error_log {place}/nginx.err; events {{}}\nhttp {{ client_body_temp_path {place}/n1; \
         proxy_temp_path {place}/n2; fastcgi_temp_path {place}/n3; uwsgi_temp_path {place}/n4; scgi_temp_path {place}/n5; access_log off;\n{inside}\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), config).expect("writable");
    host.start("nginx", ["-c", &folder.join("nginx.conf").display().to_string(), "-e", &format!("{place}/nginx.err")])
        .expect("nginx is installed");
    until("nginx runs", || fs::read_to_string(folder.join("nginx.pid")).ok().filter(|pid| !pid.trim().is_empty()));
}

#[test]
fn a_block_is_told_to_the_systems_log_and_to_a_web_server_once_it_is_there() {
    let mut network = network("alert-ways", 1);
    let folder = folder();
    syslog(&mut network.victim, folder.path());
    fs::write(folder.path().join("heads"), "X-Token: secret stuff\n").expect("writable");
    let config = format!(
        "{AT_ONCE}[alert.syslog]\nsocket = \"{{}}/devlog\"\n[alert.webhook]\nurl = \"http://203.0.113.10:8080/hook\"\nheaders = [\"X-From: riposte\"]\nheaders_file = \"{{}}/heads\"\n"
    );
    let daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    scan(&network, 0);
    let who = attacker_address(0);
    daemon.wait_until_blocked(&who);
    let log = daemon.path("syslog");
    let line = until("the log has it", || lines(&log).concat().contains("block: ").then(|| lines(&log).concat()));
    assert!(line.contains("riposte[") && line.contains(&format!("address={who} ")) && line.contains("decision=block until="), "{line}");

    // Nobody listens there yet: the host is protected all the same, and the letter is kept.
    until("the web server was looked for", || daemon.sensor_figure("envoy", "letters tried in vain: webhook").filter(|tries| *tries > 0));
    assert_eq!(daemon.sensor_figure("envoy", "letters failing now: webhook"), Some(1));
    let place = daemon.path("").display().to_string();
    let place = place.trim_end_matches('/');
    nginx(
        &mut network.victim,
        Path::new(place),
        &format!(
            "log_format body escape=none '$http_x_from|$http_x_token|$content_type|$request_body';\n\
             server {{ listen 203.0.113.10:8080; location / {{ access_log {place}/posts body; proxy_pass http://127.0.0.1:8081/; }} }}\n\
             server {{ listen 127.0.0.1:8081; return 204; }}"
        ),
    );
    let posts = until("the web server has it", || Some(lines(&daemon.path("posts"))).filter(|posts| !posts.is_empty()));
    let body = posts[0].strip_prefix("riposte|secret stuff|application/json|").expect("the head's lines");
    let letter: Value = serde_json::from_str(body).expect("JSON");
    let told = letter["told"].as_array().expect("a list").iter().find(|told| told["source"]["address"] == who.as_str()).expect("about it");
    assert!(told["source"]["ports"]["tcp"].as_array().is_some_and(|ranges| !ranges.is_empty()), "{body}");
    daemon.wait_until_figure_of_at_least("envoy", "letters delivered: webhook", 1);

    // A process that is killed is told of, too.
    let before = daemon.life("packets").expect("it runs");
    signal("KILL", u32::try_from(before).expect("a process number"));
    until("its restart is told", || {
        lines(&log).concat().contains("trouble: the process 'packets' had ended and was started again").then_some(())
    });
    // The envoy itself, killed, costs nobody anything.
    let envoy = daemon.life("envoy").expect("it runs");
    signal("KILL", u32::try_from(envoy).expect("a process number"));
    until("the envoy is back and tells of itself", || lines(&log).concat().contains("the process 'envoy' had ended").then_some(()));
    assert_eq!(text(&daemon.json_one(&["status"])["mode"]), "blocking");
}

/// A certificate for 203.0.113.10 by an authority of its own: `ca.pem`, `cert.pem`, `key.pem`.
fn certificates(folder: &Path) {
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl").args(args).current_dir(folder).output().expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    openssl(&[&new[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=rp test authority"]].concat());
    let one = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=203.0.113.10"];
    openssl(&[&new[..], &one[..], &["-addext", "subjectAltName=IP:203.0.113.10", "-addext", "basicConstraints=CA:FALSE"]].concat());
}

/// Exim at ports 25 (for anybody) and 587 (for who encrypts and knows the password), with one inbox.
fn exim(host: &mut Namespace, folder: &Path) {
    certificates(folder);
    let place = folder.display();
    let config = format!(
        "primary_hostname = mail.example.org\nspool_directory = {place}/spool\nlog_file_path = {place}/spool/%slog\npid_file_path = {place}/spool/pid\n\
         daemon_smtp_ports = 25 : 587\ntls_advertise_hosts = *\ntls_certificate = {place}/cert.pem\ntls_privatekey = {place}/key.pem\n\
         acl_smtp_rcpt = rcpt\nacl_smtp_data = data\nmessage_body_visible = 60000\ndeliver_drop_privilege = true\nqualify_domain = example.org\nkeep_environment =\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
         begin acl\nrcpt:\n  accept authenticated = *\n  accept condition = ${{if eq{{$received_port}}{{25}}}}\n  deny message = who are you?\n\
         data:\n  deny message = spam\n    condition = ${{if match{{$message_body}}{{BUY-NOW}}}}\n  accept\n\
         begin routers\nall:\n  driver = accept\n  transport = inbox\n\
         begin transports\ninbox:\n  driver = appendfile\n  file = {place}/spool/inbox\n  user = Debian-exim\n  group = Debian-exim\n  mode = 0666\n  mode_fail_narrower = false\n\
         begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_advertise_condition = ${{if def:tls_in_cipher}}\n  \
         server_condition = ${{if and{{{{eq{{$auth2}}{{riposte}}}}{{eq{{$auth3}}{{right}}}}}}}}\n  server_set_id = $auth2\n"
    );
    fs::write(folder.join("exim.conf"), config).expect("writable");
    fs::create_dir(folder.join("spool")).expect("writable");
    for name in ["spool", "key.pem", "cert.pem"] {
        let owned = Command::new("chown").arg("Debian-exim:Debian-exim").arg(folder.join(name)).status().expect("chown is there");
        assert!(owned.success());
    }
    host.start("exim4", ["-bdf", "-C", &folder.join("exim.conf").display().to_string()]).expect("exim4 is installed");
    until("the mail server listens", || host.run("ncat", ["-z", VICTIM, "587"]).is_ok().then_some(()));
}

fn inbox(folder: &Path) -> String {
    fs::read_to_string(folder.join("spool/inbox")).unwrap_or_default()
}

/// A body that was made safe for the way (quoted-printable).
fn plain(body: &str) -> String {
    let joined = body.replace("=\r\n", "").replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code.filter(|_| *first == b'=') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sample(host: &Namespace, folder: &Path, config: &str) -> Result<String, String> {
    let path = folder.join("sample.toml");
    fs::write(&path, config.replace("{}", &folder.display().to_string())).expect("writable");
    host.run(RIPOSTE, ["alert", "--test", "--config", &path.display().to_string()]).map_err(|error| error.to_string())
}

#[test]
fn a_mail_comes_encrypted_and_with_a_password_and_says_all() {
    let mut network = network("alert-mail", 1);
    let folder = folder();
    exim(&mut network.victim, folder.path());
    fs::write(folder.path().join("password"), "right\n").expect("writable");
    fs::set_permissions(folder.path().join("password"), fs::Permissions::from_mode(0o600)).expect("ours");
    let mail = "[alert.mail]\nto = [\"admin@example.org\"]\nserver = \"203.0.113.10\"\nuser = \"riposte\"\npassword_file = \"{}/password\"\nca = \"{}/ca.pem\"\n";
    // Registries, who name each other; and a name for the attacker, as its owner may have it.
    let who = attacker_address(0);
    let hosts = format!("127.0.0.1 localhost\n203.0.113.13 whois.example.org\n{who} scanner.example.net\n");
    fs::write(folder.path().join("hosts"), hosts).expect("writable");
    let registry = |host: &mut Namespace, at: &str, says: &str| {
        host.start("ncat", ["-l", "-k", at, "43", "-c", &format!("read q; printf '%b' '{says}'; echo asked: \"$q\"")])
            .expect("ncat is installed");
        until("a registry listens", || host.run("ncat", ["-z", at, "43"]).is_ok().then_some(()));
    };
    registry(&mut network.victim, "203.0.113.12", "% nobody\\nrefer: whois.example.org\\n");
    registry(&mut network.victim, "203.0.113.13", "netname: <script>x</script>\\norg: \\033[2JEvil\\n");
    let config = format!("{AT_ONCE}{mail}[whois]\nserver = \"203.0.113.12\"\n[reverse_dns]\n");
    let script = format!("mount --bind {}/hosts /etc/hosts && exec \"$@\"", folder.path().display());
    let daemon = Daemon::start_in(folder, &network.victim, &config, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    scan(&network, 0);
    daemon.wait_until_blocked(&who);
    let place = daemon.path("");
    let raw = until("the mail is there", || Some(inbox(&place)).filter(|inbox| inbox.contains(&who)));
    let mail = plain(&raw);
    // Quoted-printable is the way's; the head is as it was.
    for part in [
        "(TLS1.3)",
        "esmtpsa",
        &format!("{who} is blocked, level"),
        "Auto-Submitted: auto-generated",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "TCP ports: 10",
        "How: syn (as nmap -sT or -sS does)",
        "Decision: blocked for ",
        "Why: ",
        "Its name: scanner.example.net",
        &format!("| asked: {who}"),
        "| netname: <script>x</script>",
        "| org: \\u{1b}[2JEvil",
        "&lt;script&gt;x&lt;/script&gt;",
    ] {
        assert!(mail.contains(part), "{part} in\n{mail}");
    }
    // Up to its end: a second mail may be there already, with a text of its own.
    let html = mail.split("text/html").nth(1).and_then(|rest| rest.split("\n--").next()).expect("HTML");
    assert!(html.contains("&lt;script") && !html.contains("<script") && !mail.contains('\u{1b}'), "{mail}");
    // With the picture of its ports over time.
    assert!(raw.contains("Content-Type: image/png") && mail.contains(&format!("Ports over time of {who}: ")), "{mail}");
    // For whoever wants to look at it.
    if let Some(copy) = std::env::var_os("RIPOSTE_KEEP_MAIL") {
        fs::write(copy, &raw).expect("writable");
    }
}

#[test]
fn a_sample_says_what_is_wrong() {
    let mut network = network("alert-test", 1);
    let folder = folder();
    let place = folder.path();
    exim(&mut network.victim, place);
    network.victim.start("ncat", ["-l", "-k", VICTIM, "589"]).expect("ncat is installed");
    until("the silent one listens", || network.victim.run("ncat", ["-z", VICTIM, "589"]).is_ok().then_some(()));
    fs::write(place.join("right"), "right\n").expect("writable");
    fs::write(place.join("wrong"), "wrong\n").expect("writable");
    let host = &network.victim;
    let mail = |more: &str| format!("[alert.mail]\nto = [\"admin@example.org\"]\n{more}");
    let auth = |file: &str| format!("user = \"riposte\"\npassword_file = \"{{}}/{file}\"\nca = \"{{}}/ca.pem\"\ntimeout = \"2s\"\n");
    let said = sample(host, place, &mail(&format!("server = \"{VICTIM}\"\n{}", auth("right")))).expect("it is delivered");
    assert_eq!(said, "mail: delivered to admin@example.org\n");
    until("the sample is there", || inbox(place).contains("is a sample").then_some(()));
    for (config, why) in [
        (mail(&format!("server = \"{VICTIM}\"\n{}", auth("wrong"))), "535"),
        (mail(&format!("server = \"{VICTIM}\"\nport = 588\n{}", auth("right"))), "Connection refused"),
        // The same server by an address that its certificate has not.
        (mail(&format!("server = \"203.0.113.11\"\n{}", auth("right"))), "certificate not valid for name"),
        // Nobody's word for it but the system's authorities'.
        (mail(&format!("server = \"{VICTIM}\"\ntimeout = \"2s\"\n")), "UnknownIssuer"),
        (mail(&format!("server = \"{VICTIM}\"\nport = 589\n{}", auth("right"))), "no answer within 2 s"),
        (mail(&format!("server = \"{VICTIM}\"\n{}", auth("nowhere"))), "nowhere: No such file or directory"),
        ("[alert.syslog]\nsocket = \"{}/nolog\"\n".to_owned(), "No such file or directory"),
        ("[alert.webhook]\nurl = \"https://203.0.113.10:587/\"\nca = \"{}/ca.pem\"\ntimeout = \"2s\"\n".to_owned(), "203.0.113.10:587"),
        ("[alert.command]\nargv = [\"/nowhere/at/all\"]\n".to_owned(), "No such file or directory"),
        ("[alert]\n".to_owned(), "nobody is told anything"),
    ] {
        let error = sample(host, place, &config).expect_err("it can't be delivered");
        assert!(error.contains(why), "{why} in {error}\n{config}");
    }
}

#[test]
fn programs_are_run_as_somebody_without_rights_and_not_for_ever() {
    let mut network = network("alert-programs", 2);
    let folder = folder();
    let place = folder.path().to_owned();
    exim(&mut network.victim, &place);
    fs::create_dir(place.join("out")).expect("writable");
    fs::set_permissions(place.join("out"), fs::Permissions::from_mode(0o777)).expect("ours");
    let script = format!(
        "#!/bin/sh\nprintf '%s|%s|%s|' \"$(id -un)\" \"$RIPOSTE_ADDRESS\" \"$RIPOSTE_DECISION\" >> {0}/out/told\ncat >> {0}/out/told\necho >> {0}/out/told\n\
         [ -e {0}/out/hang ] && {{ echo hanging; sleep 100; }}\nexit 0\n",
        place.display()
    );
    fs::write(place.join("tell-me"), script).expect("writable");
    fs::set_permissions(place.join("tell-me"), fs::Permissions::from_mode(0o755)).expect("ours");
    fs::write(
        place.join("msmtprc"),
        format!("account default\nhost {VICTIM}\nport 25\nauto_from off\nfrom riposte@example.org\ntls off\n"),
    )
    .expect("writable");
    let config = format!(
        "# runs as nobody\n{AT_ONCE}[alert.command]\nargv = [\"{{}}/tell-me\"]\nlimit = \"1s\"\n[alert.mail]\nto = [\"admin@example.org\"]\n\
         program = [\"/usr/bin/msmtp\", \"-C\", \"{{}}/msmtprc\"]\n"
    );
    let daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    scan(&network, 0);
    let who = attacker_address(0);
    // The program writes its line piece by piece.
    let told = until("the program is run", || {
        let lines = lines(&place.join("out/told"));
        lines.iter().find_map(|line| serde_json::from_str::<Value>(line.strip_prefix(&format!("nobody|{who}|block|"))?).ok())
    });
    assert_eq!(told["source"]["address"], who.as_str());
    until("the mail is there", || inbox(&place).contains(&who).then_some(()));

    // One that hangs is ended, with all that it has started, and the next one has its turn.
    fs::write(place.join("out/hang"), "").expect("writable");
    scan(&network, 1);
    until("it was tried in vain", || daemon.sensor_figure("envoy", "letters tried in vain: command").filter(|tries| *tries > 0));
    fs::remove_file(place.join("out/hang")).expect("it is there");
    let before = daemon.sensor_figure("envoy", "letters delivered: command").unwrap_or_default();
    daemon.wait_until_figure_of_at_least("envoy", "letters delivered: command", before + 1);
    assert!(daemon.log().contains("it was ended after 1 s; it said: hanging"), "{}", daemon.log());
}

#[test]
fn a_word_that_the_mail_servers_filter_refuses_silences_nobody() {
    let mut network = network("alert-filter", 1);
    let folder = folder();
    exim(&mut network.victim, folder.path());
    let says = ["-l", "-k", "203.0.113.12", "43", "-c", "read q; echo netname: BUY-NOW"];
    network.victim.start("ncat", says).expect("ncat is installed");
    until("a registry listens", || network.victim.run("ncat", ["-z", "203.0.113.12", "43"]).is_ok().then_some(()));
    let mail = "[alert.mail]\nto = [\"admin@example.org\"]\nserver = \"203.0.113.10\"\nport = 25\ntls = \"none\"\n[whois]\nserver = \"203.0.113.12\"\n";
    let daemon = Daemon::start_in(folder, &network.victim, &format!("{AT_ONCE}{mail}"), &[]);
    scan(&network, 0);
    let place = daemon.path("");
    until("the mail is there", || plain(&inbox(&place)).contains(&format!("{} is blocked", attacker_address(0))).then_some(()));
    assert!(daemon.log().contains("spam") && !inbox(&place).contains("BUY-NOW"), "{}", daemon.log());
}

#[test]
fn a_thousand_forged_attackers_are_few_mails() {
    let mut network = network("alert-flood", 1);
    let folder = folder();
    let place = folder.path().to_owned();
    exim(&mut network.victim, &place);
    let config = "[policy.spoofable]\nblocks_per_minute = 1000\nblocks_standing = 5000\n[policy.storm]\noffenders = 65536\n[alert]\nwait = \"1s\"\ndigest = \"3s\"\n\
         [alert.mail]\nto = [\"admin@example.org\"]\nserver = \"203.0.113.10\"\nport = 25\ntls = \"none\"\n[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";
    let daemon = Daemon::start_in(folder, &network.victim, config, &[]);
    daemon.wait_until_followed("kern.log");
    let probe = |n: u32, port: u32| {
        let from = format!("198.18.{}.{}", n / 250, n % 250 + 1);
        let at = jiff::Timestamp::now();
        format!(
            "{at} fw kernel: [1.000000] DROP IN=eth0 OUT= MAC= SRC={from} DST={VICTIM} LEN=44 TOS=0x00 PREC=0x00 TTL=50 ID=1 PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0\n"
        )
    };
    let text: String = (0..1_000).flat_map(|n| (1_000..1_006).map(move |port| (n, port))).map(|(n, port)| probe(n, port)).collect();
    daemon.append("kern.log", &text);
    until("all are charged", || (daemon.figure("sources charged") >= 1_000).then_some(()));
    let told = |name: &str| daemon.sensor_figure("envoy", &format!("{name}: mail")).unwrap_or_default();
    until("nothing waits any more", || {
        let made = daemon.figure("alerts");
        let named = plain(&inbox(&place)).matches(" is blocked").count() as u64;
        let known = named + told("alerts told as a number only") + daemon.figure("alerts dropped, the envoy did not take them");
        (made >= 1_000 && known >= 1_000 && told("letters delivered") > 0).then_some(())
    });
    let mails = inbox(&place).matches("\nSubject: ").count();
    assert!((1..=20).contains(&mails), "{mails} mails for a thousand attackers");
}

#[test]
fn a_full_disk_is_told_and_that_it_is_over() {
    let mut network = network("alert-disk", 1);
    let folder = folder();
    syslog(&mut network.victim, folder.path());
    let place = folder.path().display().to_string();
    let small = format!("mkdir -p {place}/var && mount -t tmpfs -o size=1m tmpfs {place}/var && exec \"$@\"");
    let config = "[alert.syslog]\nsocket = \"{}/devlog\"\n";
    let mut daemon = Daemon::start_in(folder, &network.victim, config, &["unshare", "-m", "sh", "-c", &small, "sh"]);
    daemon.expect_error("ledger");
    let warden = daemon.life("warden").expect("it runs");
    let filler = format!("/proc/{warden}/root{place}/var/filler");
    fs::write(&filler, vec![0; 2 << 20]).expect_err("no more than the disk has");
    scan(&network, 0);
    // Blocked all the same.
    daemon.wait_until_blocked(&attacker_address(0));
    let log = daemon.path("syslog");
    until("it is told", || lines(&log).concat().contains("trouble: the ledger can't be written").then_some(()));
    fs::remove_file(&filler).expect("it is there");
    until("that it is over is told", || lines(&log).concat().contains("recovery: no longer: the ledger can't be written").then_some(()));
}

/// A program that anybody may run, and the folder that it may write to.
fn program(place: &Path, script: &str) {
    fs::create_dir(place.join("out")).expect("writable");
    fs::set_permissions(place.join("out"), fs::Permissions::from_mode(0o777)).expect("ours");
    fs::write(place.join("run-me"), script.replace("{}", &place.display().to_string())).expect("writable");
    fs::set_permissions(place.join("run-me"), fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_block_that_is_over_is_told_and_a_mail_says_which_way_packets_came() {
    let mut network = network("alert-over", 0);
    let folder = folder();
    let place = folder.path().to_owned();
    syslog(&mut network.victim, &place);
    program(&place, "#!/bin/sh\n[ $# = 1 ] && exec sh -c 'cat >> {}/out/mails'\necho \"$@\" >> {}/out/told\n");
    let config = format!(
        "# runs as nobody\n{AT_ONCE}[alert.syslog]\nsocket = \"{{}}/devlog\"\nform = \"psad\"\nfacility = \"local3\"\nseverity = \"err\"\nname = \"fw\"\n\
         [alert.command]\nargv = [\"{{}}/run-me\", \"--ip={{address}}\", \"{{kind}}\"]\n\
         [alert.mail]\nto = [\"root\"]\nprogram = [\"{{}}/run-me\"]\nprefix = \"[psad-alert]\"\nprefix_status = \"[psad-status]\"\n\
         [policy.spoofable]\nblock_max = \"2s\"\n[[sense.log]]\nkind = \"file\"\npath = \"{{}}/kern.log\"\n"
    );
    let daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    daemon.wait_until_followed("kern.log");
    daemon::scan(&daemon, "192.0.2.1");
    let has = |file: &str, part: &str| lines(&place.join(file)).iter().any(|line| line.contains(part));
    until("its end is told to the program", || has("out/told", "--ip=192.0.2.1 end").then_some(()));
    assert!(has("out/told", "--ip=192.0.2.1 block"));
    // 19 * 8 + 3: local3, err.
    until("to the log", || has("syslog", "removed iptables auto-block against 192.0.2.1").then_some(()));
    assert!(
        lines(&place.join("syslog"))
            .iter()
            .any(|line| line.starts_with("<155>") && line.contains(" fw[") && line.contains("scan detected"))
    );
    until("and by mail", || has("out/mails", ": 192.0.2.1 is no longer blocked").then_some(()));
    assert!(has("out/mails", "Subject: [psad-status] ") && has("out/mails", "Subject: [psad-alert] "));
    let mails = plain(&fs::read_to_string(place.join("out/mails")).expect("mails"));
    let way = mails.lines().find(|line| line.contains("Chain, interface, prefix: ")).unwrap_or_else(|| panic!("{mails}"));
    assert!(way.contains("input eth0 ") && way.contains(" tcp ("), "{way}");

    daemon.text(&["block", "192.0.2.7", "--for", "1h"]);
    daemon.text(&["unblock", "192.0.2.7"]);
    until("an operator's word, too", || has("out/told", "--ip=192.0.2.7 lift").then_some(()));
}

#[test]
fn restarts_tell_nobody_again() {
    let network = network("alert-restarts", 0);
    let folder = folder();
    let place = folder.path().to_owned();
    program(&place, "#!/bin/sh\necho \"$@\" >> {}/out/told\n");
    let config = format!(
        "# runs as nobody\n{AT_ONCE}[alert.command]\nargv = [\"{{}}/run-me\", \"{{address}}\", \"{{level}}\"]\n[[sense.log]]\nkind = \"file\"\npath = \"{{}}/kern.log\"\n"
    );
    let mut daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    daemon.wait_until_followed("kern.log");
    daemon::scan(&daemon, "192.0.2.1");
    daemon.wait_until_figure_of_at_least("envoy", "letters delivered: command", 1);
    let told = lines(&place.join("out/told"));
    for _ in 0..5 {
        assert!(daemon.end().success());
        daemon.start_again();
        daemon.wait_until_followed("kern.log");
        daemon::scan(&daemon, "192.0.2.1");
        daemon.wait_until_figure_of_at_least("envoy", "alerts not told, nothing new: command", 1);
    }
    assert_eq!(lines(&place.join("out/told")), told);
    // Another one is told all the same.
    daemon::scan(&daemon, "192.0.2.2");
    until("the other is told", || lines(&place.join("out/told")).iter().any(|line| line.starts_with("192.0.2.2 ")).then_some(()));
}
