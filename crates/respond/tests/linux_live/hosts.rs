//! TCP wrappers: programs that read the file, and the file's bytes.

use crate::contract::{Way, hosts_deny, hosts_of_others, listed};
use crate::network::{NOW, Network, PEER, VICTIM, WITNESS, add, remove};
use crate::sh;
use model::block::{Fault, Outcome};
use range::namespace::run;
use respond::Kind;
use respond::tool::Programs;
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

/// Whether TCP wrappers, asked with the files of this folder, turn a client away from a service.
fn is_denied(client: &str) -> bool {
    let folder = hosts_deny();
    let folder = folder.parent().unwrap().to_str().unwrap();
    let said = run("env", ["-C", folder, "tcpdmatch", "-d", "in.telnetd", client]).unwrap();
    assert!(said.contains("access:"), "{said}");
    assert!(!said.contains("warning: ./hosts.deny"), "{said}");
    said.contains("access:   denied") || said.contains("option:   deny")
}

pub fn wrapped_services_turn_the_blocked_away(network: &Network) {
    for way in Way::of(&["hosts-deny"]) {
        fs::write(hosts_deny(), "# theirs\nALL: 198.51.100.77\n").unwrap();
        let mut hosts = way.open();
        let blocked = ["192.0.2.7", "192.0.2.128/25", "2001:db8::7", "2001:db8:5::/64", "2001:db8:6::/50", "203.0.113.4/31"];
        assert_eq!(hosts.apply(&blocked.map(add), NOW), [Outcome::Added; 6]);
        let denied = [
            "192.0.2.7",
            "192.0.2.128",
            "192.0.2.255",
            "2001:db8::7",
            "2001:db8:5::99",
            "2001:db8:6:3fff::1",
            "203.0.113.5",
            "198.51.100.77",
        ];
        for client in denied {
            assert!(is_denied(client), "{}: {client} in {}", way.name, fs::read_to_string(hosts_deny()).unwrap());
        }
        for client in ["192.0.2.8", "192.0.2.127", "2001:db8::8", "2001:db8:5:1::99", "2001:db8:6:4000::1", "203.0.113.6", "127.0.0.1"] {
            assert!(!is_denied(client), "{}: {client}", way.name);
        }
        assert_eq!(hosts.apply(&blocked.map(remove), NOW), [Outcome::Removed; 6]);
        assert!(!is_denied("192.0.2.7"));
        a_real_service_does(network, &way);
    }
}

/// An FTP server with TCP wrappers, in a copy of /etc that only this process and its children see.
#[expect(clippy::disallowed_methods, reason = "the server goes on beside the test")]
fn a_real_service_does(network: &Network, way: &Way) {
    let file = hosts_deny();
    let folder = file.parent().unwrap();
    let (etc, conf) = (folder.join("etc"), folder.join("vsftpd.conf"));
    let _ = fs::remove_dir_all(&etc);
    run("cp", ["-a", "/etc", etc.to_str().unwrap()]).unwrap();
    run("mount", ["--bind", etc.to_str().unwrap(), "/etc"]).unwrap();
    fs::write("/etc/hosts.deny", "# theirs\n").unwrap();
    let port = 2_121;
    let text = format!(
        "listen=NO\nlisten_ipv6=YES\nlisten_port={port}\ntcp_wrappers=YES\nbackground=NO\nanonymous_enable=YES\nsecure_chroot_dir={}\n",
        folder.display()
    );
    fs::write(&conf, text).unwrap();
    let quiet = || std::process::Stdio::null();
    let mut server = Ended(Command::new("vsftpd").arg(&conf).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap());
    while TcpStream::connect((VICTIM[0], port)).is_err() {
        assert_eq!(server.0.try_wait().unwrap(), None, "vsftpd goes on");
        sleep(Duration::from_millis(20));
    }
    let greeting =
        |family: usize| network.act(&["greeting", &std::net::SocketAddr::new(VICTIM[family].parse().unwrap(), port).to_string()]);
    let mut settings = way.settings(None);
    settings.hosts_deny.file = "/etc/hosts.deny".into();
    let mut hosts = way.open_as(&settings);
    for family in [0, 1] {
        let refused = |when: &str| {
            let said = greeting(family);
            assert!(said.starts_with("220") || said.starts_with("421"), "{}: {when}: {said}", way.name);
            said.starts_with("421")
        };
        assert!(!refused("before"));
        assert_eq!(hosts.apply(&[add(PEER[family])], NOW), [Outcome::Added]);
        assert!(refused("blocked"));
        assert_eq!(hosts.apply(&[remove(PEER[family]), add(WITNESS[family])], NOW), [Outcome::Removed, Outcome::Added]);
        assert!(!refused("another is blocked"));
        hosts.apply(&[remove(WITNESS[family])], NOW);
    }
    assert_eq!(fs::read("/etc/hosts.deny").unwrap(), b"# theirs\n");
    drop(server);
    sh("umount", "/etc");
}

