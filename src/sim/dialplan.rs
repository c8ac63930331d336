//! The dialplan: that of the FreeSWITCH that the recordings were made on.

/// Applications with their arguments.
type Applications = Vec<(String, String)>;

/// The applications of the extension that a destination reaches, and what `DP_MATCH` is set to:
/// the destination and the part of it that the extension's expression captures.
pub(super) fn find(context: &str, destination: &str) -> Option<(Applications, String)> {
    let applications = applications(context, destination)?;
    let starts = ["conf", "bridge_", "lb_", "socket"];
    let captured = starts
        .iter()
        .find_map(|start| destination.strip_prefix(start));
    let captured = captured.map(|part| format!("ARRAY::{destination}|:{part}"));
    Some((applications, captured.unwrap_or_default()))
}

fn applications(context: &str, destination: &str) -> Option<Applications> {
    if context != "default" {
        return None;
    }
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let of = |applications: &[(&str, &str)]| {
        Some(
            applications
                .iter()
                .map(|(app, arg)| ((*app).to_owned(), (*arg).to_owned()))
                .collect(),
        )
    };
    match destination {
        "park" => of(&[("park", "")]),
        "answer" => of(&[("answer", ""), ("park", "")]),
        "echo" => of(&[("answer", ""), ("echo", "")]),
        "tone" => of(&[
            ("answer", ""),
            ("playback", "tone_stream://L=1;%(200,100,440,480)"),
            ("hangup", ""),
        ]),
        "busy" => of(&[("respond", "486 Busy Here")]),
        "ring" => of(&[("ring_ready", ""), ("sleep", "60000")]),
        "early" => of(&[
            ("pre_answer", ""),
            ("playback", "tone_stream://L=30;%(200,100,440,480)"),
        ]),
        _ => {
            let suffix = |prefix: &str| destination.strip_prefix(prefix).filter(|rest| word(rest));
            if let Some(room) = destination
                .strip_prefix("conf")
                .filter(|rest| rest.is_empty() || word(rest))
            {
                return of(&[
                    ("answer", ""),
                    ("conference", &format!("room{room}@default")),
                ]);
            }
            if let Some(to) = suffix("bridge_") {
                return of(&[("bridge", &format!("sofia/internal/{to}@127.0.0.1:5060"))]);
            }
            if let Some(to) = suffix("lb_") {
                return of(&[("bridge", &format!("loopback/{to}/default"))]);
            }
            let port = destination.strip_prefix("socket")?.parse::<u16>().ok()?;
            of(&[("socket", &format!("127.0.0.1:{port} async full"))])
        }
    }
}

/// The applications of the `inline` dialplan: `app:arg,app:arg`.
pub(super) fn inline(text: &str) -> Vec<(String, String)> {
    let split = |part: String| match part.split_once(':') {
        Some((app, arg)) => (app.to_owned(), arg.to_owned()),
        None => (part, String::new()),
    };
    super::quoting::separate(text, ',', 64)
        .into_iter()
        .map(split)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_destinations_are_found() {
        assert_eq!(
            applications("default", "conf1").unwrap()[1].1,
            "room1@default"
        );
        assert_eq!(
            applications("default", "bridge_echo").unwrap()[0].1,
            "sofia/internal/echo@127.0.0.1:5060"
        );
        assert!(find("default", "nodest").is_none() && find("other", "park").is_none());
        assert_eq!(
            inline("set:a=1,park"),
            [("set".into(), "a=1".into()), ("park".into(), String::new())]
        );
    }
}
