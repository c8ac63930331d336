//! Sources of nodes: made of their entries when those are complete.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{Check, LONGEST};
use crate::config::discovery::{DiscoveryEntry, DnsEntry, SourceEntry};
use crate::config::{
    DEFAULT_ESL_PORT, DiscoveryConfig, DnsQuestion, NodeName, Password, Place, SourceConfig,
};
use crate::domain::NodeId;

/// How long the name of a source may be: it is a part of names of nodes and a label of metrics.
const LONGEST_NAME: usize = 63;

/// Longest name in DNS (RFC 1035, section 2.3.4), and its longest label.
const LONGEST_DNS_NAME: (usize, usize) = (254, 63);

// === impl Check ===

impl Check<'_> {
    pub(super) fn discovery(
        &mut self,
        entry: DiscoveryEntry,
        links: usize,
        fallback: Option<&Password>,
    ) -> DiscoveryConfig {
        let mut seen = BTreeMap::new();
        let mut sources = Vec::new();
        for (index, source) in entry.sources.into_iter().enumerate() {
            let key = format!("discovery.sources[{index}]");
            if let Some(name) = &source.name
                && let Some(first) = seen.insert(name.clone(), index)
            {
                let reason = format!("is also the name of discovery.sources[{first}]");
                let value = format_args!("`{}`", name.escape_debug());
                let remedy = "give each source a name of its own";
                self.add(&format!("{key}.name"), Some(&value), &reason, remedy);
            }
            sources.extend(self.source(&key, source, links, fallback));
        }
        if let Some(server) = entry.dns_server
            && server.port() == 0
        {
            let remedy = "give its port, which is 53 mostly";
            self.add("discovery.dns_server", Some(&server), "has no port", remedy);
        }
        DiscoveryConfig {
            dns_server: entry.dns_server,
            sources,
        }
    }

    fn source(
        &mut self,
        key: &str,
        entry: SourceEntry,
        links: usize,
        fallback: Option<&Password>,
    ) -> Option<SourceConfig> {
        let name = self.source_name(key, entry.name);
        if let Some(user) = &entry.user {
            self.user(&format!("{key}.user"), user);
        }
        if let Some(count) = entry.command_links {
            self.links(&format!("{key}.command_links"), count);
        }
        let password = (&entry.password, &entry.password_file);
        let password = self.password(key, password, fallback);
        let usual = if entry.dns.is_some() { 30 } else { 5 };
        let interval = entry.interval.unwrap_or(Duration::from_secs(usual));
        if interval.is_zero() || interval > LONGEST {
            let value = humantime::format_duration(interval);
            let reason = "is no usable interval";
            let remedy = "give a time longer than zero, at most 365days";
            self.add(&format!("{key}.interval"), Some(&value), reason, remedy);
        }
        let place = self.place(key, entry.dns, entry.file, entry.node_id);
        let labels = entry.labels.into_iter();
        Some(SourceConfig {
            name: name?,
            place: place?,
            interval,
            user: entry.user,
            password: password?,
            labels: labels.map(|(name, label)| (name, label.0)).collect(),
            command_links: entry.command_links.unwrap_or(links),
        })
    }

    fn source_name(&mut self, key: &str, name: Option<String>) -> Option<String> {
        let Some(name) = name else {
            let remedy = "give the source a name, such as pods";
            self.missing(key, "name", remedy);
            return None;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            self.add(
                &format!("{key}.name"),
                Some(&format_args!("`{}`", name.escape_debug())),
                "is no name of a source",
                "write letters, digits, - _ and ., at most 63, such as pods",
            );
        }
        Some(name)
    }

    fn place(
        &mut self,
        key: &str,
        dns: Option<DnsEntry>,
        file: Option<PathBuf>,
        node_id: Option<String>,
    ) -> Option<Place> {
        match (dns, file) {
            (Some(dns), None) => self.dns(key, dns, node_id),
            (None, Some(path)) => {
                if node_id.is_some() {
                    let reason = "is given beside file, whose nodes have ids of their own";
                    let remedy = "leave it out";
                    self.add(&format!("{key}.node_id"), None, reason, remedy);
                }
                Some(Place::File(path))
            }
            (Some(_), Some(_)) => {
                let reason = "is given and so is dns";
                let remedy = "leave one of them out, or make two sources";
                self.add(&format!("{key}.file"), None, reason, remedy);
                None
            }
            (None, None) => {
                let reason = "looks at nothing";
                self.add(key, None, reason, "give dns or file");
                None
            }
        }
    }

    fn dns(&mut self, key: &str, dns: DnsEntry, node_id: Option<String>) -> Option<Place> {
        let above = format!("{key}.dns");
        let is_srv = dns.srv.unwrap_or(false);
        let port = dns.port.unwrap_or(u32::from(DEFAULT_ESL_PORT));
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        if port.is_none() {
            let value = dns.port.unwrap_or_default();
            let remedy = "give 1 to 65535; 8021 when left out";
            self.add(&format!("{above}.port"), Some(&value), "is no port", remedy);
        }
        if is_srv && dns.port.is_some() {
            let reason = "is given beside srv, whose records have ports of their own";
            self.add(
                &format!("{above}.port"),
                None,
                reason,
                "leave one of them out",
            );
        }
        let Some(name) = dns.name else {
            self.missing(
                &above,
                "name",
                "write the name to ask for, such as freeswitch.voip.svc.cluster.local",
            );
            return None;
        };
        if !is_dns_name(&name) {
            self.add(
                &format!("{above}.name"),
                Some(&format_args!("`{}`", name.escape_debug())),
                "is no name in DNS",
                "write labels of letters, digits, - and _ with dots between them",
            );
        }
        let node_id = self.node_name(&format!("{key}.node_id"), node_id, is_srv);
        let question = match is_srv {
            true => DnsQuestion::Services,
            false => DnsQuestion::Addresses(port?),
        };
        Some(Place::Dns {
            name,
            question,
            node_id,
        })
    }

    fn node_name(&mut self, key: &str, given: Option<String>, is_srv: bool) -> NodeName {
        let usual = if is_srv {
            "{host}"
        } else {
            "{source}-{address}"
        };
        let text = given.unwrap_or_else(|| usual.to_owned());
        let all = NodeName::PLACEHOLDERS;
        let known = if is_srv { &all[..] } else { &all[..3] };
        let rest = known
            .iter()
            .fold(text.clone(), |rest, name| rest.replace(name, "x"));
        let tells_apart = text.contains("{address}") || (is_srv && text.contains("{host}"));
        let wrong = match rest.parse::<NodeId>() {
            Err(error) => Some(error.to_string()),
            Ok(_) if !tells_apart => Some("gives all nodes one name".to_owned()),
            Ok(_) => None,
        };
        if let Some(reason) = wrong {
            let value = format!("`{}`", text.escape_debug());
            let names = known.join(", ");
            let apart = if is_srv {
                "{host} or {address}"
            } else {
                "{address}"
            };
            let remedy =
                format!("write letters, digits, - and the parts {names}; {apart} must be there");
            self.add(key, Some(&value), &reason, &remedy);
        }
        NodeName::new(text)
    }
}

fn is_dns_name(name: &str) -> bool {
    let (longest, longest_label) = LONGEST_DNS_NAME;
    let label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        !label.is_empty() && label.len() <= longest_label && label.chars().all(plain)
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    name.len() <= longest && labels.split('.').all(label)
}
