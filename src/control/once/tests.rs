//! How requests are joined, and told from one another.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::identity;

fn once() -> Arc<Once> {
    Once::new(OnceConfig::default(), &Drain::new())
}

/// A request with the id `x` and this in its only field.
fn request(field: &str) -> Identity {
    identity("x", "Hangup", &[("cause", field)])
}

fn soon(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

/// Counts how often it acts, then takes a second.
async fn act(count: Arc<AtomicUsize>) -> Result<usize, Failure> {
    let before = count.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(before)
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_all_callers_left_acts_no_second_time() {
    let asked = request("1");
    let (once, count) = (once(), Arc::<AtomicUsize>::default());
    let first = once.run(&asked, soon(5), act(Arc::clone(&count)));
    assert!(soon(0).bound(first).await.is_none());
    tokio::task::yield_now().await;
    let repeat = once.run(&asked, soon(5), act(Arc::clone(&count)));
    assert_eq!(repeat.await, Ok(0));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_action_is_told_when_its_last_caller_left() {
    let asked = request("1");
    let once = once();
    let gone = || Failure::new(Reason::Cancelled, "all have left");
    let action = |left: CancellationToken| async move {
        left.cancelled().await;
        Err::<(), _>(gone())
    };
    {
        let first = once.run_for(&asked, soon(60), action);
        assert!(soon(1).bound(first).await.is_none());
    }
    let repeat = once.run_for(&asked, soon(60), action).await;
    assert_eq!(
        repeat.map_err(|failure| failure.reason()),
        Err(Reason::Cancelled)
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_keeps_its_own_deadline() {
    let asked = request("1");
    let (once, count) = (once(), Arc::<AtomicUsize>::default());
    let first = once.run(&asked, soon(5), act(Arc::clone(&count)));
    let repeat = once.run(&asked, soon(0), act(count));
    let (first, repeat) = tokio::join!(first, repeat);
    assert_eq!(first, Ok(0));
    assert_eq!(
        repeat.map_err(|failure| failure.reason()),
        Err(Reason::DeadlineExceeded)
    );
}

#[tokio::test]
async fn an_action_that_panics_is_a_defect_and_not_repeated() {
    let asked = request("1");
    let once = once();
    for _ in 0..2 {
        let action = async { panic!("as it should") };
        let result: Result<(), _> = once.run(&asked, soon(5), action).await;
        assert_eq!(
            result.map_err(|failure| failure.reason()),
            Err(Reason::Internal)
        );
    }
}

#[tokio::test]
async fn what_was_not_sent_may_be_tried_again_under_its_id() {
    let other_asked = request("2");
    let asked = request("1");
    let once = once();
    let unsent = async {
        Err(Failure::new(Reason::NodeUnavailable, "down").retry_after(Duration::from_secs(1)))
    };
    let first: Result<u32, _> = once.run(&asked, soon(5), unsent).await;
    assert!(first.is_err());
    assert_eq!(once.run(&asked, soon(5), async { Ok(7) }).await, Ok(7));
    let other = once.run(&other_asked, soon(5), async { Ok(8) }).await;
    assert_eq!(
        other.map_err(|failure| failure.reason()),
        Err(Reason::RequestIdReused)
    );
}

#[tokio::test]
async fn another_request_with_the_same_id_is_told_what_differs() {
    let once = once();
    let ask = |rpc, fields: &[(&'static str, &str)]| {
        let request = identity("x", rpc, fields);
        let once = Arc::clone(&once);
        async move { once.run(&request, soon(5), async { Ok(()) }).await }
    };
    let first = [("cause", "USER_BUSY"), ("session_id", "a"), ("wait", "1")];
    assert_eq!(ask("Hangup", &first).await, Ok(()));
    assert_eq!(ask("Hangup", &first).await, Ok(()));
    let failure = ask("Hangup", &[("session_id", "b"), ("wait", "1"), ("new", "")])
        .await
        .unwrap_err();
    assert_eq!(failure.reason(), Reason::RequestIdReused);
    assert_eq!(failure.metadata()["differs"], "cause,new,session_id");
    assert_eq!(failure.metadata()["used_by"], "Hangup");
    let failure = ask("Park", &[("session_id", "a")]).await.unwrap_err();
    assert_eq!(failure.reason(), Reason::RequestIdReused);
    assert_eq!(failure.metadata()["used_by"], "Hangup");
    assert_eq!(failure.metadata().get("differs"), None);
}
