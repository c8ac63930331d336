//! Filters as clients write them, and laws that hold of all.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::expression::{Restriction, Test};
use super::literal::Literal;
use super::*;
use crate::pb;

/// An item that holds its values by field, and by key for maps.
#[derive(Debug, Default, Clone)]
struct Thing(BTreeMap<(&'static str, String), Vec<Literal>>);

impl Listed for Thing {
    const FIELDS: &'static [Field] = &[
        Field {
            name: "node_id",
            kind: Kind::Text,
        },
        Field {
            name: "state",
            kind: Kind::Enum {
                prefix: "NODE_STATE_",
                wire: "",
                name_of: |number| Some(pb::NodeState::try_from(number).ok()?.as_str_name()),
            },
        },
        Field {
            name: "live",
            kind: Kind::Flag,
        },
        Field {
            name: "times.created",
            kind: Kind::Time,
        },
        Field {
            name: "label",
            kind: Kind::Map,
        },
    ];

    fn any(&self, field: &str, key: &str, test: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let found = self
            .0
            .iter()
            .find(|((known, known_key), _)| *known == field && *known_key == key);
        found.is_some_and(|(_, values)| {
            values.iter().any(|value| {
                test(match value {
                    Literal::Text(text) => Value::Text(text),
                    Literal::Flag(flag) => Value::Flag(*flag),
                    Literal::Time(at) => Value::Time(*at),
                })
            })
        })
    }
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn thing() -> Thing {
    let created = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let values = [
        ("node_id", "", text("a-1")),
        ("state", "", text("NODE_STATE_READY")),
        ("live", "", Literal::Flag(true)),
        ("times.created", "", Literal::Time(created)),
        ("label", "team", text("blue sky")),
        ("label", "app.x/y", text("*")),
        ("label", "two words", text("it's \"so\"")),
    ];
    let entries = values.map(|(field, key, value)| ((field, key.to_owned()), vec![value]));
    Thing(entries.into())
}

#[track_caller]
fn fits(filter: &str) -> bool {
    ListFilter::of::<Thing>(filter).unwrap().fits(&thing())
}

/// What a client reads of a filter that is refused.
#[track_caller]
fn refused(filter: &str) -> String {
    let failure = ListFilter::of::<Thing>(filter).unwrap_err();
    failure.violations()[0].description.clone()
}

#[test]
fn terms_hold_or_do_not() {
    for filter in [
        "",
        "  ",
        "state=READY",
        "state = NODE_STATE_READY",
        "state = \"READY\"",
        "node_id = a-1",
        "node_id:a-1",
        "node_id != -1",
        "node_id != sip:a-1:-",
        "live = true",
        "live != false",
        "label.team = 'blue sky'",
        "label.team:*",
        "label:team",
        "label:\"two words\"",
        "label.other != x",
        "label.app.x/y = \"*\"",
        "label.\"two words\" = \"it's \\\"so\\\"\"",
        "times.created = 2027-01-15T08:00:00Z",
        "times.created >= \"2027-01-15T08:00:00Z\"",
        "times.created < \"2027-01-15T09:00:00.5+00:30\"",
    ] {
        assert!(fits(filter), "{filter}");
    }
    for filter in [
        "state = DOWN",
        "node_id = a",
        "label.team != \"blue sky\"",
        "label.team = \"Blue Sky\"",
        "label.other:*",
        "label:other",
        "label.other = x",
        "live = false",
        "times.created > \"2027-01-15T08:00:00Z\"",
    ] {
        assert!(!fits(filter), "{filter}");
    }
}

#[test]
fn what_people_write_first_is_answered_with_what_to_write() {
    for (filter, advice) in [
        ("label", "label.NAME = \"value\""),
        ("team = blue", "write label.team"),
        ("node_id == c", "write = once"),
        ("live = true & live = true", "write AND"),
        ("live = true | live = true", "write OR"),
    ] {
        assert!(refused(filter).contains(advice), "{}", refused(filter));
    }
}

#[test]
fn states_can_be_written_as_freeswitch_does() {
    use crate::tracker::Session;
    for (filter, again) in [
        ("state = CS_EXECUTE", "state = SESSION_STATE_EXECUTE"),
        ("call_state = CCS_ACTIVE", "call_state = ACTIVE"),
    ] {
        let parsed = ListFilter::of::<Session>(filter);
        assert_eq!(parsed, ListFilter::of::<Session>(again), "{filter}");
    }
    assert!(ListFilter::of::<Session>("state = CCS_EXECUTE").is_err());
}

#[test]
fn terms_are_joined_as_aip_160_says() {
    let (yes, no) = ("live = true", "live = false");
    for filter in [
        format!("{yes} AND {yes}"),
        format!("{yes} {yes}"),
        format!("{no} OR {yes}"),
        format!("NOT {no}"),
        format!("-{no}"),
        format!("-({no} OR {no})"),
        // OR binds tighter: the other way round these would be the other truth.
        format!("{yes} OR {no} AND {yes}"),
        format!("NOT ({yes} OR {yes} AND {no})"),
        format!("NOT {no} AND {yes}"),
        format!("({yes} AND ({no} OR (NOT {no})))"),
        format!("({no})OR({yes})"),
    ] {
        assert!(fits(&filter), "{filter}");
    }
    for filter in [
        format!("{yes} AND {no}"),
        format!("{yes} {no}"),
        format!("{yes} OR {yes} AND {no}"),
        format!("{yes} OR {yes} {no}"),
        format!("NOT {yes} OR {no}"),
        format!("-{yes}"),
    ] {
        assert!(!fits(&filter), "{filter}");
    }
}

#[test]
fn what_is_refused_says_where_and_what_to_write() {
    for (filter, column, remedy) in [
        (
            "stat = x",
            1,
            "node_id, state, live, times.created, label.NAME",
        ),
        ("live = true AND ö = x", 17, "there is no field \"ö\""),
        ("state", 6, "state = \"value\""),
        ("live", 5, "live = true"),
        ("state =", 8, "a value is missing"),
        ("state == READY", 8, "write = once"),
        ("state x", 7, "an operator is missing"),
        (
            "state = UP",
            9,
            "CONNECTING, SYNCING, READY, DRAINING, DOWN",
        ),
        ("state = ready", 9, "READY"),
        ("state = UNSPECIFIED", 9, "READY"),
        ("live = yes", 8, "true or false"),
        ("node_id < b", 9, "only times.created"),
        ("times.created > yesterday", 17, "2026-11-24T08:30:00Z"),
        ("node_id = a AND", 16, "node_id = \"value\""),
        ("node_id = a OR OR live = true", 16, "a term is missing"),
        ("AND", 1, "a term is missing"),
        ("node_id = NOT", 11, "a value is missing"),
        ("node_id = \"a", 11, "close it"),
        ("node_id = \"a\\x\"", 13, "\\\\"),
        ("node_id = a and live = true", 13, "AND in capitals"),
        ("node_id = a && live = true", 13, "write AND"),
        ("!live = true", 1, "!= or NOT"),
        ("- live = true", 1, "right in front"),
        ("(live = true", 1, "is not closed"),
        ("live = true)", 12, "closes nothing"),
        ("()", 2, "a term is missing"),
        ("label = x", 1, "label.NAME"),
        ("label:*", 1, "label.NAME"),
        ("label. = x", 1, "there is no field"),
        ("label.team = *", 14, "label.team:*"),
        ("node_id = a*", 11, "wildcards"),
        ("label:team:*", 1, "label.NAME"),
        ("node_id = \"a\":b", 14, "a term is missing"),
        ("node_id = a\\b", 12, "in quotes"),
    ] {
        let told = refused(filter);
        assert!(
            told.starts_with(&format!("column {column}: ")) && told.contains(remedy),
            "{filter}: {told}"
        );
    }
}

#[test]
fn a_filter_is_bounded() {
    let terms = |count| vec!["live = true"; count].join(" ");
    assert!(ListFilter::of::<Thing>(&terms(100)).is_ok());
    assert!(refused(&terms(101)).contains("100 terms"));
    let nested = |depth| format!("{}live = true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(ListFilter::of::<Thing>(&nested(16)).is_ok());
    assert!(refused(&nested(17)).contains("16 parentheses"));
    assert!(refused(&nested(1500)).contains("16 parentheses"));
    assert!(refused(&" ".repeat(4097)).contains("4096 bytes"));
}

/// As plainly as can be: what a filter means for a thing.
fn naive(expression: &Expression, thing: &Thing) -> bool {
    match expression {
        Expression::All(parts) => !parts.iter().any(|part| !naive(part, thing)),
        Expression::Any(parts) => parts.iter().filter(|part| naive(part, thing)).count() > 0,
        Expression::Not(part) => !naive(part, thing),
        Expression::Is(restriction) => {
            let key = restriction.key.clone().unwrap_or_default();
            let none = Vec::new();
            let values = thing.0.get(&(restriction.field, key)).unwrap_or(&none);
            let times: Vec<SystemTime> = values
                .iter()
                .filter_map(|value| match value {
                    Literal::Time(at) => Some(*at),
                    _ => None,
                })
                .collect();
            match &restriction.test {
                Test::Present => !values.is_empty(),
                Test::Equal(literal) => values.contains(literal),
                Test::Differs(literal) => !values.contains(literal),
                Test::Before(bound) => times.iter().any(|at| at < bound),
                Test::NotAfter(bound) => times.iter().any(|at| at <= bound),
                Test::After(bound) => times.iter().any(|at| at > bound),
                Test::NotBefore(bound) => times.iter().any(|at| at >= bound),
            }
        }
    }
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    (1_800_000_000u64..1_800_000_003, 0u32..3)
        .prop_map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos))
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]", "[a-c.\" \\\\-]{1,4}", "\\PC{1,3}"]
}

