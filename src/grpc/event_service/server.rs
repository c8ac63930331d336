//! The generated server of EventService whose responses hold shared bytes (`build.rs`); clients
//! have the plain types of [`crate::pb`].

#![allow(missing_docs, unreachable_pub, unused_qualifications)]
#![allow(clippy::all)]

include!(concat!(env!("OUT_DIR"), "/shared/switchgate.v1.rs"));
