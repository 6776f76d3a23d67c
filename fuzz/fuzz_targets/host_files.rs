//! libFuzzer's way into `fuzzing::host_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::host_files::run(bytes));
