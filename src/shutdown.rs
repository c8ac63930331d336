//! The one way to start a task and the one way to stop them all.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks and stops them: a tree of stop signals and the count of tasks that still run.
/// Clones share the count; `child` makes a signal of its own below this one.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    stop: CancellationToken,
    tasks: TaskTracker,
}

// === impl Drain ===

impl Drain {
    /// A fresh tree without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that can be stopped alone and is stopped with the whole, which waits for its tasks
    /// too.
    pub fn child(&self) -> Self {
        Self {
            stop: self.stop.child_token(),
            tasks: self.tasks.clone(),
        }
    }

    /// A part that can also be finished alone: its tasks are counted apart. The whole stops it and
    /// waits for it too.
    pub fn part(&self) -> Self {
        let part = Self {
            stop: self.stop.child_token(),
            tasks: TaskTracker::new(),
        };
        let whole = part.clone();
        self.spawn(async move {
            whole.stop.cancelled().await;
            whole.tasks.close();
            whole.tasks.wait().await;
        });
        part
    }

    /// Starts a task that is expected to end soon after `stopped` resolves.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(future)
    }

    /// Resolves when a stop was asked for.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Asks all tasks to stop, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Number of tasks that still run.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Asks all tasks to stop and waits for them; says whether all ended within `grace`.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

/// Starts hyper's tasks, so that the stop waits for them.
impl<F> hyper::rt::Executor<F> for Drain
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn finish_stops_children_and_tells_who_stayed() {
        let drain = Drain::new();
        let child = drain.child();
        let obedient = drain.spawn(child.stopped());
        assert!(drain.finish(Duration::from_secs(1)).await);
        assert!(obedient.await.is_ok() && child.is_stopping());

        let whole = Drain::new();
        let (one, other) = (whole.part(), whole.part());
        one.spawn(one.stopped());
        other.spawn(other.stopped());
        assert!(one.finish(Duration::from_secs(1)).await);
        assert!(!other.is_stopping() && whole.running() > 0);
        assert!(whole.finish(Duration::from_secs(1)).await);
        assert!(other.is_stopping() && other.running() == 0);

        let stubborn = Drain::new();
        stubborn.child().spawn(std::future::pending::<()>());
        assert!(!stubborn.finish(Duration::from_secs(1)).await);
        assert_eq!(stubborn.running(), 1);
    }
}
