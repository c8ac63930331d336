//! Commands, applications, variables: what a caller may have FreeSWITCH do.

use super::super::dangers::{
    Danger, EXPANSION, bare, crosses_tenants, hidden, holds_dialplans, is_route, of_application,
    of_command, plan_in,
};
use super::super::named::{
    Named, acts_on_partner, in_application, in_command, may_hide_route, run_by, sets,
};
use super::super::roles::{Names, Role, Verdict};
use super::{Caller, Rights};
use crate::domain::{Failure, NodeId};
use crate::esl::quote::{Hook, base_name, hook};

/// How deep applications may stand in one another's arguments.
const MAX_DEPTH: usize = 8;

/// Stands for every file that is a program (`mod_shell_stream.c`).
const SHELL_STREAM: &str = "shell_stream";

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
enum Deed<'a> {
    Command(&'a str),
    Application(&'a str),
    Endpoint,
    Variable(&'a str),
}

// === impl Caller ===

impl Caller {
    /// That it may run an api command, and whatever its arguments name.
    ///
    /// # Errors
    /// PERMISSION_DENIED with `command` or `application`.
    pub fn may_run(&self, node: &NodeId, command: &str, arguments: &str) -> Result<(), Failure> {
        self.may_use(node)?;
        self.run(node, command, arguments, 0)
    }

    /// That it may execute an application, and whatever its arguments name.
    ///
    /// # Errors
    /// PERMISSION_DENIED with `application`.
    pub fn may_execute(
        &self,
        node: &NodeId,
        application: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        self.may_use(node)?;
        self.execute(node, application, arguments, 0)
    }

    /// That it may give a variable this value; an empty one takes it away.
    ///
    /// # Errors
    /// PERMISSION_DENIED with `variable`, or with the `command` or `application` that FreeSWITCH would
    /// make of the value.
    pub fn may_set(&self, node: &NodeId, name: &str, value: &str) -> Result<(), Failure> {
        self.set(node, name, value, 0)
    }

    /// That it may call a dial string: one of `loopback` can execute applications
    /// (`channel_outgoing_channel` in `mod_loopback.c`).
    ///
    /// # Errors
    /// PERMISSION_DENIED with `application`.
    pub fn may_dial(&self, node: &NodeId, endpoint: &str) -> Result<(), Failure> {
        self.may_use(node)?;
        if let Rights::All = self.0.rights {
            return Ok(());
        }
        let text = bare(endpoint);
        self.keep_to_tenant(Deed::Endpoint, &text)?;
        if let Some(group) = text.strip_prefix("pickup/") {
            return self.execute(node, "pickup", group, 0);
        }
        let Some(address) = text.strip_prefix("loopback/") else {
            return Ok(());
        };
        if let Some(called) = address.strip_prefix("app=") {
            let (application, arguments) = called.split_once(':').unwrap_or((called, ""));
            return self.execute(node, application, arguments, 0);
        }
        let mut parts = address.splitn(3, '/');
        let (number, _context) = (parts.next().unwrap_or_default(), parts.next());
        match parts.next() {
            Some(dialplan) => {
                let route = format!("{number} {dialplan}");
                self.all(node, in_application("execute_extension", &route), 0)
            }
            None => Ok(()),
        }
    }

    /// That it may send a call through this dialplan.
    ///
    /// # Errors
    /// PERMISSION_DENIED with `application`, the dialplan's name.
    pub fn may_route(&self, node: &NodeId, dialplan: &str) -> Result<(), Failure> {
        self.may_use(node)?;
        self.route(node, dialplan, dialplan.contains(':'))
    }

    /// That it may play this file: some are programs.
    ///
    /// # Errors
    /// PERMISSION_DENIED with `application`.
    pub fn may_play(&self, node: &NodeId, file: &str) -> Result<(), Failure> {
        let is_program = bare(file).contains("shell_stream://");
        match is_program {
            true => self.may_execute(node, SHELL_STREAM, ""),
            false => Ok(()),
        }
    }

    /// Whether what it writes may be expanded.
    pub fn may_expand(&self, node: &NodeId) -> bool {
        match &self.0.rights {
            // The gateway itself writes nothing that is to be expanded.
            Rights::All => false,
            Rights::Of(_) => self.roles_at(node).any(|role| role.expand),
        }
    }

    fn run(
        &self,
        node: &NodeId,
        command: &str,
        arguments: &str,
        depth: usize,
    ) -> Result<(), Failure> {
        if let Rights::All = self.0.rights {
            return Ok(());
        }
        let danger = of_command(command, arguments);
        let verdict = self.verdict(node, |role| &role.commands, command, danger);
        self.decide(Deed::Command(command), verdict, danger, false)?;
        self.look_into(
            node,
            Deed::Command(command),
            arguments,
            in_command(command, arguments),
            depth,
        )
    }

    fn execute(
        &self,
        node: &NodeId,
        application: &str,
        arguments: &str,
        depth: usize,
    ) -> Result<(), Failure> {
        if let Rights::All = self.0.rights {
            return Ok(());
        }
        let lower = application.to_ascii_lowercase();
        // What a call does that is given nothing to do.
        if lower == "park" && arguments.is_empty() {
            return Ok(());
        }
        let danger = of_application(application);
        let verdict = self.verdict(node, |role| &role.applications, application, danger);
        let crosses = crosses_tenants(application);
        self.decide(Deed::Application(application), verdict, danger, crosses)?;
        // Nobody knows whose the partner is by then.
        if depth > 0 && self.tenant().is_some() && acts_on_partner(arguments) {
            let reason =
                "it acts on the leg with which its own will be bridged; leave out -bleg and -both";
            return Err(self.refused(Deed::Application(application), reason));
        }
        self.look_into(
            node,
            Deed::Application(application),
            arguments,
            in_application(application, arguments),
            depth,
        )
    }

    fn set(&self, node: &NodeId, name: &str, value: &str, depth: usize) -> Result<(), Failure> {
        if let Rights::All = self.0.rights {
            return Ok(());
        }
        let base = base_name(name);
        if let Some(tenant) = self.tenant()
            && tenant.variable.eq_ignore_ascii_case(base)
        {
            return Err(self.tenants_own(Deed::Variable(name)));
        }
        let text = bare(value);
        self.keep_to_tenant(Deed::Variable(name), &text)?;
        let hook = hook(base);
        if !self.may_expand(node)
            && let Some(why) = hides_what_it_runs(base, hook, value)
        {
            let reason = format!("{why}: a role with expand: true lets it");
            return Err(self.refused(Deed::Variable(name), &reason));
        }
        if text.contains("shell_stream://") {
            self.execute(node, SHELL_STREAM, "", depth)?;
        }
        let (what, arguments) = run_by(value);
        if base.eq_ignore_ascii_case("group_confirm_file") && of_application(what).is_some() {
            return self.nested(depth, |depth| self.execute(node, what, arguments, depth));
        }
        if value.is_empty() {
            return Ok(());
        }
        self.nested(depth, |depth| match hook {
            Some(Hook::Command) => self.run(node, what, arguments, depth),
            Some(Hook::Application) => self.execute(node, what, arguments, depth),
            Some(Hook::Arguments) | None => Ok(()),
        })
    }

    /// With an argument any dialplan needs the right, since that may be a file.
    fn route(&self, node: &NodeId, dialplans: &str, has_argument: bool) -> Result<(), Failure> {
        let Some(plan) = plan_in(dialplans).or(has_argument.then_some(dialplans)) else {
            return Ok(());
        };
        if let Rights::All = self.0.rights {
            return Ok(());
        }
        // As it was written, where it was written alone.
        let dialplan = match dialplans.eq_ignore_ascii_case(plan) {
            true => dialplans,
            false => plan,
        };
        let danger = Some(Danger::Host);
        let verdict = self.verdict(node, |role| &role.applications, dialplan, danger);
        self.decide(Deed::Application(dialplan), verdict, danger, false)
    }

    /// The best of what its roles that have the node say of a name.
    fn verdict(
        &self,
        node: &NodeId,
        names: impl Fn(&Role) -> &Names,
        name: &str,
        danger: Option<Danger>,
    ) -> Verdict {
        let lower = name.to_ascii_lowercase();
        // The ready roles name what is about a node, not what runs on its host, and nothing for tenants.
        let is_meant = self.tenant().is_none() && danger == Some(Danger::Node);
        let verdicts = self.roles_at(node).map(|role| {
            let verdict = names(role).verdict(&lower);
            match is_meant {
                true => verdict,
                false => role.written(verdict),
            }
        });
        verdicts.max().unwrap_or(Verdict::No)
    }

    fn nested(
        &self,
        depth: usize,
        check: impl FnOnce(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if depth == MAX_DEPTH {
            let message = format!("applications stand in one another more than {MAX_DEPTH} deep");
            return Err(self.denied(message));
        }
        check(depth + 1)
    }

    fn all(&self, node: &NodeId, named: Vec<Named>, depth: usize) -> Result<(), Failure> {
        self.nested(depth, |depth| {
            named.iter().try_for_each(|named| match named {
                Named::Application(name, arguments) => self.execute(node, name, arguments, depth),
                Named::Variable(name, value) => self.set(node, name, value, depth),
                Named::Dialplan(name, has_argument) => self.route(node, name, *has_argument),
            })
        })
    }

    /// Looks for what arguments name, and for what they hide.
    fn look_into(
        &self,
        node: &NodeId,
        deed: Deed<'_>,
        arguments: &str,
        named: Vec<Named>,
        depth: usize,
    ) -> Result<(), Failure> {
        if arguments.is_empty() {
            return Ok(());
        }
        let text = bare(arguments);
        self.keep_to_tenant(deed, &text)?;
        let is_raw = matches!(deed, Deed::Command(_));
        // The name of a variable that is set is looked at with its value.
        let is_set = matches!(deed, Deed::Application(name) if sets(name))
            || matches!(&*named, [Named::Variable(..)]);
        let hidden = match is_set {
            true => {
                let values = named.iter().filter_map(|named| match named {
                    Named::Variable(_, value) => hidden(&bare(value)),
                    Named::Application(..) | Named::Dialplan(..) => None,
                });
                values.into_iter().next()
            }
            false => hidden(&text),
        };
        let hidden = hidden.filter(|marker| is_raw || *marker != EXPANSION);
        if let Some(marker) = hidden
            && !self.may_expand(node)
        {
            let reason = format!(
                "its arguments hold {marker:?}, by which FreeSWITCH may run anything: a role with expand: true lets it"
            );
            return Err(self.refused(deed, &reason));
        }
        if let Deed::Command(name) | Deed::Application(name) = deed
            && may_hide_route(name)
        {
            self.route(node, arguments, false)?;
        }
        match named.is_empty() {
            true => Ok(()),
            false => self.all(node, named, depth),
        }
    }

    /// Decides by what the best of its roles says.
    fn decide(
        &self,
        deed: Deed<'_>,
        verdict: Verdict,
        danger: Option<Danger>,
        crosses: bool,
    ) -> Result<(), Failure> {
        let (key, is_command) = match deed {
            Deed::Command(_) => ("commands", true),
            _ => ("applications", false),
        };
        // Nobody can hold a raw command to a tenant.
        let is_outside = self.tenant().is_some() && (is_command || crosses);
        let reason = match verdict {
            Verdict::ByName => return Ok(()),
            Verdict::AmongOthers if danger.is_none() && !is_outside => return Ok(()),
            Verdict::No => {
                format!("a role with it in {key}.allow, and not in {key}.deny, lets it")
            }
            Verdict::AmongOthers => {
                let why = danger.map_or("cannot be held to a tenant", Danger::why);
                format!("it {why}, so only a role with its very name in {key}.allow lets it")
            }
        };
        Err(self.refused(deed, &reason))
    }

    /// A tenant's variable is not for the tenant to name.
    fn keep_to_tenant(&self, deed: Deed<'_>, bare: &str) -> Result<(), Failure> {
        let Some(tenant) = self.tenant() else {
            return Ok(());
        };
        match bare.contains(&tenant.variable.to_ascii_lowercase()) {
            true => Err(self.tenants_own(deed)),
            false => Ok(()),
        }
    }

    fn tenants_own(&self, deed: Deed<'_>) -> Failure {
        let variable = self.tenant().map_or("", |tenant| &*tenant.variable);
        let reason = format!(
            "the variable {variable} says whose a session is, and is set by the gateway alone; leave it out"
        );
        self.refused(deed, &reason).with("variable", variable)
    }

    fn refused(&self, deed: Deed<'_>, reason: &str) -> Failure {
        let name = self.name();
        match deed {
            Deed::Command(command) => self
                .denied(format!(
                    "caller {name:?} may not run the command {command:?}: {reason}"
                ))
                .with("command", command),
            Deed::Application(application) => self
                .denied(format!(
                    "caller {name:?} may not execute the application {application:?}: {reason}"
                ))
                .with("application", application),
            Deed::Endpoint => self.denied(format!(
                "caller {name:?} may not call this endpoint: {reason}"
            )),
            Deed::Variable(variable) => self
                .denied(format!(
                    "caller {name:?} may not set the variable {variable:?}: {reason}"
                ))
                .with("variable", variable),
        }
    }

    /// Those of its roles that have the node.
    fn roles_at(&self, node: &NodeId) -> impl Iterator<Item = &Role> {
        let roles = match &self.0.rights {
            Rights::All => &[][..],
            Rights::Of(roles) => roles,
        };
        let here = roles.iter().filter(move |role| role.has_node(node));
        here.map(|role| &**role)
    }
}

/// Why nobody can say what FreeSWITCH would run by a variable.
fn hides_what_it_runs(name: &str, hook: Option<Hook>, value: &str) -> Option<&'static str> {
    let text = bare(value);
    let lower = name.to_ascii_lowercase();
    let is_hidden = || hidden(&text).is_some_and(|marker| marker != EXPANSION);
    let is_route = is_route(name);
    // `switch_event_base_add_header` in `switch_event.c` takes such a value apart.
    if (hook.is_some() || is_route) && text.trim_start().starts_with("array::") {
        return Some("FreeSWITCH takes each value of an array by itself");
    }
    // Those of what another variable names, or a number with its dialplan.
    if (hook == Some(Hook::Arguments) || is_route) && (is_hidden() || plan_in(value).is_some()) {
        return Some("FreeSWITCH may run anything by its value");
    }
    // An argument of a dialplan may be a file.
    if holds_dialplans(name) && value.contains(':') {
        return Some("FreeSWITCH may read a dialplan from the file that it names");
    }
    // The file is an application then (`collect_thread_run` in `switch_ivr_originate.c`).
    if lower == "group_confirm_key" && text.trim() == "exec" {
        return Some("FreeSWITCH executes group_confirm_file as an application then");
    }
    // A leg that is called gets them from one whose variables are not looked at.
    let is_prefixed_hook = |one: &str| base_name(one) != one.trim() && self::hook(one).is_some();
    if lower == "export_vars" && text.split(',').any(is_prefixed_hook) {
        return Some("it names variables whose value FreeSWITCH runs");
    }
    // Dial strings are kept in many variables.
    if text.contains("loopback/") && is_hidden() {
        return Some("its value is a dial string by which FreeSWITCH may run anything");
    }
    None
}

#[cfg(test)]
mod tests;
