//! The configuration, reloaded while calls go on.

use std::io;
use std::path::Path;

use switchgate::access::TokenDigest;
use switchgate::app::{Changes, ReloadError};
use switchgate::config::{Config, Loader, Problems, Source};
use switchgate::domain::{NodeId, NodeState};
use switchgate::pb;
use switchgate::shutdown::Drain;
use switchgate::sim::SimConfig;
use tonic::{Code, Status};

use crate::callers::Caller;
use crate::client::{ANSWERS, hang_up, place, to};
use crate::gateway::{Gateway, code_and_reason, within};
use crate::node_membership::Extra;
use crate::verbs::until;

mod nodes;
mod streams;

/// Files alone: what is in the environment of the tests is not meant.
struct Files;

impl Source for Files {
    fn variables(&self) -> Vec<(String, std::ffi::OsString)> {
        Vec::new()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// A gateway, its file, and nodes that it can have.
struct House {
    gateway: Gateway,
    file: tempfile::NamedTempFile,
    nodes: Vec<Extra>,
}

// === impl House ===

impl House {
    /// With three nodes to choose from; the file is what `content` makes of their addresses.
    async fn start(content: impl Fn(&[String]) -> String) -> Self {
        let mut nodes = Vec::new();
        for at in 0..3 {
            let config = SimConfig {
                name: format!("sim-{at}"),
                ..SimConfig::default()
            };
            nodes.push(Extra::start(config).await);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), written(&content(&addresses(&nodes)))).unwrap();
        let config = load(file.path()).unwrap();
        let gateway = Gateway::launch(config, Vec::new(), Drain::new()).await;
        Self {
            gateway,
            file,
            nodes,
        }
    }

    async fn reload(&self, content: impl Fn(&[String]) -> String) -> Result<Changes, ReloadError> {
        let content = written(&content(&addresses(&self.nodes)));
        std::fs::write(self.file.path(), content).unwrap();
        let load = async { load(self.file.path()) };
        within(self.gateway.reloads.reload(load)).await
    }

    /// Why a reload is refused, a line for each problem.
    async fn refused(&self, content: impl Fn(&[String]) -> String) -> Vec<String> {
        match self.reload(content).await {
            Err(ReloadError::Config(problems)) => {
                problems.0.iter().map(ToString::to_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn ids(&self) -> Vec<String> {
        let nodes = self.gateway.control.fleet.nodes();
        nodes.map(|node| node.id().to_string()).collect()
    }

    fn state(&self, id: &str) -> NodeState {
        let node = self.gateway.control.fleet.node(&id.parse().unwrap());
        node.unwrap().status().state
    }

    async fn reached(&self, id: &str, state: NodeState) {
        let node = self.gateway.control.fleet.node(&id.parse().unwrap());
        within(node.unwrap().reached(state)).await;
    }

    async fn gone(&self, id: &str) {
        until(|| (!self.ids().contains(&id.to_owned())).then_some(())).await;
    }

    async fn call_on(&self, node: &str) -> Result<pb::Session, Status> {
        let request = pb::OriginateRequest {
            node_selector: Some(pb::NodeSelector {
                node_id: node.to_owned(),
                ..Default::default()
            }),
            ..to(ANSWERS)
        };
        Ok(place(&self.gateway, request).await?.session.unwrap())
    }

    async fn stop(self) {
        self.gateway.stop().await;
        for node in self.nodes {
            node.stop().await;
        }
    }
}

fn load(path: &Path) -> Result<Config, Problems> {
    Loader::new(&Files).file(Some(path.to_owned())).load()
}

fn addresses(nodes: &[Extra]) -> Vec<String> {
    nodes.iter().map(|node| node.address.to_string()).collect()
}

/// What every file of these tests holds.
fn written(content: &str) -> String {
    let listen = match content.contains("grpc:") {
        true => "",
        false => "grpc: {listen: '127.0.0.1:0'}\n",
    };
    format!(
        "{listen}admin: {{listen: '127.0.0.1:0'}}\nesl: {{backoff: {{min: 10ms, max: 100ms}}}}\n{content}"
    )
}

/// Nodes by name and address.
fn nodes(nodes: &[(&str, &str)]) -> String {
    let lines = nodes
        .iter()
        .map(|(id, address)| format!("- {{id: {id}, address: '{address}'}}\n"));
    format!("nodes:\n{}", lines.collect::<String>())
}

fn named(ids: &[&str]) -> Vec<NodeId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// Tokens with one role each, which are their own names.
fn access(tokens: &[(&str, &str)]) -> String {
    let tokens = tokens.iter().map(|(token, role)| {
        let digest = TokenDigest::of(token.as_bytes()).to_hex();
        format!("  - {{name: {token}, sha256: '{digest}', roles: [{role}]}}\n")
    });
    format!("access:\n  tokens:\n{}", tokens.collect::<String>())
}

/// What becomes of a call that this token's bearer asks for, and hangs up.
async fn rings(house: &House, token: &str) -> (Code, String) {
    let caller = Caller::of(&house.gateway, token);
    match within(caller.sessions().originate(to(ANSWERS))).await {
        Ok(answer) => {
            let request = pb::HangupRequest {
                session_id: answer.into_inner().session.unwrap().session_id,
                ..Default::default()
            };
            within(caller.sessions().hangup(request)).await.unwrap();
            (Code::Ok, String::new())
        }
        Err(status) => code_and_reason(&status),
    }
}

#[tokio::test]
async fn rights_and_tokens_count_from_the_next_rpc_on_and_what_is_bad_changes_none() {
    let with = |rest: String| move |at: &[String]| format!("{}{rest}", nodes(&[("a", &at[0])]));
    let agents = "roles: {agent: {rpcs: {allow: ['SessionService/*']}}}\n";
    let house = House::start(with(format!("{agents}{}", access(&[("one", "agent")])))).await;
    house.gateway.in_service().await;
    let ok = (Code::Ok, String::new());
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    let unknown = (Code::Unauthenticated, "UNAUTHENTICATED".to_owned());
    assert_eq!(rings(&house, "one").await, ok);

    // All that is wrong is told, and nothing of the file is applied, not what is good either.
    let wrong = format!(
        "{}log: {{level: loud}}\n",
        access(&[("two", "agent"), ("three", "viewer")])
    );
    let told = house.refused(with(wrong)).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with(
            "access.tokens[0].roles: `agent` is no role; write admin, operator or viewer,"
        ),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("log.level: `loud` is no log level"),
        "{told:?}"
    );
    assert!(!house.refused(|_| "nodes: [".to_owned()).await.is_empty());
    assert_eq!(rings(&house, "one").await, ok);
    assert_eq!(rings(&house, "three").await, unknown);
    let figures = house.gateway.reloads.counts().figures();
    assert_eq!(
        (figures.applied, figures.refused, figures.is_last_applied),
        (0, 2, false)
    );

    // The role is taken away, then it may less, then the token is another one.
    let changes = house
        .reload(with(format!("{agents}{}", access(&[("one", "viewer")]))))
        .await;
    assert_eq!(changes.unwrap().sections, ["access"]);
    assert_eq!(rings(&house, "one").await, denied);
    house
        .reload(with(format!("{agents}{}", access(&[("one", "agent")]))))
        .await
        .unwrap();
    assert_eq!(rings(&house, "one").await, ok);
    let fewer = "roles: {agent: {rpcs: {allow: ['*/Get*']}}}\n";
    let changes = house
        .reload(with(format!("{fewer}{}", access(&[("one", "agent")]))))
        .await;
    assert_eq!(changes.unwrap().sections, ["roles"]);
    assert_eq!(rings(&house, "one").await, denied);
    house
        .reload(with(access(&[("two", "operator")])))
        .await
        .unwrap();
    assert_eq!(rings(&house, "one").await, unknown);
    assert_eq!(rings(&house, "two").await, ok);
    let after = house.gateway.reloads.counts().figures();
    assert_eq!(
        (after.applied, after.refused, after.is_last_applied),
        (4, 2, true)
    );
    assert!(after.applied_at > figures.applied_at);
    house.stop().await;
}

#[tokio::test]
async fn who_listens_to_everywhere_keeps_asking_who_is_there() {
    let with = |listen: &str, access: String| {
        let listen = listen.to_owned();
        move |at: &[String]| {
            format!(
                "grpc: {{listen: '{listen}'}}\n{}{access}",
                nodes(&[("a", &at[0])])
            )
        }
    };
    let tokens = access(&[("one", "admin")]);
    let house = House::start(with("0.0.0.0:0", tokens.clone())).await;
    house.gateway.in_service().await;
    // Good at a start, when it would listen on loopback alone.
    let told = house.refused(with("127.0.0.1:0", String::new())).await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("access: would let everybody in, and the gateway listens on 0.0.0.0:0"),
        "{told:?}"
    );
    let nobody = within(house.gateway.sessions().originate(to(ANSWERS)))
        .await
        .unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let changes = house.reload(with("127.0.0.1:0", tokens)).await.unwrap();
    assert_eq!(changes.at_next_start, ["grpc.listen"]);
    let open = with("0.0.0.0:0", "access: {insecure: true}\n".to_owned());
    house.reload(open).await.unwrap();
    let session = place(&house.gateway, to(ANSWERS))
        .await
        .unwrap()
        .session
        .unwrap();
    hang_up(&house.gateway, &session.session_id).await;
    house.stop().await;
}

#[tokio::test]
async fn the_last_identity_is_not_taken_away_by_silence() {
    let with = |access: String| move |at: &[String]| format!("{}{access}", nodes(&[("a", &at[0])]));
    let tokens = access(&[("one", "admin")]);
    let house = House::start(with(tokens.clone())).await;
    house.gateway.in_service().await;
    for nothing in ["", "access: {tokens: []}\n"] {
        let told = house.refused(with(nothing.to_owned())).await;
        assert_eq!(told.len(), 1);
        for part in [
            "access: names nobody any more",
            "access.tokens",
            "access.anonymous",
        ] {
            assert!(told[0].contains(part), "{told:?}");
        }
        let nobody = within(house.gateway.sessions().originate(to(ANSWERS))).await;
        assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
    }
    for said in ["anonymous: {roles: [viewer]}", "insecure: true"] {
        let said = format!("access: {{{said}}}\n");
        house.reload(with(said)).await.unwrap();
        house.reload(with(tokens.clone())).await.unwrap();
    }
    house.stop().await;
}

#[tokio::test]
async fn keys_that_need_a_start_are_named_until_they_are_as_they_were() {
    let with = |rest: &str| {
        let rest = rest.to_owned();
        move |at: &[String]| format!("{}{rest}", nodes(&[("a", &at[0])]))
    };
    let house = House::start(with("")).await;
    let rest = "events: {journal_bytes: 1MiB, journal_age: 1m}\nshutdown: {grace: 7s}\n";
    for _ in 0..2 {
        let changes = house.reload(with(rest)).await.unwrap();
        let expected = [
            "events.journal_age",
            "events.journal_bytes",
            "shutdown.grace",
        ];
        let mut keys = changes.at_next_start;
        keys.sort();
        assert_eq!(keys, expected);
    }
    assert_eq!(house.reload(with("")).await.unwrap(), Changes::default());
    house.stop().await;
}

#[tokio::test]
async fn reloads_wait_for_each_other() {
    let house = House::start(|at| nodes(&[("a", &at[0])])).await;
    let path = house.file.path();
    let (begun_tx, begun_rx) = tokio::sync::oneshot::channel();
    let (go_on_tx, go_on_rx) = tokio::sync::oneshot::channel();
    let reloads = &house.gateway.reloads;
    let first = reloads.reload(async {
        begun_tx.send(()).unwrap();
        within(go_on_rx).await.unwrap();
        load(path)
    });
    let is_first_done = std::cell::Cell::new(false);
    let second = async {
        within(begun_rx).await.unwrap();
        let second = reloads.reload(async {
            assert!(is_first_done.get());
            load(path)
        });
        tokio::pin!(second);
        let too_early = futures_util::poll!(&mut second);
        assert!(too_early.is_pending());
        go_on_tx.send(()).unwrap();
        within(second).await.unwrap();
    };
    let first = async {
        within(first).await.unwrap();
        is_first_done.set(true);
    };
    tokio::join!(first, second);
    assert_eq!(reloads.counts().figures().applied, 2);
    house.stop().await;
}
