//! From file and environment to a [`Config`]: each key once, then what they must be together.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use toml::Table;
use url::{Host, Url};

use super::code_rules;
use super::problem::Problem;
use super::read::{Given, Reader};
use super::rules::{self, any_duration, count, one_of, some_duration, yes_or_no};
use super::secrets::{self, Charset};
use super::sources;
use super::{
    Admin, Breaker, Config, HttpVersion, Log, LogFormat, Metrics, Mode, NoWebhooks, PinGuard, Probe,
    Problems, Proxy, Spread, Store, StoreKind, Tls, Upstream, Webhook,
};

/// The variables of this process, as [`Config::load`] takes them. What is not Unicode is replaced by U+FFFD, so that
/// it is refused where it matters and does not vanish.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

impl Config {
    /// Reads `file`, if there is one, and lays `env` over it. Blocking: it reads the files that are named, too.
    ///
    /// Fails with every mistake at once. If the file is not TOML, its syntax errors are the only ones: nothing else could
    /// be judged.
    pub fn load(file: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Self, Problems> {
        let table = file.map_or_else(|| Ok(Table::new()), parse)?;
        let mut reader = Reader::new(table, env.collect());
        let config = read(&mut reader);
        judge(&mut reader, &config);
        reader.finish(&[secrets::TOKENS]).map(|()| config)
    }
}

fn parse(file: &Path) -> Result<Table, Problems> {
    let name = file.display().to_string();
    let bytes = rules::read_file(file).map_err(|rule| Problem::new(name.clone(), None, rule))?;
    let text = String::from_utf8(bytes).map_err(|_| Problem::new(name.clone(), None, "must be UTF-8"))?;
    toml::from_str(&text).map_err(|first| {
        let (_, mut errors) = toml::de::DeTable::parse_recoverable(&text);
        if errors.is_empty() {
            // Good syntax, but a value that cannot be held. The error's own words would show it.
            let at = place(&name, &text, first.span());
            return Problem::new(at, None, "must be a number of at most 64 bits").into();
        }
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let problems = errors.iter().map(|error| {
            let at = place(&name, &text, error.span());
            Problem::new(at, None, syntax_rule(error.message(), &text, error.span()))
        });
        Problems::from_iter(problems)
    })
}

/// The parser's own words; of a key that is there twice, also what to do. Nothing of the file is shown: it may be a secret.
fn syntax_rule(message: &str, text: &str, span: Option<Range<usize>>) -> String {
    if message != "duplicate key" {
        return message.to_owned();
    }
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = text.get(before.rfind('\n').map_or(0, |at| at + 1)..).unwrap_or_default().trim_start();
    let list = [("[[rule]]", "rule = []"), ("[[webhook.source]]", "source = []")]
        .into_iter()
        .find(|(header, _)| line.starts_with(header));
    match list {
        Some((header, empty)) => {
            format!("{message}: {header} takes the place of the line `{empty}` above, so remove that one")
        }
        None => format!("{message}: it is given above already, so remove one of the two"),
    }
}

/// `sendfuse.toml:12:5`: line and column, in characters, from 1.
fn place(name: &str, text: &str, span: Option<Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return name.to_owned() };
    let (line, column) =
        before.split('\n').fold((0, 0), |(lines, _), last| (lines + 1, last.chars().count() + 1));
    format!("{name}:{line}:{column}")
}

fn read(r: &mut Reader) -> Config {
    let d = Config::default();
    let config = Config {
        mode: r.value("mode", d.mode, one_of(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)])),
        rules: code_rules::read(r),
        proxy: Proxy {
            listen: r.value("proxy.listen", d.proxy.listen, rules::address),
            tls: tls(r),
            header_timeout: r.value("proxy.header_timeout", d.proxy.header_timeout, some_duration),
            max_connections: r.value("proxy.max_connections", d.proxy.max_connections, count(1..=1_000_000)),
            drain_timeout: r.value("proxy.drain_timeout", d.proxy.drain_timeout, any_duration),
        },
        upstream: Upstream {
            url: r.value("upstream.url", d.upstream.url, rules::base_url),
            ca_file: r.value("upstream.ca_file", None, rules::readable_file),
            connect_timeout: r.value("upstream.connect_timeout", d.upstream.connect_timeout, some_duration),
            response_timeout: r.value(
                "upstream.response_timeout",
                d.upstream.response_timeout,
                some_duration,
            ),
            http: r.value("upstream.http", d.upstream.http, http_version),
        },
        webhook: webhook(r, d.webhook),
        admin: Admin {
            listen: r.value("admin.listen", d.admin.listen, rules::address),
            token: secrets::one(r, "admin.token", "admin.token_file", Charset::Header),
            read_token: secrets::one(r, "admin.read_token", "admin.read_token_file", Charset::Header),
        },
        breaker: breaker(r, d.breaker),
        probe: Probe {
            interval: r.value("probe.interval", d.probe.interval, some_duration),
            max_interval: r.value("probe.max_interval", d.probe.max_interval, some_duration),
            timeout: r.value("probe.timeout", d.probe.timeout, some_duration),
            borrow_token: r.value("probe.borrow_token", d.probe.borrow_token, yes_or_no),
            tokens: secrets::tokens(r),
            budget_per_hour: r.value("probe.budget_per_hour", d.probe.budget_per_hour, count(1..=1_000_000)),
            watch: r.value("probe.watch", d.probe.watch, rules::watch),
        },
        store: Store {
            kind: r.value("store.kind", d.store.kind, store_kind),
            path: r.value("store.path", d.store.path, rules::directory),
            commit_timeout: r.value("store.commit_timeout", d.store.commit_timeout, some_duration),
        },
        pin_guard: PinGuard {
            max_attempts: r.value("pin_guard.max_attempts", d.pin_guard.max_attempts, count(1..=10)),
        },
        metrics: Metrics {
            max_phones: r.value("metrics.max_phones", d.metrics.max_phones, count(0..=1_000_000)),
        },
        log: Log {
            format: r.value(
                "log.format",
                d.log.format,
                one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
            ),
        },
    };
    for (path, only) in rules::NOT_YET {
        not_yet(r, path, only);
    }
    config
}

