//! States of channels, calls and nodes, by the names that FreeSWITCH uses on the wire.

use std::fmt;

/// Makes an enum of states with their wire names.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }

            /// The state with this name on the wire, if there is one.
            pub fn from_wire(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

wire_enum! {
    /// Where a channel is in FreeSWITCH's state machine (`switch_channel_state_t` in
    /// `switch_types.h`), in the order of its life.
    ChannelState {
        /// Just made.
        New = "CS_NEW",
        /// Being set up.
        Init = "CS_INIT",
        /// Looking for what to do (dial plan).
        Routing = "CS_ROUTING",
        /// Ready to execute, waiting for a third party.
        SoftExecute = "CS_SOFT_EXECUTE",
        /// Executing applications.
        Execute = "CS_EXECUTE",
        /// Exchanging media with another channel.
        ExchangeMedia = "CS_EXCHANGE_MEDIA",
        /// Parked.
        Park = "CS_PARK",
        /// Consuming media and dropping it, as an originated leg does until it is answered.
        ConsumeMedia = "CS_CONSUME_MEDIA",
        /// Asleep.
        Hibernate = "CS_HIBERNATE",
        /// Being reset.
        Reset = "CS_RESET",
        /// Hung up.
        Hangup = "CS_HANGUP",
        /// Hung up, gathering its final details.
        Reporting = "CS_REPORTING",
        /// Gone.
        Destroy = "CS_DESTROY",
        /// No state.
        None = "CS_NONE",
    }
}

wire_enum! {
    /// What a channel is from a caller's point of view (`switch_channel_callstate_t` in
    /// `switch_types.h`, names in `switch_channel_callstate2str`).
    CallState {
        /// Nothing yet.
        Down = "DOWN",
        /// Dialling.
        Dialing = "DIALING",
        /// The far end rings.
        Ringing = "RINGING",
        /// Early media flows.
        Early = "EARLY",
        /// Answered.
        Active = "ACTIVE",
        /// On hold.
        Held = "HELD",
        /// Waiting to ring.
        RingWait = "RING_WAIT",
        /// Hung up.
        Hangup = "HANGUP",
        /// Taken off hold.
        Unheld = "UNHELD",
    }
}

wire_enum! {
    /// Who made a leg, as seen from FreeSWITCH.
    Direction {
        /// The far end called FreeSWITCH.
        Inbound = "inbound",
        /// FreeSWITCH called the far end.
        Outbound = "outbound",
    }
}

wire_enum! {
    /// What the gateway knows of a node. Commands are taken in `Ready` and, for sessions that
    /// already live there, in `Draining`.
    NodeState {
        /// Trying to connect for the first time.
        Connecting = "CONNECTING",
        /// Connected; reading which sessions exist.
        Syncing = "SYNCING",
        /// In service.
        Ready = "READY",
        /// In service, but gets no new calls.
        Draining = "DRAINING",
        /// The link is lost; reconnecting.
        Down = "DOWN",
        /// No longer one of the gateway's nodes.
        Removed = "REMOVED",
    }
}

// === impl ChannelState ===

impl ChannelState {
    /// Whether the channel has been hung up (FreeSWITCH's `switch_channel_down`).
    pub fn is_down(self) -> bool {
        matches!(self, Self::Hangup | Self::Reporting | Self::Destroy)
    }
}
