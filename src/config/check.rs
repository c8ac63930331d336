//! What no single value shows: ranges, contradictions, and nodes that are complete.

mod access;
mod discovery;
mod node;
mod observed;
mod roles;
mod tls;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::layers::{Layers, Tree};
use super::{Config, DiscoveryConfig, Names, NodeNeed, Password, Problem, Problems, Size, Source};
use crate::domain::check_event_name;
use crate::esl::quote::check_variable_name;

/// Longest span that a timer can wait for.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A half-open link is found within this time, whatever is configured.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Most command links of one node: each is a socket here and a thread in FreeSWITCH.
const MOST_LINKS: usize = 256;

/// Longest name of a channel variable.
const LONGEST_VARIABLE: usize = 128;

/// Collects problems, and keeps back those that only follow from one already found.
pub(super) struct Check<'a> {
    layers: &'a Layers,
    source: &'a dyn Source,
    /// Keys of what the layers already showed.
    broken: Vec<String>,
    problems: &'a mut Problems,
}

// === impl Check ===

impl<'a> Check<'a> {
    pub(super) fn new(
        layers: &'a Layers,
        source: &'a dyn Source,
        problems: &'a mut Problems,
    ) -> Self {
        let broken = problems.0.iter().map(|problem| problem.key.clone());
        Self {
            layers,
            source,
            broken: broken.collect(),
            problems,
        }
    }

    /// Whether nothing was found at this key, above it or below it.
    fn sound(&self, key: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let clash = |broken: &String| within(key, broken) || within(broken, key);
        !self.broken.iter().any(clash)
    }

    fn add(&mut self, key: &str, value: Option<&dyn fmt::Display>, reason: &str, remedy: &str) {
        if !self.sound(key) {
            return;
        }
        self.problems.0.push(Problem {
            key: key.to_owned(),
            value: value.map(ToString::to_string),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            origin: self.layers.origin(key),
        });
    }

    fn missing(&mut self, above: &str, name: &str, remedy: &str) {
        let key = format!("{above}.{name}");
        if !self.sound(&key) {
            return;
        }
        self.problems.0.push(Problem {
            key,
            value: None,
            reason: "is missing".to_owned(),
            remedy: remedy.to_owned(),
            origin: self.layers.origin(above),
        });
    }

    /// Checks the tree and makes the configuration of it, with the nodes that are complete.
    pub(super) fn finish(
        &mut self,
        tree: Tree,
        need: NodeNeed,
        fallback: Option<&Password>,
    ) -> Config {
        let written = tree.nodes.len() + tree.discovery.sources.len();
        let default_links = tree.esl.command_links;
        let mut config = Config {
            grpc: tree.grpc,
            access: tree.access,
            admin: tree.admin,
            nodes: Vec::new(),
            discovery: DiscoveryConfig::default(),
            esl: tree.esl,
            sessions: tree.sessions,
            jobs: tree.jobs,
            events: tree.events,
            shutdown: tree.shutdown,
            log: tree.log,
            tracing: tree.tracing,
            audit: tree.audit,
            limits: tree.limits,
            roles: tree.roles,
            tenants: tree.tenants,
        };
        self.durations(&config);
        self.counts(&config);
        self.sizes(&config);
        self.contradictions(&config);
        self.admin(&config);
        self.level(&config.log.level);
        self.call_variable(&config.sessions.call_variable);
        self.tracing(&config.tracing);
        self.tls(&config.grpc.tls);
        self.event_names("events.always", &config.events.always);
        self.access(&config);
        self.roles(&config.roles);
        self.tenants(&config.tenants);
        config.discovery = self.discovery(tree.discovery, default_links, fallback);
        self.node_count(written, need);
        config.nodes = self.nodes("nodes", tree.nodes, default_links, fallback);
        config
    }

