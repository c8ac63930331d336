use super::*;
use Reason::{CallFailed as Failed, EndpointUnusable as Unusable, NodeLimit as Limit};

/// Every hangup cause of FreeSWITCH 1.10.12 (`CAUSE_CHART` in `switch_channel.c`), its Q.850 code
/// (`switch_channel_cause_q850`), its SIP status (`hangup_cause_to_sip` in `mod_sofia.c`), and what
/// an originate that ends so is told as.
#[rustfmt::skip]
const CAUSES: &[(&str, u16, u16, Reason)] = &[
    ("UNALLOCATED_NUMBER", 1, 404, Failed),
    ("NO_ROUTE_TRANSIT_NET", 2, 404, Unusable),
    ("NO_ROUTE_DESTINATION", 3, 404, Unusable),
    ("CHANNEL_UNACCEPTABLE", 6, 480, Failed),
    ("CALL_AWARDED_DELIVERED", 7, 480, Failed),
    ("NORMAL_CLEARING", 16, 480, Failed),
    ("USER_BUSY", 17, 486, Failed),
    ("NO_USER_RESPONSE", 18, 408, Failed),
    ("NO_ANSWER", 19, 480, Failed),
    ("SUBSCRIBER_ABSENT", 20, 480, Failed),
    ("CALL_REJECTED", 21, 603, Failed),
    ("NUMBER_CHANGED", 22, 410, Failed),
    ("REDIRECTION_TO_NEW_DESTINATION", 23, 410, Failed),
    ("EXCHANGE_ROUTING_ERROR", 25, 483, Failed),
    ("DESTINATION_OUT_OF_ORDER", 27, 502, Unusable),
    ("INVALID_NUMBER_FORMAT", 28, 484, Unusable),
    ("FACILITY_REJECTED", 29, 501, Failed),
    ("RESPONSE_TO_STATUS_ENQUIRY", 30, 480, Failed),
    ("NORMAL_UNSPECIFIED", 31, 480, Failed),
    ("NORMAL_CIRCUIT_CONGESTION", 34, 503, Failed),
    ("NETWORK_OUT_OF_ORDER", 38, 503, Failed),
    ("NORMAL_TEMPORARY_FAILURE", 41, 503, Failed),
    ("SWITCH_CONGESTION", 42, 503, Limit),
    ("ACCESS_INFO_DISCARDED", 43, 480, Failed),
    ("REQUESTED_CHAN_UNAVAIL", 44, 503, Failed),
    ("PRE_EMPTED", 45, 480, Failed),
    ("FACILITY_NOT_SUBSCRIBED", 50, 480, Failed),
    ("OUTGOING_CALL_BARRED", 52, 403, Failed),
    ("INCOMING_CALL_BARRED", 54, 403, Failed),
    ("BEARERCAPABILITY_NOTAUTH", 57, 403, Failed),
    ("BEARERCAPABILITY_NOTAVAIL", 58, 503, Failed),
    ("SERVICE_UNAVAILABLE", 63, 480, Failed),
    ("BEARERCAPABILITY_NOTIMPL", 65, 488, Failed),
    ("CHAN_NOT_IMPLEMENTED", 66, 480, Unusable),
    ("FACILITY_NOT_IMPLEMENTED", 69, 501, Unusable),
    ("SERVICE_NOT_IMPLEMENTED", 79, 501, Unusable),
    ("INVALID_CALL_REFERENCE", 81, 480, Failed),
    ("INCOMPATIBLE_DESTINATION", 88, 488, Unusable),
    ("INVALID_MSG_UNSPECIFIED", 95, 480, Failed),
    ("MANDATORY_IE_MISSING", 96, 480, Unusable),
    ("MESSAGE_TYPE_NONEXIST", 97, 480, Failed),
    ("WRONG_MESSAGE", 98, 480, Failed),
    ("IE_NONEXIST", 99, 480, Failed),
    ("INVALID_IE_CONTENTS", 100, 480, Failed),
    ("WRONG_CALL_STATE", 101, 480, Failed),
    ("RECOVERY_ON_TIMER_EXPIRE", 102, 504, Failed),
    ("MANDATORY_IE_LENGTH_ERROR", 103, 480, Failed),
    ("PROTOCOL_ERROR", 111, 480, Failed),
    ("INTERWORKING", 127, 480, Failed),
    ("SUCCESS", 16, 480, Failed),
    ("ORIGINATOR_CANCEL", 16, 487, Failed),
    ("CRASH", 16, 480, Failed),
    ("SYSTEM_SHUTDOWN", 16, 480, Failed),
    ("LOSE_RACE", 16, 480, Failed),
    ("MANAGER_REQUEST", 16, 480, Failed),
    ("BLIND_TRANSFER", 16, 480, Failed),
    ("ATTENDED_TRANSFER", 16, 480, Failed),
    ("ALLOTTED_TIMEOUT", 16, 480, Failed),
    ("USER_CHALLENGE", 16, 480, Failed),
    ("MEDIA_TIMEOUT", 16, 480, Failed),
    ("PICKED_OFF", 16, 480, Failed),
    ("USER_NOT_REGISTERED", 16, 480, Failed),
    ("PROGRESS_TIMEOUT", 16, 480, Failed),
    ("INVALID_GATEWAY", 16, 484, Unusable),
    ("GATEWAY_DOWN", 16, 503, Unusable),
    ("INVALID_URL", 16, 484, Unusable),
    ("INVALID_PROFILE", 16, 502, Unusable),
    ("NO_PICKUP", 16, 480, Failed),
    ("SRTP_READ_ERROR", 16, 480, Failed),
    ("BOWOUT", 16, 480, Failed),
    ("BUSY_EVERYWHERE", 16, 600, Failed),
    ("DECLINE", 16, 603, Failed),
    ("DOES_NOT_EXIST_ANYWHERE", 16, 604, Failed),
    ("NOT_ACCEPTABLE", 16, 606, Failed),
    ("UNWANTED", 16, 607, Failed),
    ("NO_IDENTITY", 16, 428, Failed),
    ("BAD_IDENTITY_INFO", 16, 429, Failed),
    ("UNSUPPORTED_CERTIFICATE", 16, 437, Failed),
    ("INVALID_IDENTITY", 16, 438, Failed),
    ("STALE_DATE", 16, 403, Failed),
    ("REJECT_ALL", 16, 603, Failed),
];

