//! The composition root: a configuration becomes wired parts, and the parts run until they are told to stop.
//!
//! [`App::start`] takes everything that can fail (ports, certificates, the store), so that a start is refused as a whole;
//! [`App::run`] only ends by `stop`. [`Wired`] is the program without its sockets: tests drive it over memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use crate::admin::{self, Access, Admin};
use crate::body::{RequestBody, ResponseBody};
use crate::breaker::{NoWebhooks, Policy};
use crate::breakers::{Breakers, Clears, ProbeTicket, Reach, Rule, Settings, Timers, Watching};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::error::ProxyError;
use crate::graph::class::Class;
use crate::pin::Attempts;
use crate::prober::{Ask, Prober, ProberSettings, TokenSettings, Tokens, watching_share};
use crate::server::descriptors::Shares;
use crate::server::{self, BindError, CertsError, Listener, Options, TlsCerts};
use crate::stack::{Rejecting, SendPath};
use crate::store::embedded::{Embedded, OpenError};
use crate::store::memory::Memory;
use crate::store::{Store, StoreError};
use crate::telemetry::events::{StoreEvent, WebhookEvent};
use crate::telemetry::{Scrape, Telemetry};
use crate::upstream::{HttpVersion, SetupError, Upstream, UpstreamOptions};
use crate::webhook::{Relay, Source, WebhookService, WebhookSettings};

/// Why sendfuse did not start. One line each, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port is taken, or not ours to take.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate of the TLS listener cannot be used.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// The way to upstream cannot be set up.
    #[error(transparent)]
    Upstream(#[from] SetupError),
    /// The data directory cannot be used, or its file is damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store's content cannot be understood.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartError {
    /// Whether the configuration is to blame, and not what it met.
    pub const fn is_the_configurations(&self) -> bool {
        matches!(self, Self::Certs(_) | Self::Upstream(_))
    }
}

/// Everything but the sockets. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Wired {
    /// The breakers.
    pub breakers: Breakers,
    /// The send path.
    pub send_path: SendPath,
    /// The webhook listener's service.
    pub webhook: WebhookService<Breakers>,
    telemetry: Telemetry,
    upstream: Arc<ArcSwap<Upstream>>,
    tokens: Arc<Tokens>,
    prober: Arc<ArcSwap<ProberSettings>>,
    webhook_settings: Arc<ArcSwap<WebhookSettings>>,
    admin: Arc<ArcSwap<Router>>,
    config: Arc<ArcSwap<Config>>,
    draining: Arc<AtomicBool>,
}

/// The tasks that a [`Wired`] needs to live.
pub struct Tasks {
    timers: Timers,
    prober: Prober<Probed, Breakers>,
    tickets: mpsc::UnboundedReceiver<ProbeTicket>,
}

impl Tasks {
    /// Runs them until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.timers.run(stop.clone()), self.prober.run(self.tickets, stop));
    }
}

impl Wired {
    /// Wires the parts. Must be called within a tokio runtime.
    pub fn new(
        config: Config,
        upstream: Upstream,
        store: Arc<dyn Store>,
        telemetry: Telemetry,
        clock: Clock,
    ) -> Result<(Self, Tasks), StartError> {
        let (breakers, timers, tickets) = Breakers::open(store, settings(&config), telemetry.clone(), clock)?;
        let upstream = Arc::new(ArcSwap::from_pointee(upstream));
        let tokens = Arc::new(Tokens::new(token_settings(&config)));
        let known = Arc::clone(&tokens);
        breakers.watch_with(move |phone, waba| known.has(phone, waba));
        let prober = Arc::new(ArcSwap::from_pointee(prober_settings(&config)));
        let send_path = SendPath::new(
            Arc::clone(&upstream),
            breakers.clone(),
            Arc::clone(&tokens),
            telemetry.clone(),
            rejecting(&config),
        );
        let webhook_settings = Arc::new(ArcSwap::from_pointee(webhook_settings(&config)));
        let counter = telemetry.clone();
        let webhook = WebhookService::new(
            Arc::clone(&webhook_settings),
            breakers.clone(),
            Relay::new(None)?,
            Arc::new(move |result| counter.emit(WebhookEvent { result })),
        );
        let tasks = Tasks {
            timers,
            prober: Prober::new(
                Probed(Arc::clone(&upstream)),
                breakers.clone(),
                Arc::clone(&tokens),
                Arc::clone(&prober),
            ),
            tickets,
        };
        let wired = Self {
            breakers,
            send_path,
            webhook,
            telemetry,
            upstream,
            tokens,
            prober,
            webhook_settings,
            admin: Arc::default(),
            config: Arc::new(ArcSwap::from_pointee(config)),
            draining: Arc::default(),
        };
        wired.admin.store(Arc::new(wired.admin_router()));
        Ok((wired, tasks))
    }

