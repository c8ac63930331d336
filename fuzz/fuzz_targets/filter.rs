//! Arbitrary text as a filter of a list.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| switchgate::grpc::try_text(text));
