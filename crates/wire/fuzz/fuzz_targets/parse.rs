//! Any bytes as a stream: parsed the same however they are cut, and as the slow obvious parser has it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watertight_wire::fuzzing::fuzz_parser(input));
