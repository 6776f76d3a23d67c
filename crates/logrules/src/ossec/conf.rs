//! `ossec.conf`: which files make the rules, and what is to be done about whom. Only said here, never done.

use super::dialects::{self, Dialect};
use super::lists::{self, Net};
use super::load::{Loader, nearest};
use super::rule::Rule;
use super::tree::word_match;
use super::xml::Element;
use crate::pattern::Pattern;
use model::net::Prefix;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What `ossec.conf` says.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Rule files in their order, as they are written.
    pub rules: Vec<String>,
    /// Decoder files in their order.
    pub decoders: Vec<String>,
    /// Folders of rule files, each with the pattern that names must match (Wazuh and OSSEC 3 on).
    pub rule_folders: Vec<String>,
    /// Folders of decoder files.
    pub decoder_folders: Vec<String>,
    /// Rule files of those folders that are to be left out.
    pub excluded: Vec<String>,
    /// Lists.
    pub lists: Vec<String>,
    /// Who is never responded to.
    allowed: Vec<Net>,
    allowed_names: Vec<Pattern>,
    /// Commands by their names.
    pub commands: Vec<Command>,
    /// When which command is run.
    pub responses: Vec<Response>,
    /// For how long the second, third, … offence is answered.
    pub repeated: Vec<Duration>,
}

/// `<command>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// Its name.
    pub name: Arc<str>,
    /// The script's file name.
    pub executable: String,
    /// It wants an address.
    pub wants_address: bool,
    /// It wants a user.
    pub wants_user: bool,
    /// It wants a file name.
    pub wants_file: bool,
    /// It can be undone.
    pub timeout_allowed: bool,
}

/// Where a response is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// On the server.
    pub server: bool,
    /// Where the line came from.
    pub local: bool,
    /// On one agent.
    pub defined_agent: bool,
    /// On all agents.
    pub all: bool,
}

/// `<active-response>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The command's name.
    pub command: Arc<str>,
    /// Where.
    pub location: Location,
    /// The agent of `defined-agent`.
    pub agent: Option<String>,
    /// From this level on; 0 if the level doesn't matter.
    pub level: u8,
    /// For these rules.
    pub rules: Vec<u32>,
    /// For rules of these groups, `a|b`.
    pub groups: Option<String>,
    /// After which time it is undone.
    pub timeout: Option<Duration>,
}

impl Conf {
    /// Reads it.
    pub(crate) fn read(elements: &[Element], loader: &mut Loader) -> Conf {
        let mut conf = Conf::default();
        let mut sections: Vec<&Element> = Vec::new();
        for root in elements {
            if root.name != "ossec_config" {
                loader.problem(root.line, format!("<{}> can't stand here: only <ossec_config>", root.name));
            }
            sections.extend(&root.children);
        }
        let mut passed_over: Vec<&str> = Vec::new();
        for section in &sections {
            match section.name.as_str() {
                "command" => conf.command(section, loader),
                "rules" | "ruleset" => conf.files(section, loader),
                "global" => conf.global(section, loader),
                "active-response" => {}
                other => {
                    if !passed_over.contains(&other) {
                        passed_over.push(other);
                        loader.notice(section.line, format!("<{other}> is not honoured here"));
                    }
                }
            }
        }
        // Responses name commands, which may be written behind them.
        for section in sections.iter().filter(|section| section.name == "active-response") {
            conf.response(section, loader);
        }
        conf
    }

    fn global(&mut self, section: &Element, loader: &mut Loader) {
        for option in &section.children {
            if !matches!(option.name.as_str(), "white_list" | "allow_list") {
                continue;
            }
            let text = option.text.trim();
            match Net::parse(text) {
                Some(net) => self.allowed.push(net),
                None => match dialects::compile(text, Dialect::Sregex) {
                    Ok(pattern) => self.allowed_names.push(pattern),
                    Err(error) => loader.problem(option.line, format!("<{}>: {text:?}: {error}", option.name)),
                },
            }
        }
        let known = ["white_list", "allow_list"];
        let others: Vec<&str> = section.children.iter().map(|option| option.name.as_str()).filter(|name| !known.contains(name)).collect();
        if !others.is_empty() {
            loader.notice(section.line, format!("<global>: not honoured here: {}", others.join(", ")));
        }
    }

    fn files(&mut self, section: &Element, loader: &mut Loader) {
        for option in &section.children {
            let text = option.text.trim().to_owned();
            match option.name.as_str() {
                "include" | "rule" | "rule_include" => self.rules.push(text),
                "decoder" | "decoder_include" => self.decoders.push(text),
                "rule_dir" => self.rule_folders.push(text),
                "decoder_dir" => self.decoder_folders.push(text),
                "rule_exclude" | "decoder_exclude" => self.excluded.push(text),
                "list" => self.lists.push(text),
                other => loader.notice(option.line, format!("<{}>: <{other}> is not honoured here", section.name)),
            }
        }
    }

