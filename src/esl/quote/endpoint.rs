//! One dial string.

use super::{Unquotable, check_no_control, check_text};

/// Refuses what is not one plain dial string: `type/address`.
///
/// The splitting passes could carry any character, but not what comes behind them: `user/` and
/// `group/` put the address unescaped into a dial string of the directory, which is split again
/// (`user_outgoing_channel` in `mod_dptools.c`), and `mod_sofia` writes it into a request line.
/// Free are all letters, digits and `: ; @ % & = + $ ? # ! * ~ ^ ( ) - . _ /`, brackets of an IPv6
/// address and `<sip:...>` inside a parameter.
pub fn check_endpoint(endpoint: &str) -> Result<(), Unquotable> {
    check_text(endpoint)?;
    check_no_control(endpoint)?;
    if let Some(c) = endpoint
        .trim_start()
        .chars()
        .next()
        .filter(|c| "{[<".contains(*c))
    {
        return Err(Unquotable::EndpointVariables(c));
    }
    if endpoint.is_empty() {
        return Err(Unquotable::Missing(
            "write type/address, such as sofia/internal/1000@example.com",
        ));
    }
    if endpoint.contains(":_:") {
        return Err(Unquotable::EndpointSeparator);
    }
    let refused = |c: &char| matches!(c, ',' | '|' | '\'' | '"' | '\\' | '{' | '}' | '\u{7f}');
    if let Some(c) = endpoint.chars().find(|c| refused(c) || c.is_whitespace()) {
        return Err(Unquotable::Endpoint(c));
    }
    let Some((kind, address)) = endpoint.split_once('/') else {
        return Err(Unquotable::EndpointForm);
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if kind.is_empty() || address.is_empty() || !kind.chars().all(word) {
        return Err(Unquotable::EndpointForm);
    }
    Ok(())
}
