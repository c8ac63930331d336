//! The `originate` command.

use std::fmt;

use super::application::escape_planned;
use super::passes::{Pass, escape, hide_separator};
use super::variable::{global_block, leg_block};
use super::{
    ApiCommand, Unquotable, check_application_name, check_endpoint, check_no_control, check_text,
    check_value, check_variable_name,
};
use crate::domain::SessionId;

/// Legs that one originate can have (`MAX_PEERS` in `switch_ivr_originate.c`).
pub(crate) const MAX_LEGS: usize = 128;

/// What one originate asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginateCommand {
    /// The legs, one at least.
    pub legs: Vec<Leg>,
    /// How several legs are tried.
    pub strategy: LegStrategy,
    /// Variables of every leg.
    pub variables: Vec<(String, String)>,
    /// Name that the called party sees.
    pub caller_id_name: Option<String>,
    /// Number that the called party sees.
    pub caller_id_number: Option<String>,
    /// Seconds after which FreeSWITCH gives up; it takes 60 without.
    pub timeout_seconds: Option<u32>,
    /// Counts early media as no answer, so that the originate waits for a real one.
    pub ignore_early_media: bool,
    /// Where an answered leg goes.
    pub target: Target,
}

/// One leg of an originate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// One dial string.
    pub endpoint: String,
    /// The leg's own id. It is set per leg, because forked legs would share a global one.
    pub session: Option<SessionId>,
    /// Variables of this leg alone; they win over those of the whole call.
    pub variables: Vec<(String, String)>,
}

/// How the legs of an originate are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegStrategy {
    /// One after the other, until one answers: `|`.
    Failover,
    /// All at once; the first that answers wins: `,`.
    Forked,
}

/// Where an answered leg goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One application. An argument with `)` goes through the inline dialplan of `mod_dptools`,
    /// because `originate_function` in `mod_commands.c` cuts `&name(argument)` at the first one;
    /// such a call shows up as transferred.
    Application {
        /// Name of the application.
        name: String,
        /// Its argument, empty for none.
        arguments: String,
    },
    /// An extension of a dialplan.
    Extension {
        /// The number to look up.
        number: String,
        /// The dialplan, `XML` when empty.
        dialplan: String,
        /// The context, `default` when empty.
        context: String,
    },
}

/// A field of an originate that FreeSWITCH cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct RefusedField {
    /// Which one, as the API names it: `variables["x"]`, `endpoints[1]`, `application.arguments`.
    pub field: String,
    /// What it has that FreeSWITCH cannot carry.
    pub reason: Unquotable,
}

// === impl OriginateCommand ===

impl OriginateCommand {
    /// The command, every part quoted for the passes that it meets in `originate_function`
    /// (`mod_commands.c`) and `switch_ivr_originate`.
    pub fn to_api(&self) -> Result<ApiCommand, RefusedField> {
        self.render(false)
    }

    /// As [`OriginateCommand::to_api`], but each `${...}` in the arguments of the application goes
    /// through to FreeSWITCH, which expands it. Not in values of variables: there FreeSWITCH drops the
    /// variable (`switch_channel_set_variable_var_check` in `switch_channel.c`).
    pub fn to_expanding_api(&self) -> Result<ApiCommand, RefusedField> {
        self.render(true)
    }

    fn render(&self, expand: bool) -> Result<ApiCommand, RefusedField> {
        let mut dial = self.globals()?;
        dial.push_str(&self.dial_strings()?);
        let mut line = escape(&dial, Pass::Blank);
        line.push(' ');
        line.push_str(&self.target.render(expand)?);
        ApiCommand::new("originate", &line).map_err(|e| refused("originate", e))
    }

    fn globals(&self) -> Result<String, RefusedField> {
        let timeout = self.timeout_seconds.map(|s| s.max(1).to_string());
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        if let Some(name) = &self.caller_id_name {
            check_caller_id(name, "").map_err(|e| refused("caller_id_name", e))?;
            pairs.push(("origination_caller_id_name", name));
        }
        if let Some(number) = &self.caller_id_number {
            check_caller_id(number, "<>").map_err(|e| refused("caller_id_number", e))?;
            pairs.push(("origination_caller_id_number", number));
        }
        if let Some(seconds) = &timeout {
            pairs.push(("originate_timeout", seconds));
        }
        if self.ignore_early_media {
            pairs.push(("ignore_early_media", "true"));
        }
        if self.legs.iter().any(|leg| leg.session.is_some())
            && let Some((name, _)) = named(&self.variables, "origination_uuid")
        {
            return Err(refused("variables", Unquotable::Twice(name.clone())));
        }
        add_variables(&mut pairs, &self.variables, "variables")?;
        if pairs.is_empty() {
            return Ok(String::new());
        }
        global_block(&pairs).map_err(|e| refused("variables", e))
    }

    fn dial_strings(&self) -> Result<String, RefusedField> {
        let count = self.legs.len();
        if count == 0 {
            return Err(refused("endpoints", Unquotable::Empty));
        }
        if count > MAX_LEGS {
            let reason = Unquotable::TooMany {
                count,
                most: MAX_LEGS,
            };
            return Err(refused("endpoints", reason));
        }
        let mut text = String::new();
        for (at, leg) in self.legs.iter().enumerate() {
            if at > 0 {
                text.push(if self.strategy == LegStrategy::Forked {
                    ','
                } else {
                    '|'
                });
            }
            let at_comma = escape(&leg.render(at)?, Pass::At(','));
            text.push_str(&hide_separator(&escape(&at_comma, Pass::At('|'))));
        }
        Ok(text)
    }
}

