//! Jobs per second: `RunJob` through the gateway beside raw `bgapi`, in one run.
//!
//! Each round measures, one after the other, so that whatever else the machine does hits all of
//! them alike:
//!
//! - a: `bgapi uuid_exists` over one link of a minimal client, pipelined;
//! - d: the same over as many links as the gateway has, which is FreeSWITCH's own ceiling;
//! - b: `RunJob uuid_exists` by many callers through a gateway in this process, over real sockets;
//! - c: `RunApi uuid_exists` by the same callers.
//!
//! While a and d run there is no gateway that would take part of the machine. Half of the asked
//! sessions exist, at random, and each other one is asked for once, so an answer that reached the
//! wrong caller shows. See `docs/benchmarks.md`.

// The clock is the machine's, and tasks end with the process.
#![allow(clippy::disallowed_methods)]

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

#[path = "jobs/gateway.rs"]
mod gateway;
#[path = "jobs/questions.rs"]
mod questions;
#[path = "jobs/raw.rs"]
mod raw;
#[path = "jobs/report.rs"]
mod report;

use gateway::{Gateway, Load, Rpc};
use questions::Questions;
use report::{Report, Round};

/// How many times as fast as one raw link RunJob shall be.
const MARK: f64 = 7.0;
/// Jobs before each measurement through the gateway: connections, caches and allocator get warm.
const WARM_UP: usize = 200;

/// What to measure with.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds; the medians of all are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Jobs per measurement.
    #[arg(long, default_value_t = 2000)]
    jobs: usize,
    /// Concurrent callers of the gateway.
    #[arg(long, default_value_t = 64)]
    callers: usize,
    /// HTTP/2 connections that they share.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Command links of the gateway, and links of the raw client in d.
    #[arg(long, default_value_t = 8)]
    links: usize,
    /// Which measurements; fewer are for a profile.
    #[arg(long, default_value = "abcd")]
    measure: String,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The FreeSWITCH, or the simulator in its place.
struct Peer {
    name: String,
    address: String,
    password: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Threads are named, so that the gateway's CPU can be told from that of its callers.
    let (servers, callers) = (runtime("gateway")?, runtime("callers")?);
    let simulators = runtime("sim")?;
    let peer = match Peer::named()? {
        Some(peer) => peer,
        None => simulators.block_on(Peer::simulated())?,
    };
    println!("peer: {}, at {}", peer.name, peer.address);
    println!(
        "{} rounds; {} jobs, {} callers on {} connections, {} command links",
        arguments.rounds, arguments.jobs, arguments.callers, arguments.connections, arguments.links
    );

    let wanted = |letter| arguments.measure.contains(letter);
    let live = raw::LiveSession::start(&peer)?;
    let ask = |count| Questions::new(count, live.id());
    let load = Load {
        callers: arguments.callers,
        connections: arguments.connections,
    };
    let mut report = Report::default();
    for _ in 0..arguments.rounds {
        let mut round = Round::new(arguments.jobs);
        if wanted('a') {
            round.raw_one = Some(raw::one_link(&peer, &ask(arguments.jobs))?);
        }
        if wanted('d') {
            round.raw_links = Some(raw::links(&peer, arguments.links, &ask(arguments.jobs))?);
        }
        let gateway = servers.block_on(Gateway::start(&peer, arguments.links))?;
        for (letter, rpc, measured) in [
            ('b', Rpc::RunJob, &mut round.run_job),
            ('c', Rpc::RunApi, &mut round.run_api),
        ] {
            if wanted(letter) {
                callers.block_on(load.run(gateway.address(), rpc, ask(WARM_UP)))?;
                let questions = ask(arguments.jobs);
                *measured = Some(callers.block_on(load.run(gateway.address(), rpc, questions))?);
            }
        }
        servers.block_on(gateway.stop())?;
        round.print();
        report.add(round);
    }
    report.print(MARK);
    live.end()
}

// === impl Peer ===

impl Peer {
    fn named() -> Result<Option<Self>> {
        let Ok(address) = std::env::var("SWITCHGATE_TEST_FREESWITCH") else {
            return Ok(None);
        };
        ensure!(
            address.contains(':'),
            "SWITCHGATE_TEST_FREESWITCH=host:port"
        );
        let password = std::env::var("SWITCHGATE_TEST_PASSWORD");
        Ok(Some(Self {
            name: "the FreeSWITCH of SWITCHGATE_TEST_FREESWITCH".to_owned(),
            address,
            password: password.unwrap_or_else(|_| "ClueCon".to_owned()),
        }))
    }

    async fn simulated() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address: SocketAddr = listener.local_addr()?;
        // It lives as long as the process.
        let drain = Drain::new();
        let sim = Sim::new(SimConfig::default(), &drain);
        drain.spawn(async move { sim.serve(listener).await });
        Ok(Self {
            name: "the simulator (SWITCHGATE_TEST_FREESWITCH is not set)".to_owned(),
            address: address.to_string(),
            password: "ClueCon".to_owned(),
        })
    }
}

fn runtime(name: &str) -> Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .build()
        .with_context(|| format!("cannot start the threads of {name}"))
}
