//! A drawing as SVG text (SVG 1.1). Holds no script, no link and no outside resource, and no character that XML forbids.

use super::{Anchor, Drawing, Ink, Shape};
use crate::escape;
use std::fmt::Write as _;

/// Characters of one text.
const TEXT_CHARS: usize = 400;

/// The style that drawings need, for the page that they stand in. Colours that people of all kinds of colour sight tell apart (Okabe and Ito, 2008).
pub fn style() -> &'static str {
    "svg{--text:#222;--faint:#666;--grid:#e4e4e4;--tcp:#0072b2;--udp:#d55e00}\
     @media(prefers-color-scheme:dark){svg{--text:#ddd;--faint:#999;--grid:#333;--tcp:#56b4e9;--udp:#e69f00}}\
     svg text{font:12px ui-monospace,monospace}\
     .text{fill:var(--text)}.faint{fill:var(--faint)}.tcp{fill:var(--tcp)}.udp{fill:var(--udp)}\
     line.faint{stroke:var(--faint)}line.grid{stroke:var(--grid)}"
}

impl Ink {
    fn class(self) -> &'static str {
        match self {
            Ink::Text => "text",
            Ink::Faint => "faint",
            Ink::Grid => "grid",
            Ink::Tcp => "tcp",
            Ink::Udp => "udp",
        }
    }
}

/// A number with one digit behind the point at most.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Drawing {
    /// A file of its own: the same in light and in dark surroundings.
    pub fn to_svg(&self) -> String {
        let dark = "@media(prefers-color-scheme:dark){svg{background:#16181c}}svg{background:#fff}";
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", self.element(&format!("<style>{dark}{}</style>", style())))
    }

    /// An element for a page that has [`style`].
    pub fn to_svg_element(&self) -> String {
        self.element("")
    }

    fn element(&self, style: &str) -> String {
        let alt = escape::html(&self.alt, TEXT_CHARS);
        let (width, height) = (self.width, self.height);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{alt}\"><title>{alt}</title>{style}"
        );
        for shape in &self.shapes {
            // Writing to memory cannot fail.
            let _ = match shape {
                Shape::Rectangle { x, y, width, height, ink, strength } => {
                    let [x, y, width, height] = [*x, *y, *width, *height].map(short);
                    let faded = if *strength < 4 { format!(" opacity=\"{}\"", f64::from(*strength) / 4.0) } else { String::new() };
                    write!(text, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" class=\"{}\"{faded}/>", ink.class())
                }
                Shape::Line { from, to, ink } => {
                    let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(|n| short(n.round() + 0.5));
                    write!(text, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{}\"/>", ink.class())
                }
                Shape::Text { x, y, anchor, ink, text: words } => {
                    let anchor = match anchor {
                        Anchor::Start => "start",
                        Anchor::Middle => "middle",
                        Anchor::End => "end",
                    };
                    let ([x, y], words) = ([*x, *y].map(short), escape::html(words, TEXT_CHARS));
                    write!(text, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" class=\"{}\">{words}</text>", ink.class())
                }
            };
        }
        text.push_str("</svg>");
        text
    }
}
