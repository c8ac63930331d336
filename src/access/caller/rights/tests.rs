//! What roles allow and refuse.

mod hidden;

use std::collections::BTreeMap;

use super::*;
use crate::access::{Identified, Roles};
use crate::config::{NamesConfig, RoleConfig, TenantConfig};
use crate::domain::Reason;

fn names(allow: &[&str], deny: &[&str]) -> NamesConfig {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NamesConfig {
        allow: texts(allow),
        deny: texts(deny),
    }
}

/// A role that may call everything.
fn role(commands: &[&str], applications: &[&str]) -> RoleConfig {
    RoleConfig {
        rpcs: names(&["*"], &[]),
        commands: names(commands, &[]),
        applications: names(applications, &[]),
        ..RoleConfig::default()
    }
}

fn tenant() -> BTreeMap<String, TenantConfig> {
    let acme = TenantConfig {
        variable: "Domain_name".to_owned(),
        value: "acme".to_owned(),
    };
    [("acme".to_owned(), acme)].into()
}

fn caller(own: Vec<(&str, RoleConfig)>, has: &[&str], tenant_name: Option<&str>) -> Caller {
    let own = own.into_iter().map(|(name, role)| (name.to_owned(), role));
    let roles = Roles::new(&own.collect(), &tenant());
    let identified = Identified {
        name: "desk".to_owned(),
        roles: has.iter().map(|name| (*name).to_owned()).collect(),
        tenant: tenant_name.map(str::to_owned),
    };
    let caller = roles.caller(identified).unwrap();
    caller.calling("/switchgate.v1.JobService/RunJob").unwrap()
}

fn one(role: RoleConfig) -> Caller {
    caller(vec![("own", role)], &["own"], None)
}

fn node() -> NodeId {
    "a".parse().unwrap()
}

#[track_caller]
fn denied(outcome: Result<(), Failure>, key: &str, value: &str) {
    let failure = outcome.expect_err(value);
    assert_eq!(failure.reason(), Reason::PermissionDenied);
    assert_eq!(failure.metadata()["caller"], "desk");
    assert_eq!(failure.metadata()["rpc"], "JobService/RunJob");
    assert_eq!(failure.metadata()[key], value, "{failure}");
}

#[test]
fn administrators_run_everything_but_what_runs_on_the_host_or_hides_what_it_runs() {
    let admin = caller(Vec::new(), &["admin"], None);
    let run = |command: &str, arguments: &str| admin.may_run(&node(), command, arguments);
    for (command, arguments) in [
        ("status", ""),
        ("fsctl", "pause"),
        ("reloadxml", ""),
        ("sofia", "profile internal restart"),
        ("unload", "mod_avmd"),
        ("load", "mod_avmd"),
        ("hupall", ""),
        ("originate", "{a='x y'}user/1 &park"),
        ("uuid_broadcast", "id playback::/tmp/x.wav"),
    ] {
        assert_eq!(run(command, arguments), Ok(()), "{command}");
    }
    for command in [
        "system",
        "SYSTEM",
        "bg_system",
        "lua",
        "luarun",
        "jsrun",
        "perl",
        "python3",
        "java",
        "expand",
        "eval",
        "bgapi",
        "sched_api",
        "xml_wrap",
        "json",
        "spawn",
    ] {
        denied(run(command, "id"), "command", command);
    }
    denied(run("load", "/tmp/mod_x.so"), "command", "load");
    for (arguments, application) in [
        ("user/1 &system(id)", "system"),
        ("user/1 &LUA(x)", "lua"),
        ("user/1 'park,system:id' inline", "system"),
        ("user/1 'm:^:park^socket:1.2.3.4:5 full' inline", "socket"),
        ("user/1 'transfer:lua:x inline' inline", "lua"),
        ("user/1 1 lua /tmp/x.lua", "lua"),
    ] {
        denied(run("originate", arguments), "application", application);
    }
    for arguments in [
        "{api_on_answer='system id'}user/1 &park",
        "user/1 &playback(${system id})",
        "loopback/app=system:id &park",
    ] {
        denied(run("originate", arguments), "command", "originate");
    }
    denied(
        run("uuid_setvar", "id api_on_answer system id"),
        "command",
        "system",
    );
    denied(
        run("uuid_setvar", "id x ${system id}"),
        "command",
        "uuid_setvar",
    );
    let execute = |name: &str| admin.may_execute(&node(), name, "x");
    for name in [
        "system",
        "bgsystem",
        "socket",
        "lua",
        "javascript",
        "eval",
        "bind_meta_app",
    ] {
        denied(execute(name), "application", name);
    }
    assert_eq!(execute("playback"), Ok(()));
}

