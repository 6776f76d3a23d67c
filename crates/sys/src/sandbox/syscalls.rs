//! Which system calls each life may make, and how. Allow-lists: what is not named here is refused.

use libc::c_long;
use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::collections::BTreeMap;

/// The lives that the filters know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Parses hostile bytes from inherited descriptors. Opens nothing.
    Sensor,
    /// Keeps the store and the control socket.
    Judge,
    /// Holds the privileges and starts the others, whose filters come on top of its own.
    Warden,
    /// Resolves names once and ends.
    Lookup,
    /// Serves others what it asks over a unix socket, which it may connect again.
    Client,
    /// Takes connections in on sockets that it inherits. Opens none.
    Guard,
    /// As a sensor, and tells the kernel which packets it need not hand over.
    Capture,
    /// Speaks with other hosts, a thread for each way.
    Envoy,
}

/// What every life needs: inherited descriptors, memory, time, its own end.
const COMMON: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_getsockopt,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Files below the folders that Landlock leaves open.
const READ_FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

/// What an embedded database and a control socket need beyond that.
const KEEP_STORE: &[c_long] = &[
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_preadv,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_msync,
    libc::SYS_flock,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fadvise64,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_utimensat,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_renameat,
];

/// What starting, sandboxing and ending children takes, and log files, netlink and the programs that we run (journalctl).
const GOVERN: &[c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_close_range,
    libc::SYS_setpgid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_setsid,
    libc::SYS_umask,
    libc::SYS_setgroups,
    libc::SYS_getgroups,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_prlimit64,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_set_tid_address,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_signalfd4,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_memfd_create,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_connect,
    libc::SYS_sendmmsg,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_mknodat,
    libc::SYS_name_to_handle_at,
    libc::SYS_membarrier,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getpgrp,
];

/// What getaddrinfo does once its libraries are there.
const RESOLVE: &[c_long] =
    &[libc::SYS_connect, libc::SYS_bind, libc::SYS_sendmmsg, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_setsockopt];

/// What a connection takes beyond making it, and threads for several.
const CONVERSE: &[c_long] =
    &[libc::SYS_shutdown, libc::SYS_set_tid_address, libc::SYS_membarrier, libc::SYS_sched_getparam, libc::SYS_sched_getscheduler];

/// What takes connections in and makes one to the control socket.
const SERVE: &[c_long] = &[libc::SYS_connect, libc::SYS_accept4, libc::SYS_setsockopt, libc::SYS_shutdown];

/// What taking connections in takes: who it is, and to which port he came.
const ANSWER: &[c_long] = &[libc::SYS_accept4, libc::SYS_getsockname];

/// Nobody but a program that has been broken into makes these: the process is killed at the first.
const NEVER: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// A system call and the arguments with which it is allowed; none: with any.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The filters of a life, to be installed in this order: the deadly one and, last, the allow-list. The stricter answer wins.
pub(super) fn filters(life: Life) -> Result<Vec<seccompiler::BpfProgram>, seccompiler::BackendError> {
    let mut deadly: Rules = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    match life {
        Life::Warden => {}
        Life::Sensor | Life::Judge | Life::Lookup | Life::Client | Life::Guard | Life::Capture | Life::Envoy => {
            drop(deadly.insert(libc::SYS_execve, Vec::new()))
        }
    }
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let mut filters: Vec<seccompiler::BpfProgram> =
        vec![SeccompFilter::new(deadly, SeccompAction::Allow, SeccompAction::KillProcess, architecture())?.try_into()?];
    if life == Life::Envoy {
        filters.push(no_clone3()?);
    }
    filters.push(SeccompFilter::new(allowed(life)?, refused, SeccompAction::Allow, architecture())?.try_into()?);
    Ok(filters)
}

/// The C library starts a thread by clone3 and, only where the kernel doesn't know that, by clone.
fn no_clone3() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), SeccompAction::Allow, unknown, architecture())?.try_into()
}

fn architecture() -> TargetArch {
    #[cfg(target_arch = "x86_64")]
    return TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    return TargetArch::aarch64;
}

