//! Plots: drawn once as a list of shapes, painted twice, as SVG text and as PNG bytes. Every drawing is bounded, whatever it shows, and knows
//! no font but its own size of letters.

mod axis;
mod png;
mod svg;

use crate::offender::{OffenderLine, Sample};
use crate::table::{count, cut};
use crate::time::Readable;
use crate::timeline::{PORT_BINS, Timeline, place};
use axis::{Area, count_ticks, port_ticks, time_ticks};
use model::time::Time;
use std::collections::HashSet;

pub use svg::style;

/// Width and height of a letter.
const LETTER: (f64, f64) = (7.0, 13.0);
/// Sources in [`sources_by_port`].
pub const SOURCES_SHOWN: usize = 20;
/// Bars in [`counts_over_time`]: a week of hours.
const BARS: u64 = 170;
/// Columns in [`ports_over_time`].
const COLUMNS: u64 = 120;

/// What a shape is painted with; the painter knows its colours for light and for dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Text,
    Faint,
    Grid,
    Tcp,
    Udp,
}

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// One shape, in pixels from the upper left corner. `strength` is a share of the ink's colour, from 1 to 4 quarters.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Rectangle {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        ink: Ink,
        strength: u8,
    },
    Line {
        from: (f64, f64),
        to: (f64, f64),
        ink: Ink,
    },
    /// `y` is the base line.
    Text {
        x: f64,
        y: f64,
        anchor: Anchor,
        ink: Ink,
        text: String,
    },
}

/// A plot, ready to be painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    width: u32,
    height: u32,
    /// What it shows, for those who can't see it.
    pub alt: String,
    shapes: Vec<Shape>,
}

/// A picture small enough for a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallPicture {
    /// The bytes of a PNG file.
    pub png: Vec<u8>,
    /// What it shows, for those who can't see it.
    pub alt: String,
}

/// One source's ports over time for a mail: at most 20 KB. `None` if no samples were kept of it.
pub fn small_picture(offender: &OffenderLine) -> Option<SmallPicture> {
    let drawing = of_source(offender)?;
    Some(SmallPicture { png: drawing.to_png(), alt: drawing.alt })
}

/// One source's ports over time; `None` if no samples were kept of it.
pub fn of_source(offender: &OffenderLine) -> Option<Drawing> {
    let samples = &offender.detail.as_ref()?.samples;
    let (first, last) = (samples.iter().map(|s| s.at).min()?, samples.iter().map(|s| s.at).max()?);
    let (from, to) = (first.0.as_secs(), last.0.as_secs() + 1);
    let ports = |udp| {
        let of = || samples.iter().filter(move |s| s.udp == udp).map(|s| s.port);
        of().min().zip(of().max()).map(|(low, high)| format!("{} ports {low} to {high}", if udp { "UDP" } else { "TCP" }))
    };
    let ports: Vec<String> = [ports(false), ports(true)].into_iter().flatten().collect();
    let alt = format!(
        "Ports over time of {}: {} from {} to {}, {}.",
        offender.address,
        count(offender.packets, "packet"),
        Readable(first.0),
        Readable(last.0),
        ports.join(", ")
    );
    let mut canvas = Canvas::new(560, 200, alt);
    canvas.legend(samples.iter().any(|s| !s.udp), samples.iter().any(|s| s.udp));
    canvas.port_axis();
    canvas.time_axis(from, to);
    let span = (to - from) as f64;
    for Sample { at, udp, port } in samples {
        let share = (at.0.as_nanos() as f64 / 1e9 - from as f64) / span;
        let (x, y) = (canvas.area.x(share), canvas.area.y(place(*port)));
        canvas.rectangle((x - 1.0, y - 1.0, 3.0, 3.0), ink_of(*udp), 4);
    }
    Some(canvas.done())
}

