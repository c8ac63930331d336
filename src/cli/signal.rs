//! The signals that stop a process, where the first asks and the second insists; and the one that
//! has its configuration reloaded.

use std::fmt;
use std::io;

use tokio::signal::unix::{self, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal that stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, from a service manager.
    Terminate,
    /// SIGINT, from a terminal.
    Interrupt,
}

/// How what ran until a signal came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<T> {
    /// By itself, or drained after one signal.
    Own(T),
    /// Dropped where it stood: a second signal came.
    Forced(Signal),
}

/// SIGHUP, which ends no process any more from here on.
#[derive(Debug)]
pub struct Hangups(unix::Signal);

// === impl Hangups ===

impl Hangups {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Does something at each of them, for ever. However many come while it is done, it is done once
    /// more after that.
    pub async fn each(mut self, mut act: impl AsyncFnMut()) {
        // None comes only when there can be no more.
        while self.0.recv().await.is_some() {
            act().await;
        }
    }
}

// === impl Signal ===

impl Signal {
    /// The exit code that shells know for an end by this signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// Runs what `start` makes to its end. The future that `start` is given resolves at the first
/// SIGTERM or SIGINT; at the second, whatever still runs is dropped.
///
/// # Errors
/// When the system does not let signals be handled.
pub async fn run_until_signal<F>(
    start: impl FnOnce(tokio_util::sync::WaitForCancellationFutureOwned) -> F,
) -> io::Result<Ending<F::Output>>
where
    F: Future,
{
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let next = async || {
        tokio::select! {
            _ = terminate.recv() => Signal::Terminate,
            _ = interrupt.recv() => Signal::Interrupt,
        }
    };
    Ok(supervise(next, start).await)
}

async fn supervise<F: Future>(
    mut next: impl AsyncFnMut() -> Signal,
    start: impl FnOnce(tokio_util::sync::WaitForCancellationFutureOwned) -> F,
) -> Ending<F::Output> {
    let stop = CancellationToken::new();
    let mut work = std::pin::pin!(start(stop.clone().cancelled_owned()));
    loop {
        tokio::select! {
            biased;
            output = &mut work => return Ending::Own(output),
            signal = next() => {
                if stop.is_cancelled() {
                    tracing::warn!(%signal, "leaving at once");
                    return Ending::Forced(signal);
                }
                tracing::info!(%signal, "stopping, a second signal leaves at once");
                stop.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Signals as they are sent; then none.
    async fn supervised<F: Future>(
        signals: &[Signal],
        start: impl FnOnce(tokio_util::sync::WaitForCancellationFutureOwned) -> F,
    ) -> Ending<F::Output> {
        let (signal_tx, mut signal_rx) = mpsc::channel(2);
        for signal in signals {
            signal_tx.send(*signal).await.unwrap();
        }
        let next = async || signal_rx.recv().await.unwrap();
        supervise(next, start).await
    }

    #[tokio::test]
    async fn signals_that_come_while_one_is_heeded_make_one_more() {
        let (hangups, mut seen) = (Hangups::listen().unwrap(), Hangups::listen().unwrap());
        let process = std::process::id().to_string();
        let sent = std::cell::Cell::new(0);
        let send = async || {
            sent.set(sent.get() + 1);
            let kill = std::process::Command::new("kill")
                .args(["-HUP", &process])
                .status();
            assert!(kill.unwrap().success());
            seen.0.recv().await;
        };
        let (begun_tx, mut begun_rx) = mpsc::channel(1);
        let (go_on_tx, mut go_on_rx) = mpsc::channel::<()>(1);
        let heeds = hangups.each(async || {
            begun_tx.send(sent.get()).await.unwrap();
            go_on_rx.recv().await.unwrap();
        });
        let mut send = send;
        let story = async {
            send().await;
            assert_eq!(begun_rx.recv().await, Some(1));
            send().await;
            send().await;
            go_on_tx.send(()).await.unwrap();
            assert_eq!(begun_rx.recv().await, Some(3));
            go_on_tx.send(()).await.unwrap();
            send().await;
            assert_eq!(begun_rx.recv().await, Some(4));
        };
        tokio::select! {
            () = heeds => panic!("it goes on for ever"),
            () = story => {}
        }
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_the_end_is_waited_for() {
        let ending = supervised(&[Signal::Terminate], |stop| async {
            stop.await;
            tokio::task::yield_now().await;
            "drained"
        });
        assert_eq!(ending.await, Ending::Own("drained"));
    }

    #[tokio::test]
    async fn the_second_signal_leaves_at_once() {
        let signals = [Signal::Terminate, Signal::Interrupt];
        let ending = supervised(&signals, |stop| async {
            stop.await;
            std::future::pending::<()>().await;
        });
        assert_eq!(ending.await, Ending::Forced(Signal::Interrupt));
        assert_eq!(Signal::Interrupt.exit_code(), 130);
    }

    #[tokio::test]
    async fn without_a_signal_it_runs_to_its_own_end() {
        assert_eq!(supervised(&[], |_| async { 7 }).await, Ending::Own(7));
    }
}
