//! The event names that FreeSWITCH knows.

macro_rules! event_kinds {
    ($($variant:ident = $name:literal,)*) => {
        /// What an event is about (`EVENT_NAMES` in FreeSWITCH's `switch_event.c`, in its order).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum EventKind { $($variant,)* }

        impl EventKind {
            const ALL_KINDS: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_kinds! {
    Custom = "CUSTOM", Clone = "CLONE", Create = "CHANNEL_CREATE", Destroy = "CHANNEL_DESTROY",
    State = "CHANNEL_STATE", CallState = "CHANNEL_CALLSTATE", Answer = "CHANNEL_ANSWER",
    Hangup = "CHANNEL_HANGUP", HangupComplete = "CHANNEL_HANGUP_COMPLETE",
    Execute = "CHANNEL_EXECUTE", ExecuteComplete = "CHANNEL_EXECUTE_COMPLETE",
    Hold = "CHANNEL_HOLD", Unhold = "CHANNEL_UNHOLD", Bridge = "CHANNEL_BRIDGE",
    Unbridge = "CHANNEL_UNBRIDGE", Progress = "CHANNEL_PROGRESS",
    ProgressMedia = "CHANNEL_PROGRESS_MEDIA", Outgoing = "CHANNEL_OUTGOING", Park = "CHANNEL_PARK",
    Unpark = "CHANNEL_UNPARK", Application = "CHANNEL_APPLICATION",
    Originate = "CHANNEL_ORIGINATE", Uuid = "CHANNEL_UUID", Api = "API", Log = "LOG",
    InboundChan = "INBOUND_CHAN", OutboundChan = "OUTBOUND_CHAN", Startup = "STARTUP",
    Shutdown = "SHUTDOWN", Publish = "PUBLISH", Unpublish = "UNPUBLISH", Talk = "TALK",
    Notalk = "NOTALK", SessionCrash = "SESSION_CRASH", ModuleLoad = "MODULE_LOAD",
    ModuleUnload = "MODULE_UNLOAD", Dtmf = "DTMF", Message = "MESSAGE",
    PresenceIn = "PRESENCE_IN", NotifyIn = "NOTIFY_IN", PresenceOut = "PRESENCE_OUT",
    PresenceProbe = "PRESENCE_PROBE", MessageWaiting = "MESSAGE_WAITING",
    MessageQuery = "MESSAGE_QUERY", Roster = "ROSTER", Codec = "CODEC",
    BackgroundJob = "BACKGROUND_JOB", DetectedSpeech = "DETECTED_SPEECH",
    DetectedTone = "DETECTED_TONE", PrivateCommand = "PRIVATE_COMMAND", Heartbeat = "HEARTBEAT",
    Trap = "TRAP", AddSchedule = "ADD_SCHEDULE", DelSchedule = "DEL_SCHEDULE",
    ExeSchedule = "EXE_SCHEDULE", ReSchedule = "RE_SCHEDULE", ReloadXml = "RELOADXML",
    Notify = "NOTIFY", PhoneFeature = "PHONE_FEATURE",
    PhoneFeatureSubscribe = "PHONE_FEATURE_SUBSCRIBE", SendMessage = "SEND_MESSAGE",
    RecvMessage = "RECV_MESSAGE", RequestParams = "REQUEST_PARAMS", Data = "CHANNEL_DATA",
    General = "GENERAL", Command = "COMMAND", SessionHeartbeat = "SESSION_HEARTBEAT",
    ClientDisconnected = "CLIENT_DISCONNECTED", ServerDisconnected = "SERVER_DISCONNECTED",
    SendInfo = "SEND_INFO", RecvInfo = "RECV_INFO", RecvRtcpMessage = "RECV_RTCP_MESSAGE",
    SendRtcpMessage = "SEND_RTCP_MESSAGE", CallSecure = "CALL_SECURE", Nat = "NAT",
    RecordStart = "RECORD_START", RecordStop = "RECORD_STOP", PlaybackStart = "PLAYBACK_START",
    PlaybackStop = "PLAYBACK_STOP", CallUpdate = "CALL_UPDATE", Failure = "FAILURE",
    SocketData = "SOCKET_DATA", MediaBugStart = "MEDIA_BUG_START", MediaBugStop = "MEDIA_BUG_STOP",
    ConferenceDataQuery = "CONFERENCE_DATA_QUERY", ConferenceData = "CONFERENCE_DATA",
    CallSetupReq = "CALL_SETUP_REQ", CallSetupResult = "CALL_SETUP_RESULT",
    CallDetail = "CALL_DETAIL", DeviceState = "DEVICE_STATE", Text = "TEXT",
    ShutdownRequested = "SHUTDOWN_REQUESTED", All = "ALL",
}

/// The subclasses of `CUSTOM` that the modules which the simulator stands for announce when they are
/// loaded (`switch_event_reserve_subclass` in `mod_sofia.c`, `mod_conference.c` and `mod_avmd.c`).
pub(super) const KNOWN_SUBCLASSES: &[&str] = &[
    "avmd::beep",
    "avmd::start",
    "avmd::stop",
    "conference::cdr",
    "conference::maintenance",
    "sofia::error",
    "sofia::expire",
    "sofia::gateway_add",
    "sofia::gateway_delete",
    "sofia::gateway_state",
    "sofia::intercepted",
    "sofia::notify_refer",
    "sofia::profile_start",
    "sofia::register",
    "sofia::register_failure",
    "sofia::reinvite",
    "sofia::replaced",
    "sofia::sip_user_state",
    "sofia::transferee",
    "sofia::transferor",
    "sofia::unregister",
];

/// A set of event kinds, one bit each; there are fewer than 128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KindSet(u128);

// === impl EventKind ===

impl EventKind {
    /// The kinds that `myevents` brings (`parse_command` in `mod_event_socket.c`).
    pub(super) const OF_A_CHANNEL: &'static [Self] = &[
        Self::Answer,
        Self::Application,
        Self::Bridge,
        Self::Create,
        Self::Data,
        Self::Destroy,
        Self::Execute,
        Self::ExecuteComplete,
        Self::Hangup,
        Self::HangupComplete,
        Self::Originate,
        Self::Uuid,
        Self::Outgoing,
        Self::Park,
        Self::Progress,
        Self::ProgressMedia,
        Self::State,
        Self::Unbridge,
        Self::Unpark,
        Self::DetectedSpeech,
        Self::Dtmf,
        Self::Notalk,
        Self::Talk,
    ];

    /// The kind with this name in any case, also behind the 13 bytes of `SWITCH_EVENT_`, or any 13
    /// others (`switch_name_event` in `switch_event.c`).
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let rest = name.get(13..).unwrap_or_default();
        let same = |kind: &&Self| {
            let known = kind.name();
            known.eq_ignore_ascii_case(rest) || known.eq_ignore_ascii_case(name)
        };
        Self::ALL_KINDS.iter().find(same).copied()
    }

    /// Whether a channel's event of this kind carries the channel's variables
    /// (`switch_channel_event_set_extended_data` in `switch_channel.c`).
    pub(super) fn carries_variables(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Originate
                | Self::Uuid
                | Self::Answer
                | Self::Park
                | Self::Unpark
                | Self::Bridge
                | Self::Unbridge
                | Self::Progress
                | Self::ProgressMedia
                | Self::Hangup
                | Self::HangupComplete
                | Self::RequestParams
                | Self::Data
                | Self::Execute
                | Self::ExecuteComplete
                | Self::Destroy
                | Self::SessionHeartbeat
                | Self::Api
                | Self::RecordStart
                | Self::RecordStop
                | Self::PlaybackStart
                | Self::PlaybackStop
                | Self::CallUpdate
                | Self::MediaBugStart
                | Self::MediaBugStop
                | Self::Hold
                | Self::Unhold
                | Self::Text
                | Self::Custom
        )
    }

    /// File and function that fire it, as `Event-Calling-File` and `-Function` say.
    pub(super) fn origin(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::State => (
                "switch_channel.c",
                "switch_channel_perform_set_running_state",
                "2408",
            ),
            Self::CallState => (
                "switch_channel.c",
                "switch_channel_perform_set_callstate",
                "389",
            ),
            Self::Answer => (
                "switch_channel.c",
                "switch_channel_perform_mark_answered",
                "3859",
            ),
            Self::Hangup => ("switch_channel.c", "switch_channel_perform_hangup", "3391"),
            Self::Execute => ("switch_core_session.c", "switch_core_session_exec", "2991"),
            Self::ExecuteComplete => ("switch_core_session.c", "switch_core_session_exec", "3064"),
            Self::Create => (
                "switch_core_state_machine.c",
                "switch_core_session_run",
                "626",
            ),
            Self::Destroy => (
                "switch_core_session.c",
                "switch_core_session_perform_destroy",
                "1563",
            ),
            Self::HangupComplete => (
                "switch_core_state_machine.c",
                "switch_core_session_reporting_state",
                "1015",
            ),
            Self::Park | Self::Unpark => ("switch_ivr.c", "switch_ivr_park", "1002"),
            Self::Heartbeat => ("switch_core.c", "send_heartbeat", "95"),
            Self::BackgroundJob => ("mod_event_socket.c", "api_exec", "1572"),
            Self::Api => ("switch_loadable_module.c", "switch_api_execute", "2954"),
            Self::Data => ("mod_commands.c", "uuid_dump_function", "6468"),
            _ => ("switch_core.c", "simulator", "1"),
        }
    }
}

// === impl KindSet ===

impl KindSet {
    /// Adds a kind; `ALL` adds every kind.
    pub(super) fn insert(&mut self, kind: EventKind) {
        if kind == EventKind::All {
            self.0 = u128::MAX;
        } else {
            self.0 |= 1 << kind as u8;
        }
    }

    /// Takes a kind out; `ALL` takes every kind out. Who had asked for all has the rest one by one.
    pub(super) fn nix(&mut self, kind: EventKind) {
        if kind == EventKind::All {
            self.0 = 0;
        } else {
            self.0 &= !(1 << kind as u8) & !(1 << EventKind::All as u8);
        }
    }

    /// Whether the kind is in the set.
    pub(super) fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The kinds of both.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `ALL` was asked for.
    pub(super) fn is_all(self) -> bool {
        self.contains(EventKind::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EVENT_NAMES;

    #[test]
    fn the_kinds_are_those_that_clients_may_name() {
        let kinds: Vec<&str> = EventKind::ALL_KINDS
            .iter()
            .map(|kind| kind.name())
            .collect();
        assert_eq!(kinds, EVENT_NAMES);
    }
}
