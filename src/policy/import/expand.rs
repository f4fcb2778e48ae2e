//! Chains to a flat list in which the first rule that matches decides.
//!
//! A jump becomes the rules of the chain, each with the jump's condition. A return has no counterpart in a flat list: the
//! packets that return are taken out of the rest of the chain where they are told by one field, or else everything that
//! follows for them, to the end of the last base chain, is put in its place with the return's condition. The same is done for
//! a goto, and for an accept in a base chain that others follow. As a packet passes if no base chain drops it, in whatever
//! order, the one that accepts most comes last: its rules then stand in the list as they are.
//!
//! Where nobody can say which packets return or are sent to a chain, both ways must allow: the accepts on the doubtful way
//! are left out, its denies stay.

use std::cell::Cell;
use std::rc::Rc;

use super::program::{Base, Program};
use super::report::{Effect, Report};
use super::rules::{About, Action, ChainRule, Doubt, Flat, Match, Place, State, outside};
use super::{ImportError, reach};
use crate::terms::{AddrSet, Verdict};

/// Rules that a file may become in one direction.
const MOST_RULES: usize = 1 << 15;
/// Conditions that may be looked at on the way; a large set counts as several.
const MOST_STEPS: usize = 1 << 20;
/// Intervals of a set that count as one step.
const STEP: usize = 16;
/// Chains, returns and base chains that may stand in each other.
const DEEPEST: usize = 256;
/// Rules that may follow a return so that they are copied for it.
const FEW: usize = 6;

/// What may be done about denies of what exceeds a rate.
const SPARED: &str = " (--accept-stateless leaves such denies out)";

/// Which rules were reached.
pub(super) struct Seen {
    /// Per chain and rule.
    rules: Vec<Vec<bool>>,
}

impl Seen {
    fn rule(&mut self, chain: usize, rule: usize) {
        if let Some(seen) = self.rules.get_mut(chain).and_then(|rules| rules.get_mut(rule)) {
            *seen = true;
        }
    }

    pub fn new(program: &Program) -> Self {
        Self { rules: program.chains.iter().map(|chain| vec![false; chain.rules.len()]).collect() }
    }

    /// Lists what no imported hook reaches, and counts what concerns other addresses.
    pub fn tell(&self, program: &Program, bases: &[&[Base]], report: &mut Report) {
        let reached = reach::chains(program, bases);
        let mut elsewhere = 0usize;
        for ((chain, reached), rules) in program.chains.iter().zip(reached).zip(&self.rules) {
            // What no packet can match has been listed already.
            for (rule, hit) in chain.rules.iter().zip(rules).filter(|(rule, _)| !rule.when.is_empty()) {
                if !reached {
                    let reason = format!("no imported hook reaches chain {}", chain.name);
                    report.line(&rule.place, Effect::NoVerdict, &reason);
                } else if !hit {
                    elsewhere += 1;
                }
            }
        }
        if elsewhere > 0 {
            report.note(format!("{elsewhere} rules concern no bound address, or what earlier rules decide"));
        }
    }
}

/// The flat list of one direction, for the packets of `start`. `spare`: denies of what exceeds a rate may be left out.
pub(super) fn expand(
    program: &Program,
    bases: &[Base],
    start: &Match,
    spare: bool,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<Vec<Flat>, ImportError> {
    reach::refuse_cycles(program)?;
    let bases = reach::in_order(program, bases);
    let mut expansion = Expansion {
        program,
        denies: bases.iter().map(|base| reach::denies(program, base)).collect(),
        bases: &bases,
        spare,
        seen,
        report,
        flat: Vec::new(),
        steps: 0,
        depth: 0,
        holes: Vec::new(),
        taints: Vec::new(),
    };
    expansion.base(0, start)?;
    Ok(expansion.flat)
}

/// A place in a chain to go on from, and where to after its end.
struct Frame<'a> {
    chain: usize,
    next: usize,
    base: usize,
    parent: Option<&'a Frame<'a>>,
    /// Holes and taints that hold where the chain was called.
    outer: (usize, usize),
}