fn allowed(life: Life) -> Result<Rules, seccompiler::BackendError> {
    let lists: &[&[c_long]] = match life {
        Life::Sensor | Life::Capture => &[COMMON],
        Life::Judge => &[COMMON, READ_FILES, KEEP_STORE],
        Life::Warden => &[COMMON, READ_FILES, KEEP_STORE, GOVERN],
        Life::Lookup => &[COMMON, READ_FILES, RESOLVE],
        Life::Client => &[COMMON, READ_FILES, SERVE],
        Life::Guard => &[COMMON, ANSWER],
        Life::Envoy => &[COMMON, READ_FILES, RESOLVE, CONVERSE],
    };
    let mut rules: Rules = lists.iter().flat_map(|list| list.iter()).map(|call| (*call, Vec::new())).collect();
    // Signals only to itself (abort), but for the warden, whose children's filters lie on top of this one.
    let own = u64::from(std::process::id());
    match life {
        Life::Warden => {
            for call in [libc::SYS_mmap, libc::SYS_mprotect] {
                rules.insert(call, never_both()?);
            }
            rules.insert(libc::SYS_ioctl, vec![no_typing()?]);
            rules.insert(libc::SYS_tgkill, Vec::new());
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            rules.insert(libc::SYS_socket, one_of(0, families.map(|family| family as u64))?);
        }
        Life::Lookup | Life::Envoy => {
            if life == Life::Envoy {
                // A thread and never a process; clone3 hides its flags where no filter can see them (see `no_clone3`).
                let thread = libc::CLONE_THREAD as u64;
                let is_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)?;
                rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![is_thread])?]);
                rules.insert(libc::SYS_clone3, Vec::new());
            }
            // The resolver's own modules are shared libraries that it loads when it is first asked.
            for call in [libc::SYS_mmap, libc::SYS_mprotect] {
                rules.insert(call, never_both()?);
            }
            let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            rules.insert(libc::SYS_socket, one_of(0, families.map(|family| family as u64))?);
            rules.insert(libc::SYS_ioctl, one_of(1, [libc::FIONBIO, libc::FIONREAD])?);
            rules.insert(libc::SYS_tgkill, one_of(0, [own])?);
        }
        Life::Sensor | Life::Judge | Life::Client | Life::Guard | Life::Capture => {
            if life == Life::Capture {
                let (level, filter) = (libc::SOL_SOCKET as u64, libc::SO_ATTACH_FILTER as u64);
                let is = |index, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
                rules.insert(libc::SYS_setsockopt, vec![SeccompRule::new(vec![is(1, level)?, is(2, filter)?])?]);
            }
            if life == Life::Client {
                rules.insert(libc::SYS_socket, one_of(0, [libc::AF_UNIX as u64])?);
            }
            rules.insert(libc::SYS_mmap, vec![not_executable()?]);
            rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
            rules.insert(libc::SYS_ioctl, one_of(1, [libc::FIONBIO, libc::FIONREAD])?);
            rules.insert(libc::SYS_tgkill, one_of(0, [own])?);
        }
    }
    Ok(rules)
}

/// The call is allowed if its argument `index` has one of these values (in the low 32 bits, which is what the kernel looks at here).
fn one_of<const N: usize>(index: u8, values: [u64; N]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values
        .into_iter()
        .map(|value| SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?]))
        .collect()
}

/// Memory may be mapped, but never as code (`prot` is the third argument of mmap and mprotect).
fn not_executable() -> Result<SeccompRule, seccompiler::BackendError> {
    let code = libc::PROT_EXEC as u64;
    SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(code), 0)?])
}

/// For whom libraries must be loaded: memory may be code or be written to, never both at once.
fn never_both() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let without = |bit: libc::c_int| {
        SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bit as u64), 0)?])
    };
    Ok(vec![without(libc::PROT_EXEC)?, without(libc::PROT_WRITE)?])
}

/// Any ioctl (foreign programs need some of terminals and files) but those that type into the terminal of whoever started us.
fn no_typing() -> Result<SeccompRule, seccompiler::BackendError> {
    let typing = [libc::TIOCSTI, libc::TIOCLINUX];
    let each = typing.map(|request| SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, request));
    SeccompRule::new(each.into_iter().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVES: [Life; 7] = [Life::Sensor, Life::Judge, Life::Warden, Life::Lookup, Life::Guard, Life::Capture, Life::Envoy];

    #[test]
    fn every_filter_compiles_and_fits_the_kernel() {
        for life in LIVES {
            for program in filters(life).unwrap() {
                assert!((7..4096).contains(&program.len()), "{life:?}: {}", program.len());
            }
        }
    }

    #[test]
    fn what_kills_is_never_allowed() {
        for life in LIVES {
            let rules = allowed(life).unwrap();
            assert!(NEVER.iter().all(|call| !rules.contains_key(call)), "{life:?}");
            assert_eq!(rules.contains_key(&libc::SYS_execve), life == Life::Warden);
        }
    }

    #[test]
    fn a_sensor_can_open_and_start_nothing() {
        for life in [Life::Sensor, Life::Guard, Life::Capture] {
            let rules = allowed(life).unwrap();
            for call in [libc::SYS_openat, libc::SYS_socket, libc::SYS_connect, libc::SYS_clone, libc::SYS_unlinkat, libc::SYS_kill] {
                assert!(!rules.contains_key(&call), "{life:?}");
            }
        }
    }

    #[test]
    fn the_warden_lets_its_children_do_what_their_own_filters_allow() {
        let warden = allowed(Life::Warden).unwrap();
        for life in [Life::Sensor, Life::Judge, Life::Lookup, Life::Guard, Life::Capture, Life::Envoy] {
            assert!(allowed(life).unwrap().keys().all(|call| warden.contains_key(call)), "{life:?}");
        }
    }
}
