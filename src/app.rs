//! The gateway as a whole: the only place that wires its parts together.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::access::{self, Access, Identities, IdentitiesError, Roles};
use crate::admin::{Admin, AdminParts, Readiness, Stage};
use crate::config::{self, Config, EslConfig, LimitsConfig};
use crate::control::{Once, OnceConfig, Parts, node_spec};
use crate::discovery::Discovery;
use crate::domain::NodeState;
use crate::esl::{self, Command, ConnectionConfig, Dialer, Liveness, TcpDialer};
use crate::events::{EventSet, HistoryConfig, Journal, JournalConfig, Wants};
use crate::fleet::{Fleet, LinkRecipe, Sinks};
use crate::grpc::{Api, Deadlines, GrpcConfig, Health, Limits, Server, Services, Transport};
use crate::jobs::{Jobs, JobsConfig};
use crate::shutdown::Drain;
use crate::telemetry::audit::{Audit, AuditError};
use crate::telemetry::{LogLevel, Metrics};
use crate::tls::{Flaws, Tls};
use crate::tracker::{Tracker, TrackerConfig};
use reload::Reached;

mod admin;
mod reload;

pub use reload::{Changes, ReloadCounts, ReloadError, ReloadFigures, Reloads};

/// What is left when RPCs have used the grace period up: for the calls to be hung up that nobody waits
/// for any more, and then for the links to say goodbye.
const LINK_GRACE: Duration = Duration::from_secs(2);

/// How long the last lines of the audit may take to the disk.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);

