//! Giving up privilege, for good and before the first hostile byte. Never goes on after a step that failed: each is an error for
//! the caller to end with.

mod syscalls;

pub use syscalls::Life;

use crate::fd::checked;
use crate::identity::{ProcessReport, User};
use crate::process;
use caps::errors::CapsError;
use caps::{CapSet, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

pub use caps::Capability;

/// The newest Landlock that this crate knows; an older kernel gives what it has.
const NEWEST_LANDLOCK: ABI = ABI::V9;
/// From this version on Landlock covers all that a profile asks for: truncation, TCP, device ioctls, signals and abstract sockets.
const FULL_LANDLOCK: ABI = ABI::V6;

/// Bounds that the kernel keeps for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors.
    pub open_files: u64,
    /// Processes and threads of its user; 0: it can start none.
    pub processes: Option<u64>,
    /// Address space.
    pub memory_bytes: Option<u64>,
}

/// What a process may still do once it has entered its sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Which system calls it may make.
    pub life: Life,
    /// Whom it becomes. `None`: it stays who it is. That is the caller's explicit choice and shows in `Entered::user`.
    pub user: Option<User>,
    /// The capabilities that it keeps.
    pub keep: Vec<Capability>,
    /// Files and folders that it may read. Missing ones are left out.
    pub read: Vec<PathBuf>,
    /// Folders and files that it may read and write. Each must exist.
    pub write: Vec<PathBuf>,
    /// Files and folders that it may execute. Missing ones are left out.
    pub execute: Vec<PathBuf>,
    /// TCP ports that it may connect to (where the kernel's Landlock can hold that).
    pub connect_tcp: Vec<u16>,
    /// The kernel's bounds.
    pub limits: Limits,
    /// Whether it is killed when its parent ends.
    pub dies_with_parent: bool,
}

impl Profile {
    /// For parsing hostile bytes: inherited descriptors and nothing else.
    pub fn sensor(user: Option<User>) -> Self {
        Profile {
            life: Life::Sensor,
            user,
            keep: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            execute: Vec::new(),
            connect_tcp: Vec::new(),
            // Few: each descriptor that the privileged side passes may be one of a kind that root has few of (inotify). A log in the midst of
            // a rotation needs 13.
            limits: Limits { open_files: 20, processes: Some(0), memory_bytes: Some(1 << 30) },
            dies_with_parent: true,
        }
    }

    /// For following thousands of files: the same, with a descriptor or two for each.
    pub fn applications(user: Option<User>) -> Self {
        Profile { limits: Limits { open_files: 8_500, ..Self::sensor(None).limits }, ..Self::sensor(user) }
    }

    /// For answering at guarded ports: so many connections at one time, on listeners that it inherits.
    pub fn guard(user: Option<User>, connections: usize) -> Self {
        let limits = Limits { open_files: 20 + connections as u64, ..Self::sensor(None).limits };
        Profile { life: Life::Guard, limits, ..Self::sensor(user) }
    }

    /// For reading packets out of a ring: as a sensor, and it tells the kernel which ones it need not hand over.
    pub fn capture(user: Option<User>) -> Self {
        Profile { life: Life::Capture, ..Self::sensor(user) }
    }

    /// For the judge: it writes below the store's folder and nowhere else.
    pub fn judge(user: Option<User>, store: &Path) -> Self {
        Profile {
            life: Life::Judge,
            read: paths(&["/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo"]),
            write: vec![store.to_owned()],
            limits: Limits { open_files: 256, processes: Some(0), memory_bytes: None },
            ..Self::sensor(user)
        }
    }

    /// For the warden, which stays who started it (root, or the unit's user with CAP_NET_ADMIN alone): `write` are the folders that its children or it must write to (store, sockets),
    /// `programs` the foreign programs it may start beside itself. It may read everywhere: a log or configuration file can be
    /// anywhere. `read_any` keeps the right to read files in spite of their permissions (log files of other owners). `ports` are those that a child may
    /// connect to, beside port 53.
    pub fn warden(write: &[PathBuf], programs: &[PathBuf], read_any: bool, ports: &[u16]) -> Self {
        let mut keep = vec![Capability::CAP_NET_ADMIN];
        // Started as somebody else (by the unit), its children are of the same user and there is nobody to become.
        if crate::identity::own_uid() == 0 {
            // SETPCAP only lets it drop more: its bounding set holds nothing beyond these, and its children empty theirs with it.
            keep.extend([Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_SETPCAP, Capability::CAP_KILL]);
            keep.extend(read_any.then_some(Capability::CAP_DAC_READ_SEARCH));
        }
        // A program needs its loader (ld.so) to be executable too; libraries are only read.
        let loaders = paths(&["/proc/self/exe", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]);
        Profile {
            life: Life::Warden,
            keep,
            read: paths(&["/"]),
            write: paths(&["/dev/null"]).into_iter().chain(write.iter().cloned()).collect(),
            execute: loaders.into_iter().chain(programs.iter().cloned()).collect(),
            // Its children can have no more: one of them follows thousands of files.
            limits: Limits { open_files: 8_600, processes: None, memory_bytes: None },
            connect_tcp: std::iter::once(53).chain(ports.iter().copied()).collect(),
            dies_with_parent: false,
            ..Self::sensor(None)
        }
    }

