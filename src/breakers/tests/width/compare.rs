//! What is compared after each step: what the next send of each phone and class meets, and what a rejection says.

use super::reference::{Word, World};
use super::run::Run;
use super::steps::Step;
use crate::breaker::Scope;
use crate::breakers::{Gate, Traits};
use crate::graph::class::Class;

/// How often the runs came to what this is about.
#[derive(Debug, Default)]
pub(super) struct Reached {
    held_by_account: u64,
    held_by_phone: u64,
    one_class: u64,
    pub(super) trials_of_two: u64,
    pub(super) trials_of_accounts: u64,
    closed: u64,
}

impl Reached {
    pub(super) fn enough(&self, cases: u64) {
        let Self { held_by_account, held_by_phone, one_class, trials_of_two, trials_of_accounts, closed } =
            *self;
        let least = [held_by_account, held_by_phone, one_class, trials_of_two, trials_of_accounts, closed];
        assert!(
            least.iter().all(|often| *often > cases / 20),
            "hardly ever reached, so not tested: {self:?}"
        );
    }
}

impl Run {
    /// What was said, a line each.
    fn told(&self) -> String {
        let begun = self.history.first().map_or(0, |(at, _)| *at);
        self.history
            .iter()
            .filter(|(_, word)| !matches!(word, Word::Asked(_)))
            .map(|(at, word)| format!("{:>6} s  {word:?}\n", (at - begun) / 1000))
            .collect()
    }

    /// Each phone and each class, as the next send would meet it. What is let out comes back unused.
    pub(super) fn compare(&self, step: &Step, reached: &mut Reached) {
        let world = self.world();
        for phone in &self.phones {
            for class in [None, Some(Class::BusinessInitiated), Some(Class::CustomerInitiated)] {
                let expected = world.meets(*phone, class);
                let met = match self.house.breakers.admit(*phone, of_class(class)) {
                    Gate::Forward(permit) => {
                        Ok(permit.trials.iter().map(|trial| trial.scope).collect::<Vec<_>>())
                    }
                    Gate::Reject(rejection) => Err(String::from_utf8(rejection.body("1")).unwrap()),
                };
                let told = match (&expected, &met) {
                    (Ok(trials), Ok(met)) => trials == met,
                    (Err(holder), Err(body)) => is_told(&world, *holder, body),
                    _ => false,
                };
                assert!(
                    told,
                    "{phone} {class:?} after {step:?}: expected {expected:?}, and it was {met:?}, after\n{}",
                    self.told()
                );
                match expected {
                    Ok(_) => reached.closed += 1,
                    Err(Scope::Phone(_)) => reached.held_by_phone += 1,
                    Err(holder) => {
                        reached.held_by_account += 1;
                        reached.one_class += u64::from(world.one_class(holder).is_some());
                    }
                }
            }
        }
    }
}

/// Whether a rejection says whose breaker it is, and which class that holds.
fn is_told(world: &World, holder: Scope, body: &str) -> bool {
    let account = match holder {
        Scope::Waba(waba) => body.contains(&format!("all phones of the account {waba} ")),
        _ => !body.contains("all phones of the account"),
    };
    let class = match world.one_class(holder) {
        Some(Class::BusinessInitiated) => body.contains("business-initiated messages only"),
        Some(Class::CustomerInitiated) => body.contains("customer-initiated messages only"),
        None => !body.contains("messages only"),
    };
    account && class
}

pub(super) fn of_class(class: Option<Class>) -> Traits {
    Traits { class, ..Traits::default() }
}
