//! The defaults: `sendfuse` without any configuration. `config/sendfuse.toml` says the same, and a test compares them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{
    Admin, Breaker, Config, HttpVersion, Log, LogFormat, Metrics, Mode, NoWebhooks, PinGuard, Probe, Proxy,
    Spread, Store, StoreKind, Upstream, Webhook,
};

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let seconds = Duration::from_secs;
        #[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
        let graph = Url::parse("https://graph.facebook.com").expect("a URL");
        Self {
            mode: Mode::Enforce,
            rules: Vec::new(),
            proxy: Proxy {
                listen: loopback(8080),
                tls: None,
                header_timeout: seconds(10),
                max_connections: 10_000,
                drain_timeout: seconds(10),
            },
            upstream: Upstream {
                url: graph,
                ca_file: None,
                connect_timeout: seconds(5),
                response_timeout: seconds(60),
                http: HttpVersion::Auto,
            },
            webhook: Webhook {
                listen: loopback(8081),
                path: "/webhook".to_owned(),
                app_secrets: Vec::new(),
                verify_token: None,
                relay_to: None,
                sources: Vec::new(),
                deaf_after: seconds(600),
            },
            admin: Admin { listen: loopback(8082), token: None, read_token: None },
            breaker: Breaker {
                trip_after: 1,
                min_open: seconds(60),
                half_open: true,
                trials_to_close: 1,
                trial_timeout: seconds(120),
                no_webhooks: NoWebhooks::Close,
                trial_grace: seconds(60),
                reject_status: 403,
                retry_after: false,
                skew: seconds(2),
                spread: Spread::Phone,
            },
            probe: Probe {
                interval: seconds(30),
                max_interval: seconds(900),
                timeout: seconds(10),
                borrow_token: true,
                tokens: BTreeMap::new(),
                budget_per_hour: 200,
                watch: None,
            },
            store: Store {
                kind: StoreKind::Embedded,
                path: PathBuf::from("data"),
                commit_timeout: Duration::from_millis(250),
            },
            pin_guard: PinGuard { max_attempts: 2 },
            metrics: Metrics { max_phones: 1000 },
            log: Log { format: LogFormat::Text },
        }
    }
}
