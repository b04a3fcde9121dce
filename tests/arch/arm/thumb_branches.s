# BL, B, B<cond>, CBZ to functions of the host and of the extension, forward and backward.
# assemble: -mcpu=cortex-m4
# at: .text=0x8000
# host: func near=0x8101 back=0x7e01 far=0x1007f01 behind=0x08201
  .syntax unified
  .thumb
  .text
first:
  bl near
  bl back
  bl far
  bl last
  bl near + 8
  b.w near
  b.w far
  b.w behind
  beq.w near
  bne.w back
  bls.w last
# b near
  .reloc ., R_ARM_THM_JUMP11, near
  .inst.n 0xe7fe
  .reloc ., R_ARM_THM_JUMP11, back
  .inst.n 0xe7fe
# bge near
  .reloc ., R_ARM_THM_JUMP8, near
  .inst.n 0xdafe
  .reloc ., R_ARM_THM_JUMP8, local
  .inst.n 0xdafe
# cbz r3, local + 4; cbnz r1, local + 4 (of an addend of -4 GNU ld leaves bits behind, see thumb_abi.s)
  .reloc ., R_ARM_THM_JUMP6, local
  .inst.n 0xb103
  .reloc ., R_ARM_THM_JUMP6, local
  .inst.n 0xb901
  nop
local:
  bx lr
  .global last
  .thumb_func
  .type last, %function
last:
  bl first
  bx lr
