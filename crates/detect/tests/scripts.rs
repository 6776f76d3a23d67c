//! What the detectors charge, and what they don't: scripts of events in, offences as text out.

mod common;

use common::run;
use detect::Detector;
use detect::config::ScanConfig;
use model::style::Style;
use std::net::IpAddr;

/// Runs a script with the default configuration and compares the offences.
fn expect(text: &str, offences: &[&str]) {
    let (_, seen) = run(&ScanConfig::default(), text);
    assert_eq!(seen, offences, "\nseen:\n{}", seen.join("\n"));
}

/// Level, styles and conviction of one source at the end.
fn suspect(text: &str, addr: &str) -> String {
    let (detectors, _) = run(&ScanConfig::default(), text);
    let suspect = detectors.suspect(addr.parse::<IpAddr>().unwrap()).unwrap();
    let level = suspect.level.map_or(0, |level| level.number());
    let now = suspect.level_now.map_or(0, |level| level.number());
    let convicted = if suspect.convicted { " convicted" } else { "" };
    format!("level {level} now {now} {} targets {} packets {}{convicted}", suspect.styles, suspect.targets, suspect.packets)
}

#[test]
fn a_vertical_scan_is_charged_with_its_fifth_port() {
    expect(
        "0+0.01 198.51.100.7 10.0.0.1 tcp/1-5 syn",
        &["0.04 198.51.100.7 port scan level 1 syn spoofable packets 5 targets 1 endpoints 5 convicted"],
    );
}

#[test]
fn four_endpoints_convict_nobody() {
    expect("0+0.01 198.51.100.7 10.0.0.1 tcp/1-4 syn", &[]);
    // Repeated, they are enough for psad's counts; the charge says that it is not proven.
    expect(
        "0 198.51.100.7 10.0.0.1 tcp/1-4 syn\n3 198.51.100.7 10.0.0.1 tcp/1 syn",
        &["3 198.51.100.7 port scan level 1 syn spoofable packets 5 targets 1 endpoints 4"],
    );
}

#[test]
fn retransmissions_to_one_closed_port_are_no_attack() {
    expect("0+3 198.51.100.7 10.0.0.1 tcp/443 connect x7\n60+3 198.51.100.7 10.0.0.1 tcp/443 connect x7", &[]);
    // Nor are ten thousand packets to one port: a flood is no scan.
    expect("0 198.51.100.7 10.0.0.1 tcp/443 syn x10000", &[]);
}

#[test]
fn a_client_that_fails_at_three_ports_among_many_successes_is_not_convicted() {
    let text = "0+60 198.51.100.7 10.0.0.1 tcp/8000-8030 reached
        2000 198.51.100.7 10.0.0.1 tcp/81 connect
        6000+60 198.51.100.7 10.0.0.1 tcp/9000-9010 reached
        12000 198.51.100.7 10.0.0.1 tcp/82 connect
        18000 198.51.100.7 10.0.0.1 tcp/83 connect";
    expect(text, &[]);
    assert_eq!(suspect(text, "198.51.100.7"), "level 0 now 0 connect targets 1 packets 3");
}

#[test]
fn successes_outweigh_failures_in_the_sequential_test() {
    // Six failures, each followed by a success: the walk stays where it is. The targets keep psad's counts apart.
    let text: String =
        (0..6).map(|n| format!("{n} 198.51.100.7 10.0.0.{n} tcp/81 syn\n{n}.5 198.51.100.7 10.0.1.{n} tcp/80 reached\n")).collect();
    expect(&text, &[]);
    // The same success over and over speaks only once.
    let text: String =
        (0..6).map(|n| format!("{n} 198.51.100.7 10.0.0.{n} tcp/81 syn\n{n}.5 198.51.100.7 10.0.1.1 tcp/80 reached\n")).collect();
    expect(&text, &["5 198.51.100.7 sweep level 1 syn,sweep spoofable packets 6 targets 6 endpoints 6 convicted"]);
}

#[test]
fn levels_rise_at_psads_thresholds() {
    let (_, offences) = run(&ScanConfig::default(), "0+0.0001 198.51.100.7 10.0.0.1 tcp/1-12000 syn");
    let rises: Vec<_> = offences.iter().map(|line| line.split(" syn").next().unwrap()).collect();
    assert_eq!(
        rises,
        [
            "0.0004 198.51.100.7 port scan level 1",
            "0.0014 198.51.100.7 port scan level 2",
            "0.0149 198.51.100.7 port scan level 3",
            "0.1499 198.51.100.7 port scan level 4",
            "0.9999 198.51.100.7 port scan level 5"
        ]
    );
}

