//! The sandbox's proof: every life tries everything that it must not, with raw system calls, inside the very profile that riposte gives
//! it. Each cell of the table must come out as it is written here and in docs/sandbox.md. Never leaves anything behind.
//!
//! `cargo test -p sys --test cells -- --print` prints the table as docs/sandbox.md has it.

use libc::c_long;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::ExitCode;
use sys::identity::{self, User};
use sys::process::{self, Child, Ended};
use sys::sandbox::{self, Profile};

/// The lives, in the order of the table's columns.
const LIVES: [&str; 10] = ["warden", "judge", "packets", "capturing", "log", "applications", "host", "lookup", "guard", "envoy"];
/// Exit code of a life that could not enter its sandbox.
const SANDBOX_FAILED: i32 = 200;
/// Where the table stands for people.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
/// A file outside, opened for reading, which each life gets with it.
const READABLE: i32 = 6;

/// A socket, likewise.
const SOCKET: i32 = 7;

/// What an attempt can use.
struct Place {
    /// A folder with the socket `control`, which only root may write to, and a folder `own`, which the judge and the warden may.
    folder: PathBuf,
    /// Where somebody listens on 127.0.0.1.
    port: u16,
}

/// One row: what is tried, what must come of it in each life, why those may that may, and how it is tried.
struct Attempt {
    name: &'static str,
    /// `k` killed by seccomp (SIGSYS), `p` refused with EPERM, `a` refused with EACCES, `m` refused with EMFILE, `-` allowed.
    expected: &'static str,
    because: &'static str,
    try_out: fn(&Place) -> i32,
}

const fn row(name: &'static str, expected: &'static str, because: &'static str, try_out: fn(&Place) -> i32) -> Attempt {
    Attempt { name, expected, because, try_out }
}

const KILLED: &str = "kkkkkkkkkk";

