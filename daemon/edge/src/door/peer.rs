//! The other end of a loopback connection: whose socket is it?
//!
//! The kernel knows. It is asked once per connection, right after it was made, for exactly this pair of addresses
//! (netlink, about 10 us); where that is not to be had, its table in `/proc/net` is read.

mod netlink;
mod proc;

use std::cell::OnceCell;
use std::net::SocketAddr;

/// The owner of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub uid: u32,
    /// The socket's number, as `/proc/PID/fd` shows it.
    pub inode: u64,
}

/// What is known about a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    owner: Option<Owner>,
    child: OnceCell<bool>,
}

impl Connection {
    /// Asks for the owner of the other end if `trusting`, and if both ends are loopback.
    pub fn new(peer: SocketAddr, local: SocketAddr, trusting: bool) -> Self {
        let (far, near) = (canonical(peer), canonical(local));
        let loopback = far.ip().is_loopback() && near.ip().is_loopback();
        let owner = if trusting && loopback {
            owner(far, near)
        } else {
            None
        };
        Self {
            peer,
            owner,
            child: OnceCell::new(),
        }
    }

    /// Gets the other end's socket number if it belongs to the user of this process.
    pub fn same_user(&self) -> Option<u64> {
        let me = rustix::process::geteuid().as_raw();
        self.owner
            .filter(|owner| owner.uid == me)
            .map(|owner| owner.inode)
    }

    /// Remembers the answer to whether the other end is a child; asks once.
    pub fn is_child(&self, ask: impl FnOnce() -> bool) -> bool {
        *self.child.get_or_init(ask)
    }
}

/// Finds the owner of the socket that is at `peer` and connected to `local`.
fn owner(peer: SocketAddr, local: SocketAddr) -> Option<Owner> {
    match netlink::owner(peer, local) {
        Ok(Some(owner)) => Some(owner),
        result => {
            tracing::debug!(
                ?result,
                "the kernel did not tell a socket's owner, reading its table"
            );
            proc::owner(peer, local)
        }
    }
}

/// Writes an IPv4 address in IPv6 clothes as what it is.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::time::Instant;

    fn connected(on: &str) -> (TcpListener, TcpStream, SocketAddr, SocketAddr) {
        let listener = TcpListener::bind(on).unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let peer = client.local_addr().unwrap();
        (listener, client, peer, local)
    }

    fn mine(client: &TcpStream) -> Owner {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
        let name = link.to_str().unwrap();
        let inode = name
            .trim_start_matches("socket:[")
            .trim_end_matches(']')
            .parse()
            .unwrap();
        Owner {
            uid: rustix::process::geteuid().as_raw(),
            inode,
        }
    }

    #[test]
    fn both_ways_find_the_owner_of_the_other_end() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (_listener, client, peer, local) = connected(address);
            let expected = Some(mine(&client));
            assert_eq!(netlink::owner(peer, local).unwrap(), expected, "{address}");
            assert_eq!(proc::owner(peer, local), expected, "{address}");
            let inode = expected.map(|owner| owner.inode);
            assert_eq!(Connection::new(peer, local, true).same_user(), inode);
            assert_eq!(Connection::new(peer, local, false).same_user(), None);
        }
    }

    #[test]
    fn a_client_in_ipv6_clothes_is_found() {
        let (listener, _client, _peer, local) = connected("127.0.0.1:0");
        drop(listener);
        let dual = TcpListener::bind("[::]:0").unwrap();
        let port = dual.local_addr().unwrap().port();
        let target: SocketAddr = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
        let client = TcpStream::connect(target).unwrap();
        let (accepted, peer) = dual.accept().unwrap();
        let connection = Connection::new(peer, accepted.local_addr().unwrap(), true);
        assert_eq!(connection.same_user(), Some(mine(&client).inode), "{local}");
    }

    #[test]
    fn a_socket_that_is_gone_or_only_listens_has_no_owner() {
        let (listener, client, peer, local) = connected("127.0.0.1:0");
        drop(client);
        let (accepted, _) = listener.accept().unwrap();
        drop(accepted);
        assert_eq!(netlink::owner(peer, local).unwrap(), None);
        assert_eq!(proc::owner(peer, local), None);
        assert_eq!(
            netlink::owner(local, peer).unwrap(),
            None,
            "a listener is no client"
        );
        assert_eq!(proc::owner(local, peer), None, "a listener is no client");
    }

    #[test]
    fn asking_is_cheap() {
        let (_listener, _client, peer, local) = connected("127.0.0.1:0");
        let mut costs: Vec<_> = (0..200)
            .map(|_| {
                let start = Instant::now();
                netlink::owner(peer, local).unwrap();
                start.elapsed()
            })
            .collect();
        costs.sort();
        println!("asking the kernel for an owner: median {:?}", costs[100]);
        assert!(costs[100].as_micros() < 500, "{:?}", costs[100]);
    }

    #[test]
    fn another_users_socket_is_not_trusted() {
        let peer: SocketAddr = "127.0.0.1:1000".parse().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let with = |uid| {
            let owner = Some(Owner { uid, inode: 7 });
            Connection {
                peer,
                owner,
                child: OnceCell::new(),
            }
            .same_user()
        };
        assert_eq!((with(me), with(me + 1)), (Some(7), None));
    }

    #[test]
    fn only_local_connections_are_looked_up() {
        let far: SocketAddr = "192.0.2.7:1000".parse().unwrap();
        let near: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(Connection::new(far, near, true).same_user(), None);
    }
}
