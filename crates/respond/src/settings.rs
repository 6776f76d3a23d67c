//! What can be chosen about responders that have something to choose: the keys of `[respond.NAME]`. Knows values, never files.

/// One field for each kind that has something to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Of xdp.
    pub xdp: crate::xdp::Settings,
    /// Of pf.
    pub pf: crate::pf::Settings,
    /// Of ipfw.
    pub ipfw: crate::ipfw::Settings,
}

/// A value as a configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

/// One key of a kind's section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is in force. That of `Settings::default()` also says which variant `set` is given, and no other.
    pub get: fn(&Settings) -> Value,
    /// Puts what was typed in force. The error says why that can't be, to stand behind the key's name.
    pub set: fn(&mut Settings, Value) -> Result<(), String>,
}