const ATTEMPTS: &[Attempt] = &[
    // Files.
    row("read /etc/shadow", "-appppaapa", "the warden opens log files of any owner", |_| open(c"/etc/shadow", libc::O_RDONLY)),
    row("write to /etc/passwd", "aappppaapa", "", |_| open(c"/etc/passwd", libc::O_WRONLY)),
    row("make a file in /tmp", "aappppaapa", "", |_| open(c"/tmp/rp-breach", libc::O_WRONLY | libc::O_CREAT)),
    row("make a file in its own folder", "--ppppaapa", "the judge keeps its ledger there, the warden made it", |place| {
        open(&path(place, &format!("own/ledger-{}", std::process::id())), libc::O_WRONLY | libc::O_CREAT)
    }),
    row("make a folder in /tmp", "aappppappp", "", |_| call(libc::SYS_mkdirat, &[AT, text(c"/tmp/rp-breach"), 0o700])),
    row("make a device in its own folder", "pppppppppp", "", |place| {
        let path = path(place, "own/device");
        call(libc::SYS_mknodat, &[AT, text(&path), (libc::S_IFCHR | 0o600).into(), libc::makedev(1, 1) as c_long])
    }),
    row("link /etc/shadow into its own folder", "pppppppppp", "", |place| {
        call(libc::SYS_linkat, &[AT, text(c"/etc/shadow"), AT, text(&path(place, "own/link")), 0])
    }),
    row("make a symbolic link", "pppppppppp", "", |place| {
        call(libc::SYS_symlinkat, &[text(c"/etc/shadow"), AT, text(&path(place, "own/link"))])
    }),
    row("remove a file outside", "aappppappp", "", |place| call(libc::SYS_unlinkat, &[AT, text(&path(place, "readable")), 0])),
    row("rename a file outside", "aappppappp", "", |place| {
        call(libc::SYS_renameat2, &[AT, text(&path(place, "readable")), AT, text(&path(place, "other")), 0])
    }),
    row("cut a file outside short", "pppppppppp", "", |place| call(libc::SYS_truncate, &[text(&path(place, "readable")), 0])),
    row("write to a file that it may only read, by way of /proc/self/fd", "aappppaapa", "", |_| open(c"/proc/self/fd/6", libc::O_RDWR)),
    row("run a file that it may only read", "kkkkkkkkkk", "", |_| {
        let argv = [c"x".as_ptr(), std::ptr::null()];
        call(
            libc::SYS_execveat,
            &[READABLE.into(), text(c""), argv.as_ptr() as c_long, argv[1..].as_ptr() as c_long, libc::AT_EMPTY_PATH.into()],
        )
    }),
    row("openat2", "pppppppppp", "", |_| call(libc::SYS_openat2, &[AT, text(c"/etc/passwd"), 0, 0])),
    row("open a file by its handle", KILLED, "", |_| call(libc::SYS_open_by_handle_at, &[0, 0, 0])),
    row("have more descriptors than its share", "mmmmmmmmmm", "", |_| {
        // More than any life may have, and far fewer than the machine has.
        let copies = (0..10_000).map(|_| call(libc::SYS_dup, &[0]));
        copies.take_while(|&errno| errno != libc::EMFILE).find(|&errno| errno != 0).unwrap_or(call(libc::SYS_dup, &[0]))
    }),
    // Programs and code.
    row("run /bin/sh", "akkkkkkkkk", "", |_| {
        let argv = [c"sh".as_ptr(), std::ptr::null()];
        call(libc::SYS_execve, &[text(c"/bin/sh"), argv.as_ptr() as c_long, argv[1..].as_ptr() as c_long])
    }),
    row("fork", "-ppppppppp", "the warden starts the others", |_| {
        // SAFETY: the child only calls _exit.
        match unsafe { libc::fork() } {
            // SAFETY: ends the child at once.
            0 => unsafe { libc::_exit(0) },
            -1 => errno(),
            _ => 0,
        }
    }),
    row("start a thread", "-pppppppp-", "as fork; the envoy has one for each way out", |_| {
        std::thread::Builder::new().spawn(|| ()).map_or_else(|error| error.raw_os_error().unwrap_or(255), |_| 0)
    }),
    row("memory that is written to and run", "pppppppppp", "", |_| map(libc::PROT_WRITE | libc::PROT_EXEC)),
    row("memory that is run", "-pppppp-p-", "the loader of shared libraries needs it", |_| map(libc::PROT_READ | libc::PROT_EXEC)),
    row("a file that is only memory", "-ppppppppp", "the children's configuration travels in one", |_| {
        call(libc::SYS_memfd_create, &[text(c"breach"), 0])
    }),
    // The network.
    row("connect to a TCP port of this host", "appppppapa", "", |place| connect_inet(libc::SOCK_STREAM, place.port)),
    row("listen on a TCP port", "appppppapa", "", |_| bind_inet(libc::SOCK_STREAM)),
    row("a raw IP socket", "pppppppppp", "", |_| {
        call(libc::SYS_socket, &[libc::AF_INET.into(), libc::SOCK_RAW.into(), libc::IPPROTO_TCP.into()])
    }),
    row("a packet socket", "pppppppppp", "", |_| call(libc::SYS_socket, &[libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0])),
    row("a netlink socket", "-pppppp-p-", "the warden's firewall; the resolver asks for the host's addresses", |_| {
        call(libc::SYS_socket, &[libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0])
    }),
    row("a vsock socket", "pppppppppp", "", |_| call(libc::SYS_socket, &[libc::AF_VSOCK.into(), libc::SOCK_STREAM.into(), 0])),
    row("a crypto socket", "pppppppppp", "", |_| call(libc::SYS_socket, &[libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0])),
    row("another setting of a socket of its own", "--pppp--p-", "lives that open sockets set them up", |_| set_socket(libc::SO_RCVBUF)),
    row("a filter on a socket of its own", "--p-pp--p-", "who captures packets says which the kernel need not hand over", |_| {
        match set_socket(libc::SO_ATTACH_FILTER) {
            // The program is none: that far it came.
            libc::EINVAL => 0,
            errno => errno,
        }
    }),
    row("connect to the control socket", "-ppppppapa", "the warden made it", |place| {
        connect_unix(&SocketAddr::from_pathname(place.folder.join("control")).unwrap())
    }),
    row("connect to a stranger's abstract socket", "pppppppppp", "", |place| connect_unix(&abstract_name(place.port))),
    // Other processes.
    row("attach to the warden (ptrace)", KILLED, "", |_| call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE.into(), parent_id().into(), 0, 0])),
    row("read the warden's memory", KILLED, "", |_| call(libc::SYS_process_vm_readv, &[parent_id().into(), 0, 0, 0, 0, 0])),
    row("write to the warden's memory", KILLED, "", |_| call(libc::SYS_process_vm_writev, &[parent_id().into(), 0, 0, 0, 0, 0])),
    row("open the warden's memory", "aappppaapa", "", |_| open(&CString::new(format!("/proc/{}/mem", parent_id())).unwrap(), libc::O_RDWR)),
    row("take a descriptor out of the warden", "pppppppppp", "", |_| call(libc::SYS_pidfd_getfd, &[0, 0, 0])),
    row("a signal to its parent", "pppppppppp", "", |_| call(libc::SYS_kill, &[parent_id().into(), 0])),
    row("a signal to process 1", "pppppppppp", "", |_| call(libc::SYS_kill, &[1, 0])),
    row("a signal to another's thread", "pppppppppp", "", |_| call(libc::SYS_tgkill, &[parent_id().into(), parent_id().into(), 0])),
    row("type into the terminal", "pppppppppp", "", |_| call(libc::SYS_ioctl, &[0, libc::TIOCSTI as c_long, text(c"x")])),
    // Privilege.
    row("become root", "-ppppppppp", "it is user 0 already, without most of its rights", |_| call(libc::SYS_setresuid, &[0, 0, 0])),
    row("take every capability", "pppppppppp", "", |_| {
        let header: [u32; 2] = [0x2008_0522, 0];
        let data = [u32::MAX; 6];
        call(libc::SYS_capset, &[header.as_ptr() as c_long, data.as_ptr() as c_long])
    }),
    row("raise its own limits", "pppppppppp", "", |_| {
        let more = libc::rlimit64 { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        call(libc::SYS_prlimit64, &[0, libc::RLIMIT_NOFILE.into(), &raw const more as c_long, 0])
    }),
    row("mount", KILLED, "", |_| call(libc::SYS_mount, &[text(c"x"), text(c"/mnt"), text(c"tmpfs"), 0, 0])),
    row("unmount", KILLED, "", |_| call(libc::SYS_umount2, &[text(c"/mnt"), 0])),
    row("chroot", KILLED, "", |_| call(libc::SYS_chroot, &[text(c"/")])),
    row("pivot_root", KILLED, "", |_| call(libc::SYS_pivot_root, &[text(c"/"), text(c"/")])),
    row("new namespaces", KILLED, "", |_| call(libc::SYS_unshare, &[libc::CLONE_NEWUSER.into()])),
    row("another's namespace", KILLED, "", |_| call(libc::SYS_setns, &[0, 0])),
    row("bpf", KILLED, "", |_| call(libc::SYS_bpf, &[])),
    row("perf_event_open", KILLED, "", |_| call(libc::SYS_perf_event_open, &[])),
    row("io_uring_setup", KILLED, "", |_| call(libc::SYS_io_uring_setup, &[])),
    row("userfaultfd", KILLED, "", |_| call(libc::SYS_userfaultfd, &[])),
    row("keyctl", KILLED, "", |_| call(libc::SYS_keyctl, &[])),
    row("load a kernel module", KILLED, "", |_| call(libc::SYS_init_module, &[])),
    row("start another kernel", KILLED, "", |_| call(libc::SYS_kexec_load, &[])),
    row("reboot", KILLED, "", |_| call(libc::SYS_reboot, &[])),
    row("set the clock", KILLED, "", |_| call(libc::SYS_clock_settime, &[0, 0])),
    row("set the host's name", KILLED, "", |_| call(libc::SYS_sethostname, &[0, 0])),
    #[cfg(target_arch = "x86_64")]
    row("reach the hardware's ports", KILLED, "", |_| call(libc::SYS_iopl, &[3])),
    #[cfg(target_arch = "x86_64")]
    row("a system call of the x32 kind", "pppppppppp", "", |_| call(0x4000_0000 + libc::SYS_getpid, &[])),
];

