//! Others' lists and DShield, from and to servers that are real programs: nginx with a certificate of an own authority, a mail server, and a
//! receiver that checks DShield's proof by its own code.

use crate::daemon::{Daemon, KERN_LOG, command, folder, is_in_set, network, said, scan_lines, text, until};
use range::namespace::{Namespace, run};
use range::network::VICTIM;
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

/// A stranger's address that others can have on their lists.
const STRANGER: &str = "45.9.9.9";

fn start(host: &mut Namespace, program: &str, args: &[&str]) {
    host.start(program, args).unwrap_or_else(|error| panic!("{program}: {error}"));
}

/// What CrowdSec's local API says.
const DECISIONS: &str = r#"{"new":[{"duration":"3h59m1s","scope":"Ip","type":"ban","value":"50.9.9.9"},{"duration":"1h","scope":"Ip","type":"captcha","value":"50.9.9.8"}],"deleted":null}"#;

/// An authority, and a certificate of its for 127.0.0.1.
fn certificates(folder: &Path) {
    let place = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").expect("writable");
    let openssl = |args: &[&str]| run("openssl", args).expect("openssl is installed");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let new = |rest: &[&str]| openssl(&[&["req"], &key[..], rest].concat());
    new(&["-x509", "-days", "2", "-subj", "/CN=rp-authority", "-keyout", &place("ca.key"), "-out", &place("ca.pem")]);
    new(&["-subj", "/CN=lists", "-keyout", &place("site.key"), "-out", &place("site.csr")]);
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-CA", &place("ca.pem"), "-CAkey", &place("ca.key")];
    openssl(&[&sign[..], &["-extfile", &place("names"), "-in", &place("site.csr"), "-out", &place("site.pem")]].concat());
}

