//! What is asked of FreeSWITCH for a call.

use super::*;
use crate::domain::identity;

fn asked() -> Identity {
    identity("x", "Originate", &[])
}

fn request(strategy: LegStrategy, endpoints: usize) -> Originate {
    Originate {
        endpoints: vec!["user/1000".to_owned(); endpoints],
        strategy,
        variables: Vec::new(),
        caller_id_name: None,
        caller_id_number: None,
        target: Target::Application {
            name: "park".to_owned(),
            arguments: String::new(),
        },
        selector: Selector::default(),
        wait: OriginateWait::Answered,
        detach: false,
        labels: Labels::default(),
        identity: asked(),
        ids: CallIds::of(&asked(), endpoints),
        ring_timeout: None,
    }
}

#[test]
fn failover_goes_on_when_a_leg_does_not_answer() {
    let goes_on = |strategy, endpoints| {
        let request = request(strategy, endpoints);
        let command = command(&request, &request.ids.legs, DEFAULT_RING, None);
        command.variables.iter().any(|(name, _)| name == FAILOVER.0)
    };
    assert!(goes_on(LegStrategy::Failover, 2));
    assert!(!goes_on(LegStrategy::Failover, 1));
    assert!(!goes_on(LegStrategy::Forked, 2));
}

#[test]
fn ids_come_from_the_request_id_and_differ_by_leg() {
    let (one, again) = (CallIds::of(&asked(), 2), CallIds::of(&asked(), 2));
    assert_eq!((&one.job, &one.legs), (&again.job, &again.legs));
    assert_ne!(one.legs[0], one.legs[1]);
}
