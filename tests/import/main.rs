//! Imported documents against the rules that they come from: probes, evaluators written here, and cases by hand.

mod bounds;
mod classbench;
mod common;
mod dpdk;
mod hooks;
mod hostile;
mod iptables;
mod iptables_random;
mod iptables_words;
mod lists;
mod nft;
mod nft_fields;
mod nft_whole;
mod nft_words;
mod rows;
mod spelling;
mod states;
