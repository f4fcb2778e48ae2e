//! Commands about the vadaptor of a function, its filters and RSS contexts (ef10.md 5.6, 5.9, 5.10 and 6).
//!
//! A vadaptor is on the function's own port, or on one of its vports.

use nicfw::mcdi::wire::{Cmd, McErrno};
use nicfw::terms::MacAddr;

use crate::mc::command::{Command, GENERAL, Reply};
use crate::mc::controller::Mc;
use crate::mc::function::{FunctionState, Vadaptor};
use crate::mc::message::{In, Out};
use crate::mc::words::{self as w, filter_op as op};
use crate::steer::{Dest, INDIRECTIONS, MATCHES, Match, Spec, rss_flags};

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::VADAPTOR_ALLOC, privilege: GENERAL, request: (30, 1020), run: Mc::vadaptor_alloc },
    Command { cmd: Cmd::VADAPTOR_FREE, privilege: GENERAL, request: (4, 1020), run: Mc::vadaptor_free },
    Command { cmd: Cmd::VADAPTOR_SET_MAC, privilege: GENERAL, request: (10, 1020), run: Mc::vadaptor_set_mac },
    Command { cmd: Cmd::VADAPTOR_GET_MAC, privilege: GENERAL, request: (4, 1020), run: Mc::vadaptor_get_mac },
    Command { cmd: Cmd::VADAPTOR_QUERY, privilege: GENERAL, request: (4, 1020), run: Mc::vadaptor_query },
    Command { cmd: Cmd::FILTER_OP, privilege: GENERAL, request: (12, 1020), run: Mc::filter_op },
    Command { cmd: Cmd::RSS_CONTEXT_ALLOC, privilege: GENERAL, request: (12, 1020), run: Mc::rss_context_alloc },
    Command { cmd: Cmd::RSS_CONTEXT_FREE, privilege: GENERAL, request: (4, 1020), run: Mc::rss_context_free },
    Command { cmd: Cmd::RSS_CONTEXT_SET_KEY, privilege: GENERAL, request: (44, 1020), run: Mc::rss_context_set_key },
    Command { cmd: Cmd::RSS_CONTEXT_GET_KEY, privilege: GENERAL, request: (4, 1020), run: Mc::rss_context_get_key },
    Command { cmd: Cmd::RSS_CONTEXT_SET_TABLE, privilege: GENERAL, request: (132, 1020), run: Mc::rss_context_set_table },
    Command { cmd: Cmd::RSS_CONTEXT_GET_TABLE, privilege: GENERAL, request: (4, 1020), run: Mc::rss_context_get_table },
    Command { cmd: Cmd::RSS_CONTEXT_SET_FLAGS, privilege: GENERAL, request: (8, 1020), run: Mc::rss_context_set_flags },
    Command { cmd: Cmd::RSS_CONTEXT_GET_FLAGS, privilege: GENERAL, request: (4, 1020), run: Mc::rss_context_get_flags },
];

impl Mc {
    /// A second one gets EEXIST; tags to insert or strip are refused: no document tells the codes.
    fn vadaptor_alloc(&mut self, function: usize, payload: &[u8]) -> Reply {
        use w::vadaptor_alloc_in_bits::FLAG_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED;
        let ask = In(payload);
        let port = ask.u32(w::vadaptor_alloc_in::UPSTREAM_PORT_ID);
        let own = self.own(function)?;
        own.bridge.check_port(port)?;
        if ask.u32(w::vadaptor_alloc_in::NUM_VLANS) != 0 || ask.u32(w::vadaptor_alloc_in::NUM_VLAN_TAGS) != 0 {
            return Err(McErrno::ENOTSUP);
        }
        if own.vadaptor.is_some() {
            return Err(McErrno::EEXIST);
        }
        let mac = match MacAddr(ask.bytes(w::vadaptor_alloc_in::MACADDR)) {
            MacAddr([0, 0, 0, 0, 0, 0]) => own.bridge.mac_of(port).unwrap_or(own.config.mac),
            mac if mac == own.config.mac => mac,
            mac => own.mac_to_take(mac)?,
        };
        let permit_set_mac =
            ask.u32(w::vadaptor_alloc_in::FLAGS) & 1 << FLAG_PERMIT_SET_MAC_WHEN_FILTERS_INSTALLED != 0;
        own.vadaptor = Some(Vadaptor { mac, port, permit_set_mac });
        Ok(Vec::new())
    }

    /// Takes the filters with it. RSS contexts stay: the kernel's driver frees them afterwards.
    fn vadaptor_free(&mut self, function: usize, payload: &[u8]) -> Reply {
        let own = self.own(function)?;
        own.vadaptor(In(payload).u32(w::vadaptor_free_in::UPSTREAM_PORT_ID))?;
        if own.vnic.has_dma_queue() {
            return Err(McErrno::EBUSY);
        }
        own.vadaptor = None;
        own.steering.remove_filters();
        Ok(Vec::new())
    }

