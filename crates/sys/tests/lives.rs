//! Enters every sandbox for real and tries to get out: this program starts itself again in each life, and each life makes the real
//! calls. Works as root, in a user namespace and as an ordinary user. Never needs more than that.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use sys::fd::{Interest, Poller};
use sys::identity::{self, ProcessReport, Seccomp, User};
use sys::process::{self, Child, Ended, Identity, Launch, Order};
use sys::sandbox::{self, Capability, Profile};

/// Exit codes of a life. Anything else is the errno with which its attempt was refused.
const SUCCEEDED: i32 = 0;
const SANDBOX_FAILED: i32 = 200;
const PANICKED: i32 = 101;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let [_, flag, life, rest @ ..] = args.as_slice()
        && flag == "--life"
    {
        return ExitCode::from(u8::try_from(play(&life.to_string_lossy(), rest)).unwrap_or(255));
    }
    let tests: [(&str, fn()); 11] = [
        ("a_sensor_gets_out_nowhere", a_sensor_gets_out_nowhere),
        ("a_judge_writes_in_its_folder_alone", a_judge_writes_in_its_folder_alone),
        ("a_warden_keeps_what_it_needs", a_warden_keeps_what_it_needs),
        ("a_wardens_children_are_locked_in_as_well", a_wardens_children_are_locked_in_as_well),
        ("a_lookup_resolves_and_no_more", a_lookup_resolves_and_no_more),
        ("the_kernel_reports_the_sandbox", the_kernel_reports_the_sandbox),
        ("a_life_ends_with_its_parent", a_life_ends_with_its_parent),
        ("another_thread_is_fatal", another_thread_is_fatal),
        ("becoming_root_is_refused", becoming_root_is_refused),
        ("programs_get_no_capability", programs_get_no_capability),
        ("what_may_be_written_is_all_that_can_be", what_may_be_written_is_all_that_can_be),
    ];
    println!("running {} tests as user {}, privileged: {}", tests.len(), identity::own_uid(), identity::is_privileged());
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// Under a unit with an ambient capability, as ours.
fn programs_get_no_capability() {
    if !identity::is_privileged() {
        return println!("SKIPPED: only a privileged process can hand on an ambient capability");
    }
    let own = std::env::current_exe().expect("our own path");
    let mut ambient = Command::new("setpriv");
    ambient.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"]);
    // The build folder may be closed to nobody.
    let copy = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().expect("a folder");
    let program = copy.path().join("lives");
    fs::copy(own, &program).expect("a copy");
    let status = ambient.arg(program).args(["--life", "programs"]).status().expect("setpriv is there");
    assert_eq!(status.code(), Some(SUCCEEDED));
}

/// Also by the programs that it starts, whoever it is.
fn what_may_be_written_is_all_that_can_be() {
    let own = std::env::current_exe().expect("our own path");
    let status = Command::new(own).args(["--life", "writer"]).status().expect("our own program");
    assert_eq!(status.code(), Some(SUCCEEDED));
}

/// What a program that is started now may do, as the kernel has it.
fn capabilities_of_a_program() -> String {
    let said = Command::new("grep").args(["CapEff", "/proc/self/status"]).output().expect("grep is there");
    String::from_utf8_lossy(&said.stdout).trim_start_matches("CapEff:").trim().to_owned()
}

/// Whom the lives become here: nobody, if this process may change its user at all.
fn user() -> Option<User> {
    let nobody = identity::lookup_user("nobody").unwrap()?;
    (identity::is_privileged() && identity::is_mapped(nobody.uid)).then_some(nobody)
}

// ---- the lives -------------------------------------------------------------------------------------------------

