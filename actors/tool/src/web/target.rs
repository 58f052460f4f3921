//! An address to fetch, with the machines that it stands for. What was judged here is what is connected to: the name is
//! looked up once, so an answer that changes in between (DNS rebinding) leads nowhere else.

use super::address::{self, Zone};
use kilo_ports::BoxFuture;
use kilo_ports::tool::ToolError;
use percent_encoding::percent_decode_str;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use url::{Host, Url};

/// Finds the addresses of a name; the port goes along.
pub type Lookup =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's resolver.
pub fn system_lookup() -> Lookup {
    Arc::new(|name, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    })
}

/// A page's address and the machines behind it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub url: Url,
    /// Where to connect to; empty when only a proxy can find the name.
    pub addresses: Vec<SocketAddr>,
}

impl Target {
    /// Looks up the host of `url`. `proxied`: a name that is not found here is left to the proxy.
    ///
    /// Errors: the name has no address, and no proxy could know better.
    pub async fn find(url: Url, lookup: &Lookup, proxied: bool) -> Result<Self, ToolError> {
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses = match url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::new(ip.into(), port)],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::new(ip.into(), port)],
            Some(Host::Domain(name)) => match lookup(name.to_owned(), port).await {
                Ok(found) if !found.is_empty() => found,
                _ if proxied => Vec::new(),
                found => {
                    let why = found.map_or_else(|error| error.to_string(), |_| "no address".into());
                    return Err(ToolError::failed(format!("Cannot fetch {url}: {why}")));
                }
            },
            None => Vec::new(),
        };
        Ok(Self { url, addresses })
    }

    /// The same machines for another address of the same origin.
    pub fn moved(&self, url: Url) -> Self {
        Self {
            url,
            addresses: self.addresses.clone(),
        }
    }

    /// Whether any of its addresses leads to the server at `own`.
    pub fn reaches(&self, own: SocketAddr) -> bool {
        self.addresses.iter().any(|target| {
            target.port() == own.port()
                && (target.ip() == own.ip() || address::is_this_machine(target.ip()))
        })
    }

    /// The nearest zone of its addresses. Addresses of this machine are local even where the internet has them too.
    pub fn zone(&self) -> Zone {
        let zones = self.addresses.iter().map(|target| zone(target.ip()));
        zones.max().unwrap_or(Zone::Public)
    }

    /// Its addresses that only this machine can reach, each once.
    pub fn local(&self) -> Vec<IpAddr> {
        let ips = self.addresses.iter().map(|target| target.ip());
        let mut local: Vec<IpAddr> = ips
            .filter(|ip| zone(*ip) != Zone::Public)
            .map(address::plain)
            .collect();
        local.sort_unstable();
        local.dedup();
        local
    }
}

fn zone(ip: IpAddr) -> Zone {
    match address::zone(ip) {
        Zone::Public if address::is_this_machine(ip) => Zone::Local,
        zone => zone,
    }
}

/// An address as rules see it: without user, fragment and the dot at a name's end, with an IPv4 address in IPv6 clothes
/// undressed, and without needless escapes. So no other spelling of a page passes a rule that names it.
pub fn pattern(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_fragment(None);
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    match url.host() {
        Some(Host::Ipv6(ip)) => {
            let _ = plain.set_ip_host(address::plain(ip.into()));
        }
        Some(Host::Domain(name)) => {
            let _ = plain.set_host(Some(name.trim_end_matches('.')));
        }
        _ => {}
    }
    let path = unescaped(plain.path());
    plain.set_path(&path);
    plain.to_string()
}

/// The same address at one of its machines, so that a rule about the machine holds for every name that leads there.
pub fn at_machine(url: &Url, ip: IpAddr) -> String {
    let mut at = url.clone();
    let _ = at.set_ip_host(ip);
    pattern(&at)
}

/// The path with escapes of letters, digits, `-`, `.`, `_` and `~` written out; other escapes mean something.
fn unescaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or(&rest[at..]);
        let character = percent_decode_str(escape).next().map(char::from);
        match character.filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c)) {
            Some(character) if escape.len() == 3 => out.push(character),
            _ => out.push_str(escape),
        }
        rest = &rest[at + escape.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Lookup, Target, pattern};
    use crate::web::address::Zone;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use url::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn names(addresses: &'static [&'static str]) -> Lookup {
        Arc::new(move |_, port| {
            let found = addresses.iter().map(|ip| ip.parse().unwrap());
            let found = found.map(|ip| SocketAddr::new(ip, port)).collect();
            Box::pin(std::future::ready(Ok(found)))
        })
    }

    async fn zone(text: &str) -> Zone {
        let target = Target::find(url(text), &names(&["8.8.8.8"]), false).await;
        target.unwrap().zone()
    }

    #[tokio::test]
    async fn every_spelling_of_a_near_address_is_near() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1./",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://0177.0.0.01/",
            "http://0/",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://a:b@127.0.0.1/",
            "http://example.com@127.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
        ] {
            assert_eq!(zone(text).await, Zone::Local, "{text}");
        }
        for text in [
            "http://2852039166/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://[::ffff:a9fe:a9fe]/",
        ] {
            assert_eq!(zone(text).await, Zone::Metadata, "{text}");
        }
        assert_eq!(zone("http://example.com/").await, Zone::Public);
    }

    #[tokio::test]
    async fn one_near_address_among_others_is_enough() {
        let lookup = names(&["8.8.8.8", "10.0.0.7", "::ffff:10.0.0.7"]);
        let target = Target::find(url("http://mixed.test/"), &lookup, false).await;
        let target = target.unwrap();
        assert_eq!(target.zone(), Zone::Local);
        assert_eq!(
            target.local(),
            ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]
        );
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_for_a_proxy_only() {
        let find = |proxied| async move {
            Target::find(url("http://no.test/"), &names(&[]), proxied).await
        };
        assert!(find(false).await.is_err());
        assert!(find(true).await.unwrap().addresses.is_empty());
    }

    #[tokio::test]
    async fn a_server_is_found_by_all_of_its_machines_addresses() {
        let own: SocketAddr = "127.0.0.1:4096".parse().unwrap();
        for (text, reached) in [
            ("http://127.0.0.1:4096/", true),
            ("http://[::ffff:127.0.0.1]:4096/", true),
            ("http://0:4096/", true),
            ("http://[::1]:4096/", true),
            ("http://127.0.0.1:4097/", false),
            ("http://192.0.2.1:4096/", false),
        ] {
            let target = Target::find(url(text), &names(&[]), false).await.unwrap();
            assert_eq!(target.reaches(own), reached, "{text}");
        }
    }

    #[test]
    fn rules_see_one_spelling() {
        for text in [
            "http://h.test/a-b",
            "HTTP://H.TEST:80/%61-b",
            "http://u:p@h.test/a%2Db#x",
            "http://h.test./x/../a%2db",
        ] {
            assert_eq!(pattern(&url(text)), "http://h.test/a-b", "{text}");
        }
        assert_eq!(pattern(&url("http://h/a%2Fb%zz%4")), "http://h/a%2Fb%zz%4");
        let dressed = pattern(&url("http://[::ffff:a00:1]/"));
        assert_eq!(dressed, "http://10.0.0.1/");
    }
}
