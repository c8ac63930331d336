//! JobService: outputs, ends, and what stays when a client leaves.

use std::time::Duration;

use switchgate::pb::{self, JobOutputKind, JobState, job};
use tonic::Code;

use crate::client::*;
use crate::gateway::{Gateway, code_and_reason, metadata, on_each, within};

const NO_JOB: &str = "00000000-0000-4000-8000-000000000000";

fn running(command: &str, arguments: &str) -> pb::RunJobRequest {
    pb::RunJobRequest {
        command: command.to_owned(),
        arguments: arguments.to_owned(),
        ..Default::default()
    }
}

fn starting(command: &str, arguments: &str) -> pb::StartJobRequest {
    pb::StartJobRequest {
        command: command.to_owned(),
        arguments: arguments.to_owned(),
        ..Default::default()
    }
}

async fn run(gateway: &Gateway, command: &str, arguments: &str) -> pb::Job {
    let response = within(gateway.jobs().run_job(running(command, arguments))).await;
    response.unwrap().into_inner().job.unwrap()
}

async fn start(gateway: &Gateway, request: pb::StartJobRequest) -> pb::Job {
    let response = within(gateway.jobs().start_job(request)).await;
    response.unwrap().into_inner().job.unwrap()
}

async fn job(gateway: &Gateway, job_id: &str) -> Result<pb::Job, tonic::Status> {
    let request = pb::GetJobRequest {
        job_id: job_id.to_owned(),
    };
    let response = within(gateway.jobs().get_job(request)).await?;
    Ok(response.into_inner().job.unwrap())
}

async fn wait(gateway: &Gateway, job_id: &str, timeout: Option<prost_types::Duration>) -> pb::Job {
    let request = pb::WaitJobRequest {
        job_id: job_id.to_owned(),
        timeout,
    };
    let response = within(gateway.jobs().wait_job(request)).await;
    response.unwrap().into_inner().job.unwrap()
}

async fn cancel(gateway: &Gateway, job_id: &str, reason: &str) -> Result<pb::Job, tonic::Status> {
    let request = pb::CancelJobRequest {
        job_id: job_id.to_owned(),
        reason: reason.to_owned(),
    };
    let response = within(gateway.jobs().cancel_job(request)).await?;
    Ok(response.into_inner().job.unwrap())
}

fn result(job: &pb::Job) -> pb::JobOutput {
    match job.outcome.clone() {
        Some(job::Outcome::Result(result)) => result,
        other => panic!("{other:?}"),
    }
}

