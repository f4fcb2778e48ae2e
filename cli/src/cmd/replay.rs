//! `nicfw replay`: what becomes of every frame of a capture, by the policy and in the emulated adapter.

use nicfw::policy::{Compiled, Flow, FlowText, Packet};
use nicfw::tables::{Direction, MacAddr, Verdict};
use nicfw_model::packet::{Headers, parse};
use serde::Serialize;

use super::{document, load};
use crate::args::Replay;
use crate::capture::{self, Frame};
use crate::emulated::{Emulated, packet};
use crate::failure::{Exit, Failure};
use crate::judge::{Judgement, JudgementReport, judge, sides};
use crate::output::{Progress, Report, json_line, table, text};
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
pub fn play(adapter: &Emulated, mut frames: Vec<Frame>) -> Result<Vec<Played>, Failure> {
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    for frame in frames.iter_mut().filter(|frame| !frame.has_macs) {
        give_macs(frame, compiled);
    }
    let mut progress = Progress::new();
    progress.say(&format!("judging {} frames", frames.len()));
    let packets: Vec<Option<Packet>> = frames.iter().map(|frame| packet(&frame.bytes)).collect();
    let sides_of = |packet: &Option<Packet>| packet.map(|packet| (packet, sides(compiled, &packet)));
    let judged = packets.iter().filter_map(sides_of);
    let flows: Vec<Flow> =
        judged.flat_map(|(packet, sides)| sides.into_iter().map(move |side| packet.judged(side, 0))).collect();
    let mut judgements = judge(compiled, &flows).into_iter();
    let mut played: Vec<Played> = frames
        .into_iter()
        .zip(packets)
        .map(|(frame, packet)| {
            let count = sides_of(&packet).map_or(0, |(_, sides)| sides.len());
            let judgements: Vec<Judgement> = judgements.by_ref().take(count).collect();
            let agrees = judgements.iter().all(|judgement| judgement.agrees);
            Played { frame, packet, judgements, agrees }
        })
        .collect();
    compare(adapter, &mut played);
    Ok(played)
}

/// Has the adapter judge the frames, one side after the other.
fn compare(adapter: &Emulated, played: &mut [Played]) {
    for side in [Direction::Tx, Direction::Rx] {
        let judged = |played: &Played| played.judgements.iter().any(|judgement| judgement.direction == side);
        let frames = played.iter().filter(|played| judged(played));
        let headers: Vec<Headers> = frames.filter_map(|played| parse(&played.frame.bytes).ok()).collect();
        let mut verdicts = adapter.judge_all(&headers, side).into_iter();
        // Only what is parsed has judgements, so there is a verdict for each.
        for played in played.iter_mut().filter(|played| judged(played)) {
            let verdict = verdicts.next();
            let mut here = played.judgements.iter().filter(|judgement| judgement.direction == side);
            played.agrees &= here.all(|judgement| verdict == Some(judgement.verdict));
        }
    }
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
