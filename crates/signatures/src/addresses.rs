//! The address and port parts of a rule: `any`, `$HOME_NET`, `!192.0.2.0/24`, `[10.0.0.0/8,!10.1.0.0/16]`, `[80,8000:8010,!8005]`.
//! Never resolves a name.

use model::net::Prefix;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Variables that stand for others, at most so deep, and entries of one list.
const DEPTH: u32 = 20;
const ENTRIES: usize = 65_536;

/// The variables of rules: names without the `$`, and what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Default for Variables {
    /// psad's own names: every network, and the ports that Snort's rules suppose.
    fn default() -> Self {
        let any = ["HOME_NET", "EXTERNAL_NET"].map(|name| (name, "any"));
        let home = ["HTTP", "SMTP", "DNS", "SQL", "TELNET", "SSH", "FTP", "SIP"].map(|service| (service, "$HOME_NET"));
        let ports = [("HTTP_PORTS", "80"), ("SHELLCODE_PORTS", "!80"), ("ORACLE_PORTS", "1521"), ("SSH_PORTS", "22"), ("FTP_PORTS", "21")];
        let plain = any.into_iter().chain(ports).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let servers = home.into_iter().map(|(service, value)| (format!("{service}_SERVERS"), value.to_owned()));
        Variables(plain.chain(servers).chain([("AIM_SERVERS".to_owned(), "any".to_owned())]).collect())
    }
}

impl Variables {
    /// Sets one; the latest counts.
    ///
    /// # Errors
    /// If the name is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = name.trim().trim_start_matches('$');
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("'{name}' is no variable's name: letters, digits and _"));
        }
        self.0.insert(name.to_owned(), value.trim().to_owned());
        Ok(())
    }

    fn value(&self, name: &str) -> Result<&str, String> {
        let found = self.0.get(name).map(String::as_str);
        found.ok_or_else(|| format!("there is no variable '${name}'{}", crate::did_you_mean(name, self.0.keys().map(String::as_str))))
    }
}

/// Addresses, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Empty: any.
    within: Vec<Prefix>,
    without: Vec<Prefix>,
}

impl Addresses {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str, variables: &Variables) -> Result<Addresses, String> {
        let mut found = Addresses::default();
        let mut any = false;
        each(text, variables, &mut |entry, not| {
            if entry.eq_ignore_ascii_case("any") {
                any |= !not;
                return if not { Err("'!any' is nobody".to_owned()) } else { Ok(()) };
            }
            let list = if not { &mut found.without } else { &mut found.within };
            list.push(prefix(entry)?);
            Ok(())
        })?;
        if any {
            found.within.clear();
        }
        Ok(found)
    }

    /// Whether they are all addresses.
    #[inline]
    pub fn are_all(&self) -> bool {
        self.within.is_empty() && self.without.is_empty()
    }

    /// Whether it has this one.
    pub fn has(&self, address: IpAddr) -> bool {
        let among = |list: &[Prefix]| list.iter().any(|prefix| prefix.contains(address));
        (self.within.is_empty() || among(&self.within)) && !among(&self.without)
    }
}

/// An address, or a network as `10.0.0.0/8` or `10.0.0.0/255.0.0.0`.
pub(crate) fn prefix(text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|_| format!("'{text}' is no address and no network"))
}

