//! Real services on the victim, to be guessed at: each the Debian package's own program with a configuration and users of its own in one folder.
//! Never reads the host's users or passwords, never writes outside that folder but for an empty one below /run; all ends with the namespace.

use crate::namespace::{Namespace, run};
use crate::network::VICTIM;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Who may log in.
pub const USER: &str = "anna";
/// With this password.
pub const PASSWORD: &str = "secret";
/// Failures after which the shipped rules block.
pub const FAILURES: usize = 5;
/// What is started in this way ends with everything that it has started, and what it mounts is seen by nobody else.
const CONTAINED: &[&str] = &["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// Longer than any service needs until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Their files; `PLACE` in them stands for the folder where they are.
const FILES: [(&str, &str); 8] = [
    ("sshd_config", include_str!("../services/sshd_config")),
    ("nginx.conf", include_str!("../services/nginx.conf")),
    ("dovecot.conf", include_str!("../services/dovecot.conf")),
    ("vsftpd.conf", include_str!("../services/vsftpd.conf")),
    ("htpasswd", include_str!("../services/htpasswd")),
    ("passwd", include_str!("../services/passwd")),
    ("shadow", include_str!("../services/shadow")),
    ("pam.d/vsftpd", include_str!("../services/pam")),
];

/// Puts our users in the place of the host's, then runs the service: not as the first process, which would be given others' children. sshd's words are
/// written down as a syslog daemon does it.
const START: &str = r#"
for file in passwd shadow pam.d; do mount --bind "$1/$file" "/etc/$file" || exit; done
case "$2" in
sshd)
    ssh-keygen -q -t ed25519 -N "" -f "$1/host_key"
    /usr/sbin/sshd -D -e -f "$1/sshd_config" 2>&1 |
        while IFS= read -r line; do printf '%(%FT%T%z)T box sshd[7]: %s\n' -1 "${line%$'\r'}"; done >> "$1/auth.log" ;;
nginx) /usr/sbin/nginx -p "$1" -c "$1/nginx.conf" ;;
dovecot) /usr/sbin/dovecot -F -c "$1/dovecot.conf" ;;
vsftpd) /usr/sbin/vsftpd "$1/vsftpd.conf" ;;
esac
exit"#;

/// Something that asks for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// OpenSSH.
    Ssh,
    /// nginx with a page behind a password.
    Basic,
    /// nginx that answers as `WordPress` does.
    WordPress,
    /// Dovecot over IMAP.
    Imap,
    /// Dovecot over POP3.
    Pop3,
    /// vsftpd.
    Ftp,
}

impl Service {
    /// The program, and the port where it listens.
    const fn program(self) -> (&'static str, u16) {
        match self {
            Service::Ssh => ("sshd", 22),
            Service::Basic | Service::WordPress => ("nginx", 80),
            Service::Imap => ("dovecot", 143),
            Service::Pop3 => ("dovecot", 110),
            Service::Ftp => ("vsftpd", 21),
        }
    }

