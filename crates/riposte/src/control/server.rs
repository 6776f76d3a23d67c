//! The answering side of the control socket. Holds a bounded number of clients, each with a bounded request;
//! never waits for any of them.

use crate::control::protocol::{Reply, Request, Requests};
use model::limits;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use sys::fd::{Interest, Poller};

/// The listener and its clients. Poll tokens are `base` for the listener and `base + n` for clients.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    /// Given up for a moment when there is no descriptor left: a connection that can't be taken would keep us awake for ever.
    reserve: Option<OwnedFd>,
    base: u64,
    next: u64,
    clients: BTreeMap<u64, Client>,
    turn: u64,
    /// Connections closed at once because there were too many.
    pub turned_away: u64,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    uid: u32,
    /// When it was last heard of, in turns of the server.
    heard: u64,
    requests: Requests,
    answer: Vec<u8>,
    sent: usize,
}

impl Server {
    /// Takes over a listening socket.
    ///
    /// # Errors
    /// If it can't be polled.
    pub fn new(listener: UnixListener, poller: &Poller, base: u64) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        poller.add(listener.as_fd(), base, Interest::Read)?;
        let reserve = listener.as_fd().try_clone_to_owned().ok();
        Ok(Server { listener, reserve, base, next: 1, clients: BTreeMap::new(), turn: 0, turned_away: 0 })
    }

    /// Whether this poll token is ours.
    pub fn owns(&self, token: u64) -> bool {
        token >= self.base
    }

    /// Does what the token is ready for. `answer` gets each whole request and whether root asks.
    pub fn ready(&mut self, token: u64, poller: &Poller, mut answer: impl FnMut(Request, bool) -> Reply) {
        self.turn += 1;
        if token == self.base {
            self.accept(poller);
        } else if let Some(client) = self.clients.get_mut(&token) {
            client.heard = self.turn;
            if !client.serve(&mut answer) {
                self.clients.remove(&token);
            } else {
                // A further request that is here already is taken in the next turn: then there is room to write, too.
                let pending = !client.answer.is_empty() || client.requests.is_whole();
                let interest = if pending { Interest::Write } else { Interest::Read };
                if poller.modify(client.stream.as_fd(), token, interest).is_err() {
                    self.clients.remove(&token);
                }
            }
        }
    }

    fn accept(&mut self, poller: &Poller) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
                Err(_) => {
                    self.turned_away += 1;
                    if self.drop_idle() || self.turn_away() {
                        continue;
                    }
                    return;
                }
            };
            if self.clients.len() >= limits::CONTROL_CLIENTS {
                self.turned_away += 1;
                self.drop_idle();
            }
            let token = self.base + self.next;
            self.next += 1;
            let peer = sys::fd::peer_credentials(stream.as_fd());
            let polled = stream.set_nonblocking(true).and_then(|()| poller.add(stream.as_fd(), token, Interest::Read));
            if let (Ok(peer), Ok(())) = (peer, polled) {
                self.clients.insert(
                    token,
                    Client { stream, uid: peer.uid, heard: self.turn, requests: Requests::default(), answer: Vec::new(), sent: 0 },
                );
            }
        }
    }
}

impl Server {
    /// Who has been silent for longest gives way: idle connections must not lock an operator out.
    fn drop_idle(&mut self) -> bool {
        let idle = self.clients.iter().min_by_key(|(_, client)| client.heard).map(|(token, _)| *token);
        idle.and_then(|token| self.clients.remove(&token)).is_some()
    }

    /// Closes the next connection at once, with the descriptor that is kept for that.
    fn turn_away(&mut self) -> bool {
        self.reserve = None;
        let taken = self.listener.accept().is_ok();
        self.reserve = self.listener.as_fd().try_clone_to_owned().ok();
        taken
    }
}

