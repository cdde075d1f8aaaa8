//! Breakers that are made up, and a server in front of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sendfuse::admin::{self, Access, Admin, Control};
use sendfuse::breaker::{Generation, IncidentStart, Reason, Scope, Source, TrialOutcome};
use sendfuse::breakers::{
    BreakerView, ConditionView, Filter, GenerationMismatch, Order, OrderKind, OverrideView, PinOrder,
    ProbeOrder, ReasonView,
};
use sendfuse::graph::health::{Entity, Health, HealthError, Unknown};
use sendfuse::graph::ids::{PhoneNumberId, Wamid};
use sendfuse::incident::{Book, Evidence, Incident, Key, Leak, Outcomes, Report, Summary, Sums, Trial};
use sendfuse::time::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// One breaker of each kind. 102 is half open, 103 forced open, 104 bypassed, 105 closed but remembered; 101 and 106 are open.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<State>>);

struct State {
    breakers: BTreeMap<String, BreakerView>,
    orders: Vec<String>,
    health: Health,
    slow: Option<Slow>,
    book: Book,
}

/// Makes orders wait.
#[derive(Clone, Default)]
pub(crate) struct Slow {
    /// An order has begun.
    pub(crate) begun: Arc<Notify>,
    /// It may go on.
    pub(crate) go_on: Arc<Notify>,
    /// It has been carried out.
    pub(crate) done: Arc<Notify>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let states = ["open", "half_open", "forced_open", "bypassed", "closed", "open"];
        let breakers = states
            .iter()
            .zip(101..)
            .map(|(state, id)| (format!("phone/{id}"), view(&id.to_string(), state, 7)));
        Self(Arc::new(Mutex::new(State {
            breakers: breakers.collect(),
            orders: Vec::new(),
            health: Health::Unknown(Unknown::NoToken),
            slow: None,
            book: book(),
        })))
    }

    /// What has been ordered, in order.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.0.lock().unwrap().orders.clone()
    }

    pub(crate) fn set_state(&self, id: &str, state: &'static str) {
        self.0.lock().unwrap().breakers.insert(format!("phone/{id}"), view(id, state, 7));
    }

    /// A breaker of a WABA, of which two phones are known.
    pub(crate) fn set_waba(&self, id: &str, state: &'static str) {
        self.set(&format!("waba/{id}"), state);
    }

    /// A breaker of this scope, as `phone_country/105.BR`.
    pub(crate) fn set(&self, scope: &str, state: &'static str) {
        let view = shown(scope.parse().unwrap(), state, 7);
        self.0.lock().unwrap().breakers.insert(scope.to_owned(), view);
    }

    /// Changes what is shown of a breaker, as `phone/101`.
    pub(crate) fn change(&self, scope: &str, change: impl FnOnce(&mut BreakerView)) {
        change(self.0.lock().unwrap().breakers.get_mut(scope).unwrap());
    }

    /// An incident of a WABA, begun now.
    pub(crate) fn begin_incident(&self, waba: &str) {
        let at = Timestamp::from_seconds(1_777_640_400);
        let start = IncidentStart { generation: Generation(1), at };
        self.0.lock().unwrap().book.restore(Incident::begun(Scope::parse("waba", waba).unwrap(), start));
    }

    pub(crate) fn set_would_reject(&self, id: &str, sends: u64) {
        self.0.lock().unwrap().breakers.get_mut(&format!("phone/{id}")).unwrap().would_reject = sends;
    }

    /// Leaves only this one.
    pub(crate) fn keep(&self, id: &str) {
        self.0.lock().unwrap().breakers.retain(|_, other| other.id == id);
    }

    /// From now on orders wait.
    pub(crate) fn slow_down(&self) -> Slow {
        self.0.lock().unwrap().slow.insert(Slow::default()).clone()
    }

    pub(crate) fn set_health(&self, health: Health) {
        self.0.lock().unwrap().health = health;
    }

    fn moved(
        &self,
        scope: Scope,
        expected: Option<Generation>,
        log: String,
        state: &'static str,
    ) -> Result<BreakerView, GenerationMismatch> {
        assert_ne!(log, "reset because panic by operator for None", "a fault inside");
        let mut current = self.view(scope);
        if expected.is_some_and(|expected| expected.0 != current.generation) {
            return Err(GenerationMismatch { current: Generation(current.generation) });
        }
        current = shown(scope, state, current.generation + 1);
        let mut fake = self.0.lock().unwrap();
        fake.orders.push(log);
        fake.breakers.insert(scope.to_string(), current.clone());
        Ok(current)
    }
}