    /// The logs in its folder that tell of failures.
    pub const fn logs(self) -> &'static [&'static str] {
        match self {
            Service::Ssh => &["auth.log"],
            Service::Basic => &["access.log", "error.log"],
            Service::WordPress => &["access.log"],
            Service::Imap | Service::Pop3 => &["dovecot.log"],
            Service::Ftp => &["vsftpd.log"],
        }
    }

    /// Starts it on the victim and waits until it listens. The folder must be reachable by everybody.
    ///
    /// # Errors
    /// If it isn't installed, or does not come to listen.
    pub fn start(self, victim: &mut Namespace, place: &Path) -> io::Result<()> {
        for folder in ["pam.d", "empty", "mail"] {
            fs::create_dir_all(place.join(folder))?;
        }
        fs::set_permissions(place.join("mail"), Permissions::from_mode(0o777))?;
        let folder = place.display().to_string();
        for (name, text) in FILES {
            fs::write(place.join(name), text.replace("PLACE", &folder))?;
        }
        // sshd's own folder, where it keeps nothing.
        fs::create_dir_all("/run/sshd")?;
        let (program, port) = self.program();
        run("which", [program])?;
        victim.start("unshare", [CONTAINED, &["bash", "-c", START, "bash", &folder, program][..]].concat())?;
        let listens = format!("ss -Hltn sport = :{port} | grep -q .");
        let begin = Instant::now();
        while victim.run("sh", ["-c", &listens]).is_err() {
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{program} does not listen on port {port}")));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Logs in once from this host, as anybody would. Says whether it was let in.
    ///
    /// # Errors
    /// If the client can't be started.
    pub fn login(self, from: &Namespace, password: &str) -> io::Result<bool> {
        let (user, cookie) = (format!("{USER}:{password}"), format!("pass={password}"));
        let url = |scheme: &str, path: &str| format!("{scheme}://{VICTIM}/{path}");
        let curl = |words: &[&str]| {
            [&["curl", "--silent", "--fail", "--connect-timeout", "1", "--max-time", "5"], words]
                .concat()
                .iter()
                .map(|word| (*word).to_owned())
                .collect()
        };
        let command: Vec<String> = match self {
            Service::Ssh => {
                let options = "-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oNumberOfPasswordPrompts=1 -oConnectTimeout=3";
                let words = ["sshpass", "-p", password, "ssh"].into_iter().chain(options.split(' '));
                words.map(str::to_owned).chain([format!("{USER}@{VICTIM}"), "true".to_owned()]).collect()
            }
            Service::Basic => curl(&["--user", &user, &url("http", "private")]),
            // Where it leads tells whether the password was right.
            Service::WordPress => {
                curl(&["--data", "log=anna", "--cookie", &cookie, "--write-out", "%{redirect_url}", &url("http", "wp-login.php")])
            }
            Service::Imap => curl(&["--user", &user, &url("imap", "")]),
            Service::Pop3 => curl(&["--user", &user, &url("pop3", "")]),
            Service::Ftp => curl(&["--head", "--user", &user, &url("ftp", "")]),
        };
        let said = from.command("env").args(command).output()?;
        let led = self != Service::WordPress || String::from_utf8_lossy(&said.stdout).contains("wp-admin");
        Ok(said.status.success() && led)
    }

    /// hydra's command line for a list of names and one of passwords, files both.
    pub fn hydra(self, names: &str, passwords: &str) -> Vec<String> {
        let (module, path): (&str, &[&str]) = match self {
            Service::Ssh => ("ssh", &[]),
            Service::Basic => ("http-get", &["/private"]),
            Service::WordPress => ("http-post-form", &["/wp-login.php:log=^USER^&pwd=^PASS^:wrong"]),
            Service::Imap => ("imap", &[]),
            Service::Pop3 => ("pop3", &[]),
            Service::Ftp => ("ftp", &[]),
        };
        let words = ["hydra", "-q", "-I", "-t", "4", "-L", names, "-P", passwords, VICTIM, module];
        words.iter().chain(path).map(|word| (*word).to_owned()).collect()
    }
}

/// A program on some host that is ended with all that it has started when dropped.
#[derive(Debug)]
pub struct Contained(Child);

impl Contained {
    /// Starts it. What it leaves behind is left in this folder.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(host: &Namespace, command: &[String], folder: &Path) -> io::Result<Contained> {
        let mut starts = host.command("unshare");
        starts.args(CONTAINED).args(command).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Contained(starts.spawn()?))
    }

    /// Starts it, and again whenever it has ended: hydra gives up if its first connection fails.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn insist(host: &Namespace, command: &[String], folder: &Path) -> io::Result<Contained> {
        let again = ["bash", "-c", r#"while :; do "$@"; sleep 0.1; done"#, "bash"].map(str::to_owned);
        Contained::start(host, &[&again[..], command].concat(), folder)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If it can't be waited for.
    pub fn wait(&mut self) -> io::Result<bool> {
        Ok(self.0.wait()?.success())
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
