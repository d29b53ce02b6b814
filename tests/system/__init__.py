"""The real process under a service manager's eyes: sockets, signals, files."""
