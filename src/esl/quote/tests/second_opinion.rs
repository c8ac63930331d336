//! The same text, read and written by the `freeswitch-types` crate, whose passes were written by
//! somebody else from the same sources.

use freeswitch_types::commands::{
    DialStringCarrier, FlattenedDialString, Variables, VariablesType, originate_split,
    originate_unquote, quote_for_uuid_setvar,
};

use super::*;

fn theirs(command: &OriginateCommand) -> Option<Vec<Vec<(String, String)>>> {
    let line = command.to_api().ok()?;
    let arguments = originate_split(line.arguments(), ' ').unwrap();
    let list = FlattenedDialString::parse_for(&arguments[0], DialStringCarrier::EslApi).unwrap();
    let pairs = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Some(
        list.legs()
            .map(|leg| leg.variables().map(pairs).collect())
            .collect(),
    )
}

fn they_read_ours(value: &str) {
    let mut command = park(&[("before", "1"), ("v", value), ("after", "2")]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = vec![pair("before", "1"), pair("v", value), pair("after", "2")];
    if let Some(read) = theirs(&command) {
        assert_eq!(read, [expected]);
    }
    command.variables.clear();
    command.strategy = LegStrategy::Forked;
    command.legs[0].variables = vec![pair("v", value), pair("w", value)];
    command.legs.push(Leg {
        endpoint: "null/y".into(),
        session: None,
        variables: Vec::new(),
    });
    if let Some(read) = theirs(&command) {
        assert_eq!(read, [vec![pair("v", value), pair("w", value)], Vec::new()]);
    }
    if let Ok(line) = call("log", value).to_api() {
        let arguments = originate_split(line.arguments(), ' ').unwrap();
        assert_eq!(arguments.len(), if value.contains(')') { 3 } else { 2 });
    }
    if let Ok(line) = uuid_setvar(&session(), "v", value) {
        let raw = line.arguments().splitn(3, ' ').nth(2).unwrap();
        assert_eq!(originate_unquote(raw), value);
    }
}

fn we_read_theirs(value: &str) {
    let quoted = format!("{} v {}", session(), quote_for_uuid_setvar(value));
    assert_eq!(model::setvar(&quoted)[2], value);
    // their blocks cannot hold what only elements without `=` and empty quotes can
    if depth_differs(value) || value.contains(":_:") || value.is_empty() {
        return;
    }
    let block = Variables::with_vars(VariablesType::Default, [("v", value), ("after", "2")]);
    let line = format!("{block}null/x &park()");
    let (dialled, _) = model::originate(&line);
    assert_eq!(
        dialled.globals[0],
        ("v".to_owned(), value.to_owned()),
        "{line}"
    );
    assert_eq!(
        dialled.globals[1],
        ("after".to_owned(), "2".to_owned()),
        "{line}"
    );
}

fn depth_differs(value: &str) -> bool {
    let depth = passes::depth(value, '{', '}');
    depth.unopened + depth.unclosed > 0
}

#[test]
fn the_hostile_strings_are_read_alike() {
    for value in HOSTILE.iter().filter(|v| refusal(v).is_none()) {
        they_read_ours(value);
        we_read_theirs(value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_value_is_read_alike(value in hostile_text()) {
        if refusal(&value).is_none() {
            they_read_ours(&value);
            we_read_theirs(&value);
        }
    }
}
