//! libFuzzer's way into `fuzzing::netlink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::netlink::run(bytes));