    fn durations(&mut self, config: &Config) {
        let Config { grpc, esl, .. } = config;
        let positive = [
            ("grpc.tls.reload_interval", grpc.tls.reload_interval),
            ("grpc.handshake_timeout", grpc.handshake_timeout),
            ("grpc.keepalive_interval", grpc.keepalive_interval),
            ("grpc.keepalive_timeout", grpc.keepalive_timeout),
            ("grpc.max_connection_age", grpc.max_connection_age),
            (
                "grpc.max_connection_age_grace",
                grpc.max_connection_age_grace,
            ),
            ("grpc.deadlines.default", grpc.deadlines.default),
            ("grpc.deadlines.originate", grpc.deadlines.originate),
            ("grpc.deadlines.max", grpc.deadlines.max),
            ("esl.connect_timeout", esl.connect_timeout),
            ("esl.probe_after", esl.probe_after),
            ("esl.dead_after", esl.dead_after),
            ("esl.query_timeout", esl.query_timeout),
            ("esl.backoff.min", esl.backoff.min),
            ("esl.backoff.max", esl.backoff.max),
            ("sessions.retention", config.sessions.retention),
            ("jobs.retention", config.jobs.retention),
            ("jobs.default_timeout", config.jobs.default_timeout),
            ("events.journal_age", config.events.journal_age),
            (
                "events.heartbeat_interval",
                config.events.heartbeat_interval,
            ),
            ("shutdown.grace", config.shutdown.grace),
            ("tracing.timeout", config.tracing.timeout),
        ];
        for (key, span) in positive {
            if span.is_zero() {
                self.add(
                    key,
                    Some(&"0s"),
                    "is too short",
                    "give a time longer than zero",
                );
            }
        }
        for (key, span) in positive
            .into_iter()
            .chain([("shutdown.delay", config.shutdown.delay)])
        {
            if span > LONGEST {
                let value = humantime::format_duration(span);
                self.add(key, Some(&value), "is too long", "give at most 365days");
            }
        }
    }

    fn counts(&mut self, config: &Config) {
        let positive = [
            (
                "grpc.max_concurrent_streams",
                config.grpc.max_concurrent_streams as usize,
            ),
            ("grpc.max_connections", config.grpc.max_connections),
            ("grpc.max_handshakes", config.grpc.max_handshakes),
            ("grpc.max_pending_resets", config.grpc.max_pending_resets),
            ("esl.max_pending", config.esl.max_pending),
            ("sessions.history_events", config.sessions.history_events),
            ("jobs.max_finished", config.jobs.max_finished),
            (
                "jobs.max_running_per_node",
                config.jobs.max_running_per_node,
            ),
        ];
        for (key, count) in positive {
            if count == 0 {
                self.add(key, Some(&0), "is too few", "give at least 1");
            }
        }
        self.links("esl.command_links", config.esl.command_links);
    }

    fn links(&mut self, key: &str, count: usize) {
        if !(1..=MOST_LINKS).contains(&count) {
            let remedy = format!("give 1 to {MOST_LINKS}");
            self.add(key, Some(&count), "is no usable number of links", &remedy);
        }
    }

    fn sizes(&mut self, config: &Config) {
        // The least that lets the program work at all, and the most that a length can be: gRPC's
        // and FreeSWITCH's lengths are 32 bits with a sign at most.
        let kib = Size::from_kib;
        let most = Size::from_mib(1024);
        let ranges = [
            (
                "grpc.max_message_bytes",
                config.grpc.max_message_bytes,
                kib(64),
                most,
            ),
            (
                "grpc.max_header_bytes",
                config.grpc.max_header_bytes,
                kib(4),
                kib(1024),
            ),
            (
                "grpc.max_send_buffer_bytes",
                config.grpc.max_send_buffer_bytes,
                kib(16),
                Size::from_mib(64),
            ),
            (
                "esl.max_frame_bytes",
                config.esl.max_frame_bytes,
                kib(64),
                most,
            ),
            (
                "esl.max_header_bytes",
                config.esl.max_header_bytes,
                kib(16),
                most,
            ),
            (
                "sessions.history_bytes",
                config.sessions.history_bytes,
                kib(1024),
                Size::from_bytes(usize::MAX),
            ),
            (
                "events.journal_bytes",
                config.events.journal_bytes,
                kib(1024),
                Size::from_bytes(usize::MAX),
            ),
            (
                "events.subscriber_bytes",
                config.events.subscriber_bytes,
                kib(64),
                most,
            ),
        ];
        for (key, size, least, most) in ranges {
            if size < least {
                self.add(
                    key,
                    Some(&size),
                    "is too small",
                    &format!("give at least {least}"),
                );
            } else if size > most {
                self.add(
                    key,
                    Some(&size),
                    "is too large",
                    &format!("give at most {most}"),
                );
            }
        }
    }

