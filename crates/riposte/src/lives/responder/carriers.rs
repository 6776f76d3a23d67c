//! The responders in their order, and the book of what they are to hold: changes are carried out, ends kept for those who keep none, and what
//! somebody else has changed is put right. Never decides who is blocked.

use super::book::Book;
use crate::config::respond::Mode;
use court::shield::Shield;
use link::message::Counter;
use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::time::Time;
use respond::tool::{Programs, Tool, ToolError};
use respond::{Kind, Responder, Settings};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

/// How often the book is compared with what is there, and how soon after something went wrong.
const COMPARE: Duration = Duration::from_secs(60);
const COMPARE_SOON: Duration = Duration::from_secs(5);
/// One who can't be begun is tried again after this.
const BEGIN_AGAIN: Duration = Duration::from_secs(30);
/// For so long stays what was found and the judge has said nothing of.
const UNTOLD: Duration = Duration::from_secs(600);
/// Ends that differ by no more are the same.
const SLACK: Duration = Duration::from_secs(5);
/// The log hears of one responder's refusals at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// How often it is tried to lift all at the end.
const LEAVE_TRIES: usize = 3;
/// Characters of a tool's words.
const SHOWN: usize = 200;

/// A responder that can be begun.
#[derive(Debug)]
pub struct Opener {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its bit.
    pub bit: u16,
    /// What was chosen.
    pub settings: Settings,
}

/// What a responder's tools said last when they refused.
type Words = Rc<RefCell<Option<String>>>;

/// Who is told which responder's tool doesn't end, a bit; 0 when it has.
pub type Silence = Rc<dyn Fn(u16)>;

/// Runs programs, keeps their words, and tells of the slow.
struct Heard {
    words: Words,
    bit: u16,
    silence: Silence,
}

impl Tool for Heard {
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<String, ToolError> {
        let mut was_slow = false;
        let result = Programs.run_heeding(program, args, input, &mut || {
            was_slow = true;
            (self.silence)(self.bit);
        });
        if was_slow {
            (self.silence)(0);
        }
        result.inspect_err(|error| drop(self.words.replace(Some(error.to_string()))))
    }
}

/// One responder.
struct Carrier {
    opener: Opener,
    silence: Silence,
    /// `None`: it can't be begun for now.
    responder: Option<Box<dyn Responder>>,
    words: Words,
    begin_from: Time,
    /// It has begun later than the others, or anew.
    is_new: bool,
    told_from: Time,
    untold: u64,
    set: u64,
    lifted: u64,
    refused: u64,
    unsupported: u64,
    righted: u64,
}

