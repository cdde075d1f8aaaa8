//! The containment benchmark: what reaches Meta after a lock, with sendfuse, with no proxy and with HAProxy.
//!
//! The same run for each setup, one after the other, each with a simulated Meta of its own: phones send at a fixed rate,
//! some of them are locked for a while by each of the simulator's profiles, and webhooks take their time. Everything goes
//! over real sockets.
//!
//! | file | subject |
//! |---|---|
//! | `plan` | whose phones are locked how, and when |
//! | `app`, `meta` | the two ends |
//! | `setups`, `fuse`, `haproxy` | what stands between them |
//! | `journal` | what was seen |
//! | `count`, `table` | figures, and whether sendfuse has kept its bound |

mod app;
mod count;
mod fuse;
mod haproxy;
mod journal;
mod meta;
mod plan;
mod setups;
mod table;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use self::app::App;
use self::count::Row;
use self::haproxy::Haproxy;
use self::journal::{Journal, Seen};
use self::meta::Meta;
use self::plan::{Plan, Tuning};
use self::setups::Setup;
use crate::{Result, process};

/// Of the sends that are due, so many have to be made.
const HELD: f64 = 0.98;
/// sendfuse's defaults.
const AS_SHIPPED: Tuning = Tuning { breaker: "", probe: "" };
/// Times that fit a short run.
const SHORT: Tuning = Tuning {
    breaker: "min_open = \"2s\"\ntrial_timeout = \"5s\"",
    probe: "interval = \"1s\"\nmax_interval = \"2s\"",
};
/// A phone that has not been held back for so long flows again.
const CALM: Duration = Duration::from_secs(3);
/// After the unlock, a run that does not calm down goes on for so long.
const PATIENCE: Duration = Duration::from_mins(5);

/// 200 phones at 5 sends a second; 10 locked by each profile.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Seconds from the lock, which is at 10 s, to the unlock. No multiple of HAProxy's 60: an entry must not happen to
    /// expire at the unlock.
    #[arg(long, default_value_t = 100)]
    locked_for: u64,
    /// The longest time that a status takes, in seconds; the shortest is 0.2.
    #[arg(long, default_value_t = 30)]
    slowest_webhook: u64,
}

impl Arguments {
    fn plan(&self, quick: bool) -> Plan {
        let lock_at = Duration::from_secs(if quick { 1 } else { 10 });
        let unlock_at = lock_at + Duration::from_secs(if quick { 5 } else { self.locked_for.max(1) });
        let slowest = if quick { 1 } else { self.slowest_webhook.max(1) };
        let long = Plan {
            phones: 200,
            locked_each: 10,
            per_second: 5,
            lock_at,
            unlock_at,
            statuses: (Duration::from_millis(200), Duration::from_secs(slowest)),
            answers: Duration::from_millis(300),
            limit: unlock_at + PATIENCE,
            sendfuse: AS_SHIPPED,
            haproxy_expire: Duration::from_secs(60),
        };
        if !quick {
            return long;
        }
        let limit = unlock_at + Duration::from_secs(30);
        Plan {
            phones: 40,
            locked_each: 2,
            limit,
            sendfuse: SHORT,
            haproxy_expire: Duration::from_secs(2),
            ..long
        }
    }
}

