//! The rule files that riposte comes with, inside the binary.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Names and texts of everything in `rules/`.
        pub(super) const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../../rules/", $name)))),*];
    };
}

files![
    "apps.toml",
    "databases.toml",
    "datagrams.toml",
    "devices.toml",
    "dovecot.toml",
    "dropbear.toml",
    "exim.toml",
    "ftp.toml",
    "logins.toml",
    "mail.toml",
    "postfix.toml",
    "proxies.toml",
    "services.toml",
    "sshd.toml",
    "web-errors.toml",
    "web.toml",
    "webmail.toml"
];

#[cfg(test)]
mod tests {
    use super::super::Book;
    use super::FILES;
    use std::path::Path;

    fn lines(wrong: &[impl ToString]) -> String {
        wrong.iter().map(|wrong| format!("\n{}", wrong.to_string())).collect()
    }

    #[test]
    fn every_file_is_on_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
        let mut there: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.sort();
        assert_eq!(there, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn every_sample_comes_out_as_its_file_says() {
        let mut book = Book::shipped().unwrap_or_else(|wrong| panic!("{}", lines(&wrong)));
        let run = book.test().unwrap_or_else(|wrong| panic!("{}", lines(&wrong)));
        assert!(run > book.rules().len() * 2);
    }

    #[test]
    fn every_pattern_is_linear_and_has_texts_to_look_for() {
        let book = Book::shipped().unwrap();
        for (rule, pattern) in book.patterns() {
            assert!(pattern.is_linear(), "{}: {}", rule.name, pattern.text());
            assert!(pattern.literals().is_some(), "{} looks at every line: {}", rule.name, pattern.text());
        }
    }
}