impl Carrier {
    fn name(&self) -> &'static str {
        self.opener.kind.name
    }

    /// Begins it if it is not at work and its time has come. False: it is not at work.
    fn begin(&mut self, now: Time) -> bool {
        if self.responder.is_some() {
            return true;
        }
        let Some(open) = self.opener.kind.open.filter(|_| self.begin_from <= now) else { return false };
        let tool = Heard { words: Rc::clone(&self.words), bit: self.opener.bit, silence: Rc::clone(&self.silence) };
        match open(&self.opener.settings, Box::new(tool)) {
            Ok(mut responder) => {
                if let Some(words) = responder.take_words() {
                    tracing::warn!(responder = self.name(), "{}", report::escape::text(&words, 2 * SHOWN));
                }
                self.responder = Some(responder);
                self.is_new = true;
                true
            }
            Err(error) => {
                self.begin_from = now.after(BEGIN_AGAIN);
                tracing::warn!(responder = self.name(), why = report::escape::text(&error, SHOWN), "can't be begun: tried again later");
                false
            }
        }
    }

    fn expires_itself(&self) -> bool {
        self.responder.as_ref().is_some_and(|responder| responder.expires_itself())
    }

    /// One outcome for each change, whatever it answers. One that does not answer at all is begun anew.
    fn apply(&mut self, changes: &[Change], now: Time) -> Vec<Outcome> {
        let (mut outcomes, mut is_stuck) = (Vec::with_capacity(changes.len()), false);
        for batch in changes.chunks(limits::BATCH_CHANGES) {
            let answered = match &mut self.responder {
                Some(responder) => responder.apply(batch, now),
                None => vec![Outcome::Failed(Fault::Unreachable); batch.len()],
            };
            is_stuck = !answered.is_empty() && answered.iter().all(|outcome| *outcome == Outcome::Failed(Fault::Unreachable));
            outcomes.extend(answered.into_iter().chain(std::iter::repeat(Outcome::Failed(Fault::Refused))).take(batch.len()));
            if is_stuck {
                // Each try may last until a tool's time is over, and meanwhile nobody is lifted anywhere.
                outcomes.resize(changes.len(), Outcome::Failed(Fault::Unreachable));
                break;
            }
        }
        let mut refused = 0;
        for outcome in &outcomes {
            match outcome {
                Outcome::Added => self.set += 1,
                Outcome::Removed => self.lifted += 1,
                Outcome::Unsupported => self.unsupported += 1,
                Outcome::Failed(_) => refused += 1,
            }
        }
        self.refuses(refused, now);
        if is_stuck {
            self.responder = None;
        }
        outcomes
    }

    /// Counts refusals, and says why, but not too often.
    fn refuses(&mut self, refused: u64, now: Time) {
        if refused == 0 {
            return;
        }
        self.refused += refused;
        self.untold += refused;
        let words = self.words.take().or_else(|| self.responder.as_mut().and_then(|responder| responder.take_words()));
        if self.told_from <= now {
            self.told_from = now.after(TOLD_EVERY);
            let why = words.map_or_else(|| "it is not at work".to_owned(), |words| report::escape::text(&words, SHOWN));
            tracing::warn!(responder = self.name(), why, changes = std::mem::take(&mut self.untold), "refused");
        }
    }

    /// What it really has. One that can't say is begun anew.
    fn list(&mut self, now: Time) -> Option<HashMap<Scope, Expiry>> {
        match self.responder.as_mut()?.list(now) {
            Ok(items) => Some(items.into_iter().map(|item| (item.scope, item.expiry)).collect()),
            Err(_) => {
                self.refuses(1, now);
                self.responder = None;
                None
            }
        }
    }
}

/// All of them.
pub struct Carriers {
    carriers: Vec<Carrier>,
    mode: Mode,
    /// The kernel has what nobody here takes: it is to be given to who can take it later.
    keeps_refused: bool,
    dry_run: bool,
    book: Book,
    compare_at: Option<Time>,
    crowded_out: u64,
}

impl Carriers {
    /// None is begun yet.
    pub fn new(openers: Vec<Opener>, mode: Mode, has_kernel: bool, dry_run: bool, silence: Silence) -> Self {
        let carrier = |opener| Carrier {
            opener,
            silence: Rc::clone(&silence),
            responder: None,
            words: Words::default(),
            begin_from: Time::EPOCH,
            is_new: true,
            told_from: Time::EPOCH,
            untold: 0,
            set: 0,
            lifted: 0,
            refused: 0,
            unsupported: 0,
            righted: 0,
        };
        Carriers {
            carriers: openers.into_iter().map(carrier).collect(),
            mode,
            keeps_refused: has_kernel && mode == Mode::All,
            dry_run,
            book: Book::default(),
            compare_at: None,
            crowded_out: 0,
        }
    }

    /// Begins them, and takes over what an earlier run has left; returns that. A dry run blocks nobody: there it is lifted.
    pub fn begin(&mut self, now: Time) -> Vec<Installed> {
        for carrier in &mut self.carriers {
            carrier.begin(now);
            carrier.is_new = false;
        }
        let found = self.installed(now);
        if self.dry_run {
            self.leave(now);
            return Vec::new();
        }
        found
    }

