//! The outbound event socket: the `socket` application.

use std::sync::Arc;

use super::core::Core;

/// Connects to the controller that the dialplan names and lets it control the channel.
pub(super) async fn run(core: &Arc<Core>, uuid: &str, argument: &str) {
    let address = argument.split(' ').next().unwrap_or_default();
    let Ok(stream) = tokio::net::TcpStream::connect(address).await else {
        return;
    };
    let full = argument.contains("full");
    super::server::control(core, stream, uuid, full).await;
}
