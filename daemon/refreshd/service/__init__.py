"""Use cases on ports: when to act and in which order. No third-party library is imported here."""
