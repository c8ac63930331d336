//! The readers that the gateway is compared with.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use freeswitch_esl_tokio::{EslClient, EslConnectOptions, EventFormat};
use tokio::runtime::Builder;

use crate::Reading;
use crate::corpus::Corpus;
use crate::cpu;
use crate::source::Source;

const PASSWORD: &str = "ClueCon";
/// As much as the gateway's link reads at once.
const READ_BYTES: usize = 64 << 10;

/// Only takes the bytes off the socket.
pub(crate) fn bare(source: &mut Source, laps: usize, corpus: &Corpus) -> Result<Reading> {
    let mut stream = TcpStream::connect(source.address())?;
    let mut buffer = vec![0; READ_BYTES];
    stream.write_all(b"auth ClueCon\n\nevent plain ALL\n\n")?;
    // Greeting and two replies; the recording waits until they have come.
    let mut replies = Vec::new();
    while replies.windows(2).filter(|pair| pair == b"\n\n").count() < 3 {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the source hung up");
        replies.extend_from_slice(&buffer[..count]);
    }
    let before = cpu::of_process()?;
    source.send(laps)?;
    let mut left = laps * corpus.bytes.len();
    while left > 0 {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the source hung up");
        left -= count;
    }
    Ok(Reading {
        began: None,
        ended: SystemTime::now(),
        cpu: cpu::of_process()?.saturating_sub(before),
        events: laps * corpus.events,
    })
}

/// Reads every event by `freeswitch-esl-tokio` and looks at its name.
pub(crate) fn tokio(source: &mut Source, laps: usize, corpus: &Corpus) -> Result<Reading> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = source.address().ip().to_string();
        let port = source.address().port();
        // Else it drops events, since it reads faster than its events are taken.
        let events = laps * corpus.events;
        let options = EslConnectOptions::new().with_event_queue_size(events);
        let (client, mut stream) =
            EslClient::connect_with_options(&host, port, PASSWORD, options).await?;
        client.subscribe_all_events(EventFormat::Plain).await?;
        let before = cpu::of_process()?;
        source.send(laps)?;
        for _ in 0..events {
            let event = stream.recv().await.context("the client hung up")??;
            ensure!(event.event_type().is_some(), "an event has no name");
        }
        Ok(Reading {
            began: None,
            ended: SystemTime::now(),
            cpu: cpu::of_process()?.saturating_sub(before),
            events,
        })
    })
}

/// FreeSWITCH's C client, in a process of its own.
#[derive(Debug)]
pub(crate) struct Libesl {
    program: PathBuf,
}

// === impl Libesl ===

impl Libesl {
    /// Compiles the reader; `flags` tell where header and library are.
    pub(crate) fn build(flags: &str) -> Result<Self> {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libesl-reader");
        let status = Command::new("cc")
            .args(["-O2", "benches/ingest/libesl.c", "-o"])
            .arg(&program)
            .args(flags.split_whitespace())
            .args(["-lpthread", "-lm"])
            .status()
            .context("cc")?;
        ensure!(status.success(), "the libesl reader cannot be built");
        Ok(Self { program })
    }

    pub(crate) fn run(&self, source: &mut Source, laps: usize, corpus: &Corpus) -> Result<Reading> {
        let events = laps * corpus.events;
        source.send(laps)?;
        let output = Command::new(&self.program)
            .arg(source.address().port().to_string())
            .arg(events.to_string())
            .output()?;
        let ended = SystemTime::now();
        ensure!(output.status.success(), "the libesl reader failed");
        let micros = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok(Reading {
            began: None,
            ended,
            cpu: Duration::from_micros(micros),
            events,
        })
    }
}
