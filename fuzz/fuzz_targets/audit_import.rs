#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qd_fuzz::targets::audit_import(bytes));
