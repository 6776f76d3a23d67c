//! What a load came to beside its rules: problems and notices, each with its file and line.

use super::Remark;
use super::dialects::{self, Dialect};
use crate::pattern::Pattern;

/// Collects what is to be said of the files.
#[derive(Debug, Default)]
pub(crate) struct Loader {
    pub file: String,
    pub problems: Vec<Remark>,
    pub notices: Vec<Remark>,
}

impl Loader {
    pub fn problem(&mut self, line: u32, message: String) {
        self.problems.push(Remark { file: self.file.clone(), line, message });
    }

    pub fn notice(&mut self, line: u32, message: String) {
        self.notices.push(Remark { file: self.file.clone(), line, message });
    }

    /// Compiles a pattern and keeps it.
    pub fn compile(&mut self, line: u32, text: &str, dialect: Dialect, keep: impl FnOnce(Pattern) -> u32) -> Option<u32> {
        match dialects::compile(text, dialect) {
            Ok(pattern) => Some(keep(pattern)),
            Err(error) => {
                let reason = error.lines().last().unwrap_or_default().trim();
                self.problem(line, format!("pattern {text:?}: {reason}"));
                None
            }
        }
    }
}

/// `; did you mean "x"?`, or nothing.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> String {
    let near = known.map(|known| (strsim::damerau_levenshtein(word, known), known)).min();
    near.filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map_or_else(String::new, |(_, known)| format!("; did you mean {known:?}?"))
}
