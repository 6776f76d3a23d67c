//! Prometheus' page: promtool finds nothing wrong with it, and who serves it has no privilege and gives no order.

use crate::daemon::{Daemon, copy_for_everybody, network, said, until};
use range::namespace::Namespace;
use std::io::Write;
use std::process::{Child, Command, Stdio};

const PORT: &str = "9577";

/// What promtool has to say about a page; nothing, if it is well.
fn complaints(page: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (package prometheus)");
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    assert_eq!(output.status.success(), said(&output).is_empty(), "{}", said(&output));
    said(&output)
}

/// Sends these bytes from inside and hands back the answer.
fn send(host: &Namespace, bytes: &str) -> String {
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{PORT} && printf '{bytes}' >&3 && cat <&3");
    host.run("bash", ["-c", &script]).unwrap_or_default()
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn figures_are_served_without_any_privilege() {
    let network = network("metrics", 0);
    let mut daemon = Daemon::start(&network.victim, "");
    let page = daemon.text(&["status", "--prometheus"]);
    assert_eq!(complaints(&page), "");
    for line in ["riposte_blocks{evidence=\"operator\"} 0", "riposte_sensor_up{sensor=", "riposte_process_open_fds{process=\"warden\"}"] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(daemon.refusal(&["metrics"]).contains("not served as root"));

    // As somebody who may ask: the socket is given to him, as the unit gives it to its user.
    let (riposte, socket) = (daemon.path("riposte"), daemon.path("sock"));
    copy_for_everybody(&riposte);
    std::os::unix::fs::chown(&socket, Some(65_534), None).expect("root");
    let serve = |listen: &str| {
        let mut command = network.victim.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&riposte);
        command.arg("metrics").arg("--listen").arg(listen).arg("--socket").arg(&socket);
        command
    };
    let output = serve("0.0.0.0:9577").output().expect("setpriv is installed");
    assert!(!output.status.success() && said(&output).contains("no loopback address"), "{}", said(&output));
    let mut server = Ended(serve(&format!("127.0.0.1:{PORT}")).stdout(Stdio::null()).spawn().expect("setpriv is installed"));
    let get = "GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
    let answer = until("it serves", || Some(send(&network.victim, get)).filter(|answer| !answer.is_empty()));
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("version=0.0.4"), "{head}");
    assert_eq!(complaints(body), "");
    assert!(body.contains("riposte_process_resident_memory_bytes{process=\"judge\"}"), "{body}");

    let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).expect("it runs");
    for line in ["Uid:\t65534\t65534", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    for (request, answer) in [("GET / HTTP/1.1\\r\\n\\r\\n", "404"), ("POST /metrics HTTP/1.1\\r\\n\\r\\n", "405"), ("\\r\\n\\r\\n", "400")]
    {
        assert!(send(&network.victim, request).starts_with(&format!("HTTP/1.1 {answer}")), "{request}");
    }
    assert_eq!(send(&network.victim, &"x".repeat(9_000)), "", "a head without end gets no answer");
    assert!(send(&network.victim, get).starts_with("HTTP/1.1 200"), "and the next client does");

    // Whoever takes this process over can ask, and no more.
    let mut order = Command::new("setpriv");
    order.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&riposte).args(["block", "192.0.2.1", "--socket"]).arg(&socket);
    assert!(said(&order.output().expect("setpriv")).contains("only root may give orders"));

    // A daemon that ends is missed, and one that is there again is asked again.
    assert!(daemon.end().success());
    let answer = send(&network.victim, get);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no riposte is running here"), "{answer}");
    assert!(send(&network.victim, "GET / HTTP/1.1\\r\\n\\r\\n").starts_with("HTTP/1.1 404"));
    daemon.start_again();
    std::os::unix::fs::chown(&socket, Some(65_534), None).expect("root");
    let answer = send(&network.victim, get);
    assert!(answer.starts_with("HTTP/1.1 200 ") && complaints(answer.split_once("\r\n\r\n").expect("a body").1).is_empty(), "{answer}");
    assert!(server.0.try_wait().expect("our child").is_none(), "it still runs");
}
