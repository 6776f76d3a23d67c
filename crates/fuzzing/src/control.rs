//! The control socket, both ends. The promises: how the bytes come changes no request, what is understood is said again in the same way, a
//! refusal is one bounded line, and an answer that the command line shows brings no control character to the operator's terminal, even
//! if the judge (who parses what attackers cause) were theirs.

use crate::choice;
use model::net::Prefix;
use report::explain::Explanation;
use report::history::HistoryLine;
use report::list::BlockLine;
use report::status::StatusReport;
use report::table::Room;
use riposte::control::protocol::{AllowedLine, Done, REQUEST_BYTES, Reply, Request, Requests};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that the server reads at one time.
const READ_BYTES: usize = 1_024;

/// The first byte says which end reads the rest.
pub fn run(bytes: &[u8]) {
    match choice(bytes) {
        (b'A', answer) => {
            if let Ok(line) = std::str::from_utf8(answer) {
                asker(line);
            }
        }
        (_, requests) => answerer(requests),
    }
}

fn answerer(bytes: &[u8]) {
    let found = requests(bytes, READ_BYTES);
    assert!(found.len() <= bytes.iter().filter(|byte| **byte == b'\n').count());
    let shorter = requests(bytes, 3);
    assert!(found.iter().zip(&shorter).all(|(one, other)| one == other), "how the bytes come changes no request");
    for request in found {
        match request {
            Ok(request) => understood(&request),
            Err(refusal) => {
                let line = refusal.to_line();
                assert!(!refusal.ok && one_line(&line));
                assert!(line.len() <= 8 * (REQUEST_BYTES + READ_BYTES), "a refusal of {} bytes", line.len());
                assert!(Reply::read::<serde_json::Value>(std::str::from_utf8(&line).expect("JSON is UTF-8")).is_err());
            }
        }
    }
}

/// What a client's bytes are understood as, until it is cut off.
fn requests(bytes: &[u8], chunk: usize) -> Vec<Result<Request, Reply>> {
    let mut waiting = Requests::default();
    let mut found = Vec::new();
    for chunk in bytes.chunks(chunk) {
        waiting.push(chunk);
        while let Some(request) = waiting.next_one() {
            found.push(request);
        }
        if waiting.is_flood() {
            break;
        }
        assert!(!waiting.is_whole());
    }
    found
}

fn one_line(line: &[u8]) -> bool {
    line.iter().position(|byte| *byte == b'\n') == Some(line.len() - 1)
}

fn understood(request: &Request) {
    let mut again = Requests::default();
    again.push(&serde_json::to_vec(request).expect("a request can be written"));
    again.push(b"\n");
    assert_eq!(again.next_one(), Some(Ok(request.clone())));
    if matches!(request, Request::Respond { .. } | Request::Release { .. }) {
        return assert!(request.is_order());
    }
    let (Request::Block { prefix, .. } | Request::Unblock { prefix } | Request::Allow { prefix, .. } | Request::Disallow { prefix }) =
        request
    else {
        return;
    };
    assert!(request.is_order());
    if let Ok(prefix) = prefix.parse::<Prefix>() {
        assert_eq!(prefix.to_string().parse(), Ok(prefix));
        assert!(prefix.contains(prefix.addr()) && prefix.contains(prefix.last()));
    }
}

/// Every command reads the answer as its own.
fn asker(line: &str) {
    shown::<StatusReport>(line, |report| report.text(Room::Endless));
    shown::<Vec<BlockLine>>(line, |lines| report::list::text(lines, Room::Endless));
    shown::<Explanation>(line, |explanation| explanation.text(Room::Endless));
    shown::<Vec<HistoryLine>>(line, |lines| report::history::text(lines, Room::Endless));
    shown::<Done>(line, |done| report::escape::text(&done.said, 2_000));
    shown::<Vec<AllowedLine>>(line, |_| String::new());
}

fn shown<T: DeserializeOwned + Serialize>(line: &str, text: impl Fn(&T) -> String) {
    let said = match Reply::read::<T>(line) {
        Ok(answer) => {
            let json = report::serial::to_json_line(&answer).expect("an answer can be written");
            assert!(one_line(json.as_bytes()));
            text(&answer)
        }
        Err(why) => {
            assert!(why.iter().all(|line| !line.contains('\n')), "{why:?}");
            why.concat()
        }
    };
    let bad = said.chars().find(|c| c.is_control() && *c != '\n');
    assert!(bad.is_none(), "a control character reaches the terminal: {said:?}");
}