/// Ports: rising ranges that do not overlap. Port 0 is one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// Reads them; `a:b` has both ends, and one that is left out is the first or last there is.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(text: &str, variables: &Variables) -> Result<Ports, String> {
        let (mut within, mut without) = (Vec::new(), Vec::new());
        let mut any = false;
        each(text, variables, &mut |entry, not| {
            if entry.eq_ignore_ascii_case("any") {
                any |= !not;
                return if not { Err("'!any' is no port".to_owned()) } else { Ok(()) };
            }
            if not { &mut without } else { &mut within }.push(ports(entry)?);
            Ok(())
        })?;
        if any || within.is_empty() {
            within = vec![(0, u16::MAX)];
        }
        for (first, last) in without {
            let below = |range: (u16, u16)| first.checked_sub(1).map(|end| (range.0, range.1.min(end))).filter(|(a, b)| a <= b);
            let above = |range: (u16, u16)| last.checked_add(1).map(|start| (range.0.max(start), range.1)).filter(|(a, b)| a <= b);
            within = within.into_iter().flat_map(|range| below(range).into_iter().chain(above(range))).collect();
        }
        within.sort_unstable();
        within.dedup_by(|next, last| (next.0 <= last.1).then(|| last.1 = last.1.max(next.1)).is_some());
        Ok(Ports(within))
    }

    /// Whether they are all ports: then what has none fits, too.
    pub fn are_all(&self) -> bool {
        self.0 == [(0, u16::MAX)]
    }

    /// Whether this one is among them. No port is among all of them only.
    pub fn has(&self, port: Option<u16>) -> bool {
        match port {
            None => self.are_all(),
            Some(port) => self.0.iter().any(|(first, last)| (*first..=*last).contains(&port)),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Each of them, rising.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

/// One port or a range.
fn ports(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("'{text}' is no port and no range of ports; examples: 80, 6000:6010, 1024:");
    let port = |text: &str, open: u16| match text.trim() {
        "" => Ok(open),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    match text.split_once(':') {
        None if text.is_empty() => Err(wrong()),
        None => port(text, 0).map(|port| (port, port)),
        Some((first, last)) => {
            Ok((port(first, 0)?, port(last, u16::MAX)?)).and_then(|(a, b)| if a <= b { Ok((a, b)) } else { Err(wrong()) })
        }
    }
}

/// Hands each entry of a list over, variables and inner lists resolved; the second argument says whether it is negated.
fn each(text: &str, variables: &Variables, take: &mut dyn FnMut(&str, bool) -> Result<(), String>) -> Result<(), String> {
    let mut left = ENTRIES;
    walk(text, false, DEPTH, variables, &mut |entry, not| {
        left = left.checked_sub(1).ok_or("the list is too long")?;
        take(entry, not)
    })
}

fn walk(
    text: &str,
    not: bool,
    depth: u32,
    variables: &Variables,
    take: &mut dyn FnMut(&str, bool) -> Result<(), String>,
) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or("variables or lists stand in each other too deeply")?;
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('!') {
        return walk(rest, !not, depth, variables, take);
    }
    if let Some(name) = text.strip_prefix('$') {
        return walk(variables.value(name.trim_matches(['{', '}', '(', ')']))?, not, depth, variables, take);
    }
    let Some(inside) = text.strip_prefix('[') else { return take(text, not) };
    let inside = inside.strip_suffix(']').ok_or_else(|| format!("the list '{text}' has no end"))?;
    let (mut start, mut open) = (0, 0_u32);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => open = open.saturating_sub(1),
            b',' if open == 0 => {
                walk(inside.get(start..at).unwrap_or_default(), not, depth, variables, take)?;
                start = at + 1;
            }
            _ => {}
        }
    }
    walk(inside.get(start..).unwrap_or_default(), not, depth, variables, take)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Result<Addresses, String> {
        let mut variables = Variables::default();
        variables.set("HOME_NET", "[192.0.2.0/24, 2001:db8::/32]").unwrap();
        variables.set("LOOP", "$LOOP").unwrap();
        Addresses::read(text, &variables)
    }

    #[test]
    fn addresses_with_variables_negation_and_lists() {
        let table: [(&str, &[&str], &[&str]); 9] = [
            ("any", &["192.0.2.1", "2001:db8::1"], &[]),
            ("$HOME_NET", &["192.0.2.1", "2001:db8::1"], &["198.51.100.7"]),
            ("!$HOME_NET", &["198.51.100.7"], &["192.0.2.1", "2001:db8::1"]),
            ("$HTTP_SERVERS", &["192.0.2.1"], &["198.51.100.7"]),
            ("[198.51.100.0/24,!198.51.100.7]", &["198.51.100.8"], &["198.51.100.7", "192.0.2.1"]),
            ("![198.51.100.7, 198.51.100.8]", &["198.51.100.9"], &["198.51.100.7", "198.51.100.8"]),
            ("[any,!198.51.100.7]", &["192.0.2.1"], &["198.51.100.7"]),
            ("10.0.0.0/255.0.0.0", &["10.9.8.7"], &["11.0.0.0"]),
            ("[[10.0.0.0/8,[11.0.0.1]],![10.1.0.0/16]]", &["10.0.0.1", "11.0.0.1"], &["10.1.2.3", "11.0.0.2"]),
        ];
        for (text, has, has_not) in table {
            let found = addresses(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            has.iter().for_each(|address| assert!(found.has(address.parse().unwrap()), "{text} has {address}"));
            has_not.iter().for_each(|address| assert!(!found.has(address.parse().unwrap()), "{text} has not {address}"));
        }
        for (bad, says) in [
            ("$HOME_NTE", "did you mean 'HOME_NET'"),
            ("$LOOP", "too deeply"),
            ("[192.0.2.1", "has no end"),
            ("192.0.2.256", "is no address"),
            ("192.0.2.0/33", "is no address"),
            ("10.0.0.0/255.0.255.0", "is no address"),
            ("!any", "nobody"),
            ("example.org", "is no address"),
            ("", "is no address"),
        ] {
            let wrong = addresses(bad).unwrap_err();
            assert!(wrong.contains(says), "{bad}: {wrong}");
        }
    }

    #[test]
    fn ports_with_ranges_and_negation() {
        let read = |text: &str| Ports::read(text, &Variables::default());
        let table: [(&str, &[u16], &[u16]); 8] = [
            ("any", &[0, 80, 65_535], &[]),
            ("80", &[80], &[81]),
            ("0", &[0], &[1]),
            (":1024", &[0, 1_024], &[1_025]),
            ("60000:", &[60_000, 65_535], &[59_999]),
            ("!6000:6010", &[0, 5_999, 6_011], &[6_000, 6_010]),
            ("[80,8000:8010,!8005]", &[80, 8_000, 8_006], &[8_005, 81]),
            ("$SHELLCODE_PORTS", &[79, 81], &[80]),
        ];
        for (text, has, has_not) in table {
            let ports = read(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            has.iter().for_each(|port| assert!(ports.has(Some(*port)), "{text} has {port}"));
            has_not.iter().for_each(|port| assert!(!ports.has(Some(*port)), "{text} has not {port}"));
        }
        assert!(read("any").unwrap().has(None) && !read("!80").unwrap().has(None));
        assert_eq!(read("[1:5,3:9,9:10]").unwrap().count(), 10);
        for bad in ["", "65536", "-1", "80-90", "90:80", "http", "+80", "!any"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
