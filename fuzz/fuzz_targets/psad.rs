//! libFuzzer's way into `fuzzing::psad`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::psad::run(bytes));
