//! A range of IP addresses, `127.0.0.1/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    /// How many bits; never more than the address has.
    bits: u8,
}

/// The text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct InvalidCidr(String);

impl Cidr {
    /// Whether the address is in the range. An IPv4 address that comes as IPv6 counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (range.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (range.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        // Digits only: a sign is not part of it.
        let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse().ok().filter(|bits| is_number && *bits <= bits_max).ok_or_else(invalid)?;
        // What is compared in `contains` is IPv4 then.
        match address.to_canonical() {
            IpAddr::V4(_) if address.is_ipv6() && bits < 96 => Err(invalid()),
            canonical @ IpAddr::V4(_) if address.is_ipv6() => {
                Ok(Self { address: canonical, bits: bits - 96 })
            }
            _ => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_what_begins_alike() {
        for (range, address, contains) in [
            ("127.0.0.1/8", "127.255.0.3", true),
            ("127.0.0.1/8", "128.0.0.1", false),
            ("127.0.0.1/8", "::1", false),
            ("127.0.0.1/8", "::ffff:127.0.0.1", true),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fe80::1", true),
            ("fe80::/10", "febf::1", true),
            ("fe80::/10", "fec0::1", false),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert_eq!(range.contains(address.parse().unwrap()), contains, "{range} {address}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["abc", "", "127.0.0.1", "127.0.0.1/33", "::1/129", "1/8", "1.2.3.4/", "1.2.3.4/+8", "/8"]
        {
            let refused = text.parse::<Cidr>().unwrap_err();
            assert_eq!(refused.to_string(), format!("invalid CIDR address: {text}"));
        }
    }
}
