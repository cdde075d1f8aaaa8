//! Graph batch: up to fifty operations in one request, each answered as if it had come alone.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::{Map, Value, json};

use super::Simulator;
use super::answer::{Answer, Failure, trace_id};
use super::carry::{Carried, carry_out_one};
use super::http::{Arrived, failed};
use super::nodes::Target;
use super::params::Params;

/// The most operations that are taken.
const MOST: usize = 50;

/// Whether a request is one.
pub(super) fn is_batch(request: &Arrived, params: &Params) -> bool {
    request.head.method == Method::POST && request.target.takes_batches() && params.get("batch").is_some()
}

/// Carries a batch out. Fails as a whole if it cannot be read.
pub(super) async fn answer(
    simulator: &Simulator,
    request: &Arrived,
    params: &Params,
) -> Result<Answer, Failure> {
    let operations = match params.get("batch") {
        Some(Value::Array(operations)) => operations.clone(),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| Failure::batch("batch parameter must be a JSON array"))?
        }
        _ => return Err(Failure::batch("batch parameter must be a JSON array")),
    };
    if operations.is_empty() || operations.len() > MOST {
        return Err(Failure::batch("Too many requests in batch message. Maximum batch size is 50"));
    }
    let with_headers = params.text("include_headers").is_none_or(|flag| flag != "false")
        && params.get("include_headers") != Some(&json!(false));
    let operations: Vec<Operation> = operations.iter().map(Operation::read).collect();
    let mut results: HashMap<String, Option<Value>> = HashMap::new();
    let mut answers = Vec::new();
    for operation in &operations {
        let done = done(simulator, request, params, operation, &results).await;
        let success = done.as_ref().is_some_and(|(code, _)| *code < 400);
        if let Some(name) = &operation.name {
            let body = done.as_ref().filter(|_| success);
            let body = body.map(|(_, body)| serde_json::from_slice(body).unwrap_or_default());
            results.insert(name.clone(), body);
        }
        let needed = || {
            operations
                .iter()
                .any(|other| other.needs.iter().any(|need| Some(need) == operation.name.as_ref()))
        };
        answers.push(match done {
            Some((code, body)) if !(success && operation.omits.unwrap_or_else(needed)) => {
                result(simulator, code, &body, with_headers)
            }
            _ => Value::Null,
        });
    }
    Ok(Answer::Json(Value::Array(answers)))
}

struct Operation {
    fields: Map<String, Value>,
    name: Option<String>,
    needs: Vec<String>,
    omits: Option<bool>,
}

impl Operation {
    fn read(value: &Value) -> Self {
        let fields = value.as_object().cloned().unwrap_or_default();
        let mut needs: Vec<String> = match fields.get("depends_on") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        for field in ["relative_url", "body"] {
            let text = fields.get(field).map(text).unwrap_or_default();
            let mut rest = text.as_str();
            while let Some((_, name, _, after)) = reference(rest) {
                needs.push(name.to_owned());
                rest = after;
            }
        }
        let name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
        let omits = fields.get("omit_response_on_success").and_then(Value::as_bool);
        Self { fields, name, needs, omits }
    }

    /// A field with its references put in.
    fn field(&self, name: &str, results: &HashMap<String, Option<Value>>) -> String {
        let text = self.fields.get(name).map(text).unwrap_or_default();
        let (mut done, mut rest) = (String::new(), text.as_str());
        while let Some((before, name, path, after)) = reference(rest) {
            let value = results.get(name).and_then(Option::as_ref);
            done.extend([before, &value.map(|value| at_path(value, path)).unwrap_or_default()]);
            rest = after;
        }
        done + rest
    }
}

