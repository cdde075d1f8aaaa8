//! The stock HAProxy of a run, set up by its expert as a breaker for 131031.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{fetched, fetched_packages};

use super::meta::APP_SECRET;

/// HAProxy, if it is installed or the tests have fetched it.
#[derive(Clone, Debug)]
pub(super) struct Haproxy {
    binary: PathBuf,
    /// For instance 2.6.12-1+deb12u4.
    pub(super) version: String,
}

impl Haproxy {
    /// Looks for it.
    pub(super) fn find() -> Option<Self> {
        ["haproxy".into(), PathBuf::from("/usr/sbin/haproxy"), fetched("haproxy")].into_iter().find_map(
            |binary| {
                let found = Self { binary, version: String::new() };
                let output = Command::new("env")
                    .args(found.environment())
                    .arg(&found.binary)
                    .arg("-v")
                    .output()
                    .ok()?;
                // HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
                let version = String::from_utf8_lossy(&output.stdout).split_whitespace().nth(2)?.to_owned();
                output.status.success().then_some(Self { version, ..found })
            },
        )
    }

    /// The arguments of `env` that run it with this configuration: what the tests fetch brings its libraries along.
    pub(super) fn arguments(&self, config: String) -> Vec<String> {
        let binary = self.binary.display().to_string();
        self.environment().into_iter().chain([binary, "-db".to_owned(), "-f".to_owned(), config]).collect()
    }

    fn environment(&self) -> Option<String> {
        let own = self.binary == fetched("haproxy");
        let libraries = fetched_packages().join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
        own.then(|| format!("LD_LIBRARY_PATH={}", libraries.display()))
    }
}

/// Its configuration: sends on `listen`, webhooks on `webhooks`.
///
/// All that HAProxy 2.6 can do for it without Lua:
/// - one entry per phone in a stick table, whose key is the phone's segment of the path; `gpt0` says that it is locked;
/// - answers: the body is waited for and its `error.code` read. Since it cannot look into compressed bodies, it takes
///   the app's `accept-encoding` away;
/// - webhooks: signature checked, body waited for, code and phone read, the entry marked before the 200;
/// - sends of a marked phone are answered in Graph's shape. Read receipts are no sends and pass.
///
/// What it cannot do:
/// - look at every entry, change, status and error of a webhook: `json_query` follows one path without a wildcard, so
///   only the first of each is read; Meta puts several into one post. Bodies beyond `tune.bufsize` are cut;
/// - close by proof: it has no way to ask health, and none to let one send through and wait for that send's status. An
///   entry expires; each evidence that still comes starts its time anew. An expert chooses a time that seems enough;
/// - tell late news: a repeated failure of before the recovery marks a healthy phone again;
/// - keep its table over a restart, or say why and since when a phone is held back.
pub(super) fn config(
    upstream: SocketAddr,
    listen: SocketAddr,
    webhooks: SocketAddr,
    expire: Duration,
) -> String {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode(APP_SECRET);
    let expire = expire.as_millis();
    format!(
        r##"global
    maxconn 8000
    tune.bufsize 131072

defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 60s
    timeout http-keep-alive 1h
    timeout http-request 10s
    http-reuse always

backend locked
    stick-table type string len 20 size 100k expire {expire}ms store gpt0

frontend sends
    bind {listen}
    acl send_path path -m reg ^/(v[0-9.]+/)?[0-9]+/(messages|marketing_messages|messages_encrypted)/?$
    http-request set-var(txn.phone) 'path,regsub("^/(v[0-9.]+/)?([0-9]+)/.*$","\2")' if METH_POST send_path
    acl send var(txn.phone) -m found
    acl locked var(txn.phone),table_gpt0(locked) gt 0
    http-request wait-for-body time 10s if send locked
    acl receipt req.body,json_query('$.status') -m str read
    http-request return status 403 content-type "application/json; charset=UTF-8" hdr x-breaker open string '{{"error":{{"message":"(#131031) Business Account locked","type":"OAuthException","code":131031,"error_data":{{"messaging_product":"whatsapp","details":"Held back by HAProxy."}},"is_transient":false,"fbtrace_id":"haproxy"}}}}' if send locked !receipt
    default_backend graph

backend graph
    http-request del-header accept-encoding
    http-response wait-for-body time 10s if {{ status ge 400 }}
    http-response set-var(txn.code) res.body,json_query('$.error.code','int') if {{ status ge 400 }}
    acl locks var(txn.code) -m int 131031
    acl of_send var(txn.phone) -m found
    http-response track-sc0 var(txn.phone) table locked if locks of_send
    http-response sc-set-gpt0(0) 1 if locks of_send
    server meta {upstream} maxconn 4000

frontend webhooks
    bind {webhooks}
    http-request return status 405 unless METH_POST
    http-request wait-for-body time 10s
    http-request set-var(txn.signature) req.hdr(x-hub-signature-256),bytes(7)
    acl signed req.body,hmac(sha256,{key}),hex,lower,strcmp(txn.signature) eq 0
    http-request return status 401 unless signed
    http-request set-var(txn.code) req.body,json_query('$.entry[0].changes[0].value.statuses[0].errors[0].code','int')
    http-request set-var(txn.phone) req.body,json_query('$.entry[0].changes[0].value.metadata.phone_number_id')
    acl locks var(txn.code) -m int 131031
    http-request track-sc0 var(txn.phone) table locked if locks
    http-request sc-set-gpt0(0) 1 if locks
    http-request return status 200
"##
    )
}
