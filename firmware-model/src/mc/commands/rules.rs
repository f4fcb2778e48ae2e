//! Commands about rules, maps, counters, override and cache (ef10.md 7.2 to 7.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nicfw::adapter::Override;
use nicfw::mcdi::wire::{
    ACTION_BLACKLIST, ACTION_NONE, ACTION_SAMPLE, ACTION_UNCHANGED, ACTION_WHITELIST, ALL_PHYSICAL_PORTS, CACHE_COMMIT,
    CACHE_GET_CACHED_VERSION, CACHE_INVALIDATE, CACHE_ROLLBACK, CACHE_VALID, COUNTER_HW, COUNTER_NONE, COUNTER_SW_AUTO,
    Cmd, MAX_COUNTER_IDS, MAX_STATISTICS, ManageSecurityRulesetCacheIn, ManageSecurityRulesetCacheOut, McErrno,
    OVERRIDE_ALLOW, OVERRIDE_BLOCK, OVERRIDE_NONE, PortrangeTreeEntry, Privileges, ResetSecurityRulesIn,
    STATISTICS_GET_CONFIG, STATISTICS_LIST, STATISTICS_RANGE, STATISTICS_READ_CLEAR, SecurityRuleCounterAllocIn,
    SetSecurityRuleIn, SetSecurityRuleOut, StatisticsFlags, TsaRulesetOverrideIn, TsaStatisticsEntry,
    TsaStatisticsGetConfigOut,
};
use nicfw::tables::{Action, CounterId, Entry, MatchFields, PortRangeId, PortTreeEntry, RuleKey, SubnetId};
use nicfw::terms::MacAddr;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::engines::rules::Refused;
use crate::mc::command::{Command, Reply, request};
use crate::mc::controller::Mc;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { cmd: Cmd::SET_SECURITY_RULE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (92, 92), run: Mc::set_security_rule },
    Command { cmd: Cmd::RESET_SECURITY_RULES, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::reset_security_rules },
    Command { cmd: Cmd::GET_SECURITY_RULESET_VERSION, privilege: Privileges::ADMIN, request: (0, 0), run: Mc::get_security_ruleset_version },
    Command { cmd: Cmd::SECURITY_RULE_COUNTER_ALLOC, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::counter_alloc },
    Command { cmd: Cmd::SECURITY_RULE_COUNTER_FREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::counter_free },
    Command { cmd: Cmd::SUBNET_MAP_SET_NODE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (6, 1020), run: Mc::subnet_map_set_node },
    Command { cmd: Cmd::REMOTE_PORTRANGE_MAP_SET_TREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::remote_portrange_map_set_tree },
    Command { cmd: Cmd::LOCAL_PORTRANGE_MAP_SET_TREE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::local_portrange_map_set_tree },
    Command { cmd: Cmd::MANAGE_SECURITY_RULESET_CACHE, privilege: Privileges::ADMIN, request: (4, 4), run: Mc::manage_ruleset_cache },
    Command { cmd: Cmd::TSA_RULESET_OVERRIDE, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 4), run: Mc::ruleset_override },
    Command { cmd: Cmd::TSA_STATISTICS, privilege: Privileges::ADMIN_TSA_UNBOUND, request: (4, 1020), run: Mc::tsa_statistics },
];

const ETHER_IPV4: u16 = 0x0800;
const VLAN_MAX: u16 = 0x0fff;

/// No document tells the codes (ef10.md 7.8, point 8).
impl From<Refused> for McErrno {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid => Self::EINVAL,
            Refused::Unknown => Self::ENOENT,
            Refused::Full => Self::ENOSPC,
            Refused::Exists => Self::EEXIST,
            Refused::Busy => Self::EBUSY,
        }
    }
}

