//! The Event Socket: frames, events, commands, one socket and its replies.
//!
//! [`Decoder`] turns bytes into [`Frame`]s without IO. [`Connector`] dials, authenticates and
//! yields a [`Connection`]; [`Connection::start`] hands the socket to a task of its own and gives
//! back a [`Link`], through which any number of callers share it.

mod codec;
mod command;
mod connection;
mod connector;
mod counts;
mod dialer;
mod event;
mod frame;
mod header;
mod lines;
mod link;
mod outcome;
pub mod quote;
pub mod sendevent;

pub use codec::{Decoder, FrameError, Limits, Received};
pub use command::Command;
pub use connection::{Connection, ConnectionConfig};
pub use connector::{ConnectError, Connector, Credentials};
pub use counts::LinkCounts;
pub use dialer::{BoxIo, Dialer, Io, TcpDialer};
pub use event::{Event, EventError, decimal, parse_number};
pub use frame::{ContentType, Frame};
pub use header::{HeaderLine, Headers, filled_value, value_text};
pub use link::{EventSink, Link, LinkError, Liveness, Lost, NoEvents, Reply};
pub use outcome::Outcome;
