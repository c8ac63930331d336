//! Static tokens: random ones that the operator makes, known by their digests alone.

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use super::Identified;

/// Begins each token that the gateway makes, so that scanners for leaked secrets find it:
/// `swg_[0-9a-f]{64}`.
pub const TOKEN_PREFIX: &str = "swg_";

/// Bytes of chance in a token.
const TOKEN_BYTES: usize = 32;

/// SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

/// Who has which token.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<(TokenDigest, Identified)>);

// === impl TokenDigest ===

impl TokenDigest {
    /// Of this token.
    pub fn of(token: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(bytes)
    }

    /// As 64 hexadecimal digits, in either case; none for any other text.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        Some(Self(bytes))
    }

    /// As 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn new(entries: Vec<(TokenDigest, Identified)>) -> Self {
        Self(entries)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. Looks at every entry for the same time, so that time tells nothing of
    /// a digest.
    pub(super) fn find(&self, digest: &TokenDigest) -> Option<&Identified> {
        let mut found = None;
        for (known, identified) in &self.0 {
            if verify_slices_are_equal(&known.0, &digest.0).is_ok() {
                found = Some(identified);
            }
        }
        found
    }
}

/// A fresh random token of 256 bits; none when the system has no chance to give.
pub fn random_token() -> Option<String> {
    // Not from `crate::chance`, which repeats itself when it is told to.
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(format!("{TOKEN_PREFIX}{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of "abc", as FIPS 180-2, appendix B.1, gives it.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_that_of_the_standard_in_either_case() {
        let digest = TokenDigest::of(b"abc");
        assert_eq!(digest.to_hex(), ABC);
        assert_eq!(TokenDigest::from_hex(ABC), Some(digest));
        assert_eq!(TokenDigest::from_hex(&ABC.to_uppercase()), Some(digest));
    }

    #[test]
    fn a_token_is_found_among_many_and_no_other_is() {
        let entry = |token: &str| {
            let identified = Identified {
                name: token.to_owned(),
                roles: Vec::new(),
                tenant: None,
            };
            (TokenDigest::of(token.as_bytes()), identified)
        };
        let tokens = Tokens::new(["one", "two", "three"].map(entry).into());
        let name = |token: &str| {
            let digest = TokenDigest::of(token.as_bytes());
            tokens.find(&digest).map(|found| found.name.clone())
        };
        assert_eq!(name("two").as_deref(), Some("two"));
        assert_eq!(name("three").as_deref(), Some("three"));
        assert_eq!(name("four"), None);
    }

    #[test]
    fn a_random_token_is_known_by_its_prefix_and_never_twice_the_same() {
        let (one, other) = (random_token().unwrap(), random_token().unwrap());
        assert_ne!(one, other);
        let chance = one.strip_prefix("swg_").unwrap();
        assert_eq!(chance.len(), 64);
        assert!(chance.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_digest(text: String) {
            if let Some(digest) = TokenDigest::from_hex(&text) {
                prop_assert_eq!(digest.to_hex(), text.to_lowercase());
            }
        }
    }
}
