//! Plays the book's own sessions for real, and compares them with what was recorded.

workshop::transcripts!(container, file_inside, final_processes, hostname_before, privilege);
