//! How many file descriptors the process may have, and how the listeners share them.
//!
//! Every connection takes one, and Linux gives a process 1,024 unless it asks for more. The webhook listener faces the
//! internet: without a share of its own, strangers who hold idle connections to it would take those that sends need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections to the webhook listener. Meta's posts are short; more of them wait in the system's queue.
const WEBHOOKS: usize = 1_000;
/// The most connections to the admin listener.
const ADMIN: usize = 100;
/// For files, the store, probes and the relay.
const OTHER: usize = 64;

/// The most connections of each listener at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The send path.
    pub sends: usize,
    /// The webhook listener.
    pub webhooks: usize,
    /// The admin listener.
    pub admin: usize,
}

impl Shares {
    /// Of what this process may have now. `wanted`: how many connections of the send path are configured.
    pub fn of_this_process(wanted: usize) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        Self::of(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)), wanted)
    }

    fn of(limit: usize, wanted: usize) -> Self {
        let (webhooks, admin) = ((limit / 8).clamp(1, WEBHOOKS), (limit / 16).clamp(1, ADMIN));
        // A send takes two: the app's connection, and over HTTP/1.1 one to upstream.
        let sends = limit.saturating_sub(webhooks + admin + OTHER) / 2;
        Self { sends: sends.clamp(1, wanted.max(1)), webhooks: webhooks.min(wanted.max(1)), admin }
    }
}

/// Asks for as many as this process may have without anybody's leave. For a program's beginning: it is the whole process's.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listener_can_take_what_the_others_need() {
        for (limit, wanted, expected) in [
            (usize::MAX, 10_000, (10_000, 1_000, 100)),
            (32_768, 10_000, (10_000, 1_000, 100)),
            (1_024, 10_000, (384, 128, 64)),
            (256, 10_000, (72, 32, 16)),
            (1_024, 1, (1, 1, 64)),
            (0, 10_000, (1, 1, 1)),
        ] {
            let shares = Shares::of(limit, wanted);
            assert_eq!((shares.sends, shares.webhooks, shares.admin), expected, "{limit} {wanted}");
            if limit >= 256 {
                assert!(2 * shares.sends + shares.webhooks + shares.admin + OTHER <= limit, "{limit}");
            }
        }
    }
}
