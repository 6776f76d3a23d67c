//! Starting our own lives and the few foreign programs, and hearing of their end. Never uses a shell, and never passes on
//! an environment or a descriptor that was not named.

use crate::fd::checked;
use std::cell::Cell;
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// A life's own program: the very file that this process runs, even if a package has replaced it since.
const SELF: &str = "/proc/self/exe";
/// The search path of every child.
const SEARCH_PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/// Descriptors are first moved up here, so that a target number never overwrites one that is still to be moved.
const PARKED_FROM: RawFd = 128;

/// A text for the kernel; a text with a NUL inside is refused.
pub(crate) fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a NUL byte inside a text for the kernel"))
}

/// A user to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// A process to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program's file; always a full path.
    pub program: &'a Path,
    /// Its `argv[0]`.
    pub title: &'a str,
    /// The rest of its arguments.
    pub args: &'a [&'a OsStr],
    /// Its descriptors and the numbers that they get. 0 and 1 are /dev/null unless named here; 2 is ours unless named. It has no others.
    pub fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// The value of TZ, if it has one. With PATH and LANG=C that is its whole environment.
    pub timezone: Option<&'a OsStr>,
    /// Whom it becomes before it starts (with no_new_privs set), or `None`: it stays who we are.
    pub identity: Option<&'a Identity>,
}

/// Starts one of our own lives: this program again, as `riposte: LIFE`, with the arguments `--life LIFE ARGS`.
pub fn spawn_life(life: &str, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)], timezone: Option<&OsStr>) -> io::Result<Child> {
    spawn_life_as(life, args, fds, timezone, None)
}

