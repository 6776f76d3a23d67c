//! BPF maps and programs by the system call itself: made, found by their numbers, read and written. Never pins anything, and never reads ELF:
//! a program is a list of instructions, which the kernel's verifier checks.
//!
//! Layouts: `union bpf_attr`, `struct bpf_prog_info` and `struct bpf_map_info` of `linux/bpf.h`, all in the host's byte order.

use crate::fd::owned;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Bytes of `union bpf_attr` that are told: as far as a program's expected attach type, which Linux has since 4.17.
const ATTRIBUTE_BYTES: usize = 72;
/// Bytes of a name, with the NUL behind it.
const NAME_BYTES: usize = 16;
/// Bytes of `bpf_prog_info` and `bpf_map_info` that are asked for: up to and with the name.
const PROGRAM_INFO_BYTES: usize = 80;
const MAP_INFO_BYTES: usize = 40;
/// Maps of one program that are asked for.
const MAPS: usize = 16;
/// Bytes of the verifier's words that are kept.
const LOG_BYTES: usize = 65_536;
/// A program's licence, as `bpf()` wants it: no helper that is used asks for the GPL.
const LICENCE: &[u8] = b"MIT\0";
/// BPF_PROG_TYPE_XDP.
const XDP: u32 = 6;

#[derive(Clone, Copy)]
#[repr(u32)]
enum Command {
    MapCreate = 0,
    Lookup = 1,
    Update = 2,
    Delete = 3,
    NextKey = 4,
    ProgramLoad = 5,
    TestRun = 10,
    ProgramById = 13,
    MapById = 14,
    Info = 15,
    LookupBatch = 24,
}

/// The arguments of one call, at the offsets of `union bpf_attr`.
#[repr(C, align(8))]
struct Attribute([u8; ATTRIBUTE_BYTES]);

impl Attribute {
    fn new() -> Self {
        Attribute([0; ATTRIBUTE_BYTES])
    }

    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn u32(self, at: usize, value: u32) -> Self {
        self.put(at, &value.to_ne_bytes())
    }

    fn pointer<T>(self, at: usize, to: *const T) -> Self {
        self.put(at, &(to as usize as u64).to_ne_bytes())
    }

    fn fd(self, at: usize, fd: &OwnedFd) -> Self {
        self.u32(at, fd.as_raw_fd().cast_unsigned())
    }

    /// Up to 15 bytes of a name.
    fn name(self, at: usize, name: &str) -> Self {
        let end = name.len().min(NAME_BYTES - 1);
        self.put(at, &name.as_bytes()[..end])
    }
}

/// Calls `bpf`.
///
/// # Safety
/// Every pointer in the attribute must be valid for what the command reads or writes there.
unsafe fn bpf(command: Command, attribute: &mut Attribute) -> io::Result<i32> {
    let size = ATTRIBUTE_BYTES as libc::c_ulong;
    // SAFETY: the attribute is valid for its size; for what it points to, the caller answers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, (&raw mut attribute.0).cast::<u8>(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// How a map finds its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// By the whole key; entries take memory only while they are there.
    Hash = 1,
    /// By a `u32` from 0 on; all entries are there from the start, as zeroes.
    Array = 2,
    /// By the longest prefix: a `u32` of bits, then the bytes. Entries take memory only while they are there.
    LongestPrefix = 11,
}

/// What a map is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapShape {
    /// How it finds its keys.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Entries at most.
    pub entries: u32,
}

impl MapShape {
    /// BPF_F_NO_PREALLOC for those whose entries come and go.
    fn flags(&self) -> u32 {
        match self.kind {
            MapKind::Hash | MapKind::LongestPrefix => 1,
            MapKind::Array => 0,
        }
    }
}

/// A map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    shape: MapShape,
}

impl Map {
    /// Makes one. Of its name 15 bytes are kept.
    ///
    /// # Errors
    /// If the kernel refuses: no right (CAP_BPF and CAP_NET_ADMIN), no memory.
    pub fn new(name: &str, shape: MapShape) -> io::Result<Self> {
        let numbers = [shape.kind as u32, length(shape.key)?, length(shape.value)?, shape.entries, shape.flags()];
        let mut attribute = numbers.into_iter().zip((0..).step_by(4)).fold(Attribute::new(), |attribute, (n, at)| attribute.u32(at, n));
        attribute = attribute.name(28, name);
        // SAFETY: no pointer is handed over.
        let fd = owned(unsafe { bpf(Command::MapCreate, &mut attribute) }?)?;
        Ok(Map { fd, shape })
    }

