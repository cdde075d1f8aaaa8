//! Health checks: takes tickets, asks Meta, brings the answers back.
//!
//! *When* to probe is the breaker's decision; a [`ProbeTicket`] says that it is now. *Whether* the answer still counts is
//! too: a ticket carries its purpose. What is here is how to ask: with which token, within the budget, in time.

mod ask;
mod budget;
mod credential;
mod tokens;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use self::ask::{Ask, numbers_of};
use self::budget::Budget;
pub use self::budget::watching_share;
pub use self::tokens::{DEFAULT_VERSION, Token, TokenSettings, Tokens};
use crate::breaker::Scope;
use crate::breakers::{Breakers, ProbeTicket, Purpose};
use crate::graph::health::{Health, Unknown};
use crate::graph::ids::{PhoneNumberId, WabaId};

/// The most probes that are under way at once.
const MAX_AT_ONCE: usize = 64;

/// What can be changed while the prober runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProberSettings {
    /// How long one probe may take, to the last byte of its answer.
    pub timeout: Duration,
    /// How many probes there may be in an hour, an operator's included.
    pub budget_per_hour: u32,
}

/// Who is told what probes found.
pub trait Outcomes: Send + Sync + 'static {
    /// The outcome of a probe.
    fn probed(&self, ticket: &ProbeTicket, health: Health) -> impl Future<Output = ()> + Send;

    /// These phones are an account's.
    fn learn_numbers(&self, waba: WabaId, phones: &[PhoneNumberId]);
}

impl Outcomes for Breakers {
    fn probed(&self, ticket: &ProbeTicket, health: Health) -> impl Future<Output = ()> + Send {
        Breakers::probed(self, ticket, health)
    }

    fn learn_numbers(&self, waba: WabaId, phones: &[PhoneNumberId]) {
        Breakers::learn_numbers(self, waba, phones);
    }
}

/// Makes the probes.
pub struct Prober<A, O> {
    inner: Arc<Inner<A, O>>,
    settings: Arc<ArcSwap<ProberSettings>>,
}

struct Inner<A, O> {
    upstream: A,
    outcomes: O,
    tokens: Arc<Tokens>,
    places: Semaphore,
}

impl<A, O> fmt::Debug for Prober<A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prober")
    }
}

impl<A: Ask, O: Outcomes> Prober<A, O> {
    /// A prober that looks at `settings` and `tokens` anew for each probe.
    pub fn new(
        upstream: A,
        outcomes: O,
        tokens: Arc<Tokens>,
        settings: Arc<ArcSwap<ProberSettings>>,
    ) -> Self {
        let places = Semaphore::new(MAX_AT_ONCE);
        Self { inner: Arc::new(Inner { upstream, outcomes, tokens, places }), settings }
    }

    /// Probes until it is stopped, or nobody can write tickets any more. Every ticket gets an outcome, except those that
    /// are still open when it stops: for them the breaker has leases.
    pub async fn run(self, mut tickets: mpsc::UnboundedReceiver<ProbeTicket>, stop: CancellationToken) {
        let mut budget = Budget::default();
        // Dropped at the end, and the probes under way with it.
        let mut probes = JoinSet::new();
        loop {
            let ticket = tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = probes.join_next() => continue,
                ticket = tickets.recv() => ticket,
            };
            let Some(ticket) = ticket else { break };
            let settings = **self.settings.load();
            // What costs Meta nothing costs no budget.
            let question = match self.inner.question(&ticket) {
                None => Err(Unknown::NoToken),
                Some(_) if !budget.try_take(can_wait(&ticket), settings.budget_per_hour, Instant::now()) => {
                    Err(Unknown::OverBudget)
                }
                Some(question) => Ok(question),
            };
            let inner = Arc::clone(&self.inner);
            probes.spawn(async move {
                if let (Purpose::Numbers, Scope::Waba(waba)) = (ticket.purpose, ticket.scope) {
                    if let Ok((_, token)) = question {
                        inner.ask_numbers(waba, &token, settings.timeout).await;
                    }
                    return;
                }
                let health = match question {
                    Ok((node, token)) => inner.probe(&node, &token, settings.timeout).await,
                    Err(unknown) => Health::Unknown(unknown),
                };
                inner.outcomes.probed(&ticket, health).await;
            });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = async { while probes.join_next().await.is_some() {} } => {}
        }
    }
}

/// Whether no locked number or account waits for it.
const fn can_wait(ticket: &ProbeTicket) -> bool {
    matches!(ticket.purpose, Purpose::Watch(_)) || matches!(ticket.scope, Scope::Token(_))
}

