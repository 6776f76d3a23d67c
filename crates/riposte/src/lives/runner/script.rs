//! One program that runs: its arguments or messages, its output up to a bound, and what its end means. Never a shell, never a value that
//! was not checked.

use super::account;
use crate::config::placeholder::Placeholder;
use crate::config::response::{Protocol, ResponseConfig};
use crate::config::words::Word;
use crate::lives::{monotonic, now};
use model::limits;
use model::response::{Order, Ran};
use model::style::Style;
use model::time::Time;
use report::escape;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use sys::process::{Child, Ended, Launch, Order as Signal, output_pipe, spawn};

/// Bytes of output that are kept; what comes behind is read and dropped, so that the program goes on.
const OUTPUT_BYTES: usize = 65_536;
/// Bytes of a script's keys.
const KEYS_BYTES: usize = 1_024;
/// What stands for what there is not, in OSSEC's arguments.
const NONE: &str = "-";

/// A program that runs.
pub struct Script {
    /// What it was started for.
    pub order: Order,
    /// It.
    pub child: Child,
    /// What it writes.
    pub output: File,
    /// When it is to be ended (monotonic).
    pub until: Time,
    name: String,
    protocol: Protocol,
    /// Where a message is answered.
    input: Option<File>,
    heard: Vec<u8>,
    /// Where the line begins that has no end yet.
    line: usize,
    dropped: u64,
    silent: bool,
    /// Whether it has asked, and was told that somebody is at it.
    asked: Option<bool>,
    timed_out: bool,
}

impl Script {
    /// Starts it.
    ///
    /// # Errors
    /// What became of it, and why.
    pub fn begin(order: Order, response: &ResponseConfig) -> Result<Script, (Ran, String)> {
        let failed = |error: std::io::Error| (Ran::NotStarted, error.to_string());
        let program = &response.program;
        let args = match response.protocol {
            Protocol::Ossec => ossec_arguments(&order),
            Protocol::Wazuh => Vec::new(),
            Protocol::Account => account::arguments(&order, &response.args).map_err(|why| (Ran::Guarded, why))?,
            Protocol::Command => command_arguments(&order, &response.args),
        };
        let env = if response.protocol == Protocol::Command { environment(&order) } else { Vec::new() };
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let (output, output_end) = output_pipe().map_err(failed)?;
        sys::fd::set_nonblocking(output.as_fd(), true).map_err(failed)?;
        let mut fds = vec![(output_end.as_fd(), 1), (output_end.as_fd(), 2)];
        let pipe = (response.protocol == Protocol::Wazuh).then(output_pipe).transpose().map_err(failed)?;
        let (input_end, input) = pipe.unzip();
        fds.extend(input_end.as_ref().map(|end| (end.as_fd(), 0)));
        // Scripts find the rest of their installation from where their manager stands.
        if std::env::set_current_dir(home(program)).is_err() {
            std::env::set_current_dir("/").map_err(failed)?;
        }
        let title = program.to_string_lossy();
        let child =
            spawn(&Launch { program, title: &title, args: &args, fds: &fds, timezone: None, env: &env, identity: None }).map_err(failed)?;
        let mut script = Script {
            child,
            output: output.into(),
            until: monotonic().after(response.limit),
            name: response.name.clone(),
            protocol: response.protocol,
            input: input.map(File::from),
            heard: Vec::new(),
            line: 0,
            dropped: 0,
            silent: false,
            asked: None,
            timed_out: false,
            order,
        };
        if script.input.is_some() {
            let message = wazuh_message(&script.order, response);
            script.say(&message);
        }
        Ok(script)
    }