fn webhook(r: &mut Reader, d: Webhook) -> Webhook {
    let path = r.value("webhook.path", d.path, rules::url_path);
    Webhook {
        listen: r.value("webhook.listen", d.listen, rules::address),
        app_secrets: secrets::several(r, "webhook.app_secrets", "webhook.app_secrets_file"),
        verify_token: secrets::one(r, "webhook.verify_token", "webhook.verify_token_file", Charset::Line),
        relay_to: r.value("webhook.relay_to", None, rules::relay_url),
        sources: sources::sources(r, &path),
        deaf_after: r.value("webhook.deaf_after", d.deaf_after, some_duration),
        path,
    }
}

fn breaker(r: &mut Reader, d: Breaker) -> Breaker {
    let no_webhooks = [("close", NoWebhooks::Close), ("hold", NoWebhooks::Hold)];
    let spreads = [("phone", Spread::Phone), ("waba", Spread::Waba)];
    Breaker {
        trip_after: r.value("breaker.trip_after", d.trip_after, count(1..=1000)),
        min_open: r.value("breaker.min_open", d.min_open, any_duration),
        half_open: r.value("breaker.half_open", d.half_open, yes_or_no),
        trials_to_close: r.value("breaker.trials_to_close", d.trials_to_close, count(1..=1000)),
        trial_timeout: r.value("breaker.trial_timeout", d.trial_timeout, some_duration),
        no_webhooks: r.value("breaker.no_webhooks", d.no_webhooks, one_of(&no_webhooks)),
        trial_grace: r.value("breaker.trial_grace", d.trial_grace, some_duration),
        reject_status: r.value("breaker.reject_status", d.reject_status, rules::reject_status),
        retry_after: r.value("breaker.retry_after", d.retry_after, yes_or_no),
        skew: r.value("breaker.skew", d.skew, any_duration),
        spread: r.value("breaker.spread", d.spread, one_of(&spreads)),
    }
}

fn tls(r: &mut Reader) -> Option<Tls> {
    r.lay_table_over("proxy.tls");
    let cert = r.value("proxy.tls.cert", None, rules::readable_file);
    let key = r.value("proxy.tls.key", None, rules::readable_file);
    match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert, key }),
        (None, None) => None,
        _ => {
            if r.all_good(&["proxy.tls.cert", "proxy.tls.key"]) {
                r.refuse("proxy.tls", Problem::new("proxy.tls", None, "needs both cert and key"));
            }
            None
        }
    }
}

/// `1` and `2` are numbers to many: they are taken with and without quotes.
fn http_version(given: &Given) -> Result<HttpVersion, String> {
    match given.integer() {
        Some(1) => Ok(HttpVersion::Http1),
        Some(2) => Ok(HttpVersion::Http2),
        _ => one_of(&[("auto", HttpVersion::Auto), ("1", HttpVersion::Http1), ("2", HttpVersion::Http2)])(
            given,
        ),
    }
}

fn store_kind(given: &Given) -> Result<StoreKind, String> {
    if given.text() == Ok("redis") {
        return Err("not supported by this version, which knows \"embedded\" and \"memory\"".to_owned());
    }
    one_of(&[("embedded", StoreKind::Embedded), ("memory", StoreKind::Memory)])(given)
}

/// A key that has one value only, until its feature is there. What was given is not shown: it may hold a secret.
fn not_yet(r: &mut Reader, path: &'static str, only: &str) {
    let Some(given) = r.given(path) else { return };
    let text_in_quotes = given.text().map(|text| toml::Value::String(text.to_owned()).to_string());
    let same = given.toml().is_some_and(|value| value.to_string() == only)
        || text_in_quotes.is_ok_and(|quoted| quoted == only);
    if !same {
        let rule = format!("not supported by this version, which knows only {only}");
        r.refuse(path, Problem::new(given.at, None, rule));
    }
}

