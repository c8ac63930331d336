//! What the audit is told of one RPC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::domain::Failure;
use crate::grpc::peer::Peer;
use crate::grpc::rpc::Rpc;
use crate::pb;
use crate::telemetry::audit::{Audit, Line};
use crate::telemetry::redact::{Ids, Redaction, decode};

/// What the API marks as sensitive.
static REDACTION: LazyLock<Redaction> = LazyLock::new(|| Redaction::of(pb::DESCRIPTOR));

/// Longest message that is looked into.
const MAX_MESSAGE: usize = 256 * 1024;
/// In front of each message: a flag, and its length.
const PREFIX: usize = 5;

/// An RPC that changes something.
#[derive(Debug)]
pub(super) struct Entry {
    audit: Audit,
    rpc: &'static Rpc,
    peer: Peer,
    /// The client's own trace, which counts where it is not let in.
    remote_trace: Option<String>,
    /// Set when it is let in.
    trace: OnceLock<Option<String>>,
    began: (SystemTime, Instant),
    caller: OnceLock<String>,
    /// Somebody known is behind it, not just anybody.
    is_known: AtomicBool,
    is_let_in: AtomicBool,
    request: Mutex<First>,
    answer: Mutex<First>,
}

/// The first message of a body, as far as it has come.
#[derive(Debug, Default)]
struct First {
    chunks: Vec<Bytes>,
    length: usize,
    /// There is more of it than is looked into.
    is_too_long: bool,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(
        audit: &Audit,
        rpc: &'static Rpc,
        peer: &Peer,
        remote_trace: Option<String>,
    ) -> Self {
        Self {
            audit: audit.clone(),
            rpc,
            peer: peer.clone(),
            remote_trace,
            trace: OnceLock::new(),
            began: (SystemTime::now(), Instant::now()),
            caller: OnceLock::new(),
            is_known: AtomicBool::new(false),
            is_let_in: AtomicBool::new(false),
            request: Mutex::default(),
            answer: Mutex::default(),
        }
    }

    /// It is clear who asks: somebody known, or anybody.
    pub(super) fn identified(&self, name: &str, is_known: bool) {
        // Each request is identified once.
        let _ = self.caller.set(name.to_owned());
        self.is_known.store(is_known, Ordering::Relaxed);
    }

    /// It is let in, as a part of this trace; says whether it may go on.
    pub(super) fn admitted(&self, trace: Option<String>) -> Result<(), Failure> {
        self.is_let_in.store(true, Ordering::Relaxed);
        // Each request is let in once.
        let _ = self.trace.set(trace);
        self.audit.check()
    }

    /// A part of the request has come.
    pub(super) fn read(&self, data: &Bytes) {
        lock(&self.request).take(data);
    }

    /// A part of the answer has gone.
    pub(super) fn answered(&self, data: &Bytes) {
        lock(&self.answer).take(data);
    }

    /// It has ended.
    pub(super) fn end(&self, status: &Status, code: &'static str) {
        let (service, method) = (&self.rpc.service, &self.rpc.method);
        let mut ids = Ids::default();
        let request = message(&self.request, REDACTION.request(service, method));
        if let Some(request) = &request {
            ids.look_in(request);
        }
        let mut reason = None;
        if status.code() != Code::Ok
            && let Some(info) = status.get_error_details().error_info()
        {
            reason = Some(info.reason.clone());
            for (name, text) in &info.metadata {
                ids.learn(name, text);
            }
        }
        if let Some(answer) = message(&self.answer, REDACTION.response(service, method)) {
            ids.look_in(&answer);
        }
        let redact = self.audit.redacts();
        let line = Line {
            time: self.began.0,
            rpc: self.rpc.path.trim_start_matches('/').to_owned(),
            caller: self.caller.get().cloned(),
            peer: self.peer.address,
            request: request.map(|request| REDACTION.show(&request, redact)),
            ids,
            code,
            reason,
            took: self.began.1.elapsed(),
            trace_id: self.trace_id(),
        };
        match self.is_let_in.load(Ordering::Relaxed) {
            true => self.audit.write(&line),
            false => {
                let is_known = self.is_known.load(Ordering::Relaxed);
                let caller = line.caller.as_deref().filter(|_| is_known);
                self.audit.write_refused(&line, caller);
            }
        }
    }

    fn trace_id(&self) -> Option<String> {
        let own = self.trace.get().cloned().flatten();
        own.or_else(|| self.remote_trace.clone())
    }
}

// === impl First ===

impl First {
    fn take(&mut self, data: &Bytes) {
        let is_whole = || self.wanted().is_some_and(|wanted| self.length >= wanted);
        if data.is_empty() || self.is_too_long || is_whole() {
            return;
        }
        self.chunks.push(data.clone());
        self.length += data.len();
        if self.length > MAX_MESSAGE + PREFIX {
            self.is_too_long = true;
            self.chunks.clear();
        }
    }

    /// Bytes of the message with what is in front of it, once that has come.
    fn wanted(&self) -> Option<usize> {
        let mut prefix = self.chunks.iter().flatten().take(PREFIX).copied();
        let _flag = prefix.next()?;
        let mut length = 0;
        for _ in 1..PREFIX {
            length = length << 8 | usize::from(prefix.next()?);
        }
        Some(PREFIX + length)
    }

    /// The message, once it is whole. One that is compressed is not looked into: the server takes
    /// none.
    fn message(&self) -> Option<Vec<u8>> {
        let wanted = self.wanted()?;
        if self.length < wanted || self.chunks.first()?.first() != Some(&0) {
            return None;
        }
        Some(self.chunks.concat()[PREFIX..wanted].to_vec())
    }
}

fn message(first: &Mutex<First>, descriptor: Option<MessageDescriptor>) -> Option<DynamicMessage> {
    let bytes = lock(first).message()?;
    decode(&descriptor?, bytes.as_slice())
}

/// A panic while the lock was held leaves plain data behind.
fn lock(first: &Mutex<First>) -> MutexGuard<'_, First> {
    first.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_message_is_found_however_its_bytes_come(
            message in proptest::collection::vec(any::<u8>(), 0..300),
            more in proptest::collection::vec(any::<u8>(), 0..20),
            cuts in proptest::collection::vec(1_usize..40, 0..40),
        ) {
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let mut rest = Bytes::from([&[0], &length[..], &message, &more].concat());
            let mut first = First::default();
            for cut in cuts {
                first.take(&rest.split_to(cut.min(rest.len())));
            }
            first.take(&rest);
            prop_assert_eq!(first.message(), Some(message));
        }

        #[test]
        fn no_bytes_make_it_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..10)) {
            let mut first = First::default();
            for chunk in chunks {
                first.take(&chunk.into());
                let _ = first.message();
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut first = First::default();
        first.take(&Bytes::from_static(&[0, 255, 255, 255, 255]));
        let chunk = Bytes::from(vec![0; MAX_MESSAGE]);
        first.take(&chunk);
        assert_eq!(first.chunks.len(), 2);
        first.take(&chunk);
        assert!(first.chunks.is_empty() && first.message().is_none());
    }
}
