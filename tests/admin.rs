//! The port for metrics and probes: what it tells at each stage, and who cannot disturb it.

mod documents;
mod hostile;
mod large;
mod log_level;
mod metrics;
mod probes;
mod promql;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, within};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// An answer over HTTP/1.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    head: String,
    pub(crate) body: String,
}

/// Metrics as they were at one moment, by name and labels as they are written.
#[derive(Debug)]
struct Scrape {
    text: String,
    samples: BTreeMap<String, f64>,
}

// === impl Answer ===

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

// === impl Scrape ===

impl Scrape {
    async fn of(gateway: &Gateway) -> Self {
        Self::parse(get(gateway.admin.unwrap(), "/metrics").await.body)
    }

    fn parse(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self {
            samples: samples.collect(),
            text,
        }
    }

    /// A value; what was never counted is 0.
    fn value(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or(0.0)
    }

    /// How much each of these grew since `before`.
    fn since<const N: usize>(&self, before: &Self, samples: [&str; N]) -> [f64; N] {
        samples.map(|sample| self.value(sample) - before.value(sample))
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "", "").await
}

async fn ask(address: SocketAddr, method: &str, path: &str, accept: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\naccept: {accept}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    within(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&answer)
    })
    .await
}

/// Scrapes until it is so, for what tells nobody when it changes.
async fn until_scraped(gateway: &Gateway, mut is_so: impl FnMut(&Scrape) -> bool) -> Scrape {
    within(async {
        loop {
            let scrape = Scrape::of(gateway).await;
            if is_so(&scrape) {
                return scrape;
            }
        }
    })
    .await
}