/// nginx on 127.0.0.1, port 8443, with what lies in `lists`; its log has status and condition of each request.
fn lists(host: &mut Namespace, folder: &Path) {
    let place = folder.display();
    let config = format!(
        "daemon off; user root; pid {place}/nginx.pid; error_log {place}/nginx.err; events {{}}\nhttp {{ client_body_temp_path {place}/n1; proxy_temp_path {place}/n2; \
         fastcgi_temp_path {place}/n3; uwsgi_temp_path {place}/n4; scgi_temp_path {place}/n5;\nlog_format asked escape=none '$uri $status [$http_if_none_match] $http_user_agent';\n\
         access_log {place}/asked asked;\nserver {{ listen 127.0.0.1:8443 ssl; ssl_certificate {place}/site.pem; ssl_certificate_key {place}/site.key;\n\
         location / {{ root {place}/lists; }}\nlocation /busy {{ add_header Retry-After 7200 always; return 429; }}\nlocation /moved {{ return 301 https://127.0.0.1:8443/good; }}\n\
         location /v1/decisions/stream {{ if ($http_x_api_key != k3y) {{ return 403; }}\nreturn 200 '{DECISIONS}'; }}\n}}\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), config).expect("writable");
    let conf = folder.join("nginx.conf").display().to_string();
    start(host, "nginx", &["-c", &conf, "-e", &format!("{place}/nginx.err")]);
    until("nginx runs", || fs::read_to_string(folder.join("nginx.pid")).ok().filter(|pid| !pid.trim().is_empty()));
}

fn feed(name: &str, more: &str) -> String {
    format!(
        "[[feed]]\nname = \"{name}\"\nurl = \"https://127.0.0.1:8443/{name}\"\nca = \"{{}}/ca.pem\"\ncontact = \"a@example.org\"\n{more}\n"
    )
}

fn line(daemon: &Daemon, name: &str) -> Value {
    daemon.json(&["feeds", "list"]).into_iter().find(|feed| feed["name"] == name).unwrap_or_default()
}

#[test]
fn lists_are_fetched_vetted_and_blocked_and_bad_ones_change_nothing() {
    let mut network = network("feeds", 1);
    let folder = folder();
    let place = folder.path().to_owned();
    certificates(&place);
    fs::create_dir(place.join("lists")).expect("writable");
    let put = |name: &str, text: &str| fs::write(place.join("lists").join(name), text).expect("writable");
    put("good", &format!("# a list\n{STRANGER}\n46.1.0.0/16\n10.0.0.0/8\n44.4.4.4\n198.41.0.0/24\n0.0.0.0/0\nrubbish\n"));
    put("html", "<html><body>It is not here.</body></html>\n");
    put("short", "{\"cidr\":\"47.0.0.0/16\"}\n{\"cidr\":\"47.1.0.0/16\"}\n");
    put("long", &(0..40_u32).map(|n| format!("48.0.0.{n}\n")).collect::<String>());
    File::create(place.join("lists/huge")).and_then(|file| file.set_len(40 << 20)).expect("writable");
    fs::write(place.join("own.list"), "49.9.9.9\n").expect("writable");
    lists(&mut network.victim, &place);
    crate::alerts::syslog(&mut network.victim, &place);
    let bad = ["html", "short", "huge", "busy", "moved"].map(|name| feed(name, "")).concat();
    let stranger = "[[feed]]\nname = \"stranger\"\nurl = \"https://127.0.0.1:8443/good\"\n";
    let own = "[[feed]]\nname = \"own\"\npath = \"{}/own.list\"\nevery = \"10s\"\neffect = \"mark\"\n";
    fs::write(place.join("key"), "k3y\n").expect("writable");
    let crowd =
        "[[feed]]\nname = \"crowd\"\nurl = \"https://127.0.0.1:8443\"\nformat = \"crowdsec\"\nca = \"{}/ca.pem\"\nkey = \"{}/key\"\n";
    let config = format!(
        "[policy]\nexempt = [\"44.4.4.0/24\"]\n[alert.syslog]\nsocket = \"{{}}/devlog\"\n{}{bad}{}{stranger}{own}{crowd}",
        feed("good", "every = \"1h\"\n"),
        feed("long", "max_entries = 39")
    );
    let mut daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    until("the list is blocked", || is_in_set(&network.victim, "listed4", STRANGER).then_some(()));
    assert!(is_in_set(&network.victim, "listed4", "46.1.0.0/16"));
    let good = line(&daemon, "good");
    let left_out =
        |why: &str| good["left_out"].as_array().and_then(|all| all.iter().find(|pair| pair[0] == why)).map(|pair| pair[1].clone());
    assert_eq!((good["entries"].as_u64(), good["effect"].as_str()), (Some(2), Some("block")), "{good}");
    // 10.0.0.0/8 and 0.0.0.0/0; 44.4.4.4 and a root server's network; the rubbish.
    assert_eq!(
        ["not public", "exempt", "unreadable"].map(|why| left_out(why).and_then(|n| n.as_u64())),
        [Some(2), Some(2), Some(1)],
        "{good}"
    );
    for (name, why) in [
        ("html", "no list"),
        ("short", "cut short"),
        ("huge", "can't be read"),
        ("busy", "429"),
        ("moved", "it has moved to https://127.0.0.1:8443/good"),
        ("long", "more than are taken"),
        ("stranger", "certificate"),
    ] {
        let feed = until(&format!("{name} was tried"), || Some(line(&daemon, name)).filter(|feed| !feed["trouble"].is_null()));
        assert!(text(&feed["trouble"]["why"]).contains(why) && feed["entries"] == 0, "{name}: {feed}");
    }
    // Who is told to wait two hours does: the others are tried again in one.
    let next = |name: &str| line(&daemon, name)["next"].as_str().and_then(|next| next.parse::<jiff::Timestamp>().ok()).expect("a time");
    assert!(next("busy").duration_since(next("html")).as_mins() > 40);
    let troubles = daemon.json_one(&["status"])["troubles"].to_string();
    assert!(troubles.contains("the feed busy can't be renewed"), "{troubles}");
    let log = daemon.path("syslog");
    until("it is told", || fs::read_to_string(&log).ok().filter(|log| log.contains("trouble: the feed busy can't be renewed")));
    assert!(daemon.refusal(&["feeds", "update", "good"]).contains("wants an hour in between"));

    // What stands in a list is dropped, and `explain` and `list` say by which; it is no block, nor in the history.
    // hping3 says with its exit code that nobody has answered.
    let _ = network.attackers[0].run("hping3", ["-q", "-c", "3", "-i", "u1000", "-S", "-p", "80", "-a", STRANGER, VICTIM]);
    assert!(daemon.figure("packets dropped from the listed") > 0);
    let why = daemon.text(&["explain", STRANGER]);
    assert!(why.contains("is blocked by the feed good until") && why.contains("on the lists of others: good"), "{why}");
    assert!(daemon.text(&["explain", "46.1.2.3"]).contains("with 46.1.0.0/16 by the feed good"));
    until("decisions are in force", || is_in_set(&network.victim, "listed4", "50.9.9.9").then_some(()));
    assert!(daemon.text(&["explain", "50.9.9.9"]).contains("by the feed crowd") && !is_in_set(&network.victim, "listed4", "50.9.9.8"));
    until("the file is read", || (line(&daemon, "own")["entries"] == 1).then_some(()));
    assert!(daemon.text(&["explain", "49.9.9.9"]).contains("own (49.9.9.9"));
    assert!(daemon.json(&["list", "--listed", "0"]).is_empty() && daemon.json(&["history"]).is_empty());
    let entries: Vec<[String; 3]> =
        daemon.json(&["list"]).iter().map(|line| ["address", "list", "state"].map(|key| text(&line[key]))).collect();
    assert_eq!(entries, [[STRANGER, "good", "listed"], ["46.1.0.0/16", "good", "listed"], ["50.9.9.9", "crowd", "listed"]]);
    daemon.text(&["block", "192.0.2.77", "--for", "1h"]);
    let list = daemon.text(&["list", "--listed", "1"]);
    assert!(list.contains("192.0.2.77") && list.contains(STRANGER) && !list.contains("50.9.9.9"), "{list}");
    assert!(list.ends_with("1 block, and 3 entries of others' lists, 2 of them not shown (riposte list --listed 3).\n"), "{list}");
    assert!(daemon.text(&["list"]).ends_with("1 block, and 3 entries of others' lists.\n"));
    daemon.text(&["unblock", "192.0.2.77"]);
    assert!(daemon.refusal(&["feeds", "dshield"]).contains("'[dshield] enabled = true'"));
    let refused = daemon.refusal(&["unblock", "46.1.2.3"]);
    assert!(refused.contains("blocked with 46.1.0.0/16 by the feed good") && refused.contains("riposte allow 46.1.2.3"), "{refused}");
    // A table that somebody else deletes comes back with them.
    network.victim.run("nft", ["delete", "table", "inet", "riposte"]).expect("a table");
    until("the list is back", || {
        network.victim.run("nft", ["list", "set", "inet", "riposte", "listed4"]).ok().filter(|set| set.contains(STRANGER))
    });
    // Whoever is allowed passes at once.
    daemon.text(&["allow", STRANGER]);
    assert!(is_in_set(&network.victim, "exempt4", STRANGER));
    let why = daemon.text(&["explain", STRANGER]);
    assert!(why.contains("never blocked") && why.contains("not blocked for that"), "{why}");

    daemon.text(&["allow", "--remove", STRANGER]);

    // A restart goes on with the copy; when its hour is over the server is asked whether there is another one, and says no.
    assert!(daemon.end().success());
    let copy = daemon.path("var/store/feeds/good.copy");
    // With the exempt on it: they may be so no longer when the copy is needed.
    let kept = fs::read_to_string(&copy).expect("a copy");
    let (head, rest) = kept.split_once('\n').expect("lines");
    assert!(kept.contains("\n# from https://127.0.0.1:8443/good\n") && kept.ends_with("\n# entries 4\n"), "{kept}");
    let fetched: u64 = head.strip_prefix("# fetched ").and_then(|secs| secs.parse().ok()).expect("a time");
    fs::write(&copy, format!("# fetched {}\n{rest}", fetched - 3_700)).expect("writable");
    fs::write(place.join("asked"), "").expect("writable");
    daemon.start_again();
    until("nothing new is there", || fs::read_to_string(place.join("asked")).ok().filter(|asked| asked.contains("/good 304 [\"")));
    until("it is fresh again", || {
        text(&line(&daemon, "good")["fetched"]).parse::<jiff::Timestamp>().ok().filter(|at| at.as_second() >= fetched as i64)
    });
    assert!(fs::read_to_string(place.join("asked")).expect("readable").contains("(a@example.org)"));
    assert_eq!(line(&daemon, "good")["entries"], 2);
}

#[test]
fn a_list_of_many_pages_is_shown_whole() {
    let network = network("many-listed", 0);
    let folder = folder();
    let hosts = (0..11_000_u32).map(|n| std::net::Ipv4Addr::from(0x2d00_0000 + 2 * n).to_string() + "\n").collect::<String>();
    fs::write(folder.path().join("own.list"), &hosts).expect("writable");
    let own = "[[feed]]\nname = \"own\"\npath = \"{}/own.list\"\n";
    let daemon = Daemon::start_in(folder, &network.victim, own, &[]);
    until("the list is taken", || (line(&daemon, "own")["entries"] == 11_000).then_some(()));
    let listed =
        |args: &[&str]| daemon.json(&[&["list"], args].concat()).iter().map(|line| text(&line["address"]) + "\n").collect::<String>();
    assert_eq!(listed(&[]), hosts);
    assert_eq!(listed(&["--listed", "7000"]).lines().count(), 7_000);
    assert_eq!(daemon.text(&["list"]).lines().count(), 1 + 20 + 1);
}

#[test]
fn a_saved_list_is_checked_without_anybody_being_asked() {
    let folder = folder();
    let file = folder.path().join("list");
    fs::write(&file, "# x\n45.9.9.9\n10.0.0.0/8\n45.9.9.0/24\n9.9.9.9-1.1.1.1\n").expect("writable");
    let file = file.display().to_string();
    let none = folder.path().join("none.toml").display().to_string();
    fs::write(&none, "[policy]\nexempt = [\"45.9.9.9\"]\n").expect("writable");
    let checked = command(&["feeds", "check", &file, "--json", "--config", &none]);
    let value: Value = serde_json::from_str(&said(&checked)).expect("JSON");
    assert_eq!((&value["format"], &value["taken"]), (&"plain".into(), &0.into()), "{value}");
    assert_eq!(value["left_out"], serde_json::json!({"not_public": 1, "exempt": 2, "unreadable": 1}));
    fs::write(&none, "").expect("writable");
    assert_eq!(said(&command(&["feeds", "check", &file, "--entries", "--config", &none])), "45.9.9.0/24\n45.9.9.9\n");
    let odd = command(&["feeds", "check", &file, "--format", "plian"]);
    assert!(!odd.status.success() && said(&odd).contains("did you mean 'plain'?"), "{}", said(&odd));
}

#[test]
fn dshield_is_asked_what_it_knows() {
    let mut network = network("lookup", 0);
    let folder = folder();
    let place = folder.path().to_owned();
    certificates(&place);
    fs::create_dir_all(place.join("lists/api/ip")).expect("writable");
    fs::create_dir_all(place.join("lists/api/topports/records")).expect("writable");
    let about = "{\"ip\":{\"number\":\"45.9.9.9\",\"count\":\"1200\",\"attacks\":30,\"asname\":\"EX\\u001b[2JAMPLE\",\"threatfeeds\":{\"mirai\":{\"lastseen\":\"2026-11-20\"}}}}";
    fs::write(place.join("lists/api/ip/45.9.9.9"), about).expect("writable");
    let ports = "{\"0\":{\"rank\":1,\"targetport\":23,\"sources\":9},\"1\":{\"rank\":2,\"targetport\":8446,\"sources\":\"7\"}}";
    fs::write(place.join("lists/api/topports/records/20"), ports).expect("writable");
    lists(&mut network.victim, &place);
    start(&mut network.victim, "socat", &["TCP-LISTEN:8446,bind=0.0.0.0", "/dev/null"]);
    let ca = place.join("ca.pem").display().to_string();
    let config = place.join("none.toml").display().to_string();
    fs::write(&config, "").expect("writable");
    let ask = |args: &[&str]| {
        let rest = ["--url", "https://127.0.0.1:8443/api", "--ca", &ca, "--config", &config];
        network.victim.run(crate::daemon::RIPOSTE, [&["feeds"], args, &rest].concat())
    };
    assert!(ask(&["lookup", "45.9.9.9"]).unwrap_err().to_string().contains("--contact"), "nobody is asked without one");
    let contact = ["--contact", "a@example.org"];
    let known = ask(&[&["lookup", "45.9.9.9"], &contact[..]].concat()).expect("an answer");
    assert!(known.contains("1,200 packets, 30 targets") && known.contains("on the list mirai") && !known.contains('\u{1b}'), "{known}");
    until("somebody listens", || network.victim.run("ss", ["-Hltn", "sport", "=", ":8446"]).ok().filter(|text| text.contains("8446")));
    let ports = ask(&[&["ports"], &contact[..]].concat()).expect("an answer");
    assert!(ports.contains("open: tcp on 0.0.0.0") && ports.contains("tcp dport { 8446 } drop") && ports.contains("tcp = [23]"), "{ports}");
    let (_, rest) = ports.split_once("\ntable ").expect("a table");
    let (table, _) = rest.split_once("\n}\n").expect("its end");
    fs::write(place.join("close.nft"), format!("table {table}\n}}\n")).expect("writable");
    let file = place.join("close.nft").display().to_string();
    network.victim.run("nft", ["-f", &file]).expect("nft takes what was proposed");
    assert!(fs::read_to_string(place.join("asked")).expect("readable").contains("riposte/"));
}

/// Takes submissions as DShield's server does; writes down what comes, and whether the proof is right. The first is refused.
const RECEIVER: &str = r#"
import base64, hashlib, hmac, http.server, json, re, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = dict(re.findall(r"(\w+)=(\S+)", self.headers["X-ISC-Authorization"]))
        right = hmac.new((said["Nonce"] + said["Userid"]).encode(), b"secret", hashlib.sha256).digest()
        proved = hmac.compare_digest(base64.b64encode(right).decode(), said["Credentials"]) and len(base64.b64decode(said["Nonce"])) == 8
        with open(sys.argv[1], "a") as file:
            json.dump({"path": self.path, "proved": proved, "type": self.headers["X-ISC-LogType"], "same": body["authheader"] == self.headers["X-ISC-Authorization"], "body": body}, file)
            file.write("\n")
        self.send_response(200 if proved else 401)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8085), Receiver).serve_forever()
