"""How a login comes back to this machine: a server on loopback, or a line pasted into the terminal."""
