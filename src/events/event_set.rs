//! Sets of events, as FreeSWITCH can be asked for them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::domain::{EVENT_NAMES, check_wire_text};

/// Longest subclass that is asked for by its name.
const MAX_SUBCLASS: usize = 256;

/// The name of all events that modules fire for themselves.
const CUSTOM: &str = "CUSTOM";
/// The name that means every event.
const ALL: &str = "ALL";

/// Which events: some by their name, `CUSTOM` ones by their subclass, or all there are. `CUSTOM`
/// without a subclass cannot be asked for alone, so it means all.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EventSet {
    everything: bool,
    names: Names,
    subclasses: BTreeSet<Arc<str>>,
}

/// One of the things that a set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// The mark that it is everything.
    Everything,
    /// A name.
    Name(&'static str),
    /// A subclass of `CUSTOM`.
    Subclass(Arc<str>),
}

/// Names of events but `CUSTOM` and `ALL`: one bit for each of [`EVENT_NAMES`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Names(u128);

const _: () = assert!(EVENT_NAMES.len() <= 128);

// === impl EventSet ===

impl EventSet {
    /// Every event.
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Every name that FreeSWITCH knows, but no subclass.
    pub fn every_name() -> Self {
        Self {
            names: Names::every(),
            ..Self::default()
        }
    }

    /// The events that are called so: by their name, or by the subclass of a `CUSTOM` one.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for name in names {
            set.add(name);
        }
        set
    }

    /// `CUSTOM` events of these subclasses, as far as they can be named, whatever they are called.
    pub fn of_subclasses<'a>(subclasses: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for subclass in subclasses {
            set.add_subclass(subclass);
        }
        set.by_name()
    }

    /// What a filter lets through that has these names and subclasses; without any, everything.
    /// What is no name of an event lets through nothing.
    pub fn filtered<'a>(
        names: impl IntoIterator<Item = &'a str>,
        subclasses: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let (mut set, mut any_name, mut is_custom) = (Self::default(), false, false);
        for name in names {
            any_name = true;
            match name {
                CUSTOM => is_custom = true,
                name => set.names.0 |= Names::of(name).unwrap_or_default().0,
            }
        }
        let mut any_subclass = false;
        for subclass in subclasses {
            any_subclass = true;
            set.add_subclass(subclass);
        }
        // Beside subclasses the name CUSTOM lets through no others.
        set.everything |= match any_subclass {
            true => false,
            false => is_custom || !any_name,
        };
        set
    }

    /// Whether every event is in it.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether these events are in it.
    pub fn contains(&self, name: &str, subclass: Option<&str>) -> bool {
        self.everything
            || match subclass {
                Some(subclass) if name == CUSTOM => self.subclasses.contains(subclass),
                _ => Names::of(name).is_some_and(|one| self.names.has(one)),
            }
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.everything || other.without(self).is_empty()
    }

    /// How many subclasses are named.
    pub fn subclass_count(&self) -> usize {
        self.subclasses.len()
    }

    /// Bytes of the subclasses, with what holds them.
    pub(super) fn subclass_bytes(&self) -> usize {
        let bytes = self.subclasses.iter().map(|subclass| subclass.len() + 64);
        bytes.sum()
    }

    /// Whether a subclass is in it by its name.
    pub fn has_subclass(&self, subclass: &str) -> bool {
        self.subclasses.contains(subclass)
    }

    /// Whether any event is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.everything, other.everything) {
            (true, _) => !other.is_empty(),
            (_, true) => !self.is_empty(),
            _ => {
                self.names.0 & other.names.0 != 0 || !self.subclasses.is_disjoint(&other.subclasses)
            }
        }
    }

    /// Adds all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.names.0 |= other.names.0;
        self.subclasses.extend(other.subclasses.iter().cloned());
    }

    /// What is named here and not in `other`. That one of the two is everything does not count.
    pub fn without(&self, other: &Self) -> Self {
        Self {
            everything: self.everything && !other.everything,
            names: Names(self.names.0 & !other.names.0),
            subclasses: self
                .subclasses
                .difference(&other.subclasses)
                .cloned()
                .collect(),
        }
    }

    /// What is named in both.
    pub fn common(&self, other: &Self) -> Self {
        let here = self.by_name();
        here.without(&here.without(other))
    }

    /// What is named, without the mark that it is everything.
    pub fn by_name(&self) -> Self {
        Self {
            everything: false,
            ..self.clone()
        }
    }

    /// What it is made of, one by one.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        let everything = self.everything.then_some(Part::Everything);
        let names = self.names.each().map(|name| Part::Name(name.name()));
        let subclasses = self.subclasses.iter().cloned().map(Part::Subclass);
        everything.into_iter().chain(names).chain(subclasses)
    }

    /// What it is made of, each for itself.
    pub fn singles(&self) -> Vec<Self> {
        self.parts().map(|part| Self::from_iter([part])).collect()
    }

    /// Whether it has this part, or all.
    pub(super) fn has(&self, part: &Part) -> bool {
        self.everything
            || match part {
                Part::Everything => false,
                Part::Name(name) => self.contains(name, None),
                Part::Subclass(subclass) => self.subclasses.contains(subclass),
            }
    }

    /// The arguments of commands that name it, each no longer than `max_len` unless one name is.
    pub fn arguments(&self, max_len: usize) -> Vec<String> {
        if self.everything {
            return vec![ALL.to_owned()];
        }
        let mut lines: Vec<String> = Vec::new();
        let (mut line, mut is_custom) = (String::new(), false);
        let names = self.names.each().map(|name| (name.name(), false));
        let subclasses = self.subclasses.iter().map(|subclass| (&**subclass, true));
        for (word, is_subclass) in names.chain(subclasses) {
            if !line.is_empty() && line.len() + CUSTOM.len() + word.len() + 2 > max_len {
                lines.push(std::mem::take(&mut line));
                is_custom = false;
            }
            if is_subclass && !is_custom {
                push_word(&mut line, CUSTOM);
                is_custom = true;
            }
            push_word(&mut line, word);
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }

    fn add(&mut self, name: &str) {
        match name {
            CUSTOM | ALL => self.everything = true,
            _ => match Names::of(name) {
                Some(one) => self.names.0 |= one.0,
                None => self.add_subclass(name),
            },
        }
    }

    fn add_subclass(&mut self, subclass: &str) {
        // FreeSWITCH splits what it is asked for at spaces.
        let can_be_named = !subclass.is_empty()
            && subclass.len() <= MAX_SUBCLASS
            && !subclass.contains(' ')
            && check_wire_text(subclass).is_ok();
        match can_be_named {
            true => drop(self.subclasses.insert(subclass.into())),
            false => self.everything = true,
        }
    }
}

