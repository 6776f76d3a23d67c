//! libFuzzer's way into `fuzzing::native`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::native::run(bytes));
