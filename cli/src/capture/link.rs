//! What a capture holds before the IP header: the LINKTYPE values of the pcap format.

/// A kind of header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// 1
    Ethernet,
    /// 113: Linux "cooked"
    Cooked,
    /// 276: Linux "cooked", second version
    Cooked2,
    /// 0, 108: BSD loopback, an address family in the byte order of some machine
    Loopback,
    /// 101, 228, 229
    Ip,
}

/// The link types that are read, in words.
pub const KNOWN: &str = "Ethernet (1), Linux cooked (113, 276), loopback (0, 108) or raw IP (101, 228, 229)";

/// A record as an Ethernet frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// What was captured of it, from the destination MAC on.
    pub bytes: Vec<u8>,
    /// Its length on the wire.
    pub len: usize,
}

impl Link {
    /// The upper half of the field says whether frames end with a check sequence.
    pub fn from_field(field: u32) -> Option<Self> {
        match field & 0xffff {
            1 => Some(Self::Ethernet),
            113 => Some(Self::Cooked),
            276 => Some(Self::Cooked2),
            0 | 108 => Some(Self::Loopback),
            101 | 228 | 229 => Some(Self::Ip),
            _ => None,
        }
    }

    /// Length of the header.
    fn header(self) -> usize {
        match self {
            Self::Ethernet | Self::Ip => 0,
            Self::Cooked => 16,
            Self::Cooked2 => 20,
            Self::Loopback => 4,
        }
    }

    /// A record of `len` bytes, of which some were captured, as an Ethernet frame. MACs that it does not have are zero.
    ///
    /// # Errors
    /// The address family of a loopback record that is not IP.
    pub fn ethernet(self, captured: &[u8], len: usize) -> Result<Ethernet, u32> {
        if self == Self::Ethernet {
            return Ok(Ethernet { bytes: captured.to_vec(), len });
        }
        let len = len.max(captured.len());
        let Some(payload) = len.checked_sub(self.header()) else { return Ok(Ethernet { bytes: Vec::new(), len: 0 }) };
        let len = 14 + payload;
        let ether_type = match self {
            Self::Ethernet => None,
            Self::Cooked => captured.get(14..16).and_then(|place| place.first_chunk().copied()),
            Self::Cooked2 => captured.first_chunk().copied(),
            Self::Loopback => captured.first_chunk().map(|family| ether_type(*family)).transpose()?,
            Self::Ip => captured.first().map(|byte| if byte >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] }),
        };
        // Where the capture ends within the header nothing is known of the frame.
        let (Some(ether_type), Some(rest)) = (ether_type, captured.get(self.header()..)) else {
            return Ok(Ethernet { bytes: Vec::new(), len });
        };
        Ok(Ethernet { bytes: [&[0; 12], &ether_type[..], rest].concat(), len })
    }
}

/// The ether type of an address family. Families are small numbers, which tells the byte order; IPv6 has a number of its own
/// on each system that has loopback headers.
fn ether_type(family: [u8; 4]) -> Result<[u8; 2], u32> {
    let family = u32::from_be_bytes(family).min(u32::from_le_bytes(family));
    match family {
        2 => Ok([0x08, 0x00]),
        10 | 24 | 28 | 30 => Ok([0x86, 0xdd]),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_replaced_and_lengths_follow() {
        let ip = [0x45, 0, 0, 20];
        let frame = [&[0; 12][..], &[8, 0], &ip].concat();
        let cooked = [&[0; 14][..], &[8, 0], &ip].concat();
        let cooked2 = [&[8, 0][..], &[0; 18], &ip].concat();
        for (link, record) in [
            (Link::Cooked, cooked),
            (Link::Cooked2, cooked2),
            (Link::Loopback, [&[2, 0, 0, 0][..], &ip].concat()),
            (Link::Loopback, [&[0, 0, 0, 2][..], &ip].concat()),
            (Link::Ip, ip.to_vec()),
        ] {
            let whole = Ethernet { bytes: frame.clone(), len: frame.len() };
            assert_eq!(link.ethernet(&record, record.len()), Ok(whole), "{link:?}");
            let cut = Ethernet { bytes: frame.clone(), len: frame.len() + 100 };
            assert_eq!(link.ethernet(&record, record.len() + 100), Ok(cut), "{link:?}");
        }
        assert_eq!(Link::Loopback.ethernet(&[0, 0, 0, 7, 1], 5), Err(7));
        for family in [24u8, 28, 30] {
            let v6 = Link::Loopback.ethernet(&[0, 0, 0, family, 0x60], 5).unwrap();
            assert_eq!(v6.bytes[12..14], [0x86, 0xdd]);
        }
    }

    #[test]
    fn a_capture_that_ends_within_the_header_tells_nothing() {
        for link in [Link::Cooked, Link::Cooked2, Link::Loopback, Link::Ip] {
            let nothing = Ethernet { bytes: Vec::new(), len: 14 + 60 };
            assert_eq!(link.ethernet(&[], link.header() + 60), Ok(nothing), "{link:?}");
        }
        assert_eq!(Link::Cooked.ethernet(&[0; 10], 10), Ok(Ethernet { bytes: Vec::new(), len: 0 }));
    }
}
