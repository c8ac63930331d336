//! A gateway for tests: over simulated nodes, or over a real FreeSWITCH where one is given.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use switchgate::access::Access;
use switchgate::app::{App, Reloads};
use switchgate::config::{Config, NodeAddress, NodeConfig};
use switchgate::control::Parts;
use switchgate::domain::NodeState;
use switchgate::grpc::Transport;
use switchgate::pb::call_service_client::CallServiceClient;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Longest time that anything in a test may take; only a hung test ever waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway and what it runs over.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// Where metrics and probes are.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) channel: Channel,
    /// To look behind the API.
    pub(crate) control: Parts,
    /// Its connections and its TLS.
    pub(crate) transport: Transport,
    pub(crate) access: Access,
    pub(crate) reloads: Reloads,
    /// The simulated nodes, `sim-0` and so on; none over a real FreeSWITCH.
    pub(crate) sims: Vec<Sim>,
    sim_drain: Drain,
    stop: Option<oneshot::Sender<()>>,
    app: JoinHandle<bool>,
}

impl Gateway {
    /// Over simulated nodes, as the configuration says; waits until all are in service.
    pub(crate) async fn over_sims(count: usize, tune: impl FnOnce(&mut Config)) -> Self {
        let drain = Drain::new();
        let mut sims = Vec::new();
        for at in 0..count {
            let config = SimConfig {
                name: format!("sim-{at}"),
                ..SimConfig::default()
            };
            sims.push(Sim::new(config, &drain));
        }
        Self::over(sims, drain, tune).await
    }

    /// Over these simulated nodes, whose tasks belong to `drain`; waits until all are in service.
    pub(crate) async fn over(sims: Vec<Sim>, drain: Drain, tune: impl FnOnce(&mut Config)) -> Self {
        let config = Self::config(&sims, &drain, tune).await;
        Self::start(config, sims, drain).await
    }

    /// Over a simulated node that may never be in service.
    pub(crate) async fn over_unready(
        sim: Sim,
        drain: Drain,
        tune: impl FnOnce(&mut Config),
    ) -> Self {
        let sims = vec![sim];
        let config = Self::config(&sims, &drain, tune).await;
        Self::launch(config, sims, drain).await
    }

