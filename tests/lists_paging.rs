//! Pages of sessions and calls while these come, change and go.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use switchgate::domain::NodeId;
use switchgate::esl::Event;
use switchgate::pb;

use crate::client::assert_invalid;
use crate::gateway::{Gateway, within};

/// Sessions are made at one of these moments, so that some are of the same age.
const MOMENTS: u64 = 4;

#[derive(Debug, Clone)]
enum Step {
    /// A session begins; its first event may leave to a later one when it was made.
    Begin {
        at: u64,
        says_when: bool,
    },
    Answer(usize),
    HangUp(usize),
    SetVariable(usize, u8),
    Bridge(usize, usize),
    /// It joins another call, by the tracking variable.
    Join(usize, u8),
}

#[derive(Debug, Clone)]
struct Script {
    before: Vec<Step>,
    /// Between one page and the next.
    between: Vec<Vec<Step>>,
    filter: &'static str,
    page_size: i32,
}

/// What FreeSWITCH would tell, on a node of its own.
struct World<'a> {
    gateway: &'a Gateway,
    node: NodeId,
    clock: u64,
    sessions: Vec<Told>,
}

struct Told {
    id: String,
    created: u64,
    answered: bool,
    variables: HashMap<&'static str, String>,
}

impl World<'_> {
    fn take(&mut self, step: &Step) {
        let count = self.sessions.len();
        match *step {
            Step::Begin { at, says_when } => {
                self.sessions.push(Told {
                    // The id says nothing of the age.
                    id: format!("{}-{}", self.node, (count * 7 + 3) % 100),
                    created: 1_800_000_000_000_000 + at,
                    answered: false,
                    variables: HashMap::new(),
                });
                let name = if says_when {
                    "CHANNEL_CREATE"
                } else {
                    "CHANNEL_STATE"
                };
                self.tell(count, name, None);
            }
            _ if count == 0 => {}
            Step::Answer(at) => {
                self.sessions[at % count].answered = true;
                self.tell(at % count, "CHANNEL_ANSWER", None);
            }
            Step::HangUp(at) => self.tell(at % count, "CHANNEL_HANGUP", None),
            Step::SetVariable(at, value) => {
                let variables = &mut self.sessions[at % count].variables;
                variables.insert("variable_v", value.to_string());
                self.tell(at % count, "CHANNEL_EXECUTE", None);
            }
            Step::Bridge(at, other) => {
                let other = self.sessions[other % count].id.clone();
                self.tell(at % count, "CHANNEL_BRIDGE", Some(other));
            }
            Step::Join(at, call) => {
                let call = format!("{}-call-{call}", self.node);
                let variables = &mut self.sessions[at % count].variables;
                variables.insert("variable_call_uuid", call);
                self.tell(at % count, "CHANNEL_EXECUTE", None);
            }
        }
    }

    fn tell(&mut self, at: usize, name: &str, other: Option<String>) {
        self.clock += 1;
        let told = &self.sessions[at];
        let mut headers = vec![
            ("Event-Name", name.to_owned()),
            (
                "Event-Date-Timestamp",
                (told.created + 1_000_000 + self.clock).to_string(),
            ),
            ("Unique-ID", told.id.clone()),
            ("Channel-State", "CS_EXECUTE".to_owned()),
        ];
        if name != "CHANNEL_STATE" {
            let answer_state = if told.answered { "answered" } else { "ringing" };
            headers.push(("Answer-State", answer_state.to_owned()));
            headers.push(("Caller-Channel-Created-Time", told.created.to_string()));
            headers.push(("variable_uuid", told.id.clone()));
            let variables = told.variables.iter();
            headers.extend(variables.map(|(name, value)| (*name, value.clone())));
        }
        headers.extend(other.map(|other| ("Other-Leg-Unique-ID", other)));
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name, Cow::Owned(value)));
        let event = Event::from_headers(headers).unwrap();
        self.gateway.control.tracker.apply(&self.node, &event);
    }
}

/// Ids on a page, and the token of the next one.
type Page = (Vec<String>, String);

async fn sessions(gateway: &Gateway, filter: String, page_size: i32, page_token: String) -> Page {
    let request = pb::ListSessionsRequest {
        filter,
        page_size,
        page_token,
    };
    let page = within(gateway.sessions().list_sessions(request)).await;
    let page = page.unwrap().into_inner();
    let ids = page.sessions.into_iter().map(|session| session.session_id);
    (ids.collect(), page.next_page_token)
}

