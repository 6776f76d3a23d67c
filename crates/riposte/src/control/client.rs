//! The asking side of the control socket.

use crate::control::protocol::{Reply, Request};
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to the running daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// One line that says what to do.
    pub fn connect(socket: &Path) -> Result<Client, String> {
        let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("no riposte is running here ({} isn't answered): start it with 'sudo riposte run'", socket.display())
            }
            io::ErrorKind::PermissionDenied => format!("{}: permission denied: try with sudo", socket.display()),
            _ => format!("{}: {error}", socket.display()),
        })?;
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)).map_err(|e| e.to_string())?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Waits no longer than this for an answer.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn wait_at_most(&mut self, limit: Duration) -> Result<(), String> {
        self.stream.get_ref().set_read_timeout(Some(limit)).map_err(|e| e.to_string())
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The daemon's own words, a line for each reason, or why it couldn't be reached.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Vec<String>> {
        Reply::read(&self.exchange(request).map_err(|why| vec![why])?)
    }

    /// A request and its answer's line.
    fn exchange(&mut self, request: &Request) -> Result<String, String> {
        let mut line = serde_json::to_vec(request).map_err(|e| e.to_string())?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(|e| format!("the daemon went away: {e}"))?;
        let mut answer = String::new();
        let len = self.stream.read_line(&mut answer).map_err(|e| format!("the daemon doesn't answer: {e}"))?;
        if len == 0 {
            return Err("the daemon closed the connection".into());
        }
        Ok(answer)
    }
}
