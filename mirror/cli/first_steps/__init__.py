"""What `init` asks on a terminal: the server, the key, the projects; and what a first pull of them will take."""
