//! Hangup causes: FreeSWITCH's names, its numbers, Q.850 and SIP codes.

use std::fmt;
use std::str::FromStr;

/// One row per cause: variant, FreeSWITCH's name, FreeSWITCH's number, the SIP code that
/// `mod_sofia` answers with for it.
macro_rules! causes {
    ($($variant:ident, $name:literal, $number:literal, $sip:literal;)*) => {
        /// Why a leg ended (`switch_call_cause_t` in FreeSWITCH's `switch_types.h`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "the names are FreeSWITCH's own; hangup_cause.proto explains each")]
        pub enum HangupCause { $($variant = $number,)* }

        impl HangupCause {
            /// Every cause but `NONE`, in ascending order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// FreeSWITCH's name, for example `USER_BUSY` (`CAUSE_CHART` in `switch_channel.c`).
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The SIP status that stands for this cause on the wire
            /// (`hangup_cause_to_sip` in FreeSWITCH's `mod_sofia.c`).
            pub fn sip_code(self) -> u16 {
                match self { $(Self::$variant => $sip,)* }
            }

            /// The cause with FreeSWITCH's number, if there is one.
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl FromStr for HangupCause {
            type Err = UnknownCause;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name { $($name => Ok(Self::$variant),)* _ => Err(UnknownCause(name.to_owned())) }
            }
        }
    };
}

