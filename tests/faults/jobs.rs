//! Results of jobs that come early, elsewhere, late or twice.

use std::time::Duration;

use switchgate::control::JobRequest;
use switchgate::domain::NodeState;
use switchgate::fleet::Selector;
use switchgate::jobs::JobState;
use switchgate::pb;

use super::fill::{connected_again, over_fake, over_fake_with};
use super::{
    SLACK, assert_too_late, assert_unavailable, call_to, job, job_end, leave, node, reached,
    run_job, seen, timed, until,
};
use crate::fake_node::{FakeNode, Say};
use crate::gateway::{Gateway, within};

/// Waits for a `bgapi` and gives its `Job-UUID`.
async fn bgapi(fake: &FakeNode, command: &str) -> String {
    let command = until_heard(fake, &format!("bgapi {command}")).await;
    let (_, id) = command.split_once("Job-UUID: ").unwrap();
    id.to_owned()
}

fn taken() -> Say {
    Say::Reply("+OK Job-UUID: its own".to_owned())
}

fn held() -> Say {
    Say::Held(Box::new(taken()))
}

fn text(job: &pb::Job) -> &str {
    match &job.outcome {
        Some(pb::job::Outcome::Result(output)) => &output.text,
        other => panic!("{other:?}"),
    }
}

async fn ready() -> (Gateway, FakeNode) {
    let (gateway, fake) = over_fake().await;
    reached(&gateway, "sim-0", NodeState::Ready).await;
    (gateway, fake)
}

#[tokio::test]
async fn a_result_that_overtakes_the_reply_ends_the_job_once() {
    let (gateway, fake) = ready().await;
    fake.on("bgapi", [held()]);
    let early = async {
        let id = bgapi(&fake, "status").await;
        assert_eq!(fake.job_result(&id, "+OK early\n"), 1);
        let ended = job_end(&gateway, &id).await;
        assert_eq!(ended.state, JobState::Succeeded);
        // What comes after the end changes nothing.
        fake.job_result(&id, "-ERR late\n");
        fake.release();
        id
    };
    let (ran, id) = tokio::join!(run_job(&gateway, job("status", "")), early);
    let ran = ran.unwrap();
    assert_eq!(
        (ran.state(), text(&ran)),
        (pb::JobState::Succeeded, "early")
    );
    assert!(ran.started.is_some(), "what has ended has begun");
    // The reply and the second result have been read when another job is through.
    fake.on("bgapi", [Say::Reply("+OK Job-UUID: x".to_owned())]);
    let after = async {
        let id = bgapi(&fake, "version").await;
        fake.job_result(&id, "1.10\n");
    };
    let (ran, ()) = tokio::join!(run_job(&gateway, job("version", "")), after);
    assert_eq!(ran.unwrap().state(), pb::JobState::Succeeded);
    let ended = job_end(&gateway, &id).await;
    assert_eq!(
        ended.outcome.as_ref().unwrap().as_ref().unwrap().raw,
        "+OK early\n"
    );
    leave(gateway).await;
}

#[tokio::test]
async fn a_result_after_a_reconnect_ends_the_job_once() {
    let (gateway, fake) = ready().await;
    let late = async {
        let id = bgapi(&fake, "status").await;
        until(|| gateway.control.jobs.list()[0].started.is_some()).await;
        fake.drop_links();
        assert_eq!(fake.job_result(&id, "+OK unheard\n"), 0);
        connected_again(&gateway).await;
        assert_eq!(fake.job_result(&id, "+OK heard\n"), 1);
        fake.job_result(&id, "+OK again\n");
    };
    let (ran, ()) = tokio::join!(run_job(&gateway, job("status", "")), late);
    assert_eq!(text(&ran.unwrap()), "heard");
    leave(gateway).await;
}

#[tokio::test]
async fn a_job_whose_own_link_is_lost_is_heard_of_on_the_event_link() {
    let (gateway, fake) = ready().await;
    fake.on("bgapi", [Say::Nothing]);
    let elsewhere = async {
        let id = bgapi(&fake, "status").await;
        fake.drop_command_links();
        until(|| gateway.control.jobs.list()[0].started.is_some()).await;
        fake.job_result(&id, "+OK told elsewhere\n");
    };
    let (ran, ()) = tokio::join!(run_job(&gateway, job("status", "")), elsewhere);
    assert_eq!(text(&ran.unwrap()), "told elsewhere");
    leave(gateway).await;
}

#[tokio::test]
async fn results_of_unknown_jobs_are_events_and_nothing_else() {
    let (gateway, fake) = ready().await;
    fake.job_result("33333333-3333-4333-8333-333333333333", "+OK\n");
    fake.push(&[("Event-Name", "BACKGROUND_JOB")], "no id");
    let response = within(gateway.jobs().list_jobs(pb::ListJobsRequest::default())).await;
    assert!(response.unwrap().into_inner().jobs.is_empty());
    leave(gateway).await;
}

#[tokio::test]
async fn a_job_whose_result_nobody_would_hear_is_not_sent() {
    const SESSION: &str = "11111111-1111-4111-8111-111111111111";
    let (gateway, fake) = ready().await;
    fake.channel_event("CHANNEL_CREATE", SESSION, &[("Channel-State", "CS_INIT")]);
    seen(&gateway, SESSION, |session| session.is_live()).await;
    // The event link is away; those for commands live.
    fake.on("event plain ", [Say::Nothing]);
    fake.drop_event_links();
    reached(&gateway, "sim-0", NodeState::Down).await;
    assert!(node(&gateway, "sim-0").command_links().0 > 0);
    let request = pb::RunJobRequest {
        session_id: SESSION.to_owned(),
        ..job("uuid_break", SESSION)
    };
    assert_unavailable(&run_job(&gateway, request).await.unwrap_err());
    assert_eq!(fake.count("bgapi"), 0);
    leave(gateway).await;
}

