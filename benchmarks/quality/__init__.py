"""Held-out nats of flowcli and of its peers on the same rows, and how soon they are reached."""