/// Which ports were tried when, in all.
pub fn ports_over_time(line: &Timeline) -> Drawing {
    let line = line.at_most(COLUMNS);
    let (from, to) = line.ends().unwrap_or((0, 1));
    let most = line.cells().map(|cell| cell.packets).max().unwrap_or(1);
    let alt = format!(
        "Packets by port (up, logarithmic) and time (right), from {} to {}; the darkest stand for {}.",
        utc(from),
        utc(to),
        count(most.into(), "packet")
    );
    let mut canvas = Canvas::new(960, 340, alt);
    canvas.legend(line.cells().any(|cell| !cell.udp), line.cells().any(|cell| cell.udp));
    canvas.port_axis();
    canvas.time_axis(from, to);
    let span = (to - from) as f64;
    let width = (canvas.area.width * line.step() as f64 / span).max(2.0);
    let height = canvas.area.height / PORT_BINS as f64;
    let there: HashSet<(u64, u64, bool)> = line.cells().map(|cell| (cell.at, cell.place.to_bits(), cell.udp)).collect();
    for cell in line.cells() {
        let (x, top) = (canvas.area.x((cell.at - from) as f64 / span), canvas.area.y(cell.place) - height);
        // Where both protocols are, UDP has the right half.
        let shared = there.contains(&(cell.at, cell.place.to_bits(), !cell.udp));
        let part = if shared { width / 2.0 } else { width };
        let x = if shared && cell.udp { x + part } else { x };
        canvas.rectangle((x, top, part, height), ink_of(cell.udp), strength(cell.packets, most));
    }
    canvas.done()
}

/// How many of something (`packet`, `charge`) came when.
pub fn counts_over_time(line: &Timeline, of: &str) -> Drawing {
    let line = line.at_most(BARS);
    let (from, to) = line.ends().unwrap_or((0, 1));
    let most = line.counts().map(|(_, packets)| packets).max().unwrap_or(1);
    let unit = step_name(line.step());
    let alt = format!("{of}s per {unit} from {} to {}; {most} at most.", utc(from), utc(to));
    let mut canvas = Canvas::new(960, 240, alt);
    canvas.note(&format!("{of}s per {unit}"));
    canvas.count_axis(most);
    canvas.time_axis(from, to);
    let span = (to - from) as f64;
    let width = (canvas.area.width * line.step() as f64 / span - 1.0).max(1.0);
    let top = axis::top(most) as f64;
    for (at, packets) in line.counts() {
        let (x, y) = (canvas.area.x((at - from) as f64 / span), canvas.area.y(packets as f64 / top));
        let height = (canvas.area.y(0.0) - y).max(1.0);
        canvas.rectangle((x, canvas.area.y(0.0) - height, width, height), Ink::Tcp, 4);
    }
    canvas.done()
}

