//! Commands about counters (ef10.md 7.2, 7.4). Ids here are plain numbers; an id names one TX and one RX counter.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use super::super::wire::{
    COUNTER_HW, COUNTER_NONE, COUNTER_SW_AUTO, Cmd, MAX_COUNTER_IDS, MAX_STATISTICS, STATISTICS_GET_CONFIG,
    STATISTICS_LIST, STATISTICS_READ_CLEAR, SecurityRuleCounterAllocIn, SecurityRuleCounterIds, StatisticsFlags,
    TsaStatisticsEntry, TsaStatisticsGetConfigIn, TsaStatisticsGetConfigOut, TsaStatisticsReadClearOut, zero_extended,
};
use super::super::{Channel, McdiError};

/// COUNTER_ID values of SET_SECURITY_RULE that name no allocated pair.
pub const RESERVED_IDS: [u32; 3] = [COUNTER_NONE, COUNTER_SW_AUTO, COUNTER_HW];

/// What TSA_STATISTICS GET_CONFIG tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterConfig {
    /// Counter pairs of the adapter.
    pub max_stats: u32,
    /// Width of a counter in bits, 1 to 64; a counter wraps.
    pub width: u32,
}

/// TSA_STATISTICS with operation GET_CONFIG.
///
/// # Errors
/// See [`McdiError`].
pub fn get_config(channel: &mut Channel) -> Result<CounterConfig, McdiError> {
    let cmd = Cmd::TSA_STATISTICS;
    let request = TsaStatisticsGetConfigIn { op_code: STATISTICS_GET_CONFIG.into() };
    let min = size_of::<TsaStatisticsGetConfigOut>();
    let out: TsaStatisticsGetConfigOut = zero_extended(channel.call(cmd, request.as_bytes(), min)?);
    let width = out.stats_width.get();
    if !(1..=64).contains(&width) {
        return Err(McdiError::BadReply { cmd, field: "STATS_WIDTH", value: width.into() });
    }
    Ok(CounterConfig { max_stats: out.max_stats.get(), width })
}

/// SECURITY_RULE_COUNTER_ALLOC: asks for `count` pairs, at most [`MAX_COUNTER_IDS`], and appends the ids to `ids`. Returns how
/// many came: the firmware may give fewer.
///
/// # Errors
/// See [`McdiError`]. An id that no counter can have, or more ids than asked for, is a bad reply.
pub fn alloc(channel: &mut Channel, count: u32, ids: &mut Vec<u32>) -> Result<u32, McdiError> {
    let cmd = Cmd::SECURITY_RULE_COUNTER_ALLOC;
    let bad = |field, value: u32| McdiError::BadReply { cmd, field, value: value.into() };
    let request = SecurityRuleCounterAllocIn { num_counters: count.into() };
    let reply = channel.call(cmd, request.as_bytes(), 4)?;
    let num = u32::from_le_bytes(reply.first_chunk().copied().unwrap_or_default());
    let fits = usize::try_from(num).ok().filter(|_| num <= count);
    let out = fits.and_then(|num| SecurityRuleCounterIds::ref_from_prefix_with_elems(reply, num).ok());
    let given = &out.ok_or_else(|| bad("NUM_COUNTERS", num))?.0.counter_id;
    if let Some(id) = given.iter().map(|id| id.get()).find(|id| RESERVED_IDS.contains(id)) {
        return Err(bad("COUNTER_ID", id));
    }
    ids.extend(given.iter().map(|id| id.get()));
    Ok(num)
}

/// SECURITY_RULE_COUNTER_FREE, at most [`MAX_COUNTER_IDS`] of them.
///
/// # Errors
/// See [`McdiError`].
pub fn free(channel: &mut Channel, ids: &[u32]) -> Result<(), McdiError> {
    let mut words = [U32::ZERO; 1 + MAX_COUNTER_IDS];
    let request = fill(Cmd::SECURITY_RULE_COUNTER_FREE, &mut words, &[number(ids.len())], ids)?;
    channel.call(Cmd::SECURITY_RULE_COUNTER_FREE, request.as_bytes(), 0).map(drop)
}

