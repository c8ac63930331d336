//! Following a call that another gateway has placed under the same `request_id`.

use bytes::Bytes;

use super::super::effect::AFTERMATH;
use super::super::originate::{EVENT_PATIENCE, node_is_full};
use super::Run;
use crate::domain::{Deadline, HangupCause, NodeState};
use crate::jobs::{End, call_failure};

// === impl Run ===

impl Run {
    /// Waits until FreeSWITCH refuses this gateway's command, as it does when another one has
    /// placed the call.
    pub(super) async fn refused(&self) {
        if let Ok(mut job) = self.control.jobs.follow(&self.id)
            && job.wait_for(|job| job.is_elsewhere).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Follows the call that this gateway was refused for, if there is one: FreeSWITCH refuses in
    /// the same words when it takes no more calls.
    pub(super) async fn follow_twin(&self) {
        let tracker = &self.control.tracker;
        let mut watches: Vec<_> = self
            .legs
            .iter()
            .map(|leg| tracker.watch(self.node.id(), leg, |_| Some(())))
            .collect();
        let seen = futures_util::future::select_all(
            watches.iter_mut().map(|watch| Box::pin(watch.seen())),
        );
        if Deadline::after(AFTERMATH).bound(seen).await.is_none() {
            let refusal = call_failure(HangupCause::DestinationOutOfOrder)
                .reply("-ERR DESTINATION_OUT_OF_ORDER");
            let end = End::Failed(node_is_full(&refusal));
            self.control.jobs.finish(&self.id, end);
            return;
        }
        self.follow().await;
    }

    /// Waits for the end of a call that is not this gateway's to hang up.
    pub(super) async fn follow(&self) {
        let jobs = &self.control.jobs;
        let end = tokio::select! {
            biased;
            _ = jobs.ended(&self.id) => return,
            () = self.cancel.cancelled() => End::Cancelled,
            () = tokio::time::sleep_until(self.deadline.instant()) => End::Expired,
            end = self.told_by_legs() => end,
        };
        jobs.finish(&self.id, end);
    }

    /// What the legs tell of a call whose result was told before anybody listened here.
    async fn told_by_legs(&self) -> End {
        let tracker = &self.control.tracker;
        // The next leg of a failover begins soon after the one before, or never.
        let mut may_begin = true;
        loop {
            let known: Vec<_> = self
                .legs
                .iter()
                .filter_map(|leg| tracker.session(leg))
                .collect();
            let is_open = known.iter().find(|leg| leg.is_live() && !leg.answered);
            if let Some(leg) = is_open {
                let mut settled = tracker.watch(self.node.id(), &leg.id, |sight| {
                    (sight.session.answered || !sight.session.is_live()).then_some(())
                });
                if settled.seen().await.is_err() {
                    self.node.reached(NodeState::Ready).await;
                    continue;
                }
                // The result comes at about the same time, and tells more.
                tokio::time::sleep(EVENT_PATIENCE).await;
            } else if let Some(leg) = known.iter().find(|leg| leg.answered) {
                // As FreeSWITCH told it to the other gateway (`originate_function` in
                // `mod_commands.c`).
                return End::Answered(Bytes::from(format!("+OK {}\n", leg.id)));
            } else if may_begin && known.len() < self.legs.len() {
                may_begin = false;
                tokio::time::sleep(EVENT_PATIENCE).await;
            } else {
                let cause = known.iter().rev().find_map(|leg| leg.hangup?.cause);
                return match cause {
                    Some(cause) => End::Failed(call_failure(cause)),
                    None => End::Lost("another gateway placed the call, and its result was missed"),
                };
            }
        }
    }
}