/// A text as it is, nothing for `null`, anything else as JSON.
fn text(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What comes before a `{result=name:$.path}`, its name, its path, and what comes after it.
fn reference(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (before, rest) = text.split_once("{result=")?;
    let (inside, after) = rest.split_once('}')?;
    let (name, path) = inside.split_once(":$")?;
    Some((before, name, path, after))
}

/// The texts at a path such as `.data[0].id` or `.data.*.id`, with commas between them.
fn at_path(value: &Value, path: &str) -> String {
    let mut found = vec![value];
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        found = found
            .into_iter()
            .flat_map(|value| match (value, step) {
                (Value::Array(all), "*") => all.iter().collect(),
                (Value::Object(all), "*") => all.values().collect(),
                (Value::Array(all), at) => {
                    at.parse().ok().and_then(|at: usize| all.get(at)).into_iter().collect()
                }
                (value, name) => value.get(name).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    found.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// The status and the body of one operation; none if it is not done in time.
async fn done(
    simulator: &Simulator,
    batch: &Arrived,
    params: &Params,
    operation: &Operation,
    results: &HashMap<String, Option<Value>>,
) -> Option<(u16, Bytes)> {
    let failure = |failure: &Failure| Some(failed(simulator, failure, &[]));
    if operation.needs.iter().any(|need| results.get(need).is_none_or(Option::is_none)) {
        return failure(&Failure::batch("An operation that this one depends on has failed or is not there"));
    }
    let Some(request) = request_of(batch, params, operation, results) else {
        return failure(&Failure::batch("An operation needs a method and a relative_url"));
    };
    // What goes wrong by a fault goes wrong for this operation only.
    let Carried::Out(outcome, faults) = carry_out_one(simulator, &request).await else { return None };
    Some(match outcome {
        Ok(Answer::Json(value)) => (200, value.to_string().into()),
        Ok(Answer::Generated { .. }) => (200, Bytes::new()),
        Err(error) => failed(simulator, &error, &faults),
    })
}

/// An operation as a request of its own.
fn request_of(
    batch: &Arrived,
    params: &Params,
    operation: &Operation,
    results: &HashMap<String, Option<Value>>,
) -> Option<Arrived> {
    let url = operation.field("relative_url", results);
    let url = url.strip_prefix("https://graph.facebook.com").unwrap_or(&url);
    let uri: http::Uri = format!("/{}", url.trim_start_matches('/')).parse().ok()?;
    let body = Bytes::from(operation.field("body", results));
    let method = operation.fields.get("method")?.as_str()?;
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?;
    let target = Target::parse(uri.path());
    head.uri = uri;
    let kind = if body.starts_with(b"{") { "application/json" } else { "application/x-www-form-urlencoded" };
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut request = Arrived { head, target, body_bytes: body.len() as u64, body, scheme: batch.scheme };
    // Its own token, else the batch's.
    let own = request.params().ok().and_then(|own| own.text("access_token"));
    let field = operation.fields.get("access_token").and_then(Value::as_str).map(str::to_owned);
    let shared =
        || params.text("access_token").filter(|_| !batch.head.headers.contains_key(header::AUTHORIZATION));
    let authorization = match field.or_else(|| if own.is_none() { shared() } else { None }) {
        Some(token) => HeaderValue::from_str(&format!("Bearer {token}")).ok(),
        None if own.is_some() => None,
        None => batch.head.headers.get(header::AUTHORIZATION).cloned(),
    };
    request.head.headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
    Some(request)
}

fn result(simulator: &Simulator, code: u16, body: &[u8], with_headers: bool) -> Value {
    let mut result = json!({"code": code, "body": String::from_utf8_lossy(body)});
    if with_headers {
        result["headers"] = json!([
            {"name": "Content-Type", "value": "text/javascript; charset=UTF-8"},
            {"name": "x-fb-request-id", "value": trace_id(simulator)},
        ]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let value = json!({"data": [{"id": "a"}, {"id": 7}], "x": {"y": true}});
        for (path, expected) in
            [(".data[1].id", "7"), (".data.0.id", "a"), (".data.*.id", "a,7"), (".x.y", "true"), (".z.a", "")]
        {
            assert_eq!(at_path(&value, path), expected, "{path}");
        }
    }
}