/// TSA_STATISTICS with operation READ_CLEAR: reads counters, at most [`MAX_STATISTICS`], and clears none. `each` gets the
/// position in `ids` and the pair.
///
/// # Errors
/// See [`McdiError`]. Another number of pairs than asked for is a bad reply, and then `each` is never called.
pub fn read(
    channel: &mut Channel,
    ids: &[u32],
    mut each: impl FnMut(usize, TsaStatisticsEntry),
) -> Result<(), McdiError> {
    let cmd = Cmd::TSA_STATISTICS;
    let mut words = [U32::ZERO; 4 + MAX_STATISTICS];
    let count = number(ids.len());
    let [op, flags, mode] = [STATISTICS_READ_CLEAR, StatisticsFlags::READ.bits(), STATISTICS_LIST].map(U32::new);
    let request = fill(cmd, &mut words, &[op, flags, mode, count], ids)?;
    let reply = channel.call(cmd, request.as_bytes(), 8)?;
    let num = u32::from_le_bytes(reply.first_chunk().copied().unwrap_or_default());
    let bad = McdiError::BadReply { cmd, field: "NUM_STATS", value: num.into() };
    let Ok((out, _)) = TsaStatisticsReadClearOut::ref_from_prefix_with_elems(reply, ids.len()) else {
        return Err(McdiError::ShortReply { cmd, len: reply.len(), min: 8 + 16 * ids.len() });
    };
    if out.num_stats != count {
        return Err(bad);
    }
    out.stats_counters.iter().enumerate().for_each(|(i, pair)| each(i, *pair));
    Ok(())
}

/// Puts `head` and then `ids` into `words`; the words in use.
fn fill<'w>(cmd: Cmd, words: &'w mut [U32], head: &[U32], ids: &[u32]) -> Result<&'w [U32], McdiError> {
    let end = head.len() + ids.len();
    let too_long = McdiError::RequestTooLong { cmd, len: 4 * end, max: 4 * words.len() };
    let request = words.get_mut(..end).ok_or(too_long)?;
    let content = head.iter().copied().chain(ids.iter().map(|id| U32::new(*id)));
    request.iter_mut().zip(content).for_each(|(word, value)| *word = value);
    Ok(request)
}

