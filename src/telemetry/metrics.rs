//! Metrics for Prometheus.
//!
//! What is counted, each part counts by itself in plain numbers; what is, is asked for when somebody
//! scrapes. Each theme has a file that says which families it has and reads them. A label is one of
//! a closed set or the name of a node or of a source of nodes; nothing that clients make up ever is one.
//!
//! Another theme is a file beside these, a line in `App`, and rows in `docs/operating-metrics.md`,
//! which a test compares with what is told.

mod access;
mod connections;
mod discovery;
mod events;
mod family;
mod jobs;
mod links;
mod nodes;
mod process;
mod reloads;
mod rpcs;
mod sessions;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use access::AccessMetrics;
pub use connections::ConnectionMetrics;
pub use discovery::DiscoveryMetrics;
pub use events::EventMetrics;
pub use family::{Family, Page, Value};
pub use jobs::JobMetrics;
pub use links::LinkMetrics;
pub use nodes::NodeMetrics;
pub use process::ProcessMetrics;
pub use reloads::ReloadMetrics;
pub use rpcs::RpcMetrics;
pub use sessions::SessionMetrics;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4, in which a counter's family has the name of its
    /// samples.
    Prometheus,
}

/// Some families that belong together.
pub trait Theme: fmt::Debug + Send + Sync + 'static {
    /// Writes all of them, whether there is anything to tell or not.
    ///
    /// # Errors
    /// Only those of the page.
    fn write(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    open_metrics: Registry,
    prometheus: Registry,
}

/// All themes in one format.
#[derive(Debug)]
struct Themes {
    themes: Arc<[Box<dyn Theme>]>,
    format: Format,
}

// === impl Format ===

impl Format {
    /// What a client takes, by the header `accept`: OpenMetrics where it names it, as Prometheus
    /// does.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// What is told in the header `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// Metrics of these themes.
    pub fn new(themes: Vec<Box<dyn Theme>>) -> Self {
        let themes: Arc<[_]> = themes.into();
        let registry = |format| {
            let mut registry = Registry::default();
            let themes = Arc::clone(&themes);
            registry.register_collector(Box::new(Themes { themes, format }));
            registry
        };
        Self {
            open_metrics: registry(Format::OpenMetrics),
            prometheus: registry(Format::Prometheus),
        }
    }

    /// All of them as they are now.
    ///
    /// # Errors
    /// When a theme cannot be written, which is a defect.
    pub fn render(&self, format: Format) -> Result<String, fmt::Error> {
        let mut page = String::new();
        match format {
            Format::OpenMetrics => text::encode(&mut page, &self.open_metrics)?,
            Format::Prometheus => text::encode_registry(&mut page, &self.prometheus)?,
        }
        Ok(page)
    }
}

// === impl Themes ===

impl Collector for Themes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder, self.format);
        self.themes
            .iter()
            .try_for_each(|theme| theme.write(&mut page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: Family = Family::counter("calls_total", "Calls so far", &["node"]);
    const ROOM: Family = Family::gauge("room", "Room that is left", &[]);
    const TIME: Family = Family::histogram("time_seconds", "Time taken", &["kind"]);

    #[derive(Debug)]
    struct Example;

    // === impl Example ===

    impl Theme for Example {
        fn write(&self, page: &mut Page<'_>) -> fmt::Result {
            page.samples(&CALLS, [(["a"], 3_u64), (["b\"\n"], 4)])?;
            page.samples(&ROOM, [([], 0.5)])?;
            page.histograms(&TIME, &[0.1, 1.0], [(["x"], &[1, 0, 2][..], 7.5)])
        }
    }

    #[test]
    fn each_format_names_a_counter_as_it_should() {
        let metrics = Metrics::new(vec![Box::new(Example)]);
        let open = metrics.render(Format::OpenMetrics).unwrap();
        let expected = "\
# HELP calls Calls so far
# TYPE calls counter
calls_total{node=\"a\"} 3
calls_total{node=\"b\\\"\\n\"} 4
# HELP room Room that is left
# TYPE room gauge
room 0.5
# HELP time_seconds Time taken
# TYPE time_seconds histogram
time_seconds_sum{kind=\"x\"} 7.5
time_seconds_count{kind=\"x\"} 3
time_seconds_bucket{le=\"0.1\",kind=\"x\"} 1
time_seconds_bucket{le=\"1.0\",kind=\"x\"} 1
time_seconds_bucket{le=\"+Inf\",kind=\"x\"} 3
";
        assert_eq!(open, format!("{expected}# EOF\n"));
        let classic = metrics.render(Format::Prometheus).unwrap();
        let expected = expected
            .replace("HELP calls ", "HELP calls_total ")
            .replace("TYPE calls ", "TYPE calls_total ");
        assert_eq!(classic, expected);
    }

    #[test]
    fn who_asks_says_which_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
