//! Patterns of names, and certificates made for the test.

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;

/// A certificate of these alternative names, and of this common name.
fn certificate(names: &[SanType], common_name: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn rule(pattern: &str, name: Option<&str>) -> Rule {
    Rule {
        pattern: pattern.parse().unwrap(),
        name: name.map(str::to_owned),
        roles: vec!["operator".to_owned()],
        tenant: Some("acme".to_owned()),
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let pattern: SanPattern = pattern.parse().unwrap();
    let name = match pattern {
        SanPattern::Uri(_) => GeneralName::URI(name),
        SanPattern::Dns(_) => GeneralName::DNSName(name),
    };
    pattern.fits(&name)
}

#[test]
fn a_star_is_one_whole_part() {
    let pattern = "spiffe://example.org/ns/*/sa/dialer";
    assert!(fits(pattern, "spiffe://example.org/ns/acme/sa/dialer"));
    for name in [
        "spiffe://example.org/ns//sa/dialer",
        "spiffe://example.org/ns/a/b/sa/dialer",
        "spiffe://example.org/ns/../sa/dialer",
        "spiffe://example.org/ns/a%2fb/sa/dialer",
        "spiffe://example.org/ns/acme/sa/dialer2",
        "spiffe://example.org.evil.net/ns/acme/sa/dialer",
        "spiffe://example.org/ns/sa/dialer",
        "SPIFFE://example.org/ns/acme/sa/dialer",
    ] {
        assert!(!fits(pattern, name), "{name}");
    }
    assert!(fits(
        "spiffe://example.org/*",
        "spiffe://example.org/dialer"
    ));
    assert!(!fits("spiffe://example.org/*", "spiffe://example.org/a/b"));

    assert!(fits("*.example.net", "Dialer.Example.NET"));
    assert!(!fits("*.example.net", "a.b.example.net"));
    assert!(!fits("*.example.net", "example.net"));
    assert!(!fits("*.example.net", ".example.net"));
    assert!(!fits("*.example.net", "*.example.net"));
    assert!(fits("dialer.*.example.net", "dialer.fra.example.net"));
    assert!(fits("dialer.example.net", "DIALER.example.net"));
}

#[test]
fn a_pattern_that_fits_too_much_or_nothing_is_refused() {
    for pattern in [
        "",
        "*",
        "a*.example.net",
        "*.*.example.net",
        "a..b",
        "a b",
        "spiffe://*/dialer",
        "spiffe://",
        "://x/y",
        "spiffe://example.org/a*",
        "spiffe://example.org/*/*",
        "spiffe://example.org//a",
        "spiffe://example.org/a b",
    ] {
        assert!(pattern.parse::<SanPattern>().is_err(), "{pattern:?}");
    }
    assert!(SanPattern::uri("dialer.example.net").is_err());
    assert!(fits(
        "https://dialer.example.net",
        "https://dialer.example.net"
    ));
}

#[test]
fn who_has_a_certificate_is_told_by_its_alternative_names_alone() {
    let certificates = Certificates::new(vec![
        rule("spiffe://example.org/ns/*/sa/dialer", None),
        rule("crm.example.net", Some("crm")),
    ]);
    let names = [dns("other.example.net"), dns("crm.example.net")];
    let found = certificates.find(&certificate(&names, "x")).unwrap();
    assert_eq!((found.name.as_str(), found.roles.len()), ("crm", 1));
    assert_eq!(found.tenant.as_deref(), Some("acme"));

    let spiffe = [uri("spiffe://example.org/ns/acme/sa/dialer")];
    let found = certificates.find(&certificate(&spiffe, "x")).unwrap();
    assert_eq!(found.name, "spiffe://example.org/ns/acme/sa/dialer");

    for names in [
        &[][..],
        &[dns("other.example.net")],
        // The right text as the wrong kind of name.
        &[uri("crm.example.net")],
        &[SanType::Rfc822Name("crm.example.net".try_into().unwrap())],
    ] {
        let refused = certificates.find(&certificate(names, "crm.example.net"));
        assert!(refused.is_err(), "{names:?}");
    }
}

#[test]
fn what_is_no_certificate_is_nobodys() {
    let certificates = Certificates::new(vec![rule("crm.example.net", None)]);
    let good = certificate(&[dns("crm.example.net")], "x");
    assert!(certificates.find(&good).is_ok());
    for length in [0, 1, 10, good.len() / 2, good.len() - 1] {
        assert!(certificates.find(&good[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn a_name_fits_itself_and_no_pattern_breaks(pattern: String, name: String) {
        if let Ok(parsed) = pattern.parse::<SanPattern>() {
            let _ = fits(&pattern, &name);
            if !pattern.contains('*') {
                prop_assert!(fits(&pattern, &pattern), "{:?}", parsed);
            }
        }
    }

    #[test]
    fn what_a_star_stands_for_has_no_separator(part in "[a-z0-9./%*-]{0,12}") {
        let name = format!("spiffe://example.org/ns/{part}/sa");
        if fits("spiffe://example.org/ns/*/sa", &name) {
            prop_assert!(!part.is_empty() && !part.contains('/'));
        }
    }

    #[test]
    fn no_bytes_break_the_certificate(der: Vec<u8>) {
        let certificates = Certificates::new(vec![rule("crm.example.net", None)]);
        prop_assert!(certificates.find(&der).is_err());
    }
}
