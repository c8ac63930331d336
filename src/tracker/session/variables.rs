//! A session's channel variables, as events told them.

use std::borrow::Cow;

use super::Session;
use crate::access::Tenants;
use crate::esl::Event;

/// What precedes a variable's name in events (`switch_channel_event_set_extended_data` in
/// `switch_channel.c`, which also says which events have variables).
const VARIABLE_PREFIX: &[u8] = b"variable_";

// === impl Session ===

impl Session {
    /// A channel variable as events told it last. FreeSWITCH finds variables without regard to case.
    pub fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        let headers = self.variables.as_ref()?.headers();
        headers.text_where(|header| {
            header
                .strip_prefix(VARIABLE_PREFIX)
                .is_some_and(|known| known.eq_ignore_ascii_case(name.as_bytes()))
        })
    }

    /// Keeps the variables of an event, or of an answer to `uuid_dump`, unless newer ones are known.
    pub(in crate::tracker) fn learn_variables(&mut self, event: &Event, tenants: &Tenants) {
        self.keep_variables(event, event.number("Event-Date-Timestamp"), tenants);
    }

    /// The same, of an event whose time stamp is known.
    pub(super) fn keep_variables(
        &mut self,
        event: &Event,
        told_at: Option<u64>,
        tenants: &Tenants,
    ) {
        if self.variables_at <= told_at {
            // The last event of most legs says again what the one before said, which stays anyway.
            let last = self.final_event.as_ref();
            let same = last.filter(|last| variables(last) == variables(event));
            self.variables = Some(same.unwrap_or(event).clone());
            self.variables_at = told_at;
            if tenants.are_any() {
                self.owners = tenants.owners(|name| self.variable(name));
            }
        }
    }
}

/// The lines from the first variable on: most events end with their variables.
fn variables(event: &Event) -> &[u8] {
    event.headers().from_line(VARIABLE_PREFIX)
}
