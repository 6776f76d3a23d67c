//! psad's files: `psad.conf`, an override file, `auto_dl`, `signatures`, Debian's starter. The promises: whatever stands in them, what is printed is a
//! configuration that riposte accepts as it stands; nothing of theirs becomes a line or a control character of it; what blocked nobody blocks nobody;
//! a program is a full path that no shell sees; what is wrong is told in one line with its file; the same files come to the same.

use crate::files;
use riposte::commands::psad::{Host, translate};
use riposte::config::Config;
use riposte::config::response::{On, Protocol};
use std::path::{Path, PathBuf};

const NAMES: [&str; 5] = ["/p/psad.conf", "/p/override", "/p/auto_dl", "/p/signatures", "/p/../default/psad"];

/// The files, one after the other, as many as there are.
pub fn run(bytes: &[u8]) {
    let files = files(bytes, NAMES.len());
    let read = |path: &Path| {
        let place = NAMES.iter().position(|name| Path::new(name) == path);
        Ok(place.and_then(|place| files.get(place)).map(|bytes| bytes.to_vec()))
    };
    let overrides: Vec<PathBuf> = files.get(1).map(|_| NAMES[1].into()).into_iter().collect();
    let host = Host { read: &read, check: |_| Ok(()), journald: bytes.len().is_multiple_of(2) };
    let translated = || translate(Path::new(NAMES[0]), &overrides, &host);
    let result = translated();
    assert_eq!(translated(), result);
    let (text, wrong) = match result {
        Ok(result) => result,
        Err(lines) => {
            assert!(files.iter().any(|file| file.contains(&0)) && lines.len() == 1, "{lines:?}");
            return;
        }
    };
    assert!(text.lines().all(|line| !line.chars().any(char::is_control)), "{text:?}");
    let config = Config::parse(&text, "x").unwrap_or_else(|lines| panic!("{lines:?}\n{text}"));
    for line in wrong {
        assert!(line.starts_with('/') && !line.chars().any(char::is_control), "{line:?}");
    }
    let switched_on = files.iter().take(2).any(|file| file.windows(15).any(|window| window == b"ENABLE_AUTO_IDS"));
    assert!(config.policy.dry_run || switched_on, "{text}");
    assert!(config.policy.exempt.is_empty() && config.responses.len() <= 1);
    for response in &config.responses {
        assert_eq!((response.protocol, response.on, response.user.as_str()), (Protocol::Command, On::Block, "nobody"));
        assert!(response.program.is_absolute());
    }
}
