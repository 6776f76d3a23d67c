//! What happens to the file: the process is killed, another one wants it, it is damaged.

mod common;

use common::{at, block};
use model::block::{Expiry, State};
use model::decision::{Cap, Decision};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use store::Store;
use store::entry::Entry;
use store::error::Error;
use store::history::HistoryQuery;
use store::memory::Strike;

/// Blocks in one transaction of the process that is killed.
const BATCH: u64 = 7;

/// Writes blocks for ever, and after each transaction one line with the last number that the store has taken.
fn storm(folder: &Path) {
    fs::create_dir_all(folder).expect("the child's folder");
    let mut store = Store::open(&folder.join("riposte.db")).expect("the child's store");
    let mut taken = fs::File::create(folder.join("taken")).expect("the child's list");
    loop {
        let first = store.next_block_id().0;
        let batch: Vec<_> = (first..first + BATCH).map(|id| block(id, "192.0.2.1", at(id), Expiry::Never)).collect();
        store.want(&batch).expect("a transaction");
        store.mark(&[(batch[0].id, State::Active)], at(first)).expect("a mark");
        writeln!(taken, "{}", first + BATCH - 1).expect("a line");
    }
}

fn last_taken(folder: &Path) -> (usize, u64) {
    let text = fs::read_to_string(folder.join("taken")).unwrap_or_default();
    // The kill can cut the last line short.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    (whole.lines().count(), whole.lines().last().map_or(0, |line| line.parse().expect("a number")))
}

/// The test binary starts itself again (rusty-fork does what `clippy.toml` keeps from the crates themselves) and kills
/// that process, by its id, in mid-storm.
#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let folder_of = |process: u32| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{process}"));
    let in_parent = |child: &mut rusty_fork::ChildWrapper, _: &mut fs::File| {
        let folder = folder_of(std::process::id());
        while last_taken(&folder).0 < 300 {
            assert!(child.try_wait().expect("the child's state").is_none(), "the child ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let second = Store::open(&folder.join("riposte.db"));
        assert!(matches!(second, Err(Error::Busy)), "two processes opened one store: {second:?}");
        child.kill().expect("the child's end");
        child.wait().expect("the child's end");
        let (_, taken) = last_taken(&folder);
        let store = Store::open(&folder.join("riposte.db")).expect("the store after the kill");
        let live = store.live(at(0)).expect("the blocks after the kill");
        assert!(live.len() as u64 >= taken, "{} blocks of {taken} acknowledged", live.len());
        assert_eq!(live.len() as u64 % BATCH, 0, "half a transaction");
        assert!(live.iter().enumerate().all(|(n, block)| block.id.0 == n as u64 + 1));
        assert!(store.counts().in_state(State::Active) >= taken / BATCH);
        fs::remove_dir_all(&folder).expect("an empty folder");
    };
    rusty_fork::fork(
        "a_killed_process_loses_nothing_that_was_acknowledged",
        rusty_fork::rusty_fork_id!(),
        |_| {},
        in_parent,
        || storm(&folder_of(std::os::unix::process::parent_id())),
    )
    .unwrap();
}

/// A store with some of everything, closed, as bytes.
fn written(path: &Path) -> Vec<u8> {
    let mut store = Store::open(path).unwrap();
    let blocks: Vec<_> = (1..200).map(|id| block(id, &format!("192.0.2.{id}"), at(id), Expiry::At(at(1_000)))).collect();
    store.want(&blocks).unwrap();
    let decision = Decision::Refuse(Cap::Level);
    store.record(&blocks.iter().map(|b| Entry::judged(&common::offence("192.0.2.7", b.made), &decision)).collect::<Vec<_>>()).unwrap();
    store.save_strikes(&[Strike { whom: common::prefix("192.0.2.7"), count: 3, last: at(7) }]).unwrap();
    store.close().unwrap();
    fs::read(path).unwrap()
}

#[test]
fn a_damaged_store_says_so_and_makes_room_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    for n in 0..2 {
        fs::write(&path, b"this is no database, whatever its name says, and it is long enough to have a header of 100 bytes or more")
            .unwrap();
        fs::write(folder.path().join("riposte.db-wal"), b"its log").unwrap();
        assert!(matches!(Store::open(&path), Err(Error::Corrupt(_))));
        let aside = Store::set_aside(&path, at(0)).unwrap();
        let suffix = ["", ".2"][n];
        assert_eq!(aside, folder.path().join(format!("riposte.db.corrupt-{}{suffix}", at(0).as_secs())));
        assert!(aside.exists() && !path.exists() && !folder.path().join("riposte.db-wal").exists());
    }
    assert_eq!(Store::open(&path).unwrap().counts().live(), 0);
    assert!(matches!(Store::set_aside(&folder.path().join("nothing"), at(0)), Err(Error::Io(_))));
}

#[test]
fn after_an_unclean_end_the_whole_file_is_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut bytes = written(&path);
    // Deep in the rows, where opening alone never looks.
    let at = bytes.len() - 4_096 + 8;
    bytes[at..at + 64].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    assert!(Store::open(&path).is_ok());
    let _ = fs::remove_file(folder.path().join("riposte.db-wal"));
    fs::write(&path, &bytes).unwrap();
    fs::write(folder.path().join("riposte.db-wal"), b"a log that ends before its header does").unwrap();
    assert!(matches!(Store::open(&path), Err(Error::Corrupt(_))));
}

#[test]
fn a_store_is_for_its_owner_alone_and_needs_a_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let mut store = Store::open(&path).unwrap();
    store.want(&[block(1, "192.0.2.1", at(0), Expiry::Never)]).unwrap();
    for file in ["riposte.db", "riposte.db-wal"] {
        assert_eq!(fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o077, 0, "{file}");
    }
    assert!(matches!(Store::open(&folder.path().join("no/such/folder.db")), Err(Error::Io(_))));
}

/// Whatever has happened to the file: an error or an answer, never a panic, and never our own bug.
#[test]
fn no_damage_makes_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("riposte.db");
    let whole = written(&path);
    let flips = proptest::collection::vec((any::<usize>(), any::<u8>()), 1..40);
    let cut = proptest::option::weighted(0.2, any::<usize>());
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(flips in flips, cut in cut)| {
        let mut bytes = whole.clone();
        for (place, byte) in flips {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % bytes.len());
        }
        let _ = fs::remove_file(folder.path().join("riposte.db-wal"));
        fs::write(&path, &bytes).unwrap();
        match Store::open(&path) {
            Err(error) => prop_assert!(!matches!(error, Error::Broken(_)), "{error:?}"),
            Ok(store) => {
                let answers = [
                    store.live(at(0)).err(),
                    store.history(&HistoryQuery { limit: 1_000, ..HistoryQuery::default() }).err(),
                    store.story("192.0.2.7".parse().unwrap(), at(0), 1_000).err(),
                    store.load_strikes().err(),
                    store.load_allow(at(0)).err(),
                ];
                for error in answers.into_iter().flatten() {
                    prop_assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
                }
            }
        }
    });
}
