//! Decides which addresses keys may be fetched from, and resolves names to no others (server-side request forgery).
//!
//! Invariant: what is connected to is what was judged: the connector gets its addresses from here and resolves nothing itself, so a name
//! that changes its address between two looks leads nowhere else. Link-local, metadata, multicast and unspecified addresses are never taken.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses that are not public may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// This machine itself.
    pub loopback: bool,
    /// Private networks (RFC 1918, RFC 4193) and shared ones (RFC 6598).
    pub private: bool,
}

/// An address that is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRefused(pub IpAddr);

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address {} is not a public one", self.0)
    }
}

impl Error for AddressRefused {}

impl Allowed {
    /// Judges an address.
    ///
    /// # Errors
    /// [`AddressRefused`].
    pub fn judge(self, address: IpAddr) -> Result<(), AddressRefused> {
        let is_allowed = match reach(address) {
            Reach::Public => true,
            Reach::Private => self.private,
            Reach::Loopback => self.loopback || self.private,
            Reach::Never => false,
        };
        if is_allowed { Ok(()) } else { Err(AddressRefused(address)) }
    }
}

impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| allowed.judge(address.ip()).is_ok());
            match (good.is_empty(), bad.first()) {
                (true, Some(refused)) => Err(AddressRefused(refused.ip()).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    Never,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Where clouds tell machines who they are: Oracle, Alibaba and Azure have theirs outside the link-local range.
        [192, 0, 0, 192] | [100, 100, 100, 200] | [168, 63, 129, 16] => Reach::Never,
        [127, ..] => Reach::Loopback,
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => {
            Reach::Private
        }
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // The metadata services of AWS and Google.
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Reach::Never,
        // An IPv4 address in another coat: mapped, translated, by NAT64, by 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        [0, 0, 0, 0, 0, 0, ..] | [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x2001, 0, ..] | [0x0064, 0xff9b, 1, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn r48_addresses_are_judged_by_where_they_lead() {
        for (text, reached) in [
            ("8.8.8.8", Reach::Public),
            ("172.32.0.1", Reach::Public),
            ("2a00:1450:4001::1", Reach::Public),
            ("64:ff9b::808:808", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.0.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.0.0.1", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fd12::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("2002:a00:1::1", Reach::Private),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("192.0.0.192", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("::ffff:0:10.0.0.1", Reach::Private),
            ("0.0.0.0", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("::", Reach::Never),
            ("::7f00:1", Reach::Never),
            ("fe80::1", Reach::Never),
            ("ff02::1", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
        ] {
            assert_eq!(reach(text.parse().unwrap()), reached, "{text}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn r48_a_name_of_a_private_address_is_not_resolved() {
        let found = |allowed: Allowed| async move { allowed.resolve("localhost".parse().unwrap()).await.map(Iterator::count) };
        let refused = found(Allowed { loopback: false, private: false }).await.unwrap_err();
        assert!(refused.downcast_ref::<AddressRefused>().unwrap().0.is_loopback());
        assert!(found(Allowed { loopback: true, private: false }).await.unwrap() > 0);
    }
}
