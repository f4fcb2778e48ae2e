//! Who takes part in the demo: two containers and the host behind the adapter, two peers on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nicfw::terms::MacAddr;

/// A machine of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A container with a web shop. Bound.
    Shop,
    /// A container with a database. Bound.
    Db,
    /// The host's own address. Nobody bound it.
    Host,
    /// A colleague's machine, which also is the company's name server.
    Office,
    /// A machine that no policy mentions.
    Stranger,
}

/// Where a party's cable ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At a function of the adapter: the host's side.
    Function(u16),
    /// At the adapter's first physical port: the network.
    Wire,
}

impl Party {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Shop, Self::Db, Self::Host, Self::Office, Self::Stranger];

    /// Name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shop => "shop-1",
            Self::Db => "db-1",
            Self::Host => "host",
            Self::Office => "office",
            Self::Stranger => "stranger",
        }
    }

    /// Where its cable ends.
    pub fn place(self) -> Place {
        match self {
            Self::Host => Place::Function(0),
            Self::Shop => Place::Function(1),
            Self::Db => Place::Function(2),
            Self::Office | Self::Stranger => Place::Wire,
        }
    }

    /// Its MAC. The containers' are the ones that the demo's policy binds.
    pub fn mac(self) -> MacAddr {
        MacAddr(match self {
            Self::Shop => [0x02, 0x00, 0x0a, 0x1e, 0x01, 0x11],
            Self::Db => [0x02, 0x00, 0x0a, 0x1e, 0x01, 0x12],
            Self::Host => [0x02, 0x00, 0x0a, 0x1e, 0x00, 0x01],
            Self::Office => [0x02, 0x00, 0x0a, 0x14, 0x00, 0x05],
            Self::Stranger => [0x02, 0x00, 0x0a, 0x63, 0x00, 0x42],
        })
    }

    /// Its IPv4 address.
    pub fn v4(self) -> Ipv4Addr {
        match self {
            Self::Shop => Ipv4Addr::new(10, 30, 1, 17),
            Self::Db => Ipv4Addr::new(10, 30, 1, 18),
            Self::Host => Ipv4Addr::new(10, 30, 0, 1),
            Self::Office => Ipv4Addr::new(10, 20, 0, 5),
            Self::Stranger => Ipv4Addr::new(10, 99, 0, 66),
        }
    }

    /// Its IPv6 address.
    pub fn v6(self) -> Ipv6Addr {
        let host = match self {
            Self::Shop => 0x17,
            Self::Db => 0x18,
            Self::Host => 0x1,
            Self::Office => 0x2005,
            Self::Stranger => 0x9966,
        };
        Ipv6Addr::new(0x2001, 0xdb8, 0x30, 0, 0, 0, 0, host)
    }

    /// Its addresses with their networks. All parties are neighbours: no router is part of the demo.
    pub fn networks(self) -> Vec<IpNet> {
        let v4 = |addr| IpNet::V4(Ipv4Net::new_assert(addr, 8));
        let mut all = vec![v4(self.v4()), IpNet::V6(Ipv6Net::new_assert(self.v6(), 64))];
        if self == Self::Office {
            all.push(v4(NAME_SERVER));
        }
        all
    }

    /// The party that has an address.
    pub fn of(addr: IpAddr) -> Option<Self> {
        Self::ALL.into_iter().find(|party| party.networks().iter().any(|net| net.addr() == addr))
    }
}

/// The company's name server, a second address of [`Party::Office`].
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
