//! The real thing: Linux network namespaces, their kernel's stacks, and TAP devices as cables to the adapter.

mod attempt;
mod endpoint;
mod fabric;
mod namespaces;
mod netlink;
mod network;
mod sockets;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

pub use endpoint::{Endpoint, EndpointError};
pub use namespaces::{Forbidden, become_root_of_own};
pub use network::Network;

use self::attempt::Attempt;
use self::fabric::Fabric;
use self::network::QUIET;
use super::cast::Party;
use super::exchange::{Lab, Nonce, Probe};
use super::switch::{Crossing, Switch};

impl Network {
    /// Makes all namespaces inside a user namespace of the process's own, and plugs them into the adapter.
    ///
    /// Call it before the process has a second thread.
    ///
    /// # Errors
    /// [`EndpointError`]; [`namespaces::Forbidden`] where the machine does not allow it. Nothing is left behind.
    pub fn start(switch: Arc<Mutex<dyn Switch>>) -> Result<Self, EndpointError> {
        namespaces::become_root_of_own()?;
        let mut endpoints = BTreeMap::new();
        for party in Party::ALL {
            endpoints.insert(party, Endpoint::start(party)?);
        }
        let taps = endpoints.iter().map(|(party, endpoint)| (*party, endpoint.tap())).collect();
        let fabric =
            Fabric::start(taps, switch).map_err(|source| EndpointError::Configure { party: "cables", source })?;
        Ok(Self { fabric, endpoints })
    }

    /// Commands that open a shell in each namespace, for as long as this process lives.
    pub fn ways_in(&self) -> Vec<(Party, String)> {
        let process = std::process::id();
        let enter = |endpoint: &Endpoint| {
            let thread = endpoint.thread_id();
            format!(
                "nsenter --preserve-credentials --user=/proc/{process}/ns/user --net=/proc/{process}/task/{thread}/ns/net"
            )
        };
        self.endpoints.iter().map(|(party, endpoint)| (*party, enter(endpoint))).collect()
    }

    fn at(&self, party: Option<Party>) -> io::Result<&Endpoint> {
        let missing = || io::Error::other("the probe names an address that no party of the demo has");
        party.and_then(|party| self.endpoints.get(&party)).ok_or_else(missing)
    }
}

impl Lab for Network {
    fn run(&mut self, probe: &Probe, nonce: Nonce) -> io::Result<bool> {
        let delivered = Attempt::new(self, probe, nonce).run()?;
        self.fabric.wait_for_quiet(QUIET, sockets::PATIENCE);
        Ok(delivered)
    }

    fn crossed(&self) -> usize {
        self.fabric.mark()
    }

    fn crossings(&self, numbers: Range<usize>) -> Vec<Crossing> {
        self.fabric.between(numbers)
    }
}