#[test]
fn operators_run_what_is_safe_alone() {
    let operator = caller(Vec::new(), &["operator"], None);
    let run = |command: &str, arguments: &str| operator.may_run(&node(), command, arguments);
    for (command, arguments) in [
        ("status", ""),
        ("UUID_kill", "id"),
        ("sofia", "status"),
        ("originate", "user/1 &park"),
    ] {
        assert_eq!(run(command, arguments), Ok(()), "{command}");
    }
    for command in [
        "fsctl",
        "shutdown",
        "global_setvar",
        "hupall",
        "xml_locate",
        "nat_map",
    ] {
        denied(run(command, "x"), "command", command);
    }
    denied(run("sofia", "profile internal restart"), "command", "sofia");
}

#[test]
fn a_name_of_its_own_lifts_what_a_pattern_does_not_and_a_denial_wins() {
    let run = |commands: NamesConfig, command: &str| {
        let role = RoleConfig {
            commands,
            ..role(&[], &[])
        };
        one(role).may_run(&node(), command, "id").is_ok()
    };
    assert!(!run(names(&["*"], &[]), "system"));
    assert!(!run(names(&["sys*"], &[]), "system"));
    assert!(run(names(&["system"], &[]), "SYSTEM"));
    assert!(!run(names(&["system"], &["s*"]), "system"));
    assert!(!run(names(&["uuid_*"], &["uuid_kill"]), "UUID_KILL"));
    assert!(run(names(&["uuid_*"], &["uuid_kill"]), "uuid_park"));
}

#[test]
fn roles_add_up_but_two_halves_of_a_right_make_none() {
    let here = RoleConfig {
        nodes: vec!["a".to_owned()],
        ..role(&["status"], &[])
    };
    let there = RoleConfig {
        nodes: vec!["b*".to_owned()],
        ..role(&["version"], &[])
    };
    let both = caller(
        vec![("here", here), ("there", there)],
        &["here", "there"],
        None,
    );
    let run = |node: &str, command: &str| both.may_run(&node.parse().unwrap(), command, "");
    assert_eq!(run("a", "status"), Ok(()));
    assert_eq!(run("b1", "version"), Ok(()));
    denied(run("a", "version"), "command", "version");
    denied(run("b1", "status"), "command", "status");
    denied(run("c", "status"), "node_id", "c");
    assert!(!both.view().shows_node(&"c".parse().unwrap()));
}

#[test]
fn a_variable_whose_value_freeswitch_runs_needs_the_right_to_that() {
    let desk = one(role(&["status", "uuid_kill"], &["playback", "set"]));
    let set = |name: &str, value: &str| desk.may_set(&node(), name, value);
    assert_eq!(set("x", "system id"), Ok(()));
    assert_eq!(set("api_on_answer", "status"), Ok(()));
    assert_eq!(set("execute_on_answer", "playback /tmp/x.wav"), Ok(()));
    assert_eq!(set("exec_after_bridge_arg", "1000"), Ok(()));
    denied(set("API_on_answer", "system id"), "command", "system");
    denied(set("api_hangup_hook", "system::id"), "command", "system");
    denied(set("execute_on_media", "lua::x"), "application", "lua");
    denied(set("exec_after_bridge_app", "lua"), "application", "lua");
    denied(set("group_confirm_file", "lua x"), "application", "lua");
    for (name, value) in [
        ("exec_after_bridge_arg", "system:id 'inl'ine"),
        ("bridge_pre_execute_aleg_data", "api_on_answer=system id"),
        ("transfer_fallback_extension", "system:id inline"),
    ] {
        denied(set(name, value), "variable", name);
    }
    let execute = |arguments: &str| desk.may_execute(&node(), "set", arguments);
    assert_eq!(execute("a=b"), Ok(()));
    denied(execute("api_on_answer=system id"), "command", "system");
    denied(
        execute("execute_on_answer=set api_on_media=system id"),
        "application",
        "set",
    );
    assert!(desk.may_set(&node(), "api_on_answer", "").is_ok());
}

