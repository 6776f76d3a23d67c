//! Decoders and rules written for these tests, in every construct that OSSEC's own files use, and lines of real services.

use super::*;
use crate::finding::Finding;
use model::time::Time;
use std::time::Duration;

const DECODERS: &str = r#"
<!-- programs -->
<decoder name="sshd"><program_name_pcre2>^sshd</program_name_pcre2></decoder>
<decoder name="sshd-failed">
  <parent>sshd</parent>
  <prematch_pcre2>^Failed \S+ </prematch_pcre2>
  <pcre2 offset="after_prematch">^for (\S+) from (\S+) port (\d+)</pcre2>
  <order>user, srcip, srcport</order>
</decoder>
<decoder name="sshd-accepted">
  <parent>sshd</parent>
  <prematch_pcre2>^Accepted</prematch_pcre2>
  <pcre2 offset="after_prematch">^ \S+ for (\S+) from (\S+) |^ (\S+)$</pcre2>
  <order>user, srcip</order>
  <fts>name, user, location</fts>
</decoder>
<decoder name="app"><program_name>^app|^APP2$</program_name><prematch>^event \d+: </prematch></decoder>
<decoder name="app-login">
  <parent>app</parent>
  <use_own_name>true</use_own_name>
  <prematch offset="after_parent">^login </prematch>
  <regex offset="after_prematch">^(\w+) from (\S+)$</regex>
  <order>user, srcip</order>
</decoder>
<decoder name="app-chain">
  <parent>app</parent>
  <type>ids</type>
  <prematch offset="after_parent">^chain </prematch>
  <regex offset="after_prematch">^id=(\d+)</regex>
  <order>id</order>
</decoder>
<decoder name="app-chain">
  <parent>app</parent>
  <type>ids</type>
  <regex offset="after_regex">^ url=(\S+)</regex>
  <order>url</order>
</decoder>
<decoder name="app-chain">
  <parent>app</parent>
  <type>ids</type>
  <regex> src=(\S+)</regex>
  <order>srcip</order>
</decoder>
<decoder name="app-rest">
  <parent>app</parent>
  <regex offset="after_parent">^(\S+) (\.+)</regex>
  <order>action, extra_data</order>
</decoder>
<decoder name="any"><program_name /><prematch_pcre2>^anything</prematch_pcre2></decoder>
<decoder name="slapd"><program_name>^slapd</program_name><accumulate/></decoder>
<decoder name="slapd-accept">
  <parent>slapd</parent><prematch>ACCEPT</prematch>
  <regex>^conn=(\d+) fd=\d+ ACCEPT from IP=(\S+):</regex><order>id, srcip</order><accumulate/>
</decoder>
<decoder name="slapd-result">
  <parent>slapd</parent><prematch> RESULT </prematch><regex>^conn=(\d+) op=\d+ RESULT </regex><order>id</order><accumulate/>
</decoder>
<!-- none -->
<decoder name="web">
  <type>web-log</type>
  <prematch_pcre2>^\S+ \S+ \S+ \[\S+ \S\d+\] "\w+ </prematch_pcre2>
  <pcre2>^(\S+) \S+ (\S+) \[\S+ \S\d+\] </pcre2>
  <pcre2>"(\w+) (\S+) HTTP\S+" (\d+) </pcre2>
  <order>srcip, srcuser, action, url, id</order>
</decoder>
<decoder name="pf"><type>firewall</type><program_name>^pf$</program_name><plugin_decoder>PF_Decoder</plugin_decoder></decoder>
<decoder name="monitor"><prematch>^ports: </prematch></decoder>
"#;

