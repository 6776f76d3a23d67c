//! libFuzzer's way into `fuzzing::responders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::responders::run(bytes));
