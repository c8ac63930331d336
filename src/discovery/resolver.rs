//! Questions to DNS.
//!
//! What the resolver's own search makes of a failure is not good enough here: it goes on to the next
//! search domain, so that a name whose server is out of order seems not to exist.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use crate::config::DnsQuestion;

/// Longest time for all questions of one look.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a server that is named here may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer lasts that has no TTL.
const NO_TTL: Duration = Duration::MAX;

/// What DNS names as a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    /// The first label of an SRV record's target; empty where an address was asked for.
    pub(super) host: String,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

/// What DNS says.
#[derive(Debug)]
pub(super) struct Answer {
    /// Empty when the name does not exist or has no such records.
    pub(super) endpoints: BTreeSet<Endpoint>,
    /// How long it lasts: the shortest of its records.
    pub(super) ttl: Duration,
}

/// Servers, and how names are completed.
pub(super) struct Resolver {
    inner: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

/// Records of one kind, and how long they last; none where there are none.
type Records = (Vec<Record>, Duration);

// === impl Resolver ===

impl Resolver {
    /// Of this server, or of those of the system.
    pub(super) fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let (config, mut options) = match server {
            Some(server) => (of_server(server), impatient()),
            None => read_system_conf().map_err(|error| format!("no DNS server: {error}"))?,
        };
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        let (search, ndots) = (config.domain.iter().chain(&config.search), options.ndots);
        let search = search.cloned().collect();
        let provider = TokioRuntimeProvider::default();
        let inner = TokioResolver::builder_with_config(config, provider).with_options(options);
        Ok(Self {
            inner: inner.build().map_err(|error| error.to_string())?,
            search,
            ndots,
        })
    }

    /// What a name stands for.
    pub(super) async fn endpoints(
        &self,
        name: &str,
        question: DnsQuestion,
    ) -> Result<Answer, String> {
        // The resolver has time-outs of its own, for each question and each server.
        let asked = tokio::time::timeout(PATIENCE, self.ask(name, question));
        asked.await.unwrap_or_else(|_| {
            let patience = humantime::format_duration(PATIENCE);
            Err(format!("no answer within {patience}"))
        })
    }

    async fn ask(&self, name: &str, question: DnsQuestion) -> Result<Answer, String> {
        let names = candidates(name, &self.search, self.ndots)?;
        for name in &names {
            let answer = match question {
                DnsQuestion::Addresses(port) => self.addresses(name, port).await?,
                DnsQuestion::Services => self.services(name).await?,
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Ok(Answer {
            endpoints: BTreeSet::new(),
            ttl: NO_TTL,
        })
    }

    async fn addresses(&self, name: &Name, port: u16) -> Result<Option<Answer>, String> {
        let (ips, ttl) = self.ips(name).await?;
        let endpoint = |ip| Endpoint {
            host: String::new(),
            ip,
            port,
        };
        let endpoints: BTreeSet<_> = ips.into_iter().map(endpoint).collect();
        Ok((!endpoints.is_empty()).then_some(Answer { endpoints, ttl }))
    }

    /// A target with several addresses is one node, at the lowest of them.
    async fn services(&self, name: &Name) -> Result<Option<Answer>, String> {
        let (records, mut ttl) = self.records(name, RecordType::SRV).await?;
        let is_there = !records.is_empty();
        let mut endpoints = BTreeSet::new();
        for record in records {
            let RData::SRV(service) = record.data else {
                continue;
            };
            // A service that is decidedly not available (RFC 2782).
            if service.target.is_root() || service.port == 0 {
                continue;
            }
            let mut target = service.target.clone();
            target.set_fqdn(true);
            let (ips, lasts) = self.ips(&target).await?;
            ttl = ttl.min(lasts);
            let host = target.iter().next().unwrap_or_default();
            endpoints.extend(ips.into_iter().min().map(|ip| Endpoint {
                host: String::from_utf8_lossy(host).to_ascii_lowercase(),
                ip,
                port: service.port,
            }));
        }
        Ok(is_there.then_some(Answer { endpoints, ttl }))
    }

    /// A and, only where there are none, AAAA: with both, one node would be two.
    async fn ips(&self, name: &Name) -> Result<(Vec<IpAddr>, Duration), String> {
        let mut found = self.records(name, RecordType::A).await?;
        if found.0.is_empty() {
            found = self.records(name, RecordType::AAAA).await?;
        }
        let ip = |record: Record| match record.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        };
        Ok((found.0.into_iter().filter_map(ip).collect(), found.1))
    }

    async fn records(&self, name: &Name, kind: RecordType) -> Result<Records, String> {
        match self.inner.lookup(name.clone(), kind).await {
            Ok(lookup) => {
                let records = lookup.answers().iter();
                let ttl = records.clone().map(|record| record.ttl).min();
                let ttl = ttl.map_or(NO_TTL, |ttl| Duration::from_secs(u64::from(ttl)));
                let records = records.filter(|record| record.record_type() == kind);
                Ok((records.cloned().collect(), ttl))
            }
            Err(error) if means_none(&error) => Ok((Vec::new(), NO_TTL)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}

/// Whether a server says that there is no such name or no such record. One that only refers to other
/// servers does not say so.
fn means_none(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.soa.is_some() || none.ns.is_none(),
        _ => false,
    }
}

/// A server that is named here is near; those of the system have options of their own.
fn impatient() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TIMEOUT;
    options.attempts = 1;
    options
}

fn of_server(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
    name_server.connections = connections.into();
    let mut config = ResolverConfig::default();
    config.name_servers = vec![name_server];
    config
}

/// The full names to ask for, in this order (resolv.conf(5), `ndots` and `search`).
fn candidates(name: &str, search: &[Name], ndots: usize) -> Result<Vec<Name>, String> {
    let name = Name::from_ascii(name).map_err(|error| error.to_string())?;
    let mut full = name.clone();
    full.set_fqdn(true);
    if name.is_fqdn() {
        return Ok(vec![full]);
    }
    let mut names: Vec<Name> = Vec::new();
    for domain in search {
        let Ok(mut longer) = name.clone().append_domain(domain) else {
            // Too long to exist.
            continue;
        };
        longer.set_fqdn(true);
        if !names.contains(&longer) {
            names.push(longer);
        }
    }
    let dots = name.iter().count().saturating_sub(1);
    let at = if dots >= ndots { 0 } else { names.len() };
    names.insert(at, full);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_resolv_conf_says() {
        let search = ["voip.svc.example", "svc.example."].map(|text| text.parse().unwrap());
        let texts = |name: &str, ndots| -> Vec<String> {
            let names = candidates(name, &search, ndots).unwrap();
            names.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts("fs.example.", 5), ["fs.example."]);
        let below = "fs.voip.svc.example.";
        assert_eq!(texts("fs", 1), [below, "fs.svc.example.", "fs."]);
        assert_eq!(texts("fs", 0)[0], "fs.");
        assert_eq!(texts("a.b", 1)[0], "a.b.");
        assert_eq!(texts("a.b", 2)[2], "a.b.");
        assert_eq!(candidates("fs", &[], 1).unwrap().len(), 1);
    }
}