#[test]
fn hosts_raise_levels_too() {
    let (_, offences) = run(&ScanConfig::default(), "0+0.0001 198.51.100.7 10.0.0.1*600 tcp/22 syn");
    let levels: Vec<_> = offences.iter().map(|line| line.split(" spoofable").next().unwrap()).collect();
    assert_eq!(
        levels,
        [
            "0.0004 198.51.100.7 sweep level 1 syn,sweep",
            "0.0019 198.51.100.7 sweep level 2 syn,sweep",
            "0.0049 198.51.100.7 sweep level 3 syn,sweep",
            "0.0099 198.51.100.7 sweep level 4 syn,sweep",
            "0.0499 198.51.100.7 sweep level 5 syn,sweep"
        ]
    );
}

#[test]
fn a_sweep_is_called_one_when_it_is_convicted() {
    // The sequential test is quicker than the count of hosts: after the block there may be no tenth.
    let (_, offences) = run(&ScanConfig::default(), "0+0.01 198.51.100.7 10.0.0.1*16 tcp/22 syn");
    assert_eq!(offences[0], "0.04 198.51.100.7 sweep level 1 syn,sweep spoofable packets 5 targets 5 endpoints 5 convicted");
    expect(
        "0 198.51.100.7 10.0.0.1*4 tcp/22 syn\n1 198.51.100.7 10.0.0.1 tcp/23 syn",
        &["1 198.51.100.7 sweep level 1 syn,sweep spoofable packets 5 targets 4 endpoints 5 convicted"],
    );
    // Three targets are no sweep, nor is a scan of several ports of each target.
    expect(
        "0 198.51.100.7 10.0.0.1*3 tcp/22 syn\n1 198.51.100.7 10.0.0.1 tcp/23-24 syn",
        &["1 198.51.100.7 port scan level 1 syn spoofable packets 5 targets 3 endpoints 5 convicted"],
    );
    let text: String = (20..28).map(|port| format!("{port} 198.51.100.7 10.0.0.1*4 tcp/{port} syn\n")).collect();
    assert_eq!(suspect(&text, "198.51.100.7"), "level 1 now 1 syn targets 4 packets 32 convicted");
}

#[test]
fn a_sweep_is_seen_over_any_time() {
    // One host in twelve minutes: psad never sees this.
    let text = "0+700 198.51.100.7 10.0.0.1*16 tcp/22 syn";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn,sweep,slow targets 16 packets 16 convicted");
}

#[test]
fn a_protocol_scan_needs_five_protocols_to_one_target() {
    expect(
        "0 198.51.100.7 10.0.0.1 47\n1 198.51.100.7 10.0.0.1 50\n2 198.51.100.7 10.0.0.1 51\n3 198.51.100.7 10.0.0.1 132\n4 198.51.100.7 10.0.0.1 253",
        &["4 198.51.100.7 protocol scan level 1 protocol spoofable packets 5 targets 1 endpoints 5 convicted"],
    );
    // ICMP counts as a protocol, though the sequential test doesn't hear of it.
    expect(
        "0 198.51.100.7 10.0.0.1 47\n1 198.51.100.7 10.0.0.1 50\n2 198.51.100.7 10.0.0.1 51\n3 198.51.100.7 10.0.0.1 132\n4 198.51.100.7 10.0.0.1 1",
        &["4 198.51.100.7 protocol scan level 1 protocol spoofable packets 5 targets 1 endpoints 4"],
    );
    expect("0 198.51.100.7 10.0.0.1 47\n1 198.51.100.7 10.0.0.2 50\n2 198.51.100.7 10.0.0.3 51\n3 198.51.100.7 10.0.0.4 132", &[]);
}

#[test]
fn a_slow_scan_over_days_is_found() {
    // One port in a day and a half: everything has decayed in between, the sequential test remembers.
    expect(
        "0+130000 198.51.100.7 10.0.0.1 tcp/20-24 syn",
        &["520000 198.51.100.7 slow scan level 1 syn,slow spoofable packets 5 targets 1 endpoints 5 convicted"],
    );
    // Past `forget` nothing is left.
    expect("0+605000 198.51.100.7 10.0.0.1 tcp/20-40 syn", &[]);
}

