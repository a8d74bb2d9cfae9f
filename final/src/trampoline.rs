//! The last program before the command: so small that nothing in it is worth overwriting.
//!
//! An image can make the kernel run whatever runs the command once more (`#!/proc/self/exe`), keep
//! that file open, and overwrite it for whoever runs it next as root (CVE-2019-5736). If that were
//! this program, it would have to be started anew from a copy, which takes a millisecond. So the
//! process first becomes these few instructions, which lie in sealed memory, and they become the
//! command.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::execve;

use crate::kernel;

/// Not every architecture has its instructions here; the others start from a copy.
pub(crate) const AVAILABLE: bool = cfg!(target_arch = "x86_64");

// An ELF file with one segment (elf(5)). On its stack lie the number of words and the words: the
// path, a byte with the number of the channel, then the command; then the environment.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .rodata",
    ".balign 8",
    "trampoline_begin:",
    ".byte 0x7f; .ascii \"ELF\"; .byte 2, 1, 1; .zero 9",
    ".short 2, 62; .int 1",
    ".quad 0x400000 + trampoline_code - trampoline_begin, 64, 0",
    ".int 0; .short 64, 56, 1, 0, 0, 0",
    ".int 1, 5; .quad 0, 0x400000, 0x400000",
    ".quad trampoline_end - trampoline_begin, trampoline_end - trampoline_begin, 0x1000",
    "trampoline_code:",
    // fcntl(channel, F_SETFD, FD_CLOEXEC): the other side finds the end when the command runs.
    "mov rax, [rsp + 16]",
    "movzx ebx, byte ptr [rax]",
    "mov edi, ebx; mov esi, 2; mov edx, 1; mov eax, 72",
    "syscall",
    // execve(path, command, environment)
    "mov rdi, [rsp + 8]",
    "lea rsi, [rsp + 24]",
    "mov rax, [rsp]",
    "lea rdx, [rsp + rax * 8 + 16]",
    "mov eax, 59",
    "syscall",
    // write(channel, {'E', errno}, 2), then exit_group(127)
    "neg eax",
    "mov byte ptr [rsp - 8], 0x45",
    "mov [rsp - 7], al",
    "mov edi, ebx; lea rsi, [rsp - 8]; mov edx, 2; mov eax, 1",
    "syscall",
    "mov edi, 127; mov eax, 231",
    "syscall",
    "trampoline_end:",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    static trampoline_begin: u8;
    static trampoline_end: u8;
}

/// Becomes the program at `path` by way of the trampoline. If that fails, this returns, or the
/// trampoline tells `channel` the number of the error.
pub(crate) fn jump(
    path: &CStr,
    command: &[CString],
    environment: &[CString],
    channel: impl AsFd,
) -> Errno {
    if !AVAILABLE {
        let Err(error) = execve(path, command, environment);
        return error;
    }
    match prepare(&channel) {
        Ok(file) => {
            let number = [channel.as_fd().as_raw_fd() as u8, 0];
            let Ok(number) = CStr::from_bytes_until_nul(&number) else { return Errno::EBADF };
            let command = command.iter().map(CString::as_c_str);
            let words: Vec<&CStr> = [path, number].into_iter().chain(command).collect();
            let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).collect();
            kernel::exec_file(file.as_fd(), &words, &environment)
        }
        Err(error) => error,
    }
}

/// Puts the instructions into memory that nobody can change any more.
fn prepare(channel: &impl AsFd) -> nix::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    // Before Linux 6.3 every such file was executable.
    let memory = memfd_create(c"final", flags | executable).or_else(|error| match error {
        Errno::EINVAL => memfd_create(c"final", flags),
        error => Err(error),
    })?;
    let mut file = File::from(memory);
    file.write_all(program()).map_err(errno)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    // What is open for writing cannot be executed: open it again.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let reopened = File::open(path).map_err(errno)?;
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(reopened)
}

#[cfg(not(target_arch = "x86_64"))]
fn program() -> &'static [u8] {
    &[]
}

#[cfg(target_arch = "x86_64")]
fn program() -> &'static [u8] {
    // SAFETY: both are labels in .rodata, above, in this order.
    unsafe {
        let (begin, end) = (&raw const trampoline_begin, &raw const trampoline_end);
        std::slice::from_raw_parts(begin, end.offset_from(begin) as usize)
    }
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
