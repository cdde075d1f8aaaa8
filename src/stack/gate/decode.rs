//! The observed copy of an answer, decompressed. What goes to the app stays compressed.

use std::borrow::Cow;

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes that an answer to one send may become. More is none, but perhaps a bomb.
pub(in crate::stack) const CAP: u64 = 1024 * 1024;

/// The most codings that may lie over each other.
const LAYERS: usize = 4;

/// The body without its `Content-Encoding`, up to `cap` bytes. What cannot be decoded comes back as far as it could be, at worst
/// empty: it will not be readable, and so it is no evidence.
pub(in crate::stack) async fn decoded<'a>(headers: &HeaderMap, body: &'a Bytes, cap: u64) -> Cow<'a, [u8]> {
    let codings: Vec<String> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    let mut decoded = Cow::Borrowed(body.as_ref());
    // The last one named was put on last.
    for coding in codings.iter().rev().take(LAYERS) {
        decoded = Cow::Owned(decode(coding, &decoded, cap).await);
    }
    decoded
}

async fn decode(coding: &str, body: &[u8], cap: u64) -> Vec<u8> {
    match coding {
        "gzip" | "x-gzip" => {
            let mut decoder = GzipDecoder::new(body);
            // A gzip body may be several members one after the other.
            decoder.multiple_members(true);
            read(decoder, cap).await
        }
        "br" => read(BrotliDecoder::new(body), cap).await,
        "zstd" => {
            let mut decoder = ZstdDecoder::new(body);
            decoder.multiple_members(true);
            read(decoder, cap).await
        }
        // The standard says zlib; some servers send the bare stream.
        "deflate" => match read(ZlibDecoder::new(body), cap).await {
            plain if plain.is_empty() => read(DeflateDecoder::new(body), cap).await,
            plain => plain,
        },
        _ => Vec::new(),
    }
}

async fn read(decoder: impl AsyncRead + Unpin, cap: u64) -> Vec<u8> {
    let mut plain = Vec::new();
    // An error leaves what came before it: enough, if the JSON is whole.
    let _ = decoder.take(cap).read_to_end(&mut plain).await;
    plain
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::write as encoders;
    use tokio::io::AsyncWriteExt;

    use super::*;

    const PLAIN: &[u8] = br#"{"error":{"code":131031}}"#;

    macro_rules! encoded {
        ($encoder:ident, $plain:expr) => {{
            let mut encoder = encoders::$encoder::new(Vec::new());
            encoder.write_all($plain).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }

    async fn check(codings: &[&'static str], body: Vec<u8>) {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(header::CONTENT_ENCODING, http::HeaderValue::from_static(coding));
        }
        assert_eq!(decoded(&headers, &Bytes::from(body), CAP).await, PLAIN, "{codings:?}");
    }

    #[tokio::test]
    async fn every_coding_and_their_layers() {
        check(&[], PLAIN.to_vec()).await;
        check(&["identity"], PLAIN.to_vec()).await;
        check(&["gzip"], encoded!(GzipEncoder, PLAIN)).await;
        check(&["X-GZIP"], encoded!(GzipEncoder, PLAIN)).await;
        check(&["br"], encoded!(BrotliEncoder, PLAIN)).await;
        check(&["zstd"], encoded!(ZstdEncoder, PLAIN)).await;
        check(&["deflate"], encoded!(ZlibEncoder, PLAIN)).await;
        check(&["deflate"], encoded!(DeflateEncoder, PLAIN)).await;
        let twice = encoded!(BrotliEncoder, &encoded!(GzipEncoder, PLAIN));
        check(&["gzip, br"], twice.clone()).await;
        check(&["gzip", "br"], twice).await;
    }

    #[tokio::test]
    async fn gzip_members_follow_each_other() {
        let (one, two) = PLAIN.split_at(9);
        check(&["gzip"], [encoded!(GzipEncoder, one), encoded!(GzipEncoder, two)].concat()).await;
    }

    #[tokio::test]
    async fn a_bomb_is_cut_and_garbage_is_no_evidence() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        let zeros = vec![0; 16 * 1024 * 1024];
        let bomb = Bytes::from(encoded!(GzipEncoder, &zeros));
        assert_eq!(decoded(&headers, &bomb, CAP).await.len() as u64, CAP);
        assert!(decoded(&headers, &Bytes::from_static(b"garbage"), CAP).await.is_empty());
        headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static("compress"));
        assert!(decoded(&headers, &Bytes::from_static(PLAIN), CAP).await.is_empty());
    }
}
