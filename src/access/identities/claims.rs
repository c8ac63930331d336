//! What the claims of a verified token say of its bearer.

use serde_json::{Map, Value};

use super::Identified;

/// Longest name, in bytes.
const LONGEST_NAME: usize = 255;
/// Most roles of one bearer.
const MOST_ROLES: usize = 64;

/// Where a token says who its bearer is.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) name_claim: String,
    pub(super) roles_claim: String,
    pub(super) tenant_claim: Option<String>,
    /// Of bearers whose token has no claim of roles.
    pub(super) roles: Vec<String>,
    /// Of bearers whose token has no claim of a tenant.
    pub(super) tenant: Option<String>,
}

// === impl Mapping ===

impl Mapping {
    /// Who the bearer is.
    ///
    /// # Errors
    /// What is wrong with the claims, for the log.
    pub(super) fn identify(&self, claims: &Map<String, Value>) -> Result<Identified, &'static str> {
        let name = match lookup(claims, &self.name_claim) {
            Some(Value::String(name)) => word(name).ok_or("the claim of a name is unusable")?,
            _ => return Err("the token has no claim of a name"),
        };
        let roles = match lookup(claims, &self.roles_claim) {
            None => self.roles.clone(),
            // A list with spaces between, as OAuth's `scope` is (RFC 8693, section 4.2).
            Some(Value::String(roles)) => {
                let roles = roles.split_ascii_whitespace();
                roles.map(word).collect::<Option<_>>().ok_or(ROLES)?
            }
            Some(Value::Array(roles)) => {
                let roles = roles.iter().map(|role| role.as_str().and_then(word));
                roles.collect::<Option<Vec<_>>>().ok_or(ROLES)?
            }
            Some(_) => return Err(ROLES),
        };
        if roles.len() > MOST_ROLES {
            return Err("the token has too many roles");
        }
        let claim = self.tenant_claim.as_deref();
        let tenant = match claim.map(|claim| lookup(claims, claim)) {
            None => self.tenant.clone(),
            Some(Some(Value::String(tenant))) => {
                Some(word(tenant).ok_or("the claim of a tenant is unusable")?)
            }
            Some(Some(_)) => return Err("the claim of a tenant is no text"),
            // Without any it would see what belongs to others.
            Some(None) if self.tenant.is_none() => {
                return Err("the token has no claim of a tenant");
            }
            Some(None) => self.tenant.clone(),
        };
        Ok(Identified {
            name,
            roles,
            tenant,
        })
    }
}

const ROLES: &str = "the claim of roles is neither text nor a list of texts";

/// A claim, by its name or by the names of objects with dots between that lead to it. A name may
/// have dots itself, as `https://example.net/roles` has.
fn lookup<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found).filter(|value| !value.is_null());
    }
    path.match_indices('.').find_map(|(at, _)| {
        let inner = claims.get(&path[..at])?.as_object()?;
        lookup(inner, &path[at + 1..])
    })
}

/// A text that can stand in a log line and in a label.
fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= LONGEST_NAME && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn mapping() -> Mapping {
        Mapping {
            name_claim: "sub".to_owned(),
            roles_claim: "realm_access.roles".to_owned(),
            tenant_claim: None,
            roles: vec!["viewer".to_owned()],
            tenant: None,
        }
    }

    fn identify(
        mapping: &Mapping,
        claims: &Value,
    ) -> Result<(String, String, String), &'static str> {
        let found = mapping.identify(claims.as_object().unwrap())?;
        let tenant = found.tenant.unwrap_or_default();
        Ok((found.name, found.roles.join(","), tenant))
    }

    fn is(name: &str, roles: &str, tenant: &str) -> Result<(String, String, String), &'static str> {
        Ok((name.to_owned(), roles.to_owned(), tenant.to_owned()))
    }

    #[test]
    fn roles_come_from_their_claim_or_are_the_fixed_ones() {
        let mapping = mapping();
        let found = |roles: Value| {
            let claims = json!({"sub": "crm", "realm_access": {"roles": roles}});
            identify(&mapping, &claims)
        };
        assert_eq!(found(json!(["operator", "x"])), is("crm", "operator,x", ""));
        assert_eq!(found(json!("operator x")), is("crm", "operator,x", ""));
        assert_eq!(found(json!([])), is("crm", "", ""));
        assert_eq!(found(Value::Null), is("crm", "viewer", ""));
        assert_eq!(
            identify(&mapping, &json!({"sub": "crm"})),
            is("crm", "viewer", "")
        );
        for odd in [
            json!(7),
            json!({}),
            json!([7]),
            json!(["a\nb"]),
            json!([""]),
        ] {
            assert_eq!(found(odd.clone()), Err(ROLES), "{odd}");
        }
        assert!(found(json!(vec!["r"; MOST_ROLES + 1])).is_err());
    }

    #[test]
    fn a_path_leads_through_names_that_have_dots_themselves() {
        let claims = json!({
            "https://example.net/roles": ["a"],
            "kubernetes.io": {"namespace": "dialers", "serviceaccount": {"name": "x"}},
            "kubernetes": {"io": "wrong"},
        });
        let claims = claims.as_object().unwrap();
        let found = |path| lookup(claims, path);
        assert_eq!(found("https://example.net/roles"), Some(&json!(["a"])));
        assert_eq!(found("kubernetes.io.namespace"), Some(&json!("dialers")));
        assert_eq!(
            found("kubernetes.io.serviceaccount.name"),
            Some(&json!("x"))
        );
        for none in [
            "",
            ".",
            "kubernetes.io.",
            "kubernetes.io.namespace.x",
            "a.b",
        ] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_name_that_could_forge_a_log_line_is_refused() {
        let mapping = mapping();
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in [json!("a\nb"), json!(""), json!(long), json!(7), Value::Null] {
            assert!(identify(&mapping, &json!({"sub": name})).is_err(), "{name}");
        }
        assert!(identify(&mapping, &json!({})).is_err());
    }

    #[test]
    fn who_has_no_claim_of_a_tenant_does_not_see_them_all() {
        let mut mapping = mapping();
        mapping.tenant_claim = Some("org".to_owned());
        let found = |mapping: &Mapping, claims: Value| identify(mapping, &claims);
        let with = json!({"sub": "crm", "org": "acme"});
        let without = json!({"sub": "crm"});
        assert_eq!(found(&mapping, with.clone()), is("crm", "viewer", "acme"));
        assert!(found(&mapping, without.clone()).is_err());
        assert!(found(&mapping, json!({"sub": "crm", "org": 7})).is_err());
        assert!(found(&mapping, json!({"sub": "crm", "org": ""})).is_err());
        mapping.tenant = Some("rest".to_owned());
        assert_eq!(found(&mapping, without), is("crm", "viewer", "rest"));
        mapping.tenant_claim = None;
        assert_eq!(found(&mapping, with), is("crm", "viewer", "rest"));
    }

    proptest! {
        #[test]
        fn no_path_breaks_the_lookup(path: String, key: String) {
            let claims = json!({key.clone(): {"roles": 1}, "a.b": {"c": 2}});
            let claims = claims.as_object().unwrap();
            let _ = lookup(claims, &path);
            prop_assert!(lookup(claims, &key).is_some());
            let inner = format!("{key}.roles");
            prop_assert!(lookup(claims, &inner).is_some());
        }
    }
}
