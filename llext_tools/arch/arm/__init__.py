"""Arm, 32 bits: Cortex-M runs Thumb; the relocations of A32 code are here too, objects may bring it along."""
