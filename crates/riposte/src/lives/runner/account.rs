//! Locking and unlocking an account by usermod. Never root's, never a system's account that was not named, never the last administrator's,
//! never that of somebody who is logged in.

use crate::host::admins;
use model::response::{Order, UserName};
use std::fs;

/// Accounts below belong to the system, and those from the second number on (nobody).
const FIRST_USER: u32 = 1_000;
const LAST_USER: u32 = 60_000;
/// Groups whose members may become root.
const ADMINISTRATORS: [&str; 3] = ["sudo", "wheel", "admin"];

/// What the host says of its accounts.
struct Accounts {
    passwd: String,
    group: String,
    shadow: String,
    /// Names and numbers of those who are logged in.
    present: Vec<String>,
}

/// usermod's arguments. `named` are the system's accounts that may be locked.
///
/// # Errors
/// The guard that stands in the way.
pub fn arguments(order: &Order, named: &[String]) -> Result<Vec<String>, String> {
    let user = order.user.as_ref().ok_or("no user is named")?;
    let accounts = Accounts::read().map_err(|error| format!("/etc: {error}"))?;
    let words: [&str; 3] = if order.add {
        accounts.may_lock(user, named)?;
        ["--lock", "--expiredate", "1"]
    } else {
        accounts.may_unlock(user)?;
        ["--unlock", "--expiredate", ""]
    };
    Ok(words.into_iter().chain(["--", user.as_str()]).map(str::to_owned).collect())
}

impl Accounts {
    fn read() -> std::io::Result<Accounts> {
        let present = fs::read(crate::lives::host::UTMP).map(|utmp| admins::users_in_utmp(&utmp)).unwrap_or_default();
        let sessions = fs::read_dir(crate::lives::host::SESSIONS).into_iter().flatten().flatten();
        let sessions = sessions.filter_map(|session| admins::user_of_session(&fs::read_to_string(session.path()).ok()?));
        Ok(Accounts {
            passwd: fs::read_to_string("/etc/passwd")?,
            group: fs::read_to_string("/etc/group")?,
            shadow: fs::read_to_string("/etc/shadow")?,
            present: present.into_iter().chain(sessions).collect(),
        })
    }

    fn may_lock(&self, user: &UserName, named: &[String]) -> Result<(), String> {
        let name = user.as_str();
        let account = fields(&self.passwd, name).ok_or("there is no such account")?;
        let number = |place: usize| account.get(place).and_then(|text| text.parse::<u32>().ok());
        let (uid, gid) = number(2).zip(number(3)).ok_or("its line in /etc/passwd is damaged")?;
        if uid == 0 || name == "root" {
            return Err("root is never locked".into());
        }
        if !(FIRST_USER..=LAST_USER).contains(&uid) && !named.iter().any(|other| other == name) {
            return Err(format!("{name} is an account of the system (number {uid}): name it in 'args' if that is to be"));
        }
        if self.present.iter().any(|present| present == name || *present == uid.to_string()) {
            return Err(format!("{name} is logged in"));
        }
        if self.is_administrator(name, gid) && !self.others(name) {
            return Err(format!("{name} is the last administrator"));
        }
        let shadow = fields(&self.shadow, name).ok_or("it has no line in /etc/shadow")?;
        let password = shadow.get(1).copied().unwrap_or_default();
        if password.is_empty() || password.starts_with(['!', '*']) || shadow.get(7).is_some_and(|expires| !expires.is_empty()) {
            return Err(format!("{name} has no password, is locked already, or ends at a time of its own: unlocking it would change that"));
        }
        Ok(())
    }

    /// Only what locking let pass can have been locked; root is looked at once more.
    fn may_unlock(&self, user: &UserName) -> Result<(), String> {
        let account = fields(&self.passwd, user.as_str()).ok_or("there is no such account any more")?;
        if account.get(2) == Some(&"0") { Err("root is never touched".into()) } else { Ok(()) }
    }

