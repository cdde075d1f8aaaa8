//! Content encodings of answers.

use std::io;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

/// A content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// `br`
    Br,
    /// `gzip`
    Gzip,
    /// `deflate`, with the zlib wrapper that the standard asks for.
    Deflate,
    /// `zstd`
    Zstd,
}

impl Encoding {
    /// Its name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// The first of ours that the client takes.
    pub(super) fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let accepted: Vec<&str> = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(accepted_name)
            .collect();
        let ours = [Self::Br, Self::Gzip, Self::Deflate, Self::Zstd];
        ours.into_iter()
            .find(|encoding| accepted.iter().any(|name| name.eq_ignore_ascii_case(encoding.name())))
    }

    pub(super) async fn encode(self, plain: &[u8]) -> io::Result<Bytes> {
        macro_rules! through {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new());
                encoder.write_all(plain).await?;
                encoder.shutdown().await?;
                encoder.into_inner()
            }};
        }
        Ok(Bytes::from(match self {
            Self::Br => through!(BrotliEncoder),
            Self::Gzip => through!(GzipEncoder),
            Self::Deflate => through!(ZlibEncoder),
            Self::Zstd => through!(ZstdEncoder),
        }))
    }
}

/// The coding of one element of `Accept-Encoding`, unless its weight is zero.
fn accepted_name(element: &str) -> Option<&str> {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next()?;
    let refused = parts
        .filter_map(|parameter| parameter.strip_prefix("q="))
        .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    (!refused).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_decides_and_zero_means_no() {
        for (accepts, expected) in [
            ("gzip, deflate, br", Some(Encoding::Br)),
            ("GZIP;q=0.5", Some(Encoding::Gzip)),
            ("br;q=0, zstd", Some(Encoding::Zstd)),
            ("identity", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepts.parse().unwrap())]);
            assert_eq!(Encoding::negotiate(&headers), expected, "{accepts}");
        }
    }
}