fn spec(command: &str) -> JobSpec {
    JobSpec {
        id: "11111111-1111-4111-8111-111111111111".parse().unwrap(),
        command: command.to_owned(),
        arguments: String::new(),
        node: "a".parse().unwrap(),
        session: None,
        labels: crate::tracker::Labels::default(),
        timeout: Duration::from_secs(1),
        mark: None,
        request: Default::default(),
    }
}

fn refused(command: &str, answer: &str) -> Failure {
    judge(&spec(command), Bytes::copy_from_slice(answer.as_bytes())).unwrap_err()
}

#[test]
fn every_cause_of_an_originate_has_its_reason_and_codes() {
    assert_eq!(CAUSES.len(), HangupCause::ALL.len());
    for (name, q850, sip_code, reason) in CAUSES {
        let failure = refused("originate", &format!("-ERR {name}\n"));
        assert_eq!(failure.reason(), *reason, "{name}");
        let retry = (*reason == Limit).then_some(LIMIT_RETRY);
        assert_eq!(failure.retry_delay(), retry, "{name}");
        let told = failure.metadata();
        assert_eq!(told["hangup_cause"], *name);
        assert_eq!(told["q850"], q850.to_string(), "{name}");
        assert_eq!(told["sip_code"], sip_code.to_string(), "{name}");
        assert_eq!(told["freeswitch_reply"], format!("-ERR {name}"));
    }
}

#[test]
fn other_refusals_of_jobs_are_rejected_commands() {
    for (command, answer) in [
        // What an originate says beside causes (`originate_function` in `mod_commands.c`).
        ("originate", "-ERR NONE\n"),
        (
            "originate",
            "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>]\n",
        ),
        ("originate", "-ERR originate Command not found!\n"),
        // Only an originate ends with a cause.
        ("uuid_kill", "-ERR USER_BUSY\n"),
        (
            "load",
            "+OK Reloading XML\n-ERR [module load file routine returned an error]\n",
        ),
    ] {
        let failure = refused(command, answer);
        assert_eq!(failure.reason(), Reason::CommandRejected, "{answer}");
        assert!(!failure.metadata().contains_key("hangup_cause"));
        assert_eq!(failure.metadata()["freeswitch_reply"], answer.trim_end());
    }
}

#[test]
fn a_full_node_says_when_to_try_again_and_a_busy_line_does_not() {
    let full = call_failure(HangupCause::SwitchCongestion);
    assert_eq!(full.reason(), Reason::NodeLimit);
    assert_eq!(full.retry_delay(), Some(LIMIT_RETRY));
    let busy = call_failure(HangupCause::UserBusy);
    assert_eq!(
        (busy.reason(), busy.retry_delay()),
        (Reason::CallFailed, None)
    );
}