#[test]
fn two_quick_scans_are_not_one_slow_one() {
    let text = "0+0.1 198.51.100.7 10.0.0.1 tcp/1-6 syn\n90000+0.1 198.51.100.7 10.0.0.1 tcp/11-16 syn";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn targets 1 packets 12 convicted");
}

#[test]
fn every_style_of_one_packet_is_reported() {
    for style in ["syn", "connect", "fin", "null", "xmas", "ack", "maimon", "mirai", "masscan", "topera"] {
        let (_, offences) = run(&ScanConfig::default(), &format!("0 198.51.100.7 10.0.0.1 tcp/1-5 {style}"));
        assert!(offences[0].contains(&format!("port scan level 1 {style} spoofable")), "{offences:?}");
    }
    expect(
        "0 2001:db8::7 2001:db8::1 udp/1-5 udp",
        &["0 2001:db8::7 port scan level 1 udp spoofable packets 5 targets 1 endpoints 5 convicted"],
    );
}

#[test]
fn one_stray_packet_labels_nothing() {
    let text = "0 198.51.100.7 10.0.0.1 tcp/1-9 fin\n1 198.51.100.7 10.0.0.1 tcp/10 ack\n2 198.51.100.7 10.0.0.1 tcp/11-12 xmas";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 fin,xmas targets 1 packets 12 convicted");
}

#[test]
fn mirai_is_known_by_its_ports() {
    let text = "0 198.51.100.7 10.0.0.1*11 tcp/23 syn\n1 198.51.100.7 10.0.0.12 tcp/2323 syn";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn,sweep,mirai targets 12 packets 12 convicted");
    let text = "0 198.51.100.7 10.0.0.1*11 tcp/23 syn\n1 198.51.100.7 10.0.0.12 tcp/2323 syn\n2 198.51.100.7 10.0.0.1 tcp/80-83 syn";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn,sweep targets 12 packets 16 convicted");
    let text = "0 198.51.100.7 10.0.0.1 tcp/23 syn x10\n1 198.51.100.7 10.0.0.1 tcp/2323 syn";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn,mirai targets 1 packets 11");
}

#[test]
fn odd_icmp_needs_two_types_or_many_hosts() {
    expect("0+1 198.51.100.7 10.0.0.1 icmp:13 icmp x9\n20 198.51.100.7 10.0.0.2 icmp:13 icmp x9", &[]);
    expect(
        "0 198.51.100.7 10.0.0.1 icmp:13 icmp x4\n1 198.51.100.7 10.0.0.1 icmp:17 icmp",
        &["1 198.51.100.7 port scan level 1 icmp spoofable packets 5 targets 1 endpoints 0"],
    );
    expect("0 198.51.100.7 10.0.0.1 icmp:13 icmp x3\n1 198.51.100.7 10.0.0.1 icmp:17 icmp", &[]);
    expect(
        "0+1 198.51.100.7 10.0.0.1*10 icmp:13 icmp",
        &["9 198.51.100.7 sweep level 1 sweep,icmp spoofable packets 10 targets 10 endpoints 0"],
    );
    // However many: odd ICMP to one host is no more than level 1.
    assert_eq!(
        suspect("0 198.51.100.7 10.0.0.1 icmp:13 icmp x4000\n1 198.51.100.7 10.0.0.1 icmp:17 icmp x9000", "198.51.100.7"),
        "level 1 now 1 icmp targets 1 packets 13000"
    );
}

#[test]
fn conviction_after_an_unproven_charge_is_an_offence_of_its_own() {
    expect(
        "0 198.51.100.7 10.0.0.1 tcp/1-4 syn\n0.5 198.51.100.7 10.0.0.1 tcp/1 syn\n0.6 198.51.100.7 10.0.0.1 tcp/5 syn",
        &[
            "0.5 198.51.100.7 port scan level 1 syn spoofable packets 5 targets 1 endpoints 4",
            "0.6 198.51.100.7 port scan level 1 syn spoofable packets 6 targets 1 endpoints 5 convicted",
        ],
    );
}

