//! Images and commands that want to harm the host.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Ended, Machine, binary, end, machine};

const RUN: &str = "run --rm --network none";

/// An image whose upper layer is made by `make`, over this machine's programs.
fn image(machine: &Machine, make: impl Fn(&Path)) {
    let layer = machine.path("root/layers/evil");
    fs::create_dir_all(&layer).unwrap();
    make(&layer);
    let rootfs = workshop::testing::rootfs().unwrap();
    machine.write("root/images/evil.json", &format!("{{\"layers\":[\"evil\",{rootfs:?}]}}"));
}

#[test]
fn links_in_the_place_of_folders_stay_inside() {
    let Some(machine) = machine("links_in_the_place_of_folders_stay_inside") else { return };
    let outside = machine.write("outside/mine", "untouched\n");
    let outside = outside.parent().unwrap();
    for target in [outside.to_path_buf(), PathBuf::from("../../../../tmp"), "/usr/p".into()] {
        let _ = fs::remove_dir_all(machine.path("root/layers/evil"));
        image(&machine, |layer| {
            for name in ["proc", "sys", "dev", "data"] {
                symlink(&target, layer.join(name)).unwrap();
            }
        });
        let words = format!("{RUN} -v @/outside:/data/in -v @/outside/mine:/data/file evil");
        let ended = machine
            .shell(&words, "cat /data/file; test -e /proc/self && test -c /dev/null && echo up");
        // It may work inside or be refused; what matters is the outside.
        assert!(matches!(ended.status, 0 | 125), "{ended:?}");
        let left: Vec<_> =
            fs::read_dir(outside).unwrap().flatten().map(|it| it.file_name()).collect();
        assert_eq!(left, ["mine"]);
    }
    machine.assert_clean();
}

#[test]
fn looping_links_are_an_error() {
    let Some(machine) = machine("looping_links_are_an_error") else { return };
    image(&machine, |layer| {
        symlink("b", layer.join("a")).unwrap();
        symlink("a", layer.join("b")).unwrap();
    });
    machine.run(&format!("{RUN} -v @/root:/a/x evil true")).assert_error(125, "symbolic links");
    image(&machine, |layer| symlink("proc", layer.join("proc")).unwrap());
    machine.run(&format!("{RUN} evil true")).assert_error(125, "/proc");
    machine.assert_clean();
}

#[test]
fn files_that_are_mounted_do_not_follow_links_to_the_host() {
    let Some(machine) = machine("files_that_are_mounted_do_not_follow_links_to_the_host") else {
        return;
    };
    let mine = machine.path("mine");
    image(&machine, |layer| {
        fs::create_dir(layer.join("etc")).unwrap();
        for name in ["resolv.conf", "hosts", "hostname"] {
            let target = mine.with_file_name(format!("mine-{name}"));
            fs::write(&target, "untouched\n").unwrap();
            symlink(&target, layer.join("etc").join(name)).unwrap();
        }
    });
    let ended =
        machine.shell(&format!("{RUN} --name web evil"), "cat /etc/hostname; echo x > /etc/hosts");
    assert_eq!(ended.stdout, "web\n", "{ended:?}");
    for name in ["resolv.conf", "hosts", "hostname"] {
        let target = mine.with_file_name(format!("mine-{name}"));
        assert_eq!(fs::read_to_string(target).unwrap(), "untouched\n");
    }
}

#[test]
fn no_path_leads_through_our_descriptors() {
    let Some(machine) = machine("no_path_leads_through_our_descriptors") else { return };
    for fd in 0..12 {
        let ended = machine
            .shell(&format!("{RUN} -w /proc/self/fd/{fd}/../.. host"), "pwd -P; ls -a / | wc -l");
        assert!(matches!(ended.status, 0 | 125), "{ended:?}");
        let ended = machine.run(&format!("{RUN} -w /proc/self/fd/{fd} host ls"));
        ended.assert_error(125, "in the container");
    }
}

#[test]
fn no_descriptor_of_ours_arrives() {
    let Some(machine) = machine("no_descriptor_of_ours_arrives") else { return };
    let line = machine.line(&format!("{RUN} host ls /proc/self/fd"));
    let mut words = vec!["sh", "-c", "exec 7</etc/passwd 9>/dev/null; \"$@\"", "-"];
    words.extend(line.iter().map(|word| word.to_str().unwrap()));
    let line: Vec<_> = words.into_iter().map(Into::into).collect();
    // The last one is the folder that ls reads.
    end(machine.start(&line), "").assert(0, "0\n1\n2\n3");
}

