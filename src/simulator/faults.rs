//! What can go wrong with a request or its answer, and for which requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::encoding::Encoding;

/// Something that goes wrong. Several on one request add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The request is read and counted, but neither carried out nor ever answered.
    Stall,
    /// The request is read and counted, not carried out, and the connection is cut (RST on TCP).
    Reset,
    /// The request is carried out; half of the answer's body is sent, then the connection ends.
    HalfBody,
    /// The request is carried out at once, the answer waits. Webhooks may be faster.
    Delay {
        /// How long.
        #[serde(with = "super::control::duration")]
        delay: Duration,
    },
    /// The answer is encoded, whether the client accepts it or not.
    Encoding {
        /// How.
        encoding: Encoding,
    },
    /// The answer has no length and comes in pieces.
    Chunked {
        /// How many bytes each piece has; over and over.
        sizes: Vec<usize>,
    },
    /// The status of a 131031 answer.
    Status {
        /// For instance 200.
        status: u16,
    },
    /// The error code is text, as some partners write it.
    CodeAsString,
    /// The request is not carried out and answered with this error, for instance 401 and 190, or 403 and 368.
    Error {
        /// The HTTP status.
        status: u16,
        /// The Graph code.
        code: i64,
    },
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// All.
    #[default]
    Any,
    /// Sends; read receipts are none.
    Sends,
    /// Reads of the health status.
    Probes,
    /// All that are neither.
    Others,
}

/// A fault, for which requests, and how often. Requests under `/_simulator/` have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Requests on this node only; `None`: on all.
    #[serde(default)]
    pub phone: Option<String>,
    /// Which requests.
    #[serde(default)]
    pub on: Requests,
    /// For how many requests; `None`: until cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

impl FaultRule {
    /// A fault of one phone's sends, until cleared.
    pub fn sends_of(phone: &str, fault: Fault) -> Self {
        Self { phone: Some(phone.into()), on: Requests::Sends, times: None, fault }
    }

    /// A fault of one phone's health reads, until cleared.
    pub fn probes_of(phone: &str, fault: Fault) -> Self {
        Self { phone: Some(phone.into()), on: Requests::Probes, times: None, fault }
    }

    /// For so many requests only.
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn applies(&self, node: Option<&str>, kind: Requests) -> bool {
        (self.phone.is_none() || self.phone.as_deref() == node)
            && (self.on == Requests::Any || self.on == kind)
    }
}

/// The faults of one request. Each rule that applies has one time less.
pub(super) fn take(rules: &mut Vec<FaultRule>, node: Option<&str>, kind: Requests) -> Vec<Fault> {
    let mut taken = Vec::new();
    rules.retain_mut(|rule| {
        if rule.times == Some(0) {
            return false;
        }
        if rule.applies(node, kind) {
            taken.push(rule.fault.clone());
            rule.times = rule.times.map(|left| left.saturating_sub(1));
        }
        rule.times != Some(0)
    });
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_its_requests_and_its_times() {
        let mut rules = vec![FaultRule::sends_of("1", Fault::Stall).times(2)];
        assert_eq!(take(&mut rules, Some("2"), Requests::Sends), []);
        assert_eq!(take(&mut rules, Some("1"), Requests::Probes), []);
        assert_eq!(take(&mut rules, Some("1"), Requests::Sends), [Fault::Stall]);
        assert_eq!(take(&mut rules, Some("1"), Requests::Sends), [Fault::Stall]);
        assert_eq!(take(&mut rules, Some("1"), Requests::Sends), []);
        assert_eq!(rules, []);
    }

    #[test]
    fn a_rule_is_written_flat_in_json() {
        let rule: FaultRule =
            serde_json::from_str(r#"{"fault":"delay","delay":"1s 500ms","on":"probes"}"#).unwrap();
        let delay = Duration::from_millis(1500);
        assert_eq!(
            rule,
            FaultRule { phone: None, on: Requests::Probes, times: None, fault: Fault::Delay { delay } }
        );
    }
}