    /// The admin listener's service. Follows reloads.
    pub fn admin(
        &self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<axum::body::Body>,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static {
        let router = Arc::clone(&self.admin);
        tower::service_fn(move |request: Request<Incoming>| {
            Router::clone(&router.load()).oneshot(request.map(axum::body::Body::new))
        })
    }

    /// Where events are counted.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What Prometheus is told.
    pub fn metrics(&self) -> String {
        scrape(&self.breakers, &self.telemetry, self.config.load().metrics.max_phones)
    }

    /// Takes another configuration over, as far as a running process can. Breakers keep their state.
    pub fn reload(&self, new: Config) -> Result<(), StartError> {
        let upstream = Upstream::new(&upstream_options(&new))?;
        self.breakers.reload(settings(&new));
        self.tokens.replace(token_settings(&new));
        self.prober.store(Arc::new(prober_settings(&new)));
        self.webhook_settings.store(Arc::new(webhook_settings(&new)));
        self.upstream.store(Arc::new(upstream));
        self.send_path.reload(rejecting(&new));
        self.config.store(Arc::new(new));
        self.admin.store(Arc::new(self.admin_router()));
        Ok(())
    }

    fn admin_router(&self) -> Router {
        let config = self.config.load();
        let secret =
            |secret: &Option<config::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let (token, read_token) = (secret(&config.admin.token), secret(&config.admin.read_token));
        // Not `self`, which holds the router: nothing that holds the store may live in a circle.
        let (breakers, telemetry) = (self.breakers.clone(), self.telemetry.clone());
        let (shown, draining) = (Arc::clone(&self.config), Arc::clone(&self.draining));
        let most = config.metrics.max_phones;
        admin::router(Admin {
            control: self.breakers.clone(),
            access: Access::new(token.as_deref(), read_token.as_deref()),
            ready: Arc::new(move || match draining.load(Ordering::Relaxed) {
                true => Err("draining: the process is about to stop".to_owned()),
                false => Ok(()),
            }),
            metrics: Arc::new(move || scrape(&breakers, &telemetry, most)),
            config: Arc::new(move || shown.load().to_json_redacted()),
        })
    }
}

fn scrape(breakers: &Breakers, telemetry: &Telemetry, most: usize) -> String {
    let counted = breakers.counts(most);
    telemetry.render(&Scrape {
        breakers: counted.states,
        phones: counted.held,
        deaf: counted.deaf,
        contradictions: counted.contradictions,
    })
}

/// A sendfuse that has all it needs, and can no longer fail to start.
pub struct App {
    wired: Wired,
    tasks: Tasks,
    proxy: (Listener, Options),
    webhook: (Listener, Options),
    admin: (Listener, Options),
    disk: Option<Arc<Embedded>>,
}

type StoreHealth = tokio::sync::watch::Receiver<Result<(), StoreError>>;

/// The tasks that probe and keep time ended by a fault of ours.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the tasks that watch over recovery ended by a fault inside; start again, nothing is lost")]
pub struct Died;

/// Where a running sendfuse can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The send path.
    pub proxy: SocketAddr,
    /// Webhooks.
    pub webhook: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
}

