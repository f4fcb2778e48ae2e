//! What a frame shows and what an entry names, as numbers of 16 bits: see [`Values`](super::values::Values) for what a number
//! means. Number 0 stands for a field that is not there, not looked at, or of no interest to any entry.
#![expect(clippy::indexing_slicing, reason = "the arrays have a place for every field")]

use nicfw::tables::MatchFields;

const WORDS: usize = 4;

/// A field's place in a row: what policies name most comes first, so that the last words are mostly zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engines) enum Field {
    LocalIp,
    LocalMac,
    EtherType,
    IpProto,
    RemoteIp,
    RemoteSubnet,
    LocalPort,
    LocalPortrange,
    RemotePort,
    RemotePortrange,
    OuterVlan,
    InnerVlan,
    RemoteMac,
    PhysicalPort,
}

impl Field {
    pub const COUNT: usize = 14;

    /// All of them, by their place.
    pub const ALL: [Self; Self::COUNT] = [
        Self::LocalIp,
        Self::LocalMac,
        Self::EtherType,
        Self::IpProto,
        Self::RemoteIp,
        Self::RemoteSubnet,
        Self::LocalPort,
        Self::LocalPortrange,
        Self::RemotePort,
        Self::RemotePortrange,
        Self::OuterVlan,
        Self::InnerVlan,
        Self::RemoteMac,
        Self::PhysicalPort,
    ];

    /// Its bit in a combination.
    pub const fn bit(self) -> MatchFields {
        match self {
            Self::LocalIp => MatchFields::LOCAL_IP,
            Self::LocalMac => MatchFields::LOCAL_MAC,
            Self::EtherType => MatchFields::ETHER_TYPE,
            Self::IpProto => MatchFields::IP_PROTO,
            Self::RemoteIp => MatchFields::REMOTE_IP,
            Self::RemoteSubnet => MatchFields::REMOTE_SUBNET_ID,
            Self::LocalPort => MatchFields::LOCAL_PORT,
            Self::LocalPortrange => MatchFields::LOCAL_PORTRANGE_ID,
            Self::RemotePort => MatchFields::REMOTE_PORT,
            Self::RemotePortrange => MatchFields::REMOTE_PORTRANGE_ID,
            Self::OuterVlan => MatchFields::OUTER_VLAN,
            Self::InnerVlan => MatchFields::INNER_VLAN,
            Self::RemoteMac => MatchFields::REMOTE_MAC,
            Self::PhysicalPort => MatchFields::PHYSICAL_PORT,
        }
    }
}

/// One number a field, four to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(in crate::engines) struct Row([u64; WORDS]);

impl Row {
    /// Ones in the places of these fields.
    pub fn mask(fields: MatchFields) -> Self {
        let mut mask = Self::default();
        for field in Field::ALL.into_iter().filter(|field| fields.contains(field.bit())) {
            mask.put(field, u16::MAX);
        }
        mask
    }

    /// Writes a field that is still zero.
    #[inline]
    pub fn put(&mut self, field: Field, number: u16) {
        let place = field as usize;
        self.0[place / 4] |= u64::from(number) << (place % 4 * 16);
    }

    /// The number of a field.
    pub fn get(&self, field: Field) -> u16 {
        let place = field as usize;
        let [low, high, ..] = (self.0[place / 4] >> (place % 4 * 16)).to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// The fields of a mask; the others are zero.
    #[inline]
    pub fn only(&self, mask: &Self) -> Self {
        let ([a, b, c, d], [p, q, r, s]) = (self.0, mask.0);
        Self([a & p, b & q, c & r, d & s])
    }

    /// True for the same numbers: by words, as the row was written by words.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        let ([a, b, c, d], [p, q, r, s]) = (self.0, other.0);
        (a ^ p) | (b ^ q) | (c ^ r) | (d ^ s) == 0
    }

    /// A hash; its upper bits are the better ones.
    #[inline]
    pub fn hash(&self) -> u64 {
        let [a, b, c, d] = self.0;
        // The last words are mostly zero.
        let (a, b) = (a ^ c.rotate_left(23), b ^ d.rotate_left(23));
        a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(11)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_place_of_its_own() {
        let mut all = Row::default();
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place);
            let mask = Row::mask(field.bit());
            assert_eq!(all.only(&mask), Row::default(), "{field:?} overlaps another");
            all.put(field, u16::MAX);
            assert_eq!(all.only(&mask), mask);
        }
        assert_eq!(all, Row::mask(MatchFields::NAMED));
    }
}
