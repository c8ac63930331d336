//! The variables that FreeSWITCH's SIP and RTP stacks set, with plausible values.

use rand::Rng;

use super::channel::{Channel, Codec};
use super::profile::Vars;
use crate::domain::HangupCause;

/// The codec of every SIP leg.
pub(super) const PCMU: Codec = Codec {
    name: "PCMU",
    bits: 64_000,
    both: true,
};

const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY";
const AGENT: &str = "FreeSWITCH-mod_sofia/1.10.12-release~64bit";

fn put(vars: &mut Vars, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        vars.set(name, *value);
    }
}

/// A session description with this port.
fn sdp(port: u16, direction: &str) -> String {
    format!(
        "v=0\r\no=FreeSWITCH 1795361480 1795361481 IN IP4 127.0.0.1\r\ns=FreeSWITCH\r\n\
         c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101 13\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=rtpmap:13 CN/8000\r\na=ptime:20\r\n{direction}"
    )
}

fn port() -> u16 {
    crate::chance::Dice.random_range(8192..16384) * 2
}

/// A tag as Sofia makes them.
fn tag() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz123456789";
    let mut rng = crate::chance::Dice;
    (0..13)
        .map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]))
        .collect()
}

/// What an outbound leg has when it is made; `target` is `user@host:port`.
pub(super) fn outbound_made(vars: &mut Vars, profile: &str, target: &str, name: &str) {
    put(
        vars,
        &[
            ("sip_local_network_addr", "127.0.0.1"),
            ("sip_profile_name", profile),
            ("video_media_flow", "disabled"),
            ("text_media_flow", "disabled"),
            ("channel_name", name),
            ("sip_destination_url", &format!("sip:{target}")),
        ],
    );
}

/// What it has when its INVITE is on its way.
pub(super) fn outbound_invited(vars: &mut Vars, profile: &str, target: &str) {
    let port = port();
    let host = target.split_once('@').map_or("127.0.0.1", |(_, host)| host);
    put(
        vars,
        &[
            ("rtp_use_codec_string", "PCMU,PCMA"),
            ("local_media_ip", "127.0.0.1"),
            ("local_media_port", &port.to_string()),
            ("advertised_media_ip", "127.0.0.1"),
            ("audio_media_flow", "sendrecv"),
            ("rtp_local_sdp_str", &sdp(port, "a=sendrecv\r\n")),
            ("sip_outgoing_contact_uri", "<sip:mod_sofia@127.0.0.1:5060>"),
            ("sip_req_uri", target),
            ("sip_to_host", host),
            ("sip_from_host", "127.0.0.1"),
            ("sofia_profile_name", profile),
            ("recovery_profile_name", profile),
            ("sofia_profile_url", "sip:mod_sofia@127.0.0.1:5060"),
        ],
    );
}

