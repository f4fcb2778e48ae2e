//! The targets, one file each; [`TARGETS`](crate::TARGETS) lists them.

pub mod c_calls;
pub mod compiler;
pub mod driver;
pub mod flow_text;
pub mod frame;
pub mod import_classbench;
pub mod import_dpdk_acl;
pub mod import_iptables;
pub mod import_nft;
mod importer;
pub mod journal;
pub mod mcdi_reply;
pub mod model_mcdi;
pub mod model_pci;
pub mod names;
pub mod pcap;
pub mod policy_text;
pub mod table_op;
pub mod vfio_user_client;
pub mod vfio_user_server;
pub mod vfio_user_version;
