//! Imported documents against the rules that they come from: probes, evaluators written here, and cases by hand.

mod classbench;
mod common;
mod dpdk;
mod hostile;
mod iptables;
mod iptables_random;
mod nft;
mod nft_whole;
mod rows;
mod spelling;
