//! Standard input, whatever it is: a pipe, a terminal or a file. Never changes its flags, which it shares with others.

use super::{CHUNK_BYTES, Counters, Line, LineSplitter, Progress, Source, read_once};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Reads standard input to its end; a last line without its end counts.
#[derive(Debug)]
pub struct StdinSource {
    input: File,
    /// A regular file cannot be waited for: it is always ready.
    always_ready: bool,
    splitter: LineSplitter,
    buffer: Vec<u8>,
    ended: bool,
}

impl StdinSource {
    /// Reads from this descriptor, which may be a blocking one.
    pub fn new(input: OwnedFd) -> io::Result<Self> {
        let input = File::from(input);
        let always_ready = input.metadata()?.is_file();
        Ok(StdinSource { input, always_ready, splitter: LineSplitter::default(), buffer: vec![0; CHUNK_BYTES], ended: false })
    }
}

impl Source for StdinSource {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        if self.always_ready || self.ended { Vec::new() } else { vec![self.input.as_fd()] }
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        let ended = Progress { ended: true, ..Progress::default() };
        if self.ended {
            return Ok(ended);
        }
        // One read, and only if it cannot wait: the descriptor may be a blocking one.
        if !self.always_ready && !sys::fd::is_readable(self.input.as_fd())? {
            return Ok(Progress::default());
        }
        match read_once(&mut self.input, &mut self.buffer)? {
            None => Ok(Progress::default()),
            Some(0) => {
                self.splitter.finish(lines);
                self.ended = true;
                Ok(ended)
            }
            Some(len) => {
                self.splitter.push(self.buffer.get(..len).unwrap_or_default(), lines);
                Ok(Progress { more: true, ..Progress::default() })
            }
        }
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
    use std::io::{Seek, Write};

    /// Everything until it has no more at once, and whether it has ended.
    fn take(source: &mut StdinSource) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        loop {
            let progress = source.ready(&mut |line| found.push(String::from_utf8_lossy(line.text).into_owned())).unwrap();
            if !progress.more {
                return (found, progress.ended);
            }
        }
    }

    #[test]
    fn a_file_is_read_to_its_end_and_its_last_line_counts() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo").unwrap();
        file.rewind().unwrap();
        let mut source = StdinSource::new(file.into()).unwrap();
        assert!(source.fds().is_empty());
        assert_eq!(take(&mut source), (vec!["one".to_owned(), "two".to_owned()], true));
        assert_eq!(take(&mut source), (vec![], true));
        assert_eq!(source.counters().lines, 2);
    }

    #[test]
    fn a_blocking_pipe_never_holds_us_up() {
        let (reader, writer) = sys::process::output_pipe().unwrap();
        let mut writer = File::from(writer);
        let mut source = StdinSource::new(reader).unwrap();
        assert_eq!(source.fds().len(), 1);
        assert_eq!(take(&mut source), (vec![], false));
        writer.write_all(b"one\ntw").unwrap();
        assert_eq!(take(&mut source), (vec!["one".to_owned()], false));
        drop(writer);
        assert_eq!(take(&mut source), (vec!["tw".to_owned()], true));
    }
}
