//! Reload: what the file says now takes the place of what is in force, all of it or nothing. Never forgets what was learnt, never ends a
//! sensor whose log and settings stay, and never leaves unsaid what has to wait for a restart.

use super::Warden;
use super::prepare::APPLICATIONS;
use super::slots;
use super::ward::{After, Ward};
use crate::config::problems::Diagnostic;
use crate::config::{ApplicationsConfig, Config, ControlConfig, LoggingConfig, NflogConfig, ProcessConfig, StoreConfig};
use crate::lives::applications::engine;
use crate::lives::{APPLICATIONS_SLOT, ENVOY_SLOT, GUARD_SLOT, PACKETS_SLOT, monotonic};
use crate::lives::{envoy, fingerprints, signatures};
use link::message::{ANSWER_BYTES, ANSWER_LINES, Life, Message};
use std::io;
use std::path::{Path, PathBuf};
use sys::fd::sealed_text;
use sys::process::Order;

/// Where the configuration comes from: what `riposte run` was given.
#[derive(Debug, Clone)]
pub struct Origin {
    file: Option<PathBuf>,
    dry_run: bool,
}

/// What became of a reload.
#[derive(Debug)]
pub struct Answer {
    /// Whether the new configuration is in force.
    pub ok: bool,
    /// What is to be told, or what is wrong with it.
    pub lines: Vec<String>,
}

impl Origin {
    /// The file that was named (`None`: the default one, if it is there), and whether a dry run was asked for beside it.
    ///
    /// # Errors
    /// If there is no working folder to find the file from.
    pub fn new(file: Option<&Path>, dry_run: bool) -> io::Result<Self> {
        Ok(Origin { file: file.map(std::path::absolute).transpose()?, dry_run })
    }

    /// Reads it.
    ///
    /// # Errors
    /// One diagnostic for each thing that is wrong with it.
    pub fn read(&self) -> Result<Config, Vec<Diagnostic>> {
        let mut config = match &self.file {
            Some(path) => Config::load(path)?,
            None => Config::load_default()?,
        };
        config.policy.dry_run |= self.dry_run;
        if config.applications.enabled {
            // Whom OSSEC's manager spares, riposte's own rules must spare, too.
            let wrong = |message| Diagnostic { file: "[applications] rules".to_owned(), at: None, message };
            let exempt =
                engine::white_list(&config.applications.rules).map_err(|lines| lines.into_iter().map(wrong).collect::<Vec<_>>())?;
            config.policy.exempt.extend(exempt);
        }
        let wrong = |message| Diagnostic { file: "[signatures] auto_dl".to_owned(), at: None, message };
        let spared = signatures::spared(&config.signatures).map_err(|lines| lines.into_iter().map(wrong).collect::<Vec<_>>())?;
        config.policy.exempt.extend(spared);
        Ok(config)
    }
}

