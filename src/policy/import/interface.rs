//! Conditions on interfaces: what they say about the container's traffic.

use super::rules::Sides;
use super::{Settings, View};

/// Sides on which a condition may hold, and whether that is a guess.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Through {
    /// `None`: it holds for no packet of the container that reaches the adapter.
    pub sides: Option<Sides>,
    pub doubt: Option<String>,
}

/// What "came in" or "goes out through one of these interfaces" says; `negated`: through none of them.
pub(super) fn through(settings: &Settings, incoming: bool, names: &[&str], negated: bool) -> Through {
    // On this side the interface is the uplink; on the other there is none on a host, and the container's own on a router.
    let at_uplink = any(names.iter().map(|name| if *name == "lo" { Some(false) } else { settings.is_uplink(name) }));
    let own = |name: &&str| if *name == "lo" || settings.is_uplink(name) == Some(true) { Some(false) } else { None };
    let at_other = match settings.view {
        View::Host => Some(false),
        View::Router => any(names.iter().map(own)),
    };
    let holds = |truth: Option<bool>| truth.is_none_or(|truth| truth != negated);
    let (uplink, other) = (holds(at_uplink), holds(at_other));
    let guess = (uplink && at_uplink.is_none()) || (other && at_other.is_none());
    let sides = if incoming { Sides { rx: uplink, tx: other } } else { Sides { rx: other, tx: uplink } };
    Through {
        sides: (uplink || other).then_some(sides),
        doubt: guess.then(|| format!("the adapter does not see the interface {}; name the uplink", names.join(", "))),
    }
}

/// True if one is, false if all are, else unknown.
fn any(mut truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    truths
        .try_fold(false, |known, truth| match truth {
            Some(true) => Err(Some(true)),
            Some(false) => Ok(known),
            None => Ok(true),
        })
        .map_or_else(|found| found, |unknown| if unknown { None } else { Some(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_hold_where_the_container_uses_them() {
        let mut settings = Settings::new("a", Vec::new(), "02:00:0a:1e:01:11".parse().unwrap());
        let rx = Sides { rx: true, tx: false };
        let unknown = through(&settings, true, &["eth0"], false);
        assert_eq!((unknown.sides, unknown.doubt.is_some()), (Some(rx), true));
        assert_eq!(through(&settings, true, &["lo"], false), Through { sides: None, doubt: None });
        assert_eq!(through(&settings, true, &["lo"], true), Through { sides: Some(Sides::BOTH), doubt: None });
        settings.uplinks = vec!["eth0".to_owned()];
        assert_eq!(through(&settings, true, &["eth+"], false), Through { sides: Some(rx), doubt: None });
        assert_eq!(through(&settings, true, &["eth1"], false), Through { sides: None, doubt: None });
        settings.view = View::Router;
        let other = through(&settings, true, &["cali0"], false);
        assert_eq!((other.sides, other.doubt.is_some()), (Some(Sides { rx: false, tx: true }), true));
    }
}
