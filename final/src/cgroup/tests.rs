use super::*;

const V1: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 master:2 - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids\\040x rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

fn find(wanted: &[&str], own: &str, mounts: &str) -> Result<Vec<Branch>> {
    let mounts: Vec<_> = mounts.lines().filter_map(mountinfo::parse).collect();
    Ok(Cgroup::find("web", wanted, own, &mounts)?.branches)
}

fn folders(branches: &[Branch]) -> Vec<&str> {
    branches.iter().filter_map(|branch| branch.folder.to_str()).collect()
}

#[test]
fn v1_has_a_folder_for_each_tree() {
    let own = "8:pids:/a\n4:memory:/docker/b\n2:cpu,cpuacct:/\n0::/c\n";
    let found = find(&["cpu", "memory", "pids"], own, V1).unwrap();
    assert_eq!(
        folders(&found),
        [
            "/sys/fs/cgroup/cpu,cpuacct/final-web",
            "/sys/fs/cgroup/memory/b/final-web",
            "/sys/fs/cgroup/pids x/a/final-web"
        ]
    );
    assert!(found.iter().all(|branch| branch.version == Version::V1));
    assert!(find(&["memory"], "4:memory:/elsewhere\n", V1).is_err());
    assert!(find(&["memory"], "", V1).is_err());
}

#[test]
fn v2_uses_the_nearest_folder_that_hands_all_controllers_down() {
    let tree = tempfile::tempdir().unwrap();
    let folder = |path: &str, controllers: &str| {
        let folder = tree.path().join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), "").unwrap();
        fs::write(folder.join("cgroup.subtree_control"), controllers).unwrap();
    };
    folder(".", "cpu memory pids");
    folder("user.slice", "memory pids");
    folder("user.slice/session.scope", "");
    let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", tree.path().display());
    let own = "0::/user.slice/session.scope\n";
    let all = find(&["cpu", "memory", "pids"], own, &mounts).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].version, Version::V2);
    assert_eq!(all[0].folder, tree.path().join("final-web"));
    let some = find(&["memory", "pids"], own, &mounts).unwrap();
    assert_eq!(some[0].folder, tree.path().join("user.slice/final-web"));
}

#[test]
fn a_hybrid_machine_has_some_of_each() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("cgroup.procs"), "").unwrap();
    fs::write(tree.path().join("cgroup.subtree_control"), "pids").unwrap();
    let mounts = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n{V1}", tree.path().display());
    let found = find(&["memory", "pids"], "4:memory:/docker\n0::/\n", &mounts).unwrap();
    let versions: Vec<_> = found.iter().map(|branch| branch.version).collect();
    assert_eq!(versions, [Version::V1, Version::V2]);
}

#[test]
fn limits_are_written_in_each_versions_own_words() {
    let limits = Limits {
        memory: Some(64 << 20),
        cpus: Some(Cpus(50_000)),
        shares: Some(1024),
        processes: Some(20),
    };
    let branch = |version| Branch {
        version,
        controllers: limits.controllers().iter().map(|it| it.to_string()).collect(),
        tree: String::new(),
        folder: PathBuf::new(),
    };
    let words = |version| {
        let files = limits.files(&branch(version));
        files.iter().map(|(file, value, _)| format!("{file}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        words(Version::V1),
        "memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=134217728 \
         cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 cpu.shares=1024 pids.max=20"
    );
    assert_eq!(
        words(Version::V2),
        "memory.max=67108864 memory.swap.max=67108864 cpu.max=50000 100000 cpu.weight=39 pids.max=20"
    );
}

#[test]
fn a_file_that_the_kernel_does_not_have_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memory.swap.max");
    assert_eq!(overwrite(&file, "1").unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(&file, "").unwrap();
    overwrite(&file, "1").unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "1");
}