#[test]
fn who_goes_on_is_charged_again_but_not_for_each_packet() {
    let (_, offences) = run(&ScanConfig::default(), "0+0.01 198.51.100.7 10.0.0.1 tcp/1000-2400 syn");
    // First charge and levels 2 and 3, and in fourteen seconds one for each second without a rise.
    assert_eq!(offences.len(), 3 + 13, "{}", offences.join("\n"));
    // With fewer than five packets a second it takes five packets.
    let (_, offences) = run(&ScanConfig::default(), "0 198.51.100.7 10.0.0.1 tcp/1-5 syn\n10+10 198.51.100.7 10.0.0.1 tcp/6-14 syn");
    assert_eq!(offences.len(), 2, "{}", offences.join("\n"));
}

#[test]
fn five_closed_ports_are_one_offence() {
    for step in ["0", "0.5", "20", "4000"] {
        let (_, offences) = run(&ScanConfig::default(), &format!("0+{step} 198.51.100.7 10.0.0.1 tcp/101-105 syn"));
        assert_eq!(offences.len(), 1, "{}", offences.join("\n"));
        assert!(offences[0].ends_with("packets 5 targets 1 endpoints 5 convicted"), "{offences:?}");
    }
}

#[test]
fn who_goes_on_slowly_is_charged_less_and_less_often() {
    let (_, offences) = run(&ScanConfig::default(), "0+10 198.51.100.7 10.0.0.1*300 tcp/1 syn");
    let packets: Vec<&str> = offences.iter().map(|line| line.split("packets ").nth(1).unwrap().split(' ').next().unwrap()).collect();
    // The first charge, five more, ten, twenty; levels by hosts at 20, 50 and 100 begin anew; in the end one in 64 packets.
    assert_eq!(packets, ["5", "10", "20", "25", "35", "50", "55", "65", "85", "100", "105", "115", "135", "175", "239"]);
}

#[test]
fn after_a_quiet_second_the_next_offence_is_near() {
    // A block that was rolled back or has ended can be made again, whatever went before.
    for before in [5, 17, 64, 150, 999, 4_000] {
        let scan = format!("0+0.01 198.51.100.7 10.0.0.1 tcp/1-{before} syn\n");
        let end = f64::from(before) * 0.01;
        let more = |after: f64, count: u32| {
            let (_, offences) = run(&ScanConfig::default(), &scan);
            let text = format!("{scan}{} 198.51.100.7 10.0.0.1 tcp/20001-{} syn", end + after, 20_000 + count);
            run(&ScanConfig::default(), &text).1.len() - offences.len()
        };
        assert!(more(1.0, 64) > 0, "{before}");
        // And half a block's time later it takes no more than for the first offence.
        assert!(more(301.0, 5) > 0, "{before}");
    }
}

#[test]
fn styles_that_two_probes_had_are_all_reported() {
    let text = "0 198.51.100.7 10.0.0.1 tcp/1-3 syn
        1 198.51.100.7 10.0.0.1 tcp/4-5 masscan
        2 198.51.100.7 10.0.0.1 tcp/6-7 mirai
        3 198.51.100.7 10.0.0.1 tcp/8-9 topera
        4 198.51.100.7 10.0.0.1 tcp/10 xmas";
    assert_eq!(suspect(text, "198.51.100.7"), "level 1 now 1 syn,mirai,masscan,topera targets 1 packets 10 convicted");
}

#[test]
fn retransmissions_convict_nobody() {
    let text: String = (0..5).map(|n| format!("{} 198.51.100.7 10.0.0.1 tcp/8080-8081 connect\n", 3_u32.pow(n))).collect();
    assert_eq!(suspect(&text, "198.51.100.7"), "level 1 now 1 connect targets 1 packets 10");
    let text = "0+1 198.51.100.7 10.0.0.1 tcp/8080-8083 connect x7\n60+1 198.51.100.7 10.0.0.1 tcp/8080-8083 connect x7";
    assert_eq!(suspect(text, "198.51.100.7"), "level 2 now 2 connect targets 1 packets 56");
}

#[test]
fn a_traceroute_convicts_nobody() {
    let text = "0+0.1 198.51.100.7 10.0.0.1 udp/33434-33523 udp";
    assert_eq!(suspect(text, "198.51.100.7"), "level 2 now 2 udp targets 1 packets 90");
    let (_, offences) = run(&ScanConfig::default(), text);
    assert!(offences.iter().all(|line| line.ends_with("endpoints 0")), "{}", offences.join("\n"));
    // Four failures beside it are still four; the fifth convicts.
    let with = |ports: &str| suspect(&format!("{text}\n20 198.51.100.7 10.0.0.1 tcp/{ports} syn"), "198.51.100.7");
    assert_eq!(with("1-4"), "level 2 now 2 syn,udp targets 1 packets 94");
    assert_eq!(with("1-5"), "level 2 now 2 syn,udp targets 1 packets 95 convicted");
    // Many who trace the route to one host share no scan; that UDP elsewhere would be one.
    let traces = |base: u32| -> String {
        (0..12).map(|n| format!("{n} 198.51.100.{} 10.0.0.1 udp/{}-{} udp\n", n + 1, base + n * 3, base + 2 + n * 3)).collect()
    };
    expect(&traces(33_434), &[]);
    assert_eq!(run(&ScanConfig::default(), &traces(34_434)).1.len(), 12);
}

