//! The hostile strings, and what decides them.

/// Strings that broke somebody's quoting.
pub(super) const HOSTILE: &[&str] = include!("../../../tests/hostile_strings.rs");
