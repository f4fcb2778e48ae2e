//! The demo: real traffic between containers and peers, through the emulated adapter, with the firewall off and on.

mod attribution;
pub mod cast;
pub mod exchange;
pub mod flows;
pub mod frames;
pub mod memory;
pub mod net;
pub mod policy;
pub mod report;
pub mod run;
pub mod screen;
pub mod switch;