    /// The configuration for these nodes, which listen from now on.
    pub(crate) async fn config(
        sims: &[Sim],
        drain: &Drain,
        tune: impl FnOnce(&mut Config),
    ) -> Config {
        let mut config = test_config();
        for (at, sim) in sims.iter().enumerate() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = NodeAddress::from(listener.local_addr().unwrap());
            let name = format!("sim-{at}").parse().unwrap();
            config.nodes.push(NodeConfig::new(name, address, "ClueCon"));
            let server = sim.clone();
            drain.spawn(async move { server.serve(listener).await });
        }
        tune(&mut config);
        config
    }

    /// Over one simulated node.
    pub(crate) async fn over_sim() -> Self {
        Self::over_sims(1, |_| {}).await
    }

    /// Over the FreeSWITCH that `SWITCHGATE_TEST_FREESWITCH=host:port` names, if it is set.
    pub(crate) async fn over_freeswitch() -> Option<Self> {
        Some(Self::over_address(freeswitch_address()?).await)
    }

    /// Over the FreeSWITCH, real or not, at `host:port`; waits until the gateway knows that it knows
    /// all sessions, since other tests may have some there.
    pub(crate) async fn over_address(address: String) -> Self {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let password =
            std::env::var("SWITCHGATE_TEST_PASSWORD").unwrap_or_else(|_| "ClueCon".to_owned());
        let address = NodeAddress::new(host, port.parse().expect("a port"));
        let gateway = Self::over_node(address, &password).await;
        gateway.knows_its_sessions().await;
        gateway
    }

    /// Over the node at this address, `freeswitch`.
    pub(crate) async fn over_node(address: NodeAddress, password: &str) -> Self {
        let mut config = test_config();
        config.nodes.push(NodeConfig::new(
            "freeswitch".parse().unwrap(),
            address,
            password,
        ));
        Self::start(config, Vec::new(), Drain::new()).await
    }

    async fn start(config: Config, sims: Vec<Sim>, sim_drain: Drain) -> Self {
        let gateway = Self::launch(config, sims, sim_drain).await;
        gateway.in_service().await;
        gateway
    }

    /// Waits until all nodes are in service.
    pub(crate) async fn in_service(&self) {
        for node in self.control.fleet.nodes() {
            within(node.reached(NodeState::Ready)).await;
        }
    }

    /// Waits until all sessions of all nodes are known.
    pub(crate) async fn knows_its_sessions(&self) {
        let fleet = &self.control.fleet;
        let are_read = || fleet.nodes().all(|node| node.check_was_read().is_ok());
        crate::verbs::until(|| are_read().then_some(())).await;
    }

    /// As the configuration says, whether its nodes can be reached or not.
    pub(crate) async fn launch(config: Config, sims: Vec<Sim>, sim_drain: Drain) -> Self {
        let app = App::build(&config).await.unwrap();
        let address = app.address().unwrap();
        let (control, transport) = (app.control().clone(), app.transport());
        let (access, reloads) = (app.access().clone(), app.reloads().clone());
        let admin = app.admin_address();
        let (stop_tx, stop_rx) = oneshot::channel::<()>();
        let app = sim_drain.spawn(app.run(async move {
            let _ = stop_rx.await;
        }));
        // Those who need TLS have clients of their own.
        let channel = match transport.tls() {
            None => connect(address).await,
            Some(_) => Endpoint::from_shared(format!("http://{address}"))
                .unwrap()
                .connect_lazy(),
        };
        Self {
            address,
            admin,
            channel,
            control,
            transport,
            access,
            reloads,
            sims,
            sim_drain,
            stop: Some(stop_tx),
            app,
        }
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.sims[0]
    }

    /// A dial string for a destination of the dial plan. `SWITCHGATE_TEST_SIP_PORT` is the SIP port
    /// of a real FreeSWITCH that does not listen on 5060.
    pub(crate) fn dial(&self, destination: &str) -> String {
        let port = std::env::var("SWITCHGATE_TEST_SIP_PORT").ok();
        match port.filter(|_| self.sims.is_empty()) {
            Some(port) => format!("sofia/internal/{destination}@127.0.0.1:{port}"),
            None => format!("sofia/internal/{destination}@127.0.0.1"),
        }
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn calls(&self) -> CallServiceClient<Channel> {
        CallServiceClient::new(self.channel.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    pub(crate) fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    /// Asks the gateway to drain, without waiting.
    pub(crate) fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits for the end of a gateway that was asked to drain, whether it was in time or not; the
    /// simulator goes on.
    pub(crate) async fn stopped(&mut self) {
        within(&mut self.app).await.unwrap();
    }

    /// Drains, and proves that nothing is left: no watch, no unfinished job, no task.
    pub(crate) async fn stop(mut self) {
        within(async {
            // Sweeps of what a leaving caller left behind happen on its task, not on ours.
            while self.control.tracker.watches() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.begin_stop();
        let drained = within(&mut self.app).await.unwrap();
        assert!(drained, "the gateway drains within its grace period");
        assert!(self.sim_drain.finish(PATIENCE).await, "the simulator stops");
    }
}

/// Runs a test over the simulator and, where one is given, over a real FreeSWITCH.
pub(crate) async fn on_each<F, T>(test: F)
where
    F: Fn(Gateway) -> T,
    T: Future<Output = Gateway>,
{
    test(Gateway::over_sim().await).await.stop().await;
    on_freeswitch(test).await;
}

/// Runs a test over a real FreeSWITCH alone, where one is given: for what the simulator does not
/// do as it does yet.
pub(crate) async fn on_freeswitch<F, T>(test: F)
where
    F: Fn(Gateway) -> T,
    T: Future<Output = Gateway>,
{
    match Gateway::over_freeswitch().await {
        Some(gateway) => test(gateway).await.stop().await,
        None => eprintln!(
            "skipped on a real FreeSWITCH: SWITCHGATE_TEST_FREESWITCH=host:port is not set"
        ),
    }
}

/// What `SWITCHGATE_TEST_FREESWITCH` names, if it is set.
pub(crate) fn freeswitch_address() -> Option<String> {
    std::env::var("SWITCHGATE_TEST_FREESWITCH").ok()
}

/// A channel to a gateway.
pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    within(endpoint.connect()).await.unwrap()
}

/// A channel whose streams hold 64 KiB, so that one that is not read soon stays with the gateway.
pub(crate) async fn connect_narrow(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    within(endpoint.initial_stream_window_size(64 << 10).connect())
        .await
        .unwrap()
}

/// The future's output; a test that hangs fails here.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("does not hang")
}

/// The code and the reason of a failure.
pub(crate) fn code_and_reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    (
        status.code(),
        details
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default(),
    )
}

/// A value of a failure's metadata; empty when it is missing.
pub(crate) fn metadata(status: &Status, key: &str) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .and_then(|info| info.metadata.get(key).cloned())
        .unwrap_or_default()
}

pub(crate) fn test_config() -> Config {
    let mut config = Config::default();
    config.grpc.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.esl.backoff.min = Duration::from_millis(10);
    config.esl.backoff.max = Duration::from_millis(100);
    config
}
