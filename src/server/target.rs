//! sendfuse is no open proxy.

use std::net::IpAddr;

use http::uri::Authority;
use http::{Method, Request, Version};

use super::ConnectionInfo;

/// Whether a request wants to go somewhere else than upstream: `CONNECT`, or (HTTP/1) a target in absolute form whose host is
/// neither upstream's nor ours.
///
/// Whatever the target, a request is only ever forwarded to upstream; this refuses those that would be misled. Ports are
/// not compared: ours may be mapped. An HTTP/2 request always has an authority, which is what `Host` is to HTTP/1; it is
/// replaced.
pub fn misdirected<B>(request: &Request<B>, info: &ConnectionInfo, upstream: &Authority) -> bool {
    if request.method() == Method::CONNECT {
        return true;
    }
    let Some(authority) = request.uri().authority() else { return false };
    if request.version() == Version::HTTP_2 {
        return false;
    }
    let host = authority.host();
    let ours = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip == info.local.ip().to_canonical(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    !ours && !host.eq_ignore_ascii_case(upstream.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_upstream_and_ourselves_are_right() {
        let info = ConnectionInfo {
            local: ([10, 0, 0, 5], 8080).into(),
            peer: ([10, 0, 0, 9], 40_000).into(),
            tls: false,
        };
        let upstream = Authority::from_static("graph.facebook.com");
        let table = [
            ("GET", "/v23.0/me", false),
            ("OPTIONS", "*", false),
            ("GET", "http://graph.facebook.com/v23.0/me", false),
            ("GET", "https://Graph.Facebook.com:443/v23.0/me", false),
            ("GET", "http://10.0.0.5:8080/", false),
            ("GET", "http://localhost:9/", false),
            ("GET", "http://127.0.0.1/", false),
            ("GET", "http://[::1]:8080/", false),
            ("GET", "http://example.com/", true),
            ("GET", "http://graph.facebook.com.example.com/", true),
            ("GET", "http://10.0.0.6:8080/", true),
            ("CONNECT", "graph.facebook.com:443", true),
        ];
        for (method, target, expected) in table {
            let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
            assert_eq!(misdirected(&request, &info, &upstream), expected, "{method} {target}");
            *request.version_mut() = Version::HTTP_2;
            assert_eq!(misdirected(&request, &info, &upstream), method == "CONNECT", "h2 {method} {target}");
        }
    }
}
