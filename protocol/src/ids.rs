//! Identifiers: `PREFIX_` + 12 hex digits of time + 14 base62 characters of chance.
//!
//! The hex is `(ms * 4096 + counter)` cut to 48 bits. Session ids carry its complement, so that they sort newest first;
//! all other ids sort oldest first (seen: real server 7.7.9). A client may choose a message id of its own, so a parsed id
//! need only begin with its prefix.

use crate::Millis;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Takes any text that a peer sent; whether such a thing exists is for its owner to say.
            pub fn from_wire(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Whether the text begins with this kind's prefix.
            pub fn is_well_formed(&self) -> bool {
                self.0.starts_with($prefix)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A session: `ses_…`.
    SessionId "ses";
    /// A message of a session: `msg_…`.
    MessageId "msg";
    /// A part of a message: `prt_…`.
    PartId "prt";
    /// An event on the wire: `evt_…`.
    EventId "evt";
    /// A request for permission: `per_…`.
    PermissionId "per";
    /// A question to the user, or a wait for the network: `que_…`.
    QuestionId "que";
}

/// A project: the hash of its repository's root commit, or `global`.
pub type ProjectId = String;
/// A tool call's id as the provider made it.
pub type CallId = String;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const MASK_48: u64 = (1 << 48) - 1;

/// Makes ids that rise strictly within one process.
#[derive(Default)]
pub struct IdSource {
    last: AtomicU64,
}

impl IdSource {
    /// Makes a session id for the time `now`.
    pub fn session(&self, now: Millis) -> SessionId {
        SessionId(self.text(SessionId::PREFIX, !self.tick(now) & MASK_48))
    }

    /// Makes a message id for the time `now`.
    pub fn message(&self, now: Millis) -> MessageId {
        MessageId(self.ascending(MessageId::PREFIX, now))
    }

    /// Makes a part id for the time `now`.
    pub fn part(&self, now: Millis) -> PartId {
        PartId(self.ascending(PartId::PREFIX, now))
    }

    /// Makes an event id for the time `now`.
    pub fn event(&self, now: Millis) -> EventId {
        EventId(self.ascending(EventId::PREFIX, now))
    }

    /// Makes a permission request's id for the time `now`.
    pub fn permission(&self, now: Millis) -> PermissionId {
        PermissionId(self.ascending(PermissionId::PREFIX, now))
    }

    /// Makes a question's id for the time `now`.
    pub fn question(&self, now: Millis) -> QuestionId {
        QuestionId(self.ascending(QuestionId::PREFIX, now))
    }

    /// Makes an ascending id with any other prefix.
    pub fn ascending(&self, prefix: &str, now: Millis) -> String {
        self.text(prefix, self.tick(now) & MASK_48)
    }

    /// The next tick: at least `now * 4096`, and above every tick before.
    fn tick(&self, now: Millis) -> u64 {
        let floor = now * 4096;
        let mut seen = self.last.load(Ordering::Relaxed);
        loop {
            let next = floor.max(seen + 1);
            match self
                .last
                .compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(other) => seen = other,
            }
        }
    }

    fn text(&self, prefix: &str, hex: u64) -> String {
        use fmt::Write;
        let mut out = String::with_capacity(prefix.len() + 27);
        let _ = write!(out, "{prefix}_{hex:012x}");
        let mut chance: u128 = rand::rng().random();
        for _ in 0..14 {
            out.push(BASE62[(chance % 62) as usize] as char);
            chance /= 62;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::IdSource;

    #[test]
    fn sessions_sort_newest_first_and_the_rest_oldest_first() {
        let ids = IdSource::default();
        let (s1, s2) = (ids.session(1_000), ids.session(1_000));
        assert!(s2 < s1);
        let (m1, m2) = (ids.message(1_000), ids.message(1_001));
        assert!(m1 < m2);
        assert_eq!(m1.as_str().len(), 30);
    }
}
