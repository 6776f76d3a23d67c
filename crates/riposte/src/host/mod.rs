//! What the host itself says about whom never to block. Text in, addresses out; opens nothing.

pub mod admins;
pub mod resolvers;
pub mod time_servers;
