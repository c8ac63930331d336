//! Roles that mean something, and tenants that can be told apart.

use std::collections::BTreeMap;

use super::{Check, LONGEST_VARIABLE};
use crate::config::{NamesConfig, RoleConfig, TenantConfig};
use crate::esl::quote::check_variable_name;
use crate::grpc::Rpc;

/// Longest value of a tenant's variable.
const LONGEST_VALUE: usize = 256;

// === impl Check ===

impl Check<'_> {
    pub(super) fn roles(&mut self, roles: &BTreeMap<String, RoleConfig>) {
        for (name, role) in roles {
            let key = format!("roles.{name}");
            self.rpcs(&format!("{key}.rpcs"), &role.rpcs);
            self.names(&format!("{key}.commands"), &role.commands);
            self.names(&format!("{key}.applications"), &role.applications);
            self.patterns(&format!("{key}.nodes"), &role.nodes, |_| true);
        }
    }

    pub(super) fn tenants(&mut self, tenants: &BTreeMap<String, TenantConfig>) {
        let mut seen = BTreeMap::new();
        for (name, tenant) in tenants {
            let key = format!("tenants.{name}");
            let TenantConfig { variable, value } = tenant;
            if check_variable_name(variable).is_err() || variable.len() > LONGEST_VARIABLE {
                self.add(
                    &format!("{key}.variable"),
                    Some(&format_args!("`{}`", variable.escape_debug())),
                    "is no name of a channel variable",
                    &format!("write letters, digits, _ and -, at most {LONGEST_VARIABLE}, such as domain_name"),
                );
            }
            // It stands in dial strings and arguments as it is.
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@+".contains(c);
            if value.is_empty() || value.len() > LONGEST_VALUE || !value.chars().all(plain) {
                self.add(
                    &format!("{key}.value"),
                    Some(&format_args!("`{}`", value.escape_debug())),
                    "is no value that tells a tenant",
                    &format!("write letters, digits and _ - . @ +, at most {LONGEST_VALUE}, such as acme.example.com"),
                );
            }
            let whose = (variable.to_ascii_lowercase(), value.clone());
            if let Some(other) = seen.insert(whose, name) {
                self.add(
                    &key,
                    None,
                    &format!("has the variable and the value of tenants.{other}"),
                    "give each tenant a value of its own",
                );
            }
        }
    }

    /// One that fits no RPC would deny or allow nothing, silently.
    fn rpcs(&mut self, key: &str, names: &NamesConfig) {
        let known = |pattern: &str| {
            let pattern = crate::access::pattern(pattern);
            Rpc::all().any(|rpc| pattern(&rpc.short()))
        };
        for (list, patterns) in [("allow", &names.allow), ("deny", &names.deny)] {
            for (at, pattern) in patterns.iter().enumerate() {
                if !known(pattern) {
                    self.add(
                        &format!("{key}.{list}[{at}]"),
                        Some(&format_args!("`{}`", pattern.escape_debug())),
                        "fits no RPC",
                        "write Service/Method, such as SessionService/Hangup, with * for any characters",
                    );
                }
            }
        }
    }

    fn names(&mut self, key: &str, names: &NamesConfig) {
        // A command's first word, not its arguments.
        let is_word = |name: &str| !name.contains(char::is_whitespace);
        self.patterns(&format!("{key}.allow"), &names.allow, is_word);
        self.patterns(&format!("{key}.deny"), &names.deny, is_word);
    }

    fn patterns(&mut self, key: &str, patterns: &[String], is_good: impl Fn(&str) -> bool) {
        for (at, pattern) in patterns.iter().enumerate() {
            if pattern.is_empty() || !is_good(pattern) {
                self.add(
                    &format!("{key}[{at}]"),
                    Some(&format_args!("`{}`", pattern.escape_debug())),
                    "is no name",
                    "write one word, with * for any characters",
                );
            }
        }
    }
}
