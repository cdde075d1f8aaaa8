//! What can be switched.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Done, Switch, read, with};
use crate::simulator::timeline::range;
use crate::simulator::{AccountLock, Delay, Event, FaultRule, Health, Lock, Simulator, Timeline};

/// All switches. Each example is one that works.
pub(super) const SWITCHES: &[Switch] = &[
    Switch {
        method: "POST",
        name: "lock",
        example: r#"{"phone":"106540352242922","profile":"async"}"#,
        more: "profile: async, sync403, sync400, ban, review_pending, intermittent (+ \"delivered_percent\":30), \
               late_duplicates (+ \"after\":\"30s\"), reengagement_wave (+ \"lasting\":\"10m\",\"failed_percent\":80); each may have \
               \"failures_after\":\"200ms..30s\", \"code\":131048, \"class\":\"business_initiated\", \"calling_code\":\"55\", \
               \"expires_after\":\"30m\"",
        work: |simulator, body| with(body, |order: LockPhone| simulator.lock(&order.phone, order.lock)),
    },
    Switch {
        method: "POST",
        name: "unlock",
        example: r#"{"phone":"106540352242922"}"#,
        more: "",
        work: |simulator, body| with(body, |order: OnPhone| simulator.unlock(&order.phone)),
    },
    Switch {
        method: "POST",
        name: "lock_waba",
        example: r#"{"waba":"102290129340398","reason":"disabled","profile":"async"}"#,
        more: "reason: disabled, deleted, offboarded, review_rejected, restricted, restricted_business_initiated, \
               restricted_customer_initiated; the rest as of lock, and \"health\":\"banned\"",
        work: |simulator, body| with(body, |order: LockWaba| simulator.lock_waba(&order.waba, order.lock)),
    },
    Switch {
        method: "POST",
        name: "unlock_waba",
        example: r#"{"waba":"102290129340398"}"#,
        more: "",
        work: |simulator, body| with(body, |order: OnWaba| simulator.unlock_waba(&order.waba)),
    },
    Switch {
        method: "POST",
        name: "wabas",
        example: r#"{"phones":"206540352240000..206540352240099","each":10}"#,
        more: "makes phones under WABAs, and answers the WABAs",
        work: add_wabas,
    },
    Switch {
        method: "POST",
        name: "health",
        example: r#"{"phone":"106540352242922","health":"sip_blocked"}"#,
        more: "phone: or a WABA's id; health: available, sip_blocked, app_sip_blocked, payment_blocked, limited_with_errors, banned, \
               banned_unpaid, not_linked, {\"blocked\":{\"entity\":\"WABA\",\"code\":141099}}, {\"custom\":{…}}, or null",
        work: |simulator, body| {
            with(body, |order: SetHealth| simulator.set_health(&order.phone, order.health))
        },
    },
    Switch {
        method: "POST",
        name: "fault",
        example: r#"{"phone":"106540352242922","on":"sends","times":1,"fault":"delay","delay":"2s"}"#,
        more: "only fault is needed: stall, reset, half_body, delay, encoding (+ \"encoding\":\"gzip\"), chunked (+ \"sizes\":[1,7]), \
               status (+ \"status\":200), code_as_string, error (+ \"status\":503,\"code\":2); on: any, sends, probes, others",
        work: |simulator, body| with(body, |rule: FaultRule| simulator.fault(rule)),
    },
    Switch {
        method: "POST",
        name: "clear_faults",
        example: r#"{"phone":"106540352242922"}"#,
        more: "{} for all",
        work: |simulator, body| {
            with(body, |order: ClearFaults| simulator.clear_faults(order.phone.as_deref()))
        },
    },
    Switch {
        method: "POST",
        name: "statuses",
        example: r#"{"delay":"200ms..30s"}"#,
        more: "from acceptance to the first status, and from each to the next",
        work: |simulator, body| with(body, |order: Statuses| simulator.set_status_delay(order.delay)),
    },
    Switch {
        method: "POST",
        name: "revoke_token",
        example: r#"{"token":"EAAsimulated"}"#,
        more: "every call with it is answered 190 from then on",
        work: |simulator, body| with(body, |order: OnToken| simulator.revoke_token(&order.token)),
    },
    Switch {
        method: "POST",
        name: "restore_token",
        example: r#"{"token":"EAAsimulated"}"#,
        more: "",
        work: |simulator, body| with(body, |order: OnToken| simulator.restore_token(&order.token)),
    },
    Switch {
        method: "POST",
        name: "event",
        example: r#"{"waba":"102290129340398","event":"restricted","expires_after":"30m"}"#,
        more: "an account event, which changes nothing here: disabled, scheduled_for_disable, reinstated, restricted, unrestricted, \
               account_deleted, review_rejected, flagged, …; each may have \"older_by\":\"10m\", \"ban_state\":\"list\", \
               \"expiration\":\"iso\", \"entry_id\":\"partner\", \"phone_number\":\"display\", \"entry_first\":true, \
               \"via\":{\"url\":\"…\",\"header\":\"…\",\"secret\":\"…\"}",
        work: |simulator, body| {
            with(body, |order: EventOf| simulator.account_event(&order.waba, order.event))
        },
    },
    Switch {
        method: "POST",
        name: "webhook",
        example: r#"{"waba":"102290129340398","field":"account_update","value":{"event":"ACCOUNT_DELETED"}}"#,
        more: "any value of any field",
        work: |simulator, body| {
            with(body, |order: Webhook| simulator.webhook(&order.waba, &order.field, order.value))
        },
    },
    Switch {
        method: "POST",
        name: "timeline",
        example: "at 5s lock 106540352242922 async",
        more: "the text of a timeline, which begins now; see --timeline",
        work: play,
    },
    Switch {
        method: "GET",
        name: "counts",
        example: "",
        more: "what has arrived, and what has become of it",
        work: |simulator, _| Ok(json!(simulator.counts())),
    },
];

#[derive(Serialize, Deserialize)]
struct LockPhone {
    phone: String,
    #[serde(flatten)]
    lock: Lock,
}

#[derive(Serialize, Deserialize)]
struct OnPhone {
    phone: String,
}

#[derive(Serialize, Deserialize)]
struct LockWaba {
    waba: String,
    #[serde(flatten)]
    lock: AccountLock,
}

#[derive(Serialize, Deserialize)]
struct OnWaba {
    waba: String,
}

#[derive(Serialize, Deserialize)]
struct Wabas {
    phones: String,
    each: usize,
}

#[derive(Serialize, Deserialize)]
struct OnToken {
    token: String,
}

#[derive(Serialize, Deserialize)]
struct EventOf {
    waba: String,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, Deserialize)]
struct SetHealth {
    phone: String,
    health: Option<Health>,
}

#[derive(Serialize, Deserialize)]
struct Statuses {
    delay: Delay,
}

#[derive(Serialize, Deserialize)]
struct ClearFaults {
    phone: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Webhook {
    waba: String,
    field: String,
    value: Value,
}

fn add_wabas(simulator: &Simulator, body: &[u8]) -> Done {
    let order: Wabas = read(body)?;
    let phones = range(&order.phones).map_err(|(what, rule)| format!("`{what}`: {rule}"))?;
    Ok(json!({"wabas": simulator.add_wabas(phones, order.each)}))
}

fn play(simulator: &Simulator, text: &[u8]) -> Done {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let timeline = Timeline::parse(text).map_err(|error| error.to_string())?;
    tokio::spawn(simulator.play(timeline));
    Ok(json!({"success": true}))
}
