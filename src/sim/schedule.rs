//! What `sched_api`, `sched_hangup` and `sched_transfer` plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, World};
use super::event::Event;
use super::names::EventKind;
use super::{api, transfer};
use crate::domain::HangupCause;

/// The tasks that have not run yet.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    tasks: BTreeMap<u32, Planned>,
    last: u32,
}

/// What is planned.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// An api command.
    Api(String, String),
    /// Hang this channel up.
    Hangup(String, HangupCause),
    /// Send this channel to an extension, a dialplan, a context.
    Transfer(String, [String; 3]),
}

#[derive(Debug)]
struct Planned {
    description: &'static str,
    group: String,
    due: u64,
}

/// Plans an action; gives the task's number.
pub(super) fn plan(
    core: &Arc<Core>,
    world: &mut World,
    after: Duration,
    group: &str,
    action: Action,
) -> u32 {
    world.schedule.last += 1;
    let id = world.schedule.last;
    let description = match &action {
        Action::Api(..) => "sched_api_function",
        Action::Hangup(..) => "switch_ivr_schedule_hangup",
        Action::Transfer(..) => "switch_ivr_schedule_transfer",
    };
    let due = world.now() / 1_000_000 + after.as_secs();
    let planned = Planned {
        description,
        group: group.to_owned(),
        due,
    };
    let event = event(EventKind::AddSchedule, id, &planned);
    world.schedule.tasks.insert(id, planned);
    world.fire(event);
    let core = Arc::clone(core);
    let drain = core.drain.clone();
    let (stopped, generation) = (drain.stopped(), world.core_uuid.clone());
    drain.spawn(async move {
        tokio::select! {
            biased;
            () = stopped => return,
            () = tokio::time::sleep(after) => {}
        }
        run(&core, id, &generation, action).await;
    });
    id
}

async fn run(core: &Arc<Core>, id: u32, generation: &str, action: Action) {
    let planned = {
        let mut world = core.world();
        if world.core_uuid != generation {
            return;
        }
        let Some(planned) = world.schedule.tasks.remove(&id) else {
            return;
        };
        planned
    };
    match action {
        Action::Hangup(uuid, cause) => core.world().hangup(&uuid, cause),
        Action::Transfer(uuid, [extension, dialplan, context]) => {
            let mut world = core.world();
            transfer::transfer(&mut world, &uuid, &extension, &dialplan, &context);
        }
        Action::Api(name, arguments) => {
            let _output = api::execute(core, &name, &arguments).await;
        }
    }
    let mut world = core.world();
    let event = event(EventKind::DelSchedule, id, &planned);
    world.fire(event);
}

fn event(kind: EventKind, id: u32, planned: &Planned) -> Event {
    Event::new(kind)
        .with("Task-ID", id.to_string())
        .with("Task-Desc", planned.description)
        .with("Task-Group", planned.group.clone())
        .with("Task-Runtime", planned.due.to_string())
}

// === impl World ===

impl World {
    /// Forgets tasks: one by its number, or all of a group. Gives how many there were.
    pub(super) fn unplan(&mut self, id_or_group: &str) -> usize {
        let id = id_or_group.parse::<u32>().ok();
        let found: Vec<u32> = self
            .schedule
            .tasks
            .iter()
            .filter(|(key, planned)| {
                Some(**key) == id || (id.is_none() && planned.group == id_or_group)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in &found {
            if let Some(planned) = self.schedule.tasks.remove(key) {
                let event = event(EventKind::DelSchedule, *key, &planned);
                self.fire(event);
            }
        }
        found.len()
    }
}
