"""GDB's view of an emulated run: a machine that talks to a debugger whenever the program is halted.

``DebugMachine`` stands around another machine. The host above it runs the extension through it and knows nothing of the
debugger; the debugger sees the CPU, and each function of the host as one address that takes no time.
"""