    fn vadaptor_set_mac(&mut self, function: usize, payload: &[u8]) -> Reply {
        let own = self.own(function)?;
        let vadaptor = own.vadaptor(In(payload).u32(w::vadaptor_set_mac_in::UPSTREAM_PORT_ID))?;
        let mac = own.mac_to_take(MacAddr(In(payload).bytes(w::vadaptor_set_mac_in::MACADDR)))?;
        if own.steering.has_filters() && !vadaptor.permit_set_mac {
            return Err(McErrno::FILTERS_PRESENT);
        }
        own.vadaptor = Some(Vadaptor { mac, ..vadaptor });
        Ok(Vec::new())
    }

    fn vadaptor_get_mac(&mut self, function: usize, payload: &[u8]) -> Reply {
        let vadaptor = self.own(function)?.vadaptor(In(payload).u32(w::vadaptor_get_mac_in::UPSTREAM_PORT_ID))?;
        Ok(vadaptor.mac.0.to_vec())
    }

    fn vadaptor_query(&mut self, function: usize, payload: &[u8]) -> Reply {
        let vadaptor = self.own(function)?.vadaptor(In(payload).u32(w::vadaptor_query_in::UPSTREAM_PORT_ID))?;
        Ok(Out::new(12).u32(w::vadaptor_query_out::VADAPTOR_FLAGS, u32::from(vadaptor.permit_set_mac) << 1).done())
    }

    /// Handles are counted over the whole adapter, from 1: none is ever used again.
    fn filter_op(&mut self, function: usize, payload: &[u8]) -> Reply {
        let ask = In(payload);
        let (op, handle) = (ask.u32(w::filter_op_ext_in::OP), ask.u64(w::filter_op_ext_in::HANDLE));
        let next = self.next_filter;
        let own = self.own(function)?;
        let handle = match op {
            op::INSERT | op::SUBSCRIBE => {
                let spec = spec(ask)?;
                let dest = dest(own, ask)?;
                let vadaptor = own.vadaptor_to_use(ask.u32(w::filter_op_ext_in::PORT_ID))?;
                own.check_spec(&spec, vadaptor.mac)?;
                log::debug!("function {function}: filter {next}: {spec:?} to {dest:?}");
                own.steering.insert(next, spec, dest, op == op::SUBSCRIBE)?;
                own.vadaptor = Some(vadaptor);
                self.next_filter += 1;
                next
            }
            op::REMOVE | op::UNSUBSCRIBE => {
                own.steering.remove(handle)?;
                log::debug!("function {function}: filter {handle} is removed");
                handle
            }
            op::REPLACE => {
                let dest = dest(own, ask)?;
                own.steering.retarget(handle, dest)?;
                log::debug!("function {function}: filter {handle} to {dest:?}");
                handle
            }
            _ => return Err(McErrno::EINVAL),
        };
        Ok(Out::new(12)
            .u32(w::filter_op_ext_out::OP, op)
            .bytes(w::filter_op_ext_out::HANDLE, &handle.to_le_bytes())
            .done())
    }

    /// The combinations of fields, in decreasing priority (GET_PARSER_DISP_INFO, operation 1).
    pub(super) fn supported_matches(op: u32) -> Reply {
        let mut out = [op, u32::try_from(MATCHES.len()).unwrap_or(0)].map(u32::to_le_bytes).concat();
        out.extend(MATCHES.iter().flat_map(|fields| fields.bits().to_le_bytes()));
        Ok(out)
    }

    /// Needs no vadaptor: after a reboot the kernel's driver makes its context first.
    fn rss_context_alloc(&mut self, function: usize, payload: &[u8]) -> Reply {
        use w::rss_type::{EXCLUSIVE, SHARED};
        let ask = In(payload);
        let id = self.next_context;
        let own = self.own(function)?;
        own.bridge.check_port(ask.u32(w::rss_context_alloc_in::UPSTREAM_PORT_ID))?;
        let shared = match ask.u32(w::rss_context_alloc_in::TYPE) {
            EXCLUSIVE => false,
            SHARED => true,
            _ => return Err(McErrno::ENOTSUP),
        };
        own.steering.add_context(id, ask.u32(w::rss_context_alloc_in::NUM_QUEUES), shared)?;
        self.next_context = self.next_context.wrapping_add(1);
        Ok(id.to_le_bytes().to_vec())
    }

    fn rss_context_free(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?
            .steering
            .free_context(In(payload).u32(w::rss_context_free_in::RSS_CONTEXT_ID))
            .map(|()| Vec::new())
    }

    fn rss_context_set_key(&mut self, function: usize, payload: &[u8]) -> Reply {
        self.own(function)?.steering.own_context(In(payload).u32(w::rss_context_set_key_in::RSS_CONTEXT_ID))?.key =
            In(payload).bytes(w::rss_context_set_key_in::TOEPLITZ_KEY);
        Ok(Vec::new())
    }

    fn rss_context_get_key(&mut self, function: usize, payload: &[u8]) -> Reply {
        let context =
            self.own(function)?.steering.context(In(payload).u32(w::rss_context_get_key_in::RSS_CONTEXT_ID))?;
        Ok(Out::new(44).bytes(w::rss_context_get_key_out::TOEPLITZ_KEY, &context.key).done())
    }