fn error(job: &pb::Job) -> pb::JobError {
    match job.outcome.clone() {
        Some(job::Outcome::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_kind_of_output_is_told_apart() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let data = run(&gateway, "uuid_exists", &id).await;
        assert_eq!(data.state(), JobState::Succeeded);
        let output = result(&data);
        assert_eq!(
            (output.kind(), output.text.as_str()),
            (JobOutputKind::Data, "true")
        );
        assert_eq!(output.raw, b"true");
        assert!(data.created.is_some() && data.started.is_some() && data.ended.is_some());
        assert_eq!(
            (data.command.as_str(), data.arguments.as_str()),
            ("uuid_exists", &*id)
        );

        let ok = run(&gateway, "uuid_setvar", &format!("{id} sg_job x")).await;
        assert_eq!(ok.state(), JobState::Succeeded);
        assert_eq!(result(&ok).kind(), JobOutputKind::Ok);

        let nothing = run(&gateway, "uuid_getvar", &format!("{id} sg_job")).await;
        assert_eq!(result(&nothing).text, "x");

        for (command, arguments) in [
            ("uuid_kill", "nobody"),
            ("uuid_bridge", "nobody else"),
            ("no_such_api", ""),
        ] {
            let failed = run(&gateway, command, arguments).await;
            assert_eq!(failed.state(), JobState::Failed, "{command}: {failed:?}");
            let error = error(&failed);
            assert_eq!(error.reason, "COMMAND_REJECTED");
            assert!(
                error.metadata["freeswitch_reply"].starts_with("-ERR"),
                "{error:?}"
            );
        }
        let usage = error(&run(&gateway, "uuid_bridge", "").await);
        assert_eq!(usage.reason, "COMMAND_REJECTED");
        assert!(
            usage.metadata["freeswitch_reply"].starts_with("-USAGE"),
            "{usage:?}"
        );
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_command_that_prints_nothing_succeeds_without_a_reply() {
    on_each(async |gateway| {
        let job = run(&gateway, "global_getvar", &format!("sg_{}", tag())).await;
        assert_eq!(job.state(), JobState::Succeeded);
        assert_eq!(result(&job).kind(), JobOutputKind::NoReply, "{job:?}");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_failed_originate_job_says_why() {
    on_each(async |gateway| {
        let failed = run(&gateway, "originate", &format!("{BUSY} &park()")).await;
        assert_eq!(failed.state(), JobState::Failed);
        let error = error(&failed);
        assert_eq!(error.reason, "CALL_FAILED");
        assert_eq!(error.metadata["hangup_cause"], "USER_BUSY");
        assert_eq!(error.metadata["q850"], "17");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_started_job_runs_on_and_is_waited_for() {
    on_each(async |gateway| {
        let mut request = starting("msleep", "1500");
        request.labels = map(&[("why", "a test")]);
        let started = start(&gateway, request).await;
        assert_eq!(started.state(), JobState::Running);
        assert!(started.started.is_some() && started.ended.is_none() && started.outcome.is_none());
        let waited = wait(
            &gateway,
            &started.job_id,
            Some(prost_types::Duration {
                seconds: 0,
                nanos: 100_000_000,
            }),
        )
        .await;
        assert_eq!(
            waited.state(),
            JobState::Running,
            "a wait that ends is no error"
        );
        let ended = wait(&gateway, &started.job_id, None).await;
        assert_eq!(ended.state(), JobState::Succeeded);
        assert_eq!(ended.labels, map(&[("why", "a test")]));
        assert_eq!(job(&gateway, &started.job_id).await.unwrap(), ended);
        let status = cancel(&gateway, &started.job_id, "").await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::FailedPrecondition, "JOB_ENDED".to_owned())
        );
        assert_eq!(metadata(&status, "state"), "SUCCEEDED");
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_job_outlives_the_deadline_and_the_client_of_its_rpc() {
    on_each(async |gateway| {
        let request = with_deadline(running("msleep", "4000"), Duration::from_secs(2));
        let status = within(gateway.jobs().run_job(request)).await.unwrap_err();
        assert_eq!(
            code_and_reason(&status),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
            "{status:?}"
        );
        assert_eq!(metadata(&status, "command_sent"), "true");
        let late = metadata(&status, "job_id");
        assert_eq!(
            job(&gateway, &late).await.unwrap().state(),
            JobState::Running
        );

        let tag = tag();
        let mut request = running("msleep", "1000");
        request.labels = map(&[("tag", &tag)]);
        let mut client = gateway.jobs();
        let ours = |job: &&switchgate::jobs::SharedJob| {
            job.spec.labels.get("tag") == Some(&tag) && job.started.is_some()
        };
        let taken = async {
            loop {
                if let Some(job) = gateway.control.jobs.list().iter().find(ours) {
                    return job.id().to_string();
                }
                tokio::task::yield_now().await;
            }
        };
        let left = tokio::select! {
            answer = client.run_job(request) => panic!("sleeps: {answer:?}"),
            id = taken => id,
        };
        // Both clients are gone, both results come.
        for id in [left, late] {
            assert_eq!(wait(&gateway, &id, None).await.state(), JobState::Succeeded);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_job_past_its_own_time_out_has_expired() {
    on_each(async |gateway| {
        let mut request = running("msleep", "3000");
        request.timeout = Some(seconds(1));
        let response = within(gateway.jobs().run_job(request)).await.unwrap();
        let expired = response.into_inner().job.unwrap();
        assert_eq!(expired.state(), JobState::Expired, "{expired:?}");
        assert_eq!(error(&expired).reason, "DEADLINE_EXCEEDED");
        assert_eq!(expired.timeout, Some(seconds(1)));
        // A result that comes too late changes nothing.
        run(&gateway, "msleep", "2500").await;
        assert_eq!(job(&gateway, &expired.job_id).await.unwrap(), expired);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_originate_is_hung_up() {
    on_each(async |gateway| {
        let request = pb::OriginateRequest {
            wait_for: pb::OriginateWait::Progress.into(),
            ..to(RINGS)
        };
        let placed = place(&gateway, request).await.unwrap();
        let cancelled = cancel(&gateway, &placed.job_id, "nobody needs it")
            .await
            .unwrap();
        assert_eq!(cancelled.state(), JobState::Cancelled, "{cancelled:?}");
        let error = error(&cancelled);
        assert_eq!(error.reason, "CANCELLED");
        assert!(error.message.contains("nobody needs it"), "{error:?}");
        let session_id = placed.session.unwrap().session_id;
        assert_eq!(
            until_ended(&gateway, &session_id).await,
            "ORIGINATOR_CANCEL"
        );
        let status = cancel(&gateway, &placed.job_id, "").await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "JOB_ENDED");
        gateway
    })
    .await;
}

#[tokio::test]
async fn an_originate_that_a_client_wrote_itself_is_hung_up_when_it_is_cancelled() {
    on_each(async |gateway| {
        let leg = uuid::Uuid::new_v4().to_string();
        let arguments = format!("{{origination_uuid={leg}}}{RINGS} &park()");
        let started = start(&gateway, starting("originate", &arguments)).await;
        until(&gateway, &leg, |session| session.times.progress.is_some()).await;
        let cancelled = cancel(&gateway, &started.job_id, "").await.unwrap();
        assert_eq!(cancelled.state(), JobState::Cancelled);
        assert_eq!(until_ended(&gateway, &leg).await, "ORIGINATOR_CANCEL");
        gateway
    })
    .await;
}

#[tokio::test]
async fn of_any_other_command_only_the_waiting_ends() {
    on_each(async |gateway| {
        let started = start(&gateway, starting("msleep", "1000")).await;
        let cancelled = cancel(&gateway, &started.job_id, "").await.unwrap();
        assert_eq!(cancelled.state(), JobState::Cancelled);
        run(&gateway, "msleep", "1200").await;
        assert_eq!(job(&gateway, &started.job_id).await.unwrap(), cancelled);
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_job_that_nobody_knows_is_not_found() {
    on_each(async |gateway| {
        let request = pb::WaitJobRequest {
            job_id: NO_JOB.to_owned(),
            timeout: None,
        };
        for status in [
            job(&gateway, NO_JOB).await.unwrap_err(),
            cancel(&gateway, NO_JOB, "").await.unwrap_err(),
            within(gateway.jobs().wait_job(request)).await.unwrap_err(),
        ] {
            assert_eq!(
                code_and_reason(&status),
                (Code::NotFound, "JOB_NOT_FOUND".to_owned())
            );
            assert_eq!(metadata(&status, "job_id"), NO_JOB);
        }
        gateway
    })
    .await;
}

#[tokio::test]
async fn a_job_runs_on_the_node_of_its_session() {
    let gateway = Gateway::over_sims(2, |_| {}).await;
    for node in ["sim-0", "sim-1"] {
        let request = pb::OriginateRequest {
            node_selector: Some(pb::NodeSelector {
                node_id: node.to_owned(),
                ..Default::default()
            }),
            ..to(ANSWERS)
        };
        let id = place(&gateway, request)
            .await
            .unwrap()
            .session
            .unwrap()
            .session_id;
        let mut request = running("uuid_exists", &id);
        request.session_id = id.clone();
        let response = within(gateway.jobs().run_job(request.clone()))
            .await
            .unwrap();
        let job = response.into_inner().job.unwrap();
        assert_eq!(
            (job.node_id.as_str(), job.session_id.as_str()),
            (node, &*id)
        );
        assert_eq!(result(&job).text, "true");
        request.node_selector = Some(pb::NodeSelector {
            node_id: if node == "sim-0" { "sim-1" } else { "sim-0" }.to_owned(),
            ..Default::default()
        });
        let status = within(gateway.jobs().run_job(request)).await.unwrap_err();
        assert_invalid(&status, "node_selector.node_id");
    }
    let mut request = running("status", "");
    request.session_id = NO_JOB.to_owned();
    let status = within(gateway.jobs().run_job(request)).await.unwrap_err();
    assert_eq!(code_and_reason(&status).1, "SESSION_NOT_FOUND");
    gateway.stop().await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_filter_and_page() {
    on_each(async |gateway| {
        let tag = tag();
        let mut ids = Vec::new();
        for command in ["status", "uuid_exists", "status", "version", "status"] {
            let mut request = running(command, "");
            request.labels = map(&[("tag", &tag)]);
            let response = within(gateway.jobs().run_job(request)).await.unwrap();
            ids.push(response.into_inner().job.unwrap().job_id);
        }
        ids.reverse();
        let list = async |filter: String, page_size: i32, page_token: String| {
            let request = pb::ListJobsRequest {
                filter,
                page_size,
                page_token,
            };
            Ok::<_, tonic::Status>(
                within(gateway.jobs().list_jobs(request))
                    .await?
                    .into_inner(),
            )
        };
        let mut listed = Vec::new();
        let mut token = String::new();
        loop {
            let page = list(format!("label.tag = {tag}"), 2, token).await.unwrap();
            assert_eq!(page.total_size, 5);
            listed.extend(page.jobs.into_iter().map(|job| job.job_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, ids);
        for (term, count) in [
            ("command = status", 3),
            ("command != status", 2),
            ("state = JOB_STATE_SUCCEEDED AND command = version", 1),
            ("state = JOB_STATE_RUNNING", 0),
            ("session_id = x", 0),
            ("node_id != elsewhere", 5),
        ] {
            let filter = format!("label.tag = {tag} AND {term}");
            let page = list(filter, 0, String::new()).await.unwrap();
            assert_eq!(page.total_size, count, "{term}");
        }
        let status = list("nonsense".to_owned(), 0, String::new())
            .await
            .unwrap_err();
        assert_invalid(&status, "filter");
        gateway
    })
    .await;
}

#[tokio::test]
async fn what_would_end_a_command_is_refused_and_nothing_is_sent() {
    let gateway = Gateway::over_sim().await;
    let sent = || {
        let is_ours = |raw: &&Vec<u8>| raw.starts_with(b"bgapi") || raw.starts_with(b"api status");
        gateway.sim().commands().iter().filter(is_ours).count()
    };
    let before = sent();
    for (command, arguments, field) in [
        ("", "", "command"),
        ("two words", "", "command"),
        ("status\n", "", "command"),
        ("status\r\n\r\nexit", "", "command"),
        ("sta\0tus", "", "command"),
        ("status", "a\nb", "arguments"),
        ("status", "a\rb", "arguments"),
        ("status", "a\0b", "arguments"),
        ("status", " outer space ", "arguments"),
    ] {
        let request = running(command, arguments);
        let status = within(gateway.jobs().run_job(request)).await.unwrap_err();
        assert_invalid(&status, field);
        let request = starting(command, arguments);
        let status = within(gateway.jobs().start_job(request)).await.unwrap_err();
        assert_invalid(&status, field);
        let request = pb::RunApiRequest {
            node_id: "sim-0".to_owned(),
            command: command.to_owned(),
            arguments: arguments.to_owned(),
        };
        let status = within(gateway.nodes().run_api(request)).await.unwrap_err();
        assert_invalid(&status, field);
    }
    for span in [seconds(0), seconds(-5)] {
        let mut request = running("status", "");
        request.timeout = Some(span);
        let status = within(gateway.jobs().run_job(request)).await.unwrap_err();
        assert_invalid(&status, "timeout");
    }
    assert_eq!(sent(), before);
    gateway.stop().await;
}
