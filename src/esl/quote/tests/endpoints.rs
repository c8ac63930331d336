use super::*;

fn dial(endpoints: &[&str], strategy: LegStrategy) -> Result<(Dialled, Sent), RefusedField> {
    let leg = |endpoint: &&str| Leg {
        endpoint: (*endpoint).to_owned(),
        session: None,
        variables: Vec::new(),
    };
    let legs = endpoints.iter().map(leg).collect();
    parsed(&OriginateCommand {
        legs,
        strategy,
        ..park(&[])
    })
}

fn extension(number: &str, dialplan: &str, context: &str) -> OriginateCommand {
    let target = Target::Extension {
        number: number.into(),
        dialplan: dialplan.into(),
        context: context.into(),
    };
    OriginateCommand {
        target,
        ..park(&[])
    }
}

#[test]
fn dial_strings_in_use_are_taken() {
    for endpoint in [
        "sofia/internal/echo@127.0.0.1",
        "sofia/internal/sip:1000@example.com:5060;transport=tcp",
        "sofia/internal/1000%example.com",
        "sofia/internal/sip:1000@[::1]:5060;transport=udp",
        "sofia/internal/1000@example.com^sip:other@example.com",
        "sofia/internal/1000@10.0.0.1;fs_path=<sip:10.0.0.2:5060;lr>",
        "sofia/gateway/provider.example/+4930123456",
        "user/1000@example.com",
        "group/sales@example.com+A",
        "loopback/park/default",
        "loopback/9196/default/XML",
        "loopback/app=park",
        "error/USER_BUSY",
        "null/x",
        "verto.rtc/1000@example.com",
        "sofia/internal/grüße@example.com",
        "sofia/internal/&x=1?y#z!@example.com",
    ] {
        assert_eq!(check_endpoint(endpoint), Ok(()), "{endpoint}");
        for strategy in [LegStrategy::Forked, LegStrategy::Failover] {
            let (dialled, _) = dial(&[endpoint, "null/y"], strategy).unwrap();
            let got: Vec<String> = dialled
                .groups
                .concat()
                .into_iter()
                .map(|leg| leg.1)
                .collect();
            assert_eq!(got, [endpoint, "null/y"]);
        }
    }
}

#[test]
fn what_is_not_one_plain_dial_string_is_refused() {
    use Unquotable::*;
    let cases = [
        ("{a=b}sofia/x/y", EndpointVariables('{')),
        ("[a=b]sofia/x/y", EndpointVariables('[')),
        ("<a=b>sofia/x/y", EndpointVariables('<')),
        (" {a=b}sofia/x/y", EndpointVariables('{')),
        ("null/x,null/y", Endpoint(',')),
        ("null/x|null/y", Endpoint('|')),
        ("null/x:_:null/y", EndpointSeparator),
        ("null/x &hangup()", Endpoint(' ')),
        (" null/x", Endpoint(' ')),
        ("null/'x'", Endpoint('\'')),
        ("null/\"x\"", Endpoint('"')),
        ("null/\\x", Endpoint('\\')),
        ("null/{x", Endpoint('{')),
        ("null/x}", Endpoint('}')),
        ("null/\u{a0}", Endpoint('\u{a0}')),
        ("null/\t", Control('\t')),
        ("^^,null/x", Endpoint(',')),
        ("^^null/x", EndpointForm),
        ("1000@example.com", EndpointForm),
        ("undef", EndpointForm),
        ("null/", EndpointForm),
        ("/x", EndpointForm),
    ];
    assert!(matches!(check_endpoint(""), Err(Missing(_))));
    for (endpoint, reason) in cases {
        assert_eq!(check_endpoint(endpoint), Err(reason), "{endpoint:?}");
        let refused = dial(&["null/x", endpoint], LegStrategy::Forked).unwrap_err();
        assert_eq!(refused.field, "endpoints[1]");
    }
    assert_eq!(dial(&[], LegStrategy::Forked).unwrap_err().reason, Empty);
    let many = dial(&["null/x"; 129], LegStrategy::Forked).unwrap_err();
    assert_eq!(
        many.reason,
        TooMany {
            count: 129,
            most: 128
        }
    );
}

