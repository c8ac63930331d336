//! Arbitrary bytes as the header `authorization`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchgate::access::bearer;

fuzz_target!(|header: &[u8]| {
    if let Some(token) = bearer(header) {
        assert!(!token.is_empty() && token.is_ascii() && !token.contains([' ', ',']));
        // What was found is all that is needed to find it again.
        assert_eq!(bearer(format!("Bearer {token}").as_bytes()), Some(token));
    }
});
