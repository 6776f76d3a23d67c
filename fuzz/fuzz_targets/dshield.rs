//! libFuzzer's way into `fuzzing::dshield`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::dshield::run(bytes));
