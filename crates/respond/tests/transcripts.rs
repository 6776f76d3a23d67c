//! Responders of systems that are not here, against golden transcripts: `transcripts/KIND/NAME.txt`. Shows that what is run and what is made
//! of the answers is as the systems' manual pages and sources have it; not that those systems do it.
//!
//! A line `#> …` of a transcript says what is asked of the responder and, behind `=`, what it must answer. In between stands what is run.

use model::block::{BlockId, Change, Expiry, Fault, Outcome, Scope};
use model::time::Time;
use proptest::prelude::*;
use respond::tool::{Tool, ToolError, Transcript};
use respond::{RESPONDERS, Responder, Settings};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const NOW: Time = Time::from_secs(1_000_000);

/// Fails at once if something else is run than what stands in the transcript.
struct Played(Rc<RefCell<Transcript>>);

impl Tool for Played {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        let answer = self.0.borrow_mut().run(program, args, input);
        match answer {
            Err(ToolError::NotStarted(_, why)) => panic!("{why}"),
            answer => answer,
        }
    }
}

fn play(kind: &str, text: &str) {
    let transcript = Rc::new(RefCell::new(Transcript::new(text)));
    let kind = RESPONDERS.iter().find(|known| known.name == kind).unwrap_or_else(|| panic!("no responder '{kind}'"));
    let (mut settings, mut responder) = (Settings::default(), None::<Box<dyn Responder>>);
    for step in text.lines().filter_map(|line| line.strip_prefix("#> ")) {
        let (asked, expected) = step.split_once(" = ").unwrap_or((step, ""));
        let (verb, rest) = asked.split_once(' ').unwrap_or((asked, ""));
        match verb {
            "set" => set(&mut settings, rest),
            "open" => match kind.open.unwrap()(&settings, Box::new(Played(transcript.clone()))) {
                Ok(opened) => {
                    assert_eq!(expected, "", "{step}");
                    responder = Some(opened);
                }
                Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{step}: {why}"),
            },
            "apply" => {
                let outcomes = responder.as_mut().unwrap().apply(&batch(rest), NOW);
                assert_eq!(outcomes.iter().map(word).collect::<Vec<_>>().join(" "), expected, "{step}");
            }
            "words" => assert!(responder.as_mut().unwrap().take_words().is_some_and(|words| words.contains(expected)), "{step}"),
            "list" => assert_eq!(listed(responder.as_mut().unwrap().as_mut()), expected, "{step}"),
            _ => panic!("{step}"),
        }
    }
    assert_eq!(transcript.borrow().expected.front(), None, "was not run");
}

fn set(settings: &mut Settings, text: &str) {
    match text.split_once(' ') {
        Some(("anchor", name)) => settings.pf.anchor = Some(name.to_owned()),
        Some(("keep_states", yes)) => settings.pf.keep_states = yes == "true",
        Some(("rule", number)) => settings.ipfw.rule = number.parse().unwrap(),
        _ => panic!("{text}"),
    }
}

/// `+ADDRESS` adds, `-ADDRESS` removes.
fn batch(text: &str) -> Vec<Change> {
    let change = |word: &str| {
        let (sign, prefix) = word.split_at(1);
        let (id, scope) = (BlockId(1), Scope::Source(prefix.parse().unwrap()));
        match sign {
            "+" => Change::Add { id, scope, expiry: Expiry::At(Time::from_secs(1_000_600)) },
            "-" => Change::Remove { id, scope },
            _ => panic!("{word}"),
        }
    };
    text.split(' ').map(change).collect()
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Added => "added".to_owned(),
        Outcome::Removed => "removed".to_owned(),
        Outcome::Unsupported => "unsupported".to_owned(),
        Outcome::Failed(fault) => fault.word().replace(' ', "-"),
    }
}

