//! The TCP ports on which a tree of processes listens, as `/proc` says.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// What a line of `/proc/net/tcp` says of a socket that listens.
const LISTENS: &str = "0A";

/// The ports of `pid`'s tree, ascending. The tree is all that has the same parent as `pid` has: its init. Reads all of
/// `/proc`, some milliseconds: not for an async thread.
pub fn ports(pid: u32) -> Vec<u16> {
    let listening = listening(Path::new("/proc/net"));
    if listening.is_empty() {
        return Vec::new();
    }
    let parents = parents();
    let root = parents.get(&pid).copied().unwrap_or(pid);
    let mut found = BTreeSet::new();
    for member in below(root, &parents) {
        for inode in sockets(member) {
            found.extend(listening.get(&inode));
        }
    }
    found.into_iter().collect()
}

/// Inode and port of each socket that listens.
fn listening(net: &Path) -> HashMap<u64, u16> {
    let mut found = HashMap::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(net.join(table)).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(socket));
    }
    found
}

/// `N: ADDRESS:PORT OTHER:PORT STATE … inode …`
fn socket(line: &str) -> Option<(u64, u16)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    if fields.nth(1)? != LISTENS {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((inode, u16::from_str_radix(port, 16).ok()?))
}

fn parents() -> HashMap<u32, u32> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let numbers = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything.
            let rest = stat.get(stat.rfind(')')? + 1..)?;
            Some((pid, rest.split_ascii_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

fn below(root: u32, parents: &HashMap<u32, u32>) -> HashSet<u32> {
    let mut members = HashSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        for (child, _) in parents.iter().filter(|(_, of)| **of == parent) {
            if members.insert(*child) {
                open.push(*child);
            }
        }
    }
    members
}

fn sockets(pid: u32) -> Vec<u64> {
    let Ok(folder) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000000000000000 100 0 0 10 0";
        assert_eq!(socket(line), Some((4242, 8080)));
        assert_eq!(socket(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(socket("sl local"), None);
    }
}