/// The new configuration as far as it can be taken over now: what can't be keeps its old value, and is named. `can_guard`: there are listeners for
/// guarded ports.
fn adoptable(old: &Config, mut new: Config, can_guard: bool) -> (Config, Vec<&'static str>) {
    fn keep<T: Clone + PartialEq>(key: &'static str, old: &T, new: &mut T, later: &mut Vec<&'static str>) {
        if old != new {
            new.clone_from(old);
            later.push(key);
        }
    }
    let mut later = Vec::new();
    let fits = envoy::fits(old, &new);
    // Every section and key by name, so that one that is added later has its say here. What is not kept takes effect at once.
    let Config {
        store,
        control,
        process,
        nflog,
        capture,
        lines: _,
        logs: _,
        applications,
        signatures: _,
        fingerprint: _,
        guard,
        scan: _,
        policy: _,
        exempt_names: _,
        derive: _,
        respond,
        responses,
        alert,
        whois,
        reverse_dns,
        feeds,
        dshield,
        log,
    } = &mut new;
    if !can_guard && !guard.answered().is_empty() {
        keep("guard (its ports, stealth, banner, portsentry)", &old.guard, guard, &mut later);
    }
    // Whoever is connected to one of these is taken for an administrator: not where it is enough to knock.
    if nflog.ssh_ports.iter().any(|port| guard.tcp.contains(*port)) {
        keep("sense.nflog.ssh_ports", &old.nflog.ssh_ports, &mut nflog.ssh_ports, &mut later);
    }
    let ApplicationsConfig { enabled: _, files: _, journal: _, syslog, pipe, rules: _, from: _, timezone: _ } = applications;
    keep("applications.syslog", &old.applications.syslog, syslog, &mut later);
    keep("applications.pipe", &old.applications.pipe, pipe, &mut later);
    let StoreConfig { path, history_days: _, history_max: _, max_mib: _, min_free_percent: _ } = store;
    keep("store.path", &old.store.path, path, &mut later);
    let ControlConfig { socket, group } = control;
    keep("control.socket", &old.control.socket, socket, &mut later);
    keep("control.group", &old.control.group, group, &mut later);
    let ProcessConfig { user } = process;
    keep("process.user", &old.process.user, user, &mut later);
    let NflogConfig { enabled, group, rate, burst, per_source_rate, per_source_burst, ssh_ports: _ } = nflog;
    keep("sense.nflog.enabled", &old.nflog.enabled, enabled, &mut later);
    keep("sense.nflog.group", &old.nflog.group, group, &mut later);
    keep("sense.nflog.rate", &old.nflog.rate, rate, &mut later);
    keep("sense.nflog.burst", &old.nflog.burst, burst, &mut later);
    keep("sense.nflog.per_source_rate", &old.nflog.per_source_rate, per_source_rate, &mut later);
    keep("sense.nflog.per_source_burst", &old.nflog.per_source_burst, per_source_burst, &mut later);
    keep("sense.capture", &old.capture, capture, &mut later);
    keep("respond", &old.respond, respond, &mut later);
    // Who runs them was started while there was every right.
    keep("response", &old.responses, responses, &mut later);
    // What it takes beside was given up at the start.
    if !fits {
        keep("alert", &old.alert, alert, &mut later);
        keep("whois", &old.whois, whois, &mut later);
        keep("reverse_dns", &old.reverse_dns, reverse_dns, &mut later);
    }
    // The process that fetches them has opened what it needs.
    keep("feed", &old.feeds, feeds, &mut later);
    keep("dshield", &old.dshield, dshield, &mut later);
    let LoggingConfig { level, format, target } = log;
    keep("log.level", &old.log.level, level, &mut later);
    keep("log.format", &old.log.format, format, &mut later);
    keep("log.target", &old.log.target, target, &mut later);
    (new, later)
}

impl Warden {
    /// Reads the configuration again and goes by it from now on; any error keeps the one in force, and nothing changes.
    pub(super) fn reload(&mut self) -> Answer {
        self.notify.reloading(monotonic());
        let read = self.origin.read().map_err(|wrong| wrong.iter().map(ToString::to_string).collect());
        let result = read.and_then(|config| self.take_over(config));
        self.calm.begin_again();
        let mut answer = match result {
            Ok(lines) => {
                tracing::info!(dry_run = self.config.policy.dry_run, "the configuration was read again and is in force");
                lines.iter().for_each(|line| tracing::warn!("{line}"));
                Answer { ok: true, lines }
            }
            Err(lines) => {
                lines.iter().for_each(|line| tracing::error!("not reloaded: {line}"));
                tracing::error!("not reloaded: the configuration from before stays in force");
                Answer { ok: false, lines }
            }
        };
        let more = answer.lines.len().saturating_sub(ANSWER_LINES - 1);
        if more > 0 {
            answer.lines.truncate(ANSWER_LINES - 1);
            answer.lines.push(format!("and {more} more"));
        }
        answer.lines.iter_mut().for_each(|line| line.truncate(line.floor_char_boundary(ANSWER_BYTES)));
        if self.notify.is_ready() {
            let first = answer.lines.first().filter(|_| !answer.ok).map(|line| format!("not reloaded: {line}"));
            self.tell_ready(first.as_deref());
        }
        answer
    }