    /// A line for it. It fits into the pipe, so nobody waits; one that has ended already doesn't hear it.
    fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        if let Some(input) = &mut self.input {
            let _ = input.write_all(line.as_bytes());
        }
    }

    /// Reads what it has written; the keys if it asks about them.
    pub fn hear(&mut self) -> Option<String> {
        let mut buffer = [0; 4_096];
        // A pipe holds no more at one time: one that never stops talking must not keep us from the others.
        for _ in 0..OUTPUT_BYTES / buffer.len() {
            match self.output.read(&mut buffer) {
                Ok(0) => {
                    self.silent = true;
                    break;
                }
                Ok(len) => {
                    let room = OUTPUT_BYTES.saturating_sub(self.heard.len()).min(len);
                    self.heard.extend_from_slice(buffer.get(..room).unwrap_or_default());
                    self.dropped += (len - room) as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if self.protocol != Protocol::Wazuh || self.asked.is_some() || !self.order.add {
            return None;
        }
        while let Some(end) = self.heard.get(self.line..)?.iter().position(|byte| *byte == b'\n') {
            let line = self.heard.get(self.line..self.line + end).unwrap_or_default();
            let keys = keys_in(line);
            self.line += end + 1;
            if keys.is_some() {
                return keys;
            }
        }
        None
    }

    /// Whether nothing more will come from it.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Answers its question.
    pub fn reply(&mut self, is_known: bool) {
        self.asked = Some(is_known);
        let command = if is_known { "abort" } else { "continue" };
        self.say(&json!({"version": 1, "origin": origin(), "command": command, "parameters": {}}));
    }

    /// Its time is over: it is ended, with all that it has started.
    pub fn end(&mut self) {
        self.timed_out = true;
        // Its end is met like any other; a dead one needs no second word.
        self.until = monotonic().after(std::time::Duration::from_secs(1));
        let _ = self.child.end_group().and_then(|()| self.child.order(Signal::Kill));
    }

    /// Whether what it has started ends with it. OSSEC's scripts may leave something behind that goes on.
    pub fn leaves_nothing(&self) -> bool {
        self.protocol == Protocol::Command
    }

    /// What its end means, and what it said.
    pub fn ended(&self, ended: Ended) -> (Ran, String) {
        let ran = match (ended, self.asked) {
            _ if self.timed_out => Ran::TimedOut,
            (Ended::Exited(0), Some(true)) => Ran::Already,
            // One that does not ask keeps no state.
            (Ended::Exited(0), None) if self.protocol == Protocol::Wazuh && self.order.add => Ran::ForGood,
            (Ended::Exited(0), _) => Ran::Done,
            (Ended::Exited(_) | Ended::Killed(_), _) => Ran::Failed,
        };
        let said = shown(self.heard.trim_ascii_end());
        let Order { run, add, address, .. } = &self.order;
        match ran {
            Ran::Done if self.protocol == Protocol::Command => {
                tracing::info!(response = self.name, %run, add, %address, said, cut = self.dropped, "ran");
            }
            Ran::Done | Ran::ForGood | Ran::Already => tracing::debug!(response = self.name, %run, add, %address, said, "ran"),
            _ => tracing::warn!(response = self.name, %run, add, %address, ?ended, said, cut = self.dropped, "failed"),
        }
        (ran, said)
    }
}

/// A program's output as the log and `explain` show it.
pub fn shown(said: &[u8]) -> String {
    let mut said = escape::bytes(said, limits::SAID_BYTES);
    said.truncate(said.floor_char_boundary(limits::SAID_BYTES));
    said
}

/// The configuration's arguments, each as one, whatever stands in it.
pub fn command_arguments(order: &Order, args: &[String]) -> Vec<String> {
    let value = |placeholder| value(order, placeholder).unwrap_or_else(|| NONE.to_owned());
    args.iter().map(|arg| Placeholder::fill(arg, value)).collect()
}

/// The same values by name, those that are known.
fn environment(order: &Order) -> Vec<String> {
    let known = Placeholder::OF_RESPONSES
        .into_iter()
        .filter_map(|placeholder| Some((placeholder.word().to_ascii_uppercase(), value(order, placeholder)?)));
    known.map(|(name, value)| format!("RIPOSTE_{name}={value}")).collect()
}

/// What stands for a placeholder: numbers, an address, and words of our own.
fn value(order: &Order, placeholder: Placeholder) -> Option<String> {
    let touch = order.ground.touch;
    Some(match placeholder {
        Placeholder::Action => if order.add { "add" } else { "delete" }.to_owned(),
        Placeholder::Address => order.address.to_string(),
        Placeholder::Port => touch?.port.to_string(),
        Placeholder::Protocol => touch?.protocol.to_string(),
        Placeholder::Mode => if touch?.style == Style::Connect { "connect" } else { "stealth" }.to_owned(),
        Placeholder::Rule => order.ground.rule?.to_string(),
        Placeholder::Level => order.ground.level?.to_string(),
        Placeholder::Until => order.until?.as_secs().to_string(),
        // An alert's.
        Placeholder::Kind => return None,
    })
}

/// `add|delete USER ADDRESS ALERT RULE PLACE FILE`. There is no other user, place or file than what was checked.
fn ossec_arguments(order: &Order) -> Vec<String> {
    let user = order.user.as_ref().map_or(NONE, |user| user.as_str());
    let rule = order.ground.rule.map_or_else(|| NONE.to_owned(), |rule| rule.to_string());
    let action = if order.add { "add" } else { "delete" };
    vec![action.to_owned(), user.to_owned(), order.address.to_string(), alert(order), rule, "riposte".to_owned(), NONE.to_owned()]
}

/// Time and number, as OSSEC's: `1700000000.4711`.
fn alert(order: &Order) -> String {
    format!("{}.{}", now().as_nanos() / 1_000_000_000, order.run.0)
}

fn origin() -> Value {
    json!({"name": "riposte", "module": "wazuh-execd"})
}

fn wazuh_message(order: &Order, response: &ResponseConfig) -> Value {
    let mut data = json!({"srcip": order.address.to_string()});
    if let (Some(user), Some(fields)) = (&order.user, data.as_object_mut()) {
        fields.insert("dstuser".to_owned(), user.as_str().into());
    }
    let rule = order.ground.rule.map(|rule| json!({"id": rule.to_string()})).unwrap_or_else(|| json!({}));
    let alert = json!({"id": alert(order), "rule": rule, "location": "riposte", "data": data});
    let file = response.program.file_name().unwrap_or_default().to_string_lossy();
    let parameters = json!({"extra_args": response.args, "alert": alert, "program": format!("active-response/bin/{file}")});
    let command = if order.add { "add" } else { "delete" };
    json!({"version": 1, "origin": origin(), "command": command, "parameters": parameters})
}

/// The keys of a `check_keys` message, as one text.
fn keys_in(line: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(line).ok()?;
    if message.pointer("/command").and_then(Value::as_str) != Some("check_keys") {
        return None;
    }
    let keys = message.pointer("/parameters/keys")?.as_array()?.iter().filter_map(Value::as_str);
    let mut keys = keys.collect::<Vec<_>>().join("\n");
    keys.truncate(keys.floor_char_boundary(KEYS_BYTES));
    Some(keys)
}

/// The installation's folder for `…/active-response/bin/NAME`, else the program's own.
fn home(program: &Path) -> &Path {
    let folder = program.parent().unwrap_or(Path::new("/"));
    let installed = folder.ends_with("active-response/bin").then(|| folder.parent()?.parent()).flatten();
    installed.unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::response::{Ground, ResponseId, RunId, UserName};

    #[test]
    fn arguments_stand_in_ossec_s_order() {
        let order = |user| Order {
            run: RunId(7),
            response: ResponseId(0),
            add: true,
            address: "2001:db8::7".parse().unwrap(),
            user,
            ground: Ground { rule: Some(5_712), ..Ground::default() },
            until: None,
        };
        let args = ossec_arguments(&order(UserName::new("bob")));
        assert!(args[3].ends_with(".7"), "{args:?}");
        assert_eq!([&args[..3], &args[4..]].concat(), ["add", "bob", "2001:db8::7", "5712", "riposte", "-"]);
        assert_eq!(ossec_arguments(&order(None))[1], "-");
    }

    #[test]
    fn a_script_s_question_is_understood_and_nothing_else_is() {
        let asked = r#"{"version":1,"command":"check_keys","parameters":{"keys":["192.0.2.1","bob"]}}"#;
        assert_eq!(keys_in(asked.as_bytes()).as_deref(), Some("192.0.2.1\nbob"));
        for text in ["", "{}", "check_keys", r#"{"command":"continue","parameters":{"keys":["x"]}}"#, r#"{"command":"check_keys"}"#, "[1]"]
        {
            assert_eq!(keys_in(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scripts_stand_where_their_manager_would() {
        for (program, folder) in
            [("/var/ossec/active-response/bin/x.sh", "/var/ossec"), ("/usr/local/bin/x", "/usr/local/bin"), ("/active-response/bin/x", "/")]
        {
            assert_eq!(home(Path::new(program)), Path::new(folder), "{program}");
        }
    }
}
