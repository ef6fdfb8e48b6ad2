//! Any text as an event: what is encoded is read back as it was, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_wire::fuzzing::fuzz_roundtrip(input));
