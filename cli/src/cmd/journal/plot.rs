//! The entries in use over time, as a picture.

use std::fmt::Write as _;

use nicfw::journal::{ChangeRecord, Outcome};
use serde::Serialize;

/// Most changes that are drawn; of more, evenly chosen ones.
const MOST: usize = 2000;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
/// Left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (56.0, 16.0, 36.0, 40.0);

/// A change in the picture.
#[derive(Serialize)]
pub struct Point {
    number: u64,
    at: String,
    kind: &'static str,
    outcome: &'static str,
    used: usize,
    #[serde(skip)]
    millis: u64,
    #[serde(skip)]
    reason: String,
}

pub fn points(changes: &[ChangeRecord]) -> Vec<Point> {
    let step = changes.len().div_ceil(MOST).max(1);
    let last = changes.len().saturating_sub(1);
    let chosen = changes.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
    let point = |(_, change): (usize, &ChangeRecord)| {
        let at = change.ended.unwrap_or(change.at);
        Point {
            number: change.number,
            at: at.to_string(),
            kind: change.kind.word(),
            outcome: match change.outcome {
                Outcome::Done => "done",
                Outcome::Undone { .. } => "undone",
                Outcome::Closed { .. } => "closed",
                Outcome::Recovered => "recovered",
                Outcome::Pending => "pending",
            },
            used: change.used,
            millis: at.0,
            reason: change.why.reason.clone(),
        }
    };
    chosen.map(point).collect()
}

/// Colours that are told apart without red and green, and in print.
fn colour(outcome: &str) -> &'static str {
    match outcome {
        "done" => "#0072b2",
        "closed" => "#d55e00",
        _ => "#999999",
    }
}

pub fn svg(name: &str, changes: usize, points: &[Point]) -> String {
    let (left, right, top, bottom) = MARGIN;
    let most = points.iter().map(|point| point.used).max().unwrap_or(0).max(1);
    let first = points.iter().map(|point| point.millis).min().unwrap_or(0);
    let span = points.iter().map(|point| point.millis - first).max().unwrap_or(0).max(1);
    let x = |point: &Point| left + (point.millis - first) as f64 / span as f64 * (WIDTH - left - right);
    let y = |used: usize| HEIGHT - bottom - used as f64 / most as f64 * (HEIGHT - top - bottom);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let drawn = if points.len() < changes { format!(", {} drawn", points.len()) } else { String::new() };
    line(format!(
        "<text x=\"{left}\" y=\"20\">{}: entries in use after each of {changes} changes{drawn}</text>",
        escaped(name)
    ));
    for used in [0, most] {
        let at = y(used);
        line(format!("<path d=\"M{left} {at:.1}H{:.1}\" stroke=\"#ddd\"/>", WIDTH - right));
        line(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{used}</text>", left - 6.0, at + 4.0));
    }
    for (point, anchor, at) in [(points.first(), "start", left), (points.last(), "end", WIDTH - right)] {
        let date = point.map(|point| point.at.as_str()).unwrap_or_default();
        line(format!("<text x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\">{date}</text>", HEIGHT - 12.0));
    }
    let mut path = String::new();
    for point in points {
        let (x, y) = (x(point), y(point.used));
        let _ = if path.is_empty() { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
    }
    line(format!("<path d=\"{path}\" fill=\"none\" stroke=\"#0072b2\"/>"));
    for point in points {
        line(format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{}\"><title>{} {} {}: {}, {} entries: {}</title></circle>",
            x(point),
            y(point.used),
            colour(point.outcome),
            point.number,
            point.at,
            point.kind,
            point.outcome,
            point.used,
            escaped(&point.reason)
        ));
    }
    line("</svg>".to_owned());
    out
}

/// Text that an XML document can hold, on one line and without what disturbs.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in nicfw::text::escaped(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to say these two.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
