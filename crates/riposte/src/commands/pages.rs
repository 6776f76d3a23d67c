//! The manual pages and the shells' completions, from the command line's own definition and the example configuration. Says nothing
//! that stands elsewhere a second time.

use super::{Failure, fail};
use crate::cli::{Cli, Completions, Man};
use clap::CommandFactory;
use std::fs;
use std::io::Write;
use std::path::Path;

/// Every key with its default and what it means; a test holds it against the configuration itself.
const CONFIGURATION: &str = include_str!("../../../../packaging/riposte.toml");

/// `riposte completions`.
///
/// # Errors
/// If they can't be written.
pub fn completions(args: &Completions, out: &mut impl Write) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "riposte", &mut text);
    out.write_all(&text).map_err(|e| fail(e.to_string()))
}

/// `riposte man`.
///
/// # Errors
/// If a page can't be written.
pub fn man(args: &Man) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("man8/riposte.8".to_owned(), page(command.clone(), "riposte").map_err(|e| fail(e.to_string()))?)];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("riposte-{}", sub.get_name());
        pages.push((format!("man8/{name}.8"), page(sub.clone(), &name).map_err(|e| fail(e.to_string()))?));
    }
    pages.push(("man5/riposte.toml.5".to_owned(), configuration(CONFIGURATION).into_bytes()));
    for (name, text) in pages {
        let path = args.out.join(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|e| fail(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}

/// One command's page.
fn page(command: clap::Command, name: &str) -> std::io::Result<Vec<u8>> {
    // An example is no prose: its lines stay as they are.
    let examples = command.get_after_help().map(|text| text.to_string()).unwrap_or_default();
    let is_root = name == "riposte";
    let command = command.after_help("").version(env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command)
        .section("8")
        .title(name.to_owned())
        .source(format!("riposte {}", env!("CARGO_PKG_VERSION")))
        .manual("riposte");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if is_root {
        man.render_subcommands_section(&mut text)?;
    }
    let lines = examples.trim_start_matches("Examples:").trim_start_matches("Example:").lines().map(|line| escape(line.trim()));
    write!(text, ".SH EXAMPLES\n.nf\n{}\n.fi\n", lines.collect::<Vec<_>>().join("\n"))?;
    if is_root {
        text.extend_from_slice(FILES.as_bytes());
    }
    writeln!(text, ".SH \"SEE ALSO\"\n{}", if is_root { ".BR riposte.toml (5)" } else { ".BR riposte (8),\n.BR riposte.toml (5)" })?;
    Ok(text)
}

/// Where things are.
const FILES: &str = ".SH FILES\n.TP\n.I /etc/riposte/riposte.toml\nThe configuration; riposte works without it.\n.TP\n.I /var/lib/riposte/riposte.db\nThe ledger of \
                     blocks and the history.\n.TP\n.I /run/riposte/control.sock\nWhere the commands reach the daemon.\n.SH \"EXIT STATUS\"\n0 done; 1 not done, with one line \
                     for each reason on standard error; 2 the command line was not understood.\n";

/// riposte.toml(5), from the example configuration: comments are the text, keys the terms, sections the headings.
fn configuration(example: &str) -> String {
    let mut text = format!(
        ".TH RIPOSTE.TOML 5 \"\" \"riposte {}\" riposte\n.SH NAME\nriposte.toml \\- configuration of riposte\n.SH DESCRIPTION\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut comment: Vec<&str> = Vec::new();
    // What the latest key's words are, which stand behind all keys that they are about.
    let mut about: Vec<&str> = Vec::new();
    for line in example.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix('#') else {
            paragraph(&mut text, &mut about);
            paragraph(&mut text, &mut comment);
            continue;
        };
        if rest.starts_with('[') && rest.contains(']') {
            // The words above a section are about it.
            let section = rest.split('#').next().unwrap_or(rest).trim();
            paragraph(&mut text, &mut about);
            text.push_str(&format!(".SH \"{}\"\n", escape(section)));
            paragraph(&mut text, &mut comment);
        } else if let Some((key, value)) = rest.split_once(" = ").filter(|(key, _)| is_key(key)) {
            // Keys without words of their own share those of the key before.
            let tag = if comment.is_empty() && !about.is_empty() { ".TQ" } else { ".TP" };
            if !comment.is_empty() {
                paragraph(&mut text, &mut about);
                about = std::mem::take(&mut comment);
            }
            text.push_str(&format!("{tag}\n.B {}\n", escape(&format!("{key} = {value}"))));
        } else {
            comment.push(rest.strip_prefix(' ').unwrap_or(rest));
        }
    }
    paragraph(&mut text, &mut about);
    paragraph(&mut text, &mut comment);
    text.push_str(".SH \"SEE ALSO\"\n.BR riposte (8),\n.BR riposte-check (8)\n");
    text
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Writes the gathered lines; what is set in columns keeps them.
fn paragraph(text: &mut String, lines: &mut Vec<&str>) {
    for line in lines.drain(..) {
        let columns = line.starts_with("  ");
        let before = if columns { ".br\n" } else { "" };
        text.push_str(&format!("{before}{}\n", escape(line.trim())));
    }
}

/// Text as roff prints it: no escapes, no requests, and hyphens that can be copied.
fn escape(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_page_has_every_section_and_key() {
        let page = configuration(CONFIGURATION);
        let defaults = crate::config::Config::default().canonical();
        // A long list goes on over several lines.
        for line in defaults.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', ' ', ']'])) {
            let wanted = match line.split_once(" = ") {
                Some((key, _)) => format!(".B {key} = "),
                None => format!(".SH \"{}\"", escape(line)),
            };
            assert!(page.contains(&wanted), "{wanted}\n{page}");
        }
        // Each key, or each group of them, has words behind it.
        let lines: Vec<&str> = page.lines().collect();
        for (n, key) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(".B ")) {
            let behind = lines[n + 1..].iter().find(|line| !line.starts_with(".TQ") && !line.starts_with(".B ")).unwrap();
            assert!(!behind.starts_with(".TP") && !behind.starts_with(".SH"), "{key} has no words");
        }
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(|text| text.to_string()).unwrap_or_default();
            assert!(help.starts_with("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn what_roff_would_obey_is_printed() {
        assert_eq!(escape(".TH -\\x \"y\""), "\\&.TH \\-\\ex \\(dqy\\(dq");
    }
}
