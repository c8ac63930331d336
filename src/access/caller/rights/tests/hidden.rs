//! Ways to the host or to others that names and arguments hide.

use super::*;

#[track_caller]
fn all_denied(outcomes: impl IntoIterator<Item = (String, Result<(), Failure>)>) {
    let outcomes = outcomes.into_iter();
    let let_through = outcomes.filter(|(_, outcome)| outcome.is_ok());
    let let_through: Vec<String> = let_through.map(|(what, _)| what).collect();
    assert!(let_through.is_empty(), "{let_through:#?}");
}

#[test]
fn operators_and_administrators_set_no_variable_that_runs_on_the_host() {
    let variables = [
        ("api_on_answer_data", "system id"),
        ("api_on_answer:x", "system id"),
        ("execute_on_answer_arg", "system id"),
        ("execute_on_answer_api", "system id"),
        ("execute_on_pre_bridge_data", "lua x"),
        ("record_post_process_exec_app_api", "system:id"),
        ("sip_api_on_image", "system id"),
        ("sip_execute_on_image", "system id"),
        ("_nolocal_api_on_answer", "system id"),
        ("_NoLocal_execute_on_answer", "system id"),
        ("NOLOCAL:execute_on_answer", "system id"),
        ("nolocal:_nolocal_api_hangup_hook", "system id"),
        ("export_vars", "x,_nolocal_api_on_answer"),
        ("execute_on_answer", "ARRAY::park|:system id"),
        ("api_on_answer", "ARRAY::status|:system id"),
        ("exec_after_bridge_arg", "1000 LUA ~os.execute('id')"),
        ("bridge_pre_execute_bleg_data", "x,'in'line"),
        ("force_transfer_dialplan", "inline"),
        ("campon_fallback_exten", "1 lua x"),
        ("campon_fallback_dialplan", "inline"),
        ("valet_parking_orbit_dialplan", "XML,LUA:x"),
        ("mutex_orbit_dialplan", "inline"),
        ("fifo_orbit_dialplan", "yaml"),
        ("hold_hangup_xfer_exten", "system:id:inline"),
        ("sip_redirect_dialplan", "inline"),
        ("transfer_after_bridge", "1000:LUA:~os.execute('id')"),
        ("group_confirm_key", "exec"),
        ("hold_music", "shell_stream://id"),
        ("ringback", "file_string://a!SHELL_stream://id"),
        ("att_xfer_to", r"loopback/system:id/default/nope\,inline"),
    ];
    for role in ["operator", "admin"] {
        let caller = caller(Vec::new(), &[role], None);
        all_denied(variables.iter().map(|(name, value)| {
            let outcome = caller.may_set(&node(), name, value);
            (format!("{role} {name}={value}"), outcome)
        }));
        for application in ["set", "export", "multiset"] {
            all_denied(variables.iter().map(|(name, value)| {
                let arguments = match application {
                    "multiset" => format!("^^~a=b~{name}={value}"),
                    _ => format!("{name}={value}"),
                };
                let outcome = caller.may_execute(&node(), application, &arguments);
                (format!("{role} {application} {arguments}"), outcome)
            }));
        }
        for (name, value) in [
            ("x", "inline"),
            ("transfer_after_bridge", "1000:XML:default"),
            ("execute_on_answer", "playback /tmp/x.wav"),
            ("export_vars", "a,b"),
            ("group_confirm_key", "1"),
            ("hold_music", "local_stream://moh"),
        ] {
            assert_eq!(caller.may_set(&node(), name, value), Ok(()), "{name}");
        }
    }
}

