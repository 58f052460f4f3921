//! What the daemon and an init say to each other.

/// Told to init: let the tree end in its own time, even after the command has ended.
pub const TERMINATE: u8 = b'T';
/// Told to init: end the tree now.
pub const KILL: u8 = b'K';
/// Told to init, followed by a signal's number: send that to the command and its process group.
pub const SIGNAL: u8 = b'S';

/// What init tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The command runs, as this process.
    Started(i32),
    /// The command could not be started: the system's error number.
    Refused(i32),
    /// The command ended with this code.
    Exited(i32),
    /// The command was ended by this signal.
    Signalled(i32),
}

impl Report {
    pub(super) const BYTES: usize = 5;

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, value) = match self {
            Self::Started(pid) => (0, pid),
            Self::Refused(errno) => (1, errno),
            Self::Exited(code) => (2, code),
            Self::Signalled(signal) => (3, signal),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    pub(super) fn decode(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [kind, a, b, c, d] = bytes;
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            0 => Some(Self::Started(value)),
            1 => Some(Self::Refused(value)),
            2 => Some(Self::Exited(value)),
            3 => Some(Self::Signalled(value)),
            _ => None,
        }
    }
}
