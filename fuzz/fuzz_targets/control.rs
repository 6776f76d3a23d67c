//! libFuzzer's way into `fuzzing::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::control::run(bytes));
