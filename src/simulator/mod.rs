//! A Meta of our own: enough of the WhatsApp Cloud API to work, test and measure against, with locks at the turn of a switch.
//!
//! | file | subject |
//! |---|---|
//! | `listen`, `wire`, `tls` | connections: sockets, any other IO, certificates of our own |
//! | `http`, `carry` | one request: read, record, carry out, answer with the faults that are set |
//! | `nodes` | which node and edge a path names, and who may ask |
//! | `fields`, `numbers` | reads of a node's fields, and of a WABA's phones |
//! | `batch` | up to fifty operations in one request |
//! | `sends`, `registration`, `media`, `subscriptions` | the edges |
//! | `lock`, `accounts` | how locks behave: of a phone, of a WABA and all its phones |
//! | `statuses` | what is told of an accepted message, and when |
//! | `events` | what is told of accounts, in all the shapes that it comes in |
//! | `webhooks` | how all that is delivered to the callback: signed, repeated, retried |
//! | `health` | health status answers |
//! | `faults` | what goes wrong on the wire |
//! | `timeline` | scripts: what happens when; those that are shipped are in `timelines` |
//! | `control` | all of it over HTTP, under `/_simulator/` (open to whoever can connect) |
//!
//! It reads its time from tokio and from the [`Clock`] it is given, so it runs under a paused runtime too. What it
//! decides by chance comes from a seed.
//!
//! # Where it is not like Meta
//!
//! - A batch's operations are carried out one after the other in their order; one can only depend on those before it. Of JSONPath there
//!   are names, indexes and `*`. Files are not attached, batches do not nest, and the words of its errors are ours. A stalled or
//!   reset operation is a `null`.
//! - No `method` override, no `appsecret_proof`, no rate limits and no management quota.
//! - Tokens: any that begins with `EAA` is good for everything, unless [`Options::tokens`] names the good ones.
//! - A content type that is neither form nor multipart is read as JSON if it looks like it. Recipients, templates and
//!   media ids of a send are not looked up; the object that belongs to `type` only has to be there.
//! - Any `wamid.…` can be marked as read. Nothing comes in from users.
//! - A webhook carries one status. `X-Hub-Signature` (SHA-1) is not sent. `conversation` is never there (as from v24).
//! - A plain `subscribed_apps` does the handshake too, and webhooks flow without any subscription.
//! - PIN limits that Meta does not document are ours: see `registration`. No code is ever sent by SMS.
//! - A WABA that is deleted or offboarded can be read as before; one that is restricted says ACTIVE and APPROVED, as a real one did.
//! - A page of `phone_numbers` has 25 if nobody says, in the order of ids; `next` and `previous` have no token in them.
//! - Which codes go with SIP on the app is made up beyond their numbers (138025, 138026).
//! - Account events have `object` before `entry`, and their members in the documented order, unless told otherwise; the fields of a
//!   `value` come in alphabetical order. For fields of which Meta shows no sample, the value is ours.
//! - A lock's synchronous answer is assembled from the documentation; nobody has published one. A ban's sends are
//!   answered like that as well.
//! - Of a new number under review it is known that its WABA says PENDING, and that its sends are accepted and fail. The rest is
//!   ours: name PENDING_REVIEW, quality UNKNOWN, business not_verified, on the business app, and health LIMITED for the
//!   missing verification (141010).
//! - It does not know who has written to whom when: after a lock with a wave of 131047, chance says whose window is closed.
//! - How long statuses take is evenly spread over the range that is set; nobody has published how long Meta's take.
//! - The media URL points back at the simulator. What is uploaded is counted, not kept: a download is made-up bytes of
//!   the same length. The fields beside the file are not looked at.
//! - Downloads are never encoded, halved or cut in pieces; `Stall`, `Reset`, `Delay` and `Error` work on them.
//! - A phone can be named that Meta would not have issued, and there is no memory limit: it is for tests, not for strangers.
//! - Answers come in the order br, gzip, deflate, zstd of what the client accepts; weights other than 0 are not compared.
//! - JSON members come in alphabetical order (but for errors). Header names are lower-case in HTTP/1.1 too.
//! - `Date` is the machine's even under a paused clock.
//! - Nested field expansion (`fields=a{b}`) is an unknown field.

