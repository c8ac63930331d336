//! Expansion of `${...}`: variables and apis, in everything that an application is given.

use super::api;
use super::core::World;

/// Expands `${name}`, `${name:offset:length}` and `${api(arguments)}` with the variables of a
/// channel (`switch_channel_expand_variables` in `switch_channel.c`); what is unknown becomes
/// nothing. No escape prevents it, and `${system(...)}` runs a shell in the real one: here it
/// gives `simulated shell: ...`.
pub(super) fn channel(world: &mut World, uuid: &str, text: &str) -> String {
    if !text.contains("${") && !has_escapes(text) {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inner, behind)) = next(rest) {
        out.push_str(&unescape(before));
        let inner = expand(world, Some(uuid), inner, "");
        out.push_str(&value(world, Some(uuid), &inner, ""));
        rest = behind;
    }
    out + &unescape(rest)
}

/// Whether a text is read as one with escapes (`switch_string_has_escaped_data` in
/// `switch_utils.h`).
fn has_escapes(text: &str) -> bool {
    let mut bytes = text.bytes();
    while bytes.any(|byte| byte == b'\\') {
        if matches!(bytes.next(), Some(b'\\' | b'n' | b's' | b't' | b'\'')) {
            return true;
        }
    }
    false
}

/// Drops the first of two backslashes and that of a dollar sign, and `\'` as a whole
/// (`switch_channel_expand_variables_check` in `switch_channel.c`).
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek() {
            Some('\\' | '$') if char == '\\' => out.extend(chars.next()),
            Some('\'') if char == '\\' => drop(chars.next()),
            _ => out.push(char),
        }
    }
    out
}

/// Expands where no channel is at hand (`expand`, `eval`).
pub(super) fn global(world: &mut World, uuid: Option<&str>, text: &str) -> String {
    expand(world, uuid, text, "")
}

/// Expands a variable of a dial string, where no channel exists: every reference becomes
/// `_undef_`.
pub(super) fn undefined(_world: &World, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inner, behind)) = next(rest) {
        let _ = inner;
        out.push_str(before);
        out.push_str("_undef_");
        rest = behind;
    }
    out + rest
}

fn expand(world: &mut World, uuid: Option<&str>, text: &str, unknown: &str) -> String {
    if !text.contains("${") {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inner, behind)) = next(rest) {
        out.push_str(before);
        let inner = expand(world, uuid, inner, unknown);
        out.push_str(&value(world, uuid, &inner, unknown));
        rest = behind;
    }
    out + rest
}

/// The first reference: what is before it, what is in it, what is behind it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let from = text.find("${")?;
    let mut depth = 0;
    for (at, char) in text[from..].char_indices() {
        match char {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    let inner = &text[from + 2..from + at];
                    let before = text[..from].trim_end_matches('$');
                    return Some((before, inner, &text[from + at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

fn value(world: &mut World, uuid: Option<&str>, reference: &str, unknown: &str) -> String {
    let call = reference
        .split_once('(')
        .and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    if let Some((name, arguments)) = call {
        return match api::now(world, name.trim(), arguments) {
            Some(output) => output,
            None => "INVALID COMMAND!".to_owned(),
        };
    }
    if let Some((name, arguments)) = reference.split_once(' ') {
        return api::now(world, name, arguments).unwrap_or_default();
    }
    let mut parts = reference.splitn(3, ':');
    let name = parts.next().unwrap_or_default();
    let offset: Option<isize> = parts.next().and_then(|text| text.parse().ok());
    let length: Option<usize> = parts.next().and_then(|text| text.parse().ok());
    let found = variable(world, uuid, name).unwrap_or_else(|| unknown.to_owned());
    let Some(offset) = offset else { return found };
    let chars: Vec<char> = found.chars().collect();
    let from = match usize::try_from(offset) {
        Ok(offset) => offset,
        Err(_) => chars.len().saturating_sub(offset.unsigned_abs()),
    };
    chars
        .into_iter()
        .skip(from)
        .take(length.unwrap_or(usize::MAX))
        .collect()
}

/// A channel's variable, a field of its profile, or a global variable
/// (`switch_channel_get_variable_dup`).
pub(super) fn variable(world: &World, uuid: Option<&str>, name: &str) -> Option<String> {
    let (name, index) = match name.split_once('[') {
        Some((name, index)) => (
            name,
            index.strip_suffix(']').and_then(|text| text.parse().ok()),
        ),
        None => (name, None::<usize>),
    };
    let channel = uuid.and_then(|uuid| world.channels.get(uuid));
    let found = channel.and_then(|channel| {
        let own = channel.vars.get(name).map(str::to_owned);
        own.or_else(|| {
            let profile = channel.profile.as_ref()?;
            let field = match name {
                "caller_id_name" => &profile.caller_id_name,
                "caller_id_number" => &profile.caller_id_number,
                "callee_id_name" => &profile.callee_id_name,
                "callee_id_number" => &profile.callee_id_number,
                "destination_number" => &profile.destination_number,
                "context" => &profile.context,
                "dialplan" => &profile.dialplan,
                "network_addr" => &profile.network_addr,
                "ani" => &profile.ani,
                "username" => &profile.username,
                "uuid" => &profile.uuid,
                "chan_name" | "channel_name" => &profile.channel_name,
                _ => return None,
            };
            Some(field.clone()).filter(|field| !field.is_empty())
        })
    });
    let found = found.or_else(|| world.globals.get(name).cloned())?;
    match (index, found.strip_prefix("ARRAY::")) {
        (Some(index), Some(array)) => array.split("|:").nth(index).map(str::to_owned),
        _ => Some(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_with_nested_braces() {
        assert_eq!(next("a${b}c"), Some(("a", "b", "c")));
        assert_eq!(next("${a(${b})}"), Some(("", "a(${b})", "")));
        assert_eq!(next("$${b}"), Some(("", "b", "")));
        assert_eq!(next("${a"), None);
    }
}