    /// For watching the host itself: netlink sockets that it inherits, and what anybody may read of the host's settings and sessions.
    /// Folders, not files: a file that is replaced is a new one to Landlock.
    pub fn host(user: Option<User>) -> Self {
        Profile { life: Life::Judge, read: paths(&["/etc", "/run"]), ..Self::sensor(user) }
    }

    /// For speaking with other hosts: what resolving names takes, whom else to trust for theirs, and these TCP ports (port 53 beside them).
    pub fn envoy(user: Option<User>, ports: &[u16]) -> Self {
        let mut profile = Self::lookup(user);
        // Certificates and time zones.
        profile.read.extend(paths(&[
            "/usr/share/ca-certificates",
            "/usr/share/pki",
            "/usr/share/zoneinfo",
            "/usr/local/share/ca-certificates",
        ]));
        profile.connect_tcp.extend_from_slice(ports);
        // Threads count as processes of the user's; that it can start none of those is the filter's matter.
        // Each has an arena of the C library's, which is address space and no memory.
        Profile { life: Life::Envoy, limits: Limits { processes: None, memory_bytes: Some(4 << 30), ..profile.limits }, ..profile }
    }

    /// For resolving names once: the resolver's files and libraries, and port 53.
    pub fn lookup(user: Option<User>) -> Self {
        Profile {
            life: Life::Lookup,
            read: paths(&[
                "/etc",
                "/lib",
                "/lib64",
                "/usr/lib",
                "/usr/lib64",
                "/run/systemd/resolve",
                "/run/resolvconf",
                "/run/NetworkManager",
            ]),
            write: Vec::new(),
            connect_tcp: vec![53],
            limits: Limits { open_files: 64, processes: Some(0), memory_bytes: Some(1 << 30) },
            ..Self::sensor(user)
        }
    }
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// A life's filters as the kernel gets them.
#[cfg(test)]
pub(crate) fn programs(life: Life) -> Result<Vec<Vec<libc::sock_filter>>, seccompiler::BackendError> {
    let raw = |program: &seccompiler::BpfProgram| {
        program.iter().map(|step| libc::sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k }).collect()
    };
    Ok(syscalls::filters(life)?.iter().map(raw).collect())
}

/// How much of what a profile asks for this kernel's Landlock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// All of it.
    Full,
    /// Files, but not all of truncation, TCP, signals and abstract sockets: the kernel is older. Seccomp still holds its part.
    Partial,
}

/// What was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Who the process is now.
    pub user: User,
    /// Whether it became somebody else (`false`: it was told to stay as it is).
    pub changed_user: bool,
    /// The kernel's Landlock version, as far as this program makes use of it.
    pub landlock_abi: u8,
    /// How much of the profile that version holds.
    pub enforcement: Enforcement,
}

/// Why a sandbox could not be entered. The process must end.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A step that the kernel refused.
    #[error("sandbox: cannot {step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Capabilities could not be given up.
    #[error("sandbox: cannot {step}: {source}")]
    Capabilities {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: CapsError,
    },
    /// A step that the kernel accepted, but which can be undone or was not done.
    #[error("sandbox: {0}")]
    NotHeld(&'static str),
    /// A folder that the profile needs is not there.
    #[error("sandbox: cannot open {path}: {source}")]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: landlock::PathFdError,
    },
    /// This kernel has no Landlock, or it is switched off.
    #[error("sandbox: this kernel has no Landlock (Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK and lsm=landlock is needed)")]
    NoLandlock,
    /// Landlock refused.
    #[error("sandbox: landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// The system call filter could not be made or installed.
    #[error("sandbox: seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
}

impl From<seccompiler::BackendError> for SandboxError {
    fn from(error: seccompiler::BackendError) -> Self {
        SandboxError::Seccomp(error.into())
    }
}

