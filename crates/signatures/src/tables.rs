//! psad's small tables: `snort_rule_dl`, `ip_options`, `icmp_types`, `icmp6_types`, `protocols`. All read as they come.

use crate::level::{Level, Levels};
use crate::{Problem, lines};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads a table line by line; what is wrong with a line is said, and the line left out.
fn each(file: &str, text: &str, problems: &mut Vec<Problem>, mut take: impl FnMut(&str) -> Result<(), String>) {
    let name: Arc<str> = file.into();
    for (line, content) in lines(text) {
        if let Err(message) = take(content) {
            problems.push(Problem { file: Arc::clone(&name), line, message });
        }
    }
}

/// `snort_rule_dl`: a sid and a level a line.
pub fn levels(file: &str, text: &str, problems: &mut Vec<Problem>) -> Levels {
    let mut levels = Levels::new();
    each(file, text, problems, |line| {
        let mut words = line.trim_end_matches(';').split_whitespace();
        let (Some(sid), Some(level), None) = (words.next(), words.next(), words.next()) else {
            return Err("a line is a sid and a danger level: 2284 3".to_owned());
        };
        let sid = sid.parse().map_err(|_| format!("'{sid}' is no sid"))?;
        levels.insert(sid, Level::read(level)?);
        Ok(())
    });
    levels
}

/// The names of IPv4's options, for `ipopts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpOptionNames(BTreeMap<String, u8>);

/// The options' types by the names that rules have for them (IANA, IP option numbers).
const IP_OPTIONS: [(&str, u8); 25] = [
    ("eol", 0),
    ("nop", 1),
    ("rr", 7),
    ("expm", 10),
    ("mtu", 11),
    ("mtur", 12),
    ("ts", 68),
    ("traceroute", 82),
    ("sec", 130),
    ("lsrr", 131),
    ("lsrre", 132),
    ("extsec", 133),
    ("comsec", 134),
    ("satid", 136),
    ("ssrr", 137),
    ("expaccess", 142),
    ("imitraf", 144),
    ("extproto", 145),
    ("addrext", 147),
    ("ralert", 148),
    ("sbrdcast", 149),
    ("nsapaddr", 150),
    ("dpktstate", 151),
    ("umcast", 152),
    ("expflow", 205),
];
/// Other names for the same: Snort's and Suricata's.
const IP_OPTION_ALIASES: [(&str, u8); 2] = [("esec", 133), ("cipso", 134)];

impl Default for IpOptionNames {
    fn default() -> Self {
        IpOptionNames(IP_OPTIONS.into_iter().chain(IP_OPTION_ALIASES).map(|(name, kind)| (name.to_owned(), kind)).collect())
    }
}

impl IpOptionNames {
    /// Takes a file `ip_options` in: a type, a length, a name and words a line. Its names stand beside riposte's own.
    pub fn read(&mut self, file: &str, text: &str, problems: &mut Vec<Problem>) {
        each(file, text, problems, |line| {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(length), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err("a line is an option's type, its length (or -1) and its name: 131 -1 lsrr".to_owned());
            };
            length.parse::<i32>().map_err(|_| format!("'{length}' is no length"))?;
            let kind = kind.parse().map_err(|_| format!("'{kind}' is no type of an option (0 to 255)"))?;
            self.0.insert(name.to_owned(), kind);
            Ok(())
        });
    }

    /// The type of an option.
    pub(crate) fn kind(&self, name: &str) -> Result<u8, String> {
        let known = || crate::did_you_mean(name, self.0.keys().map(String::as_str));
        self.0.get(name).copied().ok_or_else(|| format!("'{name}' is no IP option{}", known()))
    }
}

/// `icmp_types` or `icmp6_types`: which types and codes somebody has assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IcmpTypes(BTreeMap<u8, BTreeSet<u8>>);

