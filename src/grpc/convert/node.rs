//! Nodes.

use super::{to_duration, to_labels, to_timestamp};
use crate::control::Control;
use crate::domain::NodeState;
use crate::fleet::Node;
use crate::pb;

/// A node with its figures, as the caller sees it.
pub(in crate::grpc) fn to_node(node: &Node, control: &Control) -> pb::Node {
    let status = node.status();
    // How busy a node is, and where, is not for tenants.
    if control.is_tenants() {
        return pb::Node {
            node_id: node.id().to_string(),
            state: to_node_state(status.state).into(),
            ..pb::Node::default()
        };
    }
    let figures = node.figures();
    let (links, wanted) = node.command_links();
    pb::Node {
        node_id: node.id().to_string(),
        address: node.address().to_owned(),
        state: to_node_state(status.state).into(),
        state_detail: status.detail,
        version: status.version,
        core_uuid: status.core_uuid,
        labels: to_labels(&node.labels()),
        tracked_sessions: count(control.live_count(node.id())),
        sessions: figures.sessions,
        max_sessions: figures.max_sessions,
        sessions_per_second: figures.sessions_per_second,
        max_sessions_per_second: figures.max_sessions_per_second,
        idle_cpu_percent: figures.idle_cpu,
        last_heartbeat: figures.heartbeat_at.map(to_timestamp),
        uptime: figures.heartbeat_at.map(|_| to_duration(figures.uptime)),
        command_links: count(links),
        command_links_wanted: count(wanted),
        queued_commands: count(node.commands_under_way()),
        running_jobs: count(control.running_jobs(node.id())),
        connects: status.connects,
    }
}

pub(in crate::grpc) fn to_node_state(state: NodeState) -> pb::NodeState {
    match state {
        NodeState::Connecting => pb::NodeState::Connecting,
        NodeState::Syncing => pb::NodeState::Syncing,
        NodeState::Ready => pb::NodeState::Ready,
        NodeState::Draining => pb::NodeState::Draining,
        NodeState::Down => pb::NodeState::Down,
        NodeState::Removed => pb::NodeState::Removed,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
