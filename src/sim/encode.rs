//! Events as bytes: plain, JSON and XML, encoded as FreeSWITCH does.

use super::event::Event;

/// Characters that FreeSWITCH encodes besides control and non-ASCII bytes
/// (`SWITCH_URL_UNSAFE` in `switch_utils.h`).
const UNSAFE: &[u8] = b"\r\n #%&+:;<=>?@[\\]^`{|}\"";

/// Which bytes go as they are.
const SAFE: [bool; 256] = safe_bytes();

const fn safe_bytes() -> [bool; 256] {
    let mut safe = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        safe[byte as usize] = true;
        byte += 1;
    }
    let mut at = 0;
    while at < UNSAFE.len() {
        safe[UNSAFE[at] as usize] = false;
        at += 1;
    }
    safe
}

/// Appends a value percent-encoded (`switch_url_encode` in `switch_utils.c`). What already looks
/// like an escape stays as it is, so a literal `%0A` and a line feed look alike on the wire.
pub(super) fn percent(out: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = value.as_bytes();
    while !rest.is_empty() {
        let run = rest
            .iter()
            .position(|byte| !SAFE[usize::from(*byte)])
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..run]);
        let Some(&byte) = rest.get(run) else { return };
        let escape = byte == b'%'
            && rest
                .get(run + 1..run + 3)
                .is_some_and(|two| two.iter().all(|c| HEX.contains(c)));
        if escape {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
        rest = &rest[run + 1..];
    }
}

/// `switch_event_serialize` in `switch_event.c`.
pub(super) fn plain(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    for (name, value) in &event.headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        percent(&mut out, value);
        out.push(b'\n');
    }
    match &event.body {
        Some(body) => {
            out.extend_from_slice(format!("Content-Length: {}\n\n", body.len()).as_bytes());
            out.extend_from_slice(body);
        }
        None => out.push(b'\n'),
    }
    out
}

/// `switch_event_serialize_json`: strings only; a name that comes twice stays twice.
pub(super) fn json(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    out.push(b'{');
    for (name, value) in &event.headers {
        if out.len() > 1 {
            out.push(b',');
        }
        json_string(&mut out, name);
        out.push(b':');
        match value.strip_prefix("ARRAY::") {
            Some(array) => {
                out.push(b'[');
                for (index, item) in array.split("|:").enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    json_string(&mut out, item);
                }
                out.push(b']');
            }
            None => json_string(&mut out, value),
        }
    }
    if let Some(body) = &event.body {
        out.extend_from_slice(
            format!(",\"Content-Length\":\"{}\",\"_body\":", body.len()).as_bytes(),
        );
        json_string(&mut out, &String::from_utf8_lossy(body));
    }
    out.push(b'}');
    out
}

/// Appends a JSON string.
pub(super) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..b' ' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// `switch_event_xmlize`: values percent-encoded inside elements.
pub(super) fn xml(event: &Event) -> Vec<u8> {
    let mut out = b"<event>\n  <headers>\n".to_vec();
    for (name, value) in &event.headers {
        out.extend_from_slice(format!("    <{name}>").as_bytes());
        percent(&mut out, value);
        out.extend_from_slice(format!("</{name}>\n").as_bytes());
    }
    out.extend_from_slice(b"  </headers>\n");
    if let Some(body) = &event.body {
        out.extend_from_slice(
            format!(
                "  <Content-Length>{}</Content-Length>\n  <body>",
                body.len()
            )
            .as_bytes(),
        );
        for &byte in body {
            match byte {
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'&' => out.extend_from_slice(b"&amp;"),
                _ => out.push(byte),
            }
        }
        out.extend_from_slice(b"  </body>\n");
    }
    out.extend_from_slice(b"</event>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::names::EventKind;

    #[test]
    fn values_are_encoded_as_recorded() {
        let mut out = Vec::new();
        percent(
            &mut out,
            "{a='Ann, \"the\" O\\'Neil',n=gr\u{fc}}x@y:1 &park()\n",
        );
        assert_eq!(
            String::from_utf8_lossy(&out),
            "%7Ba%3D'Ann,%20%22the%22%20O%5C'Neil',n%3Dgr%C3%BC%7Dx%40y%3A1%20%26park()%0A"
        );
        out.clear();
        percent(&mut out, "50% %0A %0a");
        assert_eq!(String::from_utf8_lossy(&out), "50%25%20%0A%20%250a");
    }

    #[test]
    fn a_body_is_raw_and_counted_in_bytes() {
        let mut event = Event::new(EventKind::BackgroundJob).with("Event-Name", "BACKGROUND_JOB");
        event.body = Some("gr\u{fc}\n".into());
        assert_eq!(
            String::from_utf8_lossy(&plain(&event)),
            "Event-Name: BACKGROUND_JOB\nContent-Length: 5\n\ngr\u{fc}\n"
        );
        assert!(json(&event).ends_with(b"\"Content-Length\":\"5\",\"_body\":\"gr\xc3\xbc\\n\"}"));
    }
}