impl FromIterator<Part> for EventSet {
    fn from_iter<T: IntoIterator<Item = Part>>(parts: T) -> Self {
        let mut set = Self::default();
        for part in parts {
            match part {
                Part::Everything => set.everything = true,
                Part::Name(name) => set.names.0 |= Names::of(name).unwrap_or_default().0,
                Part::Subclass(subclass) => drop(set.subclasses.insert(subclass)),
            }
        }
        set
    }
}

fn push_word(line: &mut String, word: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(word);
}

/// As FreeSWITCH would be asked for it.
impl fmt::Display for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arguments(usize::MAX).join(" "))
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = match self.everything {
            true => "ALL and ",
            false => "",
        };
        write!(f, "EventSet({all}{})", self.by_name())
    }
}

// === impl Names ===

impl Names {
    fn every() -> Self {
        let known = EVENT_NAMES.into_iter().filter_map(Self::of);
        known.fold(Self::default(), |all, one| Self(all.0 | one.0))
    }

    /// The set of this one name; `None` when no event is called so.
    fn of(name: &str) -> Option<Self> {
        let at = EVENT_NAMES.iter().position(|known| *known == name)?;
        (name != CUSTOM && name != ALL).then_some(Self(1 << at))
    }

    fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    fn each(self) -> impl Iterator<Item = Self> {
        let bits = 0..EVENT_NAMES.len();
        bits.map(|at| Self(1 << at))
            .filter(move |one| self.has(*one))
    }

    /// The name of a set of one.
    fn name(self) -> &'static str {
        let at = self.0.trailing_zeros() as usize;
        EVENT_NAMES.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_wants_what_it_lets_through() {
        let filtered = |names: &[&str], subclasses: &[&str]| {
            EventSet::filtered(names.iter().copied(), subclasses.iter().copied()).to_string()
        };
        for (names, subclasses, wanted) in [
            (&[][..], &[][..], "ALL"),
            (&["CHANNEL_ANSWER", "API"], &[], "CHANNEL_ANSWER API"),
            (&["CUSTOM"], &[], "ALL"),
            (&["CUSTOM", "API"], &["a::b"], "API CUSTOM a::b"),
            (&[], &["a::b", "c::d"], "CUSTOM a::b c::d"),
            (&[], &["with space"], "ALL"),
            (&[], &[""], "ALL"),
            (&["NO_SUCH_EVENT"], &[], ""),
            (&["API"], &["a\nb"], "ALL"),
        ] {
            assert_eq!(filtered(names, subclasses), wanted);
        }
        assert_eq!(
            EventSet::named(["API", "a::b"]).to_string(),
            "API CUSTOM a::b"
        );
        assert!(EventSet::named(["CUSTOM"]).is_everything());
        assert_eq!(
            EventSet::of_subclasses(["HEARTBEAT", "a::b", "with space"]).to_string(),
            "CUSTOM HEARTBEAT a::b"
        );
        assert!(EventSet::default().arguments(80).is_empty());
    }

    #[test]
    fn long_sets_are_split_between_names() {
        let subclasses: Vec<String> = (0..40).map(|at| format!("module::event_{at}")).collect();
        let mut set = EventSet::named(subclasses.iter().map(String::as_str));
        set.add_all(&EventSet::every_name());
        let lines = set.arguments(200);
        assert!(lines.len() > 5 && lines.iter().all(|line| line.len() <= 200));
        let mut joined = EventSet::default();
        for line in &lines {
            let (names, custom) = match line.split_once("CUSTOM") {
                Some((names, custom)) => (names, custom),
                None => (&**line, ""),
            };
            let words = names.split(' ').chain(custom.split(' '));
            joined.add_all(&EventSet::named(words.filter(|word| !word.is_empty())));
        }
        assert_eq!(joined, set);
    }
}