impl App {
    /// Whether a configuration can be used, as far as that can be told without taking anything: its certificates and
    /// authorities are read.
    pub fn check(config: &Config) -> Result<(), StartError> {
        Upstream::new(&upstream_options(config))?;
        if let Some(tls) = &config.proxy.tls {
            TlsCerts::load(&tls.cert, &tls.key)?;
        }
        Ok(())
    }

    /// Takes the ports, opens the store, wires the parts. Nothing is answered before [`App::run`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let upstream = Upstream::new(&upstream_options(&config))?;
        let tls = match &config.proxy.tls {
            Some(tls) => Some(Arc::new(TlsCerts::load(&tls.cert, &tls.key)?)),
            None => None,
        };
        let wanted = config.proxy.max_connections;
        let shares = Shares::of_this_process(wanted);
        let send = Options {
            tls,
            header_timeout: config.proxy.header_timeout,
            max_connections: shares.sends,
            drain_timeout: config.proxy.drain_timeout,
            ..Options::default()
        };
        let other = |max_connections| Options { tls: None, max_connections, ..send.clone() };
        let (for_webhooks, for_admin) = (other(shares.webhooks), other(shares.admin));
        let proxy = (server::bind(config.proxy.listen).await?, send);
        let webhook = (server::bind(config.webhook.listen).await?, for_webhooks);
        let admin = (server::bind(config.admin.listen).await?, for_admin);
        let (store, disk) = open_store(&config)?;
        let (wired, tasks) = Wired::new(config, upstream, store, Telemetry::new(), Clock::System)?;
        // Now that nothing else can fail: a start that fails says why in one line.
        if shares.sends < wanted {
            tracing::info!(
                wanted,
                possible = shares.sends,
                "proxy.max_connections takes more open files than this process may have (ulimit -n, LimitNOFILE)"
            );
        }
        Ok(Self { wired, tasks, proxy, webhook, admin, disk })
    }

    /// Where it listens, with the real ports where 0 was asked for.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            proxy: self.proxy.0.local_addr(),
            webhook: self.webhook.0.local_addr(),
            admin: self.admin.0.local_addr(),
        }
    }

    /// A handle on the parts.
    pub fn wired(&self) -> Wired {
        self.wired.clone()
    }

    /// The certificates of the TLS listener, to be replaced on a reload.
    pub fn certificates(&self) -> Option<Arc<TlsCerts>> {
        self.proxy.1.tls.clone()
    }

    /// Answers until `stop`. Then: not ready, no new connection, open requests end within `proxy.drain_timeout`, sends whose
    /// app has hung up reach their verdict, and last of all the admin listener and the probes stop.
    ///
    /// Fails if the tasks that watch over recovery died: without them nothing would ever close, so the process had better
    /// start anew. What it knows is on disk.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Died> {
        let Self { wired, tasks, proxy, webhook, admin, disk } = self;
        let (stop_last, others) = (CancellationToken::new(), TaskTracker::new());
        let tasks = tokio::spawn(tasks.run(stop_last.clone()));
        let stop_if_it_dies = stop.clone();
        let watch = others.spawn(async move {
            let died = tasks.await.is_err();
            if died {
                stop_if_it_dies.cancel();
            }
            died
        });
        let admin_service = wired.admin();
        others.spawn(server::serve(admin.0, admin.1, move |_| admin_service.clone(), stop_last.clone()));
        if let Some(disk) = &disk {
            let (breakers, telemetry) = (wired.breakers.clone(), wired.telemetry.clone());
            others.spawn(follow_store(disk.health(), breakers, telemetry, stop_last.clone()));
        }
        others.close();
        let draining = Arc::clone(&wired.draining);
        let (send_path, webhook_service) = (wired.send_path.clone(), wired.webhook.clone());
        let drain_timeout = proxy.1.drain_timeout;
        tokio::join!(
            async {
                stop.cancelled().await;
                draining.store(true, Ordering::Relaxed);
            },
            server::serve(proxy.0, proxy.1, |connection| send_path.service(connection), stop.clone()),
            server::serve(webhook.0, webhook.1, move |_| webhook_service.clone(), stop.clone()),
        );
        if tokio::time::timeout(drain_timeout, wired.send_path.finish()).await.is_err() {
            tracing::warn!("sends whose app has hung up are still without an answer; giving them up");
        }
        stop_last.cancel();
        others.wait().await;
        if let Some(disk) = disk
            && let Err(error) = disk.flush().await
        {
            tracing::error!(%error, "the last changes are not stored");
        }
        match watch.await {
            Ok(false) => Ok(()),
            Ok(true) | Err(_) => Err(Died),
        }
    }
}

