# Loads and additions whose offset is in the instruction, and addresses made of four bytes.
# assemble: -mcpu=cortex-m4
# at: .text=0x8000
# host: object=0x20abcdef low=0x40
# host: func thumb=0x08aa9901
  .syntax unified
  .thumb
  .text
  .global f
  .type f, %function
  .thumb_func
f:
  movs r0, #:upper8_15:#object
  nop
before:
  movs r3, #:upper0_7:#thumb
  .p2align 2
  .reloc ., R_ARM_THM_PC8, after
  ldr.n r3, [pc, #0]
  .reloc ., R_ARM_THM_PC8, after
  ldr.n r3, [pc, #8]
  .reloc ., R_ARM_THM_PC12, after
  .inst.w 0xf8dfc000
  .reloc ., R_ARM_THM_ALU_PREL_11_0, after
  .inst.w 0xf20f0104
  .reloc ., R_ARM_THM_ALU_PREL_11_0, before
  .inst.w 0xf2af0104
  .reloc ., R_ARM_THM_ALU_ABS_G0_NC, thumb
  movs r0, #0
  .reloc ., R_ARM_THM_ALU_ABS_G0_NC, object
  movs r0, #0x11
  .reloc ., R_ARM_THM_ALU_ABS_G1_NC, object
  adds r0, #0x11
  .reloc ., R_ARM_THM_ALU_ABS_G2_NC, object
  adds r0, #0x11
  .reloc ., R_ARM_THM_ALU_ABS_G3_NC, object
  adds r0, #0
  bx lr
  .p2align 2
after:
  .word 0
