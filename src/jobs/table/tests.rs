//! What the table keeps, and for how long.

use bytes::Bytes;

use super::*;

fn spec(id: &str) -> JobSpec {
    JobSpec {
        id: id.parse().unwrap(),
        command: "originate".to_owned(),
        arguments: String::new(),
        node: "a".parse().unwrap(),
        session: None,
        labels: Arc::default(),
        timeout: Duration::from_secs(1),
        mark: None,
        request: Default::default(),
    }
}

#[tokio::test]
async fn only_a_job_of_which_nothing_came_makes_room_for_another_of_its_id() {
    let jobs = Jobs::start(JobsConfig::default(), &Drain::new());
    let unsent = Failure::new(Reason::NodeUnavailable, "down").retry_after(Duration::from_secs(1));
    let spec = spec("x");
    jobs.register(spec.clone()).unwrap();
    assert!(jobs.register(spec.clone()).is_err());
    jobs.finish(&spec.id, End::Failed(unsent));
    jobs.register(spec.clone()).unwrap();
    assert_eq!((jobs.unfinished(), jobs.list().len()), (1, 1));
    jobs.finish(&spec.id, End::Answered(Bytes::from_static(b"+OK\n")));
    assert!(jobs.register(spec).is_err());
}

#[tokio::test]
async fn outputs_are_bounded_in_bytes() {
    let jobs = Jobs::start(JobsConfig::default(), &Drain::new());
    let output = Bytes::from(vec![b'x'; MAX_OUTPUT_BYTES / 16]);
    for at in 0..12 {
        let spec = spec(&at.to_string());
        jobs.register(spec.clone()).unwrap();
        jobs.finish(&spec.id, End::Answered(output.clone()));
    }
    assert_eq!(jobs.list().len(), 8);
    assert!(jobs.get(&spec("11").id).is_ok());
}

#[tokio::test]
async fn the_output_of_a_deleted_job_counts_no_more() {
    let jobs = Jobs::start(JobsConfig::default(), &Drain::new());
    let output = Bytes::from(vec![b'x'; MAX_OUTPUT_BYTES / 16]);
    let run = |id: &str| {
        jobs.register(spec(id)).unwrap();
        jobs.finish(&spec(id).id, End::Answered(output.clone()));
    };
    run("stays");
    for at in 0..20 {
        let id = at.to_string();
        run(&id);
        jobs.delete(&spec(&id).id).unwrap();
    }
    assert_eq!(jobs.list().len(), 1);
    assert!(jobs.get(&spec("stays").id).is_ok());
}
