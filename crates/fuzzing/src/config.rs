//! The configuration. The promises: a configuration that is accepted reads back from its canonical text as an equal one, and one that is not is
//! told by a bounded number of single lines with a place inside the text, in characters that any terminal can show.

use riposte::config::Config;
use riposte::config::problems::SHOWN;
use riposte::config::words::Period;

/// The input is a configuration file.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text, "fuzz.toml") {
        Ok(config) => {
            let canonical = config.canonical();
            let again = Config::parse(&canonical, "canonical.toml");
            let again = again.unwrap_or_else(|errors| panic!("the canonical text is refused: {}\n{canonical}", errors[0]));
            assert_eq!(again, config);
            assert_eq!(again.canonical(), canonical, "there is one canonical text");
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty() && diagnostics.len() <= SHOWN + 1);
            let lines = text.split('\n').count();
            for diagnostic in diagnostics {
                assert!(diagnostic.at.is_none_or(|at| at.line >= 1 && at.line <= lines && at.column >= 1 && at.column <= text.len() + 1));
                let said = diagnostic.to_string();
                assert!(!said.chars().any(char::is_control), "a control character reaches the terminal: {said:?}");
                assert!(said.len() <= 2_000, "a diagnostic of {} bytes", said.len());
            }
        }
    }
    if let Ok(period) = text.parse::<Period>() {
        assert!(text.len() < 64, "{period:?}");
    }
}
