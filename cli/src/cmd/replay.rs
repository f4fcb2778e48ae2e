//! `nicfw replay`: what would become of every frame of a capture.

use std::fmt::Write as _;

use nicfw::policy::{Compiled, FlowText, Packet};
use nicfw::tables::MacAddr;
use serde::Serialize;

use super::{compile, document};
use crate::args::Replay;
use crate::capture::{self, Frame};
use crate::failure::{Exit, Failure};
use crate::judge::{JudgementReport, judge, sides};
use crate::output::{Report, json_line, table, text};
use crate::scaffold::parse;
use crate::words;

/// A MAC for stations that neither the capture nor the policy names (RFC 7042, 2.1.2: set aside for documentation).
const SOME_STATION: MacAddr = MacAddr([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);

#[derive(Serialize)]
struct FrameReport {
    frame: usize,
    /// The frame was longer than what was captured.
    cut: bool,
    flow: String,
    #[serde(skip)]
    short: String,
    /// `allow` if every judgement allows.
    verdict: &'static str,
    /// One for each bound side, the sender's first.
    judgements: Vec<JudgementReport>,
}

pub fn run(args: &Replay) -> Result<Report, Failure> {
    let document = document(&args.policy)?;
    let compiled = compile(&document)?;
    let frames = capture::read(&args.pcap)?;
    let reports: Vec<FrameReport> = frames.iter().map(|frame| report(frame, &compiled)).collect();
    if args.output.json {
        let lines: Result<Vec<String>, Failure> = reports.iter().map(json_line).collect();
        return Ok(Report::done(lines?.concat()));
    }
    Ok(Report { text: screen(&reports), exit: Exit::Done })
}

fn report(frame: &Frame, compiled: &Compiled) -> FrameReport {
    let packet = with_macs(parse(&frame.bytes), frame, compiled);
    let judged = sides(compiled, &packet).into_iter().map(|side| judge(compiled, &packet.judged(side, 0)));
    let judgements: Vec<_> = judged.map(|judgement| JudgementReport::new(&judgement, compiled)).collect();
    let verdict = if judgements.iter().all(|judgement| judgement.verdict == "allow") { "allow" } else { "deny" };
    FrameReport {
        frame: frame.number,
        cut: frame.cut,
        flow: FlowText::from(&packet).to_string(),
        short: words::packet(&packet),
        verdict,
        judgements,
    }
}

/// Gives a packet of a capture without MACs those of the bindings.
fn with_macs(packet: Packet, frame: &Frame, compiled: &Compiled) -> Packet {
    if frame.has_macs {
        return packet;
    }
    let of = |ip| compiled.document().binding_of(ip).map_or(SOME_STATION, |(_, binding)| binding.mac);
    let (src_mac, dst_mac) = packet.ip.map_or((SOME_STATION, SOME_STATION), |ip| (of(ip.src), of(ip.dst)));
    Packet { src_mac, dst_mac, ..packet }
}

fn screen(reports: &[FrameReport]) -> String {
    let mut table = table(["frame", "flow", "side", "verdict", "decided by", "entry"]);
    for report in reports {
        for (i, judgement) in report.judgements.iter().enumerate() {
            let number = if i == 0 { report.frame.to_string() } else { String::new() };
            let flow = if i == 0 { report.short.clone() } else { String::new() };
            let (side, verdict) = (judgement.direction.to_owned(), judgement.verdict.to_owned());
            table.add_row([number, flow, side, verdict, judgement.why.clone(), judgement.entry()]);
        }
    }
    let allowed = reports.iter().filter(|report| report.verdict == "allow").count();
    let mut out = text(&table);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n\n{} frames: {allowed} allowed, {} denied", reports.len(), reports.len() - allowed);
    out
}