const RULES: &str = r#"
<var name="FREQ">3</var>
<var name="BAD">core_dumped| bad </var>
<group name="syslog"><rule id="1" level="0" noalert="1"><category>syslog</category><description>All syslog.</description></rule></group>
<group name="web-log"><rule id="4" level="0" noalert="1"><category>web-log</category><description>All web.</description></rule></group>
<group name="ids"><rule id="3" level="0" noalert="1"><category>ids</category><description>All ids.</description></rule></group>
<group name="firewall"><rule id="2" level="0" noalert="1"><category>firewall</category><description>All fw.</description></rule></group>
<group name="syslog,sshd,">
  <rule id="1002" level="2"><pcre2>$BAD</pcre2><description>Bad words.</description></rule>
  <rule id="5700" level="0" noalert="1"><decoded_as>sshd</decoded_as><description>SSHD messages.</description></rule>
  <rule id="5716" level="5">
    <if_sid>5700</if_sid><match>^Failed|^error: PAM</match><description>Failed </description><description>login.</description>
    <group>authentication_failed,</group>
  </rule>
  <rule id="5715" level="3"><if_sid>5700</if_sid><match>^Accepted</match><group>authentication_success,</group><description>In.</description></rule>
  <rule id="5799" level="4"><if_sid>5715</if_sid><if_fts /><description>First time.</description></rule>
  <rule id="5720" level="10" frequency="$FREQ" timeframe="120" ignore="0">
    <if_matched_sid>5716</if_matched_sid><same_source_ip /><description>Many.</description><group>authentication_failures,</group>
  </rule>
  <rule id="5790" level="0"><if_sid>5716</if_sid><srcip>192.0.2.0/24</srcip><user>friend</user><description>A friend.</description></rule>
  <rule id="5791" level="12"><if_sid>5716</if_sid><user>^root$</user><description>Root.</description></rule>
</group>
<group name="syslog,app,">
  <rule id="100" level="3"><decoded_as>app</decoded_as><description>App.</description></rule>
  <rule id="101" level="6"><decoded_as>app-login</decoded_as><description>App login.</description><group>authentication_success,</group></rule>
  <rule id="102" level="7" maxsize="200"><if_sid>100</if_sid><description>Long.</description></rule>
  <rule id="103" level="8"><if_sid>100</if_sid><action>stop</action><extra_data>now$</extra_data><description>Stop.</description></rule>
  <rule id="104" level="9" ignore="60"><if_sid>100</if_sid><action>mute</action><description>Muted.</description></rule>
  <rule id="105" level="9"><if_group>authentication_success</if_group><time>6 pm - 8:30 am</time><description>At night.</description></rule>
  <rule id="106" level="5"><if_sid>100</if_sid><action>list</action><list field="user" lookup="match_key_value" check_value="^admin">lists/people</list>
    <description>Listed.</description></rule>
  <rule id="107" level="5"><if_sid>100</if_sid><action>list</action><description>Not listed.</description></rule>
</group>
<group name="ids,">
  <rule id="200" level="6"><category>ids</category><check_if_ignored>srcip, id</check_if_ignored><description>IDS.</description></rule>
  <rule id="201" level="10" frequency="1" timeframe="60"><if_matched_sid>200</if_matched_sid><same_id /><ignore>srcip, id</ignore>
    <description>IDS again.</description></rule>
</group>
<group name="web,">
  <rule id="300" level="0"><category>web-log</category><description>Web.</description></rule>
  <rule id="301" level="5"><if_sid>300</if_sid><id>^4</id><description>4xx.</description></rule>
  <rule id="302" level="0"><if_sid>301</if_sid><compiled_rule>is_simple_http_request</compiled_rule><url>.jpg$|favicon</url><description>Harmless.</description></rule>
  <rule id="303" level="10" frequency="1" timeframe="90"><if_matched_sid>301</if_matched_sid><same_source_ip /><different_url /><description>Scan.</description></rule>
</group>
<group name="firewall,">
  <rule id="400" level="5"><category>firewall</category><action>DROP</action><description>Dropped.</description></rule>
</group>
<group name="local,">
  <rule id="500" level="7"><decoded_as>monitor</decoded_as><check_diff /><description>Changed.</description></rule>
  <rule id="510" level="3"><decoded_as>slapd</decoded_as><match>RESULT tag=97 err=49</match><description>LDAP.</description></rule>
  <rule id="520" level="11" frequency="2" timeframe="100"><if_matched_group>authentication_success</if_matched_group><same_user /><user>^grp$</user><description>Group.</description></rule>
  <rule id="521" level="13" frequency="0" timeframe="100"><if_matched_group>authentication_failed</if_matched_group><description>Never.</description></rule>
  <rule id="1002" level="1" overwrite="yes"><match>whatever</match><description>Tamed.</description></rule>
</group>
"#;

const CONF: &str = r#"
<ossec_config>
  <global><white_list>127.0.0.1</white_list><white_list>198.51.100.0/24</white_list><email_notification>no</email_notification></global>
  <rules><include>rules_config.xml</include><decoder>etc/decoder.xml</decoder></rules>
  <command><name>firewall-drop</name><executable>firewall-drop.sh</executable><expect>srcip</expect><timeout_allowed>yes</timeout_allowed></command>
  <command><name>lock</name><executable>disable-account.sh</executable><expect>user</expect><timeout_allowed>no</timeout_allowed></command>
  <active-response><command>lock</command><location>local</location><rules_id>5791</rules_id></active-response>
  <active-response><command>firewall-drop</command><location>local</location><level>10</level><timeout>600</timeout></active-response>
  <active-response><command>firewall-drop</command><location>all</location><level>1</level></active-response>
  <active-response><repeated_offenders>30,60</repeated_offenders></active-response>