impl Client {
    /// Goes on until one request is answered, there is nothing to read or no room to write. False when the client is done with.
    fn serve(&mut self, answer: &mut impl FnMut(Request, bool) -> Reply) -> bool {
        let mut answered = false;
        loop {
            if !self.answer.is_empty() {
                match self.send() {
                    Ok(true) => {}
                    Ok(false) => return true,
                    Err(_) => return false,
                }
            }
            if self.requests.is_whole() {
                // One request a turn: a client with many must not keep the judge from its work.
                if answered {
                    return true;
                }
                self.take(answer);
                answered = true;
                continue;
            }
            if self.requests.is_flood() {
                return false;
            }
            let mut bytes = [0; 1_024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(len) => self.requests.push(bytes.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    fn take(&mut self, answer: &mut impl FnMut(Request, bool) -> Reply) {
        let Some(request) = self.requests.next_one() else { return };
        let reply = request.map_or_else(|refusal| refusal, |request| answer(request, self.uid == 0));
        self.answer = reply.to_line();
        self.sent = 0;
    }

    /// Whether all of the answer is out.
    fn send(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.answer = Vec::new();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::REQUEST_BYTES;
    use rusty_fork::rusty_fork_test;
    use std::io::BufRead;

    rusty_fork_test! {
        /// In a process of its own, whose limit is its own.
        #[test]
        fn without_a_descriptor_left_nobody_waits_for_ever() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let poller = Poller::new().unwrap();
            let mut server = Server::new(UnixListener::bind(&path).unwrap(), &poller, 1_000).unwrap();
            let clients: Vec<UnixStream> = (0..10).map(|_| UnixStream::connect(&path).unwrap()).collect();
            let mut ready = Vec::new();
            poller.wait(None, &mut ready).unwrap();
            // Room for three: the limit is on a descriptor's number, and whoever started us may have left some open higher up.
            let is_free = |number: &u32| !std::path::Path::new("/proc/self/fd").join(number.to_string()).exists();
            let limit = (0..).filter(is_free).nth(3).unwrap();
            let own = std::process::id().to_string();
            range::namespace::run("prlimit", ["--pid", &own, &format!("--nofile={limit}:")]).unwrap();
            server.ready(1_000, &poller, |_, _| unreachable!());
            poller.wait(Some(std::time::Duration::ZERO), &mut ready).unwrap();
            assert!(ready.iter().all(|event| event.token != 1_000), "nobody is left to be taken");
            // The kernel wants a number before it looks whether anybody waits: the last look costs one idle client more.
            assert_eq!(server.clients.len(), 2);
            server.clients.clear();
            // No room at all and nobody to give way: the one who waits is turned away, not kept waiting with us awake.
            let waiting = UnixStream::connect(&path).unwrap();
            let _hog = server.listener.as_fd().try_clone_to_owned().unwrap();
            server.ready(1_000, &poller, |_, _| unreachable!());
            assert_eq!((server.clients.len(), server.turned_away), (0, 9));
            assert_eq!((&waiting).read(&mut [0]).unwrap(), 0, "it is told at once");
            drop(clients);
        }
    }

    #[test]
    fn several_requests_at_once_are_answered_in_order_and_a_flood_ends() {
        let folder = std::env::temp_dir().join(format!("rp-control-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let _ = std::fs::remove_file(&path);
        let poller = Poller::new().unwrap();
        let mut server = Server::new(UnixListener::bind(&path).unwrap(), &poller, 1_000).unwrap();
        let mut asker = UnixStream::connect(&path).unwrap();
        asker.write_all(b"{\"command\":\"status\"}\nnonsense\n").unwrap();
        server.ready(1_000, &poller, |_, _| unreachable!());
        server.ready(1_001, &poller, |request, _| Reply::of(&format!("{request:?}")));
        let mut ready = Vec::new();
        poller.wait(None, &mut ready).unwrap();
        assert!(ready.iter().any(|event| event.token == 1_001), "the second request has its turn");
        server.ready(1_001, &poller, |_, _| unreachable!());
        let mut lines = io::BufReader::new(asker.try_clone().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), r#"{"ok":true,"result":"Status"}"#);
        assert!(lines.next().unwrap().unwrap().contains("not understood"));
        asker.write_all(&[b'x'; 3 * REQUEST_BYTES]).unwrap();
        server.ready(1_001, &poller, |_, _| unreachable!());
        assert!(server.clients.is_empty(), "an endless request is cut off");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