/// Packets that the rest of a chain does not see.
#[derive(Clone)]
enum Hole {
    Src(AddrSet),
    Dst(AddrSet),
}

/// Packets of which nobody can say whether they are here.
#[derive(Clone)]
struct Taint {
    when: Match,
    why: Doubt,
    /// Of the rule that asks what nobody can say.
    place: Place,
    /// Here are those that exceed a rate.
    exceeds: bool,
    /// Only its denies are in doubt: without it the packet goes on as if accepted.
    denies: bool,
    told: Rc<Cell<bool>>,
}

struct Expansion<'a> {
    program: &'a Program,
    bases: &'a [Base],
    /// Per base chain, whether it may deny.
    denies: Vec<bool>,
    spare: bool,
    seen: &'a mut Seen,
    report: &'a mut Report,
    flat: Vec<Flat>,
    steps: usize,
    depth: usize,
    holes: Vec<Hole>,
    taints: Vec<Taint>,
}

impl<'a> Expansion<'a> {
    /// Decides all of `when`, from a base chain on.
    fn base(&mut self, index: usize, when: &Match) -> Result<(), ImportError> {
        let bases = self.bases;
        let Some(base) = bases.get(index) else {
            return self.put(&super::text::nowhere("what no rule decides is accepted"), when.clone(), Verdict::Allow);
        };
        let outer = (std::mem::take(&mut self.holes), std::mem::take(&mut self.taints));
        let done = self.bounded(&base.place, |this| {
            let judged = base.judges.iter().flat_map(|judges| judges.when.iter().map(move |part| (judges, part)));
            let inside: Vec<_> = judged.filter_map(|(judges, part)| Some((judges, when.intersect(part)?))).collect();
            let other = outside(&AddrSet::union_of(inside.iter().map(|(_, part)| &part.dst)));
            let other = both_ends(&other, when);
            if let Some(past) = other {
                this.base(index + 1, &past)?;
            }
            for (judges, part) in &inside {
                this.taints.clear();
                if let Some(why) = &judges.doubt {
                    this.taint(part, why, &base.place, false, true);
                }
                let frame =
                    Frame { chain: base.chain, next: 0, base: index, parent: None, outer: (0, this.taints.len()) };
                if !this.chain(&frame, part)? {
                    this.policy(index, part)?;
                }
            }
            Ok(())
        });
        (self.holes, self.taints) = outer;
        done
    }

    /// What becomes of those that reach the end of a base chain.
    fn policy(&mut self, index: usize, when: &Match) -> Result<(), ImportError> {
        let bases = self.bases;
        match bases.get(index) {
            Some(base) if base.policy == Verdict::Deny => {
                self.deny(&base.place, when, None)?;
                Ok(())
            }
            // The last base chain's policy is what the list says of the rest: its line is the origin.
            Some(base) if index + 1 == bases.len() => self.put(&base.place, when.clone(), Verdict::Allow),
            _ => self.base(index + 1, when),
        }
    }

    /// Decides all of `when` as it is decided behind the end of a frame's chain.
    fn behind(&mut self, frame: &Frame<'_>, when: &Match) -> Result<(), ImportError> {
        let inner = (self.holes.clone(), self.taints.clone());
        let mut here = frame;
        let mut decided = false;
        loop {
            self.holes.truncate(here.outer.0);
            self.taints.truncate(here.outer.1);
            let Some(parent) = here.parent else { break };
            decided = self.chain(parent, when)?;
            if decided {
                break;
            }
            here = parent;
        }
        if !decided {
            self.policy(frame.base, when)?;
        }
        (self.holes, self.taints) = inner;
        Ok(())
    }

