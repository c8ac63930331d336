//! The generated code of `proto/switchgate/v1`. Only `grpc`, and clients in tests, use it.

#![allow(missing_docs, unreachable_pub, unused_qualifications)]
#![allow(clippy::all)]

tonic::include_proto!("switchgate.v1");

/// The descriptor set that server reflection serves.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

impl std::fmt::Debug for AddNodeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddNodeRequest")
            .field("node_id", &self.node_id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