// ---- how -------------------------------------------------------------------------------------------------------

const AT: c_long = libc::AT_FDCWD as c_long;

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(255)
}

/// Makes a raw system call; its errno, or 0.
fn call(number: c_long, args: &[c_long]) -> i32 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let [a, b, c, d, e, f] = all;
    // SAFETY: every attempt passes integers, or pointers to live NUL-terminated texts or structures, as its call wants; where it passes
    // null instead, the kernel answers with an error at the worst.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { errno() } else { 0 }
}

fn text(text: &CStr) -> c_long {
    text.as_ptr() as c_long
}

fn path(place: &Place, name: &str) -> CString {
    CString::new(place.folder.join(name).into_os_string().into_encoded_bytes()).unwrap()
}

fn open(path: &CStr, flags: i32) -> i32 {
    call(libc::SYS_openat, &[AT, text(path), flags.into(), 0o600])
}

fn map(protection: i32) -> i32 {
    call(libc::SYS_mmap, &[0, 4_096, protection.into(), (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).into(), -1, 0])
}

fn socket(family: i32, kind: i32) -> Result<c_long, i32> {
    // SAFETY: takes integers only.
    let fd = unsafe { libc::syscall(libc::SYS_socket, family, kind, 0) };
    if fd < 0 { Err(errno()) } else { Ok(fd) }
}

