//! Families of counters, with all their children made at the start.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::labels::Label;

/// Before every name.
pub(super) const PREFIX: &str = "sendfuse";

/// The library checks names, and that no two are the same; ours are constants.
#[expect(
    clippy::expect_used,
    reason = "depends on constants only: the first test that makes a Telemetry would fail"
)]
pub(super) fn constant<T>(made: prometheus::Result<T>) -> T {
    made.expect("metric names are valid and differ")
}

pub(super) fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

/// Registers a metric and hands it back.
pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let metric = constant(made);
    constant(registry.register(Box::new(metric.clone())));
    metric
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(name, help)))
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(name, help)))
}

pub(super) fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help).namespace(PREFIX).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(opts))
}

/// A combination of labels.
pub(super) trait LabelSet: Copy {
    /// Their names.
    const KEYS: &'static [&'static str];

    /// The values of every combination, in the order of [`LabelSet::index`].
    fn all() -> Vec<Vec<&'static str>>;

    fn index(self) -> usize;
}

impl<A: Label> LabelSet for (A,) {
    const KEYS: &'static [&'static str] = &[A::KEY];

    fn all() -> Vec<Vec<&'static str>> {
        A::ALL.iter().map(|a| vec![a.name()]).collect()
    }

    fn index(self) -> usize {
        self.0.index()
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const KEYS: &'static [&'static str] = &[A::KEY, B::KEY];

    fn all() -> Vec<Vec<&'static str>> {
        A::ALL.iter().flat_map(|a| B::ALL.iter().map(|b| vec![a.name(), b.name()])).collect()
    }

    fn index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }
}

impl<A: Label, B: Label, C: Label> LabelSet for (A, B, C) {
    const KEYS: &'static [&'static str] = &[A::KEY, B::KEY, C::KEY];

    fn all() -> Vec<Vec<&'static str>> {
        let rest = <(B, C)>::all();
        A::ALL.iter().flat_map(|a| rest.iter().map(|rest| [&[a.name()], rest.as_slice()].concat())).collect()
    }

    fn index(self) -> usize {
        (self.0.index() * B::ALL.len() + self.1.index()) * C::ALL.len() + self.2.index()
    }
}

/// A counter for each combination of labels.
pub(super) struct Counters<L> {
    children: Box<[IntCounter]>,
    labels: PhantomData<fn(L)>,
}

impl<L: LabelSet> Counters<L> {
    pub(super) fn new(registry: &Registry, name: &str, help: &str) -> Self {
        let family = register(registry, IntCounterVec::new(opts(name, help), L::KEYS));
        let children = L::all().iter().map(|values| family.with_label_values(values)).collect();
        Self { children, labels: PhantomData }
    }

    /// Adds one: a read of the array and an atomic.
    pub(super) fn add(&self, labels: L) {
        if let Some(child) = self.children.get(labels.index()) {
            child.inc();
        }
    }
}
