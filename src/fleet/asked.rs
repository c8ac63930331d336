//! What FreeSWITCH was asked for on one link, as its listener keeps it (`event_list` and
//! `event_hash` in `mod_event_socket.c`).

use crate::events::EventSet;

/// What a link's listener has.
#[derive(Debug, Clone, Default)]
pub(super) struct AskedFor {
    /// `ALL` is in force: what is named counts only once that is taken back.
    everything: bool,
    named: EventSet,
    /// The listener was given the subclasses that FreeSWITCH knew when it was asked for all events
    /// (`set_all_custom`), which it keeps; nobody tells which they are.
    has_strays: bool,
}

// === impl AskedFor ===

impl AskedFor {
    /// What has to be asked for so that all of `wanted` comes.
    pub(super) fn additions(&self, wanted: &EventSet) -> EventSet {
        match (self.everything, wanted.is_everything()) {
            (true, true) => EventSet::default(),
            (false, true) => EventSet::everything(),
            // Under `ALL` too: it is taken back only when the subclasses are in place.
            (_, false) => wanted.without(&self.named),
        }
    }

    /// What can be taken back, once all of `wanted` was asked for.
    pub(super) fn removals(&self, wanted: &EventSet) -> EventSet {
        if wanted.is_everything() {
            return EventSet::default();
        }
        if !self.everything {
            return self.named.without(wanted);
        }
        // `nixevent` of any name takes `ALL` back and leaves the other names; of a subclass it does
        // not.
        let names = EventSet::every_name().without(wanted);
        if names.is_empty() {
            return names;
        }
        let mut all = self.named.without(wanted);
        all.add_all(&names);
        all
    }

    /// It was asked for these too.
    pub(super) fn added(&mut self, set: &EventSet) {
        self.everything |= set.is_everything();
        self.named.add_all(&set.by_name());
        // As the listener's own list will be when `ALL` is taken back.
        if set.is_everything() {
            self.named.add_all(&EventSet::every_name());
        }
    }

    /// These were taken back.
    pub(super) fn removed(&mut self, set: &EventSet) {
        let any_name = set.overlaps(&EventSet::every_name());
        if self.everything && any_name {
            self.everything = false;
            self.has_strays = true;
        }
        self.named = self.named.without(set);
    }

    /// Whether subclasses may come that nobody named.
    pub(super) fn has_strays(&self) -> bool {
        self.has_strays && !self.everything
    }

    /// Whether a subclass was asked for.
    pub(super) fn has_subclass(&self, subclass: &str) -> bool {
        self.everything || self.named.has_subclass(subclass)
    }
}

#[cfg(test)]
mod tests;
