//! Asking web servers for lists. Follows no redirection, takes no more than it is told to, waits no longer, and speaks with nobody unproved but with
//! this host itself.

use crate::lives::envoy::tls;
use link::message::{ANSWER_BYTES, KNOWN_BYTES};
use std::time::Duration;
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

/// The longest time for one answer, all of it.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of the longest answer.
pub const ANSWER_MAX: u64 = 32 << 20;
/// Bytes of an answer's head.
const HEAD_MAX: usize = 16 << 10;
/// The first word of what a server is told of who asks.
const OURSELVES: &str = concat!("riposte/", env!("CARGO_PKG_VERSION"));

/// Asks one server, or several that the same certificates are believed of.
#[derive(Debug)]
pub struct Asker {
    agent: Agent,
}

/// What a server has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Something.
    Text {
        /// The whole of it.
        text: String,
        /// What it calls that: `ETag` and `Last-Modified`.
        known: [String; 2],
    },
    /// What is known already.
    Same,
    /// Nothing.
    Nothing {
        /// Why, in words.
        why: String,
        /// For how many seconds nobody is to ask.
        wait: Option<u32>,
    },
}

impl Asker {
    /// Believes the system's certificates and these (PEM); says how whoever runs this can be reached.
    ///
    /// # Errors
    /// If there is no certificate in them.
    pub fn new(certificates: Option<&[u8]>, contact: Option<&str>) -> Result<Asker, String> {
        let tls = tls::config("ca", certificates)?;
        let agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .max_response_header_size(HEAD_MAX)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(contact.map_or_else(|| OURSELVES.to_owned(), |contact| format!("{OURSELVES} ({contact})")))
            .tls_config(tls);
        Ok(Asker { agent: agent.build().into() })
    }

    /// Asks for a text of at most so many bytes, with these headers.
    pub fn get(&self, url: &str, headers: &[(&str, &str)], most: u64) -> Answer {
        let mut request = self.agent.get(url);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        match request.call() {
            Ok(response) if response.status() == StatusCode::NOT_MODIFIED => Answer::Same,
            Ok(response) => read(response, most),
            Err(error) => nothing(error.to_string()),
        }
    }

    /// Sends a text, and reads at most so many bytes of what is answered.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &str, most: u64) -> Answer {
        let mut request = self.agent.post(url).content_type("application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body).map_or_else(|error| nothing(error.to_string()), |response| read(response, most))
    }
}

fn nothing(why: String) -> Answer {
    Answer::Nothing { why: cut(&why, ANSWER_BYTES), wait: None }
}

/// No longer than so many bytes, and of one line.
fn cut(text: &str, most: usize) -> String {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.truncate(text.floor_char_boundary(most));
    text
}

fn read(mut response: Response<Body>, most: u64) -> Answer {
    let (status, headers) = (response.status(), response.headers());
    if !status.is_success() {
        let moved = header(headers, "location").map_or_else(String::new, |place| format!("; it has moved to {place}"));
        let why = cut(&format!("the server answered {status}{moved}"), ANSWER_BYTES);
        return Answer::Nothing { why, wait: header(headers, "retry-after").and_then(|text| wait(&text)) };
    }
    let known = ["etag", "last-modified"].map(|name| header(headers, name).filter(|text| text.len() <= KNOWN_BYTES).unwrap_or_default());
    match response.body_mut().with_config().limit(most).lossy_utf8(true).read_to_string() {
        Ok(text) => Answer::Text { text, known },
        Err(error) => nothing(format!("the answer can't be read: {error}")),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Seconds, as `Retry-After` has them: a number, or a date (RFC 9110 §10.2.3).
fn wait(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(seconds);
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let now = i64::try_from(crate::lives::now().as_secs()).ok()?;
    u32::try_from(until - now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_to_wait_in_seconds_or_by_a_date() {
        assert_eq!(
            [wait("300"), wait(" 7 "), wait("soon"), wait("-5"), wait("Fri, 31 Dec 1999 23:59:59 GMT")],
            [Some(300), Some(7), None, None, None]
        );
        assert!(wait("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|seconds| seconds > 1_000_000));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("a\né", 3), "a ");
    }
}
