//! Which outcomes are given to repeats, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::identity;

struct Acts {
    once: Arc<Once>,
    count: Arc<AtomicUsize>,
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

// === impl Acts ===

impl Acts {
    fn new(config: OnceConfig) -> Self {
        let drain = Drain::new();
        Self {
            once: Once::new(config, &drain),
            count: Arc::default(),
        }
    }

    /// An action that takes a second and says how often there was one.
    async fn act(&self, id: &str, request: &str) -> Result<usize, Failure> {
        let count = Arc::clone(&self.count);
        let action = async move {
            let turn = count.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(turn)
        };
        let request = identity(id, "Act", &[("request", request)]);
        self.once.run(&request, soon(), action).await
    }

    async fn fail(&self, id: &str, failure: Failure) -> Failure {
        let count = Arc::clone(&self.count);
        let action = async move {
            count.fetch_add(1, Ordering::Relaxed);
            Err::<usize, _>(failure)
        };
        let request = identity(id, "Fail", &[]);
        self.once.run(&request, soon(), action).await.unwrap_err()
    }

    fn acted(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn known(&self) -> usize {
        let requests = self.once.lock();
        assert!(requests.finished.len() <= requests.known.len());
        requests.known.len()
    }
}

#[tokio::test(start_paused = true)]
async fn twins_act_once_and_hear_the_same() {
    let acts = Acts::new(OnceConfig::default());
    let (one, other) = tokio::join!(acts.act("id", "a"), acts.act("id", "a"));
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    assert_eq!(acts.act("id", "a").await.unwrap(), 1);
    assert_eq!(acts.act("other", "a").await.unwrap(), 2);
    // Without an id nothing is remembered.
    assert_eq!(acts.act("", "a").await.unwrap(), 3);
    assert_eq!(acts.act("", "a").await.unwrap(), 4);
    assert_eq!(acts.known(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_request_with_the_same_id_is_refused() {
    let acts = Acts::new(OnceConfig::default());
    let (first, other) = tokio::join!(acts.act("id", "a"), acts.act("id", "b"));
    assert!(first.is_ok());
    assert_eq!(other.unwrap_err().reason(), Reason::RequestIdReused);
    assert_eq!(
        acts.act("id", "b").await.unwrap_err().reason(),
        Reason::RequestIdReused
    );
    assert_eq!(acts.acted(), 1);
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_forgotten_by_age_and_by_count() {
    let config = OnceConfig {
        retention: Duration::from_secs(60),
        max_finished: 2,
    };
    let acts = Acts::new(config);
    assert_eq!(acts.act("a", "a").await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(acts.act("a", "a").await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(acts.act("a", "a").await.unwrap(), 2);
    for id in ["b", "c", "d"] {
        acts.act(id, "x").await.unwrap();
    }
    assert_eq!(acts.known(), 2);
    assert_eq!(acts.act("a", "a").await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_tried_again_is_not_remembered_and_what_may_not_is() {
    let acts = Acts::new(OnceConfig::default());
    let unsent = Failure::new(Reason::NodeUnavailable, "x").retry_after(Duration::from_secs(1));
    let late_unsent = Failure::new(Reason::DeadlineExceeded, "x").with("command_sent", false);
    for failure in [unsent, late_unsent, Failure::invalid("f", "x")] {
        let before = acts.acted();
        assert_eq!(acts.fail("again", failure.clone()).await, failure);
        assert_eq!(acts.fail("again", failure.clone()).await, failure);
        assert_eq!(acts.acted(), before + 2, "{failure:?}");
    }
    assert_eq!(acts.known(), 0);
    let unknown = Failure::new(Reason::OutcomeUnknown, "x");
    let late_sent = Failure::new(Reason::DeadlineExceeded, "x").with("command_sent", true);
    for (id, failure) in [("unknown", unknown), ("late", late_sent)] {
        let before = acts.acted();
        assert_eq!(acts.fail(id, failure.clone()).await, failure);
        assert_eq!(acts.fail(id, failure.clone()).await, failure);
        assert_eq!(acts.acted(), before + 1, "{failure:?}");
    }
}