    fn contradictions(&mut self, config: &Config) {
        let Config {
            grpc,
            esl,
            shutdown,
            ..
        } = config;
        let silence = "a link that silently died must be found";
        if esl.dead_after > LONGEST_SILENCE {
            let most = humantime::format_duration(LONGEST_SILENCE);
            self.add(
                "esl.dead_after",
                Some(&humantime::format_duration(esl.dead_after)),
                &format!("is longer than {most}, within which {silence}"),
                &format!("give at most {most}"),
            );
        }
        // (key, value, other key, other value, whether the pair is wrong, reason, remedy)
        let shorter = [
            (
                ("esl.dead_after", esl.dead_after),
                ("esl.probe_after", esl.probe_after),
                esl.dead_after <= esl.probe_after,
                "would count a link as lost before it was asked: it is not longer than",
            ),
            (
                ("esl.backoff.max", esl.backoff.max),
                ("esl.backoff.min", esl.backoff.min),
                esl.backoff.max < esl.backoff.min,
                "is shorter than",
            ),
            (
                ("grpc.deadlines.max", grpc.deadlines.max),
                ("grpc.deadlines.default", grpc.deadlines.default),
                grpc.deadlines.max < grpc.deadlines.default,
                "is shorter than",
            ),
            (
                ("grpc.deadlines.max", grpc.deadlines.max),
                ("grpc.deadlines.originate", grpc.deadlines.originate),
                grpc.deadlines.max < grpc.deadlines.originate,
                "is shorter than",
            ),
            (
                ("shutdown.grace", shutdown.grace),
                ("shutdown.delay", shutdown.delay),
                shutdown.grace <= shutdown.delay,
                "leaves no time to finish calls: it is not longer than",
            ),
        ];
        for ((key, value), (other, bound), wrong, reason) in shorter {
            if wrong && self.sound(other) {
                let bound = humantime::format_duration(bound);
                self.add(
                    key,
                    Some(&humantime::format_duration(value)),
                    &format!("{reason} {other} ({bound})"),
                    &format!("raise {key} or lower {other}"),
                );
            }
        }
    }

    fn admin(&mut self, config: &Config) {
        let Config { admin, grpc, .. } = config;
        let is_same = admin.enabled && admin.listen == grpc.listen && admin.listen.port() != 0;
        if is_same && self.sound("grpc.listen") {
            self.add(
                "admin.listen",
                Some(&admin.listen),
                "is also grpc.listen",
                "give metrics and probes a port of their own",
            );
        }
    }

    fn level(&mut self, level: &str) {
        if !is_log_level(level) {
            self.add(
                "log.level",
                Some(&format_args!("`{}`", level.escape_debug())),
                "is no log level",
                "write off, error, warn, info, debug or trace, or parts such as info,switchgate::esl=debug",
            );
        }
    }

    fn call_variable(&mut self, name: &str) {
        if check_variable_name(name).is_err() || name.len() > LONGEST_VARIABLE {
            self.add(
                "sessions.call_variable",
                Some(&format_args!("`{}`", name.escape_debug())),
                "is no name of a channel variable",
                &format!(
                    "write letters, digits, _ and -, at most {LONGEST_VARIABLE}, such as call_uuid"
                ),
            );
        }
    }

    fn event_names(&mut self, key: &str, names: &Names) {
        for (at, name) in names.iter().enumerate() {
            let (reason, remedy) = match check_event_name(name) {
                Ok(()) if !name.contains(|c: char| c == ' ' || c.is_control()) => continue,
                Ok(()) => (
                    "cannot be asked for",
                    "leave out spaces, or write ALL".to_owned(),
                ),
                Err(error) => ("is no event", format!("{key}[{at}] {error}")),
            };
            let value = format_args!("`{}`", name.escape_debug());
            self.add(&format!("{key}[{at}]"), Some(&value), reason, &remedy);
        }
    }

    fn node_count(&mut self, count: usize, need: NodeNeed) {
        match need {
            NodeNeed::Required if count == 0 => self.add(
                "nodes",
                None,
                "names no FreeSWITCH to control",
                "give --node NAME=HOST:PORT, list nodes or sources of discovery in a file for --config, or try --demo, which simulates two",
            ),
            NodeNeed::Simulated if count > 0 => self.add(
                "nodes",
                None,
                "is given beside --demo, which brings simulated nodes of its own",
                "leave out either the nodes or --demo",
            ),
            _ => {}
        }
    }
}

/// Whether a text says what is logged: each part is a level, or `target=level`. `EnvFilter` alone would take a mistyped level
/// for the name of a target and log all of it.
pub fn is_log_level(text: &str) -> bool {
    let levels: BTreeSet<&str> = ["off", "error", "warn", "info", "debug", "trace"].into();
    let named = text
        .split(',')
        .filter(|part| !part.contains(['=', '[', ']']))
        .all(|part| levels.contains(part.trim().to_ascii_lowercase().as_str()));
    named && tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}
