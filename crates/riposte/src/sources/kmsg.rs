//! The kernel's own ring of messages, /dev/kmsg. Never hands on a record that a program wrote into it.

use super::{CHUNK_BYTES, Counters, Line, Progress, Source, TURN_BYTES, read_once};
use model::limits::LINE_BYTES;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Opens the ring behind its last record, so that a restart reads nothing twice. Runs on the privileged side, and with
/// kernel.dmesg_restrict only while that still has CAP_SYSLOG; later reading needs no right. A copy of the descriptor shares
/// its place in the ring, so that a new sensor goes on where the old one ended.
pub fn open_kmsg() -> io::Result<OwnedFd> {
    let mut ring = sys::fd::open_nonblocking(Path::new("/dev/kmsg"), false)?;
    ring.seek(SeekFrom::End(0))?;
    Ok(ring.into())
}

/// Reads the ring; a line is `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;MESSAGE` (Documentation/ABI/testing/dev-kmsg).
#[derive(Debug)]
pub struct KmsgSource {
    ring: File,
    buffer: Vec<u8>,
    counters: Counters,
}

/// What one record is.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The kernel's: header and message.
    Kernel(&'a [u8]),
    /// The second part of a message, which alone means nothing.
    Continuation,
    /// A program wrote it into the ring.
    Foreign,
    /// Not in the ring's format.
    Malformed,
}

impl KmsgSource {
    /// Reads from what `open_kmsg` opened.
    pub fn new(ring: OwnedFd) -> Self {
        KmsgSource { ring: ring.into(), buffer: vec![0; CHUNK_BYTES], counters: Counters::default() }
    }
}

/// Takes a record apart: the first line counts, those behind it are key=value pairs about the device.
pub fn record(bytes: &[u8]) -> Record<'_> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(header) = memchr::memchr(b';', line).and_then(|end| line.get(..end)) else { return Record::Malformed };
    let mut fields = header.split(|byte| *byte == b',');
    let priority = fields.next().and_then(|field| std::str::from_utf8(field).ok()?.parse::<u32>().ok());
    let (Some(priority), Some(_sequence), Some(_time), Some(flags)) = (priority, fields.next(), fields.next(), fields.next()) else {
        return Record::Malformed;
    };
    // The kernel gives every program's record a facility other than 0, whatever the program says (printk.c, devkmsg_write).
    if priority >> 3 != 0 {
        Record::Foreign
    } else if flags.contains(&b'+') {
        Record::Continuation
    } else {
        Record::Kernel(line)
    }
}

impl Source for KmsgSource {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.ring.as_fd()]
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        let mut taken = 0;
        while taken < TURN_BYTES {
            let len = match read_once(&mut self.ring, &mut self.buffer) {
                Ok(None) => return Ok(Progress::default()),
                Ok(Some(0)) => return Ok(Progress { ended: true, ..Progress::default() }),
                Ok(Some(len)) => len,
                // The ring has gone round under us; the next read goes on with the oldest record that is left.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.counters.overwritten += 1;
                    taken += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            taken += len;
            match record(self.buffer.get(..len).unwrap_or_default()) {
                Record::Kernel(line) => {
                    let text = line.get(..LINE_BYTES).unwrap_or(line);
                    let cut = text.len() < line.len();
                    self.counters.lines += 1;
                    self.counters.cut += u64::from(cut);
                    lines(Line { text, cut, at: None });
                }
                Record::Continuation => self.counters.unfinished += 1,
                Record::Foreign => self.counters.foreign += 1,
                Record::Malformed => self.counters.malformed += 1,
            }
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
    use std::io::Write;

    #[test]
    fn only_the_kernels_own_records_count() {
        let kernel = b"4,1201,84021334,-;IN=eth0 OUT= SRC=192.0.2.1\n SUBSYSTEM=net\n DEVICE=n2\n";
        assert_eq!(record(kernel), Record::Kernel(b"4,1201,84021334,-;IN=eth0 OUT= SRC=192.0.2.1"));
        // Facility 1 (user): what `echo IN=eth0 … > /dev/kmsg` becomes.
        assert_eq!(record(b"12,1202,84021335,-;IN=eth0 OUT= SRC=192.0.2.1\n"), Record::Foreign);
        assert_eq!(record(b"4,1203,84021336,+;rest\n"), Record::Continuation);
        assert_eq!(record(b"4,1203,84021336,c;a beginning\n"), Record::Kernel(b"4,1203,84021336,c;a beginning"));
        assert_eq!(record(b"6,1,2,-,caller=T1;x\n"), Record::Kernel(b"6,1,2,-,caller=T1;x"));
        for bad in [&b""[..], b"\n", b";x", b"x,1,2,-;y", b"6,1,2;y", b"no header"] {
            assert_eq!(record(bad), Record::Malformed, "{bad:?}");
        }
    }

    /// Needs a readable ring, so in a container without one the parts above are all that can be tested.
    #[test]
    fn a_programs_record_in_the_real_ring_is_counted_as_foreign() {
        let Ok(ring) = open_kmsg() else { return };
        let mut source = KmsgSource::new(ring);
        let Ok(mut writer) = std::fs::OpenOptions::new().write(true).open("/dev/kmsg") else { return };
        // Priority 4 would be facility 0, the kernel's.
        writer.write_all(b"<4>riposte: a program wrote this test record\n").unwrap();
        let mut forged = 0;
        while source.ready(&mut |line| forged += u64::from(line.text.ends_with(b"wrote this test record"))).unwrap().more {}
        assert_eq!(forged, 0);
        assert!(source.counters().foreign >= 1);
    }
}
