"""The commands of the command line, one file each: `arguments` declares its options, `run` does it."""
