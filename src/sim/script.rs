//! Outcomes that only the simulator has: `sim/answer?delay=2s` and its like.

use std::time::Duration;

use super::core::World;
use crate::domain::HangupCause;

/// What a `sim/` leg does, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    outcome: Outcome,
    /// Time before the outcome.
    delay: Duration,
    /// Time of ringing or early media before the answer.
    ring: Duration,
    /// Time from the answer to the far end's hangup, if it hangs up.
    talk: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answer,
    RingAnswer,
    Early,
    EarlyAnswer,
    Ring,
    Fail(HangupCause),
}

// === impl Script ===

impl Script {
    /// Reads what stands behind `sim/`: an outcome and `?name=duration&...`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (outcome, options) = match text.split_once('?') {
            Some((outcome, options)) => (outcome, Some(options)),
            None => (text, None),
        };
        let (mut delay, mut ring, mut talk) = (Duration::ZERO, Duration::from_secs(1), None);
        for option in options.into_iter().flat_map(|options| options.split('&')) {
            let (name, value) = option.split_once('=')?;
            let value = humantime::parse_duration(value).ok()?;
            match name {
                "delay" => delay = value,
                "ring" => ring = value,
                "talk" => talk = Some(value),
                _ => return None,
            }
        }
        let outcome = match outcome {
            "answer" => Outcome::Answer,
            "ring_answer" => Outcome::RingAnswer,
            "early" => Outcome::Early,
            "early_answer" => Outcome::EarlyAnswer,
            "no_answer" | "ring" => Outcome::Ring,
            "busy" => Outcome::Fail(HangupCause::UserBusy),
            "reject" => Outcome::Fail(HangupCause::CallRejected),
            cause => Outcome::Fail(cause.parse().ok()?),
        };
        Some(Self {
            outcome,
            delay,
            ring,
            talk,
        })
    }
}

/// Starts the script of a leg.
pub(super) fn start(world: &mut World, uuid: &str, script: Script) {
    if script.delay.is_zero() {
        return play(world, uuid, &script);
    }
    let uuid = uuid.to_owned();
    world.later(script.delay, move |world| play(world, &uuid, &script));
}

fn play(world: &mut World, uuid: &str, script: &Script) {
    match script.outcome {
        Outcome::Answer => answer(world, uuid, script.talk),
        Outcome::Ring => world.mark_ringing(uuid),
        Outcome::Early => world.mark_early(uuid),
        Outcome::Fail(cause) => world.refuse(uuid, cause),
        Outcome::RingAnswer | Outcome::EarlyAnswer => {
            match script.outcome {
                Outcome::EarlyAnswer => world.mark_early(uuid),
                _ => world.mark_ringing(uuid),
            }
            let (uuid, talk) = (uuid.to_owned(), script.talk);
            world.later(script.ring, move |world| answer(world, &uuid, talk));
        }
    }
}

fn answer(world: &mut World, uuid: &str, talk: Option<Duration>) {
    world.mark_answered(uuid);
    if let Some(talk) = talk {
        let uuid = uuid.to_owned();
        world.later(talk, move |world| {
            world.hangup(&uuid, HangupCause::NormalClearing);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_with_their_times() {
        let script = Script::parse("ring_answer?ring=2s&talk=500ms").unwrap();
        assert_eq!(script.ring, Duration::from_secs(2));
        assert_eq!(script.talk, Some(Duration::from_millis(500)));
        assert_eq!(
            Script::parse("NO_ROUTE_DESTINATION").map(|script| script.outcome),
            Some(Outcome::Fail(HangupCause::NoRouteDestination))
        );
        for wrong in [
            "nonsense",
            "answer?delay=x",
            "answer?dely=1s",
            "answer?",
            "busy?ring",
        ] {
            assert_eq!(Script::parse(wrong), None, "{wrong}");
        }
    }
}