#[tokio::test]
async fn a_job_whose_link_lives_but_never_replies_expires_and_is_not_lost() {
    let (gateway, fake) = ready().await;
    fake.on("bgapi", [Say::Nothing]);
    let request = pb::RunJobRequest {
        timeout: Some(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        }),
        ..job("status", "")
    };
    let ran = run_job(&gateway, request).await.unwrap();
    assert_eq!(ran.state(), pb::JobState::Expired);
    // Its link could still tell, but too late for this job.
    let id = bgapi(&fake, "status").await;
    fake.job_result(&id, "+OK late\n");
    assert_eq!(job_end(&gateway, &id).await.state, JobState::Expired);
    leave(gateway).await;
}

/// Lets time pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// How a job ends to whose command no reply has come when it counts as taken.
async fn end_of_unanswered(
    reply: Say,
    meanwhile: impl AsyncFnOnce(&Gateway, &FakeNode),
) -> JobState {
    let (gateway, fake) = over_fake_with(|config| {
        // A link may be silent while time passes.
        config.esl.probe_after = Duration::from_secs(3_600);
        config.esl.dead_after = Duration::from_secs(7_200);
    })
    .await;
    reached(&gateway, "sim-0", NodeState::Ready).await;
    fake.on("bgapi", [Say::Held(Box::new(reply))]);
    let request = JobRequest {
        identity: Default::default(),
        command: "status".to_owned(),
        arguments: String::new(),
        selector: Selector::default(),
        session: None,
        timeout: Some(Duration::from_secs(300)),
        labels: Default::default(),
    };
    let id = gateway.control.launch_job(request).unwrap().to_string();
    bgapi(&fake, "status").await;
    let is_taken = || gateway.control.jobs.list()[0].started.is_some();
    assert!(!is_taken());
    pass(Duration::from_secs(31)).await;
    until(is_taken).await;
    meanwhile(&gateway, &fake).await;
    pass(Duration::from_secs(300)).await;
    let state = job_end(&gateway, &id).await.state;
    leave(gateway).await;
    state
}

#[tokio::test]
async fn a_job_whose_link_dies_long_after_it_was_written_is_lost_if_it_owes_the_reply() {
    let state = end_of_unanswered(taken(), async |gateway, fake| {
        fake.drop_command_links();
        until(|| node(gateway, "sim-0").command_links().0 < 2).await;
    });
    assert_eq!(state.await, JobState::Lost);
}

#[tokio::test]
async fn a_job_whose_reply_is_merely_late_expires() {
    let state = end_of_unanswered(taken(), async |gateway, fake| {
        fake.release();
        // The reply has been read when the link dies.
        let deadline = switchgate::domain::Deadline::after(Duration::from_secs(20));
        for _ in 0..4 {
            let command = switchgate::esl::Command::api("status").unwrap();
            let node = node(gateway, "sim-0");
            within(node.send(command, None, deadline)).await.unwrap();
        }
        fake.drop_command_links();
        until(|| node(gateway, "sim-0").command_links().0 < 2).await;
    });
    assert_eq!(state.await, JobState::Expired);
    let state = end_of_unanswered(taken(), async |_, _| {});
    assert_eq!(state.await, JobState::Expired);
}

#[tokio::test]
async fn a_refusal_that_is_late_is_the_end_of_its_job() {
    let refusal = Say::Reply("-ERR no threads left".to_owned());
    let state = end_of_unanswered(refusal, async |gateway, fake| {
        fake.release();
        until(|| gateway.control.jobs.list()[0].state.is_end()).await;
    });
    assert_eq!(state.await, JobState::Failed);
}

#[tokio::test]
async fn a_stream_of_a_call_whose_result_is_lost_ends_by_its_deadline() {
    let (gateway, fake) = ready().await;
    fake.on("bgapi", [Say::Reply("+OK Job-UUID: x".to_owned())]);
    let applications = r#"{"row_count":1,"rows":[{"name":"park"}]}"#;
    fake.on("api show application", [Say::Api(applications.to_owned())]);
    let mut request = tonic::Request::new(pb::OriginateStreamRequest {
        originate: Some(call_to("sim/busy")),
    });
    request.set_timeout(Duration::from_secs(2));
    let mut sessions = gateway.sessions();
    let told = async {
        let mut stream = within(sessions.originate_stream(request)).await?;
        while within(stream.get_mut().message()).await?.is_some() {}
        Ok(())
    };
    // The leg has ended, which is heard; why, which the result says, is not.
    let leg = async {
        let command = until_heard(&fake, "bgapi originate").await;
        let (_, id) = command.split_once("origination_uuid=").unwrap();
        let (id, _) = id.split_once(']').unwrap();
        fake.channel_event("CHANNEL_CREATE", id, &[("Channel-State", "CS_INIT")]);
        fake.channel_event("CHANNEL_HANGUP", id, &[("Channel-State", "CS_HANGUP")]);
    };
    let ((told, took), ()) = tokio::join!(timed(told), leg);
    let told: Result<(), tonic::Status> = told;
    assert_too_late(&told.unwrap_err(), true);
    assert!(took < Duration::from_secs(2) + SLACK, "{took:?}");
    // What is left of the call is the job's to end.
    let id = gateway.control.jobs.list()[0].id().to_string();
    fake.job_result(&id, "-ERR USER_BUSY\n");
    leave(gateway).await;
}

async fn until_heard(fake: &FakeNode, start: &str) -> String {
    until(|| fake.count(start) > 0).await;
    let heard = fake.heard();
    heard
        .iter()
        .find(|one| one.starts_with(start))
        .unwrap()
        .clone()
}
