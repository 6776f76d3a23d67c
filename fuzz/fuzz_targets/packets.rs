//! libFuzzer's way into `fuzzing::packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::packets::run(bytes));
