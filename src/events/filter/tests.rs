use proptest::prelude::*;

use super::*;
use crate::esl::Event;

/// Values that FreeSWITCH writes as they are, and those that it encodes.
const VALUES: [&str; 6] = ["a", "ab", "a b", "a%b", "ä::b", ""];
const HEADERS: [&str; 3] = ["X-One", "x-one", "variable_Two"];

#[derive(Debug, Clone)]
enum Model {
    Exact(String, String),
    Prefix(String, String),
    Regex(String, String),
    Present(String, bool),
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(&VALUES[..]).prop_map(str::to_owned)
}

fn matchers() -> impl Strategy<Value = Model> {
    let name = prop::sample::select(&HEADERS[..]).prop_map(str::to_owned);
    (name, value(), 0..5u8).prop_map(|(name, value, kind)| match kind {
        0 => Model::Exact(name, value),
        1 => Model::Prefix(name, value),
        2 => Model::Regex(name, value),
        other => Model::Present(name, other == 3),
    })
}

fn some(values: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(values, 0..3)
}

fn id(texts: &str) -> impl Strategy<Value = Option<String>> + use<> {
    let texts: Vec<_> = texts.chars().map(|c| c.to_string()).collect();
    prop::option::of(prop::sample::select(texts))
}

// === impl Model ===

impl Model {
    fn compiled(&self) -> HeaderMatcher {
        match self.clone() {
            Self::Exact(name, value) => HeaderMatcher::exact(name, value),
            Self::Prefix(name, value) => HeaderMatcher::prefix(name, value),
            Self::Regex(name, value) => {
                HeaderMatcher::regex(name, &format!("^{}$", regex::escape(&value))).unwrap()
            }
            Self::Present(name, is_wanted) => HeaderMatcher::present(name, is_wanted),
        }
    }

    fn fits(&self, headers: &[(&str, String)]) -> bool {
        let value = |name: &str| {
            let header = headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
            header.map(|(_, value)| value.as_str())
        };
        match self {
            Self::Exact(name, wanted) | Self::Regex(name, wanted) => value(name) == Some(wanted),
            Self::Prefix(name, wanted) => {
                value(name).is_some_and(|value| value.starts_with(wanted.as_str()))
            }
            Self::Present(name, is_wanted) => value(name).is_some() == *is_wanted,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Against the words of the API, in clear text.
    #[test]
    fn a_filter_wants_what_its_lists_and_matchers_agree_on(
        names in some(prop::sample::select(vec!["A", "CUSTOM", "a%b"]).prop_map(str::to_owned)),
        subclasses in some(value()),
        sessions in some(Just("s".to_owned())),
        nodes in some(prop::sample::select(vec!["n", "m"]).prop_map(str::to_owned)),
        matched in prop::collection::vec(matchers(), 0..3),
        name in prop::sample::select(vec!["A", "B", "CUSTOM", "a%b"]),
        subclass in prop::option::of(value()),
        session in id("st"),
        one in prop::option::of(value()),
        two in prop::option::of(value()),
    ) {
        let mut headers = vec![("Event-Name", name.to_owned())];
        headers.extend(subclass.clone().map(|value| ("Event-Subclass", value)));
        headers.extend(one.map(|value| ("X-ONE", value)));
        headers.extend(two.map(|value| ("variable_two", value)));
        let plain = headers.iter().map(|(name, value)| (*name, value.as_str().into()));
        let record = Record {
            node: "n".parse().unwrap(),
            event: Event::from_headers(plain).unwrap(),
            session: session.as_ref().map(|id| id.parse().unwrap()),
            call: None,
            job: None,
            synthetic: false,
            owners: Default::default(),
        };
        let filter = EventFilter::from(FilterSpec {
            names: names.clone(),
            subclasses: subclasses.clone(),
            nodes: nodes.iter().map(|id| id.parse().unwrap()).collect(),
            sessions: sessions.iter().map(|id| id.parse().unwrap()).collect(),
            calls: Vec::new(),
            headers: matched.iter().map(Model::compiled).collect(),
        });
        let wants_name = match (names.is_empty(), subclasses.is_empty()) {
            (true, true) => true,
            (_, false) if name == "CUSTOM" => subclass.is_some_and(|subclass| subclasses.contains(&subclass)),
            _ => names.iter().any(|wanted| wanted == name),
        };
        let expected = wants_name
            && (nodes.is_empty() || nodes.contains(&"n".to_owned()))
            && (sessions.is_empty() || session.is_some_and(|session| sessions.contains(&session)))
            && matched.iter().all(|matcher| matcher.fits(&headers));
        prop_assert_eq!(filter.wants(&record), expected);
    }
}

fn with_header(value: &str) -> Record {
    let headers = [("Event-Name", "A".into()), ("X", value.into())];
    Record {
        node: "n".parse().unwrap(),
        event: Event::from_headers(headers).unwrap(),
        session: None,
        call: None,
        job: None,
        synthetic: false,
        owners: Default::default(),
    }
}

#[test]
fn a_regular_expression_fits_anywhere_and_is_bounded() {
    let fits = |pattern: &str, value: &str| {
        let matcher = HeaderMatcher::regex("x", pattern).unwrap();
        matcher.fits(&with_header(value))
    };
    assert!(fits("b+", "abc") && fits("^a b$", "a b") && !fits("^b", "abc"));
    let problem = |pattern: &str| HeaderMatcher::regex("x", pattern).unwrap_err();
    assert_eq!(problem(&"a".repeat(1001)), RegexError::TooLong);
    assert_eq!(problem("(a{500}){500}"), RegexError::TooLarge);
    assert!(matches!(problem("(?=a)"), RegexError::Malformed(_)));
    let nested = |depth| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(fits(&nested(30), "a"));
    assert!(matches!(problem(&nested(40)), RegexError::Malformed(_)));
}

#[test]
fn a_regular_expression_is_asked_about_the_first_8_kib() {
    let fits = |pattern: &str, value: &str| {
        let matcher = HeaderMatcher::regex("x", pattern).unwrap();
        matcher.fits(&with_header(value))
    };
    for filler in ["a", "%"] {
        let filler = filler.repeat(8191);
        assert!(fits("b", &format!("{filler}b{filler}")));
        assert!(!fits("b", &format!("{filler}cb")));
        assert!(fits("b$", &format!("{filler}bc")));
    }
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_regular_expression_works_with_little_memory() {
    // Each byte is a class of its own, and each one that comes makes another state.
    let every_second: String = (b' '..b'~')
        .step_by(2)
        .map(|at| format!("\\x{at:02x}"))
        .collect();
    let pattern = format!("(?s-u:[{every_second}].{{14}}[\\x01-\\x1f])");
    let mut random = 12345u32;
    let text: String = (0..2500)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + u8::try_from((random >> 24) % 64).unwrap())
        })
        .filter(|c| *c != '%')
        .collect();
    let record = with_header(&text);
    let before = resident();
    let matchers: Vec<_> = (0..64)
        .map(|_| HeaderMatcher::regex("x", &pattern).unwrap())
        .collect();
    assert!(!matchers.iter().any(|matcher| matcher.fits(&record)));
    let each = resident().saturating_sub(before) / matchers.len();
    assert!(each < 1 << 20, "{each} bytes each");
}
