//! The inputs that broke other readers of the Event Socket, as far as they concern the link; the
//! numbers are those of the list they come from.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchgate::esl::{
    Connection, ContentType, Decoder, Event, EventSink, Frame, Limits, LinkError, Lost, Outcome,
};
use switchgate::shutdown::Drain;
use tokio::time::timeout;

use crate::peer::{Peer, api, api_reply, config, event, link};

fn frame(content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut wire = format!(
        "Content-Length: {}\nContent-Type: {content_type}\n\n",
        body.len()
    )
    .into_bytes();
    wire.extend_from_slice(body);
    wire
}

fn with_body(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut event = format!("{headers}Content-Length: {}\n\n", body.len()).into_bytes();
    event.extend_from_slice(body);
    frame("text/event-plain", event)
}

fn decode(chunks: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            frames.push(frame);
        }
    }
    assert!(decoder.is_between_frames(&buffer));
    frames
}

fn only_event(wire: &[u8]) -> Event {
    let frames = decode(&[wire]);
    assert_eq!(frames.len(), 1);
    Event::parse(frames[0].body()).unwrap()
}

#[test]
fn input_01_body_line_that_looks_like_a_header() {
    let body = "Event-Name: FORGED\nUnique-ID: forged\n\nContent-Type: auth/request\n\n";
    let wire = with_body("Event-Name: BACKGROUND_JOB\nJob-UUID: 7\n", body);
    let event = only_event(&wire);
    assert_eq!(event.name(), "BACKGROUND_JOB");
    assert_eq!(event.text("Unique-ID"), None);
    assert_eq!(event.body(), body.as_bytes());
}

#[test]
fn input_02_encoded_line_feed_that_would_forge_a_header() {
    let event = only_event(&frame(
        "text/event-plain",
        "Event-Name: CUSTOM\nvariable_x: a%0AUnique-ID: forged%0A%0A\nUnique-ID: true\n\n",
    ));
    assert_eq!(event.text("Unique-ID").as_deref(), Some("true"));
    assert_eq!(event.headers().len(), 3);
    assert_eq!(
        event.text("variable_x").as_deref(),
        Some("a\nUnique-ID: forged\n\n")
    );
}

#[test]
fn input_03_length_of_a_body_is_in_bytes() {
    let body = "grüße, 你好, 🙂\n";
    let mut wire = with_body("Event-Name: BACKGROUND_JOB\n", body);
    wire.extend_from_slice(api_reply(body).as_bytes());
    wire.extend_from_slice(api_reply("next").as_bytes());
    let frames = decode(&[&wire]);
    assert_eq!(
        Event::parse(frames[0].body()).unwrap().body(),
        body.as_bytes()
    );
    assert_eq!(frames[1].body(), body);
    assert_eq!(frames[2].body(), "next");
}

#[test]
fn input_04_character_split_over_two_reads() {
    let body = "ü你🙂";
    let wire = with_body("Event-Name: CUSTOM\nv: gr%C3%BC%C3%9F\nw: grüß\n", body);
    for at in 0..=wire.len() {
        let frames = decode(&[&wire[..at], &wire[at..]]);
        let event = Event::parse(frames[0].body()).unwrap();
        assert_eq!(event.body(), body.as_bytes());
        assert_eq!(event.text("v"), event.text("w"));
    }
}

#[test]
fn input_05_bytes_that_are_not_utf_8() {
    let wire = with_body("Event-Name: CUSTOM\nv: caf%E9\nw: caf\u{e9}\n", b"caf\xe9");
    let event = only_event(&wire);
    assert_eq!(event.text("v").as_deref(), Some("caf\u{fffd}"));
    assert_eq!(
        event.headers().decoded("v").as_deref(),
        Some(&b"caf\xe9"[..])
    );
    assert_eq!(event.body(), b"caf\xe9");
    let replaced: Vec<bool> = event.headers().iter_text().map(|(.., r)| r).collect();
    assert_eq!(replaced, [false, true, false, false]);
}

#[test]
fn input_06_value_with_a_second_colon_and_space() {
    let wire = "Content-Type: command/reply\nReply-Text: -ERR invalid session id [a: b: c]\n\n";
    let frames = decode(&[wire.as_bytes()]);
    let text = frames[0].headers().text("Reply-Text");
    assert_eq!(text.as_deref(), Some("-ERR invalid session id [a: b: c]"));
}

#[test]
fn input_07_variable_names_with_punctuation() {
    let names = [
        "variable_a,b",
        "variable_f(x)",
        "variable_~home",
        "variable_a:b",
        "variable_ü",
    ];
    let lines: String = names
        .iter()
        .map(|name| format!("{name}: %3D{name}\n"))
        .collect();
    let wire = frame("text/event-plain", format!("Event-Name: CUSTOM\n{lines}\n"));
    let event = only_event(&wire);
    for name in names {
        assert_eq!(event.text(name), Some(format!("={name}").into()));
    }
}

