//! Any bytes as a token or a header, before a signature is checked: taken apart within its limits, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_access::fuzzing::fuzz_head(input));