#[test]
fn dial_strings_of_loopback_are_looked_into() {
    let desk = one(role(&[], &["playback"]));
    let dial = |endpoint: &str| desk.may_dial(&node(), endpoint);
    assert_eq!(dial("sofia/internal/1000@x"), Ok(()));
    assert_eq!(dial("loopback/1000/default/XML"), Ok(()));
    assert_eq!(dial("loopback/app=playback:/tmp/x.wav"), Ok(()));
    denied(dial("Loopback/app=system:id"), "application", "system");
    denied(dial("loopback/system:id/x/inline"), "application", "system");
    denied(dial("loopback/1/x/LUA"), "application", "lua");
    denied(
        desk.may_play(&node(), "file_string://a!shell_stream://id"),
        "application",
        "shell_stream",
    );
    denied(desk.may_route(&node(), "LUA"), "application", "LUA");
}

#[test]
fn dialplans_that_read_files_or_ask_others_need_their_name() {
    let operator = caller(Vec::new(), &["operator"], None);
    let run = |command: &str, arguments: &str| operator.may_run(&node(), command, arguments);
    for dialplan in ["XML", "asterisk", "directory"] {
        assert_eq!(operator.may_route(&node(), dialplan), Ok(()), "{dialplan}");
    }
    assert_eq!(run("uuid_transfer", "id 1000 XML default"), Ok(()));
    denied(operator.may_route(&node(), "enum"), "application", "enum");
    for (command, arguments, application) in [
        ("uuid_transfer", "id 1000 XML:/tmp/x.raw default", "xml"),
        ("uuid_transfer", "id 1000 'X'ML:x.raw default", "xml"),
        (
            "uuid_transfer",
            "id 1000 Asterisk:/tmp/x default",
            "asterisk",
        ),
        ("uuid_transfer", "id 1000 XML,XML:x.raw default", "xml"),
        ("uuid_transfer", "id 1000 enum:example.net", "enum"),
        ("originate", "user/1 1000 XML:/tmp/x.raw", "xml"),
        ("sched_transfer", "+1 id 1000 XML:/tmp/x.raw", "xml"),
        (
            "uuid_broadcast",
            "id transfer::1000\\sXML:/tmp/x.raw",
            "xml",
        ),
    ] {
        denied(run(command, arguments), "application", application);
    }
    let dial = |endpoint: &str| operator.may_dial(&node(), endpoint);
    denied(dial("loopback/1/x/XML:tmp.raw"), "application", "xml");
    let set = |name: &str, value: &str| operator.may_set(&node(), name, value);
    assert_eq!(set("force_transfer_dialplan", "XML"), Ok(()));
    assert_eq!(set("transfer_after_bridge", "1000:XML:acme.net"), Ok(()));
    for (name, value) in [
        ("force_transfer_dialplan", "XML:x.raw"),
        ("transfer_fallback_extension", "1000 XML:/tmp/x.raw default"),
        ("force_transfer_dialplan", "enum"),
    ] {
        denied(set(name, value), "variable", name);
    }
    let trusted = one(role(&["uuid_transfer"], &["*", "xml"]));
    let arguments = "id 1000 XML:/tmp/x.raw default";
    assert_eq!(trusted.may_run(&node(), "uuid_transfer", arguments), Ok(()));
}