/// The same as another user, from its first instruction on; `None`: it stays who we are.
pub fn spawn_life_as(
    life: &str,
    args: &[&OsStr],
    fds: &[(BorrowedFd<'_>, RawFd)],
    timezone: Option<&OsStr>,
    identity: Option<&Identity>,
) -> io::Result<Child> {
    let mut all = vec![OsStr::new("--life"), OsStr::new(life)];
    all.extend_from_slice(args);
    let title = format!("riposte: {life}");
    spawn(&Launch { program: Path::new(SELF), title: &title, args: &all, fds, timezone, identity })
}

/// Starts a process. It is killed when the thread that called this ends, and gets a process group of its own (a Ctrl-C is ours to handle).
///
/// An error of the new process before its program runs is returned here.
pub fn spawn(launch: &Launch<'_>) -> io::Result<Child> {
    let (report, report_end) = pipe()?;
    let prepared = Prepared::new(launch, report_end.as_raw_fd())?;
    let parent = std::process::id() as libc::pid_t;
    // SAFETY: between here and execve the child only makes the async-signal-safe calls of `Prepared::become_it`, on memory
    // prepared before; it allocates nothing, takes no lock and never returns.
    let pid = checked(unsafe { libc::fork() })?;
    if pid == 0 {
        let step = prepared.become_it(parent);
        fail_in_child(prepared.report.get(), step);
    }
    drop(report_end);
    let child = Child::open(pid)?;
    let mut failure = Vec::new();
    File::from(report).read_to_end(&mut failure)?;
    match failure.first_chunk::<8>() {
        None => Ok(child),
        Some(bytes) => {
            let [step, code] = [&bytes[..4], &bytes[4..]].map(|part| i32::from_ne_bytes([part[0], part[1], part[2], part[3]]));
            child.wait()?;
            let cause = io::Error::from_raw_os_error(code);
            let step = STEPS.get(step as usize).copied().unwrap_or("start");
            Err(io::Error::new(cause.kind(), format!("cannot start {}: {step}: {cause}", launch.program.display())))
        }
    }
}

/// What a child does between fork and exec, for messages. The child reports an index.
const STEPS: [&str; 6] =
    ["restore the signals", "tie its life to ours", "hand over its descriptors", "become its user", "give up privileges", "execute"];

/// A descriptor on its way to its number in the child.
struct Move {
    source: RawFd,
    /// Where it waits meanwhile; the child writes it here, as it must not allocate.
    parked: Cell<RawFd>,
    target: RawFd,
}

/// Everything that the child needs, made before the fork.
struct Prepared {
    program: CString,
    _texts: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    moves: Vec<Move>,
    identity: Option<Identity>,
    /// Where the child reports a failure.
    report: Cell<RawFd>,
    _null: File,
}

impl Prepared {
    fn new(launch: &Launch<'_>, report: RawFd) -> io::Result<Self> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let mut moves: Vec<Move> = Vec::new();
        let named = launch.fds.iter().map(|(fd, target)| (fd.as_raw_fd(), *target));
        for (source, target) in named {
            if !(0..PARKED_FROM).contains(&target) || moves.iter().any(|earlier| earlier.target == target) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a descriptor's number is taken twice or out of range"));
            }
            moves.push(Move { source, parked: Cell::new(-1), target });
        }
        for (source, target) in [(null.as_raw_fd(), 0), (null.as_raw_fd(), 1), (2, 2)] {
            if moves.iter().all(|named| named.target != target) {
                moves.push(Move { source, parked: Cell::new(-1), target });
            }
        }
        let mut args = vec![c_string(OsStr::new(launch.title))?];
        for arg in launch.args {
            args.push(c_string(arg)?);
        }
        let mut env = vec![c_string(OsStr::new(SEARCH_PATH))?, c_string(OsStr::new("LANG=C"))?];
        if let Some(zone) = launch.timezone {
            env.push(c_string(&[OsStr::new("TZ="), zone].into_iter().collect::<std::ffi::OsString>())?);
        }
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
        Ok(Prepared {
            program: c_string(launch.program.as_os_str())?,
            argv: pointers(&args),
            envp: pointers(&env),
            _texts: args.into_iter().chain(env).collect(),
            moves,
            identity: launch.identity.cloned(),
            report: Cell::new(report),
            _null: null,
        })
    }

    /// Runs in the child: only async-signal-safe calls, no allocation. Returns only on failure, with the step that failed.
    fn become_it(&self, parent: libc::pid_t) -> i32 {
        let steps: [&dyn Fn() -> bool; 5] = [
            &restore_signals,
            &|| tie_to(parent),
            &|| self.hand_over_fds(),
            &|| self.take_identity(),
            // The kernel has untied it when its user changed.
            &|| self.identity.is_none() || forbid_new_privileges().is_ok() && tie_to(parent),
        ];
        for (number, step) in steps.iter().enumerate() {
            if !step() {
                return number as i32;
            }
        }
        // SAFETY: both arrays end with a null pointer and their texts live in `self`; on success this does not return.
        unsafe { libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        STEPS.len() as i32 - 1
    }

    fn hand_over_fds(&self) -> bool {
        // The report's end may sit on a number that somebody else is to get.
        // SAFETY: takes integers only.
        let parked_report = unsafe { libc::fcntl(self.report.get(), libc::F_DUPFD_CLOEXEC, PARKED_FROM) };
        if parked_report < 0 {
            return false;
        }
        self.report.set(parked_report);
        for each in &self.moves {
            // SAFETY: takes integers only.
            each.parked.set(unsafe { libc::fcntl(each.source, libc::F_DUPFD_CLOEXEC, PARKED_FROM) });
            if each.parked.get() < 0 {
                return false;
            }
        }
        // SAFETY: takes integers only. It marks every descriptor there is close-on-exec.
        if unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
            return false;
        }
        // SAFETY: takes integers only. A copy made by dup2 stays open across exec.
        self.moves.iter().all(|each| unsafe { libc::dup2(each.parked.get(), each.target) } == each.target)
    }

    fn take_identity(&self) -> bool {
        let Some(Identity { uid, gid, groups }) = &self.identity else { return true };
        // SAFETY: `groups` holds as many entries as said.
        let grouped = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } == 0;
        // SAFETY: takes integers only.
        let in_group = grouped && unsafe { libc::setresgid(*gid, *gid, *gid) } == 0;
        // SAFETY: takes integers only.
        in_group && unsafe { libc::setresuid(*uid, *uid, *uid) } == 0
    }
}

fn tie_to(parent: libc::pid_t) -> bool {
    // SAFETY: takes integers only.
    let grouped = unsafe { libc::setpgid(0, 0) } == 0;
    grouped && die_with(parent).is_ok()
}

