//! Arbitrary text as the arguments of a command, looked at for the applications that it names.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pair: (&str, &str)| switchgate::access::try_names(pair.0, pair.1));
