//! `nicfw replay`: what becomes of every frame of a capture, by the policy and in the emulated adapter.

use std::path::Path;

use nicfw::policy::FlowText;
use nicfw::tables::Compiled;
use nicfw::terms::{Direction, Flow, MacAddr, Packet, Verdict};
use nicfw_model::packet::Headers;
use serde::Serialize;

use super::common::{document, load};
use crate::args::Replay;
use crate::capture::{self, Frame, Unjudged};
use crate::emulated::Emulated;
use crate::failure::{Exit, Failure};
use crate::judge::{Judgement, JudgementReport, judge, sides};
use crate::output::{Progress, Report, json_line, table, text};
use crate::{input, words};

/// A MAC for stations that neither the capture nor the policy names (RFC 7042, 2.1.2: set aside for documentation).
const SOME_STATION: MacAddr = MacAddr([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);

/// Frames that are judged at a time.
const AT_ONCE: usize = 10_000;

/// One frame and what became of it.
pub struct Played {
    frame: Frame,
    packet: Option<Packet>,
    /// One for each bound side, the sender's first. None for a frame too short to be one, which no adapter takes, and for one
    /// that cannot be judged.
    judgements: Vec<Judgement>,
    /// The adapter's verdicts were the policy's.
    agrees: bool,
}

impl Played {
    /// `None`: it cannot be judged.
    fn verdict(&self) -> Option<Verdict> {
        self.frame.headers.ok()?;
        let open = self.packet.is_some() && self.judgements.iter().all(|judgement| judgement.verdict == Verdict::Allow);
        Some(if open { Verdict::Allow } else { Verdict::Deny })
    }

    /// Why it cannot be judged.
    pub fn unjudged(&self) -> Option<Unjudged> {
        self.frame.headers.err()
    }
}

#[derive(Serialize)]
struct FrameReport {
    frame: usize,
    /// The frame was longer than what was captured.
    cut: bool,
    /// `None` for a frame too short to be judged, or of which too little is known.
    flow: Option<String>,
    /// `allow` if every judgement allows; `unknown` if it cannot be judged.
    verdict: &'static str,
    /// Why it cannot be judged.
    unjudged: Option<String>,
    judgements: Vec<JudgementReport>,
    /// The emulated adapter said the same.
    agrees: bool,
}

pub fn run(args: &Replay) -> Result<Report, Failure> {
    let (adapter, _) = load(&document(&args.policy)?)?;
    let frames = play_file(&adapter, &args.pcap)?;
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    let exit = if frames.iter().all(|frame| frame.agrees) { Exit::Done } else { Exit::Differs };
    let text = if args.output.json { lines(&frames, compiled)? } else { screen(&frames, compiled) };
    Ok(Report { text, exit })
}

/// Plays the frames of a capture.
pub fn play_file(adapter: &Emulated, path: &Path) -> Result<Vec<Played>, Failure> {
    let name = input::name(path);
    let mut progress = Progress::new();
    progress.say(&format!("reading {name}"));
    let frames = capture::read(path, &mut |read| progress.say(&format!("reading {name}: {read} frames")))?;
    play(adapter, frames, &mut progress)
}

/// Plays frames through an adapter that holds a policy. Each is judged at its bound sides; what the sender's side denies
/// does not reach the receiver's, but its verdict is told all the same.
fn play(adapter: &Emulated, mut frames: Vec<Frame>, progress: &mut Progress) -> Result<Vec<Played>, Failure> {
    let compiled = adapter.compiled().ok_or_else(|| Failure::usage("the emulated adapter holds no policy"))?;
    for frame in frames.iter_mut().filter(|frame| !frame.has_macs) {
        give_macs(frame, compiled);
    }
    let all = frames.len();
    let mut played = Vec::with_capacity(all);
    let mut frames = frames.into_iter();
    while played.len() < all {
        progress.say(&format!("judging {} of {all} frames", played.len()));
        let mut some = judged(compiled, frames.by_ref().take(AT_ONCE).collect());
        compare(adapter, &mut some);
        played.append(&mut some);
    }
    Ok(played)
}

fn judged(compiled: &Compiled, frames: Vec<Frame>) -> Vec<Played> {
    let packets: Vec<Option<Packet>> =
        frames.iter().map(|frame| frame.headers.ok().flatten().map(|headers| headers.packet)).collect();
    let sides_of = |packet: &Option<Packet>| packet.map(|packet| (packet, sides(compiled, &packet)));
    let judged = packets.iter().filter_map(sides_of);
    let flows: Vec<Flow> =
        judged.flat_map(|(packet, sides)| sides.into_iter().map(move |side| packet.judged(side, 0))).collect();
    let mut judgements = judge(compiled, &flows).into_iter();
    let one = |(frame, packet): (Frame, Option<Packet>)| {
        let count = sides_of(&packet).map_or(0, |(_, sides)| sides.len());
        let judgements: Vec<Judgement> = judgements.by_ref().take(count).collect();
        let agrees = judgements.iter().all(|judgement| judgement.agrees);
        Played { frame, packet, judgements, agrees }
    };
    frames.into_iter().zip(packets).map(one).collect()
}

/// Has the adapter judge the frames, one side after the other.
fn compare(adapter: &Emulated, played: &mut [Played]) {
    for side in [Direction::Tx, Direction::Rx] {
        let judged = |played: &Played| played.judgements.iter().any(|judgement| judgement.direction == side);
        let frames = played.iter().filter(|played| judged(played));
        let headers: Vec<Headers> = frames.filter_map(|played| played.frame.headers.ok().flatten()).collect();
        let mut verdicts = adapter.judge_all(&headers, side).into_iter();
        // Only what is parsed has judgements, so there is a verdict for each.
        for played in played.iter_mut().filter(|played| judged(played)) {
            let verdict = verdicts.next();
            let mut here = played.judgements.iter().filter(|judgement| judgement.direction == side);
            played.agrees &= here.all(|judgement| verdict == Some(judgement.verdict));
        }
    }
}

/// How many frames cannot be judged, and what to do about it; `None` if each can.
pub fn unjudged(frames: &[Played]) -> Option<String> {
    let count = frames.iter().filter(|played| played.unjudged().is_some()).count();
    let cut = frames.iter().any(|played| matches!(played.unjudged(), Some(Unjudged::Cut { .. })));
    let way_out = if cut { "; capture whole frames, with tcpdump -s 0" } else { "" };
    (count > 0).then(|| format!("{count} cannot be judged, because the capture does not hold enough of them{way_out}"))
}

/// Gives a frame of a capture without MACs those of the bindings.
fn give_macs(frame: &mut Frame, compiled: &Compiled) {
    let Ok(Some(headers)) = &mut frame.headers else { return };
    let packet = &mut headers.packet;
    let Some(ip) = packet.ip else { return };
    let of = |ip| compiled.document().binding_of(ip).map_or(SOME_STATION, |(_, binding)| binding.mac);
    (packet.dst_mac, packet.src_mac) = (of(ip.dst), of(ip.src));
}

fn word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("unknown", words::verdict)
}

