"""The linkers that are oracles here."""

from oracle.gnu_ld import gnu_ld

__all__ = ["gnu_ld"]
