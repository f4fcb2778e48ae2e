//! Error codes of the management controller.

/// An MCDI error code (`MC_CMD_ERR_*`, ef10.md 4.5). Open: a number that nobody has named is kept and printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct McErrno(pub u32);

open_numbers! {
    McErrno: else "unknown error";

    /// Not permitted.
    EPERM = 0x1,
    /// No such object.
    ENOENT = 0x2,
    /// Interrupted.
    EINTR = 0x4,
    /// Input or output failed.
    EIO = 0x5,
    /// Exists already.
    EEXIST = 0x6,
    /// Argument list too long.
    E2BIG = 0x7,
    /// Try again.
    EAGAIN = 0xb,
    /// Out of memory.
    ENOMEM = 0xc,
    /// Access denied.
    EACCES = 0xd,
    /// Busy.
    EBUSY = 0x10,
    /// No such device.
    ENODEV = 0x13,
    /// Invalid argument.
    EINVAL = 0x16,
    /// No space left in a table.
    ENOSPC = 0x1c,
    /// Read-only.
    EROFS = 0x1e,
    /// Broken pipe.
    EPIPE = 0x20,
    /// Out of range.
    ERANGE = 0x22,
    /// Deadlock.
    EDEADLK = 0x23,
    /// Command unknown to this firmware.
    ENOSYS = 0x26,
    /// Timed out.
    ETIME = 0x3e,
    /// Link lost.
    ENOLINK = 0x43,
    /// Protocol error.
    EPROTO = 0x47,
    /// Bad message.
    EBADMSG = 0x4a,
    /// Known, but not possible here.
    ENOTSUP = 0x5f,
    /// Address not available.
    EADDRNOTAVAIL = 0x63,
    /// Not connected.
    ENOTCONN = 0x6b,
    /// Done already, or nothing to undo.
    EALREADY = 0x72,
    /// Stale.
    ESTALE = 0x74,
    /// Allocation failed.
    ALLOC_FAIL = 0x1000,
    /// The function has no vadaptor.
    NO_VADAPTOR = 0x1001,
    /// No EVB port.
    NO_EVB_PORT = 0x1002,
    /// No vswitch.
    NO_VSWITCH = 0x1003,
    /// Too many VLAN tags.
    VLAN_LIMIT = 0x1004,
    /// Bad PCI function.
    BAD_PCI_FUNC = 0x1005,
    /// Bad VLAN mode.
    BAD_VLAN_MODE = 0x1006,
    /// Bad vswitch type.
    BAD_VSWITCH_TYPE = 0x1007,
    /// Bad vport type.
    BAD_VPORT_TYPE = 0x1008,
    /// The MAC address exists already.
    MAC_EXIST = 0x1009,
    /// Slave core not present.
    SLAVE_NOT_PRESENT = 0x100a,
    /// Datapath disabled.
    DATAPATH_DISABLED = 0x100b,
    /// The client is not a function.
    CLIENT_NOT_FN = 0x100c,
    /// The transport cannot carry proxied commands.
    TRANSPORT_NOPROXY = 0x100d,
    /// The VLAN exists already.
    VLAN_EXIST = 0x100e,
    /// No MAC address.
    NO_MAC_ADDR = 0x100f,
    /// Waits for authorisation by proxy; the argument is the handle.
    PROXY_PENDING = 0x1010,
    /// Proxy authorisation in progress.
    PROXY_INPROGRESS = 0x1011,
    /// Unexpected proxy message.
    PROXY_UNEXPECTED = 0x1012,
    /// The function lacks the privilege.
    NO_PRIVILEGE = 0x1013,
    /// Filters are present.
    FILTERS_PRESENT = 0x1014,
    /// No clock.
    NO_CLOCK = 0x1015,
    /// Unreachable.
    UNREACHABLE = 0x1016,
    /// Queue full.
    QUEUE_FULL = 0x1017,
    /// No PCIe.
    NO_PCIE = 0x1018,
    /// No datapath.
    NO_DATAPATH = 0x1019,
    /// VIs are present.
    VIS_PRESENT = 0x101a,
    /// PIO buffers are present.
    PIOBUFS_PRESENT = 0x101b,
    /// The filter clashes with another.
    FILTER_CLASH = 0x101c,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_document_has_its_name() {
        assert_eq!(McErrno(1).to_string(), "EPERM");
        assert_eq!(McErrno(0x1c).to_string(), "ENOSPC");
        assert_eq!(McErrno(0x101c).to_string(), "FILTER_CLASH");
        let named = (0..=0xffff).filter(|code| McErrno(*code).name().is_some()).count();
        assert_eq!(named, 56, "as many as ef10.md 4.5 lists");
    }

    #[test]
    fn unnamed_codes_keep_their_number() {
        assert_eq!(McErrno(0xdead_beef).to_string(), "unknown error 0xdeadbeef");
    }
}
