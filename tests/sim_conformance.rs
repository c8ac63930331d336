//! The simulator against recordings of a real FreeSWITCH: the recorded commands, at their recorded
//! times, must bring replies of the same form and, for each channel, the same events.
//!
//! The recordings are those of `tests/captures`, or of the folder that `SWITCHGATE_CAPTURES` names.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

mod allowed;
pub(crate) mod record;
mod run;

use record::Recording;

/// The recorded flows: `NAME.commands` and `NAME.events`, or one connection alone.
fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(record::folder())
        .expect("the folder of recordings can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".transcript.zst").map(str::to_owned))
        .map(|name| name.strip_suffix(".events").unwrap_or(&name).to_owned())
        .map(|name| name.strip_suffix(".commands").unwrap_or(&name).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// All flows in one test, so that one run names every difference.
#[tokio::test(start_paused = true)]
async fn the_simulator_answers_and_tells_as_recorded() {
    let only = std::env::var("SWITCHGATE_FLOW").ok();
    let mut differences = Vec::new();
    let mut flows = 0;
    for name in names() {
        if only.as_ref().is_some_and(|only| *only != name) || allowed::is_left_out(&name) {
            continue;
        }
        flows += 1;
        let recording = Recording::load(&name);
        let found = run::differences(&recording).await;
        let kept = found
            .into_iter()
            .filter(|difference| !allowed::is(&name, difference));
        differences.extend(kept.map(|difference| format!("{name}: {difference}")));
    }
    assert!(flows > 0, "no recording was found");
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
