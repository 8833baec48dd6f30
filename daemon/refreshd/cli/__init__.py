"""Arguments, exit codes, tables. Heavy imports stand inside the commands, so that `--help` answers at once."""