/// Which of these sources tried which ports: the first [`SOURCES_SHOWN`], a row each.
pub fn sources_by_port(offenders: &[OffenderLine]) -> Drawing {
    const ROW: f64 = 18.0;
    let shown = offenders.get(..SOURCES_SHOWN).unwrap_or(offenders);
    let names: Vec<String> = shown.iter().map(|line| cut(&line.address.to_string(), 30)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let alt = format!("The ports (right, logarithmic) that {} tried, a row each.", count(shown.len() as u64, "source"));
    let mut canvas = Canvas::new(960, 74 + (ROW * shown.len().max(1) as f64) as u32, alt);
    canvas.legend(shown.iter().any(|line| !line.ports.tcp.is_empty()), shown.iter().any(|line| !line.ports.udp.is_empty()));
    // A browser's letters may be somewhat wider.
    canvas.indent(longest as f64 * LETTER.0 * 1.1 + 10.0);
    canvas.port_axis_below();
    for (n, (line, name)) in shown.iter().zip(names).enumerate() {
        let top = canvas.area.top + ROW * n as f64;
        canvas.text(canvas.area.left - 6.0, top + 13.0, Anchor::End, Ink::Text, name);
        canvas.line((canvas.area.left, top + ROW), (canvas.area.left + canvas.area.width, top + ROW), Ink::Grid);
        for (ranges, udp) in [(&line.ports.tcp, false), (&line.ports.udp, true)] {
            for &(low, high) in ranges {
                let (from, to) = (canvas.area.x(place(low)), canvas.area.x(place(high)));
                let y = top + if udp { ROW / 2.0 + 1.0 } else { 2.0 };
                canvas.rectangle((from - 1.0, y, (to - from).max(0.0) + 3.0, ROW / 2.0 - 3.0), ink_of(udp), 4);
            }
        }
    }
    canvas.done()
}

fn ink_of(udp: bool) -> Ink {
    if udp { Ink::Udp } else { Ink::Tcp }
}

/// One to four quarters, by the logarithm: a single packet must be seen beside a thousand.
fn strength(packets: u32, most: u32) -> u8 {
    let share = f64::from(packets).ln_1p() / f64::from(most.max(1)).ln_1p();
    (share * 4.0).ceil().clamp(1.0, 4.0) as u8
}

fn utc(seconds: u64) -> Readable {
    Readable(Time::from_secs(seconds))
}

fn step_name(step: u64) -> String {
    let units = [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, name) = units.into_iter().find(|(size, _)| step.is_multiple_of(*size)).unwrap_or((1, "second"));
    if step == size { name.to_owned() } else { count(step / size, name) }
}

/// A drawing while it is made.
struct Canvas {
    drawing: Drawing,
    /// Where the data stand.
    area: Area,
}

impl Canvas {
    fn new(width: u32, height: u32, alt: String) -> Canvas {
        let area = Area { left: 56.0, top: 24.0, width: f64::from(width) - 86.0, height: f64::from(height) - 74.0 };
        Canvas { drawing: Drawing { width, height, alt, shapes: Vec::new() }, area }
    }

    fn done(self) -> Drawing {
        self.drawing
    }

    fn rectangle(&mut self, (x, y, width, height): (f64, f64, f64, f64), ink: Ink, strength: u8) {
        self.drawing.shapes.push(Shape::Rectangle { x, y, width, height, ink, strength });
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) {
        self.drawing.shapes.push(Shape::Line { from, to, ink });
    }

    fn text(&mut self, x: f64, y: f64, anchor: Anchor, ink: Ink, text: impl Into<String>) {
        self.drawing.shapes.push(Shape::Text { x, y, anchor, ink, text: text.into() });
    }

    /// Makes room for longer words at the left.
    fn indent(&mut self, left: f64) {
        self.area.width -= left - self.area.left;
        self.area.left = left;
    }

    /// What the upward axis counts, above it.
    fn note(&mut self, text: &str) {
        self.text(self.area.left - 48.0, 14.0, Anchor::Start, Ink::Text, text);
    }

    /// Which colour is which protocol.
    fn legend(&mut self, tcp: bool, udp: bool) {
        let mut x = self.area.left + self.area.width;
        for (name, ink, is_there) in [("UDP", Ink::Udp, udp), ("TCP", Ink::Tcp, tcp)] {
            if is_there {
                self.text(x, 14.0, Anchor::End, Ink::Text, name);
                self.rectangle((x - 3.0 * LETTER.0 - 14.0, 5.0, 9.0, 9.0), ink, 4);
                x -= 64.0;
            }
        }
    }

    fn port_axis(&mut self) {
        self.note("port");
        for port in port_ticks() {
            let y = self.area.y(place(port));
            self.line((self.area.left, y), (self.area.left + self.area.width, y), Ink::Grid);
            // In a low plot not every tick has room for its word.
            if self.area.height > 200.0 || !matches!(port, 1 | 10 | 443 | 3_389) {
                self.text(self.area.left - 6.0, y + 4.0, Anchor::End, Ink::Faint, port.to_string());
            }
        }
        self.frame();
    }

    fn port_axis_below(&mut self) {
        let bottom = self.area.top + self.area.height;
        for port in port_ticks() {
            let x = self.area.x(place(port));
            self.line((x, self.area.top), (x, bottom), Ink::Grid);
            self.text(x, bottom + 16.0, Anchor::Middle, Ink::Faint, port.to_string());
        }
        self.text(self.area.left + self.area.width / 2.0, bottom + 34.0, Anchor::Middle, Ink::Text, "port");
        self.frame();
    }

    fn count_axis(&mut self, most: u64) {
        let top = axis::top(most) as f64;
        for tick in count_ticks(most) {
            let y = self.area.y(tick as f64 / top);
            self.line((self.area.left, y), (self.area.left + self.area.width, y), Ink::Grid);
            self.text(self.area.left - 6.0, y + 4.0, Anchor::End, Ink::Faint, axis::short(tick));
        }
        self.frame();
    }

    fn time_axis(&mut self, from: u64, to: u64) {
        let bottom = self.area.top + self.area.height;
        // A tick's word has eight letters at most.
        let most = (self.area.width / (11.0 * LETTER.0)) as u64;
        let (ticks, unit) = time_ticks(from, to, most);
        for (at, word) in ticks {
            let x = self.area.x((at - from) as f64 / (to - from) as f64);
            self.line((x, bottom), (x, bottom + 4.0), Ink::Faint);
            self.text(x, bottom + 17.0, Anchor::Middle, Ink::Faint, word);
        }
        let title = format!("{unit} (UTC), from {}", utc(from));
        self.text(self.area.left + self.area.width / 2.0, bottom + 36.0, Anchor::Middle, Ink::Text, title);
    }

    /// The left and the lower edge.
    fn frame(&mut self) {
        let Area { left, top, width, height } = self.area;
        self.line((left, top), (left, top + height), Ink::Faint);
        self.line((left, top + height), (left + width, top + height), Ink::Faint);
    }
}

#[cfg(test)]
mod tests;
