//! The PIN guard: a few wrong two-step PINs lock `register`, so a PIN that Meta has refused is not sent again.
//!
//! [`Guard`] is what is known of one phone's PINs. It decides about each call that carries one, in this order:
//!
//! 1. **wait**: Meta has said that it looks at no PIN for a time (133008, 133009). Until then every try is answered here.
//! 2. **refused**: Meta has refused this very PIN. It is answered with Meta's own last error.
//! 3. **held**: so many different PINs were refused in a row (`pin_guard.max_attempts`) that the next may be one too many.
//!
//! A try that an operator has allowed passes all three, once. A PIN that Meta accepts forgets everything, waits too; a change
//! that Meta's `security` webhook reports forgets what was refused, but no wait, for nobody says that it ends by that.
//! What is about neither (a dead token, a fault at Meta, no answer) proves nothing.
//!
//! `register` guesses the phone's PIN; `POST /{phone}` sets it, and is Meta's own way out of a wrong one. So each is judged by
//! what was refused *there*: what `register` was refused may still be set.
//!
//! Decisions are about one try at a time: whoever asks has to await the answer to the try before, or two tries of one wrong
//! PIN would both go out.

mod guard;
#[cfg(test)]
mod tests;

pub use guard::{Attempts, Guard, Held, MetaError, MetaWords, Standing, Try, Why};