mod accounts;
mod answer;
mod batch;
mod carry;
mod control;
mod delay;
mod encoding;
mod events;
mod faults;
mod fields;
mod health;
mod http;
mod listen;
mod lock;
mod media;
mod nodes;
mod numbers;
mod params;
mod record;
mod registration;
mod sends;
mod state;
mod statuses;
mod subscriptions;
mod timeline;
mod tls;
mod webhooks;
mod wire;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::clock::Clock;

pub use control::switches;
pub use delay::{Delay, MalformedDelay};
pub use encoding::Encoding;
pub use events::{BanState, EntryId, Event, Expiration, News, NumberIn, Shape};
pub use faults::{Fault, FaultRule, Requests};
pub use health::{Entity, Health};
pub use listen::{Listening, Protocols};
pub use lock::{AccountLock, Lock, Profile, Reason};
pub use record::{Counts, PhoneCounts, Recorded};
pub use timeline::{SHIPPED, Timeline, TimelineError, UnknownPhones};
pub use webhooks::{Deliver, Delivery, Forwarder};

use state::State;

/// The phone number id of Meta's own examples.
pub const PHONE: &str = "106540352242922";
/// The WABA of [`PHONE`].
pub const WABA: &str = "102290129340398";
/// The business portfolio of every WABA here.
pub const BUSINESS: &str = "506914307656634";
/// The business portfolio of a partner, whose id some account events have.
pub const PARTNER: &str = "980198427658004";
/// The app of every token here.
pub const APP: &str = "634974688087057";

/// What a simulated Meta is like. `Options::default()` is a healthy one that accepts everything and calls nobody back.
#[derive(Clone)]
pub struct Options {
    /// Webhooks are signed with it.
    pub app_secret: String,
    /// Handshakes carry it.
    pub verify_token: String,
    /// The app's callback; without one no webhook is sent. Can be changed later: [`Simulator::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// How webhooks and handshakes are delivered. Without one: plain HTTP over real sockets.
    pub deliver: Option<Deliver>,
    /// From acceptance to `sent` or `failed`, and from each status to the next. Can be changed later, to a range too:
    /// [`Simulator::set_status_delay`].
    pub status_delay: Duration,
    /// How many of 100 messages are read after they were delivered.
    pub read_percent: u8,
    /// How many of 100 webhooks are delivered twice.
    pub duplicate_percent: u8,
    /// Of how many of 100 messages `delivered` comes before `sent`.
    pub reorder_percent: u8,
    /// What chance starts from.
    pub seed: u64,
    /// Phones and their WABAs.
    pub phones: Vec<(String, String)>,
    /// Whether every other id of 15 to 17 digits is a phone too, with a WABA of its own (`8` instead of its first digit).
    pub accept_any_phone: bool,
    /// The good access tokens; empty: all that begin with `EAA`.
    pub tokens: Vec<String>,
    /// Whether answers are compressed when the client accepts it, as Meta does.
    pub compress: bool,
    /// How many requests [`Simulator::recorded`] keeps. Zero saves hashing their bodies.
    pub record: usize,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            app_secret: "simulated-app-secret".into(),
            verify_token: "vibecoding".into(),
            webhook_url: None,
            deliver: None,
            status_delay: Duration::from_millis(500),
            read_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            seed: 1,
            phones: vec![(PHONE.into(), WABA.into())],
            accept_any_phone: true,
            tokens: Vec::new(),
            compress: true,
            record: 256,
            clock: Clock::System,
        }
    }
}

/// A handle on one simulated Meta; clones are handles on the same one. Dropping the last ends the webhooks still due.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    deliver: Deliver,
    state: Mutex<State>,
    drawn: AtomicU64,
    changed: Notify,
    authority: OnceLock<Result<tls::Authority, String>>,
}

