//! No client string is more than a string: each of a corpus of hostile ones goes through every text
//! field of every RPC, and what a node receives has the form of what a harmless request makes.

mod attack;
mod corpus;
mod live;
mod requests;
mod slots;
mod tenants;
mod utf8;
mod wire;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use attack::{Attack, Tally};
use corpus::corpus;
use prost_reflect::MethodDescriptor;
use slots::methods;

/// Fields whose strings go on to a node, if only as a part of a command: that none is accepted would
/// mean that the request around it is refused for something else.
const REACHING: [&str; 21] = [
    "Broadcast arguments",
    "Deflect uri",
    "Execute arguments",
    "Originate application.arguments",
    "Originate caller_id_name",
    "Originate caller_id_number",
    "Originate endpoints",
    "Originate extension.number",
    "Originate variables",
    "Originate variables (key)",
    "OriginateStream originate.variables",
    "Playback files",
    "PublishEvent body",
    "PublishEvent headers",
    "PublishEvent headers (key)",
    "RunApi arguments",
    "RunJob arguments",
    "SetVariables variables",
    "SetVariables variables (key)",
    "Speak text",
    "StartRecording path",
];

/// Tries these RPCs, on as many threads as there are cores.
fn try_all(methods: &[MethodDescriptor], attack: &Attack) -> Tally {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(method) = methods.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = in_paused_time(attack.on(method));
                    all.lock().unwrap().add(tally);
                }
            });
        }
    });
    all.into_inner().unwrap()
}

fn in_paused_time<T>(what: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(what)
}

#[test]
fn whatever_a_client_writes_a_node_receives_one_command_or_nothing() {
    let attack = Attack {
        caller: None,
        corpus: corpus(),
        application: None,
    };
    let all = try_all(&methods(), &attack);
    all.tell();
    assert!(all.wrongs.is_empty(), "{:#?}", all.wrongs);
    assert!(all.fields.len() > 200, "{}", all.fields.len());
    let silent: BTreeSet<_> = REACHING
        .into_iter()
        .filter(|field| all.fields.get(*field).is_none_or(|sent| *sent == 0))
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// Rights are looked at before strings are quoted, by readers of their own.
#[test]
fn nor_does_a_node_receive_more_from_an_operator() {
    let mut corpus = corpus();
    let mut at = 0;
    corpus.retain(|_| {
        at += 1;
        at % 5 == 0
    });
    let attack = Attack {
        caller: Some("operator"),
        corpus,
        application: None,
    };
    let all = try_all(&methods(), &attack);
    all.tell();
    assert!(all.wrongs.is_empty(), "{:#?}", all.wrongs);
    assert!(all.sent > 1_000, "{}", all.sent);
}
