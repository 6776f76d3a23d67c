//! Rule files of riposte's own format, and log lines under the shipped rules. The promises: a file loads or says on which of its lines something is
//! wrong; a file that loads can be tested; nobody is to be blocked whom the line does not name, or for evidence that is none.

use crate::choice;
use logrules::Rules;
use logrules::line::Line;
use logrules::native::Book;
use model::time::Time;
use std::cell::RefCell;

thread_local! {
    /// The shipped rules take longer to load than a line to read.
    static SHIPPED: RefCell<Book> = RefCell::new(Book::shipped().expect("the shipped rules load"));
}

/// The first byte says as what the rest is read: a rule file, or log lines.
pub fn run(bytes: &[u8]) {
    let (kind, text) = choice(bytes);
    match kind {
        b'R' => rules(&String::from_utf8_lossy(text)),
        _ => SHIPPED.with_borrow_mut(|book| lines(book, text)),
    }
}

fn rules(text: &str) {
    let files = [("t.toml".to_owned(), text.to_owned()), ("list.txt".to_owned(), "root\nadmin\n".to_owned())];
    match Book::load(&files) {
        Ok(mut book) => {
            if let Err(failures) = book.test() {
                failures.iter().for_each(|failure| assert!(failure.line <= text.lines().count().max(1), "{failure}"));
            }
            lines(&mut book, b"Nov 21 03:04:05 box sshd[1]: Failed password for root from 192.0.2.33 port 4711 ssh2");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            // What is not closed is wrong behind the last line.
            problems.iter().for_each(|problem| assert!(problem.line <= text.split('\n').count(), "{problem}"));
        }
    }
}

fn lines(book: &mut Book, text: &[u8]) {
    let (mut findings, mut again) = (Vec::new(), Vec::new());
    let places = ["/var/log/auth.log", "/var/log/nginx/access.log", "journal"];
    let each = || (0..).zip(text.split(|byte| *byte == b'\n').take(32)).flat_map(|line| places.map(|place| (line, place)));
    for out in [&mut findings, &mut again] {
        book.forget();
        for ((number, text), place) in each() {
            book.line(&Line::new(text, Time::from_secs(1_795_233_900 + number), place), out);
        }
    }
    assert_eq!(findings, again, "the same lines come to the same");
    for finding in &findings {
        assert!(finding.wish.is_none() || finding.actor.is_some(), "{finding:?}");
        assert!(finding.actor.is_none_or(|actor| actor == actor.to_canonical()), "{finding:?}");
    }
}
