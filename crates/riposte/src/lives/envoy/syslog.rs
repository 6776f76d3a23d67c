//! A line in the system's log for each alert, through its socket. What a stranger may have written is escaped.

use super::way::Way;
use crate::config::alert::{LineForm, SyslogConfig};
use report::alert::Letter;
use report::alert_line;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// RFC 5424's numbers: facility `authpriv`, and the severities.
const AUTHPRIV: u8 = 10;

/// The system's log.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    form: LineForm,
}

impl Syslog {
    /// As configured.
    pub fn new(config: &SyslogConfig) -> Syslog {
        Syslog { path: config.socket.clone(), form: config.form }
    }
}

impl Way for Syslog {
    fn deliver(&mut self, letter: &Letter) -> Result<(), String> {
        let fail = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let socket = UnixDatagram::unbound().map_err(fail)?;
        socket.connect(&self.path).map_err(fail)?;
        // A log daemon that stands still holds up nothing but this thread, and that not for ever.
        socket.set_write_timeout(Some(std::time::Duration::from_secs(10))).map_err(fail)?;
        let (name, id) = (if self.form == LineForm::Psad { "psad" } else { "riposte" }, std::process::id());
        for told in &letter.told {
            let priority = AUTHPRIV * 8 + alert_line::severity(&told.alert);
            let at = jiff::Timestamp::from_nanosecond(told.alert.at.0.as_nanos().into()).unwrap_or_default();
            let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%b %e %H:%M:%S").to_string();
            let lines = match self.form {
                LineForm::Riposte => vec![alert_line::line(&told.alert)],
                LineForm::Psad => alert_line::psad(&told.alert),
            };
            for line in lines {
                socket.send(format!("<{priority}>{at} {name}[{id}]: {line}").as_bytes()).map_err(fail)?;
            }
        }
        Ok(())
    }
}