"#;

#[test]
fn dshield_is_told_by_its_api_with_its_proof() {
    let mut network = network("submit", 0);
    let folder = folder();
    let place = folder.path().to_owned();
    fs::write(place.join("receiver.py"), RECEIVER).expect("writable");
    fs::write(place.join("key"), "secret\n").expect("writable");
    let [receiver, told] = ["receiver.py", "told"].map(|name| place.join(name).display().to_string());
    start(&mut network.victim, "python3", &[&receiver, &told]);
    until("the receiver listens", || network.victim.run("ss", ["-Hltn", "sport", "=", ":8085"]).ok().filter(|text| text.contains("8085")));
    let dshield = "[dshield]\nenabled = true\nuser = 4711\nkey = \"{}/key\"\nfrom = \"a@example.org\"\nurl = \"http://127.0.0.1:8085/submitapi/\"\ncopy = true\n";
    let daemon = Daemon::start_in(folder, &network.victim, &format!("{dshield}{KERN_LOG}"), &[]);
    daemon.wait_until_followed("kern.log");
    // A stranger, one of a house, and an exempt one.
    let lines = [STRANGER, "192.168.7.7", "198.41.0.4"].map(|who| scan_lines(who, VICTIM, 1_000..1_003)).concat();
    daemon.append("kern.log", &lines);
    let line = until("DShield is told", || fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n')));
    let told: Value = serde_json::from_str(line.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(
        (&told["proved"], &told["same"], &told["type"], &told["path"]),
        (&true.into(), &true.into(), &"firewall".into(), &"/submitapi/".into())
    );
    let logs = told["body"]["logs"].as_array().expect("a list");
    assert!(!logs.is_empty() && logs.iter().all(|log| log["sip"] == STRANGER && log["flags"] == "S" && log["proto"] == 6), "{told}");
    assert!(logs.iter().all(|log| text(&log["dip"]).starts_with("10.")), "ours are hidden: {told}");
    until("it is counted", || (daemon.figure("probes told to DShield") == logs.len() as u64).then_some(()));
    let copy = fs::read_to_string(daemon.path("var/store/dshield.copy")).expect("a copy");
    assert_eq!(copy.lines().count(), logs.len());
    // What comes now waits for its time, and can be looked at.
    let waiting = until("more waits", || {
        daemon.append("kern.log", &scan_lines(STRANGER, VICTIM, 2_000..2_001));
        Some(daemon.json_one(&["feeds", "dshield"])).filter(|waiting| waiting["probes"] != 0)
    });
    let body: Value = serde_json::from_str(&text(&waiting["body"])).expect("JSON");
    assert_eq!(body["logs"].as_array().map(|logs| logs.len() as u64), waiting["probes"].as_u64(), "{waiting}");
    assert!(body["logs"][0]["dport"] == "2000" && body["logs"][0]["sip"] == STRANGER && !waiting["next"].is_null(), "{waiting}");
    let shown = daemon.text(&["feeds", "dshield"]);
    assert!(
        shown.contains(" for http://127.0.0.1:8085/submitapi/, sent at 2") && shown.contains("\nX-ISC-LogType: firewall\n\n{"),
        "{shown}"
    );
    assert!(!shown.contains("secret") && shown.contains("Credentials=(made when it is sent)"), "{shown}");
}

#[test]
fn dshield_is_told_by_mail() {
    let mut network = network("submit-mail", 0);
    let folder = folder();
    let place = folder.path().to_owned();
    let at = place.display();
    let exim = format!(
        "spool_directory = {at}/mail/spool\nlog_file_path = {at}/mail/%slog\nprimary_hostname = mail.test\ndaemon_smtp_ports = 2525\nlocal_interfaces = 127.0.0.1\n\
         pid_file_path = {at}/mail/pid\nacl_smtp_rcpt = take\nacl_smtp_data = take\ntls_advertise_hosts =\nbegin acl\ntake:\n  accept\nbegin routers\nall:\n  driver = accept\n  \
         transport = file\nbegin transports\nfile:\n  driver = appendfile\n  file = {at}/mail/box\n  user = Debian-exim\n  no_mode_fail_narrower\n"
    );
    fs::write(place.join("exim.conf"), exim).expect("writable");
    run("install", ["-d", "-m", "0777", &format!("{at}/mail"), &format!("{at}/mail/spool")]).expect("a folder");
    start(&mut network.victim, "exim4", &["-C", &format!("{at}/exim.conf"), "-bdf"]);
    until("the mail server listens", || {
        network.victim.run("ss", ["-Hltn", "sport", "=", ":2525"]).ok().filter(|text| text.contains("2525"))
    });
    let config = "[alert]\ntell = [\"trouble\"]\n[alert.mail]\nto = [\"root\"]\nfrom = \"riposte@example.org\"\nserver = \"127.0.0.1\"\nport = 2525\ntls = \"none\"\n\
        [dshield]\nenabled = true\nby = \"mail\"\nuser = 12345\nfrom = \"a@example.org\"\npublic = \"45.1.1.1\"\n";
    let daemon = Daemon::start_in(folder, &network.victim, &format!("{config}{KERN_LOG}"), &[]);
    daemon.wait_until_followed("kern.log");
    daemon.append("kern.log", &scan_lines(STRANGER, "192.168.1.9", 1_000..1_003));
    let mail = until("the mail is there", || fs::read_to_string(place.join("mail/box")).ok().filter(|mail| mail.contains("\tSYN")));
    assert!(mail.contains("\nTo: reports@dshield.org") && mail.contains("\nFrom: a@example.org"), "{mail}");
    assert!(
        mail.contains(concat!("\nSubject: FORMAT DSHIELD USERID 12345 TZ +00:00 riposte Version ", env!("CARGO_PKG_VERSION"))),
        "{mail}"
    );
    let line = mail.lines().find(|line| line.contains("\tSYN")).expect("a line");
    let fields: Vec<&str> = line.split('\t').collect();
    assert_eq!(fields[1..], ["12345", "1", STRANGER, "40000", "45.1.1.1", fields[6], "TCP", "SYN"], "{line}");
    assert!(fields[0].ends_with(" +00:00"));
}