    /// Puts a configuration into force; what has to wait for a restart, by name.
    fn take_over(&mut self, new: Config) -> Result<Vec<String>, Vec<String>> {
        let (mut new, later) = adoptable(&self.config, new, self.prepared.can_guard());
        let mut said: Vec<String> = later.into_iter().map(|key| format!("{key} takes effect at the next restart")).collect();
        // Read here first: a sensor that can't read them would be started again and again, and the old rules be gone.
        if new.applications.enabled && !new.applications.rules.is_empty() {
            engine::load(&new.applications, &new.responses)
                .map_err(|wrong| wrong.iter().map(|error| format!("[applications] rules: {error}")).collect::<Vec<_>>())?;
        }
        signatures::load(&new.signatures)
            .map_err(|wrong| wrong.iter().map(|error| format!("[signatures]: {error}")).collect::<Vec<_>>())?;
        fingerprints::load(&new.fingerprint)
            .map_err(|wrong| wrong.iter().map(|error| format!("[fingerprint]: {error}")).collect::<Vec<_>>())?;
        let changes = self.prepared.compare(&new.logs)?;
        for source in &changes.later {
            let name = slots::name(source);
            said.push(format!("sense.log ({name}) takes effect at the next restart: it takes a right that riposte gave up at its start"));
        }
        if new.applications != self.config.applications
            && new.applications.enabled
            && !self.prepared.may_read_applications(&new.applications)
        {
            new.applications.clone_from(&self.config.applications);
            said.push("[applications] takes effect at the next restart: it takes a right that riposte gave up at its start".to_owned());
        }
        new.logs.retain(|source| !changes.later.contains(source));
        let text = sealed_text(new.canonical().as_bytes()).map_err(|error| vec![format!("out of resources: {error}")])?;
        self.firewall.reshape(&new).map_err(|error| vec![format!("the firewall refuses: {error}")])?;

        // From here on nothing can fail.
        let old = std::mem::replace(&mut self.config, new);
        self.shield.reconfigure(&self.config.court());
        self.set_exempt();
        self.send_judge(&Message::Config, Some(text));
        let gone: Vec<u16> = changes.gone.iter().copied().collect();
        gone.iter().for_each(|slot| self.notify.forget(&self.prepared.log_name(*slot)));
        let (begun, renewed) = self.prepared.adopt(changes);
        self.prepared.lasting(&self.config).for_each(|(name, fd)| self.notify.keep(&name, fd));
        // What is in files may have changed without the configuration.
        let Config { signatures, fingerprint, lines, .. } = &self.config;
        let other_marks = old.signatures != *signatures || old.fingerprint != *fingerprint || old.lines != *lines;
        let other_marks = other_marks || signatures.has_files() || fingerprint.has_files();
        for index in 0..self.wards.len() {
            let ward = &self.wards[index];
            let is_log = ward.life == Life::Log && ward.after != After::Nothing;
            if other_marks && (is_log && !gone.contains(&ward.slot) || ward.life == Life::Packets && ward.after != After::Nothing) {
                self.dismiss(index, After::Renewal);
                continue;
            }
            if is_log && gone.contains(&ward.slot) {
                self.dismiss(index, After::Nothing);
            } else if is_log && renewed.contains(&ward.slot) {
                self.dismiss(index, After::Renewal);
            }
        }
        begun.into_iter().for_each(|slot| self.hire(Ward::late(Life::Log, slot, self.prepared.log_name(slot), monotonic())));
        self.renew_applications(&old);
        self.renew_guard(&old);
        self.renew_exemptions(&old);
        if envoy::differs(&old, &self.config) {
            self.renew(Life::Envoy, ENVOY_SLOT, "envoy", envoy::is_needed(&self.config));
        }
        self.tell_rebuilt();
        Ok(said)
    }

    /// Who reads application logs begins again if anything about them has changed, and if there are rules beside riposte's own: what is in their
    /// files may have. It goes on where it has left off.
    fn renew_applications(&mut self, old: &Config) {
        if old.applications == self.config.applications && (self.config.applications.rules.is_empty() || !self.config.applications.enabled)
        {
            return;
        }
        self.renew(Life::Applications, APPLICATIONS_SLOT, APPLICATIONS, self.config.applications.enabled);
    }

    /// Who sees packets to guarded ports, and who answers there, begin again if those have changed. What comes meanwhile waits in their sockets.
    fn renew_guard(&mut self, old: &Config) {
        if old.guard == self.config.guard {
            return;
        }
        self.renew(Life::Packets, PACKETS_SLOT, "packets", self.config.nflog.enabled);
        self.renew(Life::Guard, GUARD_SLOT, "guard", self.prepared.can_guard() && !self.config.guard.answered().is_empty());
    }

    /// A child begins again, or for the first time, or ends because it is not needed any more.
    fn renew(&mut self, life: Life, slot: u16, name: &str, is_needed: bool) {
        match self.wards.iter().position(|ward| ward.life == life && ward.after != After::Nothing) {
            Some(index) => self.dismiss(index, if is_needed { After::Renewal } else { After::Nothing }),
            None if is_needed => self.hire(Ward::late(life, slot, name.to_owned(), monotonic())),
            None => {}
        }
    }

