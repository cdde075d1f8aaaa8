//! Carries out the commands that go through the admin API.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::environment::Environment;
use super::http::{AdminApi, Call, Failure};
use super::parse::{ClientArgs, ClientCommand, ExplainArgs, HoldArgs, OrderArgs, PinArgs, StatusArgs, Whose};
use super::show::{self, clean};
use super::view::{Breaker, Observed, Page, Report};
use super::{exit, explain};

const WITHIN: Duration = Duration::from_secs(15);
/// A probe is answered when Meta has been, and Meta is given its own time.
const PROBE_WITHIN: Duration = Duration::from_secs(120);
const PAGE: &str = "1000";
/// The order that is about no breaker.
const ALLOW_PIN: &str = "allow_pin";
/// Where the admin API has the breakers of phones, and those of WABAs.
const PHONES: &str = "breakers";
const WABAS: &str = "wabas";

/// Carries out one command. Answers go to `out`, a failure is one line on `err`; gives the exit code, one of
/// [`exit`]. Dropping the future drops the call, but what has been ordered stays ordered.
pub async fn run(
    command: ClientCommand,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let done = match command {
        ClientCommand::Status(StatusArgs { id: Some(id), waba, client }) => {
            status_of(&Whose { id, waba }, &client, environment, out).await
        }
        ClientCommand::Status(StatusArgs { id: None, client, .. }) => status(&client, environment, out).await,
        ClientCommand::Explain(args) => explain(&args, environment, out).await,
        ClientCommand::Reset(args) => order("reset", args, None, environment, out).await,
        ClientCommand::Open(HoldArgs { order: args, hold }) => {
            order("open", args, hold, environment, out).await
        }
        ClientCommand::Bypass(HoldArgs { order: args, hold }) => {
            order("bypass", args, hold, environment, out).await
        }
        ClientCommand::Lift(args) => order("lift", args, None, environment, out).await,
        ClientCommand::Probe(args) => order("probe", args, None, environment, out).await,
        ClientCommand::AllowPin(PinArgs { id, reason, by, client }) => {
            let args = OrderArgs { whose: Whose { id, waba: false }, reason, by, if_match: None, client };
            order(ALLOW_PIN, args, None, environment, out).await
        }
    };
    done.unwrap_or_else(|failure| {
        // If stderr is gone there is nobody left to tell.
        let _ = writeln!(err, "sendfuse: {}", clean(&failure.line));
        failure.code
    })
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(format!("the output cannot be written: {error}"))
    }
}

async fn status(client: &ClientArgs, environment: &Environment, out: &mut dyn Write) -> Result<u8, Failure> {
    let api = AdminApi::new(client.admin_url.as_deref(), environment)?;
    let mut items = all_items(&api, WABAS).await?;
    items.extend(all_items(&api, PHONES).await?);
    let breakers = items
        .iter()
        .map(|item| serde_json::from_str::<Breaker>(item.get()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| api.not_ours())?;
    if client.json {
        print_json(out, &Items { items: &items })?;
    } else if breakers.is_empty() {
        writeln!(out, "all closed")?;
    } else {
        show::table(out, &breakers.iter().collect::<Vec<_>>(), environment.colours)?;
    }
    Ok(if breakers.iter().any(|breaker| breaker.state == "open") { exit::OPEN } else { exit::DONE })
}

#[derive(Serialize)]
struct Items<'a> {
    items: &'a [Box<RawValue>],
}

async fn all_items(api: &AdminApi, kind: &str) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let query = [("limit", PAGE), ("cursor", &cursor)];
        let query = if cursor.is_empty() { query.get(..1).unwrap_or_default() } else { &query };
        let body = api.call(get(&[kind], query)).await?;
        let page: Page = serde_json::from_slice(&body).map_err(|_| api.not_ours())?;
        items.extend(page.items);
        match page.next_cursor {
            None => return Ok(items),
            // Would go round for ever.
            Some(next) if next == cursor || next.is_empty() => return Err(api.not_ours()),
            Some(next) => cursor = next,
        }
    }
}

async fn status_of(
    whose: &Whose,
    client: &ClientArgs,
    environment: &Environment,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let api = AdminApi::new(client.admin_url.as_deref(), environment)?;
    let (breaker, raw) = known(&api, whose).await?;
    let holder = holder(&api, &breaker).await?;
    if client.json {
        print_json(out, &raw)?;
    } else {
        let rows: Vec<&Breaker> = [&breaker].into_iter().chain(&holder).collect();
        show::table(out, &rows, environment.colours)?;
        show::also_held(out, &breaker)?;
    }
    breaker.exit_code(holder.as_ref()).ok_or_else(|| api.not_ours())
}

