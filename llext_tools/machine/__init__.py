"""Machines that run code. The rest of the package knows them by ``machine.protocol``."""
