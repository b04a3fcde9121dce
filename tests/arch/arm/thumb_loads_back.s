# A load from a literal behind the place: GNU ld calls that out of range although the U bit can say it.
# assemble: -mcpu=cortex-m4
# linker: lld
# at: .text=0x8000
  .syntax unified
  .thumb
  .text
before:
  .word 0, 0
  .reloc ., R_ARM_THM_PC12, before
  .inst.w 0xf85fc004
  .reloc ., R_ARM_THM_PC12, after
  .inst.w 0xf85fc004
  .reloc ., R_ARM_THM_ALU_PREL_11_0, before
  .inst.w 0xf2af0104
  .reloc ., R_ARM_THM_ALU_PREL_11_0, after
  .inst.w 0xf2af0104
  .reloc ., R_ARM_THM_PC8, after
  ldr.n r3, [pc, #1020]
  nop
after:
  .word 0