#[test]
fn input_08_bodies_over_64_kb_and_of_tens_of_megabytes() {
    for length in [65_535, 65_536, 65_537, 30_000_000] {
        let body: String = "uuid,direction,created\n"
            .chars()
            .cycle()
            .take(length)
            .collect();
        let wire = api_reply(&body);
        let chunks: Vec<&[u8]> = wire.as_bytes().chunks(1460).collect();
        let frames = decode(&chunks);
        assert_eq!(frames.len(), 1);
        assert!(frames[0].body() == body.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn input_09_replies_of_every_form() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let cases = [
        (
            "-USAGE: <uuid> <var>",
            Outcome::Usage("<uuid> <var>".into()),
        ),
        ("-ERR", Outcome::Error(String::new())),
        ("-ERR\n", Outcome::Error(String::new())),
        ("", Outcome::NoReply),
        ("_undef_", Outcome::Data("_undef_".into())),
        ("-ERR no reply\n", Outcome::NoReply),
        ("true", Outcome::Data("true".into())),
        (
            "UP 0 years\n1 session\n",
            Outcome::Data("UP 0 years\n1 session\n".into()),
        ),
    ];
    for (body, outcome) in cases {
        let (reply, ()) = tokio::join!(link.send(api("x")), async {
            peer.expect("api x").await;
            peer.api_reply(body).await;
        });
        assert_eq!(reply.unwrap().outcome(), outcome, "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn input_10_frames_that_are_neither_reply_nor_event() {
    let drain = Drain::new();
    let (link, mut peer, seen) = link(64, config(), &drain);
    let (reply, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        peer.say(frame("log/data", "Content-Type: api/response\n\n"))
            .await;
        peer.say(frame("text/of-tomorrow", "?")).await;
        peer.say(frame("text/rude-rejection", "Access Denied, go away.\n"))
            .await;
        peer.say(
            "Content-Type: text/disconnect-notice\nContent-Disposition: linger\nContent-Length: 0\n\n",
        )
        .await;
        peer.event("BETWEEN").await;
        peer.api_reply("yes").await;
    });
    assert_eq!(reply.unwrap().text(), "yes");
    assert_eq!(seen.names(), ["BETWEEN"]);
    peer.say(frame("text/disconnect-notice", "Disconnected, goodbye.\n"))
        .await;
    assert!(matches!(link.ended().await, Lost::Closed));
}

/// The decoder's own tests cut it at every length, the connector's log in with it.
#[test]
fn input_11_userauth_reply_cut_at_512_bytes_is_no_frame_elsewhere() {
    let mut decoder = Decoder::new(Limits::default());
    let cut = format!(
        "Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: {}",
        "x".repeat(600)
    );
    let mut buffer = BytesMut::from(cut.as_str());
    assert!(decoder.decode(&mut buffer).unwrap().is_none());
}

#[test]
fn input_12_same_header_twice_in_different_case() {
    let event = only_event(&frame(
        "text/event-plain",
        "Event-Name: CODEC\nChannel-Read-Codec-Bit-Rate: 64000\nchannel-read-codec-bit-rate: 8000\n\n",
    ));
    assert_eq!(event.number("channel-read-codec-BIT-RATE"), Some(64000));
    assert_eq!(event.headers().len(), 3);
}

/// Notes which of the two it was given first.
struct Order(tokio::sync::mpsc::Sender<String>);

impl EventSink for Order {
    fn event(&mut self, event: Event) {
        self.0.try_send(event.name().into_owned()).unwrap();
    }
}

/// What the job table makes of it is tested there.
#[tokio::test(start_paused = true)]
async fn input_13_background_job_before_the_reply_to_its_command() {
    let drain = Drain::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut peer = Peer::new(far);
    let (seen_tx, mut seen_rx) = tokio::sync::mpsc::channel(8);
    let link =
        Connection::new(Box::new(near), Limits::default()).start(config(), Order(seen_tx), &drain);
    let (reply, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        let job = with_body(
            "Event-Name: BACKGROUND_JOB\nJob-UUID: 7\nJob-Owner-UUID: 8\n",
            "+OK\n",
        );
        peer.say(job).await;
        assert_eq!(seen_rx.recv().await.as_deref(), Some("BACKGROUND_JOB"));
        peer.api_reply("+OK Job-UUID: 7").await;
    });
    assert_eq!(reply.unwrap().outcome(), Outcome::Ok("Job-UUID: 7".into()));
}

#[tokio::test(start_paused = true)]
async fn input_16_peer_that_vanishes_without_a_word() {
    let drain = Drain::new();
    let (link, _peer, _) = link(1024, config(), &drain);
    assert!(
        matches!(link.ended().await, Lost::Silent(silence) if silence == Duration::from_secs(30))
    );
    assert!(drain.finish(Duration::from_secs(60)).await);
}

#[tokio::test(start_paused = true)]
async fn input_16_reply_after_the_caller_gave_up() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let gave_up = timeout(Duration::from_secs(1), link.send(api("slow"))).await;
    assert!(gave_up.is_err());
    let (reply, ()) = tokio::join!(link.send(api("next")), async {
        peer.expect("api slow").await;
        peer.api_reply("for nobody").await;
        peer.expect("api next").await;
        peer.api_reply("for the next").await;
    });
    assert_eq!(reply.unwrap().text(), "for the next");
}

#[tokio::test(start_paused = true)]
async fn input_16_reply_cut_in_the_middle() {
    let drain = Drain::new();
    let (link, mut peer, _) = link(1024, config(), &drain);
    let (reply, ()) = tokio::join!(link.send(api("x")), async {
        peer.expect("api x").await;
        peer.say(event("WHOLE")).await;
        peer.say("Content-Type: api/response\nContent-Length: 40\n\n+OK half of")
            .await;
        drop(peer);
    });
    assert!(
        matches!(reply, Err(LinkError::OutcomeUnknown(Lost::Closed))),
        "{reply:?}"
    );
}

/// Bytes are bytes: nothing above may have looked at them as text.
#[test]
fn content_types_are_known_by_their_exact_name() {
    let wire = frame("TEXT/EVENT-PLAIN", Bytes::new());
    assert_eq!(decode(&[&wire])[0].content_type(), ContentType::Unknown);
}