fn step(step: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Step { step, source }
}

/// Gives up everything that the profile does not keep. Must be called while the process has a single thread: the kernel restricts
/// only the calling one.
///
/// Every error is fatal: the process may be half restricted and must end.
pub fn enter(profile: &Profile) -> Result<Entered, SandboxError> {
    let parent = process::parent();
    let threads = ProcessReport::read(std::process::id()).map_err(step("read /proc/self/status"))?.threads;
    if threads != 1 {
        return Err(SandboxError::NotHeld("another thread runs already and would stay privileged"));
    }
    // Prepared while every path can still be reached.
    let ruleset = ruleset(profile)?;
    let filters = syscalls::filters(profile.life)?;
    set_limits(&profile.limits)?;
    let keep: CapsHashSet = profile.keep.iter().copied().collect();
    shrink_bounding(&keep)?;
    let user = become_user(profile.user, !keep.is_empty())?;
    set_capabilities(&keep)?;
    process::forbid_new_privileges().map_err(step("set no_new_privs"))?;
    let (landlock_abi, enforcement) = restrict(ruleset)?;
    hide_memory()?;
    if profile.dies_with_parent {
        process::die_with(parent).map_err(step("tie its life to its parent's"))?;
    }
    for filter in &filters {
        seccompiler::apply_filter(filter)?;
    }
    Ok(Entered { user, changed_user: profile.user.is_some(), landlock_abi, enforcement })
}

fn set_limits(limits: &Limits) -> Result<(), SandboxError> {
    let set = |resource, value: u64, name| {
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        // SAFETY: `limit` is a valid rlimit; the kernel only reads it.
        checked(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop).map_err(step(name))
    };
    set(libc::RLIMIT_CORE, 0, "forbid core dumps")?;
    let open_files = limits.open_files.min(hard_limit(libc::RLIMIT_NOFILE)?);
    set(libc::RLIMIT_NOFILE, open_files, "limit open files")?;
    if let Some(processes) = limits.processes {
        set(libc::RLIMIT_NPROC, processes.min(hard_limit(libc::RLIMIT_NPROC)?), "limit processes")?;
    }
    if let Some(bytes) = limits.memory_bytes {
        set(libc::RLIMIT_AS, bytes.min(hard_limit(libc::RLIMIT_AS)?), "limit memory")?;
    }
    Ok(())
}

fn hard_limit(resource: libc::__rlimit_resource_t) -> Result<u64, SandboxError> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit.
    checked(unsafe { libc::getrlimit(resource, &raw mut limit) }).map_err(step("read a limit"))?;
    Ok(limit.rlim_max)
}

fn capabilities(step: &'static str) -> impl FnOnce(CapsError) -> SandboxError {
    move |source| SandboxError::Capabilities { step, source }
}

/// Empties the bounding set but for what is kept. A process that isn't root and lacks CAP_SETPCAP cannot do that; neither can it ever
/// get another capability once no_new_privs is set.
fn shrink_bounding(keep: &CapsHashSet) -> Result<(), SandboxError> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(capabilities("read the permitted capabilities"))?;
    if permitted.is_empty() || crate::identity::own_uid() != 0 && !permitted.contains(&Capability::CAP_SETPCAP) {
        return Ok(());
    }
    let bounding = caps::read(None, CapSet::Bounding).map_err(capabilities("read the bounding set"))?;
    for capability in bounding.difference(keep) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(capabilities("shrink the bounding set"))?;
    }
    Ok(())
}

fn become_user(user: Option<User>, keep_capabilities: bool) -> Result<User, SandboxError> {
    if let Some(user) = user {
        if user.uid == 0 || user.gid == 0 {
            return Err(SandboxError::NotHeld("becoming root is no giving up of privilege"));
        }
        let keep = libc::c_ulong::from(keep_capabilities);
        // SAFETY: takes integers only.
        checked(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, keep) }).map_err(step("keep capabilities"))?;
        // SAFETY: a count of 0 needs no list.
        checked(unsafe { libc::setgroups(0, std::ptr::null()) }).map_err(step("leave all groups"))?;
        // SAFETY: takes integers only.
        checked(unsafe { libc::setresgid(user.gid, user.gid, user.gid) }).map_err(step("change the group"))?;
        // SAFETY: takes integers only.
        checked(unsafe { libc::setresuid(user.uid, user.uid, user.uid) }).map_err(step("change the user"))?;
    }
    let now = [own_ids(libc::SYS_getresuid)?, own_ids(libc::SYS_getresgid)?];
    let [uids, gids] = now;
    match user {
        Some(user) if uids != [user.uid; 3] || gids != [user.gid; 3] => Err(SandboxError::NotHeld("the user did not change")),
        Some(_) | None => Ok(User { uid: uids[1], gid: gids[1] }),
    }
}