causes! {
    UnallocatedNumber, "UNALLOCATED_NUMBER", 1, 404;
    NoRouteTransitNet, "NO_ROUTE_TRANSIT_NET", 2, 404;
    NoRouteDestination, "NO_ROUTE_DESTINATION", 3, 404;
    ChannelUnacceptable, "CHANNEL_UNACCEPTABLE", 6, 480;
    CallAwardedDelivered, "CALL_AWARDED_DELIVERED", 7, 480;
    NormalClearing, "NORMAL_CLEARING", 16, 480;
    UserBusy, "USER_BUSY", 17, 486;
    NoUserResponse, "NO_USER_RESPONSE", 18, 408;
    NoAnswer, "NO_ANSWER", 19, 480;
    SubscriberAbsent, "SUBSCRIBER_ABSENT", 20, 480;
    CallRejected, "CALL_REJECTED", 21, 603;
    NumberChanged, "NUMBER_CHANGED", 22, 410;
    RedirectionToNewDestination, "REDIRECTION_TO_NEW_DESTINATION", 23, 410;
    ExchangeRoutingError, "EXCHANGE_ROUTING_ERROR", 25, 483;
    DestinationOutOfOrder, "DESTINATION_OUT_OF_ORDER", 27, 502;
    InvalidNumberFormat, "INVALID_NUMBER_FORMAT", 28, 484;
    FacilityRejected, "FACILITY_REJECTED", 29, 501;
    ResponseToStatusEnquiry, "RESPONSE_TO_STATUS_ENQUIRY", 30, 480;
    NormalUnspecified, "NORMAL_UNSPECIFIED", 31, 480;
    NormalCircuitCongestion, "NORMAL_CIRCUIT_CONGESTION", 34, 503;
    NetworkOutOfOrder, "NETWORK_OUT_OF_ORDER", 38, 503;
    NormalTemporaryFailure, "NORMAL_TEMPORARY_FAILURE", 41, 503;
    SwitchCongestion, "SWITCH_CONGESTION", 42, 503;
    AccessInfoDiscarded, "ACCESS_INFO_DISCARDED", 43, 480;
    RequestedChanUnavail, "REQUESTED_CHAN_UNAVAIL", 44, 503;
    PreEmpted, "PRE_EMPTED", 45, 480;
    FacilityNotSubscribed, "FACILITY_NOT_SUBSCRIBED", 50, 480;
    OutgoingCallBarred, "OUTGOING_CALL_BARRED", 52, 403;
    IncomingCallBarred, "INCOMING_CALL_BARRED", 54, 403;
    BearercapabilityNotauth, "BEARERCAPABILITY_NOTAUTH", 57, 403;
    BearercapabilityNotavail, "BEARERCAPABILITY_NOTAVAIL", 58, 503;
    ServiceUnavailable, "SERVICE_UNAVAILABLE", 63, 480;
    BearercapabilityNotimpl, "BEARERCAPABILITY_NOTIMPL", 65, 488;
    ChanNotImplemented, "CHAN_NOT_IMPLEMENTED", 66, 480;
    FacilityNotImplemented, "FACILITY_NOT_IMPLEMENTED", 69, 501;
    ServiceNotImplemented, "SERVICE_NOT_IMPLEMENTED", 79, 501;
    InvalidCallReference, "INVALID_CALL_REFERENCE", 81, 480;
    IncompatibleDestination, "INCOMPATIBLE_DESTINATION", 88, 488;
    InvalidMsgUnspecified, "INVALID_MSG_UNSPECIFIED", 95, 480;
    MandatoryIeMissing, "MANDATORY_IE_MISSING", 96, 480;
    MessageTypeNonexist, "MESSAGE_TYPE_NONEXIST", 97, 480;
    WrongMessage, "WRONG_MESSAGE", 98, 480;
    IeNonexist, "IE_NONEXIST", 99, 480;
    InvalidIeContents, "INVALID_IE_CONTENTS", 100, 480;
    WrongCallState, "WRONG_CALL_STATE", 101, 480;
    RecoveryOnTimerExpire, "RECOVERY_ON_TIMER_EXPIRE", 102, 504;
    MandatoryIeLengthError, "MANDATORY_IE_LENGTH_ERROR", 103, 480;
    ProtocolError, "PROTOCOL_ERROR", 111, 480;
    Interworking, "INTERWORKING", 127, 480;
    Success, "SUCCESS", 142, 480;
    OriginatorCancel, "ORIGINATOR_CANCEL", 487, 487;
    Crash, "CRASH", 700, 480;
    SystemShutdown, "SYSTEM_SHUTDOWN", 701, 480;
    LoseRace, "LOSE_RACE", 702, 480;
    ManagerRequest, "MANAGER_REQUEST", 703, 480;
    BlindTransfer, "BLIND_TRANSFER", 800, 480;
    AttendedTransfer, "ATTENDED_TRANSFER", 801, 480;
    AllottedTimeout, "ALLOTTED_TIMEOUT", 802, 480;
    UserChallenge, "USER_CHALLENGE", 803, 480;
    MediaTimeout, "MEDIA_TIMEOUT", 804, 480;
    PickedOff, "PICKED_OFF", 805, 480;
    UserNotRegistered, "USER_NOT_REGISTERED", 806, 480;
    ProgressTimeout, "PROGRESS_TIMEOUT", 807, 480;
    InvalidGateway, "INVALID_GATEWAY", 808, 484;
    GatewayDown, "GATEWAY_DOWN", 809, 503;
    InvalidUrl, "INVALID_URL", 810, 484;
    InvalidProfile, "INVALID_PROFILE", 811, 502;
    NoPickup, "NO_PICKUP", 812, 480;
    SrtpReadError, "SRTP_READ_ERROR", 813, 480;
    Bowout, "BOWOUT", 814, 480;
    BusyEverywhere, "BUSY_EVERYWHERE", 815, 600;
    Decline, "DECLINE", 816, 603;
    DoesNotExistAnywhere, "DOES_NOT_EXIST_ANYWHERE", 817, 604;
    NotAcceptable, "NOT_ACCEPTABLE", 818, 606;
    Unwanted, "UNWANTED", 819, 607;
    NoIdentity, "NO_IDENTITY", 820, 428;
    BadIdentityInfo, "BAD_IDENTITY_INFO", 821, 429;
    UnsupportedCertificate, "UNSUPPORTED_CERTIFICATE", 822, 437;
    InvalidIdentity, "INVALID_IDENTITY", 823, 438;
    StaleDate, "STALE_DATE", 824, 403;
    RejectAll, "REJECT_ALL", 825, 603;
}

/// A name that is no hangup cause of FreeSWITCH.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hangup cause of FreeSWITCH")]
pub struct UnknownCause(String);

// === impl HangupCause ===

impl HangupCause {
    /// FreeSWITCH's number of the cause.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The Q.850 code that FreeSWITCH signals for this cause: its number where that is one of
    /// Q.850 (below 128), else 16, normal clearing (`switch_channel_cause_q850` in
    /// `switch_channel.c`).
    pub fn q850(self) -> u16 {
        match self.number() {
            number @ 0..128 => number,
            _ => Self::NormalClearing.number(),
        }
    }
}

impl fmt::Display for HangupCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_found_by_name_and_number() {
        for &cause in HangupCause::ALL {
            assert_eq!(cause.name().parse(), Ok(cause));
            assert_eq!(HangupCause::from_number(cause.number()), Some(cause));
        }
        assert!("BUSY".parse::<HangupCause>().is_err());
    }

    #[test]
    fn own_causes_have_no_q850_code_of_their_own() {
        assert_eq!(HangupCause::UserBusy.q850(), 17);
        assert_eq!(HangupCause::OriginatorCancel.q850(), 16);
    }
}
