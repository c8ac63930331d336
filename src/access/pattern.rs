//! Names with `*` for any characters.

/// A name, or a pattern of names: `*` stands for any characters, none included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Box<str>);

// === impl Pattern ===

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether it is one name and no other.
    pub(super) fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    pub(super) fn fits(&self, name: &str) -> bool {
        fits(&self.0, name)
    }
}

/// Each `*` takes as little as it can; where that fails later, the last one takes one more.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    (at, read) = (before + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_fits_what_the_regular_expression_of_it_fits(
            pattern in "[ab*.]{0,8}", name in "[ab.]{0,10}",
        ) {
            let regex = format!("^{}$", regex::escape(&pattern).replace(r"\*", ".*"));
            let expected = regex::Regex::new(&regex).unwrap().is_match(&name);
            prop_assert_eq!(Pattern::new(&pattern).fits(&name), expected);
        }
    }
}
