//! What happened, in the order in which it did, and what of it was wrong.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use switchgate::domain::NodeId;
use switchgate::pb;
use tokio::time::Instant;

/// Written by everyone who takes part in a seed.
pub(super) struct Trace {
    began: Instant,
    prints: bool,
    story: Mutex<Vec<String>>,
    wrongs: Mutex<Vec<String>>,
    /// Nodes to which something happened.
    troubled: Mutex<BTreeSet<String>>,
    /// How each job ended whose end a client was told, by the job's id and the time it was made.
    ends: Mutex<HashMap<String, String>>,
}

// === impl Trace ===

impl Trace {
    pub(super) fn begin(prints: bool) -> Self {
        Self {
            began: Instant::now(),
            prints,
            story: Mutex::default(),
            wrongs: Mutex::default(),
            troubled: Mutex::default(),
            ends: Mutex::default(),
        }
    }

    pub(super) fn tell(&self, who: impl std::fmt::Display, what: impl std::fmt::Display) {
        let at = self.now();
        let mut story = self.story.lock().unwrap();
        let line = format!("{at:>7} {who:<10} {what}");
        // At once, since a seed may hang.
        if self.prints {
            println!("{line}");
        }
        story.push(line);
    }

    /// Something happened that must not.
    pub(super) fn wrong(&self, who: impl std::fmt::Display, what: impl std::fmt::Display) {
        let at = self.now();
        self.tell(&who, format_args!("WRONG: {what}"));
        self.wrongs
            .lock()
            .unwrap()
            .push(format!("at {at} ms, {who}: {what}"));
    }

    /// Something goes wrong with a node.
    pub(super) fn trouble(&self, node: &str, what: impl std::fmt::Display) {
        self.troubled.lock().unwrap().insert(node.to_owned());
        self.tell(node, what);
    }

    /// Whether anything went wrong with the node.
    pub(super) fn is_troubled(&self, node: &NodeId) -> bool {
        self.troubled.lock().unwrap().contains(node.as_str())
    }

    /// Whether anything went wrong with any node.
    pub(super) fn is_troubled_at_all(&self) -> bool {
        !self.troubled.lock().unwrap().is_empty()
    }

    /// A client was told of a job. Its end must be the same whoever is told of it, and when.
    pub(super) fn told_of_job(&self, who: impl std::fmt::Display, job: &pb::Job) {
        if matches!(
            job.state(),
            pb::JobState::Pending | pb::JobState::Running | pb::JobState::Unspecified
        ) {
            return;
        }
        let key = format!("{} {:?}", job.job_id, job.created);
        let outcome = match &job.outcome {
            Some(pb::job::Outcome::Error(error)) => format!("{} {}", error.reason, error.message),
            other => format!("{other:?}"),
        };
        let end = format!("{:?} {:?} {outcome}", job.state(), job.ended);
        let before = self.ends.lock().unwrap().insert(key, end.clone());
        if let Some(before) = before.filter(|before| *before != end) {
            self.wrong(
                who,
                format_args!("job {} ended twice: {before}, then {end}", job.job_id),
            );
        }
    }

    /// What happened, sorted within each millisecond: tokio wakes those who wait for the same
    /// `watch` in an order that only an unstable option makes the same each time.
    pub(super) fn story(&self) -> Vec<String> {
        let mut story = self.story.lock().unwrap().clone();
        story.sort();
        story
    }

    /// Time since the beginning, in milliseconds.
    pub(super) fn now(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    pub(super) fn wrongs(&self) -> Vec<String> {
        self.wrongs.lock().unwrap().clone()
    }
}
