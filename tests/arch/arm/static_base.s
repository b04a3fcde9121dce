# Distances from the static base, the start of the region that holds the symbol. GNU ld does not know SBREL32.
# assemble: -mcpu=cortex-m4
# linker: lld
# at: .text=0x8000 .data=0x20000000
  .syntax unified
  .thumb
  .text
  .global f
  .type f, %function
  .thumb_func
f:
  bx lr
  .p2align 2
  .word d(sbrel), d(sbrel) + 4, f(sbrel)
  .reloc ., R_ARM_THM_MOVW_BREL_NC, d
  movw r5, #4
  .reloc ., R_ARM_THM_MOVT_BREL, d
  movt r5, #0
  .data
  .zero 0x20
d:
  .word d(sbrel), f(sbrel)
