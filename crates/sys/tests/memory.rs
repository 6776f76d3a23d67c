//! What a process holds of memory. One test in a program of its own: the heap and the page tables belong to the whole process, so another
//! test that takes memory meanwhile, or forks (and so has every page copied that is written next), would be measured, too.

use std::fs;
use sys::memory::{give_back, hoarding};

/// Resident pages that are a file's, in KiB.
fn resident_file() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Page faults of this thread so far.
fn faults() -> i64 {
    // SAFETY: rusage is plain integers, for which all zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writes.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
    usage.ru_minflt
}

/// One after the other: what one gives back would be the other's hoard, for both have one heap.
#[test]
fn what_is_hoarded_is_used_again_and_a_program_goes_on_with_less() {
    what_is_hoarded_is_used_again();
    a_program_goes_on_with_less();
}

fn what_is_hoarded_is_used_again() {
    const PAGES: usize = 10_000;
    let fill = |byte: u8| assert_eq!(vec![byte; PAGES * 4_096].last(), Some(&byte));
    let cost = |work: &dyn Fn()| {
        let before = faults();
        work();
        faults() - before
    };
    fill(0);
    let anew = cost(&|| fill(1));
    let again = hoarding(|| {
        fill(2);
        cost(&|| fill(3))
    });
    assert!(anew >= PAGES as i64 && again < PAGES as i64 / 10, "{anew} {again}");
}

fn a_program_goes_on_with_less() {
    // All its constants and code are read once.
    let program = fs::read("/proc/self/maps").unwrap();
    let own = std::env::current_exe().unwrap();
    let maps = String::from_utf8(program).unwrap();
    for line in maps.lines().filter(|line| line.contains(own.to_str().unwrap()) && line.contains(" r-xp ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
        // SAFETY: readable for the whole life of the process.
        let bytes = unsafe { std::slice::from_raw_parts(from as *const u8, to - from) };
        assert!(bytes.iter().step_by(4_096).map(|byte| u64::from(*byte)).sum::<u64>() > 0);
    }
    let before = resident_file();
    let kept = vec![String::from("on the heap"); 1_000];
    give_back().unwrap();
    let after = resident_file();
    assert!(after < before, "{after} KiB of {before}");
    assert!(kept.iter().all(|text| text == "on the heap"));
}
