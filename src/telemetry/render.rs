//! What a scrape gets to see.

use prometheus::core::{AtomicU64, Collector, GenericGauge, GenericGaugeVec};
use prometheus::{TEXT_FORMAT, TextEncoder};

use super::families::{constant, opts};
use super::metrics::Metrics;
use crate::graph::ids::PhoneNumberId;

/// The content type of what [`super::Telemetry::render`] returns.
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

/// How the breakers are at the time of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// How many breakers are in each of the states that are shown.
    pub breakers: [(&'static str, u64); 5],
    /// The phones that are not closed, with their state; no more than should be shown.
    pub phones: Vec<(PhoneNumberId, &'static str)>,
    /// Phones whose sends are accepted but of which no status comes.
    pub deaf: u64,
    /// Phones that health calls clear while their sends fail.
    pub contradictions: u64,
}

/// The gauges of `scrape` are made anew for each scrape: nothing is left over of a phone that has closed, and scrapes at
/// the same time do not mix.
pub(super) fn render(metrics: &Metrics, scrape: &Scrape) -> String {
    let breakers = states("breakers", "Breakers, by state.", &["state"]);
    for (state, count) in scrape.breakers {
        breakers.with_label_values(&[state]).set(count);
    }
    let phones = states(
        "breaker_state",
        "1 for the state that a phone's breaker is in; closed ones are left out.",
        &["phone_number_id", "state"],
    );
    for (phone, state) in &scrape.phones {
        phones.with_label_values(&[phone.as_str(), *state]).set(1);
    }
    let deaf =
        total("deaf_phones", "Phones whose sends are accepted but of which no status comes.", scrape.deaf);
    let contradictions = total(
        "contradictions",
        "Phones that Meta's health status calls clear while their sends fail.",
        scrape.contradictions,
    );

    let mut families = metrics.registry.gather();
    for gauges in [&breakers as &dyn Collector, &phones, &deaf, &contradictions] {
        // The encoder refuses a family without samples.
        families.extend(gauges.collect().into_iter().filter(|family| !family.get_metric().is_empty()));
    }
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
        tracing::error!(%error, "metrics are incomplete");
    }
    text
}

fn states(name: &str, help: &str, labels: &[&str]) -> GenericGaugeVec<AtomicU64> {
    constant(GenericGaugeVec::new(opts(name, help), labels))
}

fn total(name: &str, help: &str, value: u64) -> GenericGauge<AtomicU64> {
    let gauge = constant(GenericGauge::with_opts(opts(name, help)));
    gauge.set(value);
    gauge
}
