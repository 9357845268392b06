//! Ranges of addresses in CIDR notation (RFC 4632).
//!
//! Invariant: an address is in a range or not whichever way it is written: one of IPv4 that comes as IPv6 is judged as IPv4.

use std::net::IpAddr;

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads an address, or a range like `10.0.0.0/8`. `None`: it is neither, or names bits behind its prefix.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let network = Network { address, prefix: prefix.unwrap_or(most) };
        let behind = most.checked_sub(network.prefix)?;
        let is_whole = network.bits(address) & 1u128.checked_shl(behind).map_or(u128::MAX, |bit| bit - 1) == 0;
        is_whole.then_some(network)
    }

    /// Whether an address lies in it. An IPv4 address that came by an IPv6 socket counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let most = if matches!(self.address, IpAddr::V4(_)) { 32 } else { 128 };
        let differ = self.bits(address) ^ self.bits(self.address);
        self.address.is_ipv4() == address.is_ipv4() && differ.checked_shr(most - self.prefix).unwrap_or(0) == 0
    }

    fn bits(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ranges_contain_their_addresses() {
        for (range, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::a:0:1"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("::1", "::1", "127.0.0.1"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
        ] {
            let network = Network::parse(range).unwrap();
            assert!(network.contains(within.parse().unwrap()), "{range} {within}");
            assert!(!network.contains(without.parse().unwrap()), "{range} {without}");
        }
        let all = Network::parse("0.0.0.0/0").unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
    }

    #[test]
    fn odd_ones_are_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "a/8", "2001:db8::1/32", "::/129", "10.0.0.0/8/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
