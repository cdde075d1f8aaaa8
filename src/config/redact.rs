//! The configuration as text and JSON, for people to look at: every key in effect, no secret.

use toml::{Table, Value};
use url::Url;

use super::{
    Config, HttpVersion, LogFormat, Mode, NoWebhooks, Rule, Secret, Spread, StoreKind, WebhookSource,
    duration, rules,
};

/// What stands for a secret that is set.
const HIDDEN: &str = "***";

/// A URL with its query hidden.
pub(super) fn url(url: &Url) -> String {
    let mut url = url.clone();
    if url.query().is_some() {
        url.set_query(Some(HIDDEN));
    }
    url.into()
}

impl Config {
    /// Every key in effect, as TOML that loads; `"***"` for a secret that is set, `""` for one that is not.
    pub fn to_toml_redacted(&self) -> String {
        let mut text = String::new();
        for (section, keys) in self.sections() {
            if !section.is_empty() {
                text.push_str(&format!("\n[{section}]\n"));
            }
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text
    }

    /// The same as JSON: an object a section.
    pub fn to_json_redacted(&self) -> serde_json::Value {
        let mut root = Table::new();
        for (section, keys) in self.sections() {
            let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value));
            if section.is_empty() {
                root.extend(keys);
            } else {
                root.insert(section.to_owned(), Value::Table(keys.collect()));
            }
        }
        serde_json::to_value(root).unwrap_or_default()
    }

    /// The keys by section, in the order of the reference; the first section has no name.
    fn sections(&self) -> Vec<(&'static str, Vec<(&'static str, Value)>)> {
        let (proxy, upstream, webhook, admin) = (&self.proxy, &self.upstream, &self.webhook, &self.admin);
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        let http = match upstream.http {
            HttpVersion::Auto => "auto",
            HttpVersion::Http1 => "1",
            HttpVersion::Http2 => "2",
        };
        let kind = match self.store.kind {
            StoreKind::Embedded => "embedded",
            StoreKind::Memory => "memory",
        };
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let relay_to = webhook.relay_to.as_ref().map(url).unwrap_or_default();
        let ca_file = upstream.ca_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let app_secrets = webhook.app_secrets.iter().map(|_| HIDDEN.into()).collect();
        let rules = self.rules.iter().map(Rule::shown).collect();
        let mut sections = vec![
            ("", vec![("mode", mode.into()), ("rule", Value::Array(rules))]),
            (
                "proxy",
                vec![
                    ("listen", proxy.listen.to_string().into()),
                    ("tls", self.tls()),
                    ("header_timeout", duration::show(proxy.header_timeout).into()),
                    ("max_connections", number(proxy.max_connections)),
                    ("drain_timeout", duration::show(proxy.drain_timeout).into()),
                ],
            ),
            (
                "upstream",
                vec![
                    // An origin: a URL would be shown with the slash that it has as its path.
                    ("url", upstream.url.origin().ascii_serialization().into()),
                    ("ca_file", ca_file.into()),
                    ("connect_timeout", duration::show(upstream.connect_timeout).into()),
                    ("response_timeout", duration::show(upstream.response_timeout).into()),
                    ("http", http.into()),
                ],
            ),
            (
                "webhook",
                vec![
                    ("listen", webhook.listen.to_string().into()),
                    ("path", webhook.path.clone().into()),
                    ("app_secrets", Value::Array(app_secrets)),
                    ("verify_token", hidden(webhook.verify_token.as_ref())),
                    ("relay_to", relay_to.into()),
                    ("source", self.sources()),
                    ("deaf_after", duration::show(webhook.deaf_after).into()),
                ],
            ),
            (
                "admin",
                vec![
                    ("listen", admin.listen.to_string().into()),
                    ("token", hidden(admin.token.as_ref())),
                    ("read_token", hidden(admin.read_token.as_ref())),
                ],
            ),
            ("breaker", self.breaker_keys()),
            ("probe", self.probe_keys()),
            (
                "store",
                vec![
                    ("kind", kind.into()),
                    ("path", self.store.path.display().to_string().into()),
                    ("commit_timeout", duration::show(self.store.commit_timeout).into()),
                ],
            ),
            ("notify", Vec::new()),
            ("pin_guard", vec![("max_attempts", number(self.pin_guard.max_attempts))]),
            ("metrics", vec![("max_phones", number(self.metrics.max_phones))]),
            ("log", vec![("format", format.into())]),
        ];
        for (path, only) in rules::NOT_YET {
            let (section, key) = path.split_once('.').unwrap_or(("", path));
            if let Some((_, keys)) = sections.iter_mut().find(|(name, _)| *name == section) {
                keys.push((key, only.parse().unwrap_or_else(|_| only.into())));
            }
        }
        sections
    }

    fn breaker_keys(&self) -> Vec<(&'static str, Value)> {
        let breaker = &self.breaker;
        let no_webhooks = match breaker.no_webhooks {
            NoWebhooks::Close => "close",
            NoWebhooks::Hold => "hold",
        };
        let spread = match breaker.spread {
            Spread::Phone => "phone",
            Spread::Waba => "waba",
        };
        vec![
            ("trip_after", breaker.trip_after.into()),
            ("min_open", duration::show(breaker.min_open).into()),
            ("half_open", breaker.half_open.into()),
            ("trials_to_close", breaker.trials_to_close.into()),
            ("trial_timeout", duration::show(breaker.trial_timeout).into()),
            ("no_webhooks", no_webhooks.into()),
            ("trial_grace", duration::show(breaker.trial_grace).into()),
            ("reject_status", u32::from(breaker.reject_status).into()),
            ("retry_after", breaker.retry_after.into()),
            ("skew", duration::show(breaker.skew).into()),
            ("spread", spread.into()),
        ]
    }

    fn probe_keys(&self) -> Vec<(&'static str, Value)> {
        let probe = &self.probe;
        let tokens = probe.tokens.keys().map(|id| (id.clone(), HIDDEN.into())).collect();
        vec![
            ("interval", duration::show(probe.interval).into()),
            ("max_interval", duration::show(probe.max_interval).into()),
            ("timeout", duration::show(probe.timeout).into()),
            ("borrow_token", probe.borrow_token.into()),
            ("tokens", Value::Table(tokens)),
            ("budget_per_hour", probe.budget_per_hour.into()),
            ("watch", probe.watch.map_or_else(|| "off".to_owned(), duration::show).into()),
        ]
    }

    fn sources(&self) -> Value {
        let one = |source: &WebhookSource| {
            let keys = [
                ("name", source.name.as_str()),
                ("path", &source.path),
                ("header", source.header.as_str()),
                ("secret", HIDDEN),
            ];
            Value::Table(keys.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
        };
        Value::Array(self.webhook.sources.iter().map(one).collect())
    }

    fn tls(&self) -> Value {
        let (cert, key) = match &self.proxy.tls {
            Some(tls) => (tls.cert.display().to_string(), tls.key.display().to_string()),
            None => Default::default(),
        };
        Value::Table(Table::from_iter([("cert".to_owned(), cert.into()), ("key".to_owned(), key.into())]))
    }
}

fn hidden(secret: Option<&Secret>) -> Value {
    secret.map_or("", |_| HIDDEN).into()
}

fn number(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