/// What an inbound leg has when its INVITE has been read.
pub(super) fn inbound_made(vars: &mut Vars, to: &str, from: &str, display: &str, now: u64) {
    let uri = format!("{from}@127.0.0.1");
    let target = format!("{to}@127.0.0.1:5060");
    let from_tag = tag();
    let quoted = if display.is_empty() {
        String::new()
    } else {
        format!("\"{display}\" ")
    };
    put(
        vars,
        &[
            ("sip_from_user", from),
            ("sip_from_uri", &uri),
            ("sip_from_host", "127.0.0.1"),
        ],
    );
    let name = format!("sofia/internal/{uri}");
    put(
        vars,
        &[
            ("video_media_flow", "disabled"),
            ("audio_media_flow", "disabled"),
            ("text_media_flow", "disabled"),
            ("channel_name", &name),
            ("sip_call_id", &crate::chance::uuid().to_string()),
            ("sip_local_network_addr", "127.0.0.1"),
            ("sip_network_ip", "127.0.0.1"),
            ("sip_network_port", "5060"),
            ("sip_invite_stamp", &now.to_string()),
            ("sip_received_ip", "127.0.0.1"),
            ("sip_received_port", "5060"),
            ("sip_via_protocol", "udp"),
            ("sip_from_user_stripped", from),
            ("sip_from_tag", &from_tag),
            ("sofia_profile_name", "internal"),
            ("sofia_profile_url", "sip:mod_sofia@127.0.0.1:5060"),
            ("recovery_profile_name", "internal"),
            (
                "sip_Remote-Party-ID",
                &format!("{quoted}<sip:{uri}>;party=calling;screen=yes;privacy=off"),
            ),
            ("sip_cid_type", "rpid"),
            (
                "sip_full_via",
                "SIP/2.0/UDP 127.0.0.1;rport=5060;branch=z9hG4bKF604gZcvZXajB",
            ),
            ("sip_from_display", display),
            (
                "sip_full_from",
                &format!("{quoted}<sip:{uri}>;tag={from_tag}"),
            ),
            ("sip_full_to", &format!("<sip:{target}>")),
            ("sip_allow", ALLOW),
            ("sip_req_user", to),
            ("sip_req_port", "5060"),
            ("sip_req_uri", &target),
            ("sip_req_host", "127.0.0.1"),
            ("sip_to_user", to),
            ("sip_to_port", "5060"),
            ("sip_to_uri", &target),
            ("sip_to_host", "127.0.0.1"),
            ("sip_contact_user", "mod_sofia"),
            ("sip_contact_port", "5060"),
            ("sip_contact_uri", "mod_sofia@127.0.0.1:5060"),
            ("sip_contact_host", "127.0.0.1"),
            ("rtp_use_codec_string", "PCMU,PCMA"),
            ("sip_user_agent", AGENT),
            ("sip_via_host", "127.0.0.1"),
            ("sip_via_rport", "5060"),
            ("max_forwards", "70"),
            ("switch_r_sdp", &sdp(port(), "")),
            (
                "ep_codec_string",
                "CORE_PCM_MODULE.PCMU@8000h@20i@64000b,CORE_PCM_MODULE.PCMA@8000h@20i@64000b",
            ),
            ("endpoint_disposition", "DELAYED NEGOTIATION"),
        ],
    );
}

/// What an outbound leg learns from the far end's first response.
pub(super) fn outbound_response(channel: &mut Channel) {
    let Some(profile) = &channel.profile else {
        return;
    };
    if channel.vars.get("sip_to_tag").is_some() {
        return;
    }
    let to = profile.destination_number.clone();
    let from = profile.ani.clone();
    let display = profile.caller_id_name.clone();
    let (from_tag, to_tag) = (tag(), tag());
    let (uri, target) = (format!("{from}@127.0.0.1"), format!("{to}@127.0.0.1:5060"));
    let quoted = if display.is_empty() {
        String::new()
    } else {
        format!("\"{display}\" ")
    };
    let via = "SIP/2.0/UDP 127.0.0.1;rport=5060;branch=z9hG4bKF604gZcvZXajB";
    put(
        &mut channel.vars,
        &[
            ("sip_reply_host", "127.0.0.1"),
            ("sip_reply_port", "5060"),
            ("sip_network_ip", "127.0.0.1"),
            ("sip_network_port", "5060"),
            ("sip_user_agent", AGENT),
            ("sip_allow", ALLOW),
            (
                "sip_recover_contact",
                &format!("<sip:{target};transport=udp>"),
            ),
            ("sip_full_via", via),
            ("sip_recover_via", via),
            ("sip_from_display", &display),
            (
                "sip_full_from",
                &format!("{quoted}<sip:{uri}>;tag={from_tag}"),
            ),
            ("sip_full_to", &format!("<sip:{target}>;tag={to_tag}")),
            ("sip_from_user", &from),
            ("sip_from_uri", &uri),
            ("sip_from_host", "127.0.0.1"),
            ("sip_to_user", &to),
            ("sip_to_port", "5060"),
            ("sip_to_uri", &target),
            ("sip_to_host", "127.0.0.1"),
            ("sip_contact_params", "transport=udp"),
            ("sip_contact_user", &to),
            ("sip_contact_port", "5060"),
            ("sip_contact_uri", &target),
            ("sip_contact_host", "127.0.0.1"),
            ("sip_to_tag", &to_tag),
            ("sip_from_tag", &from_tag),
            ("sip_cseq", "123139802"),
            ("sip_call_id", &crate::chance::uuid().to_string()),
        ],
    );
}

/// What comes with a session description from the far end.
pub(super) fn remote_sdp(vars: &mut Vars) {
    vars.set("switch_r_sdp", sdp(port(), ""));
    vars.set("ep_codec_string", "CORE_PCM_MODULE.PCMU@8000h@20i@64000b");
}

