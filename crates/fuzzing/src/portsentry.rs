//! PortSentry's files: configuration, ignore files, Debian's modes. The promises: whatever stands in them, what is printed is a configuration that
//! riposte accepts as it stands; nothing of theirs becomes a line or a control character of it, everybody is never exempt, and a command is a
//! program's full path that no shell sees; what is wrong is told in one line with its file; the same files come to the same.

use crate::{choice, files};
use riposte::commands::portsentry::translate;
use riposte::config::Config;
use riposte::config::response::{On, Protocol};
use std::path::Path;

const NAMES: [&str; 4] = ["/p/portsentry.conf", "/p/portsentry.ignore", "/p/portsentry.ignore.static", "/p/../default/portsentry"];

/// The first byte says how it is started (`c`: in connect mode), the rest is the files, one after the other, as many as there are.
pub fn run(bytes: &[u8]) {
    let (mode, rest) = choice(bytes);
    let files = files(rest, NAMES.len());
    let read = |path: &Path| {
        let place = NAMES.iter().position(|name| Path::new(name) == path);
        Ok(place.and_then(|place| files.get(place)).map(|bytes| bytes.to_vec()))
    };
    let translated = || translate(Path::new(NAMES[0]), mode == b'c', &read, |_| Ok(()));
    let result = translated();
    assert_eq!(translated(), result);
    let (text, wrong) = match result {
        Ok(result) => result,
        Err(lines) => {
            assert!(files[0].contains(&0) && lines.len() == 1, "{lines:?}");
            return;
        }
    };
    assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text:?}");
    let config = Config::parse(&text, "x").unwrap_or_else(|lines| panic!("{lines:?}\n{text}"));
    assert!(config.policy.exempt.iter().all(|prefix| prefix.bits() > 0));
    let lines: usize = files.iter().map(|file| file.split(|byte| *byte == b'\n').count()).sum();
    assert!(config.policy.exempt.len() <= lines && wrong.len() <= 4 * lines + 8, "{wrong:?}");
    for line in wrong {
        assert!(NAMES.iter().any(|name| line.starts_with(name)) && !line.chars().any(char::is_control), "{line:?}");
    }
    assert!(config.responses.len() <= 2);
    for response in &config.responses {
        assert_eq!((response.protocol, response.on, response.user.as_str()), (Protocol::Command, On::Touch, "nobody"));
        assert!(response.program.is_absolute());
    }
}