    /// What is really there, each once. The end is that of the book; of what the judge has said nothing yet that which the system keeps, or
    /// `Time::EPOCH`, which is none.
    pub fn installed(&mut self, now: Time) -> Vec<Installed> {
        let mut all: HashMap<Scope, Expiry> = HashMap::new();
        for place in 0..self.carriers.len() {
            let Some((bit, there)) = self.there(place, now) else { continue };
            for (scope, found) in there {
                let found = if found == Expiry::Never { Expiry::At(Time::EPOCH) } else { found };
                match self.book.of(&scope) {
                    Some(entry) if entry.is_told => {
                        all.insert(scope, entry.expiry);
                        self.book.holds_too(&scope, bit);
                    }
                    Some(_) | None => {
                        all.insert(scope, found);
                        let end = if found == Expiry::At(Time::EPOCH) { Expiry::At(now.after(UNTOLD)) } else { found };
                        self.book.set(scope, end, false, bit);
                    }
                }
            }
        }
        self.compare_within(COMPARE, now);
        all.into_iter().map(|(scope, expiry)| Installed { scope, expiry }).collect()
    }

    fn there(&mut self, place: usize, now: Time) -> Option<(u16, HashMap<Scope, Expiry>)> {
        let carrier = self.carriers.get_mut(place)?;
        Some((carrier.opener.bit, carrier.list(now)?))
    }