/// Runs all setups and prints their tables. Errors: sendfuse has broken its bound, or something did not work.
pub(crate) fn run(arguments: &Arguments, sendfuse: Option<&Path>, quick: bool) -> Result<()> {
    let plan = arguments.plan(quick);
    let binary = match sendfuse {
        // Absolute, since it is started in a directory of its own.
        Some(path) => path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?,
        None => process::build_sendfuse()?,
    };
    let mut setups = vec![Setup::Sendfuse(binary), Setup::NoProxy];
    match Haproxy::find() {
        Some(haproxy) => setups.push(Setup::Haproxy(haproxy)),
        None => eprintln!("haproxy is not installed: left out (apt-get install haproxy)"),
    }
    let scratch = tempfile::Builder::new().prefix("load-tests-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("{}\n\n{}", described(&plan), table::LEGEND);
    let mut broken = Vec::new();
    for setup in &setups {
        eprintln!("{}: up to {} s …", setup.name(), plan.limit.as_secs());
        let run = runtime.block_on(rehearse(setup, &plan, scratch.path()))?;
        println!("\n{}", table::table(&setup.name(), &run.rows, run.trials.is_some()));
        println!("\n{}", pace(&plan, &run));
        if let Some(trials) = run.trials {
            println!("\n{}", table::bound(&run.rows));
            broken = table::broken(&run.rows, trials);
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("sendfuse: {}", broken.join("; ")).into()) }
}

fn described(plan: &Plan) -> String {
    format!(
        "{} phones × {} sends/s; {} of them locked by each profile from {} s to {} s; Meta answers after {} s, statuses \
         come after {} to {} s.",
        plan.phones,
        plan.per_second,
        plan.locked_each,
        plan.lock_at.as_secs(),
        plan.unlock_at.as_secs(),
        plan.answers.as_secs_f64(),
        plan.statuses.0.as_secs_f64(),
        plan.statuses.1.as_secs(),
    )
}

/// What came of one setup's run.
struct Run {
    rows: Vec<Row>,
    /// How many trials sendfuse says that there were.
    trials: Option<u64>,
    /// How long the app has sent.
    lasted: Duration,
}

async fn rehearse(setup: &Setup, plan: &Plan, scratch: &Path) -> Result<Run> {
    let journal = Arc::new(Journal::default());
    let meta = Meta::start(plan, &journal).await?;
    let standing = setup.start(plan, meta.address(), scratch).await?;
    let began = journal.begin();
    meta.play(plan, standing.webhooks)?;
    let app = App::start(plan, standing.sends, &journal);
    while journal.now() < plan.limit && (journal.now() < plan.quiet_at() || !journal.all_flow(CALM)) {
        sleep(Duration::from_millis(250)).await;
    }
    let lasted = journal.now();
    app.stop().await;
    let (words, seen) = (standing.words().await?, journal.close());
    check_eyes(plan, &seen, &meta)?;
    Ok(match words {
        None => Run { rows: count::rows(plan, &seen, None), trials: None, lasted },
        Some((log, metrics)) => {
            let transitions = fuse::transitions(&log, &plan.ids(), began);
            let rows = count::rows(plan, &seen, Some(&transitions));
            Run { rows, trials: Some(fuse::trials(&metrics)?), lasted }
        }
    })
}

/// Says whether the machine was fast enough: an app that stalls sends less than it should, and proves less.
fn pace(plan: &Plan, run: &Run) -> String {
    let due = plan.phones as f64 * f64::from(plan.per_second) * run.lasted.as_secs_f64();
    let made = run.rows.iter().map(|row| row.sends).sum::<u64>() as f64;
    let verdict =
        if made < due * HELD { ": the machine was too busy, and this run proves little" } else { "" };
    format!(
        "{:.0} s; the app has made {:.1} % of the sends that were due{verdict}.",
        run.lasted.as_secs_f64(),
        made / due * 100.0
    )
}

/// Which sends have reached Meta is told by their answers; what Meta has counted has to agree.
fn check_eyes(plan: &Plan, seen: &Seen, meta: &Meta) -> Result<()> {
    for (phone, id) in plan.ids().iter().enumerate() {
        let of = |counted: fn(&journal::Sent) -> bool| {
            seen.sends.iter().filter(|sent| sent.phone == phone && counted(sent)).count() as u64
        };
        let answered = of(journal::Sent::reached_meta);
        let unclear = of(|sent| sent.answer == journal::Answer::Nothing);
        let arrived = meta.counts(id).arrived;
        if !(answered..=answered + unclear).contains(&arrived) {
            return Err(format!(
                "phone {id}: {arrived} sends have arrived at Meta, and {answered} were answered by it"
            )
            .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_proxy_all_that_is_locked_reaches_meta() {
        let ms = Duration::from_millis;
        let (lock_at, unlock_at) = (ms(300), ms(1_000));
        let plan = Plan { lock_at, unlock_at, statuses: (ms(20), ms(100)), ..plan::tests::plan() };
        let scratch = tempfile::tempdir().expect("directory");
        let run = rehearse(&Setup::NoProxy, &plan, scratch.path()).await.expect("run");
        assert_eq!((run.rows.len(), run.trials), (9, None));
        for row in &run.rows {
            let reached = row.before + row.after;
            assert_eq!(row.locked, row.group != "healthy");
            assert_eq!((row.held_back, row.unanswered, row.without_evidence), (0, 0, 0), "{row:?}");
            assert_eq!(
                (reached > 0, row.after > 0, row.failed > 0),
                (row.locked, row.locked, row.locked),
                "{row:?}"
            );
        }
    }

    #[test]
    fn the_plans_are_of_the_size_that_is_promised() {
        let arguments = Arguments { locked_for: 100, slowest_webhook: 30 };
        let (full, quick) = (arguments.plan(false), arguments.plan(true));
        assert_eq!((full.phones, full.locked_each, full.per_second), (200, 10, 5));
        assert_eq!((full.unlock_at, full.statuses.1), (Duration::from_secs(110), Duration::from_secs(30)));
        assert!(full.limit > full.quiet_at() && quick.limit > quick.quiet_at());
        assert!(quick.locked() < quick.phones && quick.limit < Duration::from_secs(60));
    }
}
