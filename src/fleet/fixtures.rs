//! What the tests of this floor have in common.

use std::sync::Arc;
use std::time::Duration;

use super::NodeSpec;
use crate::esl::{ConnectionConfig, Connector, Credentials, Limits, TcpDialer};
use crate::tracker::Labels;

/// A node at whose address nobody listens.
pub(super) fn spec(id: &str) -> NodeSpec {
    let silence = Duration::from_secs(1);
    NodeSpec {
        id: id.parse().unwrap(),
        connector: Connector {
            address: "127.0.0.1:1".to_owned(),
            credentials: Credentials {
                user: None,
                password: "secret".to_owned().into(),
            },
            timeout: silence,
            limits: Limits::default(),
            dialer: Arc::new(TcpDialer { silence }),
        },
        labels: Labels::default(),
        command_links: 1,
        link: ConnectionConfig::default(),
        query_timeout: silence,
        backoff: (silence, silence),
    }
}
