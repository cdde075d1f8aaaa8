//! Rules: other codes than the lock's open breakers, as wide as each says, and close as each says.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use sendfuse::breaker::Scope;
use sendfuse::breakers::{BreakerView, Filter, OrderKind};
use sendfuse::config::{Clears, Rule, RuleExtent, RuleScope};
use sendfuse::graph::class::Class;
use sendfuse::simulator::{Profile, WABA};
use serde_json::{Value, json};

use super::harness::{Answer, OTHER, PHONE, Scene, TOKEN, changes, failed, json_request, send_request, text};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

const SPAM: Rule = Rule {
    code: 131_048,
    scope: RuleScope::Phone,
    extent: RuleExtent::BusinessInitiated,
    clears: Clears::Time(HOUR),
};
const COUNTRY: Rule = Rule {
    code: 130_497,
    scope: RuleScope::PhoneCountry,
    extent: RuleExtent::All,
    clears: Clears::Time(HOUR),
};
const DEAD_TOKEN: Rule =
    Rule { code: 190, scope: RuleScope::Token, extent: RuleExtent::All, clears: Clears::Probe };

fn ruled(rules: &[Rule]) -> Scene {
    Scene::with(|config| config.rules = rules.to_vec())
}

fn template() -> Value {
    json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "template",
        "template": {"name": "order", "language": {"code": "en_US"}}})
}

fn to(recipient: &str) -> Value {
    let mut message = text();
    message["to"] = json!(recipient);
    message
}

async fn says(scene: &Scene, phone: &str, message: &Value) -> Answer {
    scene.call(json_request("POST", &format!("/v23.0/{phone}/messages"), message)).await
}

/// The breakers that are not closed, but accounts.
fn held(scene: &Scene) -> Vec<BreakerView> {
    scene.breakers().list(&Filter { limit: 100, ..Filter::default() }).0
}

/// What holds some of a phone's sends, alone and in a list.
fn also_held(scene: &Scene, phone: &str) -> Vec<(Scope, &'static str)> {
    let pairs = |view: BreakerView| {
        let held = view.also_held.into_iter().map(|held| (held.scope, held.state));
        held.collect::<Vec<_>>()
    };
    let filter = Filter { limit: 100, state: Some("closed"), ..Filter::default() };
    let listed = scene.breakers().list(&filter).0.into_iter().find(|view| view.id == phone);
    let alone = pairs(scene.breaker(phone));
    if let Some(listed) = listed {
        assert_eq!(pairs(listed), alone);
    }
    alone
}