    /// Those who find out whom to exempt begin again if what they look for has changed.
    fn renew_exemptions(&mut self, old: &Config) {
        if (old.derive, &old.nflog.ssh_ports) != (self.config.derive, &self.config.nflog.ssh_ports) {
            self.renew(Life::Host, 0, "host", true);
        }
        let names = |config: &Config| (config.derive.time_servers, config.exempt_names.clone());
        if names(old) == names(&self.config) {
            return;
        }
        let is_needed = self.config.derive.time_servers || !self.config.exempt_names.is_empty();
        self.renew(Life::Lookup, 0, "lookup", is_needed);
        if !is_needed {
            // Whom only it knew is exempt no longer.
            self.shield.derive(Life::Lookup, Vec::new());
            self.spread_exemptions();
        }
    }

    /// Ends a child, for what is to follow.
    fn dismiss(&mut self, index: usize, after: After) {
        self.cut_off(index);
        let ward = &mut self.wards[index];
        ward.after = after;
        ward.was_ready = true;
        match &ward.child {
            Some(child) => drop(child.order(Order::Kill)),
            None => ward.ends(false, monotonic()),
        }
    }

    /// Takes a child in, in the place of one that is over if there is any: a place is a poll token, and must stay.
    fn hire(&mut self, ward: Ward) {
        match self.wards.iter().position(Ward::is_over) {
            Some(index) => self.wards[index] = ward,
            None => self.wards.push(ward),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;
    use std::time::Duration;

    #[test]
    fn what_has_to_wait_keeps_its_old_value_and_is_named() {
        let old = Config::default();
        let mut new = old.clone();
        new.store.path = "/elsewhere".into();
        new.store.history_days = 7;
        new.control.group = Some("adm".into());
        new.nflog.rate = 9;
        new.nflog.ssh_ports = vec![2_222];
        new.respond.kinds = vec![&respond::null::KIND];
        let response = "[[response]]\nname='a'\nprotocol='ossec'\nprogram='/bin/true'";
        new.responses = Config::parse(response, "x").unwrap().responses;
        new.log.level = LogLevel::Debug;
        new.policy.block_max = Duration::from_secs(60);
        let (taken, later) = adoptable(&old, new, true);
        assert_eq!(later, ["store.path", "control.group", "sense.nflog.rate", "respond", "response", "log.level"]);
        let mut expected = old;
        expected.store.history_days = 7;
        expected.nflog.ssh_ports = vec![2_222];
        expected.policy.block_max = Duration::from_secs(60);
        assert_eq!(taken, expected);
        assert_eq!(adoptable(&expected, expected.clone(), false), (taken, Vec::new()));
    }

    #[test]
    fn ports_can_be_guarded_anew_if_there_are_listeners_or_nobody_answers() {
        let old = Config::default();
        let new = |text: &str| Config::parse(text, "x").unwrap();
        let answered = new("[guard]\ntcp = [23]\n");
        assert_eq!(adoptable(&old, answered.clone(), true), (answered.clone(), Vec::new()));
        let (taken, later) = adoptable(&old, answered.clone(), false);
        assert_eq!((taken, later.len()), (old.clone(), 1));
        let quiet = new("[guard]\ntcp = [23]\nstealth = true\n");
        assert_eq!(adoptable(&old, quiet.clone(), false), (quiet, Vec::new()));
        // Ports that stay guarded do not become administrators'.
        let mut both = new("[guard]\ntcp = [25]\n[sense.nflog]\nssh_ports = [23]\n");
        let (taken, later) = adoptable(&answered, both.clone(), false);
        assert_eq!((taken.nflog.ssh_ports, later.len()), (answered.nflog.ssh_ports.clone(), 2));
        both.guard = answered.guard.clone();
        assert_eq!(adoptable(&answered, both, true).1, ["sense.nflog.ssh_ports"]);
    }

    #[test]
    fn a_dry_run_that_was_asked_for_on_the_command_line_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("riposte.toml");
        std::fs::write(&file, "[policy]\ndry_run = false\n").unwrap();
        assert!(Origin::new(Some(&file), true).unwrap().read().unwrap().policy.dry_run);
        assert!(!Origin::new(Some(&file), false).unwrap().read().unwrap().policy.dry_run);
        assert!(Origin::new(Some(Path::new("riposte.toml")), false).unwrap().file.unwrap().is_absolute());
        std::fs::write(&file, "[policy]\ndry_rnu = false\n").unwrap();
        let wrong = Origin::new(Some(&file), true).unwrap().read().unwrap_err();
        assert!(wrong[0].to_string().contains("riposte.toml:2:1") && wrong[0].message.contains("dry_run"), "{wrong:?}");
    }
}
