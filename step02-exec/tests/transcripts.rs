//! Plays the sessions in this folder for real, and compares them with what was recorded.

workshop::transcripts!(echo, files, orphan, processes, status);
