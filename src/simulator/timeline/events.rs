//! What an account event is said to be.

use serde::de::DeserializeOwned;

use super::clauses::Clauses;
use super::parse::{Wrong, word};
use super::steps::{named, time};
use crate::simulator::{Event, Forwarder, News, Shape};

const EVENT: &str = "an event is disabled, reinstated, restricted_business_initiated, account_deleted, review_rejected or another of `News`";
const OPTIONS: &str = "an event may have `expires after 30m`, `older by 10m`, `ban_state list` or `several`, `expiration iso`, \
    `entry_id partner` or `zero`, `phone_number display` or `id`, `entry_first`, `via URL HEADER SECRET`";

pub(super) fn event(text: &str) -> Result<Event, Wrong> {
    let (name, mut clauses) = Clauses::read(text, OPTIONS);
    let news: News = named(name).ok_or((name.to_owned(), EVENT))?;
    let event = Event {
        expires_after: clauses.read_as("expires after", time)?,
        older_by: clauses.read_as("older by", time)?,
        shape: Shape {
            ban_state: one_of("ban_state", &mut clauses)?,
            expiration: one_of("expiration", &mut clauses)?,
            entry_id: one_of("entry_id", &mut clauses)?,
            phone_number: one_of("phone_number", &mut clauses)?,
            entry_first: clauses.flag("entry_first"),
        },
        via: clauses.read_as("via", forwarder)?,
        ..news.into()
    };
    clauses.finish().map(|()| event)
}

fn one_of<T: DeserializeOwned + Default>(option: &str, clauses: &mut Clauses<'_>) -> Result<T, Wrong> {
    let value = clauses.read_as(option, |text| named(text).ok_or((text.to_owned(), OPTIONS)))?;
    Ok(value.unwrap_or_default())
}

fn forwarder(text: &str) -> Result<Forwarder, Wrong> {
    let (url, rest) = word(text);
    match word(rest) {
        (header, secret) if !secret.is_empty() => {
            Ok(Forwarder { url: url.to_owned(), header: header.to_owned(), secret: secret.to_owned() })
        }
        _ => Err((text.to_owned(), OPTIONS)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::simulator::{BanState, EntryId, Expiration, NumberIn};

    #[test]
    fn every_event_can_be_said_in_every_shape() {
        for news in News::ALL {
            let name = serde_json::to_value(news).unwrap();
            assert_eq!(event(name.as_str().unwrap()), Ok(news.into()), "{name}");
        }
        let text = "disabled, expires after 1m, older by 1h, ban_state several, expiration iso, entry_id zero, \
                    phone_number display, entry_first, via http://x.test/y X-Signature a secret";
        let minute = Duration::from_secs(60);
        let via = Forwarder {
            url: "http://x.test/y".into(),
            header: "X-Signature".into(),
            secret: "a secret".into(),
        };
        let shape = Shape {
            ban_state: BanState::Several,
            expiration: Expiration::Iso,
            entry_id: EntryId::Zero,
            phone_number: NumberIn::Display,
            entry_first: true,
        };
        let expected = Event::from(News::Disabled).expiring_after(minute).older_by(minute * 60);
        assert_eq!(event(text), Ok(expected.shaped(shape).via(via)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        for (text, what, rule) in [
            ("", "", EVENT),
            ("DISABLE", "DISABLE", EVENT),
            ("disabled, soon", "soon", OPTIONS),
            ("disabled, entry_first, entry_first", "entry_first", OPTIONS),
            ("disabled, ban_state maybe", "maybe", OPTIONS),
            ("disabled, via http://x.test", "http://x.test", OPTIONS),
        ] {
            assert_eq!(event(text), Err((what.to_owned(), rule)), "{text}");
        }
    }
}