impl IcmpTypes {
    /// Reads a file: a type and its words a line, below it, indented, its codes. A type without codes may have any; one that is called
    /// unassigned is none.
    pub fn read(file: &str, text: &str, problems: &mut Vec<Problem>) -> IcmpTypes {
        let (mut types, mut current): (BTreeMap<u8, BTreeSet<u8>>, Option<u8>) = (BTreeMap::new(), None);
        let name: Arc<str> = file.into();
        for (n, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let Some(number) = words.next() else { continue };
            let rest: Vec<&str> = words.collect();
            // `19 Reserved (for Security)`, `20-29`: a range stands for all of it.
            let (first, last) = number.split_once('-').unwrap_or((number, number));
            let (Ok(first), Ok(last)) = (first.parse::<u8>(), last.parse::<u8>()) else {
                problems.push(Problem { file: Arc::clone(&name), line: n + 1, message: format!("'{number}' is no ICMP type or code") });
                continue;
            };
            // One blank in front of a type is a slip that psad's own file has; codes stand further in.
            let is_code = content.starts_with('\t') || content.starts_with("    ");
            let unassigned = rest.first().is_some_and(|word| word.eq_ignore_ascii_case("unassigned"));
            if is_code {
                current.filter(|_| !unassigned).into_iter().for_each(|kind| types.entry(kind).or_default().extend(first..=last));
            } else {
                current = (!unassigned).then_some(first);
                types.extend((first..=last).filter(|_| !unassigned).map(|kind| (kind, BTreeSet::new())));
            }
        }
        IcmpTypes(types)
    }

    /// Whether this type and code are assigned.
    pub fn has(&self, kind: u8, code: u8) -> bool {
        self.0.get(&kind).is_some_and(|codes| codes.is_empty() || codes.contains(&code))
    }
}

/// `protocols`, as /etc/protocols: names and their numbers.
pub fn protocols(file: &str, text: &str, problems: &mut Vec<Problem>) -> BTreeMap<String, u8> {
    let mut names = BTreeMap::new();
    each(file, text, problems, |line| {
        let mut words = line.split_whitespace();
        let (Some(name), Some(number)) = (words.next(), words.next()) else {
            return Err("a line is a protocol's name and its number: tcp 6 TCP".to_owned());
        };
        let number = number.parse().map_err(|_| format!("'{number}' is no protocol's number (0 to 255)"))?;
        names.extend(std::iter::once(name).chain(words).map(|name| (name.to_ascii_lowercase(), number)));
        Ok(())
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_wrong_lines_are_named() {
        let mut problems = Vec::new();
        let levels = levels("snort_rule_dl", "# sid level\n 1394 4;\n621\t0\n9 6\nx 1\n", &mut problems);
        assert_eq!(levels.into_iter().collect::<Vec<_>>(), [(621, Level::IGNORE), (1394, Level::read("4").unwrap())]);
        let said: Vec<String> = problems.drain(..).map(|problem| problem.to_string()).collect();
        assert_eq!(said, ["snort_rule_dl:4: '6' is no danger level (0 to 5)", "snort_rule_dl:5: 'x' is no sid"]);

        let mut options = IpOptionNames::default();
        options.read("ip_options", "131 -1 lsrr Loose Source Route\n222 -1 mine  My own\n300 -1 x\n", &mut problems);
        assert_eq!((options.kind("mine"), options.kind("ssrr"), problems.len()), (Ok(222), Ok(137), 1));
        assert!(options.kind("lssr").is_err_and(|wrong| wrong.contains("did you mean 'lsrr'")));

        problems.clear();
        let names = protocols("protocols", "ip 0 IP # pseudo\nudplite\t136 UDPLite\nbad x\n", &mut problems);
        assert_eq!((names.get("udplite"), names.get("ip"), problems.len()), (Some(&136), Some(&0), 1));
    }

    #[test]
    fn icmp_types_and_their_codes() {
        let text = "# types\n0   Echo Reply\n    0\n\n1   Unassigned\n\n3   Destination Unreachable\n    0   Net Unreachable\n    1   Host\n\n39  SKIP\n\n\
                    137 Redirect\n     0\n 138     Router Renumbering\n    0   Command\n   x\n";
        let mut problems = Vec::new();
        let types = IcmpTypes::read("icmp_types", text, &mut problems);
        for (kind, code, has) in [
            (0, 0, true),
            (0, 1, false),
            (1, 0, false),
            (3, 1, true),
            (3, 2, false),
            (39, 7, true),
            (40, 0, false),
            (137, 0, true),
            (138, 0, true),
        ] {
            assert_eq!(types.has(kind, code), has, "{kind}/{code}");
        }
        assert_eq!(problems.len(), 1);
    }
}
