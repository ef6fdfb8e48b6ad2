//! Any bytes as claims: read within their limits, or refused, and no time makes a check panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_access::fuzzing::fuzz_claims(input));