#[tokio::test(start_paused = true)]
async fn without_rules_such_codes_are_only_counted() {
    let scene = ruled(&[]);
    scene.meta.lock(PHONE, Profile::Sync400.lock().code(131_048));
    for _ in 0..3 {
        assert_eq!(says(&scene, PHONE, &template()).await.code(), 131_048);
    }
    assert!(held(&scene).is_empty());
    assert_eq!(scene.arrived(PHONE), 3);
    assert_eq!(scene.metric("sendfuse_graph_errors_total{code=\"131048\"}"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_spam_limit_holds_business_initiated_messages_for_a_time() {
    for profile in [Profile::Sync400, Profile::Async] {
        let scene = ruled(&[SPAM]);
        let spam = profile.lock().code(131_048).only(Class::BusinessInitiated);
        scene.meta.lock(PHONE, spam.expiring_after(HOUR / 2));
        says(&scene, PHONE, &template()).await;
        scene.until_state(PHONE, "open").await;
        let view = scene.breaker(PHONE);
        assert_eq!((view.extent, view.reason.unwrap().code), (Some("business_initiated"), Some(131_048)));

        let arrived = scene.arrived(PHONE);
        let rejection = says(&scene, PHONE, &template()).await;
        assert!(rejection.is_rejection());
        assert_eq!(rejection.code(), 131_048, "as Meta would answer: {:?}", rejection.json);
        let details = rejection.json["error"]["error_data"]["details"].as_str().unwrap();
        assert!(details.contains("business-initiated messages only"), "{details}");
        assert_eq!(scene.metric("sendfuse_rejected_sends_total{reason=\"rule\"}"), 1.0);
        assert_eq!(says(&scene, PHONE, &text()).await.status, 200, "replies flow");
        assert_eq!(says(&scene, OTHER, &template()).await.status, 200, "so do others");
        assert_eq!(scene.arrived(PHONE), arrived + 1);

        scene.advance(HOUR / 4 * 3).await;
        assert_eq!(scene.state(PHONE), "open", "what it has let through proves nothing");
        assert_eq!(scene.probes(PHONE), 0, "time alone clears it");
        assert!(says(&scene, PHONE, &template()).await.is_rejection());
        scene.until_state(PHONE, "half_open").await;
        assert_eq!(says(&scene, PHONE, &text()).await.status, 200);
        assert_eq!(scene.state(PHONE), "half_open", "a reply is no trial");
        assert_eq!(says(&scene, PHONE, &template()).await.status, 200);
        scene.until_state(PHONE, "closed").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_spam_limit_that_lasts_is_held_again() {
    let scene = ruled(&[SPAM]);
    scene.meta.lock(PHONE, Profile::Sync400.lock().code(131_048).only(Class::BusinessInitiated));
    says(&scene, PHONE, &template()).await;
    scene.until_state(PHONE, "half_open").await;
    assert_eq!(says(&scene, PHONE, &template()).await.code(), 131_048);
    assert_eq!(scene.state(PHONE), "open");
    scene.advance(HOUR - SECOND * 10).await;
    assert_eq!(scene.state(PHONE), "open", "for as long again");
    scene.advance(SECOND * 20).await;
    assert_eq!(scene.state(PHONE), "half_open");
}

#[tokio::test(start_paused = true)]
async fn a_lock_widens_what_a_rule_holds() {
    let scene = ruled(&[SPAM]);
    scene.meta.lock(PHONE, Profile::Sync400.lock().code(131_048).only(Class::BusinessInitiated));
    says(&scene, PHONE, &template()).await;
    assert_eq!(scene.breaker(PHONE).extent, Some("business_initiated"));
    scene.lock(PHONE, Profile::Sync403);
    assert_eq!(says(&scene, PHONE, &text()).await.code(), 131_031);
    let view = scene.breaker(PHONE);
    assert_eq!((view.extent, view.generation, view.reason.unwrap().code), (Some("all"), 2, Some(131_031)));
    let rejection = says(&scene, PHONE, &text()).await;
    assert!(rejection.is_rejection());
    assert_eq!(rejection.code(), 131_031);
}

#[tokio::test(start_paused = true)]
async fn a_country_is_held_for_one_phone() {
    for profile in [Profile::Sync403, Profile::Async] {
        let scene = ruled(&[COUNTRY]);
        scene.meta.lock(PHONE, profile.lock().code(130_497).calling_code("55").expiring_after(HOUR / 2));
        let brazil = to("+55 11 91234-5678");
        says(&scene, PHONE, &brazil).await;
        scene.advance(SECOND * 30).await;
        let scope: Scope = format!("phone_country/{PHONE}.BR").parse().unwrap();
        let view = scene.breakers().view(scope);
        assert_eq!((view.scope, &*view.id, view.state), ("phone_country", &*format!("{PHONE}.BR"), "open"));

        let arrived = scene.arrived(PHONE);
        let rejection = says(&scene, PHONE, &brazil).await;
        assert!(rejection.is_rejection());
        assert_eq!(rejection.code(), 130_497);
        assert_eq!(scene.arrived(PHONE), arrived);
        assert_eq!(scene.state(PHONE), "closed");
        assert_eq!(also_held(&scene, PHONE), [(scope, "open")]);
        assert_eq!(also_held(&scene, OTHER), []);
        for (phone, recipient) in [(PHONE, "16505551234"), (PHONE, "4915112345678"), (OTHER, "5511912345678")]
        {
            assert_eq!(says(&scene, phone, &to(recipient)).await.status, 200, "{phone} to {recipient}");
        }
        let bsuid = json!({"messaging_product": "whatsapp", "recipient": "BR.13491208655302741918",
            "type": "text", "text": {"body": "hi"}});
        assert!(says(&scene, PHONE, &bsuid).await.is_rejection());

        scene.advance(HOUR).await;
        assert_eq!(scene.breakers().view(scope).state, "half_open");
        assert_eq!(also_held(&scene, PHONE), [(scope, "half_open")]);
        assert_eq!(says(&scene, PHONE, &to("16505551234")).await.status, 200);
        assert_eq!(scene.breakers().view(scope).state, "half_open", "another country is no trial");
        assert_eq!(says(&scene, PHONE, &brazil).await.status, 200);
        scene.advance(SECOND * 30).await;
        assert_eq!(scene.breakers().view(scope).state, "closed");
        assert!(held(&scene).is_empty());
        assert_eq!(also_held(&scene, PHONE), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_no_matter_of_the_country() {
    let scene = ruled(&[COUNTRY]);
    scene.meta.lock(PHONE, Profile::Async.lock().code(130_497).calling_code("55"));
    says(&scene, PHONE, &to("5511912345678")).await;
    scene.advance(HOUR + SECOND * 30).await;
    let scope: Scope = format!("phone_country/{PHONE}.BR").parse().unwrap();
    assert_eq!(scene.breakers().view(scope).state, "half_open");
    scene.meta.unlock(PHONE);
    scene.lock(PHONE, Profile::Async);
    says(&scene, PHONE, &to("5511912345678")).await;
    scene.until_state(PHONE, "open").await;
    assert_eq!(scene.breakers().view(scope).state, "half_open", "that trial proved nothing");
}

fn with_token(phone: &str, token: &str) -> Request<Full<Bytes>> {
    let mut request = send_request(phone);
    let value = header::HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_held_and_another_takes_its_place() {
    let scene = ruled(&[DEAD_TOKEN]);
    scene.send(PHONE).await;
    scene.meta.revoke_token(TOKEN);
    assert_eq!(scene.send(PHONE).await.code(), 190);
    let found = held(&scene);
    assert_eq!(found.iter().map(|view| (view.scope, view.state)).collect::<Vec<_>>(), [("token", "open")]);
    let scope = Scope::parse("token", &found[0].id).unwrap();
    assert_eq!(also_held(&scene, PHONE), [(scope, "open")]);
    assert!(found[0].closes_when.contains("one trial send accepted"), "{}", found[0].closes_when);
    let printed = format!("{found:?}{:?}{}", scene.breaker(PHONE), scene.wired.metrics());
    assert!(!printed.contains(TOKEN), "{printed}");

    let arrived = scene.arrived(PHONE);
    for phone in [PHONE, OTHER] {
        let rejection = scene.send(phone).await;
        assert!(rejection.is_rejection(), "the token is dead for each of its phones");
        assert_eq!(rejection.code(), 190);
    }
    assert_eq!(
        (scene.arrived(PHONE), scene.state(PHONE)),
        (arrived, "closed"),
        "it never counts against the phone"
    );
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"});
    assert!(!says(&scene, PHONE, &read).await.is_rejection(), "nothing but a send is rejected");

    assert_eq!(scene.call(with_token(PHONE, "EAAGfresh")).await.status, 200, "another token flows at once");
    assert!(held(&scene).is_empty(), "and nothing waits for the old one");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_back_is_probed_and_tried() {
    let scene = ruled(&[DEAD_TOKEN]);
    scene.meta.revoke_token(TOKEN);
    assert_eq!(scene.send(PHONE).await.code(), 190);
    scene.advance(SECOND * 300).await;
    assert_eq!(held(&scene).first().map(|view| view.state), Some("open"), "probes find it dead");
    scene.meta.restore_token(TOKEN);
    scene.advance(SECOND * 900).await;
    assert_eq!(held(&scene).first().map(|view| view.state), Some("half_open"));
    assert_eq!(scene.send(PHONE).await.status, 200);
    assert!(held(&scene).is_empty(), "that it was accepted is enough");
}

#[tokio::test(start_paused = true)]
async fn an_app_with_many_dead_tokens_takes_the_room_of_no_other() {
    let scene = ruled(&[DEAD_TOKEN]);
    let made_up = |n| format!("EAAGmadeup{n}");
    for n in 0..20 {
        scene.meta.revoke_token(&made_up(n));
        assert_eq!(scene.call(with_token(PHONE, &made_up(n))).await.code(), 190);
    }
    assert_eq!(held(&scene).len(), 8);
    assert!(scene.call(with_token(PHONE, &made_up(7))).await.is_rejection());
    let sent_on = scene.call(with_token(PHONE, &made_up(8))).await;
    assert!(!sent_on.is_rejection() && sent_on.code() == 190, "Meta says it itself");
    scene.meta.revoke_token(TOKEN);
    scene.send(OTHER).await;
    assert!(scene.send(OTHER).await.is_rejection());

    // Those that are held no more give their places back.
    assert_eq!(scene.call(with_token(PHONE, "EAAGfresh")).await.status, 200);
    assert_eq!(held(&scene).len(), 1, "the other number's");
    for n in 10..12 {
        scene.call(with_token(PHONE, &made_up(n))).await;
        assert!(scene.call(with_token(PHONE, &made_up(n))).await.is_rejection(), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accounts_rule_holds_all_its_phones() {
    let rule =
        Rule { code: 131_042, scope: RuleScope::Waba, extent: RuleExtent::All, clears: Clears::Both(HOUR) };
    let scene = ruled(&[rule]);
    scene.send(PHONE).await;
    scene.advance(SECOND * 30).await;
    scene.meta.lock(PHONE, Profile::Async.lock().code(131_042));
    let sent = scene.send(PHONE).await.wamid();
    scene.advance(SECOND * 30).await;
    let scope: Scope = format!("waba/{WABA}").parse().unwrap();
    let view = scene.breakers().view(scope);
    assert_eq!((view.state, view.reason.unwrap().code), ("open", Some(131_042)));
    assert_eq!(scene.state(PHONE), "closed");
    assert!(scene.send(PHONE).await.is_rejection());
    scene.meta.unlock(PHONE);
    scene.advance(HOUR - SECOND * 60).await;
    assert_eq!(scene.breakers().view(scope).state, "open", "the time comes first");
    scene.advance(HOUR).await;
    assert_eq!(scene.breakers().view(scope).state, "half_open", "then a health check");
    assert_eq!(scene.send(PHONE).await.status, 200);
    scene.advance(SECOND * 30).await;
    assert_eq!(scene.breakers().view(scope).state, "closed");

    let generation = scene.breakers().view(scope).generation;
    let late = failed(&sent, 131_042, scene.seconds(Duration::ZERO));
    scene.webhook(&changes(PHONE, [json!({"statuses": [late]})])).await;
    assert_eq!(scene.breakers().view(scope).generation, generation, "of a message accepted before the close");
}

#[tokio::test(start_paused = true)]
async fn an_order_on_the_phone_outranks_what_holds_some_of_its_sends() {
    let scene = ruled(&[COUNTRY]);
    scene.meta.lock(PHONE, Profile::Sync403.lock().code(130_497).calling_code("55"));
    says(&scene, PHONE, &to("5511912345678")).await;
    scene.lock(PHONE, Profile::Sync403);
    says(&scene, PHONE, &to("16505551234")).await;
    assert_eq!(also_held(&scene, PHONE).len(), 1, "whatever its own breaker says");
    scene.order(PHONE, OrderKind::Bypass, None).await;
    assert_eq!(also_held(&scene, PHONE), []);
    assert!(!says(&scene, PHONE, &to("5511912345678")).await.is_rejection());
}