fn with_inet(number: c_long, kind: i32, port: u16) -> i32 {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    match socket(libc::AF_INET, kind) {
        Ok(fd) => call(number, &[fd, &raw const address as c_long, size_of_val(&address) as c_long]),
        Err(errno) => errno,
    }
}

fn connect_inet(kind: i32, port: u16) -> i32 {
    with_inet(libc::SYS_connect, kind, port)
}

fn bind_inet(kind: i32) -> i32 {
    with_inet(libc::SYS_bind, kind, 0)
}

/// On the descriptor that each life gets; the kernel looks at the kind of setting first.
fn set_socket(option: i32) -> i32 {
    let value = [0_u64; 2];
    call(libc::SYS_setsockopt, &[SOCKET.into(), libc::SOL_SOCKET.into(), option.into(), value.as_ptr() as c_long, 16])
}

fn connect_unix(to: &SocketAddr) -> i32 {
    match UnixStream::connect_addr(to) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(255),
    }
}

fn abstract_name(port: u16) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("riposte-cells-{port}")).unwrap()
}

// ---- the lives -------------------------------------------------------------------------------------------------

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, life, attempt, folder, port] = args.as_slice()
        && flag == "--life"
    {
        let place = Place { folder: PathBuf::from(folder), port: port.parse().unwrap() };
        return ExitCode::from(u8::try_from(play(life, attempt.parse().unwrap(), &place)).unwrap_or(255));
    }
    if args.iter().any(|arg| arg == "--print") {
        print!("{}", table());
        return ExitCode::SUCCESS;
    }
    println!("{} attempts in {} lives", ATTEMPTS.len(), LIVES.len());
    every_cell_is_as_written();
    println!("test every_cell_is_as_written ... ok");
    let page = fs::read_to_string(PAGE).unwrap();
    assert!(page.contains(&table()), "docs/sandbox.md has another table: cargo test -p sys --test cells -- --print");
    println!("test the_page_has_the_same_table ... ok");
    ExitCode::SUCCESS
}

fn nobody() -> Option<User> {
    identity::lookup_user("nobody").unwrap()
}