#[test]
fn the_runtimes_binary_cannot_be_reached() {
    let Some(machine) = machine("the_runtimes_binary_cannot_be_reached") else { return };
    let copy = machine.path("final");
    fs::copy(binary(), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    image(&machine, |layer| {
        fs::create_dir_all(layer.join("lib")).ok();
        fs::write(layer.join("evil"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(layer.join("evil"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    let start = |words: &str| {
        let mut line = machine.line(words);
        line[0] = copy.clone().into();
        end(machine.start(&line), "")
    };
    for words in ["evil /evil run --rm evil true", "evil /proc/self/exe --version"] {
        let ended = start(&format!("{RUN} {words}"));
        assert!(ended.status != 0 || ended.stdout.contains("final"), "{ended:?}");
    }
    // With every capability, process 1 can be looked at; it must not be possible to write to it.
    let script = "sleep 0.1; echo broken > /proc/1/exe";
    let mut line = machine.line(&format!("{RUN} --privileged --init host sh -c"));
    line[0] = copy.clone().into();
    line.push(script.into());
    let ended = end(machine.start(&line), "");
    assert_ne!(ended.status, 0, "{ended:?}");
    assert!(fs::read(&copy).unwrap() == before);
}

#[test]
fn devices_cannot_be_made_to_work() {
    let Some(machine) = machine("devices_cannot_be_made_to_work") else { return };
    let script = "for folder in / /dev /tmp /dev/shm /run; do mknod $folder/null2 c 1 3; \
                  (: < $folder/null2) 2>/dev/null && echo open $folder; done; \
                  for name in null zero full random urandom; do head -c 0 /dev/$name || echo $name; done; \
                  echo done";
    machine.shell(&format!("{RUN} --tmpfs /run host"), script).assert(0, "done");
}

#[test]
fn the_kernels_settings_are_out_of_reach() {
    let Some(machine) = machine("the_kernels_settings_are_out_of_reach") else { return };
    let script = "for file in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/mm/ksm/run \
                  /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs; do \
                  (echo 0 > $file) 2>/dev/null && echo wrote $file; done; \
                  mount -t tmpfs none /tmp 2>/dev/null && echo mounted; \
                  unshare -Ur true 2>/dev/null && echo unshared; \
                  mount -o remount,rw /sys 2>/dev/null && echo remounted; \
                  umount /proc/sys 2>/dev/null && echo umounted; \
                  ls /proc/acpi /sys/firmware /proc/scsi 2>/dev/null | grep -v : | tr -d '\\n'; echo done";
    machine.shell(&format!("{RUN} host"), script).assert(0, "done");
}

#[test]
fn chroot_does_not_lead_out() {
    let Some(machine) = machine("chroot_does_not_lead_out") else { return };
    // The escape that works in the steps: a second root below, and then upwards from outside of it.
    let escape = "mkdir -p /jail && exec 9</ && chroot /jail true 2>/dev/null; \
                  cd /proc/self/fd/9 && cd ../../../../../.. && pwd -P && ls -d root/containers 2>/dev/null; echo done";
    machine.shell(&format!("{RUN} host"), escape).assert(0, "/\ndone");
    machine.write("mark-of-the-host", "");
    let mark = machine.path("mark-of-the-host");
    let script = format!("ls {0} /proc/1/root{0} 2>/dev/null; echo done", mark.display());
    machine.shell(&format!("{RUN} host"), &script).assert(0, "done");
}

#[test]
fn names_that_are_paths_or_options_are_refused() {
    let Some(machine) = machine("names_that_are_paths_or_options_are_refused") else { return };
    let long = "x".repeat(300);
    for name in ["../../x", "", "-rf", "a/b", "a b", "a\nb", ".", &long] {
        let mut line = machine.line("run --rm --network none");
        line.push(format!("--name={name}").into());
        line.extend(["host", "true"].map(Into::into));
        let ended: Ended = end(machine.start(&line), "");
        assert_eq!(ended.status, 2, "{name:?}: {ended:?}");
    }
    machine.run(&format!("{RUN} ../../etc true")).assert_error(125, "../../etc");
}

#[test]
fn layers_may_have_any_name_and_be_many() {
    let Some(machine) = machine("layers_may_have_any_name_and_be_many") else { return };
    let rootfs = workshop::testing::rootfs().unwrap();
    let mut layers: Vec<String> = Vec::new();
    for number in 0..130 {
        let name = format!("l{number:03},a:b\\c d{}", "x".repeat(200));
        let folder = machine.path("root/layers").join(&name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{number}")), "").unwrap();
        fs::write(folder.join("top"), number.to_string()).unwrap();
        layers.push(name);
    }
    layers.push(rootfs.to_str().unwrap().to_string());
    let image = format!("{{\"layers\":{layers:?}}}");
    machine.write("root/images/many.json", &image);
    machine.shell(&format!("{RUN} many"), "cat /top; echo; ls -d /f* | wc -l").assert(0, "0\n130");
    machine.shell("run --network none --name k many", "cat /top; touch /x").assert(0, "0");
    // A folder whose own name means something to the overlay.
    let odd = machine.path("odd,:\\name");
    let copied = Command::new("cp").arg("-a").arg(&rootfs).arg(&odd).status().unwrap();
    assert!(copied.success());
    let mut line = machine.line(&format!("{RUN} --rootfs"));
    line.push(odd.into());
    line.extend(["echo", "works"].map(Into::into));
    end(machine.start(&line), "").assert(0, "works");
}

#[test]
fn set_user_id_works_unless_it_is_forbidden() {
    let Some(machine) = machine("set_user_id_works_unless_it_is_forbidden") else { return };
    image(&machine, |layer| {
        let program = layer.join("sid");
        fs::copy(workshop::testing::rootfs().unwrap().join("bin/id"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    });
    let run = |words: &str| machine.run(&format!("{RUN} -u nobody {words} evil /sid -u"));
    run("").assert(0, "0");
    run("--security-opt no-new-privileges").assert(0, "65534");
    // On the host it is out of reach of anyone but root: so is all that containers write.
    for folder in ["containers", "layers", "mnt"] {
        let mode = fs::metadata(machine.root().join(folder)).unwrap().permissions().mode();
        assert!(folder == "layers" || mode & 0o077 == 0, "{folder}: {mode:o}");
    }
}
