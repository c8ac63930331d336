//! What one subscriber that stops reading changes for all others, for the gateway's memory and for
//! FreeSWITCH.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use switchgate::config::Size;

use crate::counter::Counters;
use crate::figures::{Figure, mib, micros, millis, quantile, thousands};
use crate::gateway::Gateway;
use crate::machine::{Busy, busy, cpu_of_threads, resident, runtime};
use crate::source::{Templates, steady, until};
use crate::wire_node::{WireNode, add_frame};
use crate::{lean_client, source};

/// Small enough to be full from the start, so that memory which grows is not the journal's.
const JOURNAL_MIB: usize = 32;
const HISTORY_MIB: usize = 8;
/// Ahead of the slowest subscriber while the capacity is sought.
const WINDOW: u64 = 128;
const SEEK: Duration = Duration::from_secs(3);
const RUN_IN: Duration = Duration::from_secs(1);
/// How often the event link is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How it is done.
#[derive(Debug)]
pub(crate) struct Stall {
    pub(crate) templates: Templates,
    pub(crate) subscribers: usize,
    pub(crate) connections: usize,
    /// Events per second; half of what is carried unless given.
    pub(crate) rate: Option<f64>,
    pub(crate) seconds: f64,
    pub(crate) rounds: u32,
}

/// All rounds of one column.
#[derive(Debug, Default)]
struct Column {
    rate: Figure,
    p50: Figure,
    p99: Figure,
    cpu: Figure,
    busy: Figure,
    unread: Figure,
    queued: Figure,
    growth: Figure,
}

// === impl Stall ===

impl Stall {
    pub(crate) fn run(&self) -> Result<()> {
        let (nodes, threads) = (runtime("nodes")?, runtime("gateway")?);
        let node = nodes.block_on(WireNode::start("1e0c5a5e-0000-4000-8000-000000000000"))?;
        let mut config = Gateway::config(&[node.address])?;
        config.events.journal_bytes = Size::from_mib(JOURNAL_MIB);
        config.sessions.history_bytes = Size::from_mib(HISTORY_MIB);
        let bound = config.events.subscriber_bytes.bytes();
        let gateway = threads.block_on(Gateway::start(&config))?;
        self.fill(&node, &gateway)?;

        let rate = match self.rate {
            Some(rate) => rate,
            None => self.capacity(&node, &gateway)? / 2.0,
        };
        println!(
            "{} subscribers on {} connections, {rate:.0} events/s through the event link",
            self.subscribers, self.connections
        );
        let counters = Arc::new(Counters::new(self.subscribers));
        lean_client::subscribe(
            gateway.address,
            self.subscribers,
            self.connections,
            &counters,
        )?;
        until(
            || Ok(counters.have_all_started()),
            "all subscribers have begun",
        )?;
        let (templates, events) = (self.templates.clone(), node.events.clone());
        steady(&counters, rate, move |position| {
            let mut frame = Vec::new();
            add_frame(&mut frame, &templates.bytes_of_now(position)?);
            Ok(events.blocking_send(frame.into())?)
        })?;
        let (mut without, mut with) = (Column::default(), Column::default());
        for _ in 0..self.rounds {
            self.measure(&node, &counters, &mut without)?;
            let (stalled, others) = (Arc::new(AtomicBool::new(false)), Arc::new(Counters::new(1)));
            lean_client::subscribe_stalling(gateway.address, &stalled, &others)?;
            until(|| Ok(others.have_all_started()), "the subscriber has begun")?;
            stalled.store(true, Ordering::Relaxed);
            self.measure(&node, &counters, &mut with)?;
            stalled.store(false, Ordering::Relaxed);
            std::thread::sleep(RUN_IN);
            match others.failure() {
                Some(_) => println!("the stalled subscriber was ended by the gateway"),
                None => println!("the stalled subscriber was not yet ended by the gateway"),
            }
            others.end();
        }
        counters.end();
        print(&without, &with, bound);
        threads.block_on(gateway.stop())
    }

    /// Events until the journal is full.
    fn fill(&self, node: &WireNode, gateway: &Gateway) -> Result<()> {
        let mut position = 0;
        let (mut held, mut before) = (1, 0);
        while held > before {
            before = held;
            for _ in 0..100 {
                let mut frames = Vec::new();
                for _ in 0..20 {
                    position += 1;
                    add_frame(&mut frames, &self.templates.bytes_of_now(position)?);
                }
                node.events.blocking_send(frames.into())?;
            }
            until(
                || Ok(node.queued() == 0 && node.unread()? == 0),
                "all is read",
            )?;
            // What was read last is in the journal then.
            std::thread::sleep(Duration::from_millis(50));
            held = gateway
                .control
                .journal
                .held_bytes()
                .min((JOURNAL_MIB << 20) * 9 / 10);
        }
        Ok(())
    }