#[test]
fn many_clients_behind_one_address_are_not_convicted() {
    // Each day somebody there mistypes, and others go on using the one service that there is.
    let mistakes: String = (0..30).map(|day| format!("{} 198.51.100.7 10.0.0.1 tcp/{} connect\n", day * 86_400, 5_000 + day)).collect();
    let both: String = mistakes
        .lines()
        .zip(0..)
        .map(|(line, day)| format!("{line}\n{}+3600 198.51.100.7 10.0.0.1 tcp/443 reached\n", day * 86_400 + 60))
        .collect();
    expect(&both, &[]);
    // Without them the same is a slow scan.
    assert_eq!(suspect(&mistakes, "198.51.100.7"), "level 1 now 1 connect,slow targets 1 packets 30 convicted");
}

#[test]
fn trust_is_the_best_among_the_evidence() {
    let (_, offences) = run(&ScanConfig::default(), "0 198.51.100.7 10.0.0.1 tcp/1-4 syn\n1 198.51.100.7 10.0.0.1 tcp/5 connect handshake");
    assert_eq!(offences, ["1 198.51.100.7 port scan level 1 syn handshake packets 5 targets 1 endpoints 5 convicted"]);
}

#[test]
fn levels_decay_and_the_highest_is_remembered() {
    let scan = "0+0.01 198.51.100.7 10.0.0.1 tcp/1-200 syn\n";
    let later = |at: u32| suspect(&format!("{scan}{at} 203.0.113.1 10.0.0.9 tcp/80 syn"), "198.51.100.7");
    assert_eq!(later(3_000), "level 3 now 3 syn targets 1 packets 200 convicted");
    assert_eq!(later(3_700), "level 3 now 2 syn targets 1 packets 200 convicted");
    assert_eq!(later(7_300), "level 3 now 1 syn targets 1 packets 200 convicted");
    assert_eq!(later(11_000), "level 3 now 0 syn targets 1 packets 200 convicted");
}

#[test]
fn one_packet_after_a_quiet_time_does_not_bring_the_level_back() {
    let scan = "0+0.01 198.51.100.7 10.0.0.1 tcp/1-200 syn\n0 198.51.100.8 10.0.0.1*30 tcp/22 syn\n";
    assert_eq!(
        suspect(&format!("{scan}4000 198.51.100.7 10.0.0.1 tcp/201 syn"), "198.51.100.7"),
        "level 3 now 2 syn targets 1 packets 201 convicted"
    );
    assert_eq!(
        suspect(&format!("{scan}20000 198.51.100.7 10.0.0.1 tcp/201-204 syn"), "198.51.100.7"),
        "level 3 now 0 syn targets 1 packets 204 convicted"
    );
    assert_eq!(
        suspect(&format!("{scan}20000 198.51.100.7 10.0.0.1 tcp/201-205 syn"), "198.51.100.7"),
        "level 3 now 1 syn targets 1 packets 205 convicted"
    );
    // The same for targets.
    assert_eq!(
        suspect(&format!("{scan}20000 198.51.100.8 10.0.0.1*5 tcp/22 syn"), "198.51.100.8"),
        "level 2 now 1 syn,sweep targets 30 packets 35 convicted"
    );
}

#[test]
fn retries_over_days_do_not_add_up() {
    // Two closed ports, one try at each in a day: psad's counts begin anew, the sequential test counts each once.
    let text: String = (0..6)
        .map(|day| format!("{0} 198.51.100.7 10.0.0.1 tcp/80 connect\n{0} 198.51.100.7 10.0.0.1 tcp/443 connect\n", day * 86_400))
        .collect();
    expect(&text, &[]);
}