fn lines(frames: &[Played], compiled: &Compiled) -> Result<String, Failure> {
    let report = |played: &Played| FrameReport {
        frame: played.frame.number,
        cut: played.frame.cut,
        flow: played.packet.as_ref().map(|packet| FlowText::from(packet).to_string()),
        verdict: word(played.verdict()),
        unjudged: played.unjudged().map(|why| why.to_string()),
        judgements: played.judgements.iter().map(|judgement| JudgementReport::new(judgement, compiled)).collect(),
        agrees: played.agrees,
    };
    frames.iter().map(|played| json_line(&report(played))).collect()
}

fn screen(frames: &[Played], compiled: &Compiled) -> String {
    let mut table = table(["frame", "flow", "side", "verdict", "decided by", "entry"]);
    for played in frames {
        let number = format!("{}{}", played.frame.number, if played.frame.cut { " (cut)" } else { "" });
        let flow = match (&played.packet, played.unjudged()) {
            (Some(packet), _) => words::packet(packet),
            (None, Some(why)) => format!("cannot be judged: {why}"),
            (None, None) => "too short for a frame".to_owned(),
        };
        let mut row = [number, flow, String::new(), word(played.verdict()).to_owned(), String::new(), String::new()];
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
    let count = |verdict| frames.iter().filter(|played| played.verdict() == Some(verdict)).count();
    let (allowed, denied) = (count(Verdict::Allow), count(Verdict::Deny));
    let unjudged = unjudged(frames).map(|unjudged| format!(", {unjudged}")).unwrap_or_default();
    format!("{}\n\n{} frames: {allowed} allowed, {denied} denied{unjudged}\n", text(&table), frames.len())
}
