//! Plays the book's own sessions for real, and compares them with what was recorded.

workshop::transcripts!(
    bomb,
    final_processes,
    killed_run,
    link_down,
    network_seen,
    overlay_break,
    overlay_by_seed,
    overlay_gone,
    overlay_layers,
);
