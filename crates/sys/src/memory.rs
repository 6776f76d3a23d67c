//! Gives back what only the start of a process needed. Never touches what was written: only the heap's unused pages and clean pages of
//! programs and libraries, which come back from the page cache when they are used again.

use crate::fd::checked;
use libc::{c_int, c_void, dl_phdr_info, size_t};
use std::io;

/// The first page of a run of pages, and how many bytes they have.
type Pages = (usize, usize);

/// Gives back the heap's unused pages, and has the kernel forget that this process has used any of its programs' code and constants.
/// Half of a program is its start: the linker's tables, the command line, the configuration, the sandbox, the patterns that are compiled.
/// Those pages belong to the page cache, but until somebody is short of memory they count as resident here, in each process anew.
///
/// What is used again costs a page fault of a microsecond for each 64 KiB: to be called when a start is over, and not in between.
///
/// # Errors
/// If the kernel refuses; nothing is lost then.
pub fn give_back() -> io::Result<()> {
    // SAFETY: malloc_trim may be called at any time, and takes a number only.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    let mut clean: Vec<Pages> = Vec::new();
    // SAFETY: `note` has the type that is asked for, and `clean` lives through the call and is used by nobody else meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut clean).cast()) };
    for (first, bytes) in clean {
        // SAFETY: these pages are private mappings of a file that nobody ever wrote to, as their segment is not writable: the kernel fills
        // them again from that file. Relocated pages lie in writable segments, even if they were write-protected since.
        checked(unsafe { libc::madvise(first as *mut c_void, bytes, libc::MADV_DONTNEED) })?;
    }
    Ok(())
}

/// Runs `work` while freed memory stays at hand. Whoever fills one table of a hundred megabytes after the other would otherwise have each
/// mapped anew, and wait for the kernel to clear its pages: a sixth of the time. What is left over goes with the next [`give_back`].
pub fn hoarding<T>(work: impl FnOnce() -> T) -> T {
    // The heap grows in larger steps, is never cut, and holds large pieces, too; then all is as mallopt(3) says it is by default.
    set_heap([1 << 20, c_int::MAX, 0]);
    let done = work();
    set_heap([128 << 10, 128 << 10, 65_536]);
    done
}

/// Bytes by which the heap grows, free bytes at its end from which it is cut, and pieces that may lie outside of it.
fn set_heap(values: [c_int; 3]) {
    #[cfg(target_env = "gnu")]
    for (name, value) in [libc::M_TOP_PAD, libc::M_TRIM_THRESHOLD, libc::M_MMAP_MAX].into_iter().zip(values) {
        // SAFETY: mallopt takes two numbers, and refuses what it does not know: then the heap is as it was.
        unsafe { libc::mallopt(name, value) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = values;
}

/// Takes note of the pages of one program's or library's segments that can't be written.
///
/// # Safety
/// `info` is as `dl_iterate_phdr` hands it over, and `clean` is a `Vec<Pages>`.
unsafe extern "C" fn note(info: *mut dl_phdr_info, _: size_t, clean: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (info, clean) = unsafe { (&*info, &mut *clean.cast::<Vec<Pages>>()) };
    // SAFETY: the linker's own table, of this many entries, and a text that ends with NUL.
    let (segments, name) = unsafe {
        let segments = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (segments, std::ffi::CStr::from_ptr(info.dlpi_name).to_bytes())
    };
    // What the kernel itself maps is no file. The program has no name here.
    if name.is_empty() || name.contains(&b'/') {
        // SAFETY: a question without arguments that matter to memory.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096);
        let read_only = segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0);
        clean.extend(read_only.filter_map(|segment| {
            let start = info.dlpi_addr.wrapping_add(segment.p_vaddr) as usize;
            // Whole pages only: what shares a page with the next segment stays.
            let (first, end) = (start.next_multiple_of(page), (start + segment.p_filesz as usize) / page * page);
            (first < end).then(|| (first, end - first))
        }));
    }
    0
}
