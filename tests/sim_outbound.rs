//! The outbound event socket of the simulator against its recordings: the recorded commands of a
//! controller bring the same kinds of frames.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests, which clippy does not take for tests"
)]

use std::time::Duration;

use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use crate::sim_conformance::record::{Frame, Recording, Side, take_frame};

/// What is compared of a frame: an event's name, or the content type and whether it is `+OK`.
fn kind(frame: &Frame) -> String {
    if let Some(event) = frame.event() {
        return event.get("Event-Name").to_owned();
    }
    let kind = frame.header("Content-Type").unwrap_or_default().to_owned();
    let disposition = frame.header("Content-Disposition").unwrap_or_default();
    let good = frame
        .header("Reply-Text")
        .unwrap_or_default()
        .starts_with("+OK");
    format!("{kind} {disposition} {good}")
}

/// Replies and events are compared apart: which comes first is a matter of threads.
fn kinds(frames: &[Frame]) -> (Vec<String>, Vec<String>) {
    let server = frames.iter().filter(|frame| frame.side == Side::Server);
    let (events, replies): (Vec<_>, Vec<_>) = server.partition(|frame| frame.event().is_some());
    (
        events.into_iter().map(kind).collect(),
        replies.into_iter().map(kind).collect(),
    )
}

/// Plays a controller that says what was recorded, when it was recorded.
async fn simulated(recording: &Recording) -> Vec<Frame> {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    sim.place_inbound(&format!("socket{port}"), "1000");
    let (stream, _) = listener.accept().await.expect("a connection");
    let (mut reader, mut writer) = stream.into_split();
    let reading = drain.spawn(async move {
        let (mut buffer, mut frames) = (Vec::new(), Vec::new());
        while reader.read_buf(&mut buffer).await.unwrap_or(0) > 0 {
            while let Some(frame) = take_frame(&mut buffer, Side::Server, 0.0) {
                frames.push(frame);
            }
        }
        frames
    });
    let began = Instant::now();
    for command in recording
        .commands
        .iter()
        .filter(|frame| frame.side == Side::Client)
    {
        sleep_until(began + Duration::from_secs_f64(command.at)).await;
        writer.write_all(&command.raw).await.expect("written");
    }
    // The recording ends with the notice; what lingers behind it is not in it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drain.stop();
    reading.await.expect("read")
}

#[tokio::test]
async fn a_controller_hears_what_was_recorded() {
    for name in ["outbound_linger", "outbound_no_linger"] {
        let recording = Recording::load(name);
        let (events, replies) = kinds(&recording.commands);
        let (mut simulated_events, simulated_replies) = kinds(&simulated(&recording).await);
        assert_eq!(simulated_replies, replies, "{name}");
        // While it lingers, a connection hears the channel's last events too.
        simulated_events.truncate(events.len());
        assert_eq!(simulated_events, events, "{name}");
    }
}