    /// Carries out changes; one outcome each, in order.
    pub fn apply(&mut self, changes: &[Change], now: Time) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut rest = changes;
        while !rest.is_empty() {
            // A tool may do a batch in an order of its own: the same address never stands in it twice.
            let mut seen = HashSet::new();
            let len = rest.iter().take_while(|change| seen.insert(change.scope())).count();
            let (part, later) = rest.split_at(len);
            outcomes.extend(self.apply_part(part, now));
            rest = later;
        }
        self.compare_within(COMPARE, now);
        outcomes
    }

    fn apply_part(&mut self, changes: &[Change], now: Time) -> Vec<Outcome> {
        let mut room = self.book.room();
        let mut work: Vec<Work> = changes.iter().map(|change| Work::new(*change, &self.book, &mut room)).collect();
        self.crowded_out += work.iter().filter(|work| work.is_crowded_out).count() as u64;
        for place in 0..self.carriers.len() {
            self.bring(place, now);
            work.iter_mut().for_each(|work| work.is_gone = false);
            if self.ask(place, &mut work, false, now) {
                // Its set or chain was taken away, and with it all that was in it.
                if let Some(carrier) = self.carriers.get_mut(place) {
                    carrier.responder = None;
                }
                self.bring(place, now);
                self.ask(place, &mut work, true, now);
            }
        }
        work.into_iter().map(|work| self.note(work, now)).collect()
    }

    /// Has one carry out what is for it; `again`: only what failed because it was gone. True if it is.
    fn ask(&mut self, place: usize, work: &mut [Work], again: bool, now: Time) -> bool {
        let mode = self.mode;
        let Some(carrier) = self.carriers.get_mut(place) else { return false };
        let bit = carrier.opener.bit;
        let mut mine: Vec<&mut Work> = work.iter_mut().filter(|work| if again { work.is_gone } else { work.is_for(bit, mode) }).collect();
        if let Some(responder) = &carrier.responder {
            // Who can't is not asked.
            let (can, cannot): (Vec<_>, Vec<_>) = mine.into_iter().partition(|work| responder.supports(&work.change.scope()));
            for work in cannot.into_iter().filter(|work| matches!(work.change, Change::Add { .. })) {
                carrier.unsupported += 1;
                work.answered(Outcome::Unsupported, bit);
            }
            mine = can;
        }
        let batch: Vec<Change> = mine.iter().map(|work| work.change).collect();
        if batch.is_empty() {
            return false;
        }
        let outcomes = carrier.apply(&batch, now);
        let is_gone = outcomes.contains(&Outcome::Failed(Fault::Gone));
        // One that was ended over it may have done a part, which stands in no book.
        let is_unclear = outcomes.contains(&Outcome::Failed(Fault::Unreachable));
        mine.into_iter().zip(outcomes).for_each(|(work, outcome)| work.answered(outcome, bit));
        if is_unclear {
            self.compare_within(COMPARE_SOON, now);
        }
        is_gone
    }

    /// Writes down what became of a change.
    fn note(&mut self, work: Work, now: Time) -> Outcome {
        match work.change {
            Change::Add { scope, expiry, .. } => {
                if work.taken_by != 0 || self.keeps_refused && !work.is_crowded_out {
                    self.book.set(scope, expiry, true, work.taken_by);
                }
                work.outcome.unwrap_or(Outcome::Unsupported)
            }
            Change::Remove { scope, .. } => {
                self.book.strike(&scope);
                let outcome = work.outcome.unwrap_or(Outcome::Removed);
                if outcome != Outcome::Removed {
                    // It stands in no book any more, and is found there.
                    self.compare_within(COMPARE_SOON, now);
                }
                outcome
            }
        }
    }

    /// Begins one if it is not at work, and gives it what the others have.
    fn bring(&mut self, place: usize, now: Time) {
        let (is_all, book) = (self.mode == Mode::All, &self.book);
        let Some(carrier) = self.carriers.get_mut(place) else { return };
        if !carrier.begin(now) || !std::mem::take(&mut carrier.is_new) {
            return;
        }
        let bit = carrier.opener.bit;
        let owed = book.iter().filter(|(_, entry)| is_all || entry.held & bit != 0).map(|(scope, entry)| add(*scope, entry.expiry));
        let owed: Vec<Change> = owed.filter(|change| carrier.responder.as_ref().is_some_and(|one| one.supports(&change.scope()))).collect();
        let outcomes = carrier.apply(&owed, now);
        for (change, _) in owed.iter().zip(outcomes).filter(|(_, outcome)| *outcome == Outcome::Added) {
            self.book.holds_too(&change.scope(), bit);
        }
    }

    /// Does what is due: lifts what is over, and compares.
    pub fn look(&mut self, now: Time) {
        loop {
            let over = self.book.over(now, limits::BATCH_CHANGES);
            if over.is_empty() {
                break;
            }
            let mut soon = false;
            for carrier in &mut self.carriers {
                if carrier.responder.is_none() || carrier.expires_itself() {
                    continue;
                }
                let held = over.iter().filter(|(_, entry)| entry.held & carrier.opener.bit != 0);
                let batch: Vec<Change> = held.map(|(scope, _)| remove(*scope)).collect();
                if carrier.apply(&batch, now).iter().any(|outcome| *outcome != Outcome::Removed) {
                    soon = true;
                }
            }
            if soon {
                self.compare_within(COMPARE_SOON, now);
            }
        }
        if self.compare_at.is_some_and(|at| at <= now) {
            self.compare(now);
        }
    }

    /// When the next thing is due.
    pub fn next_look(&self) -> Option<Time> {
        self.book.next_end().into_iter().chain(self.compare_at).min()
    }

    /// One of them has taken long. Whoever waits comes first, and only then another try.
    pub fn rest(&mut self, now: Time) {
        let soon = now.after(COMPARE_SOON);
        self.compare_at = self.compare_at.map(|at| at.max(soon));
        for carrier in self.carriers.iter_mut().filter(|carrier| carrier.responder.is_none()) {
            carrier.begin_from = carrier.begin_from.max(soon);
        }
    }

    fn compare_within(&mut self, span: Duration, now: Time) {
        let at = now.after(span);
        self.compare_at = Some(self.compare_at.map_or(at, |due| due.min(at)));
    }

    /// Compares what is there with the book, and puts right what somebody else has changed.
    fn compare(&mut self, now: Time) {
        self.compare_at = None;
        let mut again = COMPARE;
        for place in 0..self.carriers.len() {
            self.bring(place, now);
            let was_at_work = self.carriers.get(place).is_some_and(|carrier| carrier.responder.is_some());
            let Some((bit, there)) = self.there(place, now) else {
                again = again.min(if was_at_work { COMPARE_SOON } else { BEGIN_AGAIN });
                continue;
            };
            let mut changes = Vec::new();
            let keeps_ends = self.carriers.get(place).is_some_and(Carrier::expires_itself);
            for (scope, entry) in self.book.iter().filter(|(_, entry)| entry.held & bit != 0 && !entry.expiry.is_over(now.after(SLACK))) {
                if there.get(scope).is_none_or(|end| keeps_ends && !is_near(*end, entry.expiry)) {
                    changes.push(add(*scope, entry.expiry));
                }
            }
            for scope in there.keys() {
                match self.book.of(scope) {
                    Some(_) => self.book.holds_too(scope, bit),
                    None => changes.push(remove(*scope)),
                }
            }
            let Some(carrier) = self.carriers.get_mut(place).filter(|_| !changes.is_empty()) else { continue };
            let outcomes = carrier.apply(&changes, now);
            let righted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Added | Outcome::Removed)).count();
            carrier.righted += righted as u64;
            tracing::warn!(responder = carrier.name(), righted, of = changes.len(), "what it had was not what it should have: put right");
            if righted < changes.len() {
                again = COMPARE_SOON;
            }
        }
        // Who is not at work may still have what nobody else knows of.
        if self.book.len() > 0 || again != COMPARE || self.carriers.iter().any(|carrier| carrier.responder.is_none()) {
            self.compare_within(again, now);
        }
    }

    /// Lifts what holds somebody who is exempt now.
    pub fn let_go(&mut self, exempt: &Shield, now: Time) {
        let touched = self.book.iter().map(|(scope, _)| *scope).filter(|scope| exempt.touches(&scope.prefix()));
        let changes: Vec<Change> = touched.map(remove).collect();
        if !changes.is_empty() {
            tracing::info!(blocks = changes.len(), "lifted: exempt now");
            self.apply(&changes, now);
        }
    }

    /// Lifts what nobody would end once we are gone: what is there, and what the book says, for one whose chain somebody has pushed back lists nothing.
    pub fn leave(&mut self, now: Time) {
        for place in 0..self.carriers.len() {
            for tries_left in (0..LEAVE_TRIES).rev() {
                if self.lift_all(place, tries_left == 0, now) {
                    break;
                }
            }
        }
        self.book = Book::default();
    }

    /// Whether nothing of one's is left that nobody would end.
    fn lift_all(&mut self, place: usize, is_last: bool, now: Time) -> bool {
        let Some(carrier) = self.carriers.get_mut(place) else { return true };
        carrier.begin_from = Time::EPOCH;
        let bit = carrier.opener.bit;
        if carrier.begin(now) && carrier.expires_itself() && !self.dry_run {
            return true;
        }
        let listed = self.there(place, now).map(|(_, there)| there.into_keys());
        let knows_all = listed.is_some();
        let held = self.book.iter().filter(|(_, entry)| entry.held & bit != 0).map(|(scope, _)| *scope);
        let scopes: HashSet<Scope> = held.chain(listed.into_iter().flatten()).collect();
        let Some(carrier) = self.carriers.get_mut(place).filter(|_| !scopes.is_empty()) else { return knows_all };
        // One that could not list is begun anew.
        carrier.begin(now);
        let batch: Vec<Change> = scopes.into_iter().map(remove).collect();
        let outcomes = carrier.apply(&batch, now);
        let left = outcomes.iter().filter(|outcome| **outcome != Outcome::Removed).count();
        if left == 0 {
            tracing::info!(responder = carrier.name(), lifted = batch.len(), "lifted for now: nobody would end them");
        } else if is_last {
            tracing::error!(
                responder = carrier.name(),
                lifted = batch.len() - left,
                left,
                "could not all be lifted: these stay until the next start"
            );
        }
        knows_all && left == 0
    }

    /// Who has this, a bit each.
    pub fn held(&self, scope: &Scope) -> u16 {
        self.book.of(scope).map_or(0, |entry| entry.held)
    }

    /// For `status`.
    pub fn counters(&self) -> Vec<Counter> {
        let mut counters = Vec::new();
        for carrier in &self.carriers {
            let standing = self.book.iter().filter(|(_, entry)| entry.held & carrier.opener.bit != 0).count();
            let figures = [
                ("standing", standing as u64),
                ("set", carrier.set),
                ("lifted", carrier.lifted),
                ("refused", carrier.refused),
                ("unsupported", carrier.unsupported),
                ("put right", carrier.righted),
                ("not at work", u64::from(carrier.responder.is_none())),
            ];
            let dropped = carrier.responder.as_ref().and_then(|responder| responder.dropped()).map(|packets| ("packets dropped", packets));
            let figures = figures.into_iter().chain(dropped);
            counters.extend(figures.map(|(what, value)| Counter { name: format!("responder {}: {what}", carrier.name()), value }));
        }
        counters.push(Counter { name: "blocks without room with the responders".into(), value: self.crowded_out });
        counters
    }
}