/// The parts of a gateway, wired. It connects to its nodes at once and serves when it runs.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    server: Server,
    access: Access,
    /// Metrics and probes, which answer already.
    admin: Option<Admin>,
    readiness: Readiness,
    parts: Parts,
    once: Arc<Once>,
    audit: Audit,
    reloads: Reloads,
    /// Connections, RPCs and streams.
    front: Drain,
    /// Links, jobs and everything that RPCs need.
    back: Drain,
    grace: Duration,
    delay: Duration,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (grpc.listen); choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The files of TLS are bad.
    #[error("no TLS (grpc.tls)")]
    Tls(#[from] Flaws),
    /// Keys of an issuer, or its authorities, were good a moment ago and are not now.
    #[error("cannot tell who is who")]
    Identities(#[from] IdentitiesError),
    /// The address for metrics and probes is taken or not ours.
    #[error(
        "cannot listen on {address} (admin.listen); choose another address with --admin-listen, or set \
         admin.enabled to false"
    )]
    ListenAdmin {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The descriptor set is malformed.
    #[error("reflection is broken")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The audit cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

// === impl App ===

impl App {
    /// Wires a gateway and binds its listener.
    ///
    /// # Errors
    /// When the listener cannot be bound, or the files of TLS are bad.
    pub async fn build(config: &Config) -> Result<Self, AppError> {
        Self::wire(config, tcp(config), None).await
    }

    /// As [`App::build`], for a program whose log level can be seen and changed on the port for
    /// metrics and probes.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_logged(config: &Config, level: LogLevel) -> Result<Self, AppError> {
        Self::wire(config, tcp(config), Some(level)).await
    }

    /// As [`App::build`], with sockets of another kind.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_with(config: &Config, dialer: Arc<dyn Dialer>) -> Result<Self, AppError> {
        Self::wire(config, dialer, None).await
    }

    async fn wire(
        config: &Config,
        dialer: Arc<dyn Dialer>,
        log_level: Option<LogLevel>,
    ) -> Result<Self, AppError> {
        let address = config.grpc.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| AppError::Listen { address, source })?;
        // Before anything is started.
        let admin_listener = admin::listen(&config.admin).await?;
        let (front, back) = (Drain::new(), Drain::new());

        let roles = Roles::new(&config.roles, &config.tenants);
        let tracker_config = TrackerConfig {
            retention: config.sessions.retention,
            call_variable: config.sessions.call_variable.clone(),
            tenants: roles.tenants().clone(),
        };
        let jobs_config = JobsConfig {
            retention: config.jobs.retention,
            max_finished: config.jobs.max_finished,
            max_running_per_node: config.jobs.max_running_per_node,
            ..JobsConfig::default()
        };
        let journal_config = JournalConfig {
            max_bytes: config.events.journal_bytes.bytes(),
            max_age: config.events.journal_age,
        };
        let history_config = HistoryConfig {
            max_events: config.sessions.history_events,
            max_bytes: config.sessions.history_bytes.bytes(),
        };
        let journal = Journal::start(journal_config, history_config, &back);
        let always = EventSet::named(config.events.always.iter());
        let sinks = Sinks {
            tracker: Tracker::start(tracker_config, &back),
            jobs: Jobs::start(jobs_config, &back),
            // A client may go on from any cursor that the journal still knows.
            wants: Wants::new(&always, journal_config.max_age, &journal),
            journal,
        };
        let journal = Arc::clone(&sinks.journal);
        sinks
            .tracker
            .on_forget(move |session| journal.forget_session(session));
        let links = Arc::new(link_recipe(&config.esl, dialer));
        let nodes = config.nodes.iter();
        let specs = nodes.map(|node| node_spec(&links, node)).collect();
        let parts = Parts {
            fleet: Fleet::start(specs, &sinks, &back),
            links,
            tracker: sinks.tracker,
            jobs: sinks.jobs,
            journal: sinks.journal,
            wants: sinks.wants,
            drain: back.clone(),
            cut: CancellationToken::new(),
            job_timeout: config.jobs.default_timeout,
            trace_variables: config.tracing.variables().into(),
        };
        let once_config = OnceConfig {
            retention: config.jobs.retention,
            max_finished: config.jobs.max_finished,
        };
        let services = Services {
            audit: Audit::open(&config.audit)?,
            access: Access {
                identities: Identities::start(&config.access, &back)?,
                roles,
                limits: access::Limits::new(limits(&config.limits)),
            },
            control: parts.control(),
            once: Once::new(once_config, &front),
            drain: front.clone(),
            deadlines: Deadlines {
                default: config.grpc.deadlines.default,
                originate: config.grpc.deadlines.originate,
                max: config.grpc.deadlines.max,
            },
            subscriber_bytes: config.events.subscriber_bytes.bytes() as u64,
            heartbeat_interval: config.events.heartbeat_interval,
            encodings: Arc::default(),
            permit: None,
            standing: None,
        };
        let tls = config.grpc.tls.files().map(Tls::load).transpose()?;
        if let Some(tls) = &tls {
            let (stopped, tls) = (front.stopped(), tls.clone());
            let polled = tls.poll(config.grpc.tls.reload_interval);
            front.spawn(async move {
                tokio::select! {
                    biased;
                    () = stopped => {}
                    () = polled => {}
                }
            });
        }
        let discovery = Discovery::start(&config.discovery, &back);
        let reached = Reached {
            parts: &parts,
            discovery: &discovery,
            access: &services.access,
            tls: tls.as_ref(),
            audit: &services.audit,
            log_level: log_level.clone(),
        };
        let reloads = Reloads::new(config, reached);
        let server = Server::new(&services, server_config(&config.grpc), tls)?;
        let readiness = Readiness::new(&parts.fleet, config.admin.ready);
        let themes = admin::themes(
            &parts,
            &services,
            &server,
            &readiness,
            (&reloads, &discovery),
            (&front, &back),
        );
        let admin_parts = AdminParts {
            readiness: readiness.clone(),
            metrics: Arc::new(Metrics::new(themes)),
            health: server.api().health().clone(),
            log_level_from: config.admin.log_level_from,
            log_level,
        };
        let admin = admin_listener
            .map(|listener| admin::start(config.admin.listen, listener, &admin_parts))
            .transpose()?;
        Ok(Self {
            listener,
            server,
            admin,
            readiness,
            access: services.access,
            parts,
            once: services.once,
            audit: services.audit,
            reloads,
            front,
            back,
            grace: config.shutdown.grace,
            delay: config.shutdown.delay,
        })
    }

    /// Where it listens; tells the port when any free one was asked for.
    ///
    /// # Errors
    /// When the socket has no address, which a bound one has.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Who may do what: to be replaced when the configuration changes, and to be counted.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where metrics and probes are, unless they are switched off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// What it knows and does, for tests that look behind the API.
    pub fn control(&self) -> &Parts {
        &self.parts
    }

    /// What came of requests with a `request_id`, for tests that look behind the API.
    pub fn once(&self) -> &Arc<Once> {
        &self.once
    }

    /// Who changed what; to open its file anew.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Reloads the configuration while it runs.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// What answers requests, for those that come by another way than a socket.
    pub fn api(&self) -> &Api {
        self.server.api()
    }

    /// Its connections and its TLS, for metrics and for a reload on request.
    pub fn transport(&self) -> Transport {
        self.server.transport()
    }

    /// Serves until `stop` resolves, then drains: NOT_SERVING, a pause for endpoints to notice,
    /// no new connections, streams end, RPCs under way finish, links say goodbye. RPCs that do not
    /// finish end with SHUTTING_DOWN. Says whether all was done within the grace period, of which
    /// the pause is a part.
    pub async fn run(self, stop: impl Future<Output = ()>) -> bool {
        if let Ok(address) = self.address() {
            let tls = self.server.transport().tls().is_some();
            info!(%address, tls, "serving gRPC");
        }
        let health = self.server.api().health().clone();
        self.front.spawn(serve_when_ready(
            Arc::clone(&self.parts.fleet),
            self.access.identities.clone(),
            health.clone(),
            self.front.clone(),
        ));
        self.front.spawn(self.server.serve(self.listener));
        tokio::pin!(stop);
        tokio::select! {
            biased;
            // Or the first requests with signed tokens would find no keys.
            () = self.access.identities.keys_were_tried() => {
                self.readiness.reach(Stage::Serving);
                stop.await;
            }
            () = &mut stop => {}
        }

        info!("draining");
        self.readiness.reach(Stage::Draining);
        health.stop_serving();
        let began = tokio::time::Instant::now();
        // Endpoints must have noticed before connections are refused.
        tokio::time::sleep(self.delay).await;
        let rest = self.grace.saturating_sub(began.elapsed());
        let front_done = self.front.finish(rest).await;
        if !front_done {
            warn!(
                left = self.front.running(),
                "grace period is over; RPCs under way end with SHUTTING_DOWN"
            );
        }
        let left = || self.grace.saturating_sub(began.elapsed()).max(LINK_GRACE);
        let ends = async {
            self.parts.cut.cancel();
            self.front.finish(left()).await;
            // Those whose caller has left have a leg to hang up, for which they need the links.
            self.parts.jobs.cancelled_ended().await;
        };
        if tokio::time::timeout(left(), ends).await.is_err() {
            warn!("calls that nobody waits for any more are not all hung up");
        }
        let left = left();
        let back_done = self.back.finish(left).await;
        if !back_done {
            warn!(
                left = self.back.running(),
                "grace period is over; links are cut"
            );
        }
        if !self.audit.flush(AUDIT_PATIENCE).await {
            warn!("audit lines may be missing");
        }
        // Last: until here a probe is told that it drains.
        if let Some(admin) = self.admin {
            admin.finish().await;
        }
        info!("stopped");
        front_done && back_done
    }
}

