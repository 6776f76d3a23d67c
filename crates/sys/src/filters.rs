//! Which system calls another process may really make: its seccomp filters read back from the kernel, and followed for every call.
//! For `riposte status --sandbox` and the documentation; needs root, stops the process for a moment and changes nothing in it.

use crate::fd::checked;
use std::collections::BTreeMap;
use std::io;
use std::ptr;

/// ptrace(2); not in libc for every target.
const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
/// Numbers that are asked about: above all that any kernel has so far, below the ranges of other ABIs.
const CALLS: u32 = 600;
/// Steps into one program before it is given up (a filter can't loop, so this only bounds the branches).
const STEPS: usize = 100_000;

/// What the filters say to a call, whatever its arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It is made.
    Allowed,
    /// It depends on its arguments.
    ByArguments,
    /// It fails with an error.
    Refused,
    /// It ends the process.
    Killed,
}

/// What the filters of a process say to each call, by its number. A process without filters: everything is allowed.
///
/// # Errors
/// If we may not look (no root, another tracer), or the process ends meanwhile.
pub fn answers(pid: u32) -> io::Result<BTreeMap<u32, Answer>> {
    let filters = Stopped::new(pid)?.filters()?;
    Ok((0..CALLS).map(|call| (call, together(&filters, call))).collect())
}

/// A process that we hold still. Let go when dropped.
struct Stopped {
    pid: libc::pid_t,
}

impl Stopped {
    fn new(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: SEIZE takes no memory of ours and does not disturb the process.
        traced(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) })?;
        let stopped = Stopped { pid };
        // SAFETY: INTERRUPT takes no memory of ours.
        traced(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none) })?;
        let mut status = 0;
        loop {
            // SAFETY: `status` is a valid place for one int.
            match checked(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) }) {
                Ok(_) if libc::WIFSTOPPED(status) => return Ok(stopped),
                Ok(_) => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn filters(&self) -> io::Result<Vec<Vec<libc::sock_filter>>> {
        let mut filters = Vec::new();
        loop {
            let index = filters.len();
            let none = ptr::null_mut::<libc::sock_filter>();
            // SAFETY: with a null pointer the kernel only tells how many instructions there are.
            let len = match traced(unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, self.pid, index, none) }) {
                Ok(len) => len as usize,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => return Ok(filters),
                Err(error) => return Err(error),
            };
            let mut program = vec![libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; len];
            // SAFETY: the process is stopped, so the filter is the one just measured, and `program` has room for all of it.
            traced(unsafe { libc::ptrace(PTRACE_SECCOMP_GET_FILTER, self.pid, index, program.as_mut_ptr()) })?;
            filters.push(program);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let none = ptr::null_mut::<libc::c_void>();
        // SAFETY: DETACH takes no memory of ours; the process goes on. One that has ended meanwhile needs nothing.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, none, none) };
    }
}

