"""Run a probe: load the data, check the answers, count the work, time the rounds."""