/// A health answer in which the WABA blocks.
pub(crate) fn blocked() -> Health {
    Health::Blocked(vec![Entity {
        kind: "WABA".into(),
        id: Some("202".into()),
        can_send_message: "BLOCKED".into(),
        errors: vec![HealthError {
            code: 141_010,
            description: "no payment".into(),
            possible_solution: Some("pay".into()),
        }],
        blocks: true,
    }])
}

/// A wamid as Meta's are: the recipient's number is in it.
pub(crate) const WAMID: &str = "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI1RjQyNUE3NEYxMzAzMzQ5MkEA";

/// Three incidents: of 101 a finished one and, an hour later, an open one with a leak; in between one of 102.
fn book() -> Book {
    let mut book = Book::default();
    for (phone, generation, hours) in [("101", 1, 0), ("102", 1, 1), ("101", 4, 2)] {
        let start = IncidentStart {
            generation: Generation(generation),
            at: Timestamp::from_seconds(1_777_629_600 + hours * 3600),
        };
        let mut incident = Incident::begun(PhoneNumberId::parse(phone).unwrap().into(), start);
        let wamid = Wamid::parse(WAMID);
        if hours == 0 {
            incident.end(Timestamp::from_seconds(1_777_629_700), Generation(3));
        }
        let reason = Reason {
            code: 131_031,
            source: Source::Webhook,
            text: "Business Account locked".into(),
            at: start.at,
            fbtrace_id: None,
        };
        incident.hear(Evidence { wamid: wamid.clone(), ..Evidence::of_reason(&reason) }, true);
        incident.trial(Trial { at: start.at, outcome: TrialOutcome::Locked, wamid: wamid.clone() });
        book.restore(incident);
        if hours == 2 {
            let leak = Leak {
                wamid: wamid.unwrap(),
                accepted_at: start.at,
                failed_at: start.at,
                code: 131_031,
                fbtrace_id: Some("Az8or2yhqkZfEZ-_4Qn_Bam".into()),
                biz_opaque_callback_data: Some("order-1234".into()),
                recipient: Some("…1234".into()),
            };
            book.leak(book.latest(PhoneNumberId::parse("101").unwrap().into()).unwrap(), leak).unwrap();
        }
    }
    book
}

fn shown(scope: Scope, state: &'static str, generation: u64) -> BreakerView {
    let view = BreakerView { scope: scope.kind().name(), ..view(&scope.id(), state, generation) };
    match scope {
        Scope::Waba(waba) => BreakerView {
            waba_id: Some(waba.to_string()),
            phones: Some(vec!["101".into(), "105".into()]),
            ..view
        },
        _ => view,
    }
}

fn view(id: &str, state: &'static str, generation: u64) -> BreakerView {
    let closed = state == "closed";
    let at = "2026-05-01T10:00:00Z".to_owned();
    let order = match state {
        "forced_open" => Some("open"),
        "bypassed" => Some("bypass"),
        _ => None,
    };
    BreakerView {
        scope: "phone",
        id: id.to_owned(),
        waba_id: Some(if id == "106" { "2" } else { "1" }.to_owned()),
        phones: None,
        held_by: None,
        also_held: Vec::new(),
        diagnosis: None,
        state,
        extent: (!closed).then_some("all"),
        generation,
        reason: (!closed).then(|| ReasonView {
            code: Some(131_031),
            source: "webhook",
            text: "Business \u{1b}[2JAccount locked".into(),
            at: at.clone(),
        }),
        since: (!closed).then(|| at.clone()),
        next_check: (state == "open").then(|| "2026-05-01T10:00:42Z".to_owned()),
        probes: 3,
        trials: 1,
        rejected: 118,
        leaked: 2,
        would_reject: 0,
        r#override: order.map(|order| OverrideView {
            order,
            by: "ann".into(),
            reason: "drill".into(),
            until: Some("2026-05-01T12:00:00Z".into()),
        }),
        conditions: vec![ConditionView {
            name: "no_token",
            since: at,
            count: 4,
            text: "there is no token to probe with".into(),
        }],
        last_incident: None,
        mode: "enforce",
        pin_guard: None,
        incident: (!closed).then(|| "inc-1".to_owned()),
        closes_when: "a health check that finds nothing, then a delivered trial.".into(),
    }
}

impl Control for Fake {
    fn view(&self, scope: Scope) -> BreakerView {
        let known = self.0.lock().unwrap().breakers.get(&scope.to_string()).cloned();
        known.unwrap_or_else(|| {
            let view = shown(scope, "closed", 0);
            let (waba_id, phones) = match scope {
                Scope::Waba(_) => (view.waba_id, Some(Vec::new())),
                _ => (None, None),
            };
            BreakerView { waba_id, phones, conditions: Vec::new(), ..view }
        })
    }