fn traced(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The strictest filter counts.
fn together(filters: &[Vec<libc::sock_filter>], call: u32) -> Answer {
    filters.iter().map(|program| answer(program, call)).max().unwrap_or(Answer::Allowed)
}

/// What one filter says: every way through it that a call of this number can take, whatever its arguments.
fn answer(program: &[libc::sock_filter], call: u32) -> Answer {
    let (mut allowed, mut refused, mut killed) = (false, false, false);
    // Where to go on, and what the accumulator holds there, if it is known.
    let mut ways = vec![(0_usize, None::<u32>)];
    let mut steps = 0;
    while let Some((at, mut held)) = ways.pop() {
        steps += 1;
        let Some(step) = program.get(at).filter(|_| steps < STEPS) else {
            killed = true;
            continue;
        };
        let (code, next) = (u32::from(step.code), at + 1);
        let (yes, no) = (next + usize::from(step.jt), next + usize::from(step.jf));
        match code & 0x07 {
            libc::BPF_LD => held = load(step.k, call),
            libc::BPF_ALU => held = held.filter(|_| code & 0xf0 == libc::BPF_AND).map(|value| value & step.k),
            libc::BPF_JMP if code & 0xf0 == libc::BPF_JA => {
                ways.push((next + step.k as usize, held));
                continue;
            }
            libc::BPF_JMP => {
                match held.map(|value| jumps(code & 0xf0, value, step.k)) {
                    Some(true) => ways.push((yes, held)),
                    Some(false) => ways.push((no, held)),
                    None => ways.extend([(yes, None), (no, None)]),
                }
                continue;
            }
            libc::BPF_RET => {
                match step.k & libc::SECCOMP_RET_ACTION_FULL {
                    libc::SECCOMP_RET_ALLOW => allowed = true,
                    libc::SECCOMP_RET_KILL_PROCESS | libc::SECCOMP_RET_KILL_THREAD => killed = true,
                    _ => refused = true,
                }
                continue;
            }
            // Nothing else changes what a filter of system calls decides by: it is not known any more.
            _ => held = None,
        }
        ways.push((next, held));
    }
    match (allowed, refused, killed) {
        (true, false, false) => Answer::Allowed,
        (true, _, _) => Answer::ByArguments,
        (false, true, _) => Answer::Refused,
        (false, false, _) => Answer::Killed,
    }
}

/// `struct seccomp_data`: number, architecture, then what a caller chooses.
fn load(offset: u32, call: u32) -> Option<u32> {
    match offset {
        0 => Some(call),
        #[cfg(target_arch = "x86_64")]
        4 => Some(0xc000_003e),
        #[cfg(target_arch = "aarch64")]
        4 => Some(0xc000_00b7),
        _ => None,
    }
}

fn jumps(test: u32, value: u32, k: u32) -> bool {
    match test {
        libc::BPF_JEQ => value == k,
        libc::BPF_JGT => value > k,
        libc::BPF_JGE => value >= k,
        libc::BPF_JSET => value & k != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Life;

    fn of(life: Life, call: libc::c_long) -> Answer {
        let programs = crate::sandbox::programs(life).unwrap();
        together(&programs, u32::try_from(call).unwrap())
    }

    #[test]
    fn the_answers_are_those_of_the_lists() {
        assert_eq!(of(Life::Sensor, libc::SYS_read), Answer::Allowed);
        assert_eq!(of(Life::Sensor, libc::SYS_openat), Answer::Refused);
        assert_eq!(of(Life::Sensor, libc::SYS_mmap), Answer::ByArguments);
        assert_eq!(of(Life::Sensor, libc::SYS_ptrace), Answer::Killed);
        assert_eq!(of(Life::Sensor, libc::SYS_execve), Answer::Killed);
        assert_eq!(of(Life::Warden, libc::SYS_execve), Answer::Allowed);
        assert_eq!(of(Life::Warden, libc::SYS_socket), Answer::ByArguments);
        // It may connect again, and to nothing but unix sockets.
        assert_eq!(of(Life::Client, libc::SYS_connect), Answer::Allowed);
        assert_eq!(of(Life::Client, libc::SYS_socket), Answer::ByArguments);
        assert_eq!(of(Life::Client, libc::SYS_unlinkat), Answer::Refused);
        assert_eq!(of(Life::Client, libc::SYS_execve), Answer::Killed);
        // Of a socket it may change its filter, and nothing else.
        assert_eq!(of(Life::Capture, libc::SYS_setsockopt), Answer::ByArguments);
        assert_eq!(of(Life::Sensor, libc::SYS_setsockopt), Answer::Refused);
        assert_eq!(together(&[], 0), Answer::Allowed);
    }

    #[test]
    fn a_program_that_leads_nowhere_is_taken_for_deadly() {
        let jump = libc::sock_filter { code: libc::BPF_JMP as u16, jt: 0, jf: 0, k: 77 };
        assert_eq!(answer(&[jump], 0), Answer::Killed);
        assert_eq!(answer(&[], 0), Answer::Killed);
    }

    #[test]
    fn who_can_not_be_looked_into_is_an_error() {
        // A process cannot trace itself.
        assert!(answers(std::process::id()).is_err());
        assert!(answers(u32::MAX).is_err());
    }
}
