//! A FreeSWITCH that exists only on the wire: it speaks the event socket's protocol, its channels
//! live through the states of the real one's, and it fails on request.
//!
//! A [`Sim`] is one node. All that it knows is in one `World` behind one lock (`core.rs`); a task
//! per connection (`server.rs`) and a task per channel (`lifecycle.rs`) work on it, as the threads
//! of FreeSWITCH do on its core.
//!
//! | file | what it holds |
//! |---|---|
//! | `server`, `command`, `subscribe`, `wire`, `listener` | connections, their commands, their queues |
//! | `event`, `names`, `encode`, `clock` | events and how they are written |
//! | `core`, `heartbeat`, `schedule`, `listing`, `fault` | the node |
//! | `channel`, `profile`, `lifecycle`, `cdr` | a leg, its states, its final variables |
//! | `far`, `midcall`, `sip`, `script` | the other end of a leg |
//! | `legs`, `originate`, `dialstring`, `quoting`, `expand` | how a call is made |
//! | `dialplan`, `apps`, `bridge`, `conference`, `transfer`, `outbound` | what a call does |
//! | `api`, `tables` | api commands |

mod amd;
mod api;
mod apps;
mod bridge;
mod bypass;
mod cdr;
mod channel;
mod clock;
mod command;
mod conference;
mod config;
mod core;
mod dialplan;
mod dialstring;
mod encode;
mod event;
mod expand;
mod far;
mod fault;
mod heartbeat;
mod legs;
mod lifecycle;
mod listener;
mod listing;
mod midcall;
mod names;
mod originate;
mod outbound;
mod pattern;
mod profile;
mod quoting;
mod schedule;
mod script;
mod server;
mod sip;
mod subscribe;
mod tables;
mod transfer;
mod view;
mod wire;

use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::net::TcpListener;

use crate::domain::HangupCause;
use crate::shutdown::Drain;

pub use config::{SimConfig, SimUser};
pub use fault::{Fault, Links};
pub use view::ChannelView;

/// Bytes that an in-memory connection holds in each direction.
const DUPLEX_BYTES: usize = 64 << 10;

/// A simulated node. Clones are the same node; it lives until its drain stops.
#[derive(Debug, Clone)]
pub struct Sim {
    core: Arc<core::Core>,
}

// === impl Sim ===

impl Sim {
    /// Starts a node; its tasks belong to `drain`.
    pub fn new(config: SimConfig, drain: &Drain) -> Self {
        let core = core::Core::new(config, drain.clone());
        drain.spawn(heartbeat::run(Arc::clone(&core)));
        Self { core }
    }

    /// Accepts connections until the drain stops.
    pub async fn serve(&self, listener: TcpListener) {
        server::serve(&self.core, listener).await;
    }

    /// An in-memory connection to the event socket. While connections are refused, it is closed
    /// from the start.
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(DUPLEX_BYTES);
        server::start(&self.core, ours);
        theirs
    }

    /// Makes something go wrong. `api sim_fault <name> [argument]` does the same on the wire.
    pub fn inject(&self, fault: Fault) {
        self.core.inject(Links::All, fault);
    }

    /// Makes something go wrong with some of the connections alone.
    pub fn inject_on(&self, links: Links, fault: Fault) {
        self.core.inject(links, fault);
    }

    /// The channels as they are, oldest first; unlike `show channels`, without a lag.
    pub fn channels(&self) -> Vec<ChannelView> {
        view::channels(&self.core.world())
    }

    /// Number of channels, without a look at each.
    pub fn live(&self) -> usize {
        self.core.world().channels.len()
    }

    /// The last 10,000 commands that were received, byte for byte.
    pub fn commands(&self) -> Vec<Vec<u8>> {
        self.core
            .world()
            .commands
            .iter()
            .map(|raw| raw.to_vec())
            .collect()
    }

    /// The same, and forgets them: what was received since the last time.
    pub fn take_commands(&self) -> Vec<Vec<u8>> {
        let taken = std::mem::take(&mut self.core.world().commands);
        taken.iter().map(|raw| raw.to_vec()).collect()
    }

    /// Number of open connections.
    pub fn connections(&self) -> usize {
        self.core.world().listeners.len()
    }

    /// `Core-UUID`, new at every start.
    pub fn core_uuid(&self) -> String {
        self.core.world().core_uuid.clone()
    }

    /// A call arrives from outside and asks the dialplan for `destination`; gives its channel.
    pub fn place_inbound(&self, destination: &str, caller: &str) -> String {
        let invite = channel::Invite {
            to: destination.to_owned(),
            from: caller.to_owned(),
            display: String::new(),
        };
        far::arrive(&mut self.core.world(), invite, None)
    }

    /// The far end of a channel hangs up.
    pub fn hang_up(&self, uuid: &str) {
        self.core.world().hangup(uuid, HangupCause::NormalClearing);
    }
}
