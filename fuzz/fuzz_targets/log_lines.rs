//! libFuzzer's way into `fuzzing::log_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::log_lines::run(bytes));
