use proptest::prelude::*;

use super::*;
use crate::domain::Reason;
use crate::shutdown::Drain;

fn spec(id: &str) -> JobSpec {
    JobSpec {
        id: id.parse().unwrap(),
        command: "originate".to_owned(),
        arguments: String::new(),
        node: "n".parse().unwrap(),
        session: None,
        labels: Labels::default(),
        timeout: Duration::from_secs(60),
        mark: None,
        request: Default::default(),
    }
}

fn id(text: &str) -> JobId {
    text.parse().unwrap()
}

/// What can happen to a job.
#[derive(Debug, Clone)]
enum Step {
    Started,
    Finish(End),
    Cancel,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let unavailable = Failure::new(Reason::NodeUnavailable, "x").retry_after(Duration::ZERO);
    prop_oneof![
        2 => Just(Step::Started),
        1 => Just(Step::Cancel),
        1 => Just(Step::Restart),
        1 => Just(Step::Finish(End::Answered("+OK done".into()))),
        1 => Just(Step::Finish(End::Answered("-ERR USER_BUSY".into()))),
        1 => Just(Step::Finish(End::Failed(unavailable))),
        1 => Just(Step::Finish(End::Cancelled)),
        1 => Just(Step::Finish(End::Expired)),
        1 => Just(Step::Finish(End::Lost("why"))),
    ]
}

proptest! {
    #[test]
    fn a_job_has_exactly_one_end_whatever_happens(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let jobs = Jobs::start(JobsConfig::default(), &Drain::new());
            let cancel = jobs.register(spec("j")).unwrap();
            let mut ended: Option<(JobState, String)> = None;
            for step in steps {
                let was_ended = ended.is_some();
                match step {
                    Step::Started => jobs.started(&id("j")),
                    Step::Restart => jobs.node_restarted(&"n".parse().unwrap()),
                    Step::Finish(end) => prop_assert_eq!(jobs.finish(&id("j"), end), !was_ended),
                    Step::Cancel => {
                        let result = jobs.cancel(&id("j"), "why not");
                        prop_assert_eq!(result.is_err(), was_ended);
                        prop_assert_eq!(result.err().map(|failure| failure.reason()), was_ended.then_some(Reason::JobEnded));
                        prop_assert!(was_ended || cancel.is_cancelled());
                    }
                }
                let job = jobs.get(&id("j")).unwrap();
                prop_assert_eq!(job.state.is_end(), job.outcome.is_some());
                prop_assert_eq!(job.state.is_end(), job.ended.is_some());
                if job.state.is_end() {
                    let now = (job.state, format!("{job:?}"));
                    // The first end stays, to the last field.
                    prop_assert_eq!(ended.get_or_insert(now.clone()), &now);
                }
                prop_assert_eq!(jobs.unfinished(), usize::from(!job.state.is_end()));
                prop_assert_eq!(jobs.running_on(&job.spec.node), jobs.unfinished());
            }
            Ok(())
        })?;
    }

    #[test]
    fn finished_jobs_are_kept_by_count_the_oldest_go_first(
        max_finished in 0..8usize, order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(), restart: bool
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let config = JobsConfig { max_finished, ..JobsConfig::default() };
            let jobs = Jobs::start(config, &Drain::new());
            for at in 0..12 {
                jobs.register(spec(&format!("j{at}"))).unwrap();
                jobs.started(&id(&format!("j{at}")));
            }
            if restart {
                jobs.node_restarted(&"n".parse().unwrap());
                prop_assert_eq!(jobs.list().len(), max_finished);
                return Ok(());
            }
            for at in &order {
                jobs.finish(&id(&format!("j{at}")), End::Expired);
            }
            for (rank, at) in order.iter().rev().enumerate() {
                prop_assert_eq!(jobs.get(&id(&format!("j{at}"))).is_ok(), rank < max_finished);
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn finished_jobs_go_after_their_retention_and_unfinished_ones_stay() {
    let drain = Drain::new();
    let config = JobsConfig {
        retention: Duration::from_secs(10),
        ..JobsConfig::default()
    };
    let jobs = Jobs::start(config, &drain);
    jobs.register(spec("stays")).unwrap();
    jobs.register(spec("goes")).unwrap();
    jobs.finish(&id("goes"), End::Answered("+OK".into()));
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(jobs.get(&id("goes")).is_ok());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let gone = jobs.get(&id("goes")).unwrap_err();
    assert_eq!(gone.reason(), Reason::JobNotFound);
    assert_eq!(jobs.list().len(), 1);
    // Late words about it begin nothing.
    assert!(!jobs.finish(&id("goes"), End::Expired));
    jobs.started(&id("goes"));
    assert_eq!(jobs.list().len(), 1);
    assert!(drain.finish(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn an_id_is_taken_unless_its_job_never_reached_freeswitch() {
    let jobs = Jobs::start(JobsConfig::default(), &Drain::new());
    jobs.register(spec("j")).unwrap();
    let taken = jobs.register(spec("j")).unwrap_err();
    assert_eq!(taken.reason(), Reason::RequestIdReused);
    let unsent = Failure::new(Reason::NodeUnavailable, "x").retry_after(Duration::from_secs(1));
    jobs.finish(&id("j"), End::Failed(unsent));
    jobs.register(spec("j")).unwrap();
    assert_eq!((jobs.list().len(), jobs.unfinished()), (1, 1));
}

#[tokio::test]
async fn more_jobs_than_allowed_are_refused_until_one_ends() {
    let config = JobsConfig {
        max_running: 1,
        ..JobsConfig::default()
    };
    let jobs = Jobs::start(config, &Drain::new());
    jobs.register(spec("a")).unwrap();
    let full = jobs.register(spec("b")).unwrap_err();
    assert_eq!(full.reason(), Reason::Overloaded);
    assert!(full.retry_delay().is_some());
    jobs.finish(&id("a"), End::Cancelled);
    jobs.register(spec("b")).unwrap();
}

#[tokio::test]
async fn whoever_waits_hears_the_end_also_when_the_job_is_forgotten_at_once() {
    let config = JobsConfig {
        max_finished: 0,
        ..JobsConfig::default()
    };
    let jobs = Jobs::start(config, &Drain::new());
    jobs.register(spec("j")).unwrap();
    let job = id("j");
    let finish = async {
        tokio::task::yield_now().await;
        assert!(jobs.finish(&job, End::Answered("+OK".into())));
    };
    let (ended, ()) = tokio::join!(jobs.ended(&job), finish);
    assert_eq!(ended.unwrap().state, JobState::Succeeded);
    assert!(jobs.get(&job).is_err());
}
