//! Who asks, and what it may do.
//!
//! A request comes with a proof of who sent it, or with none. From that follows a [`Caller`], for
//! whom the floors below act: what a caller may not see is not there for it.

mod caller;

pub use caller::Caller;
