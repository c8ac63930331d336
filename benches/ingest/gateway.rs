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

/// Has the gateway take in so many laps, of which the first ones are not measured: they fill the
/// journal, as it is in a gateway that has run for a while.
pub(crate) fn run(
    source: &mut Source,
    warm: usize,
    laps: usize,
    corpus: &Corpus,
) -> Result<Reading> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(source, warm, laps, corpus))
}

async fn measure(
    source: &mut Source,
    warm: usize,
    laps: usize,
    corpus: &Corpus,
) -> Result<Reading> {
    let mut config = Config::default();
    config.admin.enabled = false;
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

    let before = control.journal.cursor().position;
    let has_come = async |laps: usize| {
        let wanted = before + (laps * corpus.events) as u64;
        let deadline = Instant::now() + PATIENCE;
        while control.journal.cursor().position < wanted {
            ensure!(Instant::now() < deadline, "the events do not all come");
            tokio::time::sleep(GLANCE).await;
        }
        Ok((SystemTime::now(), cpu::of_process()?))
    };
    source.send(laps)?;
    let (began, cpu_before) = has_come(warm).await?;
    let (ended, cpu) = has_come(laps).await?;
    let cpu = cpu.saturating_sub(cpu_before);
    let events = (laps - warm) * corpus.events;
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
    Ok(Reading {
        began: Some(began),
        ended,
        cpu,
        events,
    })
}
