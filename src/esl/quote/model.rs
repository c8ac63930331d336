//! FreeSWITCH's side of the wire, written from reading its sources: the oracle of the tests.
//! Bytes throughout, as there. Each function names the one that it stands for.

/// Variables as FreeSWITCH ends up with them.
pub(super) type Pairs = Vec<(String, String)>;

/// A dial string as `switch_ivr_originate` dials it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dialled {
    pub(super) globals: Pairs,
    /// Groups tried in turn, each of legs rung together.
    pub(super) groups: Vec<Vec<(Pairs, String)>>,
}

/// Where `originate_function` sends an answered leg.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    App(String, String),
    Extension(String, String, String),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `cleanup_separated_string`.
fn cleanup(element: &[u8], separator: Option<u8>) -> Vec<u8> {
    let start = element.iter().take_while(|b| **b == b' ').count();
    let element = &element[start..];
    let (mut out, mut keep, mut quoted, mut at) = (Vec::new(), None, false, 0);
    while at < element.len() {
        let byte = element[at];
        let next = element.get(at + 1).copied();
        let escaped = match next {
            _ if byte != b'\\' => None,
            Some(b'n') => Some(b'\n'),
            Some(b'r') => Some(b'\r'),
            Some(b't') => Some(b'\t'),
            Some(b's') => Some(b' '),
            Some(c) if matches!(c, b'\'' | b'"' | b'\\') || separator == Some(c) => Some(c),
            _ => None,
        };
        if let Some(c) = escaped {
            out.push(c);
            keep = Some(out.len());
            at += 2;
            continue;
        }
        if byte == b'\'' && (quoted || element[at + 1..].contains(&b'\'')) {
            quoted = !quoted;
            if quoted {
                keep = Some(out.len());
            }
        } else {
            out.push(byte);
            if byte != b' ' || quoted {
                keep = Some(out.len());
            }
        }
        at += 1;
    }
    if let Some(keep) = keep {
        out.truncate(keep);
    }
    out
}

/// `switch_separate_string`, with its `^^` switch of the separator.
pub(super) fn separate(line: &[u8], separator: u8, most: usize) -> Vec<Vec<u8>> {
    match line {
        [b'^', b'^', other, _, ..] => split(&line[3..], *other, most),
        _ => split(line, separator, most),
    }
}

fn split(line: &[u8], separator: u8, most: usize) -> Vec<Vec<u8>> {
    let blank = separator == b' ';
    let (mut elements, mut at) = (Vec::new(), 0);
    while at < line.len() && elements.len() < most {
        let start = at;
        // the last element that fits is taken whole
        if elements.len() + 1 == most {
            elements.push(&line[start..]);
            break;
        }
        let mut quoted = false;
        while blank && at < line.len() && line[at] == b' ' {
            at += 1;
        }
        while at < line.len() {
            let byte = line[at];
            let opens = blank || quoted || line[at + 1..].contains(&b'\'');
            if byte == b'\\' {
                at += 1;
            } else if byte == b'\'' && opens {
                quoted = !quoted;
            } else if byte == separator && !quoted {
                break;
            }
            at += 1;
        }
        at = at.min(line.len());
        elements.push(&line[start..at]);
        at += 1;
        while blank && at < line.len() && line[at] == b' ' {
            at += 1;
        }
    }
    let cleaned = if blank { None } else { Some(separator) };
    elements.into_iter().map(|e| cleanup(e, cleaned)).collect()
}

/// `switch_find_end_paren`: where the bracket at the start closes.
fn find_end(line: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in line.iter().enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth -= 1;
        }
        if depth == 0 {
            return (at > 0).then_some(at);
        }
    }
    None
}

/// `switch_event_create_brackets`: the variables of one block, and what is behind it.
fn brackets(line: &[u8], open: u8, close: u8, separator: u8, out: &mut Pairs) -> Vec<u8> {
    let end = find_end(line, open, close).expect("a block that closes");
    for element in separate(&line[1..end], separator, 1024) {
        let pair = separate(&element, b'=', 2);
        if let [name, value] = pair.as_slice() {
            let (name, value) = (text(name), text(value));
            out.retain(|(n, _)| !n.eq_ignore_ascii_case(&name));
            if !value.is_empty() {
                out.push((name, value));
            }
        }
    }
    line[end + 1..].to_vec()
}

/// What an api gets as arguments (`switch_api_execute`).
pub(super) fn api_arguments(line: &str) -> &str {
    line.trim_matches([' ', '\t', '\n', '\r', '\u{b}'])
}

/// `originate_function`.
pub(super) fn originate(line: &str) -> (Dialled, Sent) {
    let arguments = separate(api_arguments(line).as_bytes(), b' ', 10);
    assert!((2..=7).contains(&arguments.len()), "usage: {line}");
    let dialled = dial(&arguments[0]);
    let target = text(&arguments[1]);
    let word = |at: usize, default: &str| arguments.get(at).map_or(default.into(), |a| text(a));
    let (dialplan, context) = (word(2, "XML"), word(3, "default"));
    if let Some(call) = target.strip_prefix('&').filter(|c| !c.is_empty()) {
        let call = call.split(')').next().unwrap();
        let (name, data) = call.split_once('(').unwrap_or((call, ""));
        return (dialled, planned(name, data));
    }
    if dialplan == "inline" {
        return (dialled, inline(&target));
    }
    (dialled, Sent::Extension(target, dialplan, context))
}