fn restore_signals() -> bool {
    // SAFETY: sigset_t is plain integers; sigemptyset gives it its real first value.
    let mut none: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `none` is a valid sigset_t.
    let empty = unsafe { libc::sigemptyset(&raw mut none) } == 0;
    // SAFETY: `none` is a valid sigset_t; the old mask is not asked for.
    let unblocked = empty && unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) } == 0;
    // Rust ignores SIGPIPE, and exec would hand that on. SAFETY: sets a default action, no handler of ours.
    unblocked && unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } != libc::SIG_ERR
}

/// Tells the parent which step failed and why, and ends the child without running anything of the parent's.
fn fail_in_child(report: RawFd, step: i32) -> ! {
    // SAFETY: errno belongs to this thread.
    let code = unsafe { *libc::__errno_location() };
    let message: [i32; 2] = [step, code];
    // SAFETY: `message` is 8 valid bytes. If it cannot be written, the exit code still tells that something failed.
    unsafe { libc::write(report, message.as_ptr().cast(), 8) };
    // SAFETY: _exit runs no destructors and no atexit handlers, which belong to the parent.
    unsafe { libc::_exit(127) }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: `ends` is a valid place for two descriptors.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just made both descriptors and nothing else knows of them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A pipe between a program and us: (our reading end, its writing end), both close-on-exec.
pub fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    pipe()
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// What to send to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End in order (SIGTERM).
    Terminate,
    /// End at once (SIGKILL).
    Kill,
    /// Read the configuration again (SIGHUP).
    Reload,
}

/// A process that we started. Dropping this does not end it, but leaves a zombie when it ends: keep it until `try_wait` has answered.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    pidfd: OwnedFd,
}

impl Child {
    fn open(pid: libc::pid_t) -> io::Result<Self> {
        // SAFETY: takes integers only. The number cannot have been given to another process, as nobody else waits for our children.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = checked(fd as libc::c_int)?;
        // SAFETY: the kernel has just made this descriptor (close-on-exec by definition) and nothing else knows of it.
        Ok(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Sends it a signal; no error if it has ended. Never hits another process that got its number.
    pub fn order(&self, order: Order) -> io::Result<()> {
        let signal = match order {
            Order::Terminate => libc::SIGTERM,
            Order::Kill => libc::SIGKILL,
            Order::Reload => libc::SIGHUP,
        };
        let no_info = ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed and means a plain signal.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), signal, no_info, 0) };
        match checked(result as libc::c_int) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Kills it with all that it has started, as far as that has not left its process group. To be called before its end was asked for: until
    /// then nobody else can have got its number.
    pub fn end_group(&self) -> io::Result<()> {
        // SAFETY: takes integers only; the group's number is that of a child that nobody has waited for.
        match checked(unsafe { libc::kill(-self.pid, libc::SIGKILL) }) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How it ended, if it has. After that no zombie is left, and later calls fail.
    pub fn try_wait(&self) -> io::Result<Option<Ended>> {
        self.reap(libc::WNOHANG)
    }

    /// Waits for its end.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            match self.reap(0) {
                Ok(Some(ended)) => return Ok(ended),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn reap(&self, flags: libc::c_int) -> io::Result<Option<Ended>> {
        // SAFETY: siginfo_t is plain integers and pointers, for which all zeros is valid; a zero pid means "nobody has ended".
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        let fd = self.pidfd.as_raw_fd() as libc::id_t;
        // SAFETY: `info` is a valid place for one siginfo_t.
        checked(unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, libc::WEXITED | flags) })?;
        // SAFETY: waitid fills the fields of SIGCHLD, or leaves the zeros.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        Ok(Some(if info.si_code == libc::CLD_EXITED { Ended::Exited(status) } else { Ended::Killed(status) }))
    }
}

impl AsFd for Child {
    /// Becomes readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Names this process for `ps` and `top` (15 bytes are kept).
pub fn set_name(name: &str) -> io::Result<()> {
    let name = c_string(OsStr::new(name))?;
    // SAFETY: `name` is NUL-terminated; the kernel copies at most 16 bytes of it.
    checked(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
}

/// Our parent's process number.
pub(crate) fn parent() -> libc::pid_t {
    // SAFETY: cannot fail and touches no memory.
    unsafe { libc::getppid() }
}

/// Has this process killed when `parent` ends, and fails if that has ended already. The kernel forgets this whenever the user changes.
pub(crate) fn die_with(parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) })?;
    // Had it ended before the prctl, nobody would kill us: then our parent is another by now.
    if self::parent() == parent { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
}