#[test]
fn no_route_through_a_dialplan_that_runs_code_is_let_through() {
    let dial = [
        r"loopback/system:id/default/nope\,inline",
        "{force_transfer_dialplan=inline}user/1",
        "[_nolocal_api_hangup_hook=system id]user/1",
        "<sip_api_on_image=system id>user/1",
        "{valet_parking_orbit_dialplan='inline'}user/1",
        "{hold_music=shell_stream://id}user/1",
    ];
    let applications = [
        ("transfer", "-1000 LUA ~os.execute('id')"),
        ("transfer", "-bleg -1000 LUA x"),
        ("transfer", "1000 XML,lua:x default"),
        ("limit", "hash r x 0 system:id inline"),
        ("limit", "^^Zhash Zr ZxZ0Zsystem:idZinline"),
        ("limit_hash", "r x 0 system:id inline"),
        (
            "play_and_get_digits",
            "1 1 1 1 # a b v d 1 'system:id inline x'",
        ),
        ("set_profile_var", "dialplan=nope,inline"),
    ];
    let commands = [
        ("uuid_limit", "id hash r x 0 system:id inline"),
        ("uuid_transfer", "id -1000 system:id inline"),
        ("uuid_transfer", "id -both -1000 lua x"),
        ("uuid_setvar", "id NoLocal:api_on_answer system id"),
        ("uuid_setvar_multi", "id a=b;transfer_after_bridge=1:lua:x"),
    ];
    for role in ["operator", "admin"] {
        let caller = caller(Vec::new(), &[role], None);
        all_denied(dial.iter().flat_map(|endpoint| {
            let originate = format!("{endpoint} &park");
            let raw = caller.may_run(&node(), "originate", &originate);
            let bridge = caller.may_execute(&node(), "bridge", endpoint);
            [
                (format!("{role} originate {endpoint}"), raw),
                (format!("{role} bridge {endpoint}"), bridge),
            ]
        }));
        all_denied(applications.iter().map(|(name, arguments)| {
            let outcome = caller.may_execute(&node(), name, arguments);
            (format!("{role} {name} {arguments}"), outcome)
        }));
        all_denied(commands.iter().map(|(name, arguments)| {
            let outcome = caller.may_run(&node(), name, arguments);
            (format!("{role} {name} {arguments}"), outcome)
        }));
        for (name, arguments) in [
            ("transfer", "-both 1000 XML default"),
            ("playback", "/sounds/python/lua/inline.wav"),
            ("play_and_get_digits", "1 1 1 1 # a b v d"),
            ("bridge", "{x=y}user/1"),
        ] {
            assert_eq!(
                caller.may_execute(&node(), name, arguments),
                Ok(()),
                "{name}"
            );
        }
    }
    let own = one(role(&["uuid_limit"], &["limit", "inline"]));
    assert_eq!(
        own.may_execute(&node(), "limit", "hash r x 0 park inline"),
        Ok(())
    );
}

#[test]
fn operators_execute_what_is_listed_and_nothing_else() {
    let operator = caller(Vec::new(), &["operator"], None);
    for name in [
        "ivr",
        "spandsp_start_fax_detect",
        "curl",
        "sched_cancel",
        "hash",
        "unknown",
    ] {
        denied(
            operator.may_execute(&node(), name, "x"),
            "application",
            name,
        );
    }
    let admin = caller(Vec::new(), &["admin"], None);
    for name in ["spandsp_start_fax_detect", "curl"] {
        denied(admin.may_execute(&node(), name, "x"), "application", name);
    }
    for name in [
        "tone_detect",
        "curl",
        "http_get",
        "http_tryget",
        "http_prefetch",
        "page",
    ] {
        denied(admin.may_run(&node(), name, "x"), "command", name);
    }
}

#[test]
fn a_tenant_reaches_no_partner_that_nobody_checked() {
    let acme = caller(vec![("own", role(&[], &["*"]))], &["own"], Some("acme"));
    let set = |value: &str| acme.may_set(&node(), "execute_on_answer", value);
    assert_eq!(set("transfer 1000"), Ok(()));
    denied(set("transfer -BOTH 1000"), "application", "transfer");
    denied(
        acme.may_set(&node(), "_nolocal_domain_name", "x"),
        "variable",
        "Domain_name",
    );
}