#[test]
fn an_extension_arrives_with_its_dialplan_and_context() {
    for (number, context) in [
        ("9196", ""),
        ("a b'c", "my context"),
        ("x,y|z", "\\"),
        ("🙂 ", "a&b"),
        ("\\n", "'"),
    ] {
        let (_, sent) = parsed(&extension(number, "", context)).unwrap();
        let context = if context.is_empty() {
            "default"
        } else {
            context
        };
        assert_eq!(
            sent,
            Sent::Extension(number.into(), "XML".into(), context.into())
        );
    }
    for (number, dialplan, context, field) in [
        ("", "", "", "extension.number"),
        ("&hangup", "", "", "extension.number"),
        ("undef", "", "", "extension.number"),
        ("1", "", "UNDEF", "extension.context"),
        ("1", "inline", "", "extension.dialplan"),
        ("set:x=1", "XML,Inline", "", "extension.dialplan"),
        ("1\t", "", "", "extension.number"),
    ] {
        let refused = parsed(&extension(number, dialplan, context)).unwrap_err();
        assert_eq!(refused.field, field, "{number:?} {dialplan:?}");
    }
}

#[test]
fn settings_become_variables_and_are_given_once() {
    let mut command = park(&[("x", "1")]);
    command.caller_id_name = Some("O'Brien, Jim {sales}".into());
    command.caller_id_number = Some("+49 30".into());
    command.timeout_seconds = Some(0);
    command.ignore_early_media = true;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [
        pair("origination_caller_id_name", "O'Brien, Jim {sales}"),
        pair("origination_caller_id_number", "+49 30"),
        pair("originate_timeout", "1"),
        pair("ignore_early_media", "true"),
        pair("x", "1"),
    ];
    assert_eq!(parsed(&command).unwrap().0.globals, expected);

    command.variables.push(pair("Originate_Timeout", "9"));
    let twice = command.to_api().unwrap_err();
    assert_eq!(
        twice.to_string(),
        "variables gives \"Originate_Timeout\" twice (FreeSWITCH ignores case); give it once"
    );

    let mut forked = park(&[("origination_uuid", "1")]);
    forked.legs[0].session = Some(session());
    assert!(matches!(
        forked.to_api().unwrap_err().reason,
        Unquotable::Twice(_)
    ));
}

#[test]
fn a_caller_id_that_would_change_the_from_header_is_refused() {
    for (name, c) in [
        ("x\" <sip:a@b>", '"'),
        ("tail\\", '\\'),
        ("a%0d%0aX: y", '%'),
    ] {
        let command = OriginateCommand {
            caller_id_name: Some(name.into()),
            ..park(&[])
        };
        let refused = command.to_api().unwrap_err();
        assert_eq!(
            (refused.field.as_str(), refused.reason),
            ("caller_id_name", Unquotable::CallerId(c))
        );
    }
    let number = OriginateCommand {
        caller_id_number: Some("1>".into()),
        ..park(&[])
    };
    assert_eq!(
        number.to_api().unwrap_err().reason,
        Unquotable::CallerId('>')
    );
    let tab = OriginateCommand {
        caller_id_name: Some("a\tb".into()),
        ..park(&[])
    };
    assert_eq!(tab.to_api().unwrap_err().reason, Unquotable::Control('\t'));
}

#[test]
fn an_argument_with_a_closing_parenthesis_goes_inline() {
    let tone = "tone_stream://L=1;%(200,100,440,480)";
    let line = call("playback", tone).to_api().unwrap();
    assert_eq!(
        line.arguments(),
        r"null/x playback:tone_stream://L=1;%(200\\,100\\,440\\,480) inline"
    );
    let plain = call("playback", "a b").to_api().unwrap();
    assert_eq!(plain.arguments(), r"null/x &playback(a\sb)");
    let quote = call("log", "it\\'s").to_api().unwrap_err();
    assert_eq!(quote.reason, Unquotable::EscapedQuote);
    for name in ["", "a b", "a::b", "a(b", "a,b", "päck"] {
        assert_eq!(
            call(name, "").to_api().unwrap_err().field,
            "application.name"
        );
    }
    assert!(call("m", "^:a)").to_api().is_err());
}
