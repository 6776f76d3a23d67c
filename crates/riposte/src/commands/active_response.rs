//! riposte as an active-response script of OSSEC's and Wazuh's managers: reads what they say, asks the running daemon. Decides nothing:
//! exempt list, caps and ledger are the daemon's.

use super::{Failure, ask, fail};
use crate::cli;
use crate::control::client::Client;
use crate::control::protocol::{Done, ERROR_CHARS, Request};
use model::net::canonical;
use report::escape;
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What riposte can be called as, alone or with the ending `.sh`: the scripts of OSSEC and Wazuh that it stands in for.
pub const NAMES: [&str; 2] = ["firewall-drop", "host-deny"];
/// Bytes of the longest message: `OS_MAXSTR` of Wazuh.
const MESSAGE_BYTES: u64 = 65_536;
/// Characters of a value that others chose, in a note or a log line.
const VALUE_CHARS: usize = 60;

/// What a manager wants.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    add: bool,
    address: IpAddr,
    /// Alert and rule.
    why: String,
}

/// The script's name that the program was started by, if it is one.
pub fn called_as(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_suffix(".sh").unwrap_or(name);
    NAMES.into_iter().find(|known| *known == name)
}

/// Started by a link of that name: every argument is the manager's.
pub fn as_script(name: &str, program: &OsStr, args: &[OsString]) -> ExitCode {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let log = Log::beside(Path::new(program), args.is_empty());
    let (mut input, mut output) = (BufReader::new(io::stdin()), io::stdout());
    log.began(&args);
    let done = obey(name, &args, &mut input, &mut output, || ask::reach(None, None));
    log.ended(&done);
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(lines) => {
            lines.iter().for_each(|line| eprintln!("riposte: {line}"));
            ExitCode::FAILURE
        }
    }
}

/// `riposte active-response NAME`.
///
/// # Errors
/// One line that says why it was not done.
pub fn run(args: &cli::ActiveResponse, out: &mut impl Write) -> Result<(), Failure> {
    let reach = || ask::reach(args.socket.as_deref(), args.config.as_deref());
    obey(&args.name, &args.args, &mut BufReader::new(io::stdin()), out, reach).map(drop)
}

/// Takes an order in and has it done; says what came of it.
fn obey(
    name: &str,
    args: &[String],
    input: &mut impl BufRead,
    out: &mut impl Write,
    reach: impl FnOnce() -> Result<Client, Failure>,
) -> Result<String, Failure> {
    let order = if args.is_empty() { by_message(name, input, out)? } else { Some(by_arguments(args)?) };
    // Its time begins anew at the manager; here nothing changes.
    let Some(Order { add, address, why }) = order else { return Ok("Aborted".into()) };
    let request = if add { Request::Respond { address, note: format!("{name}, {why}") } } else { Request::Release { address } };
    let done: Done = reach()?.ask(&request)?;
    Ok(escape::text(&done.said, ERROR_CHARS))
}

/// OSSEC's: `add|delete USER ADDRESS ALERT RULE …`, with `-` for what there is not.
fn by_arguments(args: &[String]) -> Result<Order, Failure> {
    let arg = |n: usize| args.get(n).map_or("-", String::as_str);
    let add = adds(arg(0))?;
    Ok(Order { add, address: address(arg(2))?, why: format!("alert {}, rule {}", shown(arg(3)), shown(arg(4))) })
}

/// Wazuh's: a line of JSON; whoever adds is asked back whether the manager knows the address already. `None` if it does.
fn by_message(name: &str, input: &mut impl BufRead, out: &mut impl Write) -> Result<Option<Order>, Failure> {
    let message = read(input)?;
    let text = |place: &str| message.pointer(place).and_then(Value::as_str);
    let add = adds(text("/command").unwrap_or_default())?;
    let places =
        ["/parameters/alert/data/srcip", "/parameters/alert/data/src_ip", "/parameters/alert/data/win/eventdata/ipAddress", "/source/ip"];
    let found = places.iter().find_map(|place| text(place)).ok_or_else(|| fail("Cannot read 'srcip' from data"))?;
    let address = address(found)?;
    let [alert, rule] = ["/parameters/alert/id", "/parameters/alert/rule/id"].map(|place| shown(text(place).unwrap_or("-")));
    if add {
        let keys = json!({"version": 1, "origin": {"name": name, "module": "active-response"}, "command": "check_keys",
                          "parameters": {"keys": [address.to_string()]}});
        writeln!(out, "{keys}").and_then(|()| out.flush()).map_err(|error| fail(error.to_string()))?;
        match read(input)?.pointer("/command").and_then(Value::as_str) {
            Some("continue") => {}
            Some("abort") => return Ok(None),
            other => return Err(fail(format!("Invalid value of 'command': {}", shown(other.unwrap_or("-"))))),
        }
    }
    Ok(Some(Order { add, address, why: format!("alert {alert}, rule {rule}") }))
}

fn read(input: &mut impl BufRead) -> Result<Value, Failure> {
    let mut line = Vec::new();
    input.take(MESSAGE_BYTES).read_until(b'\n', &mut line).map_err(|error| fail(error.to_string()))?;
    serde_json::from_slice(&line).map_err(|_| fail("Invalid input format"))
}

/// Wazuh 5 has words of its own.
fn adds(word: &str) -> Result<bool, Failure> {
    match word {
        "add" | "enable" => Ok(true),
        "delete" | "disable" => Ok(false),
        other => Err(fail(format!("'{}' is neither add nor delete", shown(other)))),
    }
}

