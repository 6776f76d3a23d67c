//! libFuzzer's way into `fuzzing::rulesets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::rulesets::run(bytes));
