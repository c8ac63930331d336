//! The RPCs of the API, as the descriptor set tells them: a new one cannot be forgotten.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use crate::pb;

/// One RPC of our own services; not those of health and reflection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpc {
    /// `/switchgate.v1.SessionService/Originate`.
    pub path: String,
    /// `switchgate.v1.SessionService`.
    pub service: String,
    /// `Originate`.
    pub method: String,
    /// It changes nothing, as its option `idempotency_level` says.
    pub reads: bool,
    /// It answers with a stream.
    pub streams: bool,
}

static RPCS: LazyLock<HashMap<String, Rpc>> = LazyLock::new(rpcs);

// === impl Rpc ===

impl Rpc {
    /// The RPC at this path of a request.
    pub fn at(path: &str) -> Option<&'static Self> {
        RPCS.get(path)
    }

    /// As roles write it: `SessionService/Originate`.
    pub fn short(&self) -> String {
        let service = self.service.rsplit('.').next().unwrap_or_default();
        format!("{service}/{}", self.method)
    }

    /// All of them, in no order.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        RPCS.values()
    }
}

fn rpcs() -> HashMap<String, Rpc> {
    // It is our own, and reflection serves it.
    let set = FileDescriptorSet::decode(pb::DESCRIPTOR).unwrap_or_default();
    let mut rpcs = HashMap::new();
    for file in set
        .file
        .iter()
        .filter(|file| file.package() == "switchgate.v1")
    {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let level = method
                    .options
                    .as_ref()
                    .map(|options| options.idempotency_level());
                let path = format!("/{service_name}/{}", method.name());
                let rpc = Rpc {
                    path: path.clone(),
                    service: service_name.clone(),
                    method: method.name().to_owned(),
                    reads: level == Some(IdempotencyLevel::NoSideEffects),
                    streams: method.server_streaming(),
                };
                rpcs.insert(path, rpc);
            }
        }
    }
    rpcs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpcs_are_known_by_their_path_with_what_they_do() {
        let originate = Rpc::at("/switchgate.v1.SessionService/Originate").unwrap();
        assert_eq!(originate.service, "switchgate.v1.SessionService");
        assert!(!originate.reads);
        assert!(
            Rpc::at("/switchgate.v1.EventService/Subscribe")
                .unwrap()
                .reads
        );
        assert_eq!(Rpc::at("/switchgate.v1.SessionService/Nothing"), None);
        assert_eq!(Rpc::at("/grpc.health.v1.Health/Check"), None);
    }

    #[test]
    fn what_only_reads_is_called_so() {
        let reading = ["Get", "List", "Watch", "Wait", "Subscribe"];
        for rpc in Rpc::all() {
            let named = reading.iter().any(|word| rpc.method.starts_with(word));
            assert_eq!(rpc.reads, named, "{rpc:?}");
        }
    }
}