/// A change on its way through the responders.
struct Work {
    change: Change,
    /// Who had it before.
    held: u16,
    is_known: bool,
    is_crowded_out: bool,
    is_gone: bool,
    taken_by: u16,
    outcome: Option<Outcome>,
}

impl Work {
    fn new(change: Change, book: &Book, room: &mut usize) -> Self {
        let entry = book.of(&change.scope());
        let is_new = entry.is_none() && matches!(change, Change::Add { .. });
        let is_crowded_out = is_new && *room == 0;
        *room -= usize::from(is_new && !is_crowded_out);
        let outcome = is_crowded_out.then_some(Outcome::Failed(Fault::Full));
        Work {
            change,
            held: entry.map_or(0, |entry| entry.held),
            is_known: entry.is_some(),
            is_crowded_out,
            is_gone: false,
            taken_by: 0,
            outcome,
        }
    }

    fn is_for(&self, bit: u16, mode: Mode) -> bool {
        match self.change {
            Change::Add { .. } => !self.is_crowded_out && (mode == Mode::All || self.taken_by == 0),
            Change::Remove { .. } => !self.is_known || self.held & bit != 0,
        }
    }

    /// One has answered. It is set if any has set it, and lifted if nobody has failed to.
    fn answered(&mut self, outcome: Outcome, bit: u16) {
        if outcome == Outcome::Added {
            self.taken_by |= bit;
        }
        if std::mem::replace(&mut self.is_gone, outcome == Outcome::Failed(Fault::Gone))
            && self.outcome == Some(Outcome::Failed(Fault::Gone))
        {
            // It was asked twice: the second answer counts.
            self.outcome = None;
        }
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Added => 3,
            Outcome::Failed(_) => 2,
            Outcome::Unsupported => 1,
            Outcome::Removed => 0,
        };
        if self.outcome.as_ref().is_none_or(|before| rank(&outcome) > rank(before)) {
            self.outcome = Some(outcome);
        }
    }
}

/// Numbers are the judge's; nobody here looks at them.
fn add(scope: Scope, expiry: Expiry) -> Change {
    Change::Add { id: BlockId(0), scope, expiry }
}

fn remove(scope: Scope) -> Change {
    Change::Remove { id: BlockId(0), scope }
}

fn is_near(one: Expiry, other: Expiry) -> bool {
    match (one, other) {
        (Expiry::At(one), Expiry::At(other)) => one.since(other).max(other.since(one)) <= SLACK,
        (Expiry::Never, Expiry::Never) => true,
        (Expiry::Never, Expiry::At(_)) | (Expiry::At(_), Expiry::Never) => false,
    }
}

#[cfg(test)]
mod tests;
