//! Which node and edge a path names, and who may ask.

use http::{Method, header};
use serde_json::json;

use super::answer::{Answer, Failure};
use super::faults::Requests;
use super::http::Arrived;
use super::params::Params;
use super::state::Node;
use super::{Simulator, fields, media, numbers, registration, sends, subscriptions};

/// A path: decoded, without empty segments.
pub(super) struct Target {
    /// For instance `v23.0`.
    pub(super) version: Option<String>,
    segments: Vec<String>,
}

impl Target {
    pub(super) fn parse(path: &str) -> Self {
        let mut segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(decode).collect();
        let versioned = segments.first().is_some_and(|first| is_version(first));
        let version = versioned.then(|| segments.remove(0));
        Self { version, segments }
    }

    /// The first segment: a node's id.
    pub(super) fn node(&self) -> Option<&str> {
        self.segments.first().map(String::as_str)
    }

    /// What follows the node, if it is one segment.
    pub(super) fn edge(&self) -> Option<&str> {
        self.segments.get(1).filter(|_| self.segments.len() == 2).map(String::as_str)
    }

    /// Whether it names a node itself, or nothing at all: batches are taken there.
    pub(super) fn takes_batches(&self) -> bool {
        self.segments.len() <= 1
    }

    fn is_node_itself(&self) -> bool {
        self.segments.len() == 1
    }

    /// The list of what can be switched.
    pub(super) fn is_control_itself(&self) -> bool {
        self.is_control() && self.is_node_itself()
    }

    pub(super) fn is_control(&self) -> bool {
        self.version.is_none() && self.node() == Some("_simulator")
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    })
}

/// Percent-decodes a segment.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What kind of request this is. Parameters that cannot be read are no read receipt.
pub(super) fn kind(request: &Arrived, params: Option<&Params>) -> Requests {
    let (target, post) = (&request.target, request.head.method == Method::POST);
    match target.edge() {
        Some("messages") if post && params.is_some_and(sends::is_read_receipt) => Requests::Others,
        Some("messages" | "marketing_messages" | "messages_encrypted") if post => Requests::Sends,
        _ if target.is_node_itself() && request.head.method == Method::GET => {
            let fields = params.and_then(|params| params.text("fields")).unwrap_or_default();
            if fields.split(',').any(|field| field == "health_status") {
                Requests::Probes
            } else {
                Requests::Others
            }
        }
        _ => Requests::Others,
    }
}

/// Carries a request out.
pub(super) async fn answer(
    simulator: &Simulator,
    request: &Arrived,
    params: &Params,
) -> Result<Answer, Failure> {
    check_token(simulator, request, params)?;
    let (method, target) = (&request.head.method, &request.target);
    let Some(id) = target.node() else {
        return Err(Failure::unknown_path("/"));
    };
    if id == media::DOWNLOAD {
        return media::download(target);
    }
    let node = simulator.state().node(id);
    let edge = if target.is_node_itself() { Some("") } else { target.edge() };
    let unknown = || Failure::unknown_object(method, id);
    match (method.as_str(), node, edge.ok_or_else(unknown)?) {
        ("POST", Node::Phone, "messages") if sends::is_read_receipt(params) => {
            sends::read_receipt(simulator, id, params)
        }
        ("POST", Node::Phone, edge @ ("messages" | "marketing_messages" | "messages_encrypted")) => {
            sends::send(simulator, id, edge, params)
        }
        ("POST", Node::Phone, "calls") => sends::call(simulator, params),
        ("POST", Node::Phone, "media") => media::upload(simulator, request, params),
        ("POST", Node::Phone, "register") => registration::register(simulator, id, params),
        ("POST", Node::Phone, "deregister") => registration::deregister(simulator, id),
        ("POST", Node::Phone, "request_code") => registration::request_code(params),
        ("POST", Node::Phone, "verify_code") => registration::verify_code(params),
        ("POST", Node::Phone, "") if params.get("webhook_configuration").is_some() => {
            subscriptions::override_for_phone(simulator, id, params).await
        }
        ("POST", Node::Phone, "") => registration::set_pin(simulator, id, params),
        ("POST" | "DELETE", Node::Phone, edge) if OTHER_PHONE_EDGES.contains(&edge) => Ok(Answer::success()),
        ("GET", Node::Phone, "whatsapp_business_profile") => Ok(Answer::Json(
            json!({"data": [{"messaging_product": "whatsapp", "about": "Succulent specialists!"}]}),
        )),
        ("GET", Node::Phone, edge) if OTHER_PHONE_EDGES.contains(&edge) => {
            Ok(Answer::Json(json!({"data": []})))
        }
        ("GET", Node::Phone, "") => fields::of_phone(simulator, id, params),
        ("GET", Node::Waba, "") => fields::of_waba(simulator, id, params),
        ("GET", Node::Waba, "phone_numbers") => numbers::list(simulator, request, id, params),
        ("GET", Node::Waba, "message_templates" | "activities") => Ok(Answer::Json(json!({"data": []}))),
        (method, Node::Waba, "subscribed_apps") => {
            subscriptions::subscribed_apps(simulator, method, id, params).await
        }
        ("GET", Node::Media, "") => media::read(simulator, request, id),
        ("DELETE", Node::Media, "") => Ok(media::delete(simulator, id)),
        _ => Err(unknown()),
    }
}

/// Edges of a phone that are there, and that is all.
const OTHER_PHONE_EDGES: [&str; 10] = [
    "settings",
    "block_users",
    "whatsapp_business_profile",
    "whatsapp_business_encryption",
    "whatsapp_commerce_settings",
    "conversational_automation",
    "message_qrdls",
    "username",
    "smb_app_data",
    "groups",
];

impl Simulator {
    /// A token that is answered 190 from now on, by every call.
    pub fn revoke_token(&self, token: &str) {
        self.state().revoked.insert(token.to_owned());
    }

    /// Ends [`Simulator::revoke_token`].
    pub fn restore_token(&self, token: &str) {
        self.state().revoked.remove(token);
    }
}

fn check_token(simulator: &Simulator, request: &Arrived, params: &Params) -> Result<(), Failure> {
    let header = request.head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth"));
    let token = match header {
        Some((_, token)) => token.trim().to_owned(),
        None => params.text("access_token").unwrap_or_default(),
    };
    let good = &simulator.inner.options.tokens;
    if simulator.state().revoked.contains(&token) {
        Err(Failure::revoked())
    } else if token.is_empty() {
        Err(Failure::token("An access token is required to request this resource."))
    } else if good.contains(&token) || (good.is_empty() && token.starts_with("EAA")) {
        Ok(())
    } else {
        Err(Failure::token("Invalid OAuth access token - Cannot parse access token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_slashes_and_escapes_are_seen_through() {
        for path in ["/v23.0/12/messages", "/12/messages", "//v9/12//messages/", "/v1.0/%312/m%65ssages"] {
            let target = Target::parse(path);
            assert_eq!((target.node(), target.edge()), (Some("12"), Some("messages")), "{path}");
        }
        assert_eq!(Target::parse("/12/messages/x").edge(), None);
        assert_eq!(Target::parse("/12%2Fmessages").edge(), None);
        assert_eq!(Target::parse("/%zz%").node(), Some("%zz%"));
    }
}
