"""The test bench "nothing lost": real processes are killed, paused and cut off while real clients post."""
