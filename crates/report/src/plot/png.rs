//! A drawing as the bytes of a PNG file, with letters of its own: a host may have no font. Always light.

use super::{Anchor, Drawing, Ink, LETTER, Shape};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::pixelcolor::Gray8;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Alignment, Text};
use std::convert::Infallible;

/// White, then each ink in its four strengths: a colour is its place in here.
const INKS: [(Ink, [u8; 3]); 5] = [
    (Ink::Text, [0x22, 0x22, 0x22]),
    (Ink::Faint, [0x66, 0x66, 0x66]),
    (Ink::Grid, [0xe4, 0xe4, 0xe4]),
    (Ink::Tcp, [0x00, 0x72, 0xb2]),
    (Ink::Udp, [0xd5, 0x5e, 0x00]),
];

fn palette() -> Vec<u8> {
    let shades = INKS.iter().flat_map(|(_, rgb)| (1..=4).flat_map(move |quarters| rgb.map(|part| shade(part, quarters))));
    [255; 3].into_iter().chain(shades).collect()
}

/// So many quarters of an ink on white.
fn shade(part: u8, quarters: u32) -> u8 {
    (255 - (255 - u32::from(part)) * quarters / 4) as u8
}

fn colour(ink: Ink, strength: u8) -> Gray8 {
    let at = INKS.iter().position(|(other, _)| *other == ink).unwrap_or(0);
    Gray8::new(at as u8 * 4 + strength.clamp(1, 4))
}

/// Pixels, each the number of a colour.
struct Pixels {
    width: u32,
    height: u32,
    all: Vec<u8>,
}

impl OriginDimensions for Pixels {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Pixels {
    type Color = Gray8;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Gray8>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let inside = u32::try_from(x).ok().zip(u32::try_from(y).ok()).filter(|(x, y)| *x < self.width && *y < self.height);
            if let Some(place) = inside.and_then(|(x, y)| self.all.get_mut((y * self.width + x) as usize)) {
                *place = colour.luma();
            }
        }
        Ok(())
    }
}

fn point(x: f64, y: f64) -> Point {
    Point::new(x.round() as i32, y.round() as i32)
}

impl Drawing {
    /// The bytes of a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        let mut pixels = Pixels { width: self.width, height: self.height, all: vec![0; (self.width * self.height) as usize] };
        for shape in &self.shapes {
            // Painting to memory cannot fail.
            let Ok(()) = paint(shape, &mut pixels);
        }
        encode(&pixels).unwrap_or_default()
    }
}

fn paint(shape: &Shape, pixels: &mut Pixels) -> Result<(), Infallible> {
    match shape {
        Shape::Rectangle { x, y, width, height, ink, strength } => {
            let (corner, end) = (point(*x, *y), point(x + width, y + height));
            let size = Size::new((end.x - corner.x).max(1) as u32, (end.y - corner.y).max(1) as u32);
            Rectangle::new(corner, size).into_styled(PrimitiveStyle::with_fill(colour(*ink, *strength))).draw(pixels)
        }
        Shape::Line { from, to, ink } => {
            let line = Line::new(point(from.0, from.1), point(to.0, to.1));
            line.into_styled(PrimitiveStyle::with_stroke(colour(*ink, 4), 1)).draw(pixels)
        }
        Shape::Text { x, y, anchor, ink, text } => {
            // The font has Latin letters; what it lacks it shows as a question mark.
            let width = text.chars().count() as f64 * LETTER.0;
            let left = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            let style = MonoTextStyle::new(&FONT_7X13, colour(*ink, 4));
            Text::with_alignment(text, point(left, *y), style, Alignment::Left).draw(pixels).map(|_| ())
        }
    }
}

fn encode(pixels: &Pixels) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width, pixels.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette());
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&pixels.all)?;
    Ok(bytes)
}
