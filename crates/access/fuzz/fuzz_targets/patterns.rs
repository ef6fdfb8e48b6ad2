//! Any pattern on any path: what the slow, obvious matcher says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_access::fuzzing::fuzz_pattern(input));
