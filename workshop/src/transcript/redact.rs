//! Replaces what differs from run to run and from machine to machine.

use std::path::Path;

use regex_lite::{Captures, Regex};

/// Replaces pids, inodes, times, paths and the like in a transcript. `folder` is where it was played.
pub fn redact(transcript: &str, folder: &Path) -> String {
    let text = transcript.replace(&*folder.to_string_lossy(), "/workshop");
    let text = replace(&text, r"(?m)[ \t]+$", |_| String::new());
    // Where a machine has its cgroups, and which version.
    let text = replace(&text, r"/sys/fs/cgroup\S*/mydocker-(\d+)( \(cgroup v[12]\))?", |found| {
        format!(
            "/sys/fs/cgroup/mydocker-{}{}",
            &found[1],
            found.get(2).map_or("", |_| " (cgroup v2)")
        )
    });
    let text = columns(&text);
    let text = pids(&text);
    let text = inodes(&text);
    let text = containers(&text);
    times(&text)
}

/// Replaces every match by what `with` makes of it.
fn replace(text: &str, pattern: &str, with: impl FnMut(&Captures) -> String) -> String {
    match Regex::new(pattern) {
        Ok(regex) => regex.replace_all(text, with).into_owned(),
        Err(error) => unreachable!("{pattern}: {error}"),
    }
}

/// ps makes its first column as wide as the machine's largest pid; terminals are numbered. On a slow
/// machine a program has taken a second.
fn columns(text: &str) -> String {
    let text = replace(text, r"(?m)^ *(PID|\d+)( (?:TTY|pts/|\?))", |found| {
        format!("{:>7}{}", &found[1], &found[2])
    });
    // A slow machine needs seconds.
    let text = replace(&text, r"(?m)( (?:pts/\d+|\?) +)00:00:\d\d ", |found| {
        format!("{}00:00:00 ", &found[1])
    });
    replace(&text, r"\bpts/\d+ *", |found| format!("{:<width$}", "pts/0", width = found[0].len()))
}

/// The same pid becomes the same number, counted up from 4001. A pid inside a container is small,
/// stays as it is and means something.
fn pids(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let mut number = move |pid: &str| {
        let at = seen.iter().position(|it| it == pid).unwrap_or_else(|| {
            seen.push(pid.to_string());
            seen.len() - 1
        });
        4001 + at
    };
    // A number alone on a line is a pid after these commands only.
    let text =
        replace(text, r"(?m)^(.*(?:/cgroup\.procs|readlink /proc/self))\n((?:\d+\n)+)", |found| {
            let pids = found[2].replace('\n', " PID\n");
            format!("{}\n{pids}", &found[1])
        });
    replace(
        &text,
        r"(?m)(\] as |mydocker-|\bveth|/proc/|^ +|^)(\d{3,})( pts/| \?| PID$|/|@|$|\b)",
        |found| {
            let (before, after) = (&found[1], &found[3]);
            match (before.trim().is_empty(), after) {
                (true, " PID") => format!("{before}{}", number(&found[2])),
                (true, " pts/" | " ?") => format!("{:>7}{after}", number(&found[2])),
                (true, _) => found[0].to_string(),
                (false, _) => format!("{before}{}{after}", number(&found[2])),
            }
        },
    )
}

/// The same namespace becomes the same inode.
fn inodes(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    replace(text, r"\b(\w+):\[(\d+)\]", |found| {
        let inode = found[2].to_string();
        let at = seen.iter().position(|it| *it == inode).unwrap_or_else(|| {
            seen.push(inode.clone());
            seen.len() - 1
        });
        format!("{}:[{}]", &found[1], 4_026_532_001_usize + at)
    })
}

/// The same container of final keeps the same name: 12 hexadecimal digits.
fn containers(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    replace(text, r"\b[0-9a-f]{12}\b", |found| {
        let name = found[0].to_string();
        let at = seen.iter().position(|it| *it == name).unwrap_or_else(|| {
            seen.push(name.clone());
            seen.len() - 1
        });
        format!("c0ffee{:06}", at + 1)
    })
}

/// Dates of files, and how long an answer took; hardware addresses are random.
fn times(text: &str) -> String {
    let text = replace(text, r"\b[A-Z][a-z]{2} [ \d]\d (?:\d\d:\d\d| \d{4})\b", |_| {
        "Jan  1 00:00".to_string()
    });
    let text = replace(&text, r"time=[\d.]+ ms", |_| "time=0.050 ms".to_string());
    let text = replace(&text, r"time \d+ms", |_| "time 0ms".to_string());
    let text = replace(&text, r"(rtt|round-trip) min/avg/max(/mdev)? = \S+ ms", |found| {
        format!("{} min/avg/max{} = ... ms", &found[1], found.get(2).map_or("", |_| "/mdev"))
    });
    let mut seen: Vec<String> =
        vec!["00:00:00:00:00:00".into(), "ff:ff:ff:ff:ff:ff".into(), "02:42:0a:14:1e:01".into()];
    replace(&text, r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", |found| {
        let address = found[0].to_string();
        match seen.iter().position(|it| *it == address) {
            Some(at @ 0..3) => seen[at].clone(),
            Some(at) => format!("4e:00:00:00:00:{:02x}", at - 2),
            None => {
                seen.push(address);
                format!("4e:00:00:00:00:{:02x}", seen.len() - 3)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        redact(text, Path::new("/tmp/workshop-7-0"))
    }

    #[test]
    fn the_same_pid_stays_the_same() {
        let text = "Running [sleep 100] as 30582\nls -l /proc/30582/root /proc/30583/root\n";
        assert_eq!(
            redacted(text),
            "Running [sleep 100] as 4001\nls -l /proc/4001/root /proc/4002/root\n"
        );
    }

    #[test]
    fn columns_are_as_wide_everywhere() {
        let wide = "    PID TTY          TIME CMD\n  27070 pts/10   00:00:00 sudo\n      1 ?        00:00:00 exe\n";
        let narrow = "  PID TTY          TIME CMD\n27070 pts/10   00:00:02 sudo\n    1 ?        00:00:00 exe\n";
        assert_eq!(redacted(wide), redacted(narrow));
        assert!(redacted(wide).contains("   4001 pts/0"));
        assert!(redacted(wide).contains("      1 ?"));
    }

    #[test]
    fn members_of_a_cgroup_are_pids_and_an_exit_status_is_none() {
        let text =
            "$ cat /sys/fs/cgroup/pids/mydocker-311/cgroup.procs\n311\n4712\n$ echo $?\n130\n";
        let redacted = redacted(text);
        assert!(redacted.ends_with("cgroup.procs\n4001\n4002\n$ echo $?\n130\n"), "{redacted}");
    }

    #[test]
    fn inodes_tell_namespaces_apart() {
        let text = "uts:[4026531838]\nuts:[4026532252]\nuts:[4026531838]\n";
        assert_eq!(redacted(text), "uts:[4026532001]\nuts:[4026532002]\nuts:[4026532001]\n");
    }

    #[test]
    fn names_of_containers_stay_the_same() {
        let text = "root@1bd14b2278bc:/# hostname\n1bd14b2278bc\nroot@0123456789ab:/# \n";
        let expected = "root@c0ffee000001:/# hostname\nc0ffee000001\nroot@c0ffee000002:/#\n";
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn places_and_versions_of_cgroups_are_alike() {
        let one = "/sys/fs/cgroup/pids/workshop-1-0/leaf/mydocker-311 (cgroup v1)";
        let two = "/sys/fs/cgroup/user.slice/mydocker-4711 (cgroup v2)";
        assert_eq!(redacted(one), redacted(two));
    }
}
