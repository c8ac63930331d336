//! What comes after `event` and `nixevent`: the simulator's answer is the real one's.

use std::net::Ipv4Addr;

use switchgate::shutdown::Drain;
use switchgate::sim::{Sim, SimConfig, SimUser};
use tokio::net::TcpListener;

use crate::client::tag;
use crate::gateway::{PATIENCE, freeswitch_address};
use crate::raw_link::RawLink;

/// Fired in each case, behind them the end mark.
const FIRED: [&str; 8] = [
    "CUSTOM probe::x",
    "CUSTOM probe::y",
    "CUSTOM sofia::register",
    "CUSTOM",
    "NAT",
    "TRAP",
    "SWITCH_EVENT_TEXT",
    // No event is called so.
    "foo_bar",
];
/// Wanted in each case, so that it can be waited for.
const LAST: &str = "SESSION_CRASH";

const OK: &str = "+OK event listener enabled plain";
const NIXED: &str = "+OK events nixed";
const NOTHING: &str = "-ERR no keywords supplied";

/// Commands with their answers, and what comes of what is fired.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        &[("event plain ALL", OK)],
        &[
            "CUSTOM probe::x",
            "CUSTOM probe::y",
            "CUSTOM sofia::register",
            "CUSTOM",
            "NAT",
            "TRAP",
            "TEXT",
            "CUSTOM",
        ],
    ),
    // Any name takes ALL back; subclasses that FreeSWITCH knew at that time stay.
    (
        &[("event plain ALL", OK), ("nixevent NAT", NIXED)],
        &["CUSTOM sofia::register", "CUSTOM", "TRAP", "TEXT", "CUSTOM"],
    ),
    (
        &[
            ("event plain ALL", OK),
            ("event plain CUSTOM probe::x", OK),
            ("nixevent NAT", NIXED),
        ],
        &[
            "CUSTOM probe::x",
            "CUSTOM sofia::register",
            "CUSTOM",
            "TRAP",
            "TEXT",
            "CUSTOM",
        ],
    ),
    // Subclasses do not take ALL back.
    (
        &[
            ("event plain ALL", OK),
            ("nixevent CUSTOM sofia::register", NIXED),
        ],
        &[
            "CUSTOM probe::x",
            "CUSTOM probe::y",
            "CUSTOM sofia::register",
            "CUSTOM",
            "NAT",
            "TRAP",
            "TEXT",
            "CUSTOM",
        ],
    ),
    (
        &[
            ("event plain ALL", OK),
            ("nixevent CUSTOM", NIXED),
            ("nixevent NAT CUSTOM sofia::register", NIXED),
        ],
        &["CUSTOM", "TRAP", "TEXT", "CUSTOM"],
    ),
    // CUSTOM without a subclass is those that have none.
    (&[("event plain CUSTOM", OK)], &["CUSTOM", "CUSTOM"]),
    // Behind CUSTOM all are subclasses, whose case counts.
    (
        &[("event plain CUSTOM probe::x NAT PROBE::Y", OK)],
        &["CUSTOM probe::x", "CUSTOM", "CUSTOM"],
    ),
    (
        &[
            ("event plain NAT CUSTOM probe::x", OK),
            ("event plain CUSTOM probe::y", OK),
            ("nixevent NAT CUSTOM probe::x", NIXED),
        ],
        &["CUSTOM probe::y", "CUSTOM", "CUSTOM"],
    ),
    (
        &[
            ("event plain ALL", OK),
            ("nixevent ALL", NIXED),
            ("event plain CUSTOM probe::y", OK),
        ],
        &[
            "CUSTOM probe::y",
            "CUSTOM sofia::register",
            "CUSTOM",
            "CUSTOM",
        ],
    ),
    (
        &[
            ("event plain SWITCH_EVENT_NAT foo", OK),
            ("nixevent foo", NOTHING),
            ("event plain foo", NOTHING),
            ("event plain", NOTHING),
        ],
        &["NAT"],
    ),
    (
        &[
            ("event plain NAT CUSTOM probe::x", OK),
            ("noevents", "+OK no longer listening for events"),
            ("event plain TRAP", OK),
        ],
        &["TRAP"],
    ),
];

async fn check(address: &str) {
    let mut sender = RawLink::to(address).await;
    for (commands, expected) in CASES {
        let mut link = RawLink::to(address).await;
        for (command, answer) in *commands {
            assert_eq!(link.ask(command).await, *answer, "{command}");
        }
        link.ask(&format!("event plain {LAST}")).await;
        let mark = tag();
        for event in FIRED.into_iter().chain([LAST]) {
            sender.fire(event, &mark).await;
        }
        assert_eq!(link.heard(&mark, LAST).await, *expected, "{commands:?}");
    }
}

#[tokio::test]
async fn what_comes_after_each_command_is_what_a_real_freeswitch_sends() {
    let drain = Drain::new();
    let sim = Sim::new(SimConfig::default(), &drain);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drain.spawn(async move { sim.serve(listener).await });
    check(&address).await;
    assert!(drain.finish(PATIENCE).await);
    if let Some(address) = freeswitch_address() {
        check(&address).await;
    }
}

#[tokio::test]
async fn a_user_is_refused_what_it_may_not_have_and_has_what_stands_before() {
    let drain = Drain::new();
    let user = |name: &str, allowed: &str| SimUser {
        name: name.to_owned(),
        password: "pw".to_owned(),
        allowed_events: Some(allowed.to_owned()),
        allowed_api: None,
        allowed_log: false,
    };
    let config = SimConfig {
        users: vec![
            user("some@test", "NAT TRAP SESSION_CRASH CUSTOM probe::x"),
            user("all@test", "ALL"),
        ],
        ..SimConfig::default()
    };
    let sim = Sim::new(config, &drain);
    let mut sender = RawLink::to_sim(&sim, "auth ClueCon").await;
    const DENIED: &str = "-ERR permission denied";
    let cases: [(&str, Case); 2] = [
        (
            "userauth some@test:pw",
            (
                &[
                    ("event plain ALL", DENIED),
                    ("event plain TRAP TEXT NAT", DENIED),
                    ("event plain CUSTOM probe::x probe::y", DENIED),
                ],
                &["CUSTOM probe::x", "CUSTOM", "TRAP", "CUSTOM"],
            ),
        ),
        // All events may be asked for, but no subclass.
        (
            "userauth all@test:pw",
            (
                &[
                    ("event plain CUSTOM probe::x", DENIED),
                    ("event plain ALL", OK),
                ],
                &[
                    "CUSTOM probe::x",
                    "CUSTOM probe::y",
                    "CUSTOM sofia::register",
                    "CUSTOM",
                    "NAT",
                    "TRAP",
                    "TEXT",
                    "CUSTOM",
                ],
            ),
        ),
    ];
    for (login, (commands, expected)) in cases {
        let mut link = RawLink::to_sim(&sim, login).await;
        for (command, answer) in commands {
            assert_eq!(link.ask(command).await, *answer, "{command}");
        }
        assert_eq!(link.ask(&format!("event plain {LAST}")).await, OK);
        let mark = tag();
        for event in FIRED.into_iter().chain([LAST]) {
            sender.fire(event, &mark).await;
        }
        assert_eq!(link.heard(&mark, LAST).await, expected, "{login}");
    }
    drop(sender);
    assert!(drain.finish(PATIENCE).await);
}
