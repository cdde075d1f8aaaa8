//! Registration and the two-step PIN.
//!
//! Meta documents the codes, not the numbers behind them. Ours: three wrong PINs are told so (133005); a try within five
//! seconds after a wrong one is too fast (133009) and is not looked at; after three wrong ones every try is one too many
//! (133008) for an hour from the last, however often it is tried. Documented: ten calls of `register` and `deregister` in
//! 72 hours, then none for 72 hours (133016).

use std::collections::VecDeque;
use std::time::Duration;

use super::Simulator;
use super::answer::{Answer, Failure};
use super::params::Params;
use super::state::Phone;
use crate::time::Timestamp;

const WRONG_PINS: u32 = 3;
const PAUSE_AFTER_WRONG: Duration = Duration::from_secs(5);
const LOCKED_FOR: Duration = Duration::from_secs(3600);
const CALLS: usize = 10;
const CALLS_WITHIN: Duration = Duration::from_secs(72 * 3600);

/// What a phone knows about its PIN and registration.
#[derive(Default)]
pub(super) struct TwoStep {
    pub(super) pin: Option<String>,
    pub(super) deregistered: bool,
    wrong: u32,
    last_wrong: Option<Timestamp>,
    calls: VecDeque<Timestamp>,
    blocked_since: Option<Timestamp>,
}

pub(super) fn register(simulator: &Simulator, id: &str, params: &Params) -> Result<Answer, Failure> {
    if params.text("messaging_product").as_deref() != Some("whatsapp") {
        return Err(Failure::missing("messaging_product"));
    }
    let pin = read_pin(params)?;
    let now = simulator.inner.options.clock.now();
    let result = on_phone(simulator, id, |phone| {
        phone.counts.registrations += 1;
        phone.two_step.count_call(now)?;
        phone.two_step.check(&pin, now)?;
        phone.two_step.pin = Some(pin);
        phone.two_step.deregistered = false;
        Ok(Answer::success())
    });
    simulator.inner.changed.notify_waiters();
    result
}

pub(super) fn deregister(simulator: &Simulator, id: &str) -> Result<Answer, Failure> {
    let now = simulator.inner.options.clock.now();
    on_phone(simulator, id, |phone| {
        phone.two_step.count_call(now)?;
        phone.two_step.deregistered = true;
        Ok(Answer::success())
    })
}

/// `POST /{phone}` with a `pin`: needs no old one.
pub(super) fn set_pin(simulator: &Simulator, id: &str, params: &Params) -> Result<Answer, Failure> {
    let pin = read_pin(params)?;
    on_phone(simulator, id, |phone| {
        phone.two_step.pin = Some(pin);
        Ok(Answer::success())
    })
}

pub(super) fn request_code(params: &Params) -> Result<Answer, Failure> {
    for parameter in ["code_method", "language"] {
        params.text(parameter).ok_or_else(|| Failure::missing(parameter))?;
    }
    Ok(Answer::success())
}

pub(super) fn verify_code(params: &Params) -> Result<Answer, Failure> {
    params.text("code").ok_or_else(|| Failure::missing("code"))?;
    Ok(Answer::success())
}

fn on_phone(
    simulator: &Simulator,
    id: &str,
    work: impl FnOnce(&mut Phone) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    let mut state = simulator.state();
    match state.phone(id) {
        Some(phone) => work(phone),
        None => Err(Failure::unknown_object(&http::Method::POST, id)),
    }
}

/// Also where the OpenAPI description nests it.
fn read_pin(params: &Params) -> Result<String, Failure> {
    let nested = params.get("whatsapp_business_api_data").and_then(|data| data.get("pin")?.as_str());
    let pin = params
        .text("pin")
        .or_else(|| nested.map(ToOwned::to_owned))
        .ok_or_else(|| Failure::missing("pin"))?;
    if pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit()) {
        Ok(pin)
    } else {
        Err(Failure::invalid("pin"))
    }
}

impl TwoStep {
    fn count_call(&mut self, now: Timestamp) -> Result<(), Failure> {
        if self.blocked_since.is_some_and(|since| now.since(since) >= CALLS_WITHIN) {
            self.blocked_since = None;
        }
        self.calls.retain(|call| now.since(*call) < CALLS_WITHIN);
        if self.blocked_since.is_none() && self.calls.len() < CALLS {
            self.calls.push_back(now);
            return Ok(());
        }
        self.blocked_since.get_or_insert(now);
        Err(Failure::new(400, 133_016, "Account register deregister rate limit exceeded"))
    }

    fn check(&mut self, pin: &str, now: Timestamp) -> Result<(), Failure> {
        if self.pin.as_deref().is_none_or(|own| own == pin) && self.wrong == 0 {
            return Ok(());
        }
        let since = self.last_wrong.map(|last| now.since(last));
        if self.wrong >= WRONG_PINS {
            if let Some(left) =
                since.and_then(|since| LOCKED_FOR.checked_sub(since)).filter(|left| !left.is_zero())
            {
                return Err(Failure::new(400, 133_008, "Two step verification PIN guessed too many times")
                    .details(format!("Try again in {} seconds.", left.as_secs())));
            }
            self.wrong = 0;
        } else if since.is_some_and(|since| since < PAUSE_AFTER_WRONG) {
            return Err(Failure::new(400, 133_009, "Two step verification PIN guessed too fast"));
        }
        if self.pin.as_deref().is_none_or(|own| own == pin) {
            self.wrong = 0;
            self.last_wrong = None;
            return Ok(());
        }
        self.wrong += 1;
        self.last_wrong = Some(now);
        Err(Failure::new(400, 133_005, "Two step verification PIN Mismatch")
            .details("The PIN is not the one of this phone number."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(pins: &[(i64, &str)]) -> Vec<i64> {
        let mut two_step = TwoStep { pin: Some("123456".into()), ..TwoStep::default() };
        let try_one = |(at, pin): &(i64, &str)| {
            two_step.check(pin, Timestamp::from_seconds(*at)).err().map_or(0, |failure| failure.code)
        };
        pins.iter().map(try_one).collect()
    }

    #[test]
    fn the_right_pin_is_right_and_forgives() {
        assert_eq!(
            codes(&[(0, "123456"), (0, "000000"), (9, "123456"), (9, "000000")]),
            [0, 133_005, 0, 133_005]
        );
    }

    #[test]
    fn after_a_wrong_pin_even_the_right_one_must_wait() {
        assert_eq!(codes(&[(0, "000000"), (4, "123456"), (5, "123456")]), [133_005, 133_009, 0]);
    }

    #[test]
    fn three_wrong_pins_lock_for_an_hour() {
        let tries = [(0, "1"), (10, "2"), (20, "3"), (40, "123456"), (3619, "123456"), (3620, "123456")];
        assert_eq!(codes(&tries), [133_005, 133_005, 133_005, 133_008, 133_008, 0]);
    }

    #[test]
    fn ten_calls_in_three_days_are_enough() {
        let mut two_step = TwoStep::default();
        let mut call = |hours: i64| two_step.count_call(Timestamp::from_seconds(hours * 3600)).is_ok();
        assert!((0..10).all(&mut call));
        assert!(!call(10) && !call(81));
        assert!(call(82));
    }
}
