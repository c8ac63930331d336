//! Arbitrary bytes as the keys of an issuer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(count) = switchgate::access::count_keys(json) {
        assert!(count > 0);
    }
});
