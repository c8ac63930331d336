//! Callers of a gateway, each known by a token of its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use switchgate::access::TokenDigest;
use switchgate::config::{
    Config, NamesConfig, NodeAddress, NodeConfig, RoleConfig, TenantConfig, TokenConfig,
};
use switchgate::pb::call_service_client::CallServiceClient;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::pb::job_service_client::JobServiceClient;
use switchgate::pb::node_service_client::NodeServiceClient;
use switchgate::pb::session_service_client::SessionServiceClient;
use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::client::tag;
use crate::gateway::{Gateway, freeswitch_address, test_config};

/// Each caller: its name, which is its token too, its role and its tenant.
const CALLERS: [(&str, &str, Option<&str>); 7] = [
    ("viewer", "viewer", None),
    ("operator", "operator", None),
    ("admin", "admin", None),
    ("trusted", "trusted", None),
    ("acme", "operator", Some("acme")),
    ("other", "operator", Some("other")),
    ("other-admin", "admin", Some("other")),
];

/// The variable that says whose a session is.
pub(crate) const VARIABLE: &str = "tenant_of_test";

/// The value of a tenant: another one each time that the tests run, since a real FreeSWITCH may have
/// sessions that are left of before.
pub(crate) fn value(tenant: &str) -> String {
    static RUN: LazyLock<String> = LazyLock::new(tag);
    format!("{tenant}-{}", *RUN)
}

/// Proves who sends a request.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub(crate) fn of(name: &str) -> Self {
        Self(format!("Bearer {name}").parse().unwrap())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Proving = InterceptedService<Channel, Bearer>;

/// One caller's clients.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    channel: Channel,
    bearer: Bearer,
}

impl Caller {
    pub(crate) fn of(gateway: &Gateway, name: &str) -> Self {
        Self {
            channel: gateway.channel.clone(),
            bearer: Bearer::of(name),
        }
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Proving> {
        SessionServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub(crate) fn calls(&self) -> CallServiceClient<Proving> {
        CallServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Proving> {
        JobServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Proving> {
        EventServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    pub(crate) fn nodes(&self) -> NodeServiceClient<Proving> {
        NodeServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }
}

/// How a gateway knows its callers.
fn tokens() -> Vec<TokenConfig> {
    let token = |(name, role, tenant): (&str, &str, Option<&str>)| TokenConfig {
        name: name.to_owned(),
        sha256: TokenDigest::of(name.as_bytes()).to_hex(),
        roles: [role].into_iter().collect(),
        tenant: tenant.map(str::to_owned),
    };
    CALLERS.map(token).into()
}

/// The callers, the tenants, and a role that may have its values expanded.
pub(crate) fn with_tenants(config: &mut Config) {
    let all = || NamesConfig {
        allow: vec!["*".to_owned()],
        deny: Vec::new(),
    };
    let trusted = RoleConfig {
        rpcs: all(),
        applications: all(),
        expand: true,
        ..RoleConfig::default()
    };
    config.access.tokens = tokens();
    config.roles.insert("trusted".to_owned(), trusted);
    let tenant = |name: &str| {
        let config = TenantConfig {
            variable: VARIABLE.to_owned(),
            value: value(name),
        };
        (name.to_owned(), config)
    };
    config.tenants = BTreeMap::from(["acme", "other"].map(tenant));
}

/// A gateway for these callers, over one simulated node.
pub(crate) async fn over_sim() -> Gateway {
    let drain = Drain::new();
    let config = SimConfig {
        name: "sim-0".to_owned(),
        ..SimConfig::default()
    };
    let sims = vec![Sim::new(config, &drain)];
    let config = Gateway::config(&sims, &drain, with_tenants).await;
    let gateway = Gateway::launch(config, sims, drain).await;
    gateway.in_service().await;
    gateway
}

/// The same over a real FreeSWITCH, where one is given.
pub(crate) async fn over_freeswitch() -> Option<Gateway> {
    let address = freeswitch_address()?;
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let password =
        std::env::var("SWITCHGATE_TEST_PASSWORD").unwrap_or_else(|_| "ClueCon".to_owned());
    let address = NodeAddress::new(host, port.parse().expect("a port"));
    let mut config = test_config();
    let name = "freeswitch".parse().unwrap();
    config.nodes.push(NodeConfig::new(name, address, &password));
    with_tenants(&mut config);
    let gateway = Gateway::launch(config, Vec::new(), Drain::new()).await;
    gateway.in_service().await;
    gateway.knows_its_sessions().await;
    Some(gateway)
}
