//! Which of a source's answers count.

use std::collections::BTreeSet;

/// What the answers of a source come to so far.
///
/// An answer that names something counts at once. One that names nothing counts when the next one
/// names nothing either: a server that has just started, or a service that is just being replaced,
/// must not take all nodes away. A failure is no answer and changes nothing.
#[derive(Debug, Clone)]
pub(super) struct Answers<T> {
    current: Option<BTreeSet<T>>,
    was_empty: bool,
}

// === impl Answers ===

impl<T: Ord> Answers<T> {
    /// Takes the next one, nothing when it failed; says whether what counts is another now.
    pub(super) fn take(&mut self, answer: Option<BTreeSet<T>>) -> bool {
        let was_empty = std::mem::take(&mut self.was_empty);
        let Some(answer) = answer else {
            return false;
        };
        if answer.is_empty() && !was_empty {
            self.was_empty = true;
            return false;
        }
        self.was_empty = answer.is_empty();
        let is_new = self.current.as_ref() != Some(&answer);
        self.current = Some(answer);
        is_new
    }

    /// The answer that counts; none before the first one that does.
    pub(super) fn current(&self) -> Option<&BTreeSet<T>> {
        self.current.as_ref()
    }
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self {
            current: None,
            was_empty: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    /// The last answer that counts, looked for from the end.
    fn last_good(answers: &[Option<BTreeSet<u8>>]) -> Option<&BTreeSet<u8>> {
        let is_good = |at: &usize| match &answers[*at] {
            None => false,
            Some(answer) if !answer.is_empty() => true,
            Some(_) => *at > 0 && answers[*at - 1].as_ref().is_some_and(BTreeSet::is_empty),
        };
        let at = (0..answers.len()).rev().find(is_good)?;
        answers[at].as_ref()
    }

    #[test]
    fn one_empty_answer_is_doubted_and_a_failure_is_none() {
        let mut answers = Answers::default();
        let (some, none) = (BTreeSet::from([1]), BTreeSet::new());
        assert!(answers.take(Some(some.clone())));
        assert!(!answers.take(None));
        assert!(!answers.take(Some(none.clone())));
        assert!(!answers.take(None));
        assert!(!answers.take(Some(none.clone())), "not two in a row");
        assert_eq!(answers.current(), Some(&some));
        assert!(answers.take(Some(none.clone())));
        assert_eq!(answers.current(), Some(&none));
        assert!(!answers.take(Some(none)));
    }

    proptest! {
        #[test]
        fn any_answers_lead_to_the_last_good_one(
            given in vec(option::of(btree_set(0_u8..4, 0..3)), 0..40)
        ) {
            let mut answers = Answers::default();
            for (at, answer) in given.iter().enumerate() {
                let before = answers.current().cloned();
                let is_new = answers.take(answer.clone());
                prop_assert_eq!(is_new, before.as_ref() != answers.current());
                prop_assert_eq!(answers.current(), last_good(&given[..=at]));
            }
        }
    }
}
