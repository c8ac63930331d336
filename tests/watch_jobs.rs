//! WatchJobs: what there is, then each change.

use std::time::Duration;

use switchgate::domain::{JobId, NodeId};
use switchgate::jobs::{End, JobSpec};
use switchgate::pb::{self, JobState};
use tonic::{Code, Streaming};

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

async fn watch(
    gateway: &Gateway,
    filter: &str,
    snapshot: bool,
) -> Streaming<pb::WatchJobsResponse> {
    let request = pb::WatchJobsRequest {
        filter: filter.to_owned(),
        snapshot,
    };
    within(gateway.jobs().watch_jobs(request))
        .await
        .unwrap()
        .into_inner()
}

async fn message(stream: &mut Streaming<pb::WatchJobsResponse>) -> pb::WatchJobsResponse {
    let message = within(stream.message()).await.unwrap().unwrap();
    assert!(!message.cursor.is_empty());
    message
}

/// The next changes, so many at least.
async fn changes(stream: &mut Streaming<pb::WatchJobsResponse>, count: usize) -> Vec<pb::Job> {
    let mut jobs = Vec::new();
    while jobs.len() < count {
        let message = message(stream).await;
        assert!(!message.snapshot && !message.snapshot_end);
        jobs.extend(message.jobs);
    }
    jobs
}

async fn run(gateway: &Gateway, command: &str, label: &str) -> pb::Job {
    let request = pb::RunJobRequest {
        command: command.to_owned(),
        arguments: if command == "msleep" { "1" } else { "" }.to_owned(),
        labels: map(&[("test", label)]),
        ..Default::default()
    };
    let response = within(gateway.jobs().run_job(request)).await.unwrap();
    response.into_inner().job.unwrap()
}

fn states(jobs: &[pb::Job]) -> Vec<JobState> {
    jobs.iter().map(pb::Job::state).collect()
}

#[tokio::test]
async fn a_job_is_told_from_its_registration_to_its_end() {
    on_each(async |gateway| {
        let label = tag();
        let mut stream = watch(&gateway, &format!("label.test = {label}"), false).await;
        let first = message(&mut stream).await;
        assert!(first.jobs.is_empty() && first.snapshot_end);
        run(&gateway, "status", "other").await;
        let job = run(&gateway, "status", &label).await;
        let mut told = Vec::new();
        while told
            .last()
            .is_none_or(|told: &pb::Job| told.ended.is_none())
        {
            told.extend(changes(&mut stream, 1).await);
        }
        assert!(told.iter().all(|told| told.job_id == job.job_id));
        let states = states(&told);
        // The result can overtake the reply that it was taken.
        assert_eq!(states[0], JobState::Pending);
        assert_eq!(states.last(), Some(&JobState::Succeeded));
        assert_eq!(told.last().unwrap().outcome, job.outcome);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_watch_begins_with_what_there_is_if_asked_and_neither_skips_nor_repeats() {
    let gateway = Gateway::over_sim().await;
    let label = tag();
    let mut known = Vec::new();
    for _ in 0..70 {
        known.push(run(&gateway, "status", &label).await.job_id);
    }
    let mut stream = watch(&gateway, &format!("label.test = {label}"), true).await;
    let mut shown = Vec::new();
    let mut messages = 0;
    loop {
        let message = message(&mut stream).await;
        assert!(message.snapshot);
        messages += 1;
        shown.extend(message.jobs.iter().map(|job| job.job_id.clone()));
        if message.snapshot_end {
            break;
        }
    }
    assert!(messages > 1, "large snapshots come in parts");
    known.reverse();
    assert_eq!(shown, known, "newest first");
    let next = run(&gateway, "status", &label).await;
    let told = changes(&mut stream, 1).await;
    assert_eq!(
        (&told[0].job_id, told[0].state()),
        (&next.job_id, JobState::Pending)
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_filter_is_held_against_each_state() {
    let gateway = Gateway::over_sim().await;
    let mut stream = watch(&gateway, "state = JOB_STATE_FAILED", false).await;
    message(&mut stream).await;
    run(&gateway, "status", "x").await;
    let failed = run(&gateway, "nosuch", "x").await;
    let told = changes(&mut stream, 1).await;
    assert_eq!((told.len(), &told[0].job_id), (1, &failed.job_id));
    let request = pb::WatchJobsRequest {
        filter: "nonsense = 1".to_owned(),
        snapshot: true,
    };
    let status = within(gateway.jobs().watch_jobs(request))
        .await
        .unwrap_err();
    assert_invalid(&status, "filter");
    gateway.stop().await;
}

fn spec(name: usize, gateway: &Gateway) -> JobSpec {
    let node: NodeId = gateway.control.fleet.nodes().next().unwrap().id().clone();
    JobSpec {
        id: format!("job-{name}").parse::<JobId>().unwrap(),
        command: "status".to_owned(),
        arguments: String::new(),
        node,
        session: None,
        labels: Default::default(),
        timeout: Duration::from_secs(1),
        mark: None,
        request: Default::default(),
    }
}

#[tokio::test]
async fn one_that_does_not_read_is_sent_away_and_delays_nobody() {
    let gateway = Gateway::over_sim().await;
    let mut stream = watch(&gateway, "", false).await;
    message(&mut stream).await;
    let jobs = &gateway.control.jobs;
    let output = "x".repeat(4000);
    // Far more than the bound and all windows on the way hold.
    for at in 0..12_000 {
        let spec = spec(at, &gateway);
        let id = spec.id.clone();
        jobs.register(spec).unwrap();
        assert!(jobs.finish(&id, End::Answered(output.clone().into())));
    }
    let status = loop {
        match within(stream.message()).await {
            Ok(message) => assert!(message.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!(
        code_and_reason(&status),
        (Code::ResourceExhausted, "SLOW_CONSUMER".to_owned())
    );
    assert!(metadata(&status, "missed").parse::<u64>().unwrap() > 0);
    assert!(!metadata(&status, "cursor").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_large_output_is_left_to_get_job() {
    let gateway = Gateway::over_sim().await;
    let mut stream = watch(&gateway, "", false).await;
    message(&mut stream).await;
    let spec = spec(1, &gateway);
    let id = spec.id.clone();
    gateway.control.jobs.register(spec).unwrap();
    gateway
        .control
        .jobs
        .finish(&id, End::Answered(vec![b'x'; 20_000].into()));
    let told = loop {
        let told = changes(&mut stream, 1).await;
        if let Some(ended) = told.into_iter().find(|job| job.ended.is_some()) {
            break ended;
        }
    };
    assert_eq!((told.state(), told.outcome), (JobState::Succeeded, None));
    let request = pb::GetJobRequest {
        job_id: id.to_string(),
    };
    let job = within(gateway.jobs().get_job(request))
        .await
        .unwrap()
        .into_inner()
        .job
        .unwrap();
    assert!(job.outcome.is_some());
    gateway.stop().await;
}
