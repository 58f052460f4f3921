//! The other end of a loopback connection: whose socket is it?
//!
//! The kernel knows. It is asked once per connection, right after it was made, for exactly this pair of addresses
//! (netlink, about 10 us); where that is not to be had, its table in `/proc/net` is read.

mod netlink;
mod proc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
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
    local: SocketAddr,
    owner: Option<Owner>,
    side: OnceCell<Side>,
}

/// On whose behalf the other end speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A program of this process's user.
    User,
    /// This process, or a child of its tools.
    Own,
    /// Another user, another machine, or nobody any more.
    Unknown,
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
            local,
            owner,
            side: OnceCell::new(),
        }
    }

    /// Finds out whose the other end is; asks once.
    pub fn side(&self, is_own: Option<&(dyn Fn(u64) -> bool + Send + Sync)>) -> Side {
        *self.side.get_or_init(|| self.look(is_own))
    }

    fn look(&self, is_own: Option<&(dyn Fn(u64) -> bool + Send + Sync)>) -> Side {
        let Some(inode) = self.same_user() else {
            return Side::Unknown;
        };
        let Some(is_own) = is_own else {
            return Side::User;
        };
        if is_own(inode) {
            return Side::Own;
        }
        // A child can send its request and end before anybody looks at its descriptors. Only while the socket is still
        // open does "no child has it" mean that somebody else has.
        let now = owner(canonical(self.peer), canonical(self.local));
        if now == self.owner {
            Side::User
        } else {
            Side::Unknown
        }
    }

    /// Gets the other end's socket number if it belongs to the user of this process.
    fn same_user(&self) -> Option<u64> {
        let me = rustix::process::geteuid().as_raw();
        self.owner
            .filter(|owner| owner.uid == me)
            .map(|owner| owner.inode)
    }
}

/// Tells whether this process holds the socket: what it connects to itself (a model's server, a web page) is nobody's
/// word but its own.
pub fn is_own_socket(inode: u64) -> bool {
    // Without the list nobody can be told apart from this process.
    holds_socket(inode).unwrap_or(true)
}

/// Looks at what the descriptors are rather than at their names, below an open folder: a tenth of the time, for each new
/// connection.
fn holds_socket(inode: u64) -> rustix::io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
    for entry in Dir::read_from(&folder)? {
        // One that is closed meanwhile is no longer there to be looked at.
        let Ok(stat) = rustix::fs::statat(&folder, entry?.file_name(), AtFlags::empty()) else {
            continue;
        };
        if stat.st_ino == inode && FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
            return Ok(true);
        }
    }
    Ok(false)
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
    fn what_this_process_connects_is_its_own() {
        let (_listener, client, peer, local) = connected("127.0.0.1:0");
        let inode = mine(&client).inode;
        assert!(is_own_socket(inode));
        assert!(!is_own_socket(u64::MAX));
        let side = Connection::new(peer, local, true).side(Some(&is_own_socket));
        assert_eq!(side, Side::Own);
    }

    #[test]
    fn who_is_gone_before_the_look_is_not_trusted() {
        let (listener, client, peer, local) = connected("127.0.0.1:0");
        let (_accepted, _) = listener.accept().unwrap();
        let connection = Connection::new(peer, local, true);
        let client = std::sync::Mutex::new(Some(client));
        let ended = |_| {
            client.lock().unwrap().take();
            false
        };
        assert_eq!(connection.side(Some(&ended)), Side::Unknown);
        assert_eq!(connection.side(Some(&|_| false)), Side::Unknown);
    }

    #[test]
    fn a_program_of_the_user_that_is_still_there_is_trusted() {
        let (_listener, _client, peer, local) = connected("127.0.0.1:0");
        let connection = Connection::new(peer, local, true);
        assert_eq!(connection.side(Some(&|_| false)), Side::User);
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
                local: peer,
                owner,
                side: OnceCell::new(),
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
