//! riposte's own log: to standard error, a file, or the systemd journal. The warden puts the target in the place of standard error before
//! its sandbox, and every process inherits it: none opens anything by itself. Never waits for a journal that does not keep up.

use crate::config::{Config, LogFormat, LogTarget, LoggingConfig};
use std::fmt::{self, Write as _};
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Puts the target in the place of standard error. Only the warden does that, once.
///
/// # Errors
/// One line that says why it can't.
pub fn redirect(config: &Config) -> Result<(), String> {
    let target: OwnedFd = match &config.log.target {
        LogTarget::Stderr => return Ok(()),
        LogTarget::File(path) => {
            let fail = |e: std::io::Error| format!("[log] path: {}: {e}", path.display());
            if let Some(folder) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(fail)?;
            }
            // Root may open it, in a folder that is somebody else's: no link of his is followed, and none of his pipes waited for.
            let flags = sys::fd::NO_FOLLOW | sys::fd::NO_WAIT;
            let file = File::options().append(true).create(true).mode(0o640).custom_flags(flags).open(path).map_err(fail)?;
            if !file.metadata().map_err(fail)?.is_file() {
                return Err(format!("[log] path: {}: not a regular file", path.display()));
            }
            file.into()
        }
        LogTarget::Journal(path) => {
            let fail = |e: std::io::Error| format!("[log] the journal ({}): {e}", path.display());
            let socket = UnixDatagram::unbound().map_err(fail)?;
            socket.connect(path).map_err(fail)?;
            let socket = OwnedFd::from(socket);
            sys::fd::set_nonblocking(socket.as_fd(), true).map_err(fail)?;
            socket
        }
    };
    sys::inherit::replace_stderr(target).map_err(|e| e.to_string())
}

/// Sets up the log of this process.
pub fn start(config: &Config) {
    let level: Level = config.log.level.as_str().parse().unwrap_or(Level::INFO);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // A second call changes nothing.
    let _ = match (&config.log.target, config.log.format) {
        (LogTarget::Journal(_), _) => {
            // A panic's own text is no entry of the journal's, and would be lost.
            std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
            builder.event_format(Entry).try_init()
        }
        (LogTarget::Stderr | LogTarget::File(_), LogFormat::Text) => builder.with_ansi(false).try_init(),
        (LogTarget::Stderr | LogTarget::File(_), LogFormat::Json) => builder.json().flatten_event(true).try_init(),
    };
}

/// Why riposte ends, for a log that is not where the command line prints.
pub fn last_word(log: &LoggingConfig, error: &str) {
    match log.target {
        LogTarget::Journal(_) => tracing::error!(error, "riposte ends"),
        // These are plain text: the command line's own line is there as well.
        LogTarget::Stderr | LogTarget::File(_) => {}
    }
}

/// One entry in the journal's native protocol (systemd.io, "Native Journal Protocol"): a line `FIELD=value` each, in one datagram.
struct Entry;

/// An event's message and fields.
#[derive(Default)]
struct Fields {
    message: String,
    named: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => self.named.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S, N> FormatEvent<S, N> for Entry
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        writer.write_str(&entry(*event.metadata().level(), &fields))
    }
}

fn entry(level: Level, fields: &Fields) -> String {
    // syslog(3)
    let priority = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let mut message = fields.message.clone();
    let mut own = String::new();
    for (name, value) in &fields.named {
        let _ = write!(message, " {name}={value}");
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let _ = writeln!(own, "RIPOSTE_{name}={}", one_line(value));
    }
    format!("MESSAGE={}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER=riposte\n{own}", one_line(&message))
}

/// A value with a line break would begin another field, of somebody else's choice.
fn one_line(value: &str) -> String {
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_begins_a_field_of_its_own() {
        let fields = Fields { message: "block".into(), named: vec![("address", "192.0.2.1\nPRIORITY=0".into()), ("a.b", "x".into())] };
        assert_eq!(
            entry(Level::WARN, &fields),
            "MESSAGE=block address=192.0.2.1\\nPRIORITY=0 a.b=x\nPRIORITY=4\nSYSLOG_IDENTIFIER=riposte\n\
             RIPOSTE_ADDRESS=192.0.2.1\\nPRIORITY=0\nRIPOSTE_A_B=x\n"
        );
    }
}
