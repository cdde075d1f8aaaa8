//! A request is counted, meets the faults that are set, and is carried out.

use tokio::time::sleep;

use super::answer::{Answer, Failure};
use super::faults::{self, Fault, Requests};
use super::http::Arrived;
use super::params::Params;
use super::{Simulator, nodes, sends};
use crate::graph::class::Class;

/// What became of a request.
pub(super) enum Carried {
    /// Its answer, and the faults that are still to be applied to it.
    Out(Result<Answer, Failure>, Vec<Fault>),
    Stalled,
    Reset,
}

/// Carries out a request that is no batch, or one operation of one.
pub(super) async fn carry_out_one(simulator: &Simulator, request: &Arrived) -> Carried {
    let params = request.params();
    let answer = async {
        match &params {
            Ok(params) => nodes::answer(simulator, request, params).await,
            Err(failure) => Err(failure.clone()),
        }
    };
    carry_out(simulator, request, params.as_ref().ok(), answer).await
}

/// Counts a request and lets it be answered, unless a fault says otherwise.
pub(super) async fn carry_out(
    simulator: &Simulator,
    request: &Arrived,
    params: Option<&Params>,
    answer: impl Future<Output = Result<Answer, Failure>>,
) -> Carried {
    let kind = nodes::kind(request, params);
    let faults = arrived(simulator, request, params, kind);
    if faults.contains(&Fault::Stall) {
        return Carried::Stalled;
    }
    if faults.contains(&Fault::Reset) {
        return Carried::Reset;
    }
    let error = faults.iter().find_map(|fault| match fault {
        Fault::Error { status, code } => Some(Failure::simulated(*status, *code)),
        _ => None,
    });
    let outcome = match error {
        Some(failure) => Err(failure),
        None => answer.await,
    };
    if kind == Requests::Sends && outcome.as_ref().is_err_and(|failure| failure.by_lock) {
        count_refusal(simulator, request);
    }
    for fault in &faults {
        if let Fault::Delay { delay } = fault {
            sleep(*delay).await;
        }
    }
    Carried::Out(outcome, faults)
}

/// Counts a request by its kind, and takes its faults.
fn arrived(simulator: &Simulator, request: &Arrived, params: Option<&Params>, kind: Requests) -> Vec<Fault> {
    let node = request.target.node();
    let class = params.map_or(Class::CustomerInitiated, sends::class);
    let wa_id = params.and_then(sends::recipient);
    let mut state = simulator.state();
    let locked = node.is_some_and(|id| state.lock_on(id, class, wa_id.as_deref()).is_some());
    if let Some(phone) = node.and_then(|id| state.phone(id)) {
        match kind {
            Requests::Sends => {
                phone.counts.arrived += 1;
                phone.counts.arrived_after_lock += u64::from(locked);
            }
            Requests::Probes => phone.counts.probes += 1,
            _ => {}
        }
    }
    let faults = faults::take(&mut state.faults, node, kind);
    drop(state);
    simulator.inner.changed.notify_waiters();
    faults
}

fn count_refusal(simulator: &Simulator, request: &Arrived) {
    let mut state = simulator.state();
    if let Some(phone) = request.target.node().and_then(|id| state.phone(id)) {
        phone.counts.refused += 1;
    }
    drop(state);
    simulator.inner.changed.notify_waiters();
}
