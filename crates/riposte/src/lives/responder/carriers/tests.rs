//! The responders in their order, against places that jam, hang, and that others change.

use super::*;
use respond::Needs;
use respond::tool::Transcript;
use std::collections::BTreeMap;

const KIND: Kind =
    Kind { name: "shelf", summary: "", example: "", open: Some(|_, _| Err("there is no shelf".into())), keys: &[], needs: Needs::NOTHING };
const NOW: Time = Time::from_secs(1_000);

/// A place where blocks stand, and in which others may have their hands.
#[derive(Debug, Default, Clone)]
struct Shelf {
    standing: Rc<RefCell<BTreeMap<Scope, Expiry>>>,
    room: usize,
    keeps_ends: bool,
    only_v4: bool,
    jams: bool,
    /// Somebody has pushed it back: it lists nothing.
    is_hidden: bool,
    /// It hangs; how often it was asked.
    hangs: Option<Rc<RefCell<usize>>>,
}

impl Responder for Shelf {
    fn supports(&self, scope: &Scope) -> bool {
        !self.only_v4 || scope.prefix().addr().is_ipv4()
    }

    fn expires_itself(&self) -> bool {
        self.keeps_ends
    }

    fn apply(&mut self, batch: &[Change], _: Time) -> Vec<Outcome> {
        if let Some(asked) = &self.hangs {
            *asked.borrow_mut() += 1;
            return vec![Outcome::Failed(Fault::Unreachable); batch.len()];
        }
        let mut standing = self.standing.borrow_mut();
        let one = |change: &Change| match change {
            Change::Add { scope, .. } if standing.len() >= self.room && !standing.contains_key(scope) => Outcome::Failed(Fault::Full),
            Change::Add { scope, expiry, .. } => {
                standing.insert(*scope, if self.keeps_ends { *expiry } else { Expiry::Never });
                Outcome::Added
            }
            Change::Remove { .. } if self.jams => Outcome::Failed(Fault::Refused),
            Change::Remove { scope, .. } => {
                standing.remove(scope);
                Outcome::Removed
            }
        };
        batch.iter().map(one).collect()
    }

    fn list(&mut self, _: Time) -> Result<Vec<Installed>, Fault> {
        let all = |standing: &BTreeMap<Scope, Expiry>| standing.iter().map(|(&scope, &expiry)| Installed { scope, expiry }).collect();
        Ok(if self.is_hidden { Vec::new() } else { all(&self.standing.borrow()) })
    }

    fn take_words(&mut self) -> Option<String> {
        Some("the shelf is full".into())
    }
}

impl Shelf {
    fn of(room: usize) -> Shelf {
        Shelf { room, ..Shelf::default() }
    }

    fn has(&self) -> Vec<String> {
        self.standing.borrow().keys().map(|scope| scope.prefix().to_string()).collect()
    }
}

/// Behind the kernel's bit, if that is there.
fn carriers(mode: Mode, has_kernel: bool, shelves: &[Shelf]) -> Carriers {
    let opener = |place| Opener { kind: &KIND, bit: 1_u16 << (place + usize::from(has_kernel)), settings: Settings::default() };
    let mut all = Carriers::new((0..shelves.len()).map(opener).collect(), mode, has_kernel, false, Rc::new(|_| {}));
    for (carrier, shelf) in all.carriers.iter_mut().zip(shelves) {
        carrier.responder = Some(Box::new(shelf.clone()));
        carrier.is_new = false;
    }
    all
}

fn scope(text: &str) -> Scope {
    Scope::Source(text.parse().unwrap())
}

fn add_for(text: &str, secs: u64) -> Change {
    add(scope(text), Expiry::At(NOW.after(Duration::from_secs(secs))))
}

fn figure(all: &Carriers, place: usize, what: &str) -> u64 {
    all.counters()[7 * place..7 * (place + 1)].iter().find(|counter| counter.name.ends_with(what)).unwrap().value
}

