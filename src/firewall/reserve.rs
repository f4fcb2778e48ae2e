//! Reservations: addresses that are closed for a container, whatever the document says, until its release.

use std::net::IpAddr;

use super::error::Holding;
use super::held::{HeldContent, Holders, base_keys, with_denies};
use super::{ApplyError, Engine, Firewall, Report, ReserveError, StillHeld};
use crate::journal::{Addresses, ChangeKind, Reason};
use crate::policy::{host_fault, mac_fault};
use crate::terms::{MacAddr, Verdict};

impl<E: Engine> Firewall<E> {
    /// What is reserved, by container: closed until [`Firewall::release`], unless the document binds it.
    pub fn reserved(&self) -> impl Iterator<Item = (&str, &Addresses)> {
        self.held.kept.iter().map(|(container, addresses)| (container.as_str(), addresses))
    }

    /// Closes addresses for a container, beside what is reserved for it already. Its allows come with a document that binds
    /// it; [`Report::open`] names the addresses that the document opens by now.
    ///
    /// # Errors
    /// [`ReserveError::Unfit`], [`ReserveError::Held`]: nothing was sent.
    /// [`ReserveError::Unprotected`] if the denies are not in place: the container must not be started.
    pub fn reserve(
        &mut self,
        container: &str,
        ips: &[IpAddr],
        own_mac: Option<MacAddr>,
        why: impl Into<Reason>,
    ) -> Result<Report, ReserveError> {
        let mut wanted = Addresses::default();
        wanted.add(&Addresses { ips: ips.to_vec(), macs: own_mac.into_iter().collect() });
        self.check_free(container, &wanted)?;
        let mut goal = self.held.clone();
        goal.image = with_denies(&goal.image, base_keys(&wanted));
        goal.reserve(container, &wanted);
        let unprotected = |source: Box<dyn std::error::Error + Send + Sync>| ReserveError::Unprotected {
            container: container.to_owned(),
            source,
        };
        let change = self.change(ChangeKind::Reserve, goal, why.into()).map_err(|e| unprotected(e.into()))?;
        let report = self.apply(change).map_err(|e| unprotected(e.into()))?;
        let open =
            wanted.ips.iter().filter(|ip| self.allows(**ip)).map(|ip| self.still(ip.to_string(), self.held.ip(*ip)));
        Ok(Report { open: open.collect(), ..report })
    }

    /// Refuses addresses that no container can have, and those of others.
    fn check_free(&self, container: &str, wanted: &Addresses) -> Result<(), ReserveError> {
        let ips = wanted.ips.iter().map(|ip| (ip.to_string(), host_fault(*ip), self.held.ip(*ip)));
        let macs = wanted.macs.iter().map(|mac| (mac.to_string(), mac_fault(*mac), self.held.mac(*mac)));
        for (address, fault, holders) in ips.chain(macs) {
            if let Some(what) = fault {
                return Err(ReserveError::Unfit { what });
            }
            let bound = holders.bound.filter(|holder| *holder != container).map(|holder| (holder, Holding::Bound));
            let mut reserved = holders.reserved.into_iter().filter(|holder| *holder != container);
            if let Some((holder, how)) = bound.or_else(|| Some((reserved.next()?, Holding::Reserved))) {
                return Err(ReserveError::Held { address, holder: holder.to_owned(), how });
            }
        }
        Ok(())
    }

    /// True if an entry about this address allows something.
    fn allows(&self, ip: IpAddr) -> bool {
        self.held.image.rules.iter().any(|(key, entry)| {
            let sides = [entry.rx.action, entry.tx.action];
            key.local_ip == Some(ip) && sides.iter().any(|action| action.verdict() == Some(Verdict::Allow))
        })
    }

    fn still(&self, address: String, holders: Holders<'_>) -> StillHeld {
        let bound = holders.bound.map(str::to_owned);
        StillHeld { address, bound, reserved: holders.reserved.into_iter().map(str::to_owned).collect() }
    }

    /// Ends all reservations of a container. Call it when the container is gone: addresses that nobody else holds are treated
    /// as ones that nobody bound from then on, and [`Report::still_held`] names the others. `None` if nothing is reserved
    /// for it.
    ///
    /// # Errors
    /// [`ApplyError`], which says what the adapter holds.
    pub fn release(&mut self, container: &str, why: impl Into<Reason>) -> Result<Option<Report>, ApplyError> {
        let mut kept = self.held.kept.clone();
        let Some(gone) = kept.remove(container) else { return Ok(None) };
        let still = HeldContent::new(self.held.source.clone(), kept);
        let mut image = self.held.image.clone();
        image.rules.retain(|key, _| !key.is_base() || still.image.rules.contains_key(key));
        let goal = HeldContent { image, ..still };
        let change = self.change(ChangeKind::Release, goal, why.into()).map_err(|e| ApplyError::unsent(e.into()))?;
        let report = self.apply(change)?;
        let ips = gone.ips.iter().map(|ip| self.still(ip.to_string(), self.held.ip(*ip)));
        let macs = gone.macs.iter().map(|mac| self.still(mac.to_string(), self.held.mac(*mac)));
        let is_held = |still: &StillHeld| still.bound.is_some() || !still.reserved.is_empty();
        Ok(Some(Report { still_held: ips.chain(macs).filter(is_held).collect(), ..report }))
    }
}
