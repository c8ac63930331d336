//! What is held for a reader, but not for ever.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::{Failure, Reason};
use crate::shutdown::Drain;

/// Longest time for which a reader may hold something. A reader that takes nothing is not polled, so
/// a task of its own has to let go.
const LONGEST: Duration = Duration::from_secs(60);

/// Something that is held for one reader.
#[derive(Debug)]
pub(super) struct Lease<T> {
    value: Weak<T>,
    /// Dropped with this, which ends the task.
    _reader: oneshot::Sender<Infallible>,
}

// === impl Lease ===

impl<T: Send + Sync + 'static> Lease<T> {
    pub(super) fn new(value: Arc<T>, drain: &Drain) -> Self {
        let weak = Arc::downgrade(&value);
        let (reader, gone) = oneshot::channel();
        let stopped = drain.stopped();
        drain.spawn(async move {
            tokio::select! {
                _ = gone => {}
                () = stopped => {}
                () = tokio::time::sleep(LONGEST) => {}
            }
            drop(value);
        });
        Self {
            value: weak,
            _reader: reader,
        }
    }

    /// # Errors
    /// SLOW_CONSUMER when it was let go.
    pub(super) fn get(&self) -> Result<Arc<T>, Failure> {
        self.value.upgrade().ok_or_else(|| {
            let message = format!(
                "the snapshot was not read within {} s; begin anew, and read faster or ask for less of it",
                LONGEST.as_secs()
            );
            Failure::new(Reason::SlowConsumer, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_read_in_time_is_let_go_and_the_reader_told() {
        let value = Arc::new(1);
        let lease = Lease::new(Arc::clone(&value), &Drain::new());
        tokio::time::sleep(LONGEST - Duration::from_millis(1)).await;
        assert_eq!(lease.get().unwrap(), value);
        let only = Arc::downgrade(&value);
        drop(value);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(only.upgrade().is_none());
        assert_eq!(lease.get().unwrap_err().reason(), Reason::SlowConsumer);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_for_a_reader_that_is_gone_or_once_the_gateway_stops() {
        let drain = Drain::new();
        let (gone, stopped) = (Arc::new(1), Arc::new(2));
        let (weak_gone, weak_stopped) = (Arc::downgrade(&gone), Arc::downgrade(&stopped));
        drop(Lease::new(gone, &drain));
        let _lease = Lease::new(stopped, &drain);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(weak_gone.upgrade().is_none() && weak_stopped.upgrade().is_some());
        drain.stop();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(weak_stopped.upgrade().is_none());
    }
}
