//! Conditions on interfaces: what they say about the container's traffic.

use super::pieces::Piece;
use super::rules::{Match, Sides};
use super::{Settings, View};

/// What "came in" or "goes out through one of these interfaces" says; `negated`: through none of them. No piece: it holds
/// for no packet of the container that reaches the adapter.
pub(super) fn through(settings: &Settings, incoming: bool, names: &[&str], negated: bool) -> Vec<Piece> {
    // On this side the interface is the uplink; on the other there is none on a host, and the container's own on a router.
    let at_uplink = any(names.iter().map(|name| if *name == "lo" { Some(false) } else { settings.is_uplink(name) }));
    let at_other = match settings.view {
        View::Host => Some(false),
        View::Router => {
            any(names.iter().map(|name| if *name == "lo" { Some(false) } else { settings.is_inside(name) }))
        }
    };
    let missing = |truth: Option<bool>, what: &str| {
        let what = format!("the adapter does not see the interface {}; name {what}", names.join(", "));
        truth.is_none().then_some(what)
    };
    let uplink = (at_uplink, Sides { rx: incoming, tx: !incoming }, missing(at_uplink, "the uplink"));
    let inside = "the container's side (--inside)";
    let other = (at_other, Sides { rx: !incoming, tx: incoming }, missing(at_other, inside));
    [uplink, other]
        .into_iter()
        .filter(|(truth, ..)| truth.is_none_or(|truth| truth != negated))
        .map(|(_, sides, doubt)| Piece { when: Match { sides, ..Match::any() }, doubt })
        .collect()
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

    /// `r` and `t` for received and sent, with `?` where it is a guess.
    fn sides(settings: &Settings, incoming: bool, name: &str, negated: bool) -> String {
        let mut out: Vec<_> = through(settings, incoming, &[name], negated)
            .into_iter()
            .map(|piece| {
                let side = if piece.when.sides.rx { "r" } else { "t" };
                format!("{side}{}", if piece.doubt.is_some() { "?" } else { "" })
            })
            .collect();
        out.sort();
        out.concat()
    }

    #[test]
    fn interfaces_hold_where_the_container_uses_them() {
        let mut settings = Settings::new("a", Vec::new(), "02:00:0a:1e:01:11".parse().unwrap());
        assert_eq!(sides(&settings, true, "eth0", false), "r?");
        assert_eq!(
            (sides(&settings, true, "lo", false), sides(&settings, true, "lo", true)),
            (String::new(), "rt".into())
        );
        settings.uplinks = vec!["eth0".to_owned()];
        assert_eq!(
            (sides(&settings, true, "eth+", false), sides(&settings, true, "eth1", false)),
            ("r".into(), "".into())
        );
        settings.view = View::Router;
        assert_eq!(sides(&settings, true, "cali0", false), "t?");
        assert_eq!(sides(&settings, true, "cali0", true), "rt?", "the guess is about one side alone");
        settings.inside = vec!["cali0".to_owned()];
        assert_eq!(
            (sides(&settings, true, "cali0", false), sides(&settings, true, "cali0", true)),
            ("t".into(), "r".into())
        );
        assert_eq!(sides(&settings, false, "eth1", false), "");
        settings.uplinks.clear();
        assert_eq!(sides(&settings, true, "cali0", true), "r", "the container's side is not an uplink");
    }
}
