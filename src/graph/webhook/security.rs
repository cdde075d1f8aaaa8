//! The field `security`: what has become of a two-step PIN.

use super::{Security, SecurityEvent};
use crate::graph::ids::DisplayNumber;

/// What a change of this field with this `event` says, but for its entry's id and time; none if it is of another field, or its
/// event is none that we know.
pub(super) fn news(
    field: Option<&str>,
    event: Option<&str>,
    number: Option<DisplayNumber>,
) -> Option<Security> {
    let event = match event.filter(|_| field == Some("security"))? {
        "PIN_CHANGED" => SecurityEvent::PinChanged,
        "PIN_RESET_REQUEST" => SecurityEvent::PinResetRequest,
        "PIN_REQUEST_SUCCESS" => SecurityEvent::PinRequestSuccess,
        _ => return None,
    };
    Some(Security { waba: None, number, event, at: None })
}