    fn command(&mut self, section: &Element, loader: &mut Loader) {
        let mut command = Command::default();
        let mut expects = false;
        for option in &section.children {
            let text = option.text.trim();
            match option.name.as_str() {
                "name" => command.name = text.into(),
                "executable" => text.clone_into(&mut command.executable),
                "expect" => {
                    expects = true;
                    let wants = |word| text.contains(word);
                    (command.wants_address, command.wants_user, command.wants_file) = (wants("srcip"), wants("user"), wants("filename"));
                }
                "timeout_allowed" => command.timeout_allowed = text == "yes",
                "extra_args" => loader.notice(option.line, format!("command {}: <extra_args> is not honoured here", command.name)),
                other => loader.problem(option.line, format!("<command>: no such element: <{other}>")),
            }
        }
        if command.name.is_empty() || command.executable.is_empty() {
            return loader.problem(section.line, "<command> needs a name and an executable".into());
        }
        if !expects {
            // Wazuh's scripts look for themselves: for the user if they lock accounts, else for the address.
            command.wants_user = command.executable.contains("account");
            command.wants_address = !command.wants_user;
        }
        self.commands.push(command);
    }

    fn response(&mut self, section: &Element, loader: &mut Loader) {
        let mut response = Response::default();
        let (mut disabled, mut repeated) = (false, false);
        for option in &section.children {
            let (text, line) = (option.text.trim(), option.line);
            match option.name.as_str() {
                "command" => response.command = text.into(),
                "location" => {
                    let any = |words: &[&str]| words.iter().any(|word| text.to_ascii_lowercase().contains(word));
                    response.location = Location {
                        server: any(&["as", "analysisd", "analysis-server", "server"]),
                        local: any(&["local"]),
                        defined_agent: any(&["defined-agent"]),
                        all: any(&["all", "any"]),
                    };
                }
                "agent_id" => response.agent = Some(text.to_owned()),
                "level" => match text.parse() {
                    Ok(level @ 0..=20) => response.level = level,
                    _ => loader.problem(line, format!("<active-response>: levels go from 0 to 20, not {text:?}")),
                },
                "rules_id" => response.rules = text.split([',', ' ']).filter_map(|id| id.trim().parse().ok()).collect(),
                "rules_group" => response.groups = Some(text.to_owned()),
                "timeout" => match text.parse() {
                    Ok(0) => {}
                    Ok(seconds) => response.timeout = Some(Duration::from_secs(seconds)),
                    Err(_) => loader.problem(line, format!("<active-response>: <timeout> is in seconds, not {text:?}")),
                },
                "disabled" => disabled = text == "yes",
                "repeated_offenders" => {
                    repeated = true;
                    let minutes = text.split([',', ' ']).filter_map(|minutes| minutes.trim().parse::<u64>().ok());
                    self.repeated = minutes.take(5).map(|minutes| Duration::from_secs(minutes * 60)).collect();
                }
                other => {
                    let known = [
                        "command",
                        "location",
                        "agent_id",
                        "level",
                        "rules_id",
                        "rules_group",
                        "timeout",
                        "disabled",
                        "repeated_offenders",
                    ];
                    loader.problem(line, format!("<active-response>: no such element: <{other}>{}", nearest(other, known.into_iter())));
                }
            }
        }
        if disabled {
            return loader.notice(section.line, format!("the active response {} is disabled", response.command));
        }
        if response.command.is_empty() {
            if !repeated {
                loader.problem(section.line, "<active-response> needs a command".into());
            }
            return;
        }
        let line = section.line;
        let Some(command) = self.commands.iter().find(|command| command.name == response.command) else {
            let hint = nearest(&response.command, self.commands.iter().map(|command| &*command.name));
            return loader.problem(line, format!("no command is called {}{hint}", response.command));
        };
        if response.timeout.is_some() && !command.timeout_allowed {
            return loader.problem(line, format!("command {} allows no timeout", command.name));
        }
        if !response.location.server && !response.location.local {
            loader.notice(line, format!("the active response {} is for other hosts (agents): not done here", response.command));
        }
        self.responses.push(response);
    }

    /// Which responses a rule earns; their places.
    pub(crate) fn earned(&self, rule: &Rule) -> Vec<u32> {
        let earns = |response: &Response| {
            response.level > 0 && rule.level >= response.level
                || response.rules.contains(&rule.id)
                || response.groups.as_deref().is_some_and(|groups| word_match(groups, &rule.groups))
        };
        if rule.level == 0 || rule.no_response {
            return Vec::new();
        }
        let here = |response: &Response| response.location.server || response.location.local;
        (0..).zip(&self.responses).filter(|(_, response)| earns(response) && here(response)).map(|(place, _)| place).collect()
    }

    /// Who is never responded to, as far as it can be said in addresses; and what else stands in the list: names, exceptions.
    pub fn allowed(&self) -> (Vec<Prefix>, usize) {
        let (plain, others): (Vec<&Net>, Vec<&Net>) = self.allowed.iter().partition(|net| !net.negated && net.prefix().is_some());
        (plain.into_iter().filter_map(Net::prefix).collect(), others.len() + self.allowed_names.len())
    }

    /// The commands that responses run here, each once.
    pub fn used(&self) -> impl Iterator<Item = &Command> {
        let here = |response: &&Response| response.location.server || response.location.local;
        self.commands.iter().filter(move |command| self.responses.iter().filter(here).any(|response| response.command == command.name))
    }

    /// Whether nobody responds to this one.
    pub(crate) fn allows(&self, address: &str) -> bool {
        let net = address.parse::<IpAddr>().is_ok_and(|address| !self.allowed.is_empty() && lists::any(&self.allowed, address));
        net || self.allowed_names.iter().any(|name| name.is_match(address.as_bytes(), 0) == Ok(true))
    }

    /// A command by its name.
    pub fn command_named(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| &*command.name == name)
    }
}