#[test]
fn only_who_may_expand_hides_things_in_arguments() {
    let mut trusted = role(&["originate"], &["*"]);
    let line = "{x=${system id}}user/1 &park";
    assert!(
        one(trusted.clone())
            .may_run(&node(), "originate", line)
            .is_err()
    );
    assert!(!one(trusted.clone()).may_expand(&node()));
    trusted.expand = true;
    assert!(
        one(trusted.clone())
            .may_run(&node(), "originate", line)
            .is_ok()
    );
    assert!(one(trusted).may_expand(&node()));
}

#[test]
fn a_tenant_runs_no_command_and_keeps_its_hands_off_its_variable() {
    let acme = caller(Vec::new(), &["admin"], Some("acme"));
    denied(acme.may_run(&node(), "status", ""), "command", "status");
    for application in [
        "eavesdrop",
        "intercept",
        "set_user",
        "userspy",
        "three_way",
        "pickup",
    ] {
        denied(
            acme.may_execute(&node(), application, "x"),
            "application",
            application,
        );
    }
    assert_eq!(acme.may_execute(&node(), "set", "a=b"), Ok(()));
    for (application, arguments) in [
        ("set", "domain_name=other"),
        ("export", "nolocal:DOMAIN_NAME=other"),
        ("unset", "domain_name"),
        ("multiset", r"^^:a=b:do\main_'name'=other"),
        ("read", "1 5 x domain_name 5000 #"),
    ] {
        let outcome = acme.may_execute(&node(), application, arguments);
        denied(outcome, "variable", "Domain_name");
    }
    denied(
        acme.may_set(&node(), "domain_NAME", "x"),
        "variable",
        "Domain_name",
    );
    denied(
        acme.may_set(&node(), "execute_on_answer", "set domain_name=x"),
        "variable",
        "Domain_name",
    );
    denied(
        acme.may_set(&node(), "api_on_answer", "status"),
        "command",
        "status",
    );
    denied(acme.may_dial(&node(), "pickup/x"), "application", "pickup");
    let hidden = acme.may_set(&node(), "exec_after_bridge_arg", "Domain_Name=x");
    denied(hidden, "variable", "Domain_name");
    // The ready roles name commands, but not for tenants.
    let operator = caller(Vec::new(), &["operator"], Some("acme"));
    denied(
        operator.may_run(&node(), "originate", "user/1 &park"),
        "command",
        "originate",
    );
    denied(acme.may_run(&node(), "fsctl", "pause"), "command", "fsctl");
    // Somebody must have meant it.
    let trusted = caller(
        vec![("own", role(&["status"], &[]))],
        &["own"],
        Some("acme"),
    );
    assert_eq!(trusted.may_run(&node(), "status", ""), Ok(()));
}

#[test]
fn who_has_no_known_role_or_tenant_is_nobody() {
    let roles = Roles::default();
    let identified = |role: &str, tenant: Option<&str>| Identified {
        name: "desk".to_owned(),
        roles: vec![role.to_owned()],
        tenant: tenant.map(str::to_owned),
    };
    for (role, tenant) in [("nobody", None), ("admin", Some("acme"))] {
        let failure = roles.caller(identified(role, tenant)).unwrap_err();
        assert_eq!(failure.reason(), Reason::PermissionDenied);
    }
    roles.replace(&BTreeMap::new(), &tenant());
    assert!(roles.caller(identified("admin", Some("acme"))).is_ok());
}

#[test]
fn roles_that_are_replaced_count_for_the_next_request() {
    let roles = Roles::default();
    let desk = || Identified {
        name: "desk".to_owned(),
        roles: vec!["viewer".to_owned()],
        tenant: None,
    };
    let hangup = "/switchgate.v1.SessionService/Hangup";
    assert!(roles.caller(desk()).unwrap().calling(hangup).is_err());
    let own = [("viewer".to_owned(), role(&[], &[]))].into();
    roles.replace(&own, &BTreeMap::new());
    assert!(roles.caller(desk()).unwrap().calling(hangup).is_ok());
}
