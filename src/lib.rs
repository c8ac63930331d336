//! Switchgate: the gRPC control plane for FreeSWITCH.
//!
//! Data flows one way up, commands one way down; each module is one floor, and none knows those
//! above it.
//!
//! ```text
//! grpc      services, conversion, status, deadlines: alone knows tonic and `pb`
//! control   verbs: a command, and the event that proves its effect
//! jobs      every bgapi, with exactly one end        events   journal, cursors, subscriptions
//! fleet     nodes: links, placement, sync            tracker  sessions and calls
//! esl       codec without IO, quoting, one socket and its replies
//! domain    ids, causes, states, deadlines, failures: the ground that all may use
//! ```
//!
//! [`access`] says who asks and what it may do; `control` and `grpc` ask it.
//!
//! Beside them: [`app`] wires, [`admin`] and [`telemetry`] show operators what is going on, [`config`]
//! and [`cli`] face the operator, [`shutdown`] starts and stops every task, [`chance`] draws what is
//! random, [`sim`] is a FreeSWITCH that exists only on the wire.
//! `docs/architecture.md` tells who owns what.

mod accept;
pub mod access;
pub mod admin;
pub mod app;
pub mod backoff;
pub mod chance;
pub mod cli;
pub mod config;
pub mod control;
pub mod discovery;
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
pub mod tls;
pub mod tracker;

/// Events are blocks of some kilobytes that one thread makes and another one frees much later,
/// between blocks that stay. glibc's allocator cannot give such memory back, and grows with the
/// number of calls (`docs/benchmarks-memory.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
