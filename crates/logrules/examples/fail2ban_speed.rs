//! Lines a second through fail2ban's jails: `fail2ban_speed DIR PLACE LOG`; every line of LOG as if it were written to PLACE.

use logrules::Rules;
use logrules::fail2ban::Fail2ban;
use logrules::fail2ban::ini::Files;
use logrules::line::Line;
use model::time::Time;
use std::path::{Path, PathBuf};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let read = |path: &Path| std::fs::read_to_string(path);
    let list = |path: &Path| std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    let (mut jails, _) = Fail2ban::load(Path::new(&args[1]), Files { read: &read, list: &list }, &jiff::tz::TimeZone::UTC).unwrap();
    let log = std::fs::read(&args[3]).unwrap();
    let (mut out, mut lines, mut wishes) = (Vec::new(), 0u64, 0u64);
    for text in log.split(|b| *b == b'\n') {
        out.clear();
        jails.line(&Line::new(text, Time::from_secs(1_795_233_900), &args[2]), &mut out);
        lines += 1;
        wishes += out.iter().filter(|finding| finding.wish.is_some()).count() as u64;
    }
    println!("{lines} lines, {wishes} wishes, {:?}", jails.counters());
}