fn any_test(literal: impl Strategy<Value = Literal>) -> impl Strategy<Value = Test> {
    (literal, 0..3).prop_map(|(literal, which)| match which {
        0 => Test::Present,
        1 => Test::Equal(literal),
        _ => Test::Differs(literal),
    })
}

fn any_text() -> impl Strategy<Value = Literal> {
    prop_oneof!["[ab]", "[ab'\"\\\\ *-]{0,4}", ".{0,3}", "\\n|\\t|\\r"].prop_map(Literal::Text)
}

fn any_state() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(text("NODE_STATE_READY")),
        Just(text("NODE_STATE_DOWN"))
    ]
}

fn any_restriction() -> impl Strategy<Value = Restriction> {
    let plain = |field, test| Restriction {
        field,
        key: None,
        test,
    };
    let compared = (any_time(), 0..4).prop_map(|(at, which)| match which {
        0 => Test::Before(at),
        1 => Test::NotAfter(at),
        2 => Test::After(at),
        _ => Test::NotBefore(at),
    });
    let timed = prop_oneof![any_test(any_time().prop_map(Literal::Time)), compared];
    prop_oneof![
        any_test(any_text()).prop_map(move |test| plain("node_id", test)),
        any_test(any_state()).prop_map(move |test| plain("state", test)),
        any_test(any::<bool>().prop_map(Literal::Flag)).prop_map(move |test| plain("live", test)),
        timed.prop_map(move |test| plain("times.created", test)),
        (any_key(), any_test(any_text())).prop_map(|(key, test)| Restriction {
            field: "label",
            key: Some(key),
            test,
        }),
    ]
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let leaf = any_restriction().prop_map(Expression::Is);
    leaf.prop_recursive(4, 24, 4, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 2..4).prop_map(Expression::All),
            prop::collection::vec(part.clone(), 2..4).prop_map(Expression::Any),
            part.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

fn any_thing() -> impl Strategy<Value = Thing> {
    let values = |literal| prop::collection::vec(literal, 0..3);
    let labels = prop::collection::vec((any_key(), values(any_text().boxed())), 0..4);
    (
        values(any_text().boxed()),
        values(any_state().boxed()),
        values(any::<bool>().prop_map(Literal::Flag).boxed()),
        values(any_time().prop_map(Literal::Time).boxed()),
        labels,
    )
        .prop_map(|(nodes, states, lives, times, labels)| {
            let plain = [
                ("node_id", nodes),
                ("state", states),
                ("live", lives),
                ("times.created", times),
            ];
            let plain = plain.map(|(field, values)| ((field, String::new()), values));
            let labels = labels
                .into_iter()
                .map(|(key, values)| (("label", key), values));
            Thing(plain.into_iter().chain(labels).collect())
        })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        try_text(&text);
    }

    #[test]
    fn no_words_make_the_parser_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "state", "label", "label.x", "variable.", "times.created", "live", "=", "!=", ":", "<",
                ">=", "(", ")", "-", "AND", "OR", "NOT", "true", "EXECUTE", "*", "\"a b\"", "'", "\\",
                "2026-11-24T08:30:00Z",
            ]),
            0..14,
        ),
        joiner in prop::sample::select(vec!["", " "]),
    ) {
        try_text(&words.join(joiner));
    }

    #[test]
    fn what_is_printed_is_parsed_to_the_same(expression in any_expression()) {
        let printed = expression.to_string();
        if printed.len() <= 4096 {
            let parsed = ListFilter::of::<Thing>(&printed);
            prop_assert_eq!(parsed, Ok(ListFilter(Some(expression))), "{}", printed);
        }
    }

    #[test]
    fn a_filter_means_what_it_says(expression in any_expression(), thing in any_thing()) {
        let expected = naive(&expression, &thing);
        prop_assert_eq!(ListFilter(Some(expression)).fits(&thing), expected);
    }
}