fn play(life: &str, args: &[std::ffi::OsString]) -> i32 {
    let arg = |index: usize| args.get(index).map(PathBuf::from).unwrap_or_default();
    let attempt = arg(0).to_string_lossy().into_owned();
    let folder = arg(1);
    match life {
        "sensor" => within(&Profile::sensor(user()), || try_out(&attempt, &folder)),
        "judge" => within(&Profile::judge(user(), &folder), || try_out(&attempt, &folder)),
        "lookup" => within(&Profile::lookup(user()), || try_out(&attempt, &folder)),
        "warden" => {
            let programs = [PathBuf::from("/usr/bin/env")];
            let mut profile = Profile::warden(std::slice::from_ref(&folder), &programs, true, &[]);
            if !identity::is_privileged() {
                profile.keep.clear();
            }
            within(&profile, || try_out(&attempt, &folder))
        }
        "programs" => {
            assert_ne!(capabilities_of_a_program(), "0000000000000000", "the ambient set is handed on as long as nobody clears it");
            sandbox::keep_capabilities_from_programs().unwrap();
            assert_eq!(capabilities_of_a_program(), "0000000000000000");
            SUCCEEDED
        }
        "writer" => {
            let folder = tempfile::tempdir().unwrap();
            let place = |name: &str| folder.path().join(name);
            ["open", "closed", "later"].iter().for_each(|name| fs::create_dir(place(name)).unwrap());
            fs::write(place("closed/theirs"), "as before").unwrap();
            // A file that is not there yet, a folder, and a file beside others that are none of ours.
            sandbox::write_only(&[place("open"), place("later/lock")]).unwrap();
            let touch = |name: &str| Command::new("touch").arg(place(name)).output().expect("touch is there").status.success();
            assert!(touch("open/file") && touch("later/lock") && !touch("closed/file"));
            fs::rename(place("open/file"), place("open/other")).unwrap();
            assert!(fs::write(place("closed/theirs"), "").is_err() && fs::remove_file(place("closed/theirs")).is_err());
            assert!(fs::rename(place("open/other"), place("closed/theirs")).is_err());
            assert_eq!(fs::read_to_string(place("closed/theirs")).unwrap(), "as before");
            fs::write("/dev/null", "x").unwrap();
            SUCCEEDED
        }
        "middle" => {
            let child = process::spawn_life("sensor", &[OsStr::new("wait")], &[(io::stdout().as_fd(), 1)], None).unwrap();
            child.wait().unwrap();
            SUCCEEDED
        }
        "threaded" => {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            std::thread::spawn(move || receiver.recv());
            let code = within(&Profile::sensor(user()), || SUCCEEDED);
            drop(sender);
            code
        }
        "root" => within(&Profile::sensor(Some(User { uid: 0, gid: 0 })), || SUCCEEDED),
        other => panic!("no such life: {other}"),
    }
}

fn within(profile: &Profile, body: impl FnOnce() -> i32) -> i32 {
    match sandbox::enter(profile) {
        Ok(entered) => {
            assert_eq!(entered.changed_user, profile.user.is_some());
            assert!(profile.user.is_none_or(|user| user == entered.user));
            body()
        }
        Err(error) => {
            println!("{error}");
            SANDBOX_FAILED
        }
    }
}

fn refused<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => SUCCEEDED,
        Err(error) => error.raw_os_error().unwrap_or(PANICKED),
    }
}

/// Makes a raw system call; its errno, or 0.
fn call(number: libc::c_long, args: [libc::c_long; 6]) -> i32 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: every attempt below passes integers, or pointers to live NUL-terminated texts, as its call wants.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(PANICKED) } else { SUCCEEDED }
}

