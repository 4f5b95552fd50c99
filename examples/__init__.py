"""Workers and scripts to read, run and copy."""
