//! Any bytes as an exporter's answer: read the same however they are cut, within limits, and given back.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_figures::fuzzing::fuzz_exposition(input));