/// Keeps `store_up` and `not_durable` true to the disk, also while no breaker moves.
async fn follow_store(
    mut health: StoreHealth,
    breakers: Breakers,
    telemetry: Telemetry,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = health.changed() => if changed.is_err() { return },
        }
        let state = health.borrow_and_update().clone();
        // What had failed is in by now: the store repeats it until it is.
        if state.is_ok() && breakers.stored() {
            continue;
        }
        telemetry.emit(StoreEvent { error: state.as_ref().err().map(|error| error.0.as_str()) });
    }
}

/// The store, and once more as the disk's file if it is one.
type Opened = (Arc<dyn Store>, Option<Arc<Embedded>>);

fn open_store(config: &Config) -> Result<Opened, StartError> {
    Ok(match config.store.kind {
        config::StoreKind::Memory => (Arc::new(Memory), None),
        config::StoreKind::Embedded => {
            let store = Arc::new(Embedded::open(&config.store.path)?);
            (Arc::clone(&store) as Arc<dyn Store>, Some(store))
        }
    })
}

/// Upstream as the prober asks it: the way that is in force when it asks.
struct Probed(Arc<ArcSwap<Upstream>>);

impl Ask for Probed {
    type Body = ResponseBody;

    async fn ask(&self, request: Request<()>) -> Result<Response<ResponseBody>, ProxyError> {
        let upstream = self.0.load_full();
        upstream.send(request.map(|()| RequestBody::empty())).await
    }
}

/// What of the configuration upstream is made from.
pub fn upstream_options(config: &Config) -> UpstreamOptions {
    let upstream = &config.upstream;
    UpstreamOptions {
        url: upstream.url.as_str().parse().unwrap_or_default(),
        ca_file: upstream.ca_file.clone(),
        connect_timeout: upstream.connect_timeout,
        response_timeout: upstream.response_timeout,
        http: match upstream.http {
            config::HttpVersion::Auto => HttpVersion::Auto,
            config::HttpVersion::Http1 => HttpVersion::Http1,
            config::HttpVersion::Http2 => HttpVersion::Http2,
        },
    }
}

/// A probe's lease is this much longer than its time-out, for what is around the call.
const PROBE_SLACK: std::time::Duration = std::time::Duration::from_secs(5);