</ossec_config>
"#;

fn files() -> Files {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Files {
        config: Some(file("ossec.conf", CONF)),
        decoders: vec![file("decoder.xml", DECODERS)],
        rules: vec![file("rules.xml", RULES)],
        lists: vec![file("lists/people", "bob:admin of all\neve:guest\n")],
        ..Files::default()
    }
}

fn ossec() -> Ossec {
    match Ossec::load(&files()) {
        Ok((ossec, _)) => ossec,
        Err(problems) => panic!("{}", problems.iter().map(Remark::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Noon of a Monday.
fn noon() -> Time {
    Time::from_secs(1_795_435_200)
}

fn read(ossec: &mut Ossec, at: u64, text: &str) -> Reading {
    ossec.read(&Line::new(text.as_bytes(), noon().after(Duration::from_secs(at)), "stdin"))
}

/// Rule and level of a line, in a new OSSEC.
fn met(text: &str) -> Option<(String, u8)> {
    read(&mut ossec(), 0, text).met.map(|met| (met.rule.to_string(), met.level))
}

/// Rules of these lines, one second after another.
fn rules(ossec: &mut Ossec, lines: &[&str]) -> Vec<String> {
    (0..).zip(lines).map(|(at, line)| read(ossec, at, line).met.map_or(String::new(), |met| met.rule.to_string())).collect()
}

fn fields(text: &str) -> (String, Vec<String>) {
    let reading = read(&mut ossec(), 0, text);
    (
        reading.decoder.map_or(String::new(), |name| name.to_string()),
        reading.fields.iter().map(|(name, value)| format!("{name}={value}")).collect(),
    )
}

const FAILED: &str = "Nov 23 12:00:00 host sshd[1]: Failed password for bob from 203.0.113.9 port 4711 ssh2";

#[test]
fn decoders_find_what_they_are_to_find() {
    for (line, decoder, expected) in [
        (FAILED, "sshd", vec!["dstuser=bob", "srcip=203.0.113.9", "srcport=4711"]),
        // Only groups that took part count: the second branch's first is the user.
        ("Nov 23 12:00:00 host sshd[1]: Accepted eve", "sshd", vec!["dstuser=eve"]),
        ("Nov 23 12:00:00 host sshd[1]: something else", "sshd", vec![]),
        ("Nov 23 12:00:00 host app: event 12: login bob from 192.0.2.7", "app-login", vec!["dstuser=bob", "srcip=192.0.2.7"]),
        // The prematch holds, the pattern does not: the child's name, no fields.
        ("Nov 23 12:00:00 host app: event 12: login bob", "app-login", vec![]),
        ("Nov 23 12:00:00 host app2: event 3: chain id=7 url=/x src=192.0.2.1", "app", vec!["id=7", "url=/x", "srcip=192.0.2.1"]),
        // One of a chain that fails doesn't end it.
        ("Nov 23 12:00:00 host app: event 3: chain id=7 u=/x src=192.0.2.1", "app", vec!["id=7", "srcip=192.0.2.1"]),
        ("Nov 23 12:00:00 host app: event 3: stop it right now", "app", vec!["action=stop", "extra_data=it right now"]),
        ("Nov 23 12:00:00 host app3: event 3: stop", "app", vec![]),
        ("Nov 23 12:00:00 host xapp: anything", "any", vec![]),
        ("anything", "", vec![]),
        (
            "192.0.2.1 - bob [23/Nov/2026:12:00:00 +0000] \"GET /a?b HTTP/1.1\" 404 12",
            "web",
            vec!["srcip=192.0.2.1", "srcuser=bob", "action=GET", "url=/a?b", "id=404"],
        ),
        (
            "Nov 23 12:00:00 host pf: rule 4/(match) block in on lo0: 192.0.2.1.48784 > 192.0.2.2.23: S 1:1(0)",
            "pf",
            vec!["action=DROP", "srcip=192.0.2.1", "srcport=48784", "dstip=192.0.2.2", "dstport=23", "protocol=TCP"],
        ),
    ] {
        let expected = expected.into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(fields(line), (decoder.to_owned(), expected), "{line}");
    }
}

#[test]
fn the_deepest_rule_wins_and_level_zero_comes_first() {
    for (line, expected) in [
        (FAILED.to_owned(), Some(("5716", 5))),
        (FAILED.replace("bob", "root"), Some(("5791", 12))),
        (FAILED.replace("bob", "friend"), Some(("5716", 5))),
        (FAILED.replace("bob", "friend").replace("203.0.113.9", "192.0.2.3"), Some(("5790", 0))),
        ("Nov 23 12:00:00 host sshd[1]: Accepted x".into(), Some(("5799", 4))),
        // What only routes is no answer, and what was overwritten is gone.
        ("Nov 23 12:00:00 host sshd[1]: core_dumped".into(), None),
        ("Nov 23 12:00:00 host sshd[1]: it says whatever".into(), Some(("1002", 1))),
        ("Nov 23 12:00:00 host app: event 1: login bob from 192.0.2.7".into(), Some(("101", 6))),
        ("Nov 23 12:00:00 host app: event 1: stop it Now".into(), Some(("103", 8))),
        ("Nov 23 12:00:00 host app: event 1: Stop it now".into(), Some(("100", 3))),
        (format!("Nov 23 12:00:00 host app: event 1: x {}", "y".repeat(200)), Some(("102", 7))),
        ("192.0.2.1 - - [23/Nov/2026:12:00:00 +0000] \"GET /a.jpg HTTP/1.1\" 404 12".into(), Some(("302", 0))),
        ("192.0.2.1 - - [23/Nov/2026:12:00:00 +0000] \"POST /a.jpg HTTP/1.1\" 404 12".into(), Some(("301", 5))),
        ("192.0.2.1 - - [23/Nov/2026:12:00:00 +0000] \"GET /a HTTP/1.1\" 200 12".into(), Some(("300", 0))),
        ("Nov 23 12:00:00 host pf: rule 4/(match) block in on lo0: 192.0.2.1 > 192.0.2.2: icmp: echo".into(), Some(("400", 5))),
    ] {
        assert_eq!(met(&line), expected.map(|(rule, level)| (rule.to_owned(), level)), "{line}");
    }
}

#[test]
fn a_composite_fires_on_event_n_plus_two() {
    let other = FAILED.replace("203.0.113.9", "198.51.100.1");
    let mut ossec = ossec();
    let lines = [FAILED, &other, FAILED, &other, FAILED, FAILED, FAILED, FAILED];
    // frequency 3: the fifth of the same address; what it used counts no more.
    assert_eq!(rules(&mut ossec, &lines), ["5716", "5716", "5716", "5716", "5716", "5716", "5720", "5716"]);
    assert_eq!(rules(&mut ossec, &[FAILED; 4]), ["5716", "5716", "5716", "5720"]);
    ossec.forget();
    let slow = (0..8).map(|n| read(&mut ossec, n * 31, FAILED).met.unwrap().rule.to_string());
    assert_eq!(slow.collect::<Vec<_>>(), ["5716"; 8], "five in 124 seconds are not five in 120");
    ossec.forget();
    let just = (0..5).map(|n| read(&mut ossec, n * 30, FAILED).met.unwrap().rule.to_string());
    assert_eq!(just.last().as_deref(), Some("5720"));
}

#[test]
fn groups_users_and_urls_are_counted() {
    let mut ossec = ossec();
    let from = |n: u8| format!("Nov 23 12:00:00 host sshd[1]: Accepted publickey for grp from 203.0.113.{n} port 1");
    let lines = [from(1), from(2), from(3), from(4), from(5)];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    // The first one's rule is not of the group.
    assert_eq!(rules(&mut ossec, &lines), ["5799", "5715", "5715", "5715", "520"], "all of one user, whatever the address");
    // 5720 watches 5716 by its number: 521, which watches its group, never sees it.
    assert_eq!(rules(&mut ossec, &[FAILED; 3]), ["5716"; 3]);
    let get = |url: &str| format!("192.0.2.1 - - [23/Nov/2026:12:00:00 +0000] \"GET {url} HTTP/1.1\" 404 12");
    let (a, b, c) = (get("/a"), get("/b"), get("/c"));
    assert_eq!(rules(&mut ossec, &[&a, &a, &a, &b, &c]), ["301", "301", "301", "303", "301"]);
}

#[test]
fn what_is_muted_or_ignored_is_no_alert() {
    let mut ossec = ossec();
    let alert = |ossec: &mut Ossec, at, line: &str| read(ossec, at, line).met.map(|met| (met.rule.to_string(), met.alert));
    let mute = "Nov 23 12:00:00 host app: event 1: mute x";
    assert_eq!(alert(&mut ossec, 0, mute), Some(("104".into(), true)));
    assert_eq!(alert(&mut ossec, 59, mute), Some(("104".into(), false)));
    // Two in a row when it is over: only the second begins the next silence.
    let after = [61, 62, 63, 121].map(|at| alert(&mut ossec, at, mute).map(|(_, alert)| alert));
    assert_eq!(after, [Some(true), Some(true), Some(false), Some(false)]);
    let ids = "Nov 23 12:00:00 host app: event 3: chain id=7 url=/x src=192.0.2.1";
    let found = [0, 1, 2, 3].map(|at| alert(&mut ossec, at, ids));
    let found: Vec<_> = found.into_iter().flatten().collect();
    let expected = [("200", true), ("200", true), ("201", true), ("200", false)].map(|(rule, alert)| (rule.to_owned(), alert));
    assert_eq!(found, expected, "the composite has put address and id on the ignore list");
}

#[test]
fn first_times_differences_and_sessions_are_remembered() {
    let mut ossec = ossec();
    let accepted = "Nov 23 12:00:00 host sshd[1]: Accepted publickey for bob from 192.0.2.1 port 1";
    let other = accepted.replace("bob", "eve");
    assert_eq!(rules(&mut ossec, &[accepted, accepted, &other]), ["5799", "5715", "5799"]);
    assert_eq!(rules(&mut ossec, &["ports: 22", "ports: 22", "ports: 22 23", "ports: 22 23"]), ["", "", "500", ""]);
    read(&mut ossec, 0, "Nov 23 12:00:00 host slapd[1]: conn=5 fd=1 ACCEPT from IP=203.0.113.5:1");
    let result = "Nov 23 12:00:00 host slapd[1]: conn=5 op=0 RESULT tag=97 err=49 text=";
    let reading = read(&mut ossec, 9, result);
    assert_eq!((reading.actor, reading.met.map(|met| met.rule.to_string())), ("203.0.113.5".parse().ok(), Some("510".into())));
    assert_eq!(read(&mut ossec, 200, result).actor, None, "sessions end after two minutes");
}

#[test]
fn times_and_lists_are_asked() {
    let mut ossec = ossec();
    let login = "Nov 23 12:00:00 host app: event 1: login bob from 192.0.2.7";
    assert_eq!(read(&mut ossec, 0, login).met.unwrap().rule.as_ref(), "101");
    assert_eq!(read(&mut ossec, 9 * 3600, login).met.unwrap().rule.as_ref(), "105");
    let read_in = |ossec: &mut Ossec, zone: &str, day: u64| {
        ossec.settings.zone = TimeZone::posix(zone).unwrap();
        read(ossec, day * 86_400, login).met.unwrap().rule.to_string()
    };
    assert_eq!(read_in(&mut ossec, "EST9", 0), "105", "by local time");
    // Noon is half past eight in winter, half past nine in summer, and night ends at half past eight.
    assert_eq!([0, 240].map(|day| read_in(&mut ossec, "WWW3:31SSS2:31,M3.2.0,M11.1.0", day)), ["105", "101"]);
    // Nobody is decoded as user there, and a list can't be asked for nobody.
    assert_eq!(met("Nov 23 12:00:00 host app: event 1: list x").unwrap().0, "107");
}

#[test]
fn responses_are_said_and_never_for_the_allowed() {
    let mut ossec = ossec();
    let fire = |ossec: &mut Ossec, at: u64, line: &str| {
        let last = (0..5).map(|n| read(ossec, at + n, line)).last().unwrap();
        assert_eq!(last.met.as_ref().map(|met| (met.rule.as_ref(), met.count)), Some(("5720", 5)));
        last.wish
    };
    let wish = fire(&mut ossec, 0, FAILED).unwrap();
    assert_eq!((wish.action.as_ref(), wish.duration), ("firewall-drop", Some(Duration::from_secs(600))));
    assert_eq!(wish.why, "rule 5720 has level 10, firewall-drop asks for 10");
    // Who comes back after it was over: 30 minutes, then 60, and 60 from then on.
    let spans = [2_000, 5_000, 20_000, 40_000].map(|at| fire(&mut ossec, at, FAILED).unwrap().duration.unwrap().as_secs());
    assert_eq!(spans, [1800, 3600, 3600, 3600]);
    assert_eq!(fire(&mut ossec, 60_000, &FAILED.replace("203.0.113.9", "198.51.100.7")), None, "allowed");
    assert_eq!(fire(&mut ossec, 70_000, &FAILED.replace("203.0.113.9", "203.0.113.9;reboot")), None, "no address at all");
    let root = read(&mut ossec, 80_000, &FAILED.replace("bob", "root")).wish.unwrap();
    assert_eq!((root.action.as_ref(), root.duration), ("lock", None));
}

#[test]
fn findings_are_alerts() {
    let mut ossec = ossec();
    let mut out: Vec<Finding> = Vec::new();
    for line in [FAILED, "nothing", "Nov 23 12:00:00 host app: event 1: x"] {
        ossec.line(&Line::new(line.as_bytes(), noon(), "auth.log"), &mut out);
    }
    assert_eq!(out.iter().map(|finding| finding.rule.as_ref()).collect::<Vec<_>>(), ["5716", "100"]);
    let first = &out[0];
    assert_eq!(
        (first.level, first.actor, first.trust, first.description.as_ref()),
        (5, "203.0.113.9".parse().ok(), Trust::Vouched, "Failed login.")
    );
    assert_eq!(first.fields[0], ("dstuser".into(), "bob".to_owned()));
}

#[test]
fn the_memory_is_bounded_and_what_gives_way_is_counted() {
    let mut ossec = ossec();
    let events = memory::EVENTS_MAX as u32 + 500;
    for n in 0..events {
        let line = FAILED.replace("203.0.113.9", &std::net::Ipv4Addr::from(n).to_string()).replace("bob", &format!("u{n}"));
        assert_eq!(read(&mut ossec, 0, &line).met.unwrap().rule.as_ref(), "5716");
    }
    assert_eq!(ossec.counters()[1], ("ossec events given way", 500));
}

#[test]
fn a_line_that_imitates_another_accuses_nobody() {
    let mut ossec = ossec();
    // The user is called `x from 10.0.0.1 port 22`; this decoder takes the first address, as its author wrote it.
    let injected = FAILED.replace("bob", "x from 10.0.0.1 port 22");
    for at in 0..8 {
        let reading = read(&mut ossec, at, &injected);
        assert!(reading.fields.iter().any(|(name, value)| &**name == "srcip" && value == "10.0.0.1"));
        assert_eq!((reading.actor, reading.wish), (None, None));
    }
    assert_eq!(read(&mut ossec, 9, FAILED).actor, "203.0.113.9".parse().ok());
    let inside = "Nov 23 12:00:00 host app: x Nov 23 12:00:00 host sshd[1]: Failed password for bob from 10.0.0.1 port 1";
    assert_eq!((met(inside), fields(inside).1), (None, vec![]), "a head in the middle of a line is no head");
    // What a web server writes first is its own word, whatever the client says behind it.
    let web = "192.0.2.1 - - [23/Nov/2026:12:00:00 +0000] \"GET /a HTTP/1.1\" 404 12 \"-\" \"x from 10.0.0.1 y\"";
    assert_eq!(read(&mut ossec, 10, web).actor, "192.0.2.1".parse().ok());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let wrong = |decoders: &str, rules: &str| {
        let base = "<group name=\"a\"><rule id=\"1\" level=\"0\" noalert=\"1\"><category>syslog</category></rule></group>";
        let files = Files {
            decoders: vec![("d.xml".into(), decoders.into())],
            rules: vec![("base.xml".into(), base.into()), ("r.xml".into(), rules.into())],
            ..Files::default()
        };
        Ossec::load(&files).map(|_| ()).unwrap_err().iter().map(Remark::to_string).collect::<Vec<_>>().join("\n")
    };
    let rule = |inside: &str| format!("<group name=\"x\">\n<rule id=\"20\" level=\"3\">{inside}</rule></group>");
    for (decoders, rules, expected) in [
        (
            "<decoder name=\"x\"><prematchx>a</prematchx></decoder>",
            String::new(),
            "d.xml:1: decoder x: no such element: <prematchx>; did you mean \"prematch\"?",
        ),
        ("<decoder name=\"x\"><parent>sshd</parent></decoder>", String::new(), "no decoder without a parent is called sshd"),
        ("<decoder name=\"x\"></decoder>", String::new(), "needs a prematch"),
        ("<decoder name=\"x\"><prematch>a</prematch><regex>(b)</regex></decoder>", String::new(), "belong together"),
        ("<decoder name=\"x\"><prematch_pcre2>a(</prematch_pcre2></decoder>", String::new(), "pattern \"a(\""),
        ("", rule("<if_sid>99</if_sid>"), "r.xml:2: rule 20: no rule before it has the number 99"),
        ("", rule("<decoded_as>sshd</decoded_as>"), "no decoder is called sshd"),
        ("", rule("<mach>x</mach>"), "did you mean \"match\"?"),
        ("", rule("<same_source_ip />"), "need if_matched_sid"),
        ("", rule("<time>noon</time>"), "<time> can't be \"noon\""),
        ("", rule("<srcip>host</srcip>"), "is no address"),
        ("", "<group name=\"x\"><rule id=\"1\" level=\"3\"></rule></group>".into(), "there is a rule 1 already"),
        ("", "<group name=\"x\"><rule id=\"21\"></rule></group>".into(), "needs an id and a level"),
        (
            "",
            "<group name=\"x\"><rule id=\"21\" level=\"3\" levle=\"1\"></rule></group>".into(),
            "no attribute levle; did you mean \"level\"?",
        ),
        ("", "<rules>".into(), "never closed"),
    ] {
        let text = wrong(decoders, &rules);
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn nothing_is_passed_over_silently() {
    let (_, notices) = Ossec::load(&files()).unwrap();
    let text = notices.iter().map(Remark::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("<global>: not honoured here: email_notification"), "{text}");
    assert!(text.contains("for other hosts"), "{text}");
    let (conf, _) = read_conf("ossec.conf", CONF).unwrap();
    assert_eq!((conf.rules, conf.decoders), (vec!["rules_config.xml".to_owned()], vec!["etc/decoder.xml".to_owned()]));
    let unknown = CONF.replace("<command>lock</command><location>", "<command>lokc</command><location>");
    assert!(read_conf("c", &unknown).unwrap_err()[0].to_string().contains("no command is called lokc; did you mean \"lock\"?"));
}

#[test]
fn who_is_overwritten_keeps_its_place_and_those_behind_go_by_its_new_level() {
    let rule = |id: u32, level: u8, rest: &str| format!("<rule id=\"{id}\" level=\"{level}\" {rest}><match>x</match></rule>");
    let base = "<group name=\"a\"><rule id=\"1\" level=\"0\" noalert=\"1\"><category>syslog</category></rule>";
    let met = |rules: &[String]| {
        let files = Files { rules: vec![("r.xml".into(), format!("{base}{}</group>", rules.concat()))], ..Files::default() };
        read(&mut Ossec::load(&files).unwrap().0, 0, "x").met.map(|met| met.rule.to_string())
    };
    let over = "overwrite=\"yes\"";
    assert_eq!(met(&[rule(20, 2, ""), rule(21, 5, "")]).as_deref(), Some("21"));
    assert_eq!(met(&[rule(20, 2, ""), rule(20, 8, over), rule(21, 5, "")]).as_deref(), Some("20"));
    assert_eq!(met(&[rule(20, 2, ""), rule(21, 5, ""), rule(20, 8, over)]).as_deref(), Some("21"));
}

const WAZUH_DECODERS: &str = r#"
<decoder name="json"><prematch>^{\s*"</prematch><plugin_decoder>JSON_Decoder</plugin_decoder></decoder>
<decoder name="fw"><prematch type="pcre2">(?i)^fw\d: </prematch></decoder>
<decoder name="fw-fields">
  <parent>fw</parent>
  <regex offset="after_parent" type="pcre2">act=(\w+) from=(\S+) zone=(\w+)</regex>
  <order>action, srcip, zone.name</order>
</decoder>
<decoder name="either"><prematch type="pcre2">^either </prematch></decoder>
<decoder name="either-fields">
  <parent>either</parent><regex offset="after_parent" type="pcre2">^(?:by (\w+)|from (\S+))</regex><order>user, srcip</order>
</decoder>
"#;

const WAZUH_RULES: &str = r#"
<group name="syslog,"><rule id="1" level="0" noalert="1"><category>syslog</category><description>x</description></rule></group>
<group name="w,">
  <rule id="86600" level="3"><decoded_as>json</decoded_as><field name="event.kind">^alert$</field><description>J</description>
    <mitre><id>T1110</id></mitre></rule>
  <rule id="86601" level="10" frequency="3" timeframe="60"><if_matched_sid>86600</if_matched_sid><same_field>event.user</same_field>
    <different_field>event.host</different_field><description>J3</description></rule>
  <rule id="87000" level="4"><decoded_as>fw</decoded_as><action>deny|drop</action><description>F</description></rule>
  <rule id="87001" level="5"><if_sid>87000</if_sid><field name="zone.name" negate="yes" type="pcre2">^lan$</field><description>F</description></rule>
  <rule id="87002" level="6"><if_sid>87001</if_sid><match>!quiet</match><srcip negate="yes">10.0.0.0/8</srcip><description>F</description></rule>
  <rule id="87004" level="8"><if_sid>87000</if_sid><field name="zone.name">^a</field><field name="zone.name" type="pcre2">Z$</field>
    <description>both</description></rule>
  <rule id="87005" level="9" frequency="2" timeframe="60"><if_matched_sid>87004</if_matched_sid><not_same_field>srcip</not_same_field>
    <description>D</description></rule>
  <rule id="87006" level="9"><if_sid>87000</if_sid><list field="srcip" lookup="not_match_key">lists/nope</list><description>L</description></rule>
  <rule id="87000" level="9"><description>twice</description></rule>
  <rule id="87003" level="6"><if_sid>99999</if_sid><description>of nobody</description></rule>
</group>
"#;

#[test]
fn wazuhs_dialect_is_understood() {
    let file = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let files = Files { decoders: file("d.xml", WAZUH_DECODERS), rules: file("r.xml", WAZUH_RULES), ..Files::default() };
    let (mut ossec, notices) = Ossec::load(&files).unwrap();
    let expected = [
        "r.xml:15: rule 87006 asks for a list nope that isn't there: the rule is left out",
        "r.xml:16: there is a rule 87000 already; overwrite=\"yes\" replaces it",
        "r.xml:17: rule 87003: no rule before it has the number 99999",
    ];
    assert_eq!(notices.iter().map(Remark::to_string).collect::<Vec<_>>(), expected);
    let json = |host: &str| format!(r#"{{"event":{{"kind":"alert","user":"bob","host":"{host}"}},"srcip":"192.0.2.1"}}"#);
    let found = read(&mut ossec, 0, &json("a"));
    assert_eq!((found.actor, found.fields.len()), ("192.0.2.1".parse().ok(), 4));
    assert_eq!(rules(&mut ossec, &[&json("b"), &json("c")]), ["86600", "86601"], "frequency 3 is the third there");
    ossec.forget();
    assert_eq!(rules(&mut ossec, &[&json("a"), &json("a"), &json("a")]), ["86600"; 3]);
    // What one user's alert has used still counts for another user; what is absent differs from everything.
    ossec.forget();
    let (eve, nowhere) = (|host: &str| json(host).replace("bob", "eve"), json("e").replace("host", "other"));
    let lines = [json("a"), eve("a"), json("b"), eve("b"), json("c"), eve("c"), json("d"), nowhere.clone(), nowhere];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = ["86600", "86600", "86600", "86600", "86601", "86601", "86600", "86600", "86601"];
    assert_eq!(rules(&mut ossec, &lines), expected);
    let found = read(&mut ossec, 0, "either from 192.0.2.9");
    assert_eq!((found.actor, found.fields.len()), ("192.0.2.9".parse().ok(), 2), "a group that took no part has its place");
    for (line, expected) in [
        ("FW1: act=deny from=192.0.2.1 zone=wan", "87002"),
        ("FW1: act=deny from=10.0.0.1 zone=wan", "87001"),
        ("FW1: act=deny from=192.0.2.1 zone=wan quiet", "87001"),
        ("FW1: act=drop from=192.0.2.1 zone=lan", "87000"),
        ("FW1: act=pass from=192.0.2.1 zone=lan", ""),
        ("FW1: act=drop from=10.0.0.1 zone=abZ", "87004"),
        ("FW1: act=drop from=10.0.0.1 zone=abz", "87001"),
        ("FW1: act=drop from=10.0.0.1 zone=bZ", "87001"),
        ("FW1: act=drop from=10.0.0.1 zone=abZ", "87004"),
        ("FW1: act=drop from=10.0.0.2 zone=abZ", "87005"),
    ] {
        assert_eq!(rules(&mut ossec, &[line]), [expected], "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_line_breaks_anything(lines: Vec<Vec<u8>>, text in "(Nov 23 12:00:00 h (sshd|app|pf|slapd)\\[?1?\\]?: )?[ -~]{0,80}") {
        let mut ossec = ossec();
        let mut out = Vec::new();
        for line in lines.iter().map(Vec::as_slice).chain([text.as_bytes()]) {
            ossec.line(&Line::new(line, noon(), "x"), &mut out);
        }
    }
}
