//! The configuration and how it was reloaded.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::{Family, Page, Theme};
use crate::app::ReloadCounts;

const RELOADS: Family = Family::counter(
    "switchgate_config_reloads_total",
    "Reloads of the configuration: those that were applied, and those that were refused and changed nothing",
    &["result"],
);
const SUCCESSFUL: Family = Family::gauge(
    "switchgate_config_last_reload_successful",
    "1 while the last reload of the configuration was applied, or there was none yet",
    &[],
);
const SUCCESS: Family = Family::gauge(
    "switchgate_config_last_reload_success_timestamp_seconds",
    "When the configuration in effect was applied, in seconds since 1970",
    &[],
);

/// How the configuration was reloaded.
#[derive(Debug)]
pub struct ReloadMetrics(pub Arc<ReloadCounts>);

// === impl ReloadMetrics ===

impl Theme for ReloadMetrics {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = self.0.figures();
        let reloads = [
            (["applied"], figures.applied),
            (["refused"], figures.refused),
        ];
        page.samples(&RELOADS, reloads)?;
        page.samples(&SUCCESSFUL, [([], u64::from(figures.is_last_applied))])?;
        let since = figures.applied_at.duration_since(UNIX_EPOCH);
        let seconds = since.map_or(0.0, |since| since.as_secs_f64().floor());
        page.samples(&SUCCESS, [([], seconds)])
    }
}
