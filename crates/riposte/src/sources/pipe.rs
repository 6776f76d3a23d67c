//! A named pipe that a system logger writes into. Never lets a writer's coming or going end it.

use super::{CHUNK_BYTES, Counters, Line, LineSplitter, Progress, Source, TURN_BYTES, read_once};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens a named pipe, made with these permission bits if there is nothing at the path. Runs on the privileged side.
///
/// It is opened for writing too: then the end is never reached, however many writers come and go.
pub fn open_pipe(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    match sys::fd::make_fifo(path, mode) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let file = sys::fd::open_nonblocking(path, true)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a named pipe"));
    }
    Ok(file.into())
}

/// Reads a pipe: a named one for ever, a child's output until its end.
#[derive(Debug)]
pub struct PipeSource {
    pipe: File,
    splitter: LineSplitter,
    buffer: Vec<u8>,
    ended: bool,
}

impl PipeSource {
    /// Reads from a pipe that `open_pipe` opened, or from any other non-blocking stream.
    pub fn new(pipe: OwnedFd) -> Self {
        PipeSource { pipe: pipe.into(), splitter: LineSplitter::default(), buffer: vec![0; CHUNK_BYTES], ended: false }
    }
}

impl Source for PipeSource {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        if self.ended { Vec::new() } else { vec![self.pipe.as_fd()] }
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        let mut taken = 0;
        while taken < TURN_BYTES && !self.ended {
            match read_once(&mut self.pipe, &mut self.buffer)? {
                None => return Ok(Progress::default()),
                Some(0) => {
                    // The last line's end never came, and nobody can tell whether it is whole.
                    self.splitter.discard();
                    self.ended = true;
                }
                Some(len) => {
                    self.splitter.push(self.buffer.get(..len).unwrap_or_default(), lines);
                    taken += len;
                }
            }
        }
        Ok(Progress { more: !self.ended, ended: self.ended, ..Progress::default() })
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        self.splitter.count(&mut counters);
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn take(source: &mut PipeSource) -> Vec<String> {
        let mut found = Vec::new();
        while source.ready(&mut |line| found.push(String::from_utf8_lossy(line.text).into_owned())).unwrap().more {}
        found
    }

    #[test]
    fn writers_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let mut source = PipeSource::new(open_pipe(&path, 0o600).unwrap());
        assert_eq!(take(&mut source), Vec::<String>::new());
        for round in ["one", "two"] {
            let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
            write!(writer, "{round}\nha").unwrap();
            assert_eq!(take(&mut source).last().unwrap(), round);
            writeln!(writer, "lf {round}").unwrap();
            drop(writer);
            assert_eq!(take(&mut source), [format!("half {round}")]);
        }
        // What is there already is opened as it is.
        let again = open_pipe(&path, 0o600).unwrap();
        assert!(File::from(again).metadata().unwrap().file_type().is_fifo());
        let plain = folder.path().join("plain");
        fs::write(&plain, "x").unwrap();
        assert_eq!(open_pipe(&plain, 0o600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_flood_of_lines_is_taken_in_turns() {
        let (reader, writer) = sys::process::output_pipe().unwrap();
        sys::fd::set_nonblocking(reader.as_fd(), true).unwrap();
        let mut source = PipeSource::new(reader);
        let flood = std::thread::spawn(move || {
            let mut writer = File::from(writer);
            let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
            writer.write_all(text.as_bytes()).unwrap();
            writer.write_all(b"unfinished").unwrap();
        });
        let mut count = 0_u64;
        let poller = sys::fd::Poller::new().unwrap();
        poller.add(source.fds()[0], 0, sys::fd::Interest::Read).unwrap();
        loop {
            let progress = source
                .ready(&mut |line| {
                    assert_eq!(line.text, format!("line {count}").as_bytes());
                    count += 1;
                })
                .unwrap();
            if progress.ended {
                break;
            }
            if !progress.more {
                poller.wait(None, &mut Vec::new()).unwrap();
            }
        }
        flood.join().unwrap();
        assert_eq!(source.counters(), Counters { lines: 100_000, unfinished: 1, ..Counters::default() });
        assert!(source.fds().is_empty());
    }
}