impl<A: Ask, O: Outcomes> Inner<A, O> {
    /// Which node to ask about, and with which token.
    fn question(&self, ticket: &ProbeTicket) -> Option<(String, Token)> {
        match ticket.scope {
            Scope::Phone(phone) | Scope::PhoneCountry(phone, _) => {
                let token = self.tokens.for_phone(phone, ticket.waba.map(|(waba, _)| waba));
                Some((phone.to_string(), token?))
            }
            Scope::Waba(waba) => Some((waba.to_string(), self.tokens.for_account(waba, &ticket.phones)?)),
            Scope::Token(id) => self.tokens.refused(id).map(|(node, token)| (node.to_string(), token)),
        }
    }

    async fn ask_numbers(&self, waba: WabaId, token: &Token, time: Duration) {
        let _place = self.places.acquire().await;
        if let Ok(Some(phones)) = timeout(time, ask::numbers_of(&self.upstream, waba, token)).await {
            self.outcomes.learn_numbers(waba, &phones);
        }
    }

    async fn probe(&self, node: &str, token: &Token, time: Duration) -> Health {
        // Never closed, so there is always a place in the end.
        let _place = self.places.acquire().await;
        let health = match timeout(time, ask::health_of(&self.upstream, node, token)).await {
            Ok(health) => health,
            Err(_) => Health::Unknown(Unknown::NoAnswer),
        };
        if health == Health::Unknown(Unknown::TokenInvalid) {
            self.tokens.forget(token);
        }
        health
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{HeaderValue, Request, Response, Uri};
    use http_body_util::Full;
    use tokio::sync::oneshot;

    use super::*;
    use crate::breaker::{Generation, Lease};
    use crate::error::ProxyError;

    const CLEAR: &str =
        r#"{"health_status":{"entities":[{"entity_type":"APP","can_send_message":"AVAILABLE"}]}}"#;
    const DEAD_TOKEN: &str = r#"{"error":{"message":"(#190) dead","code":190}}"#;

    /// Says the same to everyone, or nothing at all; rings when it is asked and when it is given up.
    struct Meta {
        says: Option<(u16, &'static str)>,
        asked: mpsc::UnboundedSender<Uri>,
        given_up: Mutex<Option<oneshot::Sender<()>>>,
    }

    impl Ask for Meta {
        type Body = Full<Bytes>;

        async fn ask(&self, request: Request<()>) -> Result<Response<Self::Body>, ProxyError> {
            self.asked.send(request.uri().clone()).unwrap();
            let _rings_when_dropped = self.given_up.lock().unwrap().take();
            let Some((status, body)) = self.says else { std::future::pending().await };
            Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
        }
    }

    struct Told(mpsc::UnboundedSender<(Purpose, Health)>);

    impl Outcomes for Told {
        async fn probed(&self, ticket: &ProbeTicket, health: Health) {
            self.0.send((ticket.purpose, health)).unwrap();
        }

        fn learn_numbers(&self, _: WabaId, _: &[PhoneNumberId]) {}
    }

    struct Office {
        tickets: mpsc::UnboundedSender<ProbeTicket>,
        told: mpsc::UnboundedReceiver<(Purpose, Health)>,
        asked: mpsc::UnboundedReceiver<Uri>,
        given_up: oneshot::Receiver<()>,
        tokens: Arc<Tokens>,
        settings: Arc<ArcSwap<ProberSettings>>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn office(says: Option<(u16, &'static str)>) -> Office {
        let wabas = HashMap::from([("77".to_owned(), "configured".into())]);
        let tokens = Arc::new(Tokens::new(TokenSettings { tokens: wabas, borrow: true }));
        let settings = ProberSettings { timeout: Duration::from_secs(10), budget_per_hour: 100 };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let (asked_out, asked) = mpsc::unbounded_channel();
        let (told_out, told) = mpsc::unbounded_channel();
        let (gone, given_up) = oneshot::channel();
        let (tickets, receiver) = mpsc::unbounded_channel();
        let meta = Meta { says, asked: asked_out, given_up: Mutex::new(Some(gone)) };
        let prober = Prober::new(meta, Told(told_out), Arc::clone(&tokens), Arc::clone(&settings));
        let stop = CancellationToken::new();
        let task = tokio::spawn(prober.run(receiver, stop.clone()));
        Office { tickets, told, asked, given_up, tokens, settings, stop, task }
    }

    impl Office {
        fn ticket(&self, phone: &str, waba: Option<&str>, lease: u64) {
            let phone = PhoneNumberId::parse(phone).unwrap();
            let waba = waba.map(|waba| (WabaId::parse(waba).unwrap(), Generation(0)));
            let purpose = Purpose::Recovery(Lease(lease));
            let ticket = ProbeTicket { scope: phone.into(), waba, phones: Vec::new(), purpose };
            self.tickets.send(ticket).unwrap();
        }

        fn learn(&self, phone: &str) {
            let header = HeaderValue::from_static("Bearer borrowed");
            let uri = Uri::try_from(format!("/v19.0/{phone}/messages")).unwrap();
            self.tokens.learn(PhoneNumberId::parse(phone).unwrap(), &uri, Some(&header));
        }

        async fn outcome(&mut self, lease: u64) -> Health {
            let (of, health) = self.told.recv().await.unwrap();
            assert_eq!(of, Purpose::Recovery(Lease(lease)));
            health
        }
    }

    #[tokio::test]
    async fn a_ticket_gets_metas_answer() {
        let mut office = office(Some((200, CLEAR)));
        office.ticket("1", Some("77"), 5);
        assert!(matches!(office.outcome(5).await, Health::Clear(_)));
        assert_eq!(office.asked.recv().await.unwrap(), "/v23.0/1?fields=health_status");
        office.learn("2");
        office.ticket("2", None, 6);
        assert!(matches!(office.outcome(6).await, Health::Clear(_)));
        assert_eq!(office.asked.recv().await.unwrap(), "/v19.0/2?fields=health_status");
    }

    #[tokio::test]
    async fn without_a_token_nobody_is_asked_and_nothing_spent() {
        let mut office = office(Some((200, CLEAR)));
        office.settings.store(Arc::new(ProberSettings { budget_per_hour: 1, ..**office.settings.load() }));
        office.ticket("1", None, 1);
        assert_eq!(office.outcome(1).await, Health::Unknown(Unknown::NoToken));
        assert!(office.asked.try_recv().is_err());
        office.ticket("1", Some("77"), 2);
        assert!(matches!(office.outcome(2).await, Health::Clear(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_budget_comes_back_with_time() {
        let mut office = office(Some((200, CLEAR)));
        office.settings.store(Arc::new(ProberSettings { budget_per_hour: 1, ..**office.settings.load() }));
        office.ticket("1", Some("77"), 1);
        assert!(matches!(office.outcome(1).await, Health::Clear(_)));
        office.ticket("1", Some("77"), 2);
        assert_eq!(office.outcome(2).await, Health::Unknown(Unknown::OverBudget));
        office.asked.recv().await.unwrap();
        assert!(office.asked.try_recv().is_err());
        tokio::time::advance(Duration::from_hours(1)).await;
        office.ticket("1", Some("77"), 3);
        assert!(matches!(office.outcome(3).await, Health::Clear(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_time_and_holds_up_nobody() {
        let mut office = office(None);
        let began = Instant::now();
        office.ticket("1", Some("77"), 1);
        office.asked.recv().await.unwrap();
        office.ticket("2", None, 2);
        assert_eq!(office.outcome(2).await, Health::Unknown(Unknown::NoToken));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(office.outcome(1).await, Health::Unknown(Unknown::NoAnswer));
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_the_rest_after_them() {
        let mut office = office(None);
        for lease in 0..65 {
            office.ticket("1", Some("77"), lease);
        }
        let began = Instant::now();
        for _ in 0..MAX_AT_ONCE {
            office.asked.recv().await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        office.asked.recv().await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10, "its time begins when it is asked");
    }

    #[tokio::test]
    async fn a_token_that_meta_calls_invalid_is_given_back() {
        let mut office = office(Some((401, DEAD_TOKEN)));
        office.learn("1");
        office.ticket("1", None, 1);
        assert_eq!(office.outcome(1).await, Health::Unknown(Unknown::TokenInvalid));
        office.ticket("1", None, 2);
        assert_eq!(office.outcome(2).await, Health::Unknown(Unknown::NoToken));
        // A configured one may have been mended by then.
        for lease in [3, 4] {
            office.ticket("1", Some("77"), lease);
            assert_eq!(office.outcome(lease).await, Health::Unknown(Unknown::TokenInvalid));
        }
    }

    #[tokio::test]
    async fn stopping_gives_up_what_is_under_way() {
        let mut office = office(None);
        office.ticket("1", Some("77"), 1);
        office.asked.recv().await.unwrap();
        office.stop.cancel();
        office.task.await.unwrap();
        office.given_up.await.unwrap_err();
        assert!(office.told.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_last_tickets_get_their_outcomes() {
        let mut office = office(Some((200, CLEAR)));
        office.ticket("1", Some("77"), 1);
        drop(office.tickets);
        office.task.await.unwrap();
        assert!(matches!(office.told.try_recv(), Ok((Purpose::Recovery(Lease(1)), Health::Clear(_)))));
    }
}