    /// The one with this number, if it is named so and shaped so.
    ///
    /// # Errors
    /// If the kernel refuses (CAP_SYS_ADMIN), or it has gone.
    pub fn of(id: u32, name: &str, shape: MapShape) -> io::Result<Option<Self>> {
        // SAFETY: no pointer is handed over.
        let fd = owned(unsafe { bpf(Command::MapById, &mut Attribute::new().u32(0, id)) }?)?;
        let mut info = [0; MAP_INFO_BYTES];
        // SAFETY: no pointer is within.
        unsafe { read_info(&fd, &mut info) }?;
        let wanted = [shape.kind as u32, length(shape.key)?, length(shape.value)?, shape.entries, shape.flags()];
        let found = [0, 8, 12, 16, 20].map(|at| u32_at(&info, at));
        Ok((found == wanted && name_at(&info, 24) == name).then_some(Map { fd, shape }))
    }

    /// The descriptor, for a program's instructions.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// `E2BIG` if the map is full; if a length is wrong.
    pub fn set(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.check(key.len(), value.len())?;
        let mut attribute = Attribute::new().fd(0, &self.fd).pointer(8, key.as_ptr()).pointer(16, value.as_ptr());
        // SAFETY: the kernel reads as many bytes as the shape says, which both slices have.
        unsafe { bpf(Command::Update, &mut attribute) }.map(drop)
    }

    /// Reads a key's value into `value`; false if there is none.
    ///
    /// # Errors
    /// If the kernel refuses or a length is wrong.
    pub fn read(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        self.check(key.len(), value.len())?;
        let mut attribute = Attribute::new().fd(0, &self.fd).pointer(8, key.as_ptr()).pointer(16, value.as_mut_ptr());
        // SAFETY: the kernel reads and writes as many bytes as the shape says, which the slices have.
        found(unsafe { bpf(Command::Lookup, &mut attribute) })
    }

    /// Takes a key away; false if it was not there.
    ///
    /// # Errors
    /// If the kernel refuses or the length is wrong.
    pub fn remove(&self, key: &[u8]) -> io::Result<bool> {
        self.check(key.len(), self.shape.value)?;
        let mut attribute = Attribute::new().fd(0, &self.fd).pointer(8, key.as_ptr());
        // SAFETY: the kernel reads as many bytes as the shape says, which the slice has.
        found(unsafe { bpf(Command::Delete, &mut attribute) })
    }

    /// The key behind this one, or the first (also if this one is not there any more); false behind the last.
    ///
    /// # Errors
    /// If the kernel refuses or a length is wrong.
    pub fn next(&self, key: Option<&[u8]>, next: &mut [u8]) -> io::Result<bool> {
        self.check(key.map_or(self.shape.key, <[u8]>::len), self.shape.value)?;
        self.check(next.len(), self.shape.value)?;
        let before = key.map_or(std::ptr::null(), <[u8]>::as_ptr);
        let mut attribute = Attribute::new().fd(0, &self.fd).pointer(8, before).pointer(16, next.as_mut_ptr());
        // SAFETY: the kernel reads and writes as many bytes as the shape says, which the slices have; null is allowed for the first.
        found(unsafe { bpf(Command::NextKey, &mut attribute) })
    }

    /// Reads the next entries of a hash, `room` at most, from a place on that an earlier call has said or from the first.
    ///
    /// # Errors
    /// `ENOSPC` if there is less room than entries are in one place (some, unless the map is small); if it is no hash.
    pub fn entries(&self, from: Option<u32>, room: usize) -> io::Result<Entries> {
        if self.shape.kind != MapKind::Hash {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (mut keys, mut values) = (vec![0; room * self.shape.key], vec![0; room * self.shape.value]);
        let (before, mut behind) = (from.unwrap_or_default(), 0u32);
        let begin = from.map_or(std::ptr::null(), |_| &raw const before);
        let attribute = Attribute::new().pointer(0, begin).pointer(8, &raw mut behind).pointer(16, keys.as_mut_ptr());
        let mut attribute = attribute.pointer(24, values.as_mut_ptr()).u32(32, length(room)?).fd(36, &self.fd);
        // SAFETY: a hash's place is a u32, read and written; keys and values have room for as many as told.
        let more = found(unsafe { bpf(Command::LookupBatch, &mut attribute) })?;
        let count = (u32_at(&attribute.0, 32) as usize).min(room);
        keys.truncate(count * self.shape.key);
        values.truncate(count * self.shape.value);
        Ok(Entries { keys, values, next: more.then_some(behind) })
    }

    fn check(&self, key: usize, value: usize) -> io::Result<()> {
        let is_right = key == self.shape.key && value == self.shape.value;
        if is_right { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "not the map's lengths")) }
    }
}