/// Real, effective and saved ids.
fn own_ids(call: libc::c_long) -> Result<[u32; 3], SandboxError> {
    let mut ids = [u32::MAX; 3];
    let [real, effective, saved] = &mut ids;
    // SAFETY: getresuid and getresgid each write three 32-bit ids to these three places.
    let result = unsafe { libc::syscall(call, real as *mut u32, effective as *mut u32, saved as *mut u32) };
    checked(result as libc::c_int).map_err(step("read our own ids"))?;
    Ok(ids)
}

/// From here on programs that are started get no capability of ours: an unprivileged user's would be handed on through the ambient set.
///
/// # Errors
/// If the kernel refuses, or the set is not empty then.
pub fn keep_capabilities_from_programs() -> Result<(), SandboxError> {
    caps::clear(None, CapSet::Ambient).map_err(capabilities("clear the ambient set"))?;
    let left = caps::read(None, CapSet::Ambient).map_err(capabilities("read a capability set"))?;
    if left.is_empty() { Ok(()) } else { Err(SandboxError::NotHeld("the ambient set is not empty")) }
}

/// From here on this process and the programs that it starts have these capabilities at most: root's programs get what the bounding set leaves,
/// an unprivileged user's what is ambient. Returns those of them that it has not got at all.
///
/// # Errors
/// If the kernel refuses.
pub fn keep_for_programs(wanted: &[Capability]) -> Result<Vec<Capability>, SandboxError> {
    let wanted: CapsHashSet = wanted.iter().copied().collect();
    let read = |set| caps::read(None, set).map_err(capabilities("read a capability set"));
    shrink_bounding(&wanted)?;
    let permitted = read(CapSet::Permitted)?;
    let keep: CapsHashSet = permitted.intersection(&wanted).copied().collect();
    if crate::identity::own_uid() == 0 {
        set_capabilities(&keep)?;
    } else {
        for surplus in read(CapSet::Ambient)?.difference(&keep) {
            caps::drop(None, CapSet::Ambient, *surplus).map_err(capabilities("shrink the ambient set"))?;
        }
        // The unit's filter refuses capset, which is not needed if it gives only what is wanted.
        if keep != permitted {
            caps::set(None, CapSet::Effective, &keep).map_err(capabilities("shrink the effective set"))?;
            caps::set(None, CapSet::Permitted, &keep).map_err(capabilities("shrink the permitted set"))?;
        }
    }
    process::forbid_new_privileges().map_err(step("set no_new_privs"))?;
    let mut missing: Vec<Capability> = wanted.difference(&keep).copied().collect();
    missing.sort_unstable_by_key(Capability::index);
    Ok(missing)
}

/// From here on this process and the programs that it starts may write to these files and folders alone, whoever owns others, and to /dev/null.
/// They may read and execute as before. Of one that is not there yet its folder is meant.
///
/// # Errors
/// If the kernel refuses.
pub fn write_only(places: &[PathBuf]) -> Result<(), SandboxError> {
    let writing = AccessFs::from_write(NEWEST_LANDLOCK);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(ABI::V1))
        .map_err(|_| SandboxError::NoLandlock)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .create()?;
    for place in places.iter().map(PathBuf::as_path).chain([Path::new("/dev/null")]) {
        let opened = PathFd::new(place).or_else(|_| PathFd::new(place.parent().unwrap_or(Path::new("/"))));
        let path = opened.map_err(|source| SandboxError::Path { path: place.to_owned(), source })?;
        rules = rules.add_rule(PathBeneath::new(&path, fitting(&path, writing)?))?;
    }
    restrict(rules).map(drop)
}

