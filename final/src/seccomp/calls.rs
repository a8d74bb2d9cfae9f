//! The system calls by name, as Docker's default profile has them.

use caps::Capability;
use nix::libc::{self, c_long};

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// What every container may call.
pub(super) fn always() -> impl Iterator<Item = c_long> {
    EVERYWHERE.iter().chain(BY_WIDTH).chain(OLDER).chain(NEWER).copied()
}

const EVERYWHERE: &[c_long] = calls! {
    SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_clone SYS_clone3 SYS_close
    SYS_close_range SYS_connect SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_execve SYS_execveat SYS_exit
    SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark
    SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync
    SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs
    SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv SYS_getcpu SYS_getcwd SYS_getdents64
    SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid
    SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrlimit
    SYS_get_robust_list SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1
    SYS_inotify_rm_watch SYS_io_cancel SYS_ioctl SYS_io_destroy SYS_io_getevents SYS_ioprio_get
    SYS_ioprio_set SYS_io_setup SYS_io_submit SYS_kill SYS_landlock_add_rule
    SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat SYS_listen
    SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_madvise
    SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock
    SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open
    SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_mseal SYS_msync SYS_munlock
    SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_openat SYS_openat2
    SYS_personality SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free
    SYS_pkey_mprotect SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64
    SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev SYS_pselect6 SYS_ptrace
    SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv
    SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat
    SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending
    SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait
    SYS_rt_tgsigqueueinfo SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getscheduler
    SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam
    SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_sendfile SYS_sendmmsg SYS_sendmsg
    SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid
    SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setrlimit
    SYS_set_robust_list SYS_setsid SYS_setsockopt SYS_set_tid_address SYS_setuid SYS_setxattr
    SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_socket SYS_socketpair SYS_splice SYS_statfs
    SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill
    SYS_timer_create SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime
    SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate
    SYS_umask SYS_uname SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write
    SYS_writev
};

/// What newer architectures no longer have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = calls! {
    SYS_access SYS_alarm SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat
    SYS_getdents SYS_getpgrp SYS_get_thread_area SYS_inotify_init SYS_lchown
    SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink
    SYS_rename SYS_rmdir SYS_select SYS_set_thread_area SYS_signalfd
    SYS_stat SYS_symlink SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
    SYS_arch_prctl SYS_modify_ldt
};
/// The same, and what has another name there for numbers of 32 and 64 bits.
#[cfg(target_arch = "x86")]
const OLDER: &[c_long] = calls! {
    SYS__llseek SYS__newselect SYS_access SYS_alarm SYS_chmod SYS_chown SYS_chown32 SYS_creat SYS_dup2
    SYS_epoll_create SYS_epoll_wait SYS_eventfd SYS_fadvise64_64 SYS_fchown32 SYS_fcntl64 SYS_fork
    SYS_fstat64 SYS_fstatat64 SYS_fstatfs64 SYS_ftruncate64 SYS_futimesat SYS_getdents
    SYS_getegid32 SYS_geteuid32 SYS_getgid32 SYS_getgroups32 SYS_getpgrp SYS_getresgid32
    SYS_getresuid32 SYS_getuid32 SYS_get_thread_area SYS_inotify_init SYS_ipc SYS_lchown
    SYS_lchown32 SYS_link SYS_lstat SYS_lstat64 SYS_mkdir SYS_mknod SYS_mmap2 SYS_modify_ldt
    SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select
    SYS_sendfile64 SYS_setfsgid32 SYS_setfsuid32 SYS_setgid32 SYS_setgroups32 SYS_setregid32
    SYS_setresgid32 SYS_setresuid32 SYS_setreuid32 SYS_setuid32 SYS_set_thread_area
    SYS_signalfd SYS_sigprocmask SYS_sigreturn SYS_socketcall SYS_stat SYS_stat64 SYS_statfs64
    SYS_symlink SYS_time SYS_truncate64 SYS_ugetrlimit SYS_unlink SYS_utime SYS_utimes SYS_vfork
    SYS_waitpid
};
#[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
const OLDER: &[c_long] = &[];

