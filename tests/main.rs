//! The integration tests, one module per theme, in one binary (see Cargo.toml).
