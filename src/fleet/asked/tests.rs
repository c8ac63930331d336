use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::EVENT_NAMES;
use crate::events::base_events;

/// What is wanted in turn, beside the base.
const KINDS: [&str; 6] = ["API", "NAT", "a::b", "c::d", "known::x", "ALL"];
/// Subclasses that FreeSWITCH knows when it is asked for all events.
const KNOWN: [&str; 2] = ["known::x", "known::y"];
/// Subclasses that are fired.
const FIRED: [&str; 5] = ["a::b", "c::d", "known::x", "known::y", "new::z"];

/// A listener as `parse_command` and `event_handler` of `mod_event_socket.c` treat it.
#[derive(Debug, Default)]
struct Listener {
    all: bool,
    list: BTreeSet<&'static str>,
    hash: BTreeSet<String>,
}

// === impl Listener ===

impl Listener {
    fn event(&mut self, words: &str) {
        let mut is_custom = false;
        for word in words.split(' ') {
            if is_custom {
                self.hash.insert(word.to_owned());
            } else if let Some(name) = EVENT_NAMES.into_iter().find(|name| *name == word) {
                if name == "ALL" {
                    self.list.extend(EVENT_NAMES);
                    self.hash.extend(KNOWN.map(str::to_owned));
                    self.all = true;
                }
                self.list.insert(name);
                is_custom = name == "CUSTOM";
            }
        }
    }

    fn nixevent(&mut self, words: &str) {
        let mut is_custom = false;
        for word in words.split(' ') {
            if is_custom {
                self.hash.remove(word);
            } else if let Some(name) = EVENT_NAMES.into_iter().find(|name| *name == word) {
                match name {
                    "CUSTOM" => is_custom = true,
                    "ALL" => panic!("all events would be lost"),
                    name => {
                        if std::mem::take(&mut self.all) {
                            self.list.extend(EVENT_NAMES);
                        }
                        self.list.remove(name);
                    }
                }
            }
        }
    }

    fn sends(&self, name: &str, subclass: Option<&str>) -> bool {
        let in_hash = subclass.is_none_or(|subclass| self.hash.contains(subclass));
        self.all || (self.list.contains(name) && in_hash)
    }

    /// What it sends of all that can be fired.
    fn sent(&self) -> Vec<(&'static str, Option<&'static str>)> {
        fired()
            .filter(|(name, subclass)| self.sends(name, *subclass))
            .collect()
    }
}

fn fired() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let names = EVENT_NAMES
        .into_iter()
        .filter(|name| !["CUSTOM", "ALL"].contains(name));
    let subclasses = FIRED.into_iter().map(|subclass| ("CUSTOM", Some(subclass)));
    names.map(|name| (name, None)).chain(subclasses)
}

fn of(set: &EventSet) -> Vec<(&'static str, Option<&'static str>)> {
    fired()
        .filter(|(name, subclass)| set.contains(name, *subclass))
        .collect()
}

/// Brings the listener from one set to another; after each command it sends at least what both
/// have.
fn turn(asked: &mut AskedFor, listener: &mut Listener, before: &EventSet, wanted: &EventSet) {
    let kept: Vec<_> = of(before)
        .into_iter()
        .filter(|one| of(wanted).contains(one))
        .collect();
    let check = |listener: &Listener, all: &[_]| {
        let sent = listener.sent();
        assert!(
            all.iter().all(|one| sent.contains(one)),
            "{before:?} {wanted:?}"
        );
    };
    let additions = asked.additions(wanted);
    // Short lines, so that there are many.
    for line in additions.arguments(90) {
        listener.event(&line);
        check(listener, &kept);
    }
    asked.added(&additions);
    check(listener, &of(wanted));
    let removals = asked.removals(wanted);
    for line in removals.arguments(90) {
        listener.nixevent(&line);
        check(listener, &of(wanted));
    }
    asked.removed(&removals);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_freeswitch_sends_becomes_what_is_wanted_without_a_gap(
        turns in proptest::collection::vec(proptest::collection::vec(0..KINDS.len(), 0..4), 1..12)
    ) {
        let (mut asked, mut listener) = (AskedFor::default(), Listener::default());
        let mut before = EventSet::default();
        for kinds in turns {
            let mut wanted = base_events();
            wanted.add_all(&EventSet::named(kinds.into_iter().map(|kind| KINDS[kind])));
            turn(&mut asked, &mut listener, &before, &wanted);
            // What else comes is a subclass that FreeSWITCH knew under ALL.
            let strays: Vec<_> = listener
                .sent()
                .into_iter()
                .filter(|one| !of(&wanted).contains(one))
                .collect();
            for (name, subclass) in strays {
                prop_assert_eq!(name, "CUSTOM");
                prop_assert!(asked.has_strays());
                let subclass = subclass.unwrap();
                prop_assert!(KNOWN.contains(&subclass) && !asked.has_subclass(subclass));
                let stray = EventSet::named([subclass]);
                for line in stray.arguments(90) {
                    listener.nixevent(&line);
                }
                asked.removed(&stray);
            }
            prop_assert_eq!(listener.sent(), of(&wanted));
            before = wanted;
        }
    }
}

#[test]
fn all_stays_where_every_name_is_wanted() {
    let (mut asked, mut listener) = (AskedFor::default(), Listener::default());
    let (all, every) = (EventSet::everything(), EventSet::every_name());
    turn(&mut asked, &mut listener, &EventSet::default(), &all);
    // There is no name whose removal takes ALL back.
    turn(&mut asked, &mut listener, &all, &every);
    assert!(listener.all);
    turn(&mut asked, &mut listener, &every, &base_events());
    assert!(!listener.all && !listener.sends("API", None));
}
