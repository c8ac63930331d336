//! Sessions and calls.

use std::collections::HashMap;

use super::{to_duration, to_labels, to_timestamp};
use crate::domain::{CallState, ChannelState, Direction};
use crate::pb;
use crate::tracker::{Call, Hangup, Party, Session};

/// A session, without its variables.
pub(in crate::grpc) fn to_session(session: &Session) -> pb::Session {
    let times = &session.times;
    pb::Session {
        session_id: session.id.to_string(),
        node_id: session.node.to_string(),
        call_id: session.call.to_string(),
        direction: session
            .direction
            .map_or(pb::Direction::Unspecified, to_direction)
            .into(),
        state: to_session_state(session.state).into(),
        call_state: to_call_state(session.call_state).into(),
        answered: session.answered,
        caller: Some(to_party(&session.caller)),
        callee: Some(to_party(&session.callee)),
        destination_number: session.destination.clone(),
        channel_name: session.channel_name.clone(),
        profile: session.profile.clone(),
        times: Some(pb::SessionTimes {
            created: times.created.map(to_timestamp),
            progress: times.progress.map(to_timestamp),
            answered: times.answered.map(to_timestamp),
            bridged: times.bridged.map(to_timestamp),
            held: times.held.map(to_timestamp),
            hung_up: times.hung_up.map(to_timestamp),
        }),
        hangup: session.hangup.as_ref().map(to_hangup),
        peer_session_id: session
            .peer
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        last_application: session
            .application
            .as_ref()
            .map(|application| pb::Application {
                name: application.name.clone(),
                arguments: application.arguments.clone(),
            }),
        uptime: Some(to_duration(session.uptime())),
        variables: HashMap::new(),
        labels: to_labels(&session.labels),
        parked: session.parked,
        synthetic_end: session.synthetic_end,
    }
}

/// A call with its sessions.
pub(in crate::grpc) fn to_call(call: &Call) -> pb::Call {
    let text = |id: Option<&crate::domain::SessionId>| id.map(ToString::to_string);
    pb::Call {
        call_id: call.id.to_string(),
        sessions: call
            .sessions
            .iter()
            .map(|session| to_session(session))
            .collect(),
        first_session_id: text(call.first()).unwrap_or_default(),
        last_session_id: text(call.last()).unwrap_or_default(),
        started: call.started().map(to_timestamp),
        ended: call.ended().map(to_timestamp),
    }
}

pub(in crate::grpc) fn to_direction(direction: Direction) -> pb::Direction {
    match direction {
        Direction::Inbound => pb::Direction::Inbound,
        Direction::Outbound => pb::Direction::Outbound,
    }
}

pub(in crate::grpc) fn to_session_state(state: ChannelState) -> pb::SessionState {
    match state {
        ChannelState::New => pb::SessionState::New,
        ChannelState::Init => pb::SessionState::Init,
        ChannelState::Routing => pb::SessionState::Routing,
        ChannelState::SoftExecute => pb::SessionState::SoftExecute,
        ChannelState::Execute => pb::SessionState::Execute,
        ChannelState::ExchangeMedia => pb::SessionState::ExchangeMedia,
        ChannelState::Park => pb::SessionState::Park,
        ChannelState::ConsumeMedia => pb::SessionState::ConsumeMedia,
        ChannelState::Hibernate => pb::SessionState::Hibernate,
        ChannelState::Reset => pb::SessionState::Reset,
        ChannelState::Hangup => pb::SessionState::Hangup,
        ChannelState::Reporting => pb::SessionState::Reporting,
        ChannelState::Destroy => pb::SessionState::Destroy,
        ChannelState::None => pb::SessionState::Unspecified,
    }
}

pub(in crate::grpc) fn to_call_state(state: CallState) -> pb::CallState {
    match state {
        CallState::Down => pb::CallState::Down,
        CallState::Dialing => pb::CallState::Dialing,
        CallState::Ringing => pb::CallState::Ringing,
        CallState::Early => pb::CallState::Early,
        CallState::Active => pb::CallState::Active,
        CallState::Held => pb::CallState::Held,
        CallState::RingWait => pb::CallState::RingWait,
        CallState::Hangup => pb::CallState::Hangup,
        CallState::Unheld => pb::CallState::Unheld,
    }
}

fn to_party(party: &Party) -> pb::Party {
    pb::Party {
        name: party.name.clone(),
        number: party.number.clone(),
    }
}

fn to_hangup(hangup: &Hangup) -> pb::Hangup {
    let Some(cause) = hangup.cause else {
        return pb::Hangup {
            cause: 0,
            q850_code: 0,
            sip_code: hangup.sip_code.map_or(0, u32::from),
        };
    };
    pb::Hangup {
        // The proto's numbers are FreeSWITCH's.
        cause: i32::from(cause.number()),
        q850_code: u32::from(cause.q850()),
        sip_code: u32::from(hangup.sip_code.unwrap_or_else(|| cause.sip_code())),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::HangupCause;
    use crate::pb;

    #[test]
    fn the_causes_of_the_proto_are_those_of_freeswitch() {
        for cause in HangupCause::ALL {
            let of_proto =
                pb::HangupCause::try_from(i32::from(cause.number())).expect("known to the proto");
            assert_eq!(
                of_proto.as_str_name(),
                format!("HANGUP_CAUSE_{}", cause.name())
            );
        }
    }
}