/// The fields of a request that its bits name. A field without its bit must be zero, and a bit that no document names
/// unset: the model takes the strict side of what is not published (ef10.md 7.8, point 2).
fn key(rule: &SetSecurityRuleIn) -> Option<RuleKey> {
    use MatchFields as F;
    let fields = F::from_bits_retain(rule.match_fields.get());
    let known = F::from_bits_retain(0x7fff).difference(F::RESERVED);
    if !known.contains(fields) || rule.reserved.get() != 0 || rule.ip_proto_high != 0 {
        return None;
    }
    let take = |field: F, zero: bool| if fields.contains(field) { Some(true) } else { zero.then_some(false) };
    let mac = |field, octets: [u8; 6]| Some(take(field, octets == [0; 6])?.then_some(MacAddr(octets)));
    let word = |field, value: u16| Some(take(field, value == 0)?.then_some(value));
    let vlan = |field, value: u16| word(field, value).filter(|id| id.is_none_or(|id| id <= VLAN_MAX));
    let id = |field, value: u32| match take(field, value == 0)? {
        true => u16::try_from(value).ok().map(Some),
        false => Some(None),
    };
    let ether_type = word(F::ETHER_TYPE, rule.ether_type.get())?;
    let ip = |field, octets: [u8; 16]| Some(take(field, octets == [0; 16])?.then_some(octets));
    let (local, remote) = (ip(F::LOCAL_IP, rule.local_ip)?, ip(F::REMOTE_IP, rule.remote_ip)?);
    let family = family(ether_type, local, remote);
    Some(RuleKey {
        local_ip: address(family, local)?,
        local_mac: mac(F::LOCAL_MAC, rule.local_mac)?,
        physical_port: take(F::PHYSICAL_PORT, rule.physical_port.get() == 0)?.then(|| rule.physical_port.get()),
        outer_vlan: vlan(F::OUTER_VLAN, rule.outer_vlan.get())?,
        inner_vlan: vlan(F::INNER_VLAN, rule.inner_vlan.get())?,
        ether_type,
        ip_proto: take(F::IP_PROTO, rule.ip_proto == 0)?.then_some(rule.ip_proto),
        remote_ip: address(family, remote)?,
        remote_mac: mac(F::REMOTE_MAC, rule.remote_mac)?,
        remote_subnet: id(F::REMOTE_SUBNET_ID, rule.remote_subnet_id.get())?.map(SubnetId),
        remote_port: word(F::REMOTE_PORT, rule.remote_port.get())?,
        remote_portrange: id(F::REMOTE_PORTRANGE_ID, rule.remote_portrange_id.get())?.map(PortRangeId),
        local_port: word(F::LOCAL_PORT, rule.local_port.get())?,
        local_portrange: id(F::LOCAL_PORTRANGE_ID, rule.local_portrange_id.get())?.map(PortRangeId),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// The message has no field for the family. The ether type tells it; without one, an address with anything behind its
/// first 4 bytes is IPv6 (an inference from FILTER_OP, ef10.md 6.1).
fn family(ether_type: Option<u16>, local: Option<[u8; 16]>, remote: Option<[u8; 16]>) -> Family {
    let long = |ip: Option<[u8; 16]>| ip.is_some_and(|[_, _, _, _, behind @ ..]| behind != [0; 12]);
    match ether_type {
        Some(ETHER_IPV4) => Family::V4,
        Some(_) => Family::V6,
        None if long(local) || long(remote) => Family::V6,
        None => Family::V4,
    }
}

fn address(family: Family, ip: Option<[u8; 16]>) -> Option<Option<IpAddr>> {
    let Some(octets) = ip else { return Some(None) };
    let [a, b, c, d, behind @ ..] = octets;
    match family {
        Family::V6 => Some(Some(Ipv6Addr::from(octets).into())),
        Family::V4 if behind == [0; 12] => Some(Some(Ipv4Addr::new(a, b, c, d).into())),
        Family::V4 => None,
    }
}

/// An action; `old` is what UNCHANGED leaves. SAMPLE goes only with a verdict.
fn action(code: u32, old: Action) -> Option<Action> {
    if code == ACTION_UNCHANGED {
        return Some(old);
    }
    let sample = code & ACTION_SAMPLE != 0;
    match code & !ACTION_SAMPLE {
        ACTION_NONE if !sample => Some(Action::None),
        ACTION_WHITELIST => Some(Action::Allow { sample }),
        ACTION_BLACKLIST => Some(Action::Deny { sample }),
        _ => None,
    }
}

impl Mc {
    pub(super) fn set_security_rule(&mut self, function: usize, payload: &[u8]) -> Reply {
        let rule: SetSecurityRuleIn = request(payload)?;
        let key = key(&rule).ok_or(McErrno::EINVAL)?;
        if key.physical_port.is_some_and(|port| !self.has_port(port)) {
            return Err(McErrno::EINVAL);
        }
        let (old_rx, old_tx) = self.engine.rule(&key).map(|old| (old.rx, old.tx)).unwrap_or_default();
        let rx = action(rule.rx_action.get(), old_rx).ok_or(McErrno::EINVAL)?;
        let tx = action(rule.tx_action.get(), old_tx).ok_or(McErrno::EINVAL)?;
        let counter = match rule.counter_id.get() {
            COUNTER_NONE => None,
            // Hardware counters are Medford2's; the model is a Medford.
            COUNTER_HW => return Err(McErrno::ENOTSUP),
            COUNTER_SW_AUTO => self.engine.alloc_counters(1)?.first().copied(),
            id => Some(CounterId(id)),
        };
        if let Err(refused) = self.engine.set_rule(key, Entry { rx, tx, counter }, function) {
            if rule.counter_id.get() == COUNTER_SW_AUTO {
                self.engine.free_counters(counter.as_slice())?;
            }
            return Err(refused.into());
        }
        let mut out = SetSecurityRuleOut::new_zeroed();
        if let Some(id) = counter {
            out.counter_id = id.0.into();
            out.counter_refcnt = self.engine.counter_users(id).unwrap_or(0).into();
        }
        Ok(out.as_bytes().to_vec())
    }

    pub(super) fn reset_security_rules(&mut self, _: usize, payload: &[u8]) -> Reply {
        let reset: ResetSecurityRulesIn = request(payload)?;
        match reset.physical_port.get() {
            ALL_PHYSICAL_PORTS => self.engine.reset_rules(None),
            port if self.has_port(port) => self.engine.reset_rules(Some(port)),
            _ => return Err(McErrno::EINVAL),
        }
        Ok(Vec::new())
    }

    pub(super) fn get_security_ruleset_version(&mut self, _: usize, _: &[u8]) -> Reply {
        Ok(self.engine.version().to_vec())
    }

    pub(super) fn counter_alloc(&mut self, _: usize, payload: &[u8]) -> Reply {
        let alloc: SecurityRuleCounterAllocIn = request(payload)?;
        let most = u32::try_from(MAX_COUNTER_IDS).unwrap_or(u32::MAX);
        let ids = self.engine.alloc_counters(alloc.num_counters.get().min(most))?;
        let count = u32::try_from(ids.len()).unwrap_or(most);
        let mut out = U32::from(count).as_bytes().to_vec();
        out.extend(ids.iter().flat_map(|id| id.0.to_le_bytes()));
        Ok(out)
    }

    pub(super) fn counter_free(&mut self, _: usize, payload: &[u8]) -> Reply {
        let ids = counted_ids(payload)?;
        self.engine.free_counters(&ids)?;
        Ok(Vec::new())
    }

    pub(super) fn subnet_map_set_node(&mut self, _: usize, payload: &[u8]) -> Reply {
        let (node_id, rest) = U32::read_from_prefix(payload).map_err(|_| McErrno::EINVAL)?;
        let entries = <[U16]>::ref_from_bytes(rest).map_err(|_| McErrno::EINVAL)?;
        let entries: Vec<u16> = entries.iter().map(|entry| entry.get()).collect();
        self.engine.set_subnet_node(node_id.get(), &entries)?;
        Ok(Vec::new())
    }

    pub(super) fn remote_portrange_map_set_tree(&mut self, _: usize, payload: &[u8]) -> Reply {
        self.engine.set_remote_ports(&tree(payload)?)?;
        Ok(Vec::new())
    }

    pub(super) fn local_portrange_map_set_tree(&mut self, _: usize, payload: &[u8]) -> Reply {
        self.engine.set_local_ports(&tree(payload)?)?;
        Ok(Vec::new())
    }

    pub(super) fn manage_ruleset_cache(&mut self, _: usize, payload: &[u8]) -> Reply {
        let manage: ManageSecurityRulesetCacheIn = request(payload)?;
        let op = manage.op.get();
        if self.bound && op != CACHE_GET_CACHED_VERSION {
            return Err(McErrno::EPERM);
        }
        match op {
            CACHE_GET_CACHED_VERSION => {}
            CACHE_ROLLBACK => self.engine.roll_back_to_cache()?,
            CACHE_COMMIT => self.engine.commit_cache(),
            CACHE_INVALIDATE => self.engine.invalidate_cache(),
            _ => return Err(McErrno::EINVAL),
        }
        let version = self.engine.cached_version();
        let state = if version.is_some() { CACHE_VALID } else { 0 };
        let mut out = ManageSecurityRulesetCacheOut { state: state.into() }.as_bytes().to_vec();
        out.extend(version.into_iter().flatten());
        Ok(out)
    }

    pub(super) fn ruleset_override(&mut self, _: usize, payload: &[u8]) -> Reply {
        let ask: TsaRulesetOverrideIn = request(payload)?;
        self.engine.set_override(match ask.state.get() {
            OVERRIDE_NONE => Override::None,
            OVERRIDE_BLOCK => Override::Block,
            OVERRIDE_ALLOW => Override::Allow,
            _ => return Err(McErrno::EINVAL),
        });
        Ok(Vec::new())
    }

    pub(super) fn tsa_statistics(&mut self, _: usize, payload: &[u8]) -> Reply {
        let op: U32 = request(payload)?;
        match op.get() {
            STATISTICS_GET_CONFIG => {
                let config = self.engine.config();
                let (max_stats, stats_width) = (config.profile.counters.into(), config.counter_width.into());
                Ok(TsaStatisticsGetConfigOut { max_stats, stats_width }.as_bytes().to_vec())
            }
            STATISTICS_READ_CLEAR => self.read_clear(payload),
            _ => Err(McErrno::EINVAL),
        }
    }

    fn read_clear(&mut self, payload: &[u8]) -> Reply {
        let words = <[U32]>::ref_from_bytes(payload).map_err(|_| McErrno::EINVAL)?;
        let [_, flags, mode, count, ids @ ..] = words else { return Err(McErrno::EINVAL) };
        let flags = StatisticsFlags::from_bits_retain(flags.get());
        let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
        if count == 0 || count > MAX_STATISTICS {
            return Err(McErrno::EINVAL);
        }
        let ids: Vec<CounterId> = match (mode.get(), ids) {
            (STATISTICS_LIST, ids) if ids.len() == count => ids.iter().map(|id| CounterId(id.get())).collect(),
            (STATISTICS_RANGE, [first]) => (first.get()..=u32::MAX).take(count).map(CounterId).collect(),
            _ => return Err(McErrno::EINVAL),
        };
        let pairs: Option<Vec<(u64, u64)>> = ids.iter().map(|id| self.engine.counter(*id)).collect();
        let pairs = pairs.ok_or(McErrno::ENOENT)?;
        if flags.contains(StatisticsFlags::CLEAR) {
            ids.iter().for_each(|id| self.engine.preset_counter(*id, 0, 0));
        }
        if !flags.contains(StatisticsFlags::READ) {
            return Ok(Vec::new());
        }
        let mut out = u32::try_from(pairs.len()).unwrap_or(0).to_le_bytes().to_vec();
        out.extend([0; 4]);
        for (tx, rx) in pairs {
            out.extend(TsaStatisticsEntry { tx_stat: tx.into(), rx_stat: rx.into() }.as_bytes());
        }
        Ok(out)
    }
}

fn counted_ids(payload: &[u8]) -> Result<Vec<CounterId>, McErrno> {
    let words = <[U32]>::ref_from_bytes(payload).map_err(|_| McErrno::EINVAL)?;
    let (count, ids) = words.split_first().ok_or(McErrno::EINVAL)?;
    if usize::try_from(count.get()).ok() != Some(ids.len()) {
        return Err(McErrno::EINVAL);
    }
    Ok(ids.iter().map(|id| CounterId(id.get())).collect())
}

fn tree(payload: &[u8]) -> Result<Vec<PortTreeEntry>, McErrno> {
    let entries = <[PortrangeTreeEntry]>::ref_from_bytes(payload).map_err(|_| McErrno::EINVAL)?;
    let entry = |entry: &PortrangeTreeEntry| PortTreeEntry {
        branch_key: entry.branch_key.get(),
        leaf_id: entry.leaf_portrange_id.get(),
    };
    Ok(entries.iter().map(entry).collect())
}
