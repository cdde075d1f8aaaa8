//! The whole handle against every order of events: sends, answers, statuses early, late, twice or never, probes, orders,
//! restarts, and a memory of sends that holds everything or nothing. `PROPTEST_CASES` asks for more cases than the thousand.
//!
//! | file | subject |
//! |---|---|
//! | `steps` | what may happen, and how it is made up |
//! | `meta` | what really becomes of each message at Meta, and when |
//! | `house` | the program under test, on a disk that outlives it, with a clock that is moved by hand |
//! | `run`, `sends` | each step is done to the program, and seen by the witness |
//! | `witness`, `expect` | what the program may do and must do, judged without its own means |
//! | `post` | one webhook as it is to be judged: which of its news is news |
//! | `reached` | how often a run came to what this is about |
//! | `ending` | all is told; it recovers; all is told once more |
//!
//! What must hold, and where it is checked:
//! - promise 1, nothing goes out past an open breaker, and one trial at a time: `Witness::gated`;
//! - promise 5, what was is still so after a restart: `Run::restart`;
//! - promise 6, late news moves nothing and is counted, and new trouble opens: `Witness::posted`, `Witness::refused`;
//! - promise 6, any order and any number of times ends the same, and then nothing moves it: `ending`;
//! - promise 7, nothing but a delivered trial, an operator, or silence where it was never broken closes: `Witness::accepted`,
//!   `Witness::posted`, `Witness::probed`, `Witness::woke`, `Run::is_shown_to_be_free`;
//! - a lock that is on never ends closed, and nothing wedges: `ending`;
//! - none of this needs the memory of sends: each history is lived through twice, with it and without.

mod ending;
mod expect;
pub(super) mod house;
mod meta;
mod post;
mod reached;
mod run;
mod sends;
mod steps;
mod witness;

use std::cell::RefCell;

use proptest::test_runner::{Config, TestRunner};

use self::reached::Reached;
use self::run::{Memory, Run};
use self::steps::History;
use crate::telemetry::Telemetry;

#[test]
fn any_order_of_events_keeps_the_promises() {
    let cases = Config::default().cases.max(1000);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (reached, telemetry) = (RefCell::new(Reached::default()), Telemetry::new());
    TestRunner::new(config)
        .run(&steps::histories(), |history| {
            let forgetful = if history.order % 2 == 0 { Memory::Overflown } else { Memory::Dead };
            for memory in [Memory::Whole, forgetful] {
                reached.borrow_mut().add(lived(&history, memory, &telemetry));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (what, least) = reached.into_inner().least();
    assert!(least > u64::from(cases) / 50, "hardly ever reached, so not tested: {what}, {least} times");
}

#[test]
fn what_was_found_once_stays_right() {
    for (what, history) in steps::found() {
        for memory in [Memory::Whole, Memory::Overflown, Memory::Dead] {
            println!("{what}, {memory:?}");
            lived(&history, memory, &Telemetry::new());
        }
    }
}

/// Without a thread of its own, the runtime does one thing after the other, the same in each run.
fn lived(history: &History, memory: Memory, telemetry: &Telemetry) -> Reached {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut run = Run::new(history, memory, telemetry.clone());
        for step in &history.steps {
            run.step(step).await;
        }
        let reached = run.reached;
        ending::end(&mut run, history).await;
        reached
    })
}