/// A count that `fill` has bounded.
fn number(count: usize) -> U32 {
    U32::new(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcdi::fake::golden;

    /// TSA_STATISTICS_IN_GET_CONFIG: OP_CODE 0. OUT: MAX_STATS 1024, STATS_WIDTH 40.
    #[test]
    fn config() {
        let request = "ff 00 00 00 30 01 04 00  00 00 00 00";
        let config = golden(request, "ff 00 80 00 30 01 08 00  00 04 00 00  28 00 00 00", get_config).unwrap();
        assert_eq!(config, CounterConfig { max_stats: 1024, width: 40 });
        for width in ["00", "41"] {
            let reply = format!("ff 00 80 00 30 01 08 00  00 04 00 00  {width} 00 00 00");
            let error = golden(request, &reply, get_config).unwrap_err();
            assert!(matches!(error, McdiError::BadReply { field: "STATS_WIDTH", .. }), "{error}");
        }
    }

    /// SECURITY_RULE_COUNTER_ALLOC_IN: NUM_COUNTERS 3. OUT: NUM_COUNTERS 2, COUNTER_ID 7 and 0x102.
    #[test]
    fn alloc_may_give_fewer() {
        let mut ids = vec![1];
        let request = "ff 00 00 00 12 01 04 00  03 00 00 00";
        let reply = "ff 00 80 00 12 01 0c 00  02 00 00 00  07 00 00 00  02 01 00 00";
        assert_eq!(golden(request, reply, |c| alloc(c, 3, &mut ids)).unwrap(), 2);
        assert_eq!(ids, [1, 7, 0x102]);
    }

    #[test]
    fn alloc_refuses_what_cannot_be() {
        for (reply, field) in [
            ("ff 00 80 00 12 01 0c 00  02 00 00 00  07 00 00 00  02 01 00 00", "NUM_COUNTERS"),
            ("ff 00 80 00 12 01 04 00  01 00 00 00", "NUM_COUNTERS"),
            ("ff 00 80 00 12 01 08 00  01 00 00 00  00 00 00 00", "COUNTER_ID"),
            ("ff 00 80 00 12 01 08 00  01 00 00 00  ee ee ee ee", "COUNTER_ID"),
            ("ff 00 80 00 12 01 08 00  01 00 00 00  ff ff ff ff", "COUNTER_ID"),
        ] {
            let mut ids = Vec::new();
            let request = "ff 00 00 00 12 01 04 00  01 00 00 00";
            let error = golden(request, reply, |c| alloc(c, 1, &mut ids)).unwrap_err();
            assert!(matches!(error, McdiError::BadReply { field: got, .. } if got == field), "{reply}: {error}");
            assert!(ids.is_empty());
        }
    }

    /// SECURITY_RULE_COUNTER_FREE_IN: NUM_COUNTERS 2, COUNTER_ID 7 and 0x102.
    #[test]
    fn free_names_each() {
        let request = "ff 00 00 00 13 01 0c 00  02 00 00 00  07 00 00 00  02 01 00 00";
        golden(request, "ff 00 80 00 13 01 00 00", |c| free(c, &[7, 0x102])).unwrap();
    }

    /// TSA_STATISTICS_IN_READ_CLEAR: OP_CODE 1, FLAGS READ, MODE LIST, NUM_STATS 2, COUNTER_ID 7 and 9. OUT: NUM_STATS 2, 4
    /// bytes without a name, TX_STAT and RX_STAT of each.
    #[test]
    fn read_clears_nothing() {
        let request = "ff 00 00 00 30 01 18 00  01 00 00 00  01 00 00 00  00 00 00 00  02 00 00 00 \
                       07 00 00 00  09 00 00 00";
        let reply = "ff 00 80 00 30 01 28 00  02 00 00 00  a5 a5 a5 a5  01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00 \
                     03 00 00 00 01 00 00 00  ff ff ff ff ff 00 00 00";
        let mut seen = Vec::new();
        let each = |i, pair: TsaStatisticsEntry| seen.push((i, pair.tx_stat.get(), pair.rx_stat.get()));
        golden(request, reply, |c| read(c, &[7, 9], each)).unwrap();
        assert_eq!(seen, [(0, 1, 2), (1, 0x1_0000_0003, 0xff_ffff_ffff)]);
    }

    #[test]
    fn read_refuses_another_number_of_pairs() {
        let request = "ff 00 00 00 30 01 14 00  01 00 00 00  01 00 00 00  00 00 00 00  01 00 00 00  07 00 00 00";
        let run = |reply| golden(request, reply, |c| read(c, &[7], |_, _| panic!("no pair"))).unwrap_err();
        let error =
            run("ff 00 80 00 30 01 17 00  01 00 00 00  00 00 00 00  01 00 00 00 00 00 00 00  02 00 00 00 00 00 00");
        assert!(matches!(error, McdiError::ShortReply { len: 23, min: 24, .. }), "{error}");
        let error =
            run("ff 00 80 00 30 01 18 00  00 00 00 00  00 00 00 00  01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00");
        assert!(matches!(error, McdiError::BadReply { field: "NUM_STATS", value: 0, .. }), "{error}");
    }

    #[test]
    fn more_than_a_message_holds_is_refused_unsent() {
        let nic = super::super::super::fake::FakeNic::new(|_| panic!("sent"));
        let channel = &mut nic.channel();
        assert!(matches!(free(channel, &[1; 255]), Err(McdiError::RequestTooLong { len: 1024, max: 1020, .. })));
        assert!(matches!(read(channel, &[1; 64], |_, _| ()), Err(McdiError::RequestTooLong { .. })));
    }
}