/// Some entries of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// The keys, one behind the other.
    pub keys: Vec<u8>,
    /// The values, in the same order.
    pub values: Vec<u8>,
    /// Where it goes on; `None` behind the last.
    pub next: Option<u32>,
}

/// One instruction: `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    /// One with these parts; registers are 0 to 10.
    pub fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let (destination, source) = (destination & 15, source & 15);
        // Two bit fields, which the compilers lay out by the byte order.
        let registers = if cfg!(target_endian = "little") { source << 4 | destination } else { destination << 4 | source };
        Instruction { code, registers, offset, immediate }
    }

    /// The same, with another offset.
    #[must_use]
    pub fn to(self, offset: i16) -> Self {
        Instruction { offset, ..self }
    }
}

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

/// What a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The numbers of its maps, the first sixteen.
    pub maps: Vec<u32>,
}

impl Program {
    /// Loads a program for XDP. Of its name 15 bytes are kept.
    ///
    /// # Errors
    /// If the kernel refuses: no right (CAP_BPF and CAP_NET_ADMIN), or the verifier's last words.
    pub fn for_xdp(name: &str, instructions: &[Instruction]) -> io::Result<Self> {
        let attribute = || {
            let attribute = Attribute::new().u32(0, XDP).u32(4, instructions.len() as u32);
            attribute.pointer(8, instructions.as_ptr()).pointer(16, LICENCE.as_ptr()).name(48, name)
        };
        // SAFETY: the kernel reads as many instructions as there are, and the licence to its NUL.
        let refused = match unsafe { bpf(Command::ProgramLoad, &mut attribute()) } {
            Ok(fd) => return Ok(Program { fd: owned(fd)? }),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error),
            Err(error) => error,
        };
        // Once more, to hear why.
        let mut log = vec![0; LOG_BYTES];
        let mut attribute = attribute().u32(24, 1).u32(28, LOG_BYTES as u32).pointer(32, log.as_mut_ptr());
        // SAFETY: as above; the log is valid for the length told.
        match unsafe { bpf(Command::ProgramLoad, &mut attribute) } {
            Ok(fd) => Ok(Program { fd: owned(fd)? }),
            Err(_) => {
                let words = String::from_utf8_lossy(&log);
                let last = words.trim_end_matches('\0').lines().rev().find(|line| !line.starts_with("processed")).unwrap_or_default();
                Err(io::Error::new(refused.kind(), format!("{refused}: {last}")))
            }
        }
    }

    /// The one with this number.
    ///
    /// # Errors
    /// If the kernel refuses (CAP_SYS_ADMIN), or it has gone.
    pub fn of(id: u32) -> io::Result<Self> {
        // SAFETY: no pointer is handed over.
        let fd = owned(unsafe { bpf(Command::ProgramById, &mut Attribute::new().u32(0, id)) }?)?;
        Ok(Program { fd })
    }

    /// What it is.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        let (mut info, mut maps) = ([0; PROGRAM_INFO_BYTES], [0u32; MAPS]);
        // How many numbers fit, and where.
        info[52..56].copy_from_slice(&(MAPS as u32).to_ne_bytes());
        info[56..64].copy_from_slice(&(maps.as_mut_ptr() as usize as u64).to_ne_bytes());
        // SAFETY: the pointer within is that of `maps`, which has room for as many numbers as stand beside it.
        unsafe { read_info(&self.fd, &mut info) }?;
        let count = (u32_at(&info, 52) as usize).min(MAPS);
        Ok(ProgramInfo { id: u32_at(&info, 4), name: name_at(&info, 64), maps: maps[..count].to_vec() })
    }

    /// Runs it on a packet of 14 bytes or more, as often as that, and says what it makes of it and how many nanoseconds that takes in the mean.
    /// For tests and benchmarks; no packet of anybody's passes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn run(&self, packet: &[u8], repeat: u32) -> io::Result<(u32, u32)> {
        let attribute = Attribute::new().fd(0, &self.fd).u32(8, length(packet.len())?);
        let mut attribute = attribute.pointer(16, packet.as_ptr()).u32(32, repeat);
        // SAFETY: the kernel reads the packet for the length told, and has no place for what comes out.
        unsafe { bpf(Command::TestRun, &mut attribute) }?;
        Ok((u32_at(&attribute.0, 4), u32_at(&attribute.0, 36)))
    }

    /// Has so many copies of a frame come in on an interface of this thread's network namespace that has an XDP program, each as this program
    /// has changed it, as far as it lets them pass. For benchmarks inside namespaces; never used by the daemon.
    ///
    /// # Errors
    /// If the kernel refuses (before Linux 5.18 it does).
    pub fn inject(&self, frame: &[u8], interface: u32, count: u32) -> io::Result<()> {
        /// BPF_F_TEST_XDP_LIVE_FRAMES.
        const LIVE_FRAMES: u32 = 2;
        let bytes = length(frame.len())?;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, bytes, 0, interface, 0, 0];
        let attribute = Attribute::new().fd(0, &self.fd).u32(8, bytes).pointer(16, frame.as_ptr()).u32(32, count);
        let mut attribute = attribute.u32(40, size_of_val(&context) as u32).pointer(48, context.as_ptr()).u32(64, LIVE_FRAMES);
        // SAFETY: the kernel reads frame and context for the lengths told, and has no place for what comes out.
        unsafe { bpf(Command::TestRun, &mut attribute) }.map(drop)
    }

    /// The descriptor, to attach it by.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// Asks what a descriptor stands for.
