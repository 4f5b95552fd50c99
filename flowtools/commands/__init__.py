"""The commands: one file each; options in, objects built, run."""