    /// Puts the rest of a chain into the list; true if nothing of `when` is left undecided.
    fn chain(&mut self, frame: &Frame<'_>, when: &Match) -> Result<bool, ImportError> {
        let (holes, taints) = (self.holes.len(), self.taints.len());
        let decided = self.rules(frame, when);
        let untouched = self.holes.len() == holes;
        self.holes.truncate(holes);
        for taint in self.taints.drain(taints..).filter(|taint| !taint.told.get()) {
            self.report.line(&taint.place, Effect::NoVerdict, &taint.why.what);
        }
        Ok(decided? && untouched)
    }

    fn rules(&mut self, frame: &Frame<'_>, when: &Match) -> Result<bool, ImportError> {
        let program = self.program;
        let Some(chain) = program.chains.get(frame.chain) else { return Ok(false) };
        let untracked = self.bases.get(frame.base).is_some_and(|base| base.untracked);
        for (i, rule) in chain.rules.iter().enumerate().skip(frame.next) {
            for alternative in &rule.when {
                self.step(&rule.place, alternative)?;
                let stateless = (untracked && alternative.state != State::ALL).then(|| rule.without_state(alternative));
                let rule = stateless.as_ref().unwrap_or(rule);
                let alternative = stateless.as_ref().and_then(|rule| rule.when.first()).unwrap_or(alternative);
                let Some(hit) = when.intersect(alternative) else { continue };
                self.seen.rule(frame.chain, i);
                if let Some(beside) = &rule.beside {
                    self.report.line(&rule.place, Effect::NoVerdict, beside);
                }
                let all = hit == *when;
                let doubt = rule.doubt.as_ref();
                let decided = match rule.action {
                    Action::Continue => false,
                    Action::Drop => self.deny(&rule.place, &hit, doubt)?,
                    Action::Accept => match doubt {
                        None => self.bounded(&rule.place, |this| this.accept(&rule.place, frame.base, &hit))?,
                        Some(doubt) => {
                            let effect = if self.goes_on(frame.base) { Effect::NoVerdict } else { Effect::LeftOut };
                            self.report.line(&rule.place, effect, &doubt.what);
                            false
                        }
                    },
                    Action::Return if all && doubt.is_none() => return Ok(false),
                    Action::Return => self.returns(rule, frame, when, &hit)?,
                    Action::Goto(target) => {
                        let there = Frame { chain: target, next: 0, ..*frame };
                        let decided = self.call(rule, &there, &hit)?;
                        match doubt {
                            None if decided => true,
                            None if all => return Ok(false),
                            _ => self.returns(rule, frame, when, &hit)?,
                        }
                    }
                    Action::Jump(target) => {
                        let back = Frame { next: i + 1, ..*frame };
                        let outer = (self.holes.len(), self.taints.len());
                        let there = Frame { chain: target, next: 0, base: frame.base, parent: Some(&back), outer };
                        self.call(rule, &there, &hit)?
                    }
                };
                if decided && all {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A chain for those that are sent there; true if it decides all of `hit`, and all of `hit` are sent there.
    fn call(&mut self, rule: &ChainRule, there: &Frame<'_>, hit: &Match) -> Result<bool, ImportError> {
        let before = self.taints.len();
        if let Some(doubt) = &rule.doubt {
            self.taint(hit, doubt, &rule.place, doubt.about == About::Above, false);
        }
        let decided = self.bounded(&rule.place, |this| this.chain(there, hit))?;
        for taint in self.taints.drain(before..).filter(|taint| !taint.told.get()) {
            self.report.line(&taint.place, Effect::NoVerdict, &taint.why.what);
        }
        Ok(decided && rule.doubt.is_none())
    }

    /// A return of some; true if it is decided what becomes of them.
    fn returns(&mut self, rule: &ChainRule, frame: &Frame<'_>, when: &Match, hit: &Match) -> Result<bool, ImportError> {
        if let Some(doubt) = &rule.doubt {
            self.taint(hit, doubt, &rule.place, doubt.about == About::Below, false);
            return Ok(false);
        }
        if self.goes_on(frame.base) {
            return Ok(false);
        }
        if !self.few_follow(frame)
            && let Some(hole) = hole(when, hit)
        {
            self.holes.push(hole);
            return Ok(false);
        }
        self.bounded(&rule.place, |this| this.behind(frame, hit))?;
        Ok(true)
    }

    /// Whether few rules follow the end of a chain.
    fn few_follow(&self, frame: &Frame<'_>) -> bool {
        let rest = |chain: usize, next: usize| reach::size(self.program, chain, next, FEW + 1);
        let mut count = self.bases.iter().skip(frame.base + 1).map(|base| rest(base.chain, 0)).sum::<usize>();
        let mut at = frame.parent;
        while let Some(frame) = at.filter(|_| count <= FEW) {
            count += rest(frame.chain, frame.next);
            at = frame.parent;
        }
        count <= FEW
    }

    fn taint(&mut self, when: &Match, why: &Doubt, place: &Place, exceeds: bool, denies: bool) {
        let (when, why, place) = (when.clone(), why.clone(), place.clone());
        self.taints.push(Taint { when, why, place, exceeds, denies, told: Rc::new(Cell::new(false)) });
    }

    /// The taints that concern some of `when`: which, and which of it.
    fn tainted(&self, when: &Match) -> Vec<(usize, Match)> {
        let taints = self.taints.iter().enumerate();
        taints.filter_map(|(i, taint)| Some((i, when.intersect(&taint.when)?))).collect()
    }

    fn tell(&mut self, taint: usize, place: &Place, effect: Effect) {
        let Some(taint) = self.taints.get(taint) else { return };
        taint.told.set(true);
        let hint = if taint.exceeds && effect == Effect::DeniesMore { SPARED } else { "" };
        let reason = match (taint.place.handle, taint.denies) {
            (_, true) => taint.why.what.to_string(),
            (Some(handle), _) => format!("reached through handle {handle}: {}{hint}", taint.why.what),
            (None, _) => format!("reached through line {}: {}{hint}", taint.place.line, taint.why.what),
        };
        self.report.line(place, effect, &reason);
    }

    /// Whether packets go on from here whatever the rules of a base chain are: it is not the last one, and nothing in it denies.
    fn goes_on(&self, base: usize) -> bool {
        base + 1 < self.bases.len() && self.denies.get(base) == Some(&false)
    }

    /// An accept: final in the last base chain, else on to the next.
    fn accept(&mut self, place: &Place, base: usize, when: &Match) -> Result<bool, ImportError> {
        if self.goes_on(base) {
            return Ok(false);
        }
        let mut rest = when.clone();
        let mut whole = true;
        for (i, some) in self.tainted(when) {
            if self.taints.get(i).is_none_or(|taint| taint.denies) {
                continue;
            }
            if some == *when {
                self.tell(i, place, Effect::LeftOut);
                return Ok(false);
            }
            whole = false;
            let Some(now) = rest.intersect(&some) else { continue };
            match hole(&rest, &now) {
                Some(hole) => {
                    self.tell(i, place, Effect::LeftOut);
                    rest = hole.out_of(rest);
                }
                None => {
                    self.tell(i, place, Effect::DeniesMore);
                    self.put(place, some, Verdict::Deny)?;
                }
            }
        }
        let Some(rest) = self.without_holes(rest) else { return Ok(whole) };
        if base + 1 < self.bases.len() {
            self.base(base + 1, &rest)?;
        } else {
            self.put(place, rest, Verdict::Allow)?;
        }
        Ok(whole)
    }

    /// A deny. One that denies more than its line says hides what follows, which is carried all the same.
    fn deny(&mut self, place: &Place, when: &Match, doubt: Option<&Doubt>) -> Result<bool, ImportError> {
        if let Some(doubt) = doubt {
            if self.spare && doubt.about == About::Above {
                self.report.line(place, Effect::StateNotSeen, &doubt.what);
                return Ok(false);
            }
            let hint = if doubt.about == About::Above { SPARED } else { "" };
            self.report.line(place, Effect::DeniesMore, &format!("{}{hint}", doubt.what));
        }
        let tainted = self.tainted(when);
        let exceeds = |taint: &usize| self.spare && self.taints.get(*taint).is_some_and(|taint| taint.exceeds);
        if let Some((taint, _)) = tainted.iter().find(|(taint, some)| exceeds(taint) && some == when) {
            self.tell(*taint, place, Effect::StateNotSeen);
            return Ok(false);
        }
        let (spared, others): (Vec<_>, Vec<_>) = tainted.into_iter().partition(|(taint, _)| exceeds(taint));
        let sure = doubt.is_none() && spared.is_empty() && others.is_empty();
        let mut rest = when.clone();
        for (taint, some) in spared {
            let Some(now) = rest.intersect(&some) else { continue };
            match hole(&rest, &now) {
                Some(hole) => {
                    self.tell(taint, place, Effect::StateNotSeen);
                    rest = hole.out_of(rest);
                }
                None => self.tell(taint, place, Effect::DeniesMore),
            }
        }
        for (taint, _) in others {
            self.tell(taint, place, Effect::DeniesMore);
        }
        self.put(place, rest, Verdict::Deny)?;
        Ok(sure)
    }

    /// What the rest of the chain sees of `when`.
    fn without_holes(&self, when: Match) -> Option<Match> {
        let rest = self.holes.iter().fold(when, |rest, hole| hole.out_of(rest));
        // An empty set of addresses is of no packet.
        rest.intersect(&Match::any())
    }

    fn put(&mut self, place: &Place, when: Match, verdict: Verdict) -> Result<(), ImportError> {
        let Some(when) = self.without_holes(when) else { return Ok(()) };
        if self.flat.len() >= MOST_RULES {
            return Err(ImportError::TooMany { line: place.line, what: "rules after expansion", max: MOST_RULES });
        }
        self.flat.push(Flat { place: place.clone(), when, verdict });
        Ok(())
    }

    fn step(&mut self, place: &Place, when: &Match) -> Result<(), ImportError> {
        let size = |set: &AddrSet| set.v4.intervals().len() + set.v6.intervals().len();
        self.steps += 1 + (size(&when.src) + size(&when.dst)) / STEP;
        if self.steps <= MOST_STEPS {
            return Ok(());
        }
        Err(ImportError::TooMany { line: place.line, what: "conditions during expansion", max: MOST_STEPS })
    }

    /// Goes one level deeper.
    fn bounded<T>(
        &mut self,
        place: &Place,
        inner: impl FnOnce(&mut Self) -> Result<T, ImportError>,
    ) -> Result<T, ImportError> {
        if self.depth >= DEEPEST {
            return Err(ImportError::TooMany { line: place.line, what: "chains in each other", max: DEEPEST });
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}

impl Hole {
    fn out_of(&self, when: Match) -> Match {
        match self {
            Self::Src(set) => Match { src: when.src.subtract(set), ..when },
            Self::Dst(set) => Match { dst: when.dst.subtract(set), ..when },
        }
    }
}

/// `hit` as a hole in `when`, if they differ in one set of addresses alone.
fn hole(when: &Match, hit: &Match) -> Option<Hole> {
    let same_but = |src: &AddrSet, dst: &AddrSet| Match { src: src.clone(), dst: dst.clone(), ..hit.clone() } == *when;
    if same_but(&when.src, &hit.dst) {
        Some(Hole::Src(hit.src.clone()))
    } else if same_but(&hit.src, &when.dst) {
        Some(Hole::Dst(hit.dst.clone()))
    } else {
        None
    }
}

/// Packets of `when` with both addresses in a set.
fn both_ends(set: &AddrSet, when: &Match) -> Option<Match> {
    when.intersect(&Match { src: set.clone(), dst: set.clone(), ..Match::any() })
}
