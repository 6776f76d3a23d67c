//! libFuzzer's way into `fuzzing::lists`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::lists::run(bytes));
