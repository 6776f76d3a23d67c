//! `riposte status --sandbox`: what each running process may still do, read back from the kernel. Believes no process's own word, and
//! changes nothing in any.

use super::{Failure, fail};
use report::status::StatusReport;
use serde::Serialize;
use std::fmt::Write as _;
use sys::filters::Answer;
use sys::identity::{ProcessReport, Seccomp};

/// The kernel's own list of numbers and names, of the package linux-libc-dev. Without it numbers are shown.
#[cfg(target_arch = "x86_64")]
const CALL_NAMES: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
#[cfg(target_arch = "aarch64")]
const CALL_NAMES: &str = "/usr/include/asm-generic/unistd.h";

/// One process.
#[derive(Debug, Serialize)]
pub struct Held {
    /// Its role.
    pub life: String,
    /// Its number.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its effective capabilities.
    pub capabilities: Vec<String>,
    /// Those that it or a program that it executes could ever have.
    pub bounding: Vec<String>,
    /// Whether executing a file can give it nothing.
    pub no_new_privs: bool,
    /// How many filters lie over each other.
    pub filters: u32,
    /// Landlock's version and reach, by the process's own word: the kernel doesn't tell.
    pub landlock: String,
    /// Calls that it may make.
    pub allowed: Vec<String>,
    /// Calls that it may make with some arguments.
    pub by_arguments: Vec<String>,
    /// Calls that end it.
    pub deadly: Vec<String>,
}

/// Reads all processes.
///
/// # Errors
/// One line that says which can't be looked into and why.
pub fn read(report: &StatusReport) -> Result<Vec<Held>, Failure> {
    let names = std::fs::read_to_string(CALL_NAMES).unwrap_or_default();
    let names = call_names(&names);
    report
        .processes
        .iter()
        .map(|line| {
            let fail = |e: std::io::Error| fail(format!("{} (process {}) can't be looked into: {e}: try with sudo", line.life, line.pid));
            let kernel = ProcessReport::read(line.pid).map_err(fail)?;
            let answers = sys::filters::answers(line.pid).map_err(fail)?;
            let list = |wanted: Answer| {
                let calls = answers.iter().filter(|(_, answer)| **answer == wanted);
                let mut list: Vec<String> = calls.filter_map(|(call, _)| name(&names, *call)).collect();
                list.sort_unstable();
                list
            };
            Ok(Held {
                life: line.life.clone(),
                pid: line.pid,
                uid: kernel.uid,
                capabilities: kernel.capabilities,
                bounding: kernel.bounding,
                no_new_privs: kernel.no_new_privs,
                filters: match kernel.seccomp {
                    Seccomp::Off | Seccomp::Strict => 0,
                    Seccomp::Filters(n) => n,
                },
                landlock: line.landlock.clone(),
                allowed: list(Answer::Allowed),
                by_arguments: list(Answer::ByArguments),
                deadly: list(Answer::Killed),
            })
        })
        .collect()
}

/// For people.
pub fn text(processes: &[Held]) -> String {
    let words = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(" ") };
    let mut text = String::new();
    for process in processes {
        let _ = write!(
            text,
            "{} (process {}): user {}, {}{} filters, Landlock {}\n  capabilities  {}; could ever have {}\n  may call  {}\n  with some arguments  {}\n  dies at  {}\n\n",
            process.life,
            process.pid,
            process.uid,
            if process.no_new_privs { "no new privileges, " } else { "" },
            process.filters,
            process.landlock,
            words(&process.capabilities),
            words(&process.bounding),
            words(&process.allowed),
            words(&process.by_arguments),
            words(&process.deadly),
        );
    }
    text
}

/// `#define __NR_read 0`, as pairs.
fn call_names(header: &str) -> Vec<(u32, &str)> {
    header
        .lines()
        .filter_map(|line| {
            let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
            Some((number.trim().parse().ok()?, name))
        })
        .collect()
}

/// A call's name; without any names its number. `None`: no such call here.
fn name(names: &[(u32, &str)], call: u32) -> Option<String> {
    match names.iter().find(|(number, _)| *number == call) {
        Some((_, name)) => Some((*name).to_owned()),
        None => names.is_empty().then(|| call.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_kernels_header() {
        let names = call_names("#ifndef X\n#define __NR_read 0\n#define __NR_openat 257\n#define __NR_syscalls 1 + 1\n");
        assert_eq!(names, [(0, "read"), (257, "openat")]);
        assert_eq!((name(&names, 257), name(&names, 3)), (Some("openat".into()), None));
        assert_eq!(name(&[], 3), Some("3".into()));
    }
}
