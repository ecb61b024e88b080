"""What is written about a run and read again: trials, `search.json`, the run's folder."""
