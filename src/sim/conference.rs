//! Conferences: rooms, their members, and what is said about them.

use std::sync::Arc;

use super::apps::Wait;
use super::core::Core;

/// The conferences by their names.
#[derive(Debug, Default)]
pub(super) struct Conferences {}

/// The application `conference`.
pub(super) async fn join(core: &Arc<Core>, uuid: &str, room: &str) {
    let _ = room;
    Wait::new(core, uuid).out().await;
}
