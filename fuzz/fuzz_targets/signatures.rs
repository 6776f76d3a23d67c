//! libFuzzer's way into `fuzzing::signatures`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::signatures::run(bytes));