fn settings(config: &Config) -> Settings {
    let (breaker, probe) = (&config.breaker, &config.probe);
    Settings {
        observe: config.mode == config::Mode::Observe,
        policy: Policy {
            trip_after: breaker.trip_after,
            min_open: breaker.min_open,
            half_open: breaker.half_open,
            trials_to_close: breaker.trials_to_close,
            trial_timeout: breaker.trial_timeout,
            no_webhooks: match breaker.no_webhooks {
                config::NoWebhooks::Close => NoWebhooks::Close,
                config::NoWebhooks::Hold => NoWebhooks::Hold,
            },
            trial_grace: breaker.trial_grace,
            skew: breaker.skew,
            probe_interval: probe.interval,
            probe_max_interval: probe.max_interval,
            probe_lease: probe.timeout + PROBE_SLACK,
        },
        spread: config.breaker.spread == config::Spread::Waba,
        rules: config.rules.iter().map(rule).collect(),
        commit_timeout: config.store.commit_timeout,
        // Statuses come from Meta itself only: who has but forwarders hears of accounts, and expects no status.
        deaf_after: (!config.webhook.app_secrets.is_empty()).then_some(config.webhook.deaf_after),
        pin_attempts: Attempts::new(config.pin_guard.max_attempts),
        watching: Watching { interval: probe.watch, most_per_hour: watching_share(probe.budget_per_hour) },
    }
}

fn rule(rule: &config::Rule) -> Rule {
    Rule {
        code: rule.code,
        reach: match rule.scope {
            config::RuleScope::Phone => Reach::Phone,
            config::RuleScope::Waba => Reach::Waba,
            config::RuleScope::PhoneCountry => Reach::PhoneCountry,
            config::RuleScope::Token => Reach::Token,
        },
        class: match rule.extent {
            config::RuleExtent::All => None,
            config::RuleExtent::BusinessInitiated => Some(Class::BusinessInitiated),
            config::RuleExtent::CustomerInitiated => Some(Class::CustomerInitiated),
        },
        clears: match rule.clears {
            config::Clears::Probe => Clears::Probe,
            config::Clears::Time(time) => Clears::Time(time),
            config::Clears::Both(time) => Clears::Both(time),
        },
    }
}

fn token_settings(config: &Config) -> TokenSettings {
    let tokens = config.probe.tokens.iter();
    TokenSettings {
        tokens: tokens.map(|(id, secret)| (id.clone(), SecretString::from(secret.expose()))).collect(),
        borrow: config.probe.borrow_token,
    }
}

fn prober_settings(config: &Config) -> ProberSettings {
    ProberSettings { timeout: config.probe.timeout, budget_per_hour: config.probe.budget_per_hour }
}

fn webhook_settings(config: &Config) -> WebhookSettings {
    let webhook = &config.webhook;
    WebhookSettings {
        path: webhook.path.clone(),
        app_secrets: webhook.app_secrets.iter().map(|secret| SecretString::from(secret.expose())).collect(),
        verify_token: webhook.verify_token.as_ref().map(|token| SecretString::from(token.expose())),
        relay_to: webhook.relay_to.clone(),
        sources: webhook.sources.iter().map(source).collect(),
    }
}

fn source(source: &config::WebhookSource) -> Source {
    Source {
        name: source.name.clone(),
        path: source.path.clone(),
        header: source.header.clone(),
        secret: SecretString::from(source.secret.expose()),
    }
}

fn rejecting(config: &Config) -> Rejecting {
    // The configuration allows only what is a status.
    let status = StatusCode::from_u16(config.breaker.reject_status).unwrap_or(StatusCode::FORBIDDEN);
    Rejecting { status, retry_after: config.breaker.retry_after }
}

/// The store's file, as it is told to operators.
pub fn store_file(config: &Config) -> Option<PathBuf> {
    (config.store.kind == config::StoreKind::Embedded)
        .then(|| config.store.path.join(crate::store::embedded::FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever drops the program wants its store written and its file let go.
    #[tokio::test]
    async fn nothing_of_it_outlives_it() {
        let (config, store) = (Config::default(), Arc::new(Memory));
        let upstream = Upstream::new(&upstream_options(&config)).unwrap();
        let kept = Arc::downgrade(&store);
        let made = Wired::new(config.clone(), upstream, store, Telemetry::new(), Clock::System);
        let (wired, tasks) = made.unwrap();
        wired.reload(config).unwrap();
        drop((wired, tasks));
        assert!(kept.upgrade().is_none());
    }
}
