//! Plays the book's own sessions for real, and compares them with what was recorded.

workshop::transcripts!(
    bomb,
    by_hand,
    by_hand_limits,
    cgroup_machine,
    cgroup_rules,
    final_processes,
    killed_run,
    link_down,
    network_seen,
    overlay_break,
    overlay_by_seed,
    overlay_gone,
    overlay_layers,
);