#[test]
fn all_that_can_are_asked_and_each_has_its_own_outcome() {
    let (small, old) = (Shelf::of(1), Shelf { only_v4: true, ..Shelf::of(9) });
    let mut all = carriers(Mode::All, false, &[small.clone(), old.clone()]);
    let batch = [add_for("192.0.2.1", 60), add_for("192.0.2.2", 60), add_for("2001:db8::1", 60)];
    assert_eq!(all.apply(&batch, NOW), [Outcome::Added, Outcome::Added, Outcome::Failed(Fault::Full)]);
    assert_eq!((small.has().len(), old.has().len()), (1, 2));
    assert_eq!(["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| all.held(&scope(text))), [3, 2, 0]);
    let figures = |place| ["set", "refused", "unsupported", "standing"].map(|what| figure(&all, place, what));
    assert_eq!((figures(0), figures(1)), ([1, 2, 0, 1], [2, 0, 1, 2]));
    // The same address twice in one batch: one after the other.
    let twice = [remove(scope("192.0.2.1")), add_for("192.0.2.1", 60), remove(scope("192.0.2.1"))];
    assert_eq!(all.apply(&twice, NOW), [Outcome::Removed, Outcome::Added, Outcome::Removed]);
    assert!(small.has().is_empty() && old.has() == ["192.0.2.2/32"] || old.has() == ["192.0.2.2"], "{:?}", old.has());
}

#[test]
fn the_first_that_takes_it_is_enough() {
    let shelves = [Shelf { only_v4: true, ..Shelf::of(1) }, Shelf::of(9)];
    let mut all = carriers(Mode::First, true, &shelves);
    let batch = [add_for("2001:db8::1", 60), add_for("192.0.2.1", 60), add_for("192.0.2.2", 60)];
    assert_eq!(all.apply(&batch, NOW), [Outcome::Added; 3]);
    assert_eq!(["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| all.held(&scope(text))), [2, 4, 4]);
    // Lifted wherever it may be, and only there.
    assert_eq!(all.apply(&[remove(scope("192.0.2.2"))], NOW), [Outcome::Removed]);
    assert_eq!((figure(&all, 0, "lifted"), figure(&all, 1, "lifted")), (0, 1));
    assert_eq!(all.apply(&[remove(scope("192.0.2.99"))], NOW), [Outcome::Removed]);
    assert_eq!((figure(&all, 0, "lifted"), figure(&all, 1, "lifted")), (1, 2));
}

#[test]
fn ends_are_kept_for_those_who_keep_none() {
    let shelves = [Shelf::of(9), Shelf { keeps_ends: true, ..Shelf::of(9) }];
    let mut all = carriers(Mode::All, true, &shelves);
    all.apply(&[add_for("192.0.2.1", 10), add_for("192.0.2.2", 10)], NOW);
    // A longer end takes the place of the one before.
    all.apply(&[add_for("192.0.2.2", 50)], NOW);
    assert_eq!(all.next_look(), Some(NOW.after(Duration::from_secs(10))));
    all.look(NOW.after(Duration::from_secs(10)));
    assert_eq!((shelves[0].has().len(), shelves[1].has().len()), (1, 2), "the other one ends it by itself");
    assert_eq!((all.held(&scope("192.0.2.1")), all.held(&scope("192.0.2.2"))), (0, 6));
}

#[test]
fn who_is_blocked_again_as_his_block_ends_is_blocked_everywhere() {
    for looks_first in [false, true] {
        let shelves = [Shelf::of(9), Shelf { keeps_ends: true, ..Shelf::of(9) }];
        let mut all = carriers(Mode::All, true, &shelves);
        all.apply(&[add_for("192.0.2.1", 10)], NOW);
        let end = NOW.after(Duration::from_secs(10));
        let again = Expiry::At(end.after(Duration::from_secs(10)));
        if looks_first {
            all.look(end);
        }
        assert_eq!(all.apply(&[add(scope("192.0.2.1"), again)], end), [Outcome::Added]);
        all.look(end);
        assert_eq!((shelves[0].has().len(), shelves[1].standing.borrow()[&scope("192.0.2.1")]), (1, again));
        assert_eq!(all.held(&scope("192.0.2.1")), 6);
    }
    // One that could not lift it at its end, and is asked to have it again.
    let shelf = Shelf { jams: true, ..Shelf::of(9) };
    let mut all = carriers(Mode::All, true, std::slice::from_ref(&shelf));
    all.apply(&[add_for("192.0.2.1", 10)], NOW);
    all.look(NOW.after(Duration::from_secs(10)));
    all.apply(&[add_for("192.0.2.1", 100)], NOW.after(Duration::from_secs(10)));
    all.carriers[0].responder = Some(Box::new(Shelf { jams: false, ..shelf.clone() }));
    all.look(all.next_look().unwrap());
    assert_eq!((shelf.has().len(), all.held(&scope("192.0.2.1"))), (1, 2));
}

/// A transcript that several runs of a responder go on with.
struct Played(Rc<RefCell<Transcript>>);

impl Tool for Played {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        self.0.borrow_mut().run(program, args, input)
    }
}

/// One of the kinds whose systems are not here, begun.
fn begun(kind: &'static Kind, tool: &Rc<RefCell<Transcript>>) -> Carriers {
    let opener = Opener { kind, bit: 2, settings: Settings::default() };
    let mut all = Carriers::new(vec![opener], Mode::All, true, false, Rc::new(|_| {}));
    all.carriers[0].responder = Some(kind.open.unwrap()(&Settings::default(), Box::new(Played(Rc::clone(tool)))).unwrap());
    all.carriers[0].is_new = false;
    all
}

#[test]
fn systems_that_are_not_here_are_compared_at_a_start_and_end_blocks_in_time() {
    // What shows that it is ready with this address in its table, what lists it, adds and removes it.
    let kinds: [(&str, [&str; 4]); 4] = [
        (
            "pf",
            [
                "$ pfctl -v -s Tables\n-pa-r--\triposte\n",
                "$ pfctl -q -t riposte -T show\n   @\n",
                "$ pfctl -t riposte -T add -f -\n< @\n$ pfctl -k @\n",
                "$ pfctl -t riposte -T delete -f -\n< @\n",
            ],
        ),
        (
            "ipfw",
            [
                "$ ipfw list 50\n00050 deny ip from table(riposte) to any\n",
                "$ ipfw table riposte list\n@/32 0\n",
                "$ ipfw -q table riposte atomic add @ 0\n",
                "$ ipfw -q table riposte delete @\n",
            ],
        ),
        (
            "ipf",
            [
                "$ ippool -l -m riposte -t tree\ntable role=ipf type=tree name=riposte\n\t{ @/32; };\n$ ipfstat -i\nblock in quick from pool/riposte to any\n",
                "$ ippool -l -m riposte -t tree\ntable role=ipf type=tree name=riposte\n\t{ @/32; };\n",
                "$ ippool -a -m riposte -i @\n",
                "$ ippool -r -m riposte -i @\n",
            ],
        ),
        (
            "npf",
            [
                "$ npfctl show\n\tblock in final from <riposte> \n",
                "$ npfctl table riposte list\n@\n",
                "$ npfctl table riposte add @\n",
                "$ npfctl table riposte rem @\n",
            ],
        ),
    ];
    let [old, new, next] = ["192.0.2.9", "192.0.2.7", "192.0.2.8"];
    for (name, [ready, list, add, remove_it]) in kinds {
        let kind = Kind::of(name).unwrap();
        let tool = Rc::new(RefCell::new(Transcript::default()));
        let script = |steps: &[(&str, &str)]| {
            let text: String = steps.iter().map(|(step, whom)| step.replace('@', whom)).collect();
            *tool.borrow_mut() = Transcript::new(&text);
        };
        let played = |what: &str| assert_eq!(tool.borrow().expected.front(), None, "{name}: {what}");
        let listed = |all: &mut Carriers| all.installed(NOW).into_iter().map(|item| item.scope).collect::<Vec<_>>();
        // An earlier run has left one that the ledger does not want.
        script(&[(ready, old), (ready, old), (list, old), (remove_it, old), (ready, old), (add, new)]);
        let mut all = begun(kind, &tool);
        assert_eq!(listed(&mut all), [scope(old)], "{name}");
        assert_eq!(all.apply(&[remove(scope(old)), add_for(new, 30)], NOW), [Outcome::Removed, Outcome::Added], "{name}");
        played("a start");
        script(&[(remove_it, new)]);
        all.look(NOW.after(Duration::from_secs(30)));
        played("an end");
        // Killed with a block, which the next run finds, keeps, and lifts when it ends.
        script(&[(ready, next), (add, next), (ready, next), (ready, next), (list, next)]);
        assert_eq!(all.apply(&[add_for(next, 600)], NOW), [Outcome::Added]);
        drop(all);
        let mut all = begun(kind, &tool);
        assert_eq!((listed(&mut all), all.held(&scope(next))), (vec![scope(next)], 2), "{name}");
        played("a second start");
        script(&[(ready, next), (list, next), (remove_it, next)]);
        all.leave(NOW);
        played("the end");
    }
}

#[test]
fn who_is_exempt_now_is_let_go() {
    let shelves = [Shelf::of(9), Shelf { keeps_ends: true, ..Shelf::of(9) }];
    let mut all = carriers(Mode::All, true, &shelves);
    all.apply(&["192.0.2.1", "192.0.2.2", "198.51.100.0/24", "2001:db8::/64"].map(|text| add_for(text, 600)), NOW);
    // What an earlier run left and the judge has not spoken of yet.
    shelves[0].standing.borrow_mut().insert(scope("203.0.113.9"), Expiry::Never);
    all.installed(NOW);
    let mut exempt = Shield::new(&court::settings::Settings::default());
    exempt.allow(["192.0.2.2", "198.51.100.7", "203.0.113.0/24"].map(|text| text.parse().unwrap()).into());
    all.let_go(&exempt, NOW);
    let left = ["192.0.2.1", "2001:db8::/64"];
    assert_eq!((shelves[0].has(), shelves[1].has()), (left.map(str::to_owned).to_vec(), left.map(str::to_owned).to_vec()));
    all.look(all.next_look().unwrap());
    assert_eq!(shelves[0].has(), left);
}

#[test]
fn what_others_change_is_put_right() {
    let shelf = Shelf::of(9);
    let mut all = carriers(Mode::All, true, std::slice::from_ref(&shelf));
    all.apply(&[add_for("192.0.2.1", 600), add_for("192.0.2.2", 600)], NOW);
    shelf.standing.borrow_mut().remove(&scope("192.0.2.1"));
    shelf.standing.borrow_mut().insert(scope("192.0.2.9"), Expiry::Never);
    all.look(all.next_look().unwrap());
    let has = ["192.0.2.1", "192.0.2.2", "192.0.2.9"].map(|text| shelf.standing.borrow().contains_key(&scope(text)));
    assert_eq!((has, figure(&all, 0, "put right")), ([true, true, false], 2));
    // One that could not be lifted is tried again until it is.
    all.carriers[0].responder = Some(Box::new(Shelf { jams: true, ..shelf.clone() }));
    assert_eq!(all.apply(&[remove(scope("192.0.2.1"))], NOW), [Outcome::Failed(Fault::Refused)]);
    all.look(all.next_look().unwrap());
    assert!(shelf.standing.borrow().contains_key(&scope("192.0.2.1")));
    all.carriers[0].responder = Some(Box::new(shelf.clone()));
    all.look(all.next_look().unwrap());
    assert!(!shelf.standing.borrow().contains_key(&scope("192.0.2.1")));
}

#[test]
fn what_an_earlier_run_left_is_told_and_ends_if_nobody_wants_it() {
    let shelves = [Shelf::of(9), Shelf { keeps_ends: true, ..Shelf::of(9) }];
    let end = Expiry::At(NOW.after(Duration::from_secs(300)));
    shelves[0].standing.borrow_mut().insert(scope("192.0.2.1"), Expiry::Never);
    shelves[0].standing.borrow_mut().insert(scope("192.0.2.2"), Expiry::Never);
    shelves[1].standing.borrow_mut().insert(scope("192.0.2.3"), end);
    let mut all = carriers(Mode::All, true, &shelves);
    let mut found = all.begin(NOW);
    found.sort_by_key(|item| item.scope);
    let unknown = Expiry::At(Time::EPOCH);
    assert_eq!(found.iter().map(|item| item.expiry).collect::<Vec<_>>(), [unknown, unknown, end]);
    // The judge wants one, and says until when.
    all.apply(&[add_for("192.0.2.1", 5_000)], NOW);
    let mut now = NOW;
    while now < NOW.after(Duration::from_secs(1_000)) {
        now = all.next_look().unwrap();
        all.look(now);
    }
    assert_eq!((shelves[0].has().len(), all.held(&scope("192.0.2.1"))), (1, 6));
    assert_eq!(all.installed(now).iter().filter(|item| item.expiry != unknown).count(), 1);
}

#[test]
fn at_the_end_nothing_stays_that_nobody_would_lift() {
    let shelves = [Shelf::of(9), Shelf { keeps_ends: true, ..Shelf::of(9) }];
    let mut all = carriers(Mode::All, true, &shelves);
    all.apply(&[add_for("192.0.2.1", 60)], NOW);
    all.leave(NOW);
    assert_eq!((shelves[0].has().len(), shelves[1].has().len()), (0, 1));
    // A dry run leaves nobody blocked at all.
    let mut all = carriers(Mode::All, true, &shelves);
    all.dry_run = true;
    assert!(all.begin(NOW).is_empty() && shelves[1].has().is_empty());
}

#[test]
fn at_the_end_one_that_was_pushed_back_is_emptied_too() {
    let shelf = Shelf::of(9);
    let mut all = carriers(Mode::All, true, std::slice::from_ref(&shelf));
    all.apply(&[add_for("192.0.2.1", 600)], NOW);
    all.carriers[0].responder = Some(Box::new(Shelf { is_hidden: true, ..shelf.clone() }));
    all.leave(NOW);
    assert!(shelf.has().is_empty());
}

#[test]
fn one_that_hangs_is_asked_once_and_keeps_nobody_blocked_elsewhere() {
    let (asked, shelves) = (Rc::new(RefCell::new(0)), [Shelf::of(9_999), Shelf::of(9_999)]);
    let mut all = carriers(Mode::All, true, &shelves);
    let add = |n: usize| add(Scope::Source(model::net::Prefix::host(std::net::Ipv4Addr::from(n as u32).into())), Expiry::Never);
    let adds: Vec<Change> = (0..4 * limits::BATCH_CHANGES).map(add).collect();
    all.apply(&adds, NOW);
    all.carriers[0].responder = Some(Box::new(Shelf { hangs: Some(Rc::clone(&asked)), ..shelves[0].clone() }));
    let lifts: Vec<Change> = adds.iter().map(|change| remove(change.scope())).collect();
    let outcomes = all.apply(&lifts, NOW);
    assert!(outcomes.len() == lifts.len() && outcomes.iter().all(|outcome| *outcome == Outcome::Failed(Fault::Unreachable)));
    assert_eq!((*asked.borrow(), shelves[1].has().len()), (1, 0));
    // The book is empty, and what could not be lifted there is not forgotten.
    (0..5).for_each(|_| all.look(all.next_look().unwrap()));
    all.carriers[0].responder = Some(Box::new(shelves[0].clone()));
    all.look(all.next_look().unwrap());
    assert!(shelves[0].has().is_empty());
}

#[test]
fn behind_one_that_hung_others_have_their_turn_before_it_is_tried_again() {
    let (asked, shelf) = (Rc::new(RefCell::new(0)), Shelf::of(9));
    let mut all = carriers(Mode::All, true, std::slice::from_ref(&shelf));
    all.carriers[0].responder = Some(Box::new(Shelf { hangs: Some(Rc::clone(&asked)), ..shelf }));
    all.apply(&[add_for("192.0.2.1", 600)], NOW);
    // So late it is by then: what was to be done soon would be due already.
    let late = NOW.after(Duration::from_secs(10));
    assert!(all.next_look().unwrap() < late);
    all.rest(late);
    assert_eq!((all.next_look(), all.carriers[0].begin_from), (Some(late.after(COMPARE_SOON)), late.after(COMPARE_SOON)));
    all.look(late.after(COMPARE_SOON));
    assert_eq!(all.next_look(), Some(late.after(COMPARE_SOON).after(BEGIN_AGAIN)), "every half minute");
}

#[test]
fn one_that_is_not_at_work_refuses_and_gets_all_when_it_is() {
    let shelf = Shelf::of(9);
    let mut all = carriers(Mode::All, true, std::slice::from_ref(&shelf));
    all.carriers[0].responder = None;
    assert_eq!(all.apply(&[add_for("192.0.2.1", 600)], NOW), [Outcome::Failed(Fault::Unreachable)]);
    assert_eq!((figure(&all, 0, "refused"), figure(&all, 0, "not at work"), all.held(&scope("192.0.2.1"))), (1, 1, 0));
    all.carriers[0].responder = Some(Box::new(shelf.clone()));
    all.carriers[0].is_new = true;
    all.look(all.next_look().unwrap());
    assert_eq!((shelf.has().len(), all.held(&scope("192.0.2.1"))), (1, 2));
}
