//! A line in the system's log for each alert, through its socket. What a stranger may have written is escaped.

use super::way::Way;
use crate::config::alert::{LineForm, SyslogConfig};
use report::alert::Letter;
use report::alert_line;
use std::os::unix::net::UnixDatagram;

/// The system's log.
#[derive(Debug)]
pub struct Syslog(SyslogConfig);

impl Syslog {
    /// As configured.
    pub fn new(config: &SyslogConfig) -> Syslog {
        Syslog(config.clone())
    }
}

impl Way for Syslog {
    fn deliver(&mut self, letter: &Letter) -> Result<(), String> {
        let SyslogConfig { socket: path, form, facility, severity, name } = &self.0;
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        let socket = UnixDatagram::unbound().map_err(fail)?;
        socket.connect(path).map_err(fail)?;
        // A log daemon that stands still holds up nothing but this thread, and that not for ever.
        socket.set_write_timeout(Some(std::time::Duration::from_secs(10))).map_err(fail)?;
        let id = std::process::id();
        for told in &letter.told {
            let priority = facility.0 * 8 + severity.map_or_else(|| alert_line::severity(&told.alert), |severity| severity.0);
            let at = jiff::Timestamp::from_nanosecond(told.alert.at.0.as_nanos().into()).unwrap_or_default();
            let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%b %e %H:%M:%S").to_string();
            let lines = match form {
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
