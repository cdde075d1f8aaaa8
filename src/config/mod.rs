//! The configuration: what the user said, checked, as plain values.
//!
//! The fields of [`Config`] are named as the keys of the file are. [`Config::load`] lays the environment over the file
//! over the defaults and names every mistake at once. `config/sendfuse.toml` documents each key.
//!
//! Keys of features that this version does not have are read, and refused unless they have their default.
//! They are shown, but have no field.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

mod code_rules;
mod defaults;
pub mod duration;
mod load;
mod problem;
mod read;
mod redact;
mod rules;
mod secret;
mod secrets;
mod sources;
mod watch;

pub use code_rules::{Clears, Rule, RuleExtent, RuleScope};
pub use load::environment;
pub use problem::{Problem, Problems};
pub use secret::Secret;
pub use watch::{Cause, Watcher};

/// Everything that can be configured. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether open breakers reject.
    pub mode: Mode,
    /// `[[rule]]`: what else than a lock opens breakers; at most 64, each for another code.
    pub rules: Vec<Rule>,
    /// The send path's listener.
    pub proxy: Proxy,
    /// Graph.
    pub upstream: Upstream,
    /// The webhook listener.
    pub webhook: Webhook,
    /// The admin listener.
    pub admin: Admin,
    /// When breakers move.
    pub breaker: Breaker,
    /// Health checks.
    pub probe: Probe,
    /// Where state is kept.
    pub store: Store,
    /// PINs that Meta has refused.
    pub pin_guard: PinGuard,
    /// What is measured.
    pub metrics: Metrics,
    /// How logs look.
    pub log: Log,
}

/// Whether open breakers reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// Everything is computed, recorded and counted; nothing is rejected.
    Observe,
}

/// `[proxy]`: the send path's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it listens.
    pub listen: SocketAddr,
    /// For apps that insist on https.
    pub tls: Option<Tls>,
    /// How long a client may take for the head of its request.
    pub header_timeout: Duration,
    /// The most connections at one time; 1 to 1,000,000.
    pub max_connections: usize,
    /// How long requests in flight may take to end when the process is told to stop.
    pub drain_timeout: Duration,
}

/// A certificate and its key: PEM files, readable when the configuration was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[upstream]`: Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `http` or `https`, a host, perhaps a port; nothing else.
    pub url: Url,
    /// PEM file with the authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest silence in either direction.
    pub response_timeout: Duration,
    /// The version to speak.
    pub http: HttpVersion,
}

/// An HTTP version to speak to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// What the upstream offers (ALPN); HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without TLS by prior knowledge.
    Http2,
}

/// `[webhook]`: the listener that faces the internet.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path of the callback URL: begins with `/`, then letters, digits and `-._~/`.
    pub path: String,
    /// Any of them may have signed. None: every post is refused.
    pub app_secrets: Vec<Secret>,
    /// What Meta says in the handshake. None: handshakes are refused, unless they are relayed.
    pub verify_token: Option<Secret>,
    /// The app's own endpoint. Its query may be a secret.
    pub relay_to: Option<Url>,
    /// Who else may post.
    pub sources: Vec<WebhookSource>,
    /// Sends without any status for that long mean that we are deaf.
    pub deaf_after: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("listen", &self.listen)
            .field("path", &self.path)
            .field("app_secrets", &self.app_secrets)
            .field("verify_token", &self.verify_token)
            .field("relay_to", &self.relay_to.as_ref().map(redact::url))
            .field("sources", &self.sources)
            .field("deaf_after", &self.deaf_after)
            .finish()
    }
}

/// `[[webhook.source]]`: a forwarder that signs with a secret of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSource {
    /// What it is called in logs. No two sources share it.
    pub name: String,
    /// Where it posts to: as [`Webhook::path`], and no other's.
    pub path: String,
    /// The header that its signature is in.
    pub header: HeaderName,
    /// What it signs with.
    pub secret: Secret,
}

/// `[admin]`: the listener for operators and Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens: loopback, unless there is a `token`.
    pub listen: SocketAddr,
    /// May do everything.
    pub token: Option<Secret>,
    /// May look. Only beside `token`, and another than it.
    pub read_token: Option<Secret>,
}