    fn rss_context_set_table(&mut self, function: usize, payload: &[u8]) -> Reply {
        let context =
            self.own(function)?.steering.own_context(In(payload).u32(w::rss_context_set_table_in::RSS_CONTEXT_ID))?;
        let table: [u8; INDIRECTIONS] = In(payload).bytes(w::rss_context_set_table_in::INDIRECTION_TABLE);
        if table.iter().any(|entry| u32::from(*entry) >= context.queues) {
            return Err(McErrno::EINVAL);
        }
        context.table = table;
        Ok(Vec::new())
    }

    fn rss_context_get_table(&mut self, function: usize, payload: &[u8]) -> Reply {
        let context =
            self.own(function)?.steering.context(In(payload).u32(w::rss_context_get_table_in::RSS_CONTEXT_ID))?;
        Ok(Out::new(132).bytes(w::rss_context_get_table_out::INDIRECTION_TABLE, &context.table).done())
    }

    /// Without the capability ADDITIONAL_RSS_MODES only the four hash bits can be set (ef10.md 5.9).
    fn rss_context_set_flags(&mut self, function: usize, payload: &[u8]) -> Reply {
        let context =
            self.own(function)?.steering.own_context(In(payload).u32(w::rss_context_set_flags_in::RSS_CONTEXT_ID))?;
        match In(payload).u32(w::rss_context_set_flags_in::FLAGS) {
            flags if flags & !rss_flags::ALL == 0 => context.flags = flags,
            _ => return Err(McErrno::EINVAL),
        }
        Ok(Vec::new())
    }

    fn rss_context_get_flags(&mut self, function: usize, payload: &[u8]) -> Reply {
        let context =
            self.own(function)?.steering.context(In(payload).u32(w::rss_context_get_flags_in::RSS_CONTEXT_ID))?;
        Ok(Out::new(8).u32(w::rss_context_get_flags_out::FLAGS, context.flags).done())
    }
}

/// The match of a FILTER_OP; a field that is not named must not matter, so it is zero. Fields of encapsulated frames and
/// unknown bits are in no combination of the list.
fn spec(ask: In<'_>) -> Result<Spec, McErrno> {
    const VLAN_ID: u16 = 0x0fff;
    let fields = Match::from_bits_retain(ask.u32(w::filter_op_ext_in::MATCH_FIELDS));
    if !MATCHES.contains(&fields) {
        return Err(McErrno::ENOTSUP);
    }
    let word = |field, off| if fields.contains(field) { ask.be16(off) } else { 0 };
    let mac = |field, off| if fields.contains(field) { ask.bytes(off) } else { [0; 6] };
    let ip = |field, off| if fields.contains(field) { ask.bytes(off) } else { [0; 16] };
    Ok(Spec {
        fields,
        src_mac: mac(Match::SRC_MAC, w::filter_op_ext_in::SRC_MAC),
        src_port: word(Match::SRC_PORT, w::filter_op_ext_in::SRC_PORT),
        dst_mac: mac(Match::DST_MAC, w::filter_op_ext_in::DST_MAC),
        dst_port: word(Match::DST_PORT, w::filter_op_ext_in::DST_PORT),
        ether_type: word(Match::ETHER_TYPE, w::filter_op_ext_in::ETHER_TYPE),
        inner_vlan: word(Match::INNER_VLAN, w::filter_op_ext_in::INNER_VLAN) & VLAN_ID,
        outer_vlan: word(Match::OUTER_VLAN, w::filter_op_ext_in::OUTER_VLAN) & VLAN_ID,
        // The protocol stands in the first byte of its field: the low one of a little-endian word.
        ip_proto: if fields.contains(Match::IP_PROTO) {
            ask.bytes::<1>(w::filter_op_ext_in::IP_PROTO)[0].into()
        } else {
            0
        },
        src_ip: ip(Match::SRC_IP, w::filter_op_ext_in::SRC_IP),
        dst_ip: ip(Match::DST_IP, w::filter_op_ext_in::DST_IP),
    })
}

/// The destination of a FILTER_OP. A queue needs a VI of the function, but not to be there yet (ef10.md 6).
fn dest(own: &FunctionState, ask: In<'_>) -> Result<Dest, McErrno> {
    use w::filter_dest::{DROP, HOST};
    use w::filter_mode::{RSS, SIMPLE};
    let first = ask.u32(w::filter_op_ext_in::RX_QUEUE);
    let context = match (ask.u32(w::filter_op_ext_in::RX_DEST), ask.u32(w::filter_op_ext_in::RX_MODE)) {
        (DROP, _) => return Ok(Dest::Drop),
        (HOST, SIMPLE) => None,
        (HOST, RSS) => Some(ask.u32(w::filter_op_ext_in::RX_CONTEXT)),
        _ => return Err(McErrno::ENOTSUP),
    };
    if first >= own.vnic.vis {
        return Err(McErrno::EINVAL);
    }
    Ok(Dest::Queue { first, context })
}
