//! `nicfw replay`: what becomes of every frame of a capture, by the policy and in the emulated adapter.

use nicfw::policy::{Compiled, FlowText, Packet};
use nicfw::tables::{MacAddr, Verdict};
use serde::Serialize;

use super::{document, load};
use crate::args::Replay;
use crate::capture::{self, Frame};
use crate::emulated::{Emulated, packet};
use crate::failure::{Exit, Failure};
use crate::judge::{Judgement, JudgementReport, judge, sides};
use crate::output::{Report, json_line, table, text};
use crate::words;

/// A MAC for stations that neither the capture nor the policy names (RFC 7042, 2.1.2: set aside for documentation).
const SOME_STATION: MacAddr = MacAddr([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);

/// One frame and what became of it.
pub struct Played {
    frame: Frame,
    packet: Option<Packet>,
    /// One for each bound side, the sender's first. None for a frame too short to be judged, which no adapter takes.
    judgements: Vec<Judgement>,
    /// The adapter's verdicts were the policy's.
    agrees: bool,
}

impl Played {
    fn verdict(&self) -> Verdict {
        let open = self.packet.is_some() && self.judgements.iter().all(|judgement| judgement.verdict == Verdict::Allow);
        if open { Verdict::Allow } else { Verdict::Deny }
    }
}

#[derive(Serialize)]
struct FrameReport {
    frame: usize,
    /// The frame was longer than what was captured.
    cut: bool,
    /// `None` for a frame too short to be judged.
    flow: Option<String>,
    /// `allow` if every judgement allows.
    verdict: &'static str,
    judgements: Vec<JudgementReport>,
    /// The emulated adapter said the same.
    agrees: bool,
}

pub fn run(args: &Replay) -> Result<Report, Failure> {
    let (adapter, _) = load(&document(&args.policy)?)?;
    let frames = play(&adapter, capture::read(&args.pcap)?)?;
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    let exit = if frames.iter().all(|frame| frame.agrees) { Exit::Done } else { Exit::Differs };
    let text = if args.output.json { lines(&frames, compiled)? } else { screen(&frames, compiled) };
    Ok(Report { text, exit })
}

/// Plays frames through an adapter that holds a policy. Each is judged at its bound sides; what the sender's side denies
/// does not reach the receiver's, but its verdict is told all the same.
pub fn play(adapter: &Emulated, frames: Vec<Frame>) -> Result<Vec<Played>, Failure> {
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    Ok(frames.into_iter().map(|frame| one(adapter, compiled, frame)).collect())
}

fn one(adapter: &Emulated, compiled: &Compiled, mut frame: Frame) -> Played {
    if !frame.has_macs {
        give_macs(&mut frame, compiled);
    }
    let Some(packet) = packet(&frame.bytes) else {
        return Played { frame, packet: None, judgements: Vec::new(), agrees: true };
    };
    let (mut judgements, mut agrees) = (Vec::new(), true);
    for side in sides(compiled, &packet) {
        let judgement = judge(compiled, &packet.judged(side, 0));
        agrees &= judgement.agrees && adapter.judge(&frame.bytes, side) == Some(judgement.verdict);
        judgements.push(judgement);
    }
    Played { frame, packet: Some(packet), judgements, agrees }
}

/// Gives a frame of a capture without MACs those of the bindings.
fn give_macs(frame: &mut Frame, compiled: &Compiled) {
    let Some(ip) = packet(&frame.bytes).and_then(|packet| packet.ip) else { return };
    let of = |ip| compiled.document().binding_of(ip).map_or(SOME_STATION, |(_, binding)| binding.mac);
    let macs = [of(ip.dst).0, of(ip.src).0].concat();
    if let Some(place) = frame.bytes.get_mut(..macs.len()) {
        place.copy_from_slice(&macs);
    }
}

fn lines(frames: &[Played], compiled: &Compiled) -> Result<String, Failure> {
    let report = |played: &Played| FrameReport {
        frame: played.frame.number,
        cut: played.frame.cut,
        flow: played.packet.as_ref().map(|packet| FlowText::from(packet).to_string()),
        verdict: words::verdict(played.verdict()),
        judgements: played.judgements.iter().map(|judgement| JudgementReport::new(judgement, compiled)).collect(),
        agrees: played.agrees,
    };
    frames.iter().map(|played| json_line(&report(played))).collect()
}

fn screen(frames: &[Played], compiled: &Compiled) -> String {
    let mut table = table(["frame", "flow", "side", "verdict", "decided by", "entry"]);
    for played in frames {
        let number = format!("{}{}", played.frame.number, if played.frame.cut { " (cut)" } else { "" });
        let flow = played.packet.as_ref().map_or("too short for a frame".to_owned(), words::packet);
        let mut row =
            [number, flow, String::new(), words::verdict(played.verdict()).to_owned(), String::new(), String::new()];
        for judgement in &played.judgements {
            let report = JudgementReport::new(judgement, compiled);
            let [number, flow, ..] = row;
            let disagrees = if played.agrees { "" } else { " (WRONG: the adapter disagrees)" };
            let verdict = format!("{}{disagrees}", report.verdict);
            table.add_row([number, flow, report.direction.to_owned(), verdict, report.why.clone(), report.entry()]);
            row = Default::default();
        }
        if played.judgements.is_empty() {
            table.add_row(row);
        }
    }
    let allowed = frames.iter().filter(|played| played.verdict() == Verdict::Allow).count();
    format!("{}\n\n{} frames: {allowed} allowed, {} denied\n", text(&table), frames.len(), frames.len() - allowed)
}