#[test]
fn many_sources_share_one_scan() {
    let shares: String = (0..12).map(|n| format!("{n} 198.51.100.{} 10.0.0.1 tcp/{}-{} syn\n", n + 1, 100 + n * 3, 102 + n * 3)).collect();
    let (detectors, offences) = run(&ScanConfig::default(), &shares);
    let named: Vec<_> = offences.iter().map(|line| line.split(" spoofable").next().unwrap()).collect();
    assert_eq!(offences.len(), 12, "{}", offences.join("\n"));
    assert_eq!(named[0], "9 198.51.100.1 distributed scan level 1 syn,distributed");
    assert_eq!(named[11], "11 198.51.100.12 distributed scan level 1 syn,distributed");
    assert_eq!(detectors.suspects().len(), 12);
    assert!(detectors.suspects().iter().all(|suspect| suspect.styles.contains(Style::Distributed) && !suspect.convicted));
    assert!(detectors.suspects().is_sorted_by_key(|suspect| suspect.offender));
}

#[test]
fn background_noise_is_no_distributed_scan() {
    // Forty sources try the same few ports.
    let noise: String = (1..41).map(|n| format!("{n} 198.51.100.{n} 10.0.0.1 tcp/{}-{} syn\n", 20 + n % 4, 22 + n % 4)).collect();
    expect(&noise, &[]);
    // Forty sources try one port each, all different: that's what typing errors and forged floods look like.
    let noise: String = (1..41).map(|n| format!("{n} 198.51.100.{n} 10.0.0.1 tcp/{} syn\n", 100 + n)).collect();
    expect(&noise, &[]);
    // A shared scan's worth of ports, but over an hour.
    let noise: String =
        (0..12).map(|n| format!("{} 198.51.100.{} 10.0.0.1 tcp/{}-{} syn\n", n * 300, n + 1, 100 + n * 3, 102 + n * 3)).collect();
    expect(&noise, &[]);
    // Nine sources are too few.
    let noise: String = (0..9).map(|n| format!("{n} 198.51.100.{} 10.0.0.1 tcp/{}-{} syn\n", n + 1, 100 + n * 4, 103 + n * 4)).collect();
    expect(&noise, &[]);
}

#[test]
fn a_bystander_among_real_scanners_has_no_share() {
    // Ten who are convicted each for itself, and one with two typing errors.
    let text: String = (0..10).map(|n| format!("{n} 198.51.100.{} 10.0.0.1 tcp/{}-{} syn\n", n + 1, 100 + n * 9, 107 + n * 9)).collect();
    let (detectors, _) = run(&ScanConfig::default(), &format!("{text}11 203.0.113.5 10.0.0.1 tcp/8080-8081 connect"));
    assert_eq!(detectors.suspect("203.0.113.5".parse().unwrap()).unwrap().level, None);
    assert_eq!(detectors.suspects().len(), 10);
}

#[test]
fn sources_are_counted_by_prefix_where_wished() {
    let config = ScanConfig { count_by_ipv4: 24, count_by_ipv6: 64, ..ScanConfig::default() };
    let text: String =
        (1..6).map(|n| format!("{n} 198.51.100.{n} 10.0.0.1 tcp/{n} syn\n{n} 2001:db8::{n} 2001:db8:1::1 tcp/{n} syn\n")).collect();
    let (detectors, offences) = run(&config, &text);
    assert_eq!(
        offences,
        [
            "5 198.51.100.0/24 port scan level 1 syn spoofable packets 5 targets 1 endpoints 5 convicted",
            "5 2001:db8::/64 port scan level 1 syn spoofable packets 5 targets 1 endpoints 5 convicted"
        ]
    );
    assert_eq!(detectors.suspect("198.51.100.200".parse().unwrap()).unwrap().packets, 5);
}

#[test]
fn a_suspect_shows_its_ports() {
    let (detectors, _) = run(&ScanConfig::default(), "0 198.51.100.7 10.0.0.1 tcp/1000-1500 syn\n1 198.51.100.7 10.0.0.1 udp/53 udp");
    let suspect = detectors.suspect("198.51.100.7".parse().unwrap()).unwrap();
    assert_eq!((suspect.tcp_ports, suspect.udp_ports, suspect.protocols), (vec![(1_000, 1_500)], vec![(53, 53)], 2));
    assert!(suspect.log_odds >= detectors.walk().convict);
    // One that is not charged is known too, but it is nobody to report.
    let (detectors, _) = run(&ScanConfig::default(), "0 198.51.100.7 10.0.0.1 udp/53 udp");
    let suspect = detectors.suspect("198.51.100.7".parse().unwrap()).unwrap();
    assert_eq!((suspect.level, suspect.udp_ports, suspect.protocols), (None, vec![(53, 53)], 1));
    assert!(detectors.suspects().is_empty());
    assert_eq!(detectors.suspect("198.51.100.8".parse().unwrap()), None);
}

