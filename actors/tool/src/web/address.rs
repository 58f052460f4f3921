//! Whose network an address belongs to: the internet's, or one that only this machine can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Anybody on the internet reaches it too.
    Public,
    /// This machine, its private networks, and whatever is reserved.
    Local,
    /// Link-local addresses and the services in which clouds keep a machine's credentials.
    Metadata,
}

/// Services for a machine's credentials that do not lie in a link-local network.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The zone of an address; an IPv6 address that carries an IPv4 address is as near as the nearer of the two.
pub fn zone(ip: IpAddr) -> Zone {
    let own = match ip {
        _ if METADATA.contains(&ip) => Zone::Metadata,
        IpAddr::V4(v4) => zone_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(_) if is_translated(v6) => Zone::Public,
            _ => zone_v6(v6),
        },
    };
    match plain(ip) {
        inner if inner != ip => own.max(zone(inner)),
        _ => own,
    }
}

/// The IPv4 address that an IPv6 address stands for, or the address itself.
pub fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => embedded(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// Whether a connection to the address ends at this machine.
pub fn is_this_machine(ip: IpAddr) -> bool {
    let ends_here = |ip: IpAddr| {
        // The system gives a socket only to addresses that are its own.
        ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
    };
    ends_here(ip) || ends_here(plain(ip))
}

fn zone_v4(ip: Ipv4Addr) -> Zone {
    let [a, b, c, _] = ip.octets();
    let reserved = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => (64..128).contains(&b),
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    if ip.is_link_local() {
        Zone::Metadata
    } else if reserved {
        Zone::Local
    } else {
        Zone::Public
    }
}

fn zone_v6(ip: Ipv6Addr) -> Zone {
    let [a, b, ..] = ip.segments();
    if ip.is_unicast_link_local() {
        return Zone::Metadata;
    }
    // The internet is 2000::/3, without what is set apart for tunnels, documents and other purposes.
    let reserved = !(0x2000..0x4000).contains(&a)
        || (a == 0x2001 && (b < 0x200 || b == 0xdb8))
        || (a == 0x3fff && b < 0x1000);
    if reserved { Zone::Local } else { Zone::Public }
}

/// `64:ff9b::/96`, where a translator sends on to IPv4, and what is only another way to write an IPv4 address.
fn is_translated(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, ..] = ip.segments();
    matches!(
        [a, b, c, d, e, f],
        [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0]
    )
}

/// The IPv4 address within: mapped, compatible, translated (`::ffff:0:a.b.c.d`, NAT64), 6to4, Teredo and ISATAP.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        _ if is_translated(ip) => v4(s[6], s[7]),
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 1, ..] => v4(s[6], s[7]),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, ..] => v4(!s[6], !s[7]),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Zone, is_this_machine, plain, zone};
    use std::net::IpAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_network_that_only_this_machine_reaches_is_local() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:0:192.168.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2606:4700::5efe:10.0.0.1",
            "3fff::1",
            "5f00::1",
        ] {
            assert_eq!(zone(ip(text)), Zone::Local, "{text}");
        }
    }

    #[test]
    fn credentials_of_clouds_and_link_local_networks_are_told_apart() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
        ] {
            assert_eq!(zone(ip(text)), Zone::Metadata, "{text}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::5",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(zone(ip(text)), Zone::Public, "{text}");
        }
    }

    #[test]
    fn this_machine_is_known_in_any_clothes() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
        ] {
            assert!(is_this_machine(ip(text)), "{text}");
        }
        assert!(!is_this_machine(ip("192.0.2.7")));
        assert_eq!(plain(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
