//! Blocks of ports, one for each worktree, so that servers of parallel agents do not meet.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

/// Ports of a block.
pub const PORTS: u16 = 10;
/// The first port that is given out. Below what systems give out by themselves (32768 on).
const FIRST: u16 = 21_000;
/// The first that is not.
const END: u16 = 31_000;

/// A block that nobody has: none of `taken`, and nothing listens on any of its ports now. 0 when all are taken.
pub(super) fn free(taken: &BTreeSet<u16>) -> u16 {
    let blocks = (FIRST..END).step_by(usize::from(PORTS));
    let mut free = blocks.filter(|base| !taken.contains(base));
    free.find(|base| (*base..*base + PORTS).all(is_free))
        .unwrap_or(0)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{FIRST, PORTS, free};

    #[test]
    fn a_block_that_somebody_has_or_listens_in_is_left_out() {
        let first = free(&[].into());
        assert!(first >= FIRST);
        let listener = std::net::TcpListener::bind(("127.0.0.1", first + 3)).unwrap();
        let second = free(&[].into());
        assert!(second >= first + PORTS, "{first} {second}");
        drop(listener);
        assert!(free(&[first, second].into()) > first);
    }
}