    /// Events per second that all subscribers can be given.
    fn capacity(&self, node: &WireNode, gateway: &Gateway) -> Result<f64> {
        let counters = Arc::new(Counters::new(self.subscribers));
        lean_client::subscribe(
            gateway.address,
            self.subscribers,
            self.connections,
            &counters,
        )?;
        until(
            || Ok(counters.have_all_started()),
            "all subscribers have begun",
        )?;
        let (templates, events) = (self.templates.clone(), node.events.clone());
        source::run(&counters, WINDOW, move |position| {
            let mut frame = Vec::new();
            add_frame(&mut frame, &templates.bytes_of_now(position)?);
            Ok(events.blocking_send(frame.into())?)
        })?;
        std::thread::sleep(RUN_IN);
        let (began, before) = (Instant::now(), counters.deliveries());
        std::thread::sleep(SEEK);
        let deliveries = (counters.deliveries() - before) as f64;
        let elapsed = began.elapsed().as_secs_f64();
        counters.end();
        if let Some(failure) = counters.failure() {
            bail!("{failure}");
        }
        std::thread::sleep(RUN_IN);
        println!("at most {} deliveries/s", thousands(deliveries / elapsed));
        Ok(deliveries / elapsed / self.subscribers as f64)
    }

    fn measure(&self, node: &WireNode, counters: &Counters, column: &mut Column) -> Result<()> {
        std::thread::sleep(RUN_IN);
        counters.take_lateness();
        let (machine, cpu) = (Busy::now()?, cpu_of_threads("gateway"));
        let (began, before) = (Instant::now(), counters.deliveries());
        let resident_before = resident(std::process::id())?;
        let (mut unread, mut queued) = (Vec::new(), 0);
        while began.elapsed().as_secs_f64() < self.seconds {
            std::thread::sleep(LOOK);
            unread.push(node.unread()?);
            queued = queued.max(node.queued());
        }
        let deliveries = counters.deliveries() - before;
        let cpu = cpu_of_threads("gateway").saturating_sub(cpu);
        let growth = resident(std::process::id())? as f64 - resident_before as f64;
        if let Some(failure) = counters.failure() {
            bail!("{failure}");
        }
        let mut lateness = counters.take_lateness();
        column
            .rate
            .add(deliveries as f64 / began.elapsed().as_secs_f64());
        column.p50.add(millis(quantile(&mut lateness, 0.5)));
        column.p99.add(millis(quantile(&mut lateness, 0.99)));
        column
            .cpu
            .add(micros(cpu.div_f64(deliveries.max(1) as f64)));
        column.busy.add(busy(&machine)? * 100.0);
        unread.sort_unstable();
        column.unread.add(unread[unread.len() * 99 / 100] as f64);
        column.queued.add(queued as f64);
        column.growth.add(growth / f64::from(1 << 20));
        Ok(())
    }
}

fn print(without: &Column, with: &Column, bound: usize) {
    println!(
        "\n{:<46}{:>34}{:>34}",
        "median (range)", "all read", "one more has stopped"
    );
    let row = |name: &str, of: &dyn Fn(&Column) -> &Figure| {
        let cell = |column: &Column| {
            let (least, most) = of(column).range();
            format!("{:.1} ({least:.1} to {most:.1})", of(column).median())
        };
        println!("{name:<46}{:>34}{:>34}", cell(without), cell(with));
    };
    row("deliveries/s to the others", &|column| &column.rate);
    row("lateness p50, ms", &|column| &column.p50);
    row("lateness p99, ms", &|column| &column.p99);
    row("gateway CPU for a delivery, us", &|column| &column.cpu);
    row("machine busy, %", &|column| &column.busy);
    row("event link: unread bytes, p99", &|column| &column.unread);
    row("event link: chunks queued at the node, most", &|column| {
        &column.queued
    });
    row("growth of VmRSS, MiB", &|column| &column.growth);
    println!(
        "bound of a subscriber: {:.0} MiB of the journal, which it shares, before it is ended",
        mib(bound)
    );
}
