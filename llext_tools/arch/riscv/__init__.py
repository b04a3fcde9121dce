"""RISC-V, 32 and 64 bits: one table; RV32 differs only in that 32-bit offsets reach everything."""
