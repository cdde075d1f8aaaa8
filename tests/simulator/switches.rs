//! The switches over HTTP: what there is, and what is refused.

use sendfuse::simulator::{PHONE, WABA};
use serde_json::{Value, json};

use super::{call, get, post, scene, switch, text};

#[tokio::test(start_paused = true)]
async fn the_list_has_every_switch_with_an_example_that_works() {
    let scene = scene(|_| {});
    for path in ["/_simulator", "/_simulator/"] {
        let (status, list) = call(&scene.meta, get(path)).await;
        assert_eq!(status, 200);
        let list: Vec<(String, String)> = list["switches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| ["request", "example"].map(|key| it[key].as_str().unwrap().to_owned()).into())
            .collect();
        assert!(list.len() > 12, "{list:?}");
        for (request, example) in list {
            let answer = match request.split_once(' ').unwrap() {
                ("GET", path) => call(&scene.meta, get(path)).await,
                (_, path) => call(&scene.meta, post(path, &example)).await,
            };
            assert_eq!(answer.0, 200, "{request} {example}: {}", answer.1);
            let line = format!("{request} {example}");
            assert!(sendfuse::simulator::switches().contains(line.trim_end()), "{line}");
        }
    }
    assert_eq!(call(&scene.meta, post("/_simulator/", "{}")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_field_is_refused_by_name() {
    let scene = scene(|_| {});
    let refused = async |name: &str, body: Value| {
        let (status, answer) = call(&scene.meta, switch(name, &body)).await;
        assert_eq!(status, 400, "{name} {body}");
        answer["error"].as_str().unwrap().to_owned()
    };
    let said = refused("lock", json!({"phone": PHONE, "profile": "async", "expire_after": "30m"})).await;
    assert!(said.starts_with("unknown field `expire_after`, expected one of: "), "{said}");
    assert!(said.contains("expires_after") && said.contains("phone"), "{said}");
    for (name, body, field) in [
        ("lock", json!({"phone": PHONE, "profile": "async", "delivered_percent": 3}), "delivered_percent"),
        ("unlock", json!({"phone": PHONE, "waba": WABA}), "waba"),
        ("lock_waba", json!({"waba": WABA, "reason": "disabled", "profile": "async", "x": 1}), "x"),
        ("fault", json!({"fault": "stall", "phones": PHONE}), "phones"),
        ("event", json!({"waba": WABA, "event": "disabled", "expires": "1h"}), "expires"),
        (
            "event",
            json!({"waba": WABA, "event": "disabled", "via": {"url": "http://x", "header": "x", "secret": "s", "name": "n"}}),
            "name",
        ),
        ("clear_faults", json!({"fone": PHONE}), "fone"),
        (
            "health",
            json!({"phone": PHONE, "health": {"blocked": {"entity": "WABA", "code": 1, "id": 2}}}),
            "id",
        ),
    ] {
        let said = refused(name, body).await;
        assert!(said.starts_with(&format!("unknown field `{field}`")), "{name}: {said}");
    }
    assert_eq!(call(&scene.meta, text()).await.0, 200, "what is refused does nothing");
    let custom = json!({"phone": PHONE, "health": {"custom": {"any": {"thing": 1}}}});
    assert_eq!(call(&scene.meta, switch("health", &custom)).await.0, 200, "a value is as it is");
    let none = json!({"phone": PHONE, "health": null});
    assert_eq!(call(&scene.meta, switch("health", &none)).await.0, 200);
}
