//! An address to be proved.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::policy::Binding;
use crate::terms::MacAddr;

/// An address to be proved.
pub(super) struct Task<'a> {
    /// `None`: nobody bound it.
    pub binding: Option<&'a Binding>,
    pub ip: IpAddr,
    /// The MAC of the binding, or those that management rules name with the address.
    pub macs: SmallVec<[MacAddr; 1]>,
    pub vlan: Option<u16>,
    /// The place of the first of its kind.
    pub(super) first: usize,
}
