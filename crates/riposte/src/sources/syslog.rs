//! A syslog socket: a unix datagram socket, or UDP on loopback. Never listens where another host could reach it, and never vouches
//! for who wrote a message: any local process that may reach the socket can, whatever facility its `<pri>` claims.

use super::{CHUNK_BYTES, Counters, Line, Progress, Source, TURN_BYTES, read_once};
use model::limits::LINE_BYTES;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Makes a unix datagram socket at this path with these permission bits; a socket that an earlier run left there is replaced,
/// anything else is not. Runs on the privileged side.
pub fn open_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else than a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixDatagram::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    let socket = OwnedFd::from(socket);
    sys::fd::raise_receive_buffer(socket.as_fd())?;
    Ok(socket)
}

/// Opens a UDP socket on a loopback address; any other address is refused. Runs on the privileged side.
pub fn open_udp(address: SocketAddr) -> io::Result<OwnedFd> {
    if !address.ip().to_canonical().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no loopback address", address.ip())));
    }
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let socket = OwnedFd::from(socket);
    sys::fd::raise_receive_buffer(socket.as_fd())?;
    Ok(socket)
}

/// Reads a datagram socket: one datagram, one message (RFC 5426 §3.1; RFC 3164 and 5424 messages alike).
#[derive(Debug)]
pub struct SyslogSource {
    socket: File,
    buffer: Vec<u8>,
    counters: Counters,
}

impl SyslogSource {
    /// Reads from what `open_unix` or `open_udp` opened.
    pub fn new(socket: OwnedFd) -> Self {
        SyslogSource { socket: socket.into(), buffer: vec![0; CHUNK_BYTES], counters: Counters::default() }
    }
}

/// A datagram's message: without the line end or NUL that many writers put behind it, and no further than its first line, so that
/// one message can't pass for two.
pub fn message(datagram: &[u8]) -> Line<'_> {
    let whole = datagram.trim_ascii_end();
    let whole = whole.get(..whole.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)).unwrap_or(whole).trim_ascii_end();
    let first = whole.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = first.get(..LINE_BYTES).unwrap_or(first);
    Line { text, cut: text.len() < whole.len(), at: None }
}

impl Source for SyslogSource {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.socket.as_fd()]
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        let mut taken = 0;
        while taken < TURN_BYTES {
            // No end can come; a length of 0 is an empty datagram.
            let Some(len) = read_once(&mut self.socket, &mut self.buffer)? else { return Ok(Progress::default()) };
            taken += len.max(1);
            let line = message(self.buffer.get(..len).unwrap_or_default());
            if line.text.is_empty() {
                self.counters.malformed += 1;
                continue;
            }
            self.counters.lines += 1;
            self.counters.cut += u64::from(line.cut);
            lines(line);
        }
        Ok(Progress { more: true, ..Progress::default() })
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(source: &mut SyslogSource) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        while source.ready(&mut |line| found.push((String::from_utf8_lossy(line.text).into_owned(), line.cut))).unwrap().more {}
        found
    }

    #[test]
    fn one_datagram_is_one_message() {
        assert_eq!(message(b"<4>Oct  1 00:00:00 kernel: x\n\0"), Line { text: b"<4>Oct  1 00:00:00 kernel: x", cut: false, at: None });
        assert_eq!(message(b"<4>1 - h kernel - - - x"), Line { text: b"<4>1 - h kernel - - - x", cut: false, at: None });
        assert_eq!(message(b"<13>mine\n<4>kernel: forged\n"), Line { text: b"<13>mine", cut: true, at: None });
        assert_eq!(message(b"\0\0\n").text, b"");
        let long = vec![b'x'; LINE_BYTES + 1];
        assert_eq!((message(&long).text.len(), message(&long).cut), (LINE_BYTES, true));
    }

    #[test]
    fn a_unix_socket_has_its_mode_and_replaces_its_own_kind_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        drop(open_unix(&path, 0o600).unwrap());
        let mut source = SyslogSource::new(open_unix(&path, 0o666).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(take(&mut source), []);
        let writer = UnixDatagram::unbound().unwrap();
        for text in [&b"<4>one\n"[..], b"", b"<4>two\0"] {
            writer.send_to(text, &path).unwrap();
        }
        assert_eq!(take(&mut source), [("<4>one".to_owned(), false), ("<4>two".to_owned(), false)]);
        assert_eq!(source.counters(), Counters { lines: 2, malformed: 1, ..Counters::default() });
        let plain = folder.path().join("plain");
        fs::write(&plain, "precious").unwrap();
        assert_eq!(open_unix(&plain, 0o666).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&plain).unwrap(), b"precious");
    }

    #[test]
    fn udp_is_on_loopback_or_not_at_all() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
            assert_eq!(open_udp(address.parse().unwrap()).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{address}");
        }
        let fd = open_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = UdpSocket::from(fd.try_clone().unwrap()).local_addr().unwrap();
        let mut source = SyslogSource::new(fd);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"<4>over udp\n", address).unwrap();
        assert_eq!(take(&mut source), [("<4>over udp".to_owned(), false)]);
    }
}
