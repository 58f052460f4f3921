//! Asking the kernel for one TCP socket (`sock_diag(7)`).

use super::Owner;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, sendto, socket_with};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`, and the flag of a request.
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
/// The message type of an error.
const ERROR: u16 = 2;
const ENOENT: i32 = 2;
const TCP: u8 = 6;
/// The state of a socket that listens.
const LISTEN: u8 = 10;
/// Sizes: message head, request, answer.
const HEAD: usize = 16;
const ASKED: usize = HEAD + 56;
const TOLD: usize = HEAD + 72;

/// Finds the owner of the socket at `peer` that is connected to `local`; None if the kernel has none.
///
/// The answer is there when the question has been sent, so it never waits.
pub(super) fn owner(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<Owner>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        flags,
        Some(SOCK_DIAG),
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &question(peer, local), SendFlags::empty(), &kernel)?;
    let mut answer = [0u8; 1024];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    read(&answer[..length], peer, local)
}

/// `nlmsghdr` and `inet_diag_req_v2`; numbers in host order, ports and addresses in network order.
fn question(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let family = if peer.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let mut message = Vec::with_capacity(ASKED);
    message.extend((ASKED as u32).to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and sender
    message.extend([family.as_raw() as u8, TCP, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes()); // any state
    message.extend(identity(peer, local));
    message.extend([0; 4]); // any interface
    message.extend([0xff; 8]); // no cookie
    message
}

/// The first fields of `inet_diag_sockid`: ports and addresses.
fn identity(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut id = Vec::with_capacity(36);
    id.extend(peer.port().to_be_bytes());
    id.extend(local.port().to_be_bytes());
    id.extend(octets(peer.ip()));
    id.extend(octets(local.ip()));
    id
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Reads `inet_diag_msg`. The kernel may answer with a listener if no connection fits; that does not count, and neither
/// does a socket that no process holds any more.
fn read(answer: &[u8], peer: SocketAddr, local: SocketAddr) -> io::Result<Option<Owner>> {
    let short = || {
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a short answer from the kernel",
        )
    };
    let u32_at = |at: usize| {
        let bytes = answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(short)
    };
    let [low, high, ..] = u32_at(4)?.to_ne_bytes(); // type, then flags
    if u16::from_ne_bytes([low, high]) == ERROR {
        let code = (u32_at(HEAD)? as i32).saturating_neg();
        return if code == ENOENT {
            Ok(None)
        } else {
            Err(io::Error::from_raw_os_error(code))
        };
    }
    if answer.len() < TOLD {
        return Err(short());
    }
    let state = answer[HEAD + 1];
    let (uid, inode) = (u32_at(TOLD - 8)?, u64::from(u32_at(TOLD - 4)?));
    let ports = &answer[HEAD + 4..HEAD + 8];
    let same = ports == &identity(peer, local)[..4];
    Ok((same && state != LISTEN && inode != 0).then_some(Owner { uid, inode }))
}
