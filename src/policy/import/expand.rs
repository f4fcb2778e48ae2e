//! Chains to a flat list in which the first rule that matches decides.
//!
//! A jump becomes the rules of the chain, each with the jump's condition. A return has no counterpart in a flat list:
//! instead everything that follows for the packets that return, to the end of the last base chain, is put in its place
//! with the return's condition. The same is done for a goto, and for an accept in a base chain that others follow.

use super::report::{Effect, Report};
use super::rules::{Action, Chain, Flat, Match, Place, outside};
use super::{AddrSet, ImportError};
use crate::tables::Verdict;

/// Rules that a file may become in one direction.
const MOST_RULES: usize = 1 << 15;
/// Conditions that may be looked at on the way.
const MOST_STEPS: usize = 1 << 20;
/// Chains, returns and base chains that may stand in each other.
const DEEPEST: usize = 128;

/// All chains of a file.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub chains: Vec<Chain>,
}

/// A chain in which packets start, and what becomes of those that reach its end.
#[derive(Debug)]
pub(super) struct Base {
    pub chain: usize,
    /// Addresses of the families that it judges; other packets go past it.
    pub family: AddrSet,
    pub policy: Verdict,
    pub place: Place,
}

/// Which rules were reached.
pub(super) struct Seen {
    chains: Vec<bool>,
    /// Per chain and rule.
    rules: Vec<Vec<bool>>,
}

impl Seen {
    fn chain(&mut self, chain: usize) {
        if let Some(seen) = self.chains.get_mut(chain) {
            *seen = true;
        }
    }

    fn rule(&mut self, chain: usize, rule: usize) {
        if let Some(seen) = self.rules.get_mut(chain).and_then(|rules| rules.get_mut(rule)) {
            *seen = true;
        }
    }

    pub fn new(program: &Program) -> Self {
        let rules = program.chains.iter().map(|chain| vec![false; chain.rules.len()]).collect();
        Self { chains: vec![false; program.chains.len()], rules }
    }