/// Health turns to SERVING once a first node is in service and the keys of issuers were read, or
/// could not be, and stays there: a gateway without its
/// nodes still tells what it knows, and says UNAVAILABLE where it cannot act.
async fn serve_when_ready(fleet: Arc<Fleet>, identities: Identities, health: Health, drain: Drain) {
    let ready = async {
        fleet.any_ready().await;
        identities.keys_were_tried().await;
    };
    tokio::select! {
        biased;
        () = drain.stopped() => {}
        () = ready => {
            info!(state = %NodeState::Ready, "a node is in service");
            health.serve();
        }
    }
}

fn tcp(config: &Config) -> Arc<dyn Dialer> {
    Arc::new(TcpDialer {
        silence: config.esl.probe_after,
    })
}

fn limits(config: &LimitsConfig) -> access::LimitsConfig {
    access::LimitsConfig {
        requests_per_second: config.requests_per_second,
        burst: config.burst,
        in_flight: config.in_flight,
        streams: config.streams,
        total_in_flight: config.total_in_flight,
    }
}

fn server_config(config: &config::GrpcConfig) -> GrpcConfig {
    GrpcConfig {
        max_message_bytes: config.max_message_bytes.bytes(),
        reflection: config.reflection,
        max_connections: config.max_connections,
        max_handshakes: config.max_handshakes,
        limits: Limits {
            handshake_timeout: config.handshake_timeout,
            keepalive_interval: config.keepalive_interval,
            keepalive_timeout: config.keepalive_timeout,
            max_connection_age: config.max_connection_age,
            max_connection_age_grace: config.max_connection_age_grace,
            max_concurrent_streams: config.max_concurrent_streams,
            max_pending_resets: config.max_pending_resets,
            max_header_bytes: u32::try_from(config.max_header_bytes.bytes()).unwrap_or(u32::MAX),
            max_send_buffer_bytes: config.max_send_buffer_bytes.bytes(),
        },
    }
}

fn link_recipe(config: &EslConfig, dialer: Arc<dyn Dialer>) -> LinkRecipe {
    LinkRecipe {
        timeout: config.connect_timeout,
        limits: esl::Limits {
            max_header_bytes: config.max_header_bytes.bytes(),
            max_body_bytes: config.max_frame_bytes.bytes(),
        },
        dialer,
        link: ConnectionConfig {
            max_pending: config.max_pending,
            liveness: Liveness {
                probe_after: config.probe_after,
                dead_after: config.dead_after,
                probe: Command::noevents(),
            },
            ..ConnectionConfig::default()
        },
        query_timeout: config.query_timeout,
        backoff: (config.backoff.min, config.backoff.max),
        command_links: config.command_links,
    }
}
