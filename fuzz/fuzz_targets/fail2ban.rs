//! libFuzzer's way into `fuzzing::fail2ban`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::fail2ban::run(bytes));
