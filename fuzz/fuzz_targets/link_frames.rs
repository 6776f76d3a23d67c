//! libFuzzer's way into `fuzzing::link_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::link_frames::run(bytes));