/// What has another name or number on x86 with 32 bits.
#[cfg(not(target_arch = "x86"))]
const BY_WIDTH: &[c_long] = calls! {
    SYS_accept SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_newfstatat SYS_semctl SYS_semget
    SYS_semop SYS_semtimedop SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget
};
/// libc lacks their names there: semget to msgctl (393 to 402), clock_gettime64 (403) and the other
/// calls whose times have 64 bits, but for clock_settime64, which takes a capability.
#[cfg(target_arch = "x86")]
const BY_WIDTH: &[c_long] = &[
    393, 394, 395, 396, 397, 398, 399, 400, 401, 402, 403, 405, 406, 407, 408, 409, 410, 411, 412,
    413, 414, 416, 417, 418, 419, 420, 421, 422, 423,
];

/// What libc has no names for yet, the same on all architectures but for the first, io_pgetevents:
/// cachestat, fchmodat2, map_shadow_stack, futex_wake, futex_wait and futex_requeue.
const NEWER: &[c_long] = &[IO_PGETEVENTS, 451, 452, 453, 454, 455, 456];

#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: c_long = 333;
#[cfg(target_arch = "x86")]
const IO_PGETEVENTS: c_long = 385;
#[cfg(target_arch = "aarch64")]
const IO_PGETEVENTS: c_long = 292;

#[cfg(target_arch = "x86")]
const CLOCK_SETTIME64: c_long = 404;

/// Calls above are younger than this list: they are said to be missing, not forbidden, since
/// programs are ready for that.
pub(super) const YOUNGEST: u32 = libc::SYS_mseal as u32;

/// What a container may call that has the capability.
pub(super) const WITH: &[(Capability, &[c_long])] = &[
    (
        Capability::CAP_SYS_ADMIN,
        calls! {
            SYS_bpf SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick
            SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open
            SYS_quotactl SYS_quotactl_fd SYS_setdomainname SYS_sethostname SYS_setns
            SYS_syslog SYS_umount2 SYS_unshare
        },
    ),
    (
        Capability::CAP_SYS_BOOT,
        calls! {
            SYS_reboot
        },
    ),
    (
        Capability::CAP_SYS_CHROOT,
        calls! {
            SYS_chroot
        },
    ),
    (
        Capability::CAP_SYS_MODULE,
        calls! {
            SYS_delete_module SYS_finit_module SYS_init_module
        },
    ),
    (
        Capability::CAP_SYS_PACCT,
        calls! {
            SYS_acct
        },
    ),
    (
        Capability::CAP_SYS_PTRACE,
        calls! {
            SYS_kcmp SYS_pidfd_getfd SYS_process_madvise
        },
    ),
    (
        Capability::CAP_SYS_TIME,
        calls! {
            SYS_clock_settime SYS_settimeofday
        },
    ),
    #[cfg(target_arch = "x86")]
    (Capability::CAP_SYS_TIME, &[libc::SYS_stime, CLOCK_SETTIME64]),
    #[cfg(target_arch = "x86")]
    (Capability::CAP_SYS_ADMIN, &[libc::SYS_umount]),
    (
        Capability::CAP_SYS_TTY_CONFIG,
        calls! {
            SYS_vhangup
        },
    ),
    (
        Capability::CAP_SYS_NICE,
        calls! {
            SYS_get_mempolicy SYS_mbind SYS_set_mempolicy SYS_set_mempolicy_home_node
        },
    ),
    (
        Capability::CAP_SYSLOG,
        calls! {
            SYS_syslog
        },
    ),
    (
        Capability::CAP_BPF,
        calls! {
            SYS_bpf
        },
    ),
    (
        Capability::CAP_PERFMON,
        calls! {
            SYS_perf_event_open
        },
    ),
    (
        Capability::CAP_DAC_READ_SEARCH,
        calls! {
            SYS_open_by_handle_at
        },
    ),
];
