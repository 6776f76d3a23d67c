//! riposte's own log where it was asked for, from every process, the locked-in ones too.

use crate::daemon::{Daemon, folder, network, until};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

#[test]
fn the_journal_gets_fields_and_a_file_gets_lines() {
    let network = network("logging", 0);
    let folder = folder();
    // Stands in for systemd-journald.
    let journal = UnixDatagram::bind(folder.path().join("journal")).expect("a socket");
    journal.set_read_timeout(Some(Duration::from_millis(50))).expect("a limit");
    let config = "[log]\ntarget = \"journal\"\npath = \"{}/journal\"\n";
    let mut daemon = Daemon::start_in(folder, &network.victim, config, &["env"]);
    let entry = until("the judge's entry", || {
        let mut bytes = [0; 4_096];
        let len = journal.recv(&mut bytes).ok()?;
        let text = String::from_utf8(bytes[..len].to_vec()).expect("UTF-8");
        assert!(text.starts_with("MESSAGE=") && text.ends_with('\n') && text.contains("\nPRIORITY="), "{text}");
        (text.starts_with("MESSAGE=ledger and firewall agree kept=0") && text.contains("\nRIPOSTE_KEPT=0\n")).then_some(text)
    });
    assert!(entry.contains("\nPRIORITY=6\nSYSLOG_IDENTIFIER=riposte\n"), "{entry}");
    assert!(daemon.end().success());
    assert_eq!(daemon.log(), "", "and standard error nothing");

    let config = "[log]\ntarget = \"file\"\npath = \"{}/logs/riposte.log\"\n";
    let daemon = Daemon::start(&network.victim, config);
    until("the judge's line", || {
        let text = std::fs::read_to_string(daemon.path("logs/riposte.log")).ok()?;
        text.lines().any(|line| line.contains("INFO ledger and firewall agree ")).then_some(())
    });
}