    /// Lists what no imported hook reaches, and counts what concerns other addresses.
    pub fn tell(&self, program: &Program, report: &mut Report) {
        let mut elsewhere = 0usize;
        for ((chain, seen), rules) in program.chains.iter().zip(&self.chains).zip(&self.rules) {
            for (rule, hit) in chain.rules.iter().zip(rules) {
                if !seen {
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

/// The flat list of one direction, for the packets of `start`.
pub(super) fn expand(
    program: &Program,
    bases: &[Base],
    start: &Match,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<Vec<Flat>, ImportError> {
    refuse_cycles(program)?;
    let mut expansion = Expansion { program, bases, seen, report, flat: Vec::new(), steps: 0, depth: 0 };
    expansion.base(0, start)?;
    Ok(expansion.flat)
}

/// A place in a chain to go on from, and where to after its end.
struct Frame<'a> {
    chain: usize,
    next: usize,
    base: usize,
    /// Why nobody can say which packets got here.
    doubt: Option<String>,
    parent: Option<&'a Frame<'a>>,
}

struct Expansion<'a> {
    program: &'a Program,
    bases: &'a [Base],
    seen: &'a mut Seen,
    report: &'a mut Report,
    flat: Vec<Flat>,
    steps: usize,
    depth: usize,
}

impl<'a> Expansion<'a> {
    /// Decides all of `when`, from a base chain on.
    fn base(&mut self, index: usize, when: &Match) -> Result<(), ImportError> {
        let bases = self.bases;
        let Some(base) = bases.get(index) else {
            return self.emit(&super::text::nowhere("what no rule decides is accepted"), when, Verdict::Allow);
        };
        self.bounded(&base.place, |this| {
            let other = outside(&base.family);
            if let Some(past) = when.intersect(&Match { src: other.clone(), dst: other, ..Match::any() }) {
                this.base(index + 1, &past)?;
            }
            let family = Match { src: base.family.clone(), dst: base.family.clone(), ..Match::any() };
            let Some(inside) = when.intersect(&family) else { return Ok(()) };
            let frame = Frame { chain: base.chain, next: 0, base: index, doubt: None, parent: None };
            this.from(Some(&frame), index, &inside)
        })
    }

    /// Decides all of `when`: the rest of a chain, of its callers, and then the base chain's policy.
    fn from(&mut self, frame: Option<&Frame<'_>>, index: usize, when: &Match) -> Result<(), ImportError> {
        let mut at = frame;
        while let Some(frame) = at {
            if self.chain(frame, when)? {
                return Ok(());
            }
            at = frame.parent;
        }
        let bases = self.bases;
        match bases.get(index) {
            Some(base) if base.policy == Verdict::Deny => self.emit(&base.place, when, Verdict::Deny),
            // The last base chain's policy is what the list says of the rest: its line is the origin.
            Some(base) if index + 1 == bases.len() => self.emit(&base.place, when, Verdict::Allow),
            _ => self.base(index + 1, when),
        }
    }

    /// Puts the rest of a chain into the list; true if nothing of `when` is left undecided.
    fn chain(&mut self, frame: &Frame<'_>, when: &Match) -> Result<bool, ImportError> {
        let program = self.program;
        let Some(chain) = program.chains.get(frame.chain) else { return Ok(false) };
        self.seen.chain(frame.chain);
        for (i, rule) in chain.rules.iter().enumerate().skip(frame.next) {
            for alternative in &rule.when {
                self.step(&rule.place)?;
                let Some(hit) = when.intersect(alternative) else { continue };
                self.seen.rule(frame.chain, i);
                if let Some(beside) = &rule.beside {
                    self.report.line(&rule.place, Effect::NoVerdict, beside);
                }
                let all = hit == *when;
                let doubt = rule.doubt.as_deref();
                let inherited = frame.doubt.as_deref();
                let decided = match rule.action {
                    Action::Continue => false,
                    Action::Drop => self.deny(&rule.place, &hit, doubt.or(inherited))?,
                    Action::Accept => match doubt.or(inherited) {
                        None => self.bounded(&rule.place, |this| this.accept(&rule.place, frame.base, &hit))?,
                        Some(doubt) => {
                            self.report.line(&rule.place, Effect::LeftOut, doubt);
                            false
                        }
                    },
                    Action::Return if all && doubt.is_none() => return Ok(false),
                    Action::Return => match doubt {
                        Some(_) => self.deny(&rule.place, &hit, doubt)?,
                        None => {
                            self.bounded(&rule.place, |this| this.from(frame.parent, frame.base, &hit))?;
                            true
                        }
                    },
                    Action::Goto(target) => match doubt {
                        Some(_) => self.deny(&rule.place, &hit, doubt)?,
                        None => {
                            let inherited = inherited.map(ToOwned::to_owned);
                            let there = Frame {
                                chain: target,
                                next: 0,
                                base: frame.base,
                                doubt: inherited,
                                parent: frame.parent,
                            };
                            self.bounded(&rule.place, |this| this.from(Some(&there), frame.base, &hit))?;
                            true
                        }
                    },
                    Action::Jump(target) => {
                        let back = Frame { next: i + 1, doubt: frame.doubt.clone(), ..*frame };
                        let through = doubt.map(|doubt| format!("reached through line {}: {doubt}", rule.place.line));
                        let doubt = through.or_else(|| frame.doubt.clone());
                        let there = Frame { chain: target, next: 0, base: frame.base, doubt, parent: Some(&back) };
                        self.bounded(&rule.place, |this| this.chain(&there, &hit))?
                    }
                };
                if decided && all {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// An accept: final in the last base chain, else on to the next.
    fn accept(&mut self, place: &Place, base: usize, when: &Match) -> Result<bool, ImportError> {
        if base + 1 < self.bases.len() {
            self.base(base + 1, when)?
        } else {
            self.emit(place, when, Verdict::Allow)?
        }
        Ok(true)
    }

    /// A deny. One that denies more than its line says hides what follows, which is carried all the same.
    fn deny(&mut self, place: &Place, when: &Match, doubt: Option<&str>) -> Result<bool, ImportError> {
        if let Some(doubt) = doubt {
            self.report.line(place, Effect::DeniesMore, doubt);
        }
        self.emit(place, when, Verdict::Deny)?;
        Ok(doubt.is_none())
    }

    fn emit(&mut self, place: &Place, when: &Match, verdict: Verdict) -> Result<(), ImportError> {
        if self.flat.len() >= MOST_RULES {
            return Err(ImportError::TooMany { line: place.line, what: "rules after expansion", max: MOST_RULES });
        }
        self.flat.push(Flat { place: place.clone(), when: when.clone(), verdict });
        Ok(())
    }

    fn step(&mut self, place: &Place) -> Result<(), ImportError> {
        self.steps += 1;
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

/// Refuses chains that are reached from themselves, whether a hook reaches them or not: no kernel has such.
fn refuse_cycles(program: &Program) -> Result<(), ImportError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let targets = |chain: usize| {
        let rules = program.chains.get(chain).map(|chain| chain.rules.as_slice()).unwrap_or_default();
        rules.iter().filter_map(|rule| match rule.action {
            Action::Jump(target) | Action::Goto(target) => Some((target, &rule.place)),
            _ => None,
        })
    };
    let mut marks: Vec<_> = program.chains.iter().map(|chain| (Mark::New, chain)).collect();
    for start in 0..marks.len() {
        match marks.get_mut(start) {
            Some((mark @ Mark::New, _)) => *mark = Mark::Open,
            _ => continue,
        }
        let mut open = vec![(start, targets(start))];
        while let Some((chain, rest)) = open.last_mut() {
            let Some((target, place)) = rest.next() else {
                if let Some((mark, _)) = marks.get_mut(*chain) {
                    *mark = Mark::Done;
                }
                open.pop();
                continue;
            };
            match marks.get_mut(target) {
                Some((Mark::Open, chain)) => {
                    let chain = chain.name.clone();
                    return Err(ImportError::Cycle { line: place.line, chain, text: place.text.to_string() });
                }
                Some((mark @ Mark::New, _)) => {
                    *mark = Mark::Open;
                    open.push((target, targets(target)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
