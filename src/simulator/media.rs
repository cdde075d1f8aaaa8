//! Media: uploads that are counted, downloads that are made up.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, header, request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use super::Simulator;
use super::answer::{Answer, Failure};
use super::http::{Arrived, Payload};
use super::nodes::Target;
use super::params::Params;

/// The first segment of a download's path; the second is how many bytes.
pub(super) const DOWNLOAD: &str = "media-download";

/// Bytes of one piece of a download.
const PIECE: usize = 64 << 10;

/// Something that was uploaded.
pub(super) struct Media {
    bytes: u64,
    mime: String,
}

/// Whether a body is an upload, which is not kept. JSON uploads by reference are small.
pub(super) fn is_upload(head: &request::Parts, target: &Target) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    head.method == Method::POST
        && target.edge() == Some("media")
        && content_type.is_some_and(|value| value.to_ascii_lowercase().starts_with("multipart/"))
}

pub(super) fn upload(simulator: &Simulator, request: &Arrived, params: &Params) -> Result<Answer, Failure> {
    if request.body_bytes == 0 {
        return Err(Failure::missing("file"));
    }
    let id = (1_000_000_000_000_000 + simulator.draw() % 1_000_000_000_000_000).to_string();
    let mime = params.text("type").unwrap_or_else(|| "application/octet-stream".into());
    simulator.state().media.insert(id.clone(), Media { bytes: request.body_bytes, mime });
    Ok(Answer::Json(json!({"id": id})))
}

pub(super) fn read(simulator: &Simulator, request: &Arrived, id: &str) -> Result<Answer, Failure> {
    let state = simulator.state();
    let media = state.media.get(id).ok_or_else(|| Failure::unknown_object(&Method::GET, id))?;
    let url = format!("{}/{DOWNLOAD}/{}?mid={id}", request.origin(), media.bytes);
    Ok(Answer::Json(json!({
        "messaging_product": "whatsapp",
        "url": url,
        "mime_type": media.mime,
        "sha256": "0".repeat(64),
        "file_size": media.bytes.to_string(),
        "id": id,
    })))
}

pub(super) fn delete(simulator: &Simulator, id: &str) -> Answer {
    simulator.state().media.remove(id);
    Answer::success()
}

/// `GET /media-download/{bytes}`: so many bytes, without any upload before.
pub(super) fn download(target: &Target) -> Result<Answer, Failure> {
    let bytes = target.edge().and_then(|bytes| bytes.parse().ok());
    let bytes = bytes.ok_or_else(|| Failure::unknown_path(DOWNLOAD))?;
    Ok(Answer::Generated { bytes, mime: "application/octet-stream".into() })
}

/// So many bytes, as they are asked for. Byte n is n modulo 251, so that a lost or doubled piece shows.
pub(super) fn generated(bytes: u64) -> Payload {
    let frames = stream::unfold(0_u64, move |at| async move {
        let left = usize::try_from(bytes - at).unwrap_or(PIECE).min(PIECE);
        let piece: Bytes = (at..).take(left).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect();
        (left > 0).then(|| (Ok::<_, io::Error>(Frame::data(piece)), at + left as u64))
    });
    StreamBody::new(frames).boxed_unsync()
}
