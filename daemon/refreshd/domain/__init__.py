"""Decisions and the data they speak in. No I/O, no clock, no chance: those arrive as arguments."""
