//! What a test may see of a channel.

use super::channel::Answer;
use super::core::World;
use crate::domain::{CallState, ChannelState};

/// A channel as it is in the node's core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// `Unique-ID`.
    pub uuid: String,
    /// `Channel-Name`.
    pub name: String,
    /// The state that its task runs.
    pub state: ChannelState,
    /// `Channel-Call-State`.
    pub call_state: CallState,
    /// Whether it is answered.
    pub answered: bool,
    /// The channel that it is bridged to.
    pub peer: Option<String>,
    /// Its variables.
    pub variables: Vec<(String, String)>,
}

/// All channels, oldest first.
pub(super) fn channels(world: &World) -> Vec<ChannelView> {
    let mut channels: Vec<_> = world.channels.values().collect();
    channels.sort_unstable_by_key(|channel| channel.number);
    channels
        .into_iter()
        .map(|channel| ChannelView {
            uuid: channel.uuid.clone(),
            name: channel.name.clone(),
            state: channel.running,
            call_state: channel.call_state,
            answered: channel.answer == Answer::Answered,
            peer: channel.partner.clone(),
            variables: channel
                .vars
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
        .collect()
}
