# MOVW and MOVT, absolute, relative to the place, and relative to the static base: .data is at 0, where GNU ld has it.
# assemble: -mcpu=cortex-m4
# at: .text=0x10008000 .data=0x0
# host: func thumb=0x9101
# host: object=0x2001f234
  .syntax unified
  .thumb
  .text
  .global f
  .type f, %function
  .thumb_func
f:
  movw r0, #:lower16:thumb
  movt r0, #:upper16:thumb
  movw r11, #:lower16:object
  movt r11, #:upper16:object
  movw r0, #:lower16:(object + 0x7ff0)
  movt r0, #:upper16:(object + 0x7ff0)
  movw r0, #:lower16:(f + 4)
  movt r0, #:upper16:(f + 4)
  movw r0, #:lower16:(thumb - .)
  movt r0, #:upper16:(thumb - .)
  movw r0, #:lower16:(d - .)
  movt r0, #:upper16:(d - .)
  .reloc ., R_ARM_THM_MOVW_BREL_NC, d
  movw r5, #4
  .reloc ., R_ARM_THM_MOVW_BREL, d
  movw r5, #0x7abc
  .reloc ., R_ARM_THM_MOVT_BREL, d
  movt r5, #0
  bx lr
  .data
  .zero 0x20
d:
  .word 0
