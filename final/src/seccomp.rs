//! Which system calls a container may make (seccomp(2)): Docker's default list. What is not on it
//! fails with EPERM, as if the caller lacked a privilege.
//!
//! The list is turned into a search tree of about a hundred instructions, of which a call passes
//! seven: a chain of one comparison for each call takes the kernel ten times as long to load.

use caps::{Capability, CapsHashSet};
use nix::errno::Errno;
use nix::libc::{self, sock_filter};

use self::Verdict::{Allow, Missing, Refuse};

mod calls;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "x86")]
const ARCHITECTURE: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// All flags of clone(2) that make namespaces.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

/// What happens to a call.
#[derive(Clone, Copy)]
enum Verdict {
    Allow,
    /// EPERM
    Refuse,
    /// ENOSYS: the C library then does without.
    Missing,
}

/// The filter for a container with these capabilities, ready for the kernel.
pub(crate) fn filter(capabilities: &CapsHashSet) -> Vec<sock_filter> {
    let mut numbers: Vec<u32> = calls::always().map(|call| call as u32).collect();
    for (capability, calls) in calls::WITH {
        if capabilities.contains(capability) {
            numbers.extend(calls.iter().map(|call| *call as u32));
        }
    }
    let mut program = vec![
        load(offset::ARCHITECTURE),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        end(Refuse),
        load(offset::NUMBER),
        // That of the x32 ABI, too.
        jump(libc::BPF_JGT, calls::YOUNGEST, 0, 1),
        end(Missing),
    ];
    if !capabilities.contains(&Capability::CAP_SYS_ADMIN) {
        // Where clone3 is missing, the C library uses clone, whose flags a filter can see.
        program.extend(rule(libc::SYS_clone3, &[end(Missing)]));
        program.extend(rule(
            libc::SYS_clone,
            &[
                load(offset::argument(0)),
                jump(libc::BPF_JSET, NAMESPACES, 0, 1),
                end(Refuse),
                end(Allow),
            ],
        ));
    }
    program.extend(rule(libc::SYS_ioctl, &unless_equal(1, &[libc::TIOCSTI as u32])));
    // On x86 with 32 bits socketcall(2) goes past this: its arguments lie in memory, which no filter sees.
    program.extend(rule(libc::SYS_socket, &unless_equal(0, &[libc::AF_VSOCK as u32])));
    program.extend(rule(libc::SYS_personality, &personalities()));
    program.extend(search(&ranges(numbers)));
    program
}

/// Some instructions for one call only; they have to end with a verdict.
fn rule(call: libc::c_long, then: &[sock_filter]) -> Vec<sock_filter> {
    let mut rule = vec![jump(libc::BPF_JEQ, call as u32, 0, then.len() as u8)];
    rule.extend_from_slice(then);
    rule
}

/// Refuses a call if an argument is one of some numbers.
fn unless_equal(argument: u32, values: &[u32]) -> Vec<sock_filter> {
    let mut then = vec![load(offset::argument(argument))];
    for value in values {
        then.extend([jump(libc::BPF_JEQ, *value, 0, 1), end(Refuse)]);
    }
    then.push(end(Allow));
    then
}

/// What personality(2) may be asked for: to tell, and the ones that run Linux programs.
fn personalities() -> Vec<sock_filter> {
    let mut then = vec![load(offset::argument(0))];
    for value in [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        then.extend([jump(libc::BPF_JEQ, value, 0, 1), end(Allow)]);
    }
    then.push(end(Refuse));
    then
}

/// Neighbouring numbers, first and last.
fn ranges(mut numbers: Vec<u32>) -> Vec<(u32, u32)> {
    numbers.sort_unstable();
    numbers.dedup();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// Allows what lies in the ranges, with the call's number loaded.
fn search(ranges: &[(u32, u32)]) -> Vec<sock_filter> {
    match ranges {
        [] => vec![end(Refuse)],
        [(first, last)] => vec![
            jump(libc::BPF_JGE, *first, 0, 1),
            jump(libc::BPF_JGT, *last, 0, 1),
            end(Refuse),
            end(Allow),
        ],
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let (below, above) = (search(low), search(high));
            // A conditional jump reaches 255 instructions far, this one everywhere.
            let far = statement(libc::BPF_JMP | libc::BPF_JA, below.len() as u32);
            let mut program = vec![jump(libc::BPF_JGE, high[0].0, 0, 1), far];
            program.extend(below);
            program.extend(above);
            program
        }
    }
}

/// Where things lie in `struct seccomp_data`.
mod offset {
    pub(super) const NUMBER: u32 = 0;
    pub(super) const ARCHITECTURE: u32 = 4;

    /// The lower half of an argument: all three architectures are little-endian.
    pub(super) const fn argument(index: u32) -> u32 {
        16 + 8 * index
    }
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn end(verdict: Verdict) -> sock_filter {
    let value = match verdict {
        Allow => libc::SECCOMP_RET_ALLOW,
        Refuse => libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32,
        Missing => libc::SECCOMP_RET_ERRNO | Errno::ENOSYS as u32,
    };
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Compares what was loaded with `k`, and skips `yes` or `no` instructions.
fn jump(compare: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | compare | libc::BPF_K) as u16, jt: yes, jf: no, k }
}
