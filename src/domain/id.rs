//! Identifiers: cheap to clone, checked once at the edge.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// Longest identifier that is accepted, in bytes. FreeSWITCH's own are UUIDs of 36; a SIP Call-ID
/// taken as one (`inbound-use-callid-as-uuid`) can be longer.
const MAX_ID_BYTES: usize = 256;

/// Why a string is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The string is empty.
    #[error("is empty")]
    Empty,
    /// The string has more than 256 bytes.
    #[error("is longer than 256 bytes")]
    TooLong,
    /// A character that no identifier of FreeSWITCH has and that could change a command's meaning.
    #[error("holds {0:?}; allowed are letters, digits and - . _ @ : + ~ * ! / =")]
    Character(char),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned().into())
            }
        }

        // Hash and Eq of the identifier are those of its text, so maps can be asked by `&str`.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }
    };
}

id! {
    /// A leg: the UUID of a FreeSWITCH channel.
    SessionId
}
id! {
    /// Sessions that together are a phone call.
    CallId
}
id! {
    /// A background job: the `Job-UUID` of a `bgapi`.
    JobId
}
id! {
    /// A FreeSWITCH node, by the name that the configuration gives it.
    NodeId
}

// === impl ids ===

impl SessionId {
    /// A fresh identifier for a leg that is about to be originated.
    pub fn generate() -> Self {
        crate::chance::uuid().into()
    }
}

impl JobId {
    /// A fresh identifier; version 7, so that jobs sort by their start.
    pub fn generate() -> Self {
        crate::chance::ordered_uuid().into()
    }
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong);
    }
    let foreign = |c: &char| !(c.is_ascii_alphanumeric() || "-._@:+~*!/=".contains(*c));
    match text.chars().find(foreign) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_change_a_command_is_no_id() {
        for text in [
            "a b", "a\nb", "a\rb", "a\0b", "a,b", "a'b", "a\"b", "${x}", "a;b", "a|b", "grüße",
        ] {
            assert!(
                matches!(text.parse::<SessionId>(), Err(IdError::Character(_))),
                "{text:?}"
            );
        }
        assert_eq!("".parse::<SessionId>(), Err(IdError::Empty));
        assert_eq!("a".repeat(257).parse::<SessionId>(), Err(IdError::TooLong));
    }

    #[test]
    fn a_sip_call_id_is_an_id() {
        assert!("84B4-7761~x@192.0.2.1:5060".parse::<SessionId>().is_ok());
        assert!(SessionId::generate().as_str().parse::<SessionId>().is_ok());
    }
}
