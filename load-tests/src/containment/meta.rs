//! The simulated Meta of a run: it plays the timeline, and every webhook that it delivers is looked at on its way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sendfuse::simulator::{Deliver, Listening, Options, PhoneCounts, Simulator};
use serde_json::Value;

use super::journal::Journal;
use super::plan::Plan;
use crate::Result;

/// What webhooks are signed with.
pub(super) const APP_SECRET: &str = "load-tests";
/// The code of a lock.
const LOCKED: i64 = 131_031;

/// A simulated Meta that listens.
pub(super) struct Meta {
    simulator: Simulator,
    listening: Listening,
}

impl Meta {
    /// Starts one of which nobody knows yet. What it sees goes into the journal.
    pub(super) async fn start(plan: &Plan, journal: &Arc<Journal>) -> Result<Self> {
        let ids = plan.ids().into_iter().enumerate().map(|(index, id)| (id, index)).collect();
        let simulator = Simulator::new(Options {
            app_secret: APP_SECRET.to_owned(),
            deliver: Some(delivery(ids, Arc::clone(journal))),
            record: 0,
            ..Options::default()
        });
        let listening = simulator.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        Ok(Self { simulator, listening })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.listening.addr
    }

    /// Begins to play, and to call back at `webhooks`.
    pub(super) fn play(&self, plan: &Plan, webhooks: SocketAddr) -> Result<()> {
        self.simulator.set_webhook_url(Some(format!("http://{webhooks}/webhook")));
        tokio::spawn(self.simulator.play(plan.timeline()?));
        Ok(())
    }

    /// What it has counted for a phone.
    pub(super) fn counts(&self, id: &str) -> PhoneCounts {
        self.simulator.phone_counts(id)
    }
}

/// Webhooks over real sockets. A failure is noted when it leaves, and again when it is acknowledged.
fn delivery(ids: HashMap<String, usize>, journal: Arc<Journal>) -> Deliver {
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build_http();
    let ids = Arc::new(ids);
    Arc::new(move |request| {
        let (client, ids, journal) = (client.clone(), Arc::clone(&ids), Arc::clone(&journal));
        Box::pin(async move {
            let failures = failures(request.body());
            for failure in &failures {
                if let Some(phone) = ids.get(&failure.phone) {
                    journal.failed(*phone, &failure.wamid);
                }
            }
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            if head.status == StatusCode::OK {
                let phones = failures.iter().filter_map(|failure| ids.get(&failure.phone));
                phones.for_each(|phone| journal.failure_acknowledged(*phone));
            }
            Ok(Response::from_parts(head, body))
        })
    })
}

/// A message that failed because of a lock.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    phone: String,
    wamid: String,
}

fn failures(body: &[u8]) -> Vec<Failure> {
    let webhook: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for entry in items(&webhook, "entry") {
        for change in items(&entry, "changes") {
            let value = &change["value"];
            let phone = value["metadata"]["phone_number_id"].as_str().unwrap_or_default();
            for status in items(value, "statuses") {
                if items(&status, "errors").iter().any(|error| error["code"] == LOCKED) {
                    let wamid = status["id"].as_str().unwrap_or_default().to_owned();
                    found.push(Failure { phone: phone.to_owned(), wamid });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_are_failures_here() {
        let body = |status: &str| {
            format!(
                r#"{{"entry":[{{"changes":[{{"value":{{"metadata":{{"phone_number_id":"7"}},"statuses":[{status}]}}}}]}}]}}"#
            )
        };
        let failed = body(r#"{"id":"wamid.a","status":"failed","errors":[{"code":131031}]}"#);
        assert_eq!(failures(failed.as_bytes()), [Failure { phone: "7".into(), wamid: "wamid.a".into() }]);
        for other in [
            r#"{"id":"wamid.a","status":"failed","errors":[{"code":131047}]}"#,
            r#"{"id":"wamid.a","status":"delivered"}"#,
        ] {
            assert_eq!(failures(body(other).as_bytes()), []);
        }
    }
}
