//! What can be typed.
//!
//! Secrets have no options: what stands on a command line is seen by everyone on the machine. Those of the simulator have:
//! they protect nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::admin::{MAX_BY_CHARS, MAX_REASON_CHARS, is_breaker_id, parse_hold};
use crate::config::duration;
use crate::graph::ids::PhoneNumberId;
use crate::simulator::{self, Timeline};

/// A circuit-breaking reverse proxy for the WhatsApp Cloud API.
#[derive(Debug, Parser)]
#[command(name = "sendfuse", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 done or closed, 1 failed, 2 wrong usage or bad configuration, 3 open, \
    4 half-open, 5 held by an operator."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ConfigArgs,
}

impl Cli {
    /// What to do: without a command, run.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

/// What sendfuse can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy (also without any command)
    Run(ConfigArgs),
    /// Validate the configuration and print what is in force, without secrets
    Check(ConfigArgs),
    /// Show a simulated lock from beginning to end; needs no account
    Demo,
    /// Run a simulated Meta to test an app against
    #[command(after_long_help = simulator::switches())]
    Simulator(SimulatorArgs),
    /// Ask or order a running sendfuse.
    #[command(flatten)]
    Client(ClientCommand),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file; without one, defaults and the environment
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How the simulated Meta runs.
#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// Where it listens, without TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Where it listens with TLS too
    #[arg(long, value_name = "ADDRESS", requires = "ca_out")]
    pub tls_listen: Option<SocketAddr>,
    /// Where to write the certificate (PEM) that clients of the TLS listener have to trust
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    pub ca_out: Option<PathBuf>,
    /// Where webhooks go, http:// only; without it there are none
    #[arg(long, value_name = "URL", value_parser = parse_webhook_url)]
    pub webhook_url: Option<String>,
    /// Signs the webhooks
    #[arg(long, value_name = "SECRET", default_value_t = simulator::Options::default().app_secret)]
    pub app_secret: String,
    /// What handshakes say
    #[arg(long, value_name = "TOKEN", default_value_t = simulator::Options::default().verify_token)]
    pub verify_token: String,
    /// From acceptance to `sent` or `failed`, and from each status to the next
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration::parse)]
    pub status_delay: Duration,
    /// How many of 100 webhooks come twice
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub duplicates: u8,
    /// Of how many of 100 messages `delivered` comes before `sent`
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub reorder: u8,
    /// A file that says what Meta does when; it begins once the simulator listens
    #[arg(long, value_name = "FILE", value_parser = read_timeline)]
    pub timeline: Option<Timeline>,
}

/// Commands that go through the admin API.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Show the breakers that are not closed, or one breaker
    Status(StatusArgs),
    /// Say why a breaker is as it is, and what would close it
    Explain(ExplainArgs),
    /// Close a breaker now
    Reset(OrderArgs),
    /// Hold a breaker open
    Open(HoldArgs),
    /// Let everything pass, whatever the breaker says
    Bypass(HoldArgs),
    /// End `open` or `bypass`
    Lift(OrderArgs),
    /// Check health now
    Probe(OrderArgs),
    /// Let one more two-step PIN through, whatever Meta has refused
    #[command(name = "allow_pin", visible_alias = "allow-pin")]
    AllowPin(PinArgs),
}

/// How to reach the admin API, and how to print its answers.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// Where the admin API is [env: SENDFUSE_ADMIN_URL] [default: http://127.0.0.1:8082]
    ///
    /// Its token comes from SENDFUSE_ADMIN_TOKEN, or from the file that SENDFUSE_ADMIN_TOKEN_FILE names.
    #[arg(long, value_name = "URL")]
    pub admin_url: Option<String>,
    /// Print JSON as the admin API gives it
    #[arg(long)]
    pub json: bool,
}

/// Whose breaker.
#[derive(Debug, Args)]
pub struct Whose {
    /// A business phone number id; with --waba, the id of a WABA
    #[arg(value_name = "PHONE", value_parser = parse_id)]
    pub id: String,
    /// The breaker of a whole account; PHONE is then the id of that WABA
    #[arg(long)]
    pub waba: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// A business phone number id; with --waba, the id of a WABA
    #[arg(value_name = "PHONE", value_parser = parse_id)]
    pub id: Option<String>,
    /// The breaker of a whole account; PHONE is then the id of that WABA
    #[arg(long, requires = "id")]
    pub waba: bool,
    /// How to reach the admin API.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Whose breaker.
    #[command(flatten)]
    pub whose: Whose,
    /// How to reach the admin API.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of every order.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// Whose breaker.
    #[command(flatten)]
    pub whose: Whose,
    /// Why; is kept with the order
    #[arg(long, value_parser = parse_reason)]
    pub reason: String,
    /// Who gives the order [default: $USER]
    #[arg(long, value_name = "NAME", value_parser = parse_by)]
    pub by: Option<String>,
    /// Only if the breaker is at this generation still
    #[arg(long, value_name = "GENERATION")]
    pub if_match: Option<u64>,
    /// How to reach the admin API.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Arguments of the orders that hold.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// What every order has.
    #[command(flatten)]
    pub order: OrderArgs,
    /// How long, with a unit (ms, s, m, h, d); without it, until lifted
    #[arg(long = "for", value_name = "DURATION", value_parser = check_hold)]
    pub hold: Option<String>,
}

