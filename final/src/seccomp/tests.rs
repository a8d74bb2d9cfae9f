use super::*;

/// Runs the filter as the kernel does, for a call with one argument.
fn verdict(program: &[sock_filter], call: u32, index: u32, argument: u32) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let it = program[at];
        at += 1;
        let take = |yes: bool| usize::from(if yes { it.jt } else { it.jf });
        match u32::from(it.code) {
            0x20 if it.k == offset::NUMBER => loaded = call,
            0x20 if it.k == offset::ARCHITECTURE => loaded = ARCHITECTURE,
            0x20 => loaded = if it.k == offset::argument(index) { argument } else { 0 },
            0x05 => at += it.k as usize,
            0x15 => at += take(loaded == it.k),
            0x25 => at += take(loaded > it.k),
            0x35 => at += take(loaded >= it.k),
            0x45 => at += take(loaded & it.k != 0),
            0x06 => return it.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

#[test]
fn exactly_what_is_on_the_list_is_allowed() {
    let program = filter(&CapsHashSet::new());
    let listed: Vec<u32> = calls::always().map(|call| call as u32).collect();
    for call in (0..=calls::YOUNGEST).filter(|call| *call != libc::SYS_clone3 as u32) {
        let expected = if listed.contains(&call) { ALLOW } else { EPERM };
        assert_eq!(verdict(&program, call, 0, 0), expected, "call {call}");
    }
    assert_eq!(verdict(&program, 0x4000_0001, 0, 0), ENOSYS);
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
#[test]
fn what_libraries_have_always_called_is_allowed() {
    let program = filter(&CapsHashSet::new());
    for call in [libc::SYS_access, libc::SYS_open, libc::SYS_stat, libc::SYS_fork, libc::SYS_poll] {
        assert_eq!(verdict(&program, call as u32, 0, 0), ALLOW, "call {call}");
    }
}

#[test]
fn arguments_decide_where_a_call_alone_does_not() {
    let program = filter(&CapsHashSet::new());
    let check =
        |call: libc::c_long, index, argument: u32| verdict(&program, call as u32, index, argument);
    assert_eq!(check(libc::SYS_clone, 0, libc::CLONE_NEWUSER as u32 | 17), EPERM);
    assert_eq!(check(libc::SYS_clone, 0, 17), ALLOW);
    assert_eq!(check(libc::SYS_clone3, 0, 0), ENOSYS);
    assert_eq!(check(libc::SYS_ioctl, 1, libc::TIOCSTI as u32), EPERM);
    assert_eq!(check(libc::SYS_ioctl, 1, libc::TIOCGWINSZ as u32), ALLOW);
    assert_eq!(check(libc::SYS_socket, 0, libc::AF_VSOCK as u32), EPERM);
    assert_eq!(check(libc::SYS_personality, 0, 0xffff_ffff), ALLOW);
    assert_eq!(check(libc::SYS_personality, 0, 0x0004_0000), EPERM);
}

#[test]
fn a_capability_opens_its_calls() {
    let program = filter(&[Capability::CAP_SYS_ADMIN].into());
    for call in [libc::SYS_mount, libc::SYS_clone3, libc::SYS_unshare] {
        assert_eq!(verdict(&program, call as u32, 0, 0), ALLOW);
    }
    assert_eq!(verdict(&program, libc::SYS_reboot as u32, 0, 0), EPERM);
}

#[test]
fn a_call_that_a_filter_around_us_forbids_is_told() {
    use crate::message::Attempt;
    // A filter is for a thread and what that starts.
    let forbidden = || {
        let mut program = vec![load(offset::NUMBER)];
        program.extend(rule(libc::SYS_mount_setattr, &[end(Missing)]));
        program.push(end(Allow));
        nix::sys::prctl::set_no_new_privs().unwrap();
        crate::kernel::filter_system_calls(&program).unwrap();
        let stdin = std::io::stdin();
        let mount = std::os::fd::AsFd::as_fd(&stdin);
        crate::kernel::restrict(mount, 0, false).or_cannot("lock it", "Try again")
    };
    let error = std::thread::spawn(forbidden).join().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("cannot lock it: Function not implemented. Linux 5.12"), "{error}");
    assert!(error.contains("--privileged"), "{error}");
}