/// Lets this process go on when the one that started it ends: it learns of that in another way, and has something to put right then.
pub fn outlive_parent() -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0 as libc::c_ulong) }).map(drop)
}

/// Forbids this process and its children for good to gain anything by executing a file.
pub(crate) fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: takes integers only.
    checked(unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong)
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch<'a>(program: &'a str, args: &'a [&'a OsStr], fds: &'a [(BorrowedFd<'a>, RawFd)]) -> Launch<'a> {
        Launch { program: Path::new(program), title: "test", args, fds, timezone: Some(OsStr::new("UTC")), identity: None }
    }

    fn output_of(program: &str, args: &[&str]) -> (String, Ended) {
        let (reader, writer) = output_pipe().unwrap();
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let child = spawn(&launch(program, &args, &[(writer.as_fd(), 1)])).unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        (text, child.wait().unwrap())
    }

    #[test]
    fn a_child_has_the_environment_we_give_and_nothing_else() {
        let (text, ended) = output_of("/usr/bin/env", &[]);
        assert_eq!(text, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C\nTZ=UTC\n");
        assert_eq!(ended, Ended::Exited(0));
    }

    #[test]
    fn a_child_has_the_descriptors_we_give_and_nothing_else() {
        // One that is not close-on-exec, as a careless library would leave it.
        // SAFETY: takes an integer only; the copy is closed below.
        let stray = unsafe { OwnedFd::from_raw_fd(checked(libc::dup(2)).unwrap()) };
        let (text, _) = output_of("/bin/ls", &["/proc/self/fd"]);
        drop(stray);
        // 3 is the folder that ls itself has open.
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    }

    #[test]
    fn descriptors_swap_places_without_loss() {
        let (reader, writer) = output_pipe().unwrap();
        let text = crate::fd::sealed_text(b"sealed").unwrap();
        // Each one's target is the number that the other has now.
        let fds = [(text.as_fd(), writer.as_raw_fd()), (writer.as_fd(), text.as_raw_fd())];
        let script = format!("cat /proc/self/fd/{} > /proc/self/fd/{}", writer.as_raw_fd(), text.as_raw_fd());
        let args = [OsStr::new("-c"), OsStr::new(&script)];
        let child = spawn(&launch("/bin/sh", &args, &fds)).unwrap();
        drop(writer);
        let mut copied = String::new();
        File::from(reader).read_to_string(&mut copied).unwrap();
        assert_eq!((copied.as_str(), child.wait().unwrap()), ("sealed", Ended::Exited(0)));
    }

    #[test]
    fn a_failed_start_is_told_at_once() {
        let error = spawn(&launch("/nonexistent/program", &[], &[])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/nonexistent/program: execute"), "{error}");
        let twice = [(std::io::stdin(), 3), (std::io::stdin(), 3)];
        let twice = twice.each_ref().map(|(fd, number)| (fd.as_fd(), *number));
        assert_eq!(spawn(&launch("/bin/true", &[], &twice)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_group_ends_with_all_that_it_has_started() {
        let (reader, writer) = output_pipe().unwrap();
        let args = [OsStr::new("-c"), OsStr::new("sleep 1000 & echo begun; wait")];
        let child = spawn(&launch("/bin/sh", &args, &[(writer.as_fd(), 1)])).unwrap();
        drop(writer);
        let (mut text, mut reader) = ([0; 6], File::from(reader));
        reader.read_exact(&mut text).unwrap();
        child.end_group().unwrap();
        assert_eq!(child.wait().unwrap(), Ended::Killed(libc::SIGKILL));
        // The other's end of the pipe is closed, too.
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn ends_are_told_apart_and_no_zombie_is_left() {
        assert_eq!(output_of("/bin/sh", &["-c", "exit 3"]).1, Ended::Exited(3));
        let child = spawn(&launch("/bin/sleep", &[OsStr::new("1000")], &[])).unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        child.order(Order::Terminate).unwrap();
        assert_eq!(child.wait().unwrap(), Ended::Killed(libc::SIGTERM));
        assert!(!Path::new(&format!("/proc/{}", child.pid())).exists());
        child.order(Order::Kill).unwrap();
    }
}
