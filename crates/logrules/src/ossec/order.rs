//! The order in which OSSEC's own configuration reads its rule files. It matters: what a rule hangs under depends on what was read before it.

/// OSSEC's own configuration leaves it out: it calls every login outside of business hours an attack.
pub const LEFT_OUT: &str = "policy_rules";

/// Names without their ending, separated by blanks.
const ORDER: &str = "\
    rules_config pam_rules sshd_rules telnetd_rules syslog_rules arpwatch_rules symantec-av_rules symantec-ws_rules pix_rules \
    named_rules smbd_rules vsftpd_rules pure-ftpd_rules proftpd_rules ms_ftpd_rules ftpd_rules hordeimp_rules roundcube_rules \
    wordpress_rules cimserver_rules vpopmail_rules vmpop3d_rules courier_rules web_rules web_appsec_rules apache_rules \
    nginx_rules php_rules mysql_rules postgresql_rules ids_rules squid_rules firewall_rules apparmor_rules cisco-ios_rules \
    netscreenfw_rules sonicwall_rules postfix_rules sendmail_rules imapd_rules mailscanner_rules dovecot_rules ms-exchange_rules \
    racoon_rules vpn_concentrator_rules spamd_rules msauth_rules mcafee_av_rules trend-osce_rules ms-se_rules zeus_rules \
    solaris_bsm_rules vmware_rules ms_dhcp_rules asterisk_rules ossec_rules attack_rules openbsd_rules clam_av_rules \
    dropbear_rules sysmon_rules opensmtpd_rules exim_rules openbsd-dhcpd_rules dnsmasq_rules nsd_rules unbound_rules";
/// Comes last, so that it can hang under everything.
const LAST: &str = "local_rules";

/// Where a rule file of this name (without its ending) has its place: files that OSSEC's own configuration doesn't know come behind
/// those that it does, local_rules at the very end.
pub fn place(name: &str) -> usize {
    let known = ORDER.split(' ').position(|known| known == name);
    known.unwrap_or_else(|| ORDER.len() + usize::from(name == LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_hang_under_comes_first() {
        let mut names = ["zeus_rules", "local_rules", "own_rules", "sshd_rules", "rules_config"];
        names.sort_by_key(|name| place(name));
        assert_eq!(names, ["rules_config", "sshd_rules", "zeus_rules", "own_rules", "local_rules"]);
    }
}
