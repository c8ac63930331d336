//! Two gateways over one FreeSWITCH that are asked the same at the same moment.

use std::time::Duration;

use switchgate::domain::{Direction, JobId};
use switchgate::jobs::{JobState, SharedJob};
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use switchgate::tracker::Session;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::call;
use crate::client::*;
use crate::cutter::{Cut, Cutter};
use crate::gateway::{Gateway, PATIENCE, code_and_reason, freeswitch_address, metadata, within};

/// Two gateways; the links of the second one can be cut.
struct Pair {
    one: Gateway,
    two: Gateway,
    cutter: Cutter,
    drain: Drain,
}

/// A call that was asked for at both, told apart from other tests' by its number.
struct Twins {
    request: pb::OriginateRequest,
    id: String,
    number: String,
}

// === impl Pair ===

impl Pair {
    async fn over(target: String, drain: Drain) -> Self {
        let cutter = Cutter::start(target.clone(), &drain).await;
        Self {
            one: Gateway::over_address(target).await,
            two: Gateway::over_address(cutter.address.to_string()).await,
            cutter,
            drain,
        }
    }

    async fn over_sim(config: SimConfig) -> Self {
        let drain = Drain::new();
        let sim = Sim::new(config, &drain);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        drain.spawn(async move { sim.serve(listener).await });
        Self::over(target, drain).await
    }

    async fn stop(self) {
        self.one.stop().await;
        self.two.stop().await;
        assert!(self.drain.finish(PATIENCE).await);
    }

    /// Asks both at the same moment.
    async fn place(
        &self,
        twins: &Twins,
    ) -> (
        Result<pb::OriginateResponse, Status>,
        Result<pb::OriginateResponse, Status>,
    ) {
        tokio::join!(
            place(&self.one, twins.request.clone()),
            place(&self.two, twins.request.clone())
        )
    }
}

async fn on_each_pair(test: impl AsyncFn(&Pair)) {
    let pair = Pair::over_sim(SimConfig::default()).await;
    test(&pair).await;
    pair.stop().await;
    match freeswitch_address() {
        Some(target) => {
            let pair = Pair::over(target, Drain::new()).await;
            test(&pair).await;
            pair.stop().await;
        }
        None => eprintln!(
            "skipped on a real FreeSWITCH: SWITCHGATE_TEST_FREESWITCH=host:port is not set"
        ),
    }
}

// === impl Twins ===

impl Twins {
    fn to(endpoint: &str) -> Self {
        let (id, number) = (tag(), uuid::Uuid::new_v4().as_u128().to_string());
        Self {
            request: pb::OriginateRequest {
                caller_id_number: number.clone(),
                ..call(endpoint, &id, &id)
            },
            id,
            number,
        }
    }

    /// How often the far end was called, by what a gateway has seen.
    fn rang(&self, gateway: &Gateway) -> usize {
        let sessions = gateway.control.tracker.sessions();
        sessions
            .iter()
            .filter(|session| self.is_far_end(session))
            .count()
    }

    fn is_far_end(&self, session: &Session) -> bool {
        session.direction == Some(Direction::Inbound) && session.caller.number == self.number
    }

    /// How often the call was placed, by what a gateway has seen.
    fn legs(&self, gateway: &Gateway) -> usize {
        super::legs(gateway, &self.id)
    }
}

async fn job_end(gateway: &Gateway, id: &str) -> SharedJob {
    let id: JobId = id.parse().unwrap();
    within(gateway.control.jobs.ended(&id)).await.unwrap()
}

fn session_id(response: &pb::OriginateResponse) -> String {
    response.session.as_ref().unwrap().session_id.clone()
}

