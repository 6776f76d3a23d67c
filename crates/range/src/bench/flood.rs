//! A flood by the kernel's own generator: frames that an XDP program has written come in on an interface, without a sender's socket, queue and wire.
//! Needs Linux 5.18 (BPF_F_TEST_XDP_LIVE_FRAMES). Only ever in a namespace of the benchmark's own.

use std::io;
use sys::bpf::{Instruction, Program};
use sys::xdp::{Interface, Interfaces, Mode};
use wire::checksum::Sum;

/// Where IPv4's checksum and source stand in a frame.
const CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const HEADERS: i32 = 34;

// Instructions (linux/bpf.h, linux/bpf_common.h).
const LOAD_U32: u8 = 0x61;
const STORE_U32: u8 = 0x63;
const STORE_U16: u8 = 0x6b;
const MOVE: u8 = 0xbf;
const MOVE_CONSTANT: u8 = 0xb7;
const ADD: u8 = 0x0f;
const ADD_CONSTANT: u8 = 0x07;
const AND_CONSTANT: u8 = 0x57;
const XOR_CONSTANT: u8 = 0xa7;
const SHIFT_RIGHT: u8 = 0x77;
const BIG_ENDIAN: u8 = 0xdc;
const JUMP_IF_GREATER: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// A helper: 32 random bits.
const RANDOM: i32 = 7;
const PASS: i32 = 2;

/// Gives each frame a source of its own, from 16.0.0.0 to 79.255.255.255 (unicast addresses that nobody here has), and lets it in.
/// `rest` is the sum over the IPv4 header without checksum and source.
fn program(rest: u16) -> Vec<Instruction> {
    let code = |code, destination, source, offset, immediate| Instruction::new(code, destination, source, offset, immediate);
    // Adds the carry to the sum in register 4.
    let fold = [code(MOVE, 5, 4, 0, 0), code(SHIFT_RIGHT, 5, 0, 0, 16), code(AND_CONSTANT, 4, 0, 0, 0xffff), code(ADD, 4, 5, 0, 0)];
    let draw = [
        code(MOVE, 6, 1, 0, 0),
        code(CALL, 0, 0, 0, RANDOM),
        code(AND_CONSTANT, 0, 0, 0, 0x3fff_ffff),
        code(ADD_CONSTANT, 0, 0, 0, 0x1000_0000),
        code(MOVE, 4, 0, 0, 0),
        code(SHIFT_RIGHT, 4, 0, 0, 16),
        code(MOVE, 5, 0, 0, 0),
        code(AND_CONSTANT, 5, 0, 0, 0xffff),
        code(ADD, 4, 5, 0, 0),
        code(ADD_CONSTANT, 4, 0, 0, rest.into()),
    ];
    let write = [
        code(XOR_CONSTANT, 4, 0, 0, 0xffff),
        code(BIG_ENDIAN, 4, 0, 0, 16),
        code(BIG_ENDIAN, 0, 0, 0, 32),
        code(LOAD_U32, 1, 6, 0, 0),
        code(LOAD_U32, 2, 6, 4, 0),
        code(MOVE, 3, 1, 0, 0),
        code(ADD_CONSTANT, 3, 0, 0, HEADERS),
        code(JUMP_IF_GREATER, 3, 2, 2, 0),
        code(STORE_U16, 1, 4, CHECKSUM as i16, 0),
        code(STORE_U32, 1, 0, SOURCE as i16, 0),
        code(MOVE_CONSTANT, 0, 0, 0, PASS),
        code(EXIT, 0, 0, 0, 0),
    ];
    [&draw[..], &fold, &fold, &write].concat()
}

/// Comes in on one interface.
#[derive(Debug)]
pub struct Flood {
    program: Program,
    frame: Vec<u8>,
    interface: u32,
}

impl Flood {
    /// Of this frame (Ethernet, IPv4), on the interface of this name in the caller's network namespace.
    ///
    /// # Errors
    /// If the kernel refuses, or there is no such interface.
    pub fn new(interface: &str, frame: Vec<u8>) -> io::Result<Flood> {
        let mut sum = Sum::default();
        let header = |from: usize, to| frame.get(from..to).ok_or_else(|| io::Error::other("the frame is too short"));
        [header(14, CHECKSUM)?, header(SOURCE + 4, 34)?].into_iter().for_each(|part| sum.add(part));
        let program = Program::for_xdp("rp_flood", &program(!sum.finish()))?;
        let mut interfaces = Interfaces::open()?;
        let found = interfaces.named(interface).map_err(io::Error::other)?;
        let Interface { index, programs, .. } = found.ok_or_else(|| io::Error::other(format!("{interface} is not there")))?;
        // The kernel takes frames only for an interface that has a program of its own.
        if programs.is_empty() {
            let pass = Program::for_xdp("rp_pass", &[Instruction::new(MOVE_CONSTANT, 0, 0, 0, PASS), Instruction::new(EXIT, 0, 0, 0, 0)])?;
            interfaces.attach(index, &pass, None, Mode::Native).map_err(io::Error::other)?;
        }
        Ok(Flood { program, frame, interface: index })
    }

    /// Lets so many frames come in. For a thread in the interface's network namespace.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn send(&self, count: u32) -> io::Result<()> {
        self.program.inject(&self.frame, self.interface, count)
    }
}
