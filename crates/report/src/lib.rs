//! What people and programs read: text, JSON and CSV. Decides nothing, opens nothing and reads no clock, and lets no
//! byte that came from the network reach a terminal as it is.

pub mod alert;
pub mod alert_line;
pub mod decision;
pub mod dshield;
pub mod duration;
pub mod escape;
pub mod explain;
pub mod feed;
pub mod health;
pub mod history;
pub mod html;
mod json;
pub mod letter;
pub mod list;
pub mod metrics;
pub mod offender;
pub mod picture;
pub mod plot;
pub mod replay;
pub mod replay_csv;
mod replay_text;
pub mod serial;
pub mod status;
pub mod system;
pub mod table;
pub mod time;
pub mod timeline;
