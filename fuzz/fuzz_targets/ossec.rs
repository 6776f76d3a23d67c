//! libFuzzer's way into `fuzzing::ossec`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::ossec::run(bytes));