    fn is_administrator(&self, name: &str, gid: u32) -> bool {
        ADMINISTRATORS.iter().filter_map(|group| fields(&self.group, group)).any(|group| {
            let members = group.get(3).copied().unwrap_or_default();
            group.get(2) == Some(&gid.to_string().as_str()) || members.split(',').any(|member| member == name)
        })
    }

    /// Whether another administrator can log in. Root doesn't count: many hosts let it log in nowhere.
    fn others(&self, name: &str) -> bool {
        self.passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).any(|account| {
            let other = account.first().copied().unwrap_or_default();
            let gid = account.get(3).and_then(|gid| gid.parse().ok()).unwrap_or(u32::MAX);
            let can_log_in = fields(&self.shadow, other)
                .is_some_and(|shadow| shadow.get(1).is_some_and(|password| !password.is_empty() && !password.starts_with(['!', '*'])));
            other != name && account.get(2) != Some(&"0") && self.is_administrator(other, gid) && can_log_in
        })
    }
}

/// passwd(5), group(5), shadow(5): the fields of the line that begins with this name.
fn fields<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let line = |name: &str, uid: u32, gid: u32| format!("{name}:x:{uid}:{gid}::/home/{name}:/bin/bash\n");
        let all = [
            ("root", 0, 0),
            ("toor", 0, 0),
            ("www-data", 33, 33),
            ("ann", 1000, 1000),
            ("bob", 1001, 1001),
            ("cat", 1002, 27),
            ("nobody", 65_534, 65_534),
        ];
        let shadow = |(name, ..): &(&str, u32, u32)| format!("{name}:$6$x$y:19000:0:99999:7:::\n");
        Accounts {
            passwd: all.iter().map(|(name, uid, gid)| line(name, *uid, *gid)).collect(),
            group: "root:x:0:\nsudo:x:27:ann\nusers:x:100:bob\n".into(),
            shadow: all.iter().map(shadow).collect(),
            present: Vec::new(),
        }
    }

    fn refusal(accounts: &Accounts, name: &str) -> String {
        accounts.may_lock(&UserName::new(name).unwrap(), &["www-data".to_owned()]).err().unwrap_or_default()
    }

    #[test]
    fn guards_stand_in_the_way() {
        let mut accounts = accounts();
        assert_eq!([refusal(&accounts, "bob"), refusal(&accounts, "www-data"), refusal(&accounts, "ann")], ["", "", ""]);
        assert_eq!([refusal(&accounts, "root"), refusal(&accounts, "toor")], ["root is never locked"; 2]);
        assert!(refusal(&accounts, "nobody").contains("account of the system") && refusal(&accounts, "eve").contains("no such account"));
        accounts.present = vec!["1001".into(), "www-data".into()];
        assert_eq!([refusal(&accounts, "bob"), refusal(&accounts, "www-data")], ["bob is logged in", "www-data is logged in"]);
        // Of two administrators (one by his own group) the second is the last; root is none that anybody could rely on.
        accounts.shadow = accounts.shadow.replace("cat:$6", "cat:!$6");
        assert_eq!(refusal(&accounts, "ann"), "ann is the last administrator");
        assert!(refusal(&accounts, "cat").contains("locked already"));
        accounts.group = accounts.group.replace("27:ann", "27:");
        assert!(refusal(&accounts, "ann").is_empty());
    }

    #[test]
    fn nothing_is_unlocked_that_was_not_locked_by_us() {
        let mut accounts = accounts();
        for (from, to) in [("bob:$6$x$y", "bob:!$6$x$y"), ("bob:!$6$x$y", "bob:"), ("bob:", "bob:*")] {
            accounts.shadow = accounts.shadow.replace(from, to);
            assert!(refusal(&accounts, "bob").contains("unlocking it would change that"), "{to}");
        }
        accounts.shadow = "bob:$6$x$y:19000:0:99999:7::20000:\n".into();
        assert!(refusal(&accounts, "bob").contains("unlocking it would change that"));
        assert!(accounts.may_unlock(&UserName::new("toor").unwrap()).is_err());
    }
}
