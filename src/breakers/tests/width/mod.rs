//! How wide it is held: whatever is said, of whatever account, the sends that are rejected are exactly those that a slow and obvious
//! reference says. `PROPTEST_CASES` asks for more cases than the default.
//!
//! | file | subject |
//! |---|---|
//! | `steps` | what may happen, and how it is made up |
//! | `house` | the program under test, with a clock that is moved by hand |
//! | `run`, `says` | each step is done to the program and written down for the reference |
//! | `compare` | then all phones and classes are compared |
//! | `reference` | all that was ever said, judged anew from the beginning each time |
//!
//! What is compared after each step, for each phone and each class (and for messages of an unknown one): whether the gate lets a
//! send pass, holds it back, or sends it as the trial; whose breaker holds it, and what the rejection says of the class.

mod compare;
mod house;
mod reference;
mod run;
mod says;
mod steps;

use std::cell::RefCell;

use proptest::test_runner::{Config, TestRunner};

use self::compare::Reached;
use self::run::Run;
use self::steps::History;
use crate::telemetry::Telemetry;

#[test]
fn exactly_what_the_reference_says_is_held() {
    let cases = Config::default().cases.max(256);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (reached, telemetry) = (RefCell::new(Reached::default()), Telemetry::new());
    TestRunner::new(config)
        .run(&steps::histories(), |history| {
            lived(&history, &telemetry, &mut reached.borrow_mut());
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    reached.into_inner().enough(u64::from(cases));
}

/// Without a thread of its own, the runtime does one thing after the other, the same in each run.
fn lived(history: &History, telemetry: &Telemetry, reached: &mut Reached) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut run = Run::new(history, telemetry.clone());
        for step in &history.steps {
            run.step(step, reached).await;
        }
    });
}