impl Simulator {
    /// A Meta where nothing has happened yet.
    pub fn new(options: Options) -> Self {
        let deliver = options.deliver.clone().unwrap_or_else(webhooks::over_http);
        let state = Mutex::new(State::new(&options));
        Self {
            inner: Arc::new(Inner {
                options,
                deliver,
                state,
                drawn: AtomicU64::new(0),
                changed: Notify::new(),
                authority: OnceLock::new(),
            }),
        }
    }

    /// Serves one connection (HTTP/1.1 or h2 with prior knowledge) until either side ends it. Dropped: the
    /// connection is cut.
    pub async fn serve_connection<IO>(&self, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.serve(wire::Wire::new(io, |_| {}), Protocols::Both, "http").await;
    }

    /// The certificate that signs what [`Simulator::listen_tls`] shows.
    pub fn ca_pem(&self) -> io::Result<String> {
        self.authority().map(|authority| authority.pem().to_owned())
    }

    /// Locks a phone from now on. [`Profile::Ban`] takes all phones of its WABA, which is [`Reason::Disabled`]. An id that is
    /// no phone: nothing.
    pub fn lock(&self, phone: &str, lock: impl Into<Lock>) {
        self.state().lock_phone(phone, lock.into());
        self.inner.changed.notify_waiters();
    }

    /// Ends a phone's locks (a ban: of all phones of the WABA). After [`Profile::LateDuplicates`] its failures come
    /// again, which needs a tokio runtime; after [`Profile::ReengagementWave`] others follow.
    pub fn unlock(&self, phone: &str) {
        let late = self.state().unlock_phone(phone);
        self.inner.changed.notify_waiters();
        webhooks::deliver_again(self, late);
    }

    /// What health status says about a phone, or about a WABA and its phones, whatever their locks; `None` follows them
    /// again. What is set for a phone comes first.
    pub fn set_health(&self, id: &str, health: Option<Health>) {
        self.state().set_health(id, health);
    }

    /// Lets something go wrong.
    pub fn fault(&self, rule: FaultRule) {
        self.state().faults.push(rule);
    }

    /// Ends the faults of a phone, or all there are.
    pub fn clear_faults(&self, phone: Option<&str>) {
        self.state().faults.retain(|rule| phone.is_some() && rule.phone.as_deref() != phone);
    }

    /// Where webhooks go from now on, those due included.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.state().webhook_url = url;
    }

    /// How long statuses take from now on; those of messages accepted before are not changed. A lock may have a delay of
    /// its own for its failures.
    pub fn set_status_delay(&self, delay: impl Into<Delay>) {
        self.state().status_delay = delay.into();
    }

    /// Sends a webhook of any field, for instance `account_update`, to the app's callback; needs a tokio runtime.
    pub fn webhook(&self, waba: &str, field: &str, value: serde_json::Value) {
        webhooks::deliver_field(self, waba, field, value);
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.state().counts()
    }

    /// What has been counted for one phone.
    pub fn phone_counts(&self, phone: &str) -> PhoneCounts {
        self.state().known_phone(phone).map(|phone| phone.counts).unwrap_or_default()
    }

    /// Waits until the counts are as asked. Cancel safe.
    pub async fn until(&self, mut enough: impl FnMut(&Counts) -> bool) -> Counts {
        loop {
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let counts = self.counts();
            if enough(&counts) {
                return counts;
            }
            changed.await;
        }
    }

    /// The last requests, oldest first; those under `/_simulator/` are not among them.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state().recorded.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authority(&self) -> io::Result<&tls::Authority> {
        let made = self.inner.authority.get_or_init(|| tls::Authority::new().map_err(|e| e.to_string()));
        made.as_ref().map_err(|text| io::Error::other(text.clone()))
    }

    /// A number by chance. SplitMix64 over a counter: no two draws of one simulator are the same.
    fn draw(&self) -> u64 {
        let n = self.inner.drawn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut z = self.inner.options.seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in so many of 100 cases.
    fn chance(&self, percent: u8) -> bool {
        percent > 0 && self.draw() % 100 < u64::from(percent)
    }
}
