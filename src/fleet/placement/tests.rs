use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

fn idle(sessions: u64) -> Load {
    Load {
        sessions,
        max_sessions: 1000,
        rate: 0,
        max_rate: 100,
        idle_cpu: 100.0,
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn leg(name: usize) -> SessionId {
    format!("leg-{name}").parse().unwrap()
}

#[test]
fn sessions_then_new_sessions_then_the_cpu_decide() {
    let best = |loads: &[Load]| choose(loads, 1, &mut rng()).unwrap();
    assert_eq!(best(&[idle(2), idle(1), idle(3)]), 1);
    // Against the limit, not as a number.
    let large = Load {
        max_sessions: 10_000,
        ..idle(50)
    };
    assert_eq!(best(&[idle(10), large]), 1);
    let hectic = Load {
        rate: 50,
        ..idle(1)
    };
    assert_eq!(best(&[hectic, idle(1)]), 1);
    let busy = Load {
        idle_cpu: 20.0,
        ..idle(1)
    };
    assert_eq!(best(&[busy, idle(1)]), 1);
    assert_eq!(best(&[busy, idle(2)]), 0);
}

#[test]
fn what_is_not_known_limits_nothing() {
    let unknown = Load {
        max_sessions: 0,
        max_rate: 0,
        sessions: 7,
        rate: 7,
        ..Load::default()
    };
    assert_eq!(choose(&[unknown], 1, &mut rng()), Some(0));
    let odd = Load {
        idle_cpu: f64::NAN,
        ..idle(0)
    };
    assert_eq!(choose(&[odd], 1, &mut rng()), Some(0));
}

#[test]
fn work_without_sessions_may_go_to_a_full_node() {
    assert_eq!(choose(&[idle(1000)], 1, &mut rng()), None);
    assert_eq!(choose(&[idle(1000)], 0, &mut rng()), Some(0));
}

#[test]
fn equals_share_evenly() {
    let mut rng = rng();
    let mut chosen = [0_u32; 4];
    for _ in 0..4000 {
        chosen[choose(&[idle(5); 4], 1, &mut rng).unwrap()] += 1;
    }
    // Five standard deviations of a binomial distribution around 1000.
    assert!(
        chosen.iter().all(|count| count.abs_diff(1000) < 137),
        "{chosen:?}"
    );
}

#[test]
fn a_heartbeat_is_carried_forward_by_what_was_seen_since() {
    let now = Instant::now();
    let figures = Figures {
        sessions: 10,
        max_sessions: 100,
        max_sessions_per_second: 30,
        ..Figures::default()
    };
    let mut recent = Recent::default();
    let load = |recent: &mut Recent, live, at| {
        recent.load(&figures, live, at, |leg| leg.as_str() == "leg-0")
    };
    assert_eq!(
        load(&mut recent, 4, now).sessions,
        4,
        "before any heartbeat"
    );
    // Ten by the heartbeat, of which four are tracked.
    recent.heartbeat(4);
    assert_eq!(load(&mut recent, 4, now).sessions, 10);
    assert_eq!(load(&mut recent, 6, now).sessions, 12);
    assert_eq!(load(&mut recent, 1, now).sessions, 7);
    // Placed, of which one was seen.
    recent.placed(&[leg(0), leg(1), leg(2)], now);
    let busy = load(&mut recent, 5, now);
    assert_eq!((busy.sessions, busy.rate), (13, 2));
    recent.began(now);
    assert_eq!(load(&mut recent, 5, now).rate, 3);
    // A second later only the unseen ones count, and then nothing.
    assert_eq!(load(&mut recent, 5, now + RATE_WINDOW).rate, 2);
    let quiet = load(&mut recent, 5, now + UNSEEN);
    assert_eq!((quiet.sessions, quiet.rate), (11, 0));
}

fn load() -> impl Strategy<Value = Load> {
    (0..60_u64, 0..50_u64, 0..60_u64, 0..50_u64, -10.0..110.0).prop_map(
        |(sessions, max_sessions, rate, max_rate, idle_cpu)| Load {
            sessions,
            max_sessions,
            rate,
            max_rate,
            idle_cpu,
        },
    )
}

proptest! {
    #[test]
    fn never_a_full_node_and_never_none_while_one_has_room(
        loads in prop::collection::vec(load(), 0..8),
        legs in 0..4_u64,
        seed in any::<u64>(),
    ) {
        let fits = |load: &Load| {
            let sessions = load.max_sessions == 0 || load.sessions + legs <= load.max_sessions;
            let rate = load.max_rate == 0 || load.rate + legs <= load.max_rate;
            legs == 0 || (sessions && rate)
        };
        match choose(&loads, legs, &mut StdRng::seed_from_u64(seed)) {
            Some(at) => {
                prop_assert!(fits(&loads[at]));
                let better = loads.iter().any(|load| fits(load) && load.score() < loads[at].score());
                prop_assert!(!better);
            }
            None => prop_assert!(!loads.iter().any(fits)),
        }
    }

    /// Calls that are placed one after the other spread over equal nodes, whatever the heartbeats
    /// have not told yet.
    #[test]
    fn nodes_fill_up_evenly(nodes in 1..6_usize, calls in 0..200_usize, seed in any::<u64>()) {
        let now = Instant::now();
        let figures = Figures { max_sessions: 100, ..Figures::default() };
        let mut rng = StdRng::seed_from_u64(seed);
        let mut all: Vec<Recent> = (0..nodes).map(|_| Recent::default()).collect();
        let mut placed = vec![0_usize; nodes];
        for call in 0..calls {
            let loads: Vec<_> = all.iter_mut().map(|recent| recent.load(&figures, 0, now, |_| false)).collect();
            if let Some(at) = choose(&loads, 1, &mut rng) {
                all[at].placed(&[leg(call)], now);
                placed[at] += 1;
            }
        }
        prop_assert_eq!(placed.iter().sum::<usize>(), calls.min(nodes * 100));
        let (least, most) = (placed.iter().min().unwrap(), placed.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", placed);
    }
}