#[test]
fn ticks_forget_what_is_too_old_and_then_rest() {
    let (mut detectors, _) = run(&ScanConfig::default(), "0 198.51.100.7 10.0.0.1 tcp/1-9 syn\n500000 198.51.100.8 10.0.0.1 tcp/1-9 syn");
    let mut offences = Vec::new();
    let mut ticks = 0;
    let mut tracked = Vec::new();
    while let Some(at) = detectors.next_tick() {
        detectors.tick(at, &mut offences);
        detectors.check_invariants();
        ticks += 1;
        tracked.push(detectors.counters().tracked);
        assert!(ticks < 50, "it must come to rest");
    }
    tracked.dedup();
    assert_eq!(tracked, [2, 1, 0]);
    assert_eq!((detectors.counters().forgotten, detectors.counters().targets_tracked, offences.len()), (2, 0, 0));
}

#[test]
fn who_comes_back_after_being_forgotten_starts_anew() {
    // Eight days later: the total stays for the report, the guilt doesn't.
    let text = "0 198.51.100.7 10.0.0.1 tcp/1-20 syn\n700000 198.51.100.7 10.0.0.1 tcp/80 connect x9";
    assert_eq!(suspect(text, "198.51.100.7"), "level 2 now 0 syn,connect targets 1 packets 29");
}

#[test]
fn kinds_build_what_they_say() {
    for kind in detect::DETECTORS {
        let mut detector = (kind.build)(&ScanConfig::default(), 7);
        let mut offences = Vec::new();
        let text: String = (0..12).map(|n| format!("{n} 198.51.100.{} 10.0.0.1 tcp/{}-{} syn\n", n + 1, n * 10, n * 10 + 5)).collect();
        for event in common::script(&text) {
            detector.observe(&event, &mut offences);
        }
        // What log rules and guards report is past as soon as it is told.
        if matches!(kind.name, "reports" | "touches" | "signatures") {
            assert!(offences.is_empty() && detector.next_tick().is_none() && !kind.example.is_empty());
            continue;
        }
        assert!(!offences.is_empty(), "{}: {}", kind.name, kind.summary);
        assert!(detector.next_tick().is_some() && !kind.example.is_empty());
    }
}

#[test]
fn other_settings_keep_what_is_known_unless_sources_are_counted_otherwise() {
    use detect::config::{DistributedConfig, SequentialConfig};
    let first = "0+0.01 198.51.100.7 10.0.0.1 tcp/1-3 syn";
    let second = "10+0.01 198.51.100.7 10.0.0.1 tcp/4-6 syn";
    let offences_after = |config: &ScanConfig| {
        let (mut detectors, seen) = run(&ScanConfig::default(), first);
        assert!(seen.is_empty());
        detectors.reconfigure(config);
        let mut offences = Vec::new();
        common::script(second).iter().for_each(|event| detectors.observe(event, &mut offences));
        detectors.check_invariants();
        offences.iter().map(common::line_of).collect::<Vec<_>>()
    };
    let default = ScanConfig::default();
    let convicted = "10.01 198.51.100.7 port scan level 1 syn spoofable packets 5 targets 1 endpoints 5 convicted";
    assert_eq!(offences_after(&default), [convicted]);
    // Other thresholds and bounds count from now on, on top of what was counted before.
    let distributed = DistributedConfig { sources: 3, ..default.distributed.clone() };
    let sequential = SequentialConfig { false_positive: 0.000_1, ..default.sequential.clone() };
    let later = ScanConfig { packets: [6, 15, 150, 1_500, 10_000], sequential, distributed, ..default.clone() };
    assert_eq!(offences_after(&later), ["10.02 198.51.100.7 port scan level 1 syn spoofable packets 6 targets 1 endpoints 6"]);
    let networks = ScanConfig { count_by_ipv4: 24, ..default.clone() };
    assert_eq!(offences_after(&networks), Vec::<String>::new());
    let smaller = ScanConfig { tracked_sources: 1_000, ..default };
    assert_eq!(offences_after(&smaller), Vec::<String>::new());
}