    fn list(&self, filter: &Filter) -> (Vec<BreakerView>, bool) {
        let fake = self.0.lock().unwrap();
        let mut found: Vec<_> = fake
            .breakers
            .values()
            .filter(|view| (view.scope == "waba") == filter.accounts)
            .filter(|view| filter.state.map_or(view.state != "closed", |state| view.state == state))
            .filter(|view| filter.waba.is_none_or(|waba| view.waba_id.as_deref() == Some(waba.as_str())))
            .filter(|view| filter.after.is_none_or(|after| *view.id > *after.id()))
            .cloned()
            .collect();
        let more = found.len() > filter.limit;
        found.truncate(filter.limit);
        (found, more)
    }

    fn incidents(
        &self,
        after: Option<Key>,
        scope: Option<Scope>,
        limit: usize,
    ) -> (Vec<(Key, Summary)>, bool) {
        let fake = self.0.lock().unwrap();
        let (found, more) = fake.book.page(after, scope, limit);
        (found.into_iter().map(|(key, incident)| (key, incident.summary())).collect(), more)
    }

    fn incident(&self, id: &str) -> Option<Incident> {
        self.0.lock().unwrap().book.find(id).cloned()
    }

    fn report(&self) -> Report {
        let at = Timestamp::from_seconds(1_777_629_600);
        let sums = Sums { failed: 41_207, delivered: 10, unknown: 3 };
        let outcomes = Outcomes { since: at, until: at, sums };
        Report::of(vec![(PhoneNumberId::parse("101").unwrap(), outcomes)], None)
    }

    async fn order(
        &self,
        scope: Scope,
        order: Order,
        expected: Option<Generation>,
    ) -> Result<BreakerView, GenerationMismatch> {
        let (name, state) = match order.kind {
            OrderKind::Reset => ("reset", "closed"),
            OrderKind::Open => ("open", "forced_open"),
            OrderKind::Bypass => ("bypass", "bypassed"),
            OrderKind::Lift => ("lift", "open"),
        };
        let slow = self.0.lock().unwrap().slow.clone();
        if let Some(slow) = &slow {
            slow.begun.notify_one();
            slow.go_on.notified().await;
        }
        let Order { reason, by, hold, .. } = order;
        let moved =
            self.moved(scope, expected, format!("{name} because {reason} by {by} for {hold:?}"), state);
        if let Some(slow) = &slow {
            slow.done.notify_one();
        }
        moved
    }

    async fn probe(
        &self,
        scope: Scope,
        order: ProbeOrder,
        expected: Option<Generation>,
    ) -> Result<(Health, BreakerView), GenerationMismatch> {
        let ProbeOrder { reason, by } = order;
        let view = self.moved(scope, expected, format!("probe because {reason} by {by}"), "open")?;
        Ok((self.0.lock().unwrap().health.clone(), view))
    }

    fn allow_pin(&self, phone: PhoneNumberId, order: &PinOrder) -> BreakerView {
        let PinOrder { reason, by } = order;
        self.0.lock().unwrap().orders.push(format!("allow_pin because {reason} by {by}"));
        self.view(phone.into())
    }
}

/// The admin API in front of these breakers.
pub(crate) fn router(fake: Fake, access: Access, ready: Result<(), String>) -> axum::Router {
    admin::router(Admin {
        control: fake,
        access,
        ready: Arc::new(move || ready.clone()),
        metrics: Arc::new(|| "sendfuse_up 1\n".to_owned()),
        config: Arc::new(|| json!({"mode": "enforce"})),
    })
}

/// What [`Server::ask`] got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that this is a problem with this status, as every error has to be; gives its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        let title = StatusCode::from_u16(status).unwrap();
        assert_eq!(problem["title"], title.canonical_reason().unwrap());
        assert!(problem["instance"].as_str().unwrap().starts_with('/'), "{problem}");
        assert!(!problem["instance"].as_str().unwrap().contains('?'), "{problem}");
        problem["detail"].as_str().filter(|detail| !detail.is_empty()).unwrap().to_owned()
    }
}

/// An admin listener on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fake: Fake,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Server {
    pub(crate) async fn open() -> Self {
        Self::start(Access::new(None, None)).await
    }

    /// With the tokens `operate` and `read`.
    pub(crate) async fn guarded() -> Self {
        Self::start(Access::new(Some("operate"), Some("read"))).await
    }

    pub(crate) async fn start(access: Access) -> Self {
        Self::start_as(access, Ok(())).await
    }

    pub(crate) async fn start_as(access: Access, ready: Result<(), String>) -> Self {
        let fake = Fake::new();
        let router = router(fake.clone(), access, ready);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, fake, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.into())).unwrap();
        let response = tokio::time::timeout(Duration::from_secs(20), self.client.request(request));
        let (parts, body) = response.await.unwrap().unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// An order as a well-behaved client gives it, with these further headers.
    pub(crate) async fn order(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.ask("POST", path, &headers, body.to_owned()).await
    }
}
