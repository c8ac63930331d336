//! The Event Socket: frames, events, commands, one socket and its replies.

mod quote;
