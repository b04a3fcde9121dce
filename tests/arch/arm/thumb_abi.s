# Places that GNU ld 2.40 and LLD 22 do not know, or read otherwise than aaelf32 says; the bytes are worked out by hand.
# assemble: -mcpu=cortex-m4
# linker: none
# at: .text=0x8000
# host: low=0x40 x=0x123
# JUMP6, cbz r3: A is -4, S + A - P is 0x8010 - 4 - 0x8000 = 12, imm5 = 6
# expect: .text+0 = 33 b1
# JUMP6, cbnz r1: A is 2, S + A - P is 0x8010 + 2 - 0x8002 = 16, imm5 = 8
# expect: .text+2 = 41 b9
# ABS5, ldr r0, [r1, #4]: S + A is 0x44, imm5 = 0x11
# expect: .text+4 = 48 6c
# ABS5, str r0, [r1, #0]: S + A is 0x40, imm5 = 0x10
# expect: .text+6 = 08 64
# PC12, ldr.w ip, [pc, #4]: S + A - Pa is 0x8000 + 4 - 0x8008 = -4, U becomes 0 (LLD leaves it)
# expect: .text+8 = 5f f8 04 c0
  .syntax unified
  .thumb
  .text
begin:
  .reloc ., R_ARM_THM_JUMP6, local
  .inst.n 0xb3f3
  .reloc ., R_ARM_THM_JUMP6, local
  .inst.n 0xb909
  .reloc ., R_ARM_THM_ABS5, low
  ldr r0, [r1, #4]
  .reloc ., R_ARM_THM_ABS5, low
  str r0, [r1, #0]
  .reloc ., R_ARM_THM_PC12, begin
  .inst.w 0xf8dfc004
  nop
  nop
local:
  bx lr
