//! Riposte's own rules: text in the binary, files in `signatures/` of the sources. Each has its samples beside it.

/// The files: name and text.
pub const FILES: &[(&str, &str)] = &[
    ("backdoors.rules", include_str!("../../../signatures/backdoors.rules")),
    ("botnets.rules", include_str!("../../../signatures/botnets.rules")),
    ("odd.rules", include_str!("../../../signatures/odd.rules")),
    ("scanners.rules", include_str!("../../../signatures/scanners.rules")),
];
