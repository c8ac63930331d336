//! The gateway's whole path: link, index, tracker, journal.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::domain::NodeState;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::Reading;
use crate::corpus::Corpus;
use crate::cpu;
use crate::source::Source;

const NODE: &str = "bench";
/// The node looks at the sessions a second time 500 ms after it went into service.
const SETTLE: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the journal, which cost next to nothing.
const GLANCE: Duration = Duration::from_millis(1);

/// Has the gateway take in so many laps.
pub(crate) fn run(source: &mut Source, laps: usize, corpus: &Corpus) -> Result<Reading> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(source, laps, corpus))
}

async fn measure(source: &mut Source, laps: usize, corpus: &Corpus) -> Result<Reading> {
    let mut config = Config::default();
    config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.shutdown.delay = Duration::ZERO;
    let address = NodeAddress::from(source.address());
    let node = NodeConfig::new(NODE.parse()?, address, "ClueCon");
    config.nodes.push(node);
    let app = App::build(&config).await?;
    let control = app.control().clone();
    let node = control.fleet.node(&NODE.parse()?)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let app = tokio::spawn(app.run(async move {
        let _ = stopped.await;
    }));
    tokio::time::timeout(PATIENCE, node.reached(NodeState::Ready))
        .await
        .context("the node does not come into service")?;
    tokio::time::sleep(SETTLE).await;

    let events = laps * corpus.events;
    let wanted = control.journal.cursor().position + events as u64;
    let before = cpu::of_process()?;
    let deadline = Instant::now() + PATIENCE;
    source.send(laps)?;
    while control.journal.cursor().position < wanted {
        ensure!(Instant::now() < deadline, "the events do not all come");
        tokio::time::sleep(GLANCE).await;
    }
    let ended = SystemTime::now();
    let cpu = cpu::of_process()?.saturating_sub(before);
    // Not only counted: the sessions of the recording are there, and have ended as they did.
    let sessions = control.tracker.sessions();
    let live = sessions.iter().filter(|session| session.is_live()).count();
    let known = (sessions.len(), sessions.len() - live);
    ensure!(
        known == (laps * corpus.begun, laps * corpus.ended),
        "{known:?} are not the sessions that began and ended in the recording"
    );
    let _ = stop.send(());
    ensure!(app.await?, "the gateway did not drain");
    Ok(Reading { ended, cpu, events })
}
