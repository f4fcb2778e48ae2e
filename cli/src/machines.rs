//! The demo's machines, network namespaces with a TAP device each, for traffic of another kind.

pub use crate::demo::cast::{Party, Place};
pub use crate::demo::net::{Endpoint, EndpointError, Forbidden, become_root_of_own};