fn address(text: &str) -> Result<IpAddr, Failure> {
    let found = text.parse().map(canonical);
    found.map_err(|_| fail(format!("'{}' is no IPv4 or IPv6 address", shown(text))))
}

fn shown(text: &str) -> String {
    escape::text(text, VALUE_CHARS)
}

/// `logs/active-responses.log` of the installation that the link lies in.
struct Log {
    path: Option<PathBuf>,
    program: String,
    as_wazuh: bool,
}

impl Log {
    /// `PLACE/active-response/bin/NAME` logs to `PLACE/logs`, if there is such a folder.
    fn beside(program: &Path, as_wazuh: bool) -> Log {
        let place = program.parent().map(|bin| bin.join("../../logs")).filter(|logs| logs.is_dir());
        Log { path: place.map(|logs| logs.join("active-responses.log")), program: program.display().to_string(), as_wazuh }
    }

    fn began(&self, args: &[String]) {
        if self.as_wazuh {
            return self.line("Starting");
        }
        let args: Vec<String> = args.iter().take(5).map(|arg| shown(arg)).collect();
        self.line(&args.join(" "));
    }

    fn ended(&self, done: &Result<String, Failure>) {
        match done {
            Ok(said) if self.as_wazuh => [said.as_str(), "Ended"].iter().for_each(|said| self.line(said)),
            Ok(_) => {}
            Err(why) => self.line(&why.join("; ")),
        }
    }

    /// As the scripts write it that are replaced: OSSEC's begin with what `date` prints.
    fn line(&self, said: &str) {
        let (Some(path), now) = (&self.path, jiff::Zoned::now()) else { return };
        let line = match self.as_wazuh {
            true => format!("{} {}: {said}\n", now.strftime("%Y/%m/%d %H:%M:%S"), self.program),
            false => format!("{} {} {said}\n", now.strftime("%a %b %e %H:%M:%S %Z %Y"), self.program),
        };
        // A link there would have root write wherever the manager's own user likes. What can't be logged is no reason not to obey.
        if path.symlink_metadata().is_ok_and(|meta| meta.is_file()) || !path.exists() {
            let _ = File::options().append(true).create(true).open(path).and_then(|mut log| log.write_all(line.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> (Result<Option<Order>, Failure>, String) {
        let mut out = Vec::new();
        let order = by_message("firewall-drop", &mut text.as_bytes(), &mut out);
        (order, String::from_utf8(out).unwrap())
    }

    fn message(command: &str, address: &str) -> String {
        let alert = json!({"id": "1700000000.4711", "rule": {"id": "5712", "level": 10}, "data": {"srcip": address}});
        let parameters = json!({"extra_args": [], "alert": alert, "program": "active-response/bin/firewall-drop"});
        let origin = json!({"name": "node01", "module": "wazuh-execd"});
        json!({"version": 1, "origin": origin, "command": command, "parameters": parameters}).to_string() + "\n"
    }

    #[test]
    fn names_are_those_of_the_scripts() {
        let called = |name: &str| called_as(OsStr::new(name));
        assert_eq!(called("/var/ossec/active-response/bin/firewall-drop.sh"), Some("firewall-drop"));
        assert_eq!(called("active-response/bin/host-deny"), Some("host-deny"));
        assert_eq!([called("riposte"), called("/usr/sbin/riposte"), called("firewall-drop.py"), called("")], [None; 4]);
    }

    #[test]
    fn arguments_are_read_in_ossec_s_order_and_nothing_else_passes() {
        let read = |line: &str| by_arguments(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let order = read("add - 198.51.100.7 1700000000.1 5712 (web)->/var/log/auth.log -").unwrap();
        assert_eq!(order, Order { add: true, address: "198.51.100.7".parse().unwrap(), why: "alert 1700000000.1, rule 5712".into() });
        assert!(!read("delete root ::ffff:198.51.100.7").unwrap().add);
        assert_eq!(read("delete - ::ffff:198.51.100.7").unwrap().address.to_string(), "198.51.100.7");
        for line in ["add", "add - -", "add - evil.example", "add - 198.51.100.7/8", "add - 198.51.100.7;id", "remove - 198.51.100.7", "-h"]
        {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(!read("add - \u{1b}[2J").unwrap_err()[0].contains('\u{1b}'));
    }

    #[test]
    fn wazuh_is_asked_back_before_anything_is_done() {
        let go_on = json!({"version": 1, "command": "continue"}).to_string() + "\n";
        let (order, out) = heard(&(message("add", "198.51.100.7") + &go_on));
        assert_eq!(order.unwrap().unwrap().why, "alert 1700000000.4711, rule 5712");
        let asked: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&asked["command"], &asked["parameters"]["keys"]), (&json!("check_keys"), &json!(["198.51.100.7"])));
        assert_eq!(heard(&(message("add", "198.51.100.7") + &go_on.replace("continue", "abort"))).0.unwrap(), None);
        // Whoever says nothing back has not agreed.
        assert!(heard(&message("add", "198.51.100.7")).0.is_err());
        assert!(heard(&(message("add", "198.51.100.7") + "{}\n")).0.is_err());
        let (order, out) = heard(&message("delete", "198.51.100.7"));
        assert!(!order.unwrap().unwrap().add && out.is_empty());
        for text in ["", "\n", "{", "[]\n", &message("restart", "198.51.100.7"), &message("add", "localhost"), &"x".repeat(200_000)] {
            assert!(heard(text).0.is_err());
        }
        let fifth = json!({"command": "disable", "source": {"ip": "2001:db8::7"}, "wazuh": {"active_response": {"name": "block-ip"}}});
        assert!(!heard(&(fifth.to_string() + "\n")).0.unwrap().unwrap().add);
    }
}