///
/// # Safety
/// A pointer within `info` must be valid for what stands beside it.
unsafe fn read_info(fd: &OwnedFd, info: &mut [u8]) -> io::Result<()> {
    let mut attribute = Attribute::new().fd(0, fd).u32(4, length(info.len())?).pointer(8, info.as_mut_ptr());
    // SAFETY: the kernel writes at most the length told; for a pointer within, the caller answers.
    unsafe { bpf(Command::Info, &mut attribute) }.map(drop)
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn found(result: io::Result<i32>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_ne_bytes(*chunk))
}

fn name_at(bytes: &[u8], at: usize) -> String {
    let name = bytes.get(at..at + NAME_BYTES).unwrap_or_default();
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: MapShape = MapShape { kind: MapKind::Hash, key: 4, value: 8, entries: 2 };

    #[test]
    fn a_map_keeps_what_it_is_given_and_is_found_by_its_number() {
        let map = match Map::new("rp_test", SHAPE) {
            Ok(map) => map,
            // Tests run without root, too.
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        };
        assert!(map.set(&[1, 0, 0, 0], &[7; 8]).is_ok() && map.set(&[2, 0, 0, 0], &[8; 8]).is_ok());
        assert_eq!(map.set(&[3, 0, 0, 0], &[9; 8]).unwrap_err().raw_os_error(), Some(libc::E2BIG));
        assert_eq!(map.set(&[3], &[9; 8]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let whole = map.entries(None, 10).unwrap();
        assert_eq!((whole.keys.len(), whole.values.len(), whole.next), (2 * 4, 2 * 8, None));
        let (mut value, mut key, mut seen) = ([0; 8], [0; 4], 0);
        assert!(map.read(&[2, 0, 0, 0], &mut value).unwrap() && value == [8; 8]);
        let mut more = map.next(None, &mut key).unwrap();
        while more {
            seen += key[0];
            let before = key;
            more = map.next(Some(&before), &mut key).unwrap();
        }
        assert_eq!(seen, 3);
        assert!(map.remove(&[1, 0, 0, 0]).unwrap() && !map.remove(&[1, 0, 0, 0]).unwrap());
        assert!(!map.read(&[1, 0, 0, 0], &mut value).unwrap());
    }

    #[test]
    fn a_program_is_checked_by_the_kernel_and_found_by_its_number() {
        let exit = Instruction::new(0x95, 0, 0, 0, 0);
        // r0 = 2 (XDP_PASS); exit
        let program = match Program::for_xdp("rp_test", &[Instruction::new(0xb7, 0, 0, 0, 2), exit]) {
            Ok(program) => program,
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        };
        let info = program.info().unwrap();
        assert_eq!((info.name.as_str(), info.maps.len()), ("rp_test", 0));
        assert_eq!(Program::of(info.id).unwrap().info().unwrap(), info);
        // No interface has this number.
        assert!(program.inject(&[0; 60], u32::MAX, 1).is_err());
        // r0 was never written.
        let words = Program::for_xdp("rp_test", &[exit]).unwrap_err().to_string();
        assert!(words.contains("R0"), "{words}");
    }
}
