"""What the daemon answers on loopback: health and figures."""
