//! libFuzzer's way into `fuzzing::portsentry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::portsentry::run(bytes));