/// Arguments of `allow_pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// A business phone number id
    #[arg(value_name = "PHONE", value_parser = parse_phone)]
    pub id: String,
    /// Why; is logged
    #[arg(long, value_parser = parse_reason)]
    pub reason: String,
    /// Who gives the order [default: $USER]
    #[arg(long, value_name = "NAME", value_parser = parse_by)]
    pub by: Option<String>,
    /// How to reach the admin API.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// PINs are phones'.
fn parse_phone(text: &str) -> Result<String, String> {
    PhoneNumberId::parse(text).map(|_| text.to_owned()).map_err(|rule| rule.to_string())
}

/// The ids of phones and of WABAs look alike. Breakers of rules have others.
fn parse_id(text: &str) -> Result<String, &'static str> {
    if is_breaker_id(text) { Ok(text.to_owned()) } else { Err("1 to 20 digits, or as `status` shows it") }
}

/// The simulator delivers over plain HTTP only.
fn parse_webhook_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.map(String::from).ok_or("a URL that begins with http://")
}

fn read_timeline(file: &str) -> Result<Timeline, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Timeline::parse(&text).map_err(|error| error.to_string())
}

fn parse_reason(text: &str) -> Result<String, String> {
    one_to(MAX_REASON_CHARS, text)
}

fn parse_by(text: &str) -> Result<String, String> {
    one_to(MAX_BY_CHARS, text)
}

fn one_to(most: usize, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most {
        return Err(format!("1 to {most} characters"));
    }
    Ok(text.to_owned())
}

/// The admin API reads it again; here it is only refused early.
fn check_hold(text: &str) -> Result<String, String> {
    parse_hold(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(Cli::into_command)
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn no_command_is_run() {
        for (line, file) in [
            ("sendfuse", None),
            ("sendfuse run", None),
            ("sendfuse --config a.toml", Some("a.toml")),
            ("sendfuse run --config a.toml", Some("a.toml")),
        ] {
            let Command::Run(args) = parse(line).unwrap() else {
                panic!("{line} is not run");
            };
            assert_eq!(args.config, file.map(PathBuf::from), "{line}");
        }
        assert!(matches!(parse("sendfuse check --config a.toml").unwrap(), Command::Check(_)));
    }

    #[test]
    fn breakers_are_named_as_status_shows_them() {
        for id in ["106540352242922", "106540352242922.BR"] {
            let Command::Client(ClientCommand::Explain(args)) =
                parse(&format!("sendfuse explain {id}")).unwrap()
            else {
                panic!("{id} cannot be explained");
            };
            assert_eq!((&*args.whose.id, args.whose.waba), (id, false));
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for bad in [
            "sendfuse frobnicate",
            "sendfuse --config a.toml check",
            "sendfuse status 12x",
            "sendfuse status --waba",
            "sendfuse status --waba 12x",
            "sendfuse explain",
            "sendfuse explain --waba",
            "sendfuse reset --waba --reason x",
            "sendfuse reset 1",
            "sendfuse reset 1 --reason",
            "sendfuse reset --reason x",
            "sendfuse reset 1 --reason x --for 2h",
            "sendfuse probe 1 --reason x --for 2h",
            "sendfuse open 1 --reason x --for 2",
            "sendfuse open 1 --reason x --if-match \"7\"",
            "sendfuse allow_pin 1",
            "sendfuse allow_pin 1.BR --reason x",
            "sendfuse allow_pin 1 --waba --reason x",
            "sendfuse simulator --tls-listen 127.0.0.1:1",
            "sendfuse simulator --ca-out ca.pem",
            "sendfuse simulator --webhook-url https://a/webhook",
            "sendfuse simulator --webhook-url localhost:8081",
            "sendfuse simulator --status-delay 500",
            "sendfuse simulator --duplicates 101",
            "sendfuse simulator --timeline /nowhere/x.timeline",
            "sendfuse simulator --timeline Cargo.toml",
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        let blank = Cli::try_parse_from(["sendfuse", "reset", "1", "--reason", " "]).unwrap_err();
        assert_eq!(blank.exit_code(), 2);
        assert_eq!(parse("sendfuse --version").unwrap_err().exit_code(), 0);
    }
}
