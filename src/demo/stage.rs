//! The stage: a simulated Meta over TLS, and a real sendfuse before it.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::app::{Addresses, App};
use crate::config::{Config, Secret, Store, StoreKind};
use crate::simulator::{Listening, Options, Protocols, Simulator};

/// The app's numbers, A, A2 and B. The shipped timeline of the demo is about them: it puts A and A2 into [`ACCOUNT`]; B has
/// another one.
pub(super) const PHONES: [&str; 3] = ["106540352242922", "106540352242923", "206540352242922"];
/// The account of A and A2.
pub(super) const ACCOUNT: &str = "806540352242923";
/// That of B.
const OTHER_ACCOUNT: &str = "202290129340398";

/// How long a breaker stays open at least. Within it, a send is sure to be rejected.
pub(super) const MIN_OPEN: Duration = Duration::from_secs(4);
/// From acceptance to `sent` or `failed`, and on to `delivered`.
const STATUS_DELAY: Duration = Duration::from_secs(1);

/// All that runs.
pub(super) struct Stage {
    /// The simulated Meta.
    pub(super) meta: Simulator,
    /// Where sendfuse is.
    pub(super) at: Addresses,
    stop: CancellationToken,
    running: JoinHandle<Result<(), crate::app::Died>>,
    _meta_listens: Listening,
    /// The certificate and the store; gone with it.
    _directory: TempDir,
}

impl Stage {
    pub(super) async fn set_up() -> Result<Self, Failure> {
        let meta = Simulator::new(Options {
            status_delay: STATUS_DELAY,
            phones: PHONES.map(|phone| (phone.to_owned(), OTHER_ACCOUNT.to_owned())).into(),
            accept_any_phone: false,
            record: 0,
            ..Options::default()
        });
        let directory = TempDir::with_prefix("sendfuse-demo-").map_err(cannot)?;
        let meta_listens = meta.listen_tls(any_port(), Protocols::Both).await.map_err(cannot)?;
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, meta.ca_pem().map_err(cannot)?).map_err(cannot)?;

        let mut config = config();
        let url = format!("https://{}", meta_listens.addr);
        config.upstream.url = url.parse().map_err(cannot)?;
        config.upstream.ca_file = Some(ca_file);
        config.store.path = directory.path().join("data");
        let path = config.webhook.path.clone();
        let app = App::start(config).await.map_err(cannot)?;
        let at = app.addresses();
        meta.set_webhook_url(Some(format!("http://{}{path}", at.webhook)));
        let stop = CancellationToken::new();
        let running = tokio::spawn(app.run(stop.clone()));
        Ok(Self { meta, at, stop, running, _meta_listens: meta_listens, _directory: directory })
    }

    /// Ends all of it.
    pub(super) async fn tear_down(self) {
        self.stop.cancel();
        // It has run to its end, or panicked: over in both cases.
        let _over = self.running.await;
    }
}

/// The defaults, but for the places, and faster.
fn config() -> Config {
    let (defaults, meta) = (Config::default(), Options::default());
    let seconds = Duration::from_secs;
    let mut config = Config {
        store: Store { kind: StoreKind::Embedded, commit_timeout: seconds(2), ..defaults.store.clone() },
        ..defaults
    };
    config.proxy.listen = any_port();
    config.proxy.drain_timeout = seconds(1);
    config.webhook.listen = any_port();
    config.webhook.app_secrets = vec![Secret::new(meta.app_secret)];
    config.webhook.verify_token = Some(Secret::new(meta.verify_token));
    config.admin.listen = any_port();
    config.breaker.min_open = MIN_OPEN;
    config.breaker.trial_timeout = seconds(5);
    config.probe.interval = seconds(1);
    config.probe.max_interval = seconds(2);
    config
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn cannot(error: impl Display) -> Failure {
    Failure::Stage(error.to_string())
}
