"""What people type: one small file per command, the shared options once, the screen and the exit codes."""
