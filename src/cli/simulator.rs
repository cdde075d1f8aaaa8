//! `sendfuse simulator`: the simulated Meta as a command.

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::exit;
use super::parse::SimulatorArgs;
use super::signals::Signals;
use crate::simulator::{Options, PHONE, Protocols, Simulator};

/// Runs it until SIGTERM or SIGINT.
pub(super) async fn run(args: SimulatorArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match serve(&args, out).await {
        Ok(()) => exit::DONE,
        Err(line) => {
            let _ = writeln!(err, "sendfuse: {line}");
            exit::FAILED
        }
    }
}

async fn serve(args: &SimulatorArgs, out: &mut dyn Write) -> Result<(), String> {
    let simulator = Simulator::new(Options {
        app_secret: args.app_secret.clone(),
        verify_token: args.verify_token.clone(),
        webhook_url: args.webhook_url.clone(),
        status_delay: args.status_delay,
        duplicate_percent: args.duplicates,
        reorder_percent: args.reorder,
        record: 0,
        ..Options::default()
    });
    let signals = Signals::new().map_err(|error| format!("no signals: {error}"))?;
    // The plain listener comes last: whoever finds it open finds the certificate written, too.
    let with_tls = match (args.tls_listen, &args.ca_out) {
        (Some(address), Some(file)) => {
            let listening = simulator.listen_tls(address, Protocols::Both).await;
            let listening = listening.map_err(|error| cannot_listen(address, &error))?;
            let pem = simulator.ca_pem().map_err(|error| error.to_string())?;
            std::fs::write(file, pem).map_err(|error| format!("{}: {error}", file.display()))?;
            Some((listening, file))
        }
        _ => None,
    };
    let plain = simulator.listen(args.listen).await.map_err(|error| cannot_listen(args.listen, &error))?;
    // Whoever started us may not listen.
    let _ = greet(args, plain.addr, out);
    if let Some((listening, file)) = &with_tls {
        let _ = writeln!(out, "With TLS: https://{}, to be trusted by {}", listening.addr, file.display());
    }
    if let Some(timeline) = &args.timeline {
        let length = humantime::format_duration(timeline.length());
        let _ = writeln!(out, "The timeline begins now, and takes {length}.");
        tokio::spawn(simulator.play(timeline.clone()));
    }
    let _ = out.flush();
    let stop = CancellationToken::new();
    tokio::spawn(signals.run(stop.clone()));
    stop.cancelled().await;
    Ok(())
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error}")
}

fn greet(args: &SimulatorArgs, at: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let defaults = Options::default();
    writeln!(out, "A simulated Meta listens on http://{at}. Stop it with Ctrl-C.")?;
    match &args.webhook_url {
        Some(url) => writeln!(out, "Webhooks go to {url}, signed.")?,
        None => writeln!(out, "No webhooks: --webhook-url says where they should go.")?,
    }
    writeln!(
        out,
        "
Put sendfuse before it:
  SENDFUSE__UPSTREAM__URL=http://{at} SENDFUSE__WEBHOOK__APP_SECRETS='[\"{}\"]' sendfuse

Send through sendfuse; any token that begins with EAA is good, and any id of 15 to 17 digits is a phone:
  curl http://127.0.0.1:8080/v23.0/{PHONE}/messages -H 'authorization: Bearer EAAsimulated' \\
    -H 'content-type: application/json' \\
    -d '{{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",\"type\":\"text\",\"text\":{{\"body\":\"hello\"}}}}'

Lock the phone; profiles: async, sync403, sync400, ban, review_pending, and with parameters intermittent, late_duplicates, reengagement_wave:
  curl http://{at}/_simulator/lock -d '{{\"phone\":\"{PHONE}\",\"profile\":\"async\"}}'

Unlock it:
  curl http://{at}/_simulator/unlock -d '{{\"phone\":\"{PHONE}\"}}'

See what has arrived:
  curl http://{at}/_simulator/counts

All that can be switched:
  curl http://{at}/_simulator/
",
        // Another one may be real, and is not repeated.
        if args.app_secret == defaults.app_secret { &defaults.app_secret } else { "(your --app-secret)" },
    )
}
