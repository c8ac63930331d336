//! The variables that a channel gets at its end.

use super::channel::{Answer, Channel, Endpoint};
use super::clock::stamp;
use crate::domain::{Direction, HangupCause};

/// Spans that are given in seconds, milliseconds and microseconds, as FreeSWITCH names them.
const UNITS: [(&str, u64); 3] = [("sec", 1_000_000), ("msec", 1_000), ("usec", 1)];

/// Statistics of an RTP stream that a simulator has no numbers for.
const RTP: [(&str, &str); 27] = [
    ("in_raw_bytes", "0"),
    ("in_media_bytes", "0"),
    ("in_packet_count", "0"),
    ("in_media_packet_count", "0"),
    ("in_skip_packet_count", "0"),
    ("in_jitter_packet_count", "0"),
    ("in_dtmf_packet_count", "0"),
    ("in_cng_packet_count", "0"),
    ("in_flush_packet_count", "0"),
    ("in_largest_jb_size", "0"),
    ("in_jitter_min_variance", "0.00"),
    ("in_jitter_max_variance", "0.00"),
    ("in_jitter_loss_rate", "0.00"),
    ("in_jitter_burst_rate", "0.00"),
    ("in_mean_interval", "0.00"),
    ("in_flaw_total", "0"),
    ("in_quality_percentage", "100.00"),
    ("in_mos", "4.50"),
    ("out_raw_bytes", "0"),
    ("out_media_bytes", "0"),
    ("out_packet_count", "0"),
    ("out_media_packet_count", "0"),
    ("out_skip_packet_count", "0"),
    ("out_dtmf_packet_count", "0"),
    ("out_cng_packet_count", "0"),
    ("rtcp_packet_count", "0"),
    ("rtcp_octet_count", "0"),
];

/// Sets the final variables (`switch_channel_set_timestamps` in `switch_channel.c`).
pub(super) fn write(channel: &mut Channel, now: u64) {
    let Some(profile) = channel.profile.clone() else {
        return;
    };
    let times = profile.times;
    let cause = channel.cause.unwrap_or(HangupCause::NormalClearing);

    let (holds, last) = (
        channel.holds.clone(),
        channel.vars.get("current_application").map(str::to_owned),
    );
    let last_argument = channel
        .vars
        .get("current_application_data")
        .map(str::to_owned);
    let mut set = |name: &str, value: String| channel.vars.set(name, value);

    set("hangup_cause", cause.name().to_owned());
    set("hangup_cause_q850", cause.q850().to_string());
    set("digits_dialed", "none".to_owned());
    let points = [
        ("start", times.created),
        ("profile_start", times.profile_created),
        ("answer", times.answered),
        ("bridge", times.bridged),
        ("resurrect", 0),
        ("progress", times.progress),
        ("progress_media", times.progress_media),
        ("end", now),
    ];
    for (name, at) in points {
        if at > 0 {
            set(&format!("{name}_stamp"), stamp(at));
        }
        set(&format!("{name}_epoch"), (at / 1_000_000).to_string());
        set(&format!("{name}_uepoch"), at.to_string());
    }
    if times.last_hold > 0 {
        set("hold_stamp", stamp(times.last_hold));
    }
    if !holds.is_empty() {
        let spans: Vec<_> = holds
            .iter()
            .map(|(from, to)| format!("{{{from},{to}}}"))
            .collect();
        set("hold_events", format!("{{{}}}", spans.join(",")));
    }
    set("last_hold_epoch", (times.last_hold / 1_000_000).to_string());
    set("last_hold_uepoch", times.last_hold.to_string());
    set(
        "hold_accum_seconds",
        (times.hold_accum / 1_000_000).to_string(),
    );
    set("hold_accum_usec", times.hold_accum.to_string());
    set("hold_accum_ms", (times.hold_accum / 1_000).to_string());
    if let Some(app) = last {
        set("last_app", app);
        set("last_arg", last_argument.unwrap_or_default());
    }
    let (name, number) = (&profile.caller_id_name, &profile.caller_id_number);
    set(
        "caller_id",
        if name.is_empty() {
            number.clone()
        } else {
            format!("\"{name}\" <{number}>")
        },
    );

    let since = |from: u64, to: u64| if from > 0 { to.saturating_sub(from) } else { 0 };
    let billed = since(times.answered, now);
    let spans = [
        ("", since(times.created, now)),
        ("bill", billed),
        ("progress", since(times.created, times.progress)),
        ("answer", since(times.created, times.answered)),
        ("wait", since(times.created, times.bridged)),
        ("progress_media", since(times.created, times.progress_media)),
        ("flow_bill", billed),
    ];
    for (name, span) in spans {
        for (unit, divisor) in UNITS {
            let label = match (name, unit) {
                ("", "sec") => "duration".to_owned(),
                ("", "msec") => "mduration".to_owned(),
                ("", _) => "uduration".to_owned(),
                _ => format!("{name}{unit}"),
            };
            set(&label, (span / divisor).to_string());
        }
    }
}

/// Sets what the endpoint's own hangup handler knows.
pub(super) fn write_endpoint(channel: &mut Channel) {
    match channel.endpoint {
        Endpoint::Loopback => channel.vars.set("is_loopback", "1"),
        Endpoint::Sofia => {
            write_sip(channel, channel.direction, channel.answer);
            if channel.codec.is_some() {
                write_rtp(channel);
            }
        }
        Endpoint::Null | Endpoint::Sim => {}
    }
}

fn write_sip(channel: &mut Channel, direction: Direction, answer: Answer) {
    if channel.vars.get("sip_hangup_disposition").is_some() {
        return;
    }
    let vars = &mut channel.vars;
    match (direction, answer, channel.signalled) {
        (_, _, true) => {}
        (_, Answer::Answered, false) => vars.set("sip_hangup_disposition", "send_bye"),
        (Direction::Inbound, _, false) => vars.set("sip_hangup_disposition", "send_refuse"),
        (Direction::Outbound, _, false) => {
            vars.set("sip_hangup_disposition", "send_cancel");
            vars.set("sip_invite_failure_status", "487");
            vars.set("sip_invite_failure_phrase", "CANCEL");
        }
    }
}

fn write_rtp(channel: &mut Channel) {
    for (name, value) in RTP {
        channel.vars.set(&format!("rtp_audio_{name}"), value);
    }
}
