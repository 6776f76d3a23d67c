//! The bound of every table, in one place. What happens at the bound stands beside it.

/// Responses that the configuration can name.
pub const RESPONSES: usize = 32;
/// Runs of responses that stand at one time.
pub const RUNS: usize = 4_096;
/// Orders to run responses, or their outcomes, in one message.
pub const BATCH_RUNS: usize = 32;
/// Blocks that wait for a response to run first. At the bound a block waits for nobody.
pub const WAITING_BLOCKS: usize = 1_024;
/// Bytes of a program's output as they travel, and runs whose output `explain` shows. The rest is cut; the oldest give way.
pub const SAID_BYTES: usize = 200;
/// See [`SAID_BYTES`].
pub const SAID: usize = 256;
/// Sources that the scan detector follows at one time. At the bound the one with the least evidence gives way.
pub const TRACKED_SOURCES: usize = 65_536;
/// Ranges of ports kept for one source and protocol. At the bound the two nearest are joined.
pub const PORT_RANGES: usize = 32;
/// Targets that are counted exactly for one source. Above, the number is an estimate.
pub const EXACT_TARGETS: usize = 1_024;
/// Targets that the distributed-scan detector follows. At the bound the one quiet for longest gives way.
pub const TRACKED_TARGETS: usize = 4_096;
/// Blocks that may stand at one time, all together. At the bound new ones are refused with a reason.
pub const BLOCKS: usize = 2_000_000;
/// Entries of the exempt list. At the bound the configuration is refused; derived entries are dropped and counted.
pub const EXEMPTIONS: usize = 4_096;
/// Entries of the exempt list that are derived from the host. At the bound further ones are dropped and counted.
pub const DERIVED: usize = 2_048;
/// Operators' allowances that the warden and the kernel hold as well. What is beyond is honoured by the judge alone, and counted.
pub const ALLOWED_TOLD: usize = 2_048;
/// Blocked prefixes of one address family that are no single addresses. At the bound new ones fail as `Full`.
pub const NETS: usize = 4_096;
/// Others' lists that the configuration can name.
pub const LISTS: usize = 16;
/// Prefixes that others' lists block at one time, all together. At the bound further ones are left out and counted. Two such sets are replaced in a
/// transaction of 0.6 s at most.
pub const LISTED: usize = 100_000;
/// Prefixes of lists in one message.
pub const BATCH_LISTED: usize = 1_000;
/// Probes that wait for DShield to be told. At the bound further ones are skipped, and counted.
pub const DSHIELD: usize = 20_000;
/// Blocks that responders beside the kernel's nftables hold at one time. At the bound new ones fail there as `Full`.
pub const CARRIED: usize = 262_144;
/// Addresses whose past strikes are remembered. At the bound the oldest is forgotten.
pub const STRIKES: usize = 262_144;
/// Bytes of one log line that are looked at. The rest is dropped and counted.
pub const LINE_BYTES: usize = 8_192;
/// Names of log rules that the judge knows, and that one sensor may tell it. At the bound further rules share the last number, and are counted.
pub const RULES: usize = 4_096;
/// Bytes of a rule's name, of a log's name and of a line as they travel and are kept. The rest is cut.
pub const RULE_BYTES: usize = 128;
/// See [`RULE_BYTES`].
pub const PLACE_BYTES: usize = 200;
/// See [`RULE_BYTES`].
pub const QUOTE_BYTES: usize = 200;
/// Offenders of whom the line that decided is kept. At the bound the oldest gives way.
pub const QUOTES: usize = 16_384;
/// Files that the application-log sensor follows at one time. At the bound further ones are not followed, and counted.
pub const FOLLOWED_FILES: usize = 3_072;
/// Sources whose touches of guarded ports are counted. At the bound two share a place, and the one whose address is proven keeps it.
pub const TOUCHERS: usize = 16_384;
/// Sources whose matches of signatures are kept. At the bound the one of a group that was quiet for longest gives way.
pub const MATCHERS: usize = 16_384;
/// Different signatures kept for one source. Further ones are counted for it, but not by name.
pub const SIGNATURES_OF_SOURCE: usize = 64;
/// Sources whose systems a sensor has guessed at. At the bound one of a group gives way, and is guessed at again when it comes back.
pub const GUESSED_AT: usize = 32_768;
/// Different packets of one source that a sensor guesses at. Further ones are not looked at.
pub const GUESSES: u8 = 16;
/// Sources whose systems the judge knows. At the bound the one that was first told of gives way.
pub const SYSTEMS: usize = 16_384;
/// Different systems and scanners that are kept for one source. At the bound the oldest gives way.
pub const SYSTEMS_OF_SOURCE: usize = 4;
/// Charges a minute that rest on forgeable matches of signatures alone. Above, they are counted and not charged.
pub const MATCH_CHARGES: u32 = 600;
/// Connections to guarded ports that are held at one time, in all and from one source. Above, a connection is let go at once and counted.
pub const GUARDED_CONNECTIONS: usize = 256;
/// See [`GUARDED_CONNECTIONS`].
pub const GUARDED_PER_SOURCE: usize = 8;
/// Bytes that a connection to a guarded port may send before it is let go.
pub const GUARDED_BYTES: usize = 1_024;
/// Sources of one address family that the kernel's traps hold at one time. At the bound a packet to a trap is logged like any other probe.
pub const TRAPPED: usize = 1_024;
/// Sources of one address family that the kernel holds at one time because they came to a guarded port. At the bound newcomers are not held.
pub const HELD: usize = 16_384;
/// Bytes of one frame between two processes.
pub const FRAME_BYTES: usize = 65_536;
/// Bytes of an alert, as it travels from the judge to the envoy.
pub const ALERT_BYTES: usize = 32_768;
/// Alerts that wait for the envoy. At the bound further ones are dropped and counted.
pub const ALERTS_WAITING: usize = 256;
/// Changes in one transaction with the kernel.
pub const BATCH_CHANGES: usize = 1_000;
/// Ways through the firewall in one frame from a sensor to the judge. What comes by a further one in the same turn isn't told.
pub const BATCH_WAYS: usize = 64;
/// Bytes of a log prefix in one.
pub const PREFIX_BYTES: usize = 64;
/// Events in one frame from a sensor to the judge.
pub const BATCH_EVENTS: usize = 512;
/// Flows in one question to the warden: some half a millisecond of its time.
pub const BATCH_FLOWS: usize = 128;
/// Reports with their lines in one frame from a sensor to the judge.
pub const BATCH_REPORTS: usize = 64;
/// Clients of the control socket at one time. Above, a connection is closed at once and counted.
pub const CONTROL_CLIENTS: usize = 16;
/// Offenders that a storm of forgeable evidence counts, and that it remembers while its pause lasts. A higher threshold acts as this one.
pub const STORM_OFFENDERS: usize = 65_536;
/// Sources of which a report on an old log counts everything. At the bound half of them give way: those without a charge, then those with the
/// fewest packets.
pub const DETAILED_SOURCES: usize = 16_384;
/// Sources of which the judge keeps what a mail's picture shows. At the bound half of them give way: those with the fewest packets.
pub const NOTED_SOURCES: usize = 512;
/// Kinds of flags, of ICMP and of ways through the firewall that are noted of one source for reports. Further ones are not.
pub const NOTED_KINDS: usize = 16;
/// Targets that are noted of one source for reports. Further ones are not.
pub const NOTED_AIMS: usize = 32;
/// Packets of one source whose time and port are kept for its picture. At the bound every second one is let go.
pub const NOTED_SAMPLES: usize = 256;
/// Interfaces, and log prefixes, that a report on an old log tells apart. At the bound the one that was used longest ago is told as others.
pub const REPORT_WORDS: usize = 1_024;
/// Different lines that `replay --unique` remembers. Beyond, a line may be printed again.
pub const UNIQUE_LINES: usize = 8_388_608;
