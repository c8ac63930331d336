//! A list of names, such as those of roles or events.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Names, such as those of roles or events. Written as a list, or as one text with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Names(Vec<String>);

// === impl Names ===

impl Names {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<String> {
        self.0.clone()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a list of names; write them below it, each after a dash, or with commas between them",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
        let names = text.split(',').map(str::trim);
        Ok(names.filter(|name| !name.is_empty()).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(item) = list.next_element::<yaml_serde::Value>()? {
            match item.as_str() {
                Some(name) => names.push(name.to_owned()),
                None => {
                    return Err(A::Error::custom(
                        "is not a list of names; put each name in quotes",
                    ));
                }
            }
        }
        Ok(Names(names))
    }
}
