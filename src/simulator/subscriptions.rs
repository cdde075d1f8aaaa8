//! Who gets the webhooks: `subscribed_apps`, and the overrides of a phone and of a WABA.

use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::params::Params;
use super::state::{Phone, State};
use super::{APP, Simulator, webhooks};

/// The longest callback address.
const MAX_URI: usize = 200;

/// `/{waba}/subscribed_apps`. While a POST is open, the callback has to pass the handshake.
pub(super) async fn subscribed_apps(
    simulator: &Simulator,
    method: &str,
    waba: &str,
    params: &Params,
) -> Result<Answer, Failure> {
    match method {
        "GET" => {
            let app =
                json!({"id": APP, "name": "Jasper's Market App", "link": "https://www.facebook.com/games/"});
            Ok(Answer::Json(json!({"data": [{"whatsapp_business_api_data": app}]})))
        }
        "POST" => {
            let own = params.text("override_callback_uri").filter(|uri| !uri.is_empty());
            match own {
                Some(uri) => {
                    verify(simulator, &uri, &params.text("verify_token").unwrap_or_default()).await?;
                    simulator.state().waba_callbacks.insert(waba.to_owned(), uri);
                }
                None => {
                    let url = simulator.state().webhook_url.clone();
                    if let Some(url) = url {
                        verify(simulator, &url, &simulator.inner.options.verify_token).await?;
                    }
                    simulator.state().waba_callbacks.remove(waba);
                }
            }
            Ok(Answer::success())
        }
        "DELETE" => Ok(Answer::success()),
        _ => Err(Failure::unknown_object(&http::Method::POST, waba)),
    }
}

/// `POST /{phone}` with a `webhook_configuration`; an empty address clears it.
pub(super) async fn override_for_phone(
    simulator: &Simulator,
    id: &str,
    params: &Params,
) -> Result<Answer, Failure> {
    let field = |name| params.get("webhook_configuration").and_then(|own| own.get(name)?.as_str());
    let uri = field("override_callback_uri").ok_or_else(|| Failure::missing("override_callback_uri"))?;
    let callback = if uri.is_empty() {
        None
    } else {
        verify(simulator, uri, field("verify_token").unwrap_or_default()).await?;
        Some(uri.to_owned())
    };
    if let Some(phone) = simulator.state().phone(id) {
        phone.callback = callback;
    }
    Ok(Answer::success())
}

/// `webhook_configuration` of a phone.
pub(super) fn configuration(state: &State, phone: &Phone) -> Value {
    let own = [
        ("phone_number", phone.callback.as_ref()),
        ("whatsapp_business_account", state.waba_callbacks.get(&phone.waba)),
        ("application", state.webhook_url.as_ref()),
    ];
    own.into_iter().filter_map(|(name, url)| Some((name.to_owned(), json!(url?)))).collect()
}

async fn verify(simulator: &Simulator, uri: &str, verify_token: &str) -> Result<(), Failure> {
    if uri.len() > MAX_URI {
        return Err(Failure::new(400, 100, "Invalid parameter").details("The callback address is too long."));
    }
    webhooks::handshake(simulator, uri, verify_token).await.map_err(|why| {
        Failure::new(400, 2200, &format!("Callback verification failed with the following errors: {why}"))
    })
}
