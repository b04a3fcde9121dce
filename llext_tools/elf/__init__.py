"""Reading and writing ELF files."""