// === impl Leg ===

impl Leg {
    fn render(&self, at: usize) -> Result<String, RefusedField> {
        check_endpoint(&self.endpoint).map_err(|e| refused(format!("endpoints[{at}]"), e))?;
        let field = format!("endpoints[{at}].variables");
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        if let Some(session) = &self.session {
            pairs.push(("origination_uuid", session.as_str()));
        }
        add_variables(&mut pairs, &self.variables, &field)?;
        let mut text = String::new();
        for (name, value) in pairs {
            let block = leg_block(name, value);
            text.push_str(&block.map_err(|e| refused(format!("{field}[{name:?}]"), e))?);
        }
        text.push_str(&self.endpoint);
        Ok(text)
    }
}

// === impl Target ===

impl Target {
    fn render(&self, expand: bool) -> Result<String, RefusedField> {
        match self {
            Self::Application { name, arguments } => {
                check_application_name(name).map_err(|e| refused("application.name", e))?;
                let text = escape_planned(arguments, expand)
                    .map_err(|e| refused("application.arguments", e))?;
                if text.contains(')') {
                    // `m:X:` at the start would choose another separator (`inline_dialplan_hunt`)
                    if name == "m" {
                        return Err(refused(
                            "application.name",
                            Unquotable::ApplicationName('m'),
                        ));
                    }
                    let planned = escape(&format!("{name}:{text}"), Pass::At(','));
                    return Ok(format!("{} inline", escape(&planned, Pass::Blank)));
                }
                Ok(escape(&format!("&{name}({text})"), Pass::Blank))
            }
            Self::Extension {
                number,
                dialplan,
                context,
            } => {
                check_extension(number).map_err(|e| refused("extension.number", e))?;
                check_dialplan(dialplan).map_err(|e| refused("extension.dialplan", e))?;
                check_argument(context).map_err(|e| refused("extension.context", e))?;
                let or = |text: &str, default: &str| {
                    escape(if text.is_empty() { default } else { text }, Pass::Blank)
                };
                let (dialplan, context) = (or(dialplan, "XML"), or(context, "default"));
                Ok(format!(
                    "{} {dialplan} {context}",
                    escape(number, Pass::Blank)
                ))
            }
        }
    }
}

fn refused(field: impl fmt::Display, reason: Unquotable) -> RefusedField {
    RefusedField {
        field: field.to_string(),
        reason,
    }
}

fn named<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a (String, String)> {
    variables.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))
}

/// FreeSWITCH compares names without case (`EF_UNIQ_HEADERS` in `switch_event.c`): of two that
/// differ only in case the first would be lost.
fn add_variables<'a>(
    pairs: &mut Vec<(&'a str, &'a str)>,
    variables: &'a [(String, String)],
    field: &str,
) -> Result<(), RefusedField> {
    let mut seen: std::collections::HashSet<String> = pairs
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    for (name, value) in variables {
        let place = || format!("{field}[{name:?}]");
        check_variable_name(name).map_err(|e| refused(place(), e))?;
        check_value(value).map_err(|e| refused(place(), e))?;
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(refused(field, Unquotable::Twice(name.clone())));
        }
        pairs.push((name, value));
    }
    Ok(())
}

/// `mod_sofia` writes both unescaped into `"NAME" <sip:NUMBER@...>`: with a `"` the called party
/// sees another name, with a `\` at the end no call is made, and `%0d` is decoded.
fn check_caller_id(text: &str, further: &str) -> Result<(), Unquotable> {
    check_value(text)?;
    check_no_control(text)?;
    if let Some(c) = text
        .chars()
        .find(|c| matches!(c, '"' | '\\') || further.contains(*c))
    {
        return Err(Unquotable::CallerId(c));
    }
    let encoded = |w: &[u8]| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit();
    if text.as_bytes().windows(3).any(encoded) {
        return Err(Unquotable::CallerId('%'));
    }
    Ok(())
}

fn check_argument(text: &str) -> Result<(), Unquotable> {
    check_text(text)?;
    check_no_control(text)?;
    if text.eq_ignore_ascii_case("undef") {
        return Err(Unquotable::Undef);
    }
    Ok(())
}

fn check_extension(number: &str) -> Result<(), Unquotable> {
    check_argument(number)?;
    match number.chars().next() {
        None => Err(Unquotable::Missing(
            "give a number of the dialplan, such as 1000",
        )),
        Some('&') => Err(Unquotable::ExtensionIsApplication),
        Some(_) => Ok(()),
    }
}

/// `switch_core_standard_on_routing` splits a dialplan's name at `,` and `:`, so only a plain
/// word surely names one.
fn check_dialplan(dialplan: &str) -> Result<(), Unquotable> {
    check_argument(dialplan)?;
    if dialplan.eq_ignore_ascii_case("inline") {
        return Err(Unquotable::InlineDialplan);
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match dialplan.chars().find(|c| !word(*c)) {
        Some(c) => Err(Unquotable::Word(c)),
        None => Ok(()),
    }
}