/// `inline_dialplan_hunt`, for one application.
fn inline(target: &str) -> Sent {
    let bytes = target.as_bytes();
    let (separator, rest) = match bytes {
        [b'm', b':', other, b':', rest @ ..] => (*other, rest),
        _ => (b',', bytes),
    };
    let planned_all = separate(rest, separator, 128);
    assert_eq!(planned_all.len(), 1, "one application: {target}");
    let one = text(&planned_all[0]);
    let (name, data) = one.split_once(':').unwrap_or((&one, ""));
    planned(name, data)
}

/// `switch_caller_extension_add_application`, then the application.
fn planned(name: &str, data: &str) -> Sent {
    assert!(!data.contains("\\'"), "app not added: {data}");
    Sent::App(name.into(), expand(data))
}

/// `switch_ivr_originate`, as far as it takes a dial string apart.
fn dial(line: &[u8]) -> Dialled {
    assert!(
        !line.windows(3).any(|w| w == b":_:"),
        "enterprise originate: {}",
        text(line)
    );
    let mut dialled = Dialled::default();
    let mut line = line.to_vec();
    assert_ne!(line.first(), Some(&b'<'), "ultra-global variables");
    while line.first() == Some(&b'{') {
        line = brackets(&line, b'{', b'}', b',', &mut dialled.globals);
    }
    for mut group in separate(&line, b'|', 128) {
        mark_commas(&mut group);
        let legs = separate(&group, b',', 128).into_iter().map(|leg| {
            let (mut leg, mut pairs) = (leg, Pairs::new());
            while leg.first() == Some(&b'[') {
                let end = find_end(&leg, b'[', b']').expect("a block that closes");
                leg[..end]
                    .iter_mut()
                    .filter(|b| **b == 1)
                    .for_each(|b| *b = b',');
                leg = brackets(&leg, b'[', b']', 2, &mut pairs);
            }
            (pairs, text(&leg))
        });
        dialled.groups.push(legs.collect());
    }
    checked(&dialled.globals);
    dialled
}

/// The loop in `switch_ivr_originate` that hides commas inside `[...]`.
fn mark_commas(group: &mut [u8]) {
    let (mut end, mut quoted, mut other) = (None, false, false);
    for at in 0..group.len() {
        if end.is_none() && group[at] == b'[' {
            end = find_end(&group[at..], b'[', b']').map(|e| at + e);
            other = group[at + 1..].starts_with(b"^^");
            quoted = false;
        }
        if group[at] == b'\'' {
            quoted = !quoted;
        }
        if end.is_some_and(|e| at < e) && group[at] == b',' && group[at - 1] != b'\\' {
            group[at] = if quoted || other { 1 } else { 2 };
        }
        if Some(at) == end {
            end = None;
        }
    }
}

/// `switch_channel_set_variable_var_check`.
fn checked(pairs: &Pairs) {
    for (name, value) in pairs {
        assert!(
            !has_variable(value.as_bytes()),
            "{name} contains a variable"
        );
    }
}

/// `switch_string_var_check_const`.
fn has_variable(bytes: &[u8]) -> bool {
    let mut dollar = false;
    for byte in bytes {
        match byte {
            b'$' => dollar = true,
            b'{' if dollar => return true,
            b'\\' => {}
            _ => dollar = false,
        }
    }
    false
}

/// `switch_channel_expand_variables_check`, for a text without `${`, behind the look for
/// variables of the application in `switch_core_session_exec`.
pub(super) fn expand(data: &str) -> String {
    let bytes = data.as_bytes();
    assert!(!has_variable(bytes), "an expansion: {data}");
    let escape = |w: &[u8]| w[0] == b'\\' && matches!(w[1], b'\\' | b'n' | b's' | b't' | b'\'');
    if !bytes.windows(2).any(escape) {
        return scoped(bytes);
    }
    let (mut out, mut at) = (Vec::new(), 0);
    let get = |at: usize| bytes.get(at).copied();
    while let Some(byte) = get(at) {
        match (byte, get(at + 1)) {
            (b'\\', Some(b'$')) => {
                at += if get(at + 2) == Some(b'$') { 2 } else { 1 };
                out.push(b'$');
            }
            (b'\\', Some(b'\'')) => at += 1,
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                at += 1;
            }
            (b'$', Some(b'$')) => {
                at += 1;
                out.push(b'$');
            }
            _ => out.push(byte),
        }
        at += 1;
    }
    scoped(&out)
}

fn scoped(data: &[u8]) -> String {
    let scope = matches!(data, [b'%', b'[', ..] | [b'%', _, b'[', ..]);
    assert!(!scope, "variables of the application");
    text(data)
}

/// `uuid_setvar_function`: session, name and value.
pub(super) fn setvar(line: &str) -> Vec<String> {
    separate(api_arguments(line).as_bytes(), b' ', 3)
        .iter()
        .map(|e| text(e))
        .collect()
}