/// What the negotiation of codecs and the start of RTP set.
pub(super) fn negotiated(vars: &mut Vars) {
    put(
        vars,
        &[
            ("remote_video_media_flow", "inactive"),
            ("remote_text_media_flow", "inactive"),
            ("remote_audio_media_flow", "sendrecv"),
            ("audio_media_flow", "sendrecv"),
            ("rtp_audio_recv_pt", "0"),
            ("rtp_use_codec_name", "PCMU"),
            ("rtp_use_codec_rate", "8000"),
            ("rtp_use_codec_ptime", "20"),
            ("rtp_use_codec_channels", "1"),
            ("rtp_last_audio_codec_string", "PCMU@8000h@20i@1c"),
            ("read_codec", "PCMU"),
            ("original_read_codec", "PCMU"),
            ("read_rate", "8000"),
            ("original_read_rate", "8000"),
            ("write_codec", "PCMU"),
            ("write_rate", "8000"),
            ("dtmf_type", "rfc2833"),
            ("local_media_ip", "127.0.0.1"),
            ("advertised_media_ip", "127.0.0.1"),
            ("rtp_use_timer_name", "soft"),
            ("rtp_use_pt", "0"),
            (
                "rtp_use_ssrc",
                &crate::chance::Dice.random_range(1..u32::MAX).to_string(),
            ),
            ("rtp_2833_send_payload", "101"),
            ("rtp_2833_recv_payload", "101"),
            ("remote_media_ip", "127.0.0.1"),
            ("remote_media_port", &port().to_string()),
        ],
    );
    if vars.get("local_media_port").is_none() {
        vars.set("local_media_port", port().to_string());
    }
}

/// The local session description of an inbound leg that is answered.
pub(super) fn local_sdp(vars: &mut Vars) {
    vars.set("rtp_local_sdp_str", sdp(port(), "a=sendrecv\r\n"));
}

/// The far end refused the INVITE with the status that stands for this cause.
pub(super) fn refused(vars: &mut Vars, cause: HangupCause, reached: bool) {
    let status = cause.sip_code();
    if vars.get("sip_call_id").is_none() {
        vars.set("sip_call_id", crate::chance::uuid().to_string());
    }
    if reached {
        vars.set("sip_reply_host", "127.0.0.1");
        vars.set("sip_network_ip", "127.0.0.1");
    }
    let port = if reached { "5060" } else { "0" };
    put(
        vars,
        &[
            ("sip_reply_port", port),
            ("sip_network_port", port),
            ("sip_hangup_disposition", "recv_refuse"),
            ("sip_invite_failure_status", &status.to_string()),
            ("sip_invite_failure_phrase", phrase(status)),
            ("sip_term_status", &status.to_string()),
            ("proto_specific_hangup_cause", &format!("sip:{status}")),
            ("sip_term_cause", &cause.number().to_string()),
        ],
    );
}

/// The caller cancelled the INVITE.
pub(super) fn cancelled(vars: &mut Vars, cause: HangupCause) {
    put(
        vars,
        &[
            ("sip_hangup_disposition", "recv_cancel"),
            ("sip_invite_failure_status", "487"),
            ("sip_invite_failure_phrase", "CANCEL"),
            ("sip_reason", &reason(cause)),
            ("sip_term_status", "487"),
            ("proto_specific_hangup_cause", "sip:487"),
            ("sip_term_cause", "487"),
        ],
    );
}

/// The far end sent a REFER, which has led nowhere.
pub(super) fn referred(vars: &mut Vars) {
    put(
        vars,
        &[
            ("sip_call_id", &crate::chance::uuid().to_string()),
            ("transfer_to", "x"),
            ("transfer_destination", "blind:x"),
            ("transfer_disposition", "recv_replace"),
        ],
    );
}

/// The far end said BYE.
pub(super) fn said_bye(vars: &mut Vars, cause: HangupCause) {
    put(
        vars,
        &[
            ("sip_reason", &reason(cause)),
            ("sip_term_status", "200"),
            ("proto_specific_hangup_cause", "sip:200"),
            ("sip_term_cause", &cause.q850().to_string()),
        ],
    );
}

fn reason(cause: HangupCause) -> String {
    format!("Q.850;cause={};text=\"{cause}\"", cause.q850())
}

/// The reason phrase of a status.
fn phrase(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        487 => "Request Terminated",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Failure",
    }
}