fn try_out(attempt: &str, folder: &Path) -> i32 {
    let shell = CString::new("/bin/sh").unwrap();
    let text = |text: &CString| text.as_ptr() as libc::c_long;
    let none = [0; 6];
    match attempt {
        "nothing" => SUCCEEDED,
        "live on" => live_on(),
        "wait" => {
            println!("ready");
            refused(io::stdin().read(&mut [0]))
        }
        "read a secret" => refused(File::open("/etc/shadow")),
        "read what all may" => refused(fs::read("/etc/passwd")),
        "write outside" => refused(File::create("/tmp/rp-breach")),
        "write inside" => write_inside(folder),
        "execute" => {
            let argv = [shell.as_ptr(), std::ptr::null()];
            call(libc::SYS_execve, [text(&shell), argv.as_ptr() as libc::c_long, argv[1..].as_ptr() as libc::c_long, 0, 0, 0])
        }
        "fork" => {
            // SAFETY: the child only calls _exit.
            match unsafe { libc::fork() } {
                // SAFETY: ends the child at once.
                0 => unsafe { libc::_exit(0) },
                pid if pid > 0 => SUCCEEDED,
                _ => io::Error::last_os_error().raw_os_error().unwrap_or(PANICKED),
            }
        }
        "start a thread" => refused(std::thread::Builder::new().spawn(|| ())),
        "inet socket" => call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0]),
        "packet socket" => call(libc::SYS_socket, [libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0, 0, 0, 0]),
        "netlink socket" => call(libc::SYS_socket, [libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0, 0, 0, 0]),
        "connect" => refused(std::net::TcpStream::connect("127.0.0.1:80")),
        "resolve" => refused(("localhost", 80).to_socket_addrs()),
        "setuid" => call(libc::SYS_setuid, none),
        "kill the parent" => call(libc::SYS_kill, [std::os::unix::process::parent_id().into(), 0, 0, 0, 0, 0]),
        "write code" => {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            call(libc::SYS_mmap, [0, 4096, (libc::PROT_WRITE | libc::PROT_EXEC).into(), flags.into(), -1, 0])
        }
        "x32" => call(0x4000_0000 + libc::SYS_getpid, none),
        "ptrace" => call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0, 0, 0]),
        "mount" => call(libc::SYS_mount, [text(&shell), text(&shell), text(&shell), 0, 0, 0]),
        "unshare" => call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0]),
        "bpf" => call(libc::SYS_bpf, none),
        "kexec" => call(libc::SYS_kexec_load, none),
        "module" => call(libc::SYS_init_module, none),
        "io_uring" => call(libc::SYS_io_uring_setup, none),
        "run env" => run_program("/usr/bin/env"),
        "run shell" => run_program("/bin/sh"),
        "spawn" => match start("sensor", &["live on"], &[]).wait().unwrap() {
            Ended::Exited(code) => code,
            Ended::Killed(signal) => 128 + signal,
        },
        other => match other.strip_prefix("spawn: ") {
            Some(inner) => match start("sensor", &[inner], &[]).wait().unwrap() {
                Ended::Exited(code) => code,
                Ended::Killed(signal) => 128 + signal,
            },
            None => panic!("no such attempt: {attempt}"),
        },
    }
}

/// What every life must still be able to do: memory, randomness, clocks, polling, frames with a descriptor.
fn live_on() -> i32 {
    let mut memory = vec![1_u8; 8 << 20];
    memory.resize(16 << 20, 2);
    assert!(std::collections::HashMap::<u8, u8>::new().is_empty() && sys::clock::now() > sys::clock::monotonic() / 2);
    // Descriptors 3 and 4 are the two ends of a pair, 5 is a sealed text.
    // SAFETY: the parent has handed exactly these over, and they stay open as long as this process lives.
    let [here, there, passed] = [3, 4, 5].map(|number| unsafe { BorrowedFd::borrow_raw(number) });
    let poller = Poller::new().unwrap();
    poller.add(there, 1, Interest::Read).unwrap();
    sys::fd::send_frame(here, b"frame", Some(passed)).unwrap();
    let mut ready = Vec::new();
    poller.wait(Some(Duration::from_secs(10)), &mut ready).unwrap();
    assert!(ready[0].readable);
    let received = sys::fd::recv_frame(there, &mut memory).unwrap();
    let mut content = String::new();
    File::from(received.fd.unwrap()).read_to_string(&mut content).unwrap();
    assert_eq!((received.len, content.as_str()), (5, "sealed"));
    std::thread::sleep(Duration::from_millis(1));
    SUCCEEDED
}

/// What a database does with its files.
fn write_inside(folder: &Path) -> i32 {
    let work = || -> io::Result<()> {
        let journal = folder.join("ledger-journal");
        let mut file = File::create(&journal)?;
        file.write_all(b"page")?;
        file.sync_all()?;
        file.set_len(2)?;
        fs::rename(&journal, folder.join("ledger"))?;
        assert_eq!(fs::read(folder.join("ledger"))?, b"pa");
        File::open(folder)?.sync_all()?;
        fs::remove_file(folder.join("ledger"))
    };
    refused(work())
}

fn run_program(path: &str) -> i32 {
    let identity = user().map(|user| Identity { uid: user.uid, gid: user.gid, groups: Vec::new() });
    let launch =
        Launch { program: Path::new(path), title: path, args: &[], fds: &[], timezone: None, env: &[], identity: identity.as_ref() };
    match process::spawn(&launch) {
        Ok(child) => {
            assert_eq!(child.wait().unwrap(), Ended::Exited(0));
            SUCCEEDED
        }
        Err(error) => {
            if error.kind() == io::ErrorKind::PermissionDenied {
                libc::EACCES
            } else {
                PANICKED
            }
        }
    }
}

