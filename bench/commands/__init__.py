"""What each command does; the arguments stand in `arguments`, the exit codes in `bench.cli`."""
