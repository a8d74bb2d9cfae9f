//! Plays the book's own sessions for real, and compares them with what was recorded.

workshop::transcripts!(final_processes, pivot_root_shared, tty_group, wrong_usage);
