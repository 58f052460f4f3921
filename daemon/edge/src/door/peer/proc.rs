//! Reading the kernel's table of TCP sockets, for systems without `sock_diag`.

use super::Owner;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The most of a table that is read.
const TABLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Finds the owner of the socket at `peer` that is connected to `local`.
pub(super) fn owner(peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let table = BufReader::new(File::open(path).ok()?.take(TABLE_BYTES_MAX));
        let mut lines = table.lines().map_while(Result::ok);
        lines.find_map(|line| owner_in(&line, peer, local))
    })
}

/// Reads one line: `sl local remote state queues timer retries uid timeout inode …`.
fn owner_in(line: &str, peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let same = address(fields.next()?)? == peer && address(fields.next()?)? == local;
    if !same || fields.next()? == LISTEN {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok().filter(|inode| *inode != 0)?;
    Some(Owner { uid, inode })
}

/// Reads `0100007F:1F90`: words of four bytes in host order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        u32::from_str_radix(ip.get(at..at + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
