//! The generated code of `proto/switchgate/v1`. Only `grpc`, and clients in tests, use it.

#![allow(missing_docs, unreachable_pub, unused_qualifications)]
#![allow(clippy::all)]

tonic::include_proto!("switchgate.v1");

/// The descriptor set that server reflection serves.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
