//! What people elsewhere are told, by real servers and programs of theirs.

use crate::daemon::{Daemon, folder, network, signal, text, until};
use range::namespace::Namespace;
use range::network::{Network, VICTIM, attacker_address};
use serde_json::Value;
use std::fs;
use std::path::Path;

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
fn syslog(host: &mut Namespace, folder: &Path) {
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
    assert!(told["source"]["tcp_ports"].as_array().is_some_and(|ranges| !ranges.is_empty()), "{body}");
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
