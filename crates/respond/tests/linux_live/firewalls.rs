//! ufw and firewalld beside iptables and ipset: what they have stays, and what their reloads take away of ours comes back.

use crate::contract::{Way, listed, strangers, unchanged};
use crate::network::{NOW, Network, PEER, VICTIM, add, remove};
use model::block::Outcome;
use range::namespace::run;
use respond::Responder;

/// Copies of ufw's files in front of the real ones, in a mount namespace that ends with the shell. The rules stay.
const UFW: &str = "mount -t tmpfs tmpfs /run && mkdir /run/etc /run/lib && cp -a /etc/ufw/. /run/etc && cp -a /lib/ufw/. /run/lib && \
     mount --bind /run/etc /etc/ufw && mount --bind /run/lib /lib/ufw && ";
/// firewalld with iptables in the back, with a message bus of its own, ended by its own number.
const FIREWALLD: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/etc && cp -a /etc/firewalld/. /run/etc && mount --bind /run/etc /etc/firewalld && \
     sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ /etc/firewalld/firewalld.conf && grep -q Backend=iptables /etc/firewalld/firewalld.conf && \
     bus=$(dbus-daemon --system --fork --nopidfile --print-pid) && { firewalld --nofork --nopid >/run/out 2>&1 & d=$!; \
     n=0; until firewall-cmd --state >/dev/null 2>&1 || [ $n = 100 ]; do n=$((n+1)); sleep 0.2; done; \
     firewall-cmd --add-port=8443/tcp && firewall-cmd --reload && firewall-cmd --complete-reload && iptables-save -t filter | grep -q IN_public; \
     s=$?; kill $d; wait $d; kill $bus; [ $s = 0 ]; }";

fn shell(script: &str) {
    run("unshare", ["-m", "sh", "-c", script]).unwrap();
}

pub fn firewalls_beside_are_left_alone(network: &Network) {
    for way in Way::of(&["iptables", "ipset"]).into_iter().filter(|way| way.name.ends_with("nft")) {
        crate::network::clean();
        let socket = Network::here(VICTIM[0]);
        let in_force = |responder: &mut dyn Responder, after: &str| {
            // What the daemon does every minute: whatever is missing is added again.
            if !listed(responder).contains_key(PEER[0]) {
                assert_eq!(responder.apply(&[add(PEER[0])], NOW), [Outcome::Added], "{}: {after}", way.name);
            }
            assert!(listed(responder).contains_key(PEER[0]), "{}: {after}", way.name);
            assert!(!network.reaches(PEER[0], &socket), "{}: {after}", way.name);
        };
        shell(&format!("{UFW} ufw --force enable && ufw allow proto udp to any && ufw reload"));
        assert!(network.reaches(PEER[0], &socket));
        let before = strangers();
        assert!(before.iter().any(|line| line.contains("ufw-before-input")));
        let mut responder = way.open();
        in_force(&mut *responder, "with ufw");
        unchanged(&before, "with ufw");
        shell(&format!("{UFW} ufw --force enable && ufw allow proto udp to any && ufw reload"));
        in_force(&mut *responder, "ufw reload");
        unchanged(&before, "after ufw reload");
        shell(&format!("{UFW} ufw --force enable && ufw --force disable"));
        in_force(&mut *responder, "ufw disable");
        shell(FIREWALLD);
        in_force(&mut *responder, "firewalld reload and end");
        assert_eq!(responder.apply(&[remove(PEER[0])], NOW), [Outcome::Removed]);
        assert!(network.reaches(PEER[0], &socket));
    }
}
