//! The same tests on a second kernel, with cgroup v2: this very program runs in the virtual machine.

use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use workshop::{project, testing};

use crate::machine::SLOW;

/// Takes this program from stdin and runs it beside the runtime.
const SCRIPT: &str =
    "program=bin/containers; cat > $program; chmod +x $program; exec $program \"$@\"";

/// Left out: this test itself, and what has nothing to do with cgroups and takes minutes where every
/// instruction is translated.
const LEFT_OUT: [&str; 5] = ["second_kernel", "many", "network", "settling", "storage"];

#[test]
fn everything_holds_on_cgroup_v2() {
    if !testing::qemu("everything_holds_on_cgroup_v2") {
        return;
    }
    project::build(&["workshop"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = stripped(folder.path().join("containers"));
    let mut vm = Command::new(project::binaries().unwrap().join("workshop"));
    vm.args(["vm", "--memory", "2048", "--timeout", "900", "--"]);
    vm.args(["env", &format!("{SLOW}=1"), "sh", "-c", SCRIPT, "sh"]);
    // A whole name, or it would leave out options::networks, too.
    vm.args(LEFT_OUT.iter().flat_map(|module| ["--skip".to_string(), format!("{module}::")]));
    vm.args(["--test-threads", "2"]);
    let output = vm.stdin(File::open(program).unwrap()).output().unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert!(!errors.contains("SKIPPED"), "{errors}");
    // What was left out by mistake would not fail.
    let passed = said.lines().filter(|line| line.ends_with(" ... ok")).count();
    assert!(passed >= 50, "{said}");
}

/// A copy of this program without its debugging information, which is nine tenths of it.
fn stripped(target: PathBuf) -> PathBuf {
    let this = env::current_exe().unwrap();
    let strip = Command::new("strip").arg("-o").arg(&target).arg(&this).status();
    if strip.is_ok_and(|status| status.success()) { target } else { this }
}
