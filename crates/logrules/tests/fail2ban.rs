//! Every filter of an installed fail2ban loads, and so do its jails: of `/etc/fail2ban`, or of the folder that `RIPOSTE_FAIL2BAN` names.

use logrules::fail2ban::Fail2ban;
use logrules::fail2ban::filter::{Filter, Written};
use logrules::fail2ban::ini::Files;
use std::path::{Path, PathBuf};

#[test]
fn every_installed_filter_loads() {
    let dir = std::env::var_os("RIPOSTE_FAIL2BAN").unwrap_or_else(|| "/etc/fail2ban".into());
    let dir = Path::new(&dir);
    let read = |path: &Path| std::fs::read_to_string(path);
    let list = |path: &Path| std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>();
    let files = Files { read: &read, list: &list };
    let Ok(filters) = list(&dir.join("filter.d")) else {
        eprintln!("no fail2ban in {}: nothing to load", dir.display());
        return;
    };
    let (mut loaded, mut wrong, mut stepped) = (0, Vec::new(), Vec::new());
    for path in filters.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.ends_with("common") {
            continue;
        }
        for logtype in ["file", "journal"] {
            let filter = Written::read(&name, &[("logtype", logtype)], dir, files)
                .map_err(|problem| vec![problem])
                .and_then(|written| Filter::new(&written));
            match filter {
                Ok(filter) => {
                    loaded += 1;
                    if filter.stepped() > 0 && logtype == "file" {
                        stepped.push(name.clone());
                    }
                }
                Err(problems) => wrong.extend(problems.iter().map(|problem| format!("{name}: {problem}"))),
            }
        }
    }
    println!("{loaded} loaded; not linear: {}", stepped.join(" "));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(loaded > 0);
    let (jails, notices) = Fail2ban::load(dir, files, &jiff::tz::TimeZone::UTC).unwrap();
    println!("jails: {:?}", jails.jails().iter().map(|jail| jail.name.as_ref()).collect::<Vec<_>>());
    notices.iter().for_each(|notice| println!("{}: {}", notice.about, notice.message));
}
