//! The header `authorization`, as it came.

/// Longest token that is looked at. Tokens of real issuers have one to four kilobytes.
const LONGEST: usize = 12 * 1024;

/// The token of `authorization: Bearer TOKEN` (RFC 6750, section 2.1); none where the header is
/// anything else.
pub fn bearer(header: &[u8]) -> Option<&str> {
    let header = header.trim_ascii();
    let (scheme, token) = header.split_at_checked("bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || !token.starts_with(b" ") {
        return None;
    }
    let token = token.trim_ascii_start();
    let body = token.trim_ascii_end().iter().rev();
    let padding = body.take_while(|byte| **byte == b'=').count();
    let body = &token[..token.len() - padding];
    let fits = !body.is_empty() && token.len() <= LONGEST && body.iter().all(is_of_token);
    if fits {
        std::str::from_utf8(token).ok()
    } else {
        None
    }
}

/// `b64token` of RFC 6750, without its padding.
fn is_of_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for header in ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc "] {
            assert_eq!(bearer(header.as_bytes()), Some("abc"), "{header:?}");
        }
        assert_eq!(bearer(b"Bearer a-._~+/9=="), Some("a-._~+/9=="));
    }

    #[test]
    fn anything_else_is_none() {
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Bearerabc",
            "Basic YTpi",
            "abc",
            "Bearer a b",
            "Bearer a, Bearer b",
            "Bearer a=b",
            "Bearer ä",
            "Bearer a\tb",
            "Bearer\tabc",
            "Bearer a\0",
        ] {
            assert_eq!(bearer(header.as_bytes()), None, "{header:?}");
        }
        assert_eq!(bearer(b"Bearer \xff\xfe"), None);
        let long = |length| format!("Bearer {}", "a".repeat(length));
        assert!(bearer(long(LONGEST).as_bytes()).is_some());
        assert!(bearer(long(LONGEST + 1).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it_and_what_is_found_was_there(header: Vec<u8>) {
            if let Some(token) = bearer(&header) {
                prop_assert!(header.ends_with(token.as_bytes()) || header.trim_ascii_end().ends_with(token.as_bytes()));
                prop_assert!(!token.is_empty() && !token.contains([' ', ',']));
            }
        }

        #[test]
        fn every_token_is_found(token in "[A-Za-z0-9._~+/-]{1,200}={0,2}", spaces in " {1,3}") {
            let header = format!("Bearer{spaces}{token}");
            prop_assert_eq!(bearer(header.as_bytes()), Some(token.as_str()));
        }
    }
}
