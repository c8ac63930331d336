//! What is asked, and which answer is right.

use std::sync::atomic::{AtomicUsize, Ordering};

use uuid::Uuid;

/// `uuid_exists` of sessions half of which exist, at random.
#[derive(Debug)]
pub(crate) struct Questions {
    questions: Vec<Question>,
    next: AtomicUsize,
}

#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The session that is asked for.
    pub(crate) session: String,
    /// Whether it exists.
    pub(crate) exists: bool,
}

// === impl Questions ===

impl Questions {
    pub(crate) fn new(count: usize, live: &str) -> Self {
        let question = |_| {
            let exists = rand::random();
            let session = match exists {
                true => live.to_owned(),
                false => Uuid::new_v4().to_string(),
            };
            Question { session, exists }
        };
        Self {
            questions: (0..count).map(question).collect(),
            next: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.questions.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter()
    }

    /// The next one for whoever asks; `None` when all are given out.
    pub(crate) fn next(&self) -> Option<&Question> {
        self.questions
            .get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

// === impl Question ===

impl Question {
    pub(crate) fn is_right(&self, answer: &str) -> bool {
        answer.trim() == if self.exists { "true" } else { "false" }
    }
}
