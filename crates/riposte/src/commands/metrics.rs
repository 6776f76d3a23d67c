//! `riposte metrics`: serves the running daemon's figures over HTTP. A process of its own, without root, files or any way to give an
//! order: whatever reaches its port, the daemon hears questions from it and nothing else. One client at a time, each for a moment.
//! A daemon that is away is no reason to end: scrapers are told so (503), and it is asked again with the next of them.

use super::{Failure, ask, fail};
use crate::cli;
use crate::control::client::Client;
use crate::lives::monotonic;
use model::time::Time;
use report::status::StatusReport;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use sys::sandbox::{Life, Profile};

/// Bytes of a request's head; a scraper's has a few hundred.
const HEAD_BYTES: usize = 4_096;
/// How long one client may take, for asking and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the daemon may take for its answer: less than a scraper waits.
const ANSWER: Duration = Duration::from_secs(4);

/// Serves until it is ended.
///
/// # Errors
/// Why it can't serve.
pub fn run(args: &cli::Metrics) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return Err(fail(format!(
            "{} is no loopback address: anybody who reaches it could read the figures (--allow-remote)",
            args.listen
        )));
    }
    if sys::identity::own_uid() == 0 {
        // The kernel tells the daemon who asks: a connection of root's may give orders, whoever has taken this process over.
        return Err(fail("metrics are not served as root: try 'sudo -u riposte riposte metrics' (see riposte-metrics.service)"));
    }
    let mut daemon = Daemon { socket: ask::place(args.socket.as_deref(), args.config.as_deref())?, client: None };
    if let Err(why) = daemon.connect() {
        eprintln!("riposte: {why} (until then whoever asks is told so)");
    }
    let listener = TcpListener::bind(args.listen).map_err(|e| fail(format!("{}: {e}", args.listen)))?;
    // Figures of the processes are in /proc; all else is open by now.
    let profile = Profile { life: Life::Client, read: vec![PathBuf::from("/proc")], dies_with_parent: false, ..Profile::sensor(None) };
    sys::sandbox::enter(&profile).map_err(|e| fail(e.to_string()))?;
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        // A client that goes away is its own affair.
        if let Ok(Some(line)) = head(&stream, monotonic().after(PATIENCE)) {
            let _ = serve(stream, &line, &mut daemon);
        }
    }
}

/// The daemon, as far as it is there.
struct Daemon {
    socket: PathBuf,
    client: Option<Client>,
}

impl Daemon {
    fn connect(&mut self) -> Result<&mut Client, String> {
        let mut client = Client::connect(&self.socket)?;
        client.wait_at_most(ANSWER)?;
        Ok(self.client.insert(client))
    }

    /// Its figures; one that has gone away since is looked for once more.
    fn figures(&mut self) -> Result<StatusReport, Failure> {
        if let Some(mut client) = self.client.take()
            && let Ok(report) = ask::figures(&mut client)
        {
            self.client = Some(client);
            return Ok(report);
        }
        let report = ask::figures(self.connect().map_err(fail)?);
        if report.is_err() {
            self.client = None;
        }
        report
    }
}

/// The first line of the request, once its head is whole. `None`: it was too long, too slow or no text.
fn head(mut stream: &TcpStream, until: Time) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1_024];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.since(monotonic());
        if left.is_zero() || bytes.len() > HEAD_BYTES {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            len => bytes.extend_from_slice(piece.get(..len).unwrap_or_default()),
        }
    }
    let text = String::from_utf8(bytes).ok();
    Ok(text.and_then(|text| text.lines().next().map(str::to_owned)))
}

fn serve(mut stream: TcpStream, line: &str, daemon: &mut Daemon) -> io::Result<()> {
    let (status, body) = match line.split(' ').collect::<Vec<_>>().as_slice() {
        ["GET", "/metrics", "HTTP/1.0" | "HTTP/1.1"] => match daemon.figures() {
            Ok(report) => ("200 OK", report::metrics::text(&report)),
            Err(why) => ("503 Service Unavailable", format!("{}\n", why.join("\n"))),
        },
        ["GET", _, "HTTP/1.0" | "HTTP/1.1"] => ("404 Not Found", "riposte's figures are at /metrics\n".to_owned()),
        [_, _, "HTTP/1.0" | "HTTP/1.1"] => ("405 Method Not Allowed", "GET is all there is\n".to_owned()),
        _ => ("400 Bad Request", "that is no HTTP/1 request\n".to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(answer.as_bytes())
}
