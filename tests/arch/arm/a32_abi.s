# Offsets of 12 bits that neither GNU ld 2.40 nor LLD 22 writes as aaelf32 says; the words are worked out by hand.
# assemble: -march=armv7-a
# linker: none
# at: .text=0x8000
# host: low=0x123
# ABS12, ldr r3, [r0, #-0x223]: S + A is -0x100, U is 0
# expect: .text+0 = 00 31 10 e5
# ABS12, ldr r3, [r0, #0xe00]: S + A is 0xf23, U is 1
# expect: .text+4 = 23 3f 90 e5
# TLS_LDO12: x is 4 behind the start of the block
# expect: .text+8 = 04 30 90 e5
# TLS_LE12: the thread pointer is 8 in front of the block
# expect: .text+12 = 0c 30 90 e5
  .syntax unified
  .arm
  .text
  .reloc ., R_ARM_ABS12, low
  .inst 0xe5103223
  .reloc ., R_ARM_ABS12, low
  .inst 0xe5903e00
  .reloc ., R_ARM_TLS_LDO12, x
  .inst 0xe5903000
  .reloc ., R_ARM_TLS_LE12, x
  .inst 0xe5903000
  .section .tdata, "awT", %progbits
  .word 0
x:
  .word 1
