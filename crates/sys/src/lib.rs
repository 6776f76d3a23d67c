//! The only `unsafe` code: file descriptors, netlink, sandbox, processes, each with a safe face. Knows nothing of scans, blocks or policy.

pub mod answers;
pub mod attribute;
pub mod bpf;
pub mod capture;
pub mod clock;
pub mod conntrack;
pub mod diag;
pub mod fd;
pub mod filters;
pub mod hold;
pub mod identity;
pub mod inherit;
pub mod listen;
pub mod memory;
pub mod namespace;
pub mod netlink;
pub mod nflog;
pub mod nft;
pub mod null_route;
pub mod process;
pub mod raw;
pub mod resolve;
pub mod route;
pub mod sandbox;
pub mod usage;
pub mod xdp;