#[tokio::test]
async fn one_leg_rings_and_both_clients_get_it() {
    on_each_pair(async |pair| {
        for _ in 0..10 {
            let twins = Twins::to(ANSWERS);
            let (one, two) = pair.place(&twins).await;
            let (one, two) = (one.unwrap(), two.unwrap());
            assert_eq!(
                (session_id(&one), &one.job_id),
                (session_id(&two), &two.job_id)
            );
            for gateway in [&pair.one, &pair.two] {
                let job = job_end(gateway, &one.job_id).await;
                assert_eq!(job.state, JobState::Succeeded);
                assert_eq!((twins.legs(gateway), twins.rang(gateway)), (1, 1));
            }
            hang_up(&pair.two, &session_id(&one)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn both_clients_are_told_of_the_same_failure() {
    on_each_pair(async |pair| {
        for _ in 0..5 {
            let twins = Twins::to(WAITS);
            let refuse = async {
                let far_end = found(&pair.one, |session| {
                    session.parked && twins.is_far_end(session)
                });
                let request = pb::HangupRequest {
                    session_id: far_end.await.id.to_string(),
                    cause: pb::HangupCause::UserBusy.into(),
                    ..Default::default()
                };
                within(pair.one.sessions().hangup(request)).await.unwrap();
            };
            let ((one, two), ()) = tokio::join!(pair.place(&twins), refuse);
            for status in [one.unwrap_err(), two.unwrap_err()] {
                assert_eq!(
                    code_and_reason(&status),
                    (Code::Aborted, "CALL_FAILED".to_owned()),
                    "{status:?}"
                );
                assert_eq!(metadata(&status, "hangup_cause"), "USER_BUSY");
            }
            for gateway in [&pair.one, &pair.two] {
                assert_eq!((twins.legs(gateway), twins.rang(gateway)), (1, 1));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_leg_rings_though_a_link_is_lost_with_the_command() {
    on_each_pair(async |pair| {
        for (at, cut) in [Cut::BeforeReply, Cut::AfterReply].into_iter().enumerate() {
            // Two gateways, and two clients of one.
            let twins = Twins::to(ANSWERS);
            pair.cutter.arm("bgapi originate", cut);
            let (one, two) = pair.place(&twins).await;
            assert_eq!(session_id(&one.unwrap()), session_id(two.as_ref().unwrap()));
            assert_eq!((twins.legs(&pair.two), twins.rang(&pair.two)), (1, 1));
            hang_up(&pair.one, &session_id(&two.unwrap())).await;

            let twins = Twins::to(ANSWERS);
            pair.cutter.arm("bgapi originate", cut);
            let (one, two) = tokio::join!(
                place(&pair.two, twins.request.clone()),
                place(&pair.two, twins.request.clone())
            );
            assert_eq!(session_id(&one.unwrap()), session_id(two.as_ref().unwrap()));
            assert_eq!((twins.legs(&pair.two), twins.rang(&pair.two)), (1, 1));
            hang_up(&pair.two, &session_id(&two.unwrap())).await;
            assert_eq!(pair.cutter.cuts(), 2 * (at + 1));
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_call_with_it_only_where_it_was_placed() {
    on_each_pair(async |pair| {
        let twins = Twins::to(RINGS);
        let (one, two) = (twins.request.clone(), twins.request.clone());
        let (mut at_one, mut at_two) = (pair.one.sessions(), pair.two.sessions());
        let mut one = std::pin::pin!(at_one.originate(one));
        let mut two = std::pin::pin!(at_two.originate(two));
        // Until it is settled whose leg rings.
        let settled = async {
            let is_ringing = |session: &Session| {
                session.labels.get("tag") == Some(&twins.id) && session.times.progress.is_some()
            };
            let leg = found(&pair.one, is_ringing).await.id.clone();
            loop {
                let refused = [&pair.one, &pair.two].map(|gateway| {
                    let jobs = gateway.control.jobs.list();
                    jobs.first().is_some_and(|job| job.is_elsewhere)
                });
                if refused.contains(&true) {
                    return (leg, refused[0]);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (leg, one_was_refused) = tokio::select! {
            answer = &mut one => panic!("rings: {answer:?}"),
            answer = &mut two => panic!("rings: {answer:?}"),
            settled = within(settled) => settled,
        };
        let (follower, placer) = match one_was_refused {
            true => (&pair.one, &pair.two),
            false => (&pair.two, &pair.one),
        };
        let job = follower.control.jobs.list()[0].id().clone();
        follower
            .control
            .jobs
            .cancel(&job, "the client leaves")
            .unwrap();
        let left = job_end(follower, job.as_str()).await;
        assert_eq!(left.state, JobState::Cancelled);
        let (gone, stays) = match one_was_refused {
            true => (one, two),
            false => (two, one),
        };
        assert_eq!(within(gone).await.unwrap_err().code(), Code::Cancelled);
        assert!(placer.control.tracker.session(&leg).unwrap().is_live());
        // A second later it still rings; then its own client hears what ends it.
        placer
            .control
            .jobs
            .cancel(&job, "the other leaves")
            .unwrap();
        assert!(within(stays).await.is_err());
        assert_eq!(until_ended(placer, leg.as_str()).await, "ORIGINATOR_CANCEL");
        assert_eq!(twins.rang(placer), 1);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_comes_later_gets_what_came_of_the_call() {
    on_each_pair(async |pair| {
        let twins = Twins::to(BUSY);
        let first = place(&pair.one, twins.request.clone()).await.unwrap_err();
        let leg = metadata(&first, "session_id");
        until_ended(&pair.two, &leg).await;
        let second = place(&pair.two, twins.request.clone()).await.unwrap_err();
        assert_eq!(
            code_and_reason(&second),
            code_and_reason(&first),
            "{second:?}"
        );
        assert_eq!(metadata(&second, "hangup_cause"), "USER_BUSY");
        assert_eq!(metadata(&second, "session_id"), leg);
        assert_eq!(twins.rang(&pair.two), 1);

        let twins = Twins::to(ANSWERS);
        let first = place(&pair.one, twins.request.clone()).await.unwrap();
        let leg = session_id(&first);
        hang_up(&pair.one, &leg).await;
        until_ended(&pair.two, &leg).await;
        let second = place(&pair.two, twins.request.clone()).await.unwrap();
        assert_eq!(session_id(&second), leg);
        let job = job_end(&pair.two, &second.job_id).await;
        assert_eq!(job.state, JobState::Succeeded);
        assert_eq!(twins.rang(&pair.two), 1);
    })
    .await;
}

#[tokio::test]
async fn a_full_node_is_told_from_a_call_that_another_gateway_placed() {
    let config = SimConfig {
        max_sessions: 1,
        ..SimConfig::default()
    };
    let pair = Pair::over_sim(config).await;
    let first = originate(&pair.one, "sim/answer").await.unwrap();
    let twins = Twins::to("sim/answer");
    let (one, two) = pair.place(&twins).await;
    for status in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(
            code_and_reason(&status),
            (Code::ResourceExhausted, "NODE_LIMIT".to_owned())
        );
        assert!(has_retry(&status));
    }
    hang_up(&pair.one, &first.session_id).await;
    until_ended(&pair.two, &first.session_id).await;
    // Nothing came of it, so the same request may be tried again.
    let (one, two) = pair.place(&twins).await;
    assert_eq!(session_id(&one.unwrap()), session_id(&two.unwrap()));
    pair.stop().await;
}