/// Leaves exactly `keep` permitted and effective, nothing ambient or inheritable, and looks whether the kernel agrees.
///
/// The unit's filter refuses capset, and who was started with exactly `keep` by it has nothing else to give up: there the inheritable
/// set stays. It counts only for executing a file that has inheritable capabilities, and no_new_privs makes that give nothing.
fn set_capabilities(keep: &CapsHashSet) -> Result<(), SandboxError> {
    let none = CapsHashSet::new();
    let read = |set| caps::read(None, set).map_err(capabilities("read a capability set"));
    caps::clear(None, CapSet::Ambient).map_err(capabilities("clear the ambient set"))?;
    let held = read(CapSet::Permitted)? == *keep && read(CapSet::Effective)? == *keep;
    let fenced = held && crate::identity::own_uid() != 0;
    match caps::set(None, CapSet::Inheritable, &none) {
        Ok(()) => {}
        Err(_) if fenced => {}
        Err(error) => return Err(capabilities("clear the inheritable set")(error)),
    }
    if !held {
        // Effective must never hold what permitted does not: first shrink the one to what stays, then the other.
        caps::set(None, CapSet::Effective, &none).map_err(capabilities("clear the effective set"))?;
        caps::set(None, CapSet::Permitted, keep).map_err(capabilities("shrink the permitted set"))?;
        caps::set(None, CapSet::Effective, keep).map_err(capabilities("set the effective set"))?;
    }
    let mut wanted = vec![(CapSet::Permitted, keep), (CapSet::Effective, keep), (CapSet::Ambient, &none)];
    if !fenced {
        wanted.push((CapSet::Inheritable, &none));
    }
    for (set, expected) in wanted {
        if read(set)? != *expected {
            return Err(SandboxError::NotHeld("a capability set is not what was asked for"));
        }
    }
    if keep.is_empty() && crate::identity::own_uid() != 0 {
        // SAFETY: takes an integer only. It must fail: this is the proof that there is no way back.
        let back = unsafe { libc::setresuid(0, 0, 0) };
        if back == 0 {
            return Err(SandboxError::NotHeld("the change of user can be undone"));
        }
    }
    Ok(())
}

/// A set of rules with what the profile leaves open. Files must be enforced; what came later is taken where the kernel has it.
fn ruleset(profile: &Profile) -> Result<landlock::RulesetCreated, SandboxError> {
    // Who connects again must reach a socket whose folder may not be there yet: its permissions decide.
    let reaches = match profile.life {
        Life::Client | Life::Envoy => BitFlags::from(AccessFs::ResolveUnix),
        Life::Sensor | Life::Judge | Life::Warden | Life::Lookup | Life::Guard | Life::Capture => BitFlags::EMPTY,
    };
    let handled = AccessFs::from_all(NEWEST_LANDLOCK) & !reaches;
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map_err(|_| SandboxError::NoLandlock)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)?
        .handle_access(AccessNet::from_all(NEWEST_LANDLOCK))?
        .scope(Scope::from_all(NEWEST_LANDLOCK))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = AccessFs::from_all(NEWEST_LANDLOCK) & !BitFlags::from(AccessFs::Execute);
    let executing = AccessFs::Execute | AccessFs::ReadFile;
    let mut rules = created;
    for (names, access, required) in
        [(&profile.read, reading, false), (&profile.write, writing, true), (&profile.execute, executing, false)]
    {
        for name in names {
            match PathFd::new(name) {
                Ok(path) => rules = rules.add_rule(PathBeneath::new(&path, fitting(&path, access)?))?,
                Err(source) if required => return Err(SandboxError::Path { path: name.clone(), source }),
                // One that is not there needs no permission.
                Err(_) => {}
            }
        }
    }
    for port in &profile.connect_tcp {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(rules)
}

/// A file has no folder rights, and Landlock says so by an error.
fn fitting(path: &PathFd, access: BitFlags<AccessFs>) -> Result<BitFlags<AccessFs>, SandboxError> {
    // SAFETY: stat is plain integers, for which all zeros is valid.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is a valid place for one stat; fstat works on a path descriptor.
    checked(unsafe { libc::fstat(std::os::fd::AsRawFd::as_raw_fd(&path.as_fd()), &raw mut found) }).map_err(step("look at a path"))?;
    let is_folder = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(if is_folder { access } else { access & AccessFs::from_file(NEWEST_LANDLOCK) })
}

fn restrict(rules: landlock::RulesetCreated) -> Result<(u8, Enforcement), SandboxError> {
    let status = rules.restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else { return Err(SandboxError::NoLandlock) };
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err(SandboxError::NoLandlock);
    }
    let enforcement = if effective_abi >= FULL_LANDLOCK { Enforcement::Full } else { Enforcement::Partial };
    Ok((effective_abi as u8, enforcement))
}

/// Nobody of the same user may look into this process or attach to it. The kernel undoes this at every change of user and exec.
fn hide_memory() -> Result<(), SandboxError> {
    // SAFETY: takes integers only.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0 as libc::c_ulong) }).map(drop).map_err(step("hide its memory"))
}
