//! Signed tokens that were verified before: a public-key operation costs more than all else that
//! the gateway does for a small request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Identified;
use super::tokens::TokenDigest;

/// Tokens in each of the two generations. Only good tokens come in, so nobody can fill it up by
/// guessing.
const GENERATION: usize = 4096;

/// A token that was good.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) identified: Arc<Identified>,
    /// Seconds since 1970 until which it is.
    pub(super) until: u64,
    /// Which of the issuers it is of.
    pub(super) issuer: usize,
    /// By which state of that issuer's keys: a key that is gone has signed nothing.
    pub(super) keys: u64,
}

/// Tokens that were verified, by their digests: at least the 4096 that were asked for last, at most
/// twice as many.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<TokenDigest, Verified>,
    old: HashMap<TokenDigest, Verified>,
}

// === impl Cache ===

impl Cache {
    /// What is known of a token; whether it still counts is for the caller to see.
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Verified> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(digest) {
            return Some(found.clone());
        }
        let found = generations.old.remove(digest)?;
        generations.put(*digest, found.clone());
        Some(found)
    }

    pub(super) fn put(&self, digest: TokenDigest, verified: Verified) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.put(digest, verified);
    }

    /// Forgets a token that counts no longer.
    pub(super) fn remove(&self, digest: &TokenDigest) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.remove(digest);
    }
}

// === impl Generations ===

impl Generations {
    fn put(&mut self, digest: TokenDigest, verified: Verified) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(name: &str) -> Verified {
        Verified {
            identified: Arc::new(Identified {
                name: name.to_owned(),
                roles: Vec::new(),
                tenant: None,
            }),
            until: 0,
            issuer: 0,
            keys: 0,
        }
    }

    fn digest(number: usize) -> TokenDigest {
        TokenDigest::of(&number.to_be_bytes())
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let cache = Cache::default();
        for number in 0..GENERATION * 5 {
            cache.put(digest(number), verified("x"));
            assert!(cache.get(&digest(0)).is_some(), "{number}");
        }
        let generations = cache.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        assert!(generations.young.contains_key(&digest(GENERATION * 5 - 1)));
    }

    #[test]
    fn what_is_removed_is_gone() {
        let cache = Cache::default();
        cache.put(digest(1), verified("x"));
        cache.remove(&digest(1));
        assert!(cache.get(&digest(1)).is_none());
    }
}
