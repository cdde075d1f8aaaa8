//! `sendfuse run` and `sendfuse check`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::exit;
use super::signals::Signals;
use crate::app::{Addresses, App, StartError, Wired, store_file};
use crate::config::{self, Config, LogFormat, Problems, Watcher};
use crate::server::{Pair, TlsCerts, descriptors};
use crate::telemetry::logs::{self, Format};

/// Validates the configuration and prints what is in force, without secrets.
pub(super) fn check(file: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let config = match Config::load(file, config::environment()) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems, err),
    };
    if let Err(error) = App::check(&config) {
        return fail(&error, exit::USAGE, err);
    }
    match write!(out, "{}", config.to_toml_redacted()) {
        Ok(()) => exit::DONE,
        Err(_) => exit::FAILED,
    }
}

/// Runs the proxy until it is told to stop: SIGTERM or SIGINT; a second one does not wait.
pub(super) async fn run(file: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    // First of all, so that no signal and no change falls between: whoever reads the greeting may signal at once.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error, exit::FAILED, err),
    };
    let watcher = Watcher::new(file.map(Path::to_owned));
    let config = match Config::load(file, config::environment()) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems, err),
    };
    let format = match config.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let filter = std::env::var("RUST_LOG").ok();
    if let Err(error) = logs::init(format, filter.as_deref()) {
        return fail(&error, exit::USAGE, err);
    }
    descriptors::raise();
    let app = match App::start(config.clone()).await {
        Ok(app) => app,
        Err(error) if error.is_the_configurations() => return fail(&error, exit::USAGE, err),
        Err(error) => return fail(&error, exit::FAILED, err),
    };
    // Whoever started us may not listen.
    let _ = greet(&config, app.addresses(), out);
    let stop = CancellationToken::new();
    tokio::spawn(signals.run(stop.clone()));
    match watcher {
        Ok(watcher) => {
            let file = file.map(Path::to_owned);
            let reloading = follow(watcher, file, app.wired(), app.certificates(), config);
            tokio::spawn(stop.clone().run_until_cancelled_owned(reloading));
        }
        Err(error) => {
            tracing::warn!(%error, "the configuration file cannot be watched: changes take a restart")
        }
    }
    match app.run(stop).await {
        Ok(()) => exit::DONE,
        Err(died) => fail(&died, exit::FAILED, err),
    }
}

fn refuse(problems: &Problems, err: &mut dyn Write) -> u8 {
    let _ = writeln!(err, "sendfuse: the configuration has mistakes\n{problems}");
    exit::USAGE
}

fn fail(error: &dyn std::fmt::Display, code: u8, err: &mut dyn Write) -> u8 {
    let _ = writeln!(err, "sendfuse: {error}");
    code
}

fn greet(config: &Config, at: Addresses, out: &mut dyn Write) -> std::io::Result<()> {
    let scheme = if config.proxy.tls.is_some() { "https" } else { "http" };
    let upstream = config.upstream.url.as_str().trim_end_matches('/');
    writeln!(out, "sendfuse {} in front of {upstream}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  sends     {scheme}://{}   point your app's Graph base URL here", at.proxy)?;
    writeln!(
        out,
        "  webhooks  http://{}{}   let Meta's callback URL lead here",
        at.webhook, config.webhook.path
    )?;
    writeln!(out, "  admin     http://{}   /metrics for Prometheus, /v1/breakers", at.admin)?;
    match store_file(config) {
        Some(file) => writeln!(out, "  state     {}", file.display())?,
        None => writeln!(out, "  state     in memory only: a restart forgets which numbers are locked")?,
    }
    for (name, count, what) in [
        ("rules  ", config.rules.len(), "for other errors than a lock"),
        ("sources", config.webhook.sources.len(), "of webhooks beside Meta"),
    ] {
        if count > 0 {
            writeln!(out, "  {name}   {count} {what}")?;
        }
    }
    if config.mode == config::Mode::Observe {
        writeln!(out, "  observing: nothing is rejected")?;
    }
    if config.webhook.app_secrets.is_empty() {
        writeln!(
            out,
            "  no webhook.app_secrets: webhooks are refused, so failures that Meta reports later go unseen"
        )?;
    }
    out.flush()
}

/// Takes changed configurations over. A bad one is refused as a whole, and the one before stays in force.
async fn follow(
    mut watcher: Watcher,
    file: Option<std::path::PathBuf>,
    wired: Wired,
    certificates: Option<Arc<TlsCerts>>,
    mut current: Config,
) {
    use crate::telemetry::events::ReloadEvent;
    loop {
        watcher.changed().await;
        let new = match Config::load(file.as_deref(), config::environment()) {
            Ok(new) => new,
            Err(problems) => {
                wired.telemetry().emit(ReloadEvent { refused: Some(&problems.to_string()) });
                continue;
            }
        };
        match take_over(&new, &wired, certificates.as_deref()) {
            Err(error) => wired.telemetry().emit(ReloadEvent { refused: Some(&error.to_string()) }),
            Ok(()) => {
                wired.telemetry().emit(ReloadEvent { refused: None });
                let waiting = current.needs_restart_for(&new);
                if !waiting.is_empty() {
                    tracing::warn!(keys = waiting.join(", "), "these changes take a restart");
                }
                current = new;
            }
        }
    }
}

/// All of it, or nothing.
fn take_over(new: &Config, wired: &Wired, certificates: Option<&TlsCerts>) -> Result<(), StartError> {
    let pair = match (certificates, &new.proxy.tls) {
        (Some(certificates), Some(tls)) => Some((certificates, Pair::read(&tls.cert, &tls.key)?)),
        _ => None,
    };
    wired.reload(new.clone())?;
    if let Some((certificates, pair)) = pair {
        certificates.replace(pair);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Clears, Rule, RuleExtent, RuleScope};

    #[test]
    fn the_greeting_says_how_many_rules_there_are() {
        let at = || std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
        let greeting = |config: &Config| {
            let mut out = Vec::new();
            greet(config, Addresses { proxy: at(), webhook: at(), admin: at() }, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut config = Config::default();
        assert!(!greeting(&config).contains("rules"));
        let (scope, extent, clears) = (RuleScope::Phone, RuleExtent::All, Clears::Probe);
        config.rules = vec![Rule { code: 131_048, scope, extent, clears }; 2];
        let said = greeting(&config);
        assert!(said.contains("\n  rules     2 for other errors than a lock\n"), "{said}");
        assert!(!said.contains("sources"), "{said}");
    }
}