// ---- the tests -------------------------------------------------------------------------------------------------

/// Starts a life with a socket pair at 3 and 4 and a sealed text at 5.
fn start(life: &str, args: &[&str], extra: &[(BorrowedFd<'_>, i32)]) -> Child {
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let (here, there) = sys::fd::seqpacket_pair().unwrap();
    let text = sys::fd::sealed_text(b"sealed").unwrap();
    let stdout = io::stdout();
    let mut fds = vec![(here.as_fd(), 3), (there.as_fd(), 4), (text.as_fd(), 5)];
    fds.extend_from_slice(extra);
    if extra.iter().all(|(_, number)| *number != 1) {
        fds.push((stdout.as_fd(), 1));
    }
    process::spawn_life(life, &args, &fds, None).unwrap()
}

/// A folder that this user may write to (by default ourselves), removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, owner: Option<User>) -> Self {
        let path = std::env::temp_dir().join(format!("rp-lives-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        if let Some(user) = owner {
            std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        }
        Folder(path)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.0.as_os_str().as_bytes()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const REFUSED: Ended = Ended::Exited(libc::EPERM);
const NO_ACCESS: Ended = Ended::Exited(libc::EACCES);
const FATAL: Ended = Ended::Killed(libc::SIGSYS);
const FINE: Ended = Ended::Exited(SUCCEEDED);

/// What kills every life.
const DEADLY: [&str; 7] = ["ptrace", "mount", "unshare", "bpf", "kexec", "module", "io_uring"];

fn expect(life: &str, attempts: &[(&str, Ended)], folder: &Folder) {
    for (attempt, expected) in attempts {
        let ended = start(life, &[attempt, folder.text()], &[]).wait().unwrap();
        assert_eq!(ended, *expected, "{life}: {attempt}");
    }
    for attempt in DEADLY {
        assert_eq!(start(life, &[attempt, folder.text()], &[]).wait().unwrap(), FATAL, "{life}: {attempt}");
    }
}

fn a_sensor_gets_out_nowhere() {
    let attempts = [
        ("nothing", FINE),
        ("live on", FINE),
        ("read a secret", REFUSED),
        ("read what all may", REFUSED),
        ("write outside", REFUSED),
        ("write inside", REFUSED),
        ("execute", FATAL),
        ("fork", REFUSED),
        ("start a thread", REFUSED),
        ("inet socket", REFUSED),
        ("packet socket", REFUSED),
        ("netlink socket", REFUSED),
        ("connect", REFUSED),
        ("setuid", REFUSED),
        ("kill the parent", REFUSED),
        ("write code", REFUSED),
        ("x32", REFUSED),
    ];
    expect("sensor", &attempts, &Folder::new("sensor", user()));
}

fn a_judge_writes_in_its_folder_alone() {
    let attempts = [
        ("live on", FINE),
        ("write inside", FINE),
        ("write outside", NO_ACCESS),
        ("read a secret", NO_ACCESS),
        ("read what all may", NO_ACCESS),
        ("execute", FATAL),
        ("fork", REFUSED),
        ("start a thread", REFUSED),
        ("inet socket", REFUSED),
        ("packet socket", REFUSED),
        ("connect", REFUSED),
        ("setuid", REFUSED),
        ("kill the parent", REFUSED),
        ("write code", REFUSED),
    ];
    expect("judge", &attempts, &Folder::new("judge", user()));
}

fn a_warden_keeps_what_it_needs() {
    let attempts = [
        ("live on", FINE),
        ("write inside", FINE),
        ("read what all may", FINE),
        ("netlink socket", FINE),
        ("fork", FINE),
        ("run env", FINE),
        ("run shell", NO_ACCESS),
        ("execute", NO_ACCESS),
        ("write outside", NO_ACCESS),
        ("packet socket", REFUSED),
        ("connect", NO_ACCESS),
    ];
    expect("warden", &attempts, &Folder::new("warden", None));
}

fn a_wardens_children_are_locked_in_as_well() {
    let folder = Folder::new("nested", user());
    let killed = Ended::Exited(128 + libc::SIGSYS);
    let attempts = [
        ("spawn", FINE),
        ("spawn: read what all may", REFUSED),
        ("spawn: execute", killed),
        ("spawn: fork", REFUSED),
        ("spawn: inet socket", REFUSED),
        ("spawn: setuid", REFUSED),
        ("spawn: mount", killed),
    ];
    expect("warden", &attempts, &folder);
}

fn a_lookup_resolves_and_no_more() {
    let attempts = [
        ("live on", FINE),
        ("resolve", FINE),
        ("read what all may", FINE),
        ("write outside", NO_ACCESS),
        ("write inside", NO_ACCESS),
        ("packet socket", REFUSED),
        ("connect", NO_ACCESS),
        ("execute", FATAL),
        ("fork", REFUSED),
        ("start a thread", REFUSED),
        ("setuid", REFUSED),
    ];
    expect("lookup", &attempts, &Folder::new("lookup", user()));
}

/// A life that has entered its sandbox and waits, and the end of the pipe that keeps it waiting.
fn waiting(life: &str, args: &[&str]) -> (Child, OwnedFd, File) {
    let (stdin, hold) = process::output_pipe().unwrap();
    let (output, stdout) = process::output_pipe().unwrap();
    let child = start(life, args, &[(stdin.as_fd(), 0), (stdout.as_fd(), 1)]);
    drop(stdout);
    let mut output = File::from(output);
    let mut ready = [0; 6];
    output.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    (child, hold, output)
}

fn the_kernel_reports_the_sandbox() {
    let folder = Folder::new("report", user());
    for (life, kept) in [
        ("sensor", &[][..]),
        ("judge", &[]),
        ("lookup", &[]),
        (
            "warden",
            &[
                Capability::CAP_DAC_READ_SEARCH,
                Capability::CAP_KILL,
                Capability::CAP_SETGID,
                Capability::CAP_SETUID,
                Capability::CAP_SETPCAP,
                Capability::CAP_NET_ADMIN,
            ],
        ),
    ] {
        let (child, hold, _output) = waiting(life, &["wait", folder.text()]);
        let report = ProcessReport::read(child.pid()).unwrap();
        assert!(report.no_new_privs && report.threads == 1, "{life}");
        let Seccomp::Filters(count) = report.seccomp else { panic!("{life}: no filter") };
        assert!(count >= 2, "{life}");
        let kept: Vec<String> =
            kept.iter().filter(|_| identity::is_privileged()).map(|kept| kept.to_string().to_ascii_lowercase()).collect();
        assert_eq!(report.capabilities, kept, "{life}");
        if identity::is_privileged() {
            assert_eq!(report.bounding, kept, "{life}");
        }
        if let (Some(user), true) = (user(), kept.is_empty()) {
            assert_eq!((report.uid, report.gid), (user.uid, user.gid), "{life}");
        }
        println!("  {life}: {} kB resident, {} kB its own", report.resident_bytes >> 10, report.anonymous_bytes >> 10);
        drop(hold);
        assert_eq!(child.wait().unwrap(), FINE, "{life}");
    }
}

fn a_life_ends_with_its_parent() {
    let (middle, _hold, mut output) = waiting("middle", &[]);
    middle.order(Order::Kill).unwrap();
    assert_eq!(middle.wait().unwrap(), Ended::Killed(libc::SIGKILL));
    // The grandchild holds the writing end too; the end of the pipe is its end. It would wait for ever otherwise.
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
    assert!(output.as_raw_fd() >= 0);
}

/// The words with which a life refuses to start.
fn refusal(life: &str) -> String {
    let (output, stdout) = process::output_pipe().unwrap();
    let child = start(life, &[], &[(stdout.as_fd(), 1)]);
    drop(stdout);
    let mut words = String::new();
    File::from(output).read_to_string(&mut words).unwrap();
    assert_eq!(child.wait().unwrap(), Ended::Exited(SANDBOX_FAILED));
    words
}

fn another_thread_is_fatal() {
    assert!(refusal("threaded").contains("another thread"));
}

fn becoming_root_is_refused() {
    assert!(refusal("root").contains("becoming root"));
}
