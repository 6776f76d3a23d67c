//! `make install` and `make uninstall` in a folder of their own: what is put there goes away again, and nothing else does. Never touches
//! the machine: DESTDIR is always set.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn make(target: &str, folder: &Path) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let binary = concat!("BINARY=", env!("CARGO_BIN_EXE_riposte"));
    // -o: the binary is there, it need not be built.
    let output = Command::new("make")
        .args(["-C", root, "-o", "build", target, binary])
        .arg(format!("DESTDIR={}", folder.display()))
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make is installed");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable").map(|entry| entry.expect("readable").path()) {
            if entry.is_dir() { folders.push(entry) } else { found.extend([entry.strip_prefix(folder).expect("inside").to_owned()]) }
        }
    }
    found
}

#[test]
fn what_is_installed_is_uninstalled_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let others = [
        "usr/local/share/man/man8/other.8",
        "usr/local/sbin/other",
        "usr/local/share/doc/other/riposte.toml",
        "etc/systemd/system/other.service",
        "var/lib/riposte/riposte.db",
    ];
    for name in others {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, name).expect("writable");
    }
    let before = files(folder.path());
    make("install", folder.path());
    let config = folder.path().join("etc/riposte/riposte.toml");
    let installed: BTreeSet<PathBuf> = files(folder.path()).difference(&before).cloned().collect();
    let has = |name: &str| assert!(installed.contains(Path::new(name)), "{name}: {installed:?}");
    has("usr/local/sbin/riposte");
    has("usr/local/lib/sysusers.d/riposte.conf");
    has("usr/local/share/man/man8/riposte-explain.8");
    has("usr/local/share/man/man5/riposte.toml.5");
    has("usr/local/share/doc/riposte/manual.md");
    has("usr/local/share/zsh/site-functions/_riposte");
    let unit = fs::read_to_string(folder.path().join("etc/systemd/system/riposte.service")).expect("the unit");
    assert!(unit.contains("ExecStart=/usr/local/sbin/riposte run") && !unit.contains("@PREFIX@"), "{unit}");
    // What an operator has written is never overwritten.
    fs::write(&config, "# mine\n").expect("writable");
    make("install", folder.path());
    assert_eq!(fs::read_to_string(&config).expect("readable"), "# mine\n");

    make("uninstall", folder.path());
    let mut left = before;
    left.insert(PathBuf::from("etc/riposte/riposte.toml"));
    assert_eq!(files(folder.path()), left, "configuration and ledger stay, all else of ours goes");
    assert!(!folder.path().join("usr/local/share/doc/riposte").exists());
}

#[test]
fn the_completions_are_what_the_shells_take_and_the_pages_what_man_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let riposte = env!("CARGO_BIN_EXE_riposte");
    let bash = Command::new(riposte).args(["completions", "bash"]).output().expect("it runs").stdout;
    let script = folder.path().join("riposte.bash");
    fs::write(&script, bash).expect("writable");
    let complete = "source $0; COMP_WORDS=(riposte expl); COMP_CWORD=1; _riposte riposte expl riposte; echo ${COMPREPLY[@]}";
    let output = Command::new("bash").args(["-c", complete]).arg(&script).output().expect("bash is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "explain");

    assert!(Command::new(riposte).args(["man", "--out"]).arg(folder.path()).status().expect("it runs").success());
    for page in files(folder.path()).iter().filter(|path| path.extension().is_some_and(|e| e == "8" || e == "5")) {
        let output = Command::new("man")
            .args(["--warnings=w", "-P", "cat", "-l"])
            .arg(folder.path().join(page))
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .output();
        let output = output.expect("man is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.stderr.is_empty(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("NAME") && text.contains("SEE ALSO"), "{text}");
    }
}
