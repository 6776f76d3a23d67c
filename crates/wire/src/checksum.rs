//! The Internet checksum (RFC 1071). Never reads a packet's own checksum field: the caller leaves it zero.

use model::net::Protocol;
use std::net::IpAddr;

/// A running sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum over the pseudo-header of IPv4 (RFC 9293 §3.1) or IPv6 (RFC 8200 §8.1). Addresses of two kinds count as they are.
    pub fn pseudo(source: IpAddr, target: IpAddr, protocol: Protocol, bytes: usize) -> Self {
        let mut sum = Sum(bytes as u64 + u64::from(protocol.0));
        for addr in [source, target] {
            match addr {
                IpAddr::V4(v4) => sum.add(&v4.octets()),
                IpAddr::V6(v6) => sum.add(&v6.octets()),
            }
        }
        sum
    }

    /// Adds bytes. Only the last piece may have an odd length.
    pub fn add(&mut self, bytes: &[u8]) {
        let (pairs, odd) = bytes.as_chunks::<2>();
        self.0 += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
        self.0 += odd.iter().map(|byte| u64::from(*byte) << 8).sum::<u64>();
    }

    /// The checksum.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_example() {
        // RFC 1071 §3.
        let mut sum = Sum::default();
        sum.add(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]);
        assert_eq!(sum.finish(), !0xDDF2);
        // Adding the checksum to what it sums up gives zero, after an odd number of bytes too.
        sum.add(&[0x2A]);
        let value = sum.finish().to_be_bytes();
        sum.add(&value);
        assert_eq!(sum.finish(), 0);
    }
}
