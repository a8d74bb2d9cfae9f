//! Who gets which address.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use super::support::{Namespace, Stage, die};
use crate::network::state::all;
use crate::network::{Attachment, Plan, attach, detach, intent, prune};

/// Where a helper process of a test finds its root.
const ROOT: &str = "NETWORK_TEST_ROOT";

fn with_ip(ip: &str) -> Plan {
    Plan { ip: Some(ip.parse().unwrap()), ..Plan::default() }
}

fn take(root: &Path, name: &str) -> Attachment {
    intent(&Plan::default(), name, root).unwrap()
}

fn refused(plan: &Plan, root: &Path) -> String {
    intent(plan, "refused", root).unwrap_err().to_string()
}

#[test]
fn addresses_are_shared_out_and_come_back() {
    Stage::play("addresses_are_shared_out_and_come_back", |stage| {
        for round in 0..300 {
            let attachment = take(stage.root, &format!("c{round}"));
            assert_eq!(attachment.ip, Some(Ipv4Addr::new(10, 20, 30, 2)));
            assert!(detach(&attachment, stage.root).0.is_empty());
        }
        let all: Vec<_> = (0..253).map(|count| take(stage.root, &format!("c{count}"))).collect();
        let distinct: HashSet<_> = all.iter().map(|attachment| attachment.ip).collect();
        assert_eq!(distinct.len(), 253);
        let error = refused(&Plan::default(), stage.root);
        assert!(error.contains("containers have all from 10.20.30.2 to 10.20.30.254"), "{error}");
        // Who gives one back makes room, once.
        assert!(detach(&all[100], stage.root).0.is_empty());
        assert!(detach(&all[100], stage.root).0.is_empty());
        let late = take(stage.root, "late");
        assert_eq!(late.ip, all[100].ip);
        // And cannot give back what is another's by now: another name, or another root.
        assert!(detach(&all[100], stage.root).0.is_empty());
        assert!(detach(&late, Path::new("/elsewhere")).0.is_empty());
        refused(&Plan::default(), stage.root);
        for attachment in all.iter().chain([&late]) {
            assert!(detach(attachment, stage.root).0.is_empty());
        }
    });
}

#[test]
fn an_address_can_be_chosen() {
    Stage::play("an_address_can_be_chosen", |stage| {
        let container = stage.start("chosen", &with_ip("10.20.30.77"));
        assert_eq!(container.attachment.ip, "10.20.30.77".parse().ok());
        let error = refused(&with_ip("10.20.30.77"), stage.root);
        assert!(error.contains("10.20.30.77: the container chosen of"), "{error}");
        for ip in ["10.20.30.0", "10.20.30.1", "10.20.30.255", "10.20.31.2", "192.0.2.1"] {
            let error = refused(&with_ip(ip), stage.root);
            assert!(error.contains(&format!("cannot use the address {ip}")), "{error}");
        }
        container.end(stage);
        // At once again, while the kernel may still be removing the one before.
        stage.start("again", &with_ip("10.20.30.77")).end(stage);
    });
}

#[test]
fn addresses_of_dead_containers_come_back() {
    Stage::play("addresses_of_dead_containers_come_back", |stage| {
        // Killed before, and killed after it was attached; somebody still holds its namespace.
        die(&take(stage.root, "dead"));
        let namespace = Namespace::new();
        let killed = take(stage.root, "killed");
        attach(&killed, namespace.as_fd()).unwrap();
        die(&killed);
        let living = stage.start("living", &Plan::default());
        // Whose root does not matter.
        let elsewhere = intent(&Plan::default(), "living", Path::new("/elsewhere")).unwrap();
        assert!(prune().is_empty());
        let next = [take(stage.root, "next"), take(stage.root, "after")];
        let ips = next.each_ref().map(|it| it.ip.unwrap().octets()[3]);
        assert_eq!((ips, elsewhere.ip.unwrap().octets()[3]), ([2, 3], 5));
        next.iter().for_each(die);
        assert!(prune().is_empty());
        assert!(detach(&elsewhere, Path::new("/elsewhere")).0.is_empty());
        living.end(stage);
    });
}

#[test]
fn nothing_holds_after_a_reboot() {
    Stage::play("nothing_holds_after_a_reboot", |stage| {
        let stale = take(stage.root, "stale");
        let folder = all();
        // The same namespace, as it was called in another boot.
        let (_, namespace) = stale.network.split_once('-').unwrap();
        let before = format!("00000000-{namespace}");
        fs::rename(folder.join(&stale.network), folder.join(&before)).unwrap();
        let fresh = take(stage.root, "fresh");
        assert_eq!(fresh.ip, stale.ip);
        let stale = Attachment { network: before.clone(), ..stale };
        assert!(detach(&stale, stage.root).0.is_empty());
        assert!(prune().is_empty());
        assert!(!folder.join(before).exists());
        // The living one keeps its address.
        let other = take(stage.root, "other");
        assert_ne!(other.ip, stale.ip);
        for attachment in [fresh, other] {
            assert!(detach(&attachment, stage.root).0.is_empty());
        }
    });
}

#[test]
fn an_address_that_somebody_else_uses_is_left_out() {
    Stage::play("an_address_that_somebody_else_uses_is_left_out", |stage| {
        // A container under another root.
        let elsewhere = intent(&Plan::default(), "elsewhere", Path::new("/elsewhere")).unwrap();
        let here = take(stage.root, "here");
        assert_eq!(here.ip, Some(Ipv4Addr::new(10, 20, 30, 3)));
        let error = refused(&with_ip("10.20.30.2"), stage.root);
        assert!(error.contains("the container elsewhere of --root /elsewhere has it"), "{error}");
        assert!(detach(&elsewhere, Path::new("/elsewhere")).0.is_empty());
        // One of the steps'.
        let name = SocketAddr::from_abstract_name("mydocker0 10.20.30.40").unwrap();
        let step = UnixListener::bind_addr(&name).unwrap();
        let error = refused(&with_ip("10.20.30.40"), stage.root);
        assert!(error.contains("used by others on the bridge"), "{error}");
        drop(step);
        let there = intent(&with_ip("10.20.30.40"), "there", stage.root).unwrap();
        for attachment in [here, there] {
            assert!(detach(&attachment, stage.root).0.is_empty());
        }
    });
}

/// Not a test of its own: what the processes of the next one do.
#[test]
fn race() {
    let Some(root) = env::var_os(ROOT) else { return };
    for count in 0..60 {
        println!("got {}", take(root.as_ref(), &format!("c{count}")).ip.unwrap());
    }
}

#[test]
fn processes_never_share_an_address() {
    Stage::play("processes_never_share_an_address", |stage| {
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let mut racer = Command::new("/proc/self/exe");
                racer.args(["network::tests::address::race", "--exact", "--nocapture"]);
                racer.env(ROOT, stage.root).stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut seen = HashSet::new();
        for racer in racers {
            let output = racer.wait_with_output().unwrap();
            assert!(output.status.success());
            let output = String::from_utf8(output.stdout).unwrap();
            for ip in output.lines().filter_map(|line| line.split("got ").nth(1)) {
                assert!(seen.insert(ip.to_owned()), "{ip} was given twice");
            }
        }
        assert_eq!(seen.len(), 240);
        // They have ended without a word.
        assert!(prune().is_empty());
    });
}
