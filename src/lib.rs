//! Switchgate: the gRPC control plane for FreeSWITCH.

pub mod app;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod control;
pub mod domain;
pub mod esl;
pub mod events;
pub mod fleet;
pub mod grpc;
pub mod jobs;
pub mod pb;
pub mod shutdown;
pub mod sim;
pub mod telemetry;
pub mod tracker;