async fn calls(gateway: &Gateway, filter: String, page_size: i32, page_token: String) -> Page {
    let request = pb::ListCallsRequest {
        filter,
        page_size,
        page_token,
    };
    let page = within(gateway.calls().list_calls(request)).await;
    let page = page.unwrap().into_inner();
    let ids = page.calls.into_iter().map(|call| call.call_id);
    (ids.collect(), page.next_page_token)
}

/// Pages through a list while the script goes on.
async fn walk(
    gateway: &Gateway,
    case: usize,
    script: &Script,
    list: impl AsyncFn(&Gateway, String, i32, String) -> Page,
) {
    let node = format!("case-{case}");
    let filter = format!("node_id = {node} {}", script.filter);
    let mut world = World {
        gateway,
        node: node.parse().unwrap(),
        clock: 0,
        sessions: Vec::new(),
    };
    script.before.iter().for_each(|step| world.take(step));
    let mut between = script.between.iter();
    let (mut told, mut token) = (Vec::new(), String::new());
    let whole = async || {
        let (ids, _) = list(gateway, filter.clone(), 1000, String::new()).await;
        ids.into_iter().collect::<HashSet<String>>()
    };
    let mut throughout = whole().await;
    loop {
        let (page, next) = list(gateway, filter.clone(), script.page_size, token).await;
        told.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
        for step in between.next().into_iter().flatten() {
            world.take(step);
            // Asked at once: a call that is left by all and joined anew is another one.
            let whole = whole().await;
            throughout.retain(|id| whole.contains(id));
        }
    }
    for id in throughout {
        let times = told.iter().filter(|told| **told == id).count();
        assert_eq!(times, 1, "{id} in {told:?}, {script:?}");
    }
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let which = 0..100usize;
    let step = prop_oneof![
        4 => (0..MOMENTS, any::<bool>()).prop_map(|(at, says_when)| Step::Begin { at, says_when }),
        1 => which.clone().prop_map(Step::Answer),
        1 => which.clone().prop_map(Step::HangUp),
        1 => (which.clone(), 0..2u8).prop_map(|(at, value)| Step::SetVariable(at, value)),
        2 => (which.clone(), which.clone()).prop_map(|(at, other)| Step::Bridge(at, other)),
        2 => (which, 0..3u8).prop_map(|(at, call)| Step::Join(at, call)),
    ];
    prop::collection::vec(step, count)
}

fn scripts() -> impl Strategy<Value = Script> {
    let filters = vec![
        "",
        "live = true",
        "variable.v = 1",
        "-variable.v:* OR variable.v = 0",
        "live = true (variable:v OR session_id:*)",
    ];
    (
        steps(4..30),
        prop::collection::vec(steps(0..6), 0..12),
        prop::sample::select(filters),
        1..4i32,
    )
        .prop_map(|(before, between, filter, page_size)| Script {
            before,
            between,
            filter,
            page_size,
        })
}

fn holds_for_all_scripts(list: impl AsyncFn(&Gateway, String, i32, String) -> Page) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = runtime.block_on(Gateway::over_sim());
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&scripts(), |script| {
        case.set(case.get() + 1);
        runtime.block_on(walk(&gateway, case.get(), &script, &list));
        Ok(())
    });
    result.unwrap();
    runtime.block_on(gateway.stop());
}

#[test]
fn no_session_that_stays_is_skipped_or_repeated() {
    holds_for_all_scripts(sessions);
}

#[test]
fn no_call_that_stays_is_skipped_or_repeated() {
    holds_for_all_scripts(calls);
}

#[tokio::test]
async fn a_token_is_good_for_its_filter_alone() {
    let gateway = Gateway::over_sim().await;
    let mut world = World {
        gateway: &gateway,
        node: "a".parse().unwrap(),
        clock: 0,
        sessions: Vec::new(),
    };
    for at in 0..3 {
        world.take(&Step::Begin {
            at,
            says_when: true,
        });
    }
    let filter = "node_id = a".to_owned();
    let (_, token) = calls(&gateway, filter, 1, String::new()).await;
    let request = pb::ListCallsRequest {
        filter: "live = true".to_owned(),
        page_size: 1,
        page_token: token.clone(),
    };
    let refused = within(gateway.calls().list_calls(request)).await;
    assert_invalid(&refused.unwrap_err(), "page_token");
    let request = pb::ListNodesRequest {
        page_size: 1,
        page_token: token,
        ..Default::default()
    };
    let refused = within(gateway.nodes().list_nodes(request)).await;
    assert_invalid(&refused.unwrap_err(), "page_token");
    gateway.stop().await;
}