/// The profile that riposte gives this life.
fn profile(life: &str, place: &Place) -> Profile {
    let own = place.folder.join("own");
    match life {
        "warden" => Profile::warden(&[own], &[], true, &[25]),
        "judge" => Profile::judge(nobody(), &own),
        "packets" | "log" => Profile::sensor(nobody()),
        "capturing" => Profile::capture(nobody()),
        "applications" => Profile::applications(nobody()),
        "host" => Profile::host(nobody()),
        "lookup" => Profile::lookup(nobody()),
        "guard" => Profile::guard(nobody(), 256),
        "envoy" => Profile::envoy(nobody(), &[25]),
        other => panic!("no such life: {other}"),
    }
}

fn play(life: &str, attempt: usize, place: &Place) -> i32 {
    match sandbox::enter(&profile(life, place)) {
        Ok(_) => (ATTEMPTS[attempt].try_out)(place),
        Err(error) => {
            eprintln!("{life}: {error}");
            SANDBOX_FAILED
        }
    }
}

// ---- the proof -------------------------------------------------------------------------------------------------

fn letter(ended: Ended) -> char {
    match ended {
        Ended::Exited(0) => '-',
        Ended::Exited(libc::EPERM) => 'p',
        Ended::Exited(libc::EACCES) => 'a',
        Ended::Exited(libc::EMFILE) => 'm',
        Ended::Killed(libc::SIGSYS) => 'k',
        Ended::Exited(_) | Ended::Killed(_) => '?',
    }
}

fn start(life: &str, attempt: usize, place: &Place, readable: &File, socket: &UnixListener) -> Child {
    let (attempt, port, folder) = (attempt.to_string(), place.port.to_string(), place.folder.as_os_str());
    process::spawn_life(
        life,
        &[OsStr::new(&attempt), folder, OsStr::new(&port)],
        &[(readable.as_fd(), READABLE), (socket.as_fd(), SOCKET)],
        None,
    )
    .unwrap()
}

fn every_cell_is_as_written() {
    assert!(identity::is_privileged(), "this needs root, as riposte itself does");
    let folder = std::env::temp_dir().join(format!("rp-cells-{}", std::process::id()));
    fs::create_dir_all(folder.join("own")).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(folder.join("own"), Permissions::from_mode(0o777)).unwrap();
    fs::write(folder.join("readable"), "#!/bin/sh\n").unwrap();
    let control = UnixListener::bind(folder.join("control")).unwrap();
    fs::set_permissions(folder.join("control"), Permissions::from_mode(0o600)).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place { folder, port: tcp.local_addr().unwrap().port() };
    let stranger = UnixListener::bind_addr(&abstract_name(place.port)).unwrap();
    let readable = File::open(place.folder.join("readable")).unwrap();
    let mut wrong = Vec::new();
    for (number, attempt) in ATTEMPTS.iter().enumerate() {
        let children: Vec<Child> = LIVES.iter().map(|life| start(life, number, &place, &readable, &stranger)).collect();
        let ended: Vec<Ended> = children.iter().map(|child| child.wait().unwrap()).collect();
        let found: String = ended.iter().map(|ended| letter(*ended)).collect();
        if found != attempt.expected {
            wrong.push(format!("{}: expected {}, found {found} {ended:?}", attempt.name, attempt.expected));
        }
    }
    drop((control, tcp, stranger));
    fs::remove_dir_all(&place.folder).unwrap();
    assert!(!std::path::Path::new("/tmp/rp-breach").exists());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table as Markdown.
fn table() -> String {
    let word = |letter| match letter {
        'k' => "killed",
        'p' => "EPERM",
        'a' => "EACCES",
        'm' => "EMFILE",
        _ => "allowed",
    };
    let mut text = format!("| attempt | {} | why it may |\n|---|{}---|\n", LIVES.join(" | "), "---|".repeat(LIVES.len()));
    for attempt in ATTEMPTS {
        let cells: Vec<&str> = attempt.expected.chars().map(word).collect();
        assert_eq!((cells.len(), cells.contains(&"allowed")), (LIVES.len(), !attempt.because.is_empty()), "{}", attempt.name);
        text += &format!("| {} | {} | {} |\n", attempt.name, cells.join(" | "), attempt.because);
    }
    text
}
