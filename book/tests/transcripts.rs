//! Plays the book's own sessions for real, and compares them with what was recorded.

workshop::transcripts!(
    chroot_tiny,
    chroot_working_directory,
    container,
    file_inside,
    final_processes,
    hostname_before,
    mount_by_hand,
    mount_inside,
    mount_leak,
    mount_namespace_links,
    mount_proc_gone,
    mount_propagation,
    mount_unshare_links,
    pid_fork,
    pid_killed,
    pid_one,
    pid_second_child,
    privilege,
);