fn listed(responder: &mut dyn Responder) -> String {
    match responder.list(NOW) {
        Ok(blocks) => {
            assert!(blocks.iter().all(|block| block.expiry == Expiry::Never));
            blocks.iter().map(|block| block.scope.prefix().to_string()).collect::<Vec<_>>().join(" ")
        }
        Err(fault) => format!("failed: {}", fault.word()),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_transcript_is_played_to_its_end() {
    let folders = entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts"));
    assert!(!folders.is_empty());
    for folder in folders {
        let kind = folder.file_name().unwrap().to_str().unwrap();
        for path in entries(&folder) {
            println!("{}", path.display());
            play(kind, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// Is ready, and lists this.
struct Lists(String);

impl Tool for Lists {
    fn run(&mut self, program: &str, args: &[&str], _: &str) -> Result<String, ToolError> {
        Ok(match (program, args) {
            ("ippool", _) => format!("{{{}}}", self.0),
            (_, [.., "show" | "list"]) if args.len() > 1 => self.0.clone(),
            _ => "-pa-r--\triposte\n00050 deny ip from table(riposte) to any\nblock in from <riposte> pool/riposte\n".to_owned(),
        })
    }
}

proptest! {
    /// Whatever a program says: what is listed stood there, and what is no address is an error.
    #[test]
    fn a_listing_is_addresses_or_refused(listing in "(192\\.0\\.2\\.7|::1|/|32|24|x|!|;|\\{|\\}| |\t|\n){0,12}") {
        let words: Vec<&str> = listing.split(|c: char| c.is_whitespace() || ";{}".contains(c)).collect();
        for kind in ["pf", "ipfw", "ipf", "npf"] {
            let open = RESPONDERS.iter().find(|known| known.name == kind).unwrap().open.unwrap();
            let mut responder = open(&Settings::default(), Box::new(Lists(listing.clone()))).unwrap();
            match responder.list(NOW) {
                Ok(blocks) => {
                    for block in blocks {
                        prop_assert!(words.iter().any(|word| word.parse() == Ok(block.scope.prefix())), "{} {:?}", kind, block);
                    }
                }
                Err(fault) => prop_assert_eq!(fault, Fault::Refused),
            }
        }
    }
}

/// Refuses many at once, and hangs over each; how often it did.
struct Hangs(Rc<RefCell<usize>>);

impl Tool for Hangs {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        match input.lines().count() {
            0 => Lists(String::new()).run(program, args, input),
            1 => {
                *self.0.borrow_mut() += 1;
                Err(ToolError::TimedOut(program.to_owned()))
            }
            _ => Err(ToolError::Refused { program: program.to_owned(), code: 255, said: "no".to_owned() }),
        }
    }
}

#[test]
fn one_that_hangs_is_not_asked_for_each() {
    let (asked, open) = (Rc::new(RefCell::new(0)), respond::Kind::of("pf").unwrap().open.unwrap());
    let mut responder = open(&Settings::default(), Box::new(Hangs(Rc::clone(&asked)))).unwrap();
    let hung = Outcome::Failed(Fault::Unreachable);
    assert_eq!(responder.apply(&batch("+192.0.2.1 +192.0.2.2 +192.0.2.3"), NOW), [hung; 3]);
    assert_eq!(*asked.borrow(), 1);
}

#[test]
fn a_program_that_is_not_installed_is_named() {
    for (kind, command, program) in [
        ("pf", "pfctl -v -s Tables", "pfctl"),
        ("ipfw", "ipfw list 50", "ipfw"),
        ("ipf", "ippool -l -m riposte -t tree", "ippool"),
        ("npf", "npfctl show", "npfctl"),
    ] {
        let tool = Transcript { expected: [(command.to_owned(), Err(ToolError::Missing(program.to_owned())))].into() };
        let open = RESPONDERS.iter().find(|known| known.name == kind).unwrap().open.unwrap();
        let why = open(&Settings::default(), Box::new(tool)).err().unwrap();
        assert!(why.starts_with(&format!("{program} is not installed")), "{why}");
    }
}
