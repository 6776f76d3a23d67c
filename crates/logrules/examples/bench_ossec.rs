//! Drives OSSEC's rules for measurements from outside (`time`, `perf stat`): `bench_ossec DIR LOG`, DIR with decoder.xml and rules/*.xml.
//! Never reads a clock.

use logrules::Rules;
use logrules::line::Line;
use logrules::ossec::{Files, Ossec, order};
use model::time::Time;
use std::fs;
use std::path::Path;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(log)) = (args.next(), args.next()) else { return eprintln!("bench_ossec DIR LOG") };
    let text = |path: &Path| (path.display().to_string(), String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned());
    let mut rules: Vec<_> = fs::read_dir(Path::new(&dir).join("rules")).expect("rules").flatten().map(|entry| entry.path()).collect();
    let stem = |path: &Path| path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    rules.sort_by_key(|path| (order::place(&stem(path)), path.clone()));
    rules.retain(|path| stem(path) != order::LEFT_OUT);
    let files = Files {
        decoders: vec![text(&Path::new(&dir).join("decoder.xml"))],
        rules: rules.iter().map(|path| text(path)).collect(),
        ..Files::default()
    };
    let mut ossec = match Ossec::load(&files) {
        Ok((ossec, _)) => ossec,
        Err(problems) => return problems.iter().for_each(|problem| eprintln!("{problem}")),
    };
    let (decoders, count, patterns, always) = ossec.counts();
    println!("{decoders} decoders, {count} rules, {patterns} patterns, {always} of them on every line");
    let bytes = fs::read(log).expect("readable");
    let mut out = Vec::new();
    let (mut lines, mut findings) = (0_u64, 0);
    for line in bytes.split(|&byte| byte == b'\n') {
        ossec.line(&Line::new(line, Time::from_secs(1_795_435_200 + lines / 1000), "auth.log"), &mut out);
        findings += out.len();
        out.clear();
        lines += 1;
    }
    println!("{lines} lines, {findings} findings");
    println!("{:?}", ossec.counters());
}