async fn explain(args: &ExplainArgs, environment: &Environment, out: &mut dyn Write) -> Result<u8, Failure> {
    let api = AdminApi::new(args.client.admin_url.as_deref(), environment)?;
    let (breaker, raw) = known(&api, &args.whose).await?;
    let holder = holder(&api, &breaker).await?;
    if args.client.json {
        print_json(out, &raw)?;
    } else {
        let is_observed = breaker.would_reject > 0 && breaker.phones.is_none();
        let observed = if is_observed { observed(&api, &args.whose.id).await } else { None };
        explain::write(out, &breaker, holder.as_ref(), observed.as_ref(), environment.colours)?;
    }
    breaker.exit_code(holder.as_ref()).ok_or_else(|| api.not_ours())
}

async fn one(api: &AdminApi, whose: &Whose) -> Result<(Breaker, Box<RawValue>), Failure> {
    let body = api.call(get(&[whose.collection(), &whose.id], &[])).await?;
    read(api, &body)
}

/// The same to look at: where no phone of that id is known, but a WABA is, it is the WABA that is meant. (Orders guess nothing.)
async fn known(api: &AdminApi, whose: &Whose) -> Result<(Breaker, Box<RawValue>), Failure> {
    let found = one(api, whose).await?;
    if whose.waba || found.0.scope != "phone" || !found.0.is_unknown() {
        return Ok(found);
    }
    let account = one(api, &Whose { id: whose.id.clone(), waba: true }).await?;
    Ok(if account.0.is_unknown() { found } else { account })
}

/// The breaker that holds the sends of this one's phone, beside it.
async fn holder(api: &AdminApi, breaker: &Breaker) -> Result<Option<Breaker>, Failure> {
    let Some(name) = &breaker.held_by else { return Ok(None) };
    let known = name.split_once('/').filter(|(kind, _)| *kind == "waba");
    let (_, id) = known.ok_or_else(|| api.not_ours())?;
    let (holder, _) = one(api, &Whose { id: id.to_owned(), waba: true }).await?;
    Ok(Some(holder))
}

impl Whose {
    const fn collection(&self) -> &'static str {
        if self.waba { WABAS } else { PHONES }
    }
}

/// What observe mode has seen of a phone; nothing where the other side is of a version that does not tell.
async fn observed(api: &AdminApi, phone: &str) -> Option<Observed> {
    let body = api.call(get(&["report"], &[])).await.ok()?;
    let report: Report = serde_json::from_slice(&body).ok()?;
    report.phones.into_iter().find(|observed| observed.id == phone)
}

#[derive(Serialize)]
struct OrderBody<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

async fn order(
    action: &str,
    args: OrderArgs,
    hold: Option<String>,
    environment: &Environment,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let api = AdminApi::new(args.client.admin_url.as_deref(), environment)?;
    let body = OrderBody {
        reason: &args.reason,
        r#for: hold.as_deref(),
        by: args.by.as_deref().or(environment.user.as_deref()),
    };
    let body = serde_json::to_string(&body).map_err(|error| Failure::failed(error.to_string()))?;
    let answer = api
        .call(Call {
            method: Method::POST,
            path: &[args.whose.collection(), &args.whose.id, action],
            query: &[],
            body: Some(body),
            if_match: args.if_match,
            within: if action == "probe" { PROBE_WITHIN } else { WITHIN },
        })
        .await?;
    let (breaker, raw) = read(&api, &answer)?;
    if args.client.json {
        print_json(out, &raw)?;
    } else if action == ALLOW_PIN {
        show::pin_allowed(out, &breaker)?;
    } else {
        show::ordered(out, action, &breaker, environment.colours)?;
    }
    Ok(exit::DONE)
}

fn get<'a>(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Call<'a> {
    Call { method: Method::GET, path, query, body: None, if_match: None, within: WITHIN }
}

fn read(api: &AdminApi, body: &Bytes) -> Result<(Breaker, Box<RawValue>), Failure> {
    let breaker = serde_json::from_slice(body).map_err(|_| api.not_ours())?;
    let raw = serde_json::from_slice(body).map_err(|_| api.not_ours())?;
    Ok((breaker, raw))
}

fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(writeln!(out, "{text}")?)
}
