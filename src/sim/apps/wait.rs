//! What an application waits for, and what wakes it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::channel::Message;
use super::super::core::Core;
use super::super::far;
use super::{media, perform};
use crate::domain::ChannelState;

/// Why a waiting application woke up.
pub(in crate::sim) enum Woken {
    /// The channel has been hung up, or is gone.
    Down,
    /// The channel has been put into another state.
    Moved,
    /// Somebody broke the application off (`uuid_break`).
    Broken,
    /// A command for the session.
    Message(Message),
    /// A digit was received.
    Digit(char),
    /// The time is over.
    Timeout,
}

/// What an application waits for. Made at its start, so that nothing that happens while it runs is
/// missed.
pub(in crate::sim) struct Wait<'a> {
    core: &'a Arc<Core>,
    uuid: &'a str,
    state: ChannelState,
    breaks: u64,
    /// Until when.
    pub(in crate::sim) until: Option<Instant>,
    /// Whether commands are taken.
    pub(in crate::sim) messages: bool,
    /// Whether it lasts as long as the file that plays.
    pub(in crate::sim) playing: bool,
    /// Whether digits are taken.
    pub(in crate::sim) digits: bool,
    /// Whether a digit that has come ends the wait; it is left to be taken.
    pub(in crate::sim) until_digit: bool,
}

// === impl Wait ===

impl<'a> Wait<'a> {
    /// Waits without end, taking commands.
    pub(in crate::sim) fn new(core: &'a Arc<Core>, uuid: &'a str) -> Self {
        let mut world = core.world();
        let channel = world.channels.get_mut(uuid);
        let (state, breaks) = channel.map_or((ChannelState::None, 0), |channel| {
            far::acknowledge(channel);
            (channel.running, channel.breaks)
        });
        Self {
            core,
            uuid,
            state,
            breaks,
            until: None,
            messages: true,
            playing: false,
            digits: false,
            until_digit: false,
        }
    }

    /// Waits this long at most.
    pub(in crate::sim) fn for_at_most(mut self, span: Duration) -> Self {
        self.until = Some(Instant::now() + span);
        self
    }

    /// Waits for the next thing that concerns the application.
    pub(in crate::sim) async fn next(&self) -> Woken {
        let mut until = self.until;
        loop {
            let wake = {
                let mut world = self.core.world();
                let Some(channel) = world.channels.get_mut(self.uuid) else {
                    return Woken::Down;
                };
                if channel.is_down() {
                    return Woken::Down;
                }
                if channel.state != self.state {
                    return Woken::Moved;
                }
                if channel.breaks != self.breaks {
                    // Whoever is broken off first has used the break up.
                    channel.breaks = self.breaks;
                    return Woken::Broken;
                }
                if let Some(message) = self.messages.then(|| channel.inbox.pop_front()).flatten() {
                    return Woken::Message(message);
                }
                if self.until_digit && !channel.digits.is_empty() {
                    return Woken::Broken;
                }
                let wake = Arc::clone(&channel.wake);
                if self.playing {
                    // Forwarded to its end or paused: the end is asked anew each time.
                    until = channel
                        .play
                        .filter(|play| play.paused_at.is_none())
                        .map(|play| play.ends);
                }
                if let Some(digit) = self.digits.then(|| channel.digits.pop_front()).flatten() {
                    media::read_digit(&mut world, self.uuid, digit);
                    return Woken::Digit(digit.key);
                }
                wake
            };
            match until {
                None => wake.notified().await,
                Some(until) => {
                    if tokio::time::timeout_at(until, wake.notified())
                        .await
                        .is_err()
                    {
                        return Woken::Timeout;
                    }
                }
            }
        }
    }

    /// Waits to the end of the time or of the application, carrying out commands meanwhile.
    pub(in crate::sim) async fn out(&self) -> Woken {
        loop {
            match self.next().await {
                Woken::Message(message) => perform(self.core, self.uuid, message).await,
                woken => return woken,
            }
        }
    }
}