/// A program that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn others_bytes_stay(_: &Network) {
    let way = Way::of(&["hosts-deny"])[0];
    let file = hosts_deny();
    let contents: [&[u8]; 9] = [
        b"",
        b"\n",
        b"# a remark",
        b"sshd: 198.51.100.7\n",
        b"sshd: 198.51.100.7\r\nALL: .example.invalid\r\n",
        b"ALL: 198.51.100.7, \\\n  198.51.100.8\n",
        b"ALL: 198.51.100.7 \\",
        b"ALL: 192.0.2.1\nALL: 192.0.2.1 : DENY\n",
        b"\xff\xfe not text \0\n\n\n",
    ];
    for content in contents {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        run("chown", ["0:4", file.to_str().unwrap()]).unwrap();
        run("setfattr", ["-n", "security.selinux", "-v", "system_u:object_r:net_conf_t:s0", file.to_str().unwrap()]).unwrap();
        run("setfacl", ["-m", "u:65534:r", file.to_str().unwrap()]).unwrap();
        let mode = fs::metadata(&file).unwrap().mode();
        let mut hosts = way.open();
        assert_eq!(hosts.apply(&[add("192.0.2.1"), add("2001:db8::1")], NOW), [Outcome::Added; 2]);
        assert_eq!(listed(&mut *hosts).len(), 2);
        let now = fs::read(&file).unwrap();
        assert!(now.ends_with(content) && now.len() > content.len(), "{}", now.escape_ascii());
        // Another run, in the middle of what was added meanwhile.
        let more = [b"# before\n", now.as_slice(), b"\n# behind\n"].concat();
        fs::write(&file, &more).unwrap();
        let mut hosts = way.open();
        assert_eq!(listed(&mut *hosts).len(), 2);
        assert_eq!(hosts.apply(&[add("192.0.2.2"), remove("192.0.2.1"), remove("2001:db8::1"), remove("192.0.2.2")], NOW).len(), 4);
        assert_eq!(fs::read(&file).unwrap(), [b"# before\n", content, b"\n# behind\n"].concat());
        let kept = fs::metadata(&file).unwrap();
        assert_eq!((kept.mode(), kept.uid(), kept.gid()), (mode, 0, 4));
        let label = sh("getfattr", &format!("--only-values -n security.selinux {}", file.display()));
        assert_eq!(label, "system_u:object_r:net_conf_t:s0");
        assert!(sh("getfacl", &format!("-cn {}", file.display())).contains("user:65534:r--"));
        let beside = fs::read_dir(file.parent().unwrap())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "riposte"));
        assert_eq!(beside.count(), 0);
    }
    // A file that is not there yet, and one that nothing has to be changed in.
    fs::remove_file(&file).unwrap();
    let mut hosts = way.open();
    assert_eq!(hosts.apply(&[remove("192.0.2.1")], NOW), [Outcome::Removed]);
    assert!(!file.exists());
    assert_eq!(hosts.apply(&[add("192.0.2.1")], NOW), [Outcome::Added]);
    let written = fs::metadata(&file).unwrap();
    assert_eq!(written.mode() & 0o7777, 0o644);
    assert_eq!(hosts.apply(&[add("192.0.2.1")], NOW), [Outcome::Added]);
    assert_eq!(fs::metadata(&file).unwrap().ino(), written.ino());
    // Left by a run that died while it wrote.
    fs::write(file.with_file_name(".hosts.deny.riposte"), "half a li").unwrap();
    assert_eq!(hosts.apply(&[remove("192.0.2.1")], NOW), [Outcome::Removed]);
    assert_eq!((hosts_of_others(), fs::read(&file).unwrap()), (String::new(), Vec::new()));
}

pub fn unsafe_files_are_refused(_: &Network) {
    let way = Way::of(&["hosts-deny"])[0];
    let file = hosts_deny();
    let folder = file.parent().unwrap().to_owned();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let settings = way.settings(None);
    let refusal = || Kind::of("hosts-deny").unwrap().open.unwrap()(&settings, Box::new(Programs)).err().unwrap_or_default();
    fs::write(&file, "# theirs\n").unwrap();
    let mut hosts = way.open();

    mode(&file, 0o666);
    assert!(refusal().contains("no file that only root can write to"), "{}", refusal());
    // Also when it became so later: nothing is written, and the words say why.
    assert_eq!(hosts.apply(&[add("192.0.2.1")], NOW), [Outcome::Failed(Fault::Refused)]);
    assert_eq!(hosts.list(NOW), Err(Fault::Refused));
    let words = hosts.take_words().unwrap();
    assert!(words.contains("hosts.deny") && words.contains("only root"), "{words}");
    assert_eq!(hosts.take_words(), None);
    assert_eq!(fs::read(&file).unwrap(), b"# theirs\n");
    mode(&file, 0o644);
    run("chown", ["65534", file.to_str().unwrap()]).unwrap();
    assert!(refusal().contains("only root"), "{}", refusal());
    run("chown", ["0", file.to_str().unwrap()]).unwrap();
    for bits in [0o777, 0o1777] {
        mode(&folder, bits);
        assert!(refusal().contains("no folder that only root can write to"), "{}", refusal());
    }
    mode(&folder, 0o755);

    for (content, why) in [
        (
            "ALL: 198.51.100.7 \\\n# riposte: begin. The lines up to its end are riposte's, which takes them away in time.\n",
            "line 1 ends in a backslash",
        ),
        (&"# much\n".repeat(700_000), "longer than"),
    ] {
        fs::write(&file, content).unwrap();
        assert!(refusal().contains(why), "{}", refusal());
        assert_eq!(fs::read(&file).unwrap(), content.as_bytes());
    }
    fs::remove_file(&file).unwrap();
    symlink("/dev/null", &file).unwrap();
    assert!(refusal().contains("symbolic link"), "{}", refusal());
    fs::remove_file(&file).unwrap();
    for special in ["mkfifo", "mkdir"] {
        run(special, [&file]).unwrap();
        assert!(refusal().contains("no file that"), "{special}: {}", refusal());
        run("rm", ["-r".as_ref(), file.as_path()]).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(refusal().contains("No such file"), "{}", refusal());
}
