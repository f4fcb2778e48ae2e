//! What the processes have said of the adapter, and whether it is so.

use nicfw::policy::Document;
use nicfw_model::Model;
use nicfw_test_kit::dice::Dice;
use nicfw_test_kit::faults::probes::{Corners, Probe, decided, judged};

/// Probes that one look judges, while the adapter's tables stand still.
const LOOK: usize = 64;

/// What holds of each judgement from one word of a process to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// It is that of one of these documents.
    pub of: Vec<usize>,
    /// Nothing is dropped that all of them admit.
    pub strict: bool,
    pub phase: Phase,
}

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Starting,
    /// The change before it had ended.
    Attaching,
    /// The change before it had not.
    Recovering,
    Waiting,
    Changing,
}

/// The oracle.
pub struct Watch {
    model: Model,
    probes: Vec<Probe>,
    /// By document, which probes it lets through.
    admits: Vec<Vec<bool>>,
    /// In the order in which the words were heard; the last holds now.
    claims: Vec<Claim>,
    /// The claim that held when the adapter was looked at last.
    seen: usize,
    /// Where the next look begins.
    next: usize,
    pub looks: u64,
    pub judgements: u64,
    pub attached: u64,
    pub acknowledged: u64,
}

impl Watch {
    /// The adapter holds the first of these documents.
    pub fn new(model: Model, documents: &[Document], seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let pair = |other| Corners::new((&documents[0], &[]), (other, &[]));
        let probes: Vec<Probe> = documents[1..].iter().flat_map(|other| pair(other).some(&mut dice)).collect();
        let admits = documents.iter().map(|document| decided(document, &[], &probes)).collect();
        let first = Claim { of: vec![0], strict: true, phase: Phase::Starting };
        Self {
            model,
            probes,
            admits,
            claims: vec![first],
            seen: 0,
            next: 0,
            looks: 0,
            judgements: 0,
            attached: 0,
            acknowledged: 0,
        }
    }

    pub fn probes(&self) -> usize {
        self.probes.len()
    }

    /// What holds now.
    pub fn claim(&self) -> &Claim {
        self.claims.last().expect("there is a first")
    }

    /// The document that the adapter holds, if it is one.
    pub fn held(&self) -> Option<usize> {
        match self.claim().of[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// A process starts.
    pub fn starts(&mut self) {
        self.claims.push(Claim { phase: Phase::Starting, ..self.claim().clone() });
    }

    /// A process has said this.
    ///
    /// # Panics
    /// On a document that the adapter cannot hold by what was said before.
    pub fn heard(&mut self, line: &str) {
        let before = self.claim().clone();
        let (word, number) = line.split_once(' ').unwrap_or((line, "0"));
        let number: usize = number.parse().expect("a number");
        let of = before.of.clone();
        let sure = of.len() == 1;
        let claim = match word {
            "attaching" if sure => Claim { of, strict: true, phase: Phase::Attaching },
            // Recovery takes allows out before it brings them back, and says so.
            "attaching" => Claim { of, strict: false, phase: Phase::Recovering },
            "attached" => {
                assert!(of.contains(&number), "{of:?} is there, acknowledged if it is one, and {number} was found");
                self.attached += 1;
                Claim { of: vec![number], strict: true, phase: Phase::Waiting }
            }
            "begin" => {
                assert!(sure, "one change at a time");
                Claim { of: vec![of[0], number], strict: true, phase: Phase::Changing }
            }
            "done" => {
                assert_eq!(of.last(), Some(&number), "the change that was begun");
                self.acknowledged += 1;
                Claim { of: vec![number], strict: true, phase: Phase::Waiting }
            }
            other => panic!("a process says {other}"),
        };
        self.claims.push(claim);
    }

    /// Judges some probes, hears what was said meanwhile, and compares the judgements with all claims since the last look:
    /// a process speaks before it begins and after it has ended, so one of them holds.
    ///
    /// # Panics
    /// On a judgement that none of them admits.
    pub fn look(&mut self, hear: impl FnOnce(&mut Self)) {
        let chunk = self.next..self.probes.len().min(self.next + LOOK);
        self.next = if chunk.end == self.probes.len() { 0 } else { chunk.end };
        let passes = judged(&self.model, &self.probes[chunk.clone()]);
        hear(self);
        let claims = &self.claims[self.seen..];
        self.seen = self.claims.len() - 1;
        self.looks += 1;
        self.judgements += passes.len() as u64;
        let strict = claims.iter().all(|claim| claim.strict);
        for (at, passes) in chunk.zip(passes) {
            let mut of = claims.iter().flat_map(|claim| &claim.of).map(|document| self.admits[*document][at]);
            let fine = if passes { of.any(|admits| admits) } else { !strict || of.any(|admits| !admits) };
            let what = if passes { "passes, and none admits it" } else { "is dropped, and all admit it" };
            assert!(fine, "{:?} {what}: {claims:?}", self.probes[at]);
        }
    }

    /// Looks at every probe once.
    pub fn look_at_all(&mut self) {
        self.next = 0;
        self.look(|_| {});
        while self.next != 0 {
            self.look(|_| {});
        }
    }
}
