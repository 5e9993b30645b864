"""What Cline did and nobody tells, by name: found in what is remembered of it, and in what this machine shows."""