/// `[breaker]`: when breakers move, and what the rejected are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many locks trip; 1 to 1,000.
    pub trip_after: u32,
    /// An open breaker stays open for at least this.
    pub min_open: Duration,
    /// Whether trials come before a close.
    pub half_open: bool,
    /// So many confirmed trials close; 1 to 1,000.
    pub trials_to_close: u32,
    /// How long a trial may take to report.
    pub trial_timeout: Duration,
    /// What a trial without any status means where no webhook was ever seen.
    pub no_webhooks: NoWebhooks,
    /// How long a trial must go without failure before [`NoWebhooks::Close`] closes.
    pub trial_grace: Duration,
    /// The status of a rejection: a 4xx that no client takes for "try again" or "log in again".
    pub reject_status: u16,
    /// Whether a rejection has a `retry-after`.
    pub retry_after: bool,
    /// How far Meta's clock and ours may be apart.
    pub skew: Duration,
    /// What one number's lock stops.
    pub spread: Spread,
}

/// What one number's lock stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// That number.
    Phone,
    /// All numbers of its account.
    Waba,
}

/// What closes a half-open breaker where no webhook was ever seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWebhooks {
    /// An accepted trial and `trial_grace` without failure.
    Close,
    /// Nothing but an operator.
    Hold,
}

/// `[probe]`: health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Between the first two; then it backs off. At most `max_interval`.
    pub interval: Duration,
    /// The back-off's ceiling.
    pub max_interval: Duration,
    /// How long Meta may take to answer.
    pub timeout: Duration,
    /// Whether the last token that worked for a phone may be used for its probes.
    pub borrow_token: bool,
    /// Tokens by phone or WABA id, 1 to 20 digits.
    pub tokens: BTreeMap<String, Secret>,
    /// The most probes in an hour; 1 to 1,000,000.
    pub budget_per_hour: u32,
    /// Phones that send are looked at this often, at least a minute apart. None: only deaf ones are.
    pub watch: Option<Duration>,
}

/// `[store]`: where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Which store.
    pub kind: StoreKind,
    /// The embedded store's directory.
    pub path: PathBuf,
    /// How long a trip's answer waits for its commit.
    pub commit_timeout: Duration,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A crash-safe file, for one process.
    Embedded,
    /// Nothing is kept; for tests.
    Memory,
}

/// `[pin_guard]`: two-step PINs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinGuard {
    /// So many different refused PINs in a row hold the next; 1 to 10.
    pub max_attempts: usize,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The most phones that have a series of their own; 0 to 1,000,000.
    pub max_phones: usize,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The keys whose change from `self` to `new` takes a restart: what is listened on, and the store. Everything else
    /// can be taken over by a running process.
    pub fn needs_restart_for(&self, new: &Self) -> Vec<&'static str> {
        [
            ("proxy.listen", self.proxy.listen != new.proxy.listen),
            // Other certificates are read again; a listener that begins or ends to speak TLS is another listener.
            ("proxy.tls", self.proxy.tls.is_some() != new.proxy.tls.is_some()),
            ("webhook.listen", self.webhook.listen != new.webhook.listen),
            ("admin.listen", self.admin.listen != new.admin.listen),
            ("store.kind", self.store.kind != new.store.kind),
            ("store.path", self.store.path != new.store.path),
            ("store.commit_timeout", self.store.commit_timeout != new.store.commit_timeout),
        ]
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_and_the_store_need_a_restart() {
        let old = Config::default();
        let mut new = old.clone();
        new.mode = Mode::Observe;
        new.rules = vec![Rule {
            code: 131_048,
            scope: RuleScope::Phone,
            extent: RuleExtent::All,
            clears: Clears::Probe,
        }];
        new.webhook.path = "/elsewhere".to_owned();
        new.breaker.min_open = Duration::from_secs(1);
        assert_eq!(old.needs_restart_for(&new), Vec::<&str>::new());
        new.admin.listen.set_port(9);
        new.store.kind = StoreKind::Memory;
        new.proxy.tls = Some(Tls { cert: "c".into(), key: "k".into() });
        assert_eq!(old.needs_restart_for(&new), ["proxy.tls", "admin.listen", "store.kind"]);
        let with_other_certificate = Config {
            proxy: Proxy { tls: Some(Tls { cert: "d".into(), key: "k".into() }), ..new.proxy.clone() },
            ..new.clone()
        };
        assert_eq!(new.needs_restart_for(&with_other_certificate), Vec::<&str>::new());
    }
}
