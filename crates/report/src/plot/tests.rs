//! Drawings are what they should be in both paints, and bounded whatever they show.

use super::*;
use crate::decision::Verdict;
use crate::offender::{Detail, Ports};
use crate::serial::{Stamp, Whom};
use model::event::Trust;
use model::level::DangerLevel;
use model::style::StyleSet;
use proptest::prelude::*;

fn offender(ports: Ports, samples: Vec<Sample>) -> OffenderLine {
    OffenderLine {
        address: Whom("2001:db8::/64".parse().unwrap()),
        level: DangerLevel::MIN,
        styles: StyleSet::EMPTY,
        targets: 1,
        packets: samples.len() as u64,
        ports,
        protocols: 1,
        signatures: Vec::new(),
        systems: Vec::new(),
        first: Stamp(Time::EPOCH),
        last: Stamp(Time::EPOCH),
        trust: Trust::Spoofable,
        decision: Verdict::none(""),
        detail: Some(Box::new(Detail { samples, ..Detail::default() })),
    }
}

fn sample(secs: u64, udp: bool, port: u16) -> Sample {
    Sample { at: Stamp(Time::from_secs(secs)), udp, port }
}

/// Width, height and pixels of a PNG file, three bytes each.
fn read(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut decoder = ::png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(::png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels)
}

#[test]
fn a_source_in_a_mail() {
    let noon = 1_772_366_400;
    let line = offender(Ports::default(), vec![sample(noon, false, 22), sample(noon + 60, false, 443), sample(noon + 90, true, 53)]);
    let picture = small_picture(&line).unwrap();
    assert_eq!(
        picture.alt,
        "Ports over time of 2001:db8::/64: 3 packets from 2026-03-01 12:00:00Z to 2026-03-01 12:01:30Z, TCP ports 22 to 443, UDP ports 53 to 53."
    );
    let (width, height, _) = read(&picture.png);
    assert_eq!((width, height), (560, 200));
    let svg = of_source(&line).unwrap().to_svg_element();
    assert_eq!(svg.matches("width=\"3\" height=\"3\" class=\"tcp\"").count(), 2);
    assert_eq!(svg.matches("width=\"3\" height=\"3\" class=\"udp\"").count(), 1);
    assert_eq!(small_picture(&offender(Ports::default(), Vec::new())), None);
}

#[test]
fn both_paints_show_the_same_place() {
    let drawing = of_source(&offender(Ports::default(), vec![sample(0, false, 0), sample(99, true, 65_535)])).unwrap();
    let (width, _, pixels) = read(&drawing.to_png());
    let colour = |x: usize, y: usize| &pixels[(y * width as usize + x) * 3..][..3];
    // Port 0 at the lower left, port 65,535 at the upper right, one second before the end.
    assert!(
        drawing.to_svg_element().contains("<rect x=\"55\" y=\"149\" width=\"3\" height=\"3\" class=\"tcp\"/>"),
        "{}",
        drawing.to_svg_element()
    );
    assert_eq!(colour(56, 150), [0x00, 0x72, 0xb2]);
    assert_eq!(colour(525, 24), [0xd5, 0x5e, 0x00]);
}

#[test]
fn strengths_are_seen_beside_each_other() {
    assert_eq!([1, 2, 30, 999, 1_000].map(|n| strength(n, 1_000)), [1, 1, 2, 4, 4]);
    assert_eq!([1, 1].map(|n| strength(n, 1)), [4, 4]);
    assert_eq!(
        [1, 15, 60, 900, 3_600, 10_800, 604_800].map(step_name),
        ["second", "15 seconds", "minute", "15 minutes", "hour", "3 hours", "week"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn whatever_is_shown_is_bounded(
        packets in prop::collection::vec((0..5_000_000_000_u64, any::<bool>(), any::<u16>()), 0..2_000),
        ranges in prop::collection::vec(any::<(u16, u16)>(), 0..40),
    ) {
        let samples: Vec<Sample> = packets.iter().take(256).map(|&(at, udp, port)| sample(at, udp, port)).collect();
        let mut line = Timeline::default();
        packets.iter().for_each(|&(at, udp, port)| line.count(Time::from_secs(at), Some((port, udp)), 1));
        let ports = Ports { tcp: ranges.clone(), udp: ranges };
        let one = offender(ports, samples);
        let many = vec![one.clone(); 40];
        if let Some(picture) = small_picture(&one) {
            prop_assert!(picture.png.len() <= 20_000, "{}", picture.png.len());
        }
        for drawing in [ports_over_time(&line), counts_over_time(&line, "packet"), sources_by_port(&many)] {
            prop_assert!(drawing.shapes.len() < 40_000);
            let (svg, png) = (drawing.to_svg(), drawing.to_png());
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.matches("<svg").count() == 1);
            let (width, height, _) = read(&png);
            prop_assert_eq!((width, height), (drawing.width, drawing.height));
            prop_assert!(png.len() < 200_000, "{}", png.len());
            for shape in &drawing.shapes {
                if let Shape::Rectangle { x, y, width, height, .. } = shape {
                    prop_assert!(*x >= 0.0 && *y >= 0.0 && *width >= 0.0 && *height >= 0.0, "{:?}", shape);
                    prop_assert!(x + width <= f64::from(drawing.width) + 1.0 && y + height <= f64::from(drawing.height) + 1.0, "{:?}", shape);
                }
            }
        }
    }
}

#[test]
fn the_longest_address_has_room_beside_its_row() {
    let line =
        OffenderLine { address: Whom("2001:db8:aaaa:bbbb:cccc:dddd:eeee:1".parse().unwrap()), ..offender(Ports::default(), Vec::new()) };
    let svg = sources_by_port(&[line]).to_svg_element();
    let (_, name) = svg.split_once("text-anchor=\"end\" class=\"text\">").unwrap();
    let name = name.split('<').next().unwrap().chars().count() as f64;
    let (before, _) = svg.split_once("text-anchor=\"end\" class=\"text\"").unwrap();
    let x: f64 = before.rsplit_once("<text x=\"").unwrap().1.split('"').next().unwrap().parse().unwrap();
    // DejaVu Sans Mono's letters are 7.22 pixels wide at 12 pixels.
    assert!(x >= name * 7.3, "{x} for {name} letters");
}
