//! A gateway over simulated nodes without a socket in between, so that the time can be paused.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderValue};
use switchgate::app::App;
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::control::{Once, Parts};
use switchgate::esl::{BoxIo, Dialer};
use switchgate::grpc::{Api, Peer};
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;

/// What the nodes' clocks show at the beginning, in seconds since 1970.
const EPOCH: u64 = 1_800_000_000;

/// How long what has ended is remembered.
pub(crate) const RETENTION: Duration = Duration::from_secs(60);

type Dialled<'a> = Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>>;

/// The gateway and its nodes.
pub(crate) struct House {
    pub(crate) sims: Vec<Sim>,
    pub(crate) control: Parts,
    pub(crate) once: Arc<Once>,
    pub(crate) server: InProcess,
    sim_drain: Drain,
    stop: oneshot::Sender<()>,
    app: JoinHandle<bool>,
}

/// Connects to the simulated node of this name.
struct SimDialer(Vec<Sim>);

/// Calls the server with each request, where a channel would send it over HTTP/2: that would take
/// most of the time, and is tested elsewhere. Deadlines, conversion and everything behind them are
/// those of the server.
#[derive(Clone)]
pub(crate) struct InProcess {
    api: Api,
    /// What proves who asks.
    authorization: Option<HeaderValue>,
}

// === impl SimDialer ===

impl Dialer for SimDialer {
    fn dial<'a>(&'a self, address: &'a str) -> Dialled<'a> {
        let number = address
            .strip_prefix("sim-")
            .and_then(|rest| rest.strip_suffix(":8021")?.parse::<usize>().ok());
        let sim = number.and_then(|number| self.0.get(number));
        let stream = sim.map(Sim::connect).ok_or(io::ErrorKind::NotFound.into());
        Box::pin(async move { stream.map(|stream| Box::new(stream) as BoxIo) })
    }
}

// === impl InProcess ===

impl InProcess {
    /// The same server, asked with this token.
    pub(crate) fn asked_by(&self, token: &str) -> Self {
        Self {
            api: self.api.clone(),
            authorization: Some(format!("Bearer {token}").parse().unwrap()),
        }
    }
}

impl tower::Service<http::Request<Body>> for InProcess {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let api = self.api.clone();
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Box::pin(async move { Ok(api.answer(request, &Peer::inside()).await) })
    }
}

// === impl House ===

impl House {
    /// Does not wait for the nodes.
    pub(crate) async fn open(nodes: usize) -> Self {
        Self::tuned(nodes, |_| {}).await
    }

    /// The same with a configuration that is changed.
    pub(crate) async fn tuned(nodes: usize, tune: impl FnOnce(&mut Config)) -> Self {
        let sim_drain = Drain::new();
        let mut config = config();
        tune(&mut config);
        let mut sims = Vec::new();
        for at in 0..nodes {
            let name = format!("sim-{at}");
            let address = NodeAddress::new(&name, 8021);
            let mut node = NodeConfig::new(name.parse().unwrap(), address, "ClueCon");
            node.command_links = 3;
            config.nodes.push(node);
            let sim = SimConfig {
                name,
                began: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH)),
                ..SimConfig::default()
            };
            sims.push(Sim::new(sim, &sim_drain));
        }
        let app = App::build_with(&config, Arc::new(SimDialer(sims.clone())))
            .await
            .unwrap();
        let (control, once) = (app.control().clone(), Arc::clone(app.once()));
        let server = InProcess {
            api: app.api().clone(),
            authorization: None,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let app = sim_drain.spawn(app.run(async move {
            let _ = stopped.await;
        }));
        Self {
            sims,
            control,
            once,
            server,
            sim_drain,
            stop,
            app,
        }
    }

    /// Drains the gateway, then the nodes; says whether nothing had to be cut.
    pub(crate) async fn close(self) -> bool {
        let _ = self.stop.send(());
        let drained = self.app.await.unwrap();
        drained && self.sim_drain.finish(Duration::from_secs(30)).await
    }
}

/// Times short enough that a fault is noticed, and forgotten, within a seed.
fn config() -> Config {
    let mut config = Config::default();
    config.admin.enabled = false;
    config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.grpc.reflection = false;
    config.esl.connect_timeout = Duration::from_secs(2);
    config.esl.probe_after = Duration::from_secs(2);
    config.esl.dead_after = Duration::from_secs(5);
    config.esl.backoff.min = Duration::from_millis(50);
    config.esl.backoff.max = Duration::from_secs(1);
    config.sessions.retention = Duration::from_secs(20);
    config.jobs.retention = RETENTION;
    config
}
