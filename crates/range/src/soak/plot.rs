//! A soak as a picture: lines over time in panels, as SVG written by hand. Knows nothing of riposte.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const PANEL: f64 = 230.0;
/// Room left for numbers, right for the legend, above for the title, below for the time.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// Told apart by people who see colours otherwise, too (Okabe and Ito 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Minutes and values.
    pub points: Vec<(f64, f64)>,
}

/// Lines that share an axis, which begins at 0.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What is shown, and in what.
    pub title: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// The picture.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let height = 44.0 + PANEL * panels.len() as f64;
    let minutes = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points).map(|point| point.0).fold(0.0, f64::max);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\" font-weight=\"bold\" fill=\"#222222\">{}</text>\n",
        escaped(title)
    );
    for (n, panel) in panels.iter().enumerate() {
        draw(panel, 44.0 + PANEL * n as f64, minutes.max(0.1), &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(panel: &Panel, top: f64, minutes: f64, out: &mut String) {
    let (floor, ceiling, right) = (top + PANEL - BOTTOM, top + TOP, WIDTH - RIGHT);
    let most = panel.lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let (step, steps) = scale(most, 4.0);
    let (minute_step, minute_steps) = scale(minutes, 9.0);
    let x = |minute: f64| LEFT + (right - LEFT) * minute / minutes;
    let y = |value: f64| floor - (floor - ceiling) * value / (step * f64::from(steps));
    // Writing to memory can't fail.
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\" fill=\"#444444\">{}</text>", top + 20.0, escaped(&panel.title));
    for tick in 0..=steps {
        let value = step * f64::from(tick);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\" fill=\"#666666\">{3}</text>",
            y(value),
            LEFT - 8.0,
            y(value) + 4.0,
            short(value)
        );
    }
    for tick in (0..=minute_steps).map(|tick| minute_step * f64::from(tick)).filter(|minute| *minute <= minutes) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{} min</text>",
            x(tick),
            floor + 16.0,
            short(tick)
        );
    }
    for (n, line) in panel.lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let mut points = String::new();
        line.points.iter().for_each(|(minute, value)| points.push_str(&format!("{:.1},{:.1} ", x(*minute), y(*value))));
        let row = ceiling + 8.0 + 18.0 * n as f64;
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>\
             <line x1=\"{1}\" x2=\"{2}\" y1=\"{3:.1}\" y2=\"{3:.1}\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{4}\" y=\"{5:.1}\" fill=\"#222222\">{6}</text>",
            points.trim_end(),
            right + 14.0,
            right + 32.0,
            row,
            right + 38.0,
            row + 4.0,
            escaped(&line.name)
        );
    }
}

/// A round step (1, 2 or 5 times a power of ten) and how many of them reach `most`: about `wanted`.
fn scale(most: f64, wanted: f64) -> (f64, u32) {
    let rough = (most / wanted).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(power * 10.0);
    (step, (most / step).ceil().max(1.0) as u32)
}

fn short(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers_that_hold_the_highest_value() {
        for most in [0.0, 0.4, 3.0, 17.0, 45.0, 99.9, 61_234.0] {
            let (step, steps) = scale(most, 4.0);
            assert!(step * f64::from(steps) >= most && steps <= 5, "{most}: {steps} × {step}");
        }
    }

    #[test]
    fn a_picture_has_each_line_and_is_escaped() {
        let line = |name: &str| Line { name: name.to_owned(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let text = svg("a < b", &[Panel { title: "MiB".into(), lines: vec![line("one"), line("two & three")] }]);
        assert_eq!(text.matches("<polyline").count(), 2);
        assert!(text.contains("a &lt; b") && text.contains("two &amp; three"));
    }
}
