//! Any bytes as the claim of grants: compiled within its limits and the same when written and read again, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_access::fuzzing::fuzz_grants(input));
