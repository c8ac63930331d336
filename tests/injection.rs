//! No client string is more than a string: each of a corpus of hostile ones goes through every text
//! field of every RPC, and what a node receives has the form of what a harmless request makes.

mod corpus;
mod requests;
mod slots;
mod wire;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::{CANARY, corpus};
use prost_reflect::MethodDescriptor;
use requests::{Subject, ask};
use slots::{Slot, methods};
use switchgate::sim::ChannelView;
use tonic::Code;
use wire::Shape;

use crate::seeds::house::House;

/// A word that hardly any field would refuse.
const HARMLESS: &str = "switchgate_test";

/// Fields in which a client names what is run, or a header, and what a harmless request names.
const NAMING: [(&str, &str); 5] = [
    ("RunApi command", "status"),
    ("RunJob command", "status"),
    ("StartJob command", "status"),
    ("Execute application", "sleep"),
    ("PublishEvent headers (key)", "switchgate_test"),
];

/// Requests about one leg: an application that is executed while another one runs nests, also in
/// FreeSWITCH.
const MOST_USES: usize = 20;

/// What came of one RPC.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    /// Those after which something was received.
    sent: usize,
    wrongs: Vec<String>,
}

#[test]
fn whatever_a_client_writes_a_node_receives_one_command_or_nothing() {
    let (methods, corpus) = (methods(), corpus());
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(method) = methods.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = in_paused_time(attack(method, &corpus));
                    let mut all = all.lock().unwrap();
                    all.asked += tally.asked;
                    all.sent += tally.sent;
                    all.wrongs.extend(tally.wrongs);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    println!(
        "{} requests, {} of them reached a node",
        all.asked, all.sent
    );
    assert!(all.wrongs.is_empty(), "{:#?}", all.wrongs);
    assert!(all.sent > 5_000, "{}", all.sent);
}

fn in_paused_time<T>(what: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(what)
}

/// The corpus through each text field of one RPC.
async fn attack(method: &MethodDescriptor, corpus: &[String]) -> Tally {
    let rpc = method.name();
    let house = House::open(1).await;
    house.control.fleet.any_ready().await;
    let sim = &house.sims[0];
    let bystander = Subject::of(&house, "").await.session;
    // With its far end.
    let others: BTreeSet<_> = sim
        .channels()
        .into_iter()
        .map(|channel| channel.uuid)
        .collect();
    let slots = Slot::all(&method.input());

    // What a harmless request makes, and what comes of it later.
    let mut usual = BTreeSet::new();
    for slot in std::iter::once(None).chain(slots.iter().map(Some)) {
        let subject = Subject::of(&house, rpc).await;
        let mut request = subject.request(&method.input());
        if let Some(slot) = slot {
            slot.put(&mut request, HARMLESS);
        }
        let _ = ask(&house, method, request).await;
    }
    let mut received = sim.take_commands();
    // Asked of a link that is silent.
    received.push(b"noevents\n\n".to_vec());
    usual.extend(received.iter().map(|raw| Shape::of(raw)));

    let mut tally = Tally::default();
    let mut subject = Subject::of(&house, rpc).await;
    let mut used = 0;
    for slot in &slots {
        let place = format!("{rpc} {}", slot.name());
        for text in corpus {
            sim.take_commands();
            let mut request = subject.request(&method.input());
            slot.put(&mut request, text);
            let outcome = ask(&house, method, request).await;
            let mut wrong = |what: String| {
                let text: String = text.chars().take(100).collect();
                tally.wrongs.push(format!("{place} = {text:?}: {what}"));
            };
            if let Err(status) = &outcome
                && matches!(status.code(), Code::Internal | Code::Unknown)
            {
                wrong(format!("{status:?}"));
            }
            let received = sim.take_commands();
            for raw in &received {
                let mut shape = Shape::of(raw);
                if let Some((_, harmless)) = NAMING.iter().find(|(field, _)| *field == place) {
                    shape = shape.with(harmless, text);
                }
                if !usual.contains(&shape) {
                    wrong(format!("{shape:?}: {:?}", String::from_utf8_lossy(raw)));
                }
            }
            tally.asked += 1;
            if received.is_empty() {
                continue;
            }
            tally.sent += 1;
            used += 1;
            let channels = sim.channels();
            let is_canary = |(name, _): &&(String, String)| name == CANARY;
            if channels
                .iter()
                .any(|channel| channel.variables.iter().any(|v| is_canary(&v)))
            {
                wrong("a variable was injected".to_owned());
                // It would be seen again and again.
                for channel in channels
                    .iter()
                    .filter(|channel| !others.contains(&channel.uuid))
                {
                    sim.hang_up(&channel.uuid);
                }
            }
            if !channels.iter().any(|channel| channel.uuid == bystander) {
                wrong("somebody else's call has ended".to_owned());
                return tally;
            }
            let is_subject = |channel: &ChannelView| channel.uuid == subject.session;
            if used == MOST_USES || !channels.iter().any(is_subject) {
                used = 0;
                for channel in channels
                    .iter()
                    .filter(|channel| !others.contains(&channel.uuid))
                {
                    sim.hang_up(&channel.uuid);
                }
                subject = Subject::of(&house, rpc).await;
            }
        }
    }
    house.close().await;
    tally
}
