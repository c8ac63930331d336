//! The outbound event socket: the `socket` application (`socket_function` in
//! `mod_event_socket.c`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::core::{Core, World};
use super::encode;
use super::event::{Event, Format};
use super::names::EventKind;
use super::{apps, server};

/// Time in which a controller has to say `connect`, and that passes before the channel is parked
/// for it.
const CONNECT_WITHIN: Duration = Duration::from_secs(25);
const PARK_AFTER: Duration = Duration::from_millis(20);

/// What the channel and its controller's connection tell each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Control {
    /// The controller has said `connect`.
    pub(super) connected: CancellationToken,
    /// The channel has come to its end.
    pub(super) released: CancellationToken,
}

/// Connects to the controller that the dialplan names and parks the channel for it.
pub(super) async fn run(core: &Arc<Core>, uuid: &str, argument: &str) {
    let address = argument.split(' ').next().unwrap_or_default();
    let Ok(stream) = TcpStream::connect(address).await else {
        return;
    };
    let control = Control::default();
    if let Some(channel) = core.world().channels.get_mut(uuid) {
        channel.control = Some(control.clone());
    }
    server::control(
        core,
        stream,
        uuid,
        argument.contains("full"),
        control.clone(),
    );
    if tokio::time::timeout(CONNECT_WITHIN, control.connected.cancelled())
        .await
        .is_err()
    {
        return;
    }
    tokio::time::sleep(PARK_AFTER).await;
    apps::park(core, uuid).await;
}

/// The answer to `connect`: all that is known of the channel, as the reply's headers.
pub(super) fn connected(world: &mut World, uuid: &str, full: bool) -> Option<Bytes> {
    let verbose = true;
    let mut event = Event::new(EventKind::Data);
    let channel = world.channels.get(uuid)?;
    if let Some(profile) = &channel.profile {
        profile.write("Channel", &mut event);
    }
    channel.write(&mut event, verbose);
    event.add("Content-Type", "command/reply");
    event.add("Reply-Text", "+OK\n");
    event.add("Socket-Mode", "async");
    event.add("Control", if full { "full" } else { "single-channel" });
    if let Some(control) = &channel.control {
        control.connected.cancel();
    }
    let event = world.prepare(event);
    Some(encode::plain(&event).into())
}

/// `myevents [format]` of a controller.
pub(super) fn my_events(world: &mut World, key: u64, uuid: &str, format: &str) -> String {
    let Some(listener) = world.listeners.get_mut(&key) else {
        return String::new();
    };
    if listener.mine.is_some() {
        return "-ERR aready enabled.".to_owned();
    }
    match format.trim().to_ascii_lowercase().as_str() {
        "json" => listener.format = Format::Json,
        "xml" => listener.format = Format::Xml,
        _ => {}
    }
    listener.mine = Some(uuid.to_owned());
    listener.listening = true;
    for kind in EventKind::OF_A_CHANNEL {
        listener.kinds.insert(*kind);
    }
    "+OK Events Enabled".to_owned()
}

/// The notice that the controlled channel is gone, with or without lingering.
pub(super) fn farewell(uuid: &str, name: &str, linger: Option<u64>) -> Bytes {
    let text = match linger {
        Some(seconds) => {
            let seconds = if seconds == u64::MAX {
                "-1".to_owned()
            } else {
                seconds.to_string()
            };
            format!(
                "Content-Type: text/disconnect-notice\nControlled-Session-UUID: {uuid}\n\
                 Content-Disposition: linger\nChannel-Name: {name}\nLinger-Time: {seconds}\n\
                 Content-Length: 0\n\n"
            )
        }
        None => format!(
            "Content-Type: text/disconnect-notice\nControlled-Session-UUID: {uuid}\n\
             Content-Disposition: disconnect\nContent-Length: 67\n\n\
             Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
        ),
    };
    text.into()
}
