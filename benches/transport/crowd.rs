//! Clients that mean harm, many at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

use crate::Way;
use crate::wire::{
    CANCEL, CONTINUATION, END_HEADERS, GOAWAY, HEADERS, RST_STREAM, SUBSCRIBE, Wire, field, frame,
    headers, request,
};

/// How long a crowd gathers before anything is measured.
const GATHER: Duration = Duration::from_secs(1);
const LIST: &str = "/switchgate.v1.NodeService/ListNodes";

/// What a crowd does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nobody,
    Silent,
    Half,
    Storm,
    Streams,
    Reset,
    Headers,
    Continuation,
}

pub(crate) const CROWDS: [Kind; 8] = [
    Kind::Nobody,
    Kind::Silent,
    Kind::Half,
    Kind::Storm,
    Kind::Streams,
    Kind::Reset,
    Kind::Headers,
    Kind::Continuation,
];

/// A crowd of one kind.
pub(crate) struct Crowd {
    kind: Kind,
    way: Way,
    saw: Arc<Mutex<BTreeMap<String, u64>>>,
    members: AsyncMutex<Vec<JoinHandle<()>>>,
}

// === impl Kind ===

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Silent => "1,000 that connect and say nothing, and come again when closed",
            Self::Half => "1,000 that stop after the first bytes, and come again when closed",
            Self::Storm => "8 that shake hands and leave, over and over",
            Self::Streams => "8 that open 4,000 subscriptions each",
            Self::Reset => "8 that reset what they ask for, over and over",
            Self::Headers => "8 that send 20 KiB of headers, over and over",
            Self::Continuation => "8 whose headers never end, over and over",
        }
    }

    fn members(self) -> usize {
        match self {
            Self::Nobody => 0,
            Self::Silent | Self::Half => 1000,
            _ => 8,
        }
    }
}

// === impl Crowd ===

impl Crowd {
    pub(crate) fn new(kind: Kind, way: Way) -> Self {
        Self {
            kind,
            way,
            saw: Arc::default(),
            members: AsyncMutex::default(),
        }
    }

    pub(crate) async fn start(self: &Arc<Self>) {
        let mut members = self.members.lock().await;
        for _ in 0..self.kind.members() {
            let crowd = Arc::clone(self);
            members.push(tokio::spawn(async move {
                loop {
                    let what = crowd.attack().await.unwrap_or_else(|| "closed".to_owned());
                    let mut saw = crowd.saw.lock().expect("no panic in here");
                    *saw.entry(what).or_default() += 1;
                }
            }));
        }
        tokio::time::sleep(GATHER).await;
    }

    /// Ends it; says what its members saw, and how often.
    pub(crate) async fn stop(&self) -> String {
        for member in self.members.lock().await.drain(..) {
            member.abort();
            let _ = member.await;
        }
        let saw = self.saw.lock().expect("no panic in here");
        let told = saw.iter().map(|(what, count)| format!("{what} {count}"));
        told.collect::<Vec<_>>().join(", ")
    }

    /// One round of one member, to the end of its connection; what it saw.
    async fn attack(&self) -> Option<String> {
        let Ok(mut stream) = TcpStream::connect(self.way.address).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            return Some("no connection".to_owned());
        };
        match self.kind {
            Kind::Silent => {
                let _ = stream.read(&mut [0]).await;
                return None;
            }
            Kind::Half => {
                let said: &[u8] = match self.way.tls {
                    Some(_) => &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
                    None => b"PRI * HTTP/2.0\r\n",
                };
                stream.write_all(said).await.ok()?;
                let _ = stream.read(&mut [0]).await;
                return None;
            }
            _ => {}
        }
        let stream = self.way.secured(stream).await.ok()?;
        if self.kind == Kind::Storm {
            return Some("handshakes".to_owned());
        }
        let mut wire = Wire::over(stream).await;
        self.speak(&mut wire).await;
        while let Some(frame) = wire.next().await {
            if frame.kind == GOAWAY {
                return Some(format!("GOAWAY {}", frame.code()));
            }
            let what = match frame.kind {
                RST_STREAM => format!("RST_STREAM {}", frame.code()),
                HEADERS => "answers".to_owned(),
                _ => continue,
            };
            let mut saw = self.saw.lock().expect("no panic in here");
            *saw.entry(what).or_default() += 1;
        }
        None
    }

    async fn speak(&self, wire: &mut Wire) {
        let odd = |at: u32| 2 * at + 1;
        match self.kind {
            Kind::Streams => {
                let all = (0..4000).map(|at| request(odd(at), SUBSCRIBE));
                wire.send(&all.collect::<Vec<_>>().concat()).await;
            }
            Kind::Reset => {
                let pairs = (0..1000).map(|at| {
                    let reset = frame(RST_STREAM, 0, odd(at), &CANCEL.to_be_bytes());
                    [request(odd(at), LIST), reset].concat()
                });
                wire.send(&pairs.collect::<Vec<_>>().concat()).await;
            }
            Kind::Headers => {
                let value = "x".repeat(4000);
                let long: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| (name, &*value)).into();
                let block = headers(LIST, &long);
                let (first, rest) = block.split_at(16_000);
                for at in 0..500 {
                    let parts = [
                        frame(HEADERS, 1, odd(at), first),
                        frame(CONTINUATION, END_HEADERS, odd(at), rest),
                    ];
                    if !wire.send(&parts.concat()).await {
                        return;
                    }
                }
                // It has said all that it has to say.
                wire.send(&frame(GOAWAY, 0, 0, &[0; 8])).await;
            }
            _ => {
                wire.send(&frame(HEADERS, 0, 1, &headers(LIST, &[]))).await;
                let burst = frame(CONTINUATION, 0, 1, &field("x", &"x".repeat(1000))).repeat(500);
                while wire.send(&burst).await {}
            }
        }
    }
}
