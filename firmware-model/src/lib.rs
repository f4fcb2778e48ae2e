//! Software NIC and firmware model of a Solarflare EF10 adapter.
//!
//! It stands in for the hardware: a driver reaches a function through its registers and DMA memory, and frames go through
//! the same pipeline however they come. It answers as far as the firmware is documented; what no document tells is written
//! at its place as the model's own choice, and how the rules engine works comes from one
//! [`EngineProfile`](nicfw::tables::EngineProfile), whose assumptions can be turned into their opposites.
//!
//! ```text
//! driver -> device (registers, DMA) -> mc (commands, privileges, faults) -> engines (tables)
//! driver in another process, or QEMU -> serve (vfio-user) -> pci (configuration space, MSI-X) -> device
//! frame  -> packet (parser) -> pipeline (steer, judge, deliver) -> ports (TAP, pcap, memory)
//!                                                               -> vnic (queues in the driver's memory)
//! ```
//!
//! Same configuration, same commands, same frames: same answers. There is no clock inside and no unsafe code.
//!
//! ```
//! use nicfw::terms::{MacAddr, Verdict};
//! use nicfw_model::{FunctionConfig, Model, ModelConfig, Place};
//!
//! let host = FunctionConfig::admin(0, MacAddr([2, 0, 0, 0, 0, 1]));
//! let model = Model::new(ModelConfig::new(vec![host]));
//! let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x06];
//! frame.resize(60, 0);
//! let crossing = model.carry(Place::Wire(0), &frame)?;
//! assert_eq!(crossing.delivered, [Place::Host(0)]);
//! assert_eq!(crossing.judgements[0].judgement.verdict, Verdict::Allow);
//! # Ok::<(), nicfw_model::packet::Runt>(())
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![forbid(unsafe_code)]

pub mod engines;
pub mod fault;
pub mod mc;
pub mod packet;
pub mod pci;
pub mod ports;
pub mod serve;
pub mod tally;

mod crossing;
mod device;
mod mac;
mod memory;
mod model;
mod pipeline;
mod state;
mod steer;
mod vnic;

pub use crossing::{Crossing, Judged, Place};
pub use device::{ModelCore, ModelFunction};
pub use mc::{FunctionConfig, factory_mac};
pub use model::{Model, ModelConfig};
pub use state::Wire;