/// What keys must be together. Where one of them is refused already, the others are not judged by its default.
fn judge(r: &mut Reader, c: &Config) {
    let listeners = [
        ("proxy.listen", c.proxy.listen),
        ("webhook.listen", c.webhook.listen),
        ("admin.listen", c.admin.listen),
    ];
    for (index, (later, address)) in listeners.iter().enumerate() {
        for (earlier, taken) in listeners.iter().take(index) {
            if r.all_good(&[later, earlier]) && collide(*address, *taken) {
                let rule = format!("is taken by {earlier}: each listener needs an address of its own");
                r.refuse(later, Problem::new(*later, quoted(address), rule));
            }
        }
    }
    for (path, url, listener, address) in [
        ("upstream.url", Some(&c.upstream.url), "proxy.listen", c.proxy.listen),
        ("webhook.relay_to", c.webhook.relay_to.as_ref(), "webhook.listen", c.webhook.listen),
    ] {
        if r.all_good(&[path, listener]) && url.is_some_and(|url| leads_to(url, address)) {
            r.refuse(path, Problem::new(path, None, format!("leads back to {listener}")));
        }
    }
    if r.all_good(&["probe.interval", "probe.max_interval"]) && c.probe.interval > c.probe.max_interval {
        let value = quoted(super::duration::show(c.probe.interval));
        r.refuse(
            "probe.interval",
            Problem::new("probe.interval", value, "must be at most probe.max_interval"),
        );
    }
    judge_admin(r, &c.admin);
}

fn judge_admin(r: &mut Reader, admin: &Admin) {
    let loopback = admin.listen.ip().to_canonical().is_loopback();
    if r.all_good(&["admin.listen", "admin.token"]) && admin.token.is_none() && !loopback {
        let rule = "without admin.token (or admin.token_file) it must be a loopback address, as 127.0.0.1: \
                    anyone who reaches it could order breakers about";
        r.refuse("admin.listen", Problem::new("admin.listen", quoted(admin.listen), rule));
    }
    if let Some(read) = &admin.read_token
        && r.all_good(&["admin.token", "admin.read_token"])
    {
        let rule = match &admin.token {
            None => "needs admin.token beside it: orders would be less guarded than reading",
            Some(token) if token == read => {
                "must differ from admin.token: who may only read could give orders"
            }
            Some(_) => return,
        };
        r.refuse("admin.read_token", Problem::new("admin.read_token", None, rule));
    }
}

/// Whether both cannot be listened on at once.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let everywhere = (a.is_unspecified() || b.is_unspecified()) && a.is_ipv4() == b.is_ipv4();
    one.port() == other.port() && one.port() != 0 && (a == b || everywhere)
}

/// Whether a call to `url` arrives at `address`, as far as can be told without asking a name server.
fn leads_to(url: &Url, address: SocketAddr) -> bool {
    let ip: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain("localhost")) => Some(IpAddr::from([127, 0, 0, 1])),
        _ => None,
    };
    url.port_or_known_default().zip(ip).is_some_and(|(port, ip)| collide(SocketAddr::new(ip, port), address))
}

fn quoted(value: impl std::fmt::Display) -> Option<String> {
    Some(format!("\"{value}\""))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The keys of a file as paths. An empty table is a key, as `probe.tokens` is.
    fn keys(table: &Table, above: &str) -> BTreeSet<String> {
        table
            .iter()
            .flat_map(|(key, value)| match value.as_table() {
                Some(table) if !table.is_empty() => keys(table, &format!("{above}{key}.")),
                _ => BTreeSet::from([format!("{above}{key}")]),
            })
            .collect()
    }

    #[test]
    fn the_reference_has_every_key_that_is_read() {
        let file = parse(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sendfuse.toml"))).unwrap();
        let mut reader = Reader::new(Table::new(), BTreeMap::new());
        read(&mut reader);
        let known: BTreeSet<String> = reader.known().map(str::to_owned).collect();
        assert_eq!(keys(&file, ""), known);
    }

    #[test]
    fn the_place_of_an_error_counts_characters_from_one() {
        let at = |start| place("f", "a = 1\nbé = x\n", Some(start..start));
        assert_eq!(at(0), "f:1:1");
        assert_eq!(at(5), "f:1:6");
        assert_eq!(at(6), "f:2:1");
        assert_eq!(at(9), "f:2:3");
        assert_eq!(at(13), "f:2:7");
        assert_eq!(at(14), "f:3:1");
        assert_eq!(at(99), "f");
    }

    #[test]
    fn listeners_collide_where_the_system_would_refuse() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            assert_eq!(collide(one.parse().unwrap(), other.parse().unwrap()), expected, "{one} {other}");
            assert_eq!(collide(other.parse().unwrap(), one.parse().unwrap()), expected, "{other} {one}");
        }
    }
}
