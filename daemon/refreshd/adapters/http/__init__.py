"""The daemon's own listener: probes and metrics."""
